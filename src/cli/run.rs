//! `retrial run`: plan, send, verify, judge, report.

use super::args::{Net, RunArgs};
use super::execute::{self, Ended, Job, Outcome, RunName};
use super::exit_code::{Exit, ExitRules};
use super::failure::{Failure, not_supported_yet};
use super::hold::Held;
use super::hosts;
use super::limits::Limits;
use super::load::{self, Purpose, Request};
use super::planned;
use super::progress::Progress;
use super::stop::Signal;
use super::terminal::{Terminal, path_words};
use super::written::{self, Written};
use crate::codes::Diagnosis;
use crate::plan::describe;
use crate::probe::HostPolicy;
use crate::record::{Folder, RUNS, RecordError};
use crate::scenario::Diagnostic;
use crate::scenario::diagnostic::Severity;
use std::collections::BTreeMap;
use std::path::Path;

/// Runs.
pub(crate) fn run(args: &RunArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    if let Some(flag) = args.later.asked() {
        return Err(not_supported_yet(flag));
    }
    match go(args, terminal) {
        // `--allow-empty` forgives that there is nothing, not that it goes unsaid.
        Err(Failure::Because(message, Exit::NothingToRun)) if args.end.allow_empty => {
            terminal.diagnostic(&message);
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
        purpose: if args.safety.dry_run {
            Purpose::Look
        } else {
            Purpose::Send
        },
    };
    let (read, loaded) = load::scenarios(request, terminal)?;
    let wishes = written::wishes(&args.report.report, &loaded.project.reports)?;
    let seed = planned::seed(args.how.seed)?;
    let plan = planned::plan(&loaded.scenarios, seed, args.how.trials)?;
    let plan = planned::filtered(plan, &args.what);
    if plan.cases.is_empty() {
        return Err(Failure::because(
            Diagnostic::error(Diagnosis::NothingToRun, "no case is left after the filters")
                .help("retrial list --cases shows the ids that there are"),
            Exit::NothingToRun,
        ));
    }
    let environment = args.values.environment.as_deref();
    let name = RunName::new()?;
    let headline = execute::headline(&plan, environment, &name);
    if args.safety.dry_run {
        terminal.out(&format!("{headline}\n\n{}", describe(&plan)))?;
        return Ok(Exit::Pass);
    }

    let budgets = loaded.scenarios.iter().map(|scenario| &scenario.budget);
    let (limits, warnings) =
        Limits::settle(&loaded.project.limits, &args.how, &args.safety, budgets);
    for warning in &warnings {
        terminal.diagnostic(warning);
    }
    let allowed = args
        .safety
        .allow_host
        .iter()
        .chain(&loaded.project.allow_hosts);
    let hosts = HostPolicy::new(allowed.cloned());
    hosts::admit(&plan, &hosts, environment)?;
    limits.admit(&plan)?;
    for warning in hosts::ignored_proxies(&plan, &read.given.env) {
        terminal.diagnostic(&warning);
    }
    let secrets = settled_secrets(read.given.secrets_of(&loaded.scenarios), terminal)?;

    let folder = args
        .report
        .out
        .clone()
        .unwrap_or_else(|| read.folder.join(RUNS).join(&name.id));
    if Folder::open(&folder).is_ok() {
        return Err(execute::unrecorded(RecordError::HoldsRun(folder)));
    }
    // Lives until the run is over.
    let held = Held::open(&args.how.hold_pid, hosts::only_loopback(&plan))?;
    let job = Job {
        name,
        environment: args.values.environment.clone(),
        env: read.given.env.clone(),
        secrets,
        redact: loaded.project.redact.clone(),
        limits,
        hosts,
        keep: args.safety.keep,
        hold: held.processes.clone(),
        max_failures: if args.how.fail_fast {
            Some(1)
        } else {
            args.how.max_failures
        },
        rules: ExitRules {
            strict: args.end.strict,
            exit_zero: args.end.exit_zero,
        },
        again: again(args),
        folder: folder.clone(),
    };
    let progress = Progress::start(terminal, &plan, &headline);
    match execute::execute(plan, &job, terminal, progress)? {
        Ended::Left(signal) => Ok(left(signal, &folder, terminal)),
        Ended::Whole(outcome) => {
            let how = args.report.junit_inconclusive;
            let written = written::write(&outcome.report, &wishes, &folder, how);
            Ok(finish(*outcome, &folder, &written, terminal))
        }
    }
}

/// The flags that decide what is planned and where it is sent, for the command
/// that repeats a finding. Secrets are not among flags.
fn again(args: &RunArgs) -> Vec<String> {
    let mut words = Vec::new();
    let mut push = |flag: &str, value: Option<String>| {
        if let Some(value) = value {
            words.extend([flag.to_owned(), value]);
        }
    };
    let shown = |path: &Path| path.to_string_lossy().into_owned();
    push("--project", args.values.project.as_deref().map(shown));
    push("-e", args.values.environment.clone());
    for variable in &args.values.var {
        let value = match &variable.value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        push("--var", Some(format!("{}={value}", variable.name)));
    }
    for (flag, files) in [
        ("--vars-file", &args.values.vars_file),
        ("--env-file", &args.values.env_file),
        ("--secret-file", &args.values.secret_file),
    ] {
        for file in files {
            push(flag, Some(shown(file)));
        }
    }
    push("--trials", args.how.trials.map(|trials| trials.to_string()));
    let size = args.how.patterns.and_then(|size| {
        use clap::ValueEnum;
        Some(size.to_possible_value()?.get_name().to_owned())
    });
    push("--patterns", size);
    let Net {
        target,
        ca_file,
        insecure,
        timeout,
        http,
    } = &args.net;
    push("--target", target.clone());
    push("--ca-file", ca_file.as_deref().map(shown));
    push(
        "--timeout",
        timeout.map(|timeout| format!("{}ms", timeout.as_millis())),
    );
    let http = http.map(|http| http.version().word().to_owned());
    push("--http", http);
    for host in &args.safety.allow_host {
        push("--allow-host", Some(host.clone()));
    }
    if *insecure {
        words.push("--insecure".to_owned());
    }
    words
}

fn settled_secrets(
    (secrets, diagnostics): (BTreeMap<String, String>, Vec<Diagnostic>),
    terminal: &Terminal,
) -> Result<BTreeMap<String, String>, Failure> {
    for diagnostic in &diagnostics {
        terminal.diagnostic(diagnostic);
    }
    let missing = diagnostics
        .iter()
        .any(|diagnostic| diagnostic.severity == Severity::Error);
    if missing {
        return Err(Failure::Told(Exit::Usage));
    }
    Ok(secrets)
}

fn finish(outcome: Outcome, folder: &Path, written: &Written, terminal: &Terminal) -> Exit {
    let told = written::told(folder, &written.files);
    let shown = written::show(&outcome.report, told, terminal);
    let mut exit = outcome.exit;
    let unrecorded = outcome.trouble.map(anyhow::Error::new);
    for trouble in unrecorded.iter().chain(&written.trouble) {
        terminal.trouble(trouble);
        exit = exit.and(Exit::Error);
    }
    if let Err(failure) = shown {
        exit = exit.and(failure.say(terminal));
    }
    exit
}

/// Says where the record of a run is that was left in the middle.
fn left(signal: Signal, folder: &Path, terminal: &Terminal) -> Exit {
    terminal.note(&format!(
        "left in the middle; clean-up may not have run\n\
         what was recorded so far:  retrial report {}\n",
        path_words(folder)
    ));
    signal.exit()
}
