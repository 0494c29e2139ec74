//! Verdicts and their order, findings and their evidence.

use crate::codes::{Hazard, Reason, Severity};
use crate::plan::{CaseId, Edge, Observed, TrialId};
use crate::stats::Summary;
use std::collections::BTreeMap;

/// What is said of a case, or of a whole run. The order is how verdicts merge:
/// the largest wins, so a proof stands even where something else was unusable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Powered, nothing found.
    Pass,
    /// It could not be judged.
    Inconclusive,
    /// Target, probe, set-up or clean-up were unusable.
    Error,
    /// A hazard was proved.
    Fail,
}

/// Why a verdict is `inconclusive` or `error`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ground {
    /// The code.
    pub reason: Reason,
    /// One sentence with the facts, and what would make it conclusive.
    pub message: String,
    /// The effect that it is about, if it is about one (index in the scenario).
    pub effect: Option<usize>,
    /// The line to point at, if there is one.
    pub line: Option<u32>,
}

/// A position in [`History::events`](crate::history::History).
pub type EventIndex = usize;

/// A hazard that was proved in a case, once, with all trials that show it.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Which.
    pub hazard: Hazard,
    /// How bad; `info` findings stand beside a pass.
    pub severity: Severity,
    /// One line: `two orders exist for one Idempotency-Key`.
    pub summary: String,
    /// One to three sentences: what was sent, what was answered, what is there.
    pub explanation: String,
    /// The likely cause, as a word: `check-then-act`.
    pub cause: String,
    /// Why it happens, in a sentence or two.
    pub why: String,
    /// What to do.
    pub remedy: String,
    /// The effect that shows it (index in the scenario), if one does.
    pub effect: Option<usize>,
    /// Every trial that shows it, in order.
    pub trials: Vec<TrialId>,
    /// The trial that shows it best.
    pub evidence: Evidence,
}

/// The trial that shows a finding best.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The trial.
    pub trial: TrialId,
    /// The instance in it.
    pub instance: usize,
    /// The events that prove it.
    pub events: Vec<EventIndex>,
}

/// Numbers of trials of a case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrialCounts {
    /// In the plan.
    pub planned: u32,
    /// Run, and not void.
    pub run: u32,
    /// In which the pattern really happened.
    pub powered: u32,
    /// In which it did not: no overlap, or a fault that did not strike. The others
    /// without power had no attempt that was accepted.
    pub off_pattern: u32,
    /// That show a finding (other than `info`).
    pub failed: u32,
    /// That could not be judged.
    pub inconclusive: u32,
}

/// What an effect was seen to be over the trials of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct EffectTally {
    /// Index in the scenario.
    pub effect: usize,
    /// The least that any instance allowed.
    pub min: f64,
    /// The most that any instance allowed.
    pub max: f64,
    /// Final readings as text, and how many instances showed each.
    pub observed: BTreeMap<String, u32>,
}

/// What is said of one case.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseJudgement {
    /// The case; `…::control` for a finding of the controls.
    pub case: CaseId,
    /// Index in the plan's cases; `None` for a control's case.
    pub index: Option<usize>,
    /// Index of the scenario in the plan.
    pub scenario: usize,
    /// Index of the operation in the scenario.
    pub operation: usize,
    /// The verdict.
    pub verdict: Verdict,
    /// Upper bound of the failure rate at 95 % confidence, beside a pass whose
    /// pattern is a matter of chance; 1 - 0.05^(1/n), n powered trials.
    pub bound: Option<f64>,
    /// Why it is inconclusive or error.
    pub grounds: Vec<Ground>,
    /// What was found, worst first, `info` ones last.
    pub findings: Vec<Finding>,
    /// Numbers of trials.
    pub trials: TrialCounts,
    /// What the effects were seen to be.
    pub effects: Vec<EffectTally>,
    /// Median and largest release spread, in nanoseconds, where attempts were
    /// released together.
    pub spread_ns: Option<(u64, u64)>,
    /// How tight its releases were, where it is a burst.
    pub tightness: Option<Tightness>,
    /// What was answered along its axis, where it is a sweep.
    pub sweep: Option<Sweep>,
}

/// What a sweep showed along the axis of its offsets.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    /// H in nanoseconds.
    pub h_ns: u64,
    /// One for each trial that ran, by offset.
    pub points: Vec<Point>,
    /// Where the answers change, if they do.
    pub edge: Option<Edge>,
}

/// One trial of a sweep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// What came of it.
    pub observed: Observed,
    /// Where it was planned, in nanoseconds.
    pub planned_ns: u64,
    /// The largest count of an effect that was read last.
    pub effects: Option<f64>,
}

/// How close together the attempts of a burst were released, all of it as seen
/// from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tightness {
    /// First to last write of a trial, in nanoseconds.
    pub spread_ns: Summary,
    /// First to second write of a key whose attempts overlapped, in nanoseconds;
    /// `None` where no attempts did.
    pub first_gap_ns: Option<Summary>,
    /// The fewest and the most connections over which a trial was released.
    pub connections: (usize, usize),
    /// Trials in which more left over one connection than one segment holds;
    /// `None` where the record does not say how much left.
    pub over_one_segment: Option<usize>,
    /// Trials that a thread with real-time priority released.
    pub real_time: usize,
    /// The smallest race window that the case would have found.
    pub window: Window,
    /// From one answer to the next, in nanoseconds, where the controls show that
    /// the target answers one request at a time: a race can hardly show then.
    pub serialised_ns: Option<u64>,
    /// One for each trial that was released, in the order of the plan.
    pub each: Vec<Release>,
}

/// The smallest race window that a case would have found at 95 % confidence, as
/// released by us: the target's own time between two requests comes on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// So many nanoseconds; 0 where both attempts left in one write.
    Ns(u64),
    /// It cannot be told: fewer trials than any such claim needs.
    TooFewTrials,
    /// It cannot be told: in too many trials no attempts overlapped.
    TooLittleOverlap,
}

/// One common release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// The trial.
    pub trial: TrialId,
    /// Whether the trial had power.
    pub powered: bool,
    /// First to last write, in nanoseconds.
    pub spread_ns: u64,
    /// The most attempts of one key that were open at one time.
    pub overlap: usize,
    /// The smallest first gap of its keys that overlapped, in nanoseconds.
    pub first_gap_ns: Option<u64>,
}

/// What the controls of one operation showed.
#[derive(Debug, Clone, PartialEq)]
pub struct ControlJudgement {
    /// Index of the scenario in the plan.
    pub scenario: usize,
    /// Index of the operation in the scenario.
    pub operation: usize,
    /// Effects seen by the control with one, two and ten operations, as the
    /// smallest number over all effects that expect one each; `None` where that
    /// control did not run.
    pub saw: [Option<u32>; 3],
    /// Trials and attempts of the controls.
    pub trials: u32,
    /// Attempts of the controls.
    pub attempts: u32,
    /// p50 and p99 of their first executions in microseconds.
    pub h_us: Option<(u64, u64)>,
    /// What the target does when the client is gone; `None` where that was not
    /// asked.
    pub client_gone: Option<ClientGone>,
    /// What is wrong with them; it holds for every case of the operation.
    pub grounds: Vec<Ground>,
}

/// How many operations showed their effects although their client went away
/// half-way through the handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientGone {
    /// That showed them.
    pub seen: u32,
    /// Of so many of which that could be read.
    pub of: u32,
}

/// What a target does with an operation whose client is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduct {
    /// It completes all of them.
    Completes,
    /// It completes none.
    Cancels,
    /// It completes some.
    Either,
    /// Nothing could be read.
    NotKnown,
}

impl ClientGone {
    /// What that says of the target.
    pub fn conduct(self) -> Conduct {
        match (self.seen, self.of) {
            (_, 0) => Conduct::NotKnown,
            (0, _) => Conduct::Cancels,
            (seen, of) if seen == of => Conduct::Completes,
            (_, _) => Conduct::Either,
        }
    }
}

/// What is said of a whole run.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The largest verdict of all cases.
    pub verdict: Verdict,
    /// One for each operation under test.
    pub controls: Vec<ControlJudgement>,
    /// One for each case, in the plan's order; `…::control` cases come before
    /// the others of their operation.
    pub cases: Vec<CaseJudgement>,
    /// Grounds that belong to no case (set-up, clean-up).
    pub grounds: Vec<Ground>,
    /// Whether the run was interrupted, and by what.
    pub interrupted: Option<String>,
}
