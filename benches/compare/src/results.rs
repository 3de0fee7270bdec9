//! What came out: samples, and the medians and ratios of them.

use std::collections::BTreeMap;

use crate::Result;
use crate::broadcast::Deliveries;
use crate::echo::Sample;
use crate::idle::Memory;

/// A median with the least and the greatest.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        let upper = *values.get(values.len() / 2)?;
        let lower = values[(values.len() - 1) / 2];
        Some(Self {
            median: f64::midpoint(lower, upper),
            min: values[0],
            max: values[values.len() - 1],
        })
    }
}

/// All samples, by the names of workload and server; one for each round, in their order.
#[derive(Debug, Default)]
pub struct Results {
    samples: BTreeMap<(&'static str, &'static str), Vec<Sample>>,
    deliveries: BTreeMap<(&'static str, &'static str), Vec<Deliveries>>,
    memory: BTreeMap<&'static str, Memory>,
    figures: BTreeMap<(&'static str, &'static str), Vec<f64>>,
    skipped: Vec<String>,
}

impl Results {
    pub fn add(&mut self, workload: &'static str, server: &'static str, sample: Sample) {
        self.samples
            .entry((workload, server))
            .or_default()
            .push(sample);
    }

    /// What else a broadcast brings than its sample.
    pub fn add_deliveries(
        &mut self,
        workload: &'static str,
        server: &'static str,
        deliveries: Deliveries,
    ) {
        self.deliveries
            .entry((workload, server))
            .or_default()
            .push(deliveries);
    }

    pub fn add_memory(&mut self, server: &'static str, memory: Memory) {
        self.memory.insert(server, memory);
    }

    /// Adds a figure of a kind of its own: what it is, and of what.
    pub fn add_figure(&mut self, figure: &'static str, of: &'static str, value: f64) {
        self.figures.entry((figure, of)).or_default().push(value);
    }

    /// Notes what could not be run, and why.
    pub fn skip(&mut self, what: String) {
        self.skipped.push(what);
    }

    /// What could not be run, and why.
    #[must_use]
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// # Errors
    ///
    /// When a server has not as many samples of a workload as there were rounds.
    pub fn require(
        &self,
        workload: &'static str,
        server: &'static str,
        rounds: usize,
    ) -> Result<()> {
        let count = self.samples(workload, server).len();
        if count == rounds {
            Ok(())
        } else {
            Err(format!("{workload}: {count} figures of {server}, not {rounds}").into())
        }
    }

    /// Microseconds of processor time for each message.
    #[must_use]
    pub fn cost(&self, workload: &'static str, server: &'static str) -> Option<Spread> {
        let samples = self.samples(workload, server);
        Spread::of(samples.iter().map(|sample| sample.cost))
    }

    /// Messages a second.
    #[must_use]
    pub fn rate(&self, workload: &'static str, server: &'static str) -> Option<Spread> {
        let samples = self.samples(workload, server);
        Spread::of(samples.iter().map(|sample| sample.rate))
    }

    /// The part of its core that the server used.
    #[must_use]
    pub fn busy(&self, workload: &'static str, server: &'static str) -> Option<Spread> {
        let samples = self.samples(workload, server);
        Spread::of(samples.iter().map(|sample| sample.busy))
    }

    /// The cost as a multiple of another server's in the same round.
    #[must_use]
    pub fn ratio(
        &self,
        workload: &'static str,
        server: &'static str,
        other: &'static str,
    ) -> Option<Spread> {
        self.quotient((workload, server), (workload, other))
    }

    /// The cost as a multiple of the same server's under another workload in the same round.
    #[must_use]
    pub fn ratio_of_workloads(
        &self,
        server: &'static str,
        workload: &'static str,
        other: &'static str,
    ) -> Option<Spread> {
        self.quotient((workload, server), (other, server))
    }

    /// The 99th percentile of the time that a broadcast takes to arrive, in milliseconds.
    #[must_use]
    pub fn p99(&self, workload: &'static str, server: &'static str) -> Option<Spread> {
        let deliveries = self.deliveries(workload, server);
        Spread::of(deliveries.iter().map(|deliveries| deliveries.p99))
    }

    /// The same as a multiple of that under another workload in the same round.
    #[must_use]
    pub fn p99_ratio(
        &self,
        server: &'static str,
        workload: &'static str,
        other: &'static str,
    ) -> Option<Spread> {
        let numerators = self.deliveries(workload, server);
        let denominators = self.deliveries(other, server);
        let pairs = numerators.iter().zip(denominators);
        Spread::of(pairs.map(|(numerator, denominator)| numerator.p99 / denominator.p99))
    }

    /// By how much a server grew while it was broadcasting, in MiB.
    #[must_use]
    pub fn growth(&self, workload: &'static str, server: &'static str) -> Option<Spread> {
        let deliveries = self.deliveries(workload, server);
        Spread::of(deliveries.iter().map(|deliveries| deliveries.memory))
    }

    #[must_use]
    pub fn memory(&self, server: &'static str) -> Option<Memory> {
        self.memory.get(server).copied()
    }

    /// A figure of a kind of its own.
    #[must_use]
    pub fn figure(&self, figure: &'static str, of: &'static str) -> Option<Spread> {
        Spread::of(self.figures.get(&(figure, of))?.iter().copied())
    }

    fn samples(&self, workload: &'static str, server: &'static str) -> &[Sample] {
        self.samples
            .get(&(workload, server))
            .map_or(&[], Vec::as_slice)
    }

    fn quotient(
        &self,
        numerator: (&'static str, &'static str),
        denominator: (&'static str, &'static str),
    ) -> Option<Spread> {
        let numerators = self.samples(numerator.0, numerator.1);
        let denominators = self.samples(denominator.0, denominator.1);
        let pairs = numerators.iter().zip(denominators);
        Spread::of(pairs.map(|(numerator, denominator)| numerator.cost / denominator.cost))
    }

    fn deliveries(&self, workload: &'static str, server: &'static str) -> &[Deliveries] {
        self.deliveries
            .get(&(workload, server))
            .map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(costs: &[(&'static str, &[f64])]) -> Results {
        let mut results = Results::default();
        for &(server, costs) in costs {
            for &cost in costs {
                let sample = Sample {
                    cost,
                    rate: 1.0,
                    busy: 1.0,
                };
                results.add("load", server, sample);
            }
        }
        results
    }

    #[test]
    fn a_median_lies_in_the_middle() {
        let results = results(&[("odd", &[3.0, 1.0, 2.0]), ("even", &[4.0, 1.0, 3.0, 2.0])]);
        let odd = results.cost("load", "odd").unwrap();
        assert!((odd.median - 2.0).abs() < 1e-9);
        assert!((odd.min - 1.0).abs() < 1e-9);
        assert!((odd.max - 3.0).abs() < 1e-9);
        let even = results.cost("load", "even").unwrap();
        assert!((even.median - 2.5).abs() < 1e-9);
    }

    #[test]
    fn a_ratio_is_taken_within_a_round() {
        // Both are twice as slow in the second round: the ratio does not see it.
        let results = results(&[("a", &[2.0, 4.0]), ("b", &[1.0, 2.0])]);
        let ratio = results.ratio("load", "a", "b").unwrap();
        assert!((ratio.min - 2.0).abs() < 1e-9);
        assert!((ratio.max - 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_missing_figure_is_found() {
        let results = results(&[("a", &[2.0])]);
        assert!(results.require("load", "a", 1).is_ok());
        assert!(results.require("load", "a", 2).is_err());
        assert!(results.require("load", "b", 1).is_err());
        assert!(results.cost("load", "b").is_none());
    }
}
