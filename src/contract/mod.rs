//! What the target promises about retries, as plain data.
//!
//! Knobs and defaults follow `retry-safety.md` section 5 under the field names
//! of `language.md` section 14. This room must not know how a promise is
//! tested or judged. What an answer *claims* follows from the promise alone, so
//! the table of outcomes and the allowed numbers of effects live here too: the
//! room that acts needs them to know when to stop waiting, the room that judges
//! to accuse, and neither imports the other.

mod allowed;
mod outcome;

pub use allowed::{Allowed, Wanted};
pub use outcome::{Claim, Expected, Outcome};

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What the target promised; every oracle asks it before it accuses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contract {
    /// The preset that it started from; `core` so far.
    pub name: String,
    /// Fields that the author wrote, in the words of the scenario language:
    /// what was asked for, and therefore what the report may call promised.
    pub stated: Vec<String>,
    /// Effects of one operation (n of `retry-safety.md` 3.2).
    pub expected_effects: u32,
    /// What a replay has to have in common with the first answer.
    pub replay: Replay,
    /// Where an answer says whose result it is.
    pub identity: Vec<IdentityField>,
    /// JSONPaths whose values may differ between a first answer and a replay.
    pub ignore: Vec<String>,
    /// Which status a replay may have.
    pub replay_status: ReplayStatus,
    /// The header that marks a replay, if the target promises one.
    pub replay_marker: Option<ReplayMarker>,
    /// Which failures the target promises to replay.
    pub replay_errors: ReplayErrors,
    /// How a duplicate may be answered while the first attempt runs.
    pub in_flight: InFlight,
    /// How another payload under a used key is answered.
    pub mismatch: Mismatch,
    /// Whether a key is needed.
    pub missing_key: MissingKey,
    /// Whether other member order and white space must be accepted.
    pub reserialised: Reserialised,
    /// Which callers share keys.
    pub tenant_scope: Scope,
    /// Which endpoints share keys.
    pub endpoint_scope: Scope,
    /// How long a key is remembered; `None` when nothing was promised.
    pub retention: Option<Duration>,
    /// What happens to a key after its retention.
    pub after_retention: AfterRetention,
    /// A key that answers in progress for so long is stuck; `None` stands for
    /// the larger of 60 s and twice H99.
    pub stuck_after: Option<Duration>,
    /// Whether 202 is a final yes.
    pub accepted_is_ok: bool,
    /// What a 503 says about its own attempt.
    pub unavailable: Unavailable,
    /// How long a passing failure may be replayed.
    pub transient_grace: Duration,
    /// Whether an excess that is gone later is forgiven.
    pub transient_excess: TransientExcess,
}

/// What a replay has to have in common with the first answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replay {
    /// The same status and body, `ignore` aside.
    Exact,
    /// The same identity fields.
    Identity,
    /// The same identity fields, the rest as the resource is now.
    State,
    /// A conflict that names the existing resource.
    ConflictWithLink,
}

/// One place of an answer that tells whose result it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityField {
    /// A JSONPath into the body.
    Json(String),
    /// A header, compared without regard to the case of its name.
    Header(String),
}

/// Which status a replay may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayStatus {
    /// Any 2xx.
    AnySuccess,
    /// That of the first answer.
    Same,
    /// One of these.
    OneOf(Vec<u16>),
}

/// A header with its value that marks a replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayMarker {
    /// Name of the header.
    pub header: String,
    /// Its value; `None` when its presence is enough.
    pub value: Option<String>,
}

/// Which failures the target promises to replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayErrors {
    /// None.
    None,
    /// Final refusals (4xx) only.
    Final,
    /// Everything once execution began, 500 included.
    All,
}

/// How a duplicate may be answered while the first attempt runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlight {
    /// Statuses that mean "in progress" there.
    pub statuses: Vec<u16>,
    /// Whether the duplicate may wait and be replayed.
    pub wait: bool,
}

/// How another payload under a used key is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mismatch {
    /// Any 4xx.
    AnyRefusal,
    /// One of these statuses.
    OneOf(Vec<u16>),
    /// The stored answer is replayed, by design.
    Replay,
}

/// Whether a key is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingKey {
    /// A request without key is an operation of its own.
    Optional,
    /// A request without key is refused, with any 4xx.
    Required,
    /// A request without key is refused with one of these statuses.
    RequiredWith(Vec<u16>),
}

/// Whether other member order and white space must be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reserialised {
    /// The same meaning is the same payload.
    Accepted,
    /// The target may compare bytes.
    Any,
}

/// Who shares keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Each on its own.
    Isolated,
    /// All share.
    Shared,
    /// Either is fine.
    Any,
}

/// What happens to a key after its retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterRetention {
    /// The operation runs again.
    NewEffect,
    /// The expired key is refused.
    Rejected,
    /// The key is never forgotten.
    Remembered,
    /// Anything of the above.
    Any,
}

/// What a 503 says about its own attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unavailable {
    /// It may have happened or not.
    Unknown,
    /// The load shedder sits in front of the handler: nothing happened.
    Rejected,
}

/// Whether an excess that is gone later is forgiven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransientExcess {
    /// An excess seen once is proof.
    Proof,
    /// Only an excess that stays counts.
    Allowed,
}

/// Statuses that mean "in progress" by default (`language.md` section 14).
pub const IN_FLIGHT_STATUSES: [u16; 8] = [102, 400, 409, 422, 423, 425, 429, 503];

impl Contract {
    /// The default contract: the five clauses of `retry-safety.md` section 3.1
    /// and nothing more.
    pub fn core() -> Self {
        Self {
            name: "core".to_owned(),
            stated: Vec::new(),
            expected_effects: 1,
            replay: Replay::Identity,
            identity: vec![
                IdentityField::Json("$.id".to_owned()),
                IdentityField::Header("Location".to_owned()),
            ],
            ignore: Vec::new(),
            replay_status: ReplayStatus::AnySuccess,
            replay_marker: None,
            replay_errors: ReplayErrors::Final,
            in_flight: InFlight {
                statuses: IN_FLIGHT_STATUSES.to_vec(),
                wait: true,
            },
            mismatch: Mismatch::AnyRefusal,
            missing_key: MissingKey::Optional,
            reserialised: Reserialised::Accepted,
            tenant_scope: Scope::Isolated,
            endpoint_scope: Scope::Any,
            retention: None,
            after_retention: AfterRetention::Any,
            stuck_after: None,
            accepted_is_ok: false,
            unavailable: Unavailable::Unknown,
            transient_grace: Duration::from_secs(10),
            transient_excess: TransientExcess::Proof,
        }
    }
}
