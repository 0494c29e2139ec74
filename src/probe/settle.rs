//! Reading until a value has settled (`language.md` section 14, *Effects*).
//!
//! The logic knows neither sockets nor what a number means: it is handed a way
//! to read and a judge that says whether a reading would do.

use crate::history::{Offset, ProbeFailure, Reading, Settled};
use std::time::Duration;

/// How patient a reading is.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How long after the last attempt a reading may still become what is
    /// allowed.
    pub within: Duration,
    /// How long it must be unchanged.
    pub stable_for: Duration,
    /// The pause between two readings.
    pub every: Duration,
    /// When the last attempt ended.
    pub last_attempt: Offset,
    /// Whether an excess ends the wait at once.
    pub excess_is_final: bool,
}

/// What a reading means for the wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It would do.
    Fine,
    /// It may still become what is allowed.
    NotYet,
    /// It is more than allowed.
    Excess,
}

/// Equal readings, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretch {
    /// What they said.
    pub reading: Result<Reading, ProbeFailure>,
    /// When the first was asked for.
    pub since: Offset,
    /// When the last was answered.
    pub until: Offset,
    /// How many there were.
    pub readings: u32,
}

/// Says what a reading means; the flag tells whether `within` is over.
pub trait Judge: Fn(&Reading, bool) -> Progress {}
impl<F: Fn(&Reading, bool) -> Progress> Judge for F {}

/// The fewest equal readings that settle anything (`retry-safety.md` 2.0).
const FEWEST_READINGS: u32 = 3;

/// Readings after the deadline that a value gets to come to rest.
const LATE_READINGS: u32 = 2 * FEWEST_READINGS;

/// What came of a wait.
#[derive(Debug, Clone, PartialEq)]
pub struct Watch {
    /// All readings, equal ones folded.
    pub stretches: Vec<Stretch>,
    /// How it ended.
    pub settled: Settled,
}

/// Reads until the value has been allowed and unchanged for `stable_for` and
/// three readings, until it shows an excess, or until patience is over.
pub async fn settle<F>(
    patience: Patience,
    now: impl Fn() -> Offset,
    mut read: impl FnMut() -> F,
    judge: impl Judge,
    stop: impl Fn() -> bool,
) -> Watch
where
    F: Future<Output = Result<Reading, ProbeFailure>>,
{
    let started = now();
    let within_over = Offset(nanos(patience.last_attempt, patience.within));
    let deadline = Offset(nanos(within_over.max(started), patience.stable_for));
    // A value that still moves gets this much longer, and so many readings, to
    // come to rest: where many effects are read at one time, readings are few and
    // far between, and being late is no moving.
    let last_call = Offset(nanos(deadline, patience.stable_for + 3 * patience.every));
    let mut late_readings = 0;
    let mut stretches: Vec<Stretch> = Vec::new();
    // The last value and since when it stands, passing failures aside.
    let mut standing: Option<(Reading, Offset, u32)> = None;
    loop {
        let asked = now();
        let reading = read().await;
        let answered = now();
        let settled = match &reading {
            Err(failure) if !failure.passing => Some(Settled::Unreadable),
            Err(_) => {
                (answered >= deadline && answered >= last_call).then_some(Settled::Unreadable)
            }
            Ok(value) => {
                late_readings += u32::from(answered >= deadline);
                standing = match standing.take() {
                    Some((old, since, n)) if old.says_the_same(value) => Some((old, since, n + 1)),
                    _ => Some((value.clone(), asked, 1)),
                };
                let unchanged = standing.as_ref().is_some_and(|(_, since, n)| {
                    *n >= FEWEST_READINGS
                        && Duration::from_nanos(answered.since(*since)) >= patience.stable_for
                });
                match judge(value, answered >= within_over) {
                    Progress::Excess if patience.excess_is_final => Some(Settled::Excess),
                    Progress::Excess if answered >= deadline && unchanged => Some(Settled::Excess),
                    Progress::Fine if unchanged => Some(Settled::Stable),
                    Progress::NotYet if answered >= deadline && unchanged => Some(Settled::Lacking),
                    _ => (answered >= last_call && late_readings > LATE_READINGS)
                        .then_some(Settled::Moving),
                }
            }
        };
        fold(&mut stretches, reading, asked, answered);
        let settled = settled.or_else(|| stop().then_some(Settled::Interrupted));
        if let Some(settled) = settled {
            return Watch { stretches, settled };
        }
        tokio::time::sleep(patience.every).await;
    }
}

fn nanos(start: Offset, span: Duration) -> u64 {
    let span = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    start.0.saturating_add(span)
}

fn fold(
    stretches: &mut Vec<Stretch>,
    reading: Result<Reading, ProbeFailure>,
    since: Offset,
    until: Offset,
) {
    match stretches.last_mut() {
        Some(last) if equal(&last.reading, &reading) => {
            last.until = until;
            last.readings += 1;
        }
        _ => stretches.push(Stretch {
            reading,
            since,
            until,
            readings: 1,
        }),
    }
}

fn equal(a: &Result<Reading, ProbeFailure>, b: &Result<Reading, ProbeFailure>) -> bool {
    match (a, b) {
        (Ok(a), Ok(b)) => a.says_the_same(b),
        (Err(a), Err(b)) => a == b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[expect(
        clippy::unnecessary_wraps,
        reason = "scripts mix readings and failures"
    )]
    fn count(n: u64) -> Result<Reading, ProbeFailure> {
        Ok(Reading::Count {
            n,
            sample: Vec::new(),
        })
    }

    fn passing() -> ProbeFailure {
        ProbeFailure {
            status: Some(503),
            what: "answered 503 Service Unavailable".to_owned(),
            passing: true,
        }
    }

    /// Reads `script` in turn, the last of it for ever, expecting one effect.
    async fn watch(script: Vec<Result<Reading, ProbeFailure>>, excess_is_final: bool) -> Watch {
        let start = tokio::time::Instant::now();
        let now =
            || Offset(u64::try_from(start.elapsed().as_nanos()).expect("a test is not that long"));
        let left = RefCell::new(script.into_iter().rev().collect::<Vec<_>>());
        let read = || {
            let mut left = left.borrow_mut();
            std::future::ready(if left.len() > 1 {
                left.pop().expect("more than one is left")
            } else {
                left[0].clone()
            })
        };
        let judge = |reading: &Reading, _| match reading {
            Reading::Count { n: 1, .. } => Progress::Fine,
            Reading::Count { n: 0, .. } => Progress::NotYet,
            _ => Progress::Excess,
        };
        let patience = Patience {
            within: Duration::from_secs(5),
            stable_for: Duration::from_secs(1),
            every: Duration::from_millis(200),
            last_attempt: Offset(0),
            excess_is_final,
        };
        settle(patience, now, read, judge, || false).await
    }

    #[tokio::test(start_paused = true)]
    async fn an_allowed_value_settles_after_stable_for_and_three_readings() {
        let watch = watch(vec![count(1)], true).await;
        assert_eq!(watch.settled, Settled::Stable);
        assert_eq!(watch.stretches.len(), 1);
        assert_eq!(watch.stretches[0].readings, 6);
    }

    #[tokio::test(start_paused = true)]
    async fn one_low_reading_of_a_lagging_endpoint_is_no_lack() {
        let mut script = vec![count(0); 20];
        script.push(count(1));
        let watch = watch(script, true).await;
        assert_eq!(watch.settled, Settled::Stable);
        assert_eq!(watch.stretches.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lack_is_a_lack_only_after_within_and_stable_for() {
        let watch = watch(vec![count(0)], true).await;
        assert_eq!(watch.settled, Settled::Lacking);
        assert!(watch.stretches[0].until >= Offset(6_000_000_000));
    }

    #[tokio::test(start_paused = true)]
    async fn an_excess_ends_the_wait_at_once_unless_it_may_pass() {
        let seen = watch(vec![count(1), count(2), count(1)], true).await;
        assert_eq!(seen.settled, Settled::Excess);
        assert_eq!(seen.stretches.len(), 2);
        let forgiven = watch(vec![count(1), count(2), count(1)], false).await;
        assert_eq!(forgiven.settled, Settled::Stable);
        let stays = watch(vec![count(2)], false).await;
        assert_eq!(stays.settled, Settled::Excess);
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_that_never_rests_is_moving() {
        let script = (0..200).map(|n| count(n % 2)).collect();
        assert_eq!(watch(script, true).await.settled, Settled::Moving);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_slow_is_not_taken_for_a_value_that_moves() {
        let start = tokio::time::Instant::now();
        let now =
            || Offset(u64::try_from(start.elapsed().as_nanos()).expect("a test is not that long"));
        let read = || async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            count(1)
        };
        let judge = |_: &Reading, _| Progress::Fine;
        let patience = Patience {
            within: Duration::from_secs(2),
            stable_for: Duration::from_millis(300),
            every: Duration::from_millis(100),
            last_attempt: Offset(0),
            excess_is_final: true,
        };
        let watch = settle(patience, now, read, judge, || false).await;
        assert_eq!(watch.settled, Settled::Stable);
        assert_eq!(watch.stretches[0].readings, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_passing_failure_is_tried_again_and_does_not_disturb_the_value() {
        let watch = watch(
            vec![Err(passing()), count(1), Err(passing()), count(1), count(1)],
            true,
        )
        .await;
        assert_eq!(watch.settled, Settled::Stable);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_told_apart_by_whether_they_pass() {
        let never = watch(vec![Err(passing())], true).await;
        assert_eq!(never.settled, Settled::Unreadable);
        assert!(never.stretches[0].readings > 10);
        let forbidden = Err(ProbeFailure {
            status: Some(403),
            what: "answered 403 Forbidden, not retried".to_owned(),
            passing: false,
        });
        let at_once = watch(vec![forbidden], true).await;
        assert_eq!(at_once.settled, Settled::Unreadable);
        assert_eq!(at_once.stretches[0].readings, 1);
    }
}
