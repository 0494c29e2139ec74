//! (Scenario, [`Seed`]) → [`Plan`]: everything that is decided before the first
//! packet. Pure: the same input gives the same bytes. This room must not run
//! anything, and nothing that a run does changes it.

mod budget;
mod describe;
mod expect;
mod filter;
mod generate;
mod pattern;
mod refine;
pub mod seed;
mod stored;
#[cfg(test)]
mod tests;

pub use crate::contract::Contract;
pub use crate::scenario::parts::*;
pub use crate::scenario::template::{Escape, JsonTemplate, RenderError, Scope, Template};
pub use describe::describe;
pub use expect::same_value;
pub use filter::Filter;
pub use generate::{GenerateOptions, PlanError, generate};
pub use refine::{Axis, Edge, Observed, Seen, edge, refine, waves};
pub use seed::{Salt, Seed};
pub use stored::PlanReadError;

use serde::{Deserialize, Serialize};

/// The version of the stored form. A reader refuses any other.
pub const FORMAT: &str = "retrial.plan/1";

/// Everything a run is going to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`FORMAT`].
    pub format: String,
    /// The seed it was made from.
    pub seed: Seed,
    /// The scenarios, one for each matrix row.
    pub scenarios: Vec<PlannedScenario>,
    /// The cases, in the order of the report.
    pub cases: Vec<Case>,
    /// All trials in the order in which they run: the controls of a scenario
    /// before those of its cases.
    pub trials: Vec<Trial>,
}

/// A scenario with one matrix row in place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedScenario {
    /// Its name.
    pub name: String,
    /// The file as the user named it.
    pub file: String,
    /// Line of its first operation's request.
    pub line: u32,
    /// SHA-256 of the file's text, in hex.
    pub sha256: String,
    /// What it is for.
    pub description: Option<String>,
    /// Words to filter by.
    pub tags: Vec<String>,
    /// Who looks after it.
    pub owner: Option<String>,
    /// Where to read on.
    pub docs: Option<String>,
    /// The matrix row; empty where there is no matrix.
    pub row: Row,
    /// The API under test.
    pub target: Target,
    /// What it promises.
    pub contract: Contract,
    /// The flow, in order.
    pub operations: Vec<Operation>,
    /// What must be true afterwards.
    pub effects: Vec<Effect>,
    /// Groups of effects (by index) that happen all or not at all.
    pub together: Vec<Vec<usize>>,
    /// What must hold over all effects.
    pub invariants: Vec<Invariant>,
    /// Steps before.
    pub setup: Vec<Step>,
    /// Steps after.
    pub cleanup: Vec<Step>,
    /// Thresholds of latency.
    pub latency: Vec<Threshold>,
}

impl PlannedScenario {
    /// Whether an effect tells of each single operation by itself how often it
    /// happened, whatever the others of the flow do.
    pub fn tells_alone(&self, operation: usize, effect: &Effect) -> bool {
        let counted = match effect.expectation {
            Expectation::Once | Expectation::Number(_) => true,
            Expectation::Never
            | Expectation::AtMostOnce
            | Expectation::Between { .. }
            | Expectation::Equals(_)
            | Expectation::Matches(_)
            | Expectation::OneOf(_) => false,
        };
        let of_this_one = match &effect.at {
            _ if self.operations.len() == 1 => true,
            // What is read after the first operation no other has made.
            Some(name) => operation == 0 && self.operations[0].name == *name,
            None => false,
        };
        counted && of_this_one && effect.marked && !effect.delta
    }

    /// Whether its trials have to run one at a time, since an effect cannot tell
    /// one from another (`language.md` section 14, *Effects*).
    pub fn one_at_a_time(&self) -> bool {
        self.effects
            .iter()
            .any(|effect| !effect.marked || effect.delta)
    }
}

/// `scenario::operation::pattern`, then `::row` for a matrix row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CaseId(pub String);

impl std::fmt::Display for CaseId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(&self.0)
    }
}

/// One pattern on one operation of one scenario row: what a verdict is given for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// Its id, unique in the plan and stable over seeds.
    pub id: CaseId,
    /// Index into [`Plan::scenarios`].
    pub scenario: usize,
    /// Index of the operation under the pattern in that scenario's operations.
    pub operation: usize,
    /// The pattern, for people and for the oracle.
    pub pattern: PatternTag,
    /// What is merged into the requests of its trials.
    pub with: Overlay,
    /// Steps run before each of its trials.
    pub before: Vec<Step>,
    /// Where the pattern stands.
    pub place: Place,
    /// Whether its trials sweep over the time inside the handler: those that come
    /// later look where the earlier ones saw an edge ([`refine`]).
    #[serde(default, skip_serializing_if = "is_default")]
    pub sweeps: bool,
}

/// The kinds of pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One after the other.
    Replay,
    /// Together.
    Burst,
    /// Overlapping by a gap.
    Stagger,
    /// The answer is lost to the client.
    DropResponse,
    /// The client gives up.
    Timeout,
    /// Closed inside the request.
    CutRequest,
    /// Closed inside the answer.
    CutResponse,
    /// Reset after the request.
    Reset,
    /// Other User-Agent and trace header.
    ChangedHeaders,
    /// Other member order and white space.
    Reserialised,
}

impl Kind {
    /// All kinds, in the order of the documentation.
    pub const ALL: [Self; 10] = [
        Self::Replay,
        Self::Burst,
        Self::Stagger,
        Self::DropResponse,
        Self::Timeout,
        Self::CutRequest,
        Self::CutResponse,
        Self::Reset,
        Self::ChangedHeaders,
        Self::Reserialised,
    ];

    /// The word of the scenario language.
    pub fn word(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Burst => "burst",
            Self::Stagger => "stagger",
            Self::DropResponse => "drop_response",
            Self::Timeout => "timeout",
            Self::CutRequest => "cut_request",
            Self::CutResponse => "cut_response",
            Self::Reset => "reset",
            Self::ChangedHeaders => "changed_headers",
            Self::Reserialised => "reserialised",
        }
    }

    /// Whether the pattern only makes sense where attempts overlap: such a case
    /// cannot pass while unrelated keys are refused.
    pub fn overlaps(self) -> bool {
        matches!(
            self,
            Self::Burst | Self::Stagger | Self::Timeout | Self::Reset
        )
    }
}

/// The pattern of a case, as reports show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatternTag {
    /// Its kind.
    pub kind: Kind,
    /// The author's `name:`.
    pub label: Option<String>,
    /// What the terminal shows: `burst ×10`, `timeout 200 ms`, `drop response`.
    pub shown: String,
    /// Attempts of each operation, closing retries not counted; the most, where
    /// they differ from trial to trial.
    pub attempts: u32,
    /// Operations in one release.
    pub keys: u32,
}

/// What is merged into the requests of a case's trials.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Overlay {
    /// Merged deeply into the JSON body; `null` removes, lists are replaced.
    pub json: Option<JsonTemplate>,
    /// Headers set in place of those of the same name.
    pub headers: Vec<(String, Template)>,
    /// Query parameters set in place of those of the same name.
    pub query: Vec<(String, Template)>,
    /// Credentials in place of the operation's.
    pub auth: Option<Auth>,
}

/// The number of a trial, unique in the plan; removing a trial leaves the
/// numbers of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrialId(pub u32);

impl std::fmt::Display for TrialId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What a trial is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A clean operation that makes the target warm; never judged.
    WarmUp,
    /// A control trial.
    Control(Control),
    /// A trial of the case with this index in [`Plan::cases`].
    Case(usize),
}

/// The control trials of an operation (`retry-safety.md` section 2.0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// One clean operation, to show one effect.
    One,
    /// Two clean operations one after the other, to show two.
    Two,
    /// Ten clean operations at once, to show ten, none refused.
    Ten,
    /// Operations whose client goes away while the handler runs, to show whether
    /// the target completes or cancels them; never judged.
    ClientGone,
}

/// One trial: operations, each with its key and marker, and their attempts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Its number.
    pub id: TrialId,
    /// What it is for.
    pub role: Role,
    /// Index into [`Plan::scenarios`].
    pub scenario: usize,
    /// Index of the operation that the attempts are made of; in a flow the
    /// operations before it run cleanly first, those after it at the end.
    pub operation: usize,
    /// What the client wants once, so many times: each is a run through the
    /// whole flow with its own marker and, for each operation of the flow, its
    /// own key.
    pub instances: Vec<Instance>,
    /// The attempts, in the order of their release.
    pub attempts: Vec<Attempt>,
    /// What is held back before a common release; `None` where nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldPoint>,
    /// Over how many connections the attempts of a common release are spread in
    /// turn, as streams of HTTP/2; `None`: each has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
}

/// The stable part of one marker and its keys; the run's salt is added when
/// something is sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instance(pub String);

/// Index of an instance in its trial.
pub type InstanceIndex = usize;

/// One delivery of an operation. What is as usual is not stored, so that a plan
/// of many trials stays small.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number among the attempts of its instance, from 1 (`${{ attempt }}`).
    pub number: u32,
    /// Which instance it belongs to.
    #[serde(default, skip_serializing_if = "is_default")]
    pub instance: InstanceIndex,
    /// When it leaves.
    pub release: Release,
    /// What goes wrong with it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fault: Fault,
    /// On which connection.
    #[serde(default, skip_serializing_if = "is_default")]
    pub connection: Connection,
    /// How it differs from the first, if it does.
    #[serde(default, skip_serializing_if = "is_default")]
    pub variant: Variant,
}

/// When an attempt leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Release {
    /// When the client is through with the attempt before it (answered, cut,
    /// given up), and this many microseconds after that.
    AfterPrevious {
        /// The pause, in microseconds.
        gap_us: u64,
    },
    /// So long after the first attempt of the trial.
    At(Moment),
    /// Together with the others of the trial.
    Together,
}

/// A span of time, absolute or as a share of H, the first-execution p50 that the
/// control trials measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// Microseconds.
    Us(u64),
    /// Millionths of H.
    PpmOfH(u32),
}

impl Moment {
    /// The span where H is known.
    pub fn resolve(self, h: std::time::Duration) -> std::time::Duration {
        match self {
            Self::Us(us) => std::time::Duration::from_micros(us),
            Self::PpmOfH(ppm) => {
                let nanos = h.as_nanos() * u128::from(ppm) / 1_000_000;
                std::time::Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
            }
        }
    }
}

/// What goes wrong with an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// The answer is read whole, recorded, and hidden from the client.
    DropResponse,
    /// The request ends before it is whole.
    CutRequest {
        /// Where.
        at: CutPoint,
        /// How. Before a connection there is nothing to end.
        #[serde(default = "fin", skip_serializing_if = "is_fin")]
        end: Ending,
    },
    /// The answer is read this far and no further.
    CutResponse {
        /// Where.
        at: AnswerPoint,
        /// How.
        #[serde(default = "fin", skip_serializing_if = "is_fin")]
        end: Ending,
    },
    /// The connection is ended after the request.
    Reset {
        /// When.
        after: ResetPoint,
        /// How.
        end: Ending,
    },
    /// The client gives up so long after its last byte.
    Timeout {
        /// When.
        after: Moment,
        /// What happens to its socket.
        then: Then,
    },
}

impl Fault {
    /// Whether the client goes away, for the target to see, from a request that it
    /// has sent whole.
    pub fn client_leaves(self) -> bool {
        match self {
            Self::CutResponse { end, .. } | Self::Reset { end, .. } => end != Ending::Silence,
            Self::Timeout { then, .. } => then == Then::Close,
            Self::None | Self::DropResponse | Self::CutRequest { .. } => false,
        }
    }

    /// Whether the client falls silent and keeps its connection.
    pub fn is_silent(self) -> bool {
        match self {
            Self::CutRequest { end, .. }
            | Self::CutResponse { end, .. }
            | Self::Reset { end, .. } => end == Ending::Silence,
            Self::None | Self::DropResponse | Self::Timeout { .. } => false,
        }
    }
}

/// A place in a request, in the order of the wire; never its end, since what was
/// sent whole was not cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutPoint {
    /// Before there is a connection: the attempt is lost on the client's side.
    Connect,
    /// On a connection (TLS included), before the first byte.
    FirstByte,
    /// After so many per cent of the head; at least one byte of it, never all.
    Head(u8),
    /// Right after the head.
    Headers,
    /// After so many per cent of the body.
    Percent(u8),
    /// After so many bytes of the body.
    Body(u32),
    /// After so many bytes, head and body counted together.
    Bytes(u32),
    /// So many bytes before the end.
    BeforeEnd(u32),
}

/// How much of a request has left at a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Not a byte: nothing can have been executed.
    Nothing,
    /// Part of the head: no server that waits for its end starts a handler.
    PartOfTheHead,
    /// The head at least, or nobody knows without the request's length.
    PartOfTheRequest,
}

impl CutPoint {
    /// How much has left there.
    pub fn sent(self) -> Sent {
        match self {
            Self::Connect | Self::FirstByte => Sent::Nothing,
            Self::Head(_) => Sent::PartOfTheHead,
            Self::Headers
            | Self::Percent(_)
            | Self::Body(_)
            | Self::Bytes(_)
            | Self::BeforeEnd(_) => Sent::PartOfTheRequest,
        }
    }
}

/// A place in an answer, in the order of the wire. Interim answers (1xx) are
/// passed over, but their bytes count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerPoint {
    /// After so many bytes, head and body counted together.
    Bytes(u32),
    /// Right after the status line.
    StatusLine,
    /// Right after the head.
    Headers,
    /// After so many per cent of the body.
    Percent(u8),
    /// So many bytes before the end.
    BeforeEnd(u32),
    /// Right after the answer: all of it has come, and the client never sees it.
    Whole,
}

/// When a connection is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetPoint {
    /// So long after the last request byte.
    RequestSent(Moment),
    /// At the first answer byte.
    Answered,
}

/// How a connection is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// With RST.
    Rst,
    /// With FIN.
    Fin,
    /// With FIN in our direction only.
    HalfClose,
    /// Not at all: from there on nothing is sent and nothing is read, for as long
    /// as an attempt may take; only then it is closed.
    Silence,
}

fn fin() -> Ending {
    Ending::Fin
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
fn is_fin(ending: &Ending) -> bool {
    *ending == Ending::Fin
}

/// What happens to the socket of a client that gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// It stays open; what arrives is recorded, hidden from the client.
    KeepOpen,
    /// It is closed.
    Close,
}

/// On which connection an attempt is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Connection {
    /// One of its own.
    #[default]
    Fresh,
    /// The one of the attempt before it, if that is still open; else a new one.
    Kept,
    /// A warm one that carried attempts of trials before and carries no other
    /// now; else a new one.
    Pooled,
}

/// How an attempt differs from the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// It does not.
    #[default]
    Same,
    /// Another User-Agent and trace header.
    ChangedHeaders,
    /// Other member order and white space.
    Reserialised,
}

/// What is held back before a common release (`transport.md` section 1). Over
/// HTTP/2 no part of a head can be sent ahead, so `Head` is `All` there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldPoint {
    /// The last byte of the head and the body.
    Head,
    /// The last byte of the request.
    LastByte,
    /// The whole request.
    All,
}

/// Whether a stored field can be left out.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
