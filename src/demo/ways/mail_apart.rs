//! Flaw `mail-apart`: the order is guarded rightly; the mail is sent after
//! its commit, by a step that ends with the connection. Once the record is
//! done every retry is a replay, and nobody sends the mail that was lost.

use super::super::answer::Answer;
use super::super::desk::Desk;
use super::super::request::Call;
use super::super::server::Peer;
use super::super::store::StoreError;
use super::{Claim, Reservation, claim, created, in_flight};

/// Places an order once, and sends its mail to a client that waits for it.
pub(super) async fn place(desk: &Desk, peer: &Peer, call: &Call) -> Result<Answer, StoreError> {
    let reservation = match claim(desk, call, desk.lease()).await? {
        Claim::Won(reservation) => reservation,
        Claim::Answered(answer) => return Ok(answer),
    };
    let placed = order(desk, call, reservation).await;
    let number = match placed {
        Ok(Some(number)) => number,
        Ok(None) => return Ok(in_flight(desk)),
        Err(error) => {
            desk.store.release(&call.scope, reservation.owner).await?;
            return Err(error);
        }
    };
    // Here is the bug: the order and its mail have no guard in common.
    tokio::select! {
        biased;
        () = peer.left() => {}
        sent = send_mail(desk, call, number) => sent?,
    }
    Ok(Answer::from_stored(&created(call, number)))
}

/// Commits the order and its record; gives nothing if the lease lapsed.
async fn order(
    desk: &Desk,
    call: &Call,
    reservation: Reservation,
) -> Result<Option<i64>, StoreError> {
    desk.half_of_the_work().await;
    let tenant = &call.scope.tenant;
    let mut tx = desk.store.begin().await?;
    let number = tx.draw().await?;
    tx.insert(tenant, &call.effect, number).await?;
    tx.charge(tenant, &call.effect, number).await?;
    let stored = created(call, number);
    if !tx.finish(&call.scope, reservation.owner, &stored).await? {
        tx.roll_back().await?;
        return Ok(None);
    }
    tx.commit().await?;
    Ok(Some(number))
}

async fn send_mail(desk: &Desk, call: &Call, number: i64) -> Result<(), StoreError> {
    desk.half_of_the_work().await;
    let mut tx = desk.store.begin().await?;
    tx.mail(&call.scope.tenant, &call.effect, number).await?;
    tx.commit().await
}
