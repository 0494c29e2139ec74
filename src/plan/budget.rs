//! How many trials each case gets (`retry-safety.md` section 4.5, `language.md`
//! section 2). Only numbers: what the trials are is not known here.
//!
//! | trials of a case | `quick` | `standard` | `thorough` |
//! | --- | --- | --- | --- |
//! | a burst that the author listed | 20 | 100 | 460 |
//! | requests that the bursts of a profile share, evenly | 60 (20 × 3) | 500 (100 × 5) | 2300 (460 × 5) |
//! | … which is, for `burst-10` and `burst-2x10` | 10 and 10 | 42 and 13 | 192 and 58 |
//! | `reset`, `timeout`, `stagger`: the time is the parameter | 8 | 20 | 60 |
//! | all others | 2 | 10 | 20 |
//!
//! - A burst of a profile never gets fewer than 10 trials: a case with fewer
//!   powered ones says next to nothing (0 of 10 bounds the rate at 26 %).
//! - Few copies of many keys find a race, many copies of one count how often it
//!   strikes (`transport.md` section 10): the bursts of a profile alternate
//!   between one key and ten, and half of the trials of `burst-10` have 2 copies
//!   in place of 10. What that saves goes into more trials, so that the requests
//!   are the same. A burst that the author listed has the copies that were asked
//!   for in every trial.
//! - The others would need 3 (5) trials by section 4.5; a target with two workers
//!   is right half of the time, so that it takes 10 (20) to be sure of meeting
//!   the wrong one.
//! - A case never gets fewer trials than it has variants (three places of a
//!   cut, three times × two kinds of socket of a `timeout`).
//! - `--trials` or `budget: {trials: …}` replaces the number of every case.

use super::Kind;
use super::pattern::{copies, keys, kind, variants};
use crate::scenario::{Pattern, PatternKind, Profile, Scenario};

/// The fewest trials of a burst that came from a profile.
const PROFILE_BURST_LEAST: u32 = 10;

/// The copies of a key in the trials of a profile's burst that have few.
pub(super) const FEW_COPIES: u32 = 2;

/// Whether the trials of a pattern have many and few copies in turn.
pub(super) fn alternates(pattern: &Pattern) -> bool {
    kind(&pattern.kind) == Kind::Burst
        && pattern.from_profile
        && keys(&pattern.kind) == 1
        && copies(&pattern.kind) > FEW_COPIES
}

/// How many trials the case of one pattern gets.
pub(super) fn trials(
    scenario: &Scenario,
    pattern: &Pattern,
    kind: &PatternKind,
    asked: Option<u32>,
) -> u32 {
    if let Some(trials) = asked.or(scenario.budget.trials) {
        return trials.max(1);
    }
    by_profile(scenario, pattern).max(variants(kind))
}

/// How often the control of ten operations at once is run: twice, so that a
/// refusal can be seen to repeat; in a run that is quick all through, once.
pub(super) fn controls_of_ten(scenario: &Scenario) -> u32 {
    if scenario
        .patterns
        .iter()
        .all(|pattern| pattern.profile == Profile::Quick)
    {
        1
    } else {
        2
    }
}

fn by_profile(scenario: &Scenario, pattern: &Pattern) -> u32 {
    match kind(&pattern.kind) {
        Kind::Burst if pattern.from_profile => {
            let shares = scenario
                .patterns
                .iter()
                .filter(|other| {
                    other.from_profile
                        && other.profile == pattern.profile
                        && kind(&other.kind) == Kind::Burst
                })
                .count();
            let share = burst_requests(pattern.profile) / u64::try_from(shares).unwrap_or(1).max(1);
            let many = u64::from(copies(&pattern.kind)) * u64::from(keys(&pattern.kind));
            let few = if alternates(pattern) {
                u64::from(FEW_COPIES)
            } else {
                many
            };
            // Two trials at a time, one of each.
            u32::try_from((2 * share).div_ceil(many + few))
                .unwrap_or(u32::MAX)
                .max(PROFILE_BURST_LEAST)
        }
        Kind::Burst => match pattern.profile {
            Profile::Quick => 20,
            Profile::Standard => 100,
            Profile::Thorough => 460,
        },
        Kind::Reset | Kind::Timeout | Kind::Stagger => match pattern.profile {
            Profile::Quick => 8,
            Profile::Standard => 20,
            Profile::Thorough => 60,
        },
        Kind::Replay
        | Kind::DropResponse
        | Kind::CutRequest
        | Kind::CutResponse
        | Kind::ChangedHeaders
        | Kind::Reserialised => match pattern.profile {
            Profile::Quick => 2,
            Profile::Standard => 10,
            Profile::Thorough => 20,
        },
    }
}

fn burst_requests(profile: Profile) -> u64 {
    match profile {
        Profile::Quick => 20 * 3,
        Profile::Standard => 100 * 5,
        Profile::Thorough => 460 * 5,
    }
}
