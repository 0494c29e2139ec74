//! Why a case could not be judged, each reason with the facts and with what would
//! make it conclusive.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::apart;
use super::hearing::{Docket, Hearing};
use super::power::{self, Lacks};
use super::replay::Open;
use super::verdict::Ground;
use super::view::Fate;
use super::words;
use crate::codes::Reason;
use crate::history::{SkipReason, Stage};
use crate::plan::{Kind, TrialId};

/// A failed step: in which trials, and what was wrong with it.
type Failed<'a> = (BTreeSet<Option<TrialId>>, &'a str);

impl Hearing<'_, '_> {
    /// All of them, those that make an error of the case first.
    pub(crate) fn grounds(&self, docket: &Docket, planned: u32, accused: bool) -> Vec<Ground> {
        let mut grounds = self.controls.told.grounds.clone();
        let here = |reason, message: String| Ground {
            reason,
            message,
            effect: None,
            line: Some(self.case.place.line),
        };
        if !self.controls.refused.is_empty() && self.case.pattern.kind.overlaps() {
            grounds.push(here(
                Reason::ControlMismatch,
                "operations with keys of their own are refused when they arrive together, so \
                 refused duplicates prove nothing"
                    .to_owned(),
            ));
        }
        grounds.extend(self.step_grounds(planned));
        grounds.extend(self.unclear_grounds(docket));
        grounds.extend(self.open_grounds(docket, accused));
        grounds.extend(
            self.court
                .thresholds
                .undecided
                .get(&self.index)
                .into_iter()
                .flatten()
                .cloned(),
        );
        if let Some(message) = self.interruption(docket, planned) {
            grounds.push(here(Reason::Interrupted, message));
        }
        if grounds.is_empty() && !accused {
            let lacking = self.lack_of_power(docket, planned);
            grounds.extend(lacking.map(|(reason, message)| here(reason, message)));
        }
        grounds.sort_by(|a, b| {
            (!a.reason.is_error(), a.reason, a.effect).cmp(&(
                !b.reason.is_error(),
                b.reason,
                b.effect,
            ))
        });
        grounds.dedup();
        grounds
    }

    /// Steps that did not work, of the scenario or of this case's trials.
    fn step_grounds(&self, planned: u32) -> Vec<Ground> {
        let view = self.court.view;
        let mut failed: BTreeMap<(u8, usize), Failed<'_>> = BTreeMap::new();
        for step in &view.failed_steps {
            let concerns = step.scenario == self.case.scenario
                && match step.trial.and_then(|id| self.court.places.get(&id)) {
                    Some(place) => view.trials[*place].case() == Some(self.index),
                    None => true,
                };
            let list = match step.stage {
                Stage::Setup => 0,
                Stage::Before => 1,
                // It belongs to no case.
                Stage::Cleanup => continue,
            };
            if concerns {
                let entry = failed
                    .entry((list, step.step))
                    .or_insert((BTreeSet::new(), step.what));
                entry.0.insert(step.trial);
            }
        }
        let mut grounds: Vec<Ground> = failed
            .into_iter()
            .map(|((list, index), (trials, what))| {
                let steps = if list == 0 {
                    &self.scenario.setup
                } else {
                    &self.case.before
                };
                let step = steps.get(index);
                let name = step.map_or("a step", |step| step.name.as_str());
                let how_many = if trials.contains(&None) {
                    String::new()
                } else {
                    format!(" in {}", words::of_trials(trials.len(), planned))
                };
                Ground {
                    reason: Reason::SetupFailed,
                    message: format!("`{name}` failed{how_many}: {what}"),
                    effect: None,
                    line: step.map(|step| step.place.line),
                }
            })
            .collect();
        if grounds.is_empty() {
            grounds.extend(self.skipped_grounds(planned));
        }
        grounds
    }

    fn skipped_grounds(&self, planned: u32) -> Vec<Ground> {
        let setup = self.skipped(&SkipReason::Setup);
        let unreachable = self.skipped(&SkipReason::Unreachable);
        [
            (
                setup,
                Reason::SetupFailed,
                "were left out, since their set-up failed",
            ),
            (
                unreachable,
                Reason::TargetUnreachable,
                "were left out, since the target could not be reached",
            ),
        ]
        .into_iter()
        .filter(|(n, ..)| *n > 0)
        .map(|(n, reason, what)| Ground {
            reason,
            message: format!("{} {what}", words::of_trials(n, planned)),
            effect: None,
            line: Some(self.case.place.line),
        })
        .collect()
    }

    fn skipped(&self, reason: &SkipReason) -> usize {
        self.court.trials[self.index]
            .iter()
            .filter(|place| self.court.view.trials[**place].fate == Fate::Skipped(reason))
            .count()
    }

    fn unclear_grounds(&self, docket: &Docket) -> Vec<Ground> {
        docket
            .unclear
            .iter()
            .map(|((reason, effect), (trials, what))| {
                let planned = effect.and_then(|effect| self.scenario.effects.get(effect));
                let name = planned.map_or("an effect", |effect| effect.name.as_str());
                let within = planned.map_or(Duration::ZERO, |effect| effect.within);
                let how_many = words::of_trials(trials.len(), docket.run);
                let message = if *reason == Reason::NotSettled {
                    let within = words::duration(within);
                    format!("`{name}` {what} after {within} in {how_many}; raise `within`")
                } else if *reason == Reason::Interrupted {
                    format!("the run was interrupted before `{name}` was read in {how_many}")
                } else {
                    format!("`{name}` {what} (in {how_many})")
                };
                Ground {
                    reason: *reason,
                    message,
                    effect: *effect,
                    line: planned.map(|effect| {
                        if *reason == Reason::ProbeUnreadable {
                            effect.probe_line
                        } else {
                            effect.place.line
                        }
                    }),
                }
            })
            .collect()
    }

    fn open_grounds(&self, docket: &Docket, accused: bool) -> Vec<Ground> {
        let line = Some(self.case.place.line);
        [Open::InProgress, Open::ServerErrors, Open::Silence]
            .into_iter()
            .filter_map(|open| Some((open, docket.open.get(&open)?)))
            .filter_map(|(open, trials)| {
                let how_many = words::of_trials(trials.len(), docket.run);
                let (reason, message) = match open {
                    Open::InProgress => (
                        Reason::NotSettled,
                        format!(
                            "the key still answered in progress at the last closing retry in \
                             {how_many}, sooner than a key counts as stuck"
                        ),
                    ),
                    // Something else has been proved: the open end adds nothing.
                    Open::ServerErrors | Open::Silence if accused => return None,
                    Open::ServerErrors => (
                        Reason::IndeterminateFinal,
                        format!(
                            "every closing retry was answered with a server error in {how_many}: \
                             that says neither yes nor no"
                        ),
                    ),
                    Open::Silence => (
                        Reason::TargetUnreachable,
                        format!("no closing retry was answered in {how_many}"),
                    ),
                };
                Some(Ground {
                    reason,
                    message,
                    effect: None,
                    line,
                })
            })
            .collect()
    }

    /// Why the case is not through, if the run ended before.
    fn interruption(&self, docket: &Docket, planned: u32) -> Option<String> {
        let view = self.court.view;
        let absent = self.court.trials[self.index]
            .iter()
            .filter(|place| match view.trials[**place].fate {
                Fate::Skipped(SkipReason::Interrupted) => true,
                Fate::Absent => view.interrupted.is_some() || !view.finished,
                Fate::Ran | Fate::Void | Fate::Skipped(_) => false,
            })
            .count();
        let unclosed = view.interrupted.is_some() && docket.unclosed > 0;
        (absent > 0 || unclosed).then(|| {
            let what = match view.interrupted {
                Some(_) => "the run was interrupted",
                None => "the record ends",
            };
            let ran = words::of_trials(docket.run as usize, planned);
            format!("{what} when {ran} had run; run it again")
        })
    }

    /// Why a case that shows nothing is no pass.
    fn lack_of_power(&self, docket: &Docket, planned: u32) -> Option<(Reason, String)> {
        let needed = power::needed(planned);
        let deterministic = matches!(
            self.case.pattern.kind,
            Kind::ChangedHeaders | Kind::Reserialised
        );
        if docket.powered >= needed {
            return None;
        }
        if docket.run < needed && !(deterministic && docket.run > 0) {
            let why = if self.skipped(&SkipReason::FailFast) > 0 {
                "the run stopped early"
            } else if self.skipped(&SkipReason::Requests) > 0 {
                "the budget of requests ran out"
            } else if self.skipped(&SkipReason::Time) > 0 {
                "the budget of time ran out"
            } else {
                "the case ended"
            };
            let ran = words::of_trials(docket.run as usize, planned);
            return Some((
                Reason::TooFewTrials,
                format!("{why} when {ran} had run, and {needed} must; raise the budget"),
            ));
        }
        if deterministic && docket.powered > 0 && docket.lacking.is_empty() {
            return None;
        }
        let (lacks, n) = docket
            .lacking
            .iter()
            .max_by_key(|(_, n)| **n)
            .map(|(lacks, n)| (*lacks, *n))?;
        let how_many = words::of_trials(n as usize, docket.run);
        Some(match lacks {
            Lacks::Overlap => {
                let apart = docket.apart.words();
                let operation = (self.case.scenario, self.case.operation);
                let few = apart::at_a_time(self.court.view, operation)
                    .map_or_else(String::new, |few| format!("; {}", few.words()));
                (
                    Reason::NoOverlap,
                    format!("{how_many} did not overlap, and {needed} must: {apart}{few}"),
                )
            }
            Lacks::Fault => (
                Reason::NoOverlap,
                format!(
                    "in {how_many} the connection was not ended where it was planned, and in \
                     {needed} it must be; make the operation slower, or run more trials"
                ),
            ),
            Lacks::Retry => (
                Reason::NoOverlap,
                format!("in {how_many} fewer than two attempts reached the target"),
            ),
            Lacks::Reach => (
                Reason::TargetUnreachable,
                format!("in {how_many} nothing could be sent to the target"),
            ),
            Lacks::Acceptance => {
                let statuses: Vec<String> = docket
                    .statuses
                    .iter()
                    .map(|(status, n)| format!("{status} ×{n}"))
                    .collect();
                (
                    Reason::ControlMismatch,
                    format!(
                        "in {how_many} no attempt was accepted ({}), although clean operations \
                         were: nothing was tried that could go wrong",
                        words::list(&statuses)
                    ),
                )
            }
        })
    }
}
