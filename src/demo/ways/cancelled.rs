//! Flaw `cancel-on-disconnect`: the handler lives as long as its connection.
//! When the client goes away it is dropped wherever it stands, and a guard
//! gives the key back; an order that was stored before stays, unknown to its
//! key.

use super::super::answer::Answer;
use super::super::desk::Desk;
use super::super::request::Call;
use super::super::server::Peer;
use super::super::store::{Scope, StoreError};
use super::{Claim, Reservation, claim, created};

/// Places an order once, unless the client leaves half way.
pub(super) async fn place(desk: &Desk, peer: &Peer, call: Call) -> Result<Answer, StoreError> {
    let reservation = match claim(desk, &call, desk.lease()).await? {
        Claim::Won(reservation) => reservation,
        Claim::Answered(answer) => return Ok(answer),
    };
    let guard = ReleaseOnDrop::new(desk, &call.scope, reservation);
    tokio::select! {
        biased;
        // Here is the bug: what is dropped here is not rolled back. Nobody
        // is left to read the answer.
        () = peer.left() => Ok(Answer::our_fault()),
        answer = work(desk, call, reservation, guard) => answer,
    }
}

async fn work(
    desk: &Desk,
    call: Call,
    reservation: Reservation,
    guard: ReleaseOnDrop,
) -> Result<Answer, StoreError> {
    desk.half_of_the_work().await;
    let (number, call) = uncancelled(store_the_order(desk.clone(), call)).await?;
    desk.half_of_the_work().await;
    let answer = uncancelled(finish(desk.clone(), call, reservation, number)).await?;
    guard.forget();
    Ok(answer)
}

async fn store_the_order(desk: Desk, call: Call) -> Result<(i64, Call), StoreError> {
    let mut tx = desk.store.begin().await?;
    let number = tx.draw().await?;
    tx.insert(&call.scope.tenant, &call.effect, number).await?;
    tx.commit().await?;
    Ok((number, call))
}

async fn finish(
    desk: Desk,
    call: Call,
    reservation: Reservation,
    number: i64,
) -> Result<Answer, StoreError> {
    let stored = created(&call, number);
    let tenant = &call.scope.tenant;
    let mut tx = desk.store.begin().await?;
    tx.charge(tenant, &call.effect, number).await?;
    tx.mail(tenant, &call.effect, number).await?;
    tx.finish(&call.scope, reservation.owner, &stored).await?;
    tx.commit().await?;
    Ok(Answer::from_stored(&stored))
}

/// Lets a database finish what it was told, as databases do: only the waiting
/// for it can be cancelled.
async fn uncancelled<T: Send + 'static>(
    work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(_) => Err(StoreError::WorkerCrashed),
    }
}

/// Gives a reservation back when it is dropped, like a `finally`.
struct ReleaseOnDrop {
    desk: Desk,
    scope: Scope,
    reservation: Option<Reservation>,
}

impl ReleaseOnDrop {
    fn new(desk: &Desk, scope: &Scope, reservation: Reservation) -> Self {
        Self {
            desk: desk.clone(),
            scope: scope.clone(),
            reservation: Some(reservation),
        }
    }

    /// The record is finished; there is nothing to give back.
    fn forget(mut self) {
        self.reservation = None;
    }
}

impl Drop for ReleaseOnDrop {
    fn drop(&mut self) {
        let Some(reservation) = self.reservation else {
            return;
        };
        let (desk, scope) = (self.desk.clone(), self.scope.clone());
        tokio::spawn(async move {
            let released = desk.store.release(&scope, reservation.owner).await;
            if let Err(error) = released {
                tracing::warn!(%error, "a key was not given back");
            }
        });
    }
}
