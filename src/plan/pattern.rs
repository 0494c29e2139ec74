//! One [`PatternKind`] → the attempts of one trial, and the words that name the
//! pattern in case ids and reports. It must not know how many trials there are
//! of what, nor draw anything at random: its turn is handed in.

use super::refine::SWEEP_END_PPM;
use super::{
    AnswerPoint, Attempt, Connection, CutPoint, Ending, Fault, HoldPoint, InstanceIndex, Kind,
    Moment, PatternTag, Release, ResetPoint, Then, Variant,
};
use crate::scenario::parts::{Connections, HttpVersion};
use crate::scenario::{Pattern, PatternKind, ResetAfter, When};
use std::time::Duration;

/// Which of a case's trials the attempts are for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    /// Its index in the case, from 0.
    pub(super) index: u32,
    /// Where the case's sweep begins: a fraction of its length, in units of 2^-64.
    pub(super) shift: u64,
    /// The copies of a key in every other trial of a burst, where they differ.
    pub(super) few: Option<u32>,
}

/// The pattern as plans and reports carry it.
pub(super) fn tag(pattern: &Pattern) -> PatternTag {
    PatternTag {
        kind: kind(&pattern.kind),
        label: pattern.name.clone(),
        shown: pattern.name.clone().unwrap_or_else(|| shown(&pattern.kind)),
        attempts: copies(&pattern.kind),
        keys: keys(&pattern.kind),
    }
}

/// The kind without its parameters.
pub(super) fn kind(pattern: &PatternKind) -> Kind {
    match pattern {
        PatternKind::Replay { .. } => Kind::Replay,
        PatternKind::Burst { .. } => Kind::Burst,
        PatternKind::Stagger { .. } => Kind::Stagger,
        PatternKind::DropResponse => Kind::DropResponse,
        PatternKind::Timeout { .. } => Kind::Timeout,
        PatternKind::CutRequest { .. } => Kind::CutRequest,
        PatternKind::CutResponse { .. } => Kind::CutResponse,
        PatternKind::Reset { .. } => Kind::Reset,
        PatternKind::ChangedHeaders => Kind::ChangedHeaders,
        PatternKind::Reserialised => Kind::Reserialised,
    }
}

/// Attempts of each operation.
pub(super) fn copies(pattern: &PatternKind) -> u32 {
    match pattern {
        PatternKind::Replay { attempts, .. }
        | PatternKind::Burst { attempts, .. }
        | PatternKind::Stagger { attempts, .. } => (*attempts).max(1),
        PatternKind::DropResponse
        | PatternKind::Timeout { .. }
        | PatternKind::CutRequest { .. }
        | PatternKind::CutResponse { .. }
        | PatternKind::Reset { .. }
        | PatternKind::ChangedHeaders
        | PatternKind::Reserialised => 2,
    }
}

/// Operations in one trial.
pub(super) fn keys(pattern: &PatternKind) -> u32 {
    match pattern {
        PatternKind::Burst { keys, .. } => (*keys).max(1),
        _ => 1,
    }
}

/// What is held back before the common release of a trial.
pub(super) fn hold(pattern: &PatternKind) -> Option<HoldPoint> {
    match pattern {
        PatternKind::Burst { hold, .. } => Some(*hold),
        _ => None,
    }
}

/// Over how many connections the attempts of one trial are spread; `None`: each
/// has its own, as it must over HTTP/1.1.
///
/// The streams of one connection arrive closer together than anything else, but
/// meet one instance of the target, and servers may work them off one by one: so
/// that is done in half of the trials only.
pub(super) fn connections(pattern: &PatternKind, turn: Turn, http: HttpVersion) -> Option<u32> {
    let PatternKind::Burst { connections, .. } = pattern else {
        return None;
    };
    match (http, connections) {
        (HttpVersion::Http1, _) | (HttpVersion::Http2, Connections::Each) => None,
        (HttpVersion::Http2, Connections::Shared(connections)) => {
            let attempts = copies(pattern).saturating_mul(keys(pattern));
            (*connections < attempts).then_some(*connections)
        }
        (HttpVersion::Http2, Connections::Fitting) => shares(turn.index).then_some(1),
    }
}

/// Whether it is the turn of one connection. The parity changes with each round
/// of four, so that of the cold trials (see [`warmth`]) half share theirs too.
pub(super) fn shares(index: u32) -> bool {
    (index + index / 4).is_multiple_of(2)
}

/// How many different things the pattern does in turn: with fewer trials than
/// that, some of it would never happen.
pub(super) fn variants(pattern: &PatternKind) -> u32 {
    let length = |list: usize| u32::try_from(list).unwrap_or(u32::MAX);
    match pattern {
        PatternKind::Timeout { after } => length(after.len()).saturating_mul(2),
        PatternKind::CutRequest { at, .. } => length(at.len()),
        PatternKind::CutResponse { at, .. } => length(at.len()),
        PatternKind::Replay { .. } | PatternKind::ChangedHeaders | PatternKind::Reserialised => 2,
        PatternKind::Burst { .. }
        | PatternKind::Stagger { .. }
        | PatternKind::DropResponse
        | PatternKind::Reset { .. } => 1,
    }
}

/// Whether the time inside the handler is swept, for the author gave none.
pub(super) fn sweeps(pattern: &PatternKind) -> bool {
    match pattern {
        PatternKind::Stagger { gap, .. } => *gap == When::Sweep,
        PatternKind::Timeout { after } => *after == TIMEOUT_DEFAULT,
        PatternKind::Reset { after, .. } => *after == ResetAfter::Sweep,
        PatternKind::Replay { .. }
        | PatternKind::Burst { .. }
        | PatternKind::DropResponse
        | PatternKind::CutRequest { .. }
        | PatternKind::CutResponse { .. }
        | PatternKind::ChangedHeaders
        | PatternKind::Reserialised => false,
    }
}

/// The attempts of one trial, in the order of their release.
pub(super) fn attempts(pattern: &PatternKind, turn: Turn) -> Vec<Attempt> {
    match pattern {
        PatternKind::Replay { gap, .. } => {
            one_after_the_other(copies(pattern), micros(*gap), connection(turn))
        }
        PatternKind::Burst { .. } => {
            let copies = turn
                .few
                .filter(|_| has_few(turn.index))
                .unwrap_or(copies(pattern));
            let mut attempts = together(copies, keys(pattern));
            for attempt in &mut attempts {
                attempt.connection = warmth(turn);
            }
            attempts
        }
        PatternKind::Stagger { gap, .. } => (0..copies(pattern))
            .map(|index| Attempt {
                release: Release::At(times(*gap, index, turn)),
                ..clean(index + 1, 0)
            })
            .collect(),
        PatternKind::DropResponse => then_retry(Fault::DropResponse),
        PatternKind::Timeout { after } => {
            let (when, round) = in_turn(after, turn.index);
            // Both kinds of socket are swept over the same times.
            let both = Turn {
                index: turn.index / 2,
                ..turn
            };
            then_retry(Fault::Timeout {
                after: times(when, 1, both),
                // Every time is tried with both before it is tried again.
                then: if round % 2 == 0 {
                    Then::KeepOpen
                } else {
                    Then::Close
                },
            })
        }
        PatternKind::CutRequest { at, end } => {
            let at = in_turn(at, turn.index).0;
            then_retry(Fault::CutRequest {
                at,
                // Where there is no connection none ends in some way.
                end: if at == CutPoint::Connect {
                    Ending::Fin
                } else {
                    *end
                },
            })
        }
        PatternKind::CutResponse { at, end } => then_retry(Fault::CutResponse {
            at: in_turn(at, turn.index).0,
            end: *end,
        }),
        PatternKind::Reset { after, end } => then_retry(Fault::Reset {
            after: match after {
                ResetAfter::Sweep => ResetPoint::RequestSent(times(When::Sweep, 1, turn)),
                ResetAfter::RequestSent => ResetPoint::RequestSent(Moment::Us(0)),
                ResetAfter::Answered => ResetPoint::Answered,
                ResetAfter::At(when) => ResetPoint::RequestSent(times(*when, 1, turn)),
            },
            end: *end,
        }),
        PatternKind::ChangedHeaders => again_as(Variant::ChangedHeaders, turn),
        PatternKind::Reserialised => again_as(Variant::Reserialised, turn),
    }
}

/// Clean attempts of so many instances, each after the answer to the one before.
pub(super) fn clean_in_a_row(instances: u32) -> Vec<Attempt> {
    (0..instances)
        .map(|instance| clean(1, instance as InstanceIndex))
        .collect()
}

/// An attempt of each of so many instances, one after the other, whose client is
/// gone half-way through the handler.
pub(super) fn clients_gone(instances: u32) -> Vec<Attempt> {
    (0..instances)
        .map(|instance| Attempt {
            fault: Fault::Reset {
                after: ResetPoint::RequestSent(Moment::PpmOfH(500_000)),
                end: Ending::Rst,
            },
            ..clean(1, instance as InstanceIndex)
        })
        .collect()
}

/// So many attempts of each of so many instances, released together; those of
/// one instance are neighbours, since what counts is the gap between the first
/// two of a key (`transport.md` section 0, 4 and 6).
pub(super) fn together(copies: u32, instances: u32) -> Vec<Attempt> {
    (0..instances)
        .flat_map(|instance| {
            (1..=copies).map(move |number| Attempt {
                release: Release::Together,
                ..clean(number, instance as InstanceIndex)
            })
        })
        .collect()
}

fn clean(number: u32, instance: InstanceIndex) -> Attempt {
    Attempt {
        number,
        instance,
        release: Release::AfterPrevious { gap_us: 0 },
        fault: Fault::None,
        connection: Connection::Fresh,
        variant: Variant::Same,
    }
}

/// A first attempt that something goes wrong with, and the client's own retry,
/// which leaves at once and on a connection of its own: the first one's is gone,
/// or still busy.
fn then_retry(fault: Fault) -> Vec<Attempt> {
    vec![
        Attempt {
            fault,
            ..clean(1, 0)
        },
        clean(2, 0),
    ]
}

fn one_after_the_other(copies: u32, gap_us: u64, connection: Connection) -> Vec<Attempt> {
    (1..=copies)
        .map(|number| Attempt {
            release: Release::AfterPrevious {
                gap_us: if number == 1 { 0 } else { gap_us },
            },
            connection: if number == 1 {
                Connection::Fresh
            } else {
                connection
            },
            ..clean(number, 0)
        })
        .collect()
}

fn again_as(variant: Variant, turn: Turn) -> Vec<Attempt> {
    let mut attempts = one_after_the_other(2, 0, connection(turn));
    attempts[1].variant = variant;
    attempts
}

/// The first, third, … trial of a case stays on its connection, the second,
/// fourth, … takes new ones, which may lead to another instance of the target.
fn connection(turn: Turn) -> Connection {
    if turn.index.is_multiple_of(2) {
        Connection::Kept
    } else {
        Connection::Fresh
    }
}

/// Bursts go over warm connections, which arrive closer together and cost less;
/// every fourth starts cold, since trials on the same connections may all meet the
/// same instance of the target (`retry-safety.md` section 4.2, *Independence*).
fn warmth(turn: Turn) -> Connection {
    if turn.index % 4 == 3 {
        Connection::Fresh
    } else {
        Connection::Pooled
    }
}

/// Whether it is the turn of few copies: half of the trials, and half of those
/// that start cold (see [`warmth`]).
fn has_few(index: u32) -> bool {
    (index + index / 4) % 2 == 1
}

/// The member whose turn it is, and how often the list was gone through before.
fn in_turn<T: Copy>(list: &[T], index: u32) -> (T, usize) {
    assert!(
        !list.is_empty(),
        "a pattern that takes values in turn has at least one"
    );
    let index = index as usize;
    (list[index % list.len()], index / list.len())
}

/// One point in [0, 120 %) of H. Each is the golden ratio further than the one
/// before, round and round: however many there are, no gap between them is twice as
/// wide as the mean, and none moves when there are more (`transport.md` section 5).
fn sweep(turn: Turn) -> u32 {
    // 2^64 / golden ratio.
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let fraction = turn
        .shift
        .wrapping_add(u64::from(turn.index).wrapping_mul(GOLDEN));
    let at = (u128::from(fraction) * u128::from(SWEEP_END_PPM)) >> 64;
    u32::try_from(at).expect("less than the end of the sweep, which is a u32")
}

fn times(when: When, factor: u32, turn: Turn) -> Moment {
    match when {
        When::After(span) => Moment::Us(micros(span).saturating_mul(u64::from(factor))),
        When::ShareOfH(ppm) => Moment::PpmOfH(ppm.saturating_mul(factor)),
        When::Sweep => Moment::PpmOfH(sweep(turn).saturating_mul(factor)),
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// The pattern part of a case id: the author's `name:`, else the kind and what
/// distinguishes it from the kind's default, in letters that no shell touches.
///
/// | pattern | id part |
/// | --- | --- |
/// | `replay: 3`, with `gap: 50ms` | `replay-3`, `replay-3-50ms` |
/// | `burst: 10`, 2 copies of 10 keys, `hold: all`, `connections: 2` | `burst-10`, `burst-2x10`, `burst-10-all`, `burst-10-over-2` |
/// | `stagger`, `stagger: 20ms`, 5 attempts of it | `stagger`, `stagger-20ms`, `stagger-5x20ms` |
/// | `timeout`, `timeout: 200ms`, `timeout: 50%` | `timeout`, `timeout-200ms`, `timeout-50pct` |
/// | `cut_request`, `50%`, `-1`, `headers` | `cut_request`, `cut_request-50pct`, `cut_request-last-1`, `cut_request-headers` |
/// | … `connect`, `first_byte`, `head`, `head 25%` | `cut_request-connect`, `cut_request-first_byte`, `cut_request-head`, `cut_request-head25pct` |
/// | … `body 10B`, `120B`, with `end: rst` | `cut_request-body10B`, `cut_request-120B`, `cut_request-rst` |
/// | `cut_response` (at the head), `50%` | `cut_response`, `cut_response-50pct` |
/// | … `20B`, `status_line`, `whole` with `end: silence` | `cut_response-20B`, `cut_response-status_line`, `cut_response-whole-silence` |
/// | `reset`, `answered`, `25%`, with `end: fin` | `reset`, `reset-answered`, `reset-25pct`, `reset-fin` |
/// | `drop_response`, `changed_headers`, `reserialised` | the same word |
pub(super) fn id_part(pattern: &Pattern) -> String {
    if let Some(name) = &pattern.name {
        return name.clone();
    }
    let mut parts = vec![kind(&pattern.kind).word().to_owned()];
    parts.extend(parameters(&pattern.kind, Style::Id));
    parts.join("-")
}

/// What a table shows: `burst ×10`, `timeout 200 ms`, `drop response`.
fn shown(pattern: &PatternKind) -> String {
    let mut parts = vec![kind(pattern).word().replace('_', " ")];
    parts.extend(parameters(pattern, Style::Shown));
    parts.join(" ")
}

/// For whom parameters are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// For a case id: no blanks, nothing that a shell would split or expand.
    Id,
    /// For people.
    Shown,
}

/// What distinguishes a pattern from its kind's default; `replay` and `burst`
/// always say their number.
fn parameters(pattern: &PatternKind, style: Style) -> Vec<String> {
    let number = |copies: &u32| match style {
        Style::Id => copies.to_string(),
        Style::Shown => format!("×{copies}"),
    };
    match pattern {
        PatternKind::Replay { attempts, gap } => {
            let mut parts = vec![number(attempts)];
            parts.extend((!gap.is_zero()).then(|| span(*gap, style)));
            parts
        }
        PatternKind::Burst {
            attempts,
            keys,
            hold,
            connections,
        } => {
            let mut parts = vec![match (style, *keys) {
                (_, 0 | 1) => number(attempts),
                (Style::Id, keys) => format!("{attempts}x{keys}"),
                (Style::Shown, keys) => format!("{attempts}×{keys}"),
            }];
            parts.extend(match hold {
                HoldPoint::Head => None,
                HoldPoint::LastByte => Some(words("last_byte", style)),
                HoldPoint::All => Some("all".to_owned()),
            });
            parts.extend(match (style, connections) {
                (_, Connections::Fitting | Connections::Each) => None,
                (Style::Id, Connections::Shared(shared)) => Some(format!("over-{shared}")),
                (Style::Shown, Connections::Shared(1)) => Some("over 1 connection".to_owned()),
                (Style::Shown, Connections::Shared(shared)) => {
                    Some(format!("over {shared} connections"))
                }
            });
            parts
        }
        PatternKind::Stagger { attempts, gap } => match (*attempts, *gap) {
            (3, When::Sweep) => Vec::new(),
            (attempts, When::Sweep) => vec![number(&attempts)],
            (3, gap) => vec![when(gap, style)],
            (attempts, gap) => match style {
                Style::Id => vec![format!("{attempts}x{}", when(gap, style))],
                Style::Shown => vec![number(&attempts), when(gap, style)],
            },
        },
        PatternKind::Timeout { after } if *after == TIMEOUT_DEFAULT => Vec::new(),
        PatternKind::Timeout { after } => after.iter().map(|at| when(*at, style)).collect(),
        PatternKind::CutRequest { at, end } => {
            let places = (*at != CUT_REQUEST_DEFAULT)
                .then(|| at.iter().map(|point| cut_point(*point, style)));
            let end = ending(*end, Ending::Fin, style);
            places.into_iter().flatten().chain(end).collect()
        }
        PatternKind::CutResponse { at, end } => {
            let places = (*at != CUT_RESPONSE_DEFAULT)
                .then(|| at.iter().map(|point| answer_point(*point, style)));
            let end = ending(*end, Ending::Fin, style);
            places.into_iter().flatten().chain(end).collect()
        }
        PatternKind::Reset { after, end } => {
            let after = match after {
                ResetAfter::Sweep => None,
                ResetAfter::RequestSent => Some(words("request_sent", style)),
                ResetAfter::Answered => Some("answered".to_owned()),
                ResetAfter::At(at) => Some(when(*at, style)),
            };
            let end = ending(*end, Ending::Rst, style);
            after.into_iter().chain(end).collect()
        }
        PatternKind::DropResponse | PatternKind::ChangedHeaders | PatternKind::Reserialised => {
            Vec::new()
        }
    }
}

/// Defaults of `language.md` section 14, *Time*: they are not spelt out in ids.
const TIMEOUT_DEFAULT: [When; 1] = [When::Sweep];
const CUT_REQUEST_DEFAULT: [CutPoint; 3] = [
    CutPoint::Headers,
    CutPoint::Percent(50),
    CutPoint::BeforeEnd(1),
];
const CUT_RESPONSE_DEFAULT: [AnswerPoint; 1] = [AnswerPoint::Headers];

fn words(text: &str, style: Style) -> String {
    match style {
        Style::Id => text.to_owned(),
        Style::Shown => text.replace('_', " "),
    }
}

/// How a connection is ended, where that is not as usual.
fn ending(ending: Ending, usual: Ending, style: Style) -> Option<String> {
    let word = match ending {
        Ending::Rst => "rst",
        Ending::Fin => "fin",
        Ending::HalfClose => "half_close",
        Ending::Silence => "silence",
    };
    (ending != usual).then(|| words(word, style))
}

fn cut_point(point: CutPoint, style: Style) -> String {
    match (point, style) {
        (CutPoint::Connect, _) => "connect".to_owned(),
        (CutPoint::FirstByte, style) => words("first_byte", style),
        (CutPoint::Head(50), _) => "head".to_owned(),
        (CutPoint::Head(share), Style::Id) => format!("head{}", percent(share, style)),
        (CutPoint::Head(share), Style::Shown) => format!("head {}", percent(share, style)),
        (CutPoint::Headers, _) => "headers".to_owned(),
        (CutPoint::Percent(share), style) => percent(share, style),
        (CutPoint::Body(bytes), Style::Id) => format!("body{}", size(bytes, style)),
        (CutPoint::Body(bytes), Style::Shown) => format!("body {}", size(bytes, style)),
        (CutPoint::Bytes(bytes), style) => size(bytes, style),
        (CutPoint::BeforeEnd(bytes), style) => before_end(bytes, style),
    }
}

fn answer_point(point: AnswerPoint, style: Style) -> String {
    match point {
        AnswerPoint::Bytes(bytes) => size(bytes, style),
        AnswerPoint::StatusLine => words("status_line", style),
        AnswerPoint::Headers => "headers".to_owned(),
        AnswerPoint::Percent(share) => percent(share, style),
        AnswerPoint::BeforeEnd(bytes) => before_end(bytes, style),
        AnswerPoint::Whole => "whole".to_owned(),
    }
}

fn percent(share: u8, style: Style) -> String {
    match style {
        Style::Id => format!("{share}pct"),
        Style::Shown => format!("{share} %"),
    }
}

fn size(bytes: u32, style: Style) -> String {
    match style {
        Style::Id => format!("{bytes}B"),
        Style::Shown => format!("{bytes} B"),
    }
}

fn before_end(bytes: u32, style: Style) -> String {
    match style {
        Style::Id => format!("last-{bytes}"),
        Style::Shown => format!("−{bytes}"),
    }
}

fn when(when: When, style: Style) -> String {
    match when {
        When::Sweep => words("sweep", style),
        When::After(at) => span(at, style),
        When::ShareOfH(ppm) => {
            let mut percent = (ppm / 10_000).to_string();
            let rest = format!("{:04}", ppm % 10_000);
            let rest = rest.trim_end_matches('0');
            if !rest.is_empty() {
                percent.push('.');
                percent.push_str(rest);
            }
            match style {
                Style::Id => format!("{percent}pct"),
                Style::Shown => format!("{percent} %"),
            }
        }
    }
}

/// A duration in the largest unit that keeps it whole.
fn span(span: Duration, style: Style) -> String {
    let us = micros(span);
    let (number, unit) = if us > 0 && us.is_multiple_of(1_000_000) {
        (us / 1_000_000, "s")
    } else if us > 0 && us.is_multiple_of(1000) {
        (us / 1000, "ms")
    } else {
        (us, "us")
    };
    match style {
        Style::Id => format!("{number}{unit}"),
        Style::Shown => format!("{number} {}", if unit == "us" { "µs" } else { unit }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Profile, With};
    use Connection::{Fresh, Kept};

    fn first(index: u32) -> Turn {
        Turn {
            index,
            shift: 0,
            few: None,
        }
    }

    fn pattern(kind: PatternKind) -> Pattern {
        Pattern {
            kind,
            name: None,
            profile: Profile::Standard,
            from_profile: false,
            with: With::default(),
            before: Vec::new(),
            place: super::super::Place {
                file: "a.yaml".to_owned(),
                line: 1,
            },
        }
    }

    fn reset(after: ResetAfter, end: Ending) -> PatternKind {
        PatternKind::Reset { after, end }
    }

    #[test]
    fn ids_and_shown_texts_say_what_the_author_wrote() {
        let ms = Duration::from_millis;
        let burst = |attempts, keys, hold| PatternKind::Burst {
            attempts,
            keys,
            hold,
            connections: Connections::Fitting,
        };
        let replay = |attempts, gap| PatternKind::Replay { attempts, gap };
        let stagger = |attempts, gap| PatternKind::Stagger { attempts, gap };
        let timeout = |after: &[When]| PatternKind::Timeout {
            after: after.to_vec(),
        };
        let cut_to = |at: &[CutPoint], end| PatternKind::CutRequest {
            at: at.to_vec(),
            end,
        };
        let cut = |at: &[CutPoint]| cut_to(at, Ending::Fin);
        let answer = |at, end| PatternKind::CutResponse { at: vec![at], end };
        let table = [
            (replay(3, Duration::ZERO), "replay-3", "replay ×3"),
            (replay(3, ms(50)), "replay-3-50ms", "replay ×3 50 ms"),
            (burst(10, 1, HoldPoint::Head), "burst-10", "burst ×10"),
            (burst(2, 10, HoldPoint::Head), "burst-2x10", "burst 2×10"),
            (
                burst(5, 1, HoldPoint::LastByte),
                "burst-5-last_byte",
                "burst ×5 last byte",
            ),
            (stagger(3, When::Sweep), "stagger", "stagger"),
            (stagger(5, When::Sweep), "stagger-5", "stagger ×5"),
            (
                stagger(3, When::ShareOfH(200_000)),
                "stagger-20pct",
                "stagger 20 %",
            ),
            (
                stagger(3, When::After(ms(20))),
                "stagger-20ms",
                "stagger 20 ms",
            ),
            (
                stagger(5, When::ShareOfH(125_000)),
                "stagger-5x12.5pct",
                "stagger ×5 12.5 %",
            ),
            (timeout(&TIMEOUT_DEFAULT), "timeout", "timeout"),
            (
                timeout(&[When::After(ms(200))]),
                "timeout-200ms",
                "timeout 200 ms",
            ),
            (
                timeout(&[When::ShareOfH(500_000)]),
                "timeout-50pct",
                "timeout 50 %",
            ),
            (
                timeout(&[
                    When::After(ms(2000)),
                    When::After(Duration::from_micros(1500)),
                ]),
                "timeout-2s-1500us",
                "timeout 2 s 1500 µs",
            ),
            (PatternKind::DropResponse, "drop_response", "drop response"),
            (cut(&CUT_REQUEST_DEFAULT), "cut_request", "cut request"),
            (
                cut(&[CutPoint::BeforeEnd(1)]),
                "cut_request-last-1",
                "cut request −1",
            ),
            (
                cut(&[CutPoint::Connect, CutPoint::FirstByte]),
                "cut_request-connect-first_byte",
                "cut request connect first byte",
            ),
            (
                cut(&[CutPoint::Head(50), CutPoint::Head(25)]),
                "cut_request-head-head25pct",
                "cut request head head 25 %",
            ),
            (
                cut_to(&[CutPoint::Body(10), CutPoint::Bytes(120)], Ending::Silence),
                "cut_request-body10B-120B-silence",
                "cut request body 10 B 120 B silence",
            ),
            (
                cut_to(&CUT_REQUEST_DEFAULT, Ending::Rst),
                "cut_request-rst",
                "cut request rst",
            ),
            (
                answer(AnswerPoint::Percent(50), Ending::Fin),
                "cut_response-50pct",
                "cut response 50 %",
            ),
            (
                answer(AnswerPoint::Headers, Ending::HalfClose),
                "cut_response-half_close",
                "cut response half close",
            ),
            (
                answer(AnswerPoint::StatusLine, Ending::Rst),
                "cut_response-status_line-rst",
                "cut response status line rst",
            ),
            (
                answer(AnswerPoint::Bytes(20), Ending::Fin),
                "cut_response-20B",
                "cut response 20 B",
            ),
            (
                answer(AnswerPoint::Whole, Ending::Silence),
                "cut_response-whole-silence",
                "cut response whole silence",
            ),
            (reset(ResetAfter::Sweep, Ending::Rst), "reset", "reset"),
            (
                reset(ResetAfter::Answered, Ending::HalfClose),
                "reset-answered-half_close",
                "reset answered half close",
            ),
            (
                reset(ResetAfter::At(When::After(ms(30))), Ending::Rst),
                "reset-30ms",
                "reset 30 ms",
            ),
        ];
        for (kind, id, shown) in table {
            let pattern = pattern(kind);
            assert_eq!(id_part(&pattern), id);
            assert_eq!(tag(&pattern).shown, shown);
        }
    }

    #[test]
    fn a_name_takes_the_place_of_both() {
        let pattern = Pattern {
            name: Some("first-lost".to_owned()),
            ..pattern(PatternKind::DropResponse)
        };
        assert_eq!(id_part(&pattern), "first-lost");
        assert_eq!(tag(&pattern).shown, "first-lost");
        assert_eq!(tag(&pattern).kind, Kind::DropResponse);
    }

    #[test]
    fn a_replay_keeps_its_connection_in_every_other_trial() {
        let replay = PatternKind::Replay {
            attempts: 3,
            gap: Duration::from_millis(5),
        };
        let on = |index| {
            attempts(&replay, first(index))
                .iter()
                .map(|attempt| attempt.connection)
                .collect::<Vec<_>>()
        };
        assert_eq!(on(0), [Fresh, Kept, Kept]);
        assert_eq!(on(1), [Fresh, Fresh, Fresh]);
        let gaps: Vec<_> = attempts(&replay, first(0))
            .iter()
            .map(|attempt| attempt.release)
            .collect();
        assert_eq!(
            gaps,
            [0, 5000, 5000].map(|gap_us| Release::AfterPrevious { gap_us })
        );
    }

    #[test]
    fn the_copies_of_a_key_are_neighbours_in_a_burst() {
        let burst = PatternKind::Burst {
            attempts: 2,
            keys: 3,
            hold: HoldPoint::Head,
            connections: Connections::Fitting,
        };
        let order: Vec<_> = attempts(&burst, first(0))
            .iter()
            .map(|attempt| (attempt.instance, attempt.number))
            .collect();
        assert_eq!(order, [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2)]);
        assert!(
            attempts(&burst, first(0))
                .iter()
                .all(|attempt| attempt.release == Release::Together)
        );
    }

    #[test]
    fn half_of_the_trials_have_few_copies_and_half_of_those_that_start_cold() {
        let burst = PatternKind::Burst {
            attempts: 10,
            keys: 1,
            hold: HoldPoint::Head,
            connections: Connections::Fitting,
        };
        let trials: Vec<(usize, bool)> = (0..40)
            .map(|index| {
                let turn = Turn {
                    few: Some(2),
                    ..first(index)
                };
                let attempts = attempts(&burst, turn);
                (attempts.len(), attempts[0].connection == Fresh)
            })
            .collect();
        let number = |copies, cold| {
            trials
                .iter()
                .filter(|trial| **trial == (copies, cold))
                .count()
        };
        assert_eq!([number(10, false), number(2, false)], [15, 15]);
        assert_eq!([number(10, true), number(2, true)], [5, 5]);
    }

    #[test]
    fn every_fourth_burst_starts_cold() {
        let burst = PatternKind::Burst {
            attempts: 2,
            keys: 2,
            hold: HoldPoint::Head,
            connections: Connections::Fitting,
        };
        for index in 0..8 {
            let expected = if index % 4 == 3 {
                Fresh
            } else {
                Connection::Pooled
            };
            assert!(
                attempts(&burst, first(index))
                    .iter()
                    .all(|attempt| attempt.connection == expected)
            );
        }
    }

    #[test]
    fn every_time_of_a_timeout_meets_both_kinds_of_socket() {
        let shares = [100_000, 500_000, 900_000];
        let seen = |after: Vec<When>| {
            let timeout = PatternKind::Timeout { after };
            let mut seen: Vec<_> = (0..6)
                .map(|index| match attempts(&timeout, first(index))[0].fault {
                    Fault::Timeout {
                        after: Moment::PpmOfH(ppm),
                        then,
                    } => (ppm, then == Then::Close),
                    other => panic!("{other:?}"),
                })
                .collect();
            seen.sort_unstable();
            (seen, variants(&timeout))
        };
        let both = |shares: [u32; 3]| {
            shares
                .into_iter()
                .flat_map(|ppm| [(ppm, false), (ppm, true)])
                .collect::<Vec<_>>()
        };
        let listed = seen(shares.map(When::ShareOfH).to_vec());
        assert_eq!(listed, (both(shares), 6));
        let mut swept = [0, 1, 2].map(|index| sweep(first(index)));
        swept.sort_unstable();
        assert_eq!(seen(TIMEOUT_DEFAULT.to_vec()), (both(swept), 2));
    }

    #[test]
    fn a_sweep_leaves_no_gap_twice_as_wide_as_the_mean_however_many_there_are() {
        for shift in [0, 1, 0x7000_0000_0000_0000, u64::MAX] {
            for count in 1..=60_u32 {
                let mut points: Vec<u32> = (0..count)
                    .map(|index| {
                        sweep(Turn {
                            index,
                            shift,
                            few: None,
                        })
                    })
                    .collect();
                points.sort_unstable();
                assert!(points.iter().all(|at| *at < SWEEP_END_PPM));
                // The last and the first are neighbours, round the end.
                let round = points[0] + SWEEP_END_PPM;
                let gaps = points.windows(2).map(|two| two[1] - two[0]);
                let widest = gaps.chain([round - points[points.len() - 1]]).max();
                assert!(widest.unwrap() <= 2 * SWEEP_END_PPM / count + 1, "{count}");
            }
        }
    }

    #[test]
    fn a_stagger_counts_from_the_first_attempt() {
        let stagger = PatternKind::Stagger {
            attempts: 3,
            gap: When::ShareOfH(200_000),
        };
        let at: Vec<_> = attempts(&stagger, first(0))
            .iter()
            .map(|attempt| attempt.release)
            .collect();
        assert_eq!(
            at,
            [0, 200_000, 400_000].map(|ppm| Release::At(Moment::PpmOfH(ppm)))
        );
    }

    #[test]
    fn over_http2_half_of_the_trials_share_a_connection_warm_and_cold_ones_alike() {
        let burst = |connections| PatternKind::Burst {
            attempts: 10,
            keys: 1,
            hold: HoldPoint::Head,
            connections,
        };
        let over = |over, index| connections(&burst(over), first(index), HttpVersion::Http2);
        let shared: Vec<u32> = (0..8)
            .filter(|index| over(Connections::Fitting, *index).is_some())
            .collect();
        assert_eq!(shared, [0, 2, 5, 7]);
        let cold: Vec<u32> = (0..8)
            .filter(|index| warmth(first(*index)) == Fresh)
            .collect();
        assert_eq!(cold, [3, 7]);
        assert_eq!(over(Connections::Shared(3), 1), Some(3));
        assert_eq!(over(Connections::Shared(10), 0), None);
        assert_eq!(over(Connections::Each, 0), None);
        let http1 = connections(&burst(Connections::Fitting), first(0), HttpVersion::Http1);
        assert_eq!(http1, None);
    }

    #[test]
    fn only_the_retry_is_changed() {
        for (kind, variant) in [
            (PatternKind::ChangedHeaders, Variant::ChangedHeaders),
            (PatternKind::Reserialised, Variant::Reserialised),
        ] {
            let attempts = attempts(&kind, first(0));
            assert_eq!(attempts.len(), 2);
            assert_eq!(attempts[0].variant, Variant::Same);
            assert_eq!(attempts[1].variant, variant);
        }
    }
}
