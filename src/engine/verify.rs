//! Reading effects for the instances of trials: which, when, and what would end
//! the wait. It must not judge: what is allowed follows from the contract alone.

use super::exchange::{Unit, with_key};
use super::request::{Ingredients, chain, render};
use super::world::World;
use crate::contract::{Allowed, Outcome, Wanted};
use crate::history::{EventKind, Observation, Offset, ProbeFailure, Reading, Round, Settled};
use crate::plan::Escape;
use crate::plan::{Effect, Expectation, TrialId, Variant};
use crate::probe::{self, Patience, ProbeRequest, Progress, Stretch, Watch};
use serde_json::Value;
use serde_json_path::JsonPath;
use std::borrow::Cow;

/// Characters of a counted node's name that are recorded.
const SHOWN: usize = 60;

/// One effect of one instance (or, where an effect cannot tell instances apart,
/// of all instances of a trial), ready to be read.
struct Probe<'a> {
    effect: &'a Effect,
    index: usize,
    request: ProbeRequest,
    path: Cow<'a, JsonPath>,
    /// The expectation as rendered, where it holds expressions.
    expected: Option<Value>,
}

impl World {
    /// Makes a probe ready, or says why it cannot be read.
    fn probe<'a>(&'a self, index: usize, unit: &Unit) -> Result<Probe<'a>, ProbeFailure> {
        let effect = &self.scenario().effects[index];
        let broken = |what: String| ProbeFailure {
            status: None,
            what: unit.session.redactor().text(&what).into_owned(),
            passing: false,
        };
        // `${{ key }}` in an effect is that of the operation that it is read
        // after, else that of the first.
        let operations = &self.scenario().operations;
        let operation = effect
            .at
            .as_ref()
            .and_then(|name| operations.iter().find(|o| o.name == *name))
            .unwrap_or(&operations[0]);
        let (session, _) = with_key(&unit.session, operation);
        let rendered = render(
            &effect.request,
            &Ingredients {
                scenario: self.scenario(),
                session: &session,
                key: None,
                overlay: None,
                variant: Variant::Same,
            },
        )
        .map_err(|error| broken(chain(&error)))?;
        let path = if let Some(path) = &self.paths[index] {
            Cow::Borrowed(path)
        } else {
            let path = effect.extraction.path();
            let text = path
                .render(session.scope(), Escape::JsonPathQuoted)
                .map_err(|error| broken(chain(&error)))?;
            Cow::Owned(JsonPath::parse(&text).map_err(|error| broken(chain(&error)))?)
        };
        let mut expected =
            expectation(effect, session.scope()).map_err(|error| broken(chain(&error)))?;
        if let Some(expected) = &mut expected {
            // As the readings that it is compared with and recorded beside.
            unit.session.redactor().json(expected);
        }
        Ok(Probe {
            effect,
            index,
            request: ProbeRequest {
                method: rendered.method,
                url: rendered.url,
                headers: rendered.headers,
                body: rendered.body,
            },
            path,
            expected,
        })
    }

    async fn read(&self, probe: &Probe<'_>, unit: &Unit) -> Result<Reading, ProbeFailure> {
        self.run.budget.pace(1).await;
        let _permit = self
            .probing
            .acquire()
            .await
            .expect("the semaphore is never closed");
        let reading = probe::read(
            &self.client,
            &probe.request,
            &probe.effect.extraction,
            &probe.path,
        )
        .await;
        let redactor = unit.session.redactor();
        match reading {
            Ok(Reading::Count { n, sample }) => Ok(Reading::Count {
                n,
                sample: sample
                    .iter()
                    .map(|name| redactor.text(name).chars().take(SHOWN).collect())
                    .collect(),
            }),
            Ok(Reading::Value(Some(mut value))) => {
                redactor.json(&mut value);
                Ok(Reading::Value(Some(value)))
            }
            Ok(reading) => Ok(reading),
            Err(mut failure) => {
                failure.what = redactor.text(&failure.what).into_owned();
                Err(failure)
            }
        }
    }

    /// Reads one effect once (tried again while failures may pass), without
    /// waiting for any value.
    pub(crate) async fn look(
        &self,
        trial: Option<TrialId>,
        instance: Option<usize>,
        unit: &Unit,
        effect: usize,
        round: Round,
    ) -> Option<f64> {
        let since = self.run.clock.now();
        let mut tries = 0;
        let (reading, expected) = match self.probe(effect, unit) {
            Err(failure) => (Err(failure), None),
            Ok(probe) => loop {
                let reading = self.read(&probe, unit).await;
                tries += 1;
                let again = matches!(&reading, Err(failure) if failure.passing)
                    && self.run.clock.elapsed(since) < probe.effect.within
                    && !self.run.stopped();
                if !again {
                    break (reading, probe.expected);
                }
                tokio::time::sleep(probe.effect.every).await;
            },
        };
        let number = reading.as_ref().ok().and_then(Reading::number);
        self.observe(
            trial,
            Observation {
                scenario: self.index,
                effect,
                instance,
                round,
                since,
                until: self.run.clock.now(),
                readings: tries.max(1),
                settled: reading.is_err().then_some(Settled::Unreadable),
                reading,
                expected,
            },
        );
        number
    }

    /// Reads one effect until it has settled.
    pub(crate) async fn settle(
        &self,
        trial: Option<TrialId>,
        instance: Option<usize>,
        units: &[&Unit],
        effect: usize,
    ) {
        let Some(unit) = units.first() else { return };
        let observe = |stretch: Stretch, expected: Option<Value>, settled: Option<Settled>| {
            self.observe(
                trial,
                Observation {
                    scenario: self.index,
                    effect,
                    instance,
                    round: Round::Final,
                    since: stretch.since,
                    until: stretch.until,
                    readings: stretch.readings,
                    reading: stretch.reading,
                    expected,
                    settled,
                },
            );
        };
        let probe = match self.probe(effect, unit) {
            Ok(probe) => probe,
            Err(failure) => {
                let now = self.run.clock.now();
                let unread = Stretch {
                    reading: Err(failure),
                    since: now,
                    until: now,
                    readings: 1,
                };
                return observe(unread, None, Some(Settled::Unreadable));
            }
        };
        let last_attempt = units.iter().map(|unit| unit.last).max().unwrap_or_default();
        let patience = Patience {
            within: probe.effect.within,
            stable_for: probe.effect.stable_for,
            every: probe.effect.every,
            last_attempt,
            excess_is_final: probe.effect.transient_excess
                == crate::contract::TransientExcess::Proof
                && self.scenario().contract.transient_excess
                    == crate::contract::TransientExcess::Proof,
        };
        let sought = self.sought(&probe, units);
        let Watch { stretches, settled } = probe::settle(
            patience,
            || self.run.clock.now(),
            || self.read(&probe, unit),
            |reading: &Reading, late: bool| sought.progress(reading, late),
            || self.run.stopped(),
        )
        .await;
        let last = stretches.len().saturating_sub(1);
        for (position, stretch) in stretches.into_iter().enumerate() {
            let settled = (position == last).then_some(settled);
            observe(stretch, probe.expected.clone(), settled);
        }
    }

    fn observe(&self, trial: Option<TrialId>, observation: Observation) {
        let at: Offset = observation.until;
        self.run
            .recorder
            .record_at(at, trial, EventKind::Observation(observation));
    }

    /// What would end the wait for an effect.
    fn sought<'p>(&self, probe: &'p Probe<'_>, units: &[&Unit]) -> Sought<'p> {
        let contract = &self.scenario().contract;
        let effect = probe.effect;
        let any_ok = units
            .iter()
            .any(|unit| self.outcome_for(unit, effect) == Outcome::Ok);
        match effect.wanted(contract, probe.expected.as_ref()) {
            None => Sought::Value {
                matters: any_ok,
                effect,
                expected: probe.expected.as_ref(),
            },
            Some(wanted) => {
                // Less than nothing is a count of what is gone: two gone are more
                // than one.
                let (wanted, sign) = match wanted {
                    Wanted::Times(n) if n < 0.0 => (Wanted::Times(-n), -1.0),
                    wanted => (wanted, 1.0),
                };
                let each: Vec<Allowed> = units
                    .iter()
                    .map(|unit| Allowed::from_outcomes(wanted, [self.outcome_for(unit, effect)]))
                    .collect();
                let allowed = match each.as_slice() {
                    [one] => *one,
                    many if matches!(wanted, Wanted::Times(_)) => Allowed::Between(
                        many.iter().map(|allowed| allowed.min()).sum(),
                        many.iter().map(|allowed| allowed.max()).sum(),
                    ),
                    many => many.first().copied().unwrap_or(Allowed::Exactly(0.0)),
                };
                let before = units
                    .first()
                    .and_then(|unit| unit.before.get(probe.index).copied().flatten());
                Sought::Number {
                    allowed,
                    before: before.unwrap_or(0.0),
                    sign,
                }
            }
        }
    }

    /// The outcome that an effect's expectation hangs on: that of the operation,
    /// or in a flow that of all operations up to the one after which it is read.
    pub(crate) fn outcome_for(&self, unit: &Unit, effect: &Effect) -> Outcome {
        let operations = &self.scenario().operations;
        let last = effect
            .at
            .as_ref()
            .and_then(|name| operations.iter().position(|o| o.name == *name))
            .unwrap_or(operations.len() - 1);
        Outcome::of_flow((0..=last).map(|operation| Outcome::of_key(unit.outcomes(operation))))
    }
}

/// What would end the wait for an effect.
enum Sought<'p> {
    Number {
        allowed: Allowed,
        /// What was there before.
        before: f64,
        /// -1 where effects take away.
        sign: f64,
    },
    Value {
        /// Whether an answer was `ok`: else nothing is expected of it.
        matters: bool,
        effect: &'p Effect,
        expected: Option<&'p Value>,
    },
}

impl Sought<'_> {
    fn progress(&self, reading: &Reading, late: bool) -> Progress {
        match self {
            Self::Number {
                allowed,
                before,
                sign,
            } => {
                let Some(seen) = reading.number() else {
                    return Progress::NotYet;
                };
                let seen = (seen - before) * sign;
                if allowed.exceeded_by(seen) {
                    Progress::Excess
                } else if !allowed.admits(seen) {
                    Progress::NotYet
                } else if !late && matches!(allowed, Allowed::ZeroOr(n) if seen < *n) {
                    // An operation that nobody answered may execute late, and a
                    // duplicate with it.
                    Progress::NotYet
                } else {
                    Progress::Fine
                }
            }
            Self::Value { matters: false, .. } => Progress::Fine,
            Self::Value {
                effect, expected, ..
            } => {
                let fits = reading
                    .json()
                    .and_then(|seen| effect.fits(&seen, *expected));
                if fits == Some(true) {
                    Progress::Fine
                } else {
                    Progress::NotYet
                }
            }
        }
    }
}

/// The expectation with its values in place, where it holds expressions.
fn expectation(
    effect: &Effect,
    scope: &crate::plan::Scope,
) -> Result<Option<Value>, crate::plan::RenderError> {
    let rendered = |template: &crate::plan::JsonTemplate| {
        let value = template.render(scope)?;
        Ok(if value == template.0 {
            None
        } else {
            Some(value)
        })
    };
    match &effect.expectation {
        Expectation::Number(template) | Expectation::Equals(template) => rendered(template),
        Expectation::OneOf(templates) => {
            let list = templates
                .iter()
                .map(|template| template.render(scope))
                .collect::<Result<Vec<_>, _>>()?;
            let changed = templates.iter().zip(&list).any(|(t, v)| t.0 != *v);
            Ok(changed.then_some(Value::Array(list)))
        }
        Expectation::Once
        | Expectation::Never
        | Expectation::AtMostOnce
        | Expectation::Between { .. }
        | Expectation::Matches(_) => Ok(None),
    }
}
