//! Flaw `stuck-on-disconnect`: the record is finished by a hook on the answer
//! that is skipped when there is nobody to answer, and the reservation has no
//! lease. The order is there, its key says "in progress" for ever.

use super::super::answer::Answer;
use super::super::desk::Desk;
use super::super::request::Call;
use super::super::server::Peer;
use super::super::store::{Lease, StoreError};
use super::{Claim, Reservation, claim, commit_effects, commit_record};

/// Places an order once, and for a client that stays says so.
pub(super) async fn place(desk: &Desk, peer: &Peer, call: &Call) -> Result<Answer, StoreError> {
    let reservation = match claim(desk, call, Lease::ForEver).await? {
        Claim::Won(reservation) => reservation,
        Claim::Answered(answer) => return Ok(answer),
    };
    let done = work(desk, peer, call, reservation).await;
    if done.is_err() {
        desk.store.release(&call.scope, reservation.owner).await?;
    }
    done
}

async fn work(
    desk: &Desk,
    peer: &Peer,
    call: &Call,
    reservation: Reservation,
) -> Result<Answer, StoreError> {
    desk.half_of_the_work().await;
    desk.half_of_the_work().await;
    let stored = commit_effects(desk, call).await?;
    // Here is the bug: nobody to answer is taken for nothing left to do.
    if !peer.gone() {
        commit_record(desk, call, reservation, &stored).await?;
    }
    Ok(Answer::from_stored(&stored))
}
