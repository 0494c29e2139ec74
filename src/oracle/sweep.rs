//! What a sweep shows along its axis: how the second attempt of each trial was
//! answered, and how long after the first it came. Judged by what happened, not by
//! what was planned.

use super::hearing::Hearing;
use super::power;
use super::verdict::{Point, Sweep};
use super::view::{Delivery, TrialView, View};
use crate::contract::Contract;
use crate::history::{History, Part};
use crate::plan::{Axis, Case, Observed, Plan, Seen, edge};

/// What the sweeps of a plan have shown so far: what [`crate::plan::refine`] goes by.
pub fn axes(plan: &Plan, history: &History) -> Vec<Axis> {
    let plan = history.carried_out(plan);
    let view = View::new(&plan, history);
    plan.cases
        .iter()
        .enumerate()
        .filter(|(_, case)| case.sweeps)
        .filter_map(|(index, case)| {
            let (h_us, _) = view.h_us(case.scenario, case.operation)?;
            Some(Axis {
                case: index,
                h_ns: h_us.saturating_mul(1_000),
                observed: view
                    .trials
                    .iter()
                    .filter(|trial| trial.case() == Some(index))
                    .filter_map(|trial| observe(&view, trial, case))
                    .collect(),
            })
        })
        .collect()
}

impl Hearing<'_, '_> {
    /// The axis of a sweep; `None` for any other case.
    pub(crate) fn sweep(&self, places: &[usize]) -> Option<Sweep> {
        if !self.case.sweeps {
            return None;
        }
        let view = self.court.view;
        let (h_us, _) = view.h_us(self.case.scenario, self.case.operation)?;
        let mut points: Vec<Point> = places
            .iter()
            .filter_map(|place| {
                let trial = &view.trials[*place];
                let deliveries = deliveries(view, trial, self.case)?;
                Some(Point {
                    observed: observe(view, trial, self.case)?,
                    planned_ns: planned_ns(&deliveries)?,
                    effects: self.court.judged[*place]
                        .iter()
                        .filter_map(|judged| judged.value)
                        .reduce(f64::max),
                })
            })
            .collect();
        points.sort_by_key(|point| (point.observed.offset_ns, point.observed.trial));
        let observed: Vec<Observed> = points.iter().map(|point| point.observed).collect();
        Some(Sweep {
            h_ns: h_us.saturating_mul(1_000),
            points,
            edge: edge(&observed),
        })
    }
}

fn deliveries<'a>(
    view: &View<'a>,
    trial: &TrialView<'a>,
    case: &Case,
) -> Option<Vec<Delivery<'a>>> {
    let scenario = view.scenario(case.scenario)?;
    trial
        .ran()
        .then(|| trial.deliveries(0, case.operation, &scenario.contract))
}

/// The first two attempts, where both were delivered.
fn first_two<'d, 'a>(
    deliveries: &'d [Delivery<'a>],
) -> Option<(&'d Delivery<'a>, &'d Delivery<'a>)> {
    let attempt = |number: u32| {
        deliveries
            .iter()
            .find(|one| one.exchange.part == Part::Attempt(number) && one.delivered())
    };
    Some((attempt(1)?, attempt(2)?))
}

/// How long after the first attempt the second was to leave, in nanoseconds.
pub(crate) fn planned_ns(deliveries: &[Delivery<'_>]) -> Option<u64> {
    let (first, second) = first_two(deliveries)?;
    let intended = |one: &Delivery<'_>| one.exchange.timing.intended;
    Some(intended(second).since(intended(first)))
}

fn observe(view: &View<'_>, trial: &TrialView<'_>, case: &Case) -> Option<Observed> {
    let scenario = view.scenario(case.scenario)?;
    let (h_us, _) = view.h_us(case.scenario, case.operation)?;
    let deliveries = deliveries(view, trial, case)?;
    let (first, second) = first_two(&deliveries)?;
    let left = |one: &Delivery<'_>| one.exchange.timing.last_out;
    Some(Observed {
        trial: trial.trial.id,
        offset_ns: left(second)?.since(left(first)?),
        seen: seen(
            first,
            second,
            &scenario.contract,
            h_us.saturating_mul(1_000),
        ),
        // Effects are not read yet while a sweep goes on.
        powered: power::lacks(view, trial, case, &[]).is_none(),
    })
}

/// How the second of two attempts was answered.
fn seen(first: &Delivery<'_>, second: &Delivery<'_>, contract: &Contract, h_ns: u64) -> Seen {
    let Some(answer) = second.answer() else {
        return Seen::Silent;
    };
    if !second.was_accepted() {
        return if contract.in_flight.statuses.contains(&answer.status) {
            Seen::InProgress
        } else if answer.status >= 500 {
            Seen::Failed
        } else {
            Seen::Refused
        };
    }
    if !first.was_accepted() {
        // What came of the first is not known. Work takes its time, a stored answer
        // does not.
        let marked = contract.replay_marker.as_ref().is_some_and(|marker| {
            answer
                .headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case(&marker.header))
        });
        let took = second
            .answered_at()
            .zip(second.exchange.timing.last_out)
            .map_or(0, |(answered, sent)| answered.since(sent));
        return if marked || took.saturating_mul(2) < h_ns {
            Seen::Replayed
        } else {
            Seen::Executed
        };
    }
    let differ =
        first.names_a_result() && second.names_a_result() && !second.names_the_result_of(first);
    if differ {
        Seen::Executed
    } else if first.precedes(second) || second.answered_at() < first.answered_at() {
        Seen::Replayed
    } else {
        Seen::Waited
    }
}
