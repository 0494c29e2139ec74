//! One pass over the history: what happened in each trial, instance by instance,
//! in the order in which it was recorded.
//!
//! This file gathers and judges nothing. Everything of it is linear in the number
//! of events, and whatever a history holds that its plan does not know (another
//! trial, an instance too many) is left out.

use std::collections::{BTreeMap, HashMap};

use crate::contract::{Contract, Outcome};
use crate::history::{
    End, Event, EventKind, Exchange, History, IdentityFact, Observation, Offset, Part,
    ResponseFacts, SkipReason, Stage,
};
use crate::oracle::EventIndex;
use crate::plan::{Control, Fault, InstanceIndex, Plan, PlannedScenario, Role, Trial, TrialId};

/// A plan and what became of it.
pub(crate) struct View<'a> {
    pub(crate) plan: &'a Plan,
    /// One for each trial of the plan, in its order.
    pub(crate) trials: Vec<TrialView<'a>>,
    /// p50 and p99 of H in microseconds, by scenario and operation.
    pub(crate) measured: BTreeMap<(usize, usize), (u64, u64)>,
    /// Readings that belong to no trial.
    pub(crate) whole_run: Vec<Seen<'a, Observation>>,
    /// Steps that did not work.
    pub(crate) failed_steps: Vec<FailedStep<'a>>,
    /// What asked the run to stop, if something did.
    pub(crate) interrupted: Option<&'a str>,
    /// Whether the record is complete.
    pub(crate) finished: bool,
}

/// Something of the history and where it stands.
pub(crate) struct Seen<'a, T> {
    pub(crate) event: EventIndex,
    pub(crate) item: &'a T,
}

/// What became of a planned trial.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate<'a> {
    /// Something of it was sent.
    Ran,
    /// It is not judged.
    Void,
    /// It was left out.
    Skipped(&'a SkipReason),
    /// The history says nothing of it.
    Absent,
}

/// One trial and what became of it.
pub(crate) struct TrialView<'a> {
    pub(crate) trial: &'a Trial,
    pub(crate) fate: Fate<'a>,
    /// Spread of its common release, in nanoseconds.
    pub(crate) spread_ns: Option<u64>,
    /// What is known of that release.
    pub(crate) released: Option<Released>,
    /// One for each instance of the trial.
    pub(crate) instances: Vec<InstanceView<'a>>,
}

/// What is known of a common release.
#[derive(Clone, Copy)]
pub(crate) struct Released {
    /// Whether the releasing thread had real-time priority.
    pub(crate) real_time: bool,
    /// Bytes of the largest write; `None` where the record does not say.
    pub(crate) bytes: Option<u32>,
}

/// What happened for one instance of a trial.
#[derive(Default)]
pub(crate) struct InstanceView<'a> {
    pub(crate) exchanges: Vec<Seen<'a, Exchange>>,
    pub(crate) observations: Vec<Seen<'a, Observation>>,
}

/// A step that did not work.
pub(crate) struct FailedStep<'a> {
    pub(crate) trial: Option<TrialId>,
    pub(crate) scenario: usize,
    pub(crate) stage: Stage,
    pub(crate) step: usize,
    pub(crate) what: &'a str,
}

impl<'a> View<'a> {
    pub(crate) fn new(plan: &'a Plan, history: &'a History) -> Self {
        let places: HashMap<TrialId, usize> = plan
            .trials
            .iter()
            .enumerate()
            .map(|(place, trial)| (trial.id, place))
            .collect();
        let mut view = Self {
            plan,
            trials: plan.trials.iter().map(TrialView::new).collect(),
            measured: BTreeMap::new(),
            whole_run: Vec::new(),
            failed_steps: Vec::new(),
            interrupted: None,
            finished: false,
        };
        for (index, event) in history.events.iter().enumerate() {
            let place = event.trial.and_then(|id| places.get(&id).copied());
            view.take(index, event, place);
        }
        view
    }

    fn take(&mut self, index: EventIndex, event: &'a Event, place: Option<usize>) {
        let trial = place.and_then(|place| self.trials.get_mut(place));
        match &event.kind {
            EventKind::Exchange(exchange) => {
                if let Some(trial) = trial {
                    trial.take_exchange(index, exchange);
                }
            }
            EventKind::Observation(observation) => match trial {
                Some(trial) => trial.take_observation(index, observation),
                None if event.trial.is_none() => self.whole_run.push(Seen {
                    event: index,
                    item: observation,
                }),
                None => {}
            },
            EventKind::Measured {
                scenario,
                operation,
                h_p50_us,
                h_p99_us,
            } => {
                self.measured
                    .insert((*scenario, *operation), (*h_p50_us, *h_p99_us));
            }
            EventKind::Released {
                spread_ns,
                real_time,
                bytes,
                ..
            } => {
                if let Some(trial) = trial {
                    trial.spread_ns = Some(trial.spread_ns.unwrap_or(0).max(*spread_ns));
                    trial.released = Some(Released {
                        real_time: *real_time,
                        bytes: (*bytes > 0).then_some(*bytes),
                    });
                }
            }
            EventKind::Step {
                scenario,
                stage,
                step,
                failure: Some(what),
                ..
            } => self.failed_steps.push(FailedStep {
                trial: event.trial,
                scenario: *scenario,
                stage: *stage,
                step: *step,
                what,
            }),
            EventKind::Void { .. } => {
                if let Some(trial) = trial {
                    trial.fate = Fate::Void;
                }
            }
            EventKind::Skipped { why } => {
                if let Some(trial) = trial
                    && trial.fate != Fate::Void
                {
                    trial.fate = Fate::Skipped(why);
                }
            }
            EventKind::Interrupted { signal } => self.interrupted = Some(signal),
            EventKind::Finished => self.finished = true,
            EventKind::Phase { .. }
            | EventKind::Refined { .. }
            | EventKind::Step { failure: None, .. } => {}
        }
    }

    pub(crate) fn scenario(&self, index: usize) -> Option<&'a PlannedScenario> {
        self.plan.scenarios.get(index)
    }

    /// H in microseconds, p50 and p99, where the controls measured it.
    pub(crate) fn h_us(&self, scenario: usize, operation: usize) -> Option<(u64, u64)> {
        self.measured.get(&(scenario, operation)).copied()
    }
}

impl<'a> TrialView<'a> {
    fn new(trial: &'a Trial) -> Self {
        Self {
            trial,
            fate: Fate::Absent,
            spread_ns: None,
            released: None,
            instances: trial
                .instances
                .iter()
                .map(|_| InstanceView::default())
                .collect(),
        }
    }

    fn take_exchange(&mut self, event: EventIndex, exchange: &'a Exchange) {
        if let Some(instance) = self.instances.get_mut(exchange.instance) {
            instance.exchanges.push(Seen {
                event,
                item: exchange,
            });
            if self.fate == Fate::Absent {
                self.fate = Fate::Ran;
            }
        }
    }

    fn take_observation(&mut self, event: EventIndex, observation: &'a Observation) {
        // A reading for the whole trial stands with its first instance.
        let place = observation.instance.unwrap_or(0);
        if let Some(instance) = self.instances.get_mut(place) {
            instance.observations.push(Seen {
                event,
                item: observation,
            });
        }
    }

    pub(crate) fn ran(&self) -> bool {
        self.fate == Fate::Ran
    }

    /// The case that it belongs to.
    pub(crate) fn case(&self) -> Option<usize> {
        match self.trial.role {
            Role::Case(case) => Some(case),
            Role::WarmUp | Role::Control(_) => None,
        }
    }

    /// Whether it is a control of clean operations.
    pub(crate) fn is_clean_control(&self) -> bool {
        match self.trial.role {
            Role::Control(Control::One | Control::Two | Control::Ten) => true,
            Role::Control(Control::ClientGone) | Role::WarmUp | Role::Case(_) => false,
        }
    }

    /// What was planned to go wrong with an attempt.
    pub(crate) fn fault(&self, instance: InstanceIndex, part: Part) -> Fault {
        let Part::Attempt(number) = part else {
            return Fault::None;
        };
        self.trial
            .attempts
            .iter()
            .find(|attempt| attempt.instance == instance && attempt.number == number)
            .map_or(Fault::None, |attempt| attempt.fault)
    }

    /// The deliveries of one operation of one instance, in the order in which
    /// they were sent.
    pub(crate) fn deliveries(
        &self,
        instance: InstanceIndex,
        operation: usize,
        contract: &Contract,
    ) -> Vec<Delivery<'a>> {
        let mut deliveries: Vec<_> = self
            .instances
            .get(instance)
            .into_iter()
            .flat_map(|instance| &instance.exchanges)
            .filter(|seen| seen.item.operation == operation)
            .map(|seen| Delivery {
                event: seen.event,
                exchange: seen.item,
                outcome: contract.outcome(seen.item.claim()),
            })
            .collect();
        deliveries.sort_by_key(|delivery| (delivery.sent(), delivery.event));
        deliveries
    }
}

/// One exchange with its class.
#[derive(Clone, Copy)]
pub(crate) struct Delivery<'a> {
    pub(crate) event: EventIndex,
    pub(crate) exchange: &'a Exchange,
    pub(crate) outcome: Outcome,
}

impl<'a> Delivery<'a> {
    /// When its first byte left, or was to leave.
    pub(crate) fn sent(&self) -> Offset {
        let timing = &self.exchange.timing;
        timing.first_out.unwrap_or(timing.intended)
    }

    /// Whether any byte of it left.
    pub(crate) fn delivered(&self) -> bool {
        self.exchange.claim() != crate::contract::Claim::NothingSent
    }

    /// The whole answer, if one came; hidden ones are answers too.
    pub(crate) fn answer(&self) -> Option<&'a ResponseFacts> {
        match self.exchange.end {
            End::Complete => self.exchange.response.as_ref(),
            End::PeerClosed
            | End::PeerReset
            | End::WeClosed
            | End::WeReset
            | End::TimedOut
            | End::ConnectFailed(_)
            | End::NotSent(_)
            | End::RefusedByPeer
            | End::StreamReset(_)
            | End::BrokenAnswer(_) => None,
        }
    }

    pub(crate) fn status(&self) -> Option<u16> {
        self.answer().map(|answer| answer.status)
    }

    /// When the whole answer was there.
    pub(crate) fn answered_at(&self) -> Option<Offset> {
        let timing = &self.exchange.timing;
        self.answer()
            .map(|_| timing.last_in.unwrap_or(timing.ended))
    }

    pub(crate) fn open_until(&self) -> Offset {
        open_until(self.exchange)
    }

    pub(crate) fn is_attempt(&self) -> bool {
        matches!(self.exchange.part, Part::Attempt(_))
    }

    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.exchange.part, Part::Closing(_))
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.outcome == Outcome::Ok
    }

    /// Whether it was answered with success, if only for later (202).
    pub(crate) fn was_accepted(&self) -> bool {
        self.is_ok()
            || self
                .status()
                .is_some_and(|status| (200..300).contains(&status))
    }

    /// The identity fields that have a value, by their place in the contract.
    pub(crate) fn identity(&self) -> impl Iterator<Item = (usize, &'a str)> + use<'a> {
        self.answer()
            .into_iter()
            .flat_map(|answer| answer.identity.iter().enumerate())
            .filter_map(|(field, fact)| match fact {
                IdentityFact::Is(value) => Some((field, value.as_str())),
                IdentityFact::Absent | IdentityFact::Null => None,
            })
    }

    pub(crate) fn names_a_result(&self) -> bool {
        self.identity().next().is_some()
    }

    /// Whether it names the same result as another answer.
    pub(crate) fn names_the_result_of(&self, other: &Delivery<'_>) -> bool {
        self.answer()
            .zip(other.answer())
            .is_some_and(|(mine, its)| IdentityFact::name_one_result(&mine.identity, &its.identity))
    }

    /// Whether the answer is that of a rate limit or a load shedder. A conflict
    /// that says when to come back speaks of the key.
    pub(crate) fn sheds_load(&self) -> bool {
        let limits = self
            .status()
            .is_some_and(|status| matches!(status, 429 | 503));
        self.answer().is_some_and(|answer| {
            limits
                && answer.headers.iter().any(|(name, _)| {
                    let name = name.to_ascii_lowercase();
                    name == "retry-after"
                        || name.contains("ratelimit")
                        || name.contains("rate-limit")
                })
        })
    }

    /// Whether another delivery was sent after this one's answer was there.
    pub(crate) fn precedes(&self, later: &Delivery<'_>) -> bool {
        self.answered_at()
            .is_some_and(|answered| answered <= later.sent())
    }

    /// Whether both were open at one time.
    pub(crate) fn overlaps(&self, other: &Delivery<'_>) -> bool {
        let last_out = |delivery: &Delivery<'_>| delivery.exchange.timing.last_out;
        match (last_out(self), last_out(other)) {
            (Some(mine), Some(theirs)) => mine < other.open_until() && theirs < self.open_until(),
            (Some(_) | None, _) => false,
        }
    }
}

/// When the first byte of an answer came; an exchange that we ended ourselves is
/// open for ever, since its handler may be.
pub(crate) fn open_until(exchange: &Exchange) -> Offset {
    let timing = &exchange.timing;
    if let Some(first_in) = timing.first_in {
        return first_in;
    }
    match exchange.end {
        End::WeClosed | End::WeReset | End::TimedOut => Offset(u64::MAX),
        End::Complete
        | End::PeerClosed
        | End::PeerReset
        | End::ConnectFailed(_)
        | End::NotSent(_)
        | End::RefusedByPeer
        | End::StreamReset(_)
        | End::BrokenAnswer(_) => timing.ended,
    }
}
