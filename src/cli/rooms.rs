//! Where the command line meets the other rooms: one function for each thing
//! that it asks of them. No other file of this room calls theirs, so that what a
//! room is called by is said once.

use super::args::{JunitInconclusive, Size};
use super::exit_code::{Exit, Strictness};
use super::limits::{Limits, ProjectLimits};
use super::message::Failure;
use super::sources::{Found, SourceFile};
use super::stop::Asked;
use super::values::{Given, SecretFrom};
use crate::history::{Event, History, RunHeader};
use crate::oracle::Judgement;
use crate::plan::{Plan, Seed};
use crate::report::Report;
use crate::scenario::Scenario;
use anyhow::anyhow;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;

/// What the scenario room has to say about files, already in words.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    /// How many errors.
    pub(crate) errors: usize,
    /// How many warnings.
    pub(crate) warnings: usize,
    /// All of them with their snippets, and the count below, with ANSI styles.
    pub(crate) text: String,
    /// All of them for programs.
    pub(crate) json: Vec<Value>,
}

/// What the command line wants of a project file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Project {
    /// Globs of its scenarios.
    pub(crate) scenarios: Vec<String>,
    /// Its limits.
    pub(crate) limits: ProjectLimits,
    /// Its environments.
    pub(crate) environments: BTreeMap<String, Environment>,
    /// Reports that it asks for, as `--report` would.
    pub(crate) reports: Vec<String>,
}

/// What the command line wants of an environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    /// Hosts that may be sent to.
    pub(crate) allow_hosts: Vec<String>,
    /// Its env files, relative to the project file's folder.
    pub(crate) env_files: Vec<PathBuf>,
}

/// What flags put in place of what files say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overrides {
    /// `--target`.
    pub(crate) target: Option<String>,
    /// `--ca-file`.
    pub(crate) ca_file: Option<PathBuf>,
    /// `--insecure`.
    pub(crate) insecure: bool,
    /// `--timeout`.
    pub(crate) timeout: Option<Duration>,
    /// `--patterns`.
    pub(crate) patterns: Option<Size>,
}

/// What `${{ env.X }}` of a variable that is not set is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unset {
    /// A warning: nothing is sent.
    Warning,
    /// An error: it would be sent.
    Error,
}

/// Everything that scenarios are read from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sources<'a> {
    /// The files.
    pub(crate) found: &'a Found,
    /// Values from outside.
    pub(crate) given: &'a Given,
    /// The environment that was chosen.
    pub(crate) environment: Option<&'a str>,
    /// What flags say.
    pub(crate) overrides: &'a Overrides,
    /// What an unset variable is.
    pub(crate) unset: Unset,
}

/// What was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Loaded {
    /// The scenarios.
    pub(crate) scenarios: Vec<Scenario>,
    /// Where their secrets come from.
    pub(crate) secrets: BTreeMap<String, SecretFrom>,
    /// What the project hides beside secrets.
    pub(crate) redact: Redact,
}

/// `redact:` of the project file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Redact {
    /// Names of headers.
    pub(crate) headers: Vec<String>,
    /// JSONPaths.
    pub(crate) json: Vec<String>,
}

/// How diagnostics are drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// With ANSI styles.
    pub(crate) color: bool,
    /// With ASCII characters only.
    pub(crate) ascii: bool,
    /// Columns of a line.
    pub(crate) width: usize,
}

fn unwired(room: &str) -> Failure {
    Failure::World(anyhow!("the room `{room}` is not wired"))
}

/// The files that a file names under `use`, as written; none where it cannot be
/// read, which loading it will say.
pub(crate) fn uses(file: &SourceFile) -> Vec<String> {
    let _ = file;
    Vec::new()
}

/// Reads a project file.
pub(crate) fn project(file: &SourceFile, look: Look) -> Result<Project, Told> {
    let _ = (file, look);
    Ok(Project::default())
}

/// Reads all scenarios: those without an error only where there is none at all.
pub(crate) fn load(sources: Sources<'_>, look: Look) -> Result<(Option<Loaded>, Told), Failure> {
    let _ = (sources, look);
    Err(unwired("scenario"))
}

/// The JSON Schema of `scenario`, `project` or `report`.
pub(crate) fn schema(of: super::args::SchemaOf) -> Result<Value, Failure> {
    let _ = of;
    Err(unwired("scenario"))
}

/// Makes the plan.
pub(crate) fn generate(
    scenarios: &[Scenario],
    seed: Seed,
    trials: Option<u32>,
) -> Result<Plan, Failure> {
    let _ = (scenarios, seed, trials);
    Err(unwired("plan"))
}

/// Leaves of a plan what the flags ask for.
pub(crate) fn filter(plan: Plan, what: &super::args::What) -> Plan {
    let _ = what;
    plan
}

/// The plan in words.
pub(crate) fn describe(plan: &Plan) -> Result<String, Failure> {
    let _ = plan;
    Err(unwired("plan"))
}

/// SHA-256 of the stored plan.
pub(crate) fn digest(plan: &Plan) -> Result<String, Failure> {
    let _ = plan;
    Err(unwired("plan"))
}

/// What the engine is handed beside the plan.
#[derive(Debug, Clone)]
pub(crate) struct EngineOptions {
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
}

/// Runs a plan; every event is handed on as it is recorded.
pub(crate) async fn run_engine(
    plan: &Plan,
    options: EngineOptions,
    asked: watch::Receiver<Asked>,
    events: &mut (dyn FnMut(&Event) + Send),
) -> Result<History, Failure> {
    let _ = (plan, options, asked, events);
    std::future::ready(()).await;
    Err(unwired("engine"))
}

/// Judges.
pub(crate) fn judge(
    plan: &Plan,
    history: &History,
    strictness: Strictness,
) -> Result<Judgement, Failure> {
    let _ = (plan, history, strictness);
    Err(unwired("oracle"))
}

/// Builds the report.
pub(crate) fn build_report(
    plan: &Plan,
    history: &History,
    judgement: &Judgement,
    exit: Exit,
) -> Result<Report, Failure> {
    let _ = (plan, history, judgement, exit);
    Err(unwired("report"))
}

/// What a report is rendered as.
#[derive(Debug, Clone)]
pub(crate) enum Rendering<'a> {
    /// For the terminal.
    Table {
        /// How it looks.
        look: Look,
        /// The folder and the files that were written, for the last line.
        written: Option<(&'a Path, &'a [String])>,
    },
    /// `report.json`.
    Json,
    /// `junit.xml`.
    Junit(JunitInconclusive),
}

/// Renders a report.
pub(crate) fn render(report: &Report, rendering: &Rendering<'_>) -> Result<Vec<u8>, Failure> {
    match rendering {
        Rendering::Json => serde_json::to_vec_pretty(report)
            .map_err(|error| Failure::World(anyhow::Error::new(error))),
        Rendering::Table { .. } | Rendering::Junit(_) => Err(unwired("render")),
    }
}

/// The record of a run while it is written.
#[derive(Debug)]
pub(crate) struct Recorder(());

impl Recorder {
    /// Makes the folder, writes the plan, begins the history.
    pub(crate) fn create(folder: &Path, plan: &Plan, header: &RunHeader) -> Result<Self, Failure> {
        let _ = (folder, plan, header);
        Err(unwired("record"))
    }

    /// Appends an event.
    pub(crate) fn append(&mut self, event: &Event) -> anyhow::Result<()> {
        let _ = (&mut self.0, event);
        Err(anyhow!("the room `record` is not wired"))
    }
}

/// Reads a stored run, also one that ends in the middle.
pub(crate) fn read_run(folder: &Path) -> Result<(Plan, History), Failure> {
    let _ = folder;
    Err(unwired("record"))
}

/// The time, for the header of a run.
pub(crate) fn wall_clock() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// A flaw of the demo shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// The name that switches it on.
    pub(crate) name: &'static str,
    /// The id of the hazard that it is caught under.
    pub(crate) hazard: &'static str,
    /// What it does, in a sentence.
    pub(crate) line: &'static str,
}

/// All flaws.
pub(crate) fn flaws() -> Vec<Flaw> {
    Vec::new()
}

/// The flaw that `NAME[=WINDOW]` switches on, or what is wrong with the words.
pub(crate) fn find_flaw(words: &str) -> Result<Flaw, String> {
    let name = words.split_once('=').map_or(words, |(name, _)| name);
    flaws()
        .into_iter()
        .find(|flaw| flaw.name == name)
        .ok_or_else(|| format!("unknown flaw `{name}`"))
}

/// The demo shop while it is open.
#[derive(Debug)]
pub(crate) struct Shop {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
}

impl Shop {
    /// Opens it; `flaws` are words that [`find_flaw`] accepts.
    pub(crate) async fn open(
        listen: SocketAddr,
        flaws: &[String],
        store: Option<&str>,
    ) -> Result<Self, Failure> {
        let _ = (listen, flaws, store);
        std::future::ready(()).await;
        Err(unwired("demo"))
    }

    /// Closes it and removes what it made.
    pub(crate) async fn close(self) {
        let _ = self.addr;
        std::future::ready(()).await;
    }
}

/// The page of a code or topic, as Markdown.
pub(crate) fn page(word: &str) -> Option<&'static str> {
    crate::codes::page(word)
}

/// The example that goes with the page.
pub(crate) fn example(word: &str) -> Option<&'static str> {
    crate::codes::example(word)
}

/// Every word that has a page.
pub(crate) fn topics() -> Vec<&'static str> {
    crate::codes::topics()
}
