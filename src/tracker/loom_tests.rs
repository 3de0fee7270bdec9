//! loom tries the orders in which a socket, its handshake and a drain may take turns.
//!
//! A model that ends in a deadlock has lost a wakeup, or forgotten a socket.

use std::{future::poll_fn, task::Poll};

use loom::{future::block_on, thread};

use super::{Drain, Guarded, Notice, Seat, Tracker, Wait, door::Door};
use crate::{handshake::Rejection, rt};

/// Begins a drain and asks all sockets to close, as `Tracker::drain` does without timers.
fn drain(tracker: &Tracker) {
    tracker.0.begin(Drain::new(), rt::now(None));
    tracker.0.tell_rest();
}

/// Waits, as the task of a socket does, until the tracker asks for something.
async fn asked(seat: &Seat) -> Notice {
    poll_fn(|cx| match seat.watch(cx.waker()) {
        Notice::Stay => Poll::Pending,
        notice => Poll::Ready(notice),
    })
    .await
}

#[test]
fn a_waiting_socket_is_asked() {
    loom::model(|| {
        let tracker = Tracker::new();
        let seat = tracker.permit(None).unwrap().open(None);
        let socket = thread::spawn(move || assert_eq!(block_on(asked(&seat)), Notice::Close));
        drain(&tracker);
        socket.join().unwrap();
        assert_eq!(tracker.open(), 0);
    });
}

#[test]
fn a_handshake_beside_a_drain_is_refused_or_asked() {
    loom::model(|| {
        let tracker = Tracker::new();
        let handshake = thread::spawn({
            let tracker = tracker.clone();
            move || match tracker.permit(None) {
                Ok(permit) => assert_eq!(block_on(asked(&permit.open(None))), Notice::Close),
                Err(rejection) => assert_eq!(rejection, Rejection::Draining),
            }
        });
        drain(&tracker);
        handshake.join().unwrap();
    });
}

#[test]
fn a_drain_hears_of_the_last_socket() {
    loom::model(|| {
        let tracker = Tracker::new();
        let seat = tracker.permit(None).unwrap().open(None);
        let socket = thread::spawn(move || drop(seat));
        block_on(Wait::new(&tracker.0).until(Door::is_empty));
        socket.join().unwrap();
    });
}

#[test]
fn a_guarded_task_is_aborted() {
    loom::model(|| {
        let tracker = Tracker::new();
        let guarded = Guarded::new(std::future::pending::<()>(), tracker.0.task());
        let task = thread::spawn(move || assert_eq!(block_on(guarded), None));
        tracker.0.abort();
        task.join().unwrap();
        assert!(super::lock(&tracker.0.door).is_empty());
    });
}
