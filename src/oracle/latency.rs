//! Latency thresholds of a scenario, and whether there is enough data to judge
//! them (`retry-safety.md` section 4.6).
//!
//! A case with enough samples of a population is judged by them. Cases with fewer
//! are judged together, since most patterns run too few trials for a claim about
//! p95; what they show is said of the case with the most samples.

use std::collections::BTreeMap;

use super::population::Sample;
use super::scene::{Clue, Proof};
use super::verdict::Ground;
use super::view::View;
use crate::codes::{Hazard, Reason};
use crate::plan::{Population, Threshold};
use crate::stats::{self, Latencies};

/// What the thresholds say, by case.
#[derive(Default)]
pub(crate) struct Thresholds {
    pub(crate) missed: BTreeMap<usize, Vec<Proof>>,
    pub(crate) undecided: BTreeMap<usize, Vec<Ground>>,
}

pub(crate) fn judge(view: &View<'_>, samples: &[Sample]) -> Thresholds {
    let mut thresholds = Thresholds::default();
    if view.plan.scenarios.iter().all(|one| one.latency.is_empty()) {
        return thresholds;
    }
    let mut by_case: BTreeMap<(usize, Population, usize), Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        if let Some(case) = sample.case {
            by_case
                .entry((sample.scenario, sample.population, case))
                .or_default()
                .push(sample);
        }
    }
    for (scenario, planned) in view.plan.scenarios.iter().enumerate() {
        for threshold in &planned.latency {
            let cases = by_case
                .iter()
                .filter(|((of, population, _), _)| {
                    *of == scenario && *population == threshold.population
                })
                .map(|((.., case), samples)| (*case, samples.as_slice()))
                .collect::<Vec<_>>();
            judge_threshold(threshold, &cases, &mut thresholds);
        }
    }
    thresholds
}

fn judge_threshold(
    threshold: &Threshold,
    cases: &[(usize, &[&Sample])],
    thresholds: &mut Thresholds,
) {
    let enough =
        |n: usize| stats::supports_quantile(n as u64, threshold.quantile, stats::CONFIDENCE);
    let (full, sparse): (Vec<_>, Vec<_>) = cases
        .iter()
        .copied()
        .partition(|(_, samples)| enough(samples.len()));
    for (case, samples) in &full {
        if let Some(proof) = missed(threshold, samples) {
            thresholds.missed.entry(*case).or_default().push(proof);
        }
    }
    let pooled: Vec<&Sample> = sparse
        .iter()
        .flat_map(|(_, all)| all.iter().copied())
        .collect();
    let Some((most, _)) = sparse.iter().max_by_key(|(_, samples)| samples.len()) else {
        return;
    };
    if enough(pooled.len()) {
        if let Some(proof) = missed(threshold, &pooled) {
            thresholds.missed.entry(*most).or_default().push(proof);
        }
    } else if full.is_empty() {
        let needed = stats::samples_needed_for_quantile(threshold.quantile, stats::CONFIDENCE);
        thresholds.undecided.entry(*most).or_default().push(Ground {
            reason: Reason::TooFewSamples,
            message: format!(
                "{} of `{}` has {} samples, and a claim about it needs {needed}; raise `trials`",
                quantile_word(threshold.quantile),
                threshold.population.word(),
                pooled.len(),
            ),
            effect: None,
            line: Some(threshold.place.line),
        });
    }
}

fn missed(threshold: &Threshold, samples: &[&Sample]) -> Option<Proof> {
    let mut latencies = Latencies::default();
    for sample in samples {
        latencies.record_us(sample.latency_ns / 1_000);
    }
    let seen_us = latencies.quantile_us(threshold.quantile);
    let limit_us = u64::try_from(threshold.limit.as_micros()).unwrap_or(u64::MAX);
    // Buckets are three digits wide: a value within its bucket is not above it.
    let slack = limit_us / 1_000;
    if seen_us <= limit_us.saturating_add(slack) {
        return None;
    }
    let slowest = samples.iter().max_by_key(|sample| sample.latency_ns)?;
    Some(Proof {
        hazard: Hazard::LatencyThreshold,
        info: false,
        trial: slowest.trial,
        instance: 0,
        effect: None,
        events: vec![slowest.event],
        clue: Clue::Slow {
            population: threshold.population,
            quantile: threshold.quantile,
            seen_us,
            limit_us,
            samples: latencies.count(),
        },
    })
}

/// `p95`, `p99.9`, `the maximum`.
pub(crate) fn quantile_word(quantile: f64) -> String {
    if quantile >= 1.0 {
        "the maximum".to_owned()
    } else {
        format!("p{}", super::words::number(quantile * 100.0))
    }
}
