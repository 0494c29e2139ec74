//! Whose latency it is: first execution, replay, refused, held, closing
//! (`retry-safety.md` section 4.6, `language.md` section 2).
//!
//! Latency is measured from the intended release, so that a client that fell
//! behind does not flatter the target. What cannot be told apart belongs to no
//! population: after an attempt without an answer, a success may be the first
//! execution as well as a replay of it.

use super::EventIndex;
use super::view::{Delivery, View};
use crate::contract::Outcome;
use crate::history::History;
use crate::plan::{Control, Plan, Population, Role, TrialId};

/// One latency and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The exchange.
    pub event: EventIndex,
    /// Its trial.
    pub trial: TrialId,
    /// Index of the trial's case in the plan; `None` for a control.
    pub case: Option<usize>,
    /// Index of the scenario in the plan.
    pub scenario: usize,
    /// Index of the operation in the scenario.
    pub operation: usize,
    /// Whose latency.
    pub population: Population,
    /// From the intended release to the last byte of the answer.
    pub latency_ns: u64,
}

/// All latencies of a run that belong to a population: of the operation under
/// the pattern in the trials of cases, and of the controls. Warm-up is left out, and so are clients
/// that go away.
pub fn samples(plan: &Plan, history: &History) -> Vec<Sample> {
    of_view(&View::new(&history.carried_out(plan), history))
}

pub(crate) fn of_view(view: &View<'_>) -> Vec<Sample> {
    let mut samples = Vec::new();
    for trial in view.trials.iter().filter(|trial| trial.ran()) {
        let planned = trial.trial;
        let Some(scenario) = view.scenario(planned.scenario) else {
            continue;
        };
        match planned.role {
            Role::WarmUp | Role::Control(Control::ClientGone) => continue,
            Role::Control(Control::One | Control::Two | Control::Ten) | Role::Case(_) => {}
        }
        for instance in 0..trial.instances.len() {
            let deliveries = trial.deliveries(instance, planned.operation, &scenario.contract);
            for (event, population, latency_ns) in classify(&deliveries) {
                samples.push(Sample {
                    event,
                    trial: planned.id,
                    case: trial.case(),
                    scenario: planned.scenario,
                    operation: planned.operation,
                    population,
                    latency_ns,
                });
            }
        }
    }
    samples
}

/// The populations of the exchanges of one key, which are in order of sending.
pub(crate) fn classify(deliveries: &[Delivery<'_>]) -> Vec<(EventIndex, Population, u64)> {
    let winner = deliveries
        .iter()
        .filter(|one| one.is_ok() && !one.is_closing())
        .min_by_key(|one| (one.answered_at(), one.event));
    deliveries
        .iter()
        .filter_map(|one| {
            let answered = one.answered_at()?;
            let population = population(one, winner, deliveries)?;
            let latency_ns = answered.since(one.exchange.timing.intended);
            Some((one.event, population, latency_ns))
        })
        .collect()
}

fn population(
    one: &Delivery<'_>,
    winner: Option<&Delivery<'_>>,
    all: &[Delivery<'_>],
) -> Option<Population> {
    if one.is_closing() {
        return Some(Population::Closing);
    }
    match one.outcome {
        Outcome::Unknown => None,
        Outcome::Rejected => {
            let duplicate = all
                .iter()
                .any(|other| other.event != one.event && other.delivered() && !other.is_closing());
            duplicate.then_some(Population::Refused)
        }
        Outcome::Ok => {
            let winner = winner?;
            if winner.event == one.event {
                // An attempt whose end nobody knows may be the one that did the
                // work.
                let alone = all.iter().all(|other| {
                    other.event == one.event
                        || other.outcome != Outcome::Unknown
                        || other.sent() > one.sent()
                });
                alone.then_some(Population::First)
            } else if winner.precedes(one) {
                Some(Population::Replay)
            } else {
                Some(Population::Held)
            }
        }
    }
}
