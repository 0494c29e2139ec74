//! Sweeps: how long after the first attempt the second one comes is the parameter,
//! and what is answered there decides where to look next (`transport.md` section
//! 5).
//!
//! A window that opens late (the lock is released before the answer is stored) lies
//! at the edge between two kinds of answer: "in progress" before, the stored answer
//! after. The first quarter of a sweep's trials is spread evenly over [0, 120 %] of
//! H; where they show an edge the others walk up and down to it and hover there,
//! else they go on being spread evenly. [`waves`] says which trials may be refined
//! together, [`refine`] gives them their new offsets: the same trials with the same
//! keys, so that the plan stays what was drawn from the seed in all else.
//!
//! Pure: the same plan and the same observations give the same trials. But what is
//! observed depends on the target, so that two runs of one seed may look in
//! different places; what a run did stands in its history.

use super::{Attempt, Fault, Moment, Plan, Release, ResetPoint, Role, Then, Trial, TrialId};
use rand_chacha::rand_core::Rng;
use std::collections::{BTreeMap, BTreeSet};

/// The far end of a sweep, in millionths of H (`transport.md` section 5).
pub(super) const SWEEP_END_PPM: u32 = 1_200_000;

/// The least step of the walk, in microseconds (`transport.md` section 5).
const LEAST_STEP_US: f64 = 20.0;

/// The fewest trials of a sweep that are spread evenly, where it has so many.
const LEAST_SPREAD: usize = 4;

/// The number of trials in which attempts have to meet for a case to pass.
const NEEDED: usize = 10;

/// How the second attempt of a trial was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Seen {
    /// The key is in progress.
    InProgress,
    /// With the result of the first, once that was there.
    Waited,
    /// With the result of the first, from what was stored.
    Replayed,
    /// It was executed itself: another result, or as slow as a first execution where
    /// that of the first is not known.
    Executed,
    /// Refused otherwise.
    Refused,
    /// With a server error.
    Failed,
    /// Not at all.
    Silent,
}

/// One trial of a sweep as it came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed {
    /// The trial.
    pub trial: TrialId,
    /// From the last byte of the first attempt to that of the second, as it was, in
    /// nanoseconds.
    pub offset_ns: u64,
    /// How the second was answered.
    pub seen: Seen,
    /// Whether the trial counts as one in which the pattern happened.
    pub powered: bool,
}

/// What a sweep has shown so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    /// Index of the case in the plan.
    pub case: usize,
    /// H in nanoseconds, as the controls measured it.
    pub h_ns: u64,
    /// The trials that were run, in any order.
    pub observed: Vec<Observed>,
}

/// The trials of a round in the order in which they may run: those of one wave side
/// by side, each wave once the one before it has been answered. The first holds
/// everything that is never refined, a later one at most one trial of each sweep (of
/// each kind of socket, in a `timeout`).
pub fn waves(plan: &Plan, trials: &[usize]) -> Vec<Vec<usize>> {
    let refined = refinable(plan);
    let mut waves = vec![Vec::new()];
    let mut later: BTreeMap<(usize, Lane), Vec<usize>> = BTreeMap::new();
    for index in trials {
        let trial = &plan.trials[*index];
        match trial.role {
            Role::Case(case) if refined.contains(&trial.id) => {
                later.entry((case, lane(trial))).or_default().push(*index);
            }
            Role::Case(_) | Role::Control(_) | Role::WarmUp => waves[0].push(*index),
        }
    }
    for lane in later.values_mut() {
        lane.sort_by_key(|index| plan.trials[*index].id);
    }
    let longest = later.values().map(Vec::len).max().unwrap_or(0);
    for position in 0..longest {
        waves.push(
            later
                .values()
                .filter_map(|lane| lane.get(position).copied())
                .collect(),
        );
    }
    waves.retain(|wave| !wave.is_empty());
    waves
}

/// The trials of a wave whose offsets change for what was seen; one that is not
/// among them runs as it was planned.
pub fn refine(plan: &Plan, axes: &[Axis], wave: &[TrialId]) -> Vec<Trial> {
    let refined = refinable(plan);
    wave.iter()
        .filter(|id| refined.contains(id))
        .filter_map(|id| {
            let trial = plan.trials.iter().find(|trial| trial.id == *id)?;
            let Role::Case(case) = trial.role else {
                return None;
            };
            let axis = axes.iter().find(|axis| axis.case == case)?;
            let offset_us = next(plan, axis, trial)?;
            let mut trial = trial.clone();
            put(&mut trial.attempts, offset_us);
            Some(trial)
        })
        .collect()
}

/// Where along the axis the answers change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// After so many nanoseconds: the middle between two trials.
    pub at_ns: u64,
    /// What most were answered before it.
    pub before: Seen,
    /// What most were answered after it.
    pub after: Seen,
}

/// The edge that the trials of a sweep show; `None` where there is none that four of
/// five of them agree with.
pub fn edge(observed: &[Observed]) -> Option<Edge> {
    let sides = Sides::of(observed);
    let mut points: Vec<(u64, Seen, Side)> = observed
        .iter()
        .map(|one| (one.offset_ns, one.seen, sides.side(one.seen)))
        .filter(|(.., side)| *side != Side::Between)
        .collect();
    points.sort_unstable_by_key(|(at, seen, _)| (*at, *seen));
    let agree = |cut: usize| {
        let on = |part: &[(u64, Seen, Side)], wanted: Side| {
            part.iter().filter(|(.., side)| *side == wanted).count()
        };
        on(&points[..cut], Side::Before) + on(&points[cut..], Side::After)
    };
    let cut = (1..points.len()).max_by_key(|cut| (agree(*cut), usize::MAX - cut))?;
    let most = |part: &[(u64, Seen, Side)], wanted: Side| {
        let mut numbers: BTreeMap<Seen, usize> = BTreeMap::new();
        for (_, seen, _) in part.iter().filter(|(.., side)| *side == wanted) {
            *numbers.entry(*seen).or_default() += 1;
        }
        numbers
            .into_iter()
            .max_by_key(|(_, number)| *number)
            .map(|(seen, _)| seen)
    };
    if agree(cut) * 5 < points.len() * 4 {
        return None;
    }
    Some(Edge {
        at_ns: u64::midpoint(points[cut - 1].0, points[cut].0),
        before: most(&points[..cut], Side::Before)?,
        after: most(&points[cut..], Side::After)?,
    })
}

/// How many of a sweep's trials are spread evenly before anything is refined.
fn spread_evenly(trials: usize) -> usize {
    trials.div_ceil(4).max(LEAST_SPREAD).min(trials)
}

/// The trials that are run for what others showed.
fn refinable(plan: &Plan) -> BTreeSet<TrialId> {
    plan.cases
        .iter()
        .enumerate()
        .filter(|(_, case)| case.sweeps)
        .flat_map(|(index, _)| {
            let of_case = of_case(plan, index);
            let first = spread_evenly(of_case.len());
            of_case.into_iter().skip(first).map(|trial| trial.id)
        })
        .collect()
}

fn of_case(plan: &Plan, case: usize) -> Vec<&Trial> {
    let mut trials: Vec<&Trial> = plan
        .trials
        .iter()
        .filter(|trial| trial.role == Role::Case(case))
        .collect();
    trials.sort_by_key(|trial| trial.id);
    trials
}

/// What walks on its own: a target may treat a client that closed its socket
/// differently from one that only stopped waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Open,
    Closed,
}

fn lane(trial: &Trial) -> Lane {
    let closes = trial.attempts.iter().any(|attempt| {
        matches!(
            attempt.fault,
            Fault::Timeout {
                then: Then::Close,
                ..
            }
        )
    });
    if closes { Lane::Closed } else { Lane::Open }
}

/// Where on the axis a trial is to look, in microseconds; `None` where nothing was
/// seen that says so.
fn next(plan: &Plan, axis: &Axis, trial: &Trial) -> Option<u64> {
    let order = of_case(plan, axis.case);
    let index = order.iter().position(|one| one.id == trial.id)?;
    let first = spread_evenly(order.len());
    let end = micros(axis.h_ns) * f64::from(SWEEP_END_PPM) / 1e6;
    let mut seen: Vec<(usize, Lane, &Observed)> = axis
        .observed
        .iter()
        .filter_map(|one| {
            let at = order.iter().position(|trial| trial.id == one.trial)?;
            Some((at, lane(order[at]), one))
        })
        .collect();
    seen.sort_by_key(|(at, ..)| *at);
    let stream = [
        "walk",
        plan.cases[axis.case].id.0.as_str(),
        &index.to_string(),
    ];
    let drawn = plan.seed.stream(&stream).next_u32();
    let share = f64::from(drawn) / f64::from(u32::MAX);

    // A trial whose second attempt comes after the answer to the first does not
    // count for a pass: as many as have to are kept in front of the edge.
    let powered = seen.iter().filter(|(.., one)| one.powered).count();
    let missing = NEEDED.min(order.len()).saturating_sub(powered);
    if missing > 0 && missing >= order.len() - index {
        let soonest = seen
            .iter()
            .filter(|(.., one)| one.seen == Seen::Replayed)
            .map(|(.., one)| micros(one.offset_ns))
            .fold(0.8 * micros(axis.h_ns), f64::min);
        return Some(whole(0.7 * share * soonest));
    }

    let mine: Vec<(usize, &Observed)> = seen
        .iter()
        .filter(|(_, of, _)| *of == lane(trial))
        .map(|(at, _, one)| (*at, *one))
        .collect();
    let sides = Sides::of(mine.iter().map(|(_, one)| *one));
    let mut walk: Option<Walk> = None;
    for (place, (_, one)) in mine.iter().enumerate() {
        match &mut walk {
            Some(walk) => walk.go(one, sides),
            // The edge is looked for when all that is spread evenly is known.
            None if mine.get(place + 1).is_none_or(|(next, _)| *next >= first) => {
                walk = Walk::begin(&mine[..=place], sides);
            }
            None => {}
        }
    }
    let walk = walk?;
    Some(whole(walk.propose(share + 0.5).clamp(0.0, end)))
}

/// On which side of the edge an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// The first is still at work.
    Before,
    /// Its answer is stored.
    After,
    /// Neither: what is looked for, perhaps.
    Between,
}

/// How this target's answers tell the sides apart.
#[derive(Debug, Clone, Copy)]
struct Sides {
    /// It refuses a duplicate while the first is at work. One that is answered right
    /// after the first did not wait for it, then.
    refuses: bool,
    /// It refuses or holds a duplicate. One that is executed is an accident, then,
    /// and not how the target treats everything that comes early.
    guards: bool,
}

impl Sides {
    fn of<'o>(observed: impl IntoIterator<Item = &'o Observed>) -> Self {
        let seen: BTreeSet<Seen> = observed.into_iter().map(|one| one.seen).collect();
        let refuses = seen.contains(&Seen::InProgress);
        Self {
            refuses,
            guards: refuses || seen.contains(&Seen::Waited),
        }
    }

    fn side(self, seen: Seen) -> Side {
        match seen {
            Seen::Waited if self.refuses => Side::After,
            Seen::Executed if self.guards => Side::Between,
            Seen::InProgress | Seen::Waited | Seen::Executed => Side::Before,
            Seen::Replayed => Side::After,
            Seen::Refused | Seen::Failed | Seen::Silent => Side::Between,
        }
    }
}

/// The up and down staircase: up after an answer from before the edge, down after one
/// from behind it; the step is halved at each turn and grows by a fifth otherwise.
#[derive(Debug, Clone, Copy)]
struct Walk {
    at_us: f64,
    step_us: f64,
    /// +1 up, -1 down, 0 where it stays.
    direction: f64,
}

impl Walk {
    /// In the middle between the last answer from before the edge and the first from
    /// behind it; `None` where there are not both.
    fn begin(known: &[(usize, &Observed)], sides: Sides) -> Option<Self> {
        let at = |side: Side| {
            known
                .iter()
                .filter(move |(_, one)| sides.side(one.seen) == side)
                .map(|(_, one)| micros(one.offset_ns))
        };
        let before = at(Side::Before).reduce(f64::max)?;
        let after = at(Side::After).reduce(f64::min)?;
        Some(Self {
            at_us: f64::midpoint(before, after),
            step_us: ((after - before).abs() / 4.0).max(LEAST_STEP_US),
            direction: 0.0,
        })
    }

    fn go(&mut self, one: &Observed, sides: Sides) {
        // Where it was, not where it was to be.
        self.at_us = micros(one.offset_ns);
        let direction = match sides.side(one.seen) {
            Side::Before => 1.0,
            Side::After => -1.0,
            Side::Between => 0.0,
        };
        let turned = direction * self.direction <= 0.0 && self.direction != 0.0;
        self.step_us = if turned || direction == 0.0 {
            (self.step_us / 2.0).max(LEAST_STEP_US)
        } else {
            self.step_us * 1.2
        };
        self.direction = direction;
    }

    /// Where to look next; `stretch` is between 0.5 and 1.5.
    fn propose(self, stretch: f64) -> f64 {
        if self.direction == 0.0 {
            self.at_us + self.step_us * (stretch - 1.0)
        } else {
            self.at_us + self.direction * self.step_us * stretch
        }
    }
}

/// Puts the attempts of a trial at this offset.
fn put(attempts: &mut [Attempt], offset_us: u64) {
    let at = Moment::Us(offset_us);
    for attempt in attempts {
        if let Release::At(moment) = &mut attempt.release {
            let times = u64::from(attempt.number.saturating_sub(1));
            *moment = Moment::Us(offset_us.saturating_mul(times));
        }
        match &mut attempt.fault {
            Fault::Timeout { after, .. } => *after = at,
            Fault::Reset { after, .. } => *after = ResetPoint::RequestSent(at),
            Fault::None
            | Fault::DropResponse
            | Fault::CutRequest { .. }
            | Fault::CutResponse { .. } => {}
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "offsets inside a handler are far below 2^53 nanoseconds"
)]
fn micros(ns: u64) -> f64 {
    ns as f64 / 1_000.0
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and what is negative is 0"
)]
fn whole(us: f64) -> u64 {
    us.max(0.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::super::Ending;
    use super::super::tests::{made, pattern, scenario};
    use super::*;
    use crate::scenario::{PatternKind, ResetAfter, When};
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    const H_MS: f64 = 30.0;

    /// A sweep with the trials of `standard`.
    fn swept(kind: PatternKind, seed: u64) -> Plan {
        made(&[scenario("shop", vec![pattern(kind, 3)])], seed)
    }

    fn stagger() -> PatternKind {
        PatternKind::Stagger {
            attempts: 3,
            gap: When::Sweep,
        }
    }

    fn timeout() -> PatternKind {
        PatternKind::Timeout {
            after: vec![When::Sweep],
        }
    }

    fn reset() -> PatternKind {
        PatternKind::Reset {
            after: ResetAfter::Sweep,
            end: Ending::Rst,
        }
    }

    /// When the second attempt of a trial leaves, in milliseconds.
    fn offset_ms(trial: &Trial) -> f64 {
        let moment = match trial.attempts[0].fault {
            Fault::Timeout { after, .. }
            | Fault::Reset {
                after: ResetPoint::RequestSent(after),
                ..
            } => after,
            _ => match trial.attempts[1].release {
                Release::At(after) => after,
                other => panic!("{other:?}"),
            },
        };
        let h = std::time::Duration::from_secs_f64(H_MS / 1e3);
        moment.resolve(h).as_secs_f64() * 1e3
    }

    #[derive(Debug)]
    struct Swept {
        /// Offsets and answers in the order in which they were run.
        seen: Vec<(f64, Seen)>,
        /// Offsets of the first plan.
        planned: Vec<f64>,
    }

    /// Runs a sweep against a target that answers a second attempt at this offset.
    fn run(plan: &Plan, mut answer: impl FnMut(f64) -> (Seen, bool)) -> Swept {
        let trials: Vec<usize> = (0..plan.trials.len()).collect();
        let of_case = |trial: &Trial| matches!(trial.role, Role::Case(_));
        let mut axis = Axis {
            case: 0,
            h_ns: 30_000_000,
            observed: Vec::new(),
        };
        let mut swept = Swept {
            seen: Vec::new(),
            planned: Vec::new(),
        };
        for (position, wave) in waves(plan, &trials).into_iter().enumerate() {
            let ids: Vec<TrialId> = wave.iter().map(|index| plan.trials[*index].id).collect();
            let refined = if position == 0 {
                Vec::new()
            } else {
                refine(plan, &[axis.clone()], &ids)
            };
            assert_eq!(
                refined,
                if position == 0 {
                    Vec::new()
                } else {
                    refine(plan, &[axis.clone()], &ids)
                },
                "the same was seen"
            );
            for index in wave {
                let planned = &plan.trials[index];
                if !of_case(planned) {
                    continue;
                }
                let trial = refined
                    .iter()
                    .find(|one| one.id == planned.id)
                    .unwrap_or(planned);
                assert_eq!(trial.instances, planned.instances);
                let at = offset_ms(trial);
                let (seen, powered) = answer(at);
                swept.seen.push((at, seen));
                swept.planned.push(offset_ms(planned));
                axis.observed.push(Observed {
                    trial: planned.id,
                    offset_ns: whole(at * 1e6),
                    seen,
                    powered,
                });
            }
        }
        swept
    }

    /// Refuses a duplicate for 80 % of its work, is open for one millisecond, and
    /// replays from then on; its times vary by one per cent.
    fn opens_late(seed: u64) -> impl FnMut(f64) -> (Seen, bool) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        move |at| {
            let noise = f64::from(random.next_u32()) / f64::from(u32::MAX) - 0.5;
            let opens = 24.0 * (1.0 + 0.03 * noise);
            let seen = if at < opens {
                Seen::InProgress
            } else if at < opens + 1.0 {
                Seen::Executed
            } else {
                Seen::Replayed
            };
            (seen, true)
        }
    }

    fn found(offsets: &[(f64, Seen)]) -> bool {
        offsets.iter().any(|(_, seen)| *seen == Seen::Executed)
    }

    #[test]
    fn the_walk_finds_a_window_that_opens_late_where_an_even_spread_misses_it() {
        for (kind, least) in [(stagger(), 57), (reset(), 57), (timeout(), 48)] {
            let (mut walked, mut spread, mut only) = (0, 0, 0);
            for seed in 0..60 {
                let swept = run(&swept(kind.clone(), seed), opens_late(seed));
                let mut target = opens_late(seed);
                let even: Vec<_> = swept
                    .planned
                    .iter()
                    .map(|at| (*at, target(*at).0))
                    .collect();
                walked += u32::from(found(&swept.seen));
                spread += u32::from(found(&even));
                only += u32::from(found(&swept.seen) && !found(&even));
                assert_eq!(swept.seen.len(), 20, "the budget stays");
            }
            // A millisecond of 36 in 20 places: every other time.
            assert!(spread <= 45, "{kind:?}: {spread} by an even spread");
            assert!(walked >= least, "{kind:?}: {walked} by the walk");
            assert!(only >= 10, "{kind:?}: {only} by the walk alone");
        }
    }

    #[test]
    fn the_walk_ends_at_the_edge() {
        for seed in 0..40 {
            let swept = run(&swept(stagger(), seed), opens_late(seed));
            let mut last: Vec<f64> = swept.seen[12..].iter().map(|(at, _)| *at).collect();
            last.sort_by(f64::total_cmp);
            let median = last[last.len() / 2];
            assert!((22.5..26.5).contains(&median), "{seed}: {last:?}");
            let spread = &swept.seen[..5];
            assert!(spread.iter().all(|(at, _)| (0.0..36.0).contains(at)));
        }
    }

    #[test]
    fn a_target_that_holds_duplicates_is_walked_to_its_end() {
        for seed in 0..20 {
            let swept = run(&swept(stagger(), seed), |at| {
                let seen = if at < H_MS {
                    Seen::Waited
                } else {
                    Seen::Replayed
                };
                (seen, true)
            });
            let last = &swept.seen[14..];
            let near = last.iter().filter(|(at, _)| (at - H_MS).abs() < 2.5);
            assert!(near.count() >= 4, "{seed}: {last:?}");
        }
    }

    #[test]
    fn without_an_edge_the_trials_go_on_as_planned() {
        let swept = run(&swept(stagger(), 3), |_| (Seen::InProgress, true));
        let offsets: Vec<f64> = swept.seen.iter().map(|(at, _)| *at).collect();
        assert_eq!(offsets, swept.planned);
    }

    #[test]
    fn enough_trials_are_kept_in_front_of_the_edge() {
        // Whatever comes after 10 ms finds the answer there, and does not count.
        for seed in 0..20 {
            let swept = run(&swept(stagger(), seed), |at| {
                let seen = if at < 10.0 {
                    Seen::InProgress
                } else {
                    Seen::Replayed
                };
                (seen, at < 10.0)
            });
            let powered = swept.seen.iter().filter(|(at, _)| *at < 10.0).count();
            assert!(powered >= 10, "{seed}: {powered} of {:?}", swept.seen);
        }
    }

    #[test]
    fn a_wave_holds_one_trial_of_each_sweep_and_socket() {
        let plan = made(
            &[scenario(
                "shop",
                vec![
                    pattern(stagger(), 1),
                    pattern(timeout(), 2),
                    pattern(PatternKind::DropResponse, 3),
                ],
            )],
            1,
        );
        let trials: Vec<usize> = (0..plan.trials.len()).collect();
        let waves = waves(&plan, &trials);
        let mut all: Vec<usize> = waves.concat();
        all.sort_unstable();
        assert_eq!(all, trials, "every trial once");
        // 10 of one, and 5 each of the others beside what is not of a case.
        let of_cases = |wave: &[usize]| {
            wave.iter()
                .filter(|index| matches!(plan.trials[**index].role, Role::Case(_)))
                .count()
        };
        assert_eq!(of_cases(&waves[0]), 20);
        // Fifteen of `stagger`, seven and eight of `timeout`.
        let later: Vec<usize> = waves[1..].iter().map(|wave| of_cases(wave)).collect();
        assert_eq!(later.len(), 15);
        assert_eq!(later.iter().sum::<usize>(), 30);
        assert!(later.iter().all(|number| (1..=3).contains(number)));
    }

    #[test]
    fn offsets_that_the_author_gave_are_not_swept() {
        for kind in [
            PatternKind::Stagger {
                attempts: 3,
                gap: When::ShareOfH(200_000),
            },
            PatternKind::Timeout {
                after: vec![When::ShareOfH(500_000)],
            },
            PatternKind::Reset {
                after: ResetAfter::At(When::ShareOfH(250_000)),
                end: Ending::Rst,
            },
        ] {
            let plan = swept(kind, 1);
            assert!(!plan.cases[0].sweeps);
            let trials: Vec<usize> = (0..plan.trials.len()).collect();
            assert_eq!(waves(&plan, &trials), [trials]);
            assert!(!plan.to_json().contains("sweeps"), "as it was");
        }
    }

    #[test]
    fn more_trials_leave_the_offsets_of_the_others() {
        let of = |trials| {
            let options = super::super::GenerateOptions {
                trials: Some(trials),
            };
            let scenarios = [scenario("shop", vec![pattern(reset(), 3)])];
            super::super::generate(&scenarios, super::super::Seed(9), &options).unwrap()
        };
        let (few, many) = (of(20), of(31));
        let of_case = |trial: &&Trial| matches!(trial.role, Role::Case(_));
        assert_eq!(few.trials.iter().filter(of_case).count(), 20);
        for trial in few.trials.iter().filter(of_case) {
            assert!(many.trials.contains(trial));
        }
    }

    #[test]
    fn an_edge_needs_both_sides_and_most_trials_to_agree() {
        let observed = |points: &[(u64, Seen)]| -> Vec<Observed> {
            points
                .iter()
                .zip(1..)
                .map(|((ms, seen), trial)| Observed {
                    trial: TrialId(trial),
                    offset_ns: ms * 1_000_000,
                    seen: *seen,
                    powered: true,
                })
                .collect()
        };
        let (early, late) = (Seen::InProgress, Seen::Replayed);
        let clear = [(2, early), (20, late), (10, early), (26, late), (21, early)];
        let edge_of = |points: &[(u64, Seen)]| edge(&observed(points));
        assert_eq!(
            edge_of(&clear),
            Some(Edge {
                at_ns: 15_000_000,
                before: early,
                after: late,
            })
        );
        assert_eq!(edge_of(&[(2, early), (9, early)]), None);
        assert_eq!(edge_of(&[(2, late), (9, late)]), None);
        assert_eq!(
            edge_of(&[(2, late), (9, early), (12, late), (14, early)]),
            None
        );
        assert_eq!(edge_of(&[]), None);
    }
}
