//! Writing a record: the folder, its whole files (all or nothing), and the
//! history, appended by a thread of its own.

use super::find::holds_run;
use super::{HISTORY, PLAN, RecordError};
use crate::history::{Event, EventKind, RunHeader};
use crate::plan::Plan;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the writing thread looks for something to write. Appending wakes
/// nobody: a thread that wakes up just when held attempts are released would
/// spread them.
const PAUSE: Duration = Duration::from_millis(100);

/// The folder of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder, and those above it. Where that makes a `.retrial`, it
    /// gets a `.gitignore`: records are not for the repository.
    ///
    /// # Errors
    /// Where the folder holds a run already, or cannot be made.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, RecordError> {
        let path = path.into();
        if holds_run(&path) {
            return Err(RecordError::HoldsRun(path));
        }
        let home = path
            .ancestors()
            .find(|above| above.file_name().is_some_and(|name| name == ".retrial"))
            .filter(|home| !home.exists());
        fs::create_dir_all(&path).map_err(|source| RecordError::Write {
            path: path.clone(),
            source,
        })?;
        if let Some(home) = home {
            write_file(&home.join(".gitignore"), b"*\n")?;
        }
        Ok(Self { path })
    }

    /// The folder of a run that there is.
    ///
    /// # Errors
    /// Where it holds no run.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, RecordError> {
        let path = path.into();
        if holds_run(&path) {
            Ok(Self { path })
        } else {
            Err(RecordError::NoRun(path))
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of this name in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Stores the plan: the first thing that is written of a run.
    ///
    /// # Errors
    /// Where it cannot be written, or another run has taken the folder meanwhile.
    pub fn write_plan(&self, plan: &Plan) -> Result<(), RecordError> {
        let path = self.file(PLAN);
        let mut file = self.create_new(&path)?;
        file.write_all(plan.to_json().as_bytes()).map_err(|source| {
            // Half a plan is none, and would keep the next run away.
            let _ = fs::remove_file(&path);
            RecordError::Write { path, source }
        })
    }

    /// Stores a report, or another file, as a whole.
    ///
    /// # Errors
    /// Where it cannot be written; then there is no such file, or the one of before.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), RecordError> {
        write_file(&self.file(name), bytes)
    }

    /// Begins the history.
    ///
    /// # Errors
    /// Where the file cannot be made. A disk that is full shows later:
    /// [`Writer::finish`].
    pub fn writer(&self, header: &RunHeader) -> Result<Writer, RecordError> {
        let path = self.file(HISTORY);
        let file = self.create_new(&path)?;
        Writer::start(file, path, header)
    }

    /// Makes a file that must not be there: what two runs that chose one folder at
    /// one time find out by.
    fn create_new(&self, path: &Path) -> Result<File, RecordError> {
        File::create_new(path).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => RecordError::HoldsRun(self.path.clone()),
            _ => RecordError::Write {
                path: path.to_owned(),
                source,
            },
        })
    }
}

/// Writes a file as a whole: into a temporary file beside it, which then takes its
/// name. What is not a regular file (a pipe, a terminal) is written to as it is.
///
/// # Errors
/// Where it cannot be written; then there is no such file, or the one of before.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), RecordError> {
    let written = match fs::metadata(path) {
        Ok(there) if !there.is_file() => {
            File::options().write(true).open(path).and_then(|mut file| {
                file.write_all(bytes)?;
                file.flush()
            })
        }
        _ => replace(path, bytes),
    };
    written.map_err(|source| RecordError::Write {
        path: path.to_owned(),
        source,
    })
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A link stays a link: what it leads to is replaced.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any new file, less the umask; temporary files are private otherwise.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.prefix(".retrial-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_data()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Appends the events of a run to its history, on a thread of its own.
///
/// What was appended is in the file after 0.2 s at most, at the end of a phase at
/// once: that much is lost when the process is killed. A disk that is full stops
/// the writing, not the run; [`Writer::finish`] tells.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Whole lines that are not yet in the file.
    waiting: Vec<u8>,
    /// Whether they are wanted there at once.
    flush: bool,
    /// Whether nothing will follow.
    end: bool,
    /// What went wrong; nothing is written any more then.
    failure: Option<io::Error>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    fn start(file: File, path: PathBuf, header: &RunHeader) -> Result<Self, RecordError> {
        let shared = Arc::new(Shared::default());
        {
            let mut state = shared.lock();
            line(&mut state.waiting, header);
            state.flush = true;
        }
        let thread = std::thread::Builder::new()
            .name("record".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || write_all(file, &shared)
            })
            .map_err(|source| RecordError::Write {
                path: path.clone(),
                source,
            })?;
        Ok(Self {
            shared,
            thread: Some(thread),
            path,
        })
    }

    /// Appends an event. Costs as much as making its line; never waits for the disk.
    pub fn append(&self, event: &Event) {
        let mut text = Vec::with_capacity(512);
        line(&mut text, event);
        let at_once = matches!(
            event.kind,
            EventKind::Phase { .. } | EventKind::Interrupted { .. } | EventKind::Finished
        );
        let mut state = self.shared.lock();
        if state.failure.is_some() {
            return;
        }
        state.waiting.append(&mut text);
        if at_once {
            state.flush = true;
            self.shared.changed.notify_one();
        }
    }

    /// Whether writing has failed; the run can go on, its record is incomplete.
    pub fn has_failed(&self) -> bool {
        self.shared.lock().failure.is_some()
    }

    /// Waits until everything is in the file.
    ///
    /// # Errors
    /// Where something could not be written; the file then ends where that happened.
    pub fn finish(mut self) -> Result<(), RecordError> {
        self.stop();
        match self.shared.lock().failure.take() {
            None => Ok(()),
            Some(source) => Err(RecordError::Write {
                path: self.path.clone(),
                source,
            }),
        }
    }

    fn stop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.shared.lock().end = true;
            self.shared.changed.notify_one();
            if thread.join().is_err() {
                self.shared
                    .lock()
                    .failure
                    .get_or_insert_with(|| io::Error::other("the writing thread panicked"));
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The thread: takes what waits and writes it, until the end or a failure.
fn write_all(mut file: File, shared: &Shared) {
    let mut batch = Vec::new();
    loop {
        let end = {
            let (mut state, _) = shared
                .changed
                .wait_timeout_while(shared.lock(), PAUSE, |state| !state.flush && !state.end)
                .unwrap_or_else(PoisonError::into_inner);
            state.flush = false;
            std::mem::swap(&mut batch, &mut state.waiting);
            state.end
        };
        // Straight to the kernel, which keeps it even when this process is killed.
        if let Err(error) = file.write_all(&batch) {
            let mut state = shared.lock();
            state.waiting = Vec::new();
            state.failure = Some(error);
            return;
        }
        batch.clear();
        if end {
            return;
        }
    }
}

fn line<T: serde::Serialize>(text: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(&mut *text, value)
        .expect("headers and events hold string keys only, and a Vec takes every byte");
    text.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Phase;
    use crate::plan::TrialId;
    use crate::record::tests::{event, header, plan};
    use crate::record::{read_history, read_plan};

    #[test]
    fn what_is_written_is_read_back() {
        let base = tempfile::tempdir().unwrap();
        let folder = Folder::create(base.path().join("a/b")).unwrap();
        folder.write_plan(&plan()).unwrap();
        let writer = folder.writer(&header()).unwrap();
        let mut events: Vec<_> = (0..20).map(event).collect();
        events.push(Event {
            trial: None,
            kind: EventKind::Finished,
            ..event(20)
        });
        for event in &events {
            writer.append(event);
        }
        writer.finish().unwrap();

        let folder = Folder::open(base.path().join("a/b")).unwrap();
        assert_eq!(read_plan(&folder.file(PLAN)).unwrap(), plan());
        let (history, completeness) = read_history(&folder.file(HISTORY)).unwrap();
        assert_eq!(history.header, header());
        assert_eq!(history.events, events);
        assert!(completeness.ended && !completeness.torn_line);
    }

    #[test]
    fn a_second_run_into_the_same_folder_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let folder = Folder::create(base.path()).unwrap();
        // Before anything is written two runs can meet in one folder; the plan
        // decides between them.
        let late = Folder::create(base.path()).unwrap();
        folder.write_plan(&plan()).unwrap();
        assert!(matches!(
            late.write_plan(&plan()),
            Err(RecordError::HoldsRun(_))
        ));
        assert!(matches!(
            Folder::create(base.path()),
            Err(RecordError::HoldsRun(_))
        ));
        let _first = folder.writer(&header()).unwrap();
        assert!(matches!(
            folder.writer(&header()),
            Err(RecordError::HoldsRun(_))
        ));
        assert_eq!(read_plan(&folder.file(PLAN)).unwrap(), plan());
    }

    #[test]
    fn a_folder_without_a_run_cannot_be_opened() {
        let base = tempfile::tempdir().unwrap();
        assert!(matches!(
            Folder::open(base.path()),
            Err(RecordError::NoRun(_))
        ));
    }

    #[test]
    fn a_home_that_is_made_is_kept_out_of_the_repository() {
        let base = tempfile::tempdir().unwrap();
        let home = base.path().join(".retrial");
        Folder::create(home.join("runs/1")).unwrap();
        let ignore = home.join(".gitignore");
        assert_eq!(fs::read_to_string(&ignore).unwrap(), "*\n");
        // Whoever takes it away wants the records in the repository.
        fs::remove_file(&ignore).unwrap();
        Folder::create(home.join("runs/2")).unwrap();
        assert!(!ignore.exists());
    }

    #[test]
    fn a_killed_process_leaves_what_was_appended_before_a_phase() {
        let base = tempfile::tempdir().unwrap();
        let folder = Folder::create(base.path()).unwrap();
        let writer = folder.writer(&header()).unwrap();
        writer.append(&event(1));
        writer.append(&Event {
            trial: Some(TrialId(1)),
            kind: EventKind::Phase {
                scenario: 0,
                phase: Phase::Closing,
            },
            ..event(2)
        });
        // Neither finished nor dropped: as a process that is gone leaves it. The
        // other end of a wait without a clock is the pause of the thread.
        let lines = || {
            fs::read_to_string(folder.file(HISTORY))
                .unwrap()
                .lines()
                .count()
        };
        while lines() < 3 {
            std::thread::yield_now();
        }
        let (history, completeness) = read_history(&folder.file(HISTORY)).unwrap();
        assert_eq!(history.events.len(), 2);
        assert!(!completeness.ended && !completeness.torn_line);
        std::mem::forget(writer);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_stops_the_writing_and_not_the_run() {
        let full = Path::new("/dev/full");
        let file = File::options().write(true).open(full).unwrap();
        let writer = Writer::start(file, full.to_owned(), &header()).unwrap();
        while !writer.has_failed() {
            writer.append(&event(1));
            std::thread::yield_now();
        }
        writer.append(&event(2));
        assert!(writer.shared.lock().waiting.is_empty());
        let RecordError::Write { path, source } = writer.finish().unwrap_err() else {
            panic!("another error");
        };
        assert_eq!(path, full);
        assert_eq!(source.kind(), io::ErrorKind::StorageFull);

        let error = write_file(full, b"{}").unwrap_err();
        assert_eq!(error.to_string(), "cannot write `/dev/full`");
    }

    #[test]
    fn a_report_takes_the_place_of_the_one_before_as_a_whole() {
        let base = tempfile::tempdir().unwrap();
        let folder = Folder::create(base.path()).unwrap();
        folder.write("report.json", b"old").unwrap();
        folder.write("report.json", b"new").unwrap();
        assert_eq!(fs::read(folder.file("report.json")).unwrap(), b"new");
        assert!(folder.write("no/such/folder", b"x").is_err());
        let left: Vec<_> = fs::read_dir(base.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["report.json"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_report_can_be_read_by_whoever_can_read_a_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let base = tempfile::tempdir().unwrap();
        let mode = |name: &str| {
            let there = fs::metadata(base.path().join(name)).unwrap();
            there.permissions().mode()
        };
        fs::write(base.path().join("plain"), b"").unwrap();
        write_file(&base.path().join("report"), b"").unwrap();
        assert_eq!(mode("report"), mode("plain"));
    }
}
