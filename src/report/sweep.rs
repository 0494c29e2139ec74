//! What a sweep showed along the axis of its offsets, in numbers and in words.

use super::tightness::span;
use super::{EdgeReport, PointReport, SweepReport};
use crate::oracle::Sweep;
use crate::plan::Seen;

/// The most trials that are told one by one.
const POINTS: usize = 500;

pub(super) fn report(sweep: &Sweep) -> SweepReport {
    SweepReport {
        h_us: sweep.h_ns / 1_000,
        edge: sweep.edge.map(|edge| EdgeReport {
            at_us: edge.at_ns / 1_000,
            before: word(edge.before).to_owned(),
            after: word(edge.after).to_owned(),
        }),
        words: words(sweep),
        points: sweep
            .points
            .iter()
            .take(POINTS)
            .map(|point| PointReport {
                trial: point.observed.trial.0,
                planned_us: point.planned_ns / 1_000,
                offset_us: point.observed.offset_ns / 1_000,
                outcome: word(point.observed.seen).to_owned(),
                powered: point.observed.powered,
                effects: point.effects,
            })
            .collect(),
    }
}

/// A class of answers as a word of the report.
fn word(seen: Seen) -> &'static str {
    match seen {
        Seen::InProgress => "in_progress",
        Seen::Waited => "waited",
        Seen::Replayed => "replayed",
        Seen::Executed => "executed",
        Seen::Refused => "refused",
        Seen::Failed => "failed",
        Seen::Silent => "silent",
    }
}

fn told(seen: Seen) -> &'static str {
    match seen {
        Seen::InProgress => "in progress",
        Seen::Waited => "held until the first was done",
        Seen::Replayed => "replayed",
        Seen::Executed => "executed again",
        Seen::Refused => "refused",
        Seen::Failed => "a server error",
        Seen::Silent => "no answer",
    }
}

/// `edge at 12.4 ms: in progress before, replayed after`.
fn words(sweep: &Sweep) -> String {
    if let Some(edge) = sweep.edge {
        return format!(
            "edge at {}: {} before, {} after",
            span(edge.at_ns),
            told(edge.before),
            told(edge.after)
        );
    }
    let (Some(first), Some(last)) = (sweep.points.first(), sweep.points.last()) else {
        return "no trial says anything".to_owned();
    };
    let mut kinds: Vec<Seen> = sweep
        .points
        .iter()
        .map(|point| point.observed.seen)
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    let kinds: Vec<&str> = kinds.into_iter().map(told).collect();
    format!(
        "no edge from {} to {}: {}",
        span(first.observed.offset_ns),
        span(last.observed.offset_ns),
        kinds.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::Point;
    use crate::plan::{Edge, Observed, TrialId};

    fn point(trial: u32, offset_ns: u64, seen: Seen) -> Point {
        Point {
            observed: Observed {
                trial: TrialId(trial),
                offset_ns,
                seen,
                powered: true,
            },
            planned_ns: offset_ns - 1_000,
            effects: Some(1.0),
        }
    }

    #[test]
    fn an_edge_is_told_with_what_lies_on_its_sides() {
        let mut sweep = Sweep {
            h_ns: 20_000_000,
            points: vec![
                point(3, 2_500_000, Seen::InProgress),
                point(1, 14_001_000, Seen::Replayed),
            ],
            edge: Some(Edge {
                at_ns: 8_250_000,
                before: Seen::InProgress,
                after: Seen::Replayed,
            }),
        };
        let told = report(&sweep);
        assert_eq!(
            told.words,
            "edge at 8.3 ms: in progress before, replayed after"
        );
        assert_eq!(told.points[1].offset_us, 14_001);
        assert_eq!(told.points[1].planned_us, 14_000);
        assert_eq!(told.edge.unwrap().before, "in_progress");
        sweep.edge = None;
        assert_eq!(
            report(&sweep).words,
            "no edge from 2.5 ms to 15 ms: in progress, replayed"
        );
        sweep.points.clear();
        assert_eq!(report(&sweep).words, "no trial says anything");
    }
}
