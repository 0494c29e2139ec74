//! What the trials of one scenario share: its target, its client, its compiled
//! paths, what its run-wide steps found out, and H.

use super::budget::Budget;
use super::clock::Clock;
use super::facts::Lens;
use super::session::{RunNames, Session};
use super::{EngineError, Notice, Options};
use crate::delivery::Limits;
use crate::delivery::{AddressPolicy, TlsOptions, Trust, tls_config};
use crate::delivery::{Connection, Equipment, Target, TargetOptions};
use crate::history::{Event, EventKind, Offset, Phase};
use crate::plan::{HttpVersion, Plan, PlannedScenario, Trial, TrialId};
use crate::probe::{Client, ClientOptions};
use serde_json_path::JsonPath;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Semaphore;
use url::Url;

/// Who is told of everything that happens.
pub(crate) type Observer = Arc<dyn Fn(Notice<'_>) + Send + Sync>;

/// Dates events, keeps them and passes them on.
pub(crate) struct Recorder {
    clock: Clock,
    events: Mutex<Vec<Event>>,
    observer: Observer,
}

impl Recorder {
    pub(crate) fn new(clock: Clock, observer: Observer) -> Self {
        Self {
            clock,
            events: Mutex::new(Vec::new()),
            observer,
        }
    }

    /// Records something that is over now.
    pub(crate) fn record(&self, trial: Option<TrialId>, kind: EventKind) {
        self.record_at(self.clock.now(), trial, kind);
    }

    /// Records something that was over at `at`.
    pub(crate) fn record_at(&self, at: Offset, trial: Option<TrialId>, kind: EventKind) {
        let event = Event { at, trial, kind };
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        // Passed on under the lock, so that the order in a file is that in memory:
        // evidence is an index into it.
        (self.observer)(Notice::Event(&event));
        events.push(event);
    }

    /// Tells how far a phase has come.
    pub(crate) fn progress(&self, scenario: usize, phase: Phase, done: usize, total: usize) {
        (self.observer)(Notice::Progress {
            scenario,
            phase,
            done,
            total,
        });
    }

    /// What was recorded so far and is wanted.
    pub(crate) fn events_that(&self, wanted: impl Fn(&Event) -> bool) -> Vec<Event> {
        self.events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .filter(|event| wanted(event))
            .cloned()
            .collect()
    }

    /// Everything recorded so far.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// What all scenarios of a run share.
pub(crate) struct RunContext {
    pub(crate) plan: Arc<Plan>,
    /// One for each trial of the plan: what it runs as, where that was refined.
    pub(crate) refined: Vec<OnceLock<Trial>>,
    pub(crate) options: Options,
    pub(crate) clock: Clock,
    pub(crate) recorder: Recorder,
    pub(crate) names: Arc<RunNames>,
    pub(crate) equipment: Arc<Equipment>,
    pub(crate) budget: Budget,
    /// Held while a burst on a target of this machine is made ready and released.
    pub(crate) laying: tokio::sync::Mutex<()>,
}

impl RunContext {
    /// A trial as it is to run.
    pub(crate) fn trial(&self, index: usize) -> &Trial {
        self.refined
            .get(index)
            .and_then(OnceLock::get)
            .unwrap_or(&self.plan.trials[index])
    }

    /// Lets a trial that has not begun run with other attempts than were planned.
    /// One that is not like the planned one in all else is left alone.
    pub(crate) fn refine(&self, index: usize, trial: Trial) {
        let planned = &self.plan.trials[index];
        let same = Trial {
            attempts: planned.attempts.clone(),
            ..trial.clone()
        } == *planned
            && trial.attempts.len() == planned.attempts.len();
        if !same {
            return;
        }
        let attempts = trial.attempts.clone();
        if self.refined[index].set(trial).is_ok() {
            // Before anything of it is sent, so that a record that ends here still
            // says what was meant.
            self.recorder
                .record(Some(planned.id), EventKind::Refined { attempts });
        }
    }

    /// Whether the run was asked to stop.
    pub(crate) fn stopped(&self) -> bool {
        self.options.stop.requested().is_some()
    }
}

/// H of one operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct H {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// What the trials of one scenario share.
pub(crate) struct World {
    pub(crate) run: Arc<RunContext>,
    /// Index of the scenario in the plan.
    pub(crate) index: usize,
    pub(crate) target: Arc<Target>,
    pub(crate) client: Client,
    pub(crate) lens: Lens,
    /// The JSONPaths of the effects; `None` for those that hold expressions.
    pub(crate) paths: Vec<Option<JsonPath>>,
    /// By operation, whether its attempts may differ by their number.
    numbered: Vec<bool>,
    /// What run-wide steps found out; instances start from it.
    pub(crate) session: Session,
    /// H by operation.
    h: RwLock<BTreeMap<usize, H>>,
    /// Probes in flight.
    pub(crate) probing: Semaphore,
    /// Closing retries in flight.
    pub(crate) closing: Semaphore,
    /// Held for reading by those, for writing by one that must be alone.
    pub(crate) alone: tokio::sync::RwLock<()>,
    /// Warm connections of trials that are over.
    pub(crate) pool: Pool,
}

/// Warm connections that nobody uses now.
#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<Vec<Connection>>);

/// Warm connections that are kept at the most.
const POOLED_MAX: usize = 256;

impl Pool {
    /// The one that was given last: it is the least likely to have been closed.
    pub(crate) fn take(&self) -> Option<Connection> {
        self.idle().pop()
    }

    pub(crate) fn give(&self, connection: Connection) {
        let mut idle = self.idle();
        if idle.len() < POOLED_MAX {
            idle.push(connection);
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether `${{ attempt }}` may stand in it; where the word stands for something
/// else, that only costs time.
fn mentions_attempt(planned: &impl serde::Serialize) -> bool {
    serde_json::to_string(planned).is_ok_and(|text| text.contains("attempt"))
}

/// Probes that are read at one time.
const PROBES_AT_ONCE: usize = 16;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl World {
    /// Sets up what the trials of a scenario share. Nothing is sent.
    pub(crate) fn new(
        run: &Arc<RunContext>,
        index: usize,
        session: Session,
    ) -> Result<Self, EngineError> {
        let scenario = &run.plan.scenarios[index];
        let name = || scenario.name.clone();
        let pem = scenario
            .target
            .tls
            .ca_file
            .as_ref()
            .map(|path| {
                std::fs::read(path).map_err(|source| EngineError::CaFile {
                    path: path.clone(),
                    source,
                })
            })
            .transpose()?;
        let trust = match &pem {
            _ if scenario.target.tls.insecure => Trust::Anything,
            Some(pem) => Trust::Only(pem),
            None => Trust::Platform,
        };
        let url = Url::parse(&scenario.target.url).map_err(|source| EngineError::Url {
            url: scenario.target.url.clone(),
            source,
        })?;
        let tls = tls_config(&TlsOptions {
            trust,
            ..TlsOptions::default()
        })
        .map_err(|source| EngineError::Tls {
            scenario: name(),
            source,
        })?;
        let http = scenario.target.http;
        // Attempts speak the one version, whatever else the peer could do; what is
        // beside them speaks what it likes best.
        let (mut attempts_tls, mut probes_tls) = (tls.clone(), tls);
        if http == HttpVersion::Http2 {
            attempts_tls.alpn_protocols = vec![b"h2".to_vec()];
            probes_tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        }
        let allowed = url
            .host_str()
            .is_some_and(|host| run.options.hosts.names(host));
        let target = Target::new(
            &TargetOptions {
                url: &scenario.target.url,
                tls: Some(Arc::new(attempts_tls)),
                server_name: scenario.target.tls.server_name.as_deref(),
                policy: if allowed {
                    AddressPolicy::Any
                } else {
                    AddressPolicy::Loopback
                },
                connect_timeout: CONNECT_TIMEOUT.min(scenario.target.timeout),
                limits: Limits::default(),
                http,
            },
            Arc::clone(&run.equipment),
        )
        .map_err(|source| EngineError::Target {
            scenario: name(),
            source,
        })?;
        let client = Client::new(ClientOptions {
            hosts: run.options.hosts.clone(),
            tls: probes_tls,
            timeout: scenario.target.timeout,
            // In the clear nothing is negotiated.
            http2_only: (http == HttpVersion::Http2 && url.scheme() == "http")
                .then(|| url.origin()),
        })
        .map_err(|source| EngineError::Client {
            scenario: name(),
            source,
        })?;
        let paths = scenario
            .effects
            .iter()
            .map(|effect| {
                let path = effect.extraction.path();
                (!path.has_expressions())
                    .then(|| JsonPath::parse(&path.0).ok())
                    .flatten()
            })
            .collect();
        let numbered = scenario
            .operations
            .iter()
            .map(|operation| {
                mentions_attempt(&(&operation.request, &operation.key))
                    || mentions_attempt(&scenario.target)
            })
            .collect();
        Ok(Self {
            run: Arc::clone(run),
            index,
            target: Arc::new(target),
            client,
            lens: Lens::new(&scenario.contract),
            paths,
            numbered,
            session,
            h: RwLock::default(),
            probing: Semaphore::new(PROBES_AT_ONCE),
            closing: Semaphore::new(run.options.jobs.max(1)),
            alone: tokio::sync::RwLock::default(),
            pool: Pool::default(),
        })
    }

    /// The scenario.
    pub(crate) fn scenario(&self) -> &PlannedScenario {
        &self.run.plan.scenarios[self.index]
    }

    /// Whether the requests of a trial's attempts may differ by their number.
    pub(crate) fn is_numbered(&self, trial: &Trial) -> bool {
        self.numbered[trial.operation]
            || self
                .case_of(trial)
                .is_some_and(|case| mentions_attempt(&case.with))
    }

    /// H of an operation; zero where nothing measured it.
    pub(crate) fn h(&self, operation: usize) -> H {
        let known = self.h.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&operation).copied().unwrap_or(H {
            p50: Duration::ZERO,
            p99: Duration::ZERO,
        })
    }

    /// Makes H of an operation known.
    pub(crate) fn set_h(&self, operation: usize, h: H) {
        let mut known = self.h.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(operation, h);
    }

    /// How long no attempt runs before the count that precedes the closing retry.
    pub(crate) fn quiet(&self) -> Duration {
        let known = self.h.read().unwrap_or_else(PoisonError::into_inner);
        let slowest = known.values().map(|h| h.p99).max().unwrap_or_default();
        self.scenario()
            .target
            .quiet
            .unwrap_or_else(|| Duration::from_millis(250).max(2 * slowest))
    }
}
