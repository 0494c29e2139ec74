//! The report for people: what was run, a table, what could not be judged, the
//! failures, and at the end the sums (`language.md` section 6). The words carry
//! the meaning; colour only helps.

use super::block::{self, Told};
use super::table;
use super::text::{Ink, Page, cells, counted, duration, run_time};
use super::{RenderOptions, Verbosity};
use crate::report::{CaseReport, FindingReport, Latency, ReasonReport, Report, VerdictWord};

/// Failures that are told in full.
const IN_FULL: usize = 10;

/// Lines of one kind below the table.
const FEW: usize = 5;

/// Where the text of the lines at the end begins.
const HANG: &str = "             ";

/// The populations in the order of the report.
const POPULATIONS: [&str; 5] = ["first", "replay", "refused", "held", "closing"];

pub(super) fn render(report: &Report, options: &RenderOptions) -> String {
    let page = Page::of(options);
    let quiet = options.verbosity == Verbosity::Quiet;
    let mut sections: Vec<Vec<String>> = Vec::new();
    if !quiet {
        sections.push(header(&page, report));
        sections.push(table::lines(&page, report));
        sections.push(partly_powered(&page, report));
        sections.push(tightness(&page, report));
        sections.push(sweeps(&page, report, options.verbosity));
        sections.push(told_beside_a_pass(&page, report));
        sections.extend(unjudged(&page, report));
    }
    sections.extend(failures(&page, report, options));
    sections.push(ending(&page, report, options));
    let mut text = String::new();
    for section in sections.iter().filter(|section| !section.is_empty()) {
        if !text.is_empty() {
            text.push('\n');
        }
        for line in section {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

fn header(page: &Page, report: &Report) -> Vec<String> {
    let run = &report.run;
    let mut parts = vec![format!("{} {}", report.tool.name, report.tool.version)];
    parts.extend(run.environment.clone());
    parts.extend([
        run.target.clone(),
        format!("seed {}", run.seed),
        format!("run {}", run.id),
    ]);
    parts.retain(|part| !part.is_empty());
    let parts: Vec<String> = parts.iter().map(|part| page.clean(part)).collect();
    packed(&parts, &page.clean(" · "), "        ", page.width)
        .into_iter()
        .enumerate()
        .map(|(line, text)| {
            if line == 0 {
                text.trim_start().to_owned()
            } else {
                text
            }
        })
        .collect()
}

/// Cases whose pattern did not happen in every trial: their bound counts fewer
/// trials than the table shows.
fn partly_powered(page: &Page, report: &Report) -> Vec<String> {
    let partly: Vec<String> = report
        .cases
        .iter()
        .filter(|case| case.trials.powered < case.trials.run)
        .flat_map(|case| {
            let trials = &case.trials;
            let what = match case.pattern.name.as_str() {
                "cut_request" | "cut_response" => "were not cut as planned",
                "reset" => "were not reset as planned",
                _ => "did not overlap",
            };
            let refused = (trials.run - trials.powered).saturating_sub(trials.off_pattern);
            let told = |missed: u32, what: &str| {
                let all = counted(trials.run.into(), "trial");
                (missed > 0).then(|| format!("{}: {missed} of {all} {what}", case.id))
            };
            [
                told(trials.off_pattern, what),
                told(refused, "had no attempt that was accepted"),
            ]
        })
        .flatten()
        .collect();
    few(page, &partly)
}

/// How tight the bursts were released, and how small a race window they would
/// therefore have found.
fn tightness(page: &Page, report: &Report) -> Vec<String> {
    let told: Vec<String> = report
        .cases
        .iter()
        .filter_map(|case| Some((case, case.tightness.as_ref()?)))
        .map(|(case, tightness)| {
            format!("{}: {}; {}", case.id, tightness.releases, tightness.window)
        })
        .collect();
    few(page, &told)
}

/// Where the answers of sweeps change; with all words also where they do not, and
/// every trial.
fn sweeps(page: &Page, report: &Report, verbosity: Verbosity) -> Vec<String> {
    let all = verbosity == Verbosity::Verbose;
    let told: Vec<String> = report
        .cases
        .iter()
        .filter_map(|case| Some((case, case.sweep.as_ref()?)))
        .filter(|(_, sweep)| all || sweep.edge.is_some())
        .map(|(case, sweep)| {
            let points: Vec<String> = sweep
                .points
                .iter()
                .filter(|_| all)
                .map(|point| {
                    let outcome = point.outcome.replace('_', " ");
                    format!("{} {outcome}", duration(point.offset_us))
                })
                .collect();
            if points.is_empty() {
                format!("{}: {}", case.id, sweep.words)
            } else {
                format!("{}: {} ({})", case.id, sweep.words, points.join(", "))
            }
        })
        .collect();
    few(page, &told)
}

/// Findings that are worth knowing and fail nothing.
fn told_beside_a_pass(page: &Page, report: &Report) -> Vec<String> {
    let told: Vec<String> = findings(report)
        .filter(|(_, finding)| is_info(finding))
        .map(|(case, finding)| {
            format!(
                "info: {} in {}: {}",
                finding.hazard.code(),
                case.id,
                finding.summary
            )
        })
        .collect();
    few(page, &told)
}

fn few(page: &Page, texts: &[String]) -> Vec<String> {
    let more = texts.len().saturating_sub(FEW);
    let mut lines: Vec<String> = texts
        .iter()
        .take(FEW)
        .flat_map(|text| page.wrap(" ", "   ", text))
        .collect();
    if more > 0 {
        lines.push(format!(" and {more} more in report.json"));
    }
    lines
}

/// Cases that could not be judged, those with the same reasons told together,
/// and what went wrong with set-up and clean-up.
fn unjudged(page: &Page, report: &Report) -> Vec<Vec<String>> {
    let mut groups: Vec<(VerdictWord, &[ReasonReport], Vec<&CaseReport>)> = Vec::new();
    for case in &report.cases {
        if !matches!(case.verdict, VerdictWord::Inconclusive | VerdictWord::Error) {
            continue;
        }
        let alike = groups.iter_mut().find(|(verdict, reasons, of)| {
            *verdict == case.verdict && *reasons == case.reasons && of[0].file == case.file
        });
        match alike {
            Some((_, _, of)) => of.push(case),
            None => groups.push((case.verdict, &case.reasons, vec![case])),
        }
    }
    groups.sort_by_key(|(verdict, ..)| *verdict);
    let mut sections: Vec<Vec<String>> = groups
        .into_iter()
        .map(|(verdict, reasons, cases)| {
            let word = if verdict == VerdictWord::Error {
                ("ERROR", Ink::Broken)
            } else {
                ("INCONCLUSIVE", Ink::Doubt)
            };
            block::undecided(page, word, &cases, reasons)
        })
        .collect();
    sections.extend(report.reasons.iter().map(|reason| {
        let word = if reason.code.is_error() {
            ("ERROR", Ink::Broken)
        } else {
            ("INCONCLUSIVE", Ink::Doubt)
        };
        block::reasons_block(page, word, "the run", None, std::slice::from_ref(reason))
    }));
    sections
}

/// The failures, the worst of them in full.
fn failures(page: &Page, report: &Report, options: &RenderOptions) -> Vec<Vec<String>> {
    let mut failing: Vec<(&CaseReport, &FindingReport)> = findings(report)
        .filter(|(case, finding)| case.verdict == VerdictWord::Fail && !is_info(finding))
        .collect();
    // The sort is stable: among equals the plan's order stays.
    failing.sort_by_key(|(_, finding)| std::cmp::Reverse(finding.severity));
    let mut told = Told::default();
    let mut sections: Vec<Vec<String>> = failing
        .iter()
        .take(IN_FULL)
        .map(|(case, finding)| {
            let mut lines = block::failure(page, case, finding, &mut told);
            if options.verbosity == Verbosity::Verbose {
                lines.extend(request(page, finding));
            }
            lines
        })
        .collect();
    let more = failing.len().saturating_sub(IN_FULL);
    if more > 0 {
        sections.push(vec![format!("and {more} more in report.json")]);
    }
    sections
}

/// The request of the first attempt, for `-v`.
fn request(page: &Page, finding: &FindingReport) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(curl) = &finding.evidence.curl {
        lines.push(String::new());
        lines.extend(curl.lines().map(|line| format!("    {}", page.clean(line))));
    }
    lines
}

fn findings(report: &Report) -> impl Iterator<Item = (&CaseReport, &FindingReport)> {
    report
        .cases
        .iter()
        .flat_map(|case| case.findings.iter().map(move |finding| (case, finding)))
}

fn is_info(finding: &FindingReport) -> bool {
    finding.severity.word() == "info"
}

/// Latency, notes, the result, and what was written.
fn ending(page: &Page, report: &Report, options: &RenderOptions) -> Vec<String> {
    let mut lines = Vec::new();
    if options.verbosity != Verbosity::Quiet {
        lines.extend(latency(page, report, options.verbosity));
        for (position, note) in report.notes.iter().enumerate() {
            let word = if position == 0 { "Note" } else { "" };
            lines.extend(labelled(page, word, page.wrap(HANG, HANG, note)));
        }
    }
    lines.extend(result(page, report));
    if options.verbosity != Verbosity::Quiet && !options.written.is_empty() {
        let written = page.clean(&options.written.join("  "));
        lines.extend(labelled(page, "Written", vec![format!("{HANG}{written}")]));
    }
    lines
}

fn labelled(page: &Page, word: &str, mut lines: Vec<String>) -> Vec<String> {
    if let Some(first) = lines.first_mut() {
        let text = first.split_off(HANG.len());
        let gap = " ".repeat(HANG.len() - word.len());
        let word = if word.is_empty() {
            String::new()
        } else {
            page.paint(Ink::Strong, word)
        };
        *first = format!("{word}{gap}{text}");
    }
    lines
}

fn latency(page: &Page, report: &Report, verbosity: Verbosity) -> Vec<String> {
    let mut parts: Vec<String> = POPULATIONS
        .iter()
        .filter(|population| verbosity == Verbosity::Verbose || **population != "closing")
        .filter_map(|population| Some((*population, report.latency.get(*population)?)))
        .map(|(population, latency)| percentiles(population, latency))
        .collect();
    if parts.is_empty() {
        return Vec::new();
    }
    parts.push("(from the intended release)".to_owned());
    labelled(
        page,
        "Latency",
        packed(&parts, "        ", HANG, page.prose()),
    )
}

fn percentiles(population: &str, latency: &Latency) -> String {
    let all = [
        ("p50", Some(latency.p50_us)),
        ("p95", latency.p95_us),
        ("p99", latency.p99_us),
    ];
    let told = all
        .into_iter()
        .filter_map(|(name, us)| Some(format!("{name} {}", duration(us?))));
    let words: Vec<String> = std::iter::once(population.to_owned()).chain(told).collect();
    words.join("   ")
}

/// Parts beside each other as far as they fit, none of them torn; each line
/// after an indentation.
fn packed(parts: &[String], between: &str, indent: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if cells(line) + cells(between) + cells(part) <= most => {
                line.push_str(between);
                line.push_str(part);
            }
            _ => lines.push(format!("{indent}{part}")),
        }
    }
    lines
}

fn result(page: &Page, report: &Report) -> Vec<String> {
    let totals = &report.totals;
    let verdicts: Vec<String> = [
        (totals.pass, "passed"),
        (totals.fail, "failed"),
        (totals.inconclusive, "inconclusive"),
        (totals.error, "error"),
        (totals.skipped, "skipped"),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, word)| format!("{number} {word}"))
    .collect();
    let cases = counted(totals.cases.into(), "case");
    let mut parts = vec![
        if verdicts.is_empty() {
            cases
        } else {
            format!("{cases}: {}", verdicts.join(", "))
        },
        format!(
            "{}, {} in {}",
            counted(totals.trials.into(), "trial"),
            counted(totals.attempts.into(), "attempt"),
            run_time(report.run.duration_ms)
        ),
    ];
    if report.run.interrupted {
        parts.push("interrupted".to_owned());
    }
    parts.push(format!("exit {}", report.run.exit_code));
    let between = page.clean(" · ");
    let whole = cells(HANG) + cells(&parts.join(&between)) <= page.width;
    let mut lines = if whole {
        vec![format!("{HANG}{}", parts.join(&between))]
    } else {
        // The verdicts on a line of their own, rather than an exit code.
        let mut lines = vec![format!("{HANG}{}", parts[0])];
        lines.extend(packed(&parts[1..], &between, HANG, page.width));
        lines
    };
    if let Some(first) = lines.first_mut() {
        let ink = match report.verdict {
            VerdictWord::Pass => Ink::Pass,
            VerdictWord::Fail => Ink::Fail,
            VerdictWord::Error => Ink::Broken,
            VerdictWord::Inconclusive => Ink::Doubt,
            VerdictWord::Skipped => Ink::Plain,
        };
        let text = first.split_off(HANG.len());
        *first = format!("{HANG}{}", page.paint(ink, &text));
    }
    labelled(page, "Result", lines)
}

#[cfg(test)]
mod tests {
    use super::super::{Charset, sample};
    use super::*;

    fn options(width: usize) -> RenderOptions {
        RenderOptions {
            width,
            written: vec![
                ".retrial/runs/20261124-024512-b41c/".to_owned(),
                "report.json".to_owned(),
                "junit.xml".to_owned(),
            ],
            ..RenderOptions::default()
        }
    }

    fn ascii(width: usize) -> RenderOptions {
        RenderOptions {
            charset: Charset::Ascii,
            ..options(width)
        }
    }

    #[test]
    fn a_failing_run_in_a_build_log() {
        insta::assert_snapshot!(render(&sample::report(), &options(100)));
    }

    #[test]
    fn a_failing_run_on_a_narrow_terminal() {
        insta::assert_snapshot!(render(&sample::report(), &options(80)));
    }

    #[test]
    fn a_failing_run_on_a_wide_terminal_in_colour() {
        let options = RenderOptions {
            color: true,
            ..options(140)
        };
        let text = render(&sample::report(), &options);
        insta::assert_snapshot!(text.replace('\u{1b}', "ESC"));
    }

    #[test]
    fn a_failing_run_in_ascii() {
        insta::assert_snapshot!(render(&sample::report(), &ascii(100)));
    }

    #[test]
    fn a_failing_run_in_all_words() {
        let options = RenderOptions {
            verbosity: Verbosity::Verbose,
            ..options(100)
        };
        insta::assert_snapshot!(render(&sample::report(), &options));
    }

    #[test]
    fn a_passing_run_is_short() {
        insta::assert_snapshot!(render(&sample::passing(), &options(100)));
    }

    #[test]
    fn a_run_in_which_little_worked() {
        insta::assert_snapshot!(render(&sample::broken(), &options(100)));
    }

    #[test]
    fn quiet_leaves_failures_and_the_result() {
        let options = RenderOptions {
            verbosity: Verbosity::Quiet,
            ..options(100)
        };
        insta::assert_snapshot!(
            render(&sample::passing(), &options),
            @"Result       2 cases: 2 passed · 200 trials, 1 300 attempts in 48.2 s · exit 0"
        );
        let failing = render(&sample::report(), &options);
        assert!(failing.starts_with("FAIL  create-order::order::burst-10"));
        assert!(failing.contains("\n\nResult       6 cases: 3 passed, 2 failed, 1 inconclusive\n"));
        assert!(!failing.contains("INCONCLUSIVE") && !failing.contains("Written"));
    }

    #[test]
    fn ten_failures_are_told_in_full_and_advice_once() {
        let text = render(&sample::many(24), &options(100));
        assert_eq!(text.matches("\nFAIL  ").count(), 10);
        assert!(text.contains("\nand 14 more in report.json\n"));
        assert_eq!(text.matches("  Remedy   ").count(), 1);
        assert_eq!(
            text.matches("as for create-order::order::burst-0").count(),
            9
        );
    }

    #[test]
    fn no_line_is_wider_than_the_page_but_commands_and_paths() {
        for report in [sample::report(), sample::passing(), sample::broken()] {
            for width in 60..=150 {
                for options in [options(width), ascii(width)] {
                    for line in render(&report, &options).lines() {
                        let free = ["  Again ", "Written "];
                        let is_free = free.iter().any(|start| line.starts_with(start));
                        assert!(is_free || cells(line) <= width, "{width}: {line}");
                        assert_eq!(line.trim_end(), line, "no white space at the end");
                    }
                }
            }
        }
    }

    #[test]
    fn ascii_is_ascii_but_for_what_the_target_said() {
        let mut report = sample::report();
        report.cases[1].findings[0].evidence.timeline.attempts[0].outcome = "201 é".to_owned();
        let text = render(&report, &ascii(100));
        let others: String = text
            .chars()
            .filter(|character| !character.is_ascii())
            .collect();
        assert_eq!(others, "é");
    }

    #[test]
    fn colour_adds_nothing_that_the_words_do_not_say() {
        let plain = render(&sample::report(), &options(100));
        let color = RenderOptions {
            color: true,
            ..options(100)
        };
        let mut text = String::new();
        let mut in_escape = false;
        for character in render(&sample::report(), &color).chars() {
            match character {
                '\u{1b}' => in_escape = true,
                'm' if in_escape => in_escape = false,
                _ if in_escape => {}
                other => text.push(other),
            }
        }
        assert_eq!(text, plain);
    }
}
