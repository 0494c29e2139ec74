//! One request of an operation and what came of it.

use super::Offset;
use crate::contract::{Claim, Expected};
use crate::plan::InstanceIndex;
use serde::{Deserialize, Serialize};

/// One request of an operation and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// Which instance of the trial it belongs to.
    pub instance: InstanceIndex,
    /// Index of the operation in its scenario's flow.
    pub operation: usize,
    /// What part it plays.
    pub part: Part,
    /// A number for the connection, unique in the run.
    pub connection: u64,
    /// Whether the connection had carried an attempt before.
    pub reused: bool,
    /// When its bytes left and came.
    pub timing: Timing,
    /// How many.
    pub bytes: ByteCounts,
    /// How it ended on the wire.
    pub end: End,
    /// Whether the planned fault happened where it was planned; `true` where
    /// none was planned.
    pub fault_happened: bool,
    /// Whether the client never learns the answer (`drop_response`, or a
    /// client that gave up with its socket open).
    pub hidden: bool,
    /// The answer, as far as it came; its status line and head at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<ResponseFacts>,
}

impl Exchange {
    /// What the exchange claims about its operation, for the table of outcomes.
    pub fn claim(&self) -> Claim {
        match (&self.end, &self.response) {
            (End::Complete, Some(response)) => Claim::Answer {
                status: response.status,
                expected: response.expected,
                names_result: response
                    .identity
                    .iter()
                    .any(|fact| matches!(fact, IdentityFact::Is(_))),
            },
            (End::ConnectFailed(_) | End::NotSent(_) | End::RefusedByPeer, _) => Claim::NothingSent,
            _ if self.bytes.out == 0 => Claim::NothingSent,
            _ => Claim::NoAnswer,
        }
    }
}

/// What part an exchange plays in its trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A planned attempt, by its number.
    Attempt(u32),
    /// A clean run of an operation before or after the one under test.
    Clean,
    /// A closing retry, counted from 1.
    Closing(u32),
}

/// When the bytes of an exchange left and came; all since the run's start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// When the plan wanted it to leave: what latency is measured from.
    pub intended: Offset,
    /// First byte written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_out: Option<Offset>,
    /// Last byte written; of a cut request the last that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_out: Option<Offset>,
    /// First byte of the answer (interim answers count).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_in: Option<Offset>,
    /// Last byte of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_in: Option<Offset>,
    /// When it was over on the wire, whatever ended it.
    pub ended: Offset,
    /// When the client stopped waiting, where that was before the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gave_up: Option<Offset>,
}

/// Bytes of an exchange, above TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByteCounts {
    /// Written.
    pub out: u64,
    /// Read.
    #[serde(rename = "in")]
    pub incoming: u64,
}

/// How an exchange ended on the wire. What that means for the operation is the
/// oracle's business.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The whole answer came.
    Complete,
    /// The peer closed before the whole answer came.
    PeerClosed,
    /// The peer reset before the whole answer came.
    PeerReset,
    /// We closed on purpose.
    WeClosed,
    /// We reset on purpose.
    WeReset,
    /// The time-out was over.
    TimedOut,
    /// No connection could be made: nothing was sent.
    ConnectFailed(ConnectFailure),
    /// Nothing complete was sent, for another reason.
    NotSent(String),
    /// The peer said that it did nothing with the request and never will:
    /// `REFUSED_STREAM`, or GOAWAY with a lower last stream (RFC 9113 sections
    /// 6.8 and 8.7).
    RefusedByPeer,
    /// The peer reset the stream before the whole answer came; its code.
    StreamReset(String),
    /// What came is not HTTP, or more than the limits allow.
    BrokenAnswer(String),
}

/// Why no connection could be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectFailure {
    /// The name does not resolve.
    Dns(String),
    /// Nobody listens there.
    Refused,
    /// The address is not one that may be sent to.
    NotAllowed(String),
    /// No answer to the connect.
    TimedOut,
    /// The TLS handshake failed.
    Tls(String),
    /// Another fault of the network.
    Network(String),
}

/// What an answer said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResponseFacts {
    /// The final status.
    pub status: u16,
    /// Statuses of interim answers before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interim: Vec<u16>,
    /// Headers that a report or an oracle may want, names in lower case, secrets
    /// replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: BodyFacts,
    /// What the contract's identity fields selected, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identity: Vec<IdentityFact>,
    /// Whether the operation's `expect` was met; `None` where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
}

/// What one identity field selected in one answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityFact {
    /// The field is not there.
    Absent,
    /// It is there and is null or an empty string.
    Null,
    /// Its value, as compact JSON (strings without quotes), secrets replaced by
    /// a digest of theirs.
    Is(String),
}

impl IdentityFact {
    /// Whether two answers name one result: some field has the same value in both.
    /// The fields are in the contract's order.
    pub fn name_one_result(a: &[Self], b: &[Self]) -> bool {
        a.iter()
            .zip(b)
            .any(|(a, b)| matches!(a, Self::Is(_)) && a == b)
    }
}

/// The body of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyFacts {
    /// Bytes of it that came, after content decoding.
    pub len: u64,
    /// SHA-256 of them, in hex, the first 16 digits.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sha256: String,
    /// SHA-256 (16 digits) of the parsed JSON with sorted members, without what
    /// the contract ignores; `None` where it is not JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normal: Option<String>,
    /// The first 4 KiB as text, secrets replaced.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kept: String,
    /// Whether all of it came.
    pub complete: bool,
}
