//! Whose latency an exchange is, and what may be said of a population
//! (`retry-safety.md` section 4.6). Always measured from the intended release:
//! a request that waited for its turn has waited.

use super::Latency;
use crate::contract::{Claim, Contract, Outcome};
use crate::history::{Exchange, Offset, Part};
use crate::plan::Population;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2Serializer};
use std::collections::BTreeMap;

/// Samples from which on a statement about a quantile holds at 95 % confidence:
/// with n samples the largest exceeds the q-quantile with probability 1 - q^n.
const P95_NEEDS: u64 = 59;
const P99_NEEDS: u64 = 299;

/// The exchanges of one operation of one instance by population, each with its
/// latency in microseconds. What has no whole answer, and answers that say
/// neither yes nor no, are nobody's.
pub(super) fn populations(contract: &Contract, exchanges: &[&Exchange]) -> Vec<(Population, u64)> {
    let answers: Vec<Answer> = exchanges
        .iter()
        .filter_map(|exchange| Answer::of(contract, exchange))
        .collect();
    // The attempt that did the work is taken for the one that was answered
    // `ok` first: nothing nearer to the truth is seen from outside.
    let first = answers
        .iter()
        .filter(|answer| answer.number.is_some() && answer.outcome == Outcome::Ok)
        .min_by_key(|answer| (answer.answered, answer.number));
    let earliest = exchanges
        .iter()
        .filter_map(|exchange| match exchange.part {
            Part::Attempt(number) => Some((exchange.timing.first_out?, number)),
            Part::Clean | Part::Closing(_) => None,
        })
        .min()
        .map(|(_, number)| number);
    answers
        .iter()
        .filter_map(|answer| {
            let population = if answer.number.is_none() {
                Population::Closing
            } else if first.is_some_and(|first| first.number == answer.number) {
                Population::First
            } else if answer.outcome == Outcome::Ok {
                if first.is_some_and(|first| answer.sent >= first.answered) {
                    Population::Replay
                } else {
                    Population::Held
                }
            } else if answer.refused && (first.is_some() || answer.number != earliest) {
                Population::Refused
            } else {
                return None;
            };
            Some((population, answer.latency_us))
        })
        .collect()
}

/// A whole answer.
struct Answer {
    /// Of which attempt; `None` for a closing retry.
    number: Option<u32>,
    outcome: Outcome,
    refused: bool,
    sent: Offset,
    answered: Offset,
    latency_us: u64,
}

impl Answer {
    fn of(contract: &Contract, exchange: &Exchange) -> Option<Self> {
        let number = match exchange.part {
            Part::Attempt(number) => Some(number),
            Part::Closing(_) => None,
            Part::Clean => return None,
        };
        let claim = exchange.claim();
        let Claim::Answer { status, .. } = claim else {
            return None;
        };
        let outcome = contract.outcome(claim);
        let answered = exchange.timing.last_in?;
        Some(Self {
            number,
            outcome,
            refused: outcome == Outcome::Rejected || contract.says_in_progress(status),
            sent: exchange.timing.first_out?,
            answered,
            latency_us: answered.since(exchange.timing.intended) / 1_000,
        })
    }
}

/// The latencies of some exchanges, by population.
#[derive(Debug, Clone, Default)]
pub(super) struct Latencies(BTreeMap<Population, Samples>);

#[derive(Debug, Clone)]
struct Samples {
    histogram: Histogram<u64>,
    max_us: u64,
}

impl Latencies {
    pub(super) fn record(&mut self, population: Population, latency_us: u64) {
        let samples = self.0.entry(population).or_insert_with(Samples::new);
        samples.max_us = samples.max_us.max(latency_us);
        // The smallest value that a histogram tells from nothing is 1.
        samples
            .histogram
            .record(latency_us.max(1))
            .expect("a histogram that resizes itself takes any value");
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (population, samples) in &other.0 {
            let sum = self.0.entry(*population).or_insert_with(Samples::new);
            sum.max_us = sum.max_us.max(samples.max_us);
            sum.histogram
                .add(&samples.histogram)
                .expect("a histogram that resizes itself takes any other");
        }
    }

    pub(super) fn report(&self) -> BTreeMap<String, Latency> {
        self.0
            .iter()
            .map(|(population, samples)| (population.word().to_owned(), samples.report()))
            .collect()
    }
}

impl Samples {
    fn new() -> Self {
        Self {
            histogram: Histogram::new(3).expect("3 significant digits are allowed"),
            max_us: 0,
        }
    }

    fn report(&self) -> Latency {
        let count = self.histogram.len();
        // A bucket's upper end may lie above the largest sample.
        let quantile = |q| self.histogram.value_at_quantile(q).min(self.max_us);
        let mut bytes = Vec::new();
        V2Serializer::new()
            .serialize(&self.histogram, &mut bytes)
            .expect("writing to memory does not fail");
        Latency {
            count,
            p50_us: quantile(0.5),
            p95_us: (count >= P95_NEEDS).then(|| quantile(0.95)),
            p99_us: (count >= P99_NEEDS).then(|| quantile(0.99)),
            max_us: self.max_us,
            hdr: STANDARD.encode(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{BodyFacts, ByteCounts, End, ResponseFacts, Timing};
    use hdrhistogram::serialization::Deserializer;

    /// An exchange that leaves and is answered at these milliseconds.
    fn answered(part: Part, sent: u64, answered: u64, status: u16) -> Exchange {
        let ms = |ms| Offset(ms * 1_000_000);
        Exchange {
            instance: 0,
            operation: 0,
            part,
            connection: 1,
            reused: false,
            timing: Timing {
                intended: ms(sent),
                first_out: Some(ms(sent)),
                last_out: Some(ms(sent)),
                first_in: Some(ms(answered)),
                last_in: Some(ms(answered)),
                ended: ms(answered),
                gave_up: None,
            },
            bytes: ByteCounts {
                out: 100,
                incoming: 100,
            },
            end: End::Complete,
            fault_happened: true,
            hidden: false,
            response: Some(ResponseFacts {
                status,
                interim: Vec::new(),
                headers: Vec::new(),
                body: BodyFacts::default(),
                identity: Vec::new(),
                expected: None,
            }),
        }
    }

    fn check(exchanges: &[(Part, u64, u64, u16)], expected: &[(Population, u64)]) {
        let exchanges: Vec<Exchange> = exchanges
            .iter()
            .map(|&(part, sent, at, status)| answered(part, sent, at, status))
            .collect();
        let seen = populations(&Contract::core(), &exchanges.iter().collect::<Vec<_>>());
        let expected: Vec<_> = expected
            .iter()
            .map(|&(who, ms)| (who, ms * 1_000))
            .collect();
        assert_eq!(seen, expected);
    }

    use Part::{Attempt, Clean, Closing};
    use Population::{First, Held, Refused, Replay};

    #[test]
    fn one_after_the_other_the_first_works_and_the_rest_are_replays() {
        check(
            &[
                (Attempt(1), 0, 20, 201),
                (Attempt(2), 21, 23, 201),
                (Closing(1), 300, 304, 200),
            ],
            &[(First, 20), (Replay, 2), (Population::Closing, 4)],
        );
    }

    #[test]
    fn in_a_burst_the_winner_may_be_any_and_losers_are_refused_or_held() {
        check(
            &[
                (Attempt(1), 0, 3, 409),
                (Attempt(2), 0, 20, 201),
                (Attempt(3), 0, 21, 201),
                (Attempt(4), 20, 22, 201),
            ],
            &[(Refused, 3), (First, 20), (Held, 21), (Replay, 2)],
        );
    }

    #[test]
    fn where_nothing_was_ok_only_duplicates_count_as_refused() {
        check(
            &[(Attempt(1), 0, 3, 401), (Attempt(2), 4, 6, 401)],
            &[(Refused, 2)],
        );
    }

    #[test]
    fn clean_runs_server_errors_and_answers_in_doubt_are_nobodys() {
        check(
            &[
                (Clean, 0, 5, 201),
                (Attempt(1), 0, 9, 500),
                (Attempt(2), 10, 12, 202),
            ],
            &[],
        );
    }

    #[test]
    fn latency_is_measured_from_the_intended_release() {
        let mut late = answered(Attempt(1), 10, 30, 201);
        late.timing.intended = Offset(0);
        assert_eq!(populations(&Contract::core(), &[&late]), [(First, 30_000)]);
    }

    #[test]
    fn percentiles_appear_where_the_data_reach() {
        let mut latencies = Latencies::default();
        for n in 1..=298 {
            latencies.record(First, n * 100);
            if n == 58 {
                let report = &latencies.report()["first"];
                assert_eq!((report.count, report.p95_us), (58, None));
            }
        }
        let report = &latencies.report()["first"];
        assert!(
            report
                .p95_us
                .is_some_and(|us| (28_300..28_500).contains(&us))
        );
        assert_eq!(report.p99_us, None);
        assert_eq!(report.max_us, 29_800);
        latencies.record(First, 5_000_000);
        assert!(latencies.report()["first"].p99_us.is_some());
    }

    #[test]
    fn the_histogram_can_be_read_and_merged_by_others() {
        let mut one = Latencies::default();
        let mut two = Latencies::default();
        (1..=10).for_each(|n| one.record(Replay, n * 1_000));
        (1..=5).for_each(|n| two.record(Replay, n * 1_000_000));
        one.add(&two);
        let report = &one.report()["replay"];
        let bytes = STANDARD.decode(&report.hdr).unwrap();
        let read: Histogram<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .unwrap();
        assert_eq!(
            (read.len(), report.count, report.max_us),
            (15, 15, 5_000_000)
        );
        assert_eq!(read.value_at_quantile(0.5).min(5_000_000), report.p50_us);
    }
}
