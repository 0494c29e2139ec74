//! Flaw `record-if-heard`: the record is kept by a hook that runs as the
//! answer goes out, and only while somebody is listening. A client that loses
//! the answer loses the record with it, and its retry is a new order.

use std::time::Duration;

use hyper::body::Bytes;
use tokio::sync::mpsc;

use super::super::answer::Answer;
use super::super::desk::Desk;
use super::super::request::Call;
use super::super::server::Peer;
use super::super::store::{Scope, StoreError, Stored};
use super::{commit_effects, in_flight, known, mismatch};

/// How long the answer rests between its parts, like one that is rendered
/// while it is sent.
const PAUSE: Duration = Duration::from_millis(15);

/// Places an order once for a client that hears the answer.
pub(super) async fn place(desk: &Desk, peer: &Peer, call: Call) -> Result<Answer, StoreError> {
    // In memory, and only as long as somebody is at it.
    let running = match Running::enter(desk, &call) {
        Ok(running) => running,
        Err(answer) => return Ok(*answer),
    };
    if let Some(record) = desk.store.look_up(&call.scope).await? {
        return known(desk, &call, &record).await;
    }
    desk.half_of_the_work().await;
    desk.half_of_the_work().await;
    let stored = commit_effects(desk, &call).await?;
    let (parts, receiver) = mpsc::channel(2);
    let answer = Answer::from_stored(&stored).in_parts(receiver);
    let (desk, peer) = (desk.clone(), peer.clone());
    tokio::spawn(async move {
        let sent = send(&desk, &peer, &call, &stored, &parts).await;
        if let Err(error) = sent {
            tracing::warn!(%error, "the record of an answer was lost");
        }
        drop(running);
        // Only now, so that whoever has read all of the answer finds the key
        // as it will be: the last byte goes when everything else is done.
        let body = stored.body.as_bytes();
        let last = &body[body.len().saturating_sub(1)..];
        let _ = parts.send(Bytes::copy_from_slice(last)).await;
    });
    Ok(answer)
}

/// Sends all of the body but its last byte, and keeps the record if the
/// client is still there.
async fn send(
    desk: &Desk,
    peer: &Peer,
    call: &Call,
    stored: &Stored,
    parts: &mpsc::Sender<Bytes>,
) -> Result<(), StoreError> {
    // The head has gone out by now.
    tokio::time::sleep(PAUSE).await;
    let body = stored.body.as_bytes();
    let most = &body[..body.len().saturating_sub(1)];
    if peer.gone() || parts.send(Bytes::copy_from_slice(most)).await.is_err() {
        return Ok(());
    }
    tokio::time::sleep(PAUSE).await;
    // Here is the bug: whether there is a record hangs on who listens, and
    // the order is there either way.
    if peer.gone() || parts.is_closed() {
        return Ok(());
    }
    let mut tx = desk.store.begin().await?;
    tx.record(&call.scope, &call.fingerprint, &call.client, stored)
        .await?;
    tx.commit().await
}

/// A key that is being worked on, in memory. Free again when dropped.
struct Running {
    desk: Desk,
    scope: Scope,
}

impl Running {
    /// # Errors
    /// The answer to a key that somebody is working on.
    fn enter(desk: &Desk, call: &Call) -> Result<Self, Box<Answer>> {
        let mut running = desk
            .running
            .lock()
            .expect("nobody panics while holding this lock");
        if let Some(fingerprint) = running.get(&call.scope) {
            return Err(Box::new(if *fingerprint == call.fingerprint {
                in_flight(desk)
            } else {
                mismatch()
            }));
        }
        running.insert(call.scope.clone(), call.fingerprint.clone());
        Ok(Self {
            desk: desk.clone(),
            scope: call.scope.clone(),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(mut running) = self.desk.running.lock() {
            running.remove(&self.scope);
        }
    }
}
