//! The line that every run goes along: record the plan, run it, record what
//! happens, judge, build the report. `run`, `demo` and `check --online` differ in
//! what they hand in and in what they print, not in this.

use super::exit_code::{Exit, ExitRules};
use super::failure::Failure;
use super::hosts;
use super::limits::Limits;
use super::progress::Progress;
use super::stop::{self, Asked, Signal};
use super::terminal::Terminal;
use crate::codes::Diagnosis;
use crate::engine::{self, GoOn, Notice, Options, Rounds, Stop};
use crate::history::{History, Redactor};
use crate::oracle::{self, JudgeOptions, Judgement, Verdict};
use crate::plan::{Plan, Salt, Seed};
use crate::probe::HostPolicy;
use crate::record::{Folder, RecordError, Writer, run_id};
use crate::report::{self, BuildOptions, Report, exit_code};
use crate::scenario::{Diagnostic, Redact};
use anyhow::{Context, anyhow};
use rand::rand_core::TryRng;
use rand::rngs::SysRng;
use serde_json_path::JsonPath;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Trials in flight where nobody says otherwise.
const JOBS: u32 = 4;

/// Which run it is.
#[derive(Debug, Clone)]
pub(crate) struct RunName {
    /// UTC date, time and the first four digits of the salt.
    pub(crate) id: String,
    /// RFC 3339, UTC.
    pub(crate) started_at: String,
    /// What makes its keys and markers its own.
    pub(crate) salt: Salt,
}

/// What a run needs beside its plan.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// Which run it is.
    pub(crate) name: RunName,
    /// The environment that was chosen.
    pub(crate) environment: Option<String>,
    /// What `${{ env.X }}` reads.
    pub(crate) env: BTreeMap<String, String>,
    /// Secrets by name.
    pub(crate) secrets: BTreeMap<String, String>,
    /// What is hidden beside them.
    pub(crate) redact: Redact,
    /// How much may be done.
    pub(crate) limits: Limits,
    /// Who may be sent to.
    pub(crate) hosts: HostPolicy,
    /// Whether clean-up is left out.
    pub(crate) keep: bool,
    /// Processes that stand still around every burst.
    pub(crate) hold: Vec<engine::Process>,
    /// After how many failed cases to stop.
    pub(crate) max_failures: Option<u32>,
    /// How the verdict becomes an exit code.
    pub(crate) rules: ExitRules,
    /// Flags that repeat the run, word by word.
    pub(crate) again: Vec<String>,
    /// The folder of the record; it must not hold a run yet.
    pub(crate) folder: PathBuf,
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What happened.
    pub(crate) history: History,
    /// What is said of it.
    pub(crate) judgement: Judgement,
    /// What is told of it.
    pub(crate) report: Report,
    /// How the command ends.
    pub(crate) exit: Exit,
    /// What could not be recorded.
    pub(crate) trouble: Option<RecordError>,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It came to its end, interrupted or not.
    Whole(Box<Outcome>),
    /// It was left in the middle; the record says how far it came.
    Left(Signal),
}

/// A new seed: 8 hex digits are enough to be different and short to type.
pub(crate) fn new_seed() -> Result<Seed, Failure> {
    random().map(|number| Seed(u64::from(number)))
}

fn random() -> Result<u32, Failure> {
    SysRng
        .try_next_u32()
        .context("failed to get random numbers from the system")
        .map_err(Failure::World)
}

impl RunName {
    /// The name of a run that begins now.
    pub(crate) fn new() -> Result<Self, Failure> {
        let salt = Salt(random()?);
        let now = engine::wall_clock();
        let first_digits = u16::try_from(salt.0 >> 16).unwrap_or_default();
        Ok(Self {
            id: run_id(now, first_digits),
            started_at: now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            salt,
        })
    }
}

/// The line that says which run it is (`language.md` section 6).
pub(crate) fn headline(plan: &Plan, environment: Option<&str>, name: &RunName) -> String {
    let mut targets: Vec<&str> = Vec::new();
    for scenario in &plan.scenarios {
        if !targets.contains(&scenario.target.url.as_str()) {
            targets.push(&scenario.target.url);
        }
    }
    let mut parts = vec![format!("retrial {}", env!("CARGO_PKG_VERSION"))];
    parts.extend(environment.map(str::to_owned));
    parts.push(targets.join(", "));
    parts.push(format!("seed {}", plan.seed));
    parts.push(format!("run {}", name.id));
    parts.join(" · ")
}

/// Who listens to the engine: the record and the screen.
struct Listeners {
    writer: Option<Writer>,
    progress: Option<Progress>,
}

/// Runs a plan.
pub(crate) fn execute(
    plan: Plan,
    job: &Job,
    terminal: &Terminal,
    progress: Progress,
) -> Result<Ended, Failure> {
    let plan = Arc::new(plan);
    let options = options(&plan, job);
    let folder = Folder::create(&job.folder).map_err(unrecorded)?;
    folder.write_plan(&plan).map_err(unrecorded)?;
    let writer = folder
        .writer(&engine::header(&plan, &options.0))
        .map_err(unrecorded)?;
    let listeners = Arc::new(Mutex::new(Listeners {
        writer: Some(writer),
        progress: Some(progress),
    }));
    let ran = run(&plan, options, job, terminal, &listeners);
    let (writer, progress) = {
        let mut listeners = listeners.lock().unwrap_or_else(PoisonError::into_inner);
        (listeners.writer.take(), listeners.progress.take())
    };
    if let Some(progress) = progress {
        progress.finish();
    }
    // A disk that is full does not end the run: what is known is in memory too,
    // and the report is made from there.
    let trouble = writer.and_then(|writer| writer.finish().err());
    let history = match ran? {
        Ran::Through(history) => *history,
        Ran::Left(signal) => return Ok(Ended::Left(signal)),
    };
    let (judgement, report, exit) = judge(&plan, &history, job);
    Ok(Ended::Whole(Box::new(Outcome {
        history,
        judgement,
        report,
        exit,
        trouble,
    })))
}

fn judge(plan: &Plan, history: &History, job: &Job) -> (Judgement, Report, Exit) {
    let judgement = oracle::judge(
        plan,
        history,
        JudgeOptions {
            strict: job.rules.strict,
        },
    );
    let options = BuildOptions {
        rules: job.rules,
        redactor: Redactor::new(
            job.secrets.clone(),
            job.redact.headers.clone(),
            paths(&job.redact),
        ),
        again: job.again.clone(),
    };
    let report = report::build(plan, history, &judgement, &options);
    let exit = exit_code(&judgement, job.rules);
    (judgement, report, exit)
}

/// Why there can be no record; a folder that is taken is the user's business.
pub(crate) fn unrecorded(error: RecordError) -> Failure {
    match error {
        RecordError::HoldsRun(_) => Failure::because(
            Diagnostic::error(Diagnosis::Usage, error.to_string())
                .note("nothing was sent")
                .help("name another folder with --out, or move this one away"),
            Exit::Usage,
        ),
        error => Failure::World(anyhow::Error::new(error)),
    }
}

fn paths(redact: &Redact) -> Vec<JsonPath> {
    // What does not parse was an error of the project file.
    redact
        .json
        .iter()
        .filter_map(|path| JsonPath::parse(path).ok())
        .collect()
}

/// The engine's options, and the way to ask it to stop.
type Asking = (Options, tokio::sync::watch::Sender<Option<&'static str>>);

fn options(plan: &Plan, job: &Job) -> Asking {
    let (ask, stop) = Stop::new();
    let options = Options {
        run: job.name.id.clone(),
        started_at: job.name.started_at.clone(),
        salt: job.name.salt,
        environment: job.environment.clone(),
        plan_sha256: plan.digest(),
        secrets: job.secrets.clone(),
        env: job.env.clone(),
        redact_headers: job.redact.headers.clone(),
        redact_json: paths(&job.redact),
        hosts: job.hosts.clone(),
        caps: job.limits.caps(hosts::only_loopback(plan)),
        jobs: job.limits.jobs.unwrap_or(JOBS) as usize,
        keep: job.keep,
        hold: job.hold.clone(),
        rounds: if job.max_failures.is_some() {
            Rounds::Case
        } else {
            Rounds::Scenario
        },
        stop,
    };
    (options, ask)
}

enum Ran {
    Through(Box<History>),
    Left(Signal),
}

fn run(
    plan: &Arc<Plan>,
    (options, ask): Asking,
    job: &Job,
    terminal: &Terminal,
    listeners: &Arc<Mutex<Listeners>>,
) -> Result<Ran, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let told = Arc::clone(listeners);
    let observer = Arc::new(move |notice: Notice<'_>| {
        let mut listeners = told.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Notice::Event(event), Some(writer)) = (&notice, &listeners.writer) {
            writer.append(event);
        }
        if let Some(progress) = &mut listeners.progress {
            progress.notice(&notice);
        }
    });
    let judged = Arc::clone(plan);
    let strict = job.rules.strict;
    let most = job.max_failures;
    let after_round = move |history: &History| match most {
        Some(most) if failures(&judged, history, strict) >= most => GoOn::No,
        Some(_) | None => GoOn::Yes,
    };
    let ran = runtime.block_on(async {
        let asked = stop::listen(terminal).context("failed to listen for signals")?;
        let mut first = asked.clone();
        tokio::spawn(async move {
            if let Ok(asked) = first.wait_for(|asked| *asked != Asked::Nothing).await
                && let Asked::Finish(signal) | Asked::Leave(signal) = *asked
            {
                ask.send_replace(Some(signal.name()));
            }
            // The engine reads the last word even after its sender has gone.
        });
        tokio::select! {
            biased;
            history = engine::run(Arc::clone(plan), options, observer, after_round) => {
                history.map(|history| Ran::Through(Box::new(history))).map_err(|error| anyhow!(error))
            }
            signal = stop::asked_to_leave(asked) => Ok(Ran::Left(signal)),
        }
    });
    // Whatever still waits for a slow peer must not keep the command from ending.
    runtime.shutdown_background();
    ran.map_err(Failure::World)
}

/// How many cases are known to fail so far.
fn failures(plan: &Plan, history: &History, strict: bool) -> u32 {
    let judgement = oracle::judge(plan, history, JudgeOptions { strict });
    let failed = judgement
        .cases
        .iter()
        .filter(|case| case.verdict == Verdict::Fail)
        .count();
    u32::try_from(failed).unwrap_or(u32::MAX)
}
