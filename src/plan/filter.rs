//! Which cases of a plan are run. Ids, keys, markers and offsets of what stays
//! are what they were; only places in lists close up.

use super::{Case, Control, Plan, Role, Trial};
use std::collections::BTreeSet;

/// What is asked for; an empty list asks for nothing. Between the lists *and*
/// holds, within one *or*.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Whole case ids, `*` for any letters, `?` for one (`--case`).
    pub cases: Vec<String>,
    /// Names of operations (`--operation`).
    pub operations: Vec<String>,
    /// Kinds of pattern, labels, or pattern parts of case ids (`--pattern`).
    pub patterns: Vec<String>,
    /// The scenario has one of these tags (`--tag`).
    pub tags: Vec<String>,
    /// The scenario has none of these tags (`--not-tag`).
    pub not_tags: Vec<String>,
}

impl Filter {
    /// The plan with what was asked for only: the cases, their trials, and the
    /// controls and scenarios that they need.
    pub fn apply(&self, plan: Plan) -> Plan {
        let cases: BTreeSet<usize> = (0..plan.cases.len())
            .filter(|&index| self.keeps(&plan, &plan.cases[index]))
            .collect();
        let operations: BTreeSet<(usize, usize)> = cases
            .iter()
            .map(|&index| (plan.cases[index].scenario, plan.cases[index].operation))
            .collect();
        let scenarios: BTreeSet<usize> = operations.iter().map(|&(scenario, _)| scenario).collect();

        let mut kept = Plan {
            format: plan.format,
            seed: plan.seed,
            scenarios: only(plan.scenarios, &scenarios),
            cases: only(plan.cases, &cases),
            trials: plan.trials,
        };
        let leaves = |trial: &&Trial| trial.attempts.iter().any(|it| it.fault.client_leaves());
        let left: BTreeSet<(usize, usize)> = kept
            .trials
            .iter()
            .filter(|trial| matches!(trial.role, Role::Case(case) if cases.contains(&case)))
            .filter(leaves)
            .map(|trial| (trial.scenario, trial.operation))
            .collect();
        kept.trials.retain(|trial| match trial.role {
            Role::Case(case) => cases.contains(&case),
            Role::Control(Control::ClientGone) => left.contains(&(trial.scenario, trial.operation)),
            Role::WarmUp | Role::Control(_) => {
                operations.contains(&(trial.scenario, trial.operation))
            }
        });
        for case in &mut kept.cases {
            case.scenario = rank(&scenarios, case.scenario);
        }
        for trial in &mut kept.trials {
            trial.scenario = rank(&scenarios, trial.scenario);
            if let Role::Case(case) = &mut trial.role {
                *case = rank(&cases, *case);
            }
        }
        kept
    }

    fn keeps(&self, plan: &Plan, case: &Case) -> bool {
        let scenario = &plan.scenarios[case.scenario];
        let operation = &scenario.operations[case.operation].name;
        let tagged = |tag: &String| scenario.tags.contains(tag);
        let any =
            |list: &[String], is: &dyn Fn(&String) -> bool| list.is_empty() || list.iter().any(is);
        any(&self.cases, &|glob| matches(glob, &case.id.0))
            && any(&self.operations, &|name| name == operation)
            && any(&self.patterns, &|word| is_pattern(case, word))
            && any(&self.tags, &tagged)
            && !self.not_tags.iter().any(tagged)
    }
}

/// Whether this word means the pattern of the case.
fn is_pattern(case: &Case, word: &str) -> bool {
    case.pattern.kind.word() == word
        || case.pattern.label.as_deref() == Some(word)
        || case.id.0.split("::").nth(2) == Some(word)
}

/// Whether the whole text is what the glob means. Linear in both: only the last
/// `*` is ever gone back to.
fn matches(glob: &str, text: &str) -> bool {
    let (glob, text): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
    let (mut at_glob, mut at_text) = (0, 0);
    // Where the last `*` stands, and how far it reaches so far.
    let mut star: Option<(usize, usize)> = None;
    while at_text < text.len() {
        match glob.get(at_glob) {
            Some('*') => {
                star = Some((at_glob, at_text));
                at_glob += 1;
            }
            Some(letter) if *letter == '?' || *letter == text[at_text] => {
                at_glob += 1;
                at_text += 1;
            }
            _ => match star {
                Some((place, reach)) => {
                    star = Some((place, reach + 1));
                    at_glob = place + 1;
                    at_text = reach + 1;
                }
                None => return false,
            },
        }
    }
    glob[at_glob..].iter().all(|letter| *letter == '*')
}

fn only<T>(items: Vec<T>, kept: &BTreeSet<usize>) -> Vec<T> {
    items
        .into_iter()
        .enumerate()
        .filter_map(|(index, item)| kept.contains(&index).then_some(item))
        .collect()
}

/// The index among those that are kept.
fn rank(kept: &BTreeSet<usize>, index: usize) -> usize {
    kept.range(..index).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_texts() {
        for (glob, text, expected) in [
            ("a::b::c", "a::b::c", true),
            ("a::b", "a::b::c", false),
            ("a::*", "a::b::c", true),
            ("*::burst-*", "shop::order::burst-10", true),
            ("*::burst-*", "shop::order::replay-3", false),
            ("*-1?", "burst-10", true),
            ("*-1?", "burst-1", false),
            ("**", "", true),
            ("", "", true),
            ("", "a", false),
            ("*a*b", "xaybzab", true),
            ("*a*b", "xaybza", false),
        ] {
            assert_eq!(matches(glob, text), expected, "{glob} {text}");
        }
    }

    #[test]
    fn a_hostile_glob_takes_no_time() {
        let text = "a".repeat(2000);
        assert!(!matches(&format!("{}b", "*a".repeat(500)), &text));
    }
}
