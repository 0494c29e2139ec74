//! Answers for one key: whether they name one result, whether a true retry is
//! accepted, whether the key ever answers for good (`retry-safety.md` 2.A).
//!
//! Never proof here: a refused duplicate while the first attempt runs, another
//! status, other volatile headers, a field that an answer leaves out.

use std::time::Duration;

use super::EventIndex;
use super::scene::{Clue, Proof, Scene};
use super::view::Delivery;
use crate::codes::Hazard;
use crate::contract::{Outcome, Replay, ReplayStatus, Reserialised};
use crate::history::IdentityFact;
use crate::plan::{Kind, Variant};

/// Statuses that a comparison of payloads does not answer with: who is asking,
/// what is being asked for, and how often.
const NOT_A_MISMATCH: [u16; 10] = [401, 403, 404, 405, 407, 408, 423, 425, 429, 431];

/// Answers for one key that name different results.
pub(crate) fn divergent(scene: &Scene<'_, '_>) -> Option<Proof> {
    let oks: Vec<&Delivery<'_>> = scene.oks().filter(|ok| ok.answer().is_some()).collect();
    let proof = |a: &Delivery<'_>, b: &Delivery<'_>, clue| {
        scene.proof(Hazard::DivergentReplay, None, vec![a.event, b.event], clue)
    };
    for (place, first) in oks.iter().enumerate() {
        for other in &oks[place + 1..] {
            for (field, value) in first.identity() {
                let different = other
                    .identity()
                    .find(|(at, named)| *at == field && *named != value);
                if let Some((_, named)) = different {
                    let clue = Clue::Identities(value.to_owned(), named.to_owned());
                    return Some(proof(first, other, clue));
                }
            }
        }
    }
    let first = oks.iter().min_by_key(|ok| ok.answered_at())?;
    oks.iter()
        .filter(|other| other.event != first.event)
        .find_map(|other| Some(proof(first, other, breaks_promise(scene, first, other)?)))
}

/// What a replay breaks of what the contract promises beyond identity.
fn breaks_promise(
    scene: &Scene<'_, '_>,
    first: &Delivery<'_>,
    other: &Delivery<'_>,
) -> Option<Clue> {
    let contract = &scene.scenario.contract;
    let (a, b) = (first.answer()?, other.answer()?);
    let is_replay = first.precedes(other);
    let status = match &contract.replay_status {
        ReplayStatus::AnySuccess => contract.replay != Replay::Exact || a.status == b.status,
        ReplayStatus::Same => a.status == b.status,
        ReplayStatus::OneOf(statuses) => !is_replay || statuses.contains(&b.status),
    };
    if !status {
        return Some(Clue::Statuses(a.status, b.status));
    }
    if contract.replay != Replay::Exact || !a.body.complete || !b.body.complete {
        return None;
    }
    let same = match (&a.body.normal, &b.body.normal) {
        (Some(a), Some(b)) => a == b,
        (Some(_) | None, _) => a.body.sha256 == b.body.sha256,
    };
    (!same).then_some(Clue::Bodies)
}

/// A success made from an unfinished record.
pub(crate) fn in_progress_replayed(scene: &Scene<'_, '_>) -> Option<Proof> {
    let complete = |one: &Delivery<'_>| one.is_ok() && one.names_a_result();
    scene.attempts().find_map(|empty| {
        let answer = empty.answer()?;
        let without = !answer.identity.is_empty()
            && answer
                .identity
                .iter()
                .all(|fact| matches!(fact, IdentityFact::Absent | IdentityFact::Null));
        if !empty.is_ok() || !without || matches!(answer.status, 202 | 204 | 205) {
            return None;
        }
        let answered = empty.answered_at()?;
        let running = scene.attempts().find(|other| {
            other.event != empty.event
                && other.delivered()
                && other.sent() < answered
                && other.answered_at().is_none_or(|at| at > answered)
        })?;
        let later: Vec<_> = scene
            .deliveries
            .iter()
            .filter(|one| one.is_ok() && one.sent() >= answered)
            .filter(|one| {
                scene
                    .oks()
                    .any(|done| complete(done) && done.event != one.event && done.precedes(one))
                    || complete(one)
            })
            .collect();
        // A target that leaves the result out of every replay does so on purpose.
        let on_purpose = later.iter().any(|one| !complete(one));
        let full = later.iter().find(|one| complete(one))?;
        (!on_purpose).then(|| {
            scene.proof(
                Hazard::InProgressReplayed,
                None,
                vec![empty.event, running.event, full.event],
                Clue::Empty {
                    status: answer.status,
                },
            )
        })
    })
}

/// Whether an answer says "in progress" to somebody who comes back later, and
/// does not name the result while it does.
fn says_in_progress(scene: &Scene<'_, '_>, delivery: &Delivery<'_>) -> bool {
    let contract = &scene.scenario.contract;
    delivery.outcome != Outcome::Ok
        && delivery
            .status()
            .is_some_and(|status| contract.closing_says_in_progress(status))
        && !scene.oks().any(|ok| delivery.names_the_result_of(ok))
}

/// A key that answered in progress through all of `stuck_after`.
pub(crate) fn stuck(scene: &Scene<'_, '_>) -> Option<Proof> {
    let closings: Vec<_> = scene.closings().collect();
    // A 503 for all the time may be a service that is down, and an answer of a
    // rate limit speaks of us, not of the key.
    let locked = |one: &&Delivery<'_>| {
        says_in_progress(scene, one)
            && one.status().is_some_and(|status| status < 500)
            && !one.sheds_load()
    };
    let learned = scene
        .attempts()
        .any(|one| one.is_ok() && !one.exchange.hidden);
    if closings.is_empty() || learned || !closings.iter().all(locked) {
        return None;
    }
    let answered = closings.last()?.answered_at()?;
    let ended = scene.attempts().map(|one| one.exchange.timing.ended).max();
    let from = closings.first()?.sent().max(ended.unwrap_or_default());
    let span_ns = answered.since(from);
    if Duration::from_nanos(span_ns) < stuck_after(scene) {
        return None;
    }
    let there = scene
        .judged
        .iter()
        .find(|judged| judged.settled && judged.value.is_some_and(|value| value != 0.0))
        .map(|judged| judged.effect);
    Some(scene.proof(
        Hazard::StuckKey,
        None,
        scene.all_events(),
        Clue::Stuck {
            answers: closings.len(),
            status: closings.last()?.status()?,
            span_ns,
            there,
        },
    ))
}

/// How long this contract lets a key answer in progress.
pub(crate) fn stuck_after(scene: &Scene<'_, '_>) -> Duration {
    let h_p99_us = scene
        .view
        .h_us(scene.case.scenario, scene.case.operation)
        .map_or(0, |(_, p99)| p99);
    scene
        .scenario
        .contract
        .stuck_after(Duration::from_micros(h_p99_us))
}

/// What the closing retries left open: the key still answered in progress, or
/// with server errors only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Open {
    /// In progress, but not for long enough to call it stuck.
    InProgress,
    /// Every closing retry was answered with a server error.
    ServerErrors,
    /// No closing retry was answered.
    Silence,
}

/// Whether the closing retries came to a definite answer.
pub(crate) fn left_open(scene: &Scene<'_, '_>) -> Option<Open> {
    let closings: Vec<_> = scene.closings().collect();
    if closings.is_empty() || scene.oks().next().is_some() {
        return None;
    }
    let all = |holds: &dyn Fn(&Delivery<'_>) -> bool| closings.iter().all(|one| holds(one));
    if all(&|one| one.answered_at().is_none()) {
        Some(Open::Silence)
    } else if all(&|one| one.status().is_some_and(|status| status >= 500)) {
        Some(Open::ServerErrors)
    } else if closings
        .last()
        .is_some_and(|last| says_in_progress(scene, last))
    {
        Some(Open::InProgress)
    } else {
        None
    }
}

/// An in-progress answer to somebody who came after an `ok`: the record lags the
/// answer. Worth knowing, never a failure by itself.
pub(crate) fn lagging(scene: &Scene<'_, '_>) -> Option<Proof> {
    scene.deliveries.iter().find_map(|late| {
        let refused = !is_varied(scene, late)
            && says_in_progress(scene, late)
            && late.status().is_some_and(|status| status < 500)
            && !late.sheds_load();
        let ok = scene.oks().find(|ok| refused && ok.precedes(late))?;
        let mut proof = scene.proof(
            Hazard::StuckKey,
            None,
            vec![ok.event, late.event],
            Clue::Lagging {
                status: late.status()?,
            },
        );
        proof.info = true;
        Some(proof)
    })
}

fn is_varied(scene: &Scene<'_, '_>, delivery: &Delivery<'_>) -> bool {
    let crate::history::Part::Attempt(number) = delivery.exchange.part else {
        return false;
    };
    scene.trial.trial.attempts.iter().any(|attempt| {
        attempt.instance == scene.instance
            && attempt.number == number
            && attempt.variant != Variant::Same
    })
}

/// A retry that came after the answer and was refused as if its payload were
/// another: the first `ok`, the refused retry, its status.
pub(crate) fn refused_retry(scene: &Scene<'_, '_>) -> Option<Proof> {
    let judged = match scene.kind() {
        Kind::ChangedHeaders => true,
        Kind::Reserialised => scene.scenario.contract.reserialised == Reserialised::Accepted,
        Kind::Replay
        | Kind::Burst
        | Kind::Stagger
        | Kind::DropResponse
        | Kind::Timeout
        | Kind::CutRequest
        | Kind::CutResponse
        | Kind::Reset => false,
    };
    if !judged {
        return None;
    }
    scene.attempts().find_map(|refused| {
        let status = refused.status()?;
        if !is_varied(scene, refused) || !refuses_the_payload(refused) {
            return None;
        }
        let first = scene.oks().find(|ok| ok.precedes(refused))?;
        if refused.names_the_result_of(first) {
            return None;
        }
        // The closing retry is the first request byte for byte: where that is
        // refused alike, it is not the difference that is refused.
        let mut closings = scene.closings();
        let alike = closings.any(|closing| closing.status() == Some(status));
        (!alike).then(|| {
            scene.proof(
                Hazard::FalsePayloadMismatch,
                None,
                vec![first.event, refused.event],
                Clue::Refused { status },
            )
        })
    })
}

/// Whether a retry after the answer was refused, whatever the pattern: where
/// identical ones are, a refused variant proves nothing.
pub(crate) fn refuses_identical_retries(scene: &Scene<'_, '_>) -> bool {
    scene.attempts().any(|refused| {
        refuses_the_payload(refused)
            && !is_varied(scene, refused)
            && scene
                .oks()
                .any(|ok| ok.precedes(refused) && !refused.names_the_result_of(ok))
    })
}

fn refuses_the_payload(delivery: &Delivery<'_>) -> bool {
    delivery.outcome == Outcome::Rejected
        && !delivery.sheds_load()
        && delivery
            .status()
            .is_some_and(|status| (400..500).contains(&status) && !NOT_A_MISMATCH.contains(&status))
}

/// The whole request refused for good after one that was cut in the middle.
pub(crate) fn burned_key(scene: &Scene<'_, '_>) -> Option<Proof> {
    if !scene.was_cut() || scene.is_tampered_with() || scene.oks().next().is_some() {
        return None;
    }
    let whole: Vec<_> = scene
        .deliveries
        .iter()
        .filter(|one| one.answer().is_some())
        .collect();
    let last = whole.last().filter(|last| last.is_closing())?;
    let status = last.status()?;
    let final_refusal =
        refuses_the_payload(last) && !scene.scenario.contract.closing_says_in_progress(status);
    (final_refusal && whole.iter().all(|one| refuses_the_payload(one))).then(|| {
        scene.proof(
            Hazard::PartialUploadExecuted,
            None,
            scene.all_events(),
            Clue::Burned { status },
        )
    })
}

/// Server errors to duplicates of one instance.
#[derive(Default)]
pub(crate) struct Failures {
    /// To retries that came after an `ok`.
    pub(crate) after: Vec<(EventIndex, u16)>,
    /// How many such retries there were.
    pub(crate) after_of: u64,
    /// To losers of a race that somebody won.
    pub(crate) lost: Vec<(EventIndex, u16)>,
    /// How many losers there were.
    pub(crate) lost_of: u64,
}

/// Which duplicates were answered with a server error.
pub(crate) fn server_errors(scene: &Scene<'_, '_>) -> Failures {
    let contract = &scene.scenario.contract;
    let races = match scene.kind() {
        Kind::Burst | Kind::Stagger | Kind::Timeout => true,
        Kind::Replay
        | Kind::DropResponse
        | Kind::CutRequest
        | Kind::CutResponse
        | Kind::Reset
        | Kind::ChangedHeaders
        | Kind::Reserialised => false,
    };
    let mut failures = Failures::default();
    for one in &scene.deliveries {
        let Some(status) = one.status() else {
            continue;
        };
        let failed = one.outcome == Outcome::Unknown && status >= 500 && !one.sheds_load();
        let others = || scene.oks().filter(|ok| ok.event != one.event);
        if others().any(|ok| ok.precedes(one)) {
            failures.after_of += 1;
            if failed {
                failures.after.push((one.event, status));
            }
        } else if races && one.is_attempt() && others().any(|ok| ok.overlaps(one)) {
            failures.lost_of += 1;
            // What the contract lets a duplicate be answered while the first runs
            // is no leak.
            if failed && !contract.says_in_progress(status) {
                failures.lost.push((one.event, status));
            }
        }
    }
    failures
}

/// How a first attempt that nothing else ran beside was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// With a server error.
    Failed,
    /// With anything else.
    Answered,
}

/// The answer to the first attempt, where the next one waited for it: what the
/// target does with a key that it has never seen.
pub(crate) fn first_alone(scene: &Scene<'_, '_>) -> Option<First> {
    let first = scene.deliveries.first().filter(|one| one.is_attempt())?;
    let status = first.status()?;
    let alone = scene.deliveries[1..]
        .iter()
        .all(|next| first.precedes(next));
    alone.then_some(if first.outcome == Outcome::Unknown && status >= 500 {
        First::Failed
    } else {
        First::Answered
    })
}
