//! How runs are called, and where the run of a name lies.

use super::{Folder, HISTORY, PLAN, RecordError};
use std::path::{Path, PathBuf};

/// Where runs lie under the folder of the project file.
pub const RUNS: &str = ".retrial/runs";

/// How many letters a mistyped id may be off.
const NEAR: usize = 3;

/// The id of a run that starts now: UTC date, time and 4 hex digits, so that ids
/// sort by time.
pub fn run_id(now: jiff::Timestamp, random: u16) -> String {
    format!("{}-{random:04x}", now.strftime("%Y%m%d-%H%M%S"))
}

/// The folder of a run that was named by its id, by `last`, or by a path (of the
/// folder, or of a file of the record in it). Ids are looked for under `base`,
/// the folder of the project file or else the current one.
///
/// # Errors
/// Where there is no such run.
pub fn find(run: &str, base: &Path) -> Result<Folder, RecordError> {
    let runs = base.join(RUNS);
    let known = ids(&runs);
    if run == "last"
        && let Some(last) = known.iter().max()
    {
        return Folder::open(runs.join(last));
    }
    if known.iter().any(|id| id == run) {
        return Folder::open(runs.join(run));
    }
    let path = Path::new(run);
    if path.is_dir() {
        return Folder::open(path);
    }
    if path.is_file()
        && path
            .file_name()
            .is_some_and(|name| name == PLAN || name == HISTORY)
    {
        return Folder::open(path.parent().unwrap_or(Path::new("")));
    }
    let near = known
        .into_iter()
        .map(|id| (strsim::damerau_levenshtein(&id, run), id))
        // The last four digits are what people remember of an id.
        .map(|(off, id)| {
            (
                if run.len() >= 4 && id.ends_with(run) {
                    0
                } else {
                    off
                },
                id,
            )
        })
        .filter(|(off, _)| *off <= NEAR)
        .min()
        .map(|(_, id)| id);
    Err(RecordError::UnknownRun {
        run: run.to_owned(),
        near,
    })
}

/// Names of the folders that hold a run.
fn ids(runs: &Path) -> Vec<String> {
    // A folder that cannot be listed knows no runs; the error says which is missing.
    std::fs::read_dir(runs)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| holds_run(&entry.path()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// Whether there is anything of a run in the folder.
pub(super) fn holds_run(folder: &Path) -> bool {
    record_files(folder).iter().any(|path| path.exists())
}

fn record_files(folder: &Path) -> [PathBuf; 3] {
    [PLAN, HISTORY, super::REPORT].map(|name| folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_runs(ids: &[&str]) -> tempfile::TempDir {
        let base = tempfile::tempdir().unwrap();
        for id in ids {
            let folder = base.path().join(RUNS).join(id);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(PLAN), "{}").unwrap();
        }
        base
    }

    #[test]
    fn an_id_is_utc_date_time_and_four_digits() {
        let now: jiff::Timestamp = "2026-11-24T02:45:12Z".parse().unwrap();
        assert_eq!(run_id(now, 0xb41c), "20261124-024512-b41c");
        assert_eq!(run_id(now, 7), "20261124-024512-0007");
    }

    #[test]
    fn runs_are_found_by_id_by_last_and_by_path() {
        let old = "20261124-024512-b41c";
        let new = "20261125-010000-0001";
        let base = with_runs(&[old, new]);
        // A folder without a run is none, even if its name sorts last.
        std::fs::create_dir_all(base.path().join(RUNS).join("zzz")).unwrap();
        let of = |run: &str| find(run, base.path()).unwrap().path().to_owned();
        let folder = |id: &str| base.path().join(RUNS).join(id);
        assert_eq!(of(old), folder(old));
        assert_eq!(of("last"), folder(new));
        assert_eq!(of(folder(old).to_str().unwrap()), folder(old));
        let plan = folder(old).join(PLAN);
        assert_eq!(of(plan.to_str().unwrap()), folder(old));
    }

    #[test]
    fn a_mistyped_id_gets_the_one_that_was_meant() {
        let base = with_runs(&["20261124-024512-b41c", "20261125-010000-0001"]);
        let message = |run: &str| find(run, base.path()).unwrap_err().to_string();
        assert_eq!(
            message("20261124-024512-b41d"),
            "there is no run `20261124-024512-b41d`, did you mean `20261124-024512-b41c`?"
        );
        assert_eq!(
            message("0001"),
            "there is no run `0001`, did you mean `20261125-010000-0001`?"
        );
        assert_eq!(message("nonsense"), "there is no run `nonsense`");
        let empty = tempfile::tempdir().unwrap();
        let error = find("last", empty.path()).unwrap_err();
        assert_eq!(error.to_string(), "there is no run `last`");
    }
}
