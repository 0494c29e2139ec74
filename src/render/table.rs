//! The table of a terminal report: one row for each case, the controls of an
//! operation above its cases.

use super::Charset;
use super::text::{Ink, Page, cells, duration, percent, thousands};
use crate::report::{CaseReport, ControlReport, EffectReport, Report, VerdictWord};
use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};
use serde_json::Value;
use std::collections::BTreeMap;

/// The columns, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Scenario,
    Operation,
    Row,
    Pattern,
    Trials,
    Attempts,
    Effects,
    P95,
    Verdict,
}

impl Column {
    const ALL: [Self; 9] = [
        Self::Scenario,
        Self::Operation,
        Self::Row,
        Self::Pattern,
        Self::Trials,
        Self::Attempts,
        Self::Effects,
        Self::P95,
        Self::Verdict,
    ];

    /// What gives way on a narrow page, first to last; the verdict never does.
    const GIVE_WAY: [Self; 3] = [Self::P95, Self::Attempts, Self::Scenario];

    /// What may lose the ends of its texts, and how much of them stays.
    const SHRINK: [(Self, usize); 5] = [
        (Self::Scenario, 14),
        (Self::Row, 10),
        (Self::Operation, 10),
        (Self::Effects, 13),
        (Self::Pattern, 15),
    ];

    fn heading(self) -> &'static str {
        match self {
            Self::Scenario => "Scenario",
            Self::Operation => "Operation",
            Self::Row => "Row",
            Self::Pattern => "Pattern",
            Self::Trials => "Trials",
            Self::Attempts => "Attempts",
            Self::Effects => "Effects",
            Self::P95 => "p95",
            Self::Verdict => "Verdict",
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Self::Trials | Self::Attempts | Self::P95)
    }
}

/// One row, its texts clean.
struct Row {
    scenario: String,
    operation: String,
    matrix: String,
    pattern: String,
    trials: String,
    attempts: String,
    effects: String,
    p95: String,
    verdict: String,
    ink: Ink,
}

impl Row {
    fn text(&self, column: Column) -> &str {
        match column {
            Column::Scenario => &self.scenario,
            Column::Operation => &self.operation,
            Column::Row => &self.matrix,
            Column::Pattern => &self.pattern,
            Column::Trials => &self.trials,
            Column::Attempts => &self.attempts,
            Column::Effects => &self.effects,
            Column::P95 => &self.p95,
            Column::Verdict => &self.verdict,
        }
    }

    fn is_of(&self, other: &Self) -> bool {
        self.scenario == other.scenario
            && self.operation == other.operation
            && self.matrix == other.matrix
    }
}

/// The table as lines; none where there is no case.
pub(super) fn lines(page: &Page, report: &Report) -> Vec<String> {
    let rows = rows(page, report);
    if rows.is_empty() {
        return Vec::new();
    }
    let layout = Layout::of(page, &rows);
    layout.lines(page, &rows)
}

/// Which columns are shown, and how wide they are.
struct Layout(Vec<(Column, usize)>);

impl Layout {
    fn of(page: &Page, rows: &[Row]) -> Self {
        let mut layout = Self(
            Column::ALL
                .into_iter()
                .filter(|column| is_worth_showing(*column, rows))
                .map(|column| (column, natural(column, rows)))
                .collect(),
        );
        // On a wide page long names give way before columns do, on a narrow one
        // columns first.
        if page.width >= 100 {
            layout.shrink(page.width);
            layout.drop_columns(page.width);
        } else {
            layout.drop_columns(page.width);
            layout.shrink(page.width);
        }
        layout
    }

    fn width(&self) -> usize {
        cells(self.indent()) + self.0.iter().map(|(_, width)| width + 2).sum::<usize>() - 2
    }

    fn drop_columns(&mut self, most: usize) {
        for column in Column::GIVE_WAY {
            if self.width() <= most {
                return;
            }
            self.0.retain(|(shown, _)| *shown != column);
        }
    }

    fn shrink(&mut self, most: usize) {
        self.shrink_to(most, |least| least);
        // On a page this narrow a stump is better than a line that wraps.
        self.shrink_to(most, |_| 6);
    }

    fn shrink_to(&mut self, most: usize, least: impl Fn(usize) -> usize) {
        for (column, readable) in Column::SHRINK {
            let least = least(readable);
            let excess = self.width().saturating_sub(most);
            if let Some((_, width)) = self.0.iter_mut().find(|(shown, _)| *shown == column) {
                *width = width.saturating_sub(excess).max(least.min(*width));
            }
        }
    }

    /// Rows stand further in where their scenario has a line above them.
    fn indent(&self) -> &'static str {
        if self.shows(Column::Scenario) {
            " "
        } else {
            "   "
        }
    }

    fn shows(&self, column: Column) -> bool {
        self.0.iter().any(|(shown, _)| *shown == column)
    }

    fn lines(&self, page: &Page, rows: &[Row]) -> Vec<String> {
        let mut table = Table::new();
        table
            .load_style(NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled);
        let rule = match page.charset {
            Charset::Unicode => "─",
            Charset::Ascii => "-",
        };
        table.add_row(self.cells(|column, width| page.fit(column.heading(), width)));
        table.add_row(self.cells(|_, width| rule.repeat(width)));
        for (position, row) in rows.iter().enumerate() {
            let above = position.checked_sub(1).map(|above| &rows[above]);
            let repeats = above.is_some_and(|above| above.is_of(row));
            let same_scenario = above.is_some_and(|above| above.scenario == row.scenario);
            table.add_row(self.cells(|column, width| {
                let is_blank = match column {
                    Column::Scenario => same_scenario,
                    Column::Operation | Column::Row => repeats,
                    Column::Pattern
                    | Column::Trials
                    | Column::Attempts
                    | Column::Effects
                    | Column::P95
                    | Column::Verdict => false,
                };
                if is_blank {
                    String::new()
                } else {
                    page.fit(row.text(column), width)
                }
            }));
        }
        let last = self.0.len() - 1;
        for (position, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, if position == last { 0 } else { 2 }));
        }
        let drawn: Vec<String> = table
            .lines()
            .map(|line| format!("{}{}", self.indent(), line.trim_end()))
            .collect();
        self.painted(page, &drawn, rows)
    }

    fn cells(&self, text: impl Fn(Column, usize) -> String) -> Vec<Cell> {
        self.0
            .iter()
            .map(|(column, width)| {
                let alignment = if column.is_number() {
                    CellAlignment::Right
                } else {
                    CellAlignment::Left
                };
                Cell::new(text(*column, *width)).set_alignment(alignment)
            })
            .collect()
    }

    /// The drawn lines in their inks; where the scenario has no column it stands
    /// on a line above its rows.
    fn painted(&self, page: &Page, drawn: &[String], rows: &[Row]) -> Vec<String> {
        let mut lines = Vec::new();
        let heads = drawn.iter().take(2).zip([Ink::Strong, Ink::Faint]);
        lines.extend(heads.map(|(line, ink)| page.paint(ink, line)));
        let mut scenario = None;
        for (line, row) in drawn.iter().skip(2).zip(rows) {
            if !self.shows(Column::Scenario) && scenario != Some(&row.scenario) {
                scenario = Some(&row.scenario);
                let name = page.fit(&row.scenario, page.width - 1);
                lines.push(format!(" {}", page.paint(Ink::Strong, &name)));
            }
            // The verdict is the last column and never loses its end.
            let start = line.strip_suffix(row.verdict.as_str()).unwrap_or(line);
            lines.push(format!(
                "{start}{}",
                page.paint(row.ink, &line[start.len()..])
            ));
        }
        lines
    }
}

fn is_worth_showing(column: Column, rows: &[Row]) -> bool {
    match column {
        Column::Row => rows.iter().any(|row| !row.matrix.is_empty()),
        Column::P95 => rows
            .iter()
            .any(|row| row.p95.contains(|c: char| c.is_ascii_digit())),
        Column::Scenario
        | Column::Operation
        | Column::Pattern
        | Column::Trials
        | Column::Attempts
        | Column::Effects
        | Column::Verdict => true,
    }
}

fn natural(column: Column, rows: &[Row]) -> usize {
    rows.iter()
        .map(|row| cells(row.text(column)))
        .chain([cells(column.heading())])
        .max()
        .unwrap_or(0)
}

/// The rows: for each operation its controls, then its cases.
fn rows(page: &Page, report: &Report) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for control in &report.run.controls {
        rows.push(control_row(page, report, control));
        rows.extend(
            report
                .cases
                .iter()
                .filter(|case| case.pattern.name != "control" && is_of(case, control))
                .map(|case| case_row(page, case)),
        );
    }
    // What has no controls (they were never come to) is told after the rest.
    rows.extend(
        report
            .cases
            .iter()
            .filter(|case| {
                !report
                    .run
                    .controls
                    .iter()
                    .any(|control| is_of(case, control))
            })
            .map(|case| case_row(page, case)),
    );
    rows
}

fn is_of(case: &CaseReport, control: &ControlReport) -> bool {
    case.scenario == control.scenario
        && case.operation == control.operation
        && case.matrix == control.matrix
}

fn control_row(page: &Page, report: &Report, control: &ControlReport) -> Row {
    let failed = report.cases.iter().any(|case| {
        case.pattern.name == "control" && case.verdict == VerdictWord::Fail && is_of(case, control)
    });
    let (verdict, ink) = match control.reasons.first() {
        _ if failed => ("FAIL".to_owned(), Ink::Fail),
        Some(reason) if reason.code.is_error() => (reason.code.code().to_owned(), Ink::Broken),
        Some(reason) => (reason.code.code().to_owned(), Ink::Doubt),
        None if control.trials == 0 => ("not run".to_owned(), Ink::Faint),
        None => ("ok".to_owned(), Ink::Pass),
    };
    let effects = if control.trials == 0 {
        "–".to_owned()
    } else if control.reasons.is_empty() && !failed {
        "as expected".to_owned()
    } else {
        let saw = [control.saw.one, control.saw.two, control.saw.ten];
        let saw: Vec<String> = saw
            .into_iter()
            .flatten()
            .map(|seen| seen.to_string())
            .collect();
        format!("saw {}", saw.join(", "))
    };
    Row {
        scenario: page.clean(&control.scenario),
        operation: operation(page, &control.operation, control.operation_named),
        matrix: page.clean(&row_name(&control.matrix)),
        pattern: "control".to_owned(),
        trials: thousands(control.trials.into()),
        attempts: thousands(control.attempts.into()),
        effects: page.clean(&effects),
        p95: page.clean("–"),
        verdict,
        ink,
    }
}

fn case_row(page: &Page, case: &CaseReport) -> Row {
    let (verdict, ink) = verdict(case);
    let p95 = case
        .latency
        .get("first")
        .and_then(|latency| latency.p95_us)
        .map_or_else(|| "–".to_owned(), duration);
    let shown = if case.pattern.shown.is_empty() {
        case.pattern.name.replace('_', " ")
    } else {
        case.pattern.shown.clone()
    };
    let pattern = match &case.pattern.label {
        Some(label) => label.clone(),
        None => shown,
    };
    Row {
        scenario: page.clean(&case.scenario),
        operation: operation(page, &case.operation, case.operation_named),
        matrix: page.clean(&row_name(&case.matrix)),
        pattern: page.clean(&pattern),
        trials: thousands(case.trials.run.into()),
        attempts: thousands(case.attempts.into()),
        effects: page.clean(&effects(case)),
        p95: page.clean(&p95),
        verdict,
        ink,
    }
}

fn operation(page: &Page, name: &str, named: bool) -> String {
    page.clean(if named { name } else { "–" })
}

/// A matrix row by its values, which are enough beside each other.
fn row_name(matrix: &BTreeMap<String, Value>) -> String {
    let values: Vec<String> = matrix
        .values()
        .map(|value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        })
        .collect();
    values.join(", ")
}

fn verdict(case: &CaseReport) -> (String, Ink) {
    match case.verdict {
        VerdictWord::Pass => match case.bound {
            Some(bound) => (format!("pass  <{}", percent(bound)), Ink::Pass),
            None => ("pass".to_owned(), Ink::Pass),
        },
        VerdictWord::Fail => ("FAIL".to_owned(), Ink::Fail),
        VerdictWord::Error => ("ERROR".to_owned(), Ink::Broken),
        VerdictWord::Inconclusive => ("inconclusive".to_owned(), Ink::Doubt),
        VerdictWord::Skipped => ("skipped".to_owned(), Ink::Faint),
    }
}

/// What the effects were: the one that shows a finding, else seen of allowed.
fn effects(case: &CaseReport) -> String {
    let telling = case
        .findings
        .iter()
        .filter(|finding| finding.severity.word() != "info")
        .find_map(|finding| Some((finding.evidence.effect.as_ref()?, finding.trials.len())));
    if let Some((effect, trials)) = telling {
        let found = effect
            .found
            .split_once(':')
            .map_or(effect.found.as_str(), |(n, _)| n);
        let plural = if trials == 1 { "" } else { "s" };
        return format!("{found} in {trials} trial{plural}");
    }
    let mut told: Vec<String> = case.effects.iter().filter_map(seen_of_allowed).collect();
    told.dedup();
    match told.as_slice() {
        [] => "–".to_owned(),
        [one] => one.clone(),
        _ => "as expected".to_owned(),
    }
}

/// `1 of 1`; `None` where nothing was read.
fn seen_of_allowed(effect: &EffectReport) -> Option<String> {
    let numbers: Vec<f64> = effect
        .observed
        .keys()
        .filter_map(|seen| seen.parse().ok())
        .collect();
    if effect.observed.is_empty() {
        return None;
    }
    let one = |value: Option<f64>| value.map(|value| format!("{value}"));
    match (
        numbers.as_slice(),
        one(effect.allowed.min),
        one(effect.allowed.max),
    ) {
        ([seen], Some(min), Some(max)) if effect.observed.len() == 1 && min == max => {
            Some(format!("{seen} of {max}"))
        }
        _ => Some("as expected".to_owned()),
    }
}
