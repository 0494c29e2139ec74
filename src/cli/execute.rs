//! The line that every run goes along: record the plan, run it, record what
//! happens, judge, build the report. `run`, `demo` and `check --online` differ in
//! what they hand in and in what they print, not in this.

use super::exit_code::{Exit, Strictness};
use super::limits::Limits;
use super::message::{Failure, Message};
use super::progress::Progress;
use super::rooms::{self, EngineOptions, Recorder, Redact};
use super::stop::{self, Signal};
use super::terminal::Terminal;
use crate::codes::Diagnosis;
use crate::history::{Event, FORMAT, History, RunHeader};
use crate::oracle::Judgement;
use crate::plan::{Plan, Salt, Seed};
use crate::report::Report;
use anyhow::Context;
use rand::rand_core::TryRng;
use rand::rngs::SysRng;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a run needs beside its plan.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// Which run it is.
    pub(crate) header: RunHeader,
    /// What `${{ env.X }}` reads.
    pub(crate) env: BTreeMap<String, String>,
    /// Secrets by name.
    pub(crate) secrets: BTreeMap<String, String>,
    /// What is hidden beside them.
    pub(crate) redact: Redact,
    /// How much may be done.
    pub(crate) limits: Limits,
    /// Hosts that may be sent to beside loopback.
    pub(crate) allow_hosts: Vec<String>,
    /// Whether clean-up is left out.
    pub(crate) keep: bool,
    /// After how many failed cases to stop.
    pub(crate) max_failures: Option<u32>,
    /// Whether inconclusive is failed.
    pub(crate) strictness: Strictness,
    /// Whether 1 and 3 end with 0.
    pub(crate) forgiving: Forgiving,
    /// The folder of the record; it must not hold a run yet.
    pub(crate) folder: PathBuf,
}

/// Whether what the target did wrong changes how the command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forgiving {
    /// It does.
    No,
    /// It does not (`--exit-zero`).
    Yes,
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
    pub(crate) trouble: Option<anyhow::Error>,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It came to its end, interrupted or not.
    Whole(Box<Outcome>),
    /// It was left in the middle; the record says how far it came.
    Left(Signal),
}

/// A new salt.
pub(crate) fn new_salt() -> Result<Salt, Failure> {
    random().map(Salt)
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

/// The header of a run of this plan that begins now.
pub(crate) fn header(plan: &Plan, environment: Option<&str>) -> Result<RunHeader, Failure> {
    let salt = new_salt()?;
    let now = rooms::wall_clock();
    Ok(RunHeader {
        format: FORMAT.to_owned(),
        run: format!("{}-{:04x}", now.strftime("%Y%m%d-%H%M%S"), salt.0 >> 16),
        started_at: now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        seed: plan.seed,
        salt,
        plan_sha256: rooms::digest(plan)?,
        environment: environment.map(str::to_owned),
        shard: "1/1".to_owned(),
    })
}

/// The line that says which run it is (`language.md` section 6).
pub(crate) fn headline(plan: &Plan, header: &RunHeader) -> String {
    let mut parts = vec![format!("retrial {}", header.tool_version)];
    parts.extend(header.environment.clone());
    let mut targets: Vec<&str> = Vec::new();
    for scenario in &plan.scenarios {
        if !targets.contains(&scenario.target.url.as_str()) {
            targets.push(&scenario.target.url);
        }
    }
    parts.push(targets.join(", "));
    parts.push(format!("seed {}", header.seed));
    parts.push(format!("run {}", header.run));
    parts.join(" · ")
}

/// Refuses a folder that holds a run already.
pub(crate) fn free_folder(folder: &Path) -> Result<(), Failure> {
    let taken = ["plan.json", "history.jsonl"]
        .iter()
        .any(|file| folder.join(file).exists());
    if !taken {
        return Ok(());
    }
    Err(Message::error(
        Diagnosis::Usage,
        format!("{} holds a run already", folder.display()),
    )
    .note("nothing was sent")
    .help("name another folder with --out, or move this one away")
    .exit(Exit::Usage))
}

/// Runs a plan.
pub(crate) fn execute(
    plan: &Plan,
    job: Job,
    terminal: &Terminal,
    mut progress: Progress,
) -> Result<Ended, Failure> {
    free_folder(&job.folder)?;
    let mut recorder = Recorder::create(&job.folder, plan, &job.header)?;
    let mut trouble: Option<anyhow::Error> = None;
    let mut record = |event: &Event| {
        // A disk that is full does not end the run: what is known is in memory
        // too, and the report is made from there.
        if trouble.is_none() {
            trouble = recorder.append(event).err();
        }
        progress.event(event);
    };
    let ran = run(plan, &job, terminal, &mut record);
    progress.finish();
    let history = match ran? {
        Ran::Through(history) => history,
        Ran::Left(signal) => return Ok(Ended::Left(signal)),
    };
    let judgement = rooms::judge(plan, &history, job.strictness)?;
    let exit = ending(&judgement, job.strictness, job.forgiving);
    let report = rooms::build_report(plan, &history, &judgement, exit)?;
    Ok(Ended::Whole(Box::new(Outcome {
        history,
        judgement,
        report,
        exit,
        trouble,
    })))
}

enum Ran {
    Through(History),
    Left(Signal),
}

fn run(
    plan: &Plan,
    job: &Job,
    terminal: &Terminal,
    record: &mut (dyn FnMut(&Event) + Send),
) -> Result<Ran, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let options = EngineOptions {
        header: job.header.clone(),
        env: job.env.clone(),
        secrets: job.secrets.clone(),
        redact: job.redact.clone(),
        limits: job.limits,
        allow_hosts: job.allow_hosts.clone(),
        keep: job.keep,
        max_failures: job.max_failures,
    };
    let ran = runtime.block_on(async {
        let asked = stop::listen(terminal).context("failed to listen for signals")?;
        tokio::select! {
            biased;
            history = rooms::run_engine(plan, options, asked.clone(), record) => {
                history.map(Ran::Through)
            }
            signal = stop::asked_to_leave(asked) => Ok(Ran::Left(signal)),
        }
    });
    // Whatever still waits for a slow peer must not keep the command from ending.
    runtime.shutdown_background();
    ran
}

/// How a command ends after this judgement.
pub(crate) fn ending(judgement: &Judgement, strictness: Strictness, forgiving: Forgiving) -> Exit {
    let verdict = Exit::of(judgement.verdict, strictness);
    let exit = match &judgement.interrupted {
        Some(signal) => verdict.and(Signal::named(signal).exit()),
        None => verdict,
    };
    match forgiving {
        Forgiving::No => exit,
        Forgiving::Yes => exit.zeroed(),
    }
}
