//! The stored form of a [`Plan`]: one JSON object with one line for each
//! scenario, case and trial, so that two plans can be compared with `diff`. The
//! same plan gives the same bytes; whoever writes them to a file writes just
//! these, since the digest is over them.

use super::{FORMAT, Plan, Role};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// Why a stored plan cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PlanReadError {
    /// It is of another version.
    #[error("the plan has the format `{found}`, this version reads `{FORMAT}`")]
    Format {
        /// What it says it is.
        found: String,
    },
    /// It is not a plan at all, or a broken one.
    #[error("the text is not a plan")]
    Shape(#[source] serde_json::Error),
    /// Its parts do not fit together.
    #[error("the plan contradicts itself: {0}")]
    Dangling(String),
}

impl Plan {
    /// The stored form.
    pub fn to_json(&self) -> String {
        let mut text = String::new();
        text.push_str("{\n\"format\":");
        text.push_str(&line(&self.format));
        text.push_str(",\n\"seed\":");
        text.push_str(&line(&self.seed));
        list(&mut text, "scenarios", &self.scenarios);
        list(&mut text, "cases", &self.cases);
        list(&mut text, "trials", &self.trials);
        text.push_str("\n}\n");
        text
    }

    /// The plan that was stored.
    ///
    /// # Errors
    /// Where the text is no plan of this [`FORMAT`], or one that refers to what it
    /// does not hold.
    pub fn from_json(text: &str) -> Result<Self, PlanReadError> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
        }
        // The format is looked at first: a plan of another version is not broken.
        let head: Head = serde_json::from_str(text).map_err(PlanReadError::Shape)?;
        if head.format != FORMAT {
            return Err(PlanReadError::Format { found: head.format });
        }
        let plan: Self = serde_json::from_str(text).map_err(PlanReadError::Shape)?;
        plan.check_references()?;
        Ok(plan)
    }

    /// SHA-256 of the stored form, in hex.
    pub fn digest(&self) -> String {
        Sha256::digest(self.to_json())
            .iter()
            .fold(String::new(), |mut text, byte| {
                // Writing to a String cannot fail.
                let _ = write!(text, "{byte:02x}");
                text
            })
    }

    /// Everything that reads a plan follows its indices without a second look.
    fn check_references(&self) -> Result<(), PlanReadError> {
        let dangling = |what: String| Err(PlanReadError::Dangling(what));
        let known = |scenario: usize, operation: usize| {
            self.scenarios
                .get(scenario)
                .is_some_and(|it| operation < it.operations.len())
        };
        for scenario in &self.scenarios {
            if scenario
                .together
                .iter()
                .flatten()
                .any(|effect| *effect >= scenario.effects.len())
            {
                return dangling(format!("`together` of `{}` names no effect", scenario.name));
            }
        }
        for case in &self.cases {
            if !known(case.scenario, case.operation) {
                return dangling(format!("the case `{}` has no operation", case.id));
            }
        }
        let mut ids = std::collections::BTreeSet::new();
        for trial in &self.trials {
            let id = trial.id;
            if !ids.insert(id) {
                return dangling(format!("there are two trials {id}"));
            }
            if !known(trial.scenario, trial.operation) {
                return dangling(format!("trial {id} has no operation"));
            }
            if let Role::Case(case) = trial.role
                && self.cases.get(case).is_none_or(|case| {
                    (case.scenario, case.operation) != (trial.scenario, trial.operation)
                })
            {
                return dangling(format!("trial {id} has no case"));
            }
            if trial.attempts.is_empty()
                || trial
                    .attempts
                    .iter()
                    .any(|attempt| attempt.instance >= trial.instances.len())
            {
                return dangling(format!("trial {id} has attempts of no instance"));
            }
        }
        Ok(())
    }
}

fn list<T: Serialize>(text: &mut String, name: &str, items: &[T]) {
    let _ = write!(text, ",\n\"{name}\":[");
    for (index, item) in items.iter().enumerate() {
        text.push_str(if index == 0 { "\n" } else { ",\n" });
        text.push_str(&line(item));
    }
    text.push(']');
}

fn line<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("plans hold string keys only, and nothing that can fail")
}
