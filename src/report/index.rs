//! The events of a history, found by trial: one pass over the record, so that a
//! report of a long run takes no time to speak of.

use crate::history::{EventKind, Exchange, History, Observation, Offset, Part, SkipReason};
use crate::oracle::EventIndex;
use crate::plan::TrialId;
use std::collections::BTreeMap;

/// What happened in each trial.
pub(super) struct Index<'a>(BTreeMap<TrialId, TrialFacts<'a>>);

/// What happened in one trial, in the order of the record.
#[derive(Default)]
pub(super) struct TrialFacts<'a> {
    pub(super) exchanges: Vec<&'a Exchange>,
    pub(super) observations: Vec<(EventIndex, &'a Observation)>,
    /// First to last write of a common release, in nanoseconds.
    pub(super) spread_ns: Option<u64>,
    pub(super) void: bool,
    pub(super) skipped: Option<&'a SkipReason>,
}

impl<'a> Index<'a> {
    pub(super) fn of(history: &'a History) -> Self {
        let mut trials: BTreeMap<TrialId, TrialFacts<'a>> = BTreeMap::new();
        for (index, event) in history.events.iter().enumerate() {
            let Some(trial) = event.trial else { continue };
            let facts = trials.entry(trial).or_default();
            match &event.kind {
                EventKind::Exchange(exchange) => facts.exchanges.push(exchange),
                EventKind::Observation(observation) => {
                    facts.observations.push((index, observation));
                }
                EventKind::Released { spread_ns, .. } => facts.spread_ns = Some(*spread_ns),
                EventKind::Void { .. } => facts.void = true,
                EventKind::Skipped { why } => facts.skipped = Some(why),
                EventKind::Phase { .. }
                | EventKind::Measured { .. }
                | EventKind::Refined { .. }
                | EventKind::Step { .. }
                | EventKind::Interrupted { .. }
                | EventKind::Finished => {}
            }
        }
        Self(trials)
    }

    pub(super) fn trial(&self, trial: TrialId) -> Option<&TrialFacts<'a>> {
        self.0.get(&trial)
    }
}

impl<'a> TrialFacts<'a> {
    /// The exchanges of one operation of one instance, clean runs of other
    /// operations left out.
    pub(super) fn of_instance(&self, instance: usize, operation: usize) -> Vec<&'a Exchange> {
        self.exchanges
            .iter()
            .copied()
            .filter(|exchange| {
                exchange.instance == instance
                    && exchange.operation == operation
                    && exchange.part != Part::Clean
            })
            .collect()
    }
}

/// The most attempts that were open at one time: sent whole, and no byte of the
/// answer there yet. That is when they can meet inside the target.
pub(super) fn overlap(exchanges: &[&Exchange]) -> u32 {
    let mut edges: Vec<(Offset, i64)> = exchanges
        .iter()
        .filter(|exchange| matches!(exchange.part, Part::Attempt(_)))
        .filter_map(|exchange| {
            let from = exchange.timing.last_out?;
            let until = exchange.timing.first_in.unwrap_or(exchange.timing.ended);
            (from < until).then_some([(from, 1), (until, -1)])
        })
        .flatten()
        .collect();
    // An interval that ends where another begins does not meet it.
    edges.sort_unstable();
    let (mut open, mut most) = (0_i64, 0);
    for (_, step) in edges {
        open += step;
        most = most.max(open);
    }
    u32::try_from(most).unwrap_or(u32::MAX)
}
