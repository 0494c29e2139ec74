//! `retrial check`: everything that is wrong with scenarios and project file,
//! without traffic; `--online` tries one clean operation and every probe too.

use super::args::{CheckArgs, CheckFormat, Deny, How, Safety};
use super::execute::{self, Ended, Forgiving, Job, Outcome};
use super::exit_code::{Exit, Strictness};
use super::hosts;
use super::limits::Limits;
use super::load::{self, Read, Request};
use super::message::{Failure, Level, Message, not_supported_yet};
use super::progress::Progress;
use super::rooms::{self, Loaded, Unset};
use super::run;
use super::terminal::Terminal;
use crate::history::{EventKind, Reading};
use crate::oracle::Ground;
use crate::plan::{Plan, Seed};
use serde_json::json;
use std::fmt::Write;

/// The seed of what is planned only to be counted or tried.
const SEED: Seed = Seed(1);

/// Checks.
pub(crate) fn check(args: &CheckArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    if args.format == CheckFormat::Sarif {
        return Err(not_supported_yet("--format sarif"));
    }
    let request = Request {
        files: &args.files,
        values: &args.values,
        net: &args.net,
        patterns: None,
        unset: if args.online {
            Unset::Error
        } else {
            Unset::Warning
        },
    };
    let mut read = load::read(request, load::look(terminal))?;
    let loaded = read.loaded.take();
    let mut messages = read.found.unreadable.clone();
    let mut plan = None;
    if let Some(loaded) = &loaded {
        let (_, secrets) = read.given.resolve(&loaded.secrets);
        messages.extend(secrets.into_iter().map(|message| Message {
            // Nothing is sent, so nothing is missing yet.
            level: if args.online {
                message.level
            } else {
                Level::Warning
            },
            ..message
        }));
        if read.errors() == 0 {
            plan = Some(rooms::generate(&loaded.scenarios, SEED, None)?);
        }
    }
    let count = |level: Level| messages.iter().filter(|m| m.level == level).count();
    let errors = read.told.errors + count(Level::Error);
    let warnings = read.told.warnings + count(Level::Warning);
    let denied = args.deny == Some(Deny::Warnings) && warnings > 0;
    let nothing = read.found.scenarios.is_empty() && errors == 0;

    match args.format {
        CheckFormat::Json => say_json(&read, &messages, errors, warnings, terminal)?,
        CheckFormat::Text | CheckFormat::Sarif => say_text(&read, &messages, terminal),
    }
    if errors > 0 || denied {
        return Ok(Exit::Usage);
    }
    if nothing {
        return Err(load::nothing(&args.files));
    }
    let (Some(loaded), Some(plan)) = (loaded, plan) else {
        return Ok(Exit::Pass);
    };
    if args.format == CheckFormat::Text {
        terminal.out(&summary(&plan, read.found.scenarios.len()))?;
    }
    if args.online {
        return online(args, &read, &loaded, plan, terminal);
    }
    Ok(Exit::Pass)
}

fn say_text(read: &Read, messages: &[Message], terminal: &Terminal) {
    for message in messages {
        match message.level {
            Level::Error => terminal.error(&message.text()),
            Level::Warning => terminal.warn(message),
        }
    }
    if read.told.errors > 0 {
        terminal.error(&read.told.text);
    } else {
        terminal.note(&read.told.text);
    }
}

fn say_json(
    read: &Read,
    messages: &[Message],
    errors: usize,
    warnings: usize,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let diagnostics: Vec<_> = read
        .told
        .json
        .iter()
        .cloned()
        .chain(messages.iter().map(Message::json))
        .collect();
    let document = json!({
        "schema": "retrial.check/1",
        "files": read.found.scenarios.len(),
        "errors": errors,
        "warnings": warnings,
        "diagnostics": diagnostics,
    });
    terminal.out(&format!("{document:#}\n"))
}

fn summary(plan: &Plan, files: usize) -> String {
    let of = |count: usize, word: &str| match count {
        1 => format!("1 {word}"),
        _ => format!("{count} {word}s"),
    };
    format!(
        "{} in {}: {}, {}; nothing was sent\n",
        of(plan.scenarios.len(), "scenario"),
        of(files, "file"),
        of(plan.cases.len(), "case"),
        of(plan.trials.len(), "trial"),
    )
}

fn online(
    args: &CheckArgs,
    read: &Read,
    loaded: &Loaded,
    plan: Plan,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let plan = run::first_controls_only(plan);
    let environment = args.values.environment.as_deref();
    let mut allow_hosts = args.allow_host.clone();
    if let Some(environment) = environment.and_then(|name| read.project.environments.get(name)) {
        allow_hosts.extend(environment.allow_hosts.iter().cloned());
    }
    hosts::admit(&plan, &allow_hosts)?;
    for warning in hosts::ignored_proxies(&plan, &read.given.env) {
        terminal.warn(&warning);
    }
    let budgets = loaded.scenarios.iter().map(|scenario| &scenario.budget);
    let (limits, _) = Limits::settle(
        read.project.limits,
        &How::default(),
        &Safety::default(),
        budgets,
    );
    let (secrets, _) = read.given.resolve(&loaded.secrets);
    let header = execute::header(&plan, environment)?;
    let headline = execute::headline(&plan, &header);
    let scratch = tempfile::tempdir().map_err(|error| {
        Failure::World(anyhow::Error::new(error).context("failed to make a temporary folder"))
    })?;
    let job = Job {
        header,
        env: read.given.env.clone(),
        secrets,
        redact: loaded.redact.clone(),
        limits,
        allow_hosts,
        keep: false,
        max_failures: None,
        strictness: Strictness::Usual,
        forgiving: Forgiving::No,
        folder: scratch.path().join("check"),
    };
    let progress = Progress::start(terminal, &plan, &headline);
    match execute::execute(&plan, job, terminal, progress)? {
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
    let found = if grounds.iter().any(|ground| ground.reason.is_error()) {
        Exit::Error
    } else if grounds.is_empty() {
        Exit::Pass
    } else {
        Exit::Inconclusive
    };
    outcome.exit.and(found)
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
            let _ = writeln!(
                text,
                "  operation {}: {} {} {told}",
                operation.name,
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
                "  effect {}: GET {} {told} ({} readings)",
                effect.name,
                effect.request.path.0,
                readings.len()
            );
        }
    }
    for ground in grounds {
        let _ = writeln!(text, "\n{}: {}", ground.reason, ground.message);
    }
    text
}

fn of_scenario(plan: &Plan, trial: Option<crate::plan::TrialId>, scenario: usize) -> bool {
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
