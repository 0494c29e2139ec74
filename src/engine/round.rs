//! A scenario from set-up to clean-up, and a round: trials in lanes, quiet,
//! count, closing retries, verification.

use super::exchange::{Manner, Unit};
use super::steps::For;
use super::trial::Void;
use super::world::{H, RunContext, World};
use super::{Asking, GoOn, Rounds, clean_up};
use crate::contract::Outcome;
use crate::history::{EventKind, Offset, Part, Phase, Round, SkipReason, Stage};
use crate::plan::{Control, Each, Role, Trial, waves};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

/// A trial that has begun.
struct Live {
    /// Index in the plan's trials.
    trial: usize,
    units: Vec<Unit>,
    /// Whether nothing of it can be judged; its clean-up runs all the same.
    void: bool,
}

impl Live {
    fn planned<'w>(&self, world: &'w World) -> &'w Trial {
        world.run.trial(self.trial)
    }
}

/// Probes of one effect that an instance may need, for the budget: most settle
/// in fewer, a lack needs more.
const PROBES_PER_EFFECT: u64 = 10;

/// How long warm-up may take.
const WARM_UP: Duration = Duration::from_secs(2);

/// Runs one scenario. Returns whether the run goes on after it.
pub(super) async fn scenario(
    mut world: World,
    go_on: GoOn,
    more_follow: bool,
    asking: &mut Asking<'_>,
) -> GoOn {
    let run = Arc::clone(&world.run);
    let mine: Vec<usize> = (0..run.plan.trials.len())
        .filter(|trial| run.plan.trials[*trial].scenario == world.index)
        .collect();
    let (cases, clean): (Vec<usize>, Vec<usize>) = mine
        .into_iter()
        .partition(|trial| matches!(run.plan.trials[*trial].role, Role::Case(_)));
    if run.stopped() {
        skip(&run, &cases, &SkipReason::Interrupted);
        return go_on;
    }
    if go_on == GoOn::No {
        skip(&run, &cases, &SkipReason::FailFast);
        return go_on;
    }
    phase(&world, Phase::Setup);
    let mut session = world.session.clone();
    let set_up = world
        .steps(&world.scenario().setup, of_run(Stage::Setup), &mut session)
        .await;
    world.session = session;
    let world = Arc::new(world);
    let go_on = if set_up {
        look_at_the_whole(&world, Round::Before).await;
        let go_on = match controls(&world, &clean).await {
            Ok(()) => rounds(&world, &cases, more_follow, asking).await,
            Err(why) => {
                skip(&run, &cases, &why);
                GoOn::Yes
            }
        };
        look_at_the_whole(&world, Round::Final).await;
        go_on
    } else {
        skip(&run, &cases, &SkipReason::Setup);
        GoOn::Yes
    };
    phase(&world, Phase::Cleanup);
    clean_up(&world).await;
    if more_follow && go_on == GoOn::Yes {
        asking.after_round(&run)
    } else {
        go_on
    }
}

fn of_run(stage: Stage) -> For {
    For {
        stage,
        each: Each::Run,
        whom: None,
    }
}

fn phase(world: &World, phase: Phase) {
    let scenario = world.index;
    world
        .run
        .recorder
        .record(None, EventKind::Phase { scenario, phase });
}

fn skip(run: &RunContext, trials: &[usize], why: &SkipReason) {
    for trial in trials {
        let why = why.clone();
        run.recorder
            .record(Some(run.plan.trials[*trial].id), EventKind::Skipped { why });
    }
}

/// Effects without marker that an invariant needs are read once before and once
/// after everything.
async fn look_at_the_whole(world: &World, round: Round) {
    let named: BTreeSet<&str> = world
        .scenario()
        .invariants
        .iter()
        .flat_map(|invariant| &invariant.effects)
        .map(String::as_str)
        .collect();
    for (index, effect) in world.scenario().effects.iter().enumerate() {
        if !effect.marked && named.contains(effect.name.as_str()) {
            let unit = Unit {
                index: 0,
                session: world.session.clone(),
                past: Vec::new(),
                last: Offset::default(),
                before: Vec::new(),
            };
            world.look(None, None, &unit, index, round).await;
        }
    }
}

/// Warm-up and control trials; they measure H.
///
/// # Errors
/// Why the scenario's cases cannot be run: no clean operation was answered.
async fn controls(world: &Arc<World>, trials: &[usize]) -> Result<(), SkipReason> {
    let run = &world.run;
    let planned = |trial: usize| run.trial(trial);
    let operations: BTreeSet<usize> = trials.iter().map(|t| planned(*t).operation).collect();
    let mut answered = trials.is_empty();
    for operation in operations {
        let of_operation = trials
            .iter()
            .copied()
            .filter(|trial| planned(*trial).operation == operation);
        let (warm, controls): (Vec<usize>, Vec<usize>) =
            of_operation.partition(|trial| planned(*trial).role == Role::WarmUp);
        let (gone, controls): (Vec<usize>, Vec<usize>) = controls
            .into_iter()
            .partition(|trial| planned(*trial).role == Role::Control(Control::ClientGone));
        phase(world, Phase::WarmUp);
        for trial in warm {
            warm_up(world, trial).await;
        }
        phase(world, Phase::Controls);
        let (mut alone, mut all) = (Vec::new(), Vec::new());
        let mut live = Vec::new();
        for trial in controls {
            if run.stopped() {
                break;
            }
            let Some(begun) = begin(world, trial).await else {
                continue;
            };
            let took = begun.units.iter().filter_map(first_execution);
            all.extend(took.clone());
            if planned(trial).hold.is_none() {
                alone.extend(took);
            }
            live.push(begun);
            if world.scenario().one_at_a_time() {
                conclude(world, std::mem::take(&mut live)).await;
            }
        }
        let any = !all.is_empty();
        answered |= any;
        measure(world, operation, alone, all);
        // Nothing is added to what the controls take but the wait for handlers that
        // nobody waits for: all of them are verified side by side.
        let gone = async {
            for trial in gone {
                client_gone(world, trial, any).await;
            }
        };
        tokio::join!(conclude(world, live), gone);
    }
    if run.stopped() {
        Err(SkipReason::Interrupted)
    } else if answered {
        Ok(())
    } else {
        Err(SkipReason::Unreachable)
    }
}

/// Operations whose client goes away half-way: sees whether the target completes
/// them. `answered`: H is known, so there is a half-way.
async fn client_gone(world: &Arc<World>, trial: usize, answered: bool) {
    let run = &world.run;
    if run.stopped() || !answered {
        let why = if answered {
            SkipReason::Interrupted
        } else {
            SkipReason::Unreachable
        };
        skip(run, &[trial], &why);
        return;
    }
    let Some(begun) = begin(world, trial).await else {
        return;
    };
    let last = begun.units.iter().map(|unit| unit.last).max();
    let passed = run.clock.elapsed(last.unwrap_or_default());
    let operation = run.plan.trials[trial].operation;
    let wait = (3 * world.h(operation).p50).max(world.quiet());
    tokio::time::sleep(wait.saturating_sub(passed)).await;
    conclude(world, vec![begun]).await;
}

/// Clean operations that make the target warm, one after the other, for at most
/// [`WARM_UP`]. Nothing of them is judged, so a target that hangs is not waited
/// for; what was set up for each is cleaned up.
async fn warm_up(world: &Arc<World>, index: usize) {
    let run = &world.run;
    let trial = run.trial(index);
    let started = run.clock.now();
    for instance in 0..trial.instances.len() {
        let left = WARM_UP.saturating_sub(run.clock.elapsed(started));
        if left.is_zero() || run.stopped() {
            return;
        }
        let mut unit = unit(world, trial, instance);
        let units = std::slice::from_mut(&mut unit);
        if set_up(world, trial, units).await {
            let clean = async {
                if earlier_operations(world, trial, units).await.is_ok() {
                    let manner = Manner::plain(Part::Attempt(1), 1);
                    // A request that cannot be made is reported by the controls.
                    let _ = world
                        .exchange(trial.id, &mut units[0], trial.operation, &manner, None)
                        .await;
                }
            };
            let _ = tokio::time::timeout(left, clean).await;
        }
        unit_clean_up(world, trial, &unit).await;
    }
}

/// How long the first execution of an instance took.
fn first_execution(unit: &Unit) -> Option<u64> {
    unit.past
        .iter()
        .find(|past| past.planned && past.outcome == Outcome::Ok)
        .and_then(|past| past.took_ns)
}

/// H is the p50 of the first executions that had the target to themselves: ten
/// at once wait for each other, and times counted by them would come too late.
/// Its p99 is that of all of them, so that waits err on the long side.
fn measure(world: &World, operation: usize, mut alone: Vec<u64>, mut all: Vec<u64>) {
    all.sort_unstable();
    alone.sort_unstable();
    let Some(slowest) = all.len().checked_sub(1) else {
        return;
    };
    let alone = if alone.is_empty() { &all } else { &alone };
    let (p50, p99) = (alone[(alone.len() - 1) / 2], all[slowest - slowest / 100]);
    world.set_h(
        operation,
        H {
            p50: Duration::from_nanos(p50),
            p99: Duration::from_nanos(p99),
        },
    );
    world.run.recorder.record(
        None,
        EventKind::Measured {
            scenario: world.index,
            operation,
            h_p50_us: p50 / 1000,
            h_p99_us: p99 / 1000,
        },
    );
}

/// Runs the trials of the scenario's cases, in one round or in one for each case.
async fn rounds(
    world: &Arc<World>,
    trials: &[usize],
    more_follow: bool,
    asking: &mut Asking<'_>,
) -> GoOn {
    let run = &world.run;
    if world.run.options.rounds == Rounds::Scenario {
        round(world, trials, asking).await;
        return GoOn::Yes;
    }
    let case_of = |trial: usize| match run.plan.trials[trial].role {
        Role::Case(case) => Some(case),
        Role::WarmUp | Role::Control(_) => None,
    };
    let cases: BTreeSet<Option<usize>> = trials.iter().map(|trial| case_of(*trial)).collect();
    let last = cases.last().copied();
    let mut go_on = GoOn::Yes;
    for case in cases {
        let of_case: Vec<usize> = trials
            .iter()
            .copied()
            .filter(|t| case_of(*t) == case)
            .collect();
        if go_on == GoOn::No {
            skip(run, &of_case, &SkipReason::FailFast);
            continue;
        }
        round(world, &of_case, asking).await;
        if more_follow || Some(case) != last {
            go_on = asking.after_round(run);
        }
    }
    go_on
}

/// Trials in lanes, then everything that comes after them. The later trials of sweeps
/// wait for what the earlier ones are answered, but not for their effects.
async fn round(world: &Arc<World>, trials: &[usize], asking: &mut Asking<'_>) {
    let run = &world.run;
    let total = trials.len();
    let one_at_a_time = world.scenario().one_at_a_time();
    let (mut done, mut all) = (0, Vec::new());
    phase(world, Phase::Trials);
    for (position, wave) in waves(&run.plan, trials).into_iter().enumerate() {
        if position > 0 {
            asking.refine(run, &wave);
        }
        let of_wave = wave.len();
        if one_at_a_time {
            for (place, trial) in wave.into_iter().enumerate() {
                if done + place > 0 {
                    phase(world, Phase::Trials);
                }
                run.recorder
                    .progress(world.index, Phase::Trials, done + place, total);
                let live = run_trials(world, vec![trial], 1, (0, 1)).await;
                after_trials(world, live).await;
            }
        } else {
            let lanes = run.options.jobs.max(1);
            all.extend(run_trials(world, wave, lanes, (done, total)).await);
        }
        done += of_wave;
    }
    if !one_at_a_time {
        all.sort_by_key(|live| live.trial);
        after_trials(world, all).await;
    }
}

/// Runs trials, as many at a time as there are lanes; `done` of `total` of the round
/// were run before.
async fn run_trials(
    world: &Arc<World>,
    trials: Vec<usize>,
    lanes: usize,
    (done, total): (usize, usize),
) -> Vec<Live> {
    let lanes = lanes.min(trials.len());
    let queue = Arc::new(Mutex::new(trials.into_iter().enumerate()));
    let mut set = JoinSet::new();
    for _ in 0..lanes {
        let (world, queue) = (Arc::clone(world), Arc::clone(&queue));
        set.spawn(async move {
            let mut mine = Vec::new();
            loop {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((position, trial)) = next else {
                    return mine;
                };
                if let Some(begun) = start(&world, trial).await {
                    mine.push((position, begun));
                }
                world
                    .run
                    .recorder
                    .progress(world.index, Phase::Trials, done + position + 1, total);
            }
        });
    }
    let mut live: Vec<(usize, Live)> = set.join_all().await.into_iter().flatten().collect();
    live.sort_by_key(|(position, _)| *position);
    live.into_iter().map(|(_, live)| live).collect()
}

/// Begins a trial if there is anything left to begin it with.
async fn start(world: &Arc<World>, trial: usize) -> Option<Live> {
    let run = &world.run;
    let why = if run.stopped() {
        Some(SkipReason::Interrupted)
    } else {
        run.budget.commit(needed(world, run.trial(trial))).err()
    };
    if let Some(why) = why {
        skip(run, &[trial], &why);
        return None;
    }
    begin(world, trial).await
}

/// The requests that a trial may need to its very end.
fn needed(world: &World, trial: &Trial) -> u64 {
    let scenario = world.scenario();
    let per_instance = 2
        + scenario.effects.len() as u64 * PROBES_PER_EFFECT
        + scenario.operations.len() as u64
        + scenario.setup.len() as u64
        + scenario.cleanup.len() as u64;
    trial.attempts.len() as u64 + trial.instances.len() as u64 * per_instance
}

/// Set-up, earlier operations of the flow, first readings, attempts. `None`
/// where it was skipped for its set-up.
async fn begin(world: &Arc<World>, index: usize) -> Option<Live> {
    let run = &world.run;
    let trial = run.trial(index);
    let mut live = Live {
        trial: index,
        units: (0..trial.instances.len())
            .map(|instance| unit(world, trial, instance))
            .collect(),
        void: false,
    };
    if !set_up(world, trial, &mut live.units).await {
        skip(run, &[index], &SkipReason::Setup);
        trial_clean_up(world, &live).await;
        return None;
    }
    for (effect, planned) in world.scenario().effects.iter().enumerate() {
        if planned.delta || !planned.marked {
            let instance = instance_of(planned.marked, trial, 0);
            let before = world
                .look(
                    Some(trial.id),
                    instance,
                    &live.units[0],
                    effect,
                    Round::Before,
                )
                .await;
            for unit in &mut live.units {
                unit.before[effect] = before;
            }
        }
    }
    let sent = match earlier_operations(world, trial, &mut live.units).await {
        Ok(()) => world.attempts(trial, &mut live.units).await,
        Err(void) => Err(void),
    };
    if let Err(Void(why)) = sent {
        live.void = true;
        run.recorder.record(Some(trial.id), EventKind::Void { why });
    }
    Some(live)
}

fn unit(world: &World, trial: &Trial, index: usize) -> Unit {
    let (first, own) = (&trial.instances[0], &trial.instances[index]);
    Unit {
        index,
        session: world.session.of_instance(trial.id, first, own),
        past: Vec::new(),
        last: world.run.clock.now(),
        before: vec![None; world.scenario().effects.len()],
    }
}

/// The instance that an observation is for: none where the effect cannot tell
/// the instances of the trial apart.
fn instance_of(marked: bool, trial: &Trial, instance: usize) -> Option<usize> {
    (marked || trial.instances.len() == 1).then_some(instance)
}

async fn set_up(world: &World, trial: &Trial, units: &mut [Unit]) -> bool {
    let before = world.case_of(trial).map_or(&[][..], |case| &case.before);
    for unit in units {
        let whom = Some((trial.id, unit.index));
        let lists = [
            (Stage::Setup, &world.scenario().setup[..]),
            (Stage::Before, before),
        ];
        for (stage, steps) in lists {
            let whom = For {
                stage,
                each: Each::Trial,
                whom,
            };
            if !world.steps(steps, whom, &mut unit.session).await {
                return false;
            }
        }
    }
    true
}

async fn earlier_operations(world: &World, trial: &Trial, units: &mut [Unit]) -> Result<(), Void> {
    for unit in units {
        for operation in 0..trial.operation {
            if !world.clean(trial.id, unit, operation).await? {
                let name = &world.scenario().operations[operation].name;
                return Err(Void(format!(
                    "the operation `{name}` before it was not answered with a success"
                )));
            }
            settle_after(world, trial, unit, operation).await;
        }
    }
    Ok(())
}

/// Settles the effects that are read right after an operation of the flow.
async fn settle_after(world: &World, trial: &Trial, unit: &Unit, operation: usize) {
    let name = &world.scenario().operations[operation].name;
    for (effect, planned) in world.scenario().effects.iter().enumerate() {
        if planned.at.as_ref() == Some(name) {
            world
                .settle(Some(trial.id), Some(unit.index), &[unit], effect)
                .await;
        }
    }
}

/// Quiet, count, closing retries, later operations, verification, clean-up.
async fn after_trials(world: &Arc<World>, live: Vec<Live>) {
    let (void, live): (Vec<Live>, Vec<Live>) = live.into_iter().partition(|live| live.void);
    let stopped = world.run.stopped();
    if !live.is_empty() && !stopped {
        phase(world, Phase::Quiet);
        let last = live
            .iter()
            .flat_map(|live| &live.units)
            .map(|unit| unit.last)
            .max()
            .unwrap_or_default();
        let passed = world.run.clock.elapsed(last);
        tokio::time::sleep(world.quiet().saturating_sub(passed)).await;
    }
    let live = if stopped {
        live
    } else {
        phase(world, Phase::Count);
        let live = count(world, live).await;
        phase(world, Phase::Closing);
        close(world, live).await
    };
    phase(world, Phase::Verification);
    let live = verify(world, live).await;
    for begun in live.iter().chain(&void) {
        trial_clean_up(world, begun).await;
    }
}

/// What comes after a control trial: no closing retry.
async fn conclude(world: &Arc<World>, live: Vec<Live>) {
    let mut sound = Vec::new();
    for mut begun in live {
        if begun.void {
            trial_clean_up(world, &begun).await;
            continue;
        }
        let trial = begun.planned(world);
        for unit in &mut begun.units {
            later_operations(world, trial, unit).await;
        }
        sound.push(begun);
    }
    for begun in verify(world, sound).await {
        trial_clean_up(world, &begun).await;
    }
}

/// Runs a piece of work for every trial side by side and gives them back in
/// order.
async fn side_by_side<F>(
    world: &Arc<World>,
    live: Vec<Live>,
    phase: Phase,
    work: impl Fn(Arc<World>, Live) -> F,
) -> Vec<Live>
where
    F: Future<Output = Live> + Send + 'static,
{
    let total = live.len();
    let mut set = JoinSet::new();
    for begun in live {
        set.spawn(work(Arc::clone(world), begun));
    }
    let mut all = Vec::with_capacity(total);
    while let Some(begun) = set.join_next().await {
        all.push(begun.expect("what is done for a trial does not panic"));
        world
            .run
            .recorder
            .progress(world.index, phase, all.len(), total);
    }
    all.sort_by_key(|live| live.trial);
    all
}

/// Reads every effect once: needed to know whether an earlier attempt had
/// executed, before a closing retry may be the first that does.
async fn count(world: &Arc<World>, live: Vec<Live>) -> Vec<Live> {
    side_by_side(world, live, Phase::Count, count_one).await
}

async fn count_one(world: Arc<World>, live: Live) -> Live {
    let trial = live.planned(&world);
    for (effect, planned) in world.scenario().effects.iter().enumerate() {
        if planned.at.is_some() {
            continue;
        }
        let units = if planned.marked {
            &live.units[..]
        } else {
            &live.units[..1]
        };
        for unit in units {
            let instance = instance_of(planned.marked, trial, unit.index);
            world
                .look(Some(trial.id), instance, unit, effect, Round::Count)
                .await;
        }
    }
    live
}

/// Closing retries, side by side, so that keys that may be stuck are waited for
/// together; then the later operations of the flow.
async fn close(world: &Arc<World>, live: Vec<Live>) -> Vec<Live> {
    side_by_side(world, live, Phase::Closing, close_one).await
}

async fn close_one(world: Arc<World>, mut live: Live) -> Live {
    let trial = live.planned(&world);
    for unit in &mut live.units {
        if let Err(Void(why)) = world.closing(trial, unit).await {
            world
                .run
                .recorder
                .record(Some(trial.id), EventKind::Void { why });
            live.void = true;
            break;
        }
        later_operations(&world, trial, unit).await;
    }
    live
}

/// The effects that are read right after the operation under test, then the
/// operations after it, each run cleanly, as far as the flow can go on.
async fn later_operations(world: &World, trial: &Trial, unit: &mut Unit) {
    settle_after(world, trial, unit, trial.operation).await;
    for operation in trial.operation + 1..world.scenario().operations.len() {
        let before = operation - 1;
        let could_go_on = unit.outcomes(before).any(|outcome| outcome == Outcome::Ok);
        if !could_go_on || world.run.stopped() {
            return;
        }
        // A request that cannot be rendered here lacks a capture of an operation
        // that was not answered: what came of that is judged, not this.
        if world.clean(trial.id, unit, operation).await.is_err() {
            return;
        }
        settle_after(world, trial, unit, operation).await;
    }
}

/// Settles every effect that is read at the end.
async fn verify(world: &Arc<World>, live: Vec<Live>) -> Vec<Live> {
    side_by_side(world, live, Phase::Verification, verify_one).await
}

async fn verify_one(world: Arc<World>, live: Live) -> Live {
    if live.void {
        return live;
    }
    let live = Arc::new(live);
    let mut set = JoinSet::new();
    for (effect, planned) in world.scenario().effects.iter().enumerate() {
        if planned.at.is_some() {
            continue;
        }
        let whole = !planned.marked && live.units.len() > 1;
        let watched = if whole { 1 } else { live.units.len() };
        for unit in 0..watched {
            let (world, live) = (Arc::clone(&world), Arc::clone(&live));
            set.spawn(async move {
                let trial = live.planned(&world);
                let instance = (!whole).then_some(unit);
                let units: Vec<&Unit> = if whole {
                    live.units.iter().collect()
                } else {
                    vec![&live.units[unit]]
                };
                world.settle(Some(trial.id), instance, &units, effect).await;
            });
        }
    }
    set.join_all().await;
    Arc::into_inner(live).expect("every reader of the trial is done")
}

async fn trial_clean_up(world: &World, live: &Live) {
    let trial = live.planned(world);
    for unit in &live.units {
        unit_clean_up(world, trial, unit).await;
    }
}

async fn unit_clean_up(world: &World, trial: &Trial, unit: &Unit) {
    if world.run.options.keep {
        return;
    }
    let whom = For {
        stage: Stage::Cleanup,
        each: Each::Trial,
        whom: Some((trial.id, unit.index)),
    };
    let mut session = unit.session.clone();
    world
        .steps(&world.scenario().cleanup, whom, &mut session)
        .await;
}
