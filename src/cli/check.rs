//! `retrial check`: everything that is wrong with scenarios and project file,
//! without traffic; `--online` tries one clean operation and every probe too.

use super::args::{CheckArgs, CheckFormat, Deny};
use super::execute::{self, Ended, Job, Outcome, RunName};
use super::exit_code::{Exit, ExitRules};
use super::failure::{Failure, not_supported_yet};
use super::hosts;
use super::limits::Limits;
use super::load::{self, Purpose, Read, Request};
use super::planned::{self, FIRST};
use super::progress::Progress;
use super::terminal::{Terminal, counted};
use crate::history::{EventKind, Reading};
use crate::oracle::Ground;
use crate::plan::{Plan, TrialId};
use crate::probe::HostPolicy;
use crate::scenario::diagnostic::{Files, Severity};
use crate::scenario::{Diagnostic, Diagnostics, Loaded};
use anyhow::Context;
use serde_json::{Value, json};
use std::fmt::Write;

/// Checks.
pub(crate) fn check(args: &CheckArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    if args.format == CheckFormat::Sarif {
        return Err(not_supported_yet("--format sarif"));
    }
    let read = load::read(Request {
        files: &args.files,
        values: &args.values,
        net: &args.net,
        patterns: None,
        purpose: if args.online {
            Purpose::Send
        } else {
            Purpose::Look
        },
    })?;
    let of_files = match &read.loaded {
        Ok(loaded) => &loaded.warnings,
        Err(diagnostics) => diagnostics,
    };
    let mut others = Vec::new();
    let mut plan = None;
    if let Ok(loaded) = &read.loaded {
        others = read.given.secrets_of(&loaded.scenarios).1;
        if !args.online {
            for diagnostic in &mut others {
                // Nothing is sent, so nothing is missing yet.
                diagnostic.severity = Severity::Warning;
            }
        }
        match planned::plan(&loaded.scenarios, FIRST, None) {
            Ok(planned) => plan = Some(planned),
            Err(Failure::Because(diagnostic, Exit::Usage)) => others.push(*diagnostic),
            Err(failure) => return Err(failure),
        }
    }
    let others = Diagnostics::new(Files::default(), others);
    let errors = of_files.errors() + others.errors();
    let warnings = of_files.warnings() + others.warnings();

    match args.format {
        CheckFormat::Json => say_json(&read, [of_files, &others], terminal)?,
        CheckFormat::Text | CheckFormat::Sarif => {
            say_text(of_files, &others.list, terminal);
        }
    }
    if errors > 0 || (args.deny == Some(Deny::Warnings) && warnings > 0) {
        return Ok(Exit::Usage);
    }
    let (Ok(loaded), Some(plan)) = (&read.loaded, plan) else {
        return Ok(Exit::Usage);
    };
    if loaded.scenarios.is_empty() {
        return Err(load::nothing(&args.files));
    }
    if args.format == CheckFormat::Text {
        terminal.out(&summary(&plan, read.files, args.online))?;
    }
    if args.online {
        return online(args, &read, loaded, plan, terminal);
    }
    Ok(Exit::Pass)
}

fn say_text(of_files: &Diagnostics, others: &[Diagnostic], terminal: &Terminal) {
    for diagnostic in others {
        terminal.diagnostic(diagnostic);
    }
    let text = terminal.words(of_files);
    if of_files.errors() > 0 {
        terminal.error(&text);
    } else {
        terminal.note(&text);
    }
}

fn say_json(read: &Read, all: [&Diagnostics; 2], terminal: &Terminal) -> Result<(), Failure> {
    let rows: Vec<Value> = all
        .iter()
        .flat_map(|diagnostics| diagnostics.rows())
        .map(|row| row.json())
        .collect();
    let sum = |count: fn(&Diagnostics) -> usize| -> usize { all.iter().map(|d| count(d)).sum() };
    let document = json!({
        "schema": "retrial.check/1",
        "files": read.files,
        "errors": sum(Diagnostics::errors),
        "warnings": sum(Diagnostics::warnings),
        "diagnostics": rows,
    });
    terminal.out(&format!("{document:#}\n"))
}

fn summary(plan: &Plan, files: usize, online: bool) -> String {
    let sent = if online { "" } else { "; nothing was sent" };
    format!(
        "{} in {}: {}, {}{sent}\n",
        counted(plan.scenarios.len(), "scenario"),
        counted(files, "file"),
        counted(plan.cases.len(), "case"),
        counted(plan.trials.len(), "trial"),
    )
}

fn online(
    args: &CheckArgs,
    read: &Read,
    loaded: &Loaded,
    plan: Plan,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let plan = planned::first_controls_only(plan);
    let environment = args.values.environment.as_deref();
    let allowed = args.allow_host.iter().chain(&loaded.project.allow_hosts);
    let hosts = HostPolicy::new(allowed.cloned());
    hosts::admit(&plan, &hosts, environment)?;
    for warning in hosts::ignored_proxies(&plan, &read.given.env) {
        terminal.diagnostic(&warning);
    }
    let limits = Limits::of_files(loaded);
    let (secrets, _) = read.given.secrets_of(&loaded.scenarios);
    let name = RunName::new()?;
    let headline = execute::headline(&plan, environment, &name);
    let scratch = tempfile::tempdir().context("failed to make a temporary folder")?;
    let job = Job {
        name,
        environment: args.values.environment.clone(),
        env: read.given.env.clone(),
        secrets,
        redact: loaded.project.redact.clone(),
        limits,
        hosts,
        keep: false,
        hold: Vec::new(),
        max_failures: None,
        rules: ExitRules::default(),
        again: Vec::new(),
        folder: scratch.path().join("run"),
    };
    let progress = Progress::start(terminal, &plan, &headline);
    match execute::execute(plan.clone(), &job, terminal, progress)? {
        Ended::Left(signal) => Ok(signal.exit()),
        Ended::Whole(outcome) => {
            let grounds = all_grounds(&outcome);
            match args.format {
                CheckFormat::Text | CheckFormat::Sarif => {
                    terminal.out(&tell_online(&plan, &outcome, &grounds))?;
                }
                CheckFormat::Json => {
                    let reasons: Vec<_> = grounds
                        .iter()
                        .map(|ground| json!({"code": ground.reason.code(), "message": ground.message, "line": ground.line}))
                        .collect();
                    let document = json!({"schema": "retrial.check-online/1", "reasons": reasons});
                    terminal.out(&format!("{document:#}\n"))?;
                }
            }
            Ok(ending(&outcome, &grounds))
        }
    }
}

/// What is wrong, wherever it was said.
fn all_grounds(outcome: &Outcome) -> Vec<Ground> {
    let controls = outcome
        .judgement
        .controls
        .iter()
        .flat_map(|control| &control.grounds);
    let mut grounds: Vec<Ground> = controls
        .chain(&outcome.judgement.grounds)
        .cloned()
        .collect();
    grounds.sort();
    grounds.dedup();
    grounds
}

fn ending(outcome: &Outcome, grounds: &[Ground]) -> Exit {
    if outcome.judgement.interrupted.is_some() {
        return outcome.exit;
    }
    // There was no case, so only what the controls saw counts.
    if grounds.iter().any(|ground| ground.reason.is_error()) {
        Exit::Error
    } else if grounds.is_empty() {
        Exit::Pass
    } else {
        Exit::Inconclusive
    }
}

fn tell_online(plan: &Plan, outcome: &Outcome, grounds: &[Ground]) -> String {
    let mut text = String::new();
    let events = &outcome.history.events;
    for (index, scenario) in plan.scenarios.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n{}", scenario.name);
        for (number, operation) in scenario.operations.iter().enumerate() {
            let answer = events
                .iter()
                .filter(|event| of_scenario(plan, event.trial, index))
                .find_map(|event| match &event.kind {
                    EventKind::Exchange(exchange) if exchange.operation == number => {
                        Some(exchange.response.as_ref().map(|response| response.status))
                    }
                    _ => None,
                });
            let told = match answer {
                None => "not sent".to_owned(),
                Some(None) => "no answer".to_owned(),
                Some(Some(status)) => format!("answered {status}"),
            };
            let name = if operation.named {
                format!("operation {}", operation.name)
            } else {
                "operation".to_owned()
            };
            let _ = writeln!(
                text,
                "  {name}: {} {} {told}",
                operation.request.method.word(),
                operation.request.path.0,
            );
        }
        for (number, effect) in scenario.effects.iter().enumerate() {
            let readings: Vec<_> = events
                .iter()
                .filter(|event| of_scenario(plan, event.trial, index))
                .filter_map(|event| match &event.kind {
                    EventKind::Observation(observation) if observation.effect == number => {
                        Some(&observation.reading)
                    }
                    _ => None,
                })
                .collect();
            let told = match readings.last() {
                None => "not read".to_owned(),
                Some(Ok(reading)) => format!("read as {}", words(reading)),
                Some(Err(failure)) => format!("could not be read: {}", failure.what),
            };
            let _ = writeln!(
                text,
                "  effect {}: {} {} {told} ({})",
                effect.name,
                effect.request.method.word(),
                effect.request.path.0,
                counted(readings.len(), "reading")
            );
        }
    }
    for ground in grounds {
        let _ = writeln!(text, "\n{}: {}", ground.reason, ground.message);
    }
    text
}

fn of_scenario(plan: &Plan, trial: Option<TrialId>, scenario: usize) -> bool {
    trial.is_some_and(|id| {
        plan.trials
            .iter()
            .any(|trial| trial.id == id && trial.scenario == scenario)
    })
}

fn words(reading: &Reading) -> String {
    match reading {
        Reading::Count { n, .. } => n.to_string(),
        Reading::Sum(sum) => sum.to_string(),
        Reading::Value(Some(value)) => value.to_string(),
        Reading::Value(None) => "nothing".to_owned(),
    }
}
