//! What is known of one instance while a run goes on: its values, its cookies,
//! its names on the wire. It must not send or judge.

use crate::history::Redactor;
use crate::plan::Scope;
use crate::plan::{Instance, Salt, TrialId, Variant, seed};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What all sessions of a run share.
#[derive(Debug)]
pub(crate) struct RunNames {
    /// The run's id.
    pub(crate) run: String,
    /// The run's salt.
    pub(crate) salt: Salt,
    /// Hides the secrets that are known from the start.
    pub(crate) redactor: Redactor,
}

/// What is known of one instance, or of a scenario's run-wide steps.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    names: Arc<RunNames>,
    scope: Scope,
    cookies: BTreeMap<String, String>,
    /// The part that its marker and keys are made of.
    part: String,
    /// What its requests say that they belong to.
    label: String,
    /// What all requests of its trial have in common.
    trace: String,
    /// Set where the session learned secrets of its own.
    own_redactor: Option<Arc<Redactor>>,
}

impl Session {
    /// The session of a scenario's run-wide steps: no marker, no key.
    pub(crate) fn of_run(names: &Arc<RunNames>, scope: Scope, scenario: &str) -> Self {
        let mut session = Self {
            names: Arc::clone(names),
            scope,
            cookies: BTreeMap::new(),
            part: scenario.to_owned(),
            label: format!("run {}", names.run),
            trace: scenario.to_owned(),
            own_redactor: None,
        };
        session
            .scope
            .set("run", Value::String(session.names.run.clone()));
        session
    }

    /// The session of one instance of a trial; it knows what the run-wide steps
    /// found out.
    pub(crate) fn of_instance(&self, trial: TrialId, first: &Instance, own: &Instance) -> Self {
        let mut session = self.clone();
        session.part.clone_from(&own.0);
        session.trace.clone_from(&first.0);
        session.label = format!("run {}; trial {trial}", self.names.run);
        session.scope.set("marker", Value::String(session.marker()));
        session.scope.set("trial", Value::from(trial.0));
        session
    }

    /// The marker of the instance.
    pub(crate) fn marker(&self) -> String {
        seed::marker(self.names.salt, &self.part)
    }

    /// The default key of an operation of the instance.
    pub(crate) fn default_key(&self, operation: &str) -> String {
        seed::key(self.names.salt, &self.part, operation)
    }

    /// What expressions may use.
    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Makes a value known under a name; a secret one is hidden from then on.
    pub(crate) fn learn(&mut self, name: &str, value: Value, secret: bool) {
        if secret {
            let text = match &value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let more = self.redactor().and([(name.to_owned(), text)]);
            self.own_redactor = Some(Arc::new(more));
        }
        self.scope.set(name, value);
    }

    /// Whether a name is known.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.scope.lookup(name).is_some()
    }

    /// Keeps a cookie that an answer to a step set.
    pub(crate) fn keep_cookie(&mut self, set_cookie: &str) {
        let pair = set_cookie.split(';').next().unwrap_or_default();
        if let Some((name, value)) = pair.split_once('=') {
            self.cookies
                .insert(name.trim().to_owned(), value.trim().to_owned());
        }
    }

    /// The `Cookie` header, if there are any.
    pub(crate) fn cookies(&self) -> Option<String> {
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// The `User-Agent` of its requests: the same for all attempts, so that they
    /// are byte-identical, unless a pattern changes it on purpose.
    pub(crate) fn user_agent(&self, variant: Variant) -> String {
        let version = env!("CARGO_PKG_VERSION");
        match variant {
            Variant::Same | Variant::Reserialised => format!("retrial/{version} ({})", self.label),
            Variant::ChangedHeaders => format!("retrial-retry/{version} ({})", self.label),
        }
    }

    /// The `traceparent` of its requests (W3C Trace Context).
    pub(crate) fn traceparent(&self, variant: Variant) -> String {
        let purpose = match variant {
            Variant::Same | Variant::Reserialised => self.trace.clone(),
            Variant::ChangedHeaders => format!("{}-retry", self.trace),
        };
        let id = seed::trace_id(self.names.salt, &purpose);
        let span = &seed::trace_id(self.names.salt, &format!("{purpose}-span"))[..16];
        format!("00-{id}-{span}-01")
    }

    /// What makes a multipart boundary its own, the same for all attempts.
    pub(crate) fn boundary(&self) -> String {
        seed::trace_id(self.names.salt, &format!("{}-boundary", self.part))
    }

    /// Hides the secrets that the session knows.
    pub(crate) fn redactor(&self) -> &Redactor {
        self.own_redactor.as_deref().unwrap_or(&self.names.redactor)
    }
}
