//! The binary as tests call it: in a folder of its own, with an environment that is
//! the same everywhere.

use assert_cmd::Command;
use std::path::Path;

/// The binary in a folder, with an environment that is the same everywhere.
pub(crate) fn retrial(folder: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("retrial"));
    command
        .current_dir(folder)
        .env_clear()
        .env("COLUMNS", "100");
    command
}

/// How it ended and what it said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn say(folder: &Path, words: &[&str]) -> Said {
    said(retrial(folder).args(words))
}

pub(crate) fn said(command: &mut Command) -> Said {
    let output = command.output().expect("the binary runs");
    Said {
        code: output.status.code().expect("it was not killed"),
        out: String::from_utf8(output.stdout).expect("stdout is text"),
        err: String::from_utf8(output.stderr).expect("stderr is text"),
    }
}
