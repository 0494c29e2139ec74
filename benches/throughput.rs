//! How many attempts a second, how much memory, how long the report takes:
//! `cargo bench --bench throughput`.
//!
//! A small order API in memory (a process of its own, idempotency done right)
//! stands in for a fast target. `retrial run` puts 10 000 trials of `burst: 5` on
//! it, `retrial report` judges the record again, and `wrk`, where it is
//! installed, sends plain POSTs at the same concurrency, all in one go, so that
//! the ratio holds whatever the machine is doing.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::convert::Infallible;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Trials in flight, five attempts each.
const JOBS: usize = 8;
const COPIES: usize = 5;

/// Orders by key.
type Orders = Arc<Mutex<HashMap<String, usize>>>;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "--serve") {
        serve();
        return;
    }
    let trials = arguments
        .iter()
        .filter_map(|argument| argument.strip_prefix("--trials="))
        .find_map(|n| n.parse().ok())
        .unwrap_or(10_000);
    measure(trials);
}

fn measure(trials: usize) {
    let folder = tempfile::tempdir().expect("a folder for the record");
    let (_server, address) = start_server();
    let scenario = folder.path().join("fast.yaml");
    fs::write(
        &scenario,
        format!(
            "scenario: fast\ntarget: http://{address}\noperation:\n  request: POST /orders\n  json: {{ sku: A }}\n\
             patterns:\n  - burst: {COPIES}\neffects:\n  orders:\n    get: /orders?key=${{{{ key }}}}\n    count: $[*]\n\
             contract: {{ stuck_after: 5s }}\n"
        ),
    )
    .expect("the scenario is written");

    let out = folder.path().join("run");
    let mut command = retrial();
    command
        .args([
            "run",
            "--seed",
            "1",
            "--max-requests",
            "10000000",
            "--progress",
            "none",
        ])
        .args(["--trials", &trials.to_string(), "--jobs", &JOBS.to_string()])
        .args(["--time", "30m"])
        .arg("--out")
        .arg(&out)
        .arg(&scenario);
    let (wall, peak_kib, code) = watched(&mut command);
    let facts = facts(&out.join("history.jsonl"));
    println!("trials           {trials} of burst: {COPIES}, {JOBS} in flight");
    println!("exit code        {code}");
    println!(
        "run              {wall:.1} s, peak memory {} MB",
        peak_kib / 1024
    );
    println!(
        "record           {} attempts in history.jsonl",
        facts.attempts
    );
    let rate = rate(facts.attempts, facts.trials_ns);
    println!("attempts         {rate:.0} a second while trials ran");

    let mut command = retrial();
    command.arg("report").arg(&out);
    let (wall, peak_kib, _) = watched(&mut command);
    println!(
        "report           {wall:.2} s, peak memory {} MB",
        peak_kib / 1024
    );

    match wrk(&address) {
        Some(plain) => println!(
            "wrk              {plain:.0} a second, ratio {:.2}",
            rate / plain
        ),
        None => println!("wrk              not installed"),
    }
}

fn retrial() -> Command {
    Command::new(env!("CARGO_BIN_EXE_retrial"))
}

/// Runs a command to its end: seconds, peak memory in KiB, exit code.
fn watched(command: &mut Command) -> (f64, u64, i32) {
    let start = now();
    let mut child = command
        .stdout(Stdio::null())
        .spawn()
        .expect("the command starts");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let code = loop {
        if let Ok(text) = fs::read_to_string(&status) {
            peak = text
                .lines()
                .find_map(|line| line.strip_prefix("VmHWM:"))
                .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
                .unwrap_or(peak);
        }
        if let Some(status) = child.try_wait().expect("the command can be waited for") {
            break status.code().unwrap_or(-1);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    };
    (start.elapsed().as_secs_f64(), peak, code)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark has a clock of its own"
)]
fn now() -> Instant {
    Instant::now()
}

struct Facts {
    attempts: u64,
    trials_ns: u64,
}

/// What the record says: attempts of the trials of cases, and how long that
/// phase took.
fn facts(history: &Path) -> Facts {
    let text = fs::read_to_string(history).expect("the record is there");
    let (mut attempts, mut begun, mut over) = (0, None, 0);
    for line in text.lines().skip(1) {
        let event: serde_json::Value = serde_json::from_str(line).expect("a line is an event");
        let at = event["at"].as_u64().unwrap_or(0);
        match event["kind"]["phase"]["phase"].as_str() {
            Some("trials") => begun = Some(at),
            Some("quiet") => over = at,
            _ => {}
        }
        if begun.is_some() && event["kind"]["exchange"]["part"]["attempt"].is_u64() {
            attempts += 1;
        }
    }
    Facts {
        attempts,
        trials_ns: over.saturating_sub(begun.unwrap_or(0)),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate is no count")]
fn rate(attempts: u64, ns: u64) -> f64 {
    attempts as f64 / (ns as f64 / 1e9)
}

/// Requests a second of a plain load generator at the same concurrency.
fn wrk(address: &str) -> Option<f64> {
    let script = tempfile::Builder::new().suffix(".lua").tempfile().ok()?;
    fs::write(
        script.path(),
        "local n = 0\nlocal id = tostring({}):sub(8)\nrequest = function()\n  n = n + 1\n  \
         return wrk.format('POST', '/orders', {['Idempotency-Key'] = id .. '-' .. n, \
         ['Content-Type'] = 'application/json'}, '{\"sku\":\"A\"}')\nend\n",
    )
    .ok()?;
    let output = Command::new("wrk")
        .args([
            "-t",
            "1",
            "-d",
            "5s",
            "-c",
            &(JOBS * COPIES).to_string(),
            "-s",
        ])
        .arg(script.path())
        .arg(format!("http://{address}/"))
        .output()
        .ok()?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(|line| line.trim().strip_prefix("Requests/sec:"))
        .and_then(|rest| rest.trim().parse().ok())
}

/// The server in a process of its own, so that its memory and its threads are
/// not ours; it is killed with this value.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_server() -> (Server, String) {
    let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
        .arg("--serve")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let mut address = String::new();
    BufReader::new(child.stdout.take().expect("its output is piped"))
        .read_line(&mut address)
        .expect("the server says where it listens");
    (Server(child), address.trim().to_owned())
}

fn serve() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        println!("{}", listener.local_addr().expect("it is bound"));
        let orders = Orders::default();
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            let orders = Arc::clone(&orders);
            tokio::spawn(async move {
                // Delays of small packets are no part of what is measured.
                let _ = stream.set_nodelay(true);
                let service = service_fn(|request| answer(request, Arc::clone(&orders)));
                // A peer that goes away is no fault of the server.
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
}

async fn answer(
    request: Request<Incoming>,
    orders: Orders,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let key = request
        .headers()
        .get("idempotency-key")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let wanted = request
        .uri()
        .query()
        .and_then(|query| query.strip_prefix("key="))
        .map(str::to_owned);
    let is_post = request.method() == hyper::Method::POST;
    let _ = request.into_body().collect().await;
    let mut orders = orders.lock().expect("nobody panics holding it");
    let (status, body) = match (is_post, key, wanted) {
        (true, Some(key), _) => {
            let next = orders.len() + 1;
            let id = *orders.entry(key).or_insert(next);
            (StatusCode::CREATED, format!("{{\"id\":{id}}}"))
        }
        (false, _, Some(key)) => {
            let list = orders.get(&key).map(|id| format!("{{\"id\":{id}}}"));
            (StatusCode::OK, format!("[{}]", list.unwrap_or_default()))
        }
        _ => (StatusCode::BAD_REQUEST, "{}".to_owned()),
    };
    drop(orders);
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    Ok(response)
}
