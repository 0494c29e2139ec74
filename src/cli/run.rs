//! `retrial run`: plan, send, verify, judge, report.

use super::args::{RunArgs, SeedChoice};
use super::execute::{self, Ended, Forgiving, Job, Outcome};
use super::exit_code::{Exit, Strictness};
use super::hosts;
use super::limits::Limits;
use super::load::{self, Request};
use super::message::{Failure, Level, Message, not_supported_yet};
use super::progress::Progress;
use super::rooms::{self, Look, Rendering, Unset};
use super::stop::Signal;
use super::terminal::{Terminal, in_ci};
use super::written;
use crate::codes::Diagnosis;
use crate::plan::{Plan, Seed};
use crate::report::Report;
use std::path::Path;

/// Runs.
pub(crate) fn run(args: &RunArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    if let Some(flag) = args.later.asked() {
        return Err(not_supported_yet(flag));
    }
    match go(args, terminal) {
        // `--allow-empty` forgives that there is nothing, not that it goes unsaid.
        Err(Failure::Message(message, Exit::Nothing)) if args.end.allow_empty => {
            terminal.note(&message.text());
            Ok(Exit::Pass)
        }
        ended => ended,
    }
}

fn go(args: &RunArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    written::wishes(&args.report.report, &[])?;
    let request = Request {
        files: &args.what.files,
        values: &args.values,
        net: &args.net,
        patterns: args.how.patterns,
        unset: if args.safety.dry_run {
            Unset::Warning
        } else {
            Unset::Error
        },
    };
    let (read, loaded) = load::scenarios(request, terminal)?;
    let wishes = written::wishes(&args.report.report, &read.project.reports)?;
    let seed = seed(args.how.seed)?;
    let plan = rooms::generate(&loaded.scenarios, seed, args.how.trials)?;
    let plan = rooms::filter(plan, &args.what);
    if plan.cases.is_empty() {
        return Err(
            Message::error(Diagnosis::NothingToRun, "no case is left after the filters")
                .help("retrial list --cases shows the ids that there are")
                .exit(Exit::Nothing),
        );
    }
    let environment = args.values.environment.as_deref();
    let header = execute::header(&plan, environment)?;
    let headline = execute::headline(&plan, &header);
    if args.safety.dry_run {
        terminal.out(&format!("{headline}\n\n{}", rooms::describe(&plan)?))?;
        return Ok(Exit::Pass);
    }

    let budgets = loaded.scenarios.iter().map(|scenario| &scenario.budget);
    let (limits, warnings) = Limits::settle(read.project.limits, &args.how, &args.safety, budgets);
    for warning in &warnings {
        terminal.warn(warning);
    }
    let mut allow_hosts = args.safety.allow_host.clone();
    if let Some(environment) = environment.and_then(|name| read.project.environments.get(name)) {
        allow_hosts.extend(environment.allow_hosts.iter().cloned());
    }
    hosts::admit(&plan, &allow_hosts)?;
    limits.admit(&plan)?;
    for warning in hosts::ignored_proxies(&plan, &read.given.env) {
        terminal.warn(&warning);
    }
    let (secrets, messages) = read.given.resolve(&loaded.secrets);
    settle_secrets(&messages, terminal)?;

    let folder = args
        .report
        .out
        .clone()
        .unwrap_or_else(|| read.found.folder.join(".retrial/runs").join(&header.run));
    let job = Job {
        header,
        env: read.given.env.clone(),
        secrets,
        redact: loaded.redact.clone(),
        limits,
        allow_hosts,
        keep: args.safety.keep,
        max_failures: if args.how.fail_fast {
            Some(1)
        } else {
            args.how.max_failures
        },
        strictness: if args.end.strict {
            Strictness::Strict
        } else {
            Strictness::Usual
        },
        forgiving: if args.end.exit_zero {
            Forgiving::Yes
        } else {
            Forgiving::No
        },
        folder: folder.clone(),
    };
    let progress = Progress::start(terminal, &plan, &headline);
    match execute::execute(&plan, job, terminal, progress)? {
        Ended::Left(signal) => Ok(left(signal, &folder, terminal)),
        Ended::Whole(outcome) => {
            let written = written::write(
                &outcome.report,
                &wishes,
                &folder,
                args.report.junit_inconclusive,
            );
            finish(*outcome, &folder, written, terminal)
        }
    }
}

/// The seed that a flag asks for; without one, the same in every CI job and a new
/// one elsewhere.
pub(crate) fn seed(choice: Option<SeedChoice>) -> Result<Seed, Failure> {
    match choice {
        Some(SeedChoice::Given(seed)) => Ok(seed),
        Some(SeedChoice::Random) => execute::new_seed(),
        None if in_ci() => Ok(Seed(1)),
        None => execute::new_seed(),
    }
}

fn settle_secrets(messages: &[Message], terminal: &Terminal) -> Result<(), Failure> {
    let mut missing = false;
    for message in messages {
        match message.level {
            Level::Warning => terminal.warn(message),
            Level::Error => {
                missing = true;
                terminal.error(&message.text());
            }
        }
    }
    if missing {
        return Err(Failure::Told(Exit::Usage));
    }
    Ok(())
}

/// How a report on stdout looks.
pub(crate) fn look(terminal: &Terminal) -> Look {
    Look {
        color: terminal.colored(),
        ascii: terminal.ascii,
        width: terminal.width,
    }
}

/// Prints the report as people read it.
pub(crate) fn show(
    report: &Report,
    written: Option<(&Path, &[String])>,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let bytes = rooms::render(
        report,
        &Rendering::Table {
            look: look(terminal),
            written,
        },
    )?;
    terminal.out(&String::from_utf8_lossy(&bytes))
}

fn finish(
    outcome: Outcome,
    folder: &Path,
    written: written::Written,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let shown = show(&outcome.report, Some((folder, &written.files)), terminal);
    let mut exit = outcome.exit;
    for trouble in outcome.trouble.iter().chain(&written.trouble) {
        terminal.error(&Failure::words(trouble));
        exit = exit.and(Exit::Error);
    }
    match shown {
        Ok(()) => Ok(exit),
        Err(failure) => {
            failure.say(terminal);
            Ok(exit.and(Exit::Error))
        }
    }
}

/// Says where the record of a run is that was left in the middle.
pub(crate) fn left(signal: Signal, folder: &Path, terminal: &Terminal) -> Exit {
    terminal.note(&format!(
        "left in the middle; clean-up may not have run\n\
         what was recorded so far:  retrial report {}\n",
        folder.display()
    ));
    signal.exit()
}

/// The plan without its cases: what shows that a target can be judged at all.
pub(crate) fn first_controls_only(mut plan: Plan) -> Plan {
    use crate::plan::{Control, Role};
    use std::collections::BTreeSet;
    let mut seen = BTreeSet::new();
    plan.trials.retain(|trial| {
        trial.role == Role::Control(Control::One) && seen.insert((trial.scenario, trial.operation))
    });
    plan.cases.clear();
    plan
}
