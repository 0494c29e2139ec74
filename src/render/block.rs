//! What stands below the table for a case that did not pass: the failure with
//! its timeline, why it happens, what to do, and the command that repeats it.

use super::text::{Ink, Page, cells, counted, duration, thousands};
use super::timeline;
use crate::report::{CaseReport, EvidenceReport, FindingReport, ReasonReport};

/// Where the text of `Why`, `Remedy` and `Again` begins.
const HANG: &str = "           ";

/// What a reader has read already, so that it need not be said again.
#[derive(Default)]
pub(super) struct Told<'a> {
    advice: Vec<(&'a FindingReport, &'a str)>,
    trials: Vec<(u32, &'a str)>,
}

/// The block of one finding.
pub(super) fn failure<'a>(
    page: &Page,
    case: &'a CaseReport,
    finding: &'a FindingReport,
    told: &mut Told<'a>,
) -> Vec<String> {
    let mut lines = heading(page, case, finding);
    let prose = if finding.explanation.is_empty() {
        &finding.summary
    } else {
        &finding.explanation
    };
    lines.extend(page.wrap("  ", "  ", prose));
    let evidence = &finding.evidence;
    if let Some(effect) = &evidence.effect {
        let text = format!(
            "Effect `{}` ({}:{}): expected {}, found {}",
            effect.name, effect.file, effect.line, effect.expected, effect.found
        );
        lines.extend(page.wrap("  ", "    ", &text));
    }
    lines.extend(story(page, case, evidence, told));
    lines.push(String::new());
    lines.extend(advice(page, case, finding, told));
    // A command that is torn cannot be copied: it stays on one line.
    let again = format!("{HANG}{}", page.clean(&finding.reproduce));
    lines.extend(labelled(page, "Again", vec![again]));
    lines
}

/// `FAIL  case   hazard   7 of 100 trials`; what does not fit on one line stands
/// on two.
fn heading(page: &Page, case: &CaseReport, finding: &FindingReport) -> Vec<String> {
    let word = page.paint(Ink::Fail, "FAIL");
    let id = page.clean(&case.id);
    let hazard = finding.hazard.code();
    let trials = match finding.trials.len() as u64 {
        0 => String::new(),
        failed => format!(
            "{} of {}",
            thousands(failed),
            counted(u64::from(case.trials.run).max(failed), "trial")
        ),
    };
    let used = 6 + cells(&id) + 3 + cells(hazard) + 3 + cells(&trials);
    let bold = page.paint(Ink::Strong, &id);
    if used <= page.prose() {
        let gap = " ".repeat(3 + page.prose() - used);
        return vec![
            format!("{word}  {bold}   {hazard}{gap}{trials}")
                .trim_end()
                .to_owned(),
        ];
    }
    let used = 6 + cells(hazard) + 3 + cells(&trials);
    let gap = " ".repeat(3 + page.prose().saturating_sub(used));
    vec![
        format!("{word}  {bold}"),
        format!("      {hazard}{gap}{trials}").trim_end().to_owned(),
    ]
}

/// The trial that shows it, with its timeline; once, where several findings of a
/// case are about the same trial.
fn story<'a>(
    page: &Page,
    case: &'a CaseReport,
    evidence: &'a EvidenceReport,
    told: &mut Told<'a>,
) -> Vec<String> {
    let drawn = timeline::draw(page, &evidence.timeline, "    ");
    if drawn.is_empty() {
        return Vec::new();
    }
    let this = (evidence.trial, case.id.as_str());
    if told.trials.contains(&this) {
        return vec![
            String::new(),
            format!("  trial {}, as drawn above", evidence.trial),
        ];
    }
    told.trials.push(this);
    let mut lines = vec![String::new()];
    lines.extend(page.wrap("  ", "    ", &trial(case, evidence)));
    lines.extend(drawn);
    lines
}

/// `trial 31, key 9c1f…e2, release spread 0.11 ms, overlap 9 of 10`.
pub(super) fn trial(case: &CaseReport, evidence: &EvidenceReport) -> String {
    let mut facts = vec![format!("trial {}", evidence.trial)];
    if !evidence.key.is_empty() {
        facts.push(format!("key {}", evidence.key));
    }
    if let Some(spread) = evidence.release_spread_us {
        facts.push(format!("release spread {}", duration(spread)));
    }
    if let Some(overlap) = evidence.overlap {
        let attempts = evidence.attempts.unwrap_or(case.pattern.attempts);
        facts.push(format!("overlap {overlap} of {attempts}"));
    }
    facts.join(", ")
}

fn advice<'a>(
    page: &Page,
    case: &'a CaseReport,
    finding: &'a FindingReport,
    told: &mut Told<'a>,
) -> Vec<String> {
    let same = told.advice.iter().find(|(known, _)| {
        known.hazard == finding.hazard && known.why == finding.why && known.remedy == finding.remedy
    });
    if let Some((_, id)) = same {
        let text = if *id == case.id {
            "as above".to_owned()
        } else {
            format!("as for {id}")
        };
        return labelled(page, "Why", page.wrap(HANG, HANG, &text));
    }
    told.advice.push((finding, &case.id));
    let mut lines = Vec::new();
    if !finding.why.is_empty() {
        lines.extend(labelled(page, "Why", page.wrap(HANG, HANG, &finding.why)));
    }
    let mut remedy = page.wrap(HANG, HANG, &finding.remedy);
    let explain = page.clean(&finding.explain);
    match remedy.last_mut() {
        Some(last) if cells(last) + 3 + cells(&explain) <= page.prose() => {
            last.push_str("   ");
            last.push_str(&explain);
        }
        _ => remedy.push(format!("{HANG}{explain}")),
    }
    lines.extend(labelled(page, "Remedy", remedy));
    lines
}

/// Lines that hang, with a label before the first.
fn labelled(page: &Page, word: &str, mut lines: Vec<String>) -> Vec<String> {
    if let Some(first) = lines.first_mut() {
        let gap = " ".repeat(HANG.len() - 2 - word.len());
        let text = first.split_off(HANG.len());
        *first = format!("  {}{gap}{text}", page.paint(Ink::Faint, word));
    }
    lines
}

/// The block of cases that could not be judged for the same reasons.
pub(super) fn undecided(
    page: &Page,
    (word, ink): (&str, Ink),
    cases: &[&CaseReport],
    reasons: &[ReasonReport],
) -> Vec<String> {
    let of = match cases {
        [] => String::new(),
        [one] => one.id.clone(),
        [first, ..] => {
            let operation = |case: &CaseReport| {
                let mut parts = case.id.splitn(3, "::");
                [parts.next(), parts.next()].map(|part| part.unwrap_or_default().to_owned())
            };
            let shared = operation(first);
            if cases.iter().all(|case| operation(case) == shared) {
                format!("{} ({} cases)", shared.join("::"), cases.len())
            } else {
                format!("{} and {} more", first.id, cases.len() - 1)
            }
        }
    };
    let place = cases.first().map(|case| case.file.as_str());
    reasons_block(page, (word, ink), &of, place, reasons)
}

/// `WORD  case   code: message`.
pub(super) fn reasons_block(
    page: &Page,
    (word, ink): (&str, Ink),
    of: &str,
    file: Option<&str>,
    reasons: &[ReasonReport],
) -> Vec<String> {
    let head = format!(
        "{}  {}",
        page.paint(ink, word),
        page.paint(Ink::Strong, &page.clean(of))
    );
    let texts: Vec<String> = reasons
        .iter()
        .map(|reason| reason_text(reason, file))
        .collect();
    if let [one] = texts.as_slice() {
        let used = cells(word) + 2 + cells(&page.clean(of)) + 3 + cells(&page.clean(one));
        if used <= page.prose() {
            return vec![format!("{head}   {}", page.clean(one))];
        }
    }
    let mut lines = vec![head];
    for text in &texts {
        lines.extend(page.wrap("  ", "    ", text));
    }
    lines
}

/// `not-settled: …  (scenarios/create-order.yaml:11)`.
pub(super) fn reason_text(reason: &ReasonReport, file: Option<&str>) -> String {
    let place = match (file, reason.line) {
        (Some(file), Some(line)) => format!(" ({file}:{line})"),
        _ => String::new(),
    };
    format!("{}: {}{place}", reason.code.code(), reason.message)
}
