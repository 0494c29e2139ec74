//! The ways of keeping a key, from its first sight to its record: the right
//! one, and the wrong ones that are met in the world.
//!
//! All are made of the same steps, in another order or with one left out;
//! what they share stands here. A way knows nothing of sockets but whether
//! the client is still there.

mod acknowledged;
mod at_end;
mod cancelled;
mod check_then_act;
mod constraint;
mod heard;
mod mail_apart;
mod released;
mod right;
mod stuck;

use super::answer::Answer;
use super::conduct::{Client, InFlight, Keeping, Lock, Replay};
use super::desk::Desk;
use super::request::Call;
use super::server::Peer;
use super::store::{Kind, Lease, Record, Reserving, State, StoreError, Stored, Tx};

/// Does what a request without a key asks for, each time it comes.
pub(super) async fn unkeyed(desk: &Desk, call: &Call) -> Result<Answer, StoreError> {
    desk.half_of_the_work().await;
    desk.half_of_the_work().await;
    let mut tx = desk.store.begin().await?;
    let stored = all_effects(&mut tx, call).await?;
    tx.commit().await?;
    Ok(Answer::from_stored(&stored))
}

/// Does what a request with a key asks for, once.
pub(super) async fn keyed(desk: &Desk, peer: &Peer, call: Call) -> Result<Answer, StoreError> {
    let _door = match desk.conduct.lock {
        Lock::PerKey => None,
        // Flaw `global-lock`: the lock is right, its name is not. It should
        // be the key's, and is the shop's.
        Lock::Global => {
            if let Some(record) = desk.store.look_up(&call.scope).await? {
                return known(desk, &call, &record).await;
            }
            match desk.door.clone().try_lock_owned() {
                Ok(door) => Some(door),
                Err(_) => return Ok(conflict("another request is being worked on")),
            }
        }
    };
    match desk.conduct.keeping {
        Keeping::Right => right::place(desk, &call).await,
        Keeping::CheckThenAct { window } => check_then_act::place(desk, &call, window).await,
        Keeping::RecordAtEnd => at_end::place(desk, &call).await,
        Keeping::RecordIfHeard => heard::place(desk, peer, call).await,
        Keeping::StuckOnDisconnect => stuck::place(desk, peer, &call).await,
        Keeping::CancelOnDisconnect => cancelled::place(desk, peer, call).await,
        Keeping::MailApart => mail_apart::place(desk, peer, &call).await,
        Keeping::AckBeforeCommit => acknowledged::place(desk, call).await,
        Keeping::ReleaseOnError => released::place(desk, &call).await,
        Keeping::Constraint500 => constraint::place(desk, &call).await,
    }
}

/// Whether the work is ours to do.
enum Claim {
    Won(Reservation),
    Answered(Answer),
}

/// A key that is ours for a while. The owner tells our reservation from that
/// of whoever takes it over when the lease has lapsed.
#[derive(Debug, Clone, Copy)]
struct Reservation {
    owner: i64,
}

/// Reserves a key before any work, or answers as the key is known. The insert
/// decides, not a look before it: of any number of copies one wins.
async fn claim(desk: &Desk, call: &Call, lease: Lease) -> Result<Claim, StoreError> {
    let owner = new_owner();
    loop {
        if desk.store.reserve(&row(call, owner, lease)).await? {
            return Ok(Claim::Won(Reservation { owner }));
        }
        // Released between the two statements: it is free again.
        let Some(record) = desk.store.look_up(&call.scope).await? else {
            continue;
        };
        match record.state {
            // Whoever reserved it has crashed, or it will find out when it
            // comes to commit.
            State::InProgress {
                owner: gone,
                lapsed: true,
            } if record.fingerprint == call.fingerprint => {
                if desk
                    .store
                    .take_over(&call.scope, gone, owner, lease)
                    .await?
                {
                    return Ok(Claim::Won(Reservation { owner }));
                }
            }
            State::InProgress { .. } | State::Done(_) => {
                return known(desk, call, &record).await.map(Claim::Answered);
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the shop shares nothing with the tool, its seed included: a real service's tokens are random"
)]
fn new_owner() -> i64 {
    rand::random()
}

fn row(call: &Call, owner: i64, lease: Lease) -> Reserving<'_> {
    Reserving {
        scope: &call.scope,
        fingerprint: &call.fingerprint,
        client: &call.client,
        owner,
        lease,
    }
}

/// The answer to a key that is known already.
async fn known(desk: &Desk, call: &Call, record: &Record) -> Result<Answer, StoreError> {
    // Flaw `key-5xx`: "the same key from another client cannot be" is an
    // assertion here, and the world breaks it: a library is updated between
    // two attempts, a proxy adds itself.
    if desk.conduct.client == Client::MustBeTheSame && record.client != call.client {
        return Ok(Answer::our_fault());
    }
    if record.fingerprint != call.fingerprint {
        return Ok(mismatch());
    }
    match &record.state {
        State::InProgress { .. } => Ok(in_flight(desk)),
        State::Done(stored) => replay(desk, call, stored).await,
    }
}

fn mismatch() -> Answer {
    Answer::problem(
        422,
        "Unprocessable Content",
        "the idempotency key was used for another request",
    )
}

/// The answer to a duplicate while the first attempt is being worked on.
fn in_flight(desk: &Desk) -> Answer {
    match desk.conduct.in_flight {
        InFlight::Refused => conflict("a request with this idempotency key is being worked on")
            .with("retry-after", "1"),
        // Flaw `null-in-progress`: the record is there, so its response is
        // replayed; that it has none yet is overlooked.
        InFlight::NullSuccess => Answer::json(200, &serde_json::Value::Null),
    }
}

fn conflict(detail: &str) -> Answer {
    Answer::problem(409, "Conflict", detail)
}

async fn replay(desk: &Desk, call: &Call, stored: &Stored) -> Result<Answer, StoreError> {
    let stored = match desk.conduct.replay {
        Replay::Stored => stored.clone(),
        // Flaw `new-id-on-replay`: the answer is built again from the
        // request, and so is the id that stands in it.
        Replay::NewId => created(call, desk.store.draw().await?),
    };
    Ok(Answer::from_stored(&stored).replayed())
}

/// The answer to a request that was done.
fn created(call: &Call, number: i64) -> Stored {
    let kind: Kind = call.effect.kind();
    Stored {
        status: 201,
        body: call.effect.resource(number).to_string(),
        location: Some(format!("/{}/{}", kind.collection(), kind.id(number))),
    }
}

/// Writes all effects of a request; gives the answer that is true once they
/// are committed.
async fn all_effects(tx: &mut Tx, call: &Call) -> Result<Stored, StoreError> {
    let number = tx.draw().await?;
    effects_of(tx, call, number).await?;
    Ok(created(call, number))
}

/// Writes all effects under a number that was drawn before.
async fn effects_of(tx: &mut Tx, call: &Call, number: i64) -> Result<(), StoreError> {
    let tenant = &call.scope.tenant;
    tx.insert(tenant, &call.effect, number).await?;
    tx.charge(tenant, &call.effect, number).await?;
    tx.mail(tenant, &call.effect, number).await
}

/// Commits all effects, and no record. Half of the wrong ways begin so.
async fn commit_effects(desk: &Desk, call: &Call) -> Result<Stored, StoreError> {
    let mut tx = desk.store.begin().await?;
    let stored = all_effects(&mut tx, call).await?;
    tx.commit().await?;
    Ok(stored)
}

/// Finishes a record in a transaction of its own.
async fn commit_record(
    desk: &Desk,
    call: &Call,
    reservation: Reservation,
    stored: &Stored,
) -> Result<(), StoreError> {
    let mut tx = desk.store.begin().await?;
    tx.finish(&call.scope, reservation.owner, stored).await?;
    tx.commit().await
}
