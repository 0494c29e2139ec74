//! How a connection is ended: what the peer sees, and the order of the system calls that makes it see just that.
//!
//! To go silent (a "blackhole") is an ending without any call: the socket stays open, and the gate neither reads nor writes it from then on. Whoever made it so closes it at last.

use std::io;
use std::net::Shutdown;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;

/// How we end a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Close in order: the peer reads to a clean end, and its later writes are answered by a reset.
    Fin,
    /// Reset: the peer's next read or write fails.
    Rst,
    /// Close our sending side only and go on reading.
    HalfClose,
    /// Say nothing any more and read nothing any more. The socket stays open until another ending is made.
    Silence,
}

/// An ending that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub ending: Ending,
    /// When, in nanoseconds since the epoch.
    pub at: u64,
    /// Bytes that the peer's kernel had not acknowledged then. After [`Ending::Rst`] it may never have got them. `None`: not known on this platform.
    pub unacknowledged: Option<usize>,
    /// Whether bytes had come that nobody had read.
    pub unread: bool,
}

/// At most so many unread bytes are thrown away before a socket is closed.
const DISCARD_MAX: usize = 256 * 1024;

/// Sends a FIN and closes.
///
/// Closing a socket that holds unread bytes sends a reset in place of a FIN, so the FIN goes first and what is unread is read. After a FIN the peer's read stays a clean end, even if a reset follows because it went on writing.
pub(super) fn close(socket: TcpStream) {
    let _ = SockRef::from(&socket).shutdown(Shutdown::Write);
    let mut scratch = [0_u8; 8192];
    let mut discarded = 0;
    while discarded < DISCARD_MAX {
        match io::Read::read(&mut &*SockRef::from(&socket), &mut scratch) {
            Ok(0) | Err(_) => break,
            Ok(read) => discarded += read,
        }
    }
    drop(socket);
}

/// Closes with a reset. The caller must own the only handle of the socket: the reset is sent when the last one is closed.
pub(super) fn reset(socket: TcpStream) {
    // Where the option is refused the peer sees a FIN in place of a reset; the kernels that we know never refuse it.
    let _ = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
    drop(socket);
}

/// Closes the sending side.
pub(super) fn half_close(socket: &TcpStream) -> io::Result<()> {
    SockRef::from(socket).shutdown(Shutdown::Write)
}
