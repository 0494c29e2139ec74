//! The way it is done right: reserve, work, commit effects and record
//! together, answer.

use super::super::answer::Answer;
use super::super::desk::Desk;
use super::super::request::Call;
use super::super::store::StoreError;
use super::{Claim, Reservation, all_effects, claim, in_flight};

/// Places an order once.
pub(super) async fn place(desk: &Desk, call: &Call) -> Result<Answer, StoreError> {
    let reservation = match claim(desk, call, desk.lease()).await? {
        Claim::Won(reservation) => reservation,
        Claim::Answered(answer) => return Ok(answer),
    };
    let done = work(desk, call, reservation).await;
    if done.is_err() {
        // Nothing was committed, so the key may be free again. Where the
        // failure hid a commit that went through, the record is finished and
        // this leaves it alone.
        desk.store.release(&call.scope, reservation.owner).await?;
    }
    done
}

async fn work(desk: &Desk, call: &Call, reservation: Reservation) -> Result<Answer, StoreError> {
    desk.half_of_the_work().await;
    desk.half_of_the_work().await;
    let mut tx = desk.store.begin().await?;
    let stored = all_effects(&mut tx, call).await?;
    if !tx.finish(&call.scope, reservation.owner, &stored).await? {
        // The lease lapsed while we worked, and somebody else has the key
        // now: what we did must not count.
        tx.roll_back().await?;
        return Ok(in_flight(desk));
    }
    tx.commit().await?;
    Ok(Answer::from_stored(&stored))
}
