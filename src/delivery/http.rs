//! An attempt over HTTP/1.1: arm, release, read what comes, end as the script says.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::script::{ReadUntil, Script, script};
use super::{
    Connection, Delivered, GateHandle, NotSent, Sending, Target, answer, is_hidden, later,
};
use crate::history::{ByteCounts, End, Offset, Timing};
use crate::http::{Broken, Progress, Reader};
use crate::plan::{AnswerPoint, CutPoint, Fault, ResetPoint};
use crate::wire::{Armed, Ended, Ending, Fired, FollowUpAction, Wire};

/// How often a connection that was lost before the release is replaced.
const REPLACEMENTS_MAX: usize = 3;

/// So often a silent client looks whether there is anybody left to be silent to.
const SILENT_LOOK: Duration = Duration::from_millis(20);

/// So much longer than planned may an ending be awaited.
const ENDING_GRACE: Duration = Duration::from_secs(1);

/// So much is read at one time.
const BUFFER: usize = 16 * 1024;

/// An attempt on a connection of its own, complete up to the hold point.
#[derive(Debug)]
pub(super) struct Prepared {
    target: Arc<Target>,
    connection: Connection,
    sending: Sending,
    script: Script,
    /// How many bytes went before the hold, where there is one.
    prefix: Option<usize>,
    view: watch::Sender<Option<u64>>,
}

/// Makes an attempt ready: a connection (`reuse`, if that is still good), and on it the message up to its hold point, arrived as far as that can be known.
///
/// Without a hold point nothing is written yet.
///
/// # Errors
///
/// When there is no connection, or none that lasts until everything is armed. Nothing complete was sent then. An attempt that is to be lost before there is a connection ends here too, as planned.
pub(super) async fn prepare(
    target: &Arc<Target>,
    sending: Sending,
    mut reuse: Option<Connection>,
) -> Result<Prepared, NotSent> {
    if let Fault::CutRequest {
        at: CutPoint::Connect,
        ..
    } = sending.fault
    {
        let lost = "lost before there was a connection, as planned";
        return Err(NotSent {
            fault_happened: true,
            ..target.not_sent(End::NotSent(lost.to_owned()))
        });
    }
    let script = script(sending.fault, sending.h, &sending.message);
    let view = watch::Sender::new(None);
    let mut lost = "the connection was lost before the release";
    for _ in 0..REPLACEMENTS_MAX {
        let mut connection = usable(target, reuse.take()).await?;
        begin(&connection, &script, &view);
        let prefix = match sending.hold {
            None => None,
            Some(point) => {
                let prefix = script.hold_at(point, &sending.message);
                let message = &sending.message.bytes[..script.send];
                let arming = arm(&mut connection.wire, message, prefix);
                match timeout(sending.timeout, arming).await {
                    Ok(Ok(())) => Some(prefix),
                    Ok(Err(why)) => {
                        lost = why;
                        continue;
                    }
                    Err(_) => {
                        lost = "the peer took no bytes before the release";
                        continue;
                    }
                }
            }
        };
        return Ok(Prepared {
            target: Arc::clone(target),
            connection,
            sending,
            script,
            prefix,
            view,
        });
    }
    Err(target.not_sent(End::NotSent(lost.to_owned())))
}

/// The kept connection if it is still good, else a new one.
async fn usable(target: &Target, kept: Option<Connection>) -> Result<Connection, NotSent> {
    if let Some(mut kept) = kept
        && kept.wire.is_idle().await
    {
        return Ok(kept);
    }
    target.warm().await
}

fn begin(connection: &Connection, script: &Script, view: &watch::Sender<Option<u64>>) {
    let gate = connection.wire.gate();
    gate.begin(view.clone());
    gate.set_follow_up(script.follow_up);
}

async fn arm(wire: &mut Wire, message: &[u8], prefix: usize) -> Result<(), &'static str> {
    let gone = "the connection was lost before the release";
    if prefix > 0 {
        wire.put(&message[..prefix]).await.map_err(|_| gone)?;
    }
    wire.gate().hold();
    wire.put(&message[prefix..]).await.map_err(|_| gone)?;
    match wire.gate().armed().await {
        Armed::Acknowledged | Armed::Sent if wire.gate().is_lost() => Err(gone),
        Armed::Acknowledged | Armed::Sent => Ok(()),
        Armed::Stuck => Err("the peer took no bytes before the release"),
        Armed::Gone => Err(gone),
    }
}

impl Prepared {
    /// What releases the attempt, where it is held: hand it to a [`crate::wire::Releaser`]. [`Prepared::deliver`] must be running or be started then.
    pub(super) fn gate(&self) -> GateHandle {
        self.connection.wire.gate().clone()
    }

    /// Tells when the simulated client is through with the attempt (answered, cut, given up): nanoseconds since the epoch, set once. That may be long before the attempt is over on the wire.
    pub(super) fn view(&self) -> watch::Receiver<Option<u64>> {
        self.view.subscribe()
    }

    /// Sends the attempt, if it is not held, and sees it through to its end.
    ///
    /// Held, it waits for its release as long as it takes; its time-out counts from the last byte out. Whatever the peer does, it ends then, in bounded memory.
    pub(super) async fn deliver(mut self) -> Delivered {
        if self.prefix.is_none() && !self.connection.wire.is_idle().await {
            // It died while it waited for its turn: nothing was sent, so another one does as well.
            match self.target.warm().await {
                Ok(fresh) => {
                    begin(&fresh, &self.script, &self.view);
                    self.connection = fresh;
                }
                Err(not_sent) => return self.undelivered(not_sent),
            }
        }
        let Self {
            target,
            connection,
            sending,
            script,
            prefix,
            view,
        } = self;
        let mut course = Course::new(&target, connection, sending, script, prefix);
        let stop = course.run().await;
        course.finish(stop, &view).await
    }

    fn undelivered(self, not_sent: NotSent) -> Delivered {
        self.view.send_replace(Some(not_sent.at.0));
        Delivered {
            connection_id: self.connection.id,
            reused: self.connection.served > 0,
            marks: self.connection.wire.gate().marks(),
            ..Delivered::from(not_sent)
        }
    }
}

/// Why there was nothing more to do.
#[derive(Debug)]
enum Stop {
    /// The whole answer came.
    Complete,
    /// We ended it, at the place or the instant of the script.
    Ours,
    /// The peer closed.
    Closed,
    /// The connection broke.
    Failed(io::Error),
    /// What came is no answer.
    Broken(Broken),
    /// The time-out was over.
    TimedOut,
}

/// What happened first.
enum Step {
    Wrote(io::Result<usize>),
    Flushed(io::Result<()>),
    Read(io::Result<usize>),
}

/// An attempt on its way.
struct Course<'a> {
    target: &'a Target,
    connection: Connection,
    sending: Sending,
    script: Script,
    prefix: Option<usize>,
    reader: Reader,
    started: u64,
    /// Bytes that the stream has accepted.
    written: usize,
    outgoing: Outgoing,
    /// Bytes read, above TLS.
    came: u64,
    first_in: Option<u64>,
    last_in: Option<u64>,
    unasked_bytes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outgoing {
    /// Bytes of the message are left to write.
    Writing,
    /// All is written, but part of it may lie in the TLS session.
    Flushing,
    /// Nothing is left for us to do; held bytes are the gate's business.
    Done,
    /// Writing failed. What the peer said before may still be read.
    Failed,
}

impl<'a> Course<'a> {
    fn new(
        target: &'a Target,
        connection: Connection,
        sending: Sending,
        script: Script,
        prefix: Option<usize>,
    ) -> Self {
        let reader = Reader::new(sending.message.bodiless_answer, target.limits);
        let held = prefix.is_some();
        Self {
            started: connection.wire.gate().epoch().now_ns(),
            written: if held { script.send } else { 0 },
            outgoing: match (held, script.send) {
                (true, _) => Outgoing::Done,
                // A cut before the first byte.
                (false, 0) => Outgoing::Flushing,
                (false, _) => Outgoing::Writing,
            },
            target,
            connection,
            sending,
            script,
            prefix,
            reader,
            came: 0,
            first_in: None,
            last_in: None,
            unasked_bytes: false,
        }
    }

    /// Writes and reads until there is nothing more to do, silence included.
    async fn run(&mut self) -> Stop {
        let mut buffer = std::mem::take(&mut self.connection.buffer);
        buffer.resize(BUFFER, 0);
        let stop = self.go(&mut buffer).await;
        self.connection.buffer = buffer;
        if let (Stop::Complete, Some(ending)) = (&stop, self.script.at_end) {
            self.connection.wire.gate().end(ending);
        }
        self.stay_silent().await;
        stop
    }

    /// Where the client fell silent: leaves the connection as it is until the attempt's time is over, or the peer is gone for good, and closes it then.
    async fn stay_silent(&self) {
        let gate = self.connection.wire.gate();
        let silent = gate.ended().filter(|ended| ended.ending == Ending::Silence);
        let Some(silent) = silent else {
            return;
        };
        let due = self.due().unwrap_or(silent.at);
        while !gate.is_lost() {
            let left = Duration::from_nanos(due.saturating_sub(gate.epoch().now_ns()));
            if left.is_zero() {
                break;
            }
            tokio::time::sleep(left.min(SILENT_LOOK)).await;
        }
        gate.end(Ending::Fin);
    }

    async fn go(&mut self, buffer: &mut [u8]) -> Stop {
        let mut alarm = pin!(sleep_until(
            self.instant(self.due().unwrap_or(self.started))
        ));
        loop {
            let Some(room) = self.script.read.next(&self.reader, self.came) else {
                self.connection.wire.gate().end(self.script.at_stop);
                if self.script.at_stop == Ending::HalfClose {
                    self.script.read = ReadUntil::Whole;
                    continue;
                }
                return Stop::Ours;
            };
            let room = room.min(buffer.len());
            let step = tokio::select! {
                step = self.advance(&mut buffer[..room]) => step,
                () = &mut alarm => {
                    let now = self.connection.wire.gate().epoch().now_ns();
                    let again = match self.due() {
                        Some(due) if due <= now => {
                            self.connection.wire.gate().end(Ending::Fin);
                            return Stop::TimedOut;
                        }
                        Some(due) => due,
                        // Not released yet: it cannot be due earlier than this.
                        None => later(now, self.sending.timeout),
                    };
                    alarm.as_mut().reset(self.instant(again));
                    continue;
                }
            };
            let stop = match step {
                Step::Wrote(Ok(bytes)) => {
                    self.written += bytes;
                    if self.written == self.script.send {
                        self.outgoing = Outgoing::Flushing;
                    }
                    None
                }
                Step::Flushed(Ok(())) => {
                    self.outgoing = Outgoing::Done;
                    let gate = self.connection.wire.gate();
                    let last_out = gate.marks().last_out.unwrap_or(self.started);
                    self.target.equipment.releaser.follow(gate, last_out);
                    None
                }
                Step::Wrote(Err(_)) | Step::Flushed(Err(_)) => {
                    self.outgoing = Outgoing::Failed;
                    None
                }
                Step::Read(Ok(0)) => Some(self.closed()),
                Step::Read(Ok(bytes)) => self.take(&buffer[..bytes]),
                Step::Read(Err(error)) => Some(self.failed(error)),
            };
            if let Some(stop) = stop {
                return stop;
            }
        }
    }

    /// When the time-out is over; `None` while the release is awaited.
    fn due(&self) -> Option<u64> {
        let gate = self.connection.wire.gate();
        let from = match (self.prefix, self.outgoing) {
            (Some(_), _) => gate.fired()?.began,
            (None, Outgoing::Done) => gate.marks().last_out.unwrap_or(self.started),
            (None, _) => self.started,
        };
        Some(later(from, self.sending.timeout))
    }

    fn instant(&self, ns: u64) -> Instant {
        Instant::from_std(self.connection.wire.gate().epoch().instant(ns))
    }

    /// Writes and reads at the same time: a peer may answer before it has taken everything.
    async fn advance(&mut self, buffer: &mut [u8]) -> Step {
        let rest = &self.sending.message.bytes[self.written..self.script.send];
        let outgoing = self.outgoing;
        let wire = &mut self.connection.wire;
        poll_fn(|cx| poll_step(wire, outgoing, rest, buffer, cx)).await
    }

    fn take(&mut self, bytes: &[u8]) -> Option<Stop> {
        // The gate sees TLS's own records too; the instant of the read that gave these bytes is theirs.
        let at = self.connection.wire.gate().marks().last_in;
        self.first_in = self.first_in.or(at);
        self.last_in = at;
        self.came += bytes.len() as u64;
        match self.reader.feed(bytes) {
            Ok(Progress::More) => None,
            Ok(Progress::Complete { used }) => {
                self.unasked_bytes = used < bytes.len();
                Some(Stop::Complete)
            }
            Err(broken) => Some(Stop::Broken(broken)),
        }
    }

    fn closed(&mut self) -> Stop {
        match self.reader.end_of_input() {
            Ok(true) => Stop::Complete,
            Ok(false) => Stop::Closed,
            Err(broken) => Stop::Broken(broken),
        }
    }

    fn failed(&self, error: io::Error) -> Stop {
        match error.kind() {
            // The gate says so once the connection was ended on purpose.
            io::ErrorKind::NotConnected if self.connection.wire.gate().ended().is_some() => {
                Stop::Ours
            }
            // TLS without a goodbye. A body that ends with the connection cannot be known to be whole then.
            io::ErrorKind::UnexpectedEof => Stop::Closed,
            _ => Stop::Failed(error),
        }
    }

    async fn finish(mut self, stop: Stop, view: &watch::Sender<Option<u64>>) -> Delivered {
        let gate = self.connection.wire.gate().clone();
        if matches!(stop, Stop::Complete) {
            self.await_planned_ending(view).await;
            self.stay_silent().await;
        }
        let unreleased = self.prefix.is_some()
            && !matches!(stop, Stop::TimedOut | Stop::Ours)
            && gate.close_unless_fired();
        let ours = gate.ended();
        let now = gate.epoch().now_ns();
        let ended = match (&stop, self.last_in, ours) {
            (Stop::Complete, Some(last_in), _) => last_in,
            (Stop::Ours | Stop::TimedOut, _, Some(ours)) => ours.at,
            _ => now,
        };
        let marks = gate.marks();
        let fired = gate.fired();
        let bytes = ByteCounts {
            out: self.bytes_out(unreleased),
            incoming: self.came,
        };
        let gave_up = *view.borrow();
        gate.stop_waiting();
        let complete = matches!(stop, Stop::Complete);
        let end = if unreleased {
            End::NotSent(self.before_release(&stop))
        } else {
            end(&stop, ours, bytes)
        };
        let fault_happened = !unreleased && self.fault_happened(&end, gave_up, ended, bytes);
        let hidden = is_hidden(&end, self.sending.fault, gave_up, ended);
        let reusable = complete
            && self.sending.fault == Fault::None
            && !unreleased
            && !self.unasked_bytes
            && self.outgoing == Outgoing::Done
            && fired.is_none_or(Fired::is_whole)
            && self.reader.keeps_alive();
        let timing = Timing {
            intended: Offset(fired.map_or(self.started, |fired| fired.began)),
            first_out: marks.first_out.map(Offset),
            last_out: marks.last_out.map(Offset),
            first_in: self.first_in.map(Offset),
            last_in: self.last_in.map(Offset),
            ended: Offset(ended),
            gave_up: gave_up.filter(|at| *at < ended).map(Offset),
        };
        let Connection {
            wire,
            id,
            served,
            buffer,
            ..
        } = self.connection;
        let connection = if reusable {
            Some(Connection {
                wire,
                id,
                served: served + 1,
                session: None,
                buffer,
            })
        } else {
            if self.sending.fault == Fault::None {
                wire.close().await;
            }
            None
        };
        Delivered {
            connection_id: id,
            reused: served > 0,
            timing,
            bytes,
            end,
            hidden,
            fault_happened,
            interim: self.reader.interim().collect(),
            answer: self.reader.into_response().map(answer),
            unasked_bytes: self.unasked_bytes,
            marks,
            connection,
        }
    }

    /// An answer may come before the instant at which the script ends the connection; the ending is made all the same.
    async fn await_planned_ending(&mut self, view: &watch::Sender<Option<u64>>) {
        let Fault::Reset {
            after: ResetPoint::RequestSent(moment),
            ..
        } = self.sending.fault
        else {
            return;
        };
        let released = match self.prefix {
            Some(_) => self.connection.wire.gate().fired().is_some(),
            None => self.outgoing == Outgoing::Done,
        };
        if !released {
            return;
        }
        let mut view = view.subscribe();
        let patience = moment.resolve(self.sending.h) + ENDING_GRACE;
        let _ = timeout(patience, view.wait_for(Option::is_some)).await;
    }

    fn bytes_out(&self, unreleased: bool) -> u64 {
        if !self.connection.wire.is_tls() {
            return self.connection.wire.gate().marks().bytes_out;
        }
        // What TLS accepted has left, but for what the gate holds.
        match (self.prefix, self.connection.wire.gate().fired()) {
            (Some(prefix), None) => prefix as u64,
            _ if unreleased => self.prefix.unwrap_or(0) as u64,
            _ => self.written as u64,
        }
    }

    fn before_release(&self, stop: &Stop) -> String {
        match (stop, self.reader.head()) {
            (Stop::Complete, Some(head)) => {
                format!("the peer answered {} before the release", head.status)
            }
            _ => "the connection was lost before the release".to_owned(),
        }
    }

    fn fault_happened(
        &self,
        end: &End,
        gave_up: Option<u64>,
        ended: u64,
        bytes: ByteCounts,
    ) -> bool {
        match self.sending.fault {
            Fault::None => true,
            Fault::DropResponse => *end == End::Complete,
            Fault::CutRequest { .. } => {
                self.planned_ending()
                    .is_some_and(|planned| self.made(planned, end).is_some())
                    && usize::try_from(bytes.out) == Ok(self.script.send)
            }
            Fault::CutResponse {
                at: AnswerPoint::Whole,
                ..
            } => {
                *end == End::Complete
                    && self
                        .script
                        .at_end
                        .is_some_and(|planned| self.made(planned, end).is_some())
            }
            Fault::CutResponse { .. } => self.made(self.script.at_stop, end).is_some(),
            Fault::Reset {
                after: ResetPoint::Answered,
                ..
            } => self.came > 0 && self.made(self.script.at_stop, end).is_some(),
            Fault::Reset {
                after: ResetPoint::RequestSent(moment),
                ..
            } => {
                let made = self
                    .planned_ending()
                    .and_then(|planned| self.made(planned, end));
                made.is_some_and(|made| {
                    let answered =
                        made.unread || self.first_in.is_some_and(|first_in| first_in < made.at);
                    // Before H it has to find no answer yet; later one may be there.
                    !answered || moment.resolve(self.sending.h) >= self.sending.h
                })
            }
            Fault::Timeout { .. } => gave_up.is_some_and(|at| at <= ended),
        }
    }

    /// The ending that was to follow the last byte by itself.
    fn planned_ending(&self) -> Option<Ending> {
        match self.script.follow_up?.action {
            FollowUpAction::End(ending) => Some(ending),
            FollowUpAction::StopWaiting => None,
        }
    }

    /// The planned ending, if it was made. What closes when the time is over is another one, but after a half-close or in silence it comes later.
    fn made(&self, planned: Ending, end: &End) -> Option<Ended> {
        let in_time = match planned {
            Ending::Fin | Ending::Rst => *end != End::TimedOut,
            Ending::HalfClose | Ending::Silence => true,
        };
        let first = self.connection.wire.gate().first_ended();
        first.filter(|first| first.ending == planned && in_time)
    }
}

fn end(stop: &Stop, ours: Option<Ended>, bytes: ByteCounts) -> End {
    match stop {
        Stop::Complete => End::Complete,
        Stop::Ours => match ours.map(|ended| ended.ending) {
            Some(Ending::Rst) => End::WeReset,
            Some(Ending::Fin | Ending::HalfClose | Ending::Silence) | None => End::WeClosed,
        },
        Stop::TimedOut => End::TimedOut,
        Stop::Broken(broken) => End::BrokenAnswer(broken.to_string()),
        Stop::Failed(error) if error.kind() == io::ErrorKind::InvalidData => {
            End::BrokenAnswer(format!("TLS: {error}"))
        }
        Stop::Closed | Stop::Failed(_) if bytes.out == 0 => {
            End::NotSent("the connection was lost before anything was sent".to_owned())
        }
        Stop::Closed => End::PeerClosed,
        Stop::Failed(_) => End::PeerReset,
    }
}

fn poll_step(
    wire: &mut Wire,
    outgoing: Outgoing,
    rest: &[u8],
    buffer: &mut [u8],
    cx: &mut Context<'_>,
) -> Poll<Step> {
    match outgoing {
        Outgoing::Writing => {
            if let Poll::Ready(wrote) = Pin::new(&mut *wire).poll_write(cx, rest) {
                return Poll::Ready(Step::Wrote(wrote));
            }
        }
        Outgoing::Flushing => {
            if let Poll::Ready(flushed) = Pin::new(&mut *wire).poll_flush(cx) {
                return Poll::Ready(Step::Flushed(flushed));
            }
        }
        Outgoing::Done | Outgoing::Failed => {}
    }
    let mut buffer = ReadBuf::new(buffer);
    Pin::new(wire)
        .poll_read(cx, &mut buffer)
        .map(|read| Step::Read(read.map(|()| buffer.filled().len())))
}
