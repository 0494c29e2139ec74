//! `--hold-pid`: which processes may be stopped around a burst, and who continues
//! them should this process be killed in the middle.

use super::args::HoldGuardArgs;
use super::exit_code::Exit;
use super::failure::Failure;
use crate::codes::Diagnosis;
use crate::engine::Process;
use crate::scenario::Diagnostic;
use anyhow::Context;
use std::io::Read;
use std::process::{Child, Command, Stdio};

/// Processes to hold, and their guard.
#[derive(Debug)]
pub(crate) struct Held {
    /// What the run stops and continues.
    pub(crate) processes: Vec<Process>,
    /// Continues them when this process is gone, however it went.
    guard: Option<Child>,
}

impl Held {
    /// Takes hold of the processes with these numbers. Nothing is stopped yet.
    ///
    /// # Errors
    /// Where one must not or cannot be stopped, or no guard can be started.
    pub(crate) fn open(ids: &[u32], all_local: bool) -> Result<Self, Failure> {
        if ids.is_empty() {
            return Ok(Self {
                processes: Vec::new(),
                guard: None,
            });
        }
        if !all_local {
            return Err(refused(
                "--hold-pid is for a target on this machine",
                "leave it out, or run against a target on loopback",
            ));
        }
        let family = family();
        let mut processes = Vec::new();
        for id in ids {
            if family.contains(id) {
                return Err(refused(
                    &format!("process {id} must not be stopped: retrial runs under it"),
                    "name the process of the target",
                ));
            }
            let process = Process::open(*id).map_err(|error| {
                refused(
                    &format!("process {id} cannot be held: {error}"),
                    "name a running process of your own (Linux 5.3 or later)",
                )
            })?;
            if process.stands() == Some(true) {
                return Err(refused(
                    &format!("process {id} is stopped already"),
                    &format!("let it go on: kill -CONT {id}"),
                ));
            }
            processes.push(process);
        }
        let guard = guard(ids).context("failed to start the guard of --hold-pid")?;
        Ok(Self {
            processes,
            guard: Some(guard),
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            // It ends when its input does.
            drop(guard.stdin.take());
            // Whatever it ended with, it has ended.
            let _ = guard.wait();
        }
    }
}

fn refused(message: &str, help: &str) -> Failure {
    Failure::because(
        Diagnostic::error(Diagnosis::Usage, message)
            .note("nothing was sent")
            .help(help),
        Exit::Usage,
    )
}

/// This process and those that it runs under.
fn family() -> Vec<u32> {
    let mut family = vec![std::process::id()];
    while let Some(parent) = family.last().and_then(|id| parent(*id)) {
        if parent == 0 || family.contains(&parent) {
            break;
        }
        family.push(parent);
    }
    if !family.contains(&1) {
        family.push(1);
    }
    family
}

fn parent(id: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(1)?.parse().ok()
}

/// A process of its own, outside our group, so that what ends us does not end it.
fn guard(ids: &[u32]) -> std::io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("hold-guard")
        .args(ids.iter().map(u32::to_string))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        command.process_group(0);
    }
    let mut child = command.spawn()?;
    // It says so once it holds what it guards.
    let mut ready = [0];
    match child.stdout.take() {
        Some(mut output) => output.read_exact(&mut ready)?,
        None => return Err(std::io::ErrorKind::BrokenPipe.into()),
    }
    Ok(child)
}

/// `retrial hold-guard`: waits until whoever started it is gone, then continues
/// every process that still stands.
pub(crate) fn hold_guard(args: &HoldGuardArgs) -> Result<Exit, Failure> {
    let processes: Vec<Process> = args
        .ids
        .iter()
        .filter_map(|id| Process::open(*id).ok())
        .collect();
    {
        use std::io::Write;
        let mut output = std::io::stdout();
        output
            .write_all(b".")
            .and_then(|()| output.flush())
            .context("failed to say that the guard is ready")
            .map_err(Failure::World)?;
    }
    // Its end is what is waited for; an error is one too.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    for process in &processes {
        if process.stands() != Some(false) {
            // One that is gone needs nothing.
            let _ = process.go_on();
        }
    }
    Ok(Exit::Pass)
}
