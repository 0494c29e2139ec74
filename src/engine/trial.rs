//! One trial: release its attempts as planned, gather what came of them. It must
//! not judge.

use super::exchange::{Manner, Unit};
use super::request::RequestError;
use super::world::World;
use crate::delivery::{Action, Step as WireStep, Volley};
use crate::delivery::{Connection, Delivered, Encoded, NotSent, Prepared, prepare_together};
use crate::history::{EventKind, Offset, Part};
use crate::plan::{
    Attempt, Case, Connection as Where, CutPoint, Fault, HoldPoint, HttpVersion, Release,
    ResetPoint, Role, Trial, Variant,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A trial of which nothing can be judged, and why.
#[derive(Debug)]
pub(crate) struct Void(pub(crate) String);

impl From<RequestError> for Void {
    fn from(error: RequestError) -> Self {
        Self(error.chain())
    }
}

impl World {
    /// The case that a trial belongs to.
    pub(crate) fn case_of(&self, trial: &Trial) -> Option<&Case> {
        match trial.role {
            Role::Case(index) => Some(&self.run.plan.cases[index]),
            Role::WarmUp | Role::Control(_) => None,
        }
    }

    /// Delivers all attempts of a trial and records what came of them.
    pub(crate) async fn attempts(
        self: &Arc<Self>,
        trial: &Trial,
        units: &mut [Unit],
    ) -> Result<(), Void> {
        let together = |attempt: &Attempt| matches!(attempt.release, Release::Together);
        let timed = |attempt: &Attempt| matches!(attempt.release, Release::At(_));
        if trial.attempts.iter().any(together) || trial.attempts.iter().any(timed) {
            self.volley(trial, units).await
        } else {
            self.chain(trial, units).await
        }
    }

    fn manner<'a>(
        &'a self,
        trial: &Trial,
        attempt: &Attempt,
        hold: Option<HoldPoint>,
    ) -> Manner<'a> {
        Manner {
            part: Part::Attempt(attempt.number),
            number: attempt.number,
            fault: attempt.fault,
            hold,
            variant: attempt.variant,
            overlay: self.case_of(trial).map(|case| &case.with),
        }
    }

    /// Attempts that leave at instants of their own from one common start, or all
    /// at once: every one is armed first, then one thread releases them.
    async fn volley(self: &Arc<Self>, trial: &Trial, units: &mut [Unit]) -> Result<(), Void> {
        let h = self.h(trial.operation).p50;
        let hold = trial.hold.unwrap_or(HoldPoint::All);
        self.run
            .budget
            .pace(u32::try_from(trial.attempts.len()).unwrap_or(u32::MAX))
            .await;
        // A target on this machine shares its cores with us: what other lanes do
        // meanwhile would widen the gaps of a common release. Attempts that leave
        // at instants of their own would only keep the lanes waiting.
        let at_once = trial
            .attempts
            .iter()
            .all(|attempt| attempt.release == Release::Together);
        let laying = if at_once && self.target.is_on_loopback() {
            Some(self.run.laying.lock().await)
        } else {
            None
        };
        let groups = self.groups(trial);
        let mut arming = Vec::new();
        let numbered = self.is_numbered(trial);
        let mut copies: BTreeMap<(usize, Variant), Encoded> = BTreeMap::new();
        for group in &groups {
            let mut sendings = Vec::new();
            for attempt in group.iter().map(|index| &trial.attempts[*index]) {
                let copy = (attempt.instance, attempt.variant);
                let message = match copies.get(&copy) {
                    Some(message) if !numbered => message.clone(),
                    _ => {
                        let manner = self.manner(trial, attempt, Some(hold));
                        let session = &units[attempt.instance].session;
                        let message = self.encode(session, trial.operation, &manner)?;
                        copies.insert(copy, message.clone());
                        message
                    }
                };
                sendings.push(crate::delivery::Sending {
                    message,
                    fault: attempt.fault,
                    h,
                    hold: Some(hold),
                    timeout: self.scenario().target.timeout,
                });
            }
            let target = Arc::clone(&self.target);
            let reuse = match trial.attempts[group[0]].connection {
                Where::Pooled => self.pool.take(),
                Where::Fresh | Where::Kept => None,
            };
            arming.push(tokio::spawn(async move {
                prepare_together(&target, sendings, reuse).await
            }));
        }
        let mut ready = Vec::new();
        for task in arming {
            ready.push(task.await.expect("preparing an attempt does not panic"));
        }
        if ready.iter().any(Result::is_err) {
            return self.fell_through(trial, units, not_ready(trial, &groups, ready));
        }
        let armed: Vec<Prepared> = ready.into_iter().flatten().flatten().collect();
        // Where one connection did not take a whole group, the next goes on with it.
        let mut order = groups.into_iter().flatten();
        let groups: Vec<Vec<usize>> = armed
            .iter()
            .map(|prepared| order.by_ref().take(prepared.attempts()).collect())
            .collect();
        let settle = armed
            .iter()
            .map(|prepared| prepared.gate().settle())
            .max()
            .unwrap_or_default();
        let offsets: Vec<Duration> = trial
            .attempts
            .iter()
            .map(|attempt| match attempt.release {
                Release::At(moment) => moment.resolve(h),
                Release::Together | Release::AfterPrevious { .. } => Duration::ZERO,
            })
            .collect();
        let steps = armed
            .iter()
            .zip(&groups)
            .map(|(prepared, group)| WireStep {
                offset: offsets[group[0]],
                gate: prepared.gate(),
                action: Action::Fire,
            })
            .collect();
        let delivering: Vec<JoinHandle<Vec<Delivered>>> = armed
            .into_iter()
            .map(|prepared| tokio::spawn(prepared.deliver_all()))
            .collect();
        let releaser = self.target.equipment().releaser();
        let released = releaser
            .release(Volley { settle, steps })
            .await
            .map_err(|_| Void("the releasing thread is gone".to_owned()))?;
        drop(laying);
        let (writes, bytes) = released.writes();
        // What leaves in one write has no spread.
        let in_one = writes == 1 && trial.attempts.len() > 1;
        if let Some(spread) = released.spread().or(in_one.then_some(Duration::ZERO)) {
            self.run.recorder.record(
                Some(trial.id),
                EventKind::Released {
                    spread_ns: nanos(spread),
                    attempts: u32::try_from(trial.attempts.len()).unwrap_or(u32::MAX),
                    real_time: releaser.is_realtime(),
                    connections: u32::try_from(writes).unwrap_or(u32::MAX),
                    bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
                    stood_still: released.stood_still,
                },
            );
        }
        for (task, group) in delivering.into_iter().zip(groups) {
            let delivered = task.await.expect("delivering an attempt does not panic");
            for (delivered, index) in delivered.into_iter().zip(group) {
                let attempt = &trial.attempts[index];
                let intended = Offset(released.start.saturating_add(nanos(offsets[index])));
                let connection = self.settle_exchange(
                    trial.id,
                    &mut units[attempt.instance],
                    trial.operation,
                    Part::Attempt(attempt.number),
                    delivered,
                    Some(intended),
                );
                if let (Some(connection), Where::Pooled) = (connection, attempt.connection) {
                    self.pool.give(connection);
                }
            }
        }
        Ok(())
    }

    /// The attempts of a trial by the connections that they share: over HTTP/2
    /// those of a common release may, in turn, so that of several connections each
    /// gets a copy of every key.
    fn groups(&self, trial: &Trial) -> Vec<Vec<usize>> {
        let attempts = 0..trial.attempts.len();
        let together = |attempt: &Attempt| matches!(attempt.release, Release::Together);
        match trial.connections {
            Some(connections)
                if self.target.http() == HttpVersion::Http2
                    && trial.attempts.iter().all(together) =>
            {
                let connections = (connections as usize).clamp(1, attempts.len().max(1));
                (0..connections)
                    .map(|first| attempts.clone().skip(first).step_by(connections).collect())
                    .collect()
            }
            _ => attempts.map(|index| vec![index]).collect(),
        }
    }

    /// Some attempt could not be made ready, so none is released: a burst of
    /// fewer would not be the one that was planned.
    fn fell_through(
        &self,
        trial: &Trial,
        units: &mut [Unit],
        not_ready: Vec<(&Attempt, NotSent)>,
    ) -> Result<(), Void> {
        let lost = not_ready.len();
        for (attempt, not_sent) in not_ready {
            self.settle_exchange(
                trial.id,
                &mut units[attempt.instance],
                trial.operation,
                Part::Attempt(attempt.number),
                not_sent.into(),
                None,
            );
        }
        let total = trial.attempts.len();
        Err(Void(format!(
            "{lost} of {total} attempts could not be made ready; none was sent"
        )))
    }

    /// Attempts one after the other, each when the client is through with the one
    /// before it.
    async fn chain(self: &Arc<Self>, trial: &Trial, units: &mut [Unit]) -> Result<(), Void> {
        let mut kept: Option<Connection> = None;
        let mut through: Option<Offset> = None;
        let mut rest = trial.attempts.as_slice();
        while let Some((attempt, after)) = rest.split_first() {
            match after.split_first() {
                Some((next, after)) if strikes(attempt.fault) => {
                    self.pair(trial, units, [attempt, next]).await?;
                    through = Some(self.run.clock.now());
                    rest = after;
                }
                _ => {
                    kept = self
                        .single(trial, units, attempt, through, kept.take())
                        .await?;
                    through = Some(self.run.clock.now());
                    rest = after;
                }
            }
        }
        Ok(())
    }

    /// One attempt, seen to its end before the next.
    async fn single(
        &self,
        trial: &Trial,
        units: &mut [Unit],
        attempt: &Attempt,
        through: Option<Offset>,
        kept: Option<Connection>,
    ) -> Result<Option<Connection>, Void> {
        let gap = gap(attempt);
        if through.is_some() && !gap.is_zero() {
            tokio::time::sleep(gap).await;
        }
        let intended = through.map(|through| Offset(through.0.saturating_add(nanos(gap))));
        self.run.budget.pace(1).await;
        let reuse = match attempt.connection {
            Where::Kept => kept,
            Where::Pooled => self.pool.take(),
            Where::Fresh => None,
        };
        let manner = self.manner(trial, attempt, None);
        let unit = &mut units[attempt.instance];
        let delivered = match self.prepare(unit, trial.operation, &manner, reuse).await? {
            Ok(prepared) => prepared.deliver().await,
            Err(not_sent) => not_sent.into(),
        };
        let part = Part::Attempt(attempt.number);
        Ok(self.settle_exchange(trial.id, unit, trial.operation, part, delivered, intended))
    }

    /// An attempt that something strikes, and the retry that leaves at the very
    /// instant at which the client is through with it: both are made ready before
    /// the first leaves.
    async fn pair(
        &self,
        trial: &Trial,
        units: &mut [Unit],
        attempts: [&Attempt; 2],
    ) -> Result<(), Void> {
        let operation = trial.operation;
        self.run.budget.pace(2).await;
        let mut armed = Vec::new();
        for attempt in attempts {
            let manner = self.manner(trial, attempt, Some(HoldPoint::All));
            let unit = &units[attempt.instance];
            armed.push(self.prepare(unit, operation, &manner, None).await?);
        }
        if armed.iter().any(Result::is_err) {
            let lost = attempts.into_iter().zip(armed);
            let lost = lost.filter_map(|(attempt, armed)| Some((attempt, armed.err()?)));
            return self.fell_through(trial, units, lost.collect());
        }
        let mut armed = armed.into_iter().flatten();
        let (Some(first), Some(second)) = (armed.next(), armed.next()) else {
            return Err(Void("a pair of attempts is two".to_owned()));
        };
        let (gate, next_gate) = (first.gate(), second.gate());
        let view = first.view();
        let tasks = [
            tokio::spawn(first.deliver()),
            tokio::spawn(second.deliver()),
        ];
        let releaser = self.target.equipment().releaser();
        let pause = gap(attempts[1]);
        let intended = if let Some(after) = when_through(attempts[0].fault, self.h(operation).p50) {
            // Both instants are known ahead: one thread with a precise clock
            // keeps them.
            let retry = after + pause;
            let fire = |offset, gate| WireStep {
                offset,
                gate,
                action: Action::Fire,
            };
            let volley = Volley {
                settle: gate.settle(),
                steps: vec![fire(Duration::ZERO, gate), fire(retry, next_gate)],
            };
            let released = releaser
                .release(volley)
                .await
                .map_err(|_| Void("the releasing thread is gone".to_owned()))?;
            let second = released.start.saturating_add(nanos(retry));
            [Offset(released.start), Offset(second)]
        } else {
            let start = self.run.clock.now();
            // A gate that cannot be fired says so in what is delivered.
            let _ = releaser.fire_now(&gate);
            let through = client_is_through(view, &tasks[0]).await;
            let through = through.unwrap_or_else(|| self.run.clock.now());
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            let _ = releaser.fire_now(&next_gate);
            [start, Offset(through.0.saturating_add(nanos(pause)))]
        };
        for ((task, attempt), intended) in tasks.into_iter().zip(attempts).zip(intended) {
            let delivered = task.await.expect("delivering an attempt does not panic");
            let connection = self.settle_exchange(
                trial.id,
                &mut units[attempt.instance],
                operation,
                Part::Attempt(attempt.number),
                delivered,
                Some(intended),
            );
            // Over HTTP/2 what strikes a stream leaves its connection alone.
            if let (Some(connection), HttpVersion::Http2) = (connection, self.target.http()) {
                self.pool.give(connection);
            }
        }
        Ok(())
    }
}

/// The attempts of a trial whose connections could not be made ready.
fn not_ready<'t>(
    trial: &'t Trial,
    groups: &[Vec<usize>],
    ready: Vec<Result<Vec<Prepared>, NotSent>>,
) -> Vec<(&'t Attempt, NotSent)> {
    let mut lost = Vec::new();
    for (group, ready) in groups.iter().zip(ready) {
        if let Err(not_sent) = ready {
            let attempts = group.iter().map(|index| &trial.attempts[*index]);
            lost.extend(attempts.map(|attempt| (attempt, not_sent.clone())));
        }
    }
    lost
}

/// Whether something strikes an attempt that the client learns of before, or
/// instead of, an answer: its retry then leaves at that instant.
fn strikes(fault: Fault) -> bool {
    match fault {
        Fault::None
        | Fault::DropResponse
        // Nothing of it leaves, so there is no instant to be ready for.
        | Fault::CutRequest {
            at: CutPoint::Connect,
            ..
        } => false,
        Fault::CutRequest { .. }
        | Fault::CutResponse { .. }
        | Fault::Reset { .. }
        | Fault::Timeout { .. } => true,
    }
}

fn gap(attempt: &Attempt) -> Duration {
    match attempt.release {
        Release::AfterPrevious { gap_us } => Duration::from_micros(gap_us),
        Release::At(_) | Release::Together => Duration::ZERO,
    }
}

/// How long after its last byte the client is through with an attempt, where
/// that is known ahead.
fn when_through(fault: Fault, h: Duration) -> Option<Duration> {
    match fault {
        Fault::Timeout { after, .. }
        | Fault::Reset {
            after: ResetPoint::RequestSent(after),
            ..
        } => Some(after.resolve(h)),
        _ => None,
    }
}

/// Waits until the client is through with an attempt; `None` where the attempt
/// ended without saying so.
async fn client_is_through(
    mut view: watch::Receiver<Option<u64>>,
    task: &JoinHandle<Delivered>,
) -> Option<Offset> {
    loop {
        if let Some(at) = *view.borrow_and_update() {
            return Some(Offset(at));
        }
        if task.is_finished() || view.changed().await.is_err() {
            return (*view.borrow()).map(Offset);
        }
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
