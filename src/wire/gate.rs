//! Holds written bytes back until they are released, from whatever thread.
//!
//! The gate lies below TLS: what it holds is what goes on the wire, so a release is one system call and neither encrypts nor wakes anybody. It knows nothing of messages; whoever writes decides when to hold.
//!
//! | state | written bytes | `poll_flush` | leaves by |
//! | --- | --- | --- | --- |
//! | open | go to the socket | ready | [`Gate::hold`] |
//! | holding | are kept | pending while any is kept | [`Gate::fire`] |
//! | draining | wait until the kept ones are gone | drives them out | the last kept byte |
//!
//! An ending is possible in each of them; kept bytes are then never sent.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::end::{self, Ended, Ending};
use super::os;
use super::tap::{Epoch, Marks};

/// The handle of one gated connection: releases, ends and measures it. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    epoch: Epoch,
    loopback: bool,
    round_trip: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// `None` once it was ended: dropping the socket here closes it at once, however many handles of the gate are left.
    socket: Option<TcpStream>,
    stance: Stance,
    kept: Vec<u8>,
    /// How many of `kept` are gone.
    drained: usize,
    marks: Marks,
    fired: Option<Fired>,
    /// The first ending of the attempt: what the simulated client did.
    first_ended: Option<Ended>,
    /// The last one.
    ended: Option<Ended>,
    follow_up: Option<FollowUp>,
    /// Says when the simulated client stopped waiting.
    view: watch::Sender<Option<u64>>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stance {
    Open,
    Holding,
    Draining,
}

/// A release that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fired {
    /// Right before the first call that sent, in nanoseconds since the epoch.
    pub began: u64,
    /// Right after the last one.
    pub done: u64,
    /// Bytes that the kernel took.
    pub sent: usize,
    /// Bytes that it did not take. They follow as soon as it does, but they were not released when they should have been.
    pub left: usize,
}

impl Fired {
    /// Whether everything that was held left in this release. A trial that depends on the instant is void otherwise.
    pub fn is_whole(self) -> bool {
        self.left == 0
    }
}

/// Why a gate released nothing. Nothing of the held bytes was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FireError {
    /// It was not holding: never told to, or released before.
    #[error("the gate holds nothing")]
    NotHolding,
    /// The connection was ended by us before.
    #[error("the connection is closed")]
    Gone,
    /// The connection broke while it waited.
    #[error("the connection was lost before the release ({0})")]
    Lost(io::ErrorKind),
}

/// Whether what was written before the hold has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Armed {
    /// The peer's kernel has everything.
    Acknowledged,
    /// Everything has left, but the acknowledgement had not come (peers delay it), or cannot be asked for here.
    Sent,
    /// The peer takes no more bytes.
    Stuck,
    /// The connection was ended.
    Gone,
}

/// What happens by itself after the last byte has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowUp {
    /// So long after the last byte out.
    pub after: Duration,
    /// This.
    pub action: FollowUpAction,
}

/// See [`FollowUp`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowUpAction {
    /// The connection is ended.
    End(Ending),
    /// The simulated client stops waiting; the connection stays.
    StopWaiting,
}

/// What lies unread in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    Nothing,
    Bytes,
    Closed,
}

impl Gate {
    pub(super) fn new(socket: TcpStream, epoch: Epoch, round_trip: Duration, marks: Marks) -> Self {
        let loopback = socket
            .peer_addr()
            .is_ok_and(|address| address.ip().to_canonical().is_loopback());
        Self(Arc::new(Shared {
            epoch,
            loopback,
            round_trip,
            state: Mutex::new(State {
                socket: Some(socket),
                stance: Stance::Open,
                kept: Vec::new(),
                drained: 0,
                marks,
                fired: None,
                first_ended: None,
                ended: None,
                follow_up: None,
                view: watch::Sender::new(None),
                reader: None,
                writer: None,
            }),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing here leaves the state half-changed when it panics, so a poisoned lock is as good as a whole one.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The clock that the gate's instants are read from.
    pub fn epoch(&self) -> Epoch {
        self.0.epoch
    }

    /// How long the connection took to be made: an upper bound of the round trip.
    pub fn round_trip(&self) -> Duration {
        self.0.round_trip
    }

    /// Whether the peer is on this machine.
    pub fn is_on_loopback(&self) -> bool {
        self.0.loopback
    }

    /// The pause between arming and releasing that fits the measured round trip: long enough for the peer to have taken in what came before, and short, because a peer that has fallen asleep wakes up late. On loopback the making of a connection takes longer than a packet does, so that it says nothing.
    pub fn settle(&self) -> Duration {
        const LEAST: Duration = Duration::from_micros(50);
        if self.0.loopback {
            LEAST
        } else {
            self.0.round_trip.clamp(LEAST, Duration::from_micros(300))
        }
    }

    /// Starts an attempt: forgets instants and releases of the one before on this connection, and tells `view` from now on when the simulated client stops waiting.
    pub fn begin(&self, view: watch::Sender<Option<u64>>) {
        let mut state = self.state();
        if state.marks.bytes_out > 0 {
            state.marks = Marks::default();
        }
        state.fired = None;
        state.follow_up = None;
        state.view = view;
    }

    /// What was exchanged so far was not an attempt's.
    pub fn forget_bytes(&self) {
        let mut state = self.state();
        state.marks = Marks {
            connect_started: state.marks.connect_started,
            connected: state.marks.connected,
            tls_done: state.marks.tls_done,
            ..Marks::default()
        };
    }

    /// From now on written bytes are kept.
    pub fn hold(&self) {
        let mut state = self.state();
        if state.stance == Stance::Open {
            state.stance = Stance::Holding;
        }
    }

    /// What is to happen by itself after the release. Whoever releases sees to it: a [`super::Releaser`] does.
    pub fn set_follow_up(&self, follow_up: Option<FollowUp>) {
        self.state().follow_up = follow_up;
    }

    pub(super) fn take_follow_up(&self) -> Option<FollowUp> {
        self.state().follow_up.take()
    }

    /// Releases what is held, on this thread, without waiting for anything.
    ///
    /// It sends until everything is gone or the kernel takes no more. What the kernel does not take is reported ([`Fired::left`]) and follows when the connection is next read or flushed: a message is late then, but never cut.
    ///
    /// # Errors
    ///
    /// When nothing was sent: see [`FireError`].
    pub fn fire(&self) -> Result<Fired, FireError> {
        let mut guard = self.state();
        let state = &mut *guard;
        let Some(socket) = &state.socket else {
            return Err(FireError::Gone);
        };
        if state.stance != Stance::Holding {
            return Err(FireError::NotHolding);
        }
        let began = self.0.epoch.now_ns();
        let mut sent = 0;
        let mut last = began;
        // Not through tokio's `try_write`: that trusts a readiness flag which only its own thread keeps up to date.
        let socket = SockRef::from(socket);
        while sent < state.kept.len() {
            match socket.send_with_flags(&state.kept[sent..], os::SEND_FLAGS) {
                Ok(bytes) => sent += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if sent == 0 => {
                    state.stance = Stance::Open;
                    state.kept.clear();
                    return Err(FireError::Lost(error.kind()));
                }
                // The reader meets the same error and reports it.
                Err(_) => break,
            }
            if sent < state.kept.len() {
                last = self.0.epoch.now_ns();
            }
        }
        let done = self.0.epoch.now_ns();
        let left = state.kept.len() - sent;
        let fired = Fired {
            began,
            done,
            sent,
            left,
        };
        state.fired = Some(fired);
        if sent > 0 {
            state.marks.sent(began, 0);
            state.marks.sent(last, sent);
        }
        if left == 0 {
            state.kept.clear();
            state.stance = Stance::Open;
            wake(&mut state.writer);
        } else {
            state.drained = sent;
            state.stance = Stance::Draining;
            // Nobody else would go on: the reader drives the rest out.
            wake(&mut state.writer);
            wake(&mut state.reader);
        }
        Ok(fired)
    }

    /// The release, once it was made.
    pub fn fired(&self) -> Option<Fired> {
        self.state().fired
    }

    /// How many bytes are being held or still drain.
    pub fn held(&self) -> usize {
        let state = self.state();
        state.kept.len() - state.drained
    }

    /// Whether bytes are held that nobody has released yet.
    pub fn is_holding(&self) -> bool {
        self.state().stance == Stance::Holding
    }

    /// Ends the connection, on this thread. Held bytes are never sent.
    ///
    /// Returns `None` if it was closed before.
    pub fn end(&self, ending: Ending) -> Option<Ended> {
        let mut state = self.state();
        self.end_locked(&mut state, ending)
    }

    /// Closes the connection if nothing was released on it, and says whether it did: an attempt that has not started must not start on a connection known to be dead.
    pub fn close_unless_fired(&self) -> bool {
        let mut state = self.state();
        if state.fired.is_some() {
            return false;
        }
        self.end_locked(&mut state, Ending::Fin);
        true
    }

    fn end_locked(&self, state: &mut State, ending: Ending) -> Option<Ended> {
        let socket = state.socket.take()?;
        let unacknowledged = os::unacknowledged(&socket);
        let unread = peek(&socket) == Unread::Bytes;
        let at = self.0.epoch.now_ns();
        match ending {
            Ending::Fin => end::close(socket),
            Ending::Rst => end::reset(socket),
            Ending::HalfClose => {
                // It fails only where the peer is gone, and that the reader finds out.
                let _ = end::half_close(&socket);
                state.socket = Some(socket);
            }
            Ending::Silence => state.socket = Some(socket),
        }
        let ended = Ended {
            ending,
            at,
            unacknowledged,
            unread,
        };
        state.first_ended.get_or_insert(ended);
        state.ended = Some(ended);
        state.view.send_if_modified(|view| set_once(view, at));
        wake(&mut state.reader);
        wake(&mut state.writer);
        Some(ended)
    }

    /// The last ending that was made here.
    pub fn ended(&self) -> Option<Ended> {
        self.state().ended
    }

    /// The first ending that was made here: after a half-close or silence a second one closes the connection.
    pub fn first_ended(&self) -> Option<Ended> {
        self.state().first_ended
    }

    /// Notes that the simulated client stops waiting now. The connection is left as it is.
    pub fn stop_waiting(&self) -> u64 {
        let at = self.0.epoch.now_ns();
        let state = self.state();
        state.view.send_if_modified(|view| set_once(view, at));
        let since = *state.view.borrow();
        since.unwrap_or(at)
    }

    /// Tells when the simulated client stops waiting: nanoseconds since the epoch, set once per attempt, at the latest when the attempt is over.
    pub fn view(&self) -> watch::Receiver<Option<u64>> {
        self.state().view.subscribe()
    }

    /// The instants so far.
    pub fn marks(&self) -> Marks {
        self.state().marks
    }

    pub(super) fn mark_tls(&self) {
        let at = self.0.epoch.now_ns();
        let mut state = self.state();
        // What the handshake sent and received is not the attempt's.
        state.marks = Marks {
            connect_started: state.marks.connect_started,
            connected: state.marks.connected,
            tls_done: Some(at),
            ..Marks::default()
        };
    }

    /// Bytes written and not acknowledged by the peer's kernel; `None` where that is unknown or the connection is gone.
    pub fn unacknowledged(&self) -> Option<usize> {
        self.state().socket.as_ref().and_then(os::unacknowledged)
    }

    /// Whether a reset sent now cannot destroy bytes on their way.
    ///
    /// On loopback what has left has arrived. Elsewhere only an acknowledgement says so.
    pub(super) fn may_reset(&self) -> bool {
        let state = self.state();
        let Some(socket) = &state.socket else {
            return true;
        };
        if self.0.loopback {
            os::unsent(socket).is_none_or(|bytes| bytes == 0)
        } else {
            os::unacknowledged(socket).is_none_or(|bytes| bytes == 0)
        }
    }

    /// How long a reset may wait for [`Gate::may_reset`].
    pub(super) fn reset_patience(&self) -> Duration {
        if self.0.loopback {
            Duration::from_millis(5)
        } else {
            (self.0.round_trip * 2).clamp(Duration::from_millis(5), Duration::from_millis(200))
        }
    }

    /// Waits until what was written before the hold has arrived, as far as that can be known, and not for long: peers may delay acknowledgements by tens of milliseconds.
    pub async fn armed(&self) -> Armed {
        let patience = if self.0.loopback {
            Duration::from_millis(2)
        } else {
            (self.0.round_trip * 3).clamp(Duration::from_millis(5), Duration::from_millis(500))
        };
        let started = self.0.epoch.now_ns();
        let waited = || Duration::from_nanos(self.0.epoch.now_ns().saturating_sub(started));
        let mut round = 0_u32;
        loop {
            let unsent = match self.queue() {
                None => return Armed::Gone,
                Some((Some(0), _)) => return Armed::Acknowledged,
                Some((None, _)) => return Armed::Sent,
                // On loopback the kernel lays what has left into the peer's buffer
                // before the call returns; the acknowledgement may be delayed by
                // tens of milliseconds and says nothing more.
                Some((Some(_), Some(0))) if self.0.loopback => return Armed::Sent,
                Some((Some(_), unsent)) => unsent.unwrap_or(0),
            };
            if waited() > patience && unsent == 0 {
                return Armed::Sent;
            }
            if waited() > patience.max(Duration::from_secs(1)) {
                return Armed::Stuck;
            }
            round += 1;
            if round < 16 {
                tokio::task::yield_now().await;
            } else {
                tokio::time::sleep(Duration::from_micros(500)).await;
            }
        }
    }

    fn queue(&self) -> Option<(Option<usize>, Option<usize>)> {
        let state = self.state();
        let socket = state.socket.as_ref()?;
        Some((os::unacknowledged(socket), os::unsent(socket)))
    }

    /// Whether the peer is known to have closed or reset the connection, with nothing left to read.
    pub fn is_lost(&self) -> bool {
        self.unread() == Unread::Closed
    }

    /// Looks at what the kernel has, past every readiness flag that may be out of date.
    pub(super) fn unread(&self) -> Unread {
        let state = self.state();
        let Some(socket) = &state.socket else {
            return Unread::Closed;
        };
        peek(socket)
    }
}

fn peek(socket: &TcpStream) -> Unread {
    let mut byte = [std::mem::MaybeUninit::uninit()];
    match SockRef::from(socket).peek(&mut byte) {
        Ok(0) => Unread::Closed,
        Ok(_) => Unread::Bytes,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Unread::Nothing,
        Err(_) => Unread::Closed,
    }
}

fn set_once(view: &mut Option<u64>, at: u64) -> bool {
    if view.is_none() {
        *view = Some(at);
        true
    } else {
        false
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// The stream of one gated connection: what TLS, or a message in the clear, is written to and read from.
#[derive(Debug)]
pub struct GateIo(Gate);

impl GateIo {
    pub(super) fn new(gate: Gate) -> Self {
        Self(gate)
    }
}

impl Drop for GateIo {
    fn drop(&mut self) {
        // Handles of the gate may outlive the stream; the socket must not.
        let mut state = self.0.state();
        if let Some(socket) = state.socket.take() {
            drop(socket);
        }
    }
}

impl State {
    /// The socket, for as long as anything may be sent or read.
    fn speaking(&mut self) -> Option<&mut TcpStream> {
        let silent = |ended: Ended| ended.ending == Ending::Silence;
        if self.ended.is_some_and(silent) {
            return None;
        }
        self.socket.as_mut()
    }
}

fn ended_by_us() -> io::Error {
    io::Error::from(io::ErrorKind::NotConnected)
}

/// Sends what was held and is already released.
fn drain(state: &mut State, epoch: Epoch, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    while state.drained < state.kept.len() {
        if state.speaking().is_none() {
            return Poll::Ready(Err(ended_by_us()));
        }
        let Some(socket) = &mut state.socket else {
            return Poll::Ready(Err(ended_by_us()));
        };
        let at = epoch.now_ns();
        let rest = &state.kept[state.drained..];
        match Pin::new(socket).poll_write(cx, rest) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(bytes)) => {
                state.drained += bytes;
                state.marks.sent(at, bytes);
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => {
                state.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
    }
    state.kept.clear();
    state.drained = 0;
    state.stance = Stance::Open;
    Poll::Ready(Ok(()))
}

impl AsyncWrite for GateIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let epoch = self.0.epoch();
        let mut guard = self.0.state();
        let state = &mut *guard;
        if state.stance == Stance::Draining {
            // Nothing new may overtake what was held.
            ready!(drain(state, epoch, cx))?;
        }
        if state.speaking().is_none() {
            return Poll::Ready(Err(ended_by_us()));
        }
        if state.stance == Stance::Holding {
            state.kept.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        let at = epoch.now_ns();
        let Some(socket) = state.speaking() else {
            return Poll::Ready(Err(ended_by_us()));
        };
        match Pin::new(socket).poll_write(cx, bytes) {
            Poll::Ready(Ok(written)) => {
                state.marks.sent(at, written);
                Poll::Ready(Ok(written))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                state.writer = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let epoch = self.0.epoch();
        let mut guard = self.0.state();
        let state = &mut *guard;
        match state.stance {
            Stance::Draining => drain(state, epoch, cx),
            Stance::Holding if !state.kept.is_empty() && state.socket.is_some() => {
                // Flushed means sent, and held is not sent.
                state.writer = Some(cx.waker().clone());
                Poll::Pending
            }
            Stance::Holding | Stance::Open => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        let state = self.0.state();
        match &state.socket {
            Some(socket) => Poll::Ready(end::half_close(socket)),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncRead for GateIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let epoch = self.0.epoch();
        let mut guard = self.0.state();
        let state = &mut *guard;
        if state.stance == Stance::Draining
            && let Poll::Ready(Err(error)) = drain(state, epoch, cx)
        {
            // The peer may have answered before it stopped taking bytes: what it said comes first.
            tracing::debug!(%error, "released bytes could not be sent");
            state.stance = Stance::Open;
            state.kept.clear();
            state.drained = 0;
        }
        let Some(socket) = state.speaking() else {
            return Poll::Ready(Err(ended_by_us()));
        };
        let before = buffer.filled().len();
        match Pin::new(socket).poll_read(cx, buffer) {
            Poll::Ready(Ok(())) => {
                let read = buffer.filled().len() - before;
                if read > 0 {
                    state.marks.received(epoch.now_ns(), read);
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
