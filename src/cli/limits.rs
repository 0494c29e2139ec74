//! How much a run may do: the strictest of project, flags and scenarios wins
//! (`language.md` sections 12 and 14). The built-in caps stand in where the
//! project has none, and a flag may raise those, never the project's.

use super::args::{How, Safety};
use super::exit_code::Exit;
use super::failure::Failure;
use crate::codes::Diagnosis;
use crate::engine::Caps;
use crate::plan::{Plan, Role};
use crate::scenario::{self, Budget, Diagnostic, Loaded};
use std::time::Duration;

/// Requests that are sent where nobody says otherwise.
const REQUESTS: u64 = 100_000;
/// Requests a second to hosts other than loopback where nobody says otherwise.
const RATE_ELSEWHERE: f64 = 200.0;
/// The time that a run takes where nobody says otherwise.
const TIME: Duration = Duration::from_mins(10);

/// What holds for a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limits {
    /// The most requests.
    pub(crate) requests: u64,
    /// The most requests a second to loopback; `None` is no limit.
    pub(crate) rate_loopback: Option<f64>,
    /// The most requests a second to other hosts; `None` is no limit.
    pub(crate) rate_elsewhere: Option<f64>,
    /// The most time.
    pub(crate) time: Duration,
    /// The most trials in flight; `None` leaves it to the engine.
    pub(crate) jobs: Option<u32>,
}

impl Limits {
    /// What holds, and what of the flags was cut down to the project's limits.
    pub(crate) fn settle<'a>(
        project: &scenario::Limits,
        how: &How,
        safety: &Safety,
        budgets: impl Iterator<Item = &'a Budget> + Clone,
    ) -> (Self, Vec<Diagnostic>) {
        let mut warnings = Vec::new();
        let mut cut = |flag: &str, above: bool| {
            if above {
                warnings.push(
                    Diagnostic::warning(
                        Diagnosis::OverLimit,
                        format!("{flag} asks for more than `limits` in the project file allow"),
                    )
                    .note("the project's limit holds; a flag never raises it"),
                );
            }
        };
        let above = |flag: Option<f64>, limit: Option<f64>| matches!((flag, limit), (Some(flag), Some(limit)) if flag > limit);
        cut(
            "--max-requests",
            matches!((safety.max_requests, project.requests), (Some(flag), Some(limit)) if flag > limit),
        );
        cut("--rate", above(how.rate, project.rate));
        cut(
            "--time",
            matches!((how.time, project.time), (Some(flag), Some(limit)) if flag > limit),
        );

        let rates = [how.rate, project.rate]
            .into_iter()
            .flatten()
            .chain(budgets.clone().filter_map(|budget| budget.rate));
        let rate = rates.reduce(f64::min);
        // A scenario only lowers, so the built-in cap stays above its wish.
        let capped = how.rate.or(project.rate).is_none();
        let elsewhere = match rate {
            Some(rate) if capped => rate.min(RATE_ELSEWHERE),
            Some(rate) => rate,
            None => RATE_ELSEWHERE,
        };
        let times = [how.time, project.time].into_iter().flatten().min();
        let time = budgets
            .clone()
            .filter_map(|budget| budget.time)
            .chain([times.unwrap_or(TIME)])
            .min()
            .unwrap_or(TIME);
        let limits = Self {
            requests: [safety.max_requests, project.requests]
                .into_iter()
                .flatten()
                .min()
                .unwrap_or(REQUESTS),
            rate_loopback: rate,
            rate_elsewhere: Some(elsewhere),
            time,
            jobs: budgets
                .filter_map(|budget| budget.concurrency)
                .chain(how.jobs)
                .min(),
        };
        (limits, warnings)
    }

    /// What holds where no flag says anything.
    pub(crate) fn of_files(loaded: &Loaded) -> Self {
        let budgets = loaded.scenarios.iter().map(|scenario| &scenario.budget);
        let limits = &loaded.project.limits;
        Self::settle(limits, &How::default(), &Safety::default(), budgets).0
    }

    /// Refuses a plan that is sure to send more than is allowed.
    pub(crate) fn admit(&self, plan: &Plan) -> Result<(), Failure> {
        let least = least_requests(plan);
        if least <= self.requests {
            return Ok(());
        }
        Err(Failure::because(
            Diagnostic::error(
                Diagnosis::OverLimit,
                format!(
                    "the plan sends at least {least} requests, and {} are allowed",
                    self.requests
                ),
            )
            .note("nothing was sent")
            .help(
                "plan fewer with --trials or --case, or raise the cap with --max-requests\n\
             (or `limits.requests` in retrial.yaml, which no flag raises)",
            ),
            Exit::Refused,
        ))
    }

    /// What the engine is told: loopback has no limit of its own.
    pub(crate) fn caps(&self, only_loopback: bool) -> Caps {
        Caps {
            requests: self.requests,
            rate: if only_loopback {
                self.rate_loopback
            } else {
                self.rate_elsewhere
            },
            time: self.time,
        }
    }
}

/// The requests that a plan sends if nothing has to be repeated: attempts, the
/// other operations of a flow, one closing retry and one reading of each effect.
fn least_requests(plan: &Plan) -> u64 {
    plan.trials
        .iter()
        .map(|trial| {
            let scenario = &plan.scenarios[trial.scenario];
            let closing = usize::from(matches!(trial.role, Role::Case(_)));
            let readings = match trial.role {
                Role::WarmUp => 0,
                Role::Control(_) | Role::Case(_) => scenario.effects.len(),
            };
            let others = scenario.operations.len().saturating_sub(1);
            let each = closing + readings + others;
            (trial.attempts.len() + trial.instances.len() * each) as u64
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(project: &scenario::Limits, how: &How, budgets: &[Budget]) -> (Limits, usize) {
        let (limits, warnings) = Limits::settle(project, how, &Safety::default(), budgets.iter());
        (limits, warnings.len())
    }

    #[test]
    fn a_flag_raises_the_built_in_caps_but_not_the_projects() {
        let how = How {
            time: Some(Duration::from_hours(1)),
            rate: Some(1000.0),
            ..How::default()
        };
        let (limits, warnings) = settle(&scenario::Limits::default(), &how, &[]);
        assert_eq!(limits.time, Duration::from_hours(1));
        assert_eq!(limits.rate_elsewhere, Some(1000.0));
        assert_eq!(warnings, 0);

        let project = scenario::Limits {
            time: Some(Duration::from_mins(1)),
            rate: Some(100.0),
            requests: None,
        };
        let (limits, warnings) = settle(&project, &how, &[]);
        assert_eq!(limits.time, Duration::from_mins(1));
        assert_eq!(limits.rate_elsewhere, Some(100.0));
        assert_eq!(warnings, 2);
    }

    #[test]
    fn a_scenario_only_lowers() {
        let greedy = Budget {
            time: Some(Duration::from_hours(2)),
            rate: Some(5000.0),
            ..Budget::default()
        };
        let (limits, _) = settle(&scenario::Limits::default(), &How::default(), &[greedy]);
        assert_eq!(limits.time, TIME);
        assert_eq!(limits.rate_elsewhere, Some(RATE_ELSEWHERE));
        let modest = Budget {
            time: Some(Duration::from_secs(5)),
            rate: Some(10.0),
            concurrency: Some(2),
            ..Budget::default()
        };
        let how = How {
            jobs: Some(8),
            ..How::default()
        };
        let (limits, _) = settle(&scenario::Limits::default(), &how, &[modest]);
        assert_eq!(limits.time, Duration::from_secs(5));
        assert_eq!(limits.rate_loopback, Some(10.0));
        assert_eq!(limits.jobs, Some(2));
    }

    #[test]
    fn loopback_has_no_rate_of_its_own() {
        let (limits, _) = settle(&scenario::Limits::default(), &How::default(), &[]);
        assert_eq!(limits.rate_loopback, None);
        assert_eq!(limits.rate_elsewhere, Some(200.0));
        assert_eq!(limits.requests, 100_000);
    }
}
