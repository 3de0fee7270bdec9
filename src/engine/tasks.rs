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

/// The tasks that wait, and what they wait for.
///
/// Wakers are those of the last poll that was pending. The receiver's stays when its wait is over:
/// to drop it and clone it again would cost two atomic operations for each message.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    receiver: Option<Waker>,
    sender: Option<Waker>,
    receiver_waits: Waits,
    sender_waits: Waits,
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

impl Tasks {
    #[inline]
    pub(super) fn is_sender_waiting(&self) -> bool {
        self.sender_waits != Waits::Nothing
    }
}

/// Keeps the waker of a task that waits.
#[inline]
fn keep(waker: &mut Option<Waker>, cx: &Context<'_>) {
    let is_known = waker.as_ref();
    if !is_known.is_some_and(|known| known.will_wake(cx.waker())) {
        *waker = Some(cx.waker().clone());
    }
}

/// Returns the waker of a task that waits, unless it is the one behind `cx`.
fn other_than(cx: &Context<'_>, waker: Option<&Waker>) -> Option<Waker> {
    waker.filter(|waker| !waker.will_wake(cx.waker())).cloned()
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
            self.poll_beside(other_than(cx, self.tasks.sender.as_ref()), cx, poll)
        } else {
            poll(self, cx)
        };
        if polled.is_pending() {
            self.tasks.receiver_waits = if self.writer.is_busy() {
                Waits::ToWrite
            } else {
                Waits::ToRead
            };
            keep(&mut self.tasks.receiver, cx);
        } else {
            self.tasks.receiver_waits = Waits::Nothing;
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
            Reading::Never => self.tasks.receiver_waits == Waits::ToWrite,
            Reading::Allowed => self.tasks.receiver_waits != Waits::Nothing,
        };
        let polled = if is_beside {
            self.poll_beside(other_than(cx, self.tasks.receiver.as_ref()), cx, poll)
        } else {
            poll(self, cx)
        };
        if polled.is_pending() {
            self.tasks.sender_waits = Waits::ToWrite;
            keep(&mut self.tasks.sender, cx);
        } else if self.tasks.is_sender_waiting() {
            self.tasks.sender_waits = Waits::Nothing;
            self.tasks.sender = None;
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
