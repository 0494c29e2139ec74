//! The ordinary HTTP client for what is not under test: set-up, clean-up and
//! probes. It never retries by itself, follows redirects only where that is
//! harmless, and connects only to addresses that may be sent to.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use url::{Host, Url};

/// Who may be sent to: loopback always, others by name.
#[derive(Debug, Clone, Default)]
pub struct HostPolicy {
    allowed: Vec<String>,
}

/// A host that nobody allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host} is not allowed ({address} is not a loopback address)")]
pub struct Refusal {
    /// The host as it was named.
    pub host: String,
    /// The address that it stands for.
    pub address: IpAddr,
}

impl HostPolicy {
    /// Loopback and these: names, addresses, or `*.example.com` for every name
    /// below one.
    pub fn new(allowed: impl IntoIterator<Item = String>) -> Self {
        Self {
            allowed: allowed
                .into_iter()
                .map(|host| host.trim().to_ascii_lowercase())
                .collect(),
        }
    }

    /// Whether a host that resolved to an address may be sent to. The address
    /// decides about loopback, never the name.
    ///
    /// # Errors
    /// [`Refusal`] where it may not.
    pub fn check(&self, host: &str, address: IpAddr) -> Result<(), Refusal> {
        let loopback = match address {
            IpAddr::V4(v4) => v4.is_loopback(),
            IpAddr::V6(v6) => {
                v6.is_loopback() || v6.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback())
            }
        };
        if loopback || self.names(host) {
            Ok(())
        } else {
            Err(Refusal {
                host: host.to_owned(),
                address,
            })
        }
    }

    /// Whether a host is allowed by its name.
    pub fn names(&self, host: &str) -> bool {
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_ascii_lowercase();
        self.allowed.iter().any(|pattern| {
            pattern.strip_prefix("*.").map_or_else(
                || *pattern == host,
                |suffix| {
                    host.strip_suffix(suffix)
                        .is_some_and(|rest| rest.ends_with('.') && rest.len() > 1)
                },
            )
        })
    }
}

/// How the client is set up.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Who may be sent to.
    pub hosts: HostPolicy,
    /// TLS, the same as the attempts'.
    pub tls: rustls::ClientConfig,
    /// How long one request may take.
    pub timeout: Duration,
    /// The origin that is spoken to in HTTP/2 without being asked whether it can:
    /// in the clear nothing is negotiated.
    pub http2_only: Option<url::Origin>,
}

/// The client.
#[derive(Debug, Clone)]
pub struct Client {
    inner: reqwest::Client,
    /// What goes to one origin, where that speaks HTTP/2 only.
    http2_only: Option<(url::Origin, reqwest::Client)>,
    pub(super) hosts: HostPolicy,
}

/// The client could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client for probes and steps could not be set up")]
pub struct ClientError(#[from] reqwest::Error);

impl Client {
    /// A client of these options.
    ///
    /// # Errors
    /// When the TLS configuration is not usable.
    pub fn new(options: ClientOptions) -> Result<Self, ClientError> {
        let http2_only = match &options.http2_only {
            None => None,
            Some(origin) => {
                let client = builder(&options).http2_prior_knowledge().build()?;
                Some((origin.clone(), client))
            }
        };
        Ok(Self {
            inner: builder(&options).build()?,
            http2_only,
            hosts: options.hosts,
        })
    }

    /// The client for what goes to a URL.
    pub(super) fn towards(&self, url: &Url) -> &reqwest::Client {
        match &self.http2_only {
            Some((origin, client)) if url.origin() == *origin => client,
            Some(_) | None => &self.inner,
        }
    }
}

fn builder(options: &ClientOptions) -> reqwest::ClientBuilder {
    let redirect_hosts = options.hosts.clone();
    reqwest::Client::builder()
        .tls_backend_preconfigured(options.tls.clone())
        .retry(reqwest::retry::never())
        .no_proxy()
        .redirect(reqwest::redirect::Policy::custom(move |attempt| {
            // Only GET is followed (a caller with another method turns a
            // redirect into an answer by itself), only within the origin.
            let first = attempt.previous().first().map(Url::origin);
            let same = first.is_some_and(|origin| origin == attempt.url().origin());
            let literal_allowed = literal_allowed(&redirect_hosts, attempt.url()).is_ok();
            if attempt.previous().len() > 5 || !same || !literal_allowed {
                attempt.stop()
            } else {
                attempt.follow()
            }
        }))
        .dns_resolver(Arc::new(Resolver {
            hosts: options.hosts.clone(),
        }))
        .timeout(options.timeout)
        .connect_timeout(options.timeout.min(Duration::from_secs(10)))
        .pool_max_idle_per_host(64)
        .tcp_nodelay(true)
}

/// An address that stands in the URL itself never meets the resolver, so it is
/// checked here.
pub(super) fn literal_allowed(hosts: &HostPolicy, url: &Url) -> Result<(), Refusal> {
    match url.host() {
        Some(Host::Ipv4(v4)) => hosts.check(&v4.to_string(), IpAddr::V4(v4)),
        Some(Host::Ipv6(v6)) => hosts.check(&v6.to_string(), IpAddr::V6(v6)),
        Some(Host::Domain(_)) | None => Ok(()),
    }
}

struct Resolver {
    hosts: HostPolicy,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let hosts = self.hosts.clone();
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let mut allowed = Vec::new();
            let mut refused = None;
            for address in found {
                match hosts.check(&host, address.ip()) {
                    Ok(()) => allowed.push(address),
                    Err(refusal) => refused = Some(refusal),
                }
            }
            match (allowed.is_empty(), refused) {
                (true, Some(refusal)) => Err(refusal.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_judged_by_the_address_and_not_by_the_name() {
        let policy = HostPolicy::default();
        assert!(
            policy
                .check("anything", "127.8.9.1".parse().unwrap())
                .is_ok()
        );
        assert!(policy.check("x", "::1".parse().unwrap()).is_ok());
        assert!(
            policy
                .check("x", "::ffff:127.0.0.1".parse().unwrap())
                .is_ok()
        );
        assert!(
            policy
                .check("localhost", "10.0.0.1".parse().unwrap())
                .is_err()
        );
        assert!(
            policy
                .check("localhost", "0.0.0.0".parse().unwrap())
                .is_err()
        );
    }

    #[test]
    fn a_star_allows_what_is_below_a_name_but_not_the_name() {
        let policy = HostPolicy::new([
            "*.staging.example.com".to_owned(),
            "API.example.com".to_owned(),
        ]);
        let far = "192.0.2.1".parse().unwrap();
        assert!(policy.check("a.staging.example.com", far).is_ok());
        assert!(policy.check("a.b.Staging.Example.com", far).is_ok());
        assert!(policy.check("staging.example.com", far).is_err());
        assert!(policy.check("xstaging.example.com", far).is_err());
        assert!(policy.check("api.example.com", far).is_ok());
    }
}
