//! Which hosts may be sent to, and which proxies would have been on the way.
//!
//! This is the look ahead, before anything is sent; the engine looks again at
//! each connect, at the address itself.

use super::exit_code::Exit;
use super::failure::Failure;
use crate::codes::Diagnosis;
use crate::plan::{Plan, Request};
use crate::probe::HostPolicy;
use crate::scenario::Diagnostic;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, ToSocketAddrs};
use url::{Host, Url};

/// An origin that a plan sends to.
type Origin = (String, String, u16);

/// Every host that the plan names, as far as it is known before captures are.
fn origins(plan: &Plan) -> BTreeSet<Origin> {
    let mut urls: Vec<&str> = Vec::new();
    for scenario in &plan.scenarios {
        urls.push(&scenario.target.url);
        let steps = scenario.setup.iter().chain(&scenario.cleanup);
        let requests = scenario
            .operations
            .iter()
            .map(|operation| &operation.request)
            .chain(scenario.effects.iter().map(|effect| &effect.request))
            .chain(steps.map(|step| &step.request));
        urls.extend(requests.filter_map(absolute));
    }
    let before = plan.cases.iter().flat_map(|case| &case.before);
    urls.extend(before.filter_map(|step| absolute(&step.request)));
    urls.into_iter().filter_map(origin).collect()
}

fn absolute(request: &Request) -> Option<&str> {
    let path = request.path.0.as_str();
    (path.starts_with("http://") || path.starts_with("https://")).then_some(path)
}

fn origin(url: &str) -> Option<Origin> {
    let url = Url::parse(url).ok()?;
    let host = match url.host()? {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    Some((url.scheme().to_owned(), host, url.port_or_known_default()?))
}

/// Refuses a plan that names a host which is neither loopback nor allowed.
pub(crate) fn admit(
    plan: &Plan,
    policy: &HostPolicy,
    environment: Option<&str>,
) -> Result<(), Failure> {
    for (_, host, port) in origins(plan) {
        if !policy.names(&host) && !is_loopback(&host, port) {
            return Err(Failure::because(
                Diagnostic::host_not_allowed(&host, environment),
                Exit::Refused,
            ));
        }
    }
    Ok(())
}

/// Whether a plan sends to this machine only.
pub(crate) fn only_loopback(plan: &Plan) -> bool {
    origins(plan)
        .iter()
        .all(|(_, host, port)| is_loopback(host, *port))
}

/// Whether the host is this machine, judged by its addresses and not its name:
/// all of them, and there must be one.
fn is_loopback(host: &str, port: u16) -> bool {
    let nobody = HostPolicy::default();
    let loopback = |address: IpAddr| nobody.check(host, address).is_ok();
    if let Ok(address) = host.parse::<IpAddr>() {
        return loopback(address);
    }
    match (host, port).to_socket_addrs() {
        Ok(addresses) => {
            let mut addresses = addresses.peekable();
            addresses.peek().is_some() && addresses.all(|address| loopback(address.ip()))
        }
        Err(_) => false,
    }
}

/// Warns where a proxy of the environment would be used by other programs for
/// what the plan sends.
pub(crate) fn ignored_proxies(plan: &Plan, env: &BTreeMap<String, String>) -> Vec<Diagnostic> {
    let mut warnings = BTreeMap::new();
    for (scheme, host, port) in origins(plan) {
        let Some(variable) = proxy_for(&scheme, env) else {
            continue;
        };
        if is_loopback(&host, port) || is_exempt(&host, env) {
            continue;
        }
        warnings.entry(variable).or_insert(host);
    }
    warnings
        .into_iter()
        .map(|(variable, host)| {
            Diagnostic::warning(
                Diagnosis::ProxyIgnored,
                format!("{variable} is set, and proxies are not used yet"),
            )
            .note(format!("requests to {host} go straight there"))
            .help(format!("unset {variable}, or add {host} to NO_PROXY"))
        })
        .collect()
}

fn proxy_for(scheme: &str, env: &BTreeMap<String, String>) -> Option<&'static str> {
    let names: &[&'static str] = match scheme {
        "https" => &["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"],
        _ => &["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"],
    };
    names
        .iter()
        .copied()
        .find(|name| env.get(*name).is_some_and(|value| !value.is_empty()))
}

/// Whether `NO_PROXY` has the host: by name, by suffix, or by `*`.
fn is_exempt(host: &str, env: &BTreeMap<String, String>) -> bool {
    let list = ["NO_PROXY", "no_proxy"]
        .iter()
        .find_map(|name| env.get(*name))
        .map_or("", String::as_str);
    list.split(',').map(str::trim).any(|entry| {
        let suffix = entry.trim_start_matches("*.").trim_start_matches('.');
        entry == "*"
            || (!suffix.is_empty() && (host == suffix || host.ends_with(&format!(".{suffix}"))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_judged_by_the_address() {
        for host in [
            "127.0.0.1",
            "127.8.8.8",
            "::1",
            "::ffff:127.0.0.1",
            "localhost",
        ] {
            assert!(is_loopback(host, 80), "{host}");
        }
        for host in ["10.0.0.1", "0.0.0.0", "::", "192.0.2.1"] {
            assert!(!is_loopback(host, 80), "{host}");
        }
    }

    #[test]
    fn no_proxy_exempts_names_and_suffixes() {
        let env = |value: &str| BTreeMap::from([("NO_PROXY".to_owned(), value.to_owned())]);
        assert!(is_exempt("a.example.com", &env("localhost, .example.com")));
        assert!(is_exempt("example.com", &env("example.com")));
        assert!(is_exempt("anything", &env("*")));
        assert!(!is_exempt("notexample.com", &env("example.com")));
        assert!(!is_exempt("example.com", &env("")));
    }

    #[test]
    fn each_scheme_has_its_own_proxy() {
        let env = BTreeMap::from([("HTTPS_PROXY".to_owned(), "http://p:1".to_owned())]);
        assert_eq!(proxy_for("https", &env), Some("HTTPS_PROXY"));
        assert_eq!(proxy_for("http", &env), None);
    }

    #[test]
    fn origins_have_hosts_without_brackets() {
        assert_eq!(
            origin("http://[::1]:8080/x"),
            Some(("http".to_owned(), "::1".to_owned(), 8080))
        );
        assert_eq!(
            origin("https://a.example/x"),
            Some(("https".to_owned(), "a.example".to_owned(), 443))
        );
    }
}
