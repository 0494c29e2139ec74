//! What the contracts leave out and this version leaves out, one sentence each:
//! nobody should take silence for a promise that was tested. And what the target
//! was seen to do when its client is gone.

use super::{ClientGoneReport, ConductWord, ControlReport};
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

/// What targets do when the client is gone; where they differ, which operation does
/// what.
pub(super) fn clients_gone(controls: &[ControlReport]) -> Vec<String> {
    let mut notes: Vec<(String, Vec<String>)> = Vec::new();
    for control in controls {
        let Some(gone) = control.client_gone else {
            continue;
        };
        let mut of = vec![control.scenario.clone()];
        of.extend(control.operation_named.then(|| control.operation.clone()));
        of.extend(control.matrix.iter().map(|(axis, value)| {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            format!("{axis}={value}")
        }));
        let (note, of) = (when_gone(gone), of.join(" "));
        match notes.iter_mut().find(|(known, _)| *known == note) {
            Some((_, all)) => all.push(of),
            None => notes.push((note, vec![of])),
        }
    }
    let alike = notes.len() == 1;
    notes
        .into_iter()
        .map(|(note, of)| {
            if alike {
                note
            } else {
                format!("{} — {note}", of.join(", "))
            }
        })
        .collect()
}

fn when_gone(gone: ClientGoneReport) -> String {
    let ClientGoneReport { conduct, seen, of } = gone;
    let does = match conduct {
        ConductWord::Completes => "completes what it began",
        ConductWord::Cancels => "cancels what it began",
        ConductWord::Either => "does either, completes what it began or cancels it",
        ConductWord::NotKnown => {
            return "what the target does when the client is gone is not known".to_owned();
        }
    };
    format!("when the client is gone the target {does}: {seen} of {of} seen")
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
    fn what_is_done_without_a_client_is_told_once_where_it_is_the_same() {
        let control = |operation: &str, conduct, seen, of| ControlReport {
            scenario: "shop".to_owned(),
            operation: operation.to_owned(),
            operation_named: true,
            matrix: std::collections::BTreeMap::new(),
            h_p50_us: None,
            h_p99_us: None,
            trials: 4,
            attempts: 23,
            saw: super::super::Saw::default(),
            client_gone: Some(ClientGoneReport { conduct, seen, of }),
            reasons: Vec::new(),
        };
        let order = control("order", ConductWord::Completes, 5, 5);
        let told = "when the client is gone the target completes what it began: 5 of 5 seen";
        let alike = [order.clone(), control("pay", ConductWord::Completes, 5, 5)];
        assert_eq!(clients_gone(&alike), [told]);
        let differ = [
            order,
            control("pay", ConductWord::Either, 2, 5),
            control("ship", ConductWord::NotKnown, 0, 0),
            ControlReport {
                client_gone: None,
                ..control("bill", ConductWord::Cancels, 0, 5)
            },
        ];
        assert_eq!(
            clients_gone(&differ),
            [
                format!("shop order — {told}"),
                "shop pay — when the client is gone the target does either, completes what it \
                 began or cancels it: 2 of 5 seen"
                    .to_owned(),
                "shop ship — what the target does when the client is gone is not known".to_owned(),
            ]
        );
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
