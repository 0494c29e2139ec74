//! Why attempts that were to meet did not, as far as the facts allow to tell: the
//! target answers too soon, we released too late, or it works on few requests at
//! a time.

use super::view::{TrialView, View};
use super::words;
use crate::history::{Exchange, Part};
use crate::plan::{Control, Role};
use crate::stats::Summary;
use std::time::Duration;

/// So much sooner than the answer has the second attempt to have been planned,
/// for our lateness to be what kept the two apart: writes from one thread are some
/// ten microseconds apart, on a busy machine some hundred.
const SLACK_NS: u64 = 1_000_000;

/// Trials in which no attempts overlapped, and what they show.
#[derive(Default)]
pub(crate) struct Apart {
    /// How long after its last byte the first attempt was answered.
    answered: Vec<u64>,
    /// How long after the first attempt's last byte the second's left.
    left: Vec<u64>,
    /// Trials in which the second was planned well before that answer.
    late: usize,
}

impl Apart {
    /// Takes what a trial without overlap shows.
    pub(crate) fn take(&mut self, trial: &TrialView<'_>) {
        let Some((answered, left, planned)) = trial
            .instances
            .iter()
            .find_map(|instance| first_two(instance.exchanges.iter().map(|seen| seen.item)))
        else {
            return;
        };
        self.late += usize::from(planned.saturating_add(SLACK_NS) <= answered);
        self.answered.push(answered);
        self.left.push(left);
    }

    /// What kept them apart and what to do, in a clause.
    pub(crate) fn words(&self) -> String {
        let median = |times: &Vec<u64>| Summary::of(times.clone()).map(|summary| summary.p50);
        let (Some(answered), Some(left)) = (median(&self.answered), median(&self.left)) else {
            return "make the operation slower, or run more trials or more attempts".to_owned();
        };
        let (answered, left) = (told(answered), told(left));
        if self.late * 2 > self.answered.len() {
            format!(
                "the second attempt left {left} after the first, later than planned and than the \
                 answer, which took {answered}: this machine was busy; run fewer trials at once \
                 (`--jobs 1`), or on a quieter machine"
            )
        } else {
            format!(
                "the first attempt was answered after {answered}, and the second left {left} after \
                 the first: the target's time is too short; make the operation slower (more data, \
                 a slow stub behind it), or run more trials or more attempts"
            )
        }
    }
}

/// Answer to the first attempt, last byte of the second, and when that was
/// planned: all from the last byte of the first, in nanoseconds.
fn first_two<'e>(exchanges: impl Iterator<Item = &'e Exchange>) -> Option<(u64, u64, u64)> {
    let mut attempts: Vec<&Exchange> = exchanges
        .filter(|exchange| matches!(exchange.part, Part::Attempt(_)))
        .filter(|exchange| exchange.timing.last_out.is_some())
        .collect();
    attempts.sort_by_key(|attempt| attempt.timing.last_out);
    let (first, second) = (attempts.first()?.timing, attempts.get(1)?.timing);
    let sent = first.last_out?;
    Some((
        first.first_in?.since(sent),
        second.last_out?.since(sent),
        second.intended.since(first.intended),
    ))
}

/// How many operations a target works on at a time, as the controls of ten show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AtATime {
    /// About so many.
    workers: u64,
    /// From one answer to the next, in nanoseconds, where they came strictly one
    /// after the other, evenly.
    spacing_ns: Option<u64>,
}

/// The fewest operations with keys of their own that say something.
const ENOUGH: usize = 5;

/// Whether the target answers few requests at a time, or one: judged by the
/// controls in which ten operations with keys of their own were released at once,
/// all of which have to show it. `None` where it works on four or more at a time,
/// or where nothing is known.
pub(crate) fn at_a_time(view: &View<'_>, operation: (usize, usize)) -> Option<AtATime> {
    let (h_us, _) = view.h_us(operation.0, operation.1)?;
    let h_ns = h_us.saturating_mul(1_000).max(1);
    let controls: Vec<AtATime> = view
        .trials
        .iter()
        .filter(|trial| {
            trial.ran()
                && trial.trial.role == Role::Control(Control::Ten)
                && (trial.trial.scenario, trial.trial.operation) == operation
        })
        .map(|trial| of_ten(&answers(trial), h_ns))
        .collect::<Option<_>>()?;
    let workers = controls.iter().map(|one| one.workers).max()?;
    let spacing_ns = controls
        .iter()
        .map(|one| one.spacing_ns)
        .collect::<Option<Vec<u64>>>()
        .and_then(Summary::of)
        .map(|spacing| spacing.p50);
    Some(AtATime {
        workers,
        spacing_ns,
    })
}

impl AtATime {
    /// What the controls show, in a clause.
    pub(crate) fn words(self) -> String {
        match self.spacing_ns {
            Some(spacing) => format!(
                "ten operations with keys of their own were answered strictly one after another, \
                 about {} apart: a single worker, or a proxy that serialises, lets no two of them \
                 meet; give the target more workers, or go past the proxy",
                told(spacing)
            ),
            None => format!(
                "ten operations with keys of their own took so long that about {} were worked on \
                 at a time: too few workers, or a proxy that lets few through",
                words::spelled(usize::try_from(self.workers).unwrap_or(usize::MAX))
            ),
        }
    }

    /// From one answer to the next, where the target answers one at a time.
    pub(crate) fn serialised_ns(self) -> Option<u64> {
        self.spacing_ns
    }
}

/// When the operations of a trial were answered, from its release, sorted.
fn answers(trial: &TrialView<'_>) -> Vec<u64> {
    let attempts = || {
        trial
            .instances
            .iter()
            .flat_map(|instance| &instance.exchanges)
            .map(|seen| seen.item)
            .filter(|exchange| matches!(exchange.part, Part::Attempt(_)))
    };
    let Some(released) = attempts().filter_map(|one| one.timing.last_out).min() else {
        return Vec::new();
    };
    let mut answers: Vec<u64> = attempts()
        .filter_map(|one| one.timing.first_in)
        .map(|answer| answer.since(released))
        .collect();
    answers.sort_unstable();
    answers
}

/// What the answers to operations that were released at once show, if one alone
/// takes `h_ns`. One at a time means that the gaps between the answers are all
/// within a factor of two of each other, and as long as the work itself.
fn of_ten(answers: &[u64], h_ns: u64) -> Option<AtATime> {
    if answers.len() < ENOUGH {
        return None;
    }
    let all = answers.len() as u64;
    let (first, last) = (*answers.first()?, *answers.last()?);
    let workers = all.saturating_mul(h_ns).div_ceil(last.max(1));
    if workers > 3 {
        return None;
    }
    let spacing = (last - first) / (all - 1);
    let even = answers
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .all(|gap| gap * 2 >= spacing && gap <= spacing * 2);
    let serial = even && spacing * 2 >= h_ns && first <= spacing * 2;
    Some(AtATime {
        workers,
        spacing_ns: serial.then_some(spacing),
    })
}

fn told(ns: u64) -> String {
    words::duration(Duration::from_nanos(ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn one_worker_is_told_from_few_and_from_many() {
        let ms = |times: &[u64]| times.iter().map(|ms| ms * MS).collect::<Vec<_>>();
        let h = 20 * MS;
        // One after another, as far apart as the work takes.
        let serial = of_ten(&ms(&[20, 41, 60, 79, 100]), h).unwrap();
        assert_eq!((serial.workers, serial.spacing_ns), (1, Some(20 * MS)));
        // Two workers: pairs of answers.
        let two = of_ten(&ms(&[20, 21, 40, 41, 60, 61, 80, 81, 100, 101]), h).unwrap();
        assert_eq!((two.workers, two.spacing_ns), (2, None));
        // All at once, however evenly their answers come.
        assert_eq!(
            of_ten(&ms(&[20, 21, 22, 23, 24, 25, 26, 27, 28, 29]), h),
            None
        );
        assert_eq!(of_ten(&ms(&[20, 40, 60, 80]), h), None, "four say nothing");
    }
}
