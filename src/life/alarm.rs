//! The alarm of one socket: a deadline that its clock watches, and the task to wake.

use std::{sync::Arc, task::Waker, time::Duration};

use super::{
    clock::Clock,
    moment::{Moment, Span},
};
use crate::sync::{AtomicBool, AtomicU32, AtomicWaker, Ordering, fence};

/// The value of an alarm that is not set. No moment has it: see [`Alarm::set`].
const NEVER: u32 = u32::MAX;

/// A deadline on a coarse clock, and the task that is woken once it has passed.
///
/// The clock only wakes. The task decides what a deadline means, and sets the next one.
pub(crate) struct Alarm {
    clock: Arc<Clock>,
    at: AtomicU32,
    waker: AtomicWaker,
    tick: Tick,
    has_left: AtomicBool,
    is_stopped: AtomicBool,
}

/// How exact an alarm has to be: the longest time between two looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tick(u8);

impl Tick {
    /// 50 ms: a task that wakes more often would be seen in an idle server's processor time.
    pub(super) const MIN: Self = Self(5);
    /// 1 s: nobody notices whether a longer timeout passes a second later.
    pub(super) const MAX: Self = Self(100);

    /// Returns an eighth of the shortest timeout, within the limits.
    pub(super) fn of(shortest: Duration) -> Self {
        let eighth = Span::whole(shortest / 8).0;
        let eighth = u8::try_from(eighth).unwrap_or(u8::MAX);
        Self(eighth).clamp(Self::MIN, Self::MAX)
    }

    pub(super) fn span(self) -> Span {
        Span(self.0.into())
    }
}

impl Alarm {
    pub(super) fn new(clock: &Arc<Clock>, tick: Tick) -> Self {
        Self {
            clock: Arc::clone(clock),
            at: AtomicU32::new(NEVER),
            waker: AtomicWaker::default(),
            tick,
            has_left: AtomicBool::new(false),
            is_stopped: AtomicBool::new(false),
        }
    }

    pub(super) fn clock(&self) -> &Arc<Clock> {
        &self.clock
    }

    pub(super) fn tick(&self) -> Tick {
        self.tick
    }

    /// Sets the task to wake. Call it before [`set`](Self::set), or a wakeup may be lost.
    pub(super) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Sets the deadline. Returns whether it has passed already; the task is not woken then.
    pub(super) fn set(&self, at: Option<Moment>) -> bool {
        // One unit later is late enough: all deadlines are late by up to a tick.
        let at = at.map_or(NEVER, |Moment(at)| if at == NEVER { 0 } else { at });
        self.at.store(at, Ordering::Relaxed);
        // The clock stores its time, then fences too, then looks at the deadline. So either the
        // clock sees this deadline, or this call sees the clock's time.
        fence(Ordering::SeqCst);
        at != NEVER && Moment(at).has_come(self.clock.now())
    }

    /// Wakes the task if the deadline has passed, once.
    pub(super) fn ring(&self, now: Moment) {
        let at = self.at.load(Ordering::Relaxed);
        if at == NEVER || !Moment(at).has_come(now) {
            return;
        }
        // If the task sets another deadline at this moment, that may be lost. But the task is
        // woken, and sets it again.
        self.at.store(NEVER, Ordering::Relaxed);
        self.waker.wake();
    }

    /// Ends the alarm for its task: the clock drops it at the next tick.
    pub(super) fn leave(&self) {
        self.has_left.store(true, Ordering::Release);
        drop(self.waker.take());
    }

    pub(super) fn has_left(&self) -> bool {
        self.has_left.load(Ordering::Acquire)
    }

    /// Ends the alarm for its clock, whose runtime was shut down, and wakes the task to notice.
    pub(super) fn stop(&self) {
        self.is_stopped.store(true, Ordering::Release);
        self.waker.wake();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Acquire)
    }
}
