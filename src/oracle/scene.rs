//! One operation of one trial as the oracles see it, and what they hand on: a
//! [`Proof`] with the facts of it, which `explain` puts into words.

use super::EventIndex;
use super::effects::{Excess, Judged, State};
use super::view::{Delivery, TrialView, View};
use crate::codes::Hazard;
use crate::plan::{
    AnswerPoint, Body, Case, CutPoint, Ending, Fault, Kind, PlannedScenario, Population, Sent,
    Then, TrialId,
};

/// One instance of one trial of a case.
pub(crate) struct Scene<'a, 'b> {
    pub(crate) view: &'b View<'a>,
    pub(crate) scenario: &'a PlannedScenario,
    pub(crate) case: &'a Case,
    pub(crate) trial: &'b TrialView<'a>,
    pub(crate) instance: usize,
    /// Of the operation under the pattern, in the order of sending.
    pub(crate) deliveries: Vec<Delivery<'a>>,
    /// Of this instance.
    pub(crate) judged: Vec<&'b Judged<'a>>,
}

/// A hazard that one instance of one trial shows.
#[derive(Debug, Clone)]
pub(crate) struct Proof {
    pub(crate) hazard: Hazard,
    /// Worth knowing, and never a failure by itself.
    pub(crate) info: bool,
    pub(crate) trial: TrialId,
    pub(crate) instance: usize,
    pub(crate) effect: Option<usize>,
    pub(crate) events: Vec<EventIndex>,
    pub(crate) clue: Clue,
}

/// The facts that a finding is told from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Clue {
    /// More effects than allowed.
    Excess(Excess),
    /// An effect after refusals only.
    RefusedThough { seen: f64 },
    /// Fewer effects than promised.
    Lack { seen: f64, wanted: f64 },
    /// A value that is not what it must be.
    Differs,
    /// Parts that do not go together: effect, seen, wanted.
    Unequal(Vec<(usize, f64, f64)>),
    /// Two answers that name different results.
    Identities(String, String),
    /// Two answers with different statuses where the contract promises others.
    Statuses(u16, u16),
    /// Two answers with different bodies where the contract promises equal ones.
    Bodies,
    /// A success without a result while the first attempt ran.
    Empty { status: u16 },
    /// In progress for so long, in nanoseconds.
    Stuck {
        answers: usize,
        status: u16,
        span_ns: u64,
        there: Option<usize>,
    },
    /// In progress after an `ok`.
    Lagging { status: u16 },
    /// A true retry refused.
    Refused { status: u16 },
    /// Server errors for duplicates: so many.
    Failed { status: u16, answers: usize },
    /// An effect of a request that was never whole.
    Truncated { seen: f64 },
    /// The whole request is refused after one that was cut.
    Burned { status: u16 },
    /// Operations with keys of their own refused: so many of so many.
    Unrelated {
        status: u16,
        refused: usize,
        at_once: u32,
    },
    /// An invariant (by index) with the values that break it.
    Broken {
        invariant: usize,
        values: Vec<(String, String)>,
        whole_run: bool,
    },
    /// A latency above its limit.
    Slow {
        population: Population,
        quantile: f64,
        seen_us: u64,
        limit_us: u64,
        samples: u64,
    },
}

impl<'a> Scene<'a, '_> {
    pub(crate) fn proof(
        &self,
        hazard: Hazard,
        effect: Option<usize>,
        mut events: Vec<EventIndex>,
        clue: Clue,
    ) -> Proof {
        events.sort_unstable();
        events.dedup();
        Proof {
            hazard,
            info: false,
            trial: self.trial.trial.id,
            instance: self.instance,
            effect,
            events,
            clue,
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.case.pattern.kind
    }

    pub(crate) fn attempts(&self) -> impl Iterator<Item = &Delivery<'a>> {
        self.deliveries.iter().filter(|one| one.is_attempt())
    }

    pub(crate) fn closings(&self) -> impl Iterator<Item = &Delivery<'a>> {
        self.deliveries.iter().filter(|one| one.is_closing())
    }

    pub(crate) fn oks(&self) -> impl Iterator<Item = &Delivery<'a>> {
        self.deliveries.iter().filter(|one| one.is_ok())
    }

    pub(crate) fn attempt_events(&self) -> Vec<EventIndex> {
        self.attempts().map(|one| one.event).collect()
    }

    pub(crate) fn all_events(&self) -> Vec<EventIndex> {
        self.deliveries.iter().map(|one| one.event).collect()
    }

    pub(crate) fn fault(&self, delivery: &Delivery<'_>) -> Fault {
        self.trial.fault(self.instance, delivery.exchange.part)
    }

    /// Whether the author means the operation of this case to fail.
    pub(crate) fn is_tampered_with(&self) -> bool {
        self.case.with != crate::plan::Overlay::default() || !self.case.before.is_empty()
    }

    /// Whether the operation has a body that can be cut.
    pub(crate) fn has_a_body(&self) -> bool {
        self.scenario
            .operations
            .get(self.case.operation)
            .is_none_or(|operation| operation.request.body != Body::None)
    }

    pub(crate) fn has_an_excess(&self) -> bool {
        self.judged
            .iter()
            .any(|judged| matches!(judged.state, State::Excess(_)))
    }

    /// Whether the client went away after its whole request and before any byte
    /// of an answer.
    pub(crate) fn left_before_the_answer(&self) -> bool {
        self.attempts().any(|attempt| {
            let leaves = match self.fault(attempt) {
                // A silent client is there for all that the target can see.
                Fault::Reset { end, .. } => end != Ending::Silence,
                Fault::Timeout {
                    then: Then::Close, ..
                } => true,
                Fault::None
                | Fault::DropResponse
                | Fault::CutRequest { .. }
                | Fault::CutResponse { .. }
                | Fault::Timeout {
                    then: Then::KeepOpen,
                    ..
                } => false,
            };
            leaves
                && attempt.exchange.fault_happened
                && attempt.delivered()
                && attempt.exchange.timing.first_in.is_none()
        })
    }

    /// Whether part of the first request arrived, and no more.
    pub(crate) fn was_cut(&self) -> bool {
        self.has_a_body()
            && self.cut().is_some_and(|(point, _)| match point.sent() {
                Sent::Nothing => false,
                Sent::PartOfTheHead | Sent::PartOfTheRequest => true,
            })
    }

    /// Where and how a request was cut, if one was.
    pub(crate) fn cut(&self) -> Option<(CutPoint, Ending)> {
        self.attempts().find_map(|attempt| {
            let happened = attempt.exchange.fault_happened;
            match self.fault(attempt) {
                Fault::CutRequest { at, end } if happened => Some((at, end)),
                Fault::CutRequest { .. }
                | Fault::None
                | Fault::DropResponse
                | Fault::CutResponse { .. }
                | Fault::Reset { .. }
                | Fault::Timeout { .. } => None,
            }
        })
    }

    /// How the connection was ended in or after a request that was whole, if it was.
    pub(crate) fn ending(&self) -> Option<Ending> {
        self.attempts()
            .find_map(|attempt| match self.fault(attempt) {
                Fault::Reset { end, .. } | Fault::CutResponse { end, .. } => Some(end),
                Fault::None
                | Fault::DropResponse
                | Fault::CutRequest { .. }
                | Fault::Timeout { .. } => None,
            })
    }

    /// Where an answer was to be cut, if one was.
    pub(crate) fn answer_cut_at(&self) -> Option<AnswerPoint> {
        self.attempts()
            .find_map(|attempt| match self.fault(attempt) {
                Fault::CutResponse { at, .. } => Some(at),
                Fault::None
                | Fault::DropResponse
                | Fault::CutRequest { .. }
                | Fault::Reset { .. }
                | Fault::Timeout { .. } => None,
            })
    }

    /// Which hazard an excess is (`language.md` section 14, *What is whose name*).
    pub(crate) fn name_of_excess(&self, excess: &Excess, each: Option<f64>) -> Hazard {
        if self.failed_before_the_excess(excess, each) {
            return Hazard::ErrorAfterEffect;
        }
        match self.kind() {
            Kind::Replay | Kind::ChangedHeaders | Kind::Reserialised => {
                Hazard::DuplicateEffectSequential
            }
            Kind::Burst => Hazard::DuplicateEffectConcurrent,
            Kind::Stagger | Kind::Timeout => Hazard::DuplicateEffectInFlight,
            Kind::Reset => {
                let answered = self.attempts().any(|attempt| {
                    matches!(self.fault(attempt), Fault::Reset { .. })
                        && attempt.exchange.timing.first_in.is_some()
                });
                if answered {
                    Hazard::DuplicateEffectDroppedResponse
                } else if self.ending() == Some(Ending::Silence) {
                    // Nobody was told that the client is gone: the handler went on
                    // while the retry came.
                    Hazard::DuplicateEffectInFlight
                } else {
                    Hazard::CancelMidHandler
                }
            }
            // Before the end of its head nothing of a request can be executed: what
            // is there twice was done by the retries, one after the other.
            Kind::CutRequest
                if self
                    .cut()
                    .is_some_and(|(point, _)| point.sent() != Sent::PartOfTheRequest) =>
            {
                Hazard::DuplicateEffectSequential
            }
            Kind::CutRequest if self.has_a_body() => Hazard::PartialUploadExecuted,
            // What has no body cannot be cut in it: closing after the head of such
            // a request only loses its answer.
            Kind::DropResponse | Kind::CutResponse | Kind::CutRequest => {
                Hazard::DuplicateEffectDroppedResponse
            }
        }
    }

    /// Whether an attempt was answered with an error although its effect stayed,
    /// and the next one made the excess.
    fn failed_before_the_excess(&self, excess: &Excess, each: Option<f64>) -> bool {
        let before: Vec<_> = self
            .deliveries
            .iter()
            .filter(|one| one.delivered() && one.sent() <= excess.first)
            .collect();
        let may_have_run: Vec<_> = before
            .iter()
            .filter(|one| one.outcome != crate::contract::Outcome::Rejected)
            .collect();
        #[expect(clippy::cast_precision_loss, reason = "a trial has few attempts")]
        let most = may_have_run.len() as f64;
        let one_was_refused_in_vain =
            each.is_some_and(|each| each != 0.0 && excess.seen / each > most + 1e-9);
        before.iter().any(|failed| {
            let error = match failed.outcome {
                crate::contract::Outcome::Unknown => {
                    failed.status().is_some_and(|status| status >= 500)
                }
                crate::contract::Outcome::Rejected => {
                    failed.status().is_some() && one_was_refused_in_vain
                }
                crate::contract::Outcome::Ok => false,
            };
            error && may_have_run.iter().any(|next| failed.precedes(next))
        })
    }
}
