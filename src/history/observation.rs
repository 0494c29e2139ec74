//! One reading of one probe, or a run of equal ones.

use super::Offset;
use crate::plan::InstanceIndex;
use serde::{Deserialize, Serialize};

/// A probe was read, once or several times with the same result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Index of the scenario in the plan.
    pub scenario: usize,
    /// Index of the effect in the scenario.
    pub effect: usize,
    /// The instance of the trial that it was read for; `None` for a reading over
    /// the whole run (an invariant's, or an unmarked effect's between runs).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceIndex>,
    /// In which round.
    pub round: Round,
    /// When the first of these equal readings was asked for.
    pub since: Offset,
    /// When the last of them was answered.
    pub until: Offset,
    /// How many equal readings there were, one after the other.
    pub readings: u32,
    /// What they said.
    pub reading: Result<Reading, ProbeFailure>,
    /// What the effect was expected to be, rendered, where that depends on a
    /// captured value: a number, a value, or an array of values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<serde_json::Value>,
    /// Set on the last observation of a round: how the round ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Settled>,
}

/// When in the life of a trial a probe is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Round {
    /// Before anything of the trial was sent (`delta`), or before the run.
    Before,
    /// After quiet, before the closing retry.
    Count,
    /// After everything.
    Final,
}

/// What a probe said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// How many there are.
    Count {
        /// The number.
        n: u64,
        /// Who they are: `id` members or compact JSON of up to 5 of them,
        /// secrets replaced.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sample: Vec<String>,
    },
    /// A sum.
    Sum(f64),
    /// A value; `None` where the path selected nothing.
    Value(Option<serde_json::Value>),
}

impl Reading {
    /// The reading as a number, if it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "nobody counts 2^53 effects")]
            Self::Count { n, .. } => Some(*n as f64),
            Self::Sum(sum) => Some(*sum),
            Self::Value(value) => value.as_ref().and_then(serde_json::Value::as_f64),
        }
    }

    /// The reading as a JSON value; `None` where the path selected nothing.
    pub fn json(&self) -> Option<serde_json::Value> {
        match self {
            Self::Count { n, .. } => Some((*n).into()),
            Self::Sum(sum) => Some((*sum).into()),
            Self::Value(value) => value.clone(),
        }
    }

    /// Whether two readings say the same: in which order a list comes, or which of
    /// many nodes are named, is no difference.
    pub fn says_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Count { n: a, .. }, Self::Count { n: b, .. }) => a == b,
            (a, b) => a == b,
        }
    }
}

/// A probe that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeFailure {
    /// Status of its answer, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What was wrong, as a fragment: `answered 403 Forbidden`.
    pub what: String,
    /// Whether it is worth trying again (5xx, 408, 429, a broken connection).
    pub passing: bool,
}

/// How the readings of a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settled {
    /// Allowed, unchanged for long enough.
    Stable,
    /// An excess ended the wait at once.
    Excess,
    /// Patience was over: unchanged for `stable_for`, but not what is allowed.
    Lacking,
    /// Patience was over and it still changed.
    Moving,
    /// It could not be read.
    Unreadable,
    /// The run was interrupted first.
    Interrupted,
}
