//! How tight the releases of a burst were, in numbers and in words. Every number
//! was measured in this run, on this side of the network.

use super::{ReleaseReport, SummaryReport, TightnessReport};
use crate::oracle::{Tightness, Window};
use crate::plan::{HttpVersion, Target};
use crate::stats::Summary;

/// The most trials that are told one by one.
const EACH: usize = 500;

pub(super) fn report(tightness: &Tightness, target: Option<&Target>) -> TightnessReport {
    let (fewest, most) = tightness.connections;
    let mut report = TightnessReport {
        trials: number(tightness.each.len()),
        spread_ns: summary(tightness.spread_ns),
        first_gap_ns: tightness.first_gap_ns.map(summary),
        protocol: target.map_or("", protocol).to_owned(),
        connections_min: number(fewest),
        connections_max: number(most),
        over_one_segment_trials: tightness.over_one_segment.map(number),
        real_time_trials: number(tightness.real_time),
        window_ns: match tightness.window {
            Window::Ns(ns) => Some(ns),
            Window::TooFewTrials | Window::TooLittleOverlap => None,
        },
        serialised_ns: tightness.serialised_ns,
        releases: String::new(),
        window: window(tightness),
        each: tightness
            .each
            .iter()
            .take(EACH)
            .map(|release| ReleaseReport {
                trial: release.trial.0,
                powered: release.powered,
                spread_ns: release.spread_ns,
                overlap: number(release.overlap),
                first_gap_ns: release.first_gap_ns,
            })
            .collect(),
    };
    report.releases = releases(&report);
    report
}

fn summary(summary: Summary) -> SummaryReport {
    SummaryReport {
        count: summary.count,
        p50: summary.p50,
        p99: summary.p99,
        max: summary.max,
    }
}

/// What was spoken with the target.
fn protocol(target: &Target) -> &'static str {
    let secure = target.url.starts_with("https:");
    match (target.http, secure) {
        (HttpVersion::Http1, false) => "HTTP/1.1",
        (HttpVersion::Http1, true) => "HTTP/1.1 over TLS",
        (HttpVersion::Http2, false) => "HTTP/2",
        (HttpVersion::Http2, true) => "HTTP/2 over TLS",
    }
}

/// `spread p50 104 µs (largest 230 µs), first gap p50 12 µs (largest 41 µs);
/// HTTP/1.1 over 10 connections, real-time priority`.
fn releases(report: &TightnessReport) -> String {
    let spread = percentiles(&report.spread_ns);
    let gap = match &report.first_gap_ns {
        Some(gap) => format!("first gap {}", percentiles(gap)),
        None => "no attempts overlapped".to_owned(),
    };
    let connections = match (report.connections_min, report.connections_max) {
        (1, 1) => "one connection".to_owned(),
        (fewest, most) if fewest == most => format!("{most} connections"),
        (fewest, most) => format!("{fewest} to {most} connections"),
    };
    let over = match report.over_one_segment_trials {
        None | Some(0) => String::new(),
        Some(over) => format!(
            ", more than one segment of 1460 bytes in {over} of {}",
            report.trials
        ),
    };
    let priority = match report.real_time_trials {
        0 => "without",
        all if all == report.trials => "with",
        _ => "partly with",
    };
    let protocol = &report.protocol;
    format!(
        "spread {spread}, {gap}; {protocol} over {connections}{over}, {priority} real-time priority"
    )
}

/// `p50 12 µs, p99 41 µs`, or the largest where a 99th percentile would be made up.
fn percentiles(summary: &SummaryReport) -> String {
    let p50 = span(summary.p50);
    match summary.p99 {
        Some(p99) => format!("p50 {p50} p99 {}", span(p99)),
        None => format!(
            "p50 {p50} (largest of {}: {})",
            summary.count,
            span(summary.max)
        ),
    }
}

/// The smallest race window that was in reach, in words, and what takes the worth
/// from it.
fn window(tightness: &Tightness) -> String {
    let reach = reach(tightness);
    match tightness.serialised_ns {
        None => reach,
        Some(ns) => format!(
            "{reach}; but the target answers one request at a time, about {} apart, so that a race \
             can hardly show",
            span(ns)
        ),
    }
}

fn reach(tightness: &Tightness) -> String {
    let releases = match tightness.each.len() {
        1 => "1 release".to_owned(),
        n => format!("{n} releases"),
    };
    match tightness.window {
        Window::Ns(0) => "two copies left in one write (95 % confidence): how far apart they \
                          arrived is the network's and the server's own time, which was not \
                          measured"
            .to_owned(),
        Window::Ns(ns) => format!(
            "a race window of {} or more would have been found (95 % confidence), as released by \
             us; the server's own time per request comes on top",
            span(ns)
        ),
        Window::TooFewTrials => format!(
            "how small a race window would have been found cannot be told from {releases}: \
             it takes five"
        ),
        Window::TooLittleOverlap => format!(
            "how small a race window would have been found cannot be told: attempts overlapped in \
             too few of {releases}"
        ),
    }
}

/// `0.8 µs`, `12 µs`, `1.3 ms`, `21 ms`; rounded up, since it stands for an upper
/// limit.
pub(super) fn span(ns: u64) -> String {
    let tenths = |unit: u64, name: &str| {
        let tenths = ns.saturating_mul(10).div_ceil(unit);
        match tenths % 10 {
            0 => format!("{} {name}", tenths / 10),
            rest => format!("{}.{rest} {name}", tenths / 10),
        }
    };
    match ns {
        0..10_000 => tenths(1_000, "µs"),
        10_000..999_001 => format!("{} µs", ns.div_ceil(1_000)),
        999_001..10_000_000 => tenths(1_000_000, "ms"),
        10_000_000..999_000_001 => format!("{} ms", ns.div_ceil(1_000_000)),
        _ => tenths(1_000_000_000, "s"),
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn spans_are_rounded_up_to_two_or_three_digits() {
        for (ns, words) in [
            (0, "0 µs"),
            (750, "0.8 µs"),
            (9_999, "10 µs"),
            (12_001, "13 µs"),
            (999_000, "999 µs"),
            (999_001, "1 ms"),
            (1_310_000, "1.4 ms"),
            (21_000_000, "21 ms"),
            (1_250_000_000, "1.3 s"),
        ] {
            assert_eq!(span(ns), words, "{ns}");
        }
    }

    #[test]
    fn what_was_not_measured_is_not_claimed() {
        let target = sample::scenario().target;
        let mut tightness = sample::tightness();
        let told = report(&tightness, Some(&target));
        assert_eq!(told.window_ns, None);
        assert!(
            told.window
                .contains("cannot be told from 1 release: it takes five")
        );
        assert_eq!(
            told.releases,
            "spread p50 110 µs (largest of 1: 110 µs), first gap p50 11 µs (largest of 1: 11 µs); \
             HTTP/1.1 over 10 connections, without real-time priority"
        );
        tightness.window = Window::Ns(0);
        let told = report(&tightness, Some(&target));
        assert_eq!(told.window_ns, Some(0));
        assert!(told.window.contains("which was not measured"));
        tightness.window = Window::Ns(40_200);
        tightness.over_one_segment = Some(1);
        tightness.real_time = 1;
        let told = report(&tightness, Some(&target));
        assert!(told.window.starts_with("a race window of 41 µs or more"));
        assert!(
            told.window
                .ends_with("the server's own time per request comes on top")
        );
        assert!(
            told.releases
                .contains("more than one segment of 1460 bytes in 1 of 1")
        );
        assert!(told.releases.ends_with("with real-time priority"));
        tightness.serialised_ns = Some(31_000_000);
        let told = report(&tightness, Some(&target));
        assert!(
            told.window
                .ends_with("about 31 ms apart, so that a race can hardly show")
        );
    }
}
