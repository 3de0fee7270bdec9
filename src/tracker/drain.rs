//! A drain: all sockets of a tracker are asked to close, and those that do not are ended.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::{Either, select};
use rand::seq::SliceRandom;

use super::{Shared, Tracker, door::Door, lock, waiting::Wait, wake};
use crate::{
    message::{CloseCode, CloseFrame, Utf8Bytes},
    proto::is_for_the_wire,
    rt::{self, Deadline, Runtime},
};

/// The sockets are asked in so many parts: a spread of 10 s is two parts a second.
const PARTS: u32 = 20;

/// Browsers and proxies know that a server does not need longer; most clients answer within one
/// round trip.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long handlers that were dropped at the deadline have to write their Close. It only takes
/// their threads to run them.
const GRACE: Duration = Duration::from_secs(1);

/// How [`Tracker::drain`] ends the sockets.
///
/// The default is a Close with code 1001 for all of them at once, and a deadline of 10 s.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Drain {
    code: CloseCode,
    notice: Duration,
    spread: Duration,
    deadline: Duration,
}

impl Drain {
    /// Returns the default: code 1001, neither notice nor spread, and a deadline of 10 s.
    pub fn new() -> Self {
        Self {
            code: CloseCode::Away,
            notice: Duration::ZERO,
            spread: Duration::ZERO,
            deadline: DEADLINE,
        }
    }

    /// Sets the code of the Close; default 1001, going away (RFC 6455, section 7.4.1).
    ///
    /// Many clients reconnect at once after 1012, service restart. A code that may not be sent,
    /// such as 1006, is replaced by 1001.
    pub fn code(mut self, code: impl Into<CloseCode>) -> Self {
        let code = code.into();
        self.code = if is_for_the_wire(code.into()) {
            code
        } else {
            CloseCode::Away
        };
        self
    }

    /// Sets the time before the first socket is asked to close; default zero.
    ///
    /// Meanwhile [`Tracker::draining`] is ready and handshakes are refused, but sockets go on. So a
    /// load balancer can notice that a health check fails, and handlers that wait for `draining`
    /// can say goodbye.
    pub fn notice(mut self, notice: Duration) -> Self {
        self.notice = notice;
        self
    }

    /// Sets the time over which the sockets are asked to close; default zero, all at once.
    ///
    /// They are asked in 20 parts and in random order, so that their clients do not all reconnect
    /// at the same moment. The deadline should be longer than this and the notice together.
    pub fn spread(mut self, spread: Duration) -> Self {
        self.spread = spread;
        self
    }

    /// Sets the time after which the sockets that are left are ended; default 10 s. It runs from
    /// the beginning of the drain.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

/// What [`Tracker::drain`] has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// The sockets and handshakes that ended before the deadline.
    pub closed: usize,
    /// The sockets and handshakes that the deadline has ended.
    pub aborted: usize,
    /// The time since the drain began.
    pub took: Duration,
}

/// A drain that has begun.
pub(super) struct Plan {
    drain: Drain,
    start: Instant,
    /// How many sockets and handshakes there were.
    total: usize,
    /// The seats of those that have not been asked yet, in random order.
    unasked: Vec<usize>,
    /// How many seats that were in the beginning.
    seats: usize,
    /// How many sockets were left at the deadline.
    aborted: Option<usize>,
    /// How many calls of `drain` wait.
    drains: usize,
}

impl Plan {
    fn new(drain: Drain, start: Instant, total: usize, mut unasked: Vec<usize>) -> Self {
        unasked.shuffle(&mut rand::rng());
        Self {
            drain,
            start,
            total,
            seats: unasked.len(),
            unasked,
            aborted: None,
            drains: 1,
        }
    }

    pub(super) fn code(&self) -> CloseCode {
        self.drain.code
    }

    /// Takes the sockets that are due at `now`, and returns when the next ones are.
    fn take_due(&mut self, now: Instant) -> (Vec<usize>, Option<Instant>) {
        // A time that the clock cannot express never comes.
        let Some(first) = self.start.checked_add(self.drain.notice) else {
            return (Vec::new(), None);
        };
        if now < first {
            return (Vec::new(), Some(first));
        }
        let part = self.drain.spread / PARTS;
        let elapsed = now.saturating_duration_since(first).as_nanos();
        // The first part is due at once.
        let parts = elapsed.checked_div(part.as_nanos()).unwrap_or(u128::MAX);
        let parts = u32::try_from(parts).map_or(PARTS, |parts| PARTS.min(parts + 1));
        let left = self.seats * (PARTS - parts) as usize / PARTS as usize;
        let due = self.unasked.split_off(left.min(self.unasked.len()));
        let next = first.checked_add(part * parts);
        (due, next.filter(|_| parts < PARTS))
    }
}

impl Shared {
    /// Begins a drain, unless one has begun. Returns the time that is left until its deadline.
    pub(super) fn begin(&self, drain: Drain, now: Instant) -> Duration {
        let mut door = lock(&self.door);
        if let Some(plan) = &mut door.plan {
            plan.drains += 1;
            let elapsed = now.saturating_duration_since(plan.start);
            return plan.drain.deadline.saturating_sub(elapsed);
        }
        // Whoever has a permit has a seat: both were taken under this lock.
        let plan = Plan::new(drain, now, door.open, self.seats.sockets());
        door.plan = Some(plan);
        self.set_draining();
        let waiting = door.take_waiting();
        drop(door);
        wake(waiting);
        drain.deadline
    }

    /// Asks the sockets that are due to close. Returns when the next ones are due.
    fn tell_due(&self, now: Instant) -> Option<Instant> {
        let (due, next) = lock(&self.door).plan.as_mut()?.take_due(now);
        self.seats.tell(&due);
        next
    }

    /// Ends a call of `drain`. After the last one, nobody would ask the sockets that are left.
    fn end_drain(&self) {
        let is_last = {
            let mut door = lock(&self.door);
            let plan = door.plan.as_mut();
            plan.is_some_and(|plan| {
                plan.drains -= 1;
                plan.drains == 0
            })
        };
        if is_last {
            self.tell_rest();
        }
    }

    /// Asks all sockets to close that have not been asked.
    pub(super) fn tell_rest(&self) {
        let rest = lock(&self.door)
            .plan
            .as_mut()
            .map(|plan| std::mem::take(&mut plan.unasked));
        self.seats.tell(&rest.unwrap_or_default());
    }

    /// Asks the sockets to close, over the spread. Without timers it asks all of them at once.
    async fn tell_all(&self, runtime: Option<&Arc<dyn Runtime>>) {
        let Some(runtime) = runtime else {
            return self.tell_rest();
        };
        while let Some(next) = self.tell_due(runtime.now()) {
            runtime.sleep_until(next).await;
            if runtime.now() < next {
                // Its runtime was shut down, and every timer is ready at once.
                return self.tell_rest();
            }
        }
    }

    /// Ends the sockets and tasks that are left.
    pub(super) fn abort(&self) {
        {
            let mut door = lock(&self.door);
            let open = door.open;
            if let Some(plan) = &mut door.plan {
                plan.aborted.get_or_insert(open);
            }
        }
        self.set_aborted();
        self.seats.wake_all();
    }

    fn drained(&self, now: Instant) -> Drained {
        let door = lock(&self.door);
        let plan = door.plan.as_ref();
        let aborted = plan.and_then(|plan| plan.aborted).unwrap_or(0);
        Drained {
            closed: plan.map_or(0, |plan| plan.total.saturating_sub(aborted)),
            aborted,
            took: plan.map_or(Duration::ZERO, |it| now.saturating_duration_since(it.start)),
        }
    }
}

/// A call of `drain`, which may be dropped.
struct Call<'a>(&'a Shared);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.end_drain();
    }
}

impl Tracker {
    /// Drains: refuses new handshakes, asks all sockets to close, and waits until they and their
    /// handlers have ended. Whatever is left at the deadline is ended.
    ///
    /// - From now on, handshakes are refused with 503 ([`Rejection::Draining`]), and
    ///   [`draining`](Self::draining) is ready.
    /// - Each socket sends a Close with code 1001, behind what is queued. Its `next` discards what
    ///   still arrives, and returns the peer's Close, then `None`; its `send` returns
    ///   [`Error::Closed`]. So a handler ends by itself, without any code for it.
    /// - A socket counts until both ends have closed and its write side is shut down. Handlers of
    ///   `on_upgrade` and [guarded](Self::guard) futures are awaited too: they may tidy up.
    /// - At the deadline, what is left is ended: handlers and guarded futures are dropped, which
    ///   closes their sockets with the same Close. `next` on a bare stream without a guard returns
    ///   [`Error::Timeout`] with [`TimeoutPhase::Drain`]. The drain waits up to a second more for
    ///   this. A thread that is blocked cannot be ended.
    ///
    /// A second call joins the first one, whose settings and deadline hold. The tracker never opens
    /// again.
    ///
    /// Do not await it in a handler or in a guarded future: it would wait for itself, and the
    /// deadline would drop both. Spawn a task for it.
    ///
    /// Deadline, notice and spread need timers: those of [`runtime`](Self::runtime), else of the
    /// socket that was opened last, else of [`rt::detect`]. Without timers, all sockets are asked
    /// at once, and nothing ends those that stay.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use anyws::{Drain, Tracker};
    ///
    /// # async fn shut_down(tracker: Tracker) {
    /// let drain = Drain::new().spread(Duration::from_secs(5)).deadline(Duration::from_secs(20));
    /// let drained = tracker.drain(drain).await;
    /// println!("{} closed, {} aborted", drained.closed, drained.aborted);
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// If you drop the future and no other call waits, the tracker goes on refusing, and all
    /// sockets are asked to close at once. But nobody ends those that stay: call `drain` again for
    /// that.
    ///
    /// [`Rejection::Draining`]: crate::Rejection::Draining
    /// [`Error::Closed`]: crate::Error::Closed
    /// [`Error::Timeout`]: crate::Error::Timeout
    /// [`TimeoutPhase::Drain`]: crate::TimeoutPhase::Drain
    pub async fn drain(&self, drain: Drain) -> Drained {
        let shared = &self.0;
        let runtime = shared.timers();
        let runtime = runtime.as_ref();
        let left = shared.begin(drain, rt::now(runtime));
        let call = Call(shared);
        let mut deadline = Deadline::start(left, runtime);
        let gone = async {
            let told = pin!(shared.tell_all(runtime));
            let empty = pin!(Wait::new(shared).until(Door::is_empty));
            // All may have left before the last part is due.
            if let Either::Left(((), empty)) = select(told, empty).await {
                empty.await;
            }
        };
        if deadline.bound(pin!(gone)).await.is_none() {
            shared.abort();
            deadline = Deadline::start(GRACE, runtime);
            let gone = Wait::new(shared).until(Door::is_empty);
            let _ = deadline.bound(pin!(gone)).await;
        }
        drop(call);
        shared.drained(rt::now(runtime))
    }
}

/// Returns the Close of a drain.
pub(super) fn close_frame(code: CloseCode) -> CloseFrame {
    CloseFrame {
        code,
        reason: Utf8Bytes::from_static("shutting down"),
    }
}
