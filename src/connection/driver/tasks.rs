//! The tasks that wait on a connection: one that receives and one that sends. They may be two
//! tasks.
//!
//! A stream keeps one waker for each direction, the one of its last poll. If a task polls a
//! direction in which the other task waits, it passes the stream a waker for both. Otherwise the
//! other task would sleep forever. If one task does both, as in most handlers, the stream gets only
//! the task's own waker.

use std::{
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use super::{Driver, Side};

/// The waiting tasks.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    /// The waker of the last pending `next`. It is kept when the wait is over: dropping and cloning
    /// it again would cost two atomic operations for each message.
    receiver: Option<Waker>,
    receiver_waits: Waits,
    /// Boxed, because few senders ever wait.
    sender: Option<Box<Sender>>,
}

/// A task that waits to send.
#[derive(Debug)]
struct Sender {
    waker: Waker,
    /// The waker that the stream got last for both tasks. It is reused: a stream may wake a waker
    /// that it replaces, as those of async-io do, and two different wakers would wake each other
    /// forever.
    both: Option<Arc<Both>>,
}

/// What a receiving task waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Waits {
    #[default]
    Nothing,
    ToRead,
    /// Both sides of the stream.
    ToWrite,
}

/// What a sending task may do with the read side of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    Never,
    Allowed,
}

impl Tasks {
    #[inline]
    pub(super) fn is_sender_waiting(&self) -> bool {
        self.sender.is_some()
    }

    /// Returns whether the task behind `cx` is not the last one that waited for a message.
    #[inline]
    pub(super) fn is_other_than_receiver(&self, cx: &Context<'_>) -> bool {
        let receiver = self.receiver.as_ref();
        receiver.is_some_and(|receiver| !receiver.will_wake(cx.waker()))
    }

    fn waker(&self, side: Side) -> Option<&Waker> {
        match side {
            Side::Receiver => self.receiver.as_ref(),
            Side::Sender => self.sender.as_ref().map(|sender| &sender.waker),
        }
    }

    #[inline]
    fn keep_receiver(&mut self, cx: &Context<'_>, waits: Waits) {
        self.receiver_waits = waits;
        let known = self.receiver.as_ref();
        if !known.is_some_and(|known| known.will_wake(cx.waker())) {
            self.receiver = Some(cx.waker().clone());
        }
    }

    fn keep_sender(&mut self, cx: &Context<'_>) -> &mut Sender {
        let known = self.sender.take();
        let known = known.filter(|known| known.waker.will_wake(cx.waker()));
        self.sender.insert(known.unwrap_or_else(|| {
            let waker = cx.waker().clone();
            Box::new(Sender { waker, both: None })
        }))
    }

    /// Removes a task that no longer waits, or that is about to poll again.
    fn forget(&mut self, side: Side) {
        match side {
            Side::Sender => self.sender = None,
            Side::Receiver => {
                self.receiver = None;
                self.receiver_waits = Waits::Nothing;
                if let Some(sender) = &mut self.sender {
                    sender.both = None;
                }
            }
        }
    }

    /// Returns a waker for the task behind `cx` and for another one that waits to receive, if there
    /// is one.
    pub(super) fn beside_receiver(&mut self, cx: &Context<'_>) -> Option<Waker> {
        if self.receiver_waits == Waits::Nothing {
            return None;
        }
        Some(self.both(cx, Side::Receiver)?.into())
    }

    /// Returns whether a task waits to receive.
    pub(super) fn reading(&self) -> Reading {
        match self.receiver_waits {
            Waits::Nothing => Reading::Never,
            Waits::ToRead | Waits::ToWrite => Reading::Allowed,
        }
    }

    /// Wakes the task that waits to receive, if there is one. If it still waits after its next
    /// poll, it registers again.
    pub(super) fn wake_receiver(&mut self) {
        if self.receiver_waits != Waits::Nothing {
            let receiver = self.receiver.take();
            self.forget(Side::Receiver);
            receiver.into_iter().for_each(Waker::wake);
        }
    }

    /// Wakes all tasks. Those that still wait register again in their next poll.
    pub(crate) fn wake(self) {
        let Self {
            receiver, sender, ..
        } = self;
        let sender = sender.map(|sender| sender.waker);
        receiver.into_iter().chain(sender).for_each(Waker::wake);
    }

    /// Returns a waker for the task behind `cx` and for the task that waits on the `other` side.
    /// Returns `None` if they are the same task, or if no task waits there.
    fn both(&mut self, cx: &Context<'_>, other: Side) -> Option<Arc<Both>> {
        let waker = self.waker(other)?.clone();
        if waker.will_wake(cx.waker()) {
            return None;
        }
        let sender = match (other, &mut self.sender) {
            (Side::Sender, Some(sender)) => sender,
            _ => self.keep_sender(cx),
        };
        let known = sender.both.take();
        let known = known.filter(|both| both.wakes(cx.waker(), &waker));
        let both = known.unwrap_or_else(|| Arc::new(Both(cx.waker().clone(), waker)));
        sender.both = Some(Arc::clone(&both));
        Some(both)
    }
}

impl Driver {
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
            let waits = if self.is_writing() {
                Waits::ToWrite
            } else {
                Waits::ToRead
            };
            self.tasks.keep_receiver(cx, waits);
            if !self.is_shared {
                // This task is also the one that sends, and it yields the thread to others.
                self.writer.begin_turn();
            }
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
        self.is_shared |= self.tasks.is_other_than_receiver(cx);
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
            self.tasks.keep_sender(cx);
            if self.life.is_some() {
                self.attend_writing(cx);
            }
        } else if self.tasks.is_sender_waiting() {
            self.tasks.forget(Side::Sender);
        }
        polled
    }

    /// Polls while another task waits, and wakes that task if it may be able to continue.
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
        let before = self.progress();
        let polled = poll(self, &mut Context::from_waker(&both.into()));
        if self.progress() != before {
            let waker = self.tasks.waker(other).cloned();
            // If the task still waits after its next poll, it registers again.
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
