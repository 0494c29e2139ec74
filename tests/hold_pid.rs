//! `--hold-pid`: a local target stands still while a burst is laid, and goes on
//! afterwards, whatever happens to us.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are outside of tests to the linter"
)]

#[path = "support/command.rs"]
mod command;

use command::{said, say};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A process that is killed with the value.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("it starts"))
    }

    fn id(&self) -> String {
        self.0.id().to_string()
    }

    fn stands(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        stat.rsplit_once(')').unwrap().1.trim().starts_with('T')
    }

    /// Whether it comes to stand, or to run, before long.
    fn comes_to(&self, standing: bool) -> bool {
        (0..200).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            self.stands() == standing
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sleeper() -> Running {
    Running::start(Command::new("sleep").arg("60"))
}

fn scenario(folder: &Path, url: &str) {
    let text = format!(
        "scenario: orders\ntarget: {url}\noperation:\n  request: POST /orders\n  json: {{ sku: A, quantity: 1, reference: \"${{{{ marker }}}}\" }}\n\
         effects:\n  orders:\n    get: /orders?reference=${{{{ marker }}}}\n    count: $[*]\n\
         patterns: [burst: 3]\n"
    );
    fs::write(folder.join("orders.yaml"), text).unwrap();
}

#[test]
fn the_target_stands_still_around_each_burst_and_runs_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let mut shop = Running::start(
        Command::new(assert_cmd::cargo::cargo_bin!("retrial"))
            .args(["demo", "--serve", "--listen", "127.0.0.1:0"])
            .args(["--flaw", "check-then-act"])
            .stdout(Stdio::piped()),
    );
    let mut lines = BufReader::new(shop.0.stdout.take().unwrap()).lines();
    let url = lines
        .find_map(|line| {
            let line = line.unwrap();
            let start = line.find("http://")?;
            Some(line[start..].split([',', ' ']).next()?.to_owned())
        })
        .expect("it says where it listens");
    scenario(folder.path(), &url);
    let words = [
        "run",
        "orders.yaml",
        "--seed",
        "1",
        "--trials",
        "12",
        "--out",
        "record",
        "--hold-pid",
        &shop.id(),
    ];
    let said = said(command::retrial(folder.path()).args(words).env("USER", "x"));
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    assert!(
        said.out.contains("duplicate-effect-concurrent"),
        "{}",
        said.out
    );
    assert!(shop.comes_to(false));
    let history = fs::read_to_string(folder.path().join("record/history.jsonl")).unwrap();
    let released: Vec<serde_json::Value> = history
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter_map(|event| event["kind"].get("released").cloned())
        .filter(|released| released["attempts"] == 3)
        .collect();
    assert_eq!(released.len(), 12);
    // A thread that waits for a disk may take longer than it is given.
    let stood = released
        .iter()
        .filter(|it| it["stood_still"] == true)
        .count();
    assert!(stood >= 6, "{stood} of 12");
}

#[test]
fn the_guard_continues_what_stands_once_its_starter_is_gone() {
    let sleeper = sleeper();
    let mut guard = Running::start(
        Command::new(assert_cmd::cargo::cargo_bin!("retrial"))
            .args(["hold-guard", &sleeper.id()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null()),
    );
    let stopped = Command::new("kill").args(["-STOP", &sleeper.id()]).status();
    assert!(stopped.unwrap().success());
    assert!(sleeper.comes_to(true));
    drop(guard.0.stdin.take());
    assert!(sleeper.comes_to(false));
    assert!(guard.0.wait().unwrap().success());
}

#[test]
fn a_process_that_stands_when_retrial_is_killed_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    // It accepts and never answers, so that the run waits.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    scenario(
        folder.path(),
        &format!("http://{}", silent.local_addr().unwrap()),
    );
    let sleeper = sleeper();
    let mut run = Running::start(
        Command::new(assert_cmd::cargo::cargo_bin!("retrial"))
            .current_dir(folder.path())
            .args(["run", "orders.yaml", "--hold-pid", &sleeper.id()])
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    );
    // Once it connects, it holds the process and has its guard.
    silent.accept().unwrap();
    let stopped = Command::new("kill").args(["-STOP", &sleeper.id()]).status();
    assert!(stopped.unwrap().success());
    assert!(sleeper.comes_to(true));
    run.0.kill().unwrap();
    run.0.wait().unwrap();
    assert!(sleeper.comes_to(false));
}

#[test]
fn what_must_not_or_cannot_be_held_is_refused_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    scenario(folder.path(), "http://127.0.0.1:9");
    let mine = std::process::id().to_string();
    let gone = {
        let mut short = Command::new("true").spawn().unwrap();
        short.wait().unwrap();
        short.id().to_string()
    };
    let stopped = sleeper();
    let status = Command::new("kill").args(["-STOP", &stopped.id()]).status();
    assert!(status.unwrap().success());
    assert!(stopped.comes_to(true));
    let stopped_id = stopped.id();
    for (id, words) in [
        (mine.as_str(), "retrial runs under it"),
        (gone.as_str(), "cannot be held"),
        (stopped_id.as_str(), "is stopped already"),
        ("1", "2.."),
        ("x", "invalid"),
    ] {
        let said = say(folder.path(), &["run", "orders.yaml", "--hold-pid", id]);
        assert_eq!(said.code, 2, "{id}: {}", said.err);
        assert!(said.err.contains(words), "{id}: {}", said.err);
        assert!(!folder.path().join(".retrial").exists());
    }
    assert!(stopped.stands());
}

#[test]
fn a_target_elsewhere_cannot_be_held() {
    let folder = tempfile::tempdir().unwrap();
    scenario(folder.path(), "http://192.0.2.1:9");
    let sleeper = sleeper();
    let id = sleeper.id();
    let words = [
        "run",
        "orders.yaml",
        "--allow-host",
        "192.0.2.1",
        "--dry-run",
        "--hold-pid",
        &id,
    ];
    // A dry run sends nothing and holds nothing.
    assert_eq!(say(folder.path(), &words).code, 0);
    let words = [
        "run",
        "orders.yaml",
        "--allow-host",
        "192.0.2.1",
        "--hold-pid",
        &id,
    ];
    let said = say(folder.path(), &words);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.err.contains("target on this machine"), "{}", said.err);
}
