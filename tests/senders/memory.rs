//! Wakers and messages that use a sender while they are dropped or woken.

use std::{
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Wake, Waker},
};

use anyws::{Bytes, Message, PreparedMessage, Sender, WebSocket, WhenFull, testing};
use support::{
    bounded,
    sockets::now,
    still::Still,
    tasks::{poll_with, waker},
};

use super::{bounds, turn};

/// Memory that uses a sender as it is freed.
struct Memory(Sender, Arc<Mutex<usize>>);

impl AsRef<[u8]> for Memory {
    fn as_ref(&self) -> &[u8] {
        b"memory"
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let _ = self.0.try_send(Message::Ping("freed".into()));
        let _ = self.0.buffered();
        *self.1.lock().unwrap() += 1;
    }
}

/// What is done with a queue that holds such memory.
type Act = fn(&mut Option<WebSocket>, &Sender);

#[test]
fn memory_of_a_message_may_use_its_sender() {
    let acts: [(WhenFull, Act); 9] = [
        (WhenFull::Wait, |socket, _| turn(socket.as_mut().unwrap())),
        (WhenFull::Wait, |socket, _| drop(socket.take())),
        (WhenFull::Wait, |socket, _| socket.as_mut().unwrap().abort()),
        (WhenFull::Wait, |socket, sender| {
            sender.abort();
            turn_to_end(socket.as_mut().unwrap());
        }),
        (WhenFull::Wait, |socket, sender| {
            sender.send_latest(1, "new").unwrap();
            turn(socket.as_mut().unwrap());
        }),
        (WhenFull::DropOldest, |socket, sender| {
            sender.try_send("new").unwrap();
            turn(socket.as_mut().unwrap());
        }),
        (WhenFull::Close, |socket, sender| {
            let _ = sender.try_send("new");
            drop(socket.take());
        }),
        (WhenFull::Wait, |socket, _| {
            now(socket.as_mut().unwrap().send("own".into())).unwrap();
        }),
        (WhenFull::Wait, |socket, sender| {
            sender.close(None).unwrap();
            drop(socket.take());
        }),
    ];
    for (at, (policy, act)) in acts.into_iter().enumerate() {
        bounded(move || {
            let (_client, mut socket) = testing::pair();
            let sender = socket.sender_with(bounds(1, policy));
            let freed = Arc::new(Mutex::new(0));
            let memory = Bytes::from_owner(Memory(sender.clone(), Arc::clone(&freed)));
            sender.send_latest(1, memory).unwrap();
            let mut socket = Some(socket);
            act(&mut socket, &sender);
            assert_eq!(*freed.lock().unwrap(), 1, "act {at}");
        });
    }
}

#[test]
fn memory_of_a_message_that_is_not_queued_may_use_its_sender() {
    for policy in [WhenFull::Wait, WhenFull::DropNewest, WhenFull::Close] {
        bounded(move || {
            let (_client, mut socket) = testing::pair();
            let sender = socket.sender_with(bounds(1, policy));
            sender.try_send("x").unwrap();
            let freed = Arc::new(Mutex::new(0));
            let memory = || Bytes::from_owner(Memory(sender.clone(), Arc::clone(&freed)));
            let _ = sender.try_send(memory());
            assert_eq!(*freed.lock().unwrap(), 1);
            let (waker, _woken) = waker();
            let _ = poll_with(&waker, pin!(sender.send(memory())));
            assert_eq!(*freed.lock().unwrap(), 2);
            // What may not be sent frees its memory as it is prepared.
            let invalid = Bytes::from_owner(Long(memory()));
            let _ = sender.try_send(PreparedMessage::from(Message::Ping(invalid)));
            assert_eq!(*freed.lock().unwrap(), 3);
        });
    }
}

/// Memory that sends itself again as it is freed, and counts how often that was accepted.
struct Endless(Sender, Arc<Mutex<usize>>);

impl AsRef<[u8]> for Endless {
    fn as_ref(&self) -> &[u8] {
        b"again"
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        let mut count = self.1.lock().unwrap();
        if *count < 1000 {
            *count += 1;
            drop(count);
            let again = Self(self.0.clone(), Arc::clone(&self.1));
            let sent = self.0.try_send(Bytes::from_owner(again));
            if sent.is_err() {
                // The memory was freed again, by this call.
                *self.1.lock().unwrap() = 1000;
            }
        }
    }
}

#[test]
fn a_socket_that_closes_does_not_go_on_with_what_is_queued_meanwhile() {
    for is_close in [false, true] {
        bounded(move || {
            let config = Still::keeping().config();
            let (mut client, mut socket) = testing::pair_with(&config).unwrap();
            let sender = socket.sender();
            let count = Arc::new(Mutex::new(0));
            let endless = Endless(sender.clone(), Arc::clone(&count));
            sender.try_send(Bytes::from_owner(endless)).unwrap();
            if is_close {
                assert!(futures::FutureExt::now_or_never(socket.close(None)).is_none());
            } else {
                drop(socket);
            }
            assert_eq!(
                support::sockets::received(&mut client),
                Message::binary("again")
            );
            assert!(support::sockets::received(&mut client).is_close());
        });
    }
}

/// More than a control frame may hold.
struct Long(#[expect(dead_code, reason = "it is dropped")] Bytes);

impl AsRef<[u8]> for Long {
    fn as_ref(&self) -> &[u8] {
        &[0; 126]
    }
}

fn turn_to_end(socket: &mut WebSocket) {
    let (waker, _woken) = waker();
    for _ in 0..3 {
        if poll_with(&waker, pin!(socket.next())).is_ready() {
            return;
        }
    }
    panic!("the socket has not ended");
}

/// A waker that uses a sender as it is woken, and as it is dropped.
struct Using(Sender);

impl Wake for Using {
    fn wake(self: Arc<Self>) {
        let _ = self.0.try_send(Message::Ping("woken".into()));
    }
}

impl Drop for Using {
    fn drop(&mut self) {
        let _ = self.0.try_send(Message::Ping("dropped".into()));
    }
}

#[test]
fn a_waker_may_use_the_sender_that_wakes_it() {
    for end in 0..5 {
        bounded(move || {
            let (_client, socket) = testing::pair();
            let mut socket = Some(socket);
            let sender = socket
                .as_mut()
                .unwrap()
                .sender_with(bounds(1, WhenFull::Wait));
            sender.try_send("x").unwrap();
            let using = || Waker::from(Arc::new(Using(sender.clone())));
            let (mut sending, mut closed) = (sender.send("y"), sender.closed());
            // The second poll replaces the waker of the first.
            for _ in 0..2 {
                assert!(poll_with(&using(), Pin::new(&mut sending)).is_pending());
                assert!(poll_with(&using(), Pin::new(&mut closed)).is_pending());
            }
            match end {
                0 => turn(socket.as_mut().unwrap()),
                1 => drop(socket.take()),
                2 => sender.abort(),
                3 => sender.close(None).unwrap(),
                _ => {
                    drop(sending);
                    drop(closed);
                    return;
                }
            }
            drop((sending, closed));
        });
    }
}

#[test]
fn the_waker_of_the_task_may_use_the_sender() {
    bounded(|| {
        let (_client, mut socket) = testing::pair();
        let sender = socket.sender();
        let using = || Waker::from(Arc::new(Using(sender.clone())));
        for _ in 0..3 {
            assert!(poll_with(&using(), pin!(socket.next())).is_pending());
            sender.try_send("x").unwrap();
        }
        drop(socket);
    });
}
