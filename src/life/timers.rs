//! The timeouts of one socket: when its peer is pinged, and when it is given up.

use std::{fmt, mem, num::NonZeroU32, sync::Arc, task::Waker, time::Duration};

use super::{
    alarm::Alarm,
    clock::Clock,
    moment::{Moment, Span},
};
use crate::{
    config::LifeConfig,
    error::{Error, TimeoutPhase},
    message::{CloseCode, CloseFrame, Utf8Bytes},
    rt::Runtime,
};

/// The timeouts of a socket, and the alarm that it shares with its clock.
pub(crate) struct Timers {
    alarm: Arc<Alarm>,
    limits: Limits,
    /// When bytes came for the last time, as far as the driver has said.
    heard: Moment,
    /// When data was sent or received for the last time.
    active: Moment,
    /// When the peer is pinged, or given up if it was pinged.
    keepalive: Moment,
    /// When the peer has accepted a byte for the last time, if a write is blocked.
    accepted: Moment,
    /// When the maximum lifetime is over, if there is one.
    ends: Moment,
    /// When the last ping was sent, in microseconds of the clock.
    pinged_at: u32,
    /// The time from a ping to its pong in microseconds; 0 if there is none yet.
    round_trip: u32,
    has_lifetime: bool,
    is_pinged: bool,
    blocked: Blocked,
    /// The peer's silence has lasted too long, but the last read may have been refused by the
    /// runtime, to make the task yield. It is judged after one more read.
    is_suspect: bool,
}

/// Whether the stream accepts what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blocked {
    No,
    Yes,
    /// For too long. But the task may not have tried to write meanwhile, or the runtime may have
    /// refused the last write, to make it yield. It is judged after one more write.
    Suspect,
}

/// The timeouts themselves. They are copied, because many programs make settings for each socket.
#[derive(Clone, Copy, Debug)]
struct Limits {
    interval: Limit,
    pong: Limit,
    idle: Limit,
    write: Limit,
}

/// A timeout that may be off, in four bytes.
#[derive(Clone, Copy, Debug)]
struct Limit(Option<NonZeroU32>);

impl Limit {
    fn of(timeout: Option<Duration>) -> Self {
        let span = timeout.and_then(Span::of);
        Self(span.and_then(|span| NonZeroU32::new(span.0)))
    }

    fn span(self) -> Option<Span> {
        self.0.map(|span| Span(span.get()))
    }
}

/// What a driver has seen since it last said so.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent facts")]
pub(crate) struct Seen {
    /// Bytes were read.
    pub(crate) has_read: bool,
    /// Bytes were written.
    pub(crate) has_written: bool,
    /// Data was received or sent, or a part of it.
    pub(crate) has_data: bool,
    /// The answer to the last ping was received.
    pub(crate) has_pong: bool,
    /// Something is left to write.
    pub(crate) is_writing: bool,
}

/// What the driver has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Wait,
    /// Read and write once more, then ask again.
    TryAgain,
    /// Send a ping.
    Ping,
    End(End),
}

/// Why a socket ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Pong,
    Write,
    Idle,
    Lifetime,
    /// The runtime of the clock was shut down.
    NoClock,
    /// The queue of the senders was full.
    QueueFull,
    /// The deadline of a drain has passed.
    Drain,
    /// The peer has sent faster than its rate allows.
    Rate,
}

impl End {
    /// Returns the Close for the peer.
    pub(crate) fn frame(self) -> CloseFrame {
        let (code, reason) = match self {
            Self::Pong => (CloseCode::Error, "no answer to a ping"),
            Self::Write => (CloseCode::Error, "nothing is read"),
            Self::Idle => (CloseCode::Away, "no message for too long"),
            Self::Lifetime => (CloseCode::Away, "the connection is too old"),
            Self::NoClock | Self::Drain => (CloseCode::Away, "shutting down"),
            Self::QueueFull => (CloseCode::Again, "messages are read too slowly"),
            Self::Rate => (CloseCode::Policy, "sent faster than the rate allows"),
        };
        CloseFrame {
            code,
            reason: Utf8Bytes::from_static(reason),
        }
    }

    pub(crate) fn error(self) -> Error {
        Error::Timeout(match self {
            Self::Pong => TimeoutPhase::Pong,
            Self::Write => TimeoutPhase::Write,
            Self::Idle => TimeoutPhase::Idle,
            Self::Lifetime => TimeoutPhase::Lifetime,
            Self::Drain => TimeoutPhase::Drain,
            Self::NoClock => return Error::NoRuntime,
            Self::QueueFull => return Error::QueueFull,
            Self::Rate => return Error::RateExceeded,
        })
    }
}

impl Timers {
    /// Starts the timeouts. Returns `None` if there are none, or no timers.
    pub(super) fn start(config: &LifeConfig, runtime: &Arc<dyn Runtime>) -> Option<Self> {
        let shortest = config.shortest()?;
        if !runtime.has_timers() {
            return None;
        }
        let (alarm, now) = Clock::alarm(runtime, shortest);
        let lifetime = config.max_lifetime.and_then(Span::of);
        let mut this = Self {
            alarm,
            limits: Limits::of(config),
            heard: now,
            active: now,
            keepalive: now,
            accepted: now,
            ends: now,
            pinged_at: 0,
            round_trip: 0,
            has_lifetime: lifetime.is_some(),
            is_pinged: false,
            blocked: Blocked::No,
            is_suspect: false,
        };
        // Sockets that were opened together are neither pinged nor closed together.
        if let Some(interval) = this.limits.interval.span() {
            this.keepalive = this.late(now, Span(random(interval.0 / 2, interval.0)));
        }
        if let Some(lifetime) = lifetime {
            let longest = lifetime.0.saturating_add(lifetime.0 / 10);
            this.ends = this.late(now, Span(random(lifetime.0, longest)));
        }
        Some(this)
    }

    pub(crate) fn register(&self, waker: &Waker) {
        self.alarm.register(waker);
    }

    /// Ends the timeouts: the socket has ended.
    pub(crate) fn leave(&self) {
        self.alarm.leave();
    }

    pub(super) fn alarm(&self) -> &Arc<Alarm> {
        &self.alarm
    }

    /// Returns the moment at which a handler is dropped that has not ended its socket by itself,
    /// `grace` after the maximum lifetime.
    pub(super) fn stop_at(&self, grace: Duration) -> Option<Moment> {
        Some(self.end()?.after(Span::of(grace)?))
    }

    /// Takes in what the driver has seen.
    pub(crate) fn observe(&mut self, seen: Seen) {
        let now = self.now();
        // Only what is accepted of a write that had to wait shows that the peer reads.
        let is_blocked = self.blocked != Blocked::No;
        let is_moving = is_blocked && seen.has_written && seen.is_writing;
        if seen.has_read {
            self.heard = now;
            self.is_pinged = false;
            self.schedule_ping(now);
        } else if self.is_pinged && is_moving {
            // The ping may still wait behind what is written.
            self.schedule_pong(now);
        }
        if seen.has_data || is_moving {
            self.active = now;
        }
        if !is_blocked || seen.has_written {
            self.accepted = now;
            self.blocked = Blocked::Yes;
        }
        if !seen.is_writing {
            self.blocked = Blocked::No;
        }
        if seen.has_pong {
            let time = self.alarm.clock().micros().wrapping_sub(self.pinged_at);
            self.round_trip = time.max(1);
        }
    }

    /// Does not count the time before as silence: rates have kept the socket from reading.
    pub(super) fn excuse_silence(&mut self) {
        let now = self.now();
        self.active = now;
        if mem::take(&mut self.is_pinged) {
            self.schedule_ping(now);
        }
    }

    /// Decides what to do, for a task that waits to write.
    pub(crate) fn judge_writing(&mut self) -> Verdict {
        let now = self.now();
        if self.alarm.is_stopped() {
            Verdict::End(End::NoClock)
        } else if self.end().is_some_and(|at| at.has_come(now)) {
            Verdict::End(End::Lifetime)
        } else if self.write_deadline().is_some_and(|at| at.has_come(now)) {
            match mem::replace(&mut self.blocked, Blocked::Suspect) {
                Blocked::Suspect => Verdict::End(End::Write),
                Blocked::Yes | Blocked::No => Verdict::TryAgain,
            }
        } else {
            Verdict::Wait
        }
    }

    /// Decides what to do, for a task that has read all that has arrived.
    pub(crate) fn judge(&mut self) -> Verdict {
        let now = self.now();
        let writing = self.judge_writing();
        if writing != Verdict::Wait {
            return writing;
        }
        let is_idle = self.idle_deadline().is_some_and(|at| at.has_come(now));
        let is_due = self.keepalive_deadline().is_some_and(|at| at.has_come(now));
        if is_idle || (is_due && self.is_pinged) {
            if !mem::replace(&mut self.is_suspect, true) {
                return Verdict::TryAgain;
            }
            return Verdict::End(if is_idle { End::Idle } else { End::Pong });
        }
        self.is_suspect = false;
        if is_due {
            self.ping(now);
            return Verdict::Ping;
        }
        Verdict::Wait
    }

    fn ping(&mut self, now: Moment) {
        self.pinged_at = self.alarm.clock().micros();
        self.is_pinged = self.limits.pong.0.is_some();
        if self.is_pinged {
            self.schedule_pong(now);
        } else {
            self.schedule_ping(now);
        }
    }

    /// Sets the alarm to the next deadline. Returns whether that has passed already.
    pub(super) fn set_alarm(&self, is_reading: bool) -> bool {
        self.ring_at(self.next_deadline(is_reading))
    }

    /// Does the same, but sets the alarm to `other` if that is earlier.
    #[cold]
    pub(super) fn set_alarm_by(&self, is_reading: bool, other: Option<Moment>) -> bool {
        let next = self.next_deadline(is_reading);
        self.ring_at(next.into_iter().chain(other).reduce(Moment::earlier))
    }

    #[inline]
    fn ring_at(&self, at: Option<Moment>) -> bool {
        self.alarm.set(at) || self.alarm.is_stopped()
    }

    /// Returns the next deadline.
    ///
    /// A task that only writes does not watch the peer's silence: it does not read.
    #[inline]
    fn next_deadline(&self, is_reading: bool) -> Option<Moment> {
        let reading = [self.idle_deadline(), self.keepalive_deadline()];
        let reading = reading.into_iter().filter(|_| is_reading);
        reading
            .chain([self.end(), self.write_deadline()])
            .flatten()
            .reduce(Moment::earlier)
    }

    /// Returns whether a task that reads has to judge the peer's silence.
    pub(super) fn is_reading_due(&self) -> bool {
        let deadlines = [self.idle_deadline(), self.keepalive_deadline()];
        let now = self.now();
        deadlines.into_iter().flatten().any(|at| at.has_come(now))
    }

    /// Returns whether there is a maximum lifetime.
    pub(crate) fn has_lifetime(&self) -> bool {
        self.has_lifetime
    }

    /// Returns whether the maximum lifetime is over.
    pub(crate) fn is_too_old(&self) -> bool {
        self.end().is_some_and(|at| at.has_come(self.now()))
    }

    pub(crate) fn round_trip(&self) -> Option<Duration> {
        (self.round_trip > 0).then(|| Duration::from_micros(self.round_trip.into()))
    }

    /// Returns the time since bytes came, as far as the driver has said.
    pub(crate) fn silence(&self) -> Duration {
        self.heard.elapsed(self.now())
    }

    /// Returns the present moment, to a tick. A clock that was behind when the socket was opened
    /// may still be so.
    pub(super) fn now(&self) -> Moment {
        self.heard.later(self.alarm.clock().now())
    }

    fn schedule_ping(&mut self, now: Moment) {
        if let Some(interval) = self.limits.interval.span() {
            self.keepalive = self.late(now, interval);
        }
    }

    fn schedule_pong(&mut self, now: Moment) {
        if let Some(timeout) = self.limits.pong.span() {
            self.keepalive = self.late(now, timeout);
        }
    }

    /// Returns the moment at which `span` has certainly passed: the clock may be late by a tick.
    fn late(&self, from: Moment, span: Span) -> Moment {
        from.after(span).after(self.alarm.tick().span())
    }

    fn keepalive_deadline(&self) -> Option<Moment> {
        self.limits.interval.span().map(|_| self.keepalive)
    }

    fn idle_deadline(&self) -> Option<Moment> {
        let timeout = self.limits.idle.span()?;
        Some(self.late(self.active, timeout))
    }

    fn write_deadline(&self) -> Option<Moment> {
        let timeout = self.limits.write.span()?;
        if self.blocked == Blocked::No {
            return None;
        }
        Some(self.late(self.accepted, timeout))
    }

    fn end(&self) -> Option<Moment> {
        self.has_lifetime.then_some(self.ends)
    }
}

impl Limits {
    fn of(config: &LifeConfig) -> Self {
        let keepalive = config.keepalive.as_ref();
        Self {
            interval: Limit::of(keepalive.map(|it| it.interval)),
            pong: Limit::of(keepalive.and_then(|it| it.timeout)),
            idle: Limit::of(config.idle_timeout),
            write: Limit::of(config.write_timeout),
        }
    }
}

/// Leaves the clock.
impl Drop for Timers {
    fn drop(&mut self) {
        self.alarm.leave();
    }
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers")
            .field("limits", &self.limits)
            .field("silence", &self.silence())
            .field("round_trip", &self.round_trip())
            .finish_non_exhaustive()
    }
}

/// Returns a random number from `low` to `high`.
fn random(low: u32, high: u32) -> u32 {
    let range = u64::from(high.saturating_sub(low)) + 1;
    let scaled = (u64::from(rand::random::<u32>()) * range) >> u32::BITS;
    low + u32::try_from(scaled).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::{Life, alarm::Alarm};

    #[test]
    fn timeouts_cost_a_socket_two_small_allocations() {
        // What an allocator rounds up to 96 and, with the counts of an `Arc`, to 64 bytes.
        assert!(size_of::<Life>() <= 88, "{}", size_of::<Life>());
        assert!(size_of::<Alarm>() <= 40, "{}", size_of::<Alarm>());
    }
}
