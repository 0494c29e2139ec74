//! Everything that is known before the first case is heard: the controls, what an
//! operation shows whatever the pattern, what only the run as a whole shows.

use std::collections::{BTreeMap, BTreeSet};

use super::effects::{self, Judged, State, Unequal};
use super::hearing::Hearing;
use super::latency::Thresholds;
use super::replay;
use super::sanity::{self, Controls, Sight};
use super::scene::{Clue, Proof, Scene};
use super::verdict::{CaseJudgement, ControlJudgement, Evidence, TrialCounts, Verdict};
use super::view::View;
use super::{JudgeOptions, explain, invariant};
use crate::codes::Hazard;
use crate::plan::{Case, CaseId, Kind, PlannedScenario, TrialId};

/// Everything that is known before the first case is judged.
pub(crate) struct Court<'a, 'b> {
    pub(crate) view: &'b View<'a>,
    pub(crate) options: JudgeOptions,
    /// For each trial its effects.
    pub(crate) judged: Vec<Vec<Judged<'a>>>,
    pub(crate) controls: BTreeMap<(usize, usize), Controls>,
    /// Places of the trials of each case.
    pub(crate) trials: Vec<Vec<usize>>,
    pub(crate) habits: BTreeMap<(usize, usize), Habits>,
    pub(crate) thresholds: Thresholds,
    pub(crate) places: BTreeMap<TrialId, usize>,
}

/// What an operation shows whatever the pattern.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Habits {
    /// Effects are missing although the client stayed.
    pub(crate) lacks: bool,
    /// Parts differ although the client stayed.
    pub(crate) parts: bool,
    /// Trials in which an identical retry after the answer was refused.
    pub(crate) refusals: u32,
    /// 5xx answers to first attempts that were alone, and all of those.
    pub(crate) alone: (u64, u64),
    /// Trials of `replay` with an excess, and all of them.
    pub(crate) replayed: (u32, u32),
}

impl<'a, 'b> Court<'a, 'b> {
    pub(crate) fn new(view: &'b View<'a>, options: JudgeOptions) -> Self {
        let cut_short = view.interrupted.is_some() || !view.finished;
        let judged: Vec<Vec<Judged<'a>>> = view
            .trials
            .iter()
            .map(|trial| match view.scenario(trial.trial.scenario) {
                Some(scenario) if trial.ran() => {
                    let judged = effects::judge_trial(scenario, trial);
                    if cut_short {
                        judged.into_iter().map(Judged::cut_short).collect()
                    } else {
                        judged
                    }
                }
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

    pub(crate) fn scene(
        &self,
        case: &'a Case,
        place: usize,
        instance: usize,
    ) -> Option<Scene<'a, '_>> {
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

    pub(crate) fn sight(&self, operation: (usize, usize), effect: usize) -> Sight {
        self.controls
            .get(&operation)
            .and_then(|controls| controls.effects.get(effect).copied())
            .unwrap_or_default()
    }

    pub(crate) fn unequal(&self, scene: &Scene<'a, '_>, place: usize) -> Vec<Unequal> {
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
                    let alone = replay::first_alone(&scene);
                    habit.alone.0 += u64::from(alone == Some(replay::First::Failed));
                    habit.alone.1 += u64::from(alone.is_some());
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
            if trial.is_clean_control()
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
                off_pattern: 0,
                failed: count(trials.len()),
                inconclusive: 0,
            },
            effects: Vec::new(),
            spread_ns: None,
            tightness: None,
            sweep: None,
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
    pub(crate) fn invariant_is_trusted(
        &self,
        case: &Case,
        scenario: &PlannedScenario,
        index: usize,
    ) -> bool {
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

/// The best trial of a proof as evidence.
pub(crate) fn evidence(proof: &Proof) -> Evidence {
    Evidence {
        trial: proof.trial,
        instance: proof.instance,
        events: proof.events.clone(),
    }
}

pub(crate) fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
