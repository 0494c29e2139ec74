//! Set-up, clean-up and `before` steps, over the ordinary client.

use super::facts;
use super::request::{Ingredients, chain, render};
use super::session::Session;
use super::world::World;
use crate::contract::Expected;
use crate::delivery::Answer;
use crate::history::{EventKind, Stage};
use crate::plan::{Each, InstanceIndex, Step, TrialId, Variant};
use crate::probe::ProbeRequest;
use sha2::{Digest, Sha256};

/// Bytes of an unexpected answer's body that are told.
const SHOWN: usize = 200;

/// Which steps run for whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct For {
    /// Where the list stands.
    pub(crate) stage: Stage,
    /// Which of it.
    pub(crate) each: Each,
    /// The trial and the instance, where it is for one.
    pub(crate) whom: Option<(TrialId, InstanceIndex)>,
}

impl World {
    /// Runs the steps of a list that are meant for `whom`, in order. Stops at the
    /// first that fails, unless it cleans up: then the others are tried all the
    /// same. Returns whether all worked.
    pub(crate) async fn steps(&self, steps: &[Step], whom: For, session: &mut Session) -> bool {
        let mut all = true;
        for (index, step) in steps.iter().enumerate() {
            if whom.stage != Stage::Before && step.each != whom.each {
                continue;
            }
            if whom.stage == Stage::Cleanup && !self.could_run(step, session) {
                // What would be removed was never made.
                continue;
            }
            let (status, failure) = match self.step(step, session).await {
                Ok(status) => (Some(status), None),
                Err((status, why)) => (status, Some(why)),
            };
            let failed = failure.is_some();
            self.run.recorder.record(
                whom.whom.map(|(trial, _)| trial),
                EventKind::Step {
                    scenario: self.index,
                    stage: whom.stage,
                    step: index,
                    instance: whom.whom.map(|(_, instance)| instance),
                    status,
                    failure,
                },
            );
            if failed {
                all = false;
                if whom.stage != Stage::Cleanup {
                    return false;
                }
            }
        }
        all
    }

    /// Whether everything that a clean-up step names was ever captured.
    fn could_run(&self, step: &Step, session: &Session) -> bool {
        let captured = self
            .scenario()
            .setup
            .iter()
            .flat_map(|s| &s.capture)
            .chain(self.scenario().operations.iter().flat_map(|o| &o.capture));
        let names: Vec<String> = captured.map(|capture| capture.name.clone()).collect();
        let used = |template: &crate::plan::Template| {
            template
                .names()
                .into_iter()
                .any(|used| names.contains(&used.name) && !session.knows(&used.name))
        };
        !used(&step.request.path)
    }

    /// Runs one step. What is said of a failure holds no secret.
    async fn step(&self, step: &Step, session: &mut Session) -> Result<u16, (Option<u16>, String)> {
        let key = session.default_key(&step.name);
        let mut with_key = session.clone();
        with_key.learn("key", key.clone().into(), false);
        let rendered = render(
            &step.request,
            &Ingredients {
                scenario: self.scenario(),
                session: &with_key,
                key: Some((&step.key, &key)),
                overlay: None,
                variant: Variant::Same,
            },
        )
        .map_err(|error| (None, session.redactor().text(&chain(&error)).into_owned()))?;
        self.run.budget.pace(1).await;
        let answer = self
            .client
            .send(&ProbeRequest {
                method: rendered.method,
                url: rendered.url,
                headers: rendered.headers,
                body: rendered.body,
            })
            .await
            .map_err(|failure| {
                let what = session.redactor().text(&failure.what).into_owned();
                (failure.status, what)
            })?;
        let status = answer.status;
        let answer = Answer {
            status,
            body_len: answer.body.len() as u64,
            body_sha256: Sha256::digest(&answer.body).into(),
            body: answer.body,
            headers: answer.headers,
            complete: true,
        };
        for (name, value) in &answer.headers {
            if name.eq_ignore_ascii_case("set-cookie") {
                session.keep_cookie(value);
            }
        }
        let json = facts::json(&answer);
        // A secret is one in an answer that nobody expected, too: it must be known
        // to the redactor before anything of the answer is told.
        let (found, missing) = facts::captures(&step.capture, &answer, json.as_ref());
        let mut learned = session.clone();
        for (capture, value) in found {
            learned.learn(&capture.name, value, capture.secret);
        }
        let met = match &step.expect {
            None => (200..300).contains(&status),
            Some(expect) => {
                facts::expected(expect, status, json.as_ref(), session) == Expected::Met
            }
        };
        if !met {
            let body = learned.redactor().body(&answer.body, SHOWN);
            let body = if body.is_empty() {
                String::new()
            } else {
                format!(": {body}")
            };
            return Err((Some(status), format!("answered {status}{body}")));
        }
        *session = learned;
        if let Some(name) = missing.first() {
            return Err((
                Some(status),
                format!("answered {status}, but nothing to capture as `{name}`"),
            ));
        }
        Ok(status)
    }
}
