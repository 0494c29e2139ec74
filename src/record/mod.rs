//! A run on disk: a [`Folder`] with `plan.json`, `history.jsonl` (its header,
//! then one event a line, appended while the run goes on), `report.json` and
//! whatever other reports were asked for.
//!
//! This room opens files and nothing else; what it is handed holds no secret any
//! more. It must not compute: it neither judges nor renders, and it asks neither
//! the clock nor the operating system for randomness.

mod find;
mod read;
mod write;

pub use find::{RUNS, find, run_id};
pub use read::{Completeness, read_history, read_plan};
pub use write::{Folder, Writer, write_file};

use std::io;
use std::path::PathBuf;

/// The stored plan of a run.
pub const PLAN: &str = "plan.json";
/// What happened in a run, as it came.
pub const HISTORY: &str = "history.jsonl";
/// What can be said of a run.
pub const REPORT: &str = "report.json";

/// Why a record could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The folder holds a run already.
    #[error("the folder `{}` holds a run already", .0.display())]
    HoldsRun(PathBuf),
    /// The folder holds no run.
    #[error("the folder `{}` holds no run", .0.display())]
    NoRun(PathBuf),
    /// No run has this id.
    #[error("there is no run `{run}`{}", hint(near.as_deref()))]
    UnknownRun {
        /// What was asked for.
        run: String,
        /// A run whose id is similar.
        near: Option<String>,
    },
    /// A file or folder could not be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or folder could not be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is larger than anything that was written by this program.
    #[error("`{}` is larger than {most} bytes", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// The most that is read.
        most: u64,
    },
    /// The stored plan is none that can be read.
    #[error("cannot use the plan in `{}`", path.display())]
    Plan {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: crate::plan::PlanReadError,
    },
    /// The history begins with no header.
    #[error("`{}` does not begin with the header of a history", path.display())]
    NoHeader {
        /// Which file.
        path: PathBuf,
    },
    /// The history is of another version.
    #[error(
        "`{}` has the format `{found}`, this version reads `{}`",
        path.display(),
        crate::history::FORMAT
    )]
    Format {
        /// Which file.
        path: PathBuf,
        /// What it says it is.
        found: String,
    },
    /// A whole line of the history is no event.
    #[error("line {line} of `{}` is not an event", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
}

fn hint(near: Option<&str>) -> String {
    near.map(|near| format!(", did you mean `{near}`?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    //! What the tests of this room write and read.

    use crate::history::{
        BodyFacts, ByteCounts, End, Event, EventKind, Exchange, Offset, Part, ResponseFacts,
        RunHeader, Timing,
    };
    use crate::plan::{FORMAT, Plan, Salt, Seed, TrialId};

    pub(super) fn plan() -> Plan {
        Plan {
            format: FORMAT.to_owned(),
            seed: Seed(0x7f3a),
            scenarios: Vec::new(),
            cases: Vec::new(),
            trials: Vec::new(),
        }
    }

    pub(super) fn header() -> RunHeader {
        RunHeader {
            format: crate::history::FORMAT.to_owned(),
            run: "20261124-024512-b41c".to_owned(),
            started_at: "2026-11-24T02:45:12Z".to_owned(),
            tool_version: "0.1.0".to_owned(),
            seed: Seed(0x7f3a),
            salt: Salt(0xb41c),
            plan_sha256: plan().digest(),
            environment: None,
            shard: "1/1".to_owned(),
        }
    }

    pub(super) fn event(index: u64) -> Event {
        let at = |us: u64| Offset(index * 1_000_000 + us * 1000);
        Event {
            at: at(900),
            trial: Some(TrialId(u32::try_from(index / 5).unwrap())),
            kind: EventKind::Exchange(Box::new(Exchange {
                instance: 0,
                operation: 0,
                part: Part::Attempt(1),
                connection: index,
                reused: false,
                timing: Timing {
                    intended: at(0),
                    first_out: Some(at(10)),
                    last_out: Some(at(20)),
                    first_in: Some(at(800)),
                    last_in: Some(at(850)),
                    ended: at(900),
                    gave_up: None,
                },
                bytes: ByteCounts {
                    out: 250,
                    incoming: 180,
                },
                end: End::Complete,
                fault_happened: true,
                hidden: false,
                response: Some(ResponseFacts {
                    status: 201,
                    interim: Vec::new(),
                    headers: vec![("content-type".to_owned(), "application/json".to_owned())],
                    body: BodyFacts {
                        len: 40,
                        sha256: "0123456789abcdef".to_owned(),
                        normal: Some("0123456789abcdef".to_owned()),
                        kept: "{\"id\":\"ord_1\",\"state\":\"NEW\"}".to_owned(),
                        complete: true,
                    },
                    identity: Vec::new(),
                    expected: None,
                }),
            })),
        }
    }
}
