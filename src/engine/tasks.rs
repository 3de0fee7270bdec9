//! The tasks that wait on a connection: one that receives and one that sends, which may be two.
//!
//! A stream keeps one waker for each direction, that of its last poll. A task that polls a
//! direction in which the other one waits hands the stream a waker for both, or the other task
//! would sleep for ever. Where one task does both, as most handlers do, its own waker is all that a
//! stream gets.

use std::{
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use super::Engine;

/// The tasks that wait, as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    receiver: Waiter,
    sender: Waiter,
}

/// A task, and what it waits for.
#[derive(Debug, Default)]
struct Waiter {
    /// The waker of its last poll that was pending. A receiver's stays when the wait is over: to
    /// drop it and clone it again would cost two atomic operations for each message.
    waker: Option<Waker>,
    waits: Waits,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Waits {
    #[default]
    Nothing,
    ToRead,
    /// For the write side of the stream; a receiver for its read side, too.
    ToWrite,
}

/// What a task that sends may do with the read side of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Never,
    Allowed,
}

impl Waiter {
    #[inline]
    fn wait(&mut self, cx: &Context<'_>, waits: Waits) {
        self.waits = waits;
        let is_known = self.waker.as_ref();
        if !is_known.is_some_and(|known| known.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }

    /// Returns the waker of a task that waits, unless it is the one behind `cx`.
    fn other_than(&self, cx: &Context<'_>) -> Option<Waker> {
        let waker = self.waker.as_ref()?;
        (!waker.will_wake(cx.waker())).then(|| waker.clone())
    }
}

impl Tasks {
    #[inline]
    pub(super) fn is_sender_waiting(&self) -> bool {
        self.sender.waits != Waits::Nothing
    }
}

impl Engine {
    /// Polls for the task that receives.
    #[inline]
    pub(super) fn poll_receiving(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Self, &mut Context<'_>) -> Poll<()>,
    ) -> Poll<()> {
        let polled = if self.tasks.is_sender_waiting() {
            self.poll_beside(self.tasks.sender.other_than(cx), cx, poll)
        } else {
            poll(self, cx)
        };
        if polled.is_pending() {
            let waits = if self.writer.is_busy() {
                Waits::ToWrite
            } else {
                Waits::ToRead
            };
            self.tasks.receiver.wait(cx, waits);
        } else {
            self.tasks.receiver.waits = Waits::Nothing;
        }
        polled
    }

    /// Polls for the task that sends.
    #[inline]
    pub(super) fn poll_sending<T>(
        &mut self,
        cx: &mut Context<'_>,
        reading: Reading,
        poll: impl FnOnce(&mut Self, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let is_beside = match reading {
            Reading::Never => self.tasks.receiver.waits == Waits::ToWrite,
            Reading::Allowed => self.tasks.receiver.waits != Waits::Nothing,
        };
        let polled = if is_beside {
            self.poll_beside(self.tasks.receiver.other_than(cx), cx, poll)
        } else {
            poll(self, cx)
        };
        if polled.is_pending() {
            self.tasks.sender.wait(cx, Waits::ToWrite);
        } else if self.tasks.is_sender_waiting() {
            self.tasks.sender = Waiter::default();
        }
        polled
    }

    /// Polls while the task of `other` waits; it is woken if that may go on now.
    #[cold]
    fn poll_beside<T>(
        &mut self,
        other: Option<Waker>,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Self, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let Some(other) = other else {
            return poll(self, cx);
        };
        let both = Arc::new(Both(cx.waker().clone(), other));
        let before = self.progress();
        let polled = poll(self, &mut Context::from_waker(&Arc::clone(&both).into()));
        if self.progress() != before {
            both.1.wake_by_ref();
        }
        polled
    }
}

/// Wakes two tasks.
struct Both(Waker, Waker);

impl Wake for Both {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.wake_by_ref();
        self.1.wake_by_ref();
    }
}
