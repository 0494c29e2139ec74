//! The whole line over HTTP/2 against a server that speaks nothing else, in the clear and over TLS: a check-then-act race is found, and the same shop with the gap closed is not accused.

use assert_cmd::Command;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Looks the key up, works, stores it.
    CheckThenAct,
    /// Does all of that under one lock.
    Safe,
}

#[derive(Default)]
struct Shop {
    keys: Mutex<BTreeMap<String, Value>>,
    orders: Mutex<Vec<(String, Value)>>,
    one_at_a_time: tokio::sync::Mutex<()>,
    connections: AtomicUsize,
    /// Streams that one connection carried at the most.
    streams: AtomicUsize,
}

impl Shop {
    fn known(&self, key: &str) -> Option<Value> {
        self.keys.lock().expect("nobody panics").get(key).cloned()
    }

    fn place(&self, key: &str, reference: &str) -> Value {
        let mut orders = self.orders.lock().expect("nobody panics");
        let order = json!({"id": orders.len(), "reference": reference});
        orders.push((reference.to_owned(), order.clone()));
        let mut keys = self.keys.lock().expect("nobody panics");
        keys.insert(key.to_owned(), order.clone());
        order
    }

    fn of(&self, query: &str) -> Value {
        let orders = self.orders.lock().expect("nobody panics");
        let asked = query.trim_start_matches("reference=");
        let mine = orders.iter().filter(|(reference, _)| reference == asked);
        Value::Array(mine.map(|(_, order)| order.clone()).collect())
    }

    async fn answer(&self, way: Way, request: hyper::Request<Incoming>) -> (u16, Value) {
        assert_eq!(request.version(), hyper::Version::HTTP_2);
        let (head, body) = request.into_parts();
        if head.method != "POST" {
            return (200, self.of(head.uri.query().unwrap_or_default()));
        }
        let Ok(body) = body.collect().await else {
            return (400, json!({"error": "cut"}));
        };
        let Ok(order) = serde_json::from_slice::<Value>(&body.to_bytes()) else {
            return (400, json!({"error": "not JSON"}));
        };
        let key = head.headers.get("idempotency-key");
        let key = key.and_then(|key| key.to_str().ok()).unwrap_or_default();
        let reference = order["reference"].as_str().unwrap_or_default();
        let _lock = match way {
            Way::Safe => Some(self.one_at_a_time.lock().await),
            Way::CheckThenAct => None,
        };
        if let Some(known) = self.known(key) {
            return (201, known);
        }
        // Long enough for a sweep of resets to fall into it.
        tokio::time::sleep(Duration::from_millis(10)).await;
        (201, self.place(key, reference))
    }
}

async fn serve(shop: Arc<Shop>, way: Way, acceptor: Option<TlsAcceptor>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (shop, acceptor) = (Arc::clone(&shop), acceptor.clone());
            socket.set_nodelay(true).expect("it is a TCP socket");
            tokio::spawn(async move {
                shop.connections.fetch_add(1, Ordering::Relaxed);
                let carried = Arc::new(AtomicUsize::new(0));
                let service = service_fn(|request| {
                    let (shop, carried) = (Arc::clone(&shop), Arc::clone(&carried));
                    async move {
                        let streams = carried.fetch_add(1, Ordering::Relaxed) + 1;
                        shop.streams.fetch_max(streams, Ordering::Relaxed);
                        let (status, body) = shop.answer(way, request).await;
                        let answer = hyper::Response::builder().status(status);
                        let answer = answer.header("content-type", "application/json");
                        Ok::<_, Infallible>(
                            answer
                                .body(Full::new(Bytes::from(body.to_string())))
                                .expect("status and header are right"),
                        )
                    }
                });
                let server = http2::Builder::new(TokioExecutor::new());
                // Clients go away in the middle: that is what is tried.
                match acceptor {
                    None => {
                        let _ = server.serve_connection(TokioIo::new(socket), service).await;
                    }
                    Some(acceptor) => {
                        let Ok(tls) = acceptor.accept(socket).await else {
                            return;
                        };
                        let _ = server.serve_connection(TokioIo::new(tls), service).await;
                    }
                }
            });
        }
    });
    port
}

/// TLS that chooses among `protocols`; the CA certificate lies in `folder`.
fn acceptor(folder: &Path, protocols: &[&[u8]]) -> TlsAcceptor {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()])
        .expect("a certificate can be made");
    fs::write(folder.join("ca.pem"), own.cert.pem()).expect("the folder can be written to");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .expect("key and certificate belong together");
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

const SCENARIO: &str = r#"
scenario: orders
target: { url: "URL", HTTPtimeout: 5s }
operation:
  request: POST /orders
  json: { reference: "${{ marker }}" }
effects:
  orders:
    get: /orders?reference=${{ marker }}
    count: $[*]
    within: 2s
    stable_for: 100ms
    every: 50ms
patterns:
  - replay
  - burst: { attempts: 5 }
  - burst: { attempts: 2, keys: 5, connections: 2 }
  - reset
  - timeout
  - cut_request
  - cut_response
  - drop_response
  - stagger
budget: { trials: 12 }
"#;

/// Runs the scenario; exit code, what was said, the report.
async fn run(folder: &Path, url: &str, in_file: bool) -> (i32, String, Value) {
    let http = if in_file { "http: 2, " } else { "" };
    let text = SCENARIO.replace("URL", url).replace("HTTP", http);
    fs::write(folder.join("orders.yaml"), text).expect("the folder can be written to");
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("retrial"));
    command.current_dir(folder).env_clear().args([
        "run",
        "orders.yaml",
        "--seed",
        "1",
        "--out",
        "out",
    ]);
    if !in_file {
        command.args(["--http", "2"]);
    }
    if folder.join("ca.pem").exists() {
        command.args(["--ca-file", "ca.pem"]);
    }
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("waiting does not panic")
        .expect("the binary runs");
    let said = String::from_utf8([output.stdout, output.stderr].concat()).expect("it is text");
    let report = fs::read(folder.join("out/report.json")).ok();
    let report = report.and_then(|report| serde_json::from_slice(&report).ok());
    let code = output.status.code().expect("it was not killed");
    (code, said, report.unwrap_or_default())
}

fn hazards(report: &Value) -> BTreeSet<String> {
    let cases = report["cases"].as_array().expect("a report has cases");
    let findings = cases
        .iter()
        .filter_map(|case| case["findings"].as_array())
        .flatten();
    findings
        .filter_map(|finding| finding["hazard"].as_str())
        .map(str::to_owned)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_race_is_found_over_http2_and_a_safe_shop_passes() {
    for tls in [false, true] {
        for way in [Way::CheckThenAct, Way::Safe] {
            let folder = tempfile::tempdir().expect("a folder can be made");
            let acceptor = tls.then(|| acceptor(folder.path(), &[b"h2"]));
            let shop = Arc::new(Shop::default());
            let port = serve(Arc::clone(&shop), way, acceptor).await;
            let scheme = if tls { "https" } else { "http" };
            let url = format!("{scheme}://localhost:{port}");
            let (code, said, report) = run(folder.path(), &url, way == Way::Safe).await;
            match way {
                Way::CheckThenAct => {
                    assert_eq!(code, 1, "{said}");
                    assert!(
                        hazards(&report).contains("duplicate-effect-concurrent"),
                        "{said}"
                    );
                }
                Way::Safe => {
                    assert_eq!(code, 0, "{said}");
                    assert!(hazards(&report).is_empty(), "{said}");
                }
            }
            // Bursts share a connection in half of their trials.
            assert!(shop.streams.load(Ordering::Relaxed) >= 5);
            assert!(shop.connections.load(Ordering::Relaxed) >= 20);
            let history = fs::read_to_string(folder.path().join("out/history.jsonl"));
            let history = history.expect("a run is recorded");
            let over = |connections: u32| {
                let part = format!("\"connections\":{connections},");
                history.lines().filter(|line| line.contains(&part)).count()
            };
            // Half of the trials of the first burst, and one control; half of
            // the trials of the second are planned over two.
            assert_eq!((over(1), over(2), over(5)), (6 + 1, 12, 6), "{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_without_http2_is_a_clear_fact() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    // TLS that knows of no protocol at all, and one that knows only another.
    for protocols in [&[][..], &[&b"http/1.1"[..]]] {
        let acceptor = acceptor(folder.path(), protocols);
        let port = serve(Arc::default(), Way::Safe, Some(acceptor)).await;
        let url = format!("https://localhost:{port}");
        let _ = fs::remove_dir_all(folder.path().join("out"));
        let (code, said, _) = run(folder.path(), &url, true).await;
        assert_eq!(code, 4, "{said}");
        let history = fs::read_to_string(folder.path().join("out/history.jsonl"));
        let history = history.expect("a run is recorded");
        let tells = if protocols.is_empty() {
            "did not choose HTTP/2"
        } else {
            "NoApplicationProtocol"
        };
        assert!(history.contains(tells), "{history}");
    }
}
