//! Attempts over HTTP/2: each is a stream, and those that one release lets go share a connection, whose gate holds their last frames as one piece and sends them in one write.
//!
//! # What is held
//!
//! | hold point | goes before | is released, in this order |
//! | --- | --- | --- |
//! | head (default), all | nothing | HEADERS of all streams, then DATA of all streams |
//! | last byte | HEADERS, and DATA but for the last byte | the last byte of each stream with `END_STREAM`; where there is no body, an empty DATA |
//!
//! Half a head cannot be sent while other streams wait (a header block is not interleaved, RFC 9113 section 4.3), so `head` holds all of it: middleware that acts on the head is met as tightly as a handler that acts on the body. The bodies lie behind all heads and side by side, so that between two copies there is no head to be decoded. A body that does not fit into the peer's window is sent ahead but for its last byte, whatever the hold point.
//!
//! # What goes wrong on purpose
//!
//! | fault | over HTTP/2 |
//! | --- | --- |
//! | `drop_response` | the answer is read, and hidden |
//! | `cut_request` in the body, or after the head | HEADERS and a part of the body without `END_STREAM`, then `RST_STREAM(CANCEL)`; by half-close an early `END_STREAM`, which is the half-close of a stream |
//! | `cut_request` in the head, or before the first byte | a part of the HEADERS frame, or nothing; then the connection is ended, since nothing else can follow |
//! | `cut_response` | `RST_STREAM(CANCEL)` at the place in the answer; a head comes in one piece, so its status line is the head |
//! | `cut_response`, whole | the connection is ended: the stream is over |
//! | `reset` by RST | `RST_STREAM(CANCEL)`, at its instant or at the first frame of the answer |
//! | `reset` by FIN, by half-close | the same to the whole connection, as over HTTP/1.1 |
//! | `timeout`, close | `RST_STREAM(CANCEL)`: this is how a client of HTTP/2 gives up |
//! | `timeout`, keep open | the client stops waiting, the reading goes on |
//! | any, in silence | from there on the connection is neither read nor written until the attempt's time is over |
//!
//! A stream that ends by `RST_STREAM` leaves the connection and its other streams alone.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::script::{ending, place};
use super::{Connection, Delivered, GateHandle, NotSent, Sending, Target, is_hidden, later};
use crate::history::{ByteCounts, ConnectFailure, End, Offset, Timing};
use crate::http::h2::{self, Code, Event, Session};
use crate::http::{Broken, Limits};
use crate::plan::{self, AnswerPoint, CutPoint, Fault, HoldPoint, ResetPoint, Then};
use crate::wire::{Action, Armed, Ended, Ending, Fired, FollowUp, FollowUpAction, Gate, Wire};

/// How often a connection that was lost before the release is replaced.
const REPLACEMENTS_MAX: usize = 3;
/// So much longer than planned may an ending be awaited.
const ENDING_GRACE: Duration = Duration::from_secs(1);
/// So often a silent client looks whether there is anybody left to be silent to.
const SILENT_LOOK: Duration = Duration::from_millis(20);
/// How long the last frames may take to leave.
const GOODBYE: Duration = Duration::from_millis(100);
/// So much of bodies waits to be written at one time.
const WAITING_MAX: usize = 64 * 1024;
/// So many reads at most bring an idle connection up to date.
const CATCH_UP_MAX: usize = 100;
const BUFFER: usize = 16 * 1024;

const LOST: &str = "the connection was lost before the release";
const STUCK: &str = "the peer took no bytes before the release";

/// What is done with one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Script {
    /// How much is sent.
    send: Send,
    /// How far the answer is read.
    read: Read,
    /// What happens where reading stops short of the whole answer.
    at_stop: Act,
    /// What happens where the whole answer was read.
    at_end: Option<Ending>,
    /// What happens so long after the last byte, whatever was read.
    follow_up: Option<(Duration, Act)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Send {
    /// All of it, with `END_STREAM`.
    Whole,
    /// Nothing.
    Nothing,
    /// So many per cent of the HEADERS frame, never all.
    Head(u8),
    /// So many bytes of the HEADERS frame and the body together; known to be one of the others once the frame is.
    Bytes(usize),
    /// The head and so many bytes of the body, without `END_STREAM`.
    Part(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    Whole,
    /// To the first frame.
    FirstFrame,
    /// To this place.
    Cut(AnswerPoint),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// `RST_STREAM(CANCEL)`.
    Cancel,
    /// `END_STREAM` before the body is whole.
    EndStream,
    /// The connection is ended.
    End(Ending),
    /// The simulated client stops waiting.
    StopWaiting,
}

/// Translates a fault for one message; `h` is what shares of H stand for.
fn script(fault: Fault, h: Duration, body: usize) -> Script {
    let whole = Script {
        send: Send::Whole,
        read: Read::Whole,
        at_stop: Act::Cancel,
        at_end: None,
        follow_up: None,
    };
    match fault {
        Fault::None | Fault::DropResponse => whole,
        Fault::CutRequest { at, end } => {
            let send = cut_request(body, at);
            Script {
                send,
                follow_up: Some((Duration::ZERO, cut_short(send, end))),
                ..whole
            }
        }
        Fault::CutResponse {
            at: AnswerPoint::Whole,
            end,
        } => Script {
            at_end: Some(ending(end)),
            ..whole
        },
        Fault::CutResponse { at, end } => Script {
            read: Read::Cut(at),
            at_stop: match end {
                plan::Ending::Fin | plan::Ending::Rst => Act::Cancel,
                plan::Ending::HalfClose | plan::Ending::Silence => Act::End(ending(end)),
            },
            ..whole
        },
        Fault::Reset {
            after: ResetPoint::RequestSent(moment),
            end,
        } => Script {
            follow_up: Some((moment.resolve(h), reset(end))),
            ..whole
        },
        Fault::Reset {
            after: ResetPoint::Answered,
            end,
        } => Script {
            read: Read::FirstFrame,
            at_stop: reset(end),
            ..whole
        },
        Fault::Timeout { after, then } => Script {
            follow_up: Some((
                after.resolve(h),
                match then {
                    Then::Close => Act::Cancel,
                    Then::KeepOpen => Act::StopWaiting,
                },
            )),
            ..whole
        },
    }
}

fn reset(end: plan::Ending) -> Act {
    match end {
        plan::Ending::Rst => Act::Cancel,
        plan::Ending::Fin | plan::Ending::HalfClose | plan::Ending::Silence => {
            Act::End(ending(end))
        }
    }
}

/// How a request that was sent so far is given up.
fn cut_short(send: Send, end: plan::Ending) -> Act {
    match (send, end) {
        (Send::Nothing | Send::Head(_), _) | (_, plan::Ending::Silence) => Act::End(ending(end)),
        (_, plan::Ending::HalfClose) => Act::EndStream,
        (_, plan::Ending::Fin | plan::Ending::Rst) => Act::Cancel,
    }
}

/// How much is sent; without `END_STREAM` even the whole body is not the whole request.
fn cut_request(body: usize, at: CutPoint) -> Send {
    let bytes = |bytes: u32| usize::try_from(bytes).unwrap_or(usize::MAX);
    let cut = match at {
        // Without a connection there is nobody to send to; see [`prepare`].
        CutPoint::Connect | CutPoint::FirstByte => return Send::Nothing,
        CutPoint::Head(share) => return Send::Head(share),
        CutPoint::Bytes(count) => return Send::Bytes(bytes(count)),
        CutPoint::Headers => 0,
        CutPoint::Percent(share) => body * usize::from(share) / 100,
        CutPoint::Body(count) => bytes(count),
        CutPoint::BeforeEnd(count) => body.saturating_sub(bytes(count)),
    };
    Send::Part(cut.min(body.saturating_sub(1)))
}

/// Exchanges preface and settings on a new connection.
pub(super) async fn greet(
    wire: &mut Wire,
    limits: Limits,
    patience: Duration,
) -> Result<Session, ConnectFailure> {
    if wire.is_tls() && wire.protocol() != Some(b"h2") {
        return Err(ConnectFailure::Tls(
            "the peer did not choose HTTP/2 (ALPN h2)".to_owned(),
        ));
    }
    let mut session = Session::new(limits);
    let failed = |why: String| Err(ConnectFailure::Network(why));
    match timeout(patience, exchange_settings(wire, &mut session)).await {
        Ok(Ok(())) => {
            wire.gate().forget_bytes();
            Ok(session)
        }
        Ok(Err(Lost::Broken(broken))) => failed(broken.to_string()),
        Ok(Err(Lost::Closed)) => failed("closed in answer to the HTTP/2 preface".to_owned()),
        Ok(Err(Lost::Failed(error))) => failed(format!(
            "lost in answer to the HTTP/2 preface ({})",
            error.kind()
        )),
        Err(_) => failed("no answer to the HTTP/2 preface in time".to_owned()),
    }
}

/// Why a connection is of no more use.
#[derive(Debug)]
enum Lost {
    Broken(Broken),
    Closed,
    Failed(io::Error),
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        // TLS without a goodbye.
        if error.kind() == io::ErrorKind::UnexpectedEof {
            Self::Closed
        } else {
            Self::Failed(error)
        }
    }
}

async fn exchange_settings(wire: &mut Wire, session: &mut Session) -> Result<(), Lost> {
    let mut buffer = vec![0_u8; BUFFER];
    loop {
        write_out(wire, session).await?;
        wire.flush().await?;
        if session.is_settled() {
            return Ok(());
        }
        match wire.read(&mut buffer).await? {
            0 => return Err(Lost::Closed),
            bytes => session.feed(&buffer[..bytes]).map_err(Lost::Broken)?,
        };
    }
}

/// Writes what waits. While the gate is holding it takes everything at once.
async fn write_out(wire: &mut Wire, session: &mut Session) -> io::Result<()> {
    while !session.waiting().is_empty() {
        let written = wire.write(session.waiting()).await?;
        session.wrote(written);
    }
    Ok(())
}

/// Takes in what came while nobody looked; says whether streams can be opened.
async fn is_usable(wire: &mut Wire, session: &mut Session) -> bool {
    let mut buffer = vec![0_u8; BUFFER];
    for _ in 0..CATCH_UP_MAX {
        match wire.read_waiting(&mut buffer).await {
            Ok(None) => {
                let answered = timeout(GOODBYE, write_out(wire, session)).await;
                return matches!(answered, Ok(Ok(()))) && session.is_usable();
            }
            Ok(Some(0)) | Err(_) => return false,
            // What is left of earlier streams is nobody's business any more.
            Ok(Some(bytes)) => {
                if session.feed(&buffer[..bytes]).is_err() {
                    return false;
                }
            }
        }
    }
    false
}

/// Attempts of one release on one connection, complete up to the hold point.
#[derive(Debug)]
pub(super) struct Together {
    target: Arc<Target>,
    wire: Wire,
    session: Session,
    id: u64,
    served: u32,
    lanes: Vec<Lane>,
    held: bool,
    view: watch::Sender<Option<u64>>,
    /// What came before the release.
    early: Vec<Event>,
}

/// One attempt: a stream.
#[derive(Debug)]
struct Lane {
    sending: Sending,
    script: Script,
    /// Its number, once it is open.
    stream: Option<u32>,
    /// Bytes of the body that were laid out.
    sent: usize,
    /// Whether `END_STREAM` was laid out.
    ended: bool,
    answer: h2::Answer,
    /// Bytes of its frames that were laid out; of those, before the hold.
    out: u64,
    out_before: u64,
    /// Bytes of its frames that came.
    came: u64,
    first_in: Option<u64>,
    last_in: Option<u64>,
    first_out: Option<u64>,
    last_out: Option<u64>,
    /// What is to happen to it, where the releasing thread does not see to that.
    due: Option<(u64, Act)>,
    /// When its `RST_STREAM` left.
    cancelled: Option<u64>,
    /// When its early `END_STREAM` left.
    ended_early: Option<u64>,
    /// Bytes of the frames of its heads that came.
    head_came: u64,
    gave_up: Option<u64>,
    stop: Option<(Stop, u64)>,
}

/// Why there was nothing more to do.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stop {
    /// The whole answer came.
    Complete,
    /// We sent `RST_STREAM` at the place or the instant of the script.
    Cancelled,
    /// We ended the connection.
    Ours,
    /// The peer closed the connection.
    Closed,
    /// The connection broke.
    Failed,
    /// What came is no answer.
    Broken(Broken),
    /// The peer reset the stream.
    Reset(Code),
    /// The peer certainly did nothing with the stream.
    Refused,
    /// The time-out was over.
    TimedOut,
}

impl Lane {
    fn new(sending: Sending, limits: Limits) -> Self {
        let message = message(&sending);
        let script = script(sending.fault, sending.h, message.body.len());
        let answer = h2::Answer::new(message.bodiless_answer, limits);
        Self {
            script,
            stream: None,
            sent: 0,
            ended: false,
            answer,
            out: 0,
            out_before: 0,
            came: 0,
            first_in: None,
            last_in: None,
            first_out: None,
            last_out: None,
            due: None,
            cancelled: None,
            ended_early: None,
            head_came: 0,
            gave_up: None,
            stop: None,
            sending,
        }
    }

    fn body_len(&self) -> usize {
        message(&self.sending).body.len()
    }

    /// How much of the body is sent in the end.
    fn goal(&self) -> usize {
        match self.script.send {
            Send::Whole => self.body_len(),
            Send::Part(bytes) => bytes,
            Send::Nothing | Send::Head(_) | Send::Bytes(_) => 0,
        }
    }

    /// Whether everything that is to be sent was laid out.
    fn is_laid_out(&self) -> bool {
        match self.script.send {
            Send::Nothing => true,
            Send::Head(_) | Send::Bytes(_) => self.stream.is_some(),
            Send::Whole => self.ended,
            Send::Part(bytes) => self.stream.is_some() && self.sent == bytes,
        }
    }

    /// Lays out the head, with `END_STREAM` if nothing is to follow it and `end` says so.
    fn open(&mut self, session: &mut Session, end: bool) {
        if self.script.send == Send::Nothing {
            return;
        }
        let message = message(&self.sending);
        let end = end && self.script.send == Send::Whole && message.body.is_empty();
        let (stream, bytes) = session.open(message, end);
        self.stream = Some(stream);
        self.ended = end;
        let kept = match self.script.send {
            Send::Head(share) => (bytes * usize::from(share) / 100).clamp(1, bytes - 1),
            Send::Bytes(count) if count < bytes => count.max(1),
            Send::Bytes(count) => {
                let most = message.body.len().saturating_sub(1);
                self.script.send = Send::Part((count - bytes).min(most));
                bytes
            }
            Send::Whole | Send::Part(_) | Send::Nothing => bytes,
        };
        if kept < bytes {
            session.cut_short(bytes - kept);
            if let (Some((_, act)), Fault::CutRequest { end, .. }) =
                (&mut self.script.follow_up, self.sending.fault)
            {
                *act = Act::End(ending(end));
            }
        }
        self.out += kept as u64;
    }

    /// Lays out the body up to `upto`, as far as the windows allow; `end` puts `END_STREAM` on its end.
    fn pump(&mut self, session: &mut Session, upto: usize, end: bool) {
        let Some(stream) = self.stream else {
            return;
        };
        let whole = self.script.send == Send::Whole;
        let body = &message(&self.sending).body;
        loop {
            let length = (upto.saturating_sub(self.sent))
                .min(session.window(stream))
                .min(WAITING_MAX);
            let last = end && whole && !self.ended && self.sent + length == body.len();
            if length == 0 && !last {
                return;
            }
            let piece = &body[self.sent..self.sent + length];
            self.out += session.data(stream, piece, last) as u64;
            self.sent += length;
            self.ended |= last;
            if self.ended || session.waiting().len() >= WAITING_MAX {
                return;
            }
        }
    }

    fn is_done(&self) -> bool {
        self.stop.is_some()
    }

    fn stop(&mut self, stop: Stop, at: u64) {
        self.stop.get_or_insert((stop, at));
    }
}

/// Whether a fault may leave a frame in pieces, so that nothing can follow on the connection.
fn breaks_off(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::CutRequest {
            at: CutPoint::FirstByte | CutPoint::Head(_) | CutPoint::Bytes(_),
            ..
        }
    )
}

fn message(sending: &Sending) -> &h2::Message {
    sending
        .message
        .stream
        .as_ref()
        .expect("a target that speaks HTTP/2 encodes for it")
}

/// Makes attempts of one release ready: as many on one connection as its peer takes at once, the rest on others. `reuse` is the first of these, if it is still good. They all hold the same, or nothing.
///
/// # Errors
///
/// When there is no connection, or none that lasts until everything is armed. Nothing complete was sent then.
pub(super) async fn prepare(
    target: &Arc<Target>,
    mut sendings: Vec<Sending>,
    mut reuse: Option<Connection>,
) -> Result<Vec<Together>, NotSent> {
    let mut groups = Vec::new();
    let lost = |sending: &Sending| {
        matches!(
            sending.fault,
            Fault::CutRequest {
                at: CutPoint::Connect,
                ..
            }
        )
    };
    if sendings.iter().any(lost) {
        let lost = "lost before there was a connection, as planned";
        return Err(NotSent {
            fault_happened: true,
            ..target.not_sent(End::NotSent(lost.to_owned()))
        });
    }
    while !sendings.is_empty() {
        let group = prepare_first(target, &sendings, reuse.take()).await?;
        sendings.drain(..group.lanes.len());
        groups.push(group);
    }
    Ok(groups)
}

/// Makes the first of these ready: at least one of them.
async fn prepare_first(
    target: &Arc<Target>,
    sendings: &[Sending],
    mut reuse: Option<Connection>,
) -> Result<Together, NotSent> {
    let not_sent = |why: &str| target.not_sent(End::NotSent(why.to_owned()));
    let mut lost = LOST;
    for _ in 0..REPLACEMENTS_MAX {
        let (connection, session) = usable(target, reuse.take()).await?;
        if session.streams_max() == 0 {
            lost = "the peer allows no streams";
            continue;
        }
        let bodies = sendings.iter().map(|sending| message(sending).body.len());
        let broken = sendings
            .iter()
            .position(|sending| breaks_off(sending.fault));
        let count = session
            .room_for(bodies)
            .min(broken.unwrap_or(usize::MAX))
            .max(1);
        let hold = sendings[0].hold;
        let lanes = sendings[..count].iter();
        let mut together = Together {
            lanes: lanes
                .map(|sending| Lane::new(sending.clone(), target.limits))
                .collect(),
            target: Arc::clone(target),
            wire: connection.wire,
            session,
            id: connection.id,
            served: connection.served,
            held: hold.is_some(),
            view: watch::Sender::new(None),
            early: Vec::new(),
        };
        together.begin();
        let Some(point) = hold else {
            return Ok(together);
        };
        match timeout(sendings[0].timeout, together.arm(point)).await {
            Ok(Ok(())) => return Ok(together),
            Ok(Err(why)) => lost = why,
            Err(_) => lost = STUCK,
        }
    }
    Err(not_sent(lost))
}

/// The kept connection if it is still good, else a new one.
async fn usable(
    target: &Target,
    kept: Option<Connection>,
) -> Result<(Connection, Session), NotSent> {
    if let Some(mut kept) = kept
        && let Some(mut session) = kept.session.take()
        && is_usable(&mut kept.wire, &mut session).await
    {
        return Ok((kept, *session));
    }
    let mut connection = target.warm().await?;
    match connection.session.take() {
        Some(session) => Ok((connection, *session)),
        None => Err(target.not_sent(End::NotSent("the target speaks HTTP/1.1".to_owned()))),
    }
}

impl Together {
    /// What releases the attempts, where they are held.
    pub(super) fn gate(&self) -> GateHandle {
        self.wire.gate().clone()
    }

    /// How many attempts.
    pub(super) fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Tells when the simulated client is through with an attempt that is alone on its connection.
    pub(super) fn view(&self) -> watch::Receiver<Option<u64>> {
        self.view.subscribe()
    }

    fn begin(&self) {
        let gate = self.wire.gate();
        gate.begin(self.view.clone());
        gate.set_follow_up(self.precise_follow_up());
    }

    /// What the releasing thread can see to by itself, where the attempt is alone on its connection.
    fn precise_follow_up(&self) -> Option<FollowUp> {
        let [lane] = self.lanes.as_slice() else {
            return None;
        };
        let (after, act) = lane.script.follow_up?;
        let action = match act {
            Act::Cancel | Act::EndStream => return None,
            Act::End(ending) => FollowUpAction::End(ending),
            Act::StopWaiting => FollowUpAction::StopWaiting,
        };
        Some(FollowUp { after, action })
    }

    async fn arm(&mut self, point: HoldPoint) -> Result<(), &'static str> {
        let bodies = self.lanes.iter().map(Lane::goal);
        let fits = self.session.room_for(bodies) == self.lanes.len();
        let late = match point {
            HoldPoint::Head | HoldPoint::All => !fits,
            HoldPoint::LastByte => true,
        };
        if late {
            self.send_ahead().await?;
        }
        for lane in &mut self.lanes {
            lane.out_before = lane.out;
        }
        self.wire.gate().hold();
        for lane in &mut self.lanes {
            if lane.stream.is_none() {
                lane.open(&mut self.session, true);
            }
        }
        for lane in &mut self.lanes {
            let goal = lane.goal();
            while !lane.is_laid_out() {
                let before = lane.out;
                lane.pump(&mut self.session, goal, true);
                if lane.out == before {
                    return Err(STUCK);
                }
                // What fits goes into one piece, which over TLS is one record.
                if self.session.waiting().len() >= WAITING_MAX {
                    write_out(&mut self.wire, &mut self.session)
                        .await
                        .map_err(|_| LOST)?;
                }
            }
        }
        write_out(&mut self.wire, &mut self.session)
            .await
            .map_err(|_| LOST)?;
        // What breaks off inside its head is known by now.
        self.wire.gate().set_follow_up(self.precise_follow_up());
        let tail: u64 = self
            .lanes
            .iter()
            .map(|lane| lane.out - lane.out_before)
            .sum();
        let gate = self.wire.gate();
        // Over TLS it is more, and never less.
        if (gate.held() as u64) < tail {
            return Err("not everything could be held back");
        }
        match gate.armed().await {
            Armed::Acknowledged | Armed::Sent if gate.is_lost() => Err(LOST),
            Armed::Acknowledged | Armed::Sent => Ok(()),
            Armed::Stuck => Err(STUCK),
            Armed::Gone => Err(LOST),
        }
    }

    /// Sends everything but the last byte of each stream.
    async fn send_ahead(&mut self) -> Result<(), &'static str> {
        let mut buffer = vec![0_u8; BUFFER];
        for lane in &mut self.lanes {
            // Of a request that is cut before its body, what there is is held.
            if matches!(lane.script.send, Send::Whole | Send::Part(1..)) {
                lane.open(&mut self.session, false);
            }
        }
        loop {
            let mut missing = false;
            for lane in &mut self.lanes {
                let upto = lane.goal().saturating_sub(1);
                lane.pump(&mut self.session, upto, false);
                missing |= lane.sent < upto;
            }
            write_out(&mut self.wire, &mut self.session)
                .await
                .map_err(|_| LOST)?;
            self.wire.flush().await.map_err(|_| LOST)?;
            if !missing {
                // The byte that is left needs a window too.
                let short = |lane: &Lane| {
                    lane.stream
                        .is_some_and(|stream| lane.goal() > 0 && self.session.window(stream) == 0)
                };
                if !self.lanes.iter().any(short) {
                    return Ok(());
                }
            }
            match self.wire.read(&mut buffer).await {
                Ok(0) | Err(_) => return Err(LOST),
                Ok(bytes) => {
                    let events = self.session.feed(&buffer[..bytes]).map_err(|_| LOST)?;
                    self.early.extend(events);
                }
            }
            if self.early.len() > CATCH_UP_MAX {
                return Err("the peer answered before the release");
            }
        }
    }

    /// Sends the attempts, if they are not held, and sees them through to their ends; in their order. The connection is with the first of them, where it can carry others.
    pub(super) async fn deliver(mut self) -> Vec<Delivered> {
        if !self.held && !is_usable(&mut self.wire, &mut self.session).await {
            // It died while it waited for its turn: nothing was sent, so another one does as well.
            match usable(&self.target, None).await {
                Ok((connection, session)) => {
                    self.wire = connection.wire;
                    (self.session, self.id, self.served) = (session, connection.id, 0);
                    self.begin();
                }
                Err(not_sent) => return self.undelivered(&not_sent),
            }
        }
        let mut course = Course::new(self);
        course.run().await;
        course.finish().await
    }

    fn undelivered(self, not_sent: &NotSent) -> Vec<Delivered> {
        let at = not_sent.at;
        self.view.send_replace(Some(at.0));
        let delivered = |_: &Lane| Delivered {
            connection_id: self.id,
            reused: self.served > 0,
            marks: self.wire.gate().marks(),
            ..Delivered::from(not_sent.clone())
        };
        self.lanes.iter().map(delivered).collect()
    }
}

/// What happened first.
enum Step {
    Wrote(io::Result<usize>),
    Flushed(io::Result<()>),
    Read(io::Result<usize>),
}

/// Attempts on their way.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own about the connection"
)]
struct Course {
    it: Together,
    started: u64,
    /// Whether what was written may not have left yet; while the gate holds, it has not.
    unflushed: bool,
    /// Whether writing failed. What the peer said before may still be read.
    deaf: bool,
    /// Whether anything at all was written.
    wrote: bool,
    /// The release, once it was made.
    fired: Option<Fired>,
    /// The stream whose `RST_STREAM` lies in the gate until its instant.
    cancelling: Option<Cancelling>,
    /// Whether the connection is of no more use.
    lost: bool,
    leaving: bool,
}

#[derive(Debug, Clone, Copy)]
struct Cancelling {
    lane: usize,
    by: u64,
}

impl Course {
    fn new(it: Together) -> Self {
        Self {
            started: it.wire.gate().epoch().now_ns(),
            // What sends nothing has left at once.
            unflushed: it.held || it.lanes.iter().all(Lane::is_laid_out),
            deaf: false,
            wrote: it.held,
            fired: None,
            cancelling: None,
            lost: false,
            leaving: false,
            it,
        }
    }

    fn now(&self) -> u64 {
        self.it.wire.gate().epoch().now_ns()
    }

    fn gate(&self) -> &Gate {
        self.it.wire.gate()
    }

    fn is_alone(&self) -> bool {
        self.it.lanes.len() == 1
    }

    async fn run(&mut self) {
        if !self.it.held {
            for lane in &mut self.it.lanes {
                lane.open(&mut self.it.session, true);
            }
            let follow_up = self.it.precise_follow_up();
            self.gate().set_follow_up(follow_up);
        }
        let early = std::mem::take(&mut self.it.early);
        self.take(early);
        let mut buffer = vec![0_u8; BUFFER];
        let mut alarm = pin!(sleep_until(self.instant(self.started)));
        loop {
            self.pump();
            let over = self.it.lanes.iter().all(Lane::is_done) && self.cancelling.is_none();
            if over || self.lost {
                return;
            }
            // Before the release nothing can be due earlier than this.
            let next = self.next_due();
            let next = next.unwrap_or_else(|| later(self.now(), Duration::from_secs(1)));
            alarm.as_mut().reset(self.instant(next));
            let step = tokio::select! {
                step = self.advance(&mut buffer) => step,
                () = &mut alarm => {
                    self.ring().await;
                    continue;
                }
            };
            match step {
                Step::Wrote(Ok(bytes)) => {
                    self.it.session.wrote(bytes);
                    self.wrote = true;
                    self.unflushed = true;
                }
                Step::Flushed(Ok(())) => {
                    self.unflushed = false;
                    self.left().await;
                }
                Step::Wrote(Err(_)) | Step::Flushed(Err(_)) => self.deaf = true,
                Step::Read(Ok(0)) => self.lose(&Lost::Closed),
                Step::Read(Ok(bytes)) => match self.it.session.feed(&buffer[..bytes]) {
                    Ok(events) => self.take(events),
                    Err(broken) => self.lose(&Lost::Broken(broken)),
                },
                Step::Read(Err(error)) => self.lose(&error.into()),
            }
        }
    }

    /// Lays out more of the bodies, where the windows did not allow all of it.
    fn pump(&mut self) {
        if self.it.held || self.deaf {
            return;
        }
        for lane in &mut self.it.lanes {
            if self.it.session.waiting().len() >= WAITING_MAX {
                return;
            }
            if !lane.is_done() && !lane.is_laid_out() {
                let goal = lane.goal();
                lane.pump(&mut self.it.session, goal, true);
            }
        }
    }

    async fn advance(&mut self, buffer: &mut [u8]) -> Step {
        let (deaf, unflushed) = (self.deaf, self.unflushed);
        let Together { wire, session, .. } = &mut self.it;
        poll_fn(|cx| poll_step(wire, session.waiting(), deaf, unflushed, buffer, cx)).await
    }

    fn instant(&self, ns: u64) -> Instant {
        Instant::from_std(self.gate().epoch().instant(ns))
    }

    /// When the next thing is due that only this loop sees to.
    fn next_due(&self) -> Option<u64> {
        let lanes = self.it.lanes.iter().filter(|lane| !lane.is_done());
        let own = lanes.flat_map(|lane| [self.deadline(lane), lane.due.map(|(at, _)| at)]);
        let cancelling = self.cancelling.map(|cancelling| cancelling.by);
        own.flatten().chain(cancelling).min()
    }

    /// When the time-out of an attempt is over; `None` while the release is awaited.
    fn deadline(&self, lane: &Lane) -> Option<u64> {
        let from = match (lane.last_out, self.it.held) {
            (Some(last_out), _) => last_out,
            (None, false) => self.started,
            (None, true) => self.gate().fired()?.began,
        };
        Some(later(from, lane.sending.timeout))
    }

    /// Does what is due.
    async fn ring(&mut self) {
        let now = self.now();
        if self
            .cancelling
            .is_some_and(|cancelling| cancelling.by <= now)
        {
            self.cancelling = None;
        }
        for index in 0..self.it.lanes.len() {
            let lane = &self.it.lanes[index];
            if lane.is_done() {
                continue;
            }
            if let Some((at, act)) = lane.due
                && at <= now
            {
                self.it.lanes[index].due = None;
                self.act(index, act);
                continue;
            }
            if self.deadline(lane).is_some_and(|at| at <= now) {
                self.it.lanes[index].stop(Stop::TimedOut, now);
                self.reset(index, Code::CANCEL);
            }
        }
        tokio::task::yield_now().await;
    }

    /// Everything that was written has left.
    async fn left(&mut self) {
        if let Some(Cancelling { lane, .. }) = self.cancelling {
            if self.gate().is_holding() {
                return;
            }
            self.cancelling = None;
            let at = self
                .gate()
                .fired()
                .map_or_else(|| self.now(), |fired| fired.began);
            self.cancelled(lane, at);
        }
        if self.it.held && self.fired.is_none() {
            let Some(fired) = self.gate().fired() else {
                return;
            };
            self.fired = Some(fired);
        }
        let marks = self.gate().marks();
        let alone = self.is_alone();
        for index in 0..self.it.lanes.len() {
            let lane = &mut self.it.lanes[index];
            if lane.last_out.is_some() || !lane.is_laid_out() {
                continue;
            }
            lane.first_out = marks.first_out;
            let last_out = marks.last_out.unwrap_or(self.started);
            lane.last_out = Some(last_out);
            let Some((after, act)) = lane.script.follow_up else {
                continue;
            };
            let at = later(last_out, after);
            match act {
                // Laid into the gate, it leaves at its instant by the hand of the thread.
                Act::Cancel if alone && !after.is_zero() && !lane.is_done() => {
                    self.cancel_at(index, at).await;
                }
                Act::Cancel | Act::EndStream if after.is_zero() => self.act(index, act),
                Act::End(_) | Act::StopWaiting if alone => {
                    if !self.it.held {
                        let releaser = &self.it.target.equipment.releaser;
                        releaser.follow(self.it.wire.gate(), last_out);
                    }
                }
                Act::Cancel | Act::EndStream | Act::End(_) | Act::StopWaiting => {
                    self.it.lanes[index].due = Some((at, act));
                }
            }
        }
    }

    /// Has the stream cancelled at `at` by the releasing thread.
    async fn cancel_at(&mut self, index: usize, at: u64) {
        let lane = &mut self.it.lanes[index];
        let Some(stream) = lane.stream else {
            return;
        };
        lane.out += self.it.session.reset(stream, Code::CANCEL) as u64;
        self.it.wire.gate().hold();
        if write_out(&mut self.it.wire, &mut self.it.session)
            .await
            .is_err()
        {
            self.deaf = true;
            return;
        }
        self.unflushed = true;
        self.cancelling = Some(Cancelling {
            lane: index,
            by: later(at, ENDING_GRACE),
        });
        let releaser = &self.it.target.equipment.releaser;
        releaser.at(at, self.it.wire.gate(), Action::Fire);
    }

    fn act(&mut self, index: usize, act: Act) {
        match act {
            Act::Cancel => {
                self.reset(index, Code::CANCEL);
                let now = self.now();
                self.cancelled(index, now);
            }
            Act::EndStream => {
                let now = self.now();
                let lane = &mut self.it.lanes[index];
                if let Some(stream) = lane.stream {
                    lane.out += self.it.session.data(stream, b"", true) as u64;
                    lane.ended = true;
                    lane.ended_early = Some(now);
                }
            }
            Act::End(ending) => {
                self.gate().end(ending);
            }
            Act::StopWaiting => self.it.lanes[index].gave_up = Some(self.now()),
        }
    }

    /// Lays out `RST_STREAM`.
    fn reset(&mut self, index: usize, code: Code) {
        let lane = &mut self.it.lanes[index];
        if let Some(stream) = lane.stream {
            lane.out += self.it.session.reset(stream, code) as u64;
        }
    }

    /// The stream was cancelled on purpose.
    fn cancelled(&mut self, index: usize, at: u64) {
        let alone = self.is_alone();
        let lane = &mut self.it.lanes[index];
        lane.cancelled = Some(at);
        lane.gave_up = lane.gave_up.or(Some(at));
        lane.stop(Stop::Cancelled, at);
        if alone {
            self.gate().stop_waiting();
        }
    }

    fn take(&mut self, events: Vec<Event>) {
        // The gate sees TLS's own records too; the instant of the read that gave these frames is theirs.
        let at = self.gate().marks().last_in.unwrap_or(self.started);
        for event in events {
            self.take_one(event, at);
        }
    }

    fn take_one(&mut self, event: Event, at: u64) {
        let stream = match &event {
            Event::Fields { stream, .. }
            | Event::Data { stream, .. }
            | Event::Reset { stream, .. } => *stream,
            Event::GoAway { last, .. } => {
                self.leaving = true;
                for lane in &mut self.it.lanes {
                    // One that is not open yet cannot be opened any more.
                    if lane.stream.is_none_or(|stream| stream > *last) {
                        lane.stop(Stop::Refused, at);
                    }
                }
                return;
            }
        };
        let Some(index) = self.lane_of(stream) else {
            return;
        };
        let lane = &mut self.it.lanes[index];
        if lane.is_done() {
            return;
        }
        if !matches!(event, Event::Reset { .. }) {
            lane.first_in = lane.first_in.or(Some(at));
            lane.last_in = Some(at);
        }
        let taken = match event {
            Event::Fields {
                fields,
                end,
                frames,
                ..
            } => {
                lane.came += frames;
                lane.head_came += frames;
                lane.answer.fields(fields, end)
            }
            Event::Data {
                bytes, end, frames, ..
            } => match lane.room() {
                Some(room) if room < bytes.len() => {
                    lane.came += frames - (bytes.len() - room) as u64;
                    lane.answer.data(&bytes[..room], false)
                }
                _ => {
                    lane.came += frames;
                    lane.answer.data(&bytes, end)
                }
            },
            Event::Reset { code, .. } => {
                lane.stop(
                    match code {
                        Code::REFUSED_STREAM => Stop::Refused,
                        code => Stop::Reset(code),
                    },
                    at,
                );
                return;
            }
            Event::GoAway { .. } => return,
        };
        match taken {
            Ok(_) if lane.is_at_stop() => {
                let at_stop = lane.script.at_stop;
                lane.script.read = Read::Whole;
                self.act(index, at_stop);
                // Of what came with it nothing more is read, unless only our side is closed.
                if matches!(at_stop, Act::End(ending) if ending != Ending::HalfClose) {
                    let now = self.now();
                    self.it.lanes[index].stop(Stop::Ours, now);
                }
            }
            Ok(true) => {
                lane.stop(Stop::Complete, at);
                if let Some(ending) = lane.script.at_end {
                    self.act(index, Act::End(ending));
                }
            }
            Ok(false) => {}
            Err(broken) => {
                lane.stop(Stop::Broken(broken), at);
                self.reset(index, Code::PROTOCOL_ERROR);
            }
        }
    }

    fn lane_of(&self, stream: u32) -> Option<usize> {
        let of = |lane: &Lane| lane.stream == Some(stream);
        self.it.lanes.iter().position(of)
    }

    /// The connection is of no more use.
    fn lose(&mut self, why: &Lost) {
        self.lost = true;
        let (now, ours) = (self.now(), self.gate().first_ended());
        let stop = match why {
            Lost::Broken(broken) => {
                self.gate().end(Ending::Fin);
                Stop::Broken(*broken)
            }
            Lost::Failed(error)
                if error.kind() == io::ErrorKind::NotConnected && ours.is_some() =>
            {
                Stop::Ours
            }
            Lost::Failed(error) if error.kind() == io::ErrorKind::InvalidData => {
                Stop::Broken(Broken::Http2("TLS is broken"))
            }
            Lost::Failed(_) => Stop::Failed,
            Lost::Closed => Stop::Closed,
        };
        let at = match (&stop, ours) {
            (Stop::Ours, Some(ours)) => ours.at,
            _ => now,
        };
        for lane in &mut self.it.lanes {
            lane.stop(stop.clone(), at);
        }
    }

    /// Where the client fell silent: leaves the connection as it is until the attempt's time is over, or the peer is gone for good, and closes it then.
    async fn stay_silent(&self) {
        let gate = self.gate();
        let silent = gate.ended().filter(|ended| ended.ending == Ending::Silence);
        let Some(silent) = silent else {
            return;
        };
        let due = self.it.lanes.iter().filter_map(|lane| self.deadline(lane));
        let due = due.max().unwrap_or(silent.at);
        while !gate.is_lost() {
            let left = Duration::from_nanos(due.saturating_sub(self.now()));
            if left.is_zero() {
                break;
            }
            tokio::time::sleep(left.min(SILENT_LOOK)).await;
        }
        gate.end(Ending::Fin);
    }

    async fn finish(mut self) -> Vec<Delivered> {
        self.await_planned_ending().await;
        self.stay_silent().await;
        let unreleased = self.it.held && self.fired.is_none() && self.gate().close_unless_fired();
        if self.fired.is_none() {
            self.fired = self.gate().fired();
        }
        let ended = self.gate().ended().is_some();
        let clean = !self.lost && !self.deaf && !unreleased && !ended;
        let flushed = clean && !self.gate().is_holding() && {
            let Together { wire, session, .. } = &mut self.it;
            let last = async {
                write_out(wire, session).await?;
                wire.flush().await
            };
            matches!(timeout(GOODBYE, last).await, Ok(Ok(())))
        };
        let patient = |lane: &Lane| match lane.stop.as_ref().map(|(stop, _)| stop) {
            Some(Stop::Complete | Stop::Cancelled | Stop::Reset(_) | Stop::Refused) => true,
            Some(Stop::Ours | Stop::Closed | Stop::Failed | Stop::Broken(_) | Stop::TimedOut)
            | None => false,
        };
        let reusable = flushed
            && !self.leaving
            && self.fired.is_none_or(Fired::is_whole)
            && self.it.session.is_usable()
            && self.it.lanes.iter().all(patient);
        let alone = self.is_alone();
        let seen = *self.it.view.borrow();
        self.gate().stop_waiting();
        let marks = self.gate().marks();
        let facts = Facts {
            connection_id: self.it.id,
            reused: self.it.served > 0,
            unreleased,
            wrote: self.wrote,
            held: self.it.held,
            started: self.started,
            fired: self.fired,
            ours: self.gate().first_ended(),
            now: self.now(),
            marks,
        };
        let Together {
            wire,
            session,
            id,
            served,
            lanes,
            ..
        } = self.it;
        let count = u32::try_from(lanes.len()).unwrap_or(u32::MAX);
        let mut delivered: Vec<Delivered> = lanes
            .into_iter()
            .map(|lane| {
                let gave_up = if alone { seen } else { lane.gave_up };
                lane.deliver(&facts, gave_up)
            })
            .collect();
        if reusable {
            if let Some(first) = delivered.first_mut() {
                first.connection = Some(Connection {
                    wire,
                    id,
                    served: served.saturating_add(count),
                    session: Some(Box::new(session)),
                    buffer: Vec::new(),
                });
            }
        } else if flushed {
            wire.close().await;
        } else {
            wire.gate().end(Ending::Fin);
        }
        delivered
    }

    /// An answer may come before the instant at which the script ends the connection; the ending is made all the same.
    async fn await_planned_ending(&mut self) {
        let [lane] = self.it.lanes.as_slice() else {
            return;
        };
        let (Some((after, Act::End(_))), Some((Stop::Complete, _)), Some(_)) =
            (lane.script.follow_up, &lane.stop, lane.last_out)
        else {
            return;
        };
        let mut view = self.it.view.subscribe();
        let _ = timeout(after + ENDING_GRACE, view.wait_for(Option::is_some)).await;
    }
}

/// What the attempts of one connection have in common in the end.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own about the connection"
)]
struct Facts {
    connection_id: u64,
    reused: bool,
    unreleased: bool,
    wrote: bool,
    held: bool,
    started: u64,
    fired: Option<Fired>,
    ours: Option<Ended>,
    now: u64,
    marks: crate::wire::Marks,
}

impl Lane {
    /// How many bytes of the body may be read before the cut; `None` without one.
    fn room(&self) -> Option<usize> {
        let Read::Cut(at) = self.script.read else {
            return None;
        };
        let body = self.answer.body_bytes();
        let left = match (at, self.answer.announced_length()) {
            (AnswerPoint::Bytes(bytes), _) => {
                u64::from(bytes).saturating_sub(self.head_came + body)
            }
            (_, Some(length)) => place(at, length).saturating_sub(body),
            // Only the end would tell the length: the place is the first byte.
            (AnswerPoint::StatusLine | AnswerPoint::Headers, None) => 0,
            (AnswerPoint::Percent(_) | AnswerPoint::BeforeEnd(_) | AnswerPoint::Whole, None) => {
                1_u64.saturating_sub(body)
            }
        };
        Some(usize::try_from(left).unwrap_or(usize::MAX))
    }

    /// Whether the answer was read as far as it is to be, and not to its end.
    fn is_at_stop(&self) -> bool {
        match self.script.read {
            Read::Whole => false,
            Read::FirstFrame => true,
            Read::Cut(_) => {
                self.answer.head().is_some() && !self.answer.is_complete() && self.room() == Some(0)
            }
        }
    }

    fn deliver(self, facts: &Facts, gave_up: Option<u64>) -> Delivered {
        let (stop, at) = self.stop.clone().unwrap_or((Stop::Failed, facts.now));
        let out = if facts.unreleased || (facts.held && facts.fired.is_none()) {
            self.out_before
        } else if facts.wrote {
            self.out
        } else {
            0
        };
        let bytes = ByteCounts {
            out,
            incoming: self.came,
        };
        let end = if facts.unreleased {
            End::NotSent(match (&stop, self.answer.head()) {
                (Stop::Complete, Some(head)) => {
                    format!("the peer answered {} before the release", head.status)
                }
                (Stop::Refused, _) => "the peer refused the stream before the release".to_owned(),
                _ => LOST.to_owned(),
            })
        } else {
            end(&stop, facts.ours, bytes)
        };
        let ended = match stop {
            Stop::Complete => self.last_in.unwrap_or(at),
            _ => at,
        };
        // The gate is told right after the frame has left; the client gave up with it.
        let gave_up = match (gave_up, self.cancelled) {
            (Some(seen), Some(cancelled)) => Some(seen.min(cancelled)),
            (seen, cancelled) => seen.or(cancelled),
        };
        let fault_happened =
            !facts.unreleased && self.fault_happened(&stop, facts.ours, gave_up, ended);
        let hidden = is_hidden(&end, self.sending.fault, gave_up, ended);
        let timing = Timing {
            intended: Offset(facts.fired.map_or(facts.started, |fired| fired.began)),
            first_out: self.first_out.map(Offset),
            last_out: self.last_out.map(Offset),
            first_in: self.first_in.map(Offset),
            last_in: self.last_in.map(Offset),
            ended: Offset(ended),
            gave_up: gave_up.filter(|at| *at < ended).map(Offset),
        };
        Delivered {
            connection_id: facts.connection_id,
            reused: facts.reused,
            timing,
            bytes,
            end,
            hidden,
            fault_happened,
            interim: self.answer.interim().collect(),
            answer: self.answer.into_response().map(super::answer),
            unasked_bytes: false,
            marks: facts.marks,
            connection: None,
        }
    }

    fn fault_happened(
        &self,
        stop: &Stop,
        ours: Option<Ended>,
        gave_up: Option<u64>,
        ended: u64,
    ) -> bool {
        let followed = || {
            let (_, act) = self.script.follow_up?;
            self.made(act, ours, stop)
        };
        match self.sending.fault {
            Fault::None => true,
            Fault::DropResponse => *stop == Stop::Complete,
            // An answer that came before the end of the stream was not to the part alone.
            Fault::CutRequest { .. } => {
                self.is_laid_out()
                    && followed().is_some_and(|at| self.last_in.is_none_or(|last_in| last_in >= at))
            }
            Fault::CutResponse {
                at: AnswerPoint::Whole,
                ..
            } => {
                let made = |ending| self.made(Act::End(ending), ours, stop).is_some();
                *stop == Stop::Complete && self.script.at_end.is_some_and(made)
            }
            Fault::CutResponse { .. } => {
                *stop != Stop::Complete && self.made(self.script.at_stop, ours, stop).is_some()
            }
            Fault::Reset {
                after: ResetPoint::Answered,
                ..
            } => self.came > 0 && self.made(self.script.at_stop, ours, stop).is_some(),
            Fault::Reset {
                after: ResetPoint::RequestSent(moment),
                ..
            } => followed().is_some_and(|made| {
                let answered = self.first_in.is_some_and(|first_in| first_in < made);
                // Before H it has to find no answer yet; later one may be there.
                !answered || moment.resolve(self.sending.h) >= self.sending.h
            }),
            Fault::Timeout { .. } => gave_up.is_some_and(|at| at <= ended),
        }
    }

    /// When something planned was done, if it was.
    fn made(&self, planned: Act, ours: Option<Ended>, stop: &Stop) -> Option<u64> {
        match planned {
            Act::Cancel => self.cancelled,
            Act::EndStream => self.ended_early,
            Act::End(ending) => {
                // What closes when the time is over is another ending, but after a half-close or in silence it comes later.
                let in_time = match ending {
                    Ending::Fin | Ending::Rst => {
                        matches!(stop, Stop::Ours | Stop::Complete)
                    }
                    Ending::HalfClose | Ending::Silence => true,
                };
                let first = ours.filter(|ours| ours.ending == ending && in_time)?;
                Some(first.at)
            }
            Act::StopWaiting => None,
        }
    }
}

fn end(stop: &Stop, ours: Option<Ended>, bytes: ByteCounts) -> End {
    match stop {
        Stop::Complete => End::Complete,
        Stop::Cancelled => End::WeReset,
        Stop::Ours => match ours.map(|ended| ended.ending) {
            Some(Ending::Rst) => End::WeReset,
            Some(Ending::Fin | Ending::HalfClose | Ending::Silence) | None => End::WeClosed,
        },
        Stop::TimedOut => End::TimedOut,
        Stop::Broken(broken) => End::BrokenAnswer(broken.to_string()),
        Stop::Refused => End::RefusedByPeer,
        Stop::Reset(code) => End::StreamReset(code.to_string()),
        Stop::Closed | Stop::Failed if bytes.out == 0 => {
            End::NotSent("the connection was lost before anything was sent".to_owned())
        }
        Stop::Closed => End::PeerClosed,
        Stop::Failed => End::PeerReset,
    }
}

fn poll_step(
    wire: &mut Wire,
    waiting: &[u8],
    deaf: bool,
    unflushed: bool,
    buffer: &mut [u8],
    cx: &mut Context<'_>,
) -> Poll<Step> {
    if !deaf {
        if !waiting.is_empty() {
            if let Poll::Ready(wrote) = Pin::new(&mut *wire).poll_write(cx, waiting) {
                return Poll::Ready(Step::Wrote(wrote));
            }
        } else if unflushed && let Poll::Ready(flushed) = Pin::new(&mut *wire).poll_flush(cx) {
            return Poll::Ready(Step::Flushed(flushed));
        }
    }
    let mut buffer = ReadBuf::new(buffer);
    Pin::new(wire)
        .poll_read(cx, &mut buffer)
        .map(|read| Step::Read(read.map(|()| buffer.filled().len())))
}
