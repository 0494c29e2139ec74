//! The [`Report`]: versioned, serialisable, the only thing that renderers see.
//!
//! It is built from plan, history and judgement, with secrets and volatile
//! values already gone. This room must not know formats. Integers carry their
//! unit in the name, times are never floats, and within `retrial.report/1`
//! fields are only added.

#![warn(clippy::wildcard_enum_match_arm)]

mod build;
mod curl;
mod exit;
mod index;
mod latency;
mod notes;
#[cfg(test)]
mod sample;
mod sweep;
mod tightness;
mod timeline;
mod words;

pub use build::{BuildOptions, build};
pub use exit::{Exit, ExitRules, exit_code};

use crate::codes::{Hazard, Reason, Severity};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the stored form.
pub const SCHEMA: &str = "retrial.report/1";

/// The JSON Schema (2020-12) of the stored form.
///
/// # Panics
///
/// Never: the schema is part of the program, and a test reads it.
pub fn schema() -> serde_json::Value {
    serde_json::from_str(include_str!("schema.json"))
        .expect("the file is part of the program, and a test reads it")
}

/// Everything that can be said of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// What made it.
    pub tool: Tool,
    /// Which run it is about.
    pub run: Run,
    /// The largest verdict of all cases.
    pub verdict: VerdictWord,
    /// Sums over the cases.
    pub totals: Totals,
    /// One for each case, in the plan's order.
    pub cases: Vec<CaseReport>,
    /// Reasons that belong to no case: set-up, clean-up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<ReasonReport>,
    /// What the contracts promise and this version does not test, or what was not
    /// promised and therefore not tested: one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Latency over all cases, by population.
    #[serde(default)]
    pub latency: BTreeMap<String, Latency>,
}

/// The program and its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// `retrial`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Which run it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// UTC date, time and 4 hex digits.
    pub id: String,
    /// The seed, in hex digits.
    pub seed: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// 8 hex digits.
    pub salt: String,
    /// From the first event to the last.
    pub duration_ms: u64,
    /// The environment that was chosen.
    pub environment: Option<String>,
    /// The target's URL; several are joined with a comma.
    pub target: String,
    /// SHA-256 of the stored plan.
    pub plan_sha256: String,
    /// Which parts of the plan were run.
    pub shards: Vec<String>,
    /// Whether the run was interrupted, or its record ends early.
    pub interrupted: bool,
    /// The exit code of the run.
    pub exit_code: u8,
    /// What the control trials saw.
    pub controls: Vec<ControlReport>,
}

/// What the control trials of one operation saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ControlReport {
    /// Name of the scenario.
    pub scenario: String,
    /// Name of the operation.
    pub operation: String,
    /// Whether the author named it.
    #[serde(default)]
    pub operation_named: bool,
    /// The matrix row.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub matrix: BTreeMap<String, serde_json::Value>,
    /// p50 of their first executions.
    pub h_p50_us: Option<u64>,
    /// p99 of them.
    pub h_p99_us: Option<u64>,
    /// Trials of the controls.
    #[serde(default)]
    pub trials: u32,
    /// Attempts of the controls.
    #[serde(default)]
    pub attempts: u32,
    /// Effects seen with one, two and ten operations.
    pub saw: Saw,
    /// What the target does when the client is gone; absent where that was not
    /// asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_gone: Option<ClientGoneReport>,
    /// What is wrong with them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<ReasonReport>,
}

/// What the target does with operations whose client goes away half-way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientGoneReport {
    /// In a word.
    pub conduct: ConductWord,
    /// Operations that showed their effects all the same.
    pub seen: u32,
    /// Of so many of which that could be read.
    pub of: u32,
}

/// What a target does when the client is gone, as a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words are those of the documentation")]
pub enum ConductWord {
    Completes,
    Cancels,
    Either,
    NotKnown,
}

/// Effects seen with one, two and ten operations; absent where that control did
/// not run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the numbers of operations")]
pub struct Saw {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub two: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ten: Option<u32>,
}

/// A verdict as a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are those of the documentation")]
pub enum VerdictWord {
    Skipped,
    Pass,
    Inconclusive,
    Error,
    Fail,
}

impl VerdictWord {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Pass => "pass",
            Self::Inconclusive => "inconclusive",
            Self::Error => "error",
            Self::Fail => "fail",
        }
    }
}

/// Sums over the cases; controls and warm-up are not in them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Totals {
    pub cases: u32,
    pub pass: u32,
    pub fail: u32,
    pub inconclusive: u32,
    pub error: u32,
    pub skipped: u32,
    pub trials: u32,
    /// Without closing retries.
    pub attempts: u32,
}

/// One case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseReport {
    /// `scenario::operation::pattern[::row]`.
    pub id: String,
    /// Name of the scenario.
    pub scenario: String,
    /// Name of the operation.
    pub operation: String,
    /// Whether the author named it.
    #[serde(default)]
    pub operation_named: bool,
    /// The pattern.
    pub pattern: PatternReport,
    /// The matrix row.
    pub matrix: BTreeMap<String, serde_json::Value>,
    /// The scenario's file.
    pub file: String,
    /// Line of the scenario's operation.
    pub line: u32,
    /// The verdict.
    pub verdict: VerdictWord,
    /// Upper bound of the failure rate, only beside a pass.
    pub bound: Option<f64>,
    /// Confidence of the bound: 0.95.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_confidence: Option<f64>,
    /// Why it is inconclusive, error or skipped.
    pub reasons: Vec<ReasonReport>,
    /// Numbers of trials.
    pub trials: TrialsReport,
    /// Attempts that were made, closing retries not counted.
    #[serde(default)]
    pub attempts: u32,
    /// The effects.
    pub effects: Vec<EffectReport>,
    /// What was found; findings of severity `info` stand beside a pass.
    pub findings: Vec<FindingReport>,
    /// Median and largest release spread, where attempts were released together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_spread_us: Option<Spread>,
    /// How tight its releases were, where it is a burst.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tightness: Option<TightnessReport>,
    /// What was answered along its axis, where it is a sweep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<SweepReport>,
    /// Latency by population: `first replay refused held closing`.
    pub latency: BTreeMap<String, Latency>,
}

/// Release spread over the trials of a case, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Spread {
    pub p50: u64,
    pub max: u64,
}

/// How close together the attempts of a burst were released: measured in this run,
/// on this side of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TightnessReport {
    /// Trials that were released.
    pub trials: u32,
    /// First to last write of a trial, nanoseconds.
    pub spread_ns: SummaryReport,
    /// First to second write of a key whose attempts overlapped, nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_gap_ns: Option<SummaryReport>,
    /// What was spoken: `HTTP/1.1`, `HTTP/1.1 over TLS`.
    pub protocol: String,
    /// The fewest connections over which a trial was released.
    pub connections_min: u32,
    /// The most.
    pub connections_max: u32,
    /// Trials in which more than 1460 bytes left over one connection at once;
    /// absent where that was not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_one_segment_trials: Option<u32>,
    /// Trials that a thread with real-time priority released.
    pub real_time_trials: u32,
    /// The smallest race window that would have been found at 95 % confidence, as
    /// released by us, nanoseconds; `null` where it cannot be told.
    pub window_ns: Option<u64>,
    /// From one answer to the next, nanoseconds, where the target answers one
    /// request at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serialised_ns: Option<u64>,
    /// The releases in words.
    pub releases: String,
    /// The window in words.
    pub window: String,
    /// One for each trial, at most 500.
    pub each: Vec<ReleaseReport>,
}

/// What is said of many measured values; its unit stands in the name of the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SummaryReport {
    /// Number of values.
    pub count: u64,
    /// Median.
    pub p50: u64,
    /// Absent below 299 values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<u64>,
    /// The largest.
    pub max: u64,
}

/// One common release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseReport {
    /// The trial.
    pub trial: u32,
    /// Whether it had power.
    pub powered: bool,
    /// First to last write, nanoseconds.
    pub spread_ns: u64,
    /// The most attempts of one key that were open at one time.
    pub overlap: u32,
    /// The smallest first gap of its keys that overlapped, nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_gap_ns: Option<u64>,
}

/// What a sweep showed along the axis of its offsets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepReport {
    /// H.
    pub h_us: u64,
    /// Where the answers change; absent where they do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<EdgeReport>,
    /// The axis in words.
    pub words: String,
    /// One for each trial, by offset, at most 500.
    pub points: Vec<PointReport>,
}

/// Where the answers of a sweep change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeReport {
    /// After the first attempt.
    pub at_us: u64,
    /// What most were answered before it: see [`PointReport::outcome`].
    pub before: String,
    /// What most were answered after it.
    pub after: String,
}

/// One trial of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PointReport {
    /// The trial.
    pub trial: u32,
    /// How long after the first attempt the second was to leave.
    pub planned_us: u64,
    /// How long after it it left.
    pub offset_us: u64,
    /// How it was answered: `in_progress waited replayed executed refused failed
    /// silent`.
    pub outcome: String,
    /// Whether the trial had power.
    pub powered: bool,
    /// The largest count of an effect that was read last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects: Option<f64>,
}

/// The pattern of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatternReport {
    /// The kind: `burst`; `control` for a finding of the controls.
    pub name: String,
    /// The author's `name:`.
    pub label: Option<String>,
    /// What a table shows: `burst ×10`.
    #[serde(default)]
    pub shown: String,
    /// Attempts of each operation; the most, where they differ from trial to trial.
    pub attempts: u32,
    /// Operations in one release.
    pub keys: u32,
}

/// Why something could not be judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonReport {
    /// The code.
    pub code: Reason,
    /// One sentence.
    pub message: String,
    /// The effect that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
    /// The line to point at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// Numbers of trials.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct TrialsReport {
    pub planned: u32,
    pub run: u32,
    pub powered: u32,
    /// In which the pattern did not happen: no overlap, or a fault that did not
    /// strike. The others without power had no attempt that was accepted.
    #[serde(default)]
    pub off_pattern: u32,
    pub failed: u32,
    pub inconclusive: u32,
}

/// One effect in one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EffectReport {
    /// Its name.
    pub name: String,
    /// Its line in the file.
    pub line: u32,
    /// What was allowed, over all operations of the case.
    pub allowed: AllowedReport,
    /// Final readings, and how many operations showed each.
    pub observed: BTreeMap<String, u32>,
}

/// The least and the most that was allowed; absent where there is no bound.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AllowedReport {
    pub min: Option<f64>,
    pub max: Option<f64>,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FindingReport {
    /// The hazard.
    pub hazard: Hazard,
    /// The hazard in words.
    pub title: String,
    /// How bad.
    pub severity: Severity,
    /// One line.
    pub summary: String,
    /// What was sent, what was answered, what is there.
    #[serde(default)]
    pub explanation: String,
    /// The trials that show it.
    pub trials: Vec<u32>,
    /// The trial that shows it best.
    pub evidence: EvidenceReport,
    /// The likely cause, as a word.
    pub cause: String,
    /// Why it happens.
    #[serde(default)]
    pub why: String,
    /// What to do.
    pub remedy: String,
    /// The command that explains it.
    pub explain: String,
    /// The command that repeats it.
    pub reproduce: String,
}

/// The trial that shows a finding best.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvidenceReport {
    /// The trial.
    pub trial: u32,
    /// Indices of events in `history.jsonl` (the header line not counted).
    pub events: Vec<usize>,
    /// First to last write of a common release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_spread_us: Option<u64>,
    /// The most attempts of one key that were open at one time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<u32>,
    /// The attempts of that key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// The key that was sent, shortened in the middle.
    #[serde(default)]
    pub key: String,
    /// The marker that was sent.
    #[serde(default)]
    pub marker: String,
    /// The effect that shows it: name, place, expected and found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<EffectEvidence>,
    /// What happened when.
    pub timeline: Timeline,
    /// The request of the first attempt as a `curl` command, secrets replaced by
    /// variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curl: Option<String>,
}

/// The effect that shows a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectEvidence {
    /// Its name.
    pub name: String,
    /// The scenario's file.
    pub file: String,
    /// The line of the effect.
    pub line: u32,
    /// What was expected, in words: `1`, `0 or 1`, `at most 2`.
    pub expected: String,
    /// What was found, in words: `2: ord_4812, ord_4813`.
    pub found: String,
}

/// What happened in one instance of one trial, on one axis; microseconds from
/// the first byte of the first attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// The end of the axis.
    pub end_us: u64,
    /// Attempts and closing retries, in the order of their start.
    pub attempts: Vec<Bar>,
    /// Readings of effects.
    pub readings: Vec<Mark>,
}

/// One attempt on a timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bar {
    /// `#1`, `#3–#10` for alike attempts told together, `closing 1`.
    pub label: String,
    /// First byte out.
    pub start_us: u64,
    /// When it was over for the client.
    pub end_us: u64,
    /// How it ended: how the bar is drawn.
    pub end: BarEnd,
    /// What came of it: `201 ord_4812`, `409 ×8`, `gave up`, `reset`.
    pub outcome: String,
    /// What is remarkable about it: `second effect`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// How an attempt's bar ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BarEnd {
    /// With an answer.
    Answered,
    /// With an answer that the client never learned.
    Hidden,
    /// Cut by us.
    Cut,
    /// By the peer, or by the time-out.
    Lost,
}

/// One reading on a timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Name of the effect.
    pub effect: String,
    /// When.
    pub at_us: u64,
    /// What it said.
    pub value: String,
}

/// Latency of one population, measured from the intended release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Number of samples.
    pub count: u64,
    /// Percentiles in microseconds; absent where there are too few samples for
    /// a statement at 95 % confidence (59 for p95, 299 for p99), but p50.
    pub p50_us: u64,
    /// See `p50_us`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_us: Option<u64>,
    /// See `p50_us`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_us: Option<u64>,
    /// The largest sample.
    #[serde(default)]
    pub max_us: u64,
    /// The HDR histogram, V2 serialisation in base64: it can be merged.
    pub hdr: String,
}
