//! Boolean expressions over effects (`language.md` section 14, *Effects*).
//!
//! An invariant over effects with marker holds for each operation, one over
//! effects without for the run: those are read in each trial too, so that the
//! trial after which it no longer held can be named.

use minijinja::{Environment, UndefinedBehavior};
use std::collections::BTreeMap;

use super::EventIndex;
use super::effects::Judged;
use super::view::{TrialView, View};
use crate::contract::{Allowed, Outcome};
use crate::history::{Observation, Reading, Round};
use crate::plan::{Invariant, PlannedScenario};

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Broken {
    /// Index in the scenario.
    pub(crate) invariant: usize,
    /// What its effects were.
    pub(crate) values: Vec<(String, String)>,
    /// The readings.
    pub(crate) events: Vec<EventIndex>,
}

type Values = BTreeMap<String, minijinja::Value>;

/// The invariants over marked effects that do not hold for one instance. Only
/// readings at rest count, and only where each operation was answered for good:
/// an attempt without an answer may still be moving things.
pub(crate) fn of_instance(
    scenario: &PlannedScenario,
    trial: &TrialView<'_>,
    judged: &[Judged<'_>],
    instance: usize,
) -> Vec<Broken> {
    if scenario.invariants.is_empty() || !answered_for_good(scenario, trial, instance) {
        return Vec::new();
    }
    indices(scenario)
        .filter(|(_, _, effects)| {
            effects
                .iter()
                .all(|effect| scenario.effects[*effect].marked)
        })
        .filter_map(|(index, invariant, effects)| {
            let mut values = Values::new();
            let mut events = Vec::new();
            for effect in effects {
                let one = judged
                    .iter()
                    .find(|one| one.effect == effect && one.instance == instance)
                    .filter(|one| one.settled)?;
                let value = match one.value {
                    Some(value) => from_number(value),
                    None => reading(one.last?)?,
                };
                values.insert(scenario.effects[effect].name.clone(), value);
                events.push(one.last_event?);
            }
            broken(index, invariant, &values, events)
        })
        .collect()
}

/// The invariants over effects without marker that held before a trial and do
/// not hold after it.
pub(crate) fn of_trial(
    scenario: &PlannedScenario,
    trial: &TrialView<'_>,
    judged: &[Judged<'_>],
) -> Vec<Broken> {
    if (0..trial.instances.len()).any(|instance| !answered_for_good(scenario, trial, instance)) {
        return Vec::new();
    }
    unmarked(scenario)
        .filter_map(|(index, invariant, effects)| {
            let mut before = Values::new();
            let mut after = Values::new();
            let mut events = Vec::new();
            for effect in effects {
                let one = judged
                    .iter()
                    .find(|one| one.effect == effect)
                    .filter(|one| one.settled)?;
                let name = &scenario.effects[effect].name;
                let (first, last) = (one.raw.0?, one.raw.1?);
                let base = if scenario.effects[effect].delta {
                    first
                } else {
                    0.0
                };
                before.insert(name.clone(), from_number(first - base));
                after.insert(name.clone(), from_number(last - base));
                events.push(one.last_event?);
            }
            if holds(&invariant.expression, &before) != Some(true) {
                return None;
            }
            broken(index, invariant, &after, events)
        })
        .collect()
}

/// The invariants over effects without marker that held before the run and do
/// not hold after it.
pub(crate) fn of_run(view: &View<'_>, index: usize) -> Vec<Broken> {
    let Some(scenario) = view.scenario(index) else {
        return Vec::new();
    };
    let find = |effect: usize, round: Round, last: bool| {
        let mut all = view.whole_run.iter().filter(|seen| {
            seen.item.scenario == index
                && seen.item.effect == effect
                && seen.item.round == round
                && seen.item.reading.is_ok()
        });
        if last { all.next_back() } else { all.next() }
    };
    unmarked(scenario)
        .filter_map(|(index, invariant, effects)| {
            let mut before = Values::new();
            let mut after = Values::new();
            let mut events = Vec::new();
            for effect in effects {
                let name = &scenario.effects[effect].name;
                let first = find(effect, Round::Before, false)?;
                let last = find(effect, Round::Final, true)?;
                if last.item.settled == Some(crate::history::Settled::Moving) {
                    return None;
                }
                let difference = (
                    super::effects::number(first.item),
                    super::effects::number(last.item),
                );
                if let ((Some(a), Some(b)), true) = (difference, scenario.effects[effect].delta) {
                    before.insert(name.clone(), from_number(0.0));
                    after.insert(name.clone(), from_number(b - a));
                } else {
                    before.insert(name.clone(), reading(first.item)?);
                    after.insert(name.clone(), reading(last.item)?);
                }
                events.push(last.event);
            }
            if holds(&invariant.expression, &before) != Some(true) {
                return None;
            }
            broken(index, invariant, &after, events)
        })
        .collect()
}

fn indices(scenario: &PlannedScenario) -> impl Iterator<Item = (usize, &Invariant, Vec<usize>)> {
    scenario
        .invariants
        .iter()
        .enumerate()
        .filter_map(|(index, invariant)| {
            let effects: Vec<usize> = invariant
                .effects
                .iter()
                .map(|name| scenario.effects.iter().position(|one| &one.name == name))
                .collect::<Option<_>>()?;
            (!effects.is_empty()).then_some((index, invariant, effects))
        })
}

fn unmarked(scenario: &PlannedScenario) -> impl Iterator<Item = (usize, &Invariant, Vec<usize>)> {
    indices(scenario).filter(|(_, _, effects)| {
        effects
            .iter()
            .all(|effect| !scenario.effects[*effect].marked)
    })
}

/// Whether each operation that was sent has an `ok`, or was only refused.
fn answered_for_good(scenario: &PlannedScenario, trial: &TrialView<'_>, instance: usize) -> bool {
    let mut open = vec![None; scenario.operations.len()];
    for seen in &trial.instances[instance].exchanges {
        let Some(open) = open.get_mut(seen.item.operation) else {
            continue;
        };
        let outcome = scenario.contract.outcome(seen.item.claim());
        *open = match (*open, outcome) {
            (Some(false), _) | (_, Outcome::Ok) => Some(false),
            (_, Outcome::Unknown) => Some(true),
            (open, Outcome::Rejected) => open,
        };
    }
    open.iter().all(|open| *open != Some(true))
}

fn broken(
    index: usize,
    invariant: &Invariant,
    values: &Values,
    events: Vec<EventIndex>,
) -> Option<Broken> {
    (holds(&invariant.expression, values) == Some(false)).then(|| Broken {
        invariant: index,
        values: values
            .iter()
            .map(|(name, value)| (name.clone(), value.to_string()))
            .collect(),
        events,
    })
}

fn reading(observation: &Observation) -> Option<minijinja::Value> {
    match observation.reading.as_ref().ok()? {
        Reading::Count { n, .. } => Some(minijinja::Value::from(*n)),
        Reading::Sum(sum) => Some(from_number(*sum)),
        Reading::Value(value) => Some(minijinja::Value::from(minijinja::value::Serde(
            value.as_ref()?,
        ))),
    }
}

/// Whole numbers are handed on as such, so that they print without a point.
fn from_number(n: f64) -> minijinja::Value {
    if n.fract() == 0.0 && n.abs() < 1e15 {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and below 2^53")]
        let whole = n as i64;
        minijinja::Value::from(whole)
    } else {
        minijinja::Value::from(n)
    }
}

/// Whether an expression holds; `None` where it cannot be evaluated.
fn holds(expression: &str, values: &Values) -> Option<bool> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(100_000));
    let evaluate = |text: &str| environment.compile_expression(text).ok()?.eval(values).ok();
    if evaluate(expression)?.is_true() {
        return Some(true);
    }
    // Sums of decimals differ in the last digits by the way they were added: a
    // comparison that fails by no more than that holds.
    let parts = conjuncts(expression);
    let near = parts.iter().all(|part| {
        if evaluate(part).is_some_and(|value| value.is_true()) {
            return true;
        }
        let Some((left, right)) = sides(part) else {
            return false;
        };
        let number = |text: &str| evaluate(text).and_then(|value| f64::try_from(value).ok());
        match (number(left), number(right)) {
            (Some(left), Some(right)) => Allowed::Exactly(right).admits(left),
            (Some(_) | None, _) => false,
        }
    });
    Some(near)
}

/// The parts of an expression that are joined by `and` outside brackets and
/// quotes; the whole where it holds anything else that binds less tightly.
fn conjuncts(expression: &str) -> Vec<&str> {
    let open = outside(expression);
    let word = |word: &str| {
        expression
            .match_indices(word)
            .map(|(at, _)| at)
            .filter(|at| open[*at])
            .collect::<Vec<_>>()
    };
    if [" or ", " if ", " else "]
        .iter()
        .any(|other| !word(other).is_empty())
    {
        return vec![expression];
    }
    let mut parts = Vec::new();
    let mut start = 0;
    for at in word(" and ") {
        parts.push(&expression[start..at]);
        start = at + " and ".len();
    }
    parts.push(&expression[start..]);
    parts
}

/// The two sides of the only comparison of an expression, where touching is
/// enough for it to hold.
fn sides(expression: &str) -> Option<(&str, &str)> {
    let open = outside(expression);
    let at = |operator: &str| {
        expression
            .match_indices(operator)
            .map(|(at, _)| at)
            .filter(|at| open[*at])
            .collect::<Vec<_>>()
    };
    if expression.trim_start().starts_with("not ") || !at(" not ").is_empty() {
        return None;
    }
    let found: Vec<usize> = ["==", "<=", ">="].iter().flat_map(|o| at(o)).collect();
    let others = at("<").len() + at(">").len() + at("!=").len();
    let touching = at("<=").len() + at(">=").len();
    match found[..] {
        [at] if others == touching => Some((&expression[..at], &expression[at + 2..])),
        [..] => None,
    }
}

/// For each byte of an expression whether it stands outside brackets and quotes.
fn outside(expression: &str) -> Vec<bool> {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut open = Vec::with_capacity(expression.len() + 1);
    for byte in expression.bytes() {
        open.push(depth == 0 && quote.is_none());
        match (quote, byte) {
            (Some(end), byte) if byte == end => quote = None,
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'(' | b'[' | b'{') => depth += 1,
            (None, b')' | b']' | b'}') => depth = depth.saturating_sub(1),
            (Some(_) | None, _) => {}
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(expression: &str, values: &[(&str, f64)]) -> Option<bool> {
        let values = values
            .iter()
            .map(|(name, n)| ((*name).to_owned(), from_number(*n)))
            .collect();
        holds(expression, &values)
    }

    #[test]
    fn expressions_are_evaluated_over_the_effects() {
        let two = [("orders", 2.0), ("charged", 3998.0)];
        assert_eq!(with("charged == orders * 1999", &two), Some(true));
        assert_eq!(with("charged == orders", &two), Some(false));
        assert_eq!(with("orders >= 0 and charged > 1", &two), Some(true));
        assert_eq!(with("orders >= 3 or charged < 1", &two), Some(false));
        assert_eq!(with("not (orders == 2)", &two), Some(false));
    }

    #[test]
    fn sums_of_decimals_hold_though_their_last_digits_differ() {
        let sums = [("orders", 3.0), ("charged", 19.99 + 19.99 + 19.99)];
        assert_eq!(with("charged == orders * 19.99", &sums), Some(true));
        assert_eq!(with("charged <= 59.97 and orders == 3", &sums), Some(true));
        assert_eq!(with("charged == orders * 19.98", &sums), Some(false));
        assert_eq!(with("charged != 59.97", &[("charged", 59.97)]), Some(false));
        assert_eq!(
            with("not charged == 59.97", &[("charged", 59.97)]),
            Some(false)
        );
        assert_eq!(with("charged < 59.97", &[("charged", 59.97)]), Some(false));
    }

    #[test]
    fn what_cannot_be_evaluated_says_nothing() {
        assert_eq!(with("orders == nothing", &[("orders", 1.0)]), None);
        assert_eq!(with("orders ==", &[("orders", 1.0)]), None);
        assert_eq!(with("1 / orders > 'x'", &[("orders", 0.0)]), None);
    }
}
