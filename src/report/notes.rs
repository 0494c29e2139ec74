//! What the contracts leave out and this version leaves out, one sentence each:
//! nobody should take silence for a promise that was tested.

use crate::plan::{Contract, PlannedScenario};

/// A clause that this version does not test, promised or not.
struct Clause {
    /// What people call it.
    words: &'static str,
    /// The fields of the contract that promise it.
    fields: &'static [&'static str],
}

const CLAUSES: [Clause; 6] = [
    Clause {
        words: "mismatch",
        fields: &["mismatch"],
    },
    Clause {
        words: "missing key",
        fields: &["missing_key"],
    },
    Clause {
        words: "other tenants",
        fields: &["scope", "scope.tenant", "tenant_scope"],
    },
    Clause {
        words: "other endpoints",
        fields: &["scope.endpoint", "endpoint_scope"],
    },
    Clause {
        words: "retention",
        fields: &["retention", "after_retention"],
    },
    Clause {
        words: "replayed failures",
        fields: &["replay_errors", "transient_grace"],
    },
];

/// Clauses that every API with keys could promise: only these are worth a word
/// where they are not.
const WORTH_PROMISING: [&str; 2] = ["mismatch", "missing key"];

/// The notes on these scenarios; a note that does not hold for all of them says
/// for which it does.
pub(super) fn notes(scenarios: &[PlannedScenario]) -> Vec<String> {
    let mut names: Vec<&str> = Vec::new();
    let mut notes: Vec<(String, Vec<&str>)> = Vec::new();
    for scenario in scenarios {
        // The rows of a matrix have one contract.
        if names.contains(&scenario.name.as_str()) {
            continue;
        }
        names.push(&scenario.name);
        for note in of_contract(&scenario.contract) {
            match notes.iter_mut().find(|(known, _)| *known == note) {
                Some((_, of)) => of.push(&scenario.name),
                None => notes.push((note, vec![&scenario.name])),
            }
        }
    }
    notes
        .into_iter()
        .map(|(note, of)| {
            if of.len() == names.len() {
                note
            } else {
                format!("{} — {note}", of.join(", "))
            }
        })
        .collect()
}

fn of_contract(contract: &Contract) -> Vec<String> {
    let promised = |clause: &&Clause| {
        clause
            .fields
            .iter()
            .any(|field| contract.stated.iter().any(|stated| stated == field))
    };
    let words = |clauses: Vec<&Clause>| {
        let words: Vec<&str> = clauses.iter().map(|clause| clause.words).collect();
        words.join(", ")
    };
    let untested: Vec<&Clause> = CLAUSES.iter().filter(promised).collect();
    let silent: Vec<&Clause> = CLAUSES
        .iter()
        .filter(|clause| WORTH_PROMISING.contains(&clause.words) && !promised(clause))
        .collect();
    let mut notes = Vec::new();
    if !untested.is_empty() {
        notes.push(format!(
            "promised, but not tested by this version: {}",
            words(untested)
        ));
    }
    if !silent.is_empty() {
        notes.push(format!("not promised, not tested: {}", words(silent)));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stating(fields: &[&str]) -> Contract {
        Contract {
            stated: fields.iter().map(|field| (*field).to_owned()).collect(),
            ..Contract::core()
        }
    }

    #[test]
    fn a_silent_contract_is_told_what_was_not_tested() {
        assert_eq!(
            of_contract(&Contract::core()),
            ["not promised, not tested: mismatch, missing key"]
        );
    }

    #[test]
    fn a_promise_that_is_not_tested_is_told_as_one() {
        assert_eq!(
            of_contract(&stating(&["mismatch", "retention"])),
            [
                "promised, but not tested by this version: mismatch, retention",
                "not promised, not tested: missing key",
            ]
        );
        assert_eq!(
            of_contract(&stating(&["mismatch", "missing_key", "identity"])),
            ["promised, but not tested by this version: mismatch, missing key"]
        );
    }
}
