//! `retrial list`: scenarios, cases, and what there is to know by name.

use super::args::{ListArgs, ListFormat};
use super::catalogue::{CONTRACTS, PATTERNS, Support};
use super::columns::columns;
use super::exit_code::Exit;
use super::failure::Failure;
use super::planned;
use super::terminal::Terminal;
use crate::codes::{Diagnosis, Hazard, Reason};
use crate::demo::Flaw;
use crate::plan::Plan;
use serde_json::{Value, json};

/// A list: the same rows for people and for programs.
struct List {
    header: &'static [&'static str],
    rows: Vec<Vec<String>>,
    json: Vec<Value>,
}

/// Lists.
pub(crate) fn list(args: &ListArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let list = if args.of.patterns {
        patterns()
    } else if args.of.contracts {
        contracts()
    } else if args.of.codes {
        codes()
    } else if args.of.flaws {
        flaws()
    } else {
        let plan = planned::to_look_at(&args.files, &args.values, &args.net, terminal)?;
        if args.of.cases {
            cases(&plan)
        } else {
            scenarios(&plan)
        }
    };
    match args.format {
        ListFormat::Text => terminal.out(&columns(list.header, &list.rows, terminal))?,
        ListFormat::Json => terminal.out(&format!("{:#}\n", Value::Array(list.json)))?,
    }
    Ok(Exit::Pass)
}

fn scenarios(plan: &Plan) -> List {
    let mut rows = Vec::new();
    let mut json = Vec::new();
    let mut seen = Vec::new();
    for scenario in &plan.scenarios {
        if seen.contains(&&scenario.name) {
            continue;
        }
        seen.push(&scenario.name);
        let cases = plan
            .cases
            .iter()
            .filter(|case| plan.scenarios[case.scenario].name == scenario.name)
            .count();
        rows.push(vec![
            scenario.name.clone(),
            cases.to_string(),
            scenario.tags.join(", "),
            scenario.file.clone(),
            scenario.description.clone().unwrap_or_default(),
        ]);
        json.push(json!({
            "scenario": scenario.name,
            "cases": cases,
            "tags": scenario.tags,
            "owner": scenario.owner,
            "file": scenario.file,
            "description": scenario.description,
        }));
    }
    List {
        header: &["Scenario", "Cases", "Tags", "File", "Description"],
        rows,
        json,
    }
}

fn cases(plan: &Plan) -> List {
    let of_case = |index: usize| {
        plan.trials
            .iter()
            .filter(|trial| trial.role == crate::plan::Role::Case(index))
            .count()
    };
    let numbered = || plan.cases.iter().enumerate();
    List {
        header: &["Case", "Trials", "Pattern"],
        rows: numbered()
            .map(|(index, case)| {
                vec![
                    case.id.to_string(),
                    of_case(index).to_string(),
                    case.pattern.shown.clone(),
                ]
            })
            .collect(),
        json: numbered()
            .map(|(index, case)| {
                json!({
                    "case": case.id,
                    "scenario": plan.scenarios[case.scenario].name,
                    "pattern": case.pattern.kind.word(),
                    "label": case.pattern.label,
                    "trials": of_case(index),
                    "file": case.place.file,
                    "line": case.place.line,
                })
            })
            .collect(),
    }
}

fn patterns() -> List {
    List {
        header: &["Pattern", "Write", "", "On the wire"],
        rows: PATTERNS
            .iter()
            .map(|pattern| {
                vec![
                    pattern.name.to_owned(),
                    pattern.form.to_owned(),
                    pattern.now.word().to_owned(),
                    format!("{}; finds: {}", pattern.wire, pattern.finds),
                ]
            })
            .collect(),
        json: PATTERNS
            .iter()
            .map(|pattern| {
                json!({
                    "pattern": pattern.name,
                    "write": pattern.form,
                    "on_the_wire": pattern.wire,
                    "finds": pattern.finds,
                    "supported": pattern.now == Support::Now,
                })
            })
            .collect(),
    }
}

fn contracts() -> List {
    List {
        header: &["Contract", "", "Promise"],
        rows: CONTRACTS
            .iter()
            .map(|contract| {
                vec![
                    contract.name.to_owned(),
                    contract.now.word().to_owned(),
                    contract.line.to_owned(),
                ]
            })
            .collect(),
        json: CONTRACTS
            .iter()
            .map(|contract| {
                json!({
                    "contract": contract.name,
                    "promise": contract.line,
                    "supported": contract.now == Support::Now,
                })
            })
            .collect(),
    }
}

/// Kind, code and line of everything that can be printed.
pub(crate) fn every_code() -> Vec<(&'static str, &'static str, &'static str)> {
    let hazards = Hazard::ALL
        .iter()
        .map(|hazard| ("hazard", hazard.code(), hazard.line()));
    let reasons = Reason::ALL.iter().map(|reason| {
        let kind = if reason.is_error() {
            "error"
        } else {
            "inconclusive"
        };
        (kind, reason.code(), reason.line())
    });
    let diagnoses = Diagnosis::ALL
        .iter()
        .map(|diagnosis| ("diagnostic", diagnosis.code(), diagnosis.line()));
    hazards.chain(reasons).chain(diagnoses).collect()
}

fn codes() -> List {
    let codes = every_code();
    List {
        header: &["Code", "Kind", "Severity", "Meaning"],
        rows: codes
            .iter()
            .map(|(kind, code, line)| {
                vec![
                    (*code).to_owned(),
                    (*kind).to_owned(),
                    severity(code).unwrap_or_default().to_owned(),
                    (*line).to_owned(),
                ]
            })
            .collect(),
        json: codes
            .iter()
            .map(|(kind, code, line)| {
                json!({"code": code, "kind": kind, "severity": severity(code), "meaning": line})
            })
            .collect(),
    }
}

fn severity(code: &str) -> Option<&'static str> {
    Hazard::find(code).map(|hazard| hazard.severity().word())
}

fn flaws() -> List {
    List {
        header: &["Flaw", "Caught under", "What it does"],
        rows: Flaw::ALL
            .iter()
            .map(|flaw| {
                vec![
                    flaw.name().to_owned(),
                    flaw.hazard().to_owned(),
                    flaw.line().to_owned(),
                ]
            })
            .collect(),
        json: Flaw::ALL
            .iter()
            .map(|flaw| json!({"flaw": flaw.name(), "hazard": flaw.hazard(), "does": flaw.line()}))
            .collect(),
    }
}
