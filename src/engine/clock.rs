//! The one clock. Everything in a history is dated from one epoch, monotonic;
//! wall-clock time is read here too, once, for the header.

use crate::history::Offset;
use std::time::{Duration, Instant};

/// The clock of a run.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    epoch: Instant,
}

impl Clock {
    /// A clock that starts now.
    #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
    pub fn start() -> Self {
        Self {
            epoch: Instant::now(),
        }
    }

    /// The instant that offsets count from.
    pub fn epoch(self) -> Instant {
        self.epoch
    }

    /// How long the run has been going on.
    pub fn now(self) -> Offset {
        self.offset(self.instant())
    }

    /// The present instant.
    #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
    pub fn instant(self) -> Instant {
        Instant::now()
    }

    /// The offset of an instant; 0 for one before the start.
    pub fn offset(self, instant: Instant) -> Offset {
        let nanos = instant.saturating_duration_since(self.epoch).as_nanos();
        Offset(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// How long ago an offset was.
    pub fn elapsed(self, since: Offset) -> Duration {
        Duration::from_nanos(self.now().since(since))
    }
}

/// The present wall-clock time, for the header of a history and for run ids.
pub fn wall_clock() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
