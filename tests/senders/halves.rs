//! Senders of a socket whose halves are in two tasks.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Wake, Waker},
};

use anyws::{Error, Message, SendHalf, WhenFull, testing::duplex};
use futures::FutureExt;
use support::{
    frames::{BINARY, Frame, Peer, Role},
    runtimes,
    scripted::Scripted,
    sockets::{now, patient, received},
    tasks::{poll_with, spawn, waker},
};

use super::{bounds, narrow, texts};

runtimes! {
    async fn a_sender_of_either_half_wakes_the_receiver(rt) {
        for of_receiver in [false, true] {
            let (socket, mut peer) = Role::Server.with_peer(&patient(&rt));
            let (mut sending, mut receiving) = socket.split();
            let sender = if of_receiver { receiving.sender() } else { sending.sender() };
            let (waker, woken) = waker();
            let mut next = pin!(receiving.next());
            assert!(poll_with(&waker, next.as_mut()).is_pending());
            sender.try_send("1").unwrap();
            assert!(woken.take());
            assert!(poll_with(&waker, next.as_mut()).is_pending());
            assert!(!woken.take());
            assert_eq!(texts(&mut peer, 1), ["1"]);
        }
    }

    async fn a_waker_of_a_sender_may_use_a_half(rt) {
        let (socket, _peer) = Role::Server.with_peer(&patient(&rt));
        let (mut sending, mut receiving) = socket.split();
        let sender = sending.sender_with(bounds(1, WhenFull::Wait));
        sender.try_send("x").unwrap();
        let user = Arc::new(User { half: Mutex::new(Some(sending)), uses: AtomicUsize::new(0) });
        let waker = Waker::from(Arc::clone(&user));
        let mut waiting = pin!(sender.send("y"));
        assert!(poll_with(&waker, waiting.as_mut()).is_pending());
        // It is woken when space comes, and when the end does.
        assert!(receiving.next().now_or_never().is_none());
        assert_eq!(user.uses.load(SeqCst), 1);
        assert!(poll_with(&waker, waiting.as_mut()).is_ready());
        let mut ends = pin!(sender.closed());
        assert!(poll_with(&waker, ends.as_mut()).is_pending());
        receiving.abort();
        assert_eq!(user.uses.load(SeqCst), 2);
        assert!(poll_with(&waker, ends.as_mut()).is_ready());
    }

    async fn a_sender_that_is_made_while_the_receiver_waits_wakes_it(rt) {
        let (socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let (mut sending, mut receiving) = socket.split();
        let (waker, woken) = waker();
        let mut next = pin!(receiving.next());
        assert!(poll_with(&waker, next.as_mut()).is_pending());
        let sender = sending.sender();
        sender.try_send("1").unwrap();
        assert!(woken.take(), "the receiver sleeps on");
        assert!(poll_with(&waker, next.as_mut()).is_pending());
        assert_eq!(texts(&mut peer, 1), ["1"]);
    }

    async fn a_sender_that_is_made_while_a_shared_socket_waits_wakes_it(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let (waker, woken) = waker();
        assert!(poll_with(&waker, pin!(socket.next())).is_pending());
        let sender = socket.sender();
        sender.try_send("1").unwrap();
        assert!(woken.take(), "the task sleeps on");
        assert!(poll_with(&waker, pin!(socket.next())).is_pending());
        assert_eq!(texts(&mut peer, 1), ["1"]);
    }

    async fn a_sender_that_is_made_while_the_other_half_waits_for_the_end_wakes_it(rt) {
        let (socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let (mut sending, mut receiving) = socket.split();
        let (waker, woken) = waker();
        let mut closed = pin!(sending.closed());
        assert!(poll_with(&waker, closed.as_mut()).is_pending());
        let sender = receiving.sender();
        sender.try_send("1").unwrap();
        assert!(woken.take(), "the half that sends sleeps on");
        assert!(poll_with(&waker, closed.as_mut()).is_pending());
        assert_eq!(texts(&mut peer, 1), ["1"]);
    }

    async fn a_receiver_sends_beside_a_blocked_send(rt) {
        let (socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let (mut sending, mut receiving) = socket.split();
        let sender = receiving.sender();
        let blocked = spawn(&rt, async move {
            let sent = sending.send(Message::binary(vec![0; 300_000])).await;
            (sent, sending)
        });
        let receiving = spawn(&rt, async move {
            let item = receiving.next().await;
            (item, receiving)
        });
        support::tasks::yield_to_tasks(&rt).await;
        for at in 0..100 {
            sender.send(at.to_string()).await.unwrap();
        }
        let mut next = 0;
        let mut has_binary = false;
        while next < 100 || !has_binary {
            let frame = peer.frame().await.unwrap();
            if frame == Frame::text(&next.to_string()) {
                next += 1;
            } else {
                assert_eq!(frame, Frame::new(BINARY, vec![0; 300_000]));
                has_binary = true;
            }
        }
        let (sent, sending) = blocked.await.unwrap();
        sent.unwrap();
        peer.send(Frame::text("end")).await;
        let (item, receiving) = receiving.await.unwrap();
        assert_eq!(item.unwrap().unwrap(), Message::text("end"));

        // What is joined again has the same queue.
        let mut socket = sending.reunite(receiving).unwrap();
        sender.try_send("joined").unwrap();
        crate::turn(&mut socket);
        assert_eq!(peer.frame().await, Some(Frame::text("joined")));
        assert_eq!(socket.sender().buffered(), sender.buffered());
    }

    async fn a_half_that_only_sends_drains_in_closed(rt) {
        for receiver_first in [false, true] {
            let (socket, mut peer) = Role::Server.with_peer(&patient(&rt));
            let (mut sending, mut receiving) = socket.split();
            let sender = sending.sender();
            let (waker, woken) = waker();
            if receiver_first {
                assert!(poll_with(&waker, pin!(receiving.next())).is_pending());
                drop(receiving);
                assert!(poll_with(&waker, pin!(sending.closed())).is_pending());
            } else {
                assert!(poll_with(&waker, pin!(sending.closed())).is_pending());
                drop(receiving);
                assert!(woken.take(), "from now on this half reads");
                assert!(poll_with(&waker, pin!(sending.closed())).is_pending());
            }
            woken.take();
            sender.try_send("1").unwrap();
            assert!(woken.take());
            assert!(poll_with(&waker, pin!(sending.closed())).is_pending());
            assert!(!woken.take());
            assert_eq!(texts(&mut peer, 1), ["1"]);
            peer.send(Frame::close(1000, "")).await;
            assert!(woken.take());
            now(sending.closed()).unwrap();
            now(sender.closed());
        }
    }

    async fn each_call_of_a_half_sends_what_is_queued(rt) {
        for call in 0..5 {
            let (socket, mut peer) = Role::Server.with_peer(&patient(&rt));
            let (mut sending, mut receiving) = socket.split();
            let sender = sending.sender();
            sender.try_send("queued").unwrap();
            match call {
                0 => assert!(receiving.next().now_or_never().is_none()),
                1 => now(sending.send("own".into())).unwrap(),
                2 => now(sending.flush()).unwrap(),
                3 => assert!(sending.closed().now_or_never().is_none()),
                _ => drop((sending, receiving)),
            }
            assert_eq!(texts(&mut peer, 1), ["queued"], "call {call}");
        }
    }

    async fn a_queue_lives_until_the_last_half_is_dropped(rt) {
        for receiver_first in [false, true] {
            let (socket, mut peer) = Role::Server.with_peer(&patient(&rt));
            let (mut sending, receiving) = socket.split();
            let sender = sending.sender();
            if receiver_first {
                drop(receiving);
                sender.try_send("1").unwrap();
                drop(sending);
            } else {
                drop(sending);
                sender.try_send("1").unwrap();
                drop(receiving);
            }
            now(sender.closed());
            assert_eq!(texts(&mut peer, 1), ["1"]);
            assert_eq!(peer.see_off().await.1.code(), 1000);
        }
    }

    async fn abort_ends_both_halves(rt) {
        let (near, far) = duplex();
        let (far, script) = Scripted::new(far);
        let socket = Role::Server.socket(far, &patient(&rt));
        let (mut sending, mut receiving) = socket.split();
        let sender = sending.sender();
        let ((one, of_next), (two, of_closed)) = (waker(), waker());
        let (mut next, mut closed) = (pin!(receiving.next()), pin!(sending.closed()));
        assert!(poll_with(&one, next.as_mut()).is_pending());
        assert!(poll_with(&two, closed.as_mut()).is_pending());
        sender.abort();
        for _ in 0..3 {
            if of_next.take() && poll_with(&one, next.as_mut()).is_ready() {
                break;
            }
        }
        assert!(script.is_dropped());
        assert!(of_closed.take());
        assert!(matches!(poll_with(&two, closed), std::task::Poll::Ready(Ok(()))));
        drop(near);
    }

    async fn abort_ends_a_blocked_send_of_a_half(rt) {
        for has_receiver in [false, true] {
            let (socket, _room) = narrow(&rt);
            let (mut sending, receiving) = socket.split();
            let _receiving = has_receiver.then_some(receiving);
            let sender = sending.sender();
            let (waker, woken) = waker();
            let mut blocked = pin!(sending.send("x".into()));
            assert!(poll_with(&waker, blocked.as_mut()).is_pending());
            woken.take();
            sender.abort();
            assert!(woken.take(), "the task sleeps on");
            let mut sent = poll_with(&waker, blocked.as_mut());
            while sent.is_pending() && woken.take() {
                sent = poll_with(&waker, blocked.as_mut());
            }
            assert!(matches!(sent, std::task::Poll::Ready(Err(Error::Io(_)))), "{sent:?}");
        }
    }

    async fn a_full_queue_is_told_to_both_halves(rt) {
        for by_sending in [false, true] {
            let (socket, mut peer) = Role::Server.with_peer(&patient(&rt));
            let (mut sending, mut receiving) = socket.split();
            let sender = sending.sender_with(bounds(1, WhenFull::Close));
            sender.try_send("1").unwrap();
            assert!(sender.try_send("2").is_err());
            if by_sending {
                let sent = now(sending.send("own".into()));
                assert!(matches!(sent, Err(Error::QueueFull)), "{sent:?}");
            }
            let item = now(receiving.next());
            assert!(matches!(item, Some(Err(Error::QueueFull))), "{item:?}");
            assert!(now(receiving.next()).is_none());
            assert_eq!(now(peer.frame()).unwrap().code(), 1013);
            let sent = now(sending.send("own".into()));
            assert!(matches!(sent, Err(Error::Closed)), "{sent:?}");
        }
    }

    async fn a_split_and_a_reunited_socket_keep_what_is_queued(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender();
        sender.try_send("1").unwrap();
        let (sending, receiving) = socket.split();
        sender.try_send("2").unwrap();
        let mut socket = sending.reunite(receiving).unwrap();
        sender.try_send("3").unwrap();
        let (waker, woken) = waker();
        assert!(poll_with(&waker, pin!(socket.next())).is_pending());
        assert_eq!(texts(&mut peer, 3), ["1", "2", "3"]);
        sender.try_send("4").unwrap();
        assert!(woken.take());
        peer.send(Frame::text("x")).await;
        assert!(received(&mut socket).is_text());
    }
}

/// A peer that reads nothing, and a queue that is full beside a task that waits to send.
#[test]
fn a_full_queue_wakes_both_tasks_of_a_whole_socket() {
    let (io, _room) = support::room::Narrow::new(0);
    let config = support::attack::alone().set_transport(
        anyws::TransportConfig::default()
            .write_buffer_size(0)
            .max_write_buffer_size(1),
    );
    let mut socket = Role::Server.socket(io, &config);
    let sender = socket.sender_with(bounds(1, WhenFull::Close));
    let ((one, of_one), (two, of_two)) = (waker(), waker());
    assert!(poll_with(&one, pin!(socket.next())).is_pending());
    assert!(poll_with(&two, pin!(socket.send("own".into()))).is_pending());
    while sender.try_send("x").is_ok() {
        // The task that receives does what it can.
        if of_one.take() {
            assert!(poll_with(&one, pin!(socket.next())).is_pending());
        }
    }
    assert!(of_two.take(), "who sends is woken");
    assert!(of_one.take(), "who receives is woken");
    let sent = poll_with(&two, pin!(socket.send("own".into())));
    assert!(
        matches!(sent, std::task::Poll::Ready(Err(Error::QueueFull))),
        "{sent:?}"
    );
    let item = poll_with(&one, pin!(socket.next()));
    let is_told = matches!(item, std::task::Poll::Ready(Some(Err(Error::QueueFull))));
    assert!(is_told, "{item:?}");
}

/// A peer that belongs to the test.
#[test]
fn a_whole_socket_that_two_tasks_share_is_drained_by_either() {
    let (near, far) = duplex();
    let mut socket = Role::Server.socket(far, &support::attack::alone());
    let mut peer = Peer::new(near);
    let sender = socket.sender();
    let ((one, of_one), (two, _)) = (waker(), waker());
    assert!(poll_with(&one, pin!(socket.next())).is_pending());
    assert!(poll_with(&two, pin!(socket.send("own".into()))).is_ready());
    sender.try_send("1").unwrap();
    assert!(of_one.take(), "who receives is woken");
    assert!(poll_with(&two, pin!(socket.flush())).is_ready());
    assert_eq!(texts(&mut peer, 2), ["own", "1"]);
    sender.try_send("2").unwrap();
    assert!(poll_with(&one, pin!(socket.next())).is_pending());
    assert_eq!(texts(&mut peer, 1), ["2"]);
}

/// A waker that uses a half, whose lock must be free.
struct User {
    half: Mutex<Option<SendHalf>>,
    uses: AtomicUsize,
}

impl Wake for User {
    fn wake(self: Arc<Self>) {
        let half = self.half.lock().unwrap();
        assert_eq!(half.as_ref().unwrap().close_frame(), None);
        self.uses.fetch_add(1, SeqCst);
    }
}
