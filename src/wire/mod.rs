//! Bytes on one connection: holding them back, releasing them together, ending the connection at a precise moment, and measuring all of it.
//!
//! This room does not know HTTP, plans or histories. It is told where to hold and how to end, and it reports what happened in nanoseconds.
//!
//! [`connect()`] makes a [`Wire`], which is a stream with a [`Gate`] under it, below TLS. The gate is a handle that any thread may use while the stream is being read; a [`Releaser`] is the thread that does so on time.

mod connect;
mod end;
mod gate;
mod os;
mod release;
mod standstill;
mod tap;
mod tls;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio_rustls::client::TlsStream;

pub use connect::{AddressPolicy, ConnectError, Endpoint, Stage, Tls, connect};
pub use end::{Ended, Ending};
pub use gate::{Armed, FireError, Fired, FollowUp, FollowUpAction, Gate, GateIo};
pub use release::{Action, Done, Released, Releaser, Step, Volley};
pub use standstill::Process;
pub use tap::{Epoch, Marks};
pub use tls::{TlsConfigError, TlsOptions, Trust, tls_config};

/// So long an idle TLS connection may take to take in what TLS itself has sent.
const IDLE_ROUND: Duration = Duration::from_millis(1);
const IDLE_ROUNDS: usize = 100;
/// So long a goodbye may take.
const GOODBYE: Duration = Duration::from_millis(100);

/// One connection, in the clear or over TLS, with its gate.
#[derive(Debug)]
pub struct Wire {
    stream: Stream,
    gate: Gate,
}

#[derive(Debug)]
enum Stream {
    Plain(GateIo),
    Tls(Box<TlsStream<GateIo>>),
}

impl Wire {
    fn new(stream: Stream, gate: Gate) -> Self {
        Self { stream, gate }
    }

    /// The handle of the connection.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Whether bytes are encrypted on their way.
    pub fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// Writes all of `bytes`; while the gate is holding they go no further than there.
    ///
    /// It does not flush: a held byte cannot be flushed, and an unheld one needs none.
    ///
    /// # Errors
    ///
    /// When the connection is broken or was ended.
    pub async fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes).await?;
        if self.gate.is_holding() {
            return Ok(());
        }
        // TLS may have taken more than the socket did.
        self.flush().await
    }

    /// Whether a connection that waited for its next use can have it: still open, and nothing unasked has come.
    pub async fn is_idle(&mut self) -> bool {
        for _ in 0..IDLE_ROUNDS {
            match self.gate.unread() {
                gate::Unread::Nothing => return true,
                // TLS sends tickets and key updates of its own; taking those in leaves nothing to read.
                gate::Unread::Bytes if self.is_tls() => {}
                gate::Unread::Bytes | gate::Unread::Closed => return false,
            }
            // The runtime may notice the bytes later than the kernel has them, so this waits for a moment.
            let mut byte = [0_u8];
            let said = tokio::time::timeout(IDLE_ROUND, self.read(&mut byte)).await;
            if said.is_ok() {
                return false;
            }
        }
        false
    }

    /// The protocol that the peer chose over TLS (ALPN), if it chose one.
    pub fn protocol(&self) -> Option<&[u8]> {
        match &self.stream {
            Stream::Plain(_) => None,
            Stream::Tls(tls) => tls.get_ref().1.alpn_protocol(),
        }
    }

    /// Reads what has come already, without waiting for more: `None` where there is nothing, 0 bytes where the peer has closed.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    pub async fn read_waiting(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self.gate.unread() {
            gate::Unread::Nothing => Ok(None),
            gate::Unread::Closed => Ok(Some(0)),
            // Of TLS's own records nothing is left to read; the runtime may notice others later than the kernel has them.
            gate::Unread::Bytes => tokio::time::timeout(IDLE_ROUND, self.read(buffer))
                .await
                .map_or(Ok(None), |read| read.map(Some)),
        }
    }

    /// Says goodbye over TLS and closes. Without TLS it only closes.
    ///
    /// A client that vanishes says no goodbye: for that, end the gate.
    pub async fn close(mut self) {
        if self.is_tls() && self.gate.held() == 0 {
            // The peer may be gone; then there is nobody to say goodbye to.
            let goodbye = self.shutdown();
            let _ = tokio::time::timeout(GOODBYE, goodbye).await;
        }
        self.gate.end(Ending::Fin);
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(io) => Pin::new(io).poll_read(cx, buffer),
            Stream::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(io) => Pin::new(io).poll_write(cx, bytes),
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(io) => Pin::new(io).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
