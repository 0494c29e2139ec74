//! Text → [`Scenario`]. This room knows YAML and where each value stands in its
//! file; it must not know seeds, sockets or time, and it opens nothing: the
//! texts are handed in as [`Sources`].

pub mod diagnostic;
mod document;
mod load;
mod lower;
pub mod node;
pub mod parts;
mod project;
mod relations;
mod resolve;
mod schema;
mod suggest;
pub mod template;
pub mod units;
mod values;

pub use diagnostic::{Diagnostic, Diagnostics};
pub use document::target::check_url;
pub use load::{Loaded, Settings, SourceFile, Sources, flag_value, load, outline, uses};
pub use project::{Limits, Outline, Project, Redact};
pub use schema::{SchemaKind, schema};

use crate::contract::Contract;
use parts::{Effect, Invariant, Operation, Place, Row, Step, Target, Threshold};
use std::time::Duration;

/// A scenario as meant: every default filled in, every reference resolved,
/// one value for each matrix row.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Its name, unique in the project.
    pub name: String,
    /// The file as the user named it.
    pub file: String,
    /// Line of its first operation's request.
    pub line: u32,
    /// SHA-256 of the file's text, in hex.
    pub sha256: String,
    /// What it is for, in the author's words.
    pub description: Option<String>,
    /// Words to filter by.
    pub tags: Vec<String>,
    /// Who looks after it.
    pub owner: Option<String>,
    /// Where to read on.
    pub docs: Option<String>,
    /// The rows of the matrix; exactly one (empty) row where there is none.
    pub rows: Vec<ScenarioRow>,
    /// The patterns, in the author's order, `standard` and its kin expanded.
    pub patterns: Vec<Pattern>,
    /// What the target promises.
    pub contract: Contract,
    /// Thresholds of latency.
    pub latency: Vec<Threshold>,
    /// Budget of the scenario.
    pub budget: Budget,
    /// Where the secrets that it names come from; their values never enter here.
    pub secrets: Vec<SecretSource>,
}

/// A secret by name, and where its value is to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSource {
    /// The name that `${{ secrets.… }}` uses.
    pub name: String,
    /// Where its value is.
    pub from: SecretFrom,
    /// Where it is declared.
    pub place: Place,
}

/// Where the value of a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretFrom {
    /// In an environment variable.
    Env(String),
    /// In a file, its path already resolved against the file that names it.
    File(String),
}

/// A scenario with the values of one matrix row in place.
#[derive(Debug, Clone, PartialEq)]
pub struct ScenarioRow {
    /// The row: value by axis.
    pub row: Row,
    /// The API under test.
    pub target: Target,
    /// The flow, in order; one operation or several.
    pub operations: Vec<Operation>,
    /// What must be true afterwards.
    pub effects: Vec<Effect>,
    /// Groups of effects that happen all or not at all.
    pub together: Vec<Vec<String>>,
    /// What must hold over all effects.
    pub invariants: Vec<Invariant>,
    /// Steps before.
    pub setup: Vec<Step>,
    /// Steps after.
    pub cleanup: Vec<Step>,
}

/// The three sizes of a run (`retry-safety.md` section 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// For a pull request.
    Quick,
    /// For the main branch.
    Standard,
    /// For the night.
    Thorough,
}

/// One delivery pattern as the author asked for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    /// What happens on the wire.
    pub kind: PatternKind,
    /// The author's name for it.
    pub name: Option<String>,
    /// The size that its number of trials is taken from.
    pub profile: Profile,
    /// Whether it came from a profile word (`standard`) rather than a list: such
    /// bursts share one budget of requests.
    pub from_profile: bool,
    /// What is merged into its own trials' requests.
    pub with: With,
    /// Steps run before each of its trials.
    pub before: Vec<Step>,
    /// Where it stands.
    pub place: Place,
}

/// What is merged into the requests of a pattern's trials.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct With {
    /// Merged deeply into the JSON body; `null` removes, lists are replaced.
    pub json: Option<template::JsonTemplate>,
    /// Headers set in place of those of the same name.
    pub headers: Vec<(String, template::Template)>,
    /// Query parameters set in place of those of the same name.
    pub query: Vec<(String, template::Template)>,
    /// Credentials in place of the operation's.
    pub auth: Option<parts::Auth>,
}

/// A time as the author wrote it: absolute, or a share of H.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// So long.
    After(Duration),
    /// So many millionths of H, the first-execution p50 of the control trials.
    ShareOfH(u32),
    /// Another time in each trial, where the answers say that there is something to
    /// be found: what stands for "the author gave no time".
    Sweep,
}

/// What a pattern does on the wire, with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub enum PatternKind {
    /// One after the other, each after the answer to the one before.
    Replay {
        /// Attempts in all.
        attempts: u32,
        /// Pause between an answer and the next attempt.
        gap: Duration,
    },
    /// Released together.
    Burst {
        /// Copies of each key.
        attempts: u32,
        /// Keys in one release.
        keys: u32,
        /// What is held back.
        hold: crate::plan::HoldPoint,
        /// Over how many connections they are spread.
        connections: parts::Connections,
    },
    /// Released one gap after the other, whether or not answers came.
    Stagger {
        /// Attempts in all.
        attempts: u32,
        /// The gap.
        gap: When,
    },
    /// The answer arrives, the client acts as if it was lost.
    DropResponse,
    /// The client gives up and retries.
    Timeout {
        /// When it gives up, one in turn for each trial.
        after: Vec<When>,
    },
    /// The request ends before it is whole.
    CutRequest {
        /// Where, one in turn for each trial.
        at: Vec<crate::plan::CutPoint>,
        /// How.
        end: crate::plan::Ending,
    },
    /// The answer is read up to a place.
    CutResponse {
        /// Where, one in turn for each trial.
        at: Vec<crate::plan::AnswerPoint>,
        /// How it ends there.
        end: crate::plan::Ending,
    },
    /// The connection is reset after the request.
    Reset {
        /// When.
        after: ResetAfter,
        /// How it is ended.
        end: crate::plan::Ending,
    },
    /// The retry has another User-Agent and trace header.
    ChangedHeaders,
    /// The retry has other member order and white space.
    Reserialised,
}

impl Pattern {
    /// The pattern with the values of a matrix row in place: `with` and `before`
    /// may differ from row to row, what happens on the wire does not.
    #[must_use]
    pub fn for_row(&self, row: &Row) -> Self {
        if row.is_empty() {
            return self.clone();
        }
        let mut scope = template::Scope::new();
        scope.set(
            "matrix",
            serde_json::Value::Object(row.clone().into_iter().collect()),
        );
        let mut pattern = self.clone();
        pattern.with.resolve(&scope);
        for step in &mut pattern.before {
            step.resolve(&scope);
        }
        pattern
    }
}

/// When a `reset` strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetAfter {
    /// A sweep over 0 to 120 % of H, another time in each trial.
    Sweep,
    /// As soon as the request is sent.
    RequestSent,
    /// As soon as the first answer byte came.
    Answered,
    /// So long after the last request byte.
    At(When),
}

/// What a scenario may use; never above the project's limits.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Budget {
    /// Trials of each case, in place of the profile's number.
    pub trials: Option<u32>,
    /// The most time that the run takes.
    pub time: Option<Duration>,
    /// The most requests a second.
    pub rate: Option<f64>,
    /// The most trials in flight.
    pub concurrency: Option<u32>,
}
