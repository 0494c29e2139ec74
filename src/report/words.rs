//! Readings, expectations and answers in words.

use crate::contract::{Allowed, Outcome, Wanted};
use crate::history::{IdentityFact, Observation, ProbeFailure, Reading, ResponseFacts};
use crate::plan::{Contract, Effect, Expectation};
use serde_json::Value;

/// A number without a fraction that says nothing.
pub(super) fn number(value: f64) -> String {
    // Rounded, or a sum of decimals would show the noise of binary fractions.
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What was allowed: `1`, `0 or 1`, `at most 2`.
pub(super) fn allowed(allowed: Allowed) -> String {
    match allowed {
        Allowed::Exactly(n) => number(n),
        Allowed::ZeroOr(n) => format!("0 or {}", number(n)),
        Allowed::Between(min, max) if min.is_infinite() && max.is_infinite() => "any".to_owned(),
        Allowed::Between(min, max) if max.is_infinite() => format!("at least {}", number(min)),
        Allowed::Between(min, max) if min.is_infinite() => format!("at most {}", number(max)),
        Allowed::Between(min, max) if min.total_cmp(&max).is_eq() => number(max),
        Allowed::Between(min, max) if min <= 0.0 => format!("at most {}", number(max)),
        Allowed::Between(min, max) => format!("{} to {}", number(min), number(max)),
    }
}

/// What an effect was expected to be, given what the attempts claimed.
pub(super) fn expected(
    effect: &Effect,
    contract: &Contract,
    rendered: Option<&Value>,
    outcomes: impl IntoIterator<Item = Outcome>,
) -> (String, Option<Allowed>) {
    if let Some(wanted) = effect.wanted(contract, rendered) {
        let bound = Allowed::from_outcomes(wanted, outcomes);
        let words = match (wanted, bound) {
            (Wanted::Times(n), Allowed::Exactly(0.0)) if n != 0.0 => {
                "0, for every attempt was refused".to_owned()
            }
            _ => allowed(bound),
        };
        return (words, Some(bound));
    }
    let words = match &effect.expectation {
        Expectation::Equals(template) => value(rendered.unwrap_or(&template.0)),
        Expectation::Matches(regex) => format!("a match of /{regex}/"),
        Expectation::OneOf(templates) => {
            let values: Vec<String> = match rendered {
                Some(Value::Array(values)) => values.iter().map(value).collect(),
                _ => templates
                    .iter()
                    .map(|template| value(&template.0))
                    .collect(),
            };
            format!("one of {}", values.join(", "))
        }
        // A number that is an expression and was never rendered.
        Expectation::Number(template) => value(&template.0),
        Expectation::Once
        | Expectation::Never
        | Expectation::AtMostOnce
        | Expectation::Between { .. } => "as the outcomes allow".to_owned(),
    };
    (words, None)
}

/// A reading as short as a mark on a timeline.
pub(super) fn reading(observation: &Observation) -> String {
    match &observation.reading {
        Ok(Reading::Count { n, .. }) => n.to_string(),
        Ok(Reading::Sum(sum)) => number(*sum),
        Ok(Reading::Value(None)) => "nothing".to_owned(),
        Ok(Reading::Value(Some(found))) => shortened(&value(found), 24),
        Err(ProbeFailure {
            status: Some(status),
            ..
        }) => status.to_string(),
        Err(_) => "unreadable".to_owned(),
    }
}

/// A reading with what it counted: `2: ord_4812, ord_4813`.
pub(super) fn found(observation: &Observation) -> String {
    match &observation.reading {
        Ok(Reading::Count { n, sample }) if *n > 0 && !sample.is_empty() => {
            let more = usize::try_from(*n).is_ok_and(|n| n > sample.len());
            let names: Vec<String> = sample.iter().map(|name| shortened(name, 40)).collect();
            let tail = if more { ", …" } else { "" };
            format!("{n}: {}{tail}", names.join(", "))
        }
        Err(failure) => format!("nothing: {}", failure.what),
        Ok(Reading::Value(Some(found))) => shortened(&value(found), 80),
        Ok(Reading::Count { .. } | Reading::Sum(_) | Reading::Value(None)) => reading(observation),
    }
}

/// A reading as a number, where it is one.
pub(super) fn as_number(observation: &Observation) -> Option<f64> {
    match &observation.reading {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a count this large is not compared"
        )]
        Ok(Reading::Count { n, .. }) => Some(*n as f64),
        Ok(Reading::Sum(sum)) => Some(*sum),
        Ok(Reading::Value(_)) | Err(_) => None,
    }
}

/// A status and whose result it names: `201 ord_4812`.
pub(super) fn answer(response: &ResponseFacts) -> String {
    match result(response) {
        Some(name) => format!("{} {}", response.status, shortened(name, 24)),
        None if response.identity.contains(&IdentityFact::Null) => {
            format!("{} null", response.status)
        }
        None => response.status.to_string(),
    }
}

/// Whose result an answer names: the first identity field that has a value.
pub(super) fn result(response: &ResponseFacts) -> Option<&str> {
    response.identity.iter().find_map(|fact| match fact {
        IdentityFact::Is(value) => Some(value.as_str()),
        IdentityFact::Absent | IdentityFact::Null => None,
    })
}

/// A JSON value; strings without quotes.
fn value(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// A text of at most so many characters; what is too long loses its end.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most - 1).collect();
    short.push('…');
    short
}

/// A key or another long token, shortened in the middle: `9c1f…e2`.
pub(super) fn middle(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= 12 {
        return text.to_owned();
    }
    let start: String = characters[..4].iter().collect();
    let end: String = characters[characters.len() - 2..].iter().collect();
    format!("{start}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_read_like_a_sentence() {
        for (bound, words) in [
            (Allowed::Exactly(1.0), "1"),
            (Allowed::ZeroOr(19.99), "0 or 19.99"),
            (Allowed::Between(0.0, 1.0), "at most 1"),
            (Allowed::Between(0.0, 0.0), "0"),
            (Allowed::Between(2.0, 4.5), "2 to 4.5"),
            (Allowed::Between(2.0, f64::INFINITY), "at least 2"),
            (Allowed::Between(f64::NEG_INFINITY, 3.0), "at most 3"),
        ] {
            assert_eq!(allowed(bound), words);
        }
    }

    #[test]
    fn sums_show_no_noise_of_binary_fractions() {
        assert_eq!(number(0.1 + 0.2), "0.3");
        assert_eq!(number(1999.0), "1999");
        assert_eq!(number(0.0), "0");
    }

    #[test]
    fn long_tokens_lose_their_middle_and_short_ones_nothing() {
        assert_eq!(middle("9c1f0000-0000-4000-8000-0000000000e2"), "9c1f…e2");
        assert_eq!(middle("order-1"), "order-1");
        assert_eq!(shortened("abcdef", 4), "abc…");
    }
}
