//! How close together the attempts of a burst were released, and how small a race
//! window the case would therefore have found.
//!
//! Whether a check-then-act race is found is decided by the first gap of a key:
//! how long its second attempt arrives after its first (`transport.md` section
//! 10). Seen from here that is the time between two writes; what the network and
//! the target put between the two on top is not in it, and nothing here says that
//! it is.
//!
//! The window is what [`stats::rank_that_is_hit`] makes of the trials: the
//! smallest first gap of each trial is one value (the keys of one release share
//! its luck, so that they are not counted as independent), a trial in which no key
//! overlapped is one without end. The value at the rank is a gap that another run
//! of as many trials stays below at least once with 95 % probability, and that is
//! true with 95 % confidence, whatever the distribution. Fewer than five trials
//! say nothing.

use super::apart;
use super::hearing::{Docket, Hearing};
use super::power;
use super::verdict::{Release, Tightness, Window};
use super::view::{InstanceView, TrialView};
use crate::history::{Exchange, Part};
use crate::plan::Kind;
use crate::stats::{self, Summary};
use std::collections::BTreeSet;

/// The payload of one TCP segment on most networks, in bytes: what exceeds it
/// leaves in more than one (`transport.md` section 2).
const SEGMENT: u32 = 1460;

impl Hearing<'_, '_> {
    /// How tight the releases of a burst were; `None` for any other pattern, and
    /// where nothing was released.
    pub(crate) fn tightness(&self, places: &[usize], docket: &Docket) -> Option<Tightness> {
        if self.case.pattern.kind != Kind::Burst {
            return None;
        }
        let trials: Vec<&TrialView<'_>> = places
            .iter()
            .map(|place| &self.court.view.trials[*place])
            .filter(|trial| trial.ran() && trial.released.is_some())
            .collect();
        let spread_ns = Summary::of(trials.iter().filter_map(|t| t.spread_ns).collect())?;
        let mut each = Vec::with_capacity(trials.len());
        let (mut gaps, mut smallest) = (Vec::new(), Vec::new());
        for trial in &trials {
            let powered = docket.powered_trials.contains(&trial.trial.id);
            let overlapped: Vec<&InstanceView<'_>> = trial
                .instances
                .iter()
                .filter(|instance| powered && overlap(instance) >= 2)
                .collect();
            let of_trial: Vec<u64> = overlapped
                .iter()
                .filter_map(|instance| first_gap(attempts(instance)))
                .collect();
            let least = of_trial.iter().min().copied();
            smallest.push(least);
            each.push(Release {
                trial: trial.trial.id,
                powered,
                spread_ns: trial.spread_ns.unwrap_or_default(),
                overlap: trial.instances.iter().map(overlap).max().unwrap_or(0),
                first_gap_ns: least,
            });
            gaps.extend(of_trial);
        }
        let connections: Vec<usize> = trials.iter().map(|trial| connections(trial)).collect();
        let facts = || trials.iter().filter_map(|trial| trial.released);
        let sizes: Vec<u32> = facts().filter_map(|released| released.bytes).collect();
        Some(Tightness {
            spread_ns,
            first_gap_ns: Summary::of(gaps),
            connections: (
                connections.iter().min().copied().unwrap_or(0),
                connections.iter().max().copied().unwrap_or(0),
            ),
            over_one_segment: (!sizes.is_empty())
                .then(|| sizes.iter().filter(|bytes| **bytes > SEGMENT).count()),
            real_time: facts().filter(|released| released.real_time).count(),
            window: window(&smallest),
            serialised_ns: apart::at_a_time(
                self.court.view,
                (self.case.scenario, self.case.operation),
            )
            .and_then(apart::AtATime::serialised_ns),
            each,
        })
    }
}

/// The smallest race window that as many trials would find, from the smallest
/// first gap of each; `None` stands for a trial in which no key overlapped.
pub(crate) fn window(smallest: &[Option<u64>]) -> Window {
    let trials = smallest.len();
    let Some(rank) = stats::rank_that_is_hit(trials as u64, stats::CONFIDENCE, stats::CONFIDENCE)
    else {
        return Window::TooFewTrials;
    };
    let mut sorted: Vec<u64> = smallest.iter().flatten().copied().collect();
    sorted.sort_unstable();
    usize::try_from(rank)
        .ok()
        .and_then(|rank| sorted.get(rank - 1))
        .map_or(Window::TooLittleOverlap, |gap| Window::Ns(*gap))
}

/// From the start of the first write that completed an attempt of a key to the
/// start of the second, in nanoseconds; `None` where fewer than two left. The same
/// instant is 0: both left in one write.
pub(crate) fn first_gap<'e>(attempts: impl Iterator<Item = &'e Exchange>) -> Option<u64> {
    let mut left: Vec<_> = attempts
        .filter_map(|attempt| attempt.timing.last_out)
        .collect();
    left.sort_unstable();
    Some(left.get(1)?.since(*left.first()?))
}

fn attempts<'v>(instance: &'v InstanceView<'_>) -> impl Iterator<Item = &'v Exchange> {
    instance
        .exchanges
        .iter()
        .map(|seen| seen.item)
        .filter(|exchange| matches!(exchange.part, Part::Attempt(_)))
}

fn overlap(instance: &InstanceView<'_>) -> usize {
    power::overlap(attempts(instance))
}

/// Over how many connections the attempts of a trial left.
fn connections(trial: &TrialView<'_>) -> usize {
    trial
        .instances
        .iter()
        .flat_map(attempts)
        .filter(|attempt| attempt.timing.last_out.is_some())
        .map(|attempt| attempt.connection)
        .collect::<BTreeSet<_>>()
        .len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn some(gaps: impl IntoIterator<Item = u64>) -> Vec<Option<u64>> {
        gaps.into_iter().map(Some).collect()
    }

    #[test]
    fn the_window_is_the_gap_at_the_rank() {
        // Of 5 the largest, of 100 the seventh (`stats`).
        assert_eq!(window(&some([5, 3, 9, 1, 2])), Window::Ns(9));
        assert_eq!(window(&some((1..=100).rev())), Window::Ns(7));
    }

    #[test]
    fn too_few_trials_and_too_little_overlap_say_nothing() {
        assert_eq!(window(&[]), Window::TooFewTrials);
        assert_eq!(window(&some([1, 1, 1, 1])), Window::TooFewTrials);
        let mut mostly = some([10; 6]);
        mostly.extend([None; 94]);
        assert_eq!(window(&mostly), Window::TooLittleOverlap);
        mostly[99] = Some(80);
        assert_eq!(window(&mostly), Window::Ns(80));
    }

    proptest! {
        #[test]
        fn a_larger_gap_never_makes_the_window_smaller(
            gaps in prop::collection::vec(prop::option::of(0_u64..1_000_000), 5..60),
            place in any::<prop::sample::Index>(),
            more in 1_u64..1_000_000,
        ) {
            let size = |window: Window| match window {
                Window::Ns(ns) => ns,
                Window::TooFewTrials | Window::TooLittleOverlap => u64::MAX,
            };
            let mut slower = gaps.clone();
            let place = place.index(slower.len());
            slower[place] = slower[place].map(|gap| gap + more);
            prop_assert!(size(window(&slower)) >= size(window(&gaps)));
            slower[place] = None;
            prop_assert!(size(window(&slower)) >= size(window(&gaps)));
            // It is a gap that was measured, or nothing.
            if let Window::Ns(ns) = window(&gaps) {
                prop_assert!(gaps.contains(&Some(ns)));
            }
        }
    }
}
