//! Scenarios × matrix rows × operations × patterns → cases, and their trials.
//!
//! Everything that is drawn comes from a stream named by the case (or control),
//! the index in it and the instance, never by a position in the plan: without
//! one case, or with fewer trials of it, all others are what they were.

use super::pattern::{self, Turn};
use super::{
    AnswerPoint, Body, Case, CaseId, Control, CutPoint, FORMAT, HoldPoint, HttpVersion, Instance,
    Kind, Method, Operation, Overlay, Place, Plan, PlannedScenario, Role, Row, Seed, Trial,
    TrialId, budget,
};
use crate::scenario::{Pattern, PatternKind, Scenario, ScenarioRow, With};
use rand_chacha::rand_core::Rng;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Clean operations before the controls (`language.md` section 14: 10, at most
/// 2 s; the time is the engine's business).
const WARM_UP: u32 = 10;

/// Operations whose client goes away, to see what the target does then.
const CLIENTS_GONE: u32 = 5;

/// The number of a trial that has none yet; real ones begin at 1.
const UNNUMBERED: TrialId = TrialId(0);

/// The most attempts that a plan may hold: some hundred megabytes.
const MOST_ATTEMPTS: u64 = 2_000_000;

/// What flags decide about a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GenerateOptions {
    /// Trials of each case (`--trials`), in place of the profile's and the
    /// scenarios' numbers.
    pub trials: Option<u32>,
}

/// Why there can be no plan. All of these are mistakes in what the user wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Two cases would have one id.
    #[error("two cases would be called `{id}`")]
    DuplicateCase {
        /// The id.
        id: CaseId,
        /// The pattern that has it.
        first: Place,
        /// The pattern that would have it too.
        second: Place,
    },
    /// A listed pattern makes sense on none of the scenario's operations.
    #[error("`{}` does not apply here: {why}", kind.word())]
    NotApplicable {
        /// The pattern.
        kind: Kind,
        /// What the operations lack.
        why: &'static str,
        /// Where the pattern stands.
        place: Place,
    },
    /// A group of `together` names an effect that is not there.
    #[error("the scenario `{scenario}` has no effect called `{effect}`")]
    UnknownEffect {
        /// The effect's name.
        effect: String,
        /// The scenario's name.
        scenario: String,
    },
    /// More than fits into memory.
    #[error("the plan would hold more than {most} attempts")]
    TooLarge {
        /// The most that is allowed.
        most: u64,
        /// The pattern at which it became too much.
        place: Place,
    },
}

/// The plan for these scenarios: the same input gives the same bytes.
///
/// # Errors
/// Where two cases would have one id, a listed pattern applies to no operation,
/// or the plan would not fit into memory.
pub fn generate(
    scenarios: &[Scenario],
    seed: Seed,
    options: &GenerateOptions,
) -> Result<Plan, PlanError> {
    let mut draft = Draft {
        plan: Plan {
            format: FORMAT.to_owned(),
            seed,
            scenarios: Vec::new(),
            cases: Vec::new(),
            trials: Vec::new(),
        },
        options: *options,
        places: BTreeMap::new(),
        attempts: 0,
        next_id: 1,
    };
    for scenario in scenarios {
        check_applicable(scenario)?;
        for (row, name) in scenario.rows.iter().zip(row_names(&scenario.rows)) {
            draft.row(scenario, row, &name)?;
        }
    }
    draft.number_the_rest();
    Ok(draft.plan)
}

struct Draft {
    plan: Plan,
    options: GenerateOptions,
    /// Where the case of each id comes from.
    places: BTreeMap<CaseId, Place>,
    attempts: u64,
    next_id: u32,
}

impl Draft {
    fn row(
        &mut self,
        scenario: &Scenario,
        row: &ScenarioRow,
        row_name: &str,
    ) -> Result<(), PlanError> {
        let index = self.plan.scenarios.len();
        self.plan.scenarios.push(planned(scenario, row)?);
        let first_case = self.plan.cases.len();
        // Kinds as they can be made of the operation at hand, one for each case.
        let mut kinds = Vec::new();
        let patterns: Vec<_> = scenario
            .patterns
            .iter()
            .map(|pattern| pattern.for_row(&row.row))
            .collect();
        for (operation_index, operation) in row.operations.iter().enumerate() {
            if !operation.repeatable {
                continue;
            }
            for pattern in &patterns {
                let Ok(kind) = applied(&pattern.kind, operation) else {
                    continue;
                };
                let id = case_id(&scenario.name, &operation.name, pattern, row_name);
                self.claim(&id, &pattern.place)?;
                let own = pattern.for_row(&row.row);
                self.plan.cases.push(Case {
                    id,
                    scenario: index,
                    operation: operation_index,
                    pattern: pattern::tag(pattern),
                    with: overlay(&own.with),
                    before: own.before,
                    place: pattern.place.clone(),
                    sweeps: pattern::sweeps(&pattern.kind),
                });
                kinds.push((pattern, kind));
            }
        }
        self.controls(scenario, row, row_name, index, first_case);
        let first_trial = self.plan.trials.len();
        for (offset, (pattern, kind)) in kinds.iter().enumerate() {
            let trials = budget::trials(scenario, pattern, kind, self.options.trials);
            let few = budget::alternates(pattern).then_some(budget::FEW_COPIES);
            self.case(first_case + offset, kind, trials, few)?;
        }
        self.shuffle(first_trial);
        self.clients_gone(scenario, row, row_name, index, first_trial);
        Ok(())
    }

    /// Before the trials in which clients go away: what the target does then, with
    /// keys of its own (`transport.md` section 7). Only where an effect can tell.
    fn clients_gone(
        &mut self,
        scenario: &Scenario,
        row: &ScenarioRow,
        row_name: &str,
        index: usize,
        first_trial: usize,
    ) {
        let planned = &self.plan.scenarios[index];
        let left: BTreeSet<usize> = self.plan.trials[first_trial..]
            .iter()
            .filter(|trial| trial.attempts.iter().any(|it| it.fault.client_leaves()))
            .map(|trial| trial.operation)
            .filter(|operation| {
                let tells = |effect| planned.tells_alone(*operation, effect);
                !planned.one_at_a_time() && planned.effects.iter().any(tells)
            })
            .collect();
        let seed = self.plan.seed;
        let trials: Vec<Trial> = left
            .into_iter()
            .map(|operation| Trial {
                id: UNNUMBERED,
                role: Role::Control(Control::ClientGone),
                scenario: index,
                operation,
                instances: (0..CLIENTS_GONE)
                    .map(|instance| {
                        Instance(seed.part(&[
                            "control",
                            &scenario.name,
                            row_name,
                            &row.operations[operation].name,
                            "client-gone",
                            &instance.to_string(),
                        ]))
                    })
                    .collect(),
                attempts: pattern::clients_gone(CLIENTS_GONE),
                hold: None,
                connections: None,
            })
            .collect();
        self.attempts += u64::from(CLIENTS_GONE) * trials.len() as u64;
        self.plan.trials.splice(first_trial..first_trial, trials);
    }

    /// Numbers what was planned last, so that the numbers of all other trials are
    /// what they would be without it.
    fn number_the_rest(&mut self) {
        for trial in &mut self.plan.trials {
            if trial.id == UNNUMBERED {
                trial.id = TrialId(self.next_id);
                self.next_id += 1;
            }
        }
    }

    fn claim(&mut self, id: &CaseId, place: &Place) -> Result<(), PlanError> {
        match self.places.insert(id.clone(), place.clone()) {
            None => Ok(()),
            Some(first) => Err(PlanError::DuplicateCase {
                id: id.clone(),
                first,
                second: place.clone(),
            }),
        }
    }

    /// Warm-up and controls of every operation that has a case.
    fn controls(
        &mut self,
        scenario: &Scenario,
        row: &ScenarioRow,
        row_name: &str,
        index: usize,
        first_case: usize,
    ) {
        let http = row.target.http;
        for (operation_index, operation) in row.operations.iter().enumerate() {
            if !self.plan.cases[first_case..]
                .iter()
                .any(|case| case.operation == operation_index)
            {
                continue;
            }
            let mut push = |role: Role, name: &str, instances: u32, shared: Option<u32>| {
                let instances = (0..instances)
                    .map(|instance| {
                        Instance(self.plan.seed.part(&[
                            "control",
                            &scenario.name,
                            row_name,
                            &operation.name,
                            name,
                            &instance.to_string(),
                        ]))
                    })
                    .collect::<Vec<_>>();
                let count = u32::try_from(instances.len()).expect("made of a u32");
                let at_once = role == Role::Control(Control::Ten);
                self.plan.trials.push(Trial {
                    id: TrialId(self.next_id),
                    role,
                    scenario: index,
                    operation: operation_index,
                    instances,
                    attempts: if at_once {
                        pattern::together(1, count)
                    } else {
                        pattern::clean_in_a_row(count)
                    },
                    // As in a burst, so that a target that refuses strangers in a
                    // burst is seen to do so here.
                    hold: at_once.then_some(HoldPoint::Head),
                    connections: shared,
                });
                self.next_id += 1;
                self.attempts += u64::from(count);
            };
            push(Role::WarmUp, "warm-up", WARM_UP, None);
            push(Role::Control(Control::One), "one", 1, None);
            push(Role::Control(Control::Two), "two", 2, None);
            for repetition in 0..budget::controls_of_ten(scenario) {
                push(
                    Role::Control(Control::Ten),
                    &format!("ten-{repetition}"),
                    10,
                    (http == HttpVersion::Http2 && pattern::shares(repetition)).then_some(1),
                );
            }
        }
    }

    fn case(
        &mut self,
        case_index: usize,
        kind: &PatternKind,
        trials: u32,
        few: Option<u32>,
    ) -> Result<(), PlanError> {
        let keys = pattern::keys(kind);
        self.attempts = self.attempts.saturating_add(
            u64::from(pattern::copies(kind))
                .saturating_mul(u64::from(keys))
                .saturating_mul(u64::from(trials)),
        );
        let case = &self.plan.cases[case_index];
        if self.attempts > MOST_ATTEMPTS {
            return Err(PlanError::TooLarge {
                most: MOST_ATTEMPTS,
                place: case.place.clone(),
            });
        }
        let seed = self.plan.seed;
        let http = self.plan.scenarios[case.scenario].target.http;
        let mut turn = Turn {
            index: 0,
            shift: shift(seed, &case.id),
            few,
        };
        for index in 0..trials {
            turn.index = index;
            let instances = (0..keys)
                .map(|instance| {
                    Instance(seed.part(&[
                        "case",
                        &case.id.0,
                        &index.to_string(),
                        &instance.to_string(),
                    ]))
                })
                .collect();
            self.plan.trials.push(Trial {
                id: TrialId(self.next_id),
                role: Role::Case(case_index),
                scenario: case.scenario,
                operation: case.operation,
                instances,
                attempts: pattern::attempts(kind, turn),
                hold: pattern::hold(kind),
                connections: pattern::connections(kind, turn, http),
            });
            self.next_id += 1;
        }
        Ok(())
    }

    /// Mixes the trials of all cases of a row, so that neither a drift of the
    /// target nor the end of the time falls on one case alone (`retry-safety.md`
    /// section 4.2, *Independence*). Each trial draws its own place, from its own
    /// part: a trial taken away leaves the order of the others. The ids were given
    /// before, so that the trials of a case are neighbours by number.
    fn shuffle(&mut self, first_trial: usize) {
        let seed = self.plan.seed;
        self.plan.trials[first_trial..].sort_by_cached_key(|trial| {
            let own = trial.instances.first().map_or("", |part| part.0.as_str());
            (seed.part(&["order", own]), trial.id)
        });
    }
}

/// Where a case's sweep begins.
fn shift(seed: Seed, case: &CaseId) -> u64 {
    seed.stream(&["sweep", &case.0]).next_u64()
}

fn planned(scenario: &Scenario, row: &ScenarioRow) -> Result<PlannedScenario, PlanError> {
    let index_of = |name: &String| {
        row.effects
            .iter()
            .position(|effect| effect.name == *name)
            .ok_or_else(|| PlanError::UnknownEffect {
                effect: name.clone(),
                scenario: scenario.name.clone(),
            })
    };
    Ok(PlannedScenario {
        name: scenario.name.clone(),
        file: scenario.file.clone(),
        line: scenario.line,
        sha256: scenario.sha256.clone(),
        description: scenario.description.clone(),
        tags: scenario.tags.clone(),
        owner: scenario.owner.clone(),
        docs: scenario.docs.clone(),
        row: row.row.clone(),
        target: row.target.clone(),
        contract: scenario.contract.clone(),
        operations: row.operations.clone(),
        effects: row.effects.clone(),
        together: row
            .together
            .iter()
            .map(|group| group.iter().map(index_of).collect())
            .collect::<Result<_, _>>()?,
        invariants: row.invariants.clone(),
        setup: row.setup.clone(),
        cleanup: row.cleanup.clone(),
        latency: scenario.latency.clone(),
    })
}

fn overlay(with: &With) -> Overlay {
    Overlay {
        json: with.json.clone(),
        headers: with.headers.clone(),
        query: with.query.clone(),
        auth: with.auth.clone(),
    }
}

/// A pattern that the author listed has to apply to one operation at least; one
/// that came from a profile is left out where it does not.
fn check_applicable(scenario: &Scenario) -> Result<(), PlanError> {
    for pattern in scenario.patterns.iter().filter(|it| !it.from_profile) {
        let mut why = None;
        let mut applies = false;
        for operation in scenario.rows.iter().flat_map(|row| &row.operations) {
            if operation.repeatable {
                match applied(&pattern.kind, operation) {
                    Ok(_) => applies = true,
                    Err(lack) => why = Some(lack),
                }
            }
        }
        if let (false, Some(why)) = (applies, why) {
            return Err(PlanError::NotApplicable {
                kind: pattern::kind(&pattern.kind),
                why,
                place: pattern.place.clone(),
            });
        }
    }
    Ok(())
}

/// The pattern as it can be put on this operation, or what the operation lacks.
fn applied(kind: &PatternKind, operation: &Operation) -> Result<PatternKind, &'static str> {
    let body = &operation.request.body;
    match kind {
        PatternKind::Reserialised if !matches!(body, Body::Json(_)) => {
            Err("the request has no JSON body")
        }
        // What is cut "after the head" of a request without a body was sent whole.
        PatternKind::CutRequest { at, end } if is_empty(body) => keep_points(
            at,
            |point| match point {
                CutPoint::Connect
                | CutPoint::FirstByte
                | CutPoint::Head(_)
                | CutPoint::Bytes(_)
                | CutPoint::BeforeEnd(_) => true,
                CutPoint::Headers | CutPoint::Percent(_) | CutPoint::Body(_) => false,
            },
            "the request has no body that could be cut",
        )
        .map(|at| PatternKind::CutRequest { at, end: *end }),
        PatternKind::CutResponse { at, end } if operation.request.method == Method::Head => {
            keep_points(
                at,
                |point| match point {
                    AnswerPoint::Bytes(_)
                    | AnswerPoint::StatusLine
                    | AnswerPoint::Headers
                    | AnswerPoint::Whole => true,
                    AnswerPoint::Percent(_) | AnswerPoint::BeforeEnd(_) => false,
                },
                "the answer has no body that could be cut",
            )
            .map(|at| PatternKind::CutResponse { at, end: *end })
        }
        _ => Ok(kind.clone()),
    }
}

fn is_empty(body: &Body) -> bool {
    match body {
        Body::None => true,
        // Of a multipart body the closing delimiter is sent even without parts.
        Body::Json(_) | Body::Multipart(_) => false,
        Body::Form(fields) => fields.is_empty(),
        Body::Text(text) => text.0.is_empty(),
    }
}

fn keep_points<T: Copy>(
    points: &[T],
    keep: impl Fn(&T) -> bool,
    otherwise: &'static str,
) -> Result<Vec<T>, &'static str> {
    let kept: Vec<_> = points.iter().copied().filter(|it| keep(it)).collect();
    if kept.is_empty() {
        Err(otherwise)
    } else {
        Ok(kept)
    }
}

/// `scenario::operation::pattern`, then `::row` for a matrix row.
fn case_id(scenario: &str, operation: &str, pattern: &Pattern, row: &str) -> CaseId {
    let mut id = [scenario, operation, &pattern::id_part(pattern)]
        .map(plain)
        .join("::");
    if !row.is_empty() {
        id.push_str("::");
        id.push_str(row);
    }
    CaseId(id)
}

/// Only letters that no shell splits or expands.
fn plain(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '=' | '-' => letter,
            _ => '-',
        })
        .collect()
}

/// The row part of case ids: `currency=EUR,country=DE`; empty where there is no
/// matrix. Rows that would look alike once the letters that ids may not have are
/// replaced get four digits of their values' digest.
fn row_names(rows: &[ScenarioRow]) -> Vec<String> {
    let plain_names: Vec<_> = rows.iter().map(|row| row_name(&row.row)).collect();
    rows.iter()
        .zip(&plain_names)
        .map(|(row, name)| {
            let alike = plain_names.iter().filter(|other| *other == name).count();
            if alike > 1 {
                let values = row.row.values().map(value_text).collect::<Vec<_>>();
                let digest = Sha256::digest(values.join("\n"));
                format!("{name}-{:02x}{:02x}", digest[0], digest[1])
            } else {
                name.clone()
            }
        })
        .collect()
}

fn row_name(row: &Row) -> String {
    row.iter()
        .map(|(axis, value)| format!("{}={}", plain(axis), plain(&value_text(value))))
        .collect::<Vec<_>>()
        .join(",")
}

fn value_text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
