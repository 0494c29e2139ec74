//! Latencies by population, as a report tells them (`retry-safety.md` section
//! 4.6). Whose latency it is was settled by the oracle; this file only counts.

use super::Latency;
use crate::plan::Population;
use crate::stats;
use std::collections::BTreeMap;

/// The latencies of some exchanges, by population.
#[derive(Debug, Clone, Default)]
pub(super) struct Latencies(BTreeMap<Population, stats::Latencies>);

impl Latencies {
    pub(super) fn record(&mut self, population: Population, latency_us: u64) {
        self.0.entry(population).or_default().record_us(latency_us);
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (population, samples) in &other.0 {
            self.0
                .entry(*population)
                .or_default()
                .merge(samples)
                .expect("histograms of one run grow to hold each other");
        }
    }

    pub(super) fn report(&self) -> BTreeMap<String, Latency> {
        self.0
            .iter()
            .map(|(population, samples)| (population.word().to_owned(), report(samples)))
            .collect()
    }
}

/// Percentiles only where there is enough for a statement at 95 % confidence.
fn report(samples: &stats::Latencies) -> Latency {
    let supported = |quantile| {
        samples
            .supports(quantile)
            .then(|| samples.quantile_us(quantile))
    };
    Latency {
        count: samples.count(),
        p50_us: samples.quantile_us(0.5),
        p95_us: supported(0.95),
        p99_us: supported(0.99),
        max_us: samples.max_us(),
        hdr: samples.to_base64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_needs_data_and_the_histogram_can_be_merged() {
        let mut few = Latencies::default();
        (0..58).for_each(|n| few.record(Population::First, 1_000 + n));
        assert_eq!(few.report()["first"].p95_us, None);
        let mut one = Latencies::default();
        one.record(Population::First, 9_000);
        one.record(Population::Closing, 5);
        few.add(&one);
        let report = few.report();
        assert!(report["first"].p95_us.is_some());
        assert_eq!((report["first"].count, report["closing"].count), (59, 1));
        let read = stats::Latencies::from_base64(&report["first"].hdr).unwrap();
        assert_eq!((read.count(), read.max_us()), (59, report["first"].max_us));
    }
}
