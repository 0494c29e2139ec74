//! The commands that read scenarios, send and judge: argv → exit code, files and
//! what is said, against the demo shop of the same binary.

#[path = "support/command.rs"]
mod command;

use command::{retrial, said, say};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

/// A folder as `init` leaves it.
fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(folder.path().join(".git")).expect("a folder");
    assert_eq!(say(folder.path(), &["init"]).code, 0);
    folder
}

/// A demo shop in a process of its own, closed when dropped.
struct Shop {
    process: Child,
    url: String,
}

impl Shop {
    fn open(flaws: &[&str]) -> Self {
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("retrial"));
        command.args(["demo", "--serve", "--listen", "127.0.0.1:0"]);
        for flaw in flaws {
            command.args(["--flaw", flaw]);
        }
        let mut process = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let stdout = process.stdout.take().expect("it was asked for");
        let mut first = String::new();
        BufReader::new(stdout)
            .read_line(&mut first)
            .expect("the shop says where it is");
        let start = first.find("http://").expect("the shop says its URL");
        let url = first[start..]
            .split([',', ' '])
            .next()
            .expect("there is a first part")
            .to_owned();
        Self { process, url }
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const QUICK: [&str; 6] = ["--trials", "10", "--pattern", "replay", "--seed", "1"];

#[test]
fn init_writes_a_project_that_checks_and_never_overwrites_silently() {
    let folder = project();
    for file in [
        "retrial.yaml",
        "scenarios/create-order.yaml",
        ".retrial/scenario.schema.json",
    ] {
        assert!(folder.path().join(file).is_file(), "{file}");
    }
    let checked = say(folder.path(), &["check", "--deny", "warnings"]);
    assert_eq!(checked.code, 0, "{}", checked.err);

    let own = "scenario: mine\n";
    fs::write(folder.path().join("scenarios/create-order.yaml"), own).expect("a file");
    let again = say(folder.path(), &["init"]);
    assert_eq!(again.code, 0);
    assert!(again.out.contains("kept   scenarios/create-order.yaml"));
    let kept = fs::read_to_string(folder.path().join("scenarios/create-order.yaml"));
    assert_eq!(kept.expect("it is there"), own);
    assert_eq!(say(folder.path(), &["init", "--force"]).code, 0);
    assert_eq!(say(folder.path(), &["check"]).code, 0);
}

#[test]
fn init_writes_jobs_for_ci() {
    let folder = project();
    assert_eq!(say(folder.path(), &["init", "--ci", "github"]).code, 0);
    assert_eq!(say(folder.path(), &["init", "--ci", "gitlab"]).code, 0);
    assert!(
        folder
            .path()
            .join(".github/workflows/retrial.yml")
            .is_file()
    );
    assert!(
        folder
            .path()
            .join(".gitlab/retrial.gitlab-ci.yml")
            .is_file()
    );
}

#[test]
fn schemas_are_schemas() {
    let folder = project();
    for of in ["scenario", "project", "report"] {
        let said = say(folder.path(), &["schema", "--of", of]);
        assert_eq!(said.code, 0, "{of}");
        let schema: serde_json::Value = serde_json::from_str(&said.out).expect("it is JSON");
        assert!(jsonschema::meta::is_valid(&schema), "{of}");
    }
}

#[test]
fn every_mistake_of_a_file_is_told_and_check_ends_with_2() {
    let folder = project();
    fs::write(
        folder.path().join("scenarios/create-order.yaml"),
        "scenario: create-order\ntarget: http://localhost:8080\noperation:\n  request: PSOT /orders\npatern: [replay]\neffects:\n  orders:\n    get: /orders?reference=${{ marker }}\n    count: $.a[?@.id = '7']\n",
    )
    .expect("a file");
    let said = say(folder.path(), &["check"]);
    assert_eq!(said.code, 2);
    for code in ["unknown-method", "unknown-field", "invalid-jsonpath"] {
        let line = format!("error[{code}]");
        assert!(
            said.err.lines().any(|l| l.starts_with(&line)),
            "{code}: {}",
            said.err
        );
    }
    let json = say(folder.path(), &["check", "--format", "json"]);
    assert_eq!(json.code, 2);
    let document: serde_json::Value = serde_json::from_str(&json.out).expect("it is JSON");
    assert_eq!(document["errors"], 3);
}

#[test]
fn a_host_that_nobody_allowed_is_refused_before_anything_is_sent() {
    let folder = project();
    let words = ["run", "--target", "https://api.example.com"];
    let said = say(folder.path(), &words);
    assert_eq!(said.code, 5);
    assert_eq!(said.out, "");
    insta::assert_snapshot!(said.err, @r#"
    error[host-not-allowed]: refusing to send to api.example.com
     |
     = note: retrial sends duplicates on purpose; only loopback is allowed without asking
     = help: add "api.example.com" to `environments.<name>.allow_hosts` in retrial.yaml,
             or pass --allow-host api.example.com for this run
    "#);
    assert!(!folder.path().join(".retrial/runs").exists());
}

#[test]
fn a_plan_above_the_cap_is_refused() {
    let folder = project();
    let said = say(folder.path(), &["run", "--max-requests", "10"]);
    assert_eq!(said.code, 5);
    assert!(
        said.err
            .starts_with("error[over-limit]: the plan sends at least ")
    );
}

#[test]
fn filters_that_leave_nothing_end_with_6() {
    let folder = project();
    let words = ["run", "--case", "nothing::*"];
    assert_eq!(say(folder.path(), &words).code, 6);
    let allowed = ["run", "--case", "nothing::*", "--allow-empty"];
    assert_eq!(say(folder.path(), &allowed).code, 0);
}

#[test]
fn a_dry_run_prints_the_plan_and_writes_nothing() {
    let folder = project();
    let said = say(folder.path(), &["run", "--dry-run", "--seed", "7f3a9c21"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("seed 7f3a9c21"));
    assert!(said.out.contains("replay"));
    assert!(!folder.path().join(".retrial/runs").exists());
}

#[test]
fn in_ci_the_seed_is_1() {
    let folder = project();
    let said = said(
        retrial(folder.path())
            .args(["run", "--dry-run"])
            .env("CI", "true"),
    );
    assert!(said.out.contains("seed 1 "), "{}", said.out);
}

#[test]
fn a_right_shop_passes_and_leaves_a_record_that_can_be_reported_again() {
    let folder = project();
    let shop = Shop::open(&[]);
    let ran = said(
        retrial(folder.path())
            .args([
                "run",
                "--target",
                &shop.url,
                "--out",
                "here",
                "--report",
                "junit=j.xml",
            ])
            .args(QUICK),
    );
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    for file in [
        "here/plan.json",
        "here/history.jsonl",
        "here/report.json",
        "j.xml",
    ] {
        assert!(folder.path().join(file).is_file(), "{file}");
    }
    let again = say(folder.path(), &["report", "here"]);
    assert_eq!(again.code, 0, "{}", again.err);

    let second = said(
        retrial(folder.path())
            .args(["run", "--target", &shop.url, "--out", "here"])
            .args(QUICK),
    );
    assert_eq!(second.code, 2);
    // Before anything else is said of a run that is not going to be.
    assert!(
        second
            .err
            .starts_with("error[usage]: the folder `here` holds a run already")
    );
}

#[test]
fn a_shop_that_ignores_keys_fails_unless_only_a_report_is_wanted() {
    let folder = project();
    let shop = Shop::open(&["ignores-key"]);
    let run = |more: &[&str]| {
        said(
            retrial(folder.path())
                .args(["run", "--target", &shop.url])
                .args(QUICK)
                .args(more),
        )
    };
    let failed = run(&[]);
    assert_eq!(failed.code, 1, "{}{}", failed.out, failed.err);
    assert!(failed.out.contains("duplicate-effect-sequential"));
    assert!(failed.out.contains("--seed 1"));
    assert_eq!(run(&["--exit-zero"]).code, 0);
}

#[test]
fn a_target_that_refuses_is_an_error() {
    let folder = project();
    let said = said(
        retrial(folder.path())
            // The discard port: nobody listens there.
            .args(["run", "--target", "http://127.0.0.1:9"])
            .args(QUICK),
    );
    assert_eq!(said.code, 4, "{}{}", said.out, said.err);
    assert!(said.out.contains("target-unreachable"));
}

#[test]
fn check_online_sends_one_operation_and_reads_every_probe() {
    let folder = project();
    let shop = Shop::open(&[]);
    let said = say(folder.path(), &["check", "--online", "--target", &shop.url]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(
        said.out.contains("POST /orders answered 201"),
        "{}",
        said.out
    );
    assert!(said.out.contains("read as 1"), "{}", said.out);
}

#[test]
fn a_scenario_is_told_in_prose() {
    let folder = project();
    let said = say(folder.path(), &["explain", "scenarios/create-order.yaml"]);
    assert_eq!(said.code, 0, "{}", said.err);
    for part in [
        "POST /orders",
        "Idempotency-Key",
        "burst",
        "What the target promises",
    ] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
}

#[cfg(unix)]
#[test]
fn a_terminated_run_reports_what_is_known_and_ends_with_143() {
    let folder = project();
    let shop = Shop::open(&[]);
    let child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("retrial"))
        .current_dir(folder.path())
        .args([
            "run",
            "--target",
            &shop.url,
            "--out",
            "here",
            "--progress",
            "lines",
        ])
        .args(["--trials", "500", "--pattern", "replay", "--seed", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut child = child;
    let mut err = BufReader::new(child.stderr.take().expect("it was asked for"));
    let mut line = String::new();
    // The line of the scenario says that the run has begun.
    while !line.starts_with("create-order") {
        line.clear();
        assert!(
            err.read_line(&mut line).expect("a line") > 0,
            "it ended early"
        );
    }
    std::process::Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status()
        .expect("kill runs");
    let rest = std::thread::spawn(move || std::io::read_to_string(err));
    let output = child.wait_with_output().expect("it ends");
    rest.join().expect("no panic").expect("text");
    assert_eq!(output.status.code(), Some(143));
    assert!(folder.path().join("here/report.json").is_file());
}

#[test]
fn the_demo_catches_one_flaw_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let words = ["demo", "--flaw", "ignores-key", "--seed", "1"];
    let said = say(folder.path(), &words);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("duplicate-effect-sequential"));
    let left = fs::read_dir(folder.path()).expect("it is there").count();
    assert_eq!(left, 0);
}
