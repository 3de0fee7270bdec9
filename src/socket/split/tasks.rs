//! The tasks of the two halves, and the waker that a stream gets for both.

use std::{sync::Arc, task::Wake};

use crate::{
    connection::Side,
    sync::{AtomicUsize, AtomicWaker, Ordering},
};

/// A task was woken during a poll.
const WOKEN: usize = 1;

/// One poll; polls are counted in the bits above.
const POLL: usize = 2;

/// The waiting tasks of the halves.
///
/// A stream keeps one waker for each direction, but each half may have to both read and write: a
/// receiver writes pongs, and a closing sender reads up to the end. So the stream wakes both.
///
/// A wakeup waits until the lock of the connection is released. A waker may own the last reference
/// to a task, and that task the other half, whose destructor locks too.
#[derive(Default)]
pub(super) struct Tasks {
    sender: AtomicWaker,
    receiver: AtomicWaker,
    /// The number of polls, and whether a task was woken during one. They share a word, so that
    /// either the waker sees that no poll is left, or the last poll sees the wakeup.
    state: AtomicUsize,
}

impl Tasks {
    pub(super) fn of(&self, side: Side) -> &AtomicWaker {
        match side {
            Side::Sender => &self.sender,
            Side::Receiver => &self.receiver,
        }
    }

    /// Defers wakeups until the guard is dropped. Drop it after the lock is released.
    pub(super) fn begin_poll(&self) -> PollGuard<'_> {
        self.state.fetch_add(POLL, Ordering::AcqRel);
        PollGuard(self)
    }

    fn wake_both(&self) {
        self.state.fetch_and(!WOKEN, Ordering::AcqRel);
        self.sender.wake();
        self.receiver.wake();
    }
}

impl Wake for Tasks {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.fetch_or(WOKEN, Ordering::AcqRel) < POLL {
            self.wake_both();
        }
    }
}

/// A poll that holds the lock of the connection, or is about to.
pub(super) struct PollGuard<'a>(&'a Tasks);

impl Drop for PollGuard<'_> {
    fn drop(&mut self) {
        let before = self.0.state.fetch_sub(POLL, Ordering::AcqRel);
        if before == POLL | WOKEN {
            self.0.wake_both();
        }
    }
}
