//! From scenarios to a plan, and the parts of plans that commands ask for.

use super::args::{Net, SeedChoice, Values, What};
use super::execute;
use super::exit_code::Exit;
use super::failure::Failure;
use super::load::{self, Purpose, Request};
use super::terminal::{Terminal, in_ci};
use crate::codes::Diagnosis;
use crate::plan::{Control, Filter, GenerateOptions, Place, Plan, PlanError, Role, Seed, generate};
use crate::scenario::{Diagnostic, Scenario};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The seed of what is planned only to be looked at, and of every CI job.
pub(crate) const FIRST: Seed = Seed(1);

/// The plan for these scenarios.
pub(crate) fn plan(
    scenarios: &[Scenario],
    seed: Seed,
    trials: Option<u32>,
) -> Result<Plan, Failure> {
    generate(scenarios, seed, &GenerateOptions { trials }).map_err(|error| wrong(&error))
}

/// The plan of some files that is only looked at.
pub(crate) fn to_look_at(
    files: &[PathBuf],
    values: &Values,
    net: &Net,
    terminal: &Terminal,
) -> Result<Plan, Failure> {
    let request = Request {
        files,
        values,
        net,
        patterns: None,
        purpose: Purpose::Look,
    };
    let (_, loaded) = load::scenarios(request, terminal)?;
    plan(&loaded.scenarios, FIRST, None)
}

fn wrong(error: &PlanError) -> Failure {
    let at = |place: &Place| format!("{}:{}", place.file, place.line);
    let said = |code: Diagnosis| Diagnostic::error(code, error.to_string());
    let (diagnostic, exit) = match error {
        PlanError::DuplicateCase { first, second, .. } => (
            said(Diagnosis::DuplicateCase)
                .note(format!("first at {}, again at {}", at(first), at(second)))
                .help("give one of the patterns a `name:`"),
            Exit::Usage,
        ),
        PlanError::NotApplicable { place, .. } => (
            said(Diagnosis::InvalidValue).note(format!("asked for at {}", at(place))),
            Exit::Usage,
        ),
        PlanError::UnknownEffect { .. } => (said(Diagnosis::UnknownEffect), Exit::Usage),
        PlanError::TooLarge { place, .. } => (
            said(Diagnosis::OverLimit)
                .note(format!("it became too much at {}", at(place)))
                .help("plan fewer with --trials or --case"),
            Exit::Refused,
        ),
    };
    Failure::because(diagnostic, exit)
}

/// What the flags leave of a plan.
pub(crate) fn filtered(plan: Plan, what: &What) -> Plan {
    let filter = Filter {
        cases: what.case.clone(),
        operations: what.operation.clone(),
        patterns: what.pattern.clone(),
        tags: what.tag.clone(),
        not_tags: what.not_tag.clone(),
    };
    if filter == Filter::default() {
        return plan;
    }
    filter.apply(plan)
}

/// The seed that a flag asks for; without one, the same in every CI job and a new
/// one elsewhere.
pub(crate) fn seed(choice: Option<SeedChoice>) -> Result<Seed, Failure> {
    match choice {
        Some(SeedChoice::Given(seed)) => Ok(seed),
        None if in_ci() => Ok(FIRST),
        Some(SeedChoice::Random) | None => execute::new_seed(),
    }
}

/// The first clean operation of each scenario's operations, and nothing else: what
/// shows that a target can be judged at all.
pub(crate) fn first_controls_only(mut plan: Plan) -> Plan {
    let mut seen = BTreeSet::new();
    plan.trials.retain(|trial| {
        trial.role == Role::Control(Control::One) && seen.insert((trial.scenario, trial.operation))
    });
    plan.cases.clear();
    plan
}
