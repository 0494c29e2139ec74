//! Cases and their verdicts: gathers the proofs of all trials, counts what has to
//! show more than once, and says what could not be judged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::effects::{self, Judged, State, Unequal};
use super::latency::Thresholds;
use super::power::{self, Lacks};
use super::replay::{self, Open};
use super::sanity::{self, Controls, Sight};
use super::scene::{Clue, Proof, Scene};
use super::verdict::{
    CaseJudgement, ControlJudgement, EffectTally, Evidence, Finding, Ground, TrialCounts, Verdict,
};
use super::view::{Fate, View};
use super::{EventIndex, JudgeOptions, explain, invariant, of_reason, words};
use crate::codes::{Hazard, Reason, Severity};
use crate::contract::Outcome;
use crate::history::{Offset, SkipReason, Stage};
use crate::plan::{Case, CaseId, Fault, Kind, PlannedScenario, TrialId};
use crate::stats;

/// Everything that is known before the first case is judged.
pub(crate) struct Court<'a, 'b> {
    view: &'b View<'a>,
    options: JudgeOptions,
    /// For each trial its effects.
    judged: Vec<Vec<Judged<'a>>>,
    controls: BTreeMap<(usize, usize), Controls>,
    /// Places of the trials of each case.
    trials: Vec<Vec<usize>>,
    habits: BTreeMap<(usize, usize), Habits>,
    thresholds: Thresholds,
    places: BTreeMap<TrialId, usize>,
}

/// What an operation shows whatever the pattern.
#[derive(Debug, Clone, Copy, Default)]
struct Habits {
    /// Effects are missing although the client stayed.
    lacks: bool,
    /// Parts differ although the client stayed.
    parts: bool,
    /// Trials in which an identical retry after the answer was refused.
    refusals: u32,
    /// Trials of `replay` with an excess, and all of them.
    replayed: (u32, u32),
}

impl<'a, 'b> Court<'a, 'b> {
    pub(crate) fn new(view: &'b View<'a>, options: JudgeOptions) -> Self {
        let judged: Vec<Vec<Judged<'a>>> = view
            .trials
            .iter()
            .map(|trial| match view.scenario(trial.trial.scenario) {
                Some(scenario) if trial.ran() => effects::judge_trial(scenario, trial),
                Some(_) | None => Vec::new(),
            })
            .collect();
        let controls = sanity::controls(view, &judged);
        let mut trials = vec![Vec::new(); view.plan.cases.len()];
        for (place, trial) in view.trials.iter().enumerate() {
            if let Some(of_case) = trial.case().and_then(|case| trials.get_mut(case)) {
                of_case.push(place);
            }
        }
        let thresholds = super::latency::judge(view, &super::population::of_view(view));
        let places = view
            .trials
            .iter()
            .enumerate()
            .map(|(place, trial)| (trial.trial.id, place))
            .collect();
        let mut court = Self {
            view,
            options,
            judged,
            controls,
            trials,
            habits: BTreeMap::new(),
            thresholds,
            places,
        };
        court.habits = court.observe_habits();
        court
    }

    pub(crate) fn controls(&self) -> Vec<ControlJudgement> {
        self.controls
            .values()
            .map(|controls| controls.told.clone())
            .collect()
    }

    /// All cases, a finding of the controls before the cases of its operation.
    pub(crate) fn cases(&self) -> Vec<CaseJudgement> {
        let mut told = BTreeSet::new();
        let mut cases = Vec::new();
        let whole_runs = self.broken_over_the_run();
        for (index, case) in self.view.plan.cases.iter().enumerate() {
            let Some(scenario) = self.view.scenario(case.scenario) else {
                continue;
            };
            let operation = (case.scenario, case.operation);
            let Some(controls) = self.controls.get(&operation) else {
                continue;
            };
            if told.insert(operation) {
                cases.extend(self.control_case(case, controls));
            }
            let hearing = Hearing {
                court: self,
                index,
                case,
                scenario,
                controls,
                habits: self.habits.get(&operation).copied().unwrap_or_default(),
            };
            cases.push(hearing.judge(whole_runs.get(&index)));
        }
        cases
    }

    fn scene(&self, case: &'a Case, place: usize, instance: usize) -> Option<Scene<'a, '_>> {
        let scenario = self.view.scenario(case.scenario)?;
        let trial = self.view.trials.get(place)?;
        trial.instances.get(instance)?;
        Some(Scene {
            view: self.view,
            scenario,
            case,
            trial,
            instance,
            deliveries: trial.deliveries(instance, case.operation, &scenario.contract),
            judged: self.judged[place]
                .iter()
                .filter(|judged| judged.instance == instance)
                .collect(),
        })
    }

    fn sight(&self, operation: (usize, usize), effect: usize) -> Sight {
        self.controls
            .get(&operation)
            .and_then(|controls| controls.effects.get(effect).copied())
            .unwrap_or_default()
    }

    fn unequal(&self, scene: &Scene<'a, '_>, place: usize) -> Vec<Unequal> {
        let operation = (scene.case.scenario, scene.case.operation);
        effects::unequal(
            scene.scenario,
            scene.trial,
            &self.judged[place],
            scene.instance,
            &|effect| self.sight(operation, effect).shows_lack(),
            &|effect| self.sight(operation, effect).visible_after,
        )
    }

    /// What shows in trials in which the client stayed is not caused by its going.
    fn observe_habits(&self) -> BTreeMap<(usize, usize), Habits> {
        let mut habits: BTreeMap<(usize, usize), Habits> = BTreeMap::new();
        for (case, places) in self.view.plan.cases.iter().zip(&self.trials) {
            let habit = habits.entry((case.scenario, case.operation)).or_default();
            for place in places {
                let trial = &self.view.trials[*place];
                if !trial.ran() {
                    continue;
                }
                let mut refused = false;
                let mut repeated = false;
                for instance in 0..trial.instances.len() {
                    let Some(scene) = self.scene(case, *place, instance) else {
                        continue;
                    };
                    refused |= replay::refuses_identical_retries(&scene);
                    repeated |= scene.has_an_excess();
                    if !scene.left_before_the_answer() && !scene.was_cut() {
                        habit.lacks |= scene
                            .judged
                            .iter()
                            .any(|judged| matches!(judged.state, State::Lack { .. }));
                        habit.parts |= !self.unequal(&scene, *place).is_empty();
                    }
                }
                habit.refusals += u32::from(refused);
                if case.pattern.kind == Kind::Replay {
                    habit.replayed.0 += u32::from(repeated);
                    habit.replayed.1 += 1;
                }
            }
        }
        for (trial, judged) in self.view.trials.iter().zip(&self.judged) {
            if let crate::plan::Role::Control(_) = trial.trial.role
                && judged
                    .iter()
                    .any(|judged| matches!(judged.state, State::Lack { .. }))
            {
                let operation = (trial.trial.scenario, trial.trial.operation);
                habits.entry(operation).or_default().lacks = true;
            }
        }
        habits
    }

    /// The finding of the controls as a case of its own.
    fn control_case(&self, case: &'a Case, controls: &Controls) -> Option<CaseJudgement> {
        let best = controls.refused.first()?;
        let in_best = || {
            controls
                .refused
                .iter()
                .filter(|refusal| refusal.trial == best.trial)
        };
        let place = *self.places.get(&best.trial)?;
        let scene = self.scene(case, place, best.instance)?;
        let proof = scene.proof(
            Hazard::UnrelatedKeysRefused,
            None,
            in_best().map(|refusal| refusal.event).collect(),
            Clue::Unrelated {
                status: best.status,
                refused: in_best().count(),
                at_once: controls.at_once,
            },
        );
        let mut trials: Vec<TrialId> = controls.refused.iter().map(|one| one.trial).collect();
        trials.dedup();
        let finding = explain::finding(&scene, &proof, trials.clone(), explain::Facts::default());
        let mut id = case.id.0.splitn(4, "::");
        let (name, operation) = (id.next()?, id.next()?);
        let row = id.nth(1).map_or_else(String::new, |row| format!("::{row}"));
        Some(CaseJudgement {
            case: CaseId(format!("{name}::{operation}::control{row}")),
            index: None,
            scenario: case.scenario,
            operation: case.operation,
            verdict: Verdict::Fail,
            bound: None,
            grounds: controls.told.grounds.clone(),
            findings: vec![finding],
            trials: TrialCounts {
                planned: controls.told.trials,
                run: controls.told.trials,
                powered: controls.told.trials,
                failed: count(trials.len()),
                inconclusive: 0,
            },
            effects: Vec::new(),
            spread_ns: None,
        })
    }

    /// Invariants over the whole run that no single trial is seen to break: said
    /// of the case of the scenario that sent most, since all of them took part.
    fn broken_over_the_run(&self) -> BTreeMap<usize, Vec<Proof>> {
        let mut proofs: BTreeMap<usize, Vec<Proof>> = BTreeMap::new();
        for (index, scenario) in self.view.plan.scenarios.iter().enumerate() {
            if scenario.invariants.is_empty() {
                continue;
            }
            let cases = || {
                self.view
                    .plan
                    .cases
                    .iter()
                    .enumerate()
                    .filter(move |(_, case)| case.scenario == index)
            };
            let by_a_trial: BTreeSet<usize> = cases()
                .flat_map(|(case, _)| &self.trials[case])
                .flat_map(|place| {
                    let trial = &self.view.trials[*place];
                    invariant::of_trial(scenario, trial, &self.judged[*place])
                })
                .map(|broken| broken.invariant)
                .collect();
            let sent = |case: usize| {
                self.trials[case]
                    .iter()
                    .flat_map(|place| &self.view.trials[*place].instances)
                    .map(|instance| instance.exchanges.len())
                    .sum::<usize>()
            };
            let Some((case, planned)) =
                cases().max_by_key(|(case, _)| (sent(*case), usize::MAX - case))
            else {
                continue;
            };
            let Some(last) = self.trials[case]
                .iter()
                .rev()
                .find(|place| self.view.trials[**place].ran())
            else {
                continue;
            };
            for broken in invariant::of_run(self.view, index) {
                let trusted = self.invariant_is_trusted(planned, scenario, broken.invariant);
                if by_a_trial.contains(&broken.invariant) || !trusted {
                    continue;
                }
                let Some(scene) = self.scene(planned, *last, 0) else {
                    continue;
                };
                proofs.entry(case).or_default().push(scene.proof(
                    Hazard::InvariantBroken,
                    None,
                    broken.events,
                    Clue::Broken {
                        invariant: broken.invariant,
                        values: broken.values,
                        whole_run: true,
                    },
                ));
            }
        }
        proofs
    }

    /// Whether an invariant may accuse: its effects can be seen and move only by
    /// us, and one clean operation does not break it.
    fn invariant_is_trusted(&self, case: &Case, scenario: &PlannedScenario, index: usize) -> bool {
        let operation = (case.scenario, case.operation);
        let by_controls = self
            .controls
            .get(&operation)
            .is_some_and(|controls| controls.broken.contains(&index));
        !by_controls
            && scenario
                .effects
                .iter()
                .enumerate()
                .all(|(effect, planned)| {
                    !scenario.invariants[index].effects.contains(&planned.name)
                        || self.sight(operation, effect).shows_lack()
                })
    }
}

/// One case while it is heard.
struct Hearing<'a, 'b> {
    court: &'b Court<'a, 'b>,
    index: usize,
    case: &'a Case,
    scenario: &'a PlannedScenario,
    controls: &'b Controls,
    habits: Habits,
}

/// What was gathered over the trials of a case.
#[derive(Default)]
struct Docket {
    proofs: Vec<Proof>,
    /// What only counts when it shows more than once.
    refused: Vec<Proof>,
    burned: Vec<Proof>,
    after: Vec<Proof>,
    after_of: u64,
    lost: Vec<Proof>,
    lost_of: u64,
    /// What could not be told: by reason and effect, the trials and how it is
    /// said.
    unclear: BTreeMap<(Reason, Option<usize>), (BTreeSet<TrialId>, String)>,
    open: BTreeMap<Open2, BTreeSet<TrialId>>,
    lacking: BTreeMap<Lacks, u32>,
    powered: u32,
    run: u32,
    unclosed: u32,
    statuses: BTreeMap<u16, u32>,
}

/// `Open`, ordered.
type Open2 = u8;

fn open_order(open: Open) -> Open2 {
    match open {
        Open::InProgress => 0,
        Open::ServerErrors => 1,
        Open::Silence => 2,
    }
}

impl<'a> Hearing<'a, '_> {
    fn judge(&self, over_the_run: Option<&Vec<Proof>>) -> CaseJudgement {
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
                failed: count(failed.len()),
                inconclusive: count(inconclusive.len()),
            },
            effects: self.tallies(places),
            spread_ns: self.spread(places),
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
            None => docket.powered += 1,
            Some(lacks) => *docket.lacking.entry(lacks).or_default() += 1,
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
            docket.proofs.push(self.accuse_parts(scene, group));
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
                    let hazard = self.name_of_lack(scene, self.habits.lacks, Hazard::LostEffect);
                    docket
                        .proofs
                        .push(scene.proof(hazard, Some(effect), with(*event), clue));
                }
                false
            }
            State::Between { event, seen } => {
                if sight.shows_lack() && !told {
                    let clue = Clue::Unequal(vec![(effect, *seen, judged.each.unwrap_or(0.0))]);
                    let hazard =
                        self.name_of_lack(scene, self.habits.parts, Hazard::PartialSideEffect);
                    docket
                        .proofs
                        .push(scene.proof(hazard, Some(effect), with(*event), clue));
                }
                false
            }
            State::Differs { event, times } => {
                if sight.shows_lack() {
                    let proof = match times {
                        Some(times) => {
                            let excess = effects::Excess {
                                event: *event,
                                seen: *times,
                                most: 1.0,
                                first: Offset(u64::MAX),
                            };
                            let hazard = scene.name_of_excess(&excess, Some(1.0));
                            scene.proof(hazard, Some(effect), with(*event), Clue::Differs)
                        }
                        None => {
                            let hazard =
                                self.name_of_lack(scene, self.habits.lacks, Hazard::LostEffect);
                            scene.proof(hazard, Some(effect), with(*event), Clue::Differs)
                        }
                    };
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

    /// A lack, or parts that differ, after the client went away or was cut off:
    /// named after that, unless the operation shows the same where it stayed.
    fn name_of_lack(&self, scene: &Scene<'_, '_>, habit: bool, otherwise: Hazard) -> Hazard {
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

    fn accuse_parts(&self, scene: &Scene<'a, '_>, group: Unequal) -> Proof {
        let hazard = self.name_of_lack(scene, self.habits.parts, Hazard::PartialSideEffect);
        let mut events = scene.all_events();
        events.extend(&group.events);
        let off = group
            .parts
            .iter()
            .find(|(_, seen, wanted)| (seen - wanted).abs() > f64::EPSILON)
            .map(|(effect, ..)| *effect);
        scene.proof(hazard, off, events, Clue::Unequal(group.parts))
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
        for status in scene.deliveries.iter().filter_map(|one| one.status()) {
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
                .entry(open_order(open))
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
                .map(|proof| match proof.clue {
                    Clue::Failed { answers, .. } => answers,
                    _ => 0,
                })
                .sum();
            if trials(proofs) >= enough && answers >= 2 && self.is_more_than_flaky(answers, of) {
                docket.proofs.append(proofs);
            }
        }
    }

    /// Whether so many server errors to duplicates are more than a target shows
    /// that now and then fails with fresh keys, too.
    fn is_more_than_flaky(&self, failed: usize, of: u64) -> bool {
        let (clean_failed, clean) = self.controls.failures;
        if clean_failed == 0 {
            return true;
        }
        let (_, clean_rate) = stats::clopper_pearson(clean_failed, clean, stats::CONFIDENCE);
        let (rate, _) = stats::clopper_pearson(failed as u64, of, stats::CONFIDENCE);
        rate > clean_rate
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

    fn grounds(&self, docket: &Docket, planned: u32, accused: bool) -> Vec<Ground> {
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
        let mut failed: BTreeMap<(u8, usize), (BTreeSet<Option<TrialId>>, &str)> = BTreeMap::new();
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
                let message = match reason {
                    Reason::NotSettled => format!(
                        "`{name}` {what} after {} in {how_many}; raise `within`",
                        words::duration(within)
                    ),
                    Reason::Interrupted => {
                        format!("the run was interrupted before `{name}` was read in {how_many}")
                    }
                    _ => format!("`{name}` {what} (in {how_many})"),
                };
                Ground {
                    reason: *reason,
                    message,
                    effect: *effect,
                    line: planned.map(|effect| match reason {
                        Reason::ProbeUnreadable => effect.probe_line,
                        _ => effect.place.line,
                    }),
                }
            })
            .collect()
    }

    fn open_grounds(&self, docket: &Docket, accused: bool) -> Vec<Ground> {
        let line = Some(self.case.place.line);
        [Open::InProgress, Open::ServerErrors, Open::Silence]
            .into_iter()
            .filter_map(|open| Some((open, docket.open.get(&open_order(open))?)))
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
            Lacks::Overlap => (
                Reason::NoOverlap,
                format!(
                    "{how_many} did not overlap, and {needed} must; make the operation slower, or \
                     run more trials or more attempts"
                ),
            ),
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

/// The best trial of a proof as evidence.
pub(crate) fn evidence(proof: &Proof) -> Evidence {
    Evidence {
        trial: proof.trial,
        instance: proof.instance,
        events: proof.events.clone(),
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
