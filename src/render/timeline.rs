//! A timeline, drawn to the width of the page.

use super::Charset;
use super::text::{Page, cells, duration, padded};
use crate::report::{Bar, BarEnd, Mark, Timeline};

/// The fewest and the most cells of an axis that are worth drawing.
const AXIS: std::ops::RangeInclusive<usize> = 16..=48;

/// A timeline as lines, each after an indentation.
pub(super) fn draw(page: &Page, timeline: &Timeline, indent: &str) -> Vec<String> {
    if timeline.attempts.is_empty() {
        return Vec::new();
    }
    let drawing = Drawing::new(page, timeline, indent);
    let mut lines = Vec::new();
    if drawing.axis_us > 0 {
        lines.push(drawing.scale());
    }
    lines.extend(timeline.attempts.iter().map(|bar| drawing.bar(bar)));
    lines.extend(drawing.readings(&timeline.readings));
    lines
}

struct Drawing<'a> {
    page: &'a Page,
    indent: &'a str,
    /// Cells of the labels on the left.
    labels: usize,
    /// Cells of the axis.
    cells: usize,
    /// What the axis spans, in microseconds.
    axis_us: u64,
}

impl<'a> Drawing<'a> {
    fn new(page: &'a Page, timeline: &Timeline, indent: &'a str) -> Self {
        let bars = timeline.attempts.iter().map(|bar| bar.label.as_str());
        let effects = timeline.readings.iter().map(|mark| mark.effect.as_str());
        let labels = bars
            .chain(effects)
            .map(|label| cells(&page.clean(label)))
            .max()
            .unwrap_or(0)
            .clamp(2, 20);
        let tail = timeline
            .attempts
            .iter()
            .filter(|bar| bar.start_us <= timeline.end_us)
            .map(|bar| cells(&tail(page, bar)))
            .max()
            .unwrap_or(0);
        let room = page
            .prose()
            .saturating_sub(indent.len() + labels + 2 + tail + 1);
        Self {
            page,
            indent,
            labels,
            cells: room.clamp(*AXIS.start(), *AXIS.end()),
            axis_us: timeline.end_us,
        }
    }

    fn line(&self, label: &str, rest: &str) -> String {
        let label = self.page.fit(&self.page.clean(label), self.labels);
        let line = format!("{}{}  {rest}", self.indent, padded(&label, self.labels));
        // Only a very narrow page is too narrow for the shortest axis.
        self.page.fit(line.trim_end(), self.page.prose())
    }

    fn cell(&self, us: u64) -> usize {
        let last = self.cells as u64 - 1;
        let axis = self.axis_us.max(1);
        let cell = (us.min(axis) * last + axis / 2) / axis;
        usize::try_from(cell).unwrap_or(self.cells)
    }

    /// The numbers of the axis: 1, 2 or 5 with zeros, at least 8 cells apart.
    fn scale(&self) -> String {
        let step = (0..19)
            .flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u64.pow(power)))
            .find(|step| self.cell(*step) >= 8 || *step >= self.axis_us)
            .unwrap_or(self.axis_us);
        let (unit, unit_us) = match step {
            0..100 => ("us", 1),
            100..1_000_000 => ("ms", 1_000),
            _ => ("s", 1_000_000),
        };
        let mut line = String::new();
        let mut at = 0;
        while at <= self.axis_us {
            // Steps below a unit are told with their one decimal.
            let number = if at.is_multiple_of(unit_us) {
                (at / unit_us).to_string()
            } else {
                format!("{}.{}", at / unit_us, at % unit_us * 10 / unit_us)
            };
            let cell = self.cell(at);
            line.push_str(&" ".repeat(cell.saturating_sub(cells(&line))));
            line.push_str(&number);
            at += step;
        }
        self.line(unit, &line)
    }

    fn bar(&self, bar: &Bar) -> String {
        if bar.start_us > self.axis_us {
            let when = if bar.end_us.saturating_sub(bar.start_us) < 10_000 {
                format!("at {}", duration(bar.start_us))
            } else {
                format!("{} to {}", duration(bar.start_us), duration(bar.end_us))
            };
            let outcome = self.page.clean(&bar.outcome);
            return self.line(&bar.label, &format!("{outcome}, {when}"));
        }
        let first = self.cell(bar.start_us).min(self.cells - 2);
        let last = self.cell(bar.end_us).max(first + 1);
        let (start, stroke) = match self.page.charset {
            Charset::Unicode => ("├", "─"),
            Charset::Ascii => ("|", "-"),
        };
        let end = tip(self.page.charset, bar.end);
        let drawn = format!(
            "{}{start}{}{end}{}",
            " ".repeat(first),
            stroke.repeat(last - first - 1),
            tail(self.page, bar),
        );
        self.line(&bar.label, &drawn)
    }

    /// One line for each effect: marks on the axis, or words where a reading was
    /// taken after it.
    fn readings(&self, readings: &[Mark]) -> Vec<String> {
        let mut effects: Vec<&str> = Vec::new();
        for mark in readings {
            if !effects.contains(&mark.effect.as_str()) {
                effects.push(&mark.effect);
            }
        }
        effects
            .into_iter()
            .map(|effect| {
                let marks: Vec<&Mark> = readings
                    .iter()
                    .filter(|mark| mark.effect == effect)
                    .collect();
                let on_axis = marks.iter().all(|mark| mark.at_us <= self.axis_us);
                let told = if on_axis {
                    self.marks(&marks)
                } else {
                    self.words(&marks)
                };
                self.line(effect, &told)
            })
            .collect()
    }

    fn marks(&self, marks: &[&Mark]) -> String {
        let mut line = String::new();
        for mark in marks {
            let cell = self.cell(mark.at_us);
            let taken = cells(&line);
            let gap = if taken == 0 {
                cell
            } else {
                cell.saturating_sub(taken).max(1)
            };
            line.push_str(&" ".repeat(gap));
            line.push_str(&self.page.clean(&mark.value));
        }
        line
    }

    fn words(&self, marks: &[&Mark]) -> String {
        let mut spans: Vec<(&str, u64, u64)> = Vec::new();
        for mark in marks {
            match spans.last_mut() {
                Some((value, _, until)) if *value == mark.value => *until = mark.at_us,
                _ => spans.push((&mark.value, mark.at_us, mark.at_us)),
            }
        }
        let told: Vec<String> = spans
            .into_iter()
            .map(|(value, from, until)| {
                let value = self.page.clean(value);
                if from == until {
                    format!("{value} at {}", duration(from))
                } else {
                    format!("{value} from {} to {}", duration(from), duration(until))
                }
            })
            .collect();
        told.join(", ")
    }
}

/// What stands behind a bar.
fn tail(page: &Page, bar: &Bar) -> String {
    let outcome = page.clean(&bar.outcome);
    match &bar.note {
        Some(note) => {
            let arrow = match page.charset {
                Charset::Unicode => "◀",
                Charset::Ascii => "<",
            };
            format!(" {outcome}  {arrow} {}", page.clean(note))
        }
        None => format!(" {outcome}"),
    }
}

fn tip(charset: Charset, end: BarEnd) -> &'static str {
    match (charset, end) {
        (Charset::Unicode, BarEnd::Answered) => "▶",
        (Charset::Unicode, BarEnd::Hidden) => "▷",
        (Charset::Unicode, BarEnd::Cut) => "✕",
        (Charset::Unicode, BarEnd::Lost) => "┤",
        (Charset::Ascii, BarEnd::Answered) => ">",
        (Charset::Ascii, BarEnd::Hidden) => ")",
        (Charset::Ascii, BarEnd::Cut) => "x",
        (Charset::Ascii, BarEnd::Lost) => "|",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::RenderOptions;

    fn drawn(timeline: &Timeline, width: usize, charset: Charset) -> String {
        let page = Page::of(&RenderOptions {
            width,
            charset,
            ..RenderOptions::default()
        });
        draw(&page, timeline, "    ").join("\n")
    }

    fn bar(label: &str, start_us: u64, end_us: u64, end: BarEnd, outcome: &str) -> Bar {
        Bar {
            label: label.to_owned(),
            start_us,
            end_us,
            end,
            outcome: outcome.to_owned(),
            note: None,
        }
    }

    fn mark(at_us: u64, value: &str) -> Mark {
        Mark {
            effect: "orders".to_owned(),
            at_us,
            value: value.to_owned(),
        }
    }

    #[test]
    fn the_four_ends_and_marks_on_the_axis() {
        let timeline = Timeline {
            end_us: 40_000,
            attempts: vec![
                bar(
                    "#1",
                    0,
                    20_000,
                    BarEnd::Hidden,
                    "201 ord_1, lost on the way",
                ),
                bar("#2", 20_100, 23_000, BarEnd::Answered, "201 ord_1"),
                bar("#3", 24_000, 24_100, BarEnd::Cut, "cut inside the request"),
                bar("#4", 25_000, 40_000, BarEnd::Lost, "reset by the target"),
            ],
            readings: vec![mark(0, "0"), mark(22_000, "1"), mark(23_000, "2")],
        };
        insta::assert_snapshot!(drawn(&timeline, 100, Charset::Unicode), @r"
            ms      0           10          20         30          40
            #1      ├───────────────────────▷ 201 ord_1, lost on the way
            #2                              ├──▶ 201 ord_1
            #3                                  ├✕ cut inside the request
            #4                                   ├─────────────────┤ reset by the target
            orders  0                         1 2
        ");
        insta::assert_snapshot!(drawn(&timeline, 80, Charset::Ascii), @r"
            ms      0         10        20       30        40
            #1      |-------------------) 201 ord_1, lost on the way
            #2                          |-> 201 ord_1
            #3                             |x cut inside the request
            #4                              |--------------| reset by the target
            orders  0                    1 2
        ");
    }

    #[test]
    fn what_comes_after_the_axis_is_told_in_words() {
        let timeline = Timeline {
            end_us: 210_000,
            attempts: vec![
                bar(
                    "#1",
                    0,
                    200_000,
                    BarEnd::Hidden,
                    "gave up; 201 ord_1 came later",
                ),
                bar("#2", 200_000, 210_000, BarEnd::Answered, "409"),
                bar(
                    "closing 1–34",
                    500_000,
                    60_200_000,
                    BarEnd::Answered,
                    "409 ×34",
                ),
            ],
            readings: vec![mark(0, "0"), mark(460_000, "1"), mark(61_000_000, "1")],
        };
        insta::assert_snapshot!(drawn(&timeline, 100, Charset::Unicode), @r"
            ms            0          50         100         150        200
            #1            ├────────────────────────────────────────────▷ gave up; 201 ord_1 came later
            #2                                                         ├─▶ 409
            closing 1–34  409 ×34, 500 ms to 60.2 s
            orders        0 at 0 ms, 1 from 460 ms to 61 s
        ");
    }

    #[test]
    fn attempts_within_a_millisecond_still_have_an_axis() {
        let timeline = Timeline {
            end_us: 900,
            attempts: vec![bar("#1", 0, 900, BarEnd::Answered, "201")],
            readings: Vec::new(),
        };
        insta::assert_snapshot!(drawn(&timeline, 80, Charset::Unicode), @r"
            ms  0         0.2        0.4       0.6        0.8
            #1  ├──────────────────────────────────────────────▶ 201
        ");
        let at_once = Timeline {
            end_us: 0,
            attempts: vec![bar("#1", 0, 0, BarEnd::Lost, "not connected")],
            readings: Vec::new(),
        };
        insta::assert_snapshot!(drawn(&at_once, 80, Charset::Unicode), @"    #1  ├┤ not connected");
        assert_eq!(drawn(&Timeline::default(), 80, Charset::Unicode), "");
    }
}
