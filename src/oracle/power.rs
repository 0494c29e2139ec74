//! Whether a pattern really happened: a trial without power proves nothing by
//! what it did not show (`retry-safety.md` 2.0 and 4.3, `language.md` section 14).

use std::time::Duration;

use super::effects::Judged;
use super::sweep;
use super::view::{Delivery, TrialView, View, open_until};
use crate::contract::Claim;
use crate::history::{Exchange, Observation, Part, Reading, Round};
use crate::plan::{Case, Fault, Kind, Moment, ResetPoint};

/// What a trial lacks to say something by its silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lacks {
    /// Nothing could be sent to the target.
    Reach,
    /// No attempt was accepted: the effect had no chance to happen twice.
    Acceptance,
    /// The attempts did not overlap.
    Overlap,
    /// The fault did not strike where it was planned.
    Fault,
    /// Fewer than two attempts were delivered.
    Retry,
}

/// The number of powered trials that a case needs to pass.
pub(crate) fn needed(planned: u32) -> u32 {
    planned.clamp(1, 10)
}

/// What a trial of a case lacks; `None` where it has power.
pub(crate) fn lacks(
    view: &View<'_>,
    trial: &TrialView<'_>,
    case: &Case,
    judged: &[Judged<'_>],
) -> Option<Lacks> {
    let scenario = view.scenario(case.scenario)?;
    let instances: Vec<Vec<Delivery<'_>>> = (0..trial.instances.len())
        .map(|instance| trial.deliveries(instance, case.operation, &scenario.contract))
        .collect();
    let mut all = instances.iter().flatten();
    if !all.clone().any(Delivery::delivered) {
        return Some(Lacks::Reach);
    }
    // An author who merges something into the requests or runs steps before may
    // mean the operation to be refused; elsewhere a case whose every attempt was
    // refused shows nothing.
    let meant_to_fail = case.with != crate::plan::Overlay::default() || !case.before.is_empty();
    if !meant_to_fail && !all.any(Delivery::was_accepted) {
        return Some(Lacks::Acceptance);
    }
    let any = |holds: &dyn Fn(&[Delivery<'_>]) -> bool| instances.iter().any(|one| holds(one));
    match case.pattern.kind {
        Kind::Burst | Kind::Stagger | Kind::Timeout => {
            let overlapped =
                any(&|deliveries| overlap(deliveries.iter().map(|one| one.exchange)) >= 2)
                    || (0..trial.instances.len()).any(|instance| {
                        settled_late(trial, instance, &instances[instance], judged)
                    });
            let past_the_edge = case.sweeps
                && instances.iter().any(|deliveries| {
                    sweep::planned_ns(deliveries)
                        .zip(h_ns(view, case))
                        .is_some_and(|(planned, h)| is_at_the_edge(planned, h))
                });
            (!overlapped && !past_the_edge).then_some(Lacks::Overlap)
        }
        Kind::CutRequest | Kind::CutResponse | Kind::Reset => {
            let h = view
                .h_us(case.scenario, case.operation)
                .map(|(p50, _)| Duration::from_micros(p50));
            let struck = instances.iter().enumerate().any(|(instance, deliveries)| {
                deliveries.iter().any(|delivery| {
                    let fault = trial.fault(instance, delivery.exchange.part);
                    struck(fault, delivery, h) || (case.sweeps && came_late(fault, delivery, h))
                })
            });
            (!struck).then_some(Lacks::Fault)
        }
        Kind::Replay | Kind::DropResponse | Kind::ChangedHeaders | Kind::Reserialised => {
            let retried = any(&|deliveries| {
                deliveries
                    .iter()
                    .filter(|delivery| delivery.is_attempt() && delivery.delivered())
                    .count()
                    >= 2
            });
            (!retried).then_some(Lacks::Retry)
        }
    }
}

/// The most attempts of one key that were open at one time, each with its whole
/// request sent and no byte of an answer received. What is not an attempt is
/// passed over.
pub fn overlap<'a>(exchanges: impl IntoIterator<Item = &'a Exchange>) -> usize {
    let mut spans: Vec<_> = exchanges
        .into_iter()
        .filter(|one| matches!(one.part, Part::Attempt(_)))
        .filter(|one| one.claim() != Claim::NothingSent)
        .filter_map(|one| Some((one.timing.last_out?, open_until(one))))
        .collect();
    spans.sort_unstable();
    spans
        .iter()
        .map(|(sent, _)| {
            spans
                .iter()
                .filter(|(other, until)| other <= sent && sent < until)
                .count()
        })
        .max()
        .unwrap_or(0)
}

/// Whether a cut or a reset was made where it was planned.
fn struck(fault: Fault, delivery: &Delivery<'_>, h: Option<Duration>) -> bool {
    match fault {
        Fault::CutRequest { .. } | Fault::CutResponse { .. } => delivery.exchange.fault_happened,
        Fault::Reset { after, .. } => {
            let before_h = match after {
                ResetPoint::RequestSent(Moment::PpmOfH(ppm)) => ppm < 1_000_000,
                ResetPoint::RequestSent(Moment::Us(us)) => {
                    h.is_some_and(|h| Duration::from_micros(us) < h)
                }
                ResetPoint::Answered => false,
            };
            delivery.exchange.fault_happened
                && !(before_h && delivery.exchange.timing.first_in.is_some())
        }
        Fault::None | Fault::DropResponse | Fault::Timeout { .. } => false,
    }
}

/// Whether a reset of a sweep was planned so late that the answer may have been
/// there, and it was: that is one side of the edge that the sweep looks for.
fn came_late(fault: Fault, delivery: &Delivery<'_>, h: Option<Duration>) -> bool {
    let (
        Fault::Reset {
            after: ResetPoint::RequestSent(moment),
            ..
        },
        Some(h),
    ) = (fault, h)
    else {
        return false;
    };
    let ns = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    delivery.exchange.timing.first_in.is_some() && is_at_the_edge(ns(moment.resolve(h)), ns(h))
}

/// Whether an offset of a sweep lies at the end of the work, or behind it: from
/// 80 % of H on. A second attempt need not find the first at work there; what it
/// finds in front of the end or right after it is what the sweep asks for.
fn is_at_the_edge(planned_ns: u64, h_ns: u64) -> bool {
    planned_ns.saturating_mul(10) >= h_ns.saturating_mul(8)
}

fn h_ns(view: &View<'_>, case: &Case) -> Option<u64> {
    view.h_us(case.scenario, case.operation)
        .map(|(p50, _)| p50.saturating_mul(1_000))
}

/// Whether an effect was still missing after the last byte of a second attempt
/// had left and came later: an asynchronous target answers before it works, and
/// its work then overlapped with the second attempt.
fn settled_late(
    trial: &TrialView<'_>,
    instance: usize,
    deliveries: &[Delivery<'_>],
    judged: &[Judged<'_>],
) -> bool {
    let Some(second) = deliveries
        .iter()
        .filter(|delivery| delivery.is_attempt() && delivery.delivered())
        .filter_map(|delivery| delivery.exchange.timing.last_out)
        .nth(1)
    else {
        return false;
    };
    let readings = |effect: usize| {
        trial.instances[instance]
            .observations
            .iter()
            .map(|seen| seen.item)
            .filter(move |observation| observation.effect == effect)
            .filter(|observation| observation.round != Round::Before)
    };
    judged
        .iter()
        .filter(|judged| judged.instance == instance && judged.value.is_some())
        .any(|judged| {
            let missing = |observation: &Observation| {
                matches!(&observation.reading, Ok(reading) if is_nothing(reading))
                    && second < observation.until
            };
            let there = |observation: &Observation| {
                matches!(&observation.reading, Ok(reading) if !is_nothing(reading))
            };
            let mut was_missing = false;
            // Closing retries come after the count, and would be the first to run
            // an operation that no attempt ran.
            readings(judged.effect)
                .filter(|observation| {
                    deliveries
                        .iter()
                        .filter(|delivery| delivery.is_closing())
                        .all(|closing| observation.since < closing.sent())
                })
                .any(|observation| {
                    was_missing |= missing(observation);
                    was_missing && there(observation)
                })
        })
}

fn is_nothing(reading: &Reading) -> bool {
    match reading {
        Reading::Count { n, .. } => *n == 0,
        Reading::Sum(sum) => *sum == 0.0,
        Reading::Value(value) => value.is_none(),
    }
}
