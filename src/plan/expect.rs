//! What an effect is expected to be, and whether a value is that. Whoever waits for
//! an effect and whoever judges it ask here, so that they cannot disagree.

use super::{Contract, Effect, Expectation, JsonTemplate};
use crate::contract::{Allowed, Wanted};
use regex::Regex;
use serde_json::Value;
use std::borrow::Cow;

impl Effect {
    /// What the effect is expected to be as a number; `None` where it is a value
    /// that is compared (`equals`, `matches`, `one_of`). `rendered` is the
    /// expectation as it was rendered in the run, where it holds expressions.
    pub fn wanted(&self, contract: &Contract, rendered: Option<&Value>) -> Option<Wanted> {
        let number = |value: &Value| {
            value
                .as_f64()
                .or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()))
        };
        match &self.expectation {
            Expectation::Once => Some(Wanted::Times(f64::from(contract.expected_effects))),
            Expectation::Number(template) => rendered
                .and_then(number)
                .or_else(|| number(&template.0))
                .map(Wanted::Times),
            Expectation::Never => Some(Wanted::Bounds { min: 0.0, max: 0.0 }),
            Expectation::AtMostOnce => Some(Wanted::Bounds {
                min: 0.0,
                max: f64::from(contract.expected_effects),
            }),
            Expectation::Between { min, max } => Some(Wanted::Bounds {
                min: min.unwrap_or(f64::NEG_INFINITY),
                max: max.unwrap_or(f64::INFINITY),
            }),
            Expectation::Equals(_) | Expectation::Matches(_) | Expectation::OneOf(_) => None,
        }
    }

    /// Whether a value that was seen is the expected one; `None` where the effect is
    /// expected to be a number, or where nobody rendered what it depends on.
    pub fn fits(&self, seen: &Value, rendered: Option<&Value>) -> Option<bool> {
        match &self.expectation {
            Expectation::Equals(template) => {
                let wanted = rendered.or_else(|| template.literal())?;
                Some(same_value(seen, wanted))
            }
            Expectation::OneOf(templates) => {
                let wanted: Vec<&Value> = if let Some(rendered) = rendered {
                    rendered.as_array()?.iter().collect()
                } else {
                    let literals = templates.iter().map(JsonTemplate::literal);
                    literals.collect::<Option<_>>()?
                };
                Some(wanted.into_iter().any(|one| same_value(seen, one)))
            }
            Expectation::Matches(pattern) => {
                let text = match seen {
                    Value::String(text) => Cow::Borrowed(text.as_str()),
                    other => Cow::Owned(other.to_string()),
                };
                Some(Regex::new(pattern).ok()?.is_match(&text))
            }
            Expectation::Once
            | Expectation::Number(_)
            | Expectation::Never
            | Expectation::AtMostOnce
            | Expectation::Between { .. } => None,
        }
    }
}

/// Whether two JSON values mean the same: the order of members and the spelling of
/// numbers do not matter.
pub fn same_value(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            a == b
                || a.as_f64()
                    .zip(b.as_f64())
                    .is_some_and(|(a, b)| Allowed::Exactly(b).admits(a))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_value(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(name, a)| b.get(name).is_some_and(|b| same_value(a, b)))
        }
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn member_order_and_number_spelling_do_not_change_the_meaning() {
        let one = json!({"a": 1, "b": [1.0, {"c": 1e0}]});
        assert!(same_value(&one, &json!({"b": [1, {"c": 1}], "a": 1.0})));
        assert!(!same_value(&json!({"a": 1}), &json!({"a": 1.5})));
        assert!(!same_value(&json!({"a": 1}), &json!({"a": 1, "b": null})));
        assert!(!same_value(&json!([1, 2]), &json!([2, 1])));
        assert!(!same_value(&json!("1"), &json!(1)));
    }
}
