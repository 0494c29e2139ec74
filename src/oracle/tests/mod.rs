//! Each oracle has histories that it must accuse and near misses that it must
//! not; the near misses are the "not proof" lines of `retry-safety.md` section 2
//! and what real targets do.

mod accuses;
mod builder;
mod laws;
mod tight;
mod withholds;

use super::{CaseJudgement, Judgement, Verdict};
use crate::codes::Severity;
use crate::plan::Kind;
use builder::World;

/// A verdict with its codes: `fail lost-effect`, `inconclusive no-overlap`,
/// `pass`, `pass (stuck-key)` for an `info` beside it.
fn told(case: &CaseJudgement) -> String {
    let verdict = match case.verdict {
        Verdict::Pass => "pass",
        Verdict::Inconclusive => "inconclusive",
        Verdict::Error => "error",
        Verdict::Fail => "fail",
    };
    let mut words = vec![verdict.to_owned()];
    if case.verdict != Verdict::Fail {
        let mut reasons: Vec<_> = case.grounds.iter().map(|one| one.reason.code()).collect();
        reasons.dedup();
        words.extend(reasons.into_iter().map(str::to_owned));
    }
    for finding in &case.findings {
        words.push(match finding.severity {
            Severity::Info => format!("({})", finding.hazard),
            Severity::Low | Severity::Medium | Severity::High | Severity::Critical => {
                finding.hazard.code().to_owned()
            }
        });
    }
    words.join(" ")
}

fn last(judgement: &Judgement) -> String {
    told(judgement.cases.last().expect("there is a case"))
}

/// Judges a case of twelve equal trials and compares what is told of it.
#[track_caller]
fn check(world: World, kind: Kind, trial: &str, wanted: &str) {
    check_trials(world, kind, &[trial; 12], wanted);
}

#[track_caller]
fn check_trials(world: World, kind: Kind, trials: &[&str], wanted: &str) {
    let judgement = world.with_controls().with_case(kind, trials).judge();
    assert_eq!(
        last(&judgement),
        wanted,
        "\n{}:\n{:#?}",
        kind.word(),
        judgement.cases
    );
}

/// The same over a table, in the usual world.
#[track_caller]
fn check_all(table: &[(Kind, &str, &str)]) {
    for (kind, trial, wanted) in table {
        check(World::orders(), *kind, trial, wanted);
    }
}
