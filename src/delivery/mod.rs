//! One attempt over one medium: what is sent, what goes wrong on purpose, what came of it.
//!
//! This room turns a planned fault and a message into instructions for the wire ([`script`], the only such translation) and carries them out. It must not schedule, retry or judge: who calls it decides when an attempt leaves, and what its end means is for others to say. A connection that was lost before anything complete was sent is replaced here, and nobody counts it.
//!
//! [`prepare`] makes a connection ready, with the message written up to its hold point ([`prepare_together`] does so for several that share one); [`Prepared::gate`] is what a [`Releaser`] fires; [`Prepared::deliver`] sees the attempt through.

mod h2;
mod http;
pub mod script;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::sync::watch;
use url::{Host, Url};

use crate::history::{ByteCounts, ConnectFailure, End, Offset, Timing};
use crate::http::Response;
use crate::http::h2::Session;
use crate::plan::{Fault, HoldPoint, HttpVersion};
use crate::wire::{ConnectError, Endpoint, Gate, Releaser, Tls, Wire};

/// What whoever schedules attempts needs of the floors below.
pub use crate::http::{EncodeError, Encoded, Limits, Request};
/// See above.
pub use crate::wire::{
    Action, AddressPolicy, Epoch, Marks, Process, Step, TlsConfigError, TlsOptions, Trust, Volley,
    tls_config,
};

/// What all targets of a run share: the releasing thread, with its clock, and the numbers of the connections.
#[derive(Debug)]
pub struct Equipment {
    releaser: Releaser,
    connections: AtomicU64,
}

impl Equipment {
    /// Starts the releasing thread. Every instant will be counted from `epoch`.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn start(epoch: Epoch) -> io::Result<Arc<Self>> {
        Self::start_holding(epoch, Vec::new())
    }

    /// The same; these processes stand still around every burst.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn start_holding(epoch: Epoch, processes: Vec<Process>) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            releaser: Releaser::start_holding(epoch, processes)?,
            connections: AtomicU64::new(0),
        }))
    }

    /// The thread that releases and ends on time.
    pub fn releaser(&self) -> &Releaser {
        &self.releaser
    }

    fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }
}

/// What a [`Target`] is made from.
#[derive(Debug, Clone)]
pub struct TargetOptions<'a> {
    /// `http://` or `https://`; only scheme, host and port count.
    pub url: &'a str,
    /// The TLS configuration; needed where the URL is `https://`.
    pub tls: Option<Arc<ClientConfig>>,
    /// The name to ask for and to verify, where it is not the URL's host.
    pub server_name: Option<&'a str>,
    /// Which addresses may be connected to.
    pub policy: AddressPolicy,
    /// How long a connection, TLS included, may take.
    pub connect_timeout: Duration,
    /// How much an answer may be.
    pub limits: Limits,
    /// The version of HTTP. Over TLS the configuration has to offer it (ALPN).
    pub http: HttpVersion,
}

/// Why something is no target.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// It is no URL with a host.
    #[error("{0:?} is not a URL with a host")]
    Url(String),
    /// Another scheme.
    #[error("the scheme {0:?} is neither http nor https")]
    Scheme(String),
    /// The name for TLS is none.
    #[error("{0:?} is not a name that a certificate can be for")]
    ServerName(String),
    /// `https` without a TLS configuration.
    #[error("https needs a TLS configuration")]
    NoTls,
}

/// An origin that attempts are sent to. Built once, shared by all of them.
#[derive(Debug)]
pub struct Target {
    endpoint: Endpoint,
    authority: String,
    limits: Limits,
    http: HttpVersion,
    equipment: Arc<Equipment>,
    /// Where its last connection led.
    on_loopback: AtomicBool,
}

impl Target {
    /// Takes scheme, host and port from the URL.
    ///
    /// # Errors
    ///
    /// When the URL, or the name for TLS, cannot be used.
    pub fn new(
        options: &TargetOptions<'_>,
        equipment: Arc<Equipment>,
    ) -> Result<Self, TargetError> {
        let no_url = || TargetError::Url(options.url.to_owned());
        let url = Url::parse(options.url).map_err(|_| no_url())?;
        let secure = match url.scheme() {
            "http" => false,
            "https" => true,
            other => return Err(TargetError::Scheme(other.to_owned())),
        };
        let host = match url.host().ok_or_else(no_url)? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let port = url.port_or_known_default().ok_or_else(no_url)?;
        let shown = url.host_str().ok_or_else(no_url)?;
        let authority = match url.port() {
            None => shown.to_owned(),
            Some(port) => format!("{shown}:{port}"),
        };
        let tls = if secure {
            let name = options.server_name.unwrap_or(&host).to_owned();
            let server_name =
                ServerName::try_from(name.clone()).map_err(|_| TargetError::ServerName(name))?;
            let config = options.tls.clone().ok_or(TargetError::NoTls)?;
            Some(Tls {
                config,
                server_name,
            })
        } else {
            None
        };
        let endpoint = Endpoint {
            host,
            port,
            tls,
            policy: options.policy,
            timeout: options.connect_timeout,
        };
        Ok(Self {
            endpoint,
            authority,
            limits: options.limits,
            http: options.http,
            equipment,
            on_loopback: AtomicBool::new(false),
        })
    }

    /// The value of the `host` header.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// What this target shares with the others of the run.
    pub fn equipment(&self) -> &Equipment {
        &self.equipment
    }

    /// Whether its last connection led to this machine; `false` as long as there was none.
    pub fn is_on_loopback(&self) -> bool {
        self.on_loopback.load(Ordering::Relaxed)
    }

    /// Serialises a request to this target.
    ///
    /// # Errors
    ///
    /// When a part of it may not stand where it would.
    pub fn encode(&self, request: &Request) -> Result<Encoded, EncodeError> {
        let mut encoded = crate::http::encode(request, &self.authority)?;
        if self.http == HttpVersion::Http2 {
            let scheme = if self.endpoint.tls.is_some() {
                "https"
            } else {
                "http"
            };
            let message = crate::http::h2::message(request, scheme, &self.authority)?;
            encoded.stream = Some(message);
        }
        Ok(encoded)
    }

    /// The version of HTTP that attempts speak.
    pub fn http(&self) -> HttpVersion {
        self.http
    }

    /// Makes a connection ahead of its use, so that its making is not part of the attempt.
    ///
    /// # Errors
    ///
    /// When there is none to be had.
    pub async fn warm(&self) -> Result<Connection, NotSent> {
        let epoch = self.equipment.releaser.epoch();
        let started = epoch.now_ns();
        let failed = |why| self.not_sent(End::ConnectFailed(why));
        let mut wire = crate::wire::connect(&self.endpoint, epoch)
            .await
            .map_err(|error| failed(connect_failure(&error)))?;
        let session = match self.http {
            HttpVersion::Http1 => None,
            HttpVersion::Http2 => {
                let spent = Duration::from_nanos(epoch.now_ns().saturating_sub(started));
                let left = self.endpoint.timeout.saturating_sub(spent);
                let session = h2::greet(&mut wire, self.limits, left).await;
                Some(Box::new(session.map_err(failed)?))
            }
        };
        let local = wire.gate().is_on_loopback();
        self.on_loopback.store(local, Ordering::Relaxed);
        Ok(Connection {
            wire,
            id: self.equipment.next_connection(),
            served: 0,
            session,
            buffer: Vec::new(),
        })
    }

    fn not_sent(&self, end: End) -> NotSent {
        NotSent {
            end,
            at: Offset(self.equipment.releaser.epoch().now_ns()),
            fault_happened: false,
        }
    }
}

/// A connection between two attempts.
#[derive(Debug)]
pub struct Connection {
    wire: Wire,
    id: u64,
    served: u32,
    /// What both sides agreed on, over HTTP/2.
    session: Option<Box<Session>>,
    /// What its attempts read into, kept from one to the next.
    buffer: Vec<u8>,
}

impl Connection {
    /// Its number, unique in the run.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// How many attempts it has carried.
    pub fn served(&self) -> u32 {
        self.served
    }
}

/// One attempt, ready to be sent.
#[derive(Debug, Clone)]
pub struct Sending {
    /// The message.
    pub message: Encoded,
    /// What is to go wrong with it.
    pub fault: Fault,
    /// H: what shares of it in the fault stand for; zero where it is not known yet.
    pub h: Duration,
    /// What is held back until the release; `None` sends as soon as it is delivered.
    pub hold: Option<HoldPoint>,
    /// How long it may take from the last byte out to the whole answer.
    pub timeout: Duration,
}

/// Attempts that leave over one connection at once, ready to be sent: one, or over HTTP/2 as many as share it.
#[derive(Debug)]
pub struct Prepared(Course);

#[derive(Debug)]
enum Course {
    Http1(Box<http::Prepared>),
    Http2(Box<h2::Together>),
}

/// Makes an attempt ready: a connection (`reuse`, if that is still good), and on it the message up to its hold point, arrived as far as that can be known.
///
/// Without a hold point nothing is written yet.
///
/// # Errors
///
/// When there is no connection, or none that lasts until everything is armed. Nothing complete was sent then.
pub async fn prepare(
    target: &Arc<Target>,
    sending: Sending,
    reuse: Option<Connection>,
) -> Result<Prepared, NotSent> {
    match target.http {
        HttpVersion::Http1 => {
            let prepared = http::prepare(target, sending, reuse).await?;
            Ok(Prepared(Course::Http1(Box::new(prepared))))
        }
        HttpVersion::Http2 => {
            let mut groups = h2::prepare(target, vec![sending], reuse).await?;
            let group = groups.pop().expect("one attempt takes one connection");
            Ok(Prepared(Course::Http2(Box::new(group))))
        }
    }
}

/// Makes attempts ready that share a connection: over HTTP/2 as streams of one, and of further ones where the peer takes no more at once; over HTTP/1.1 each gets its own. In their order, those of a connection side by side.
///
/// # Errors
///
/// As [`prepare`]; nothing complete was sent of any of them.
pub async fn prepare_together(
    target: &Arc<Target>,
    sendings: Vec<Sending>,
    mut reuse: Option<Connection>,
) -> Result<Vec<Prepared>, NotSent> {
    let mut prepared = Vec::new();
    match target.http {
        HttpVersion::Http1 => {
            for sending in sendings {
                prepared.push(prepare(target, sending, reuse.take()).await?);
            }
        }
        HttpVersion::Http2 => {
            let groups = h2::prepare(target, sendings, reuse).await?;
            let course = |group| Prepared(Course::Http2(Box::new(group)));
            prepared.extend(groups.into_iter().map(course));
        }
    }
    Ok(prepared)
}

impl Prepared {
    /// What releases the attempts, where they are held: hand it to a [`crate::wire::Releaser`]. [`Prepared::deliver`] must be running or be started then.
    pub fn gate(&self) -> GateHandle {
        match &self.0 {
            Course::Http1(prepared) => prepared.gate(),
            Course::Http2(group) => group.gate(),
        }
    }

    /// How many attempts.
    pub fn attempts(&self) -> usize {
        match &self.0 {
            Course::Http1(_) => 1,
            Course::Http2(group) => group.len(),
        }
    }

    /// Tells when the simulated client is through with the attempt (answered, cut, given up): nanoseconds since the epoch, set once. That may be long before the attempt is over on the wire. Of several attempts on one connection it tells when the last is over.
    pub fn view(&self) -> watch::Receiver<Option<u64>> {
        match &self.0 {
            Course::Http1(prepared) => prepared.view(),
            Course::Http2(group) => group.view(),
        }
    }

    /// Sends the attempt, if it is not held, and sees it through to its end. Of several it gives the first.
    ///
    /// Held, it waits for its release as long as it takes; its time-out counts from the last byte out. Whatever the peer does, it ends then, in bounded memory.
    pub async fn deliver(self) -> Delivered {
        let mut delivered = self.deliver_all().await;
        delivered.swap_remove(0)
    }

    /// Sends the attempts, if they are not held, and sees them through to their ends; in their order. The connection is with the first of them, where it can carry others. See [`Prepared::deliver`].
    pub async fn deliver_all(self) -> Vec<Delivered> {
        match self.0 {
            Course::Http1(prepared) => vec![prepared.deliver().await],
            Course::Http2(group) => group.deliver().await,
        }
    }
}

/// An attempt of which nothing was sent, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotSent {
    /// [`End::ConnectFailed`] or [`End::NotSent`].
    pub end: End,
    /// When that was clear.
    pub at: Offset,
    /// Whether that was the plan.
    pub fault_happened: bool,
}

/// What came of an attempt.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and most are fields of the stored exchange"
)]
pub struct Delivered {
    /// The number of the connection, unique in the run.
    pub connection_id: u64,
    /// Whether the connection had carried an attempt before.
    pub reused: bool,
    /// When bytes left and came. `intended` is when it was released, or when [`Prepared::deliver`] was called where nothing was held: who planned another instant writes it there. `gave_up` is set where the client stopped waiting before the end.
    pub timing: Timing,
    /// How many, above TLS.
    pub bytes: ByteCounts,
    /// How it ended.
    pub end: End,
    /// Whether the client never learns the answer, though it came.
    pub hidden: bool,
    /// Whether the fault happened where it was planned; `true` where none was.
    pub fault_happened: bool,
    /// The final answer, as far as it came.
    pub answer: Option<Answer>,
    /// Statuses of interim answers, even where no final one came.
    pub interim: Vec<u16>,
    /// Whether bytes came after the answer that nobody asked for.
    pub unasked_bytes: bool,
    /// The instants of the connection, among them those of its making where this attempt was its first.
    pub marks: Marks,
    /// The connection, where it can carry another attempt.
    pub connection: Option<Connection>,
}

impl From<NotSent> for Delivered {
    /// What came of a request that never left, on no connection.
    fn from(not_sent: NotSent) -> Self {
        Self {
            connection_id: 0,
            reused: false,
            timing: Timing {
                intended: not_sent.at,
                ended: not_sent.at,
                ..Timing::default()
            },
            bytes: ByteCounts::default(),
            end: not_sent.end,
            hidden: false,
            fault_happened: not_sent.fault_happened,
            answer: None,
            interim: Vec::new(),
            unasked_bytes: false,
            marks: Marks::default(),
            connection: None,
        }
    }
}

/// Whether the client never learns an answer that came.
fn is_hidden(end: &End, fault: Fault, gave_up: Option<u64>, ended: u64) -> bool {
    let lost = matches!(fault, Fault::DropResponse | Fault::CutResponse { .. });
    *end == End::Complete && (lost || gave_up.is_some_and(|at| at < ended))
}

/// An instant so much later, in nanoseconds since the epoch.
fn later(ns: u64, by: Duration) -> u64 {
    ns.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX))
}

/// An answer, as far as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The final status.
    pub status: u16,
    /// Headers in the order and the case in which they came.
    pub headers: Vec<(String, String)>,
    /// The start of the body, content encoding undone.
    pub body: Vec<u8>,
    /// The length of the body that came.
    pub body_len: u64,
    /// SHA-256 of the body that came.
    pub body_sha256: [u8; 32],
    /// Whether all of it came.
    pub complete: bool,
}

fn answer(response: Response) -> Answer {
    Answer {
        status: response.head.status,
        headers: response.head.headers,
        body: response.body.kept,
        body_len: response.body.len,
        body_sha256: response.body.sha256,
        complete: response.complete,
    }
}

/// The handle by which an attempt is released: see [`Gate::fire`].
pub type GateHandle = Gate;

fn connect_failure(error: &ConnectError) -> ConnectFailure {
    match error {
        ConnectError::Resolve(cause) => ConnectFailure::Dns(cause.to_string()),
        ConnectError::NotAllowed { address } => ConnectFailure::NotAllowed(address.to_string()),
        ConnectError::Refused(_) => ConnectFailure::Refused,
        ConnectError::TimedOut {
            stage: crate::wire::Stage::Tls,
        } => ConnectFailure::Tls("the handshake was not answered in time".to_owned()),
        ConnectError::TimedOut { .. } => ConnectFailure::TimedOut,
        ConnectError::Tcp(cause) => ConnectFailure::Network(cause.to_string()),
        ConnectError::Tls(cause) => ConnectFailure::Tls(cause.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target, TargetError> {
        #[expect(
            clippy::disallowed_methods,
            reason = "a test has no run whose clock it could use"
        )]
        let epoch = Epoch::new(std::time::Instant::now());
        let options = TargetOptions {
            url,
            tls: None,
            server_name: None,
            policy: AddressPolicy::Loopback,
            connect_timeout: Duration::from_secs(1),
            limits: Limits::default(),
            http: HttpVersion::Http1,
        };
        Target::new(&options, Equipment::start(epoch).unwrap())
    }

    #[test]
    fn the_authority_is_what_the_host_header_says() {
        for (url, authority, host, port) in [
            ("http://localhost/x", "localhost", "localhost", 80),
            ("http://127.0.0.1:8080", "127.0.0.1:8080", "127.0.0.1", 8080),
            ("http://[::1]:81/", "[::1]:81", "::1", 81),
            ("http://Shop.Test:80/", "shop.test", "shop.test", 80),
        ] {
            let target = target(url).unwrap();
            assert_eq!(target.authority(), authority, "{url}");
            assert_eq!(
                (target.endpoint.host.as_str(), target.endpoint.port),
                (host, port)
            );
        }
    }

    #[test]
    fn what_is_no_target_is_said() {
        assert!(matches!(target("localhost"), Err(TargetError::Url(_))));
        assert!(matches!(
            target("ftp://localhost"),
            Err(TargetError::Scheme(_))
        ));
        assert!(matches!(
            target("https://localhost"),
            Err(TargetError::NoTls)
        ));
    }
}
