//! Executes a [`Plan`]; the only scheduler. It returns a [`History`] and judges
//! nothing: it may skip what the plan says, never invent.
//!
//! A scenario goes through its phases in order: set-up, warm-up, control trials,
//! trials in lanes, quiet, count, closing retries, verification, clean-up.

mod budget;
mod clock;
mod closing;
mod exchange;
mod facts;
mod request;
mod round;
mod session;
mod steps;
mod trial;
mod verify;
mod world;

pub use budget::Caps;
pub use clock::{Clock, wall_clock};

pub use crate::delivery::Process;

use crate::delivery::Equipment;
use crate::history::{Event, EventKind, History, Phase, Redactor, RunHeader, Stage};
use crate::plan::Scope;
use crate::plan::{Each, Plan, Salt};
use crate::probe::HostPolicy;
use serde_json_path::JsonPath;
use session::{RunNames, Session};
use std::collections::BTreeMap;
use std::sync::Arc;
use steps::For;
use tokio::sync::watch;
use world::{Recorder, RunContext, World};

/// How a run is done, beside the plan.
#[derive(Debug, Clone)]
pub struct Options {
    /// The run's id.
    pub run: String,
    /// When it starts, RFC 3339 in UTC.
    pub started_at: String,
    /// What makes its keys and markers its own.
    pub salt: Salt,
    /// The environment that was chosen.
    pub environment: Option<String>,
    /// SHA-256 of the stored plan.
    pub plan_sha256: String,
    /// Values of `${{ secrets.x }}`.
    pub secrets: BTreeMap<String, String>,
    /// Values of `${{ env.X }}`, for what the plan left open.
    pub env: BTreeMap<String, String>,
    /// Headers and JSONPaths that the project file hides.
    pub redact_headers: Vec<String>,
    /// See `redact_headers`.
    pub redact_json: Vec<JsonPath>,
    /// Who may be sent to.
    pub hosts: HostPolicy,
    /// What it may use.
    pub caps: Caps,
    /// Trials in flight.
    pub jobs: usize,
    /// Whether clean-up is left out.
    pub keep: bool,
    /// How much is run before the verdict so far is asked for.
    pub rounds: Rounds,
    /// Processes of this machine that stand still around every burst.
    pub hold: Vec<Process>,
    /// Asks the run to stop.
    pub stop: Stop,
}

/// How much is run in one round, each with its own verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounds {
    /// All cases of a scenario.
    Scenario,
    /// One case: dearer, since each waits for its effects, but a run that is to
    /// stop at its first failure knows of it sooner.
    Case,
}

/// Asks a run to stop: no more attempts; verify, clean up, report.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<Option<&'static str>>);

impl Stop {
    /// A way to ask, and what is asked.
    pub fn new() -> (watch::Sender<Option<&'static str>>, Self) {
        let (sender, receiver) = watch::channel(None);
        (sender, Self(receiver))
    }

    /// The signal, once the run was asked to stop.
    pub fn requested(&self) -> Option<&'static str> {
        *self.0.borrow()
    }
}

/// What a run tells while it goes on.
#[derive(Debug)]
pub enum Notice<'a> {
    /// Something happened; in the order of the history.
    Event(&'a Event),
    /// How far a phase of a scenario has come.
    Progress {
        /// Index of the scenario in the plan.
        scenario: usize,
        /// The phase.
        phase: Phase,
        /// So many.
        done: usize,
        /// Of so many.
        total: usize,
    },
}

/// Why a run could not be done at all.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum EngineError {
    #[error("the CA file {path} cannot be read")]
    CaFile {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("`{url}` is not a URL")]
    Url {
        url: String,
        #[source]
        source: url::ParseError,
    },
    #[error("TLS cannot be set up for {scenario}")]
    Tls {
        scenario: String,
        #[source]
        source: crate::delivery::TlsConfigError,
    },
    #[error("the target of {scenario} cannot be used")]
    Target {
        scenario: String,
        #[source]
        source: crate::delivery::TargetError,
    },
    #[error("the client for {scenario} cannot be set up")]
    Client {
        scenario: String,
        #[source]
        source: crate::probe::ClientError,
    },
    #[error("the system gives no thread")]
    Thread(#[source] std::io::Error),
}

/// Whether a run goes on after a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoOn {
    /// It does.
    Yes,
    /// Enough is known.
    No,
}

/// Runs a plan. `observer` is told of every event as it comes; `after_round` is
/// asked after each round but the last, with everything so far.
///
/// # Errors
/// [`EngineError`] only where it cannot be run at all; whatever the target does
/// is in the history.
pub async fn run(
    plan: Arc<Plan>,
    options: Options,
    observer: Arc<dyn Fn(Notice<'_>) + Send + Sync>,
    mut after_round: impl FnMut(&History) -> GoOn + Send,
) -> Result<History, EngineError> {
    let clock = Clock::start();
    let header = header(&plan, &options);
    let epoch = crate::delivery::Epoch::new(clock.epoch());
    let equipment =
        Equipment::start_holding(epoch, options.hold.clone()).map_err(EngineError::Thread)?;
    let scope = base_scope(&options);
    let redactor = Redactor::new(
        known_secrets(&plan, &options, &scope),
        options.redact_headers.iter().cloned(),
        options.redact_json.iter().cloned(),
    );
    let names = Arc::new(RunNames {
        run: options.run.clone(),
        salt: options.salt,
        redactor,
    });
    let run = Arc::new(RunContext {
        budget: budget::Budget::new(options.caps, clock),
        recorder: Recorder::new(clock, observer),
        plan,
        options,
        clock,
        names,
        equipment,
    });
    let scope = Arc::new(scope);
    let mut worlds = Vec::new();
    for (index, scenario) in run.plan.scenarios.iter().enumerate() {
        let session = Session::of_run(
            &run.names,
            Scope::within(Arc::clone(&scope)),
            &scenario.name,
        );
        // Whatever is wrong with one of them is known before anything is sent.
        worlds.push(World::new(&run, index, session)?);
    }
    let history = |run: &RunContext| History {
        header: header.clone(),
        events: run.recorder.events(),
    };
    let mut go_on = GoOn::Yes;
    let last = worlds.len().saturating_sub(1);
    for (position, world) in worlds.into_iter().enumerate() {
        let ask = &mut |run: &RunContext| after_round(&history(run));
        go_on = round::scenario(world, go_on, position < last, ask).await;
    }
    if let Some(signal) = run.options.stop.requested() {
        let signal = signal.to_owned();
        run.recorder.record(None, EventKind::Interrupted { signal });
    }
    run.recorder.record(None, EventKind::Finished);
    Ok(history(&run))
}

/// The header of the history that a run with these options gives.
pub fn header(plan: &Plan, options: &Options) -> RunHeader {
    RunHeader {
        format: crate::history::FORMAT.to_owned(),
        run: options.run.clone(),
        started_at: options.started_at.clone(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        seed: plan.seed,
        salt: options.salt,
        plan_sha256: options.plan_sha256.clone(),
        environment: options.environment.clone(),
        shard: "1/1".to_owned(),
    }
}

fn base_scope(options: &Options) -> Scope {
    let mut scope = Scope::new();
    for (name, value) in &options.secrets {
        scope.set_member("secrets", name.clone(), value.clone());
    }
    for (name, value) in &options.env {
        scope.set_member("env", name.clone(), value.clone());
    }
    scope
}

/// Every secret that is known before anything is sent: those of the scenarios,
/// and whatever credentials render to.
fn known_secrets(plan: &Plan, options: &Options, scope: &Scope) -> Vec<(String, String)> {
    let mut secrets: Vec<(String, String)> = options
        .secrets
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for scenario in &plan.scenarios {
        let own = [&scenario.target.auth];
        let operations = scenario.operations.iter().map(|o| &o.request.auth);
        let steps = scenario
            .setup
            .iter()
            .chain(&scenario.cleanup)
            .map(|step| &step.request.auth);
        let probes = scenario.effects.iter().map(|effect| &effect.request.auth);
        for auth in own
            .into_iter()
            .chain(operations)
            .chain(steps)
            .chain(probes)
            .flatten()
        {
            secrets.extend(request::auth_secrets(auth, scope));
        }
    }
    for case in &plan.cases {
        let before = case
            .before
            .iter()
            .filter_map(|step| step.request.auth.as_ref());
        for auth in case.with.auth.iter().chain(before) {
            secrets.extend(request::auth_secrets(auth, scope));
        }
    }
    secrets
}

/// Runs the clean-up steps of a scenario, unless they are to be left out.
async fn clean_up(world: &World) {
    if world.run.options.keep {
        return;
    }
    let mut session = world.session.clone();
    let whom = For {
        stage: Stage::Cleanup,
        each: Each::Run,
        whom: None,
    };
    world
        .steps(&world.scenario().cleanup, whom, &mut session)
        .await;
}
