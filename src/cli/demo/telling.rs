//! What is told of performances: a line for each as it ends, two tables at the
//! end, and what is not as it should be.

use crate::cli::columns::{columns, wrap};
use crate::cli::terminal::Terminal;
use crate::codes::Severity;
use crate::demo::Flaw;
use crate::report::{CaseReport, FindingReport, Report, VerdictWord};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Findings that accuse; `info` ones stand beside a pass.
fn accusations(report: &Report) -> impl Iterator<Item = (&CaseReport, &FindingReport)> {
    report
        .cases
        .iter()
        .filter(|case| case.verdict == VerdictWord::Fail)
        .flat_map(|case| case.findings.iter().map(move |finding| (case, finding)))
        .filter(|(_, finding)| finding.severity != Severity::Info)
}

/// The case that shows a hazard in the most trials; of equals the first one, as
/// in the report.
pub(super) fn best<'a>(
    report: &'a Report,
    hazard: &str,
) -> Option<(&'a CaseReport, &'a FindingReport)> {
    accusations(report)
        .filter(|(_, finding)| finding.hazard.code() == hazard)
        .reduce(|best, next| {
            if next.1.trials.len() > best.1.trials.len() {
                next
            } else {
                best
            }
        })
}

fn hazards(report: &Report) -> BTreeSet<&'static str> {
    accusations(report)
        .map(|(_, finding)| finding.hazard.code())
        .collect()
}

fn or_nothing(words: &BTreeSet<&'static str>) -> String {
    if words.is_empty() {
        "nothing".to_owned()
    } else {
        words.iter().copied().collect::<Vec<_>>().join(", ")
    }
}

/// How many of its trials a case shows a finding in.
fn of_trials(case: &CaseReport, finding: &FindingReport) -> String {
    format!("{} of {}", finding.trials.len(), case.trials.run)
}

/// What is told of a performance as it ends.
pub(super) fn one_line(act: Option<Flaw>, report: &Report) -> String {
    match act {
        None => format!(
            "{:<8} {:<22} {} cases, {} passed\n",
            "clean", "no flaw", report.totals.cases, report.totals.pass
        ),
        Some(flaw) => match best(report, flaw.hazard()) {
            Some((case, finding)) => format!(
                "{:<8} {:<22} {} in {} trials of {}\n",
                "caught",
                flaw.name(),
                flaw.hazard(),
                of_trials(case, finding),
                case.id
            ),
            None => format!(
                "{:<8} {:<22} seen: {}\n",
                "MISSED",
                flaw.name(),
                or_nothing(&hazards(report))
            ),
        },
    }
}

/// The flaws that were not found under their own hazard.
pub(super) fn missed(flawed: &[(Flaw, &Report)]) -> Vec<String> {
    flawed
        .iter()
        .filter(|(flaw, report)| best(report, flaw.hazard()).is_none())
        .map(|(flaw, report)| {
            format!(
                "{flaw} was not found as {}; seen: {}",
                flaw.hazard(),
                or_nothing(&hazards(report))
            )
        })
        .collect()
}

/// What is wrong with the shop without flaws: there should be nothing.
pub(super) fn unclean(report: &Report) -> Vec<String> {
    report
        .cases
        .iter()
        .filter(|case| case.verdict != VerdictWord::Pass)
        .map(|case| {
            let codes: Vec<&str> = case
                .findings
                .iter()
                .map(|finding| finding.hazard.code())
                .chain(case.reasons.iter().map(|reason| reason.code.code()))
                .collect();
            format!(
                "{} is {} without any flaw: {}",
                case.id,
                case.verdict.word(),
                codes.join(", ")
            )
        })
        .collect()
}

/// The shop without flaws, a line a scenario.
pub(super) fn clean_table(report: &Report, terminal: &Terminal) -> String {
    let mut names: Vec<&str> = Vec::new();
    for case in &report.cases {
        if !names.contains(&case.scenario.as_str()) {
            names.push(&case.scenario);
        }
    }
    let rows: Vec<Vec<String>> = names
        .into_iter()
        .map(|name| {
            let cases: Vec<&CaseReport> = report
                .cases
                .iter()
                .filter(|case| case.scenario == name)
                .collect();
            let found: BTreeSet<&str> = cases
                .iter()
                .flat_map(|case| &case.findings)
                .filter(|finding| finding.severity != Severity::Info)
                .map(|finding| finding.hazard.code())
                .collect();
            let verdict = cases
                .iter()
                .map(|case| case.verdict)
                .max()
                .unwrap_or(VerdictWord::Skipped);
            let sum = |number: fn(&CaseReport) -> u32| -> String {
                cases
                    .iter()
                    .map(|case| number(case))
                    .sum::<u32>()
                    .to_string()
            };
            vec![
                name.to_owned(),
                cases.len().to_string(),
                sum(|case| case.trials.run),
                sum(|case| case.attempts),
                verdict.word().to_owned(),
                if found.is_empty() {
                    "none".to_owned()
                } else {
                    found.into_iter().collect::<Vec<_>>().join(", ")
                },
            ]
        })
        .collect();
    columns(
        &[
            "Scenario",
            "Cases",
            "Trials",
            "Attempts",
            "Verdict",
            "Hazards found",
        ],
        &rows,
        terminal,
    )
}

/// The flaws, each with what it was caught under.
pub(super) fn flaw_table(flawed: &[(Flaw, &Report)], terminal: &Terminal) -> String {
    let rows: Vec<Vec<String>> = flawed
        .iter()
        .map(|(flaw, report)| {
            let (case, trials) = match best(report, flaw.hazard()) {
                Some((case, finding)) => (case.id.clone(), of_trials(case, finding)),
                None => ("NOT CAUGHT".to_owned(), "–".to_owned()),
            };
            vec![
                flaw.name().to_owned(),
                flaw.hazard().to_owned(),
                trials,
                case,
            ]
        })
        .collect();
    // The last column is an id without spaces, so each row is one line, and what
    // else there is to say of a flaw goes below it.
    let table = columns(
        &["Flaw", "Caught under", "Trials", "By case"],
        &rows,
        terminal,
    );
    let mut lines = table.lines();
    let mut text = String::new();
    for line in lines.by_ref().take(2) {
        text.push_str(line);
        text.push('\n');
    }
    let room = terminal.width.saturating_sub(5).max(40);
    for (line, (flaw, report)) in lines.zip(flawed) {
        text.push_str(line);
        text.push('\n');
        let mut also = hazards(report);
        also.remove(flaw.hazard());
        let mut below = wrap(flaw.line(), room);
        if !also.is_empty() {
            below.extend(wrap(&format!("also seen: {}", or_nothing(&also)), room));
        }
        for line in below {
            let _ = writeln!(text, "    {line}");
        }
    }
    text
}
