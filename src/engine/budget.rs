//! What a run may use: time, requests, requests a second. It must not know what
//! the requests are for.

use super::clock::Clock;
use crate::history::SkipReason;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The caps of a run, the strictest of project, flags and scenario.
#[derive(Debug, Clone, Copy)]
pub struct Caps {
    /// The most requests of all kinds.
    pub requests: u64,
    /// The most requests a second, probes included; `None` is no limit.
    pub rate: Option<f64>,
    /// How long trials may be started.
    pub time: Duration,
}

/// What is left of the caps.
#[derive(Debug)]
pub(crate) struct Budget {
    clock: Clock,
    requests: u64,
    /// Promised to trials that have begun.
    committed: AtomicU64,
    deadline: Instant,
    interval: Option<Duration>,
    next: Mutex<Instant>,
}

impl Budget {
    pub(crate) fn new(caps: Caps, clock: Clock) -> Self {
        let now = clock.instant();
        Self {
            clock,
            requests: caps.requests,
            committed: AtomicU64::new(0),
            deadline: now + caps.time,
            interval: caps
                .rate
                .filter(|rate| *rate > 0.0)
                .map(|rate| Duration::from_secs_f64(1.0 / rate)),
            next: Mutex::new(now),
        }
    }

    /// Sets aside the requests that a trial will need to its very end, or says
    /// why it cannot be started.
    pub(crate) fn commit(&self, needed: u64) -> Result<(), SkipReason> {
        if self.clock.instant() >= self.deadline {
            return Err(SkipReason::Time);
        }
        self.committed
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |committed| {
                let after = committed.checked_add(needed)?;
                (after <= self.requests).then_some(after)
            })
            .map(|_| ())
            .map_err(|_| SkipReason::Requests)
    }

    /// Waits until `n` requests may leave together.
    pub(crate) async fn pace(&self, n: u32) {
        let Some(interval) = self.interval else {
            return;
        };
        let until = {
            let mut next = self
                .next
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            let from = (*next).max(self.clock.instant());
            *next = from + interval * n;
            from
        };
        tokio::time::sleep_until(until.into()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(requests: u64, rate: Option<f64>, time: Duration) -> Budget {
        Budget::new(
            Caps {
                requests,
                rate,
                time,
            },
            Clock::start(),
        )
    }

    #[test]
    fn a_trial_that_would_exceed_the_cap_is_not_started() {
        let budget = budget(10, None, Duration::from_mins(1));
        assert_eq!(budget.commit(6), Ok(()));
        assert_eq!(budget.commit(5), Err(SkipReason::Requests));
        assert_eq!(budget.commit(4), Ok(()));
    }

    #[test]
    fn no_trial_starts_when_the_time_is_over() {
        let budget = budget(10, None, Duration::ZERO);
        assert_eq!(budget.commit(1), Err(SkipReason::Time));
    }

    #[tokio::test]
    async fn a_rate_spaces_bursts_by_their_size() {
        let budget = budget(1000, Some(1000.0), Duration::from_mins(1));
        let start = budget.clock.instant();
        budget.pace(20).await;
        budget.pace(1).await;
        assert!(budget.clock.instant() - start >= Duration::from_millis(20));
    }
}
