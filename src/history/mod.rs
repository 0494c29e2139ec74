//! What happened, as data. Statuses, byte counts and times are stored raw; this
//! room must not judge, and holds no wall-clock time outside the header.

mod exchange;
mod observation;
mod redact;

pub use exchange::{
    BodyFacts, ByteCounts, ConnectFailure, End, Exchange, IdentityFact, Part, ResponseFacts, Timing,
};
pub use observation::{Observation, ProbeFailure, Reading, Round, Settled};
pub use redact::{Redactor, SHORTEST};

use crate::plan::{Salt, Seed, TrialId};
use serde::{Deserialize, Serialize};

/// The version of the stored form. A reader refuses any other.
pub const FORMAT: &str = "retrial.history/1";

/// Nanoseconds since the run's start, monotonic.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Offset(pub u64);

impl Offset {
    /// How long after `earlier` this is, in nanoseconds; 0 if it is not after it.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Everything that happened in one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// What run it was.
    pub header: RunHeader,
    /// What happened, in the order in which it was recorded.
    pub events: Vec<Event>,
}

/// Which run a history belongs to: the first line of `history.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunHeader {
    /// [`FORMAT`].
    pub format: String,
    /// The run's id: UTC date, time and 4 hex digits.
    pub run: String,
    /// When it started, RFC 3339 in UTC.
    pub started_at: String,
    /// Version of retrial that ran.
    pub tool_version: String,
    /// The seed of its plan.
    pub seed: Seed,
    /// The salt of its keys and markers.
    pub salt: Salt,
    /// SHA-256 of the stored plan, in hex.
    pub plan_sha256: String,
    /// The environment that was chosen, if one was.
    pub environment: Option<String>,
    /// Which part of the plan was run, `1/1` where it was all of it.
    pub shard: String,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When it was over.
    pub at: Offset,
    /// The trial that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<TrialId>,
    /// What it was.
    pub kind: EventKind,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A phase of a scenario began.
    Phase {
        /// Index of the scenario in the plan.
        scenario: usize,
        /// The phase.
        phase: Phase,
    },
    /// The control trials of an operation measured H.
    Measured {
        /// Index of the scenario in the plan.
        scenario: usize,
        /// Index of the operation in the scenario.
        operation: usize,
        /// p50 of the controls' first executions, in microseconds.
        h_p50_us: u64,
        /// p99 of them (the largest, below 100 of them), in microseconds.
        h_p99_us: u64,
    },
    /// Held attempts of a trial were released.
    Released {
        /// First to last write, in nanoseconds.
        spread_ns: u64,
        /// How many attempts.
        attempts: u32,
        /// Whether the releasing thread had real-time priority.
        real_time: bool,
        /// Whether the target's process stood still meanwhile (`--hold-pid`).
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        stood_still: bool,
    },
    /// A request of an operation was exchanged.
    Exchange(Box<Exchange>),
    /// A probe was read.
    Observation(Observation),
    /// A step ran.
    Step {
        /// Index of the scenario in the plan.
        scenario: usize,
        /// Where the step stands.
        stage: Stage,
        /// Index in that list.
        step: usize,
        /// Which instance of the trial it ran for, where it ran for one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instance: Option<usize>,
        /// Status of its answer, if there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// What was wrong; `None` where it worked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<String>,
    },
    /// A trial was void and is not judged: nothing of it was sent, or what was
    /// sent was not what was planned.
    Void {
        /// Why.
        why: String,
    },
    /// A planned trial was not run.
    Skipped {
        /// Why.
        why: SkipReason,
    },
    /// The run was asked to stop.
    Interrupted {
        /// `SIGINT` or `SIGTERM`.
        signal: String,
    },
    /// The run is through: the last event of a complete record.
    Finished,
}

/// Why a planned trial was not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// The time of the budget was over.
    Time,
    /// The requests of the budget were used up.
    Requests,
    /// The run was asked to stop.
    Interrupted,
    /// `--fail-fast` or `--max-failures`.
    FailFast,
    /// Its set-up failed.
    Setup,
    /// The target could not be reached.
    Unreachable,
}

/// The phases of a scenario's run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words are those of the documentation")]
pub enum Phase {
    Setup,
    WarmUp,
    Controls,
    Trials,
    Quiet,
    Count,
    Closing,
    Verification,
    Cleanup,
}

/// Which list a step stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// `setup:` of the scenario.
    Setup,
    /// `cleanup:` of the scenario.
    Cleanup,
    /// `before:` of the pattern.
    Before,
}
