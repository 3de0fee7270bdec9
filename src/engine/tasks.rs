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

use super::{Engine, Side};

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
    /// What the stream was given last, for both. It is used again: a stream may wake a waker that it
    /// replaces by another one, as those of async-io do, and two tasks would wake each other for
    /// ever.
    both: Option<Arc<Both>>,
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

    fn waker(&self, side: Side) -> Option<&Waker> {
        match side {
            Side::Receiver => self.receiver.as_ref(),
            Side::Sender => self.sender.as_ref(),
        }
    }

    /// Forgets a task that waits no more, or is about to poll again.
    fn forget(&mut self, side: Side) {
        let (waker, waits) = match side {
            Side::Receiver => (&mut self.receiver, &mut self.receiver_waits),
            Side::Sender => (&mut self.sender, &mut self.sender_waits),
        };
        *waker = None;
        *waits = Waits::Nothing;
        self.both = None;
    }

    /// Returns what wakes the task behind `cx` and the one that waits on the other side, unless they
    /// are one.
    fn both(&mut self, cx: &Context<'_>, other: Side) -> Option<Arc<Both>> {
        let waker = self.waker(other)?;
        if waker.will_wake(cx.waker()) {
            return None;
        }
        let known = self
            .both
            .as_ref()
            .filter(|both| both.wakes(cx.waker(), waker));
        let both = match known {
            Some(known) => Arc::clone(known),
            None => Arc::new(Both(cx.waker().clone(), waker.clone())),
        };
        self.both = Some(Arc::clone(&both));
        Some(both)
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

impl Engine {
    /// Polls for the task that receives.
    #[inline]
    pub(super) fn poll_receiving(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Self, &mut Context<'_>) -> Poll<()>,
    ) -> Poll<()> {
        let polled = if self.tasks.is_sender_waiting() {
            self.poll_beside(Side::Sender, cx, poll)
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
            self.poll_beside(Side::Receiver, cx, poll)
        } else {
            poll(self, cx)
        };
        if polled.is_pending() {
            self.tasks.sender_waits = Waits::ToWrite;
            keep(&mut self.tasks.sender, cx);
        } else if self.tasks.is_sender_waiting() {
            self.tasks.forget(Side::Sender);
        }
        polled
    }

    /// Polls while another task waits; it is woken if it may go on now.
    #[cold]
    fn poll_beside<T>(
        &mut self,
        other: Side,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Self, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let Some(both) = self.tasks.both(cx, other) else {
            return poll(self, cx);
        };
        let before = (self.state(), self.writer.progress());
        let polled = poll(self, &mut Context::from_waker(&both.into()));
        if (self.state(), self.writer.progress()) != before {
            let waker = self.tasks.waker(other).cloned();
            // If it still waits after its next poll, it is known again.
            self.tasks.forget(other);
            waker.into_iter().for_each(Waker::wake);
        }
        polled
    }
}

/// Wakes two tasks.
#[derive(Debug)]
struct Both(Waker, Waker);

impl Both {
    fn wakes(&self, one: &Waker, other: &Waker) -> bool {
        let Self(a, b) = self;
        (a.will_wake(one) && b.will_wake(other)) || (a.will_wake(other) && b.will_wake(one))
    }
}

impl Wake for Both {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.wake_by_ref();
        self.1.wake_by_ref();
    }
}
