//! The tasks of the two halves, and the waker that a stream gets for both.

use std::{sync::Arc, task::Wake};

use crate::{
    connection::Side,
    sync::{AtomicUsize, AtomicWaker, Ordering},
};

/// A task was woken during a poll.
const WOKEN: usize = 1;

/// The receiver was dropped during a poll.
const LEFT: usize = 2;

/// One poll; polls are counted in the bits above.
const POLL: usize = 4;

/// The waiting tasks of the halves.
///
/// A stream keeps one waker for each direction, but each half may have to both read and write: a
/// receiver writes pongs, and a closing sender reads up to the end. So the stream wakes both.
///
/// A poll holds the lock of the connection. Wakeups and the drop of a receiver are deferred until
/// the poll has ended, because they may lock too: a waker may own the last reference to a task, and
/// that task the other half.
#[derive(Default)]
pub(super) struct Tasks {
    sender: AtomicWaker,
    receiver: AtomicWaker,
    /// The number of polls, and what was deferred. They share a word, so that either the caller
    /// sees that no poll is running, or the last poll sees what was deferred.
    state: AtomicUsize,
}

impl Tasks {
    pub(super) fn of(&self, side: Side) -> &AtomicWaker {
        match side {
            Side::Sender => &self.sender,
            Side::Receiver => &self.receiver,
        }
    }

    /// Begins a poll; call it before locking.
    pub(super) fn begin_poll(&self) {
        self.state.fetch_add(POLL, Ordering::AcqRel);
    }

    /// Ends a poll; call it after unlocking. Delivers deferred wakeups. Returns whether the caller
    /// has to complete the drop of a receiver.
    pub(super) fn end_poll(&self) -> bool {
        let before = self.state.fetch_sub(POLL, Ordering::AcqRel);
        if before >= 2 * POLL {
            return false;
        }
        if before & WOKEN != 0 {
            self.wake_both();
        }
        before & LEFT != 0 && self.take(LEFT)
    }

    /// Notes that the receiver is dropped. Returns whether the caller has to complete the drop;
    /// otherwise a running poll does, which may be the caller's own.
    pub(super) fn leave(&self) -> bool {
        self.state.fetch_or(LEFT, Ordering::AcqRel) < POLL && self.take(LEFT)
    }

    fn wake_both(&self) {
        self.take(WOKEN);
        self.sender.wake();
        self.receiver.wake();
    }

    /// Clears a bit; returns whether it was set.
    fn take(&self, bit: usize) -> bool {
        self.state.fetch_and(!bit, Ordering::AcqRel) & bit != 0
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
