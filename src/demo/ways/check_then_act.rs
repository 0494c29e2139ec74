//! Flaw `check-then-act`: the key is looked up, and stored if it was not
//! there. Between the two lies a round trip to the database, and copies that
//! arrive within it all find the key free.

use std::time::Duration;

use tokio::time::Instant;

use super::super::answer::Answer;
use super::super::desk::Desk;
use super::super::request::Call;
use super::super::store::StoreError;
use super::{Reservation, all_effects, known, new_owner, row};

/// Places an order once, unless two ask at the same moment.
pub(super) async fn place(
    desk: &Desk,
    call: &Call,
    window: Duration,
) -> Result<Answer, StoreError> {
    if let Some(record) = desk.store.look_up(&call.scope).await? {
        return known(desk, call, &record).await;
    }
    pass(window).await;
    let owner = new_owner();
    // Here is the bug: the row count says who was first, and nobody reads it.
    desk.store.reserve(&row(call, owner, desk.lease())).await?;
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
    // The losers find the record another's, and answer with their own order.
    tx.finish(&call.scope, reservation.owner, &stored).await?;
    tx.commit().await?;
    Ok(Answer::from_stored(&stored))
}

/// Lets a short time pass. The runtime's timer counts in whole milliseconds,
/// which is as much as a window may last.
async fn pass(time: Duration) {
    const COARSE: Duration = Duration::from_millis(5);
    if time >= COARSE {
        return tokio::time::sleep(time).await;
    }
    let end = Instant::now() + time;
    while Instant::now() < end {
        tokio::task::yield_now().await;
    }
}
