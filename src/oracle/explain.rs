//! Findings in words: what was sent, what was answered, what is there; why that
//! happens and what to do about it, chosen by the facts of the proof.

use std::time::Duration;

use super::court::evidence;
use super::latency::quantile_word;
use super::scene::{Clue, Proof, Scene};
use super::verdict::{ClientGone, Conduct, Finding};
use super::view::Delivery;
use super::words::{capital, duration, exist, list, number, spelled, statuses};
use crate::codes::{Hazard, Severity};
use crate::history::{Observation, Reading};
use crate::plan::{AnswerPoint, CutPoint, Ending, Extraction, Fault, KeyPlace, Kind, TrialId};

/// What is known beyond the one proof.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Facts {
    /// Trials that show the finding.
    pub(crate) trials: usize,
    /// Trials of the case that ran.
    pub(crate) run: u32,
    /// Whether the operation repeats its effect after an answer, too.
    pub(crate) ignores_keys: bool,
    /// What the target does when its client is gone.
    pub(crate) client_gone: Option<ClientGone>,
}

/// A proof as a finding.
pub(crate) fn finding(
    scene: &Scene<'_, '_>,
    proof: &Proof,
    trials: Vec<TrialId>,
    facts: Facts,
) -> Finding {
    let cause = cause(scene, proof, facts);
    let summary = summary(scene, proof);
    Finding {
        hazard: proof.hazard,
        severity: if proof.info {
            Severity::Info
        } else {
            proof.hazard.severity()
        },
        explanation: explanation(scene, proof, &summary),
        summary,
        cause: cause.word.to_owned(),
        why: match when_gone(scene, proof, facts) {
            Some(known) => format!("{} {known}", cause.why),
            None => cause.why.to_owned(),
        },
        remedy: cause.remedy.to_owned(),
        effect: proof.effect,
        trials,
        evidence: evidence(proof),
    }
}

/// A reading as text.
pub(crate) fn shown(observation: &Observation) -> Option<String> {
    Some(match observation.reading.as_ref().ok()? {
        Reading::Count { n, .. } => n.to_string(),
        Reading::Sum(sum) => number(*sum),
        Reading::Value(None) => "nothing".to_owned(),
        Reading::Value(Some(serde_json::Value::String(text))) => text.clone(),
        Reading::Value(Some(value)) => value.to_string(),
    })
}

/// One line that stands alone.
fn summary(scene: &Scene<'_, '_>, proof: &Proof) -> String {
    let key = key(scene);
    let effect = |seen: f64| match proof.effect.and_then(|at| scene.scenario.effects.get(at)) {
        Some(effect) => {
            let counted = matches!(effect.extraction, Extraction::Count(_));
            exist(&effect.name, seen, counted)
        }
        None => format!("the effect is {}", number(seen)),
    };
    let name = |at: usize| {
        scene.scenario.effects.get(at).map_or_else(
            || "the effect".to_owned(),
            |effect| format!("`{}`", effect.name),
        )
    };
    match &proof.clue {
        Clue::Excess(excess) => {
            if (excess.most - 1.0).abs() < f64::EPSILON {
                format!("{} for one {key}", effect(excess.seen))
            } else {
                format!(
                    "{} for one {key}, where at most {} is right",
                    effect(excess.seen),
                    number(excess.most)
                )
            }
        }
        Clue::RefusedThough { seen } => {
            format!("every answer was a refusal, and yet {}", effect(*seen))
        }
        Clue::Lack { seen, wanted } => {
            if *seen == 0.0 {
                let what = proof.effect.map_or_else(|| "the effect".to_owned(), &name);
                format!("success was answered, but {what} shows nothing")
            } else {
                format!(
                    "success was answered, but {} instead of {}",
                    effect(*seen),
                    number(*wanted)
                )
            }
        }
        Clue::Differs => {
            let what = proof.effect.map_or_else(|| "the effect".to_owned(), &name);
            match last_reading(scene, proof.effect).and_then(shown) {
                Some(seen) => {
                    format!("success was answered, but {what} is `{seen}`, not what it must be")
                }
                None => format!("success was answered, but {what} is not what it must be"),
            }
        }
        Clue::Unequal(parts) => {
            let told: Vec<String> = parts
                .iter()
                .map(|(at, seen, wanted)| {
                    format!("{} {} of {}", name(*at), number(*seen), number(*wanted))
                })
                .collect();
            format!(
                "the parts of one operation do not go together: {}",
                list(&told)
            )
        }
        Clue::Identities(a, b) => {
            format!(
                "answers for one {key} name two results: {} and {}",
                short(a),
                short(b)
            )
        }
        Clue::Statuses(a, b) => {
            format!("a replay is answered {b}, where the first answer was {a}")
        }
        Clue::Bodies => format!("answers for one {key} have different bodies"),
        Clue::Empty { status } => {
            format!("a duplicate is answered {status} without a result while the first runs")
        }
        Clue::Stuck {
            status, span_ns, ..
        } => format!(
            "after {} the key still answers {status}, in progress",
            duration(Duration::from_nanos(*span_ns))
        ),
        Clue::Lagging { status } => {
            format!("a retry after the answer is told {status}, in progress")
        }
        Clue::Refused { status } => {
            format!("a retry with the same meaning is refused with {status}")
        }
        Clue::Failed { status, .. } => {
            if proof.hazard == Hazard::ConstraintLeaks500 {
                format!("duplicates that lose the race are answered {status}")
            } else {
                format!("a retry of a finished operation is answered {status}")
            }
        }
        Clue::Truncated { seen } => {
            format!(
                "the request was cut in the middle, and yet {}",
                effect(*seen)
            )
        }
        Clue::Burned { status } => {
            format!("after a request that was cut, the whole one is refused with {status}")
        }
        Clue::Unrelated {
            status,
            refused,
            at_once,
        } => format!(
            "{} of {} operations with different keys were refused with {status}",
            spelled(*refused),
            spelled(*at_once as usize)
        ),
        Clue::Broken { invariant, .. } => {
            let expression = scene
                .scenario
                .invariants
                .get(*invariant)
                .map_or("the invariant", |one| one.expression.as_str());
            format!("`{expression}` does not hold")
        }
        Clue::Slow {
            population,
            quantile,
            seen_us,
            limit_us,
            ..
        } => format!(
            "{} of `{}` is {}, and the limit is {}",
            quantile_word(*quantile),
            population.word(),
            duration(Duration::from_micros(*seen_us)),
            duration(Duration::from_micros(*limit_us))
        ),
    }
}

/// One to three sentences.
fn explanation(scene: &Scene<'_, '_>, proof: &Proof, summary: &str) -> String {
    let opening = opening(scene);
    match &proof.clue {
        Clue::Excess(_)
        | Clue::RefusedThough { .. }
        | Clue::Lack { .. }
        | Clue::Differs
        | Clue::Unequal(_)
        | Clue::Identities(..)
        | Clue::Statuses(..)
        | Clue::Bodies
        | Clue::Empty { .. } => format!("{opening}; {summary}. {}", answers(scene)),
        Clue::Stuck {
            answers: tries,
            status,
            span_ns,
            there,
        } => {
            let there = there.and_then(|at| scene.scenario.effects.get(at));
            let lost = match there {
                Some(effect) => format!(
                    ", although `{}` shows the effect. A real client can never learn that it \
                     succeeded",
                    effect.name
                ),
                None => ". A real client can neither finish nor give up".to_owned(),
            };
            format!(
                "{opening} and was retried for {} (stuck_after); {} answered {status}{lost}.",
                duration(Duration::from_nanos(*span_ns)),
                if *tries == 1 {
                    "the closing retry was".to_owned()
                } else {
                    format!("each of {} closing retries was", spelled(*tries))
                }
            )
        }
        Clue::Lagging { .. } => format!(
            "{summary}, although an answer with success had been received before it was sent: the \
             record is finished after the answer. That passes, but a crash in between loses the \
             record."
        ),
        Clue::Refused { .. } => format!(
            "{opening}, after the answer to the first had been received; {summary}. {}",
            answers(scene)
        ),
        Clue::Failed { answers: n, .. } => format!(
            "{opening}; {}. The number of effects is right: only the answer is wrong{}.",
            summary,
            if *n > 1 {
                format!(", {} times in this trial", spelled(*n))
            } else {
                String::new()
            }
        ),
        Clue::Truncated { .. } => format!(
            "The first request ended before it was whole, and no other request had been accepted; \
             {summary}: the part that arrived was executed."
        ),
        Clue::Burned { .. } => format!(
            "The first request ended before it was whole, so nothing may have happened; \
             {summary}. {}",
            answers(scene)
        ),
        Clue::Unrelated { at_once, .. } => format!(
            "{} clean operations, each with a key of its own that was sent once, arrived together; \
             {summary}. While that is so, refused duplicates prove nothing.",
            capital(&spelled(*at_once as usize))
        ),
        Clue::Broken {
            values, whole_run, ..
        } => {
            let told: Vec<String> = values
                .iter()
                .map(|(name, value)| format!("`{name}` is {value}"))
                .collect();
            let told = list(&told);
            if *whole_run {
                format!(
                    "After the run {summary}: {told}. It held before, and no single trial is seen \
                     to break it; all patterns of the scenario took part."
                )
            } else {
                format!("{opening}; after everything had settled {summary}: {told}.")
            }
        }
        Clue::Slow { samples, .. } => format!(
            "Over {samples} latencies, each from the intended release to the whole answer, {summary}."
        ),
    }
}

/// What was sent, as the beginning of a sentence.
fn opening(scene: &Scene<'_, '_>) -> String {
    let sent = scene.attempts().filter(|one| one.delivered()).count();
    let many = match sent {
        0 | 1 => "The attempts".to_owned(),
        n => format!("{} identical attempts", capital(&spelled(n))),
    };
    match scene.kind() {
        Kind::Replay => format!("{many} were sent, each after the answer to the one before"),
        Kind::Burst => format!("{many} arrived together"),
        Kind::Stagger => format!("{many} were sent so that they overlapped"),
        Kind::DropResponse => {
            "The first answer was lost to the client, which sent the request again".to_owned()
        }
        Kind::Timeout => {
            "The client gave up waiting and sent the request again while the first may have run"
                .to_owned()
        }
        Kind::CutRequest => cut_request(scene).to_owned(),
        Kind::CutResponse => cut_response(scene).to_owned(),
        Kind::Reset if scene.ending() == Some(Ending::Silence) => {
            "The client fell silent after the request, with the connection left open, and sent \
             the request again"
                .to_owned()
        }
        Kind::Reset => {
            let answered = scene.attempts().any(|attempt| {
                matches!(scene.fault(attempt), Fault::Reset { .. })
                    && attempt.exchange.timing.first_in.is_some()
            });
            let when = if answered { "after" } else { "before" };
            format!(
                "The connection was ended after the request and {when} the first byte of an \
                 answer, and the client sent the request again"
            )
        }
        Kind::ChangedHeaders => {
            "The request was sent again with another User-Agent and trace header".to_owned()
        }
        Kind::Reserialised => {
            "The request was sent again with other member order and white space".to_owned()
        }
    }
}

fn cut_request(scene: &Scene<'_, '_>) -> &'static str {
    match scene.cut() {
        Some((CutPoint::Connect, _)) => {
            "The first attempt was lost before there was a connection, and the client sent the \
             request again"
        }
        Some((CutPoint::FirstByte, _)) => {
            "The first connection was lost before the first byte of the request, and the client \
             sent the request again"
        }
        Some((_, Ending::Silence)) => {
            "The client fell silent inside the first request, with the connection left open, and \
             sent the whole request again"
        }
        Some((_, Ending::Fin | Ending::Rst | Ending::HalfClose)) | None => {
            "The connection was closed inside the first request, and the client sent the whole \
             request again"
        }
    }
}

fn cut_response(scene: &Scene<'_, '_>) -> &'static str {
    match (scene.answer_cut_at(), scene.ending()) {
        (Some(AnswerPoint::Whole), _) => {
            "The first answer came whole, but the client lost it and sent the request again"
        }
        (_, Some(Ending::Silence)) => {
            "The client stopped reading inside the first answer, with the connection left open, \
             and sent the request again"
        }
        (_, Some(Ending::Fin | Ending::Rst | Ending::HalfClose) | None) => {
            "The connection was closed inside the first answer, and the client sent the request \
             again"
        }
    }
}

/// What was answered, as a sentence.
fn answers(scene: &Scene<'_, '_>) -> String {
    let attempts: Vec<Delivery<'_>> = scene.attempts().copied().collect();
    let closings: Vec<Delivery<'_>> = scene.closings().copied().collect();
    let mut told = format!("The answers were {}", statuses(&attempts));
    if !closings.is_empty() {
        told.push_str("; the closing retry was answered ");
        told.push_str(&statuses(&closings[closings.len() - 1..]));
    }
    told.push('.');
    told
}

fn last_reading<'a>(scene: &Scene<'a, '_>, effect: Option<usize>) -> Option<&'a Observation> {
    scene
        .judged
        .iter()
        .find(|judged| Some(judged.effect) == effect)
        .and_then(|judged| judged.last)
}

fn key(scene: &Scene<'_, '_>) -> String {
    let place = scene
        .scenario
        .operations
        .get(scene.case.operation)
        .map(|operation| &operation.key.place);
    match place {
        Some(KeyPlace::Header(name)) => name.clone(),
        Some(KeyPlace::Json(path)) => format!("key at `{path}`"),
        Some(KeyPlace::Query(name)) => format!("key `{name}`"),
        Some(KeyPlace::None) | None => "operation".to_owned(),
    }
}

/// An identity may be a whole URL.
fn short(value: &str) -> String {
    const MOST: usize = 40;
    if value.chars().count() <= MOST {
        return value.to_owned();
    }
    let end: Vec<char> = value.chars().collect();
    let tail: String = end[end.len() - (MOST - 1)..].iter().collect();
    format!("…{tail}")
}

/// A likely cause, why it does that, and what to do.
struct Cause {
    word: &'static str,
    why: &'static str,
    remedy: &'static str,
}

const KEY_IGNORED: Cause = Cause {
    word: "key-ignored",
    why: "The key is not looked up, or its record was gone when the retry came: each attempt ran \
          as an operation of its own.",
    remedy: "Store the key under a unique constraint before the work, and its result in the \
             transaction of the effect; answer retries from that record.",
};

fn cause(scene: &Scene<'_, '_>, proof: &Proof, facts: Facts) -> Cause {
    match proof.hazard {
        Hazard::DuplicateEffectSequential => sequential(scene, facts),
        Hazard::DuplicateEffectConcurrent
        | Hazard::DuplicateEffectInFlight
        | Hazard::DuplicateEffectDroppedResponse
            if facts.ignores_keys =>
        {
            KEY_IGNORED
        }
        Hazard::DuplicateEffectConcurrent => Cause {
            word: "check-then-act",
            why: "Both attempts looked the key up before either had stored it (check-then-act).",
            remedy: "Insert the key first, under a unique constraint, in the transaction that \
                     makes the effect; answer 409 or wait when the insert conflicts.",
        },
        Hazard::DuplicateEffectInFlight => Cause {
            word: "record-at-end",
            why: "The key is recorded only when the work is done, so a retry that comes before \
                  finds nothing and runs too.",
            remedy: "Reserve the key before the work and hold it while the work runs; answer 409 \
                     with Retry-After, or wait and replay.",
        },
        Hazard::DuplicateEffectDroppedResponse => Cause {
            word: "record-after-answer",
            why: "The key is recorded only after the answer was written, or only if it could be.",
            remedy: "Commit effect and record together before the first byte of the answer.",
        },
        Hazard::ErrorAfterEffect => error_after_effect(&proof.clue),
        Hazard::LostEffect => lost_effect(&proof.clue),
        Hazard::DivergentReplay => divergent(&proof.clue),
        Hazard::InProgressReplayed => Cause {
            word: "unfinished-record",
            why: "The look-up only asks whether a record exists, and replays one whose result is \
                  not there yet.",
            remedy: "Give the record a state of its own; replay only what is done, and answer 409 \
                     or wait while it is not.",
        },
        Hazard::StuckKey => stuck(scene, &proof.clue),
        Hazard::FalsePayloadMismatch => false_mismatch(scene),
        Hazard::ConstraintLeaks500 => Cause {
            word: "unmapped-constraint",
            why: "A unique constraint stops the duplicate, and its exception reaches the client.",
            remedy: "Catch the violation, read the record again, and answer the replay, 409 or \
                     wait.",
        },
        Hazard::KeyHandling5xx => Cause {
            word: "unhandled-key-error",
            why: "The code that handles the key fails when it meets a key that is already there.",
            remedy: "Map what the key handling can fail with to an answer of its own, and test it \
                     with a used key.",
        },
        Hazard::UnrelatedKeysRefused => Cause {
            word: "global-lock",
            why: "One lock, or one name for it, stands before all keys: operations that have \
                  nothing to do with each other shut each other out.",
            remedy: "Lock by scope and key, and wait for a short while instead of refusing.",
        },
        Hazard::CancelMidHandler
            if facts.client_gone.map(ClientGone::conduct) == Some(Conduct::Completes) =>
        {
            Cause {
                word: "record-at-end",
                why: "The handler goes on without its client, and the key is recorded only when \
                      the work is done: the retry came before, found nothing and ran too.",
                remedy: "Reserve the key before the work and hold it while the work runs; answer \
                         409 with Retry-After, or wait and replay.",
            }
        }
        Hazard::CancelMidHandler => Cause {
            word: "cancelled-handler",
            why: "The handler is cancelled when its client goes away, between two of its steps.",
            remedy: "Detach the steps from the connection, or make them one transaction, so that \
                     they happen all or not at all.",
        },
        Hazard::PartialUploadExecuted => partial_upload(&proof.clue),
        Hazard::InvariantBroken => Cause {
            word: "lost-update",
            why: "Operations read a value, compute, and write it back without guarding against \
                  each other.",
            remedy: "Change the value where it is stored (`set stock = stock - 1 where stock > \
                     0`), or under a lock or a serialisable transaction that is retried.",
        },
        Hazard::PartialSideEffect => Cause {
            word: "no-common-transaction",
            why: "The parts are written one by one, and what ends or repeats in between leaves \
                  some and not the others.",
            remedy: "Write all parts in one transaction, those outside the database through an \
                     outbox, or resume from a recorded point.",
        },
        Hazard::LatencyThreshold => Cause {
            word: "too-slow",
            why: "The target answers more slowly than the scenario allows.",
            remedy: "Look at what these answers wait for, or correct the threshold.",
        },
        // What no pattern of this version provokes is not found here.
        Hazard::LockExpiryReentry
        | Hazard::EarlyExpiry
        | Hazard::PayloadMismatchAccepted
        | Hazard::KeyNotEnforced
        | Hazard::CrossTenantReplay
        | Hazard::CrossEndpointReplay
        | Hazard::CachedTransientError
        | Hazard::CrashLosesRecord
        | Hazard::KeyStoreFailsOpen
        | Hazard::SplitKeyStore
        | Hazard::NaturalKeyDuplicate
        | Hazard::NonIdempotentPut
        | Hazard::NonIdempotentDelete
        | Hazard::UnsafeGet
        | Hazard::StaleOverwrite
        | Hazard::StaleReadAfterAck
        | Hazard::DownstreamCalledTwice
        | Hazard::SagaStepDuplicated
        | Hazard::BatchPartialRetry
        | Hazard::RedeliveryDuplicates
        | Hazard::PoisonMessageLoop
        | Hazard::HiddenRetryLayer
        | Hazard::ClientNewKeyPerAttempt
        | Hazard::ClientKeyReused
        | Hazard::ClientRetryPolicy
        | Hazard::ClockSkewRejection => KEY_IGNORED,
    }
}

/// What the calibration adds to the cause of a finding of a client that left, as a
/// sentence.
fn when_gone(scene: &Scene<'_, '_>, proof: &Proof, facts: Facts) -> Option<String> {
    let told = matches!(
        proof.hazard,
        Hazard::StuckKey | Hazard::CancelMidHandler | Hazard::DuplicateEffectDroppedResponse
    );
    let left = scene
        .attempts()
        .any(|attempt| attempt.exchange.fault_happened && scene.fault(attempt).client_leaves());
    let known = facts.client_gone.filter(|_| told && left)?;
    let ClientGone { seen, of } = known;
    Some(match known.conduct() {
        Conduct::Completes => format!(
            "When the client is gone this target completes what it began ({seen} of {of} seen)."
        ),
        Conduct::Cancels => format!(
            "When the client is gone this target cancels what it began (none of {of} was completed)."
        ),
        Conduct::Either => format!(
            "When the client is gone this target completes what it began or cancels it ({seen} of \
             {of} were completed)."
        ),
        Conduct::NotKnown => {
            "What this target does when the client is gone is not known.".to_owned()
        }
    })
}

fn sequential(scene: &Scene<'_, '_>, facts: Facts) -> Cause {
    let varied = matches!(scene.kind(), Kind::ChangedHeaders | Kind::Reserialised);
    if varied && !facts.ignores_keys {
        Cause {
            word: "record-keyed-on-too-much",
            why: "The record is looked up by more than the key: by bytes or headers that a retry \
                  may change.",
            remedy: "Look the record up by scope and key alone, and compare the parsed payload.",
        }
    } else if facts.trials < facts.run as usize {
        Cause {
            word: "record-not-shared",
            why: "Some retries met the record of the first attempt and some did not: it is kept \
                  for each process or connection, or comes after the answer.",
            remedy: "Keep the records in one store that all instances share, and write them in the \
                     transaction of the effect.",
        }
    } else {
        KEY_IGNORED
    }
}

fn error_after_effect(clue: &Clue) -> Cause {
    if let Clue::RefusedThough { .. } = clue {
        Cause {
            word: "late-refusal",
            why: "The request is refused by a step that comes after the effect was committed.",
            remedy: "Check everything that can refuse before the first effect, or undo the effect \
                     in the same transaction.",
        }
    } else {
        Cause {
            word: "key-released-on-error",
            why: "Something failed after the effect was committed; the key was released with the \
                  error, so the retry ran again.",
            remedy: "Never release a key after the first step that cannot be undone; keep the \
                     record, and resume from it.",
        }
    }
}

fn lost_effect(clue: &Clue) -> Cause {
    if let Clue::Differs = clue {
        Cause {
            word: "state-not-kept",
            why: "Success was answered, but the state that it promises is not the one that stayed.",
            remedy: "Write state and record in one transaction, and let a retry leave both alone.",
        }
    } else {
        Cause {
            word: "ack-before-commit",
            why: "Success is answered, or recorded, before and apart from the effect, and the \
                  effect then did not happen.",
            remedy: "Commit effect and record in one transaction before answering; send messages \
                     through an outbox.",
        }
    }
}

fn divergent(clue: &Clue) -> Cause {
    if let Clue::Statuses(..) | Clue::Bodies = clue {
        Cause {
            word: "answer-rebuilt",
            why: "The replay is made anew instead of being taken from the record.",
            remedy: "Store the answer with the key, and replay it as the contract promises.",
        }
    } else {
        Cause {
            word: "record-overwritten",
            why: "The answer is made from another result than the first one: both attempts ran and \
                  one was undone, or the record was written twice.",
            remedy: "Write the record once (insert, never overwrite), and build every answer from \
                     it.",
        }
    }
}

fn stuck(scene: &Scene<'_, '_>, clue: &Clue) -> Cause {
    if let Clue::Lagging { .. } = clue {
        return Cause {
            word: "record-after-answer",
            why: "The record is marked as done only after the answer was written.",
            remedy: "Finish the record in the transaction of the effect, before the answer.",
        };
    }
    let failed = scene
        .attempts()
        .any(|attempt| attempt.status().is_some_and(|status| status >= 500));
    if scene.left_before_the_answer() || scene.was_cut() {
        Cause {
            word: "in-progress-on-disconnect",
            why: "The key is marked in progress and not finished when the client disconnects.",
            remedy: "Do not cancel the handler on disconnect, or let the marker expire (lease).",
        }
    } else if failed {
        Cause {
            word: "in-progress-on-error",
            why: "The key is marked in progress, and the path of an error neither finishes nor \
                  releases it.",
            remedy: "Finish or release the key on every way out of the handler, and let the marker \
                     expire (lease).",
        }
    } else {
        Cause {
            word: "in-progress-forever",
            why: "The key is marked in progress, and nothing ever finishes it.",
            remedy: "Store the result with the key in the transaction of the effect, and let the \
                     marker expire (lease).",
        }
    }
}

fn false_mismatch(scene: &Scene<'_, '_>) -> Cause {
    if scene.kind() == Kind::ChangedHeaders {
        Cause {
            word: "headers-in-fingerprint",
            why: "The fingerprint of the payload covers headers that change from try to try.",
            remedy: "Leave headers out of the fingerprint; hash method, path and parsed payload.",
        }
    } else {
        Cause {
            word: "bytes-in-fingerprint",
            why: "The fingerprint is taken over the bytes of the body, not over what they mean.",
            remedy: "Compare the parsed payload, or a canonical form of it (RFC 8785).",
        }
    }
}

fn partial_upload(clue: &Clue) -> Cause {
    if let Clue::Burned { .. } = clue {
        Cause {
            word: "key-reserved-before-body",
            why: "The key is reserved, and its fingerprint taken, before the body was read.",
            remedy: "Read the whole body before the key is reserved, and refuse incomplete ones.",
        }
    } else {
        Cause {
            word: "incomplete-body-executed",
            why: "The handler works on a body that never arrived whole.",
            remedy: "Read the whole body and check its length before anything is done with it.",
        }
    }
}
