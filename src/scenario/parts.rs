//! The parts of a scenario that a plan carries on, fully defaulted.
//!
//! Only these types of the room are serialisable: they are stored inside the
//! plan and are versioned with it. Texts that still hold `${{ … }}` are
//! [`Template`]s, rendered at the moment of sending; what is known when the
//! plan is made (variables, matrix, environment outside `auth`) is already in
//! them as plain text.

use super::template::{JsonTemplate, Template};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// A place in a file that a report can point at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The file as the user named it.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
}

/// The API under test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// `http://…` or `https://…`, without query; a path is a prefix of every path.
    pub url: String,
    /// Headers that go with every request to the target.
    pub headers: Vec<(String, Template)>,
    /// Credentials that go with every request to the target.
    pub auth: Option<Auth>,
    /// How TLS is set up.
    pub tls: Tls,
    /// How long an attempt may take from its last byte to its whole answer.
    pub timeout: Duration,
    /// How long no attempt of an operation runs before the count that precedes
    /// the closing retry; `None` stands for the larger of 2 x H99 and 250 ms.
    pub quiet: Option<Duration>,
    /// The version of HTTP that attempts speak.
    #[serde(default, skip_serializing_if = "HttpVersion::is_default")]
    pub http: HttpVersion,
}

/// The version of HTTP that attempts speak.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HttpVersion {
    /// HTTP/1.1.
    #[default]
    #[serde(rename = "1.1")]
    Http1,
    /// HTTP/2: chosen by ALPN over TLS, with prior knowledge in the clear.
    #[serde(rename = "2")]
    Http2,
}

impl HttpVersion {
    /// As it stands in scenario files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Http1 => "1.1",
            Self::Http2 => "2",
        }
    }

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde hands out references"
    )]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Over how many connections the attempts of one release are spread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Connections {
    /// As fits the protocol: over HTTP/1.1 each attempt has its own; over HTTP/2
    /// they share one in half of the trials and have their own in the others.
    #[default]
    Fitting,
    /// Each attempt has its own.
    Each,
    /// So many.
    Shared(u32),
}

/// How TLS is set up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// Certificates to trust instead of the platform's: a PEM file, its path
    /// already resolved against the file that names it.
    pub ca_file: Option<String>,
    /// Whether any certificate is accepted.
    pub insecure: bool,
    /// The name to ask for and to verify, where it is not the URL's host.
    pub server_name: Option<String>,
}

/// Credentials. Whatever these templates render to is a secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// `Authorization: Bearer …`.
    Bearer(Template),
    /// `Authorization: Basic …`.
    Basic {
        /// User name.
        user: Template,
        /// Password.
        password: Template,
    },
    /// A header of the target's own.
    Header {
        /// Name of the header.
        name: String,
        /// Its value.
        value: Template,
    },
    /// Explicitly none, where the target has some.
    None,
}

/// HTTP methods that scenarios may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names are HTTP's")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

impl Method {
    /// Every method that scenarios may use.
    pub const ALL: [Self; 7] = [
        Self::Get,
        Self::Head,
        Self::Post,
        Self::Put,
        Self::Patch,
        Self::Delete,
        Self::Options,
    ];

    /// The method as it stands in a request line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }
}

/// A request as far as scenario and seed allow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// Path under the target's URL, with a query if the author wrote one there;
    /// or an absolute URL (probes and steps only), or a text that starts with an
    /// expression, which is taken as it renders.
    pub path: Template,
    /// Query parameters added to the path's.
    pub query: Vec<(String, Template)>,
    /// Headers, in the author's order and case.
    pub headers: Vec<(String, Template)>,
    /// What the request carries.
    pub body: Body,
    /// Credentials in place of the target's; `None` keeps those.
    pub auth: Option<Auth>,
}

/// What a request carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// Nothing.
    None,
    /// JSON, members in the author's order; `Content-Type: application/json`.
    Json(JsonTemplate),
    /// `application/x-www-form-urlencoded`.
    Form(Vec<(String, Template)>),
    /// `multipart/form-data`.
    Multipart(Vec<Part>),
    /// As written; the author sets the content type.
    Text(Template),
}

/// One part of a multipart body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Name of the form field.
    pub name: String,
    /// What it holds.
    pub content: PartContent,
    /// File name told to the server.
    pub filename: Option<String>,
    /// Content type told to the server.
    pub content_type: Option<String>,
}

/// What a part of a multipart body holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartContent {
    /// Text.
    Text(Template),
    /// A file, its path already resolved against the file that names it.
    File(String),
}

/// Where the idempotency key goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// The place.
    pub place: KeyPlace,
    /// Its value; `None` stands for a UUID made of the operation's part and the salt.
    pub value: Option<Template>,
    /// Whether it is sent as a structured-field string, in quotes.
    pub quoted: bool,
}

/// The place of an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyPlace {
    /// A header.
    Header(String),
    /// A member of the JSON body, by JSONPath (`$.a.b`).
    Json(String),
    /// A query parameter.
    Query(String),
    /// The request has none.
    None,
}

/// A value taken out of an answer, for later requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capture {
    /// The name that expressions use.
    pub name: String,
    /// Where it is taken from.
    pub from: CaptureFrom,
    /// Whether its value must never be shown.
    pub secret: bool,
}

/// Where a captured value is taken from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptureFrom {
    /// The first node of a JSONPath.
    Json(String),
    /// A header.
    Header(String),
    /// A cookie that the answer sets.
    Cookie(String),
    /// The first group (or the whole match) of a regular expression over the body.
    BodyRegex(String),
    /// The same over one header, or over all header lines where no name is given.
    HeaderRegex {
        /// The header; `None` searches all lines `Name: value`.
        header: Option<String>,
        /// The regular expression.
        regex: String,
    },
}

/// What makes an answer `ok`, whatever its status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expect {
    /// Statuses; empty stands for any that the table of outcomes calls `ok`.
    pub status: Vec<u16>,
    /// JSONPaths and the values they must select.
    pub json: Vec<(String, JsonTemplate)>,
}

/// How a closing retry goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// When it stops.
    pub until: Until,
    /// The most tries after answers that say neither yes nor no.
    pub max: u32,
    /// First pause; it doubles from try to try.
    pub backoff_min: Duration,
    /// Longest pause.
    pub backoff_max: Duration,
}

/// When a closing retry stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// At the first definite answer.
    Answered,
    /// At the first `ok`; a `rejected` is tried again too.
    Ok,
}

/// One operation of the scenario: what the client means to do once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Its name; `operation` where the author gave none.
    pub name: String,
    /// Whether the author named it (reports show – where not).
    pub named: bool,
    /// What is sent.
    pub request: Request,
    /// Where its key goes.
    pub key: Key,
    /// What is taken out of its answers.
    pub capture: Vec<Capture>,
    /// What makes an answer `ok`.
    pub expect: Option<Expect>,
    /// How its closing retry goes on.
    pub retry: Retry,
    /// Whether patterns are put on it.
    pub repeatable: bool,
    /// Where it stands.
    pub place: Place,
}

/// A request that is not under test: set-up, clean-up, `before`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its name, for reports; the request line where the author gave none.
    pub name: String,
    /// What is sent.
    pub request: Request,
    /// Where its key goes; steps have none unless they say so.
    pub key: Key,
    /// What is taken out of its answer.
    pub capture: Vec<Capture>,
    /// What its answer has to be; `None` stands for any 2xx.
    pub expect: Option<Expect>,
    /// How often it runs.
    pub each: Each,
    /// Where it stands.
    pub place: Place,
}

/// How often a step runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Each {
    /// Once a run.
    Run,
    /// Once for each operation of each trial.
    Trial,
}

/// An effect: how it is read, what is expected, how patient the reading is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// Its name.
    pub name: String,
    /// The probe.
    pub request: Request,
    /// What is taken out of the probe's answer.
    pub extraction: Extraction,
    /// What is expected.
    pub expectation: Expectation,
    /// How long a reading is given to become what is allowed.
    pub within: Duration,
    /// How long it must be unchanged.
    pub stable_for: Duration,
    /// How often it is read.
    pub every: Duration,
    /// Whether an excess that is gone later is forgiven.
    pub transient_excess: crate::contract::TransientExcess,
    /// The operation after which it is read, by name; `None` stands for the end.
    pub at: Option<String>,
    /// Whether it is counted against a reading taken before.
    pub delta: bool,
    /// Whether its request holds the marker, the key or a capture: without, the
    /// trials of the scenario run one at a time and it is counted as `delta`.
    pub marked: bool,
    /// Where it stands: the line of its name.
    pub place: Place,
    /// The line of its probe.
    pub probe_line: u32,
}

/// What is taken out of a probe's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extraction {
    /// The number of nodes that a JSONPath selects.
    Count(Template),
    /// The first node.
    Value(Template),
    /// The sum of the numbers selected.
    Sum(Template),
}

impl Extraction {
    /// The JSONPath, which may hold expressions inside quotes.
    pub fn path(&self) -> &Template {
        match self {
            Self::Count(path) | Self::Value(path) | Self::Sum(path) => path,
        }
    }
}

/// What an effect is expected to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expectation {
    /// As often as the outcomes allow, with n = the contract's expected effects.
    Once,
    /// The same with n as given (a count or a sum).
    Number(JsonTemplate),
    /// Never, whatever the outcomes.
    Never,
    /// At most once, whatever the outcomes.
    AtMostOnce,
    /// Between two numbers, whatever the outcomes.
    Between {
        /// Lower bound; `None` is no bound.
        min: Option<f64>,
        /// Upper bound; `None` is no bound.
        max: Option<f64>,
    },
    /// Equal to a value; read only where an answer was `ok`.
    Equals(JsonTemplate),
    /// A string that a regular expression matches; read only where an answer was `ok`.
    Matches(String),
    /// One of some values; read only where an answer was `ok`.
    OneOf(Vec<JsonTemplate>),
}

/// A boolean expression over effects and `vars`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Invariant {
    /// The expression as written, variables of `vars` already in place.
    pub expression: String,
    /// Names of the effects in it.
    pub effects: Vec<String>,
    /// Where it stands.
    pub place: Place,
}

/// The populations of latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Population {
    /// The attempt that did the work.
    First,
    /// An `ok` answer from the key's record.
    Replay,
    /// A duplicate refused.
    Refused,
    /// A duplicate that was held until the first was through.
    Held,
    /// A closing retry.
    Closing,
}

impl Population {
    /// All populations, in the order of reports.
    pub const ALL: [Self; 5] = [
        Self::First,
        Self::Replay,
        Self::Refused,
        Self::Held,
        Self::Closing,
    ];

    /// The word of the scenario language.
    pub fn word(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Replay => "replay",
            Self::Refused => "refused",
            Self::Held => "held",
            Self::Closing => "closing",
        }
    }
}

/// One latency threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// Whose latency.
    pub population: Population,
    /// The quantile: 0.5, 0.9, 0.95, 0.99, 0.999 or 1.0 for the maximum.
    pub quantile: f64,
    /// The most that it may be.
    pub limit: Duration,
    /// Where it stands.
    pub place: Place,
}

/// A value of a matrix row, as text, by axis.
pub type Row = BTreeMap<String, serde_json::Value>;
