//! The targets of the hub, besides those of all ways to broadcast.

use super::{TIE, Target};
use crate::broadcast;
use crate::churn::{self, JOIN, LEAVE, LEFT};
use crate::hop::{self, P50, RATE};
use crate::results::Results;
use crate::ways::{HUB, HUB_ON_2_THREADS, HUB_ON_SMOL, HUB_ON_SMOL_ON_2_THREADS};

/// Hubs on two threads, and the same on one.
const THREADS: [(&str, &str); 2] = [
    (HUB_ON_2_THREADS, HUB),
    (HUB_ON_SMOL_ON_2_THREADS, HUB_ON_SMOL),
];

/// At most so much for a topic with one member.
const CHURN: [(&str, f64, &str, usize); 3] = [
    (JOIN, 1.7, "µs", 2),
    (LEAVE, 1.4, "µs", 2),
    // None is meant: what is left does not grow with the number of topics.
    (LEFT, 1.0, "bytes", 1),
];

/// At most so many microseconds for half of the messages that go through Redis, and at least so
/// many messages a second.
const HOP: f64 = 100.0;
const HOPS: f64 = 50_000.0;

/// Holds them against the results.
pub fn all(results: &Results) -> Vec<Target> {
    let mut targets = Vec::new();
    for load in &broadcast::SMALL {
        for (two, one) in THREADS {
            let ratio = results.ratio(load.name, two, one);
            let what = format!("{}: cost against one thread", load.name);
            let measured = ratio.map(|ratio| ratio.median);
            targets.push(Target::times(two, what, TIE, measured));
        }
    }
    for (figure, limit, unit, decimals) in CHURN {
        let measured = results.figure(churn::NAME, figure);
        targets.push(Target::with_unit(
            HUB,
            format!("{}: {figure}", churn::NAME),
            (limit, unit),
            measured.map(|figure| figure.median),
            decimals,
        ));
    }
    for hub in hop::HUBS {
        let figure = |figure| results.figure(figure, hub).map(|it| it.median);
        let limit = (HOP, "µs");
        targets.push(Target::with_unit(
            hub,
            P50.to_owned(),
            limit,
            figure(P50),
            0,
        ));
        targets.push(rate(hub, figure(RATE)));
    }
    targets
}

fn rate(hub: &'static str, measured: Option<f64>) -> Target {
    Target {
        server: hub,
        what: RATE.to_owned(),
        bound: format!("at least {HOPS:.0}"),
        measured: measured.map_or_else(String::new, |rate| format!("{rate:.0}")),
        is_met: measured.map(|rate| rate >= HOPS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_met_from_its_bound_on() {
        let is_met = |measured| rate(HUB, measured).is_met;
        assert_eq!(is_met(None), None);
        assert_eq!(is_met(Some(HOPS - 1.0)), Some(false));
        assert_eq!(is_met(Some(HOPS)), Some(true));
    }
}
