//! One case: hears all its trials, counts what has to show more than once, and
//! finds the verdict.

use std::collections::{BTreeMap, BTreeSet};

use super::apart::Apart;
use super::court::{Court, Habits, count};
use super::effects::{self, Judged, State, Unequal};
use super::power::{self, Lacks};
use super::replay::{self, Open};
use super::sanity::Controls;
use super::scene::{Clue, Proof, Scene};
use super::verdict::{CaseJudgement, EffectTally, Finding, TrialCounts, Verdict};
use super::view::Delivery;
use super::{EventIndex, explain, invariant, of_reason, words};
use crate::codes::{Hazard, Reason, Severity};
use crate::contract::Outcome;
use crate::history::Offset;
use crate::plan::{Case, Fault, Kind, PlannedScenario, TrialId};
use crate::stats;

/// One case while it is heard.
pub(crate) struct Hearing<'a, 'b> {
    pub(crate) court: &'b Court<'a, 'b>,
    pub(crate) index: usize,
    pub(crate) case: &'a Case,
    pub(crate) scenario: &'a PlannedScenario,
    pub(crate) controls: &'b Controls,
    pub(crate) habits: Habits,
}

/// What was gathered over the trials of a case.
#[derive(Default)]
pub(crate) struct Docket {
    pub(crate) proofs: Vec<Proof>,
    /// What only counts when it shows more than once.
    pub(crate) refused: Vec<Proof>,
    pub(crate) burned: Vec<Proof>,
    pub(crate) after: Vec<Proof>,
    pub(crate) after_of: u64,
    pub(crate) lost: Vec<Proof>,
    pub(crate) lost_of: u64,
    /// What could not be told: by reason and effect, the trials and how it is
    /// said.
    pub(crate) unclear: BTreeMap<(Reason, Option<usize>), (BTreeSet<TrialId>, String)>,
    pub(crate) open: BTreeMap<Open, BTreeSet<TrialId>>,
    pub(crate) lacking: BTreeMap<Lacks, u32>,
    /// Why attempts did not overlap.
    pub(crate) apart: Apart,
    pub(crate) powered: u32,
    pub(crate) powered_trials: BTreeSet<TrialId>,
    pub(crate) run: u32,
    pub(crate) unclosed: u32,
    pub(crate) statuses: BTreeMap<u16, u32>,
}

impl Docket {
    /// Trials in which the pattern did not happen.
    fn off_pattern(&self) -> u32 {
        [Lacks::Overlap, Lacks::Fault]
            .iter()
            .filter_map(|lacks| self.lacking.get(lacks))
            .sum()
    }
}

impl<'a> Hearing<'a, '_> {
    pub(crate) fn judge(&self, over_the_run: Option<&Vec<Proof>>) -> CaseJudgement {
        let mut docket = Docket::default();
        let places = &self.court.trials[self.index];
        for place in places {
            self.hear(*place, &mut docket);
        }
        docket
            .proofs
            .extend(over_the_run.into_iter().flatten().cloned());
        let slow = self.court.thresholds.missed.get(&self.index);
        docket.proofs.extend(slow.into_iter().flatten().cloned());
        self.weigh_the_repeated(&mut docket);

        let planned = count(places.len());
        let findings = self.findings(&docket);
        let accused = findings
            .iter()
            .any(|finding| finding.severity != Severity::Info);
        let failed: BTreeSet<TrialId> = findings
            .iter()
            .filter(|finding| finding.severity != Severity::Info)
            .flat_map(|finding| finding.trials.iter().copied())
            .collect();
        let inconclusive: BTreeSet<TrialId> = docket
            .unclear
            .values()
            .flat_map(|(trials, _)| trials)
            .chain(docket.open.values().flatten())
            .copied()
            .filter(|trial| !failed.contains(trial))
            .collect();
        let grounds = self.grounds(&docket, planned, accused);
        let verdict = if accused {
            Verdict::Fail
        } else {
            grounds
                .iter()
                .map(|ground| of_reason(ground.reason))
                .max()
                .unwrap_or(Verdict::Pass)
        };
        CaseJudgement {
            case: self.case.id.clone(),
            index: Some(self.index),
            scenario: self.case.scenario,
            operation: self.case.operation,
            verdict,
            bound: (verdict == Verdict::Pass)
                .then(|| stats::zero_of_n_bound(u64::from(docket.powered), stats::CONFIDENCE)),
            grounds,
            findings,
            trials: TrialCounts {
                planned,
                run: docket.run,
                powered: docket.powered,
                off_pattern: docket.off_pattern(),
                failed: count(failed.len()),
                inconclusive: count(inconclusive.len()),
            },
            effects: self.tallies(places),
            spread_ns: self.spread(places),
            tightness: self.tightness(places, &docket),
            sweep: self.sweep(places),
        }
    }

    fn hear(&self, place: usize, docket: &mut Docket) {
        let trial = &self.court.view.trials[place];
        if !trial.ran() {
            return;
        }
        docket.run += 1;
        let judged = &self.court.judged[place];
        match power::lacks(self.court.view, trial, self.case, judged) {
            None => {
                docket.powered += 1;
                docket.powered_trials.insert(trial.trial.id);
            }
            Some(lacks) => {
                *docket.lacking.entry(lacks).or_default() += 1;
                if lacks == Lacks::Overlap {
                    docket.apart.take(trial);
                }
            }
        }
        for broken in invariant::of_trial(self.scenario, trial, judged) {
            if let Some(scene) = self.court.scene(self.case, place, 0) {
                self.accuse_invariant(&scene, broken, docket);
            }
        }
        for instance in 0..trial.instances.len() {
            if let Some(scene) = self.court.scene(self.case, place, instance)
                && !trial.instances[instance].exchanges.is_empty()
            {
                self.hear_instance(&scene, place, docket);
            }
        }
    }

    fn hear_instance(&self, scene: &Scene<'a, '_>, place: usize, docket: &mut Docket) {
        let before = docket.proofs.len();
        let unequal = self.court.unequal(scene, place);
        let mut explained: BTreeSet<usize> = BTreeSet::new();
        for group in unequal {
            if group.some_right {
                explained.extend(group.parts.iter().map(|(effect, ..)| *effect));
            }
            docket.proofs.extend(self.accuse_parts(scene, &group));
        }
        let mut duplicated = false;
        for judged in &scene.judged {
            duplicated |= self.hear_effect(scene, judged, &explained, docket);
        }
        docket.proofs.extend(self.truncated(scene));
        for broken in invariant::of_instance(
            self.scenario,
            scene.trial,
            &self.court.judged[place],
            scene.instance,
        ) {
            self.accuse_invariant(scene, broken, docket);
        }
        self.hear_answers(scene, duplicated, docket);
        let accused = docket.proofs[before..].iter().any(|proof| !proof.info);
        self.hear_the_end(scene, accused, docket);
    }

    /// Whether the effect is a duplicate.
    fn hear_effect(
        &self,
        scene: &Scene<'a, '_>,
        judged: &Judged<'_>,
        explained: &BTreeSet<usize>,
        docket: &mut Docket,
    ) -> bool {
        let effect = judged.effect;
        let sight = self.court.sight(self.operation(), effect);
        let told = explained.contains(&effect);
        let with = |event: EventIndex| {
            let mut events = scene.all_events();
            events.push(event);
            events
        };
        match &judged.state {
            State::Untold | State::Fits => false,
            State::Excess(excess) => {
                if !sight.shows_excess() {
                    return false;
                }
                if told {
                    return true;
                }
                let refused_only =
                    excess.most == 0.0 && judged.each.is_some_and(|each| each != 0.0);
                let (hazard, clue) = if refused_only {
                    let clue = Clue::RefusedThough { seen: excess.seen };
                    (Hazard::ErrorAfterEffect, clue)
                } else {
                    let name = scene.name_of_excess(excess, judged.each);
                    (name, Clue::Excess(*excess))
                };
                // The closing retry is evidence only where it came before.
                let mut events: Vec<EventIndex> = scene
                    .deliveries
                    .iter()
                    .filter(|one| one.sent() <= excess.first)
                    .map(|one| one.event)
                    .collect();
                events.push(excess.event);
                docket
                    .proofs
                    .push(scene.proof(hazard, Some(effect), events, clue));
                true
            }
            State::Lack { event, seen } => {
                if sight.shows_lack() && !told {
                    let wanted = judged.allowed.map_or(0.0, crate::contract::Allowed::min);
                    let clue = Clue::Lack {
                        seen: *seen,
                        wanted,
                    };
                    let hazard = name_of_lack(scene, self.habits.lacks, Hazard::LostEffect);
                    docket
                        .proofs
                        .push(scene.proof(hazard, Some(effect), with(*event), clue));
                }
                false
            }
            State::Between { event, seen } => {
                if sight.shows_lack() && !told {
                    let clue = Clue::Unequal(vec![(effect, *seen, judged.each.unwrap_or(0.0))]);
                    let hazard = name_of_lack(scene, self.habits.parts, Hazard::PartialSideEffect);
                    docket
                        .proofs
                        .push(scene.proof(hazard, Some(effect), with(*event), clue));
                }
                false
            }
            State::Differs { event, times } => {
                if sight.shows_lack() {
                    let hazard = if let Some(times) = times {
                        let excess = effects::Excess {
                            event: *event,
                            seen: *times,
                            most: 1.0,
                            first: Offset(u64::MAX),
                        };
                        scene.name_of_excess(&excess, Some(1.0))
                    } else {
                        name_of_lack(scene, self.habits.lacks, Hazard::LostEffect)
                    };
                    let proof = scene.proof(hazard, Some(effect), with(*event), Clue::Differs);
                    docket.proofs.push(proof);
                }
                times.is_some()
            }
            State::Unclear { reason, what } => {
                let entry = docket
                    .unclear
                    .entry((*reason, Some(effect)))
                    .or_insert_with(|| (BTreeSet::new(), what.clone()));
                entry.0.insert(scene.trial.trial.id);
                false
            }
        }
    }

    /// Unequal parts are always told under their own name; where they come of a
    /// client that went away, that is said beside it.
    fn accuse_parts(&self, scene: &Scene<'a, '_>, group: &Unequal) -> Vec<Proof> {
        let named = name_of_lack(scene, self.habits.parts, Hazard::PartialSideEffect);
        let mut hazards = vec![Hazard::PartialSideEffect];
        hazards.extend((named != Hazard::PartialSideEffect).then_some(named));
        let mut events = scene.all_events();
        events.extend(&group.events);
        let off = group
            .parts
            .iter()
            .find(|(_, seen, wanted)| (seen - wanted).abs() > f64::EPSILON)
            .map(|(effect, ..)| *effect);
        let proof = |hazard| {
            scene.proof(
                hazard,
                off,
                events.clone(),
                Clue::Unequal(group.parts.clone()),
            )
        };
        hazards.into_iter().map(proof).collect()
    }

    fn accuse_invariant(
        &self,
        scene: &Scene<'a, '_>,
        broken: invariant::Broken,
        docket: &mut Docket,
    ) {
        if !self
            .court
            .invariant_is_trusted(self.case, self.scenario, broken.invariant)
        {
            return;
        }
        let mut events = scene.attempt_events();
        events.extend(&broken.events);
        docket.proofs.push(scene.proof(
            Hazard::InvariantBroken,
            None,
            events,
            Clue::Broken {
                invariant: broken.invariant,
                values: broken.values,
                whole_run: false,
            },
        ));
    }

    /// An effect that exists before any whole request could have had one: the cut
    /// one was executed. The client's own retry leaves at once, so a count says
    /// something only where that was refused.
    fn truncated(&self, scene: &Scene<'a, '_>) -> Option<Proof> {
        if scene.kind() != Kind::CutRequest || !scene.was_cut() {
            return None;
        }
        scene.judged.iter().find_map(|judged| {
            let counted = judged.counted?;
            let each = judged.each.filter(|each| *each != 0.0)?;
            let trusted = self
                .court
                .sight(self.operation(), judged.effect)
                .shows_excess();
            let earlier: Vec<_> = scene
                .deliveries
                .iter()
                .filter(|one| one.sent() <= counted.since)
                .collect();
            let only_cut = earlier.iter().all(|one| {
                matches!(scene.fault(one), Fault::CutRequest { .. })
                    || one.outcome == Outcome::Rejected
            });
            let shown = trusted
                && only_cut
                && counted.seen / each > 1e-9
                && !matches!(judged.state, State::Excess(_));
            shown.then(|| {
                let mut events: Vec<_> = earlier.iter().map(|one| one.event).collect();
                events.push(counted.event);
                scene.proof(
                    Hazard::PartialUploadExecuted,
                    Some(judged.effect),
                    events,
                    Clue::Truncated { seen: counted.seen },
                )
            })
        })
    }

    fn hear_answers(&self, scene: &Scene<'a, '_>, duplicated: bool, docket: &mut Docket) {
        let empty = replay::in_progress_replayed(scene);
        // A duplicate has two results, and says so itself; bodies that differ
        // because one was made of an unfinished record are told as that.
        let divergent = replay::divergent(scene)
            .filter(|proof| empty.is_none() || matches!(proof.clue, Clue::Identities(..)));
        if let Some(mut proof) = divergent.filter(|_| !duplicated) {
            if self.scenario.effects.is_empty() {
                let excess = effects::Excess {
                    event: 0,
                    seen: 2.0,
                    most: 1.0,
                    first: Offset(u64::MAX),
                };
                proof.hazard = scene.name_of_excess(&excess, None);
            }
            docket.proofs.push(proof);
        }
        docket.proofs.extend(empty);
        docket.refused.extend(replay::refused_retry(scene));
        docket.burned.extend(replay::burned_key(scene));
        let failures = replay::server_errors(scene);
        docket.after_of += failures.after_of;
        docket.lost_of += failures.lost_of;
        // Beside a wrong number of effects the answers are not the news.
        let right = scene
            .judged
            .iter()
            .all(|judged| !matches!(judged.state, State::Excess(_) | State::Lack { .. }));
        if right {
            let failed = |hazard, all: &[(EventIndex, u16)]| {
                let (_, status) = *all.first()?;
                let mut events: Vec<_> = all.iter().map(|(event, _)| *event).collect();
                events.extend(scene.oks().next().map(|ok| ok.event));
                let answers = all.len();
                Some(scene.proof(hazard, None, events, Clue::Failed { status, answers }))
            };
            docket
                .after
                .extend(failed(Hazard::KeyHandling5xx, &failures.after));
            docket
                .lost
                .extend(failed(Hazard::ConstraintLeaks500, &failures.lost));
        }
    }

    /// Whether the key came to a definite answer.
    fn hear_the_end(&self, scene: &Scene<'a, '_>, accused: bool, docket: &mut Docket) {
        for status in scene.deliveries.iter().filter_map(Delivery::status) {
            *docket.statuses.entry(status).or_default() += 1;
        }
        if scene.closings().next().is_none() {
            docket.unclosed += 1;
        }
        if let Some(stuck) = replay::stuck(scene) {
            docket.proofs.push(stuck);
            return;
        }
        if self.controls.refused.is_empty()
            && let Some(mut lagging) = replay::lagging(scene)
        {
            lagging.info = true;
            docket.proofs.push(lagging);
        }
        if let Some(open) = replay::left_open(scene).filter(|_| !accused) {
            docket
                .open
                .entry(open)
                .or_default()
                .insert(scene.trial.trial.id);
        }
    }

    /// What has to show in two trials, or in the only one that there is.
    fn weigh_the_repeated(&self, docket: &mut Docket) {
        let enough = docket.run.clamp(1, 2) as usize;
        let trials = |proofs: &[Proof]| {
            proofs
                .iter()
                .map(|proof| proof.trial)
                .collect::<BTreeSet<_>>()
                .len()
        };
        // Where identical retries are refused too, it is not their difference.
        if trials(&docket.refused) >= enough && self.habits.refusals < 2 {
            docket.proofs.append(&mut docket.refused);
        }
        if trials(&docket.burned) >= enough {
            docket.proofs.append(&mut docket.burned);
        }
        for (proofs, of) in [
            (&mut docket.after, docket.after_of),
            (&mut docket.lost, docket.lost_of),
        ] {
            let answers: usize = proofs
                .iter()
                .map(|proof| {
                    if let Clue::Failed { answers, .. } = proof.clue {
                        answers
                    } else {
                        0
                    }
                })
                .sum();
            if trials(proofs) >= enough && answers >= 2 && self.is_more_than_flaky(answers, of) {
                docket.proofs.append(proofs);
            }
        }
    }

    /// Whether so many server errors to duplicates are more than the target shows
    /// with fresh keys. Where it shows none with those, one in twenty is enough.
    fn is_more_than_flaky(&self, failed: usize, of: u64) -> bool {
        let (in_controls, controls) = self.controls.failures;
        let (in_trials, trials) = self.habits.alone;
        let (fresh_failed, fresh) = (in_controls + in_trials, controls + trials);
        let failed = failed as u64;
        if fresh_failed == 0 && failed.saturating_mul(20) >= of {
            return true;
        }
        let (_, fresh_rate) = stats::clopper_pearson(fresh_failed, fresh, stats::CONFIDENCE);
        let (rate, _) = stats::clopper_pearson(failed, of, stats::CONFIDENCE);
        rate > fresh_rate
    }

    fn operation(&self) -> (usize, usize) {
        (self.case.scenario, self.case.operation)
    }

    /// Each hazard once, worst first, what is only worth knowing last.
    fn findings(&self, docket: &Docket) -> Vec<Finding> {
        let mut by_hazard: BTreeMap<(bool, Hazard), Vec<&Proof>> = BTreeMap::new();
        for proof in &docket.proofs {
            by_hazard
                .entry((proof.info, proof.hazard))
                .or_default()
                .push(proof);
        }
        let mut findings: Vec<Finding> = by_hazard
            .into_iter()
            .filter_map(|((info, hazard), proofs)| self.finding(info, hazard, &proofs, docket))
            .collect();
        findings.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.hazard));
        findings
    }

    fn finding(
        &self,
        info: bool,
        hazard: Hazard,
        proofs: &[&Proof],
        docket: &Docket,
    ) -> Option<Finding> {
        // The smallest trial shows it best, and of those the first.
        let best = proofs.iter().min_by_key(|proof| {
            let place = self.court.places.get(&proof.trial);
            let sent = place.map_or(usize::MAX, |place| {
                let instances = &self.court.view.trials[*place].instances;
                instances.iter().map(|one| one.exchanges.len()).sum()
            });
            (sent, proof.trial, proof.instance)
        })?;
        let place = *self.court.places.get(&best.trial)?;
        let scene = self.court.scene(self.case, place, best.instance)?;
        let trials: BTreeSet<TrialId> = proofs.iter().map(|proof| proof.trial).collect();
        let facts = explain::Facts {
            client_gone: self.controls.told.client_gone,
            trials: trials.len(),
            run: docket.run,
            // A target that repeats after the answer, too, does not look at keys.
            ignores_keys: {
                let (repeated, of) = self.habits.replayed;
                of > 0 && repeated * 10 >= of * 9
            },
        };
        let mut finding = explain::finding(&scene, best, trials.into_iter().collect(), facts);
        finding.severity = match (info, self.court.options.strict) {
            (false, _) => hazard.severity(),
            (true, false) => Severity::Info,
            (true, true) => Severity::Low,
        };
        Some(finding)
    }

    fn tallies(&self, places: &[usize]) -> Vec<EffectTally> {
        let mut tallies: BTreeMap<usize, EffectTally> = BTreeMap::new();
        for judged in places.iter().flat_map(|place| &self.court.judged[*place]) {
            let (least, most) = match judged.allowed {
                Some(allowed) => (allowed.min(), allowed.max()),
                // A value is compared, not counted.
                None if judged.state == State::Untold => continue,
                None => (f64::NEG_INFINITY, f64::INFINITY),
            };
            let tally = tallies.entry(judged.effect).or_insert_with(|| EffectTally {
                effect: judged.effect,
                min: least,
                max: most,
                observed: BTreeMap::new(),
            });
            tally.min = tally.min.min(least);
            tally.max = tally.max.max(most);
            let shown = match (&judged.state, judged.value) {
                (State::Excess(excess), _) => Some(words::number(excess.seen)),
                (_, Some(value)) => Some(words::number(value)),
                (_, None) => judged.last.and_then(explain::shown),
            };
            if let Some(shown) = shown {
                *tally.observed.entry(shown).or_default() += 1;
            }
        }
        tallies.into_values().collect()
    }

    /// Median and largest release spread.
    fn spread(&self, places: &[usize]) -> Option<(u64, u64)> {
        let mut spreads: Vec<u64> = places
            .iter()
            .map(|place| &self.court.view.trials[*place])
            .filter(|trial| trial.ran())
            .filter_map(|trial| trial.spread_ns)
            .collect();
        spreads.sort_unstable();
        Some((*spreads.get(spreads.len() / 2)?, *spreads.last()?))
    }
}

/// A lack, or parts that differ, after the client went away or was cut off:
/// named after that, unless the operation shows the same where it stayed.
fn name_of_lack(scene: &Scene<'_, '_>, habit: bool, otherwise: Hazard) -> Hazard {
    if habit {
        otherwise
    } else if scene.left_before_the_answer() {
        Hazard::CancelMidHandler
    } else if scene.was_cut() {
        Hazard::PartialUploadExecuted
    } else {
        otherwise
    }
}
