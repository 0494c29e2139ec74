//! Effects against what the outcomes allow: too many, too few, some parts and not
//! others (`retry-safety.md` sections 2.0, 3.2; `language.md` section 14).
//!
//! An excess is proved by one reading; a lack only after settle, and only where
//! an answer said that the operation took effect. Where the outcomes of a flow
//! leave open which of its operations an effect belongs to, whatever any of them
//! would allow is allowed.

use super::EventIndex;
use super::view::{Seen, TrialView};
use crate::codes::Reason;
use crate::contract::{Allowed, Contract, Outcome, TransientExcess, Wanted};
use crate::history::{Observation, Offset, Round, Settled};
use crate::plan::{Effect, Expectation, PlannedScenario};

/// One effect of one operation, judged. An effect without marker cannot tell the
/// operations of a trial apart: it is judged once, for the trial as a whole.
pub(crate) struct Judged<'a> {
    /// Index in the scenario.
    pub(crate) effect: usize,
    /// The instance; the first one where it stands for the whole trial.
    pub(crate) instance: usize,
    /// What the outcomes allow; `None` for a value that is compared.
    pub(crate) allowed: Option<Allowed>,
    /// n of one operation, where the effect is counted.
    pub(crate) each: Option<f64>,
    /// The number at the end.
    pub(crate) value: Option<f64>,
    /// The last reading, and where it stands.
    pub(crate) last: Option<&'a Observation>,
    pub(crate) last_event: Option<EventIndex>,
    /// Whether the last reading is one that stays.
    pub(crate) settled: bool,
    /// The first reading before anything was sent, and the last, as read.
    pub(crate) raw: (Option<f64>, Option<f64>),
    /// The last reading before the closing retry.
    pub(crate) counted: Option<Counted>,
    /// What is to be said of it.
    pub(crate) state: State,
}

/// A reading before the closing retry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Counted {
    pub(crate) event: EventIndex,
    pub(crate) seen: f64,
    pub(crate) since: Offset,
}

/// What is to be said of an effect.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum State {
    /// Nothing: it was not read, and did not have to be.
    Untold,
    /// It is as allowed.
    Fits,
    /// A reading was above what is allowed.
    Excess(Excess),
    /// After settle it is below what is allowed.
    Lack { event: EventIndex, seen: f64 },
    /// After settle it is neither nothing nor all.
    Between { event: EventIndex, seen: f64 },
    /// After settle the value is another one; where it moved by a multiple of
    /// what was expected, that multiple.
    Differs {
        event: EventIndex,
        times: Option<f64>,
    },
    /// It cannot be told.
    Unclear { reason: Reason, what: String },
}

/// A reading above what is allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Excess {
    /// The reading that shows most.
    pub(crate) event: EventIndex,
    /// What it shows.
    pub(crate) seen: f64,
    /// The most that is allowed.
    pub(crate) most: f64,
    /// When the first such reading was answered.
    pub(crate) first: Offset,
}

/// Judges every effect of a trial.
pub(crate) fn judge_trial<'a>(
    scenario: &'a PlannedScenario,
    trial: &TrialView<'a>,
) -> Vec<Judged<'a>> {
    let mut all = Vec::new();
    for (index, effect) in scenario.effects.iter().enumerate() {
        if effect.marked {
            for instance in 0..trial.instances.len() {
                all.extend(judge_effect(scenario, trial, index, effect, &[instance]));
            }
        } else {
            let whole: Vec<usize> = (0..trial.instances.len()).collect();
            all.extend(judge_effect(scenario, trial, index, effect, &whole));
        }
    }
    all
}

/// What the exchanges of one instance say about the operations that an effect
/// depends on.
struct Claims {
    /// Something was sent, or was to be.
    any: bool,
    /// What they say together.
    outcome: Outcome,
    /// When the first `ok` of the last of the operations was there.
    last_ok: Option<Offset>,
}

impl Claims {
    fn of(scenario: &PlannedScenario, trial: &TrialView<'_>, effect: &Effect, at: usize) -> Self {
        let last = effect
            .at
            .as_ref()
            .and_then(|name| scenario.operations.iter().position(|op| &op.name == name))
            .unwrap_or(scenario.operations.len().saturating_sub(1));
        let mut outcomes = vec![Vec::new(); last + 1];
        let mut last_ok: Option<Offset> = None;
        for seen in &trial.instances[at].exchanges {
            let exchange = seen.item;
            let Some(of_operation) = outcomes.get_mut(exchange.operation) else {
                continue;
            };
            let outcome = scenario.contract.outcome(exchange.claim());
            of_operation.push(outcome);
            if outcome == Outcome::Ok && exchange.operation == last {
                let ended = exchange.timing.last_in.unwrap_or(exchange.timing.ended);
                last_ok = Some(last_ok.map_or(ended, |at| at.min(ended)));
            }
        }
        Self {
            any: outcomes.iter().any(|of_operation| !of_operation.is_empty()),
            outcome: Outcome::of_flow(outcomes.into_iter().map(Outcome::of_key)),
            last_ok,
        }
    }

    fn allowed(&self, wanted: Wanted) -> Allowed {
        Allowed::from_outcomes(wanted, [self.outcome])
    }
}

impl Judged<'_> {
    /// What becomes of it where the record ends before the run does: an effect that
    /// was not read at the end would have been.
    pub(crate) fn cut_short(mut self) -> Self {
        let unsettled = matches!(
            self.state,
            State::Unclear {
                reason: Reason::NotSettled,
                ..
            }
        );
        if unsettled && self.last.is_none() {
            self.state = interrupted();
        }
        self
    }
}

fn judge_effect<'a>(
    scenario: &'a PlannedScenario,
    trial: &TrialView<'a>,
    index: usize,
    effect: &'a Effect,
    instances: &[usize],
) -> Option<Judged<'a>> {
    let claims: Vec<Claims> = instances
        .iter()
        .map(|instance| Claims::of(scenario, trial, effect, *instance))
        .filter(|claims| claims.any)
        .collect();
    let first = *instances.first()?;
    let mut readings: Vec<&Seen<'a, Observation>> = instances
        .iter()
        .flat_map(|instance| &trial.instances[*instance].observations)
        .filter(|seen| seen.item.effect == index)
        .collect();
    readings.sort_by_key(|seen| seen.event);
    let last = readings
        .iter()
        .rev()
        .find(|seen| seen.item.round == Round::Final);
    let mut judged = Judged {
        effect: index,
        instance: first,
        allowed: None,
        each: None,
        value: None,
        last: last.map(|seen| seen.item),
        last_event: last.map(|seen| seen.event),
        settled: false,
        raw: (None, None),
        counted: None,
        state: State::Untold,
    };
    if claims.is_empty() {
        // Nothing of this instance was sent: there is nothing to judge.
        return None;
    }
    let series = Series {
        effect,
        contract: &scenario.contract,
        claims: &claims,
        readings: &readings,
    };
    series.judge(&mut judged);
    Some(judged)
}

/// All readings of one effect for one operation.
struct Series<'a, 'b> {
    effect: &'a Effect,
    contract: &'a Contract,
    claims: &'b [Claims],
    readings: &'b [&'b Seen<'a, Observation>],
}

impl<'a> Series<'a, '_> {
    fn judge(&self, judged: &mut Judged<'a>) {
        judged.raw = (
            self.readings
                .iter()
                .find(|seen| seen.item.round == Round::Before)
                .and_then(|seen| number(seen.item)),
            judged.last.and_then(number),
        );
        if self.compares_a_value() {
            judged.settled = judged.last.is_some_and(stays);
            judged.state = self.compare(judged.raw);
            return;
        }
        let rendered = self
            .readings
            .iter()
            .rev()
            .find_map(|seen| seen.item.expected.as_ref());
        let Some(wanted) = self.effect.wanted(self.contract, rendered) else {
            // A number that hangs on a captured value which never came.
            return;
        };
        let base = if self.effect.delta || !self.effect.marked {
            let Some(base) = judged.raw.0 else {
                judged.state = self.unread_before();
                return;
            };
            base
        } else {
            0.0
        };
        // Stock that goes down is an effect like one that goes up: it is turned
        // round, so that "more" means "more of it".
        let sign = match wanted {
            Wanted::Times(n) if n < 0.0 => -1.0,
            Wanted::Times(_) | Wanted::Bounds { .. } => 1.0,
        };
        let allowed = self.allowed(match wanted {
            Wanted::Times(n) => Wanted::Times(n * sign),
            Wanted::Bounds { .. } => wanted,
        });
        let gauge = Gauge {
            base,
            sign,
            allowed,
        };
        judged.allowed = Some(gauge.shown());
        judged.each = match wanted {
            Wanted::Times(n) => Some(n),
            Wanted::Bounds { .. } => None,
        };
        judged.value = judged.last.and_then(number).map(|n| n - base);
        judged.settled = judged.last.is_some_and(stays);
        judged.counted = self
            .readings
            .iter()
            .rev()
            .filter(|seen| seen.item.round == Round::Count)
            .find_map(|seen| {
                Some(Counted {
                    event: seen.event,
                    seen: gauge.plain(number(seen.item)?),
                    since: seen.item.since,
                })
            });
        judged.state = self.count(&gauge, wanted);
    }

    fn compares_a_value(&self) -> bool {
        matches!(
            self.effect.expectation,
            Expectation::Equals(_) | Expectation::Matches(_) | Expectation::OneOf(_)
        )
    }

    /// What all operations together allow: the sum of the least to the sum of the
    /// most (`retry-safety.md` 3.2, "only a total is visible").
    fn allowed(&self, wanted: Wanted) -> Allowed {
        let mut each = self.claims.iter().map(|claims| claims.allowed(wanted));
        let first = each.next().unwrap_or(Allowed::Exactly(0.0));
        each.fold(first, |sum, next| match (sum, next) {
            (Allowed::Exactly(a), Allowed::Exactly(b)) => Allowed::Exactly(a + b),
            (
                a @ (Allowed::Exactly(_) | Allowed::ZeroOr(_) | Allowed::Between(..)),
                b @ (Allowed::Exactly(_) | Allowed::ZeroOr(_) | Allowed::Between(..)),
            ) => Allowed::Between(a.min() + b.min(), a.max() + b.max()),
        })
    }

    fn all_ok(&self) -> bool {
        self.claims
            .iter()
            .all(|claims| claims.outcome == Outcome::Ok)
    }

    fn unread_before(&self) -> State {
        let failed = self
            .readings
            .iter()
            .filter(|seen| seen.item.round == Round::Before)
            .find_map(|seen| seen.item.reading.as_ref().err());
        State::Unclear {
            reason: Reason::ProbeUnreadable,
            what: match failed {
                Some(failure) => format!("could not be read before the trial: {}", failure.what),
                None => "was not read before the trial".to_owned(),
            },
        }
    }

    fn count(&self, gauge: &Gauge, wanted: Wanted) -> State {
        if let Some(excess) = self.excess(gauge, wanted) {
            return State::Excess(excess);
        }
        let (event, seen, settled) = match self.last_number() {
            Ok(last) => last,
            Err(unclear) => return unclear,
        };
        let value = gauge.turned(seen);
        if gauge.allowed.admits(value) {
            return match settled {
                Settled::Stable | Settled::Lacking => State::Fits,
                // The wait was ended by an excess that is none here: whoever
                // waited knew less, and what came later is not known.
                Settled::Excess => unsettled("was not read to the end"),
                Settled::Moving | Settled::Unreadable | Settled::Interrupted => {
                    unsettled("did not come to rest")
                }
            };
        }
        let bounds = matches!(wanted, Wanted::Bounds { .. });
        if bounds && !self.all_ok() {
            // Nobody said that the operation took effect, so its lack is none.
            return State::Fits;
        }
        if settled != Settled::Lacking || self.equal_readings_at_the_end() < 2 {
            return unsettled("was below what is allowed, and was not read for long enough");
        }
        let seen = gauge.plain(seen);
        if gauge.allowed.missed_by(value) {
            State::Lack { event, seen }
        } else {
            State::Between { event, seen }
        }
    }

    /// The reading that shows most above what is allowed.
    fn excess(&self, gauge: &Gauge, wanted: Wanted) -> Option<Excess> {
        let transient = self.effect.transient_excess == TransientExcess::Allowed
            || self.contract.transient_excess == TransientExcess::Allowed;
        let last = self.readings.last().map(|seen| seen.event);
        let refused_only = self
            .claims
            .iter()
            .all(|claims| claims.outcome == Outcome::Rejected);
        let times = matches!(wanted, Wanted::Times(_));
        let mut found: Option<Excess> = None;
        for reading in self.readings {
            let counts = match reading.item.round {
                Round::Before => false,
                // With refusals only, an effect is judged after settle; a bound
                // that holds after an operation is not judged before it.
                Round::Count => {
                    if times {
                        !refused_only
                    } else {
                        self.bound_is_in_force(reading.item)
                    }
                }
                Round::Final => times || self.bound_is_in_force(reading.item),
            } && (!transient || Some(reading.event) == last);
            let Some(seen) = number(reading.item).filter(|_| counts) else {
                continue;
            };
            if !gauge.allowed.exceeded_by(gauge.turned(seen)) {
                continue;
            }
            let first = found.map_or(reading.item.until, |excess| excess.first);
            let more = found.is_none_or(|excess| gauge.turned(seen) >= excess.seen * gauge.sign);
            if more {
                found = Some(Excess {
                    event: reading.event,
                    seen: gauge.plain(seen),
                    most: gauge.allowed.max() * gauge.sign,
                    first,
                });
            }
        }
        found
    }

    /// A bound without `at` holds always; one with it from the moment at which
    /// the operation was answered `ok`.
    fn bound_is_in_force(&self, observation: &Observation) -> bool {
        self.effect.at.is_none()
            || self.claims.iter().all(|claims| {
                claims
                    .last_ok
                    .is_some_and(|answered| answered <= observation.since)
            })
    }

    /// The last reading of all, or why there is none that counts.
    fn last_final(&self) -> Result<(&Seen<'a, Observation>, Settled), State> {
        let Some(last) = self
            .readings
            .iter()
            .rev()
            .find(|seen| seen.item.round == Round::Final)
        else {
            return Err(State::Unclear {
                reason: Reason::NotSettled,
                what: "was not read at the end".to_owned(),
            });
        };
        match (&last.item.reading, last.item.settled) {
            (Err(failure), Some(Settled::Interrupted)) if failure.passing => Err(interrupted()),
            (Err(failure), _) => Err(State::Unclear {
                reason: Reason::ProbeUnreadable,
                what: format!("could not be read: {}", failure.what),
            }),
            (Ok(_), None | Some(Settled::Interrupted)) => Err(interrupted()),
            (Ok(_), Some(Settled::Unreadable)) => Err(State::Unclear {
                reason: Reason::ProbeUnreadable,
                what: "could not be read".to_owned(),
            }),
            (Ok(_), Some(Settled::Moving)) => Err(unsettled("still changed")),
            (Ok(_), Some(settled @ (Settled::Stable | Settled::Lacking | Settled::Excess))) => {
                Ok((last, settled))
            }
        }
    }

    fn last_number(&self) -> Result<(EventIndex, f64, Settled), State> {
        let (last, settled) = self.last_final()?;
        match number(last.item) {
            Some(seen) => Ok((last.event, seen, settled)),
            None => Err(State::Unclear {
                reason: Reason::ProbeUnreadable,
                what: "is not a number".to_owned(),
            }),
        }
    }

    /// How many readings at the end agree with the last; failed ones in between
    /// are passed over.
    fn equal_readings_at_the_end(&self) -> u32 {
        let finals = self
            .readings
            .iter()
            .rev()
            .map(|seen| seen.item)
            .filter(|observation| observation.round == Round::Final)
            .filter_map(|observation| Some((observation.reading.as_ref().ok()?, observation)));
        let mut last = None;
        let mut equal = 0_u32;
        for (reading, observation) in finals {
            if !last.get_or_insert(reading).says_the_same(reading) {
                break;
            }
            equal = equal.saturating_add(observation.readings);
        }
        equal
    }

    fn compare(&self, raw: (Option<f64>, Option<f64>)) -> State {
        if !self.all_ok() {
            return State::Untold;
        }
        let (last, settled) = match self.last_final() {
            Ok(last) => last,
            Err(unclear) => return unclear,
        };
        let met = self.meets(last.item);
        match (met, settled) {
            (Some(true), _) | (None, Settled::Stable) => State::Fits,
            (Some(false) | None, Settled::Lacking) if self.equal_readings_at_the_end() >= 2 => {
                State::Differs {
                    event: last.event,
                    times: self.times(last.item, raw.0),
                }
            }
            (
                Some(false) | None,
                Settled::Stable
                | Settled::Excess
                | Settled::Lacking
                | Settled::Moving
                | Settled::Unreadable
                | Settled::Interrupted,
            ) => unsettled("was another value, and was not read for long enough"),
        }
    }

    /// How many times over a number moved that was to move once: only a reading
    /// before tells.
    fn times(&self, last: &Observation, before: Option<f64>) -> Option<f64> {
        let Expectation::Equals(template) = &self.effect.expectation else {
            return None;
        };
        let wanted = last.expected.as_ref().unwrap_or(&template.0).as_f64()?;
        let step = wanted - before?;
        let times = (number(last)? - before?) / step;
        let whole = (times - times.round()).abs() < 1e-6;
        (step != 0.0 && whole && times >= 2.0).then_some(times.round())
    }

    /// Whether a value is as expected; `None` where that cannot be told here.
    fn meets(&self, observation: &Observation) -> Option<bool> {
        let seen = observation.reading.as_ref().ok()?.json()?;
        self.effect.fits(&seen, observation.expected.as_ref())
    }
}

/// How a reading is held against what is allowed.
struct Gauge {
    base: f64,
    sign: f64,
    allowed: Allowed,
}

impl Gauge {
    /// A reading as a number of effects, turned so that more is more.
    fn turned(&self, seen: f64) -> f64 {
        (seen - self.base) * self.sign
    }

    /// A reading as a number of effects, as people see it.
    fn plain(&self, seen: f64) -> f64 {
        seen - self.base
    }

    /// What is allowed, as people see it.
    fn shown(&self) -> Allowed {
        if self.sign > 0.0 {
            return self.allowed;
        }
        match self.allowed {
            Allowed::Exactly(n) => Allowed::Exactly(-n),
            Allowed::ZeroOr(n) => Allowed::ZeroOr(-n),
            Allowed::Between(low, high) => Allowed::Between(-high, -low),
        }
    }
}

fn unsettled(what: &str) -> State {
    State::Unclear {
        reason: Reason::NotSettled,
        what: what.to_owned(),
    }
}

fn interrupted() -> State {
    State::Unclear {
        reason: Reason::Interrupted,
        what: "was not read to the end".to_owned(),
    }
}

/// Whether a reading is one that stays: patience was over, or it was allowed and
/// unchanged.
fn stays(observation: &Observation) -> bool {
    observation.reading.is_ok()
        && matches!(
            observation.settled,
            Some(Settled::Stable | Settled::Lacking)
        )
}

/// A reading as a number.
pub(crate) fn number(observation: &Observation) -> Option<f64> {
    observation.reading.as_ref().ok()?.number()
}

/// Parts of one operation that do not go together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Unequal {
    /// The effects with the number of each and the number wanted.
    pub(crate) parts: Vec<(usize, f64, f64)>,
    /// The readings that show it.
    pub(crate) events: Vec<EventIndex>,
    /// Whether some part is right: then this explains what is wrong with the
    /// others, and they are not accused again.
    pub(crate) some_right: bool,
}

/// Finds the groups of an instance whose parts are neither all there nor all
/// absent. `trusted` says which effects may be judged, `visible_after` how long
/// an effect was seen to take to become visible.
pub(crate) fn unequal(
    scenario: &PlannedScenario,
    trial: &TrialView<'_>,
    judged: &[Judged<'_>],
    instance: usize,
    trusted: &dyn Fn(usize) -> bool,
    visible_after: &dyn Fn(usize) -> u64,
) -> Vec<Unequal> {
    let of = |effect: usize| {
        judged.iter().find(|judged| {
            judged.effect == effect
                && judged.instance == instance
                && (scenario.effects[effect].marked || trial.instances.len() == 1)
        })
    };
    let ended = trial.instances[instance]
        .exchanges
        .iter()
        .map(|seen| seen.item.timing.ended)
        .max()
        .unwrap_or_default();
    scenario
        .together
        .iter()
        .filter_map(|group| {
            let mut parts = Vec::new();
            for effect in group {
                let judged = of(*effect).filter(|_| trusted(*effect))?;
                parts.push(Part::of(judged)?);
            }
            // An attempt without an answer may still be at work: a part that is
            // missing then counts as missing only if it had as long as the
            // controls needed, twice over.
            let late = |part: &Part| {
                part.is(Standing::Nothing)
                    && part.open
                    && part.until.since(ended) < 2 * visible_after(part.effect)
            };
            if parts.iter().any(late) {
                return None;
            }
            let right = parts.iter().filter(|part| part.is(Standing::Right)).count();
            let nothing = parts
                .iter()
                .filter(|part| part.is(Standing::Nothing))
                .count();
            let excess = parts
                .iter()
                .filter(|part| part.is(Standing::Excess))
                .count();
            let some = parts.iter().filter(|part| part.is(Standing::Some)).count();
            let unequal = right > 0 && right < parts.len()
                || excess > 0 && nothing + some > 0
                || nothing > 0 && some > 0;
            unequal.then(|| Unequal {
                events: parts.iter().map(|part| part.event).collect(),
                some_right: right > 0,
                parts: parts
                    .iter()
                    .map(|part| (part.effect, part.value, part.each))
                    .collect(),
            })
        })
        .collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Right,
    Nothing,
    Some,
    Excess,
}

struct Part {
    effect: usize,
    value: f64,
    each: f64,
    standing: Standing,
    event: EventIndex,
    until: Offset,
    /// Whether no answer said that it has to be there.
    open: bool,
}

impl Part {
    fn is(&self, standing: Standing) -> bool {
        self.standing == standing
    }

    /// `None` where nothing certain can be said of it.
    fn of(judged: &Judged<'_>) -> Option<Self> {
        let each = judged.each.filter(|each| *each != 0.0)?;
        let last = judged.last?;
        let value = judged.value?;
        let (standing, event, value) = match &judged.state {
            State::Excess(excess) => (Standing::Excess, excess.event, excess.seen),
            State::Lack { event, seen } if *seen == 0.0 => (Standing::Nothing, *event, *seen),
            State::Lack { event, seen } | State::Between { event, seen } => {
                (Standing::Some, *event, *seen)
            }
            State::Fits if judged.settled && value == 0.0 => {
                (Standing::Nothing, judged.last_event?, value)
            }
            State::Fits if judged.settled => (Standing::Right, judged.last_event?, value),
            State::Untold | State::Fits | State::Differs { .. } | State::Unclear { .. } => {
                return None;
            }
        };
        Some(Self {
            effect: judged.effect,
            value,
            each,
            standing,
            event,
            until: last.until,
            open: !matches!(judged.allowed, Some(Allowed::Exactly(_))),
        })
    }
}
