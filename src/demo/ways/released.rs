//! Flaw `release-on-error`: whatever fails, the key is released and 500 is
//! answered, "so that the client can try again". After the effect it must
//! not: the retry is a second order.

use super::super::answer::Answer;
use super::super::desk::Desk;
use super::super::request::Call;
use super::super::store::StoreError;
use super::{Claim, Reservation, claim, commit_effects, commit_record};

/// Every so many orders fail after they are placed.
const UNLUCKY: u64 = 3;

/// Places an order once, unless something fails after it is placed.
pub(super) async fn place(desk: &Desk, call: &Call) -> Result<Answer, StoreError> {
    let reservation = match claim(desk, call, desk.lease()).await? {
        Claim::Won(reservation) => reservation,
        Claim::Answered(answer) => return Ok(answer),
    };
    match work(desk, call, reservation).await {
        Ok(Some(answer)) => Ok(answer),
        // Here is the bug: one clean-up for failures before the effect and
        // for failures after it.
        Ok(None) => {
            desk.store.release(&call.scope, reservation.owner).await?;
            Ok(Answer::our_fault())
        }
        Err(error) => {
            desk.store.release(&call.scope, reservation.owner).await?;
            Err(error)
        }
    }
}

/// Gives nothing where the step after the effect failed.
async fn work(
    desk: &Desk,
    call: &Call,
    reservation: Reservation,
) -> Result<Option<Answer>, StoreError> {
    desk.half_of_the_work().await;
    desk.half_of_the_work().await;
    let stored = commit_effects(desk, call).await?;
    if desk.every(UNLUCKY) {
        // The receipt could not be rendered, the cache did not answer.
        return Ok(None);
    }
    commit_record(desk, call, reservation, &stored).await?;
    Ok(Some(Answer::from_stored(&stored)))
}
