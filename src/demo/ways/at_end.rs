//! Flaw `record-at-end`: the key is looked up at the start and stored with
//! the answer, when there is one. The whole work is a window.

use super::super::answer::Answer;
use super::super::desk::Desk;
use super::super::request::Call;
use super::super::store::StoreError;
use super::{all_effects, known};

/// Places an order once, unless a retry comes during the work.
pub(super) async fn place(desk: &Desk, call: &Call) -> Result<Answer, StoreError> {
    if let Some(record) = desk.store.look_up(&call.scope).await? {
        return known(desk, call, &record).await;
    }
    // Here is the bug: nothing says that this key is being worked on.
    desk.half_of_the_work().await;
    desk.half_of_the_work().await;
    let mut tx = desk.store.begin().await?;
    let stored = all_effects(&mut tx, call).await?;
    tx.record(&call.scope, &call.fingerprint, &call.client, &stored)
        .await?;
    tx.commit().await?;
    Ok(Answer::from_stored(&stored))
}
