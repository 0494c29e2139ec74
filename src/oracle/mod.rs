//! (Plan, History) → [`Judgement`]. Pure and total; waits for nothing.

pub mod verdict;

pub use verdict::{
    CaseJudgement, ControlJudgement, EffectTally, EventIndex, Evidence, Finding, Ground, Judgement,
    TrialCounts, Verdict,
};
