//! `JUnit`'s XML (`language.md` section 8): a test case is what a person would
//! name, with a name that stays the same from run to run.

use super::block::{self, Told};
use super::text::{Page, visible};
use super::{JunitInconclusive, RenderOptions, timeline};
use crate::report::{CaseReport, FindingReport, ReasonReport, Report, VerdictWord};
use quick_junit::{NonSuccessKind, Property, TestCase, TestCaseStatus, TestSuite};
use std::time::Duration;

/// The most that a case may write to its `system-out`, in bytes.
const OUTPUT: usize = 16_000;

pub(super) fn render(report: &Report, options: &RenderOptions) -> Vec<u8> {
    let mut junit = quick_junit::Report::new("retrial");
    junit.set_time(Duration::from_millis(report.run.duration_ms));
    junit.timestamp = report.run.started_at.parse().ok();
    let mut scenarios: Vec<&str> = Vec::new();
    for case in &report.cases {
        if !scenarios.contains(&case.scenario.as_str()) {
            scenarios.push(&case.scenario);
        }
    }
    for scenario in scenarios {
        junit.add_test_suite(suite(report, scenario, options));
    }
    if !report.reasons.is_empty() {
        junit.add_test_suite(run_suite(report));
    }
    junit
        .to_string()
        .expect("what is not allowed in XML was made visible, and memory takes every byte")
        .into_bytes()
}

fn suite(report: &Report, scenario: &str, options: &RenderOptions) -> TestSuite {
    let mut suite = TestSuite::new(visible(scenario));
    let cases = report.cases.iter().filter(|case| case.scenario == scenario);
    for case in cases {
        if suite.extra.is_empty() {
            suite
                .extra
                .insert("file".into(), visible(&case.file).into());
        }
        suite.add_test_case(test_case(case, options));
    }
    add_run(&mut suite, report);
    suite
}

/// What belongs to no case: a clean-up that failed must not stay green.
fn run_suite(report: &Report) -> TestSuite {
    let mut suite = TestSuite::new("run");
    for reason in &report.reasons {
        let status = if reason.code.is_error() {
            unusable(reason.code.code(), std::slice::from_ref(reason))
        } else {
            unusable("inconclusive", std::slice::from_ref(reason))
        };
        let mut case = TestCase::new(reason.code.code(), status);
        case.set_classname("retrial.run");
        suite.add_test_case(case);
    }
    add_run(&mut suite, report);
    suite
}

fn add_run(suite: &mut TestSuite, report: &Report) {
    let run = &report.run;
    suite.add_property(property("seed", &run.seed));
    suite.add_property(property("run", &run.id));
    if let Some(environment) = &run.environment {
        suite.add_property(property("environment", environment));
    }
    suite.add_property(property("target", &run.target));
}

fn test_case(case: &CaseReport, options: &RenderOptions) -> TestCase {
    let mut test = TestCase::new(name(case), status(case, options));
    // A dot would be one more package to Jenkins.
    test.set_classname(format!(
        "retrial.{}",
        visible(&case.scenario).replace('.', "-")
    ));
    test.add_property(property("case", &case.id));
    test.add_property(property("trials", &case.trials.run.to_string()));
    if case.trials.powered < case.trials.run {
        test.add_property(property("powered", &case.trials.powered.to_string()));
    }
    if let Some(bound) = case.bound {
        test.add_property(property("bound", &format!("{bound:.4}")));
    }
    if let Some(tightness) = &case.tightness {
        test.add_property(property("releases", &tightness.releases));
        test.add_property(property("race-window", &tightness.window));
    }
    if let Some(finding) = case.findings.first() {
        test.add_property(property("reproduce", &finding.reproduce));
    }
    let output = output(case);
    if !output.is_empty() {
        test.set_system_out(output);
    }
    test
}

/// `order burst-10 [currency=EUR]`; without the operation where it has no name.
fn name(case: &CaseReport) -> String {
    let mut parts = case.id.splitn(4, "::").skip(2);
    let pattern = parts.next().unwrap_or(&case.pattern.name);
    let row = parts.next();
    let mut name = String::new();
    if case.operation_named {
        name.push_str(&case.operation);
        name.push(' ');
    }
    name.push_str(pattern);
    if let Some(row) = row {
        name.extend([" [", row, "]"]);
    }
    visible(&name)
}

fn status(case: &CaseReport, options: &RenderOptions) -> TestCaseStatus {
    match case.verdict {
        VerdictWord::Pass => TestCaseStatus::success(),
        VerdictWord::Fail => failure(case),
        VerdictWord::Error => {
            let code = case
                .reasons
                .iter()
                .find(|reason| reason.code.is_error())
                .or(case.reasons.first())
                .map_or("error", |reason| reason.code.code());
            unusable(code, &case.reasons)
        }
        VerdictWord::Inconclusive => match options.junit_inconclusive {
            JunitInconclusive::Error => unusable("inconclusive", &case.reasons),
            JunitInconclusive::Skipped => skipped(&case.reasons),
            JunitInconclusive::Failure => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                describe(&mut status, "inconclusive", &case.reasons);
                status
            }
        },
        VerdictWord::Skipped => skipped(&case.reasons),
    }
}

/// All findings of a case in one element, under the name of the first.
fn failure(case: &CaseReport) -> TestCaseStatus {
    let proved: Vec<&FindingReport> = case
        .findings
        .iter()
        .filter(|finding| finding.severity.word() != "info")
        .collect();
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    let Some(first) = proved.first() else {
        describe(&mut status, "fail", &case.reasons);
        return status;
    };
    let more = match proved.len() {
        1 => String::new(),
        2 => " (and another finding)".to_owned(),
        all => format!(" (and {} more findings)", all - 1),
    };
    let message = format!("{}{more}", visible(&first.summary));
    let page = Page::plain();
    let mut told = Told::default();
    let blocks: Vec<String> = proved
        .iter()
        .map(|finding| block::failure(&page, case, finding, &mut told).join("\n"))
        .collect();
    status
        .set_type(first.hazard.code())
        .set_message(message)
        .set_description(format!("\n{}\n", blocks.join("\n\n")));
    status
}

fn unusable(code: &str, reasons: &[ReasonReport]) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    describe(&mut status, code, reasons);
    status
}

fn skipped(reasons: &[ReasonReport]) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    let message = reasons.first().map_or_else(
        || "not run".to_owned(),
        |reason| visible(&format!("{}: {}", reason.code.code(), reason.message)),
    );
    status.set_message(message);
    status
}

/// One line as the message, everything in the body.
fn describe(status: &mut TestCaseStatus, code: &str, reasons: &[ReasonReport]) {
    status.set_type(code);
    if let Some(first) = reasons.first() {
        status.set_message(visible(&format!(
            "{}: {}",
            first.code.code(),
            first.message
        )));
    }
    let lines: Vec<String> = reasons
        .iter()
        .map(|reason| visible(&block::reason_text(reason, None)))
        .collect();
    if lines.len() > 1 {
        status.set_description(lines.join("\n"));
    }
}

/// Timeline and request of what was found; of several findings about one trial
/// only the first has them.
fn output(case: &CaseReport) -> String {
    let page = Page::plain();
    let mut trials: Vec<u32> = Vec::new();
    let mut output = String::new();
    for finding in &case.findings {
        let evidence = &finding.evidence;
        if trials.contains(&evidence.trial) {
            continue;
        }
        trials.push(evidence.trial);
        let mut lines = timeline::draw(&page, &evidence.timeline, "  ");
        if !lines.is_empty() {
            lines.insert(0, block::trial(case, evidence));
        }
        if let Some(curl) = &evidence.curl {
            lines.extend(curl.lines().map(visible));
        }
        for line in lines {
            output.push_str(&line);
            output.push('\n');
        }
    }
    if output.len() > OUTPUT {
        const CUT: &str = "… cut at 16 kB";
        output.truncate(output.floor_char_boundary(OUTPUT - CUT.len()));
        output.push_str(CUT);
    }
    output
}

fn property(name: &str, value: &str) -> Property {
    Property::new(name, visible(value))
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn rendered(report: &Report, options: &RenderOptions) -> String {
        String::from_utf8(render(report, options)).unwrap()
    }

    /// The document as another reader of `JUnit`'s XML sees it.
    fn read(report: &Report) -> quick_junit::Report {
        let xml = rendered(report, &RenderOptions::default());
        quick_junit::Report::deserialize_from_str(&xml).unwrap()
    }

    fn status(report: &Report, inconclusive: JunitInconclusive, name: &str) -> String {
        let options = RenderOptions {
            junit_inconclusive: inconclusive,
            ..RenderOptions::default()
        };
        let xml = rendered(report, &options);
        let read = quick_junit::Report::deserialize_from_str(&xml).unwrap();
        let case = read
            .test_suites
            .iter()
            .flat_map(|suite| &suite.test_cases)
            .find(|case| case.name.as_str() == name)
            .unwrap();
        match &case.status {
            TestCaseStatus::Success { .. } => "success".to_owned(),
            TestCaseStatus::NonSuccess {
                kind, ty, message, ..
            } => format!(
                "{kind:?} {}: {}",
                ty.as_ref().unwrap().as_str(),
                message.as_ref().unwrap().as_str()
            ),
            TestCaseStatus::Skipped { message, .. } => {
                format!("skipped: {}", message.as_ref().unwrap().as_str())
            }
        }
    }

    #[test]
    fn the_whole_document() {
        insta::assert_snapshot!(rendered(&sample::report(), &RenderOptions::default()));
    }

    #[test]
    fn names_are_unique_stable_and_without_a_name_nobody_gave() {
        let report = sample::report();
        let read = read(&report);
        let names: Vec<String> = read
            .test_suites
            .iter()
            .flat_map(|suite| &suite.test_cases)
            .map(|case| {
                format!(
                    "{} / {}",
                    case.classname.as_ref().unwrap().as_str(),
                    case.name.as_str()
                )
            })
            .collect();
        assert_eq!(
            names,
            [
                "retrial.create-order / order replay-3",
                "retrial.create-order / order burst-10",
                "retrial.create-order / order drop_response",
                "retrial.create-order / order timeout-200ms",
                "retrial.psp-webhook / replay-5",
                "retrial.invoice-consumer / reset",
            ]
        );
        assert_eq!(
            (read.tests, read.failures, read.errors, read.skipped),
            (6, 2, 1, 0)
        );
        let text = rendered(&report, &RenderOptions::default());
        assert!(text.contains(r#"timestamp="2026-11-24T02:45:12.000+00:00" time="48.211""#));
    }

    #[test]
    fn a_case_that_could_not_be_judged_is_what_the_flag_says() {
        let report = sample::report();
        let message = "not-settled: `invoices` still changed after 15 s; raise `within`";
        for (flag, kind) in [
            (JunitInconclusive::Error, "Error inconclusive: "),
            (JunitInconclusive::Failure, "Failure inconclusive: "),
            (JunitInconclusive::Skipped, "skipped: "),
        ] {
            assert_eq!(status(&report, flag, "reset"), format!("{kind}{message}"));
        }
    }

    #[test]
    fn matrix_rows_errors_skips_and_the_run_itself() {
        let report = sample::broken();
        let of = |name: &str| status(&report, JunitInconclusive::Error, name);
        assert!(of("order replay-3 [currency=USD]").starts_with("Error probe-unreadable: "));
        assert!(of("order burst-3 [currency=EUR]").starts_with("Error inconclusive: blind-probe"));
        assert_eq!(of("order burst-3 [currency=USD]"), "skipped: not run");
        assert_eq!(
            of("cleanup-failed"),
            "Error cleanup-failed: cleanup-failed: remove customer: answered 500"
        );
    }

    #[test]
    fn several_findings_are_one_element_under_the_name_of_the_first() {
        let report = sample::report();
        assert_eq!(
            status(&report, JunitInconclusive::Error, "order timeout-200ms"),
            "Failure stuck-key: the key never leaves 'in progress', although the order exists \
             (and another finding)"
        );
        let xml = rendered(&report, &RenderOptions::default());
        assert_eq!(xml.matches("<failure").count(), 2);
        assert!(xml.contains("latency-threshold"));
        // An info finding beside a pass is no failure.
        assert_eq!(
            status(&report, JunitInconclusive::Error, "order drop_response"),
            "success"
        );
    }

    #[test]
    fn control_characters_are_shown_and_markup_is_text() {
        let mut report = sample::report();
        let finding = &mut report.cases[1].findings[0];
        finding.summary = "<b>\u{1b}[31m & \"two\"\norders\u{0}".to_owned();
        finding.evidence.timeline.attempts[0].outcome = "201 \u{7}]]>".to_owned();
        let xml = rendered(&report, &RenderOptions::default());
        assert!(!xml.contains(['\u{1b}', '\u{0}', '\u{7}']));
        assert_eq!(
            status(&report, JunitInconclusive::Error, "order burst-10"),
            "Failure duplicate-effect-concurrent: <b>\\u{1b}[31m & \"two\" orders\\u{0}"
        );
        assert!(xml.contains("201 \\u{7}]]&gt;"));
    }

    #[test]
    fn what_a_case_writes_is_capped() {
        let mut report = sample::report();
        report.cases[1].findings[0].evidence.curl = Some("é".repeat(20_000));
        let read = read(&report);
        let output = read.test_suites[0].test_cases[1]
            .system_out
            .as_ref()
            .unwrap();
        assert!(output.as_str().len() <= OUTPUT);
        assert!(output.as_str().ends_with("é… cut at 16 kB"));
    }
}
