//! A world that does not play along: targets that hang or lie, probes that lag,
//! files that are no scenarios, disks that are full, runs that are killed. Each
//! ends in bounded time, with a message that says what is wrong and the exit code
//! for it, and leaves a record that can be judged again.

#[path = "support/server.rs"]
mod server;

use assert_cmd::Command;
use flate2::write::GzEncoder;
use serde_json::Value;
use server::{Answer, Flow, Request, Server, Shop};
use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

/// No run of this file may take longer.
const BOUND: Duration = Duration::from_secs(40);

struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn by(output: Output) -> Self {
        let err = String::from_utf8(output.stderr).expect("stderr is text");
        let Some(code) = output.status.code() else {
            panic!("it was killed, for it took longer than {BOUND:?}: {err}");
        };
        Self {
            code,
            out: String::from_utf8(output.stdout).expect("stdout is text"),
            err,
        }
    }

    #[track_caller]
    fn ended_with(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    #[track_caller]
    fn says(&self, part: &str) -> &Self {
        assert!(
            self.out.contains(part) || self.err.contains(part),
            "nothing says `{part}`: {self}"
        );
        self
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "exit {}\n{}{}", self.code, self.out, self.err)
    }
}

fn retrial(folder: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("retrial"));
    command
        .current_dir(folder)
        .env_clear()
        .env("COLUMNS", "100")
        .timeout(BOUND);
    command
}

fn say(folder: &Path, words: &[&str]) -> Said {
    Said::by(retrial(folder).args(words).output().expect("it runs"))
}

/// A folder with a scenario for this target, as impatient as it may be.
fn project(url: &str, within: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(folder.path().join(".git")).expect("a folder");
    let text = format!(
        "scenario: world
target: {{ url: '{url}', timeout: 1s, quiet: 50ms }}
operation:
  request: POST /orders
  json:
    reference: ${{{{ marker }}}}
  retry: {{ max: 2, backoff: 50ms..100ms }}
contract: {{ stuck_after: 1s }}
patterns:
  - replay: 2
  - burst: 3
budget: {{ trials: 2 }}
effects:
  orders:
    get: /orders?reference=${{{{ marker }}}}
    count: $[*]
    within: {within}
    stable_for: 100ms
    every: 50ms
"
    );
    fs::write(folder.path().join("world.yaml"), text).expect("a file");
    folder
}

const RUN: [&str; 6] = ["run", "world.yaml", "--out", "here", "--seed", "1"];

/// Runs against a target and reports once more from the record, which has to say
/// the same.
#[track_caller]
fn run_within(url: &str, within: &str) -> Said {
    let folder = project(url, within);
    let ran = say(folder.path(), &RUN);
    let again = say(folder.path(), &["report", "here"]);
    assert_eq!(
        again.code, ran.code,
        "the record says otherwise: {again}{ran}"
    );
    let stored = fs::read(folder.path().join("here/report.json")).expect("a report");
    let stored: Value = serde_json::from_slice(&stored).expect("it is JSON");
    assert_eq!(stored["run"]["exit_code"], ran.code, "{ran}");
    ran
}

/// The same with the usual patience.
#[track_caller]
fn run(url: &str) -> Said {
    run_within(url, "500ms")
}

/// A shop whose orders are answered by `orders`; the rest of it is well-behaved.
fn orders(
    orders: impl Fn(&Shop, &Request, &mut TcpStream) -> Flow + Send + Sync + 'static,
) -> Server {
    let shop = Shop::default();
    Server::start(move |request, stream| {
        if request.is_order() {
            orders(&shop, request, stream)
        } else {
            shop.answer(request).write(stream)
        }
    })
}

/// A shop that takes orders as it should and whose probe is `probe`.
fn probe(probe: impl Fn(&Shop, &Request) -> Answer + Send + Sync + 'static) -> Server {
    let shop = Shop::default();
    Server::start(move |request, stream| {
        if request.is_order() {
            shop.answer(request).write(stream)
        } else {
            probe(&shop, request).write(stream)
        }
    })
}

fn text(status: u16, content_type: &str, body: &str) -> Answer {
    Answer {
        status,
        headers: vec![("Content-Type", content_type.to_owned())],
        body: body.as_bytes().to_vec(),
    }
}

/// So many zeros, a thousandth of that on the wire.
fn bomb(bytes: usize) -> Answer {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![0; bytes]).expect("a Vec takes it");
    Answer {
        status: 201,
        headers: vec![("Content-Encoding", "gzip".to_owned())],
        body: encoder.finish().expect("a Vec takes it"),
    }
}

/// Writes the same for ever, until the other side has enough.
fn for_ever(stream: &mut TcpStream, start: &str, again: &[u8]) -> Flow {
    let mut written = stream.write_all(start.as_bytes());
    while written.is_ok() {
        written = stream.write_all(again);
    }
    Flow::Close
}

// Targets.

#[test]
fn a_target_that_refuses_connections_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port left");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    run(&format!("http://{address}"))
        .ended_with(4)
        .says("target-unreachable: nothing could be sent to the target");
}

#[test]
fn a_target_that_never_answers_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port left");
    let address = listener.local_addr().expect("it is bound");
    // The system accepts and nobody reads.
    run(&format!("http://{address}"))
        .ended_with(4)
        .says("target-unreachable: no clean operation was accepted");
    drop(listener);
}

#[test]
fn a_target_whose_answers_are_garbage_is_unreachable() {
    let server = Server::start(|_, stream| {
        // The result does not matter: the connection ends with it.
        let _ = stream.write_all(b"\x16\x03\x01 220 smtp.example.test ready\r\n\r\n");
        Flow::Close
    });
    run(&server.url)
        .ended_with(4)
        .says("target-unreachable: no clean operation was accepted");
}

#[test]
fn a_target_that_closes_instead_of_answering_is_unreachable() {
    let server = orders(|_, _, _| Flow::Close);
    run(&server.url)
        .ended_with(4)
        .says("target-unreachable: no clean operation was accepted");
}

#[test]
fn a_target_that_closes_inside_its_answers_is_unreachable() {
    let server = orders(|shop, request, stream| {
        shop.answer(request);
        let _ = stream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 50\r\n\r\n{\"id\"");
        Flow::Close
    });
    run(&server.url)
        .ended_with(4)
        .says("target-unreachable: no clean operation was accepted");
}

#[test]
fn a_body_without_an_end_is_no_answer() {
    let server = orders(|_, _, stream| {
        let start = "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n";
        for_ever(stream, start, b"4\r\nmore\r\n")
    });
    run(&server.url)
        .ended_with(4)
        .says("target-unreachable: no clean operation was accepted");
}

#[test]
fn a_header_without_an_end_is_no_answer() {
    let server =
        orders(|_, _, stream| for_ever(stream, "HTTP/1.1 201 Created\r\nX-Long: ", &[b'a'; 4096]));
    run(&server.url)
        .ended_with(4)
        .says("target-unreachable: no clean operation was accepted");
    let server = orders(|_, _, stream| {
        for_ever(
            stream,
            "HTTP/1.1 201 Created\r\n",
            b"X-More: of the same\r\n",
        )
    });
    run(&server.url)
        .ended_with(4)
        .says("target-unreachable: no clean operation was accepted");
}

#[test]
fn a_compressed_bomb_is_no_answer() {
    let server = orders(|shop, request, stream| {
        shop.answer(request);
        bomb(32 * 1024 * 1024).write(stream)
    });
    run(&server.url)
        .ended_with(4)
        .says("target-unreachable: no clean operation was accepted");
}

#[test]
fn interim_answers_and_chunks_with_trailers_are_ordinary() {
    let server = orders(|shop, request, stream| {
        let body = String::from_utf8(shop.answer(request).body).expect("it is JSON");
        let (start, end) = body.split_at(7);
        let answer = format!(
            "HTTP/1.1 102 Processing\r\n\r\n\
             HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n\
             HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\
             Content-Type: application/json\r\n\r\n\
             {:x};note=\"a;b\"\r\n{start}\r\n{:X}\r\n{end}\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n",
            start.len(),
            end.len()
        );
        Flow::after(stream.write_all(answer.as_bytes()))
    });
    run(&server.url).ended_with(0);
}

#[test]
fn losers_may_wait_for_the_first_and_then_get_its_answer() {
    let server = Server::start({
        let shop = Shop::default();
        let till = Mutex::new(());
        move |request, stream| {
            // Slow enough that all attempts of a burst are there before the first
            // is through.
            let _mine = request.is_order().then(|| {
                let mine = till.lock().expect("no handler panics");
                thread::sleep(Duration::from_millis(30));
                mine
            });
            shop.answer(request).write(stream)
        }
    });
    run(&server.url).ended_with(0);
}

#[test]
fn a_replay_may_be_answered_200_where_the_first_was_201() {
    let server = orders(|shop, request, stream| shop.order(request, 200).write(stream));
    run(&server.url).ended_with(0);
}

// Probes.

#[test]
fn a_probe_that_never_works_is_unreadable() {
    let server = probe(|_, _| text(500, "text/plain", "no database"));
    run(&server.url)
        .ended_with(4)
        .says("probe-unreadable")
        .says("500 Internal Server Error");
}

#[test]
fn a_probe_that_is_forbidden_is_unreadable_at_once() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let server = probe(move |_, _| {
        counted.fetch_add(1, Ordering::Relaxed);
        text(403, "text/plain", "no")
    });
    // Whoever waited for it would not come back in time.
    run_within(&server.url, "1h")
        .ended_with(4)
        .says("probe-unreadable")
        .says("403 Forbidden");
    assert!(asked.load(Ordering::Relaxed) < 100);
}

#[test]
fn a_probe_that_speaks_html_is_unreadable() {
    let server = probe(|_, _| text(200, "text/html", "<html>Please log in</html>"));
    run_within(&server.url, "1h")
        .ended_with(4)
        .says("probe-unreadable")
        .says("a body that is not JSON");
}

#[test]
fn a_probe_that_knows_nothing_yet_counts_nothing() {
    let known = Mutex::new(std::collections::BTreeSet::new());
    let server = probe(move |shop, request| {
        let mut known = known.lock().expect("no handler panics");
        if known.insert(request.target.clone()) {
            text(404, "text/plain", "no such reference")
        } else {
            shop.answer(request)
        }
    });
    run(&server.url).ended_with(0);
}

#[test]
fn a_probe_may_lag() {
    let visible = Arc::new(Shop::default());
    let shop = Shop::default();
    let server = Server::start(move |request, stream| {
        if !request.is_order() {
            return visible.answer(request).write(stream);
        }
        let answer = shop.answer(request);
        let visible = Arc::clone(&visible);
        let copy = request.clone();
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(1500));
            visible.answer(&copy);
        });
        answer.write(stream)
    });
    run_within(&server.url, "4s").ended_with(0);
}

// Files.

#[test]
fn without_a_scenario_there_is_nothing_to_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    say(folder.path(), &["run"])
        .ended_with(6)
        .says("nothing-to-run");
}

/// The scenario of `project` with one thing replaced.
fn but(from: &str, to: &str) -> Vec<u8> {
    let folder = project("http://127.0.0.1:9", "500ms");
    let text = fs::read_to_string(folder.path().join("world.yaml")).expect("a file");
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1).into_bytes()
}

fn alias_bomb() -> Vec<u8> {
    let mut text = "x_0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..20 {
        let below = level - 1;
        let many = vec![format!("*a{below}"); 10].join(", ");
        text = format!("{text}x_{level}: &a{level} [{many}]\n");
    }
    text.into_bytes()
}

#[test]
fn a_file_that_is_no_scenario_ends_with_2_and_its_code_before_anything_is_sent() {
    let files: [(&str, Vec<u8>); 11] = [
        ("empty-file", Vec::new()),
        ("empty-file", b"# nothing but this\n".to_vec()),
        ("file-too-large", vec![b'#'; 2 * 1024 * 1024]),
        (
            "not-utf-8",
            but("world", "w\u{f6}rld")
                .iter()
                .map(|byte| if *byte == 0xc3 { 0xff } else { *byte })
                .collect(),
        ),
        ("tab-indent", but("  request:", "\trequest:")),
        ("too-many-nodes", alias_bomb()),
        ("invalid-yaml", b"scenario: [world\n".to_vec()),
        ("unknown-field", but("patterns:", "paterns:")),
        ("unknown-pattern", but("burst: 3", "brust: 3")),
        (
            "undefined-value",
            but("marker }}\n  retry", "vars.nowhere }}\n  retry"),
        ),
        ("invalid-jsonpath", but("$[*]", "$[*")),
    ];
    for (code, bytes) in files {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("world.yaml"), bytes).expect("a file");
        let line = format!("error[{code}]");
        say(folder.path(), &["check", "world.yaml"])
            .ended_with(2)
            .says(&line);
        say(folder.path(), &RUN).ended_with(2).says(&line);
        assert!(!folder.path().join("here").exists(), "{code}");
    }
}

#[test]
fn what_is_named_and_not_there_ends_with_2() {
    let folder = project("http://127.0.0.1:9", "500ms");
    say(folder.path(), &["run", "nowhere.yaml"])
        .ended_with(2)
        .says("error[unreadable-file]");
    say(folder.path(), &["run", "world.yaml", "-e", "nowhere"])
        .ended_with(2)
        .says("error[unknown-environment]");
    say(folder.path(), &["report", "nowhere"])
        .ended_with(2)
        .says("error[usage]");
}

// Disks and signals.

#[test]
fn a_folder_that_holds_a_run_is_left_alone() {
    let shop = Shop::default();
    let server = Server::start(move |request, stream| shop.answer(request).write(stream));
    let folder = project(&server.url, "500ms");
    say(folder.path(), &RUN).ended_with(0);
    let history = folder.path().join("here/history.jsonl");
    let before = fs::read(&history).expect("a history");
    say(folder.path(), &RUN)
        .ended_with(2)
        .says("holds a run already");
    assert_eq!(fs::read(&history).expect("a history"), before);
    say(folder.path(), &["report", "here"]).ended_with(0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_full_does_not_take_the_report_with_it() {
    let shop = Arc::new(Shop::default());
    let asked = Arc::new(AtomicUsize::new(0));
    let server = Server::start({
        let (shop, asked) = (Arc::clone(&shop), Arc::clone(&asked));
        move |request, stream| {
            asked.fetch_add(1, Ordering::Relaxed);
            shop.answer(request).write(stream)
        }
    });
    let folder = project(&server.url, "500ms");
    say(folder.path(), &RUN).ended_with(0);
    let size = |name: &str| {
        let file = fs::metadata(folder.path().join("here").join(name));
        file.expect("it was written").len()
    };
    let (plan, history) = (size("plan.json"), size("history.jsonl"));
    // As many whole kilobytes as the plan needs and the history does not get.
    let enough = plan.div_ceil(1024);
    assert!(
        history > (enough + 2) * 1024,
        "plan {plan}, history {history}"
    );
    let limited = |kilobytes: u64, out: &str| {
        let binary = assert_cmd::cargo::cargo_bin!("retrial");
        let script = format!(
            "trap '' XFSZ; ulimit -f {kilobytes}; exec '{}' run world.yaml --seed 1 --out {out}",
            binary.display()
        );
        let mut bash = Command::new("/bin/bash");
        bash.current_dir(folder.path()).env_clear().timeout(BOUND);
        Said::by(bash.args(["-c", &script]).output().expect("bash runs"))
    };

    let said = limited(enough, "full");
    said.ended_with(4)
        .says("history.jsonl")
        .says("File too large");
    assert!(said.out.contains("2 passed"), "{said}");
    // What did fit is still there to be judged, and is never taken for the whole.
    let again = say(folder.path(), &["report", "full"]);
    again.says("the record ends before the run was through");
    assert_eq!(again.code, 130, "{again}");

    // Where not even the plan fits, nothing is sent.
    let before = asked.load(Ordering::Relaxed);
    limited(0, "nothing").ended_with(4).says("plan.json");
    assert_eq!(asked.load(Ordering::Relaxed), before);
    assert!(!folder.path().join("nothing/plan.json").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_report_that_cannot_be_written_is_an_error_beside_a_report_that_can() {
    let shop = Shop::default();
    let server = Server::start(move |request, stream| shop.answer(request).write(stream));
    let folder = project(&server.url, "500ms");
    let mut words = RUN.to_vec();
    words.extend(["--report", "junit=/dev/full"]);
    let said = say(folder.path(), &words);
    said.ended_with(4).says("/dev/full");
    assert!(said.out.contains("2 passed"), "{said}");
    say(folder.path(), &["report", "here"]).ended_with(0);

    let full = fs::File::options().write(true).open("/dev/full");
    let child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("retrial"))
        .current_dir(folder.path())
        .args(["report", "here"])
        .stdout(full.expect("Linux has it"))
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let output = child.wait_with_output().expect("it ends");
    Said::by(output).ended_with(4).says("No space left");
}

/// Starts a run that is too long to wait for, hands its process over once the
/// target was asked so many times, and returns its folder and its end.
#[cfg(unix)]
fn interrupted(
    after: usize,
    signal: &str,
    slow: impl Fn(usize) + Send + Sync + 'static,
) -> (tempfile::TempDir, Output) {
    let shop = Shop::default();
    let count = AtomicUsize::new(0);
    let (tell, told) = mpsc::channel();
    let server = Server::start(move |request, stream| {
        if request.is_order() {
            let number = count.fetch_add(1, Ordering::Relaxed);
            if number == after {
                // Nobody listens any more where the run has ended.
                let _ = tell.send(());
            }
            slow(number);
        }
        shop.answer(request).write(stream)
    });
    let folder = project(&server.url, "500ms");
    let child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("retrial"))
        .current_dir(folder.path())
        .env_clear()
        .args(RUN)
        .args(["--trials", "1000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    told.recv_timeout(BOUND).expect("the target is asked");
    let killed = std::process::Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status();
    assert!(killed.expect("kill runs").success());
    (folder, child.wait_with_output().expect("it ends"))
}

/// The cases of a record as `retrial report` tells them, with their reasons.
#[cfg(unix)]
fn reported(folder: &Path) -> (Said, Vec<(String, Vec<String>)>) {
    let said = say(folder, &["report", "here", "--report", "json=again.json"]);
    let bytes = fs::read(folder.join("again.json")).expect("a report");
    let report: Value = serde_json::from_slice(&bytes).expect("it is JSON");
    let word = |value: &Value| value.as_str().expect("it is a word").to_owned();
    let cases = report["cases"].as_array().expect("they are a list").iter();
    let cases = cases
        .map(|case| {
            let reasons = case["reasons"].as_array().expect("they are a list").iter();
            let reasons = reasons.map(|reason| word(&reason["code"])).collect();
            (word(&case["verdict"]), reasons)
        })
        .collect();
    (said, cases)
}

#[cfg(unix)]
#[test]
fn a_terminated_run_tells_what_is_known_although_the_target_hangs() {
    // From the first attempts of the cases on, nothing is answered any more.
    let (folder, output) = interrupted(60, "-TERM", |number| {
        if number >= 50 {
            thread::sleep(Duration::from_secs(5));
        }
    });
    let said = Said::by(output);
    said.ended_with(143).says("interrupted");
    assert!(folder.path().join("here/report.json").is_file());
    let (again, cases) = reported(folder.path());
    assert_eq!(again.code, 143, "{again}");
    assert_eq!(cases.len(), 2);
    for (verdict, reasons) in cases {
        assert_eq!(verdict, "inconclusive", "{again}");
        assert!(reasons.contains(&"interrupted".to_owned()), "{again}");
    }
}

#[cfg(unix)]
#[test]
fn a_killed_run_leaves_a_record_of_what_was_known() {
    let (folder, output) = interrupted(200, "-KILL", |_| {});
    assert_eq!(output.status.code(), None);
    assert!(!folder.path().join("here/report.json").exists());
    let (again, cases) = reported(folder.path());
    again
        .ended_with(130)
        .says("the record ends before the run was through");
    assert_eq!(cases.len(), 2);
    for (verdict, reasons) in cases {
        assert_eq!(verdict, "inconclusive", "{again}");
        assert!(reasons.contains(&"interrupted".to_owned()), "{again}");
    }
}
