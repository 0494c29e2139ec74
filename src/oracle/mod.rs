//! (Plan, History) → [`Judgement`]. Pure and total; waits for nothing.
//!
//! One pass gathers what happened ([`view`](self)), the controls are judged
//! first, then every case: which trials had power, which effects are off, which
//! answers for one key do not go together. Each hazard has one small function
//! that looks at one operation of one trial and hands on a proof, or nothing;
//! what has to show more than once is counted over the trials of its case. "Cannot
//! tell" is a result, never a pass. This room must not know the scenario as text,
//! do any IO, or compare the words of error messages.

#![warn(clippy::wildcard_enum_match_arm)]

mod apart;
mod court;
mod effects;
mod explain;
mod gone;
mod grounds;
mod hearing;
mod invariant;
mod latency;
pub mod population;
mod power;
mod replay;
mod sanity;
mod scene;
mod sweep;
#[cfg(test)]
mod tests;
mod tightness;
pub mod verdict;
mod view;
mod words;

pub use power::overlap;
pub use sweep::axes;
pub use verdict::{
    CaseJudgement, ClientGone, Conduct, ControlJudgement, EffectTally, EventIndex, Evidence,
    Finding, Ground, Judgement, Point, Release, Sweep, Tightness, TrialCounts, Verdict, Window,
};

use crate::codes::Reason;
use crate::history::{History, Stage};
use crate::plan::Plan;
use view::View;

/// What is asked of a judgement beyond the contract.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JudgeOptions {
    /// Whether an in-progress answer right after an `ok` is a failure.
    pub strict: bool,
}

/// Judges everything that happened.
pub fn judge(plan: &Plan, history: &History, options: JudgeOptions) -> Judgement {
    let plan = history.carried_out(plan);
    let view = View::new(&plan, history);
    let court = court::Court::new(&view, options);
    let cases = court.cases();
    let grounds = cleanup_grounds(&view);
    let verdict = cases
        .iter()
        .map(|case| case.verdict)
        .chain(grounds.iter().map(|ground| of_reason(ground.reason)))
        .max()
        // Nothing was judged, and that is not a pass.
        .unwrap_or(Verdict::Inconclusive);
    Judgement {
        verdict,
        controls: court.controls(),
        cases,
        grounds,
        interrupted: match view.interrupted {
            Some(signal) => Some(signal.to_owned()),
            None if view.finished => None,
            None => Some("the record ends before the run was through".to_owned()),
        },
    }
}

/// What a reason makes of a verdict.
fn of_reason(reason: Reason) -> Verdict {
    if reason.is_error() {
        Verdict::Error
    } else {
        Verdict::Inconclusive
    }
}

/// Set-up and clean-up that did not work, once for each step: a failed clean-up
/// leaves something behind, which is never a pass.
fn cleanup_grounds(view: &View<'_>) -> Vec<Ground> {
    let mut grounds: Vec<Ground> = Vec::new();
    for failed in &view.failed_steps {
        let Some(scenario) = view.scenario(failed.scenario) else {
            continue;
        };
        let (reason, steps) = match failed.stage {
            Stage::Setup => (Reason::SetupFailed, &scenario.setup),
            Stage::Cleanup => (Reason::CleanupFailed, &scenario.cleanup),
            // It belongs to its case.
            Stage::Before => continue,
        };
        let step = steps.get(failed.step);
        let ground = Ground {
            reason,
            message: format!(
                "`{}` of {} failed: {}",
                step.map_or("a step", |step| step.name.as_str()),
                scenario.name,
                failed.what
            ),
            effect: None,
            line: step.map(|step| step.place.line),
        };
        if !grounds
            .iter()
            .any(|known| known.reason == reason && known.line == ground.line)
        {
            grounds.push(ground);
        }
    }
    grounds
}
