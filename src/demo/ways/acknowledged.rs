//! Flaw `ack-before-commit`: success is recorded and answered, then the order
//! is committed, by somebody who has no way left to say that it failed.

use super::super::answer::Answer;
use super::super::desk::Desk;
use super::super::request::Call;
use super::super::store::StoreError;
use super::{Claim, Reservation, claim, commit_record, created, effects_of};

/// Every so many commits fail.
const UNLUCKY: u64 = 4;

/// Answers an order once, and mostly places it too.
pub(super) async fn place(desk: &Desk, call: Call) -> Result<Answer, StoreError> {
    let reservation = match claim(desk, &call, desk.lease()).await? {
        Claim::Won(reservation) => reservation,
        Claim::Answered(answer) => return Ok(answer),
    };
    let answered = answer(desk, &call, reservation).await;
    let (answer, number) = match answered {
        Ok(answered) => answered,
        Err(error) => {
            desk.store.release(&call.scope, reservation.owner).await?;
            return Err(error);
        }
    };
    let desk = desk.clone();
    // Here is the bug: the answer does not wait for what it promises.
    tokio::spawn(async move {
        if let Err(error) = commit_later(&desk, &call, number).await {
            tracing::warn!(%error, "an order that was confirmed is lost");
        }
    });
    Ok(answer)
}

async fn answer(
    desk: &Desk,
    call: &Call,
    reservation: Reservation,
) -> Result<(Answer, i64), StoreError> {
    desk.half_of_the_work().await;
    desk.half_of_the_work().await;
    let number = desk.store.draw().await?;
    let stored = created(call, number);
    commit_record(desk, call, reservation, &stored).await?;
    Ok((Answer::from_stored(&stored), number))
}

async fn commit_later(desk: &Desk, call: &Call, number: i64) -> Result<(), StoreError> {
    let mut tx = desk.store.begin().await?;
    effects_of(&mut tx, call, number).await?;
    if desk.every(UNLUCKY) {
        // A deferred constraint, a full disk, a lost connection.
        return tx.roll_back().await;
    }
    tx.commit().await
}
