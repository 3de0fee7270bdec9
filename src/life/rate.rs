//! How fast a peer may send: the rates of one socket, measured on its clock.

use super::{
    Life,
    moment::{Moment, Span, UNITS_PER_SECOND},
    timers::Timers,
};
use crate::config::{LifeConfig, OverRate, RateLimit};

/// A pause ends once this many bytes may be read, or the burst if that is less: fewer are not worth
/// waking a task.
const MIN_READ: u32 = 1024;

/// The rates of a socket.
#[derive(Debug)]
pub(crate) struct Rates {
    messages: Option<Meter>,
    bytes: Option<Meter>,
    /// When they were measured last.
    at: Moment,
    /// How much could be received at that time.
    granted: Allowance,
}

/// How much a socket may receive before its rates are measured again; at first nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowance {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

impl Allowance {
    /// More than a socket receives in its life.
    pub(crate) const UNLIMITED: Self = Self {
        messages: u64::MAX,
        bytes: u64::MAX,
    };

    /// Returns whether `left` may be left of this.
    fn includes(self, left: Self) -> bool {
        left.messages <= self.messages && left.bytes <= self.bytes
    }

    fn is_used_up(self) -> bool {
        self.messages == 0 || self.bytes == 0
    }
}

/// The meter of one rate: the generic cell rate algorithm, in its form as a leaky bucket.
///
/// What is received fills the bucket, and the rate drains it. The level is counted in parts, so
/// many to each message or byte as the clock has units in a second: then as many parts drain in a
/// unit as the rate is a second, and nothing is ever rounded.
#[derive(Debug)]
struct Meter {
    per_second: u32,
    over: OverRate,
    level: u64,
    /// The highest level: that of a burst, and what drains in a tick. The clock may be behind by a
    /// tick, so without that a peer that keeps to its rate could exceed it.
    limit: u64,
    /// The level at which a pause ends.
    low: u64,
}

impl Meter {
    /// `min` has to be free before a pause ends.
    fn new(limit: RateLimit, tick: Span, min: u32) -> Self {
        let RateLimit { rate, over } = limit;
        let free = u64::from(min.min(rate.burst)) * UNITS_PER_SECOND;
        let burst = u64::from(rate.burst) * UNITS_PER_SECOND;
        let limit = burst + u64::from(tick.0) * u64::from(rate.per_second);
        Self {
            per_second: rate.per_second,
            over,
            level: 0,
            limit,
            low: limit - free,
        }
    }

    fn fill(&mut self, amount: u64) {
        let parts = amount.saturating_mul(UNITS_PER_SECOND);
        self.level = self.level.saturating_add(parts);
    }

    /// Lets time pass. More than the peer was allowed stays: that ends the connection.
    fn drain(&mut self, span: Span) {
        if !self.is_over() {
            let drained = u64::from(span.0) * u64::from(self.per_second);
            self.level = self.level.saturating_sub(drained);
        }
    }

    /// Returns how much may be received now.
    fn room(&self) -> u64 {
        let room = self.limit.saturating_sub(self.level) / UNITS_PER_SECOND;
        match self.over {
            OverRate::Pause => room,
            // Only what is received shows that the peer has exceeded its rate.
            OverRate::Close if self.is_over() => 0,
            OverRate::Close => room + 1,
        }
    }

    fn is_over(&self) -> bool {
        self.level > self.limit
    }

    /// Returns how long a pause takes.
    fn wait(&self) -> Span {
        let parts = self.level.saturating_sub(self.low);
        let units = parts.div_ceil(u64::from(self.per_second));
        Span(u32::try_from(units).unwrap_or(u32::MAX))
    }
}

impl Rates {
    /// Returns `None` if no rate is set.
    pub(super) fn start(config: &LifeConfig, timers: &Timers) -> Option<Box<Self>> {
        let tick = timers.alarm().tick().span();
        let meter = |limit: Option<RateLimit>, min| Some(Meter::new(limit?, tick, min));
        let this = Self {
            messages: meter(config.message_rate, 1),
            bytes: meter(config.byte_rate, MIN_READ),
            at: timers.now(),
            granted: Allowance::default(),
        };
        (this.messages.is_some() || this.bytes.is_some()).then(|| Box::new(this))
    }

    /// Measures what was received since the last call, by what is `left` of the last allowance.
    /// Returns the next one.
    ///
    /// It is called before anything is received, so what was received came in the tick of the last
    /// call, and counts as that.
    fn renew(&mut self, left: Allowance, now: Moment) -> Allowance {
        let granted = self.granted;
        // It does not include what is left after a close that was given up.
        if now == self.at && granted.includes(left) && !left.is_used_up() {
            return left;
        }
        let span = self.at.span(now);
        let measure = |meter: &mut Option<Meter>, granted: u64, left| {
            let Some(meter) = meter else {
                return u64::MAX;
            };
            meter.fill(granted.saturating_sub(left));
            meter.drain(span);
            meter.room()
        };
        self.granted = Allowance {
            messages: measure(&mut self.messages, granted.messages, left.messages),
            bytes: measure(&mut self.bytes, granted.bytes, left.bytes),
        };
        self.at = now;
        self.granted
    }

    fn is_exceeded(&self) -> bool {
        let mut meters = self.messages.iter().chain(&self.bytes);
        meters.any(Meter::is_over)
    }

    /// Returns when more may be received, if nothing may be now.
    fn resumes_at(&self) -> Option<Moment> {
        let meters = self.messages.iter().chain(&self.bytes);
        let wait = meters.filter(|meter| meter.room() == 0).map(Meter::wait);
        Some(self.at.after(wait.max()?))
    }
}

/// The rates, where a driver receives. A socket that has rates has timers too.
impl Life {
    #[inline]
    pub(crate) fn has_rates(&self) -> bool {
        self.rates.is_some()
    }

    /// Returns how much more may be received, if there are rates. `left` is what is left of the
    /// last allowance.
    pub(crate) fn renew_allowance(&mut self, left: Allowance) -> Option<Allowance> {
        let (rates, timers) = (self.rates.as_mut()?, self.timers.as_mut()?);
        if left.is_used_up() {
            timers.excuse_silence();
        }
        Some(rates.renew(left, timers.now()))
    }

    /// Returns whether the peer has exceeded a rate that closes the socket.
    pub(crate) fn is_rate_exceeded(&self) -> bool {
        self.rates.as_ref().is_some_and(|rates| rates.is_exceeded())
    }

    /// Sets the alarm to the next deadline. Returns whether that has passed already.
    #[inline]
    pub(crate) fn set_alarm(&self, is_reading: bool) -> bool {
        match &self.timers {
            Some(timers) if self.has_rates() => {
                timers.set_alarm_by(is_reading, self.resumes_at().filter(|_| is_reading))
            }
            Some(timers) => timers.set_alarm(is_reading),
            None => false,
        }
    }

    /// Returns whether a task that reads has something to do.
    pub(crate) fn is_reading_due(&self) -> bool {
        let is_over = |timers: &Timers| {
            let at = self.resumes_at();
            at.is_some_and(|at| at.has_come(timers.now()))
        };
        let timers = self.timers.as_ref();
        timers.is_some_and(|timers| timers.is_reading_due() || is_over(timers))
    }

    fn resumes_at(&self) -> Option<Moment> {
        self.rates.as_ref()?.resumes_at()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Rate;

    const TICK: Span = Span(10);

    fn meter(per_second: u32, burst: u32, over: OverRate) -> Meter {
        let rate = Rate::new(per_second, burst);
        Meter::new(RateLimit { rate, over }, TICK, 1)
    }

    fn rates(messages: Meter, at: Moment) -> Rates {
        Rates {
            messages: Some(messages),
            bytes: None,
            at,
            granted: Allowance::default(),
        }
    }

    /// Some numbers, the same in every run.
    struct Random(u64);

    impl Random {
        fn below(&mut self, end: u32) -> u32 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let high = u32::try_from(self.0 >> 32).unwrap();
            high % end
        }

        fn pick<const N: usize>(&mut self, values: [u32; N]) -> u32 {
            values[self.below(u32::try_from(N).unwrap()) as usize]
        }
    }

    /// What has passed, with the time of each part.
    #[derive(Default)]
    struct Passed(Vec<(u128, u128)>);

    impl Passed {
        /// Returns how much more may pass at `now`, by the definition of a rate: in each span of
        /// time the burst, and what is allowed in that span and in a tick.
        fn room(&self, now: u128, rate: Rate) -> u128 {
            let (per_second, burst) = (u128::from(rate.per_second), u128::from(rate.burst));
            let allowed = |span: u128| 100 * burst + per_second * (u128::from(TICK.0) + span);
            let mut sum = 0;
            let since = self.0.iter().rev().map(|&(at, amount)| {
                sum += amount;
                allowed(now - at) - 100 * sum
            });
            since.fold(allowed(0), u128::min) / 100
        }
    }

    #[test]
    fn a_rate_is_what_its_definition_says() {
        let mut random = Random(1);
        for _ in 0..500 {
            let some = random.below(5000) + 1;
            let per_second = random.pick([1, 2, 3, 7, 100, some, u32::MAX]);
            let burst = random.pick([1, 2, 10, some, u32::MAX]);
            let rate = Rate::new(per_second, burst);
            // Moments wrap within this.
            let start = Moment(u32::MAX - random.below(1000));
            let mut rates = rates(meter(per_second, burst, OverRate::Pause), start);
            let (mut now, mut passed) = (0_u32, Passed::default());
            let mut left = Allowance::UNLIMITED;
            for _ in 0..100 {
                let some = random.below(300);
                now += random.pick([0, 1, 10, some, 100_000]);
                left = rates.renew(left, start.after(Span(now)));
                let room = u64::try_from(passed.room(now.into(), rate)).unwrap();
                assert_eq!(left.messages, room, "{rate:?} at {now}");
                assert_eq!(rates.resumes_at().is_none(), room > 0);
                let amount = match random.below(3) {
                    0 => room,
                    1 => room.min(1),
                    _ => u64::from(random.below(1000)).min(room),
                };
                left.messages -= amount;
                passed.0.push((now.into(), amount.into()));
            }
        }
    }

    #[test]
    fn nothing_is_gained_or_lost_over_hours() {
        for (per_second, burst) in [(1, 1), (7, 3), (333, 1), (u32::MAX, 1)] {
            let start = Moment(u32::MAX - 1000);
            let mut rates = rates(meter(per_second, burst, OverRate::Pause), start);
            let (mut left, mut sum) = (Allowance::UNLIMITED, 0_u128);
            // 24 hours, in ticks.
            let ticks = 24 * 3600 * 10;
            for tick in 0..=ticks {
                left = rates.renew(left, start.after(Span(tick * TICK.0)));
                sum += u128::from(left.messages);
                left.messages = 0;
            }
            let all =
                100 * u128::from(burst) + u128::from((ticks + 1) * TICK.0) * u128::from(per_second);
            assert_eq!(sum, all / 100, "{per_second} a second");
        }
    }

    #[test]
    fn a_pause_ends_when_enough_is_allowed_and_not_before() {
        let mut random = Random(2);
        for _ in 0..1000 {
            let per_second = random.pick([1, 3, 99, 100, 101, 5000, u32::MAX]);
            let burst = random.pick([1, 2, 50, 10_000, u32::MAX]);
            let min = random.pick([1, 10, 1024]);
            let limit = RateLimit {
                rate: Rate::new(per_second, burst),
                over: OverRate::Pause,
            };
            let start = Moment(random.below(u32::MAX));
            let mut rates = rates(Meter::new(limit, TICK, min), start);
            rates.renew(Allowance::UNLIMITED, start);
            let held = rates.renew(Allowance::default(), start);
            assert_eq!(held.messages, 0);
            let ends = rates.resumes_at().unwrap();
            let min = u64::from(min.min(burst));
            let before = start.span(ends).0.checked_sub(1).unwrap();
            assert!(rates.renew(held, start.after(Span(before))).messages < min);
            // What was allowed before the end is not used.
            let held = Allowance {
                messages: 0,
                ..held
            };
            rates.granted = held;
            assert!(rates.renew(held, ends).messages >= min);
        }
    }

    #[test]
    fn more_than_the_rate_allows_is_never_forgiven() {
        let start = Moment(5);
        let mut rates = rates(meter(10, 5, OverRate::Close), start);
        let mut left = rates.renew(Allowance::UNLIMITED, start);
        // One more than what is allowed shows that the peer is too fast.
        assert_eq!(left.messages, 7);
        left.messages = 1;
        left = rates.renew(left, start.after(Span(1)));
        assert!(!rates.is_exceeded() && left.messages == 1);
        left.messages = 0;
        left = rates.renew(left, start.after(Span(100_000)));
        assert!(rates.is_exceeded() && left.messages == 0);
        assert_eq!(left.bytes, u64::MAX);
    }

    #[test]
    fn what_was_not_granted_is_not_counted() {
        let start = Moment(5);
        let mut rates = rates(meter(10, 5, OverRate::Pause), start);
        for _ in 0..3 {
            assert_eq!(rates.renew(Allowance::UNLIMITED, start).messages, 6);
        }
    }
}
