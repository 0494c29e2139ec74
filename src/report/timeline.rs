//! What happened in one instance of one trial, as bars and marks on one axis.

use super::index::TrialFacts;
use super::words;
use super::{Bar, BarEnd, Mark, Timeline};
use crate::contract::Outcome;
use crate::history::{End, Exchange, Observation, Offset, Part, Timing};
use crate::plan::{Contract, CutPoint, Ending, Fault, Release, Trial};

/// The most lines of readings that a reader can take in.
const MOST_EFFECTS: usize = 6;

/// What a timeline shows beside the attempts.
pub(super) struct Focus<'a> {
    /// The instance.
    pub(super) instance: usize,
    /// The operation under test.
    pub(super) operation: usize,
    /// Effects to show, the one that shows the finding first, with their names.
    pub(super) effects: Vec<(usize, &'a str)>,
    /// Whether closing retries belong to the story.
    pub(super) closing: bool,
    /// What another result than the first is called, where it is remarkable:
    /// `effect` gives `second effect`.
    pub(super) other_result: Option<&'static str>,
}

/// The timeline of a trial.
pub(super) fn timeline(
    trial: &Trial,
    facts: &TrialFacts<'_>,
    contract: &Contract,
    focus: &Focus<'_>,
) -> Timeline {
    let exchanges: Vec<&Exchange> = facts
        .of_instance(focus.instance, focus.operation)
        .into_iter()
        .filter(|exchange| focus.closing || matches!(exchange.part, Part::Attempt(_)))
        .collect();
    let Some(zero) = exchanges
        .iter()
        .map(|exchange| start(&exchange.timing))
        .min()
    else {
        return Timeline::default();
    };
    let results = results(&exchanges, contract);
    let mut strokes: Vec<Stroke> = exchanges
        .iter()
        .map(|exchange| Stroke::of(exchange, trial, contract, focus, &results, zero))
        .collect();
    strokes.sort_by_key(|stroke| (stroke.closing, stroke.rank, stroke.start_us, stroke.number));
    let attempts = fold(strokes);
    Timeline {
        end_us: attempts
            .iter()
            .filter(|bar| bar.label.starts_with('#'))
            .map(|bar| bar.end_us)
            .max()
            .or_else(|| attempts.iter().map(|bar| bar.end_us).max())
            .unwrap_or(0),
        attempts,
        readings: readings(facts, focus, zero),
    }
}

/// One attempt, before alike ones are told together.
struct Stroke {
    number: u32,
    closing: bool,
    /// Attempts of a common release begin together: there, the answers that
    /// claim something come first.
    rank: u8,
    together: bool,
    start_us: u64,
    end_us: u64,
    end: BarEnd,
    outcome: String,
    note: Option<String>,
}

impl Stroke {
    fn of(
        exchange: &Exchange,
        trial: &Trial,
        contract: &Contract,
        focus: &Focus<'_>,
        results: &[&str],
        zero: Offset,
    ) -> Self {
        let (number, closing) = match exchange.part {
            Part::Attempt(number) => (number, false),
            Part::Closing(number) => (number, true),
            Part::Clean => (0, false),
        };
        let planned = trial.attempts.iter().find(|attempt| {
            !closing && attempt.instance == exchange.instance && attempt.number == number
        });
        let together = planned.is_some_and(|attempt| attempt.release == Release::Together);
        let claims = contract.outcome(exchange.claim()) == Outcome::Ok;
        let position = exchange
            .response
            .as_ref()
            .filter(|_| claims)
            .and_then(words::result)
            .and_then(|name| results.iter().position(|result| *result == name));
        let fault = planned.map_or(Fault::None, |attempt| attempt.fault);
        Self {
            number,
            closing,
            rank: u8::from(together && !claims),
            together,
            start_us: start(&exchange.timing).since(zero) / 1_000,
            end_us: end(exchange).since(zero) / 1_000,
            end: bar_end(exchange),
            outcome: outcome(exchange, fault),
            note: note(position, focus.other_result),
        }
    }

    fn bar(self, label: String) -> Bar {
        Bar {
            label,
            start_us: self.start_us,
            end_us: self.end_us.max(self.start_us),
            end: self.end,
            outcome: self.outcome,
            note: self.note,
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        self.closing == other.closing
            && self.end == other.end
            && self.outcome == other.outcome
            && self.note == other.note
    }
}

/// Alike attempts told together: all of a common release, of others the
/// neighbours. Two are still told one by one.
fn fold(strokes: Vec<Stroke>) -> Vec<Bar> {
    let mut groups: Vec<Vec<Stroke>> = Vec::new();
    for stroke in strokes {
        let home = if stroke.together {
            groups
                .iter_mut()
                .find(|group| group[0].together && group[0].is_like(&stroke))
        } else {
            groups.last_mut().filter(|group| group[0].is_like(&stroke))
        };
        match home {
            Some(group) => group.push(stroke),
            None => groups.push(vec![stroke]),
        }
    }
    groups.into_iter().flat_map(bars).collect()
}

fn bars(group: Vec<Stroke>) -> Vec<Bar> {
    let numbers: Vec<u32> = group.iter().map(|stroke| stroke.number).collect();
    if numbers.len() < 3 {
        return group
            .into_iter()
            .map(|stroke| {
                let label = label(stroke.closing, &[stroke.number]);
                stroke.bar(label)
            })
            .collect();
    }
    group
        .into_iter()
        .reduce(|mut all, stroke| {
            all.start_us = all.start_us.min(stroke.start_us);
            all.end_us = all.end_us.max(stroke.end_us);
            all
        })
        .map(|mut all| {
            all.outcome = format!("{} ×{}", all.outcome, numbers.len());
            let label = label(all.closing, &numbers);
            all.bar(label)
        })
        .into_iter()
        .collect()
}

/// `#1`, `#3–#10`, `#1–#3, #5`, `closing 1–4`; what has more than three pieces
/// is told as a number of attempts.
fn label(closing: bool, numbers: &[u32]) -> String {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in sorted {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    if ranges.len() > 3 {
        return format!("#{} +{}", ranges[0].0, numbers.len() - 1);
    }
    let sign = if closing { "" } else { "#" };
    let pieces: Vec<String> = ranges
        .into_iter()
        .map(|(first, last)| {
            if first == last {
                format!("{sign}{first}")
            } else {
                format!("{sign}{first}–{sign}{last}")
            }
        })
        .collect();
    let pieces = pieces.join(", ");
    if closing {
        format!("closing {pieces}")
    } else {
        pieces
    }
}

/// The results that were named in `ok` answers, in the order in which they were
/// first named.
fn results<'a>(exchanges: &[&'a Exchange], contract: &Contract) -> Vec<&'a str> {
    let mut named: Vec<(Offset, &str)> = exchanges
        .iter()
        .filter(|exchange| contract.outcome(exchange.claim()) == Outcome::Ok)
        .filter_map(|exchange| {
            let name = words::result(exchange.response.as_ref()?)?;
            Some((exchange.timing.last_in?, name))
        })
        .collect();
    named.sort_unstable();
    let mut results = Vec::new();
    for (_, name) in named {
        if !results.contains(&name) {
            results.push(name);
        }
    }
    results
}

fn note(position: Option<usize>, other_result: Option<&'static str>) -> Option<String> {
    let what = other_result?;
    Some(match position? {
        0 => return None,
        1 => format!("second {what}"),
        2 => format!("third {what}"),
        n => format!("{what} {}", n + 1),
    })
}

fn start(timing: &Timing) -> Offset {
    timing.first_out.unwrap_or(timing.intended)
}

/// When it was over for the client.
fn end(exchange: &Exchange) -> Offset {
    let timing = &exchange.timing;
    let over = match exchange.end {
        End::Complete => timing.last_in.unwrap_or(timing.ended),
        End::PeerClosed
        | End::PeerReset
        | End::WeClosed
        | End::WeReset
        | End::TimedOut
        | End::ConnectFailed(_)
        | End::NotSent(_)
        | End::RefusedByPeer
        | End::StreamReset(_)
        | End::BrokenAnswer(_) => timing.ended,
    };
    timing.gave_up.map_or(over, |gave_up| gave_up.min(over))
}

fn bar_end(exchange: &Exchange) -> BarEnd {
    match exchange.end {
        End::Complete if exchange.hidden => BarEnd::Hidden,
        End::Complete => BarEnd::Answered,
        End::WeClosed | End::WeReset => BarEnd::Cut,
        End::PeerClosed
        | End::PeerReset
        | End::TimedOut
        | End::ConnectFailed(_)
        | End::NotSent(_)
        | End::RefusedByPeer
        | End::StreamReset(_)
        | End::BrokenAnswer(_) => BarEnd::Lost,
    }
}

fn outcome(exchange: &Exchange, fault: Fault) -> String {
    let answer = exchange.response.as_ref().map(words::answer);
    match &exchange.end {
        End::Complete => {
            let answer = answer.unwrap_or_else(|| "answered".to_owned());
            match (exchange.hidden, exchange.timing.gave_up) {
                (true, Some(_)) => format!("gave up; {answer} came later"),
                (true, None) => format!("{answer}, lost on the way"),
                (false, _) => answer,
            }
        }
        End::WeClosed | End::WeReset => {
            let what = match fault {
                Fault::CutRequest {
                    at: CutPoint::FirstByte,
                    ..
                } => "cut before the first byte",
                Fault::CutRequest {
                    end: Ending::Silence,
                    ..
                } => "silent inside the request",
                Fault::CutRequest { .. } => "cut inside the request",
                Fault::CutResponse {
                    end: Ending::Silence,
                    ..
                } => "silent inside the answer",
                Fault::CutResponse { .. } => "cut inside the answer",
                Fault::Reset {
                    end: Ending::Silence,
                    ..
                } => "silent",
                Fault::Reset { .. } => "connection ended",
                Fault::Timeout { .. } => "gave up",
                Fault::None | Fault::DropResponse => "closed",
            };
            answer.map_or_else(|| what.to_owned(), |answer| format!("{what}, {answer}"))
        }
        End::PeerClosed => "closed by the target".to_owned(),
        End::PeerReset => "reset by the target".to_owned(),
        End::TimedOut if exchange.timing.gave_up.is_some() => "gave up, no answer".to_owned(),
        End::TimedOut => "timed out".to_owned(),
        End::ConnectFailed(_) => "not connected".to_owned(),
        End::NotSent(_) if exchange.fault_happened => "lost before it was sent".to_owned(),
        End::NotSent(_) => "not sent".to_owned(),
        End::RefusedByPeer => "refused, not executed".to_owned(),
        End::StreamReset(code) => format!("reset by the target ({code})"),
        End::BrokenAnswer(_) => "broken answer".to_owned(),
    }
}

/// First reading, changes, last reading of each effect.
fn readings(facts: &TrialFacts<'_>, focus: &Focus<'_>, zero: Offset) -> Vec<Mark> {
    let mut marks = Vec::new();
    for (effect, name) in focus.effects.iter().take(MOST_EFFECTS) {
        let seen: Vec<&Observation> = facts
            .observations
            .iter()
            .map(|(_, observation)| *observation)
            .filter(|observation| {
                observation.effect == *effect
                    && observation
                        .instance
                        .is_none_or(|instance| instance == focus.instance)
            })
            .collect();
        let mut last: Option<String> = None;
        for (position, observation) in seen.iter().enumerate() {
            let value = words::reading(observation);
            let changed = last.as_ref() != Some(&value);
            let mut mark = |at: Offset| {
                marks.push(Mark {
                    effect: (*name).to_owned(),
                    at_us: at.since(zero) / 1_000,
                    value: value.clone(),
                });
            };
            if changed {
                mark(observation.since);
            }
            let is_last = position + 1 == seen.len();
            if is_last && (!changed || observation.until > observation.since) {
                mark(observation.until);
            }
            last = Some(value);
        }
    }
    marks
}
