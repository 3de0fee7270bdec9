//! The tasks of the two halves, and the waker that a stream gets for both.

use std::{sync::Arc, task::Wake};

use crate::{
    connection::Side,
    sync::{AtomicUsize, AtomicWaker, Ordering},
};

/// Somebody was woken during a poll.
const WOKEN: usize = 1;

/// One poll, in the bits above.
const POLL: usize = 2;

/// The tasks of the halves, while they wait.
///
/// A stream keeps one waker for each direction, but both halves may have to read and to write: a
/// receiver writes pongs, a closing sender reads up to the end. So the stream wakes both.
///
/// Nobody is woken while a half holds the lock of the connection, but right after it: a waker may
/// own the last reference to a task, and that task the other half, which locks to say goodbye.
#[derive(Default)]
pub(super) struct Tasks {
    sender: AtomicWaker,
    receiver: AtomicWaker,
    /// How many polls there are, and whether somebody was woken during one. One word, so that
    /// either the waker sees that no poll is left, or the last poll sees that it was woken.
    state: AtomicUsize,
}

impl Tasks {
    pub(super) fn of(&self, side: Side) -> &AtomicWaker {
        match side {
            Side::Sender => &self.sender,
            Side::Receiver => &self.receiver,
        }
    }

    /// Puts wakeups off until the guard is dropped, which has to be after the lock is released.
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
