//! From a name to a gated connection: DNS, the check of the address, TCP, TLS.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::gate::{Gate, GateIo};
use super::tap::{Epoch, Marks};
use super::{Stream, Wire};

/// Which addresses may be connected to. It is asked for each address at each connect, whatever the name was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AddressPolicy {
    /// Only this machine.
    #[default]
    Loopback,
    /// Any address: somebody allowed the host.
    Any,
}

impl AddressPolicy {
    /// Whether `address` may be connected to.
    pub fn allows(self, address: IpAddr) -> bool {
        match self {
            Self::Loopback => address.to_canonical().is_loopback(),
            Self::Any => true,
        }
    }
}

/// Where to connect, and how.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// A name, or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// TLS, if the connection is to have it.
    pub tls: Option<Tls>,
    /// Which addresses are allowed.
    pub policy: AddressPolicy,
    /// How long all of it may take.
    pub timeout: Duration,
}

/// TLS of an endpoint.
#[derive(Clone)]
pub struct Tls {
    /// The configuration, shared by all connections of a target: it holds the cache of sessions too.
    pub config: Arc<ClientConfig>,
    /// The name that the certificate must be for, and that is sent (SNI).
    pub server_name: ServerName<'static>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tls")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

/// Why there is no connection. Nothing of a message was sent.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name leads to no address.
    #[error("the host name cannot be resolved")]
    Resolve(#[source] io::Error),
    /// The addresses are not allowed.
    #[error("{address} is not a loopback address and its host is not allowed")]
    NotAllowed {
        /// The first of them.
        address: IpAddr,
    },
    /// Nobody accepted.
    #[error("the connection was refused")]
    Refused(#[source] io::Error),
    /// It took too long.
    #[error("the connection was not made in time ({stage})")]
    TimedOut {
        /// What it was waiting for.
        stage: Stage,
    },
    /// TCP failed in another way.
    #[error("the connection could not be made")]
    Tcp(#[source] io::Error),
    /// The handshake failed.
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
}

/// The stages of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Resolving the name.
    Resolve,
    /// TCP.
    Tcp,
    /// TLS.
    Tls,
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Resolve => "resolving the name",
            Self::Tcp => "TCP",
            Self::Tls => "the TLS handshake",
        })
    }
}

/// Makes a connection.
///
/// # Errors
///
/// See [`ConnectError`]; what failed is a fact about the world, to be recorded.
pub async fn connect(endpoint: &Endpoint, epoch: Epoch) -> Result<Wire, ConnectError> {
    let connect_started = epoch.now_ns();
    let left = || {
        let spent = Duration::from_nanos(epoch.now_ns() - connect_started);
        endpoint.timeout.saturating_sub(spent)
    };
    let addresses = timeout(left(), resolve(endpoint))
        .await
        .map_err(|_| ConnectError::TimedOut {
            stage: Stage::Resolve,
        })?
        .map_err(ConnectError::Resolve)?;
    let allowed = allowed(&addresses, endpoint.policy)?;
    let asked = epoch.now_ns();
    let socket = timeout(left(), connect_tcp(&allowed))
        .await
        .map_err(|_| ConnectError::TimedOut { stage: Stage::Tcp })?
        .map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => ConnectError::Refused(error),
            _ => ConnectError::Tcp(error),
        })?;
    let connected = epoch.now_ns();
    socket.set_nodelay(true).map_err(ConnectError::Tcp)?;
    let round_trip = Duration::from_nanos(connected - asked);
    let marks = Marks {
        connect_started: Some(connect_started),
        connected: Some(connected),
        ..Marks::default()
    };
    let gate = Gate::new(socket, epoch, round_trip, marks);
    let io = GateIo::new(gate.clone());
    let stream = match &endpoint.tls {
        None => Stream::Plain(io),
        Some(tls) => {
            let handshake =
                TlsConnector::from(Arc::clone(&tls.config)).connect(tls.server_name.clone(), io);
            let stream = timeout(left(), handshake)
                .await
                .map_err(|_| ConnectError::TimedOut { stage: Stage::Tls })?
                .map_err(ConnectError::Tls)?;
            gate.mark_tls();
            Stream::Tls(Box::new(stream))
        }
    };
    Ok(Wire::new(stream, gate))
}

async fn resolve(endpoint: &Endpoint) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = endpoint.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, endpoint.port)]);
    }
    let found = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port)).await?;
    let addresses: Vec<_> = found.collect();
    if addresses.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the name has no address",
        ));
    }
    Ok(addresses)
}

/// A name may lead to allowed and other addresses; only the former are tried.
fn allowed(
    addresses: &[SocketAddr],
    policy: AddressPolicy,
) -> Result<Vec<SocketAddr>, ConnectError> {
    let allowed: Vec<_> = addresses
        .iter()
        .copied()
        .filter(|address| policy.allows(address.ip()))
        .collect();
    match (allowed.is_empty(), addresses.first()) {
        (true, Some(first)) => Err(ConnectError::NotAllowed {
            address: first.ip(),
        }),
        _ => Ok(allowed),
    }
}

/// Tries the addresses in order. The error is that of the last one.
async fn connect_tcp(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_judged_by_the_address() {
        let policy = AddressPolicy::Loopback;
        for address in ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"] {
            assert!(policy.allows(address.parse().unwrap()), "{address}");
        }
        for address in [
            "10.0.0.1",
            "0.0.0.0",
            "::",
            "::ffff:10.0.0.1",
            "192.168.0.1",
        ] {
            assert!(!policy.allows(address.parse().unwrap()), "{address}");
            assert!(
                AddressPolicy::Any.allows(address.parse().unwrap()),
                "{address}"
            );
        }
    }

    #[test]
    fn of_several_addresses_only_the_allowed_ones_are_tried() {
        let far: SocketAddr = "192.0.2.1:80".parse().unwrap();
        let near: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let found = allowed(&[far, near], AddressPolicy::Loopback).unwrap();
        assert_eq!(found, [near]);
        let refused = allowed(&[far], AddressPolicy::Loopback).unwrap_err();
        assert!(matches!(refused, ConnectError::NotAllowed { address } if address == far.ip()));
    }
}
