//! Sockets: taking connections, serving HTTP/1.1 on them, and noticing that a
//! client has gone. Knows nothing of orders or keys.

use std::convert::Infallible;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{SockRef, Socket};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;

use super::desk::Desk;
use super::router;

/// Connections waiting to be taken.
const BACKLOG: u32 = 1024;
/// Connections served at once; more wait in the backlog.
const CONNECTIONS: usize = 2048;
/// How long a client may take over the head of a request, an idle
/// connection included.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// How long a connection may take to end when the shop closes.
const CLOSING_PATIENCE: Duration = Duration::from_secs(2);

/// Listens on an address. It can be used again at once after a stop.
pub(super) fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = match addr {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

/// Serves connections until the shop closes.
pub(super) async fn accept(listener: TcpListener, desk: Desk) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let taking = async {
            let place = Arc::clone(&places)
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            taken = taking => taken,
            () = desk.closing() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let desk = desk.clone();
                tokio::spawn(async move {
                    serve(stream, desk).await;
                    drop(place);
                });
            }
            // Out of descriptors, or a client that left the queue: neither
            // is a reason to close, and the first must not spin.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve(stream: TcpStream, desk: Desk) {
    // An answer is one small write; without this it may wait for an ACK.
    let _ = stream.set_nodelay(true);
    let peer = Peer::of(&stream, &desk);
    let service = service_fn(|request| {
        let (desk, peer) = (desk.clone(), peer.clone());
        async move { Ok::<_, Infallible>(router::respond(desk, peer, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        // A client that has said all it wanted may still be listening.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        // How a connection ends is the client's affair.
        _ = connection.as_mut() => return,
        () = desk.closing() => connection.as_mut().graceful_shutdown(),
    }
    let _ = tokio::time::timeout(CLOSING_PATIENCE, connection).await;
}

/// The client at the other end, for a shop that looks at it while it works.
/// The right shop does not, and for it the client is always there.
#[derive(Debug, Clone)]
pub(super) struct Peer(Option<Arc<Socket>>);

impl Peer {
    fn of(stream: &TcpStream, desk: &Desk) -> Self {
        if !desk.conduct.watches_the_client() {
            return Self(None);
        }
        // A second descriptor of the same socket: the connection owns the
        // first, and tells nobody what it sees while a request is served.
        Self(SockRef::from(stream).try_clone().ok().map(Arc::new))
    }

    /// Whether the client has closed or reset the connection. Like the
    /// frameworks that do this, it takes a client that only closed its own
    /// half for one that has gone.
    pub(super) fn gone(&self) -> bool {
        let Some(socket) = &self.0 else { return false };
        let mut byte = [MaybeUninit::uninit(); 1];
        match socket.peek(&mut byte) {
            Ok(read) => read == 0,
            Err(error) => !matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            ),
        }
    }

    /// Waits until the client has gone.
    pub(super) async fn left(&self) {
        const GLANCE: Duration = Duration::from_millis(1);
        while !self.gone() {
            tokio::time::sleep(GLANCE).await;
        }
    }
}
