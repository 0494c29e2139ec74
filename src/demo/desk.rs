//! What everybody who works in the shop has at hand.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use super::conduct::Conduct;
use super::store::{Lease, Scope, Store};

/// The desk. A clone is held by every connection and every piece of work; the
/// shop has closed when the last one is gone.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    house: Arc<House>,
    duty: watch::Receiver<bool>,
}

/// What the desks of a shop share.
#[derive(Debug)]
pub(super) struct House {
    pub(super) store: Store,
    pub(super) conduct: Conduct,
    /// How long placing an order takes, apart from the database.
    work: Duration,
    /// The keys being worked on and their fingerprints, for the flaw that
    /// keeps them in memory only.
    pub(super) running: Mutex<HashMap<Scope, String>>,
    /// The lock of the flaw that has only one.
    pub(super) door: Arc<tokio::sync::Mutex<()>>,
    /// Counts the work done, for the flaws that strike every so often.
    done: AtomicU64,
}

impl Deref for Desk {
    type Target = House;

    fn deref(&self) -> &House {
        &self.house
    }
}

impl Desk {
    pub(super) fn new(
        store: Store,
        conduct: Conduct,
        work: Duration,
        duty: watch::Receiver<bool>,
    ) -> Self {
        let house = House {
            store,
            conduct,
            work,
            running: Mutex::default(),
            door: Arc::default(),
            done: AtomicU64::new(0),
        };
        Self {
            house: Arc::new(house),
            duty,
        }
    }

    /// Waits until the shop closes.
    pub(super) async fn closing(&self) {
        // A sender that is gone is a shop that was dropped.
        let _ = self.duty.clone().wait_for(|closing| *closing).await;
    }
}

impl House {
    /// Half of the work that a request takes: what a service spends on its
    /// own sums, or waiting for a payment provider.
    pub(super) async fn half_of_the_work(&self) {
        // The runtime's timer waits a millisecond even for no time at all.
        if !self.work.is_zero() {
            tokio::time::sleep(self.work / 2).await;
        }
    }

    /// The lease of a reservation: far longer than the work takes on a busy
    /// machine, and short enough that a client still tries after a crash.
    pub(super) fn lease(&self) -> Lease {
        Lease::For(Duration::from_secs(3) + self.work * 10)
    }

    /// Whether this is the n-th, 2n-th, 3n-th … piece of work. Counted, not
    /// drawn: what strikes now and then strikes in every test of that length.
    pub(super) fn every(&self, n: u64) -> bool {
        (self.done.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(n)
    }
}
