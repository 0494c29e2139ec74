//! argv → exit code, stdout, stderr: what can be said without sending anything.

#[path = "support/command.rs"]
mod command;

use command::{retrial, said, say};
use std::fs;

fn empty() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // The search for a project file ends here and not in the tester's own folders.
    fs::create_dir(folder.path().join(".git")).expect("a folder");
    folder
}

#[test]
fn without_arguments_the_help_is_shown_and_it_is_a_usage_error() {
    let said = say(empty().path(), &[]);
    assert_eq!(said.code, 2);
    assert_eq!(said.out, "");
    insta::assert_snapshot!("help", said.err);
}

#[test]
fn the_help_of_run_names_every_group_of_flags() {
    let said = say(empty().path(), &["run", "--help"]);
    assert_eq!(said.code, 0);
    insta::assert_snapshot!("help_run", said.out);
}

#[test]
fn the_version_is_on_stdout() {
    let said = say(empty().path(), &["--version"]);
    assert_eq!(said.code, 0);
    assert_eq!(
        said.out,
        concat!("retrial ", env!("CARGO_PKG_VERSION"), "\n")
    );
    assert_eq!(said.err, "");
}

#[test]
fn usage_errors_have_a_code_and_end_with_2() {
    let folder = empty();
    let cases: &[(&[&str], &str)] = &[
        (
            &["run", "--sed", "1"],
            "error[usage]: unexpected argument '--sed' found",
        ),
        (
            &["run", "--seed", "xyz"],
            "error[usage]: invalid value 'xyz' for '--seed <HEX|random>': a seed is 1 to 16 hex digits, or `random`",
        ),
        (
            &["run", "--time", "5"],
            "error[usage]: invalid value '5' for '--time <DURATION>': a duration needs a unit: us, ms, s, m, h or d",
        ),
        (
            &["run", "--rate", "50"],
            "error[usage]: invalid value '50' for '--rate <N/s>': a rate is a number per second, such as `50/s`",
        ),
        (
            &["run", "--var", "amount"],
            "error[usage]: invalid value 'amount' for '--var <NAME=VALUE>': write name=value",
        ),
        (
            &["run", "--report", "pdf"],
            "error[usage]: invalid value 'pdf' for '--report <KIND[=FILE]>': there is no report `pdf`; write junit or json",
        ),
        (
            &["run", "--fail-fast", "--max-failures", "2"],
            "error[usage]: the argument '--fail-fast' cannot be used with '--max-failures <N>'",
        ),
        (&["rnu"], "error[usage]: unrecognized subcommand 'rnu'"),
        (
            &["list", "--codes", "--flaws"],
            "error[usage]: the argument '--codes' cannot be used with '--flaws'",
        ),
    ];
    for (words, first_line) in cases {
        let said = say(folder.path(), words);
        assert_eq!(said.code, 2, "{words:?}");
        assert_eq!(said.out, "", "{words:?}");
        assert_eq!(said.err.lines().next(), Some(*first_line), "{words:?}");
    }
}

#[test]
fn a_flag_can_be_given_in_the_environment() {
    let folder = empty();
    let said = said(retrial(folder.path()).arg("run").env("RETRIAL_SEED", "xyz"));
    assert_eq!(said.code, 2);
    assert_eq!(
        said.err.lines().next(),
        Some(
            "error[usage]: invalid value 'xyz' for '--seed <HEX|random>': a seed is 1 to 16 hex digits, or `random`"
        )
    );
}

#[test]
fn what_later_versions_do_is_known_and_refused() {
    let folder = empty();
    let cases: &[(&[&str], &str)] = &[
        (&["replay"], "retrial replay"),
        (
            &["replay", "20261124-024512-b41c", "--trial", "31"],
            "retrial replay",
        ),
        (&["replay", "--help"], "retrial replay"),
        (&["shrink", "x", "--max-runs", "5"], "retrial shrink"),
        (&["sink", "--listen", "127.0.0.1:1"], "retrial sink"),
        (&["proxy", "--upstream", "http://a"], "retrial proxy"),
        (&["run", "--shard", "1/4"], "--shard"),
        (&["run", "--failed", "x"], "--failed"),
        (&["run", "--full"], "--full"),
        (&["run", "--background", "5/s"], "--background"),
        (&["run", "--proxy", "http://p"], "--proxy"),
        (&["run", "--cert", "c.pem"], "--cert"),
        (&["run", "--key-file", "k.pem"], "--key-file"),
        (&["run", "--connect-to", "a:1:b:2"], "--connect-to"),
        (&["run", "--baseline", "x"], "--baseline"),
        (&["run", "--trace-link", "x"], "--trace-link"),
        (&["run", "--shrunk"], "--shrunk"),
        (&["run", "--report", "html"], "--report html"),
        (
            &["run", "--report", "junit,markdown=a.md"],
            "--report markdown",
        ),
        (&["run", "--report", "github"], "--report github"),
        (&["report", "x", "--report", "curl"], "--report curl"),
        (&["report", "x", "--report", "har"], "--report har"),
        (&["report", "x", "y"], "several runs"),
        (&["merge", "x", "y"], "several runs"),
        (&["report", "x", "--baseline", "y"], "--baseline"),
        (&["report", "x", "--contract", "own.yaml"], "--contract"),
        (&["check", "--format", "sarif"], "--format sarif"),
        (&["init", "--from-openapi", "a.yaml"], "--from-openapi"),
        (&["init", "--from-curl", "curl http://a"], "--from-curl"),
        (&["demo", "--quirk", "x"], "--quirk"),
        (&["demo", "--matrix"], "--matrix"),
    ];
    for (words, what) in cases {
        let said = say(folder.path(), words);
        assert_eq!(said.code, 2, "{words:?}");
        assert_eq!(said.out, "", "{words:?}");
        assert_eq!(
            said.err,
            format!(
                "error[not-supported-yet]: `{what}` is known, but this version does not do it yet\n |\n = help: retrial explain not-supported-yet\n"
            ),
            "{words:?}"
        );
    }
}

#[test]
fn a_later_flag_in_the_environment_is_not_ignored_either() {
    let folder = empty();
    let said = said(
        retrial(folder.path())
            .arg("run")
            .env("RETRIAL_SHARD", "1/4"),
    );
    assert_eq!(said.code, 2);
    assert!(said.err.starts_with("error[not-supported-yet]: `--shard`"));
}

#[test]
fn where_there_is_no_scenario_there_is_nothing_to_run() {
    let folder = empty();
    for command in ["run", "check", "list"] {
        let said = say(folder.path(), &[command]);
        assert_eq!(said.code, 6, "{command}");
        assert_eq!(said.out, "", "{command}");
        insta::allow_duplicates! {
            insta::assert_snapshot!(said.err, @r"
            error[nothing-to-run]: no scenario was found
             |
             = note: looked for the `scenarios:` of retrial.yaml, else scenarios/**/*.yaml
             = help: retrial init writes a first scenario
            ");
        }
    }
}

#[test]
fn nothing_to_run_can_be_allowed() {
    let said = say(empty().path(), &["run", "--allow-empty"]);
    assert_eq!(said.code, 0);
    assert!(said.err.starts_with("error[nothing-to-run]"));
}

#[test]
fn a_file_that_is_not_there_is_told_and_nothing_is_sent() {
    let said = say(empty().path(), &["run", "nowhere.yaml", "nor-here.yaml"]);
    assert_eq!(said.code, 2);
    insta::assert_snapshot!(said.err, @r"
    error[unreadable-file]: `nowhere.yaml` could not be read
     --> nowhere.yaml:1:1
      |
    1 |
      | ^ No such file or directory (os error 2)

    error[unreadable-file]: `nor-here.yaml` could not be read
     --> nor-here.yaml:1:1
      |
    1 |
      | ^ No such file or directory (os error 2)

    2 errors in 2 of 2 files, nothing was sent
    ");
}

#[test]
fn files_of_values_that_are_not_there_are_told() {
    let folder = empty();
    for flag in ["--env-file", "--vars-file", "--secret-file"] {
        let said = say(folder.path(), &["run", flag, "nowhere"]);
        assert_eq!(said.code, 2, "{flag}");
        assert!(
            said.err
                .starts_with("error[unreadable-file]: failed to read nowhere: "),
            "{flag}: {}",
            said.err
        );
    }
    let said = say(folder.path(), &["run", "--project", "nowhere"]);
    assert_eq!(said.code, 2);
    assert!(
        said.err
            .starts_with("error[unreadable-file]: `nowhere` could not be read")
    );
}

#[test]
fn a_wrong_line_of_a_secret_file_is_named_but_not_shown() {
    let folder = empty();
    fs::write(folder.path().join("secrets"), "a=1\nhunter2hunter2\n").expect("a file");
    let said = say(folder.path(), &["run", "--secret-file", "secrets"]);
    assert_eq!(said.code, 2);
    assert_eq!(
        said.err,
        "error[unreadable-file]: failed to read secrets: line 2 is not name=value\n"
    );
}

#[test]
fn a_run_that_is_not_there_is_told() {
    let said = say(empty().path(), &["report", "20261124-024512-b41c"]);
    assert_eq!(said.code, 2);
    insta::assert_snapshot!(said.err, @r"
    error[usage]: there is no run `20261124-024512-b41c`
     |
     = help: name a run's id, its folder, or `last`; ids are looked for in ./.retrial/runs
    ");
}

#[test]
fn every_code_can_be_listed_and_each_has_a_meaning() {
    let said = say(empty().path(), &["list", "--codes", "--format", "json"]);
    assert_eq!(said.code, 0);
    let codes: Vec<serde_json::Value> = serde_json::from_str(&said.out).expect("it is JSON");
    for code in &codes {
        assert!(
            code["meaning"]
                .as_str()
                .is_some_and(|line| !line.is_empty())
        );
    }
    let has = |word: &str| codes.iter().any(|code| code["code"] == word);
    for word in ["stuck-key", "blind-probe", "unknown-field", "over-limit"] {
        assert!(has(word), "{word}");
    }
}

#[test]
fn the_lists_of_patterns_and_contracts_say_what_is_not_done_yet() {
    let folder = empty();
    insta::assert_snapshot!(
        "list_patterns",
        say(folder.path(), &["list", "--patterns"]).out
    );
    insta::assert_snapshot!(
        "list_contracts",
        say(folder.path(), &["list", "--contracts"]).out
    );
}

#[test]
fn every_code_is_explained() {
    let folder = empty();
    let list = say(folder.path(), &["list", "--codes", "--format", "json"]).out;
    let codes: Vec<serde_json::Value> = serde_json::from_str(&list).expect("it is JSON");
    // One of each kind: the rest is covered where the pages are.
    for kind in ["hazard", "inconclusive", "error", "diagnostic"] {
        let code = codes
            .iter()
            .find(|code| code["kind"] == kind)
            .and_then(|code| code["code"].as_str())
            .expect("there is one of each kind");
        let said = say(folder.path(), &["explain", code]);
        assert_eq!(said.code, 0, "{code}");
        assert!(said.out.contains(code), "{code}: {}", said.out);
    }
}

#[test]
fn what_nobody_knows_is_answered_with_the_nearest_word() {
    let said = say(empty().path(), &["explain", "stuck-kee"]);
    assert_eq!(said.code, 2);
    insta::assert_snapshot!(said.err, @r"
    error[usage]: nothing is called `stuck-kee`
     |
     = help: did you mean `stuck-key`?
    ");
}

#[test]
fn an_unknown_flaw_is_a_usage_error() {
    let said = say(empty().path(), &["demo", "--flaw", "check-than-act"]);
    assert_eq!(said.code, 2);
    assert!(
        said.err
            .starts_with("error[usage]: unknown flaw `check-than-act`"),
        "{}",
        said.err
    );
}

#[test]
fn completions_are_scripts_for_each_shell() {
    let folder = empty();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let said = say(folder.path(), &["completions", shell]);
        assert_eq!(said.code, 0, "{shell}");
        assert!(
            said.out.contains("duplicate") || said.out.contains("retrial"),
            "{shell}"
        );
        assert!(
            said.out.contains("--fail-fast") || said.out.contains("fail-fast"),
            "{shell}"
        );
    }
    let said = say(folder.path(), &["completions", "bash", "--out", "done"]);
    assert_eq!(said.code, 0);
    assert!(folder.path().join("done/retrial.bash").is_file());
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let folder = empty();
    let said = say(folder.path(), &["man"]);
    assert_eq!(said.code, 0);
    assert!(said.out.contains(".TH retrial 1"));
    assert_eq!(say(folder.path(), &["man", "--out", "man1"]).code, 0);
    for page in ["retrial.1", "retrial-run.1", "retrial-demo.1"] {
        assert!(folder.path().join("man1").join(page).is_file(), "{page}");
    }
}

#[test]
fn colour_is_for_those_who_want_it() {
    let folder = empty();
    let words = ["explain", "stuck-kee"];
    let plain = said(retrial(folder.path()).args(words));
    assert!(!plain.err.contains('\u{1b}'));
    let forced = said(
        retrial(folder.path())
            .args(words)
            .env("CLICOLOR_FORCE", "1"),
    );
    assert!(forced.err.contains('\u{1b}'));
    let refused = said(
        retrial(folder.path())
            .args(words)
            .env("CLICOLOR_FORCE", "1")
            .env("NO_COLOR", "1"),
    );
    assert!(!refused.err.contains('\u{1b}'));
    let always = said(
        retrial(folder.path())
            .args(words)
            .args(["--color", "always"])
            .env("NO_COLOR", "1"),
    );
    assert!(always.err.contains('\u{1b}'));
}

#[cfg(unix)]
#[test]
fn a_reader_that_closes_the_pipe_is_no_error() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("retrial"))
        .args(["list", "--codes"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_stdout_is_told() {
    use std::process::{Command, Stdio};
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .expect("linux has one");
    let output = Command::new(assert_cmd::cargo::cargo_bin!("retrial"))
        .args(["list", "--codes"])
        .stdout(Stdio::from(full))
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(4));
    assert!(
        String::from_utf8_lossy(&output.stderr).starts_with("error: failed to write to stdout")
    );
}
