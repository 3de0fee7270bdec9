//! Moments of a clock.

use std::time::Duration;

/// The unit in which clocks count: short beside the shortest tick, and long enough that 32 bits of
/// it last for more than a year.
const UNIT: Duration = Duration::from_millis(1000 / UNITS_PER_SECOND);
pub(super) const UNITS_PER_SECOND: u64 = 100;

/// The longest time between two moments that are compared. Moments wrap, so that a clock may run
/// for ever; a timeout above this, 99 days, never passes. Two of them and a tenth, after which a
/// handler is dropped, are still less than half of what wraps.
const MAX_SPAN: u32 = u32::MAX / 5;

/// A moment, in units of 10 ms since its clock was started. It wraps after 497 days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moment(pub(super) u32);

/// A duration in the same units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span(pub(super) u32);

impl Moment {
    pub(super) fn has_come(self, now: Self) -> bool {
        now.0.wrapping_sub(self.0) <= u32::MAX / 2
    }

    /// Returns the time since this moment.
    pub(super) fn elapsed(self, now: Self) -> Duration {
        self.span(now).duration()
    }

    /// Returns the time since this moment; none if it is still to come.
    pub(super) fn span(self, now: Self) -> Span {
        Span(if self.has_come(now) {
            now.0.wrapping_sub(self.0)
        } else {
            0
        })
    }

    /// Returns the later one of two moments.
    pub(super) fn later(self, other: Self) -> Self {
        if self.has_come(other) { other } else { self }
    }

    /// Returns the earlier one of two moments.
    pub(super) fn earlier(self, other: Self) -> Self {
        if self.has_come(other) { self } else { other }
    }

    pub(super) fn after(self, span: Span) -> Self {
        Self(self.0.wrapping_add(span.0))
    }
}

impl Span {
    /// Rounds up. Returns `None` for a duration that never passes.
    pub(super) fn of(duration: Duration) -> Option<Self> {
        let units = duration.as_millis().div_ceil(UNIT.as_millis());
        let units = u32::try_from(units).ok()?;
        (units <= MAX_SPAN).then_some(Self(units))
    }

    /// Rounds down.
    pub(super) fn whole(duration: Duration) -> Self {
        let units = duration.as_millis() / UNIT.as_millis();
        Self(u32::try_from(units).map_or(MAX_SPAN, |units| units.min(MAX_SPAN)))
    }

    pub(super) fn duration(self) -> Duration {
        UNIT * self.0
    }
}
