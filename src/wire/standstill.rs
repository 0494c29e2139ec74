//! Stops processes of this machine while a burst is laid, so that the target meets all of it at once.
//!
//! On loopback the kernel runs the receiving side inside each `send`, and the server wakes before the burst is complete; a server that stands still cannot. Whatever happens here, a process that was stopped is continued: when the [`Standing`] is dropped at the latest. Should this process be killed in between, somebody else has to do it ([`Process::go_on`] in a process that outlives this one).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::os::{self, ProcessHandle};
use super::tap::Epoch;

/// So long a process may take to stand still. It takes microseconds; one that waits for a disk takes longer and is not waited for.
const PATIENCE: Duration = Duration::from_millis(5);
const LOOK_AGAIN: Duration = Duration::from_micros(20);

/// A process that may be stopped and continued.
#[derive(Debug, Clone)]
pub struct Process {
    id: u32,
    handle: Arc<ProcessHandle>,
}

impl Process {
    /// Takes hold of a process by its number. The handle stays with that process, even when the number is given to another one.
    ///
    /// # Errors
    ///
    /// When there is no such process, it may not be stopped by this user, or the system knows no such handles.
    pub fn open(id: u32) -> io::Result<Self> {
        let handle = Arc::new(os::open_process(id)?);
        os::signal_process(&handle, os::Signal::Nothing)?;
        Ok(Self { id, handle })
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Whether all its threads stand still because of a signal; `None` where that cannot be read.
    pub fn stands(&self) -> Option<bool> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.id)).ok()?;
        let mut all = true;
        for thread in threads {
            let state = std::fs::read_to_string(thread.ok()?.path().join("stat")).ok()?;
            // The name of the program stands in brackets and may hold anything.
            let (_, after_name) = state.rsplit_once(')')?;
            all &= after_name.trim_start().starts_with('T');
        }
        Some(all)
    }

    /// Lets it go on.
    ///
    /// # Errors
    ///
    /// When it is gone.
    pub fn go_on(&self) -> io::Result<()> {
        os::signal_process(&self.handle, os::Signal::GoOn)
    }
}

/// Processes that stand still until this is dropped.
#[derive(Debug)]
pub(super) struct Standing<'a> {
    processes: &'a [Process],
    all: bool,
}

impl<'a> Standing<'a> {
    /// Stops the processes and waits, for a bounded time, until they stand.
    pub(super) fn of(processes: &'a [Process], epoch: Epoch) -> Self {
        // Made before the first signal, so that dropping it undoes every one.
        let mut standing = Self {
            processes,
            all: true,
        };
        for process in processes {
            standing.all &= os::signal_process(&process.handle, os::Signal::Stop).is_ok();
        }
        let began = epoch.instant(epoch.now_ns());
        // What cannot be seen to stand is not said to.
        while standing.all && !processes.iter().all(|it| it.stands() == Some(true)) {
            standing.all = began.elapsed() < PATIENCE;
            std::thread::sleep(LOOK_AGAIN);
        }
        standing
    }

    /// Whether all of them stood still.
    pub(super) fn all(&self) -> bool {
        self.all
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        for process in self.processes {
            // One that is gone needs nothing.
            let _ = process.go_on();
        }
    }
}
