//! The control trials: whether the verification can see one effect, two and ten,
//! and whether operations with different keys leave each other alone
//! (`retry-safety.md` section 2.0, `language.md` section 14, *Trials*).
//!
//! What is wrong with the controls never accuses the target, with one exception:
//! `unrelated-keys-refused` is their own finding.

use std::collections::BTreeMap;

use super::EventIndex;
use super::effects::{Judged, State, number};
use super::gone;
use super::verdict::{ControlJudgement, Ground};
use super::view::{Delivery, TrialView, View};
use crate::codes::Reason;
use crate::contract::Outcome;
use crate::history::{Round, Settled};
use crate::plan::{Control, Expectation, PlannedScenario, Role, TrialId};

/// Statuses that say "locked" or "in progress" to a key that nobody used.
const LOCKED: [u16; 4] = [409, 423, 425, 429];

/// What the controls of one operation say about everything else of it.
pub(crate) struct Controls {
    /// For the report.
    pub(crate) told: ControlJudgement,
    /// For each effect of the scenario: what may be said of it.
    pub(crate) effects: Vec<Sight>,
    /// Operations with keys of their own that were refused, if enough were.
    pub(crate) refused: Vec<Refusal>,
    /// How many operations were at once in those controls.
    pub(crate) at_once: u32,
    /// 5xx answers to first executions, of so many.
    pub(crate) failures: (u64, u64),
    /// Invariants that one clean operation breaks, by index.
    pub(crate) broken: Vec<usize>,
}

/// What may be said of an effect.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sight {
    /// The probe saw nothing: a lack proves nothing.
    pub(crate) blind: bool,
    /// One clean operation shows another number already.
    pub(crate) mismatch: bool,
    /// The count moves without us.
    pub(crate) noisy: bool,
    /// How long it took to become visible after the answer, in nanoseconds.
    pub(crate) visible_after: u64,
}

impl Sight {
    /// Whether an excess of the effect accuses the target.
    pub(crate) fn shows_excess(self) -> bool {
        !self.mismatch && !self.noisy
    }

    /// Whether a lack of the effect accuses the target.
    pub(crate) fn shows_lack(self) -> bool {
        self.shows_excess() && !self.blind
    }
}

/// An operation with a key of its own that was refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal {
    pub(crate) trial: TrialId,
    pub(crate) instance: usize,
    pub(crate) event: EventIndex,
    pub(crate) status: u16,
}

/// The controls of every operation that has some, or that a case needs.
pub(crate) fn controls(
    view: &View<'_>,
    judged: &[Vec<Judged<'_>>],
) -> BTreeMap<(usize, usize), Controls> {
    let noisy = moved_without_us(view, judged);
    let mut places: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for case in &view.plan.cases {
        places.entry((case.scenario, case.operation)).or_default();
    }
    for (place, trial) in view.trials.iter().enumerate() {
        if trial.is_clean_control() {
            let operation = (trial.trial.scenario, trial.trial.operation);
            places.entry(operation).or_default().push(place);
        }
    }
    places
        .into_iter()
        .filter_map(|(operation, places)| {
            let scenario = view.scenario(operation.0)?;
            let look = Look {
                view,
                scenario,
                operation,
                trials: places
                    .iter()
                    .map(|place| &view.trials[*place])
                    .zip(places.iter().map(|place| judged[*place].as_slice()))
                    .filter(|(trial, _)| trial.ran())
                    .collect(),
            };
            let moved = |effect: usize| noisy.contains(&(operation.0, effect));
            let mut controls = look.controls(&moved);
            controls.told.client_gone =
                gone::calibration(view, judged, scenario, operation, &controls.effects);
            Some((operation, controls))
        })
        .collect()
}

/// The controls of one operation while they are looked at.
struct Look<'a, 'b> {
    view: &'b View<'a>,
    scenario: &'a PlannedScenario,
    operation: (usize, usize),
    trials: Vec<(&'b TrialView<'a>, &'b [Judged<'a>])>,
}

impl<'a> Look<'a, '_> {
    fn controls(&self, moved: &dyn Fn(usize) -> bool) -> Controls {
        let mut grounds = Vec::new();
        let answered = self.clean_operations();
        grounds.extend(self.reached(&answered));
        let mut effects = vec![Sight::default(); self.scenario.effects.len()];
        let same_result = self.two_keys_gave_one_result();
        for (index, sight) in effects.iter_mut().enumerate() {
            let (seen, ground) = self.sight(index, moved(index));
            *sight = seen;
            // Where no clean operation worked there is one ground, not many.
            if grounds.is_empty() {
                grounds.extend(ground);
            }
        }
        if let Some(ground) = same_result {
            for sight in &mut effects {
                sight.blind = true;
            }
            grounds.push(ground);
        }
        let broken = self.broken_invariants();
        grounds.extend(broken.iter().map(|index| {
            let invariant = &self.scenario.invariants[*index];
            Ground {
                reason: Reason::ControlMismatch,
                message: format!(
                    "`{}` does not hold after one clean operation; correct the invariant",
                    invariant.expression
                ),
                effect: None,
                line: Some(invariant.place.line),
            }
        }));
        let (refused, at_once) = self.refused(&answered);
        let failures = answered
            .iter()
            .filter(|delivery| delivery.status().is_some_and(|status| status >= 500))
            .count();
        Controls {
            told: ControlJudgement {
                scenario: self.operation.0,
                operation: self.operation.1,
                saw: [Control::One, Control::Two, Control::Ten].map(|control| self.saw(control)),
                trials: size(self.trials.len()),
                attempts: size(answered.len()),
                h_us: self.view.h_us(self.operation.0, self.operation.1),
                client_gone: None,
                grounds,
            },
            effects,
            refused,
            at_once,
            failures: (failures as u64, answered.len() as u64),
            broken,
        }
    }

    fn deliveries(&self, trial: &TrialView<'a>, instance: usize) -> Vec<Delivery<'a>> {
        trial.deliveries(instance, self.operation.1, &self.scenario.contract)
    }

    /// The clean runs of the operation itself.
    fn clean_operations(&self) -> Vec<Delivery<'a>> {
        self.trials
            .iter()
            .flat_map(|(trial, _)| {
                (0..trial.instances.len()).flat_map(|instance| self.deliveries(trial, instance))
            })
            .collect()
    }

    /// Why no clean operation was accepted, if none was.
    fn reached(&self, answered: &[Delivery<'_>]) -> Option<Ground> {
        let (reason, message) = if self.trials.is_empty() {
            (
                Reason::BlindProbe,
                "no control trial ran, so nothing shows that the probes can see an effect"
                    .to_owned(),
            )
        } else if answered.iter().any(Delivery::was_accepted) {
            return None;
        } else if !answered.iter().any(Delivery::delivered) {
            (
                Reason::TargetUnreachable,
                "nothing could be sent to the target: no clean operation reached it".to_owned(),
            )
        } else {
            let statuses = super::words::statuses(answered);
            (
                Reason::TargetUnreachable,
                format!(
                    "no clean operation was accepted ({statuses}); \
                     the request has to work once before its retries can be tried"
                ),
            )
        };
        Some(Ground {
            reason,
            message,
            effect: None,
            line: Some(self.scenario.operations.get(self.operation.1)?.place.line),
        })
    }

    /// What the controls say of one effect.
    fn sight(&self, index: usize, moved: bool) -> (Sight, Option<Ground>) {
        let effect = &self.scenario.effects[index];
        let all: Vec<&Judged<'_>> = self
            .trials
            .iter()
            .flat_map(|(_, judged)| judged.iter())
            .filter(|judged| judged.effect == index)
            .collect();
        let mut tally = Tally::default();
        for judged in &all {
            tally.take(judged);
        }
        let mut sight = Sight {
            visible_after: self.visible_after(index),
            ..Sight::default()
        };
        let name = &effect.name;
        let expects_something = match &effect.expectation {
            Expectation::Once
            | Expectation::Equals(_)
            | Expectation::Matches(_)
            | Expectation::OneOf(_) => true,
            Expectation::Number(_) => all.iter().any(|one| one.each.is_some_and(|n| n != 0.0)),
            Expectation::Never | Expectation::AtMostOnce => false,
            Expectation::Between { min, .. } => min.is_some_and(|min| min > 0.0),
        };
        let (reason, message) = if tally.excess > 0 && !effect.marked && tally.right > 0 || moved {
            sight.noisy = true;
            (
                Reason::NoisyTarget,
                format!(
                    "`{name}` moved without us, so an excess of it proves nothing; \
                     give its probe a marker, or use a target that nobody else uses"
                ),
            )
        } else if let Some(seen) = tally.most {
            sight.mismatch = true;
            (
                Reason::ControlMismatch,
                format!(
                    "one clean operation already shows `{name}` as {}; \
                     correct what is expected, or the probe",
                    super::words::number(seen)
                ),
            )
        } else if expects_something && tally.right > 0 && self.two_show_as_one(index) {
            sight.blind = true;
            (
                Reason::BlindProbe,
                format!(
                    "`{name}` shows two operations as one, so one effect proves nothing; give its \
                     probe and the request a marker"
                ),
            )
        } else if !expects_something
            || tally.right > 0
            || tally.lacking + tally.unread + tally.unseen == 0
        {
            return (sight, None);
        } else if let Some(unreadable) = tally.unreadable.filter(|_| tally.lacking == 0) {
            sight.blind = true;
            return (
                sight,
                Some(Ground {
                    reason: Reason::ProbeUnreadable,
                    message: format!("`{name}` {unreadable}"),
                    effect: Some(index),
                    line: Some(effect.probe_line),
                }),
            );
        } else if tally.lacking == 0 || tally.nothing == tally.lacking {
            sight.blind = true;
            (
                Reason::BlindProbe,
                format!(
                    "no control trial saw `{name}`, although clean operations were accepted; \
                     check the probe and its path with `retrial check --online`"
                ),
            )
        } else {
            sight.mismatch = true;
            (
                Reason::ControlMismatch,
                format!(
                    "one clean operation shows another `{name}` than expected; \
                     correct what is expected, or the probe"
                ),
            )
        };
        let ground = Ground {
            reason,
            message,
            effect: Some(index),
            line: Some(effect.place.line),
        };
        (sight, Some(ground))
    }

    /// The longest time from an answer to the first reading that showed the effect.
    fn visible_after(&self, index: usize) -> u64 {
        self.trials
            .iter()
            .flat_map(|(trial, _)| &trial.instances)
            .filter_map(|instance| {
                let ended = instance
                    .exchanges
                    .iter()
                    .map(|seen| seen.item.timing.ended)
                    .max()?;
                let first = instance
                    .observations
                    .iter()
                    .map(|seen| seen.item)
                    .filter(|one| one.effect == index && one.round == Round::Final)
                    .find(|one| number(one).is_some_and(|n| n != 0.0))?;
                Some(first.since.since(ended))
            })
            .max()
            .unwrap_or(0)
    }

    /// Two operations with different keys that were answered with one result: the
    /// target tells them apart by what they say, not by their keys, and "one
    /// effect" proves nothing.
    fn two_keys_gave_one_result(&self) -> Option<Ground> {
        let two = self
            .trials
            .iter()
            .filter(|(trial, _)| is(trial, Control::Two));
        let mut pairs = 0;
        for (trial, _) in two {
            let oks: Vec<_> = (0..trial.instances.len())
                .filter_map(|instance| {
                    self.deliveries(trial, instance)
                        .into_iter()
                        .find(|delivery| delivery.is_ok() && delivery.names_a_result())
                })
                .collect();
            let [first, second] = oks.as_slice() else {
                continue;
            };
            if !first.names_the_result_of(second) {
                return None;
            }
            pairs += 1;
        }
        (pairs > 0).then(|| Ground {
            reason: Reason::BlindProbe,
            message: "two operations with different keys were answered with one result: the \
                      target does not tell them apart, so one effect proves nothing; put \
                      `${{ marker }}` into the request"
                .to_owned(),
            effect: None,
            line: self
                .scenario
                .operations
                .get(self.operation.1)
                .map(|operation| operation.place.line),
        })
    }

    /// Whether all controls with several operations that were accepted show the
    /// effect of one.
    fn two_show_as_one(&self, index: usize) -> bool {
        let mut several = self
            .trials
            .iter()
            .filter(|(trial, _)| is(trial, Control::Two) || is(trial, Control::Ten))
            .filter(|(trial, _)| {
                (0..trial.instances.len())
                    .filter(|instance| {
                        self.deliveries(trial, *instance)
                            .iter()
                            .any(Delivery::is_ok)
                    })
                    .count()
                    >= 2
            })
            .map(|(_, judged)| {
                judged
                    .iter()
                    .filter(|one| one.effect == index)
                    .map(|one| Some(one.value? / one.each.filter(|each| *each != 0.0)?))
                    .sum::<Option<f64>>()
            })
            .peekable();
        several.peek().is_some() && several.all(|sum| sum.is_some_and(|sum| sum <= 1.0))
    }

    fn broken_invariants(&self) -> Vec<usize> {
        let mut broken: Vec<usize> = self
            .trials
            .iter()
            .flat_map(|(trial, judged)| {
                (0..trial.instances.len()).flat_map(|instance| {
                    super::invariant::of_instance(self.scenario, trial, judged, instance)
                })
            })
            .map(|found| found.invariant)
            .collect();
        broken.sort_unstable();
        broken.dedup();
        broken
    }

    /// Operations of the control with ten that were refused as if their keys were
    /// in use. One alone may be chance.
    fn refused(&self, answered: &[Delivery<'_>]) -> (Vec<Refusal>, u32) {
        if !answered.iter().any(Delivery::is_ok) {
            return (Vec::new(), 0);
        }
        let mut refused = Vec::new();
        let mut at_once = 0;
        for (trial, _) in self
            .trials
            .iter()
            .filter(|(trial, _)| is(trial, Control::Ten))
        {
            at_once = at_once.max(size(trial.instances.len()));
            for instance in 0..trial.instances.len() {
                let [delivery] = self.deliveries(trial, instance)[..] else {
                    // The key was sent more than once: its refusal may be right.
                    continue;
                };
                let locked = delivery.outcome == Outcome::Rejected
                    && !delivery.sheds_load()
                    && !delivery.names_a_result();
                if let Some(status) = delivery.status().filter(|s| locked && LOCKED.contains(s)) {
                    refused.push(Refusal {
                        trial: trial.trial.id,
                        instance,
                        event: delivery.event,
                        status,
                    });
                }
            }
        }
        if refused.len() < 2 {
            refused.clear();
        }
        (refused, at_once)
    }

    /// The smallest number over all effects that expect one for each operation.
    fn saw(&self, control: Control) -> Option<u32> {
        let ones = |effect: usize| {
            matches!(self.scenario.effects[effect].expectation, Expectation::Once)
                || self.trials.iter().any(|(_, judged)| {
                    judged
                        .iter()
                        .any(|judged| judged.effect == effect && judged.each == Some(1.0))
                })
        };
        let mut least: Option<f64> = None;
        for (trial, judged) in &self.trials {
            if !is(trial, control) {
                continue;
            }
            for effect in (0..self.scenario.effects.len()).filter(|effect| ones(*effect)) {
                let mut values = judged
                    .iter()
                    .filter(|judged| judged.effect == effect)
                    .map(|judged| judged.value.map(|value| value / judged.each.unwrap_or(1.0)))
                    .peekable();
                if values.peek().is_none() {
                    continue;
                }
                let sum: f64 = values.map(|value| value.unwrap_or(0.0)).sum();
                least = Some(least.map_or(sum, |least| least.min(sum)));
            }
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of effects; the cast saturates"
        )]
        least.map(|least| least.max(0.0) as u32)
    }
}

/// How often the controls saw an effect as it should be, and how not.
#[derive(Default)]
struct Tally {
    right: u32,
    excess: u32,
    /// The most that was above what is allowed.
    most: Option<f64>,
    lacking: u32,
    /// Of those, with nothing at all.
    nothing: u32,
    /// Nothing, where an answer left open whether there is something.
    unseen: u32,
    unread: u32,
    unreadable: Option<String>,
}

impl Tally {
    fn take(&mut self, judged: &Judged<'_>) {
        match &judged.state {
            State::Untold => {}
            State::Fits => {
                let there = judged.value.is_none_or(|value| value != 0.0);
                if there || judged.allowed.is_some_and(|allowed| allowed.min() > 0.0) {
                    self.right += 1;
                } else if judged.allowed.is_some_and(|allowed| allowed.max() != 0.0) {
                    self.unseen += 1;
                }
            }
            State::Excess(excess) => {
                self.excess += 1;
                self.most = Some(self.most.map_or(excess.seen, |most| most.max(excess.seen)));
            }
            State::Lack { seen, .. } | State::Between { seen, .. } => {
                self.lacking += 1;
                self.nothing += u32::from(*seen == 0.0);
            }
            State::Differs { .. } => {
                self.lacking += 1;
                let nothing = judged.last.is_none_or(|last| {
                    matches!(&last.reading, Ok(crate::history::Reading::Value(None)))
                });
                self.nothing += u32::from(nothing);
            }
            State::Unclear { reason, what } => {
                self.unread += 1;
                if *reason == Reason::ProbeUnreadable {
                    self.unreadable = Some(what.clone());
                }
            }
        }
    }
}

fn is(trial: &TrialView<'_>, control: Control) -> bool {
    trial.trial.role == Role::Control(control)
}

/// A reading after a trial: where it stands, what was read before and after.
type Moved = (EventIndex, f64, f64);

/// Effects without marker that moved between two trials, while nothing of ours
/// was on its way, as (scenario, effect).
fn moved_without_us(view: &View<'_>, judged: &[Vec<Judged<'_>>]) -> Vec<(usize, usize)> {
    let mut readings: BTreeMap<(usize, usize), Vec<Moved>> = BTreeMap::new();
    for (trial, judged) in view.trials.iter().zip(judged) {
        let Some(scenario) = view.scenario(trial.trial.scenario) else {
            continue;
        };
        for one in judged
            .iter()
            .filter(|one| !scenario.effects[one.effect].marked)
        {
            // An excess ends the wait at once: what comes after it is ours too.
            let rested = one
                .last
                .is_some_and(|last| last.settled == Some(Settled::Stable));
            if let (Some(before), Some(after), Some(event)) = (one.raw.0, one.raw.1, one.last_event)
            {
                let after = if rested { after } else { f64::NAN };
                readings
                    .entry((trial.trial.scenario, one.effect))
                    .or_default()
                    .push((event, before, after));
            }
        }
    }
    readings
        .into_iter()
        .filter(|(_, readings)| {
            let mut readings = readings.clone();
            readings.sort_by_key(|(event, ..)| *event);
            readings.windows(2).any(|pair| {
                let (after, before) = (pair[0].2, pair[1].1);
                // A wait that did not come to rest says nothing (NaN).
                (after - before).abs() > 1e-9 * after.abs().max(1.0)
            })
        })
        .map(|(place, _)| place)
        .collect()
}

fn size(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
