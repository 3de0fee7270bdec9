//! Models that show that no wakeup is lost between the halves, or between two tasks that share a
//! whole socket. loom runs them in the orders in which their threads may take turns. A task that
//! sleeps forever is a deadlock in loom, and fails the test.
//!
//! ```sh
//! RUSTFLAGS='--cfg anyws_loom' \
//!     cargo test --lib --release --target-dir target/loom loom -- --nocapture
//! ```

use std::{future::poll_fn, sync::Arc};

use futures_util::{FutureExt, SinkExt, StreamExt};
use loom::{future::block_on, model::Builder, thread};

use self::{
    peer::{CLOSE, MESSAGE, Peer},
    threads::Threads,
};
use super::{ReceiveHalf, SendHalf};
use crate::{
    error::{Error, TimeoutPhase},
    message::Message,
};

mod peer;
mod threads;

/// The frames of the messages that the models send.
const ONE: &[u8] = &[0x81, 1, b'1'];
const TWO: &[u8] = &[0x81, 1, b'2'];

/// The Close of a socket that is dropped: 1000.
const DROPPED: &[u8] = &[0x88, 2, 0x03, 0xe8];

#[test]
fn a_receiver_writes_what_is_fed_though_nobody_flushes() {
    check(|| {
        let peer = Peer::answering(ONE.len());
        let (mut sender, receiver) = peer.halves(None);
        let feeding = thread::spawn(move || block_on(sender.feed("1".into())).unwrap());
        assert_receives_message(receiver);
        feeding.join().unwrap();
    });
}

#[test]
fn a_receiver_writes_what_goes_into_the_sink_though_nobody_flushes() {
    check(|| {
        let peer = Peer::answering(ONE.len());
        let (mut sender, receiver) = peer.halves(None);
        let feeding =
            thread::spawn(move || block_on(SinkExt::feed(&mut sender, "1".into())).unwrap());
        assert_receives_message(receiver);
        feeding.join().unwrap();
    });
}

#[test]
fn a_receiver_writes_what_a_dropped_send_has_buffered() {
    check(|| {
        let peer = Peer::answering(ONE.len());
        peer.take_no_more();
        let (mut sender, receiver) = peer.halves(None);
        let sending = thread::spawn(move || {
            // Whether there is already space depends on the order.
            let _ = sender.send("1".into()).now_or_never();
        });
        let receiving = thread::spawn(move || assert_receives_message(receiver));
        peer.take(ONE.len());
        sending.join().unwrap();
        receiving.join().unwrap();
    });
}

#[test]
fn a_sender_that_waits_for_room_wakes_once_there_is_some() {
    check(|| {
        let peer = Peer::answering(ONE.len() + TWO.len());
        let (mut sender, receiver) = peer.full_halves();
        let feeding = thread::spawn(move || block_on(sender.feed("2".into())).unwrap());
        let receiving = thread::spawn(move || assert_receives_message(receiver));
        peer.take(ONE.len() + TWO.len());
        feeding.join().unwrap();
        receiving.join().unwrap();
    });
}

#[test]
fn a_sender_that_waits_for_room_hears_of_the_peers_close() {
    check(|| {
        let peer = Peer::default();
        let (mut sender, receiver) = peer.full_halves();
        let feeding = thread::spawn(move || {
            let fed = block_on(sender.feed("2".into()));
            assert!(matches!(fed, Err(Error::Closed)), "{fed:?}");
        });
        let receiving = thread::spawn(move || assert_receives_close(receiver));
        peer.send(CLOSE);
        feeding.join().unwrap();
        receiving.join().unwrap();
    });
}

#[test]
fn a_sender_that_closes_hears_of_the_peers_close() {
    check(|| {
        let peer = Peer::default();
        let runtime = Arc::new(Threads::default());
        let (mut sender, receiver) = peer.halves(Some(runtime.clone()));
        let closing = thread::spawn(move || block_on(sender.close(None)).unwrap());
        let receiving = thread::spawn(move || assert_receives_close(receiver));
        peer.send(CLOSE);
        closing.join().unwrap();
        receiving.join().unwrap();
        // The receiver has left the end to a task, unless the sender had reached it before.
        runtime.tasks().into_iter().for_each(block_on);
    });
}

#[test]
fn a_receiver_hears_that_the_sender_has_given_up() {
    check(|| {
        let peer = Peer::default();
        let runtime = Arc::new(Threads::default());
        let (mut sender, mut receiver) = peer.halves(Some(runtime.clone()));
        let closing = thread::spawn(move || {
            let closed = block_on(sender.close(None));
            let is_late = matches!(closed, Err(Error::Timeout(TimeoutPhase::Close)));
            assert!(is_late, "{closed:?}");
        });
        let receiving = thread::spawn(move || assert!(block_on(receiver.next()).is_none()));
        runtime.timer.fire();
        closing.join().unwrap();
        receiving.join().unwrap();
    });
}

#[test]
fn both_halves_wake_when_the_stream_does() {
    check(|| {
        let peer = Peer::default();
        let (mut sender, receiver) = peer.full_halves();
        let flushing = thread::spawn(move || block_on(sender.flush()).unwrap());
        let receiving = thread::spawn(move || assert_receives_message(receiver));
        peer.take(ONE.len());
        peer.send(MESSAGE);
        flushing.join().unwrap();
        receiving.join().unwrap();
    });
}

#[test]
fn a_receiver_that_pongs_hold_up_reads_on_once_they_are_written() {
    check(|| {
        let peer = Peer::default();
        let (mut sender, mut receiver) = peer.full_halves();
        // The pongs fill their buffer. The last one has to wait, and is above the watermark.
        while peer.send_ping() {
            let item = block_on(receiver.next());
            assert!(matches!(item, Some(Ok(Message::Ping(_)))), "{item:?}");
        }
        peer.send(MESSAGE);
        let flushing = thread::spawn(move || block_on(sender.flush()).unwrap());
        let receiving = thread::spawn(move || assert_receives_message(receiver));
        peer.take(usize::MAX);
        flushing.join().unwrap();
        receiving.join().unwrap();
    });
}

#[test]
fn a_sender_that_closes_goes_on_when_its_receiver_is_dropped() {
    check(|| {
        let peer = Peer::default();
        let runtime = Arc::new(Threads::default());
        let (mut sender, receiver) = peer.halves(Some(runtime));
        peer.send(CLOSE);
        let closing = thread::spawn(move || block_on(sender.close(None)).unwrap());
        drop(receiver);
        closing.join().unwrap();
    });
}

#[test]
fn a_sender_that_waits_for_the_end_reads_once_its_receiver_is_dropped() {
    check(|| {
        let peer = Peer::default();
        let (mut sender, receiver) = peer.halves(None);
        let waiting = thread::spawn(move || block_on(sender.closed()).unwrap());
        let dropping = thread::spawn(move || drop(receiver));
        peer.send(CLOSE);
        waiting.join().unwrap();
        dropping.join().unwrap();
    });
}

#[test]
fn a_sender_that_waits_for_the_end_hears_of_it_from_its_receiver() {
    check(|| {
        let peer = Peer::default();
        let (mut sender, receiver) = peer.halves(None);
        let waiting = thread::spawn(move || block_on(sender.closed()).unwrap());
        let receiving = thread::spawn(move || assert_receives_close(receiver));
        peer.send(CLOSE);
        waiting.join().unwrap();
        receiving.join().unwrap();
    });
}

#[test]
fn a_half_that_aborts_wakes_the_other_one() {
    check(|| {
        let peer = Peer::default();
        let (mut sender, mut receiver) = peer.halves(None);
        let waiting = thread::spawn(move || block_on(sender.closed()).unwrap());
        receiver.abort();
        waiting.join().unwrap();
    });
    check(|| {
        let peer = Peer::default();
        let (mut sender, mut receiver) = peer.halves(None);
        let receiving = thread::spawn(move || assert!(block_on(receiver.next()).is_none()));
        sender.abort();
        receiving.join().unwrap();
    });
}

#[test]
fn a_task_that_sends_wakes_beside_one_that_receives_on_a_whole_socket() {
    check(|| {
        let peer = Peer::answering(ONE.len() + TWO.len());
        let socket = peer.full_socket();
        let sending = thread::spawn({
            let socket = Arc::clone(&socket);
            move || {
                block_on(poll_fn(|cx| socket.lock().unwrap().poll_ready_unpin(cx))).unwrap();
                socket.lock().unwrap().start_send_unpin("2".into()).unwrap();
                block_on(poll_fn(|cx| socket.lock().unwrap().poll_flush_unpin(cx))).unwrap();
            }
        });
        let receiving = thread::spawn(move || {
            let item = block_on(poll_fn(|cx| socket.lock().unwrap().poll_next_unpin(cx)));
            assert!(matches!(item, Some(Ok(Message::Text(_)))), "{item:?}");
        });
        peer.take(ONE.len() + TWO.len());
        sending.join().unwrap();
        receiving.join().unwrap();
    });
}

#[test]
fn a_task_that_waits_for_room_is_told_of_the_peers_close_on_a_whole_socket() {
    check(|| {
        let peer = Peer::default();
        let socket = peer.full_socket();
        let sending = thread::spawn({
            let socket = Arc::clone(&socket);
            move || {
                let ready = block_on(poll_fn(|cx| socket.lock().unwrap().poll_ready_unpin(cx)));
                assert!(matches!(ready, Err(Error::Closed)), "{ready:?}");
            }
        });
        let receiving = thread::spawn(move || {
            let item = block_on(poll_fn(|cx| socket.lock().unwrap().poll_next_unpin(cx)));
            assert!(matches!(item, Some(Ok(Message::Close(_)))), "{item:?}");
        });
        peer.send(CLOSE);
        sending.join().unwrap();
        receiving.join().unwrap();
    });
}

#[test]
fn of_two_halves_that_are_dropped_one_finishes_the_connection() {
    check(|| {
        let peer = Peer::default();
        let runtime = Arc::new(Threads::default());
        let (sender, receiver) = peer.halves(Some(runtime.clone()));
        drop_at_once(sender, receiver);
        let mut tasks = runtime.tasks();
        let finish = tasks.pop().expect("a task that finishes the connection");
        assert!(tasks.is_empty());
        assert!(!peer.is_alone());
        peer.send(CLOSE);
        block_on(finish);
        assert!(peer.is_alone());
        assert_eq!(peer.taken(), [ONE, DROPPED].concat());
    });
}

#[test]
fn of_two_halves_that_are_dropped_one_writes_the_close_without_a_runtime() {
    check(|| {
        let peer = Peer::default();
        let (sender, receiver) = peer.halves(None);
        drop_at_once(sender, receiver);
        assert!(peer.is_alone());
        assert_eq!(peer.taken(), [ONE, DROPPED].concat());
    });
}

/// Runs a model in the orders in which its threads may take turns.
fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut loom = Builder::new();
    // How often a thread is preempted. One more takes twelve times as long; set
    // `LOOM_MAX_PREEMPTIONS` for that.
    loom.preemption_bound.get_or_insert(3);
    loom.check(model);
}

fn assert_receives_message(mut receiver: ReceiveHalf) {
    let item = block_on(receiver.next());
    assert!(matches!(item, Some(Ok(Message::Text(_)))), "{item:?}");
}

fn assert_receives_close(mut receiver: ReceiveHalf) {
    let item = block_on(receiver.next());
    assert!(matches!(item, Some(Ok(Message::Close(_)))), "{item:?}");
    assert!(block_on(receiver.next()).is_none());
}

/// Uses and drops both halves, each in its own thread.
fn drop_at_once(mut sender: SendHalf, mut receiver: ReceiveHalf) {
    let sending = thread::spawn(move || {
        let fed = sender.feed("1".into()).now_or_never();
        assert!(matches!(fed, Some(Ok(()))), "{fed:?}");
    });
    let item = receiver.next().now_or_never();
    assert!(item.is_none(), "{item:?}");
    drop(receiver);
    sending.join().unwrap();
}
