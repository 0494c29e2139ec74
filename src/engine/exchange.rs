//! One request of an operation: rendered, delivered, turned into facts. It must
//! not decide when something leaves, or whether to try again.

use super::facts;
use super::request::{Ingredients, Rendered, RequestError, render};
use super::session::Session;
use super::world::World;
use crate::contract::Outcome;
use crate::delivery::{Connection, Delivered, NotSent, Prepared, Sending, prepare};
use crate::delivery::{Encoded, Request};
use crate::history::{End, EventKind, Exchange, Offset, Part};
use crate::plan::{Escape, Fault, HoldPoint, InstanceIndex, Operation, Overlay, TrialId, Variant};
use std::time::Duration;
use url::Position;

/// One instance of a trial while it goes on.
#[derive(Debug)]
pub(crate) struct Unit {
    /// Index in its trial.
    pub(crate) index: InstanceIndex,
    /// What is known of it.
    pub(crate) session: Session,
    /// What came of its exchanges, in order.
    pub(crate) past: Vec<Past>,
    /// When its last exchange ended.
    pub(crate) last: Offset,
    /// Readings taken before anything was sent, by effect.
    pub(crate) before: Vec<Option<f64>>,
}

/// What came of one exchange, as far as the engine needs to know to go on.
#[derive(Debug, Clone)]
pub(crate) struct Past {
    /// The operation.
    pub(crate) operation: usize,
    /// Whether it was one of the trial's attempts.
    pub(crate) planned: bool,
    /// Its class.
    pub(crate) outcome: Outcome,
    /// From its intended release to its last answer byte, in nanoseconds.
    pub(crate) took_ns: Option<u64>,
    /// The status of its answer, if a whole one came.
    pub(crate) status: Option<u16>,
    /// What its identity fields selected.
    pub(crate) identity: Vec<crate::history::IdentityFact>,
}

impl Unit {
    /// Outcomes of one operation, in order.
    pub(crate) fn outcomes(&self, operation: usize) -> impl Iterator<Item = Outcome> {
        self.past
            .iter()
            .filter(move |past| past.operation == operation)
            .map(|past| past.outcome)
    }
}

/// What is sent, beside the operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner<'a> {
    /// What part the exchange plays.
    pub(crate) part: Part,
    /// `${{ attempt }}`.
    pub(crate) number: u32,
    /// What goes wrong with it.
    pub(crate) fault: Fault,
    /// What is held back.
    pub(crate) hold: Option<HoldPoint>,
    /// How it differs from the first.
    pub(crate) variant: Variant,
    /// What the pattern merges in.
    pub(crate) overlay: Option<&'a Overlay>,
}

impl Manner<'_> {
    /// Without fault, hold or difference.
    pub(crate) fn plain(part: Part, number: u32) -> Self {
        Self {
            part,
            number,
            fault: Fault::None,
            hold: None,
            variant: Variant::Same,
            overlay: None,
        }
    }
}

impl World {
    /// The bytes of one request of an operation.
    pub(crate) fn encode(
        &self,
        session: &Session,
        operation: usize,
        manner: &Manner<'_>,
    ) -> Result<Encoded, RequestError> {
        let planned = &self.scenario().operations[operation];
        let (mut session, key) = with_key(session, planned);
        session.learn("attempt", manner.number.into(), false);
        let rendered = render(
            &planned.request,
            &Ingredients {
                scenario: self.scenario(),
                session: &session,
                key: Some((&planned.key, &key)),
                overlay: manner.overlay,
                variant: manner.variant,
            },
        )?;
        self.target
            .encode(&message(rendered))
            .map_err(RequestError::Encode)
    }

    /// Makes one request of an operation ready to leave.
    pub(crate) async fn prepare(
        &self,
        unit: &Unit,
        operation: usize,
        manner: &Manner<'_>,
        reuse: Option<Connection>,
    ) -> Result<Result<Prepared, NotSent>, RequestError> {
        let sending = Sending {
            message: self.encode(&unit.session, operation, manner)?,
            fault: manner.fault,
            h: self.h(operation).p50,
            hold: manner.hold,
            timeout: self.scenario().target.timeout,
        };
        Ok(prepare(&self.target, sending, reuse).await)
    }

    /// Sends one request of an operation now, alone, and records what came of it.
    /// Returns the connection, where it can carry another one.
    pub(crate) async fn exchange(
        &self,
        trial: TrialId,
        unit: &mut Unit,
        operation: usize,
        manner: &Manner<'_>,
        reuse: Option<Connection>,
    ) -> Result<Option<Connection>, RequestError> {
        self.run.budget.pace(1).await;
        let prepared = self.prepare(unit, operation, manner, reuse).await?;
        let delivered = match prepared {
            Ok(prepared) => prepared.deliver().await,
            Err(not_sent) => not_sent.into(),
        };
        Ok(self.settle_exchange(trial, unit, operation, manner.part, delivered, None))
    }

    /// Turns what was delivered into facts: records them, learns from them.
    /// Returns the connection, where it can carry another attempt.
    pub(crate) fn settle_exchange(
        &self,
        trial: TrialId,
        unit: &mut Unit,
        operation: usize,
        part: Part,
        delivered: Delivered,
        intended: Option<Offset>,
    ) -> Option<Connection> {
        let planned = &self.scenario().operations[operation];
        let mut timing = delivered.timing;
        if let Some(intended) = intended {
            timing.intended = intended;
        }
        let json = delivered.answer.as_ref().and_then(facts::json);
        // Captures first: a secret one must be known to the redactor before the
        // answer that it came in is recorded.
        let captured = delivered
            .answer
            .as_ref()
            .filter(|answer| answer.complete)
            .map(|answer| facts::captures(&planned.capture, answer, json.as_ref()));
        let mut learned = None;
        for (capture, value) in captured.iter().flat_map(|(found, _)| found) {
            learned.get_or_insert_with(|| unit.session.clone()).learn(
                &capture.name,
                value.clone(),
                capture.secret,
            );
        }
        let session = learned.as_ref().unwrap_or(&unit.session);
        let response = delivered.answer.as_ref().map(|answer| {
            self.lens.facts(
                answer,
                delivered.interim.clone(),
                json.as_ref(),
                planned.expect.as_ref(),
                session,
            )
        });
        let exchange = Exchange {
            instance: unit.index,
            operation,
            part,
            connection: delivered.connection_id,
            reused: delivered.reused,
            timing,
            bytes: delivered.bytes,
            end: delivered.end,
            fault_happened: delivered.fault_happened,
            hidden: delivered.hidden,
            response,
        };
        let outcome = self.scenario().contract.outcome(exchange.claim());
        let first_ok = outcome == Outcome::Ok
            && !unit
                .past
                .iter()
                .any(|past| past.operation == operation && past.outcome == Outcome::Ok);
        // What the operation's first success says is what later operations and
        // probes use.
        if first_ok && let Some(session) = learned {
            unit.session = session;
        }
        unit.past.push(Past {
            operation,
            planned: matches!(part, Part::Attempt(_)),
            outcome,
            took_ns: timing.last_in.map(|last| last.since(timing.intended)),
            status: exchange
                .response
                .as_ref()
                .filter(|_| exchange.end == End::Complete)
                .map(|response| response.status),
            identity: exchange
                .response
                .as_ref()
                .map(|response| response.identity.clone())
                .unwrap_or_default(),
        });
        unit.last = unit.last.max(timing.ended);
        self.run.recorder.record_at(
            timing.ended,
            Some(trial),
            EventKind::Exchange(Box::new(exchange)),
        );
        delivered.connection
    }
}

/// A session that knows the key of an operation under `key`, and the default
/// value of that key.
pub(crate) fn with_key(session: &Session, operation: &Operation) -> (Session, String) {
    let mut session = session.clone();
    let default = session.default_key(&operation.name);
    session.learn("key", default.clone().into(), false);
    let own = operation.key.value.as_ref();
    if let Some(Ok(own)) = own.map(|value| value.render(session.scope(), Escape::None)) {
        session.learn("key", own.into(), false);
    }
    (session, default)
}

fn message(rendered: Rendered) -> Request {
    Request {
        method: rendered.method.word().to_owned(),
        target: rendered.url[Position::BeforePath..Position::AfterQuery].to_owned(),
        headers: rendered.headers,
        body: rendered.body,
    }
}

/// How long the pause before a further try is: it doubles from try to try.
pub(crate) fn backoff(min: Duration, max: Duration, tries: u32) -> Duration {
    min.saturating_mul(1 << tries.min(16)).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backoff_doubles_up_to_its_maximum() {
        let ms = Duration::from_millis;
        let pauses: Vec<_> = (0..7).map(|n| backoff(ms(100), ms(2000), n)).collect();
        assert_eq!(
            pauses,
            [
                ms(100),
                ms(200),
                ms(400),
                ms(800),
                ms(1600),
                ms(2000),
                ms(2000)
            ]
        );
    }
}
