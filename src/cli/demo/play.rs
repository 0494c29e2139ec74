//! One performance: a shop, some files of the gallery, a run that leaves nothing
//! behind.

use crate::cli::execute::{self, Ended, Job, RunName};
use crate::cli::exit_code::ExitRules;
use crate::cli::failure::Failure;
use crate::cli::gallery::GalleryFile;
use crate::cli::limits::Limits;
use crate::cli::load;
use crate::cli::planned;
use crate::cli::progress::Progress;
use crate::cli::sources::Found;
use crate::cli::terminal::Terminal;
use crate::cli::values::Given;
use crate::demo::{self, FlawSetting, Shop};
use crate::plan::{Plan, Seed};
use crate::probe::HostPolicy;
use crate::scenario::{self, Redact, Settings};
use anyhow::{Context, anyhow};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// What is performed.
pub(super) struct Play {
    /// The flaws of the shop.
    pub(super) flaws: Vec<FlawSetting>,
    /// The scenarios that are run against it.
    pub(super) files: Vec<GalleryFile>,
    /// Its database; a temporary file where none is named.
    pub(super) store: Option<String>,
    /// The seed of the plan.
    pub(super) seed: Seed,
}

/// What is shown while it goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// What `retrial run` shows.
    Progress,
    /// Nothing.
    Nothing,
}

impl Play {
    /// Opens the shop, runs the scenarios, closes the shop.
    pub(super) fn perform(&self, terminal: &Terminal, shown: Shown) -> Result<Ended, Failure> {
        let shop = OpenShop::open(demo::Options {
            flaws: self.flaws.clone(),
            store: self.store.clone(),
            ..demo::Options::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        })?;
        let ended = self.run(shop.addr, terminal, shown);
        shop.close();
        ended
    }

    fn run(&self, addr: SocketAddr, terminal: &Terminal, shown: Shown) -> Result<Ended, Failure> {
        let found = Found {
            scenarios: self.files.iter().map(GalleryFile::source).collect(),
            ..Found::default()
        };
        let settings = Settings {
            target: Some(format!("http://{addr}")),
            for_run: true,
            ..Settings::default()
        };
        let loaded = scenario::load(&load::sources(found, &Given::default(), settings)).map_err(
            |diagnostics| {
                anyhow!(
                    "the gallery does not load:\n{}",
                    terminal.words(&diagnostics)
                )
            },
        )?;
        let plan = planned::plan(&loaded.scenarios, self.seed, None)?;
        execute_traceless(plan, Limits::of_files(&loaded), terminal, shown)
    }
}

/// Runs a plan and leaves nothing behind.
fn execute_traceless(
    plan: Plan,
    limits: Limits,
    terminal: &Terminal,
    shown: Shown,
) -> Result<Ended, Failure> {
    let scratch = tempfile::tempdir().context("failed to make a temporary folder")?;
    let name = RunName::new()?;
    let progress = match shown {
        Shown::Progress => Progress::start(terminal, &plan, &execute::headline(&plan, None, &name)),
        Shown::Nothing => Progress::none(),
    };
    let job = Job {
        name,
        environment: None,
        env: BTreeMap::new(),
        secrets: BTreeMap::new(),
        redact: Redact::default(),
        limits,
        hosts: HostPolicy::default(),
        keep: false,
        hold: Vec::new(),
        max_failures: None,
        rules: ExitRules::default(),
        again: Vec::new(),
        folder: scratch.path().join("run"),
    };
    execute::execute(plan, &job, terminal, progress)
}

/// A shop on a runtime of its own, so that it shares no thread with the run that
/// puts it on trial.
struct OpenShop {
    addr: SocketAddr,
    close: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl OpenShop {
    fn open(options: demo::Options) -> Result<Self, Failure> {
        let (close, closing) = oneshot::channel();
        let (opened, opening) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("demo-shop".to_owned())
            .spawn(move || keep_shop(options, &opened, closing))
            .context("failed to start a thread")?;
        let addr = opening.recv().context("the demo shop did not open")??;
        Ok(Self {
            addr,
            close,
            thread,
        })
    }

    fn close(self) {
        // A shop that has gone by itself needs no closing, and a panic of its
        // thread has been told by the hook.
        let _ = self.close.send(());
        let _ = self.thread.join();
    }
}

fn keep_shop(
    options: demo::Options,
    opened: &mpsc::Sender<Result<SocketAddr, Failure>>,
    closing: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = match runtime.context("failed to start the runtime") {
        Ok(runtime) => runtime,
        Err(error) => {
            // Whoever opens the shop waits for one of the two.
            let _ = opened.send(Err(Failure::World(error)));
            return;
        }
    };
    runtime.block_on(async {
        match open_shop(options).await {
            Err(failure) => {
                let _ = opened.send(Err(failure));
            }
            Ok(shop) => {
                let _ = opened.send(Ok(shop.addr));
                // Dropping the other end closes the shop too.
                let _ = closing.await;
                shop.stop().await;
            }
        }
    });
}

/// Opens a shop on this runtime.
pub(super) async fn open_shop(options: demo::Options) -> Result<Shop, Failure> {
    demo::start(options)
        .await
        .map_err(|error| Failure::World(anyhow::Error::new(error)))
}
