//! Whom we trust over TLS: one configuration, shared by every connection to a target and by the ordinary client beside it.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// Which certificates are believed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Trust<'a> {
    /// What the operating system trusts.
    #[default]
    Platform,
    /// That, and the authorities of this PEM text.
    PlatformAnd(&'a [u8]),
    /// The authorities of this PEM text and no other.
    Only(&'a [u8]),
    /// Any certificate at all, for any name.
    Anything,
}

/// What a TLS configuration is built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsOptions<'a> {
    /// Which certificates are believed.
    pub trust: Trust<'a>,
    /// The protocols that are offered (ALPN), the best first.
    pub protocols: &'a [&'a [u8]],
}

impl Default for TlsOptions<'_> {
    /// The platform's trust, HTTP/1.1.
    fn default() -> Self {
        Self {
            trust: Trust::Platform,
            protocols: &[b"http/1.1"],
        }
    }
}

/// Why there is no TLS configuration.
#[derive(Debug, thiserror::Error)]
pub enum TlsConfigError {
    /// The text of the authorities is not PEM.
    #[error("the CA certificates are not valid PEM")]
    Pem(#[source] rustls_pki_types::pem::Error),
    /// It is PEM, but holds no certificate.
    #[error("the CA file holds no certificate")]
    NoCertificate,
    /// A certificate of it cannot be an authority.
    #[error("a CA certificate cannot be used")]
    BadCertificate(#[source] rustls::Error),
    /// The platform's trust store cannot be used.
    #[error("the trust store of the operating system cannot be used")]
    Platform(#[source] rustls::Error),
    /// The provider lacks the protocol versions.
    #[error("TLS cannot be set up")]
    Provider(#[source] rustls::Error),
}

/// Builds the TLS configuration of a client.
///
/// # Errors
///
/// When the certificates cannot be read or the platform has none: see [`TlsConfigError`].
pub fn tls_config(options: &TlsOptions<'_>) -> Result<ClientConfig, TlsConfigError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsConfigError::Provider)?;
    let platform = |extra: Vec<CertificateDer<'static>>| {
        rustls_platform_verifier::Verifier::new_with_extra_roots(extra, Arc::clone(&provider))
            .map_err(TlsConfigError::Platform)
    };
    let builder = match options.trust {
        Trust::Platform => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(platform(Vec::new())?)),
        Trust::PlatformAnd(pem) => {
            let extra = authorities(pem)?;
            // Checked here, so that a bad file is not blamed on the platform.
            root_store(&extra)?;
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(platform(extra)?))
        }
        Trust::Only(pem) => builder.with_root_certificates(root_store(&authorities(pem)?)?),
        Trust::Anything => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Unverified(Arc::clone(&provider)))),
    };
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = options.protocols.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

fn authorities(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(TlsConfigError::Pem)?;
    if certificates.is_empty() {
        return Err(TlsConfigError::NoCertificate);
    }
    Ok(certificates)
}

fn root_store(authorities: &[CertificateDer<'static>]) -> Result<RootCertStore, TlsConfigError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots
            .add(authority.clone())
            .map_err(TlsConfigError::BadCertificate)?;
    }
    Ok(roots)
}

/// Believes every certificate. Signatures are still checked: the peer must hold the key of what it shows.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own_ca() -> String {
        rcgen::generate_simple_self_signed(["localhost".to_owned()])
            .unwrap()
            .cert
            .pem()
    }

    #[test]
    fn a_ca_file_must_hold_a_certificate() {
        let only = |pem| {
            tls_config(&TlsOptions {
                trust: Trust::Only(pem),
                ..TlsOptions::default()
            })
        };
        assert!(matches!(only(b""), Err(TlsConfigError::NoCertificate)));
        assert!(matches!(
            only(b"no pem at all"),
            Err(TlsConfigError::NoCertificate)
        ));
        let broken = b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
        assert!(matches!(only(broken), Err(TlsConfigError::Pem(_))));
        let not_x509 = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(
            only(not_x509),
            Err(TlsConfigError::BadCertificate(_))
        ));
    }

    #[test]
    fn protocols_are_offered_as_given() {
        let ca = own_ca();
        let config = tls_config(&TlsOptions {
            trust: Trust::Only(ca.as_bytes()),
            protocols: &[b"h2", b"http/1.1"],
        })
        .unwrap();
        assert_eq!(
            config.alpn_protocols,
            [b"h2".to_vec(), b"http/1.1".to_vec()]
        );
        let default = tls_config(&TlsOptions {
            trust: Trust::Anything,
            ..TlsOptions::default()
        });
        assert_eq!(default.unwrap().alpn_protocols, [b"http/1.1".to_vec()]);
    }

    #[test]
    fn own_authorities_can_be_added_to_those_of_the_platform() {
        let ca = own_ca();
        let trust = Trust::PlatformAnd(ca.as_bytes());
        assert!(
            tls_config(&TlsOptions {
                trust,
                ..TlsOptions::default()
            })
            .is_ok()
        );
    }
}
