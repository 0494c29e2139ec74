//! The other side of a wire: a port, in the clear or over TLS, where everybody who
//! connects lands in a queue.

use retrial::wire::Epoch;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

pub(crate) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    Plain,
    Tls,
}

pub(crate) const LAYERS: [Layer; 2] = [Layer::Plain, Layer::Tls];

pub(crate) fn epoch() -> Epoch {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test has no run whose clock it could use"
    )]
    Epoch::new(Instant::now())
}

/// What accepts TLS for `localhost` and these protocols, and the certificate to
/// trust, in PEM.
pub(crate) fn tls_acceptor(protocols: &[&[u8]]) -> (TlsAcceptor, String) {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    (TlsAcceptor::from(Arc::new(config)), own.cert.pem())
}

/// A port that accepts.
pub(crate) struct Port {
    pub(crate) number: u16,
    /// The certificate to trust, in PEM, where there is TLS.
    pub(crate) authority: Option<String>,
    pub(crate) accepted: mpsc::UnboundedReceiver<Box<dyn Socket>>,
}

impl Port {
    pub(crate) async fn open(layer: Layer, protocols: &[&[u8]]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let number = listener.local_addr().unwrap().port();
        let (acceptor, authority) = match layer {
            Layer::Plain => (None, None),
            Layer::Tls => {
                let (acceptor, authority) = tls_acceptor(protocols);
                (Some(acceptor), Some(authority))
            }
        };
        let (accept, accepted) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                socket.set_nodelay(true).unwrap();
                let socket: Box<dyn Socket> = match &acceptor {
                    None => Box::new(socket),
                    Some(acceptor) => match acceptor.accept(socket).await {
                        Ok(tls) => Box::new(tls),
                        // Somebody who left inside the handshake never connected.
                        Err(_) => continue,
                    },
                };
                if accept.send(socket).is_err() {
                    return;
                }
            }
        });
        Self {
            number,
            authority,
            accepted,
        }
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.authority.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://127.0.0.1:{}/", self.number)
    }
}
