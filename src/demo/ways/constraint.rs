//! Flaw `constraint-500`: the unique constraint does its work, and nobody
//! catches what it says. The order is placed once; whoever comes meanwhile
//! reads a server error.

use super::super::answer::Answer;
use super::super::desk::Desk;
use super::super::request::Call;
use super::super::store::{Lease, State, StoreError};
use super::{Reservation, all_effects, known, new_owner, row};

/// Places an order once, and answers duplicates in flight with 500.
pub(super) async fn place(desk: &Desk, call: &Call) -> Result<Answer, StoreError> {
    // Only a finished record is looked for.
    if let Some(record) = desk.store.look_up(&call.scope).await?
        && matches!(record.state, State::Done(_))
    {
        return known(desk, call, &record).await;
    }
    let owner = new_owner();
    let inserted = desk
        .store
        .insert_key(&row(call, owner, Lease::ForEver))
        .await;
    match inserted {
        Ok(()) => {}
        // Here is the bug: "it is there already" is an answer, not a failure.
        Err(StoreError::Database(error)) if error.is_unique_violation() => {
            return Ok(Answer::our_fault());
        }
        Err(error) => return Err(error),
    }
    let done = work(desk, call, Reservation { owner }).await;
    if done.is_err() {
        desk.store.release(&call.scope, owner).await?;
    }
    done
}

async fn work(desk: &Desk, call: &Call, reservation: Reservation) -> Result<Answer, StoreError> {
    desk.half_of_the_work().await;
    desk.half_of_the_work().await;
    let mut tx = desk.store.begin().await?;
    let stored = all_effects(&mut tx, call).await?;
    tx.finish(&call.scope, reservation.owner, &stored).await?;
    tx.commit().await?;
    Ok(Answer::from_stored(&stored))
}
