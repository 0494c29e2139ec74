//! The closing retry: a last request of an operation, alone, that forces a
//! definite answer (`retry-safety.md` section 3.3); and the clean runs of the
//! other operations of a flow, which are tried again in the same way.

use super::exchange::{Manner, Past, Unit, backoff};
use super::trial::Void;
use super::world::World;
use crate::contract::Outcome;
use crate::history::{IdentityFact, Part};
use crate::plan::{Overlay, Trial, TrialId, Until, Variant};

/// What an answer to a closing retry says about going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Definite.
    Final,
    /// The key is still in progress: wait for it.
    InProgress,
    /// Neither yes nor no.
    Open,
}

impl World {
    /// Retries an operation until its answer is definite, the tries are used up,
    /// or the key counts as stuck.
    pub(crate) async fn closing(&self, trial: &Trial, unit: &mut Unit) -> Result<(), Void> {
        let overlay = self.case_of(trial).map(|case| &case.with);
        let number = trial
            .attempts
            .iter()
            .filter(|attempt| attempt.instance == unit.index)
            .count();
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        self.retry(
            trial.id,
            unit,
            trial.operation,
            number,
            overlay,
            Part::Closing,
        )
        .await
    }

    /// Runs an operation of a flow cleanly. Returns whether it was answered `ok`.
    pub(crate) async fn clean(
        &self,
        trial: TrialId,
        unit: &mut Unit,
        operation: usize,
    ) -> Result<bool, Void> {
        self.retry(trial, unit, operation, 0, None, |_| Part::Clean)
            .await?;
        Ok(unit
            .outcomes(operation)
            .any(|outcome| outcome == Outcome::Ok))
    }

    async fn retry(
        &self,
        trial: TrialId,
        unit: &mut Unit,
        operation: usize,
        attempts_before: u32,
        overlay: Option<&Overlay>,
        part: impl Fn(u32) -> Part,
    ) -> Result<(), Void> {
        let retry = self.scenario().operations[operation].retry.clone();
        let stuck_after = self.scenario().contract.stuck_after(self.h(operation).p99);
        // How long a key answers in progress counts from its first such answer.
        let mut since = None;
        let mut open = 0;
        let mut tries = 0;
        loop {
            tries += 1;
            let manner = Manner {
                variant: Variant::Same,
                overlay,
                ..Manner::plain(part(tries), attempts_before + tries)
            };
            // Held while sending, not while waiting: keys that may be stuck wait
            // side by side. A key that answered in progress is asked again with
            // nothing else under way: where one lock guards all keys, the others'
            // retries would keep it busy.
            if tries == 1 {
                let _others = self.alone.read().await;
                let _permit = self
                    .closing
                    .acquire()
                    .await
                    .expect("the semaphore is never closed");
                self.exchange(trial, unit, operation, &manner, None).await?;
            } else {
                let _alone = self.alone.write().await;
                self.exchange(trial, unit, operation, &manner, None).await?;
            }
            let since = *since.get_or_insert_with(|| self.run.clock.now());
            let waited = self.run.clock.elapsed(since);
            let go_on = match self.answer(unit, operation, retry.until) {
                Answer::Final => false,
                Answer::InProgress => waited < stuck_after,
                Answer::Open => {
                    open += 1;
                    open < retry.max
                }
            };
            if !go_on || self.run.stopped() {
                return Ok(());
            }
            let pause = backoff(retry.backoff_min, retry.backoff_max, tries - 1);
            // The last look at a key that may be stuck comes when the time is
            // just over, not a whole pause later.
            let pause = if waited < stuck_after {
                pause.min(stuck_after.saturating_sub(waited).max(retry.backoff_min))
            } else {
                pause
            };
            tokio::time::sleep(pause).await;
        }
    }

    fn answer(&self, unit: &Unit, operation: usize, until: Until) -> Answer {
        let contract = &self.scenario().contract;
        let Some(last) = unit.past.last() else {
            return Answer::Open;
        };
        match (last.outcome, last.status) {
            (Outcome::Ok, _) => Answer::Final,
            (_, Some(status)) if contract.closing_says_in_progress(status) => {
                if names_known_result(&unit.past, operation, last) {
                    Answer::Final
                } else {
                    Answer::InProgress
                }
            }
            (Outcome::Rejected, Some(_)) if until == Until::Answered => Answer::Final,
            _ => Answer::Open,
        }
    }
}

/// Whether an answer carries the identity of an `ok` answer for the same key.
fn names_known_result(past: &[Past], operation: usize, last: &Past) -> bool {
    past.iter()
        .filter(|other| other.operation == operation && other.outcome == Outcome::Ok)
        .any(|ok| IdentityFact::name_one_result(&ok.identity, &last.identity))
}
