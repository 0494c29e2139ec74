//! The exit codes, all of them, and how a run comes by one (`language.md`
//! section 10).

use crate::codes::Severity;
use crate::oracle::{Finding, Judgement, Verdict};

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exit {
    /// Every case passed.
    Pass,
    /// A hazard was observed, or a latency threshold was missed.
    Fail,
    /// Usage, scenario or project file is wrong; nothing was sent.
    Usage,
    /// No hazard seen, but at least one case could not be judged.
    Inconclusive,
    /// Target, probe, set-up, clean-up or report failed.
    Error,
    /// Refused by a safety rule; nothing was sent.
    Refused,
    /// Nothing to run after the filters.
    NothingToRun,
    /// A bug in retrial.
    Bug,
    /// Interrupted by Ctrl-C.
    Interrupted,
    /// Interrupted by SIGTERM.
    Terminated,
}

impl Exit {
    /// All of them, by number.
    pub const ALL: [Self; 10] = [
        Self::Pass,
        Self::Fail,
        Self::Usage,
        Self::Inconclusive,
        Self::Error,
        Self::Refused,
        Self::NothingToRun,
        Self::Bug,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The number that the operating system is told.
    pub fn code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::Usage => 2,
            Self::Inconclusive => 3,
            Self::Error => 4,
            Self::Refused => 5,
            Self::NothingToRun => 6,
            Self::Bug => 101,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// The one of two that the program ends with where both happened: an
    /// interruption before all, then a failure, an error, and what could not be
    /// judged. The others end the program before a second thing can happen.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if other.rank() > self.rank() {
            other
        } else {
            self
        }
    }

    fn rank(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Inconclusive => 1,
            Self::Error => 2,
            Self::Fail => 3,
            Self::NothingToRun => 4,
            Self::Refused => 5,
            Self::Usage => 6,
            Self::Interrupted => 7,
            Self::Terminated => 8,
            Self::Bug => 9,
        }
    }
}

/// What the flags say about the end of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExitRules {
    /// `--strict`: what could not be judged is a failure, and so is an answer
    /// that says "in progress" right after an `ok`.
    pub strict: bool,
    /// `--exit-zero`: a report-only job.
    pub exit_zero: bool,
}

/// How a run ends that was judged so. Whoever writes the reports adds
/// [`Exit::Error`] with [`Exit::and`] where one could not be written.
pub fn exit_code(judgement: &Judgement, rules: ExitRules) -> Exit {
    if let Some(signal) = &judgement.interrupted {
        return if signal == "SIGTERM" {
            Exit::Terminated
        } else {
            Exit::Interrupted
        };
    }
    let exit = match verdict(judgement, rules) {
        Verdict::Pass => Exit::Pass,
        Verdict::Inconclusive if rules.strict => Exit::Fail,
        Verdict::Inconclusive => Exit::Inconclusive,
        Verdict::Error => Exit::Error,
        Verdict::Fail => Exit::Fail,
    };
    if rules.exit_zero && matches!(exit, Exit::Fail | Exit::Inconclusive) {
        Exit::Pass
    } else {
        exit
    }
}

/// The verdict of the run: the largest of its cases, of the grounds that belong
/// to no case, and of what `--strict` makes of `info` findings.
pub(super) fn verdict(judgement: &Judgement, rules: ExitRules) -> Verdict {
    let of_grounds = judgement
        .grounds
        .iter()
        .map(|ground| {
            if ground.reason.is_error() {
                Verdict::Error
            } else {
                Verdict::Inconclusive
            }
        })
        .max()
        .unwrap_or(Verdict::Pass);
    let of_strict = judgement
        .cases
        .iter()
        .flat_map(|case| &case.findings)
        .any(|finding| fails_when_strict(finding, rules));
    let of_strict = if of_strict {
        Verdict::Fail
    } else {
        Verdict::Pass
    };
    judgement.verdict.max(of_grounds).max(of_strict)
}

/// Whether `--strict` makes a failure of an `info` finding: one whose hazard is
/// worse than that by nature and was toned down (an in-progress answer right
/// after an `ok`). A hazard that is `info` by nature stays one.
pub(super) fn fails_when_strict(finding: &Finding, rules: ExitRules) -> bool {
    rules.strict && finding.severity == Severity::Info && finding.hazard.severity() > Severity::Info
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::{Hazard, Reason};
    use crate::oracle::{CaseJudgement, Evidence, Ground, TrialCounts};
    use crate::plan::{CaseId, TrialId};

    fn judged(verdict: Verdict) -> Judgement {
        Judgement {
            verdict,
            controls: Vec::new(),
            cases: Vec::new(),
            grounds: Vec::new(),
            interrupted: None,
        }
    }

    fn with_info(hazard: Hazard) -> Judgement {
        let finding = Finding {
            hazard,
            severity: Severity::Info,
            summary: String::new(),
            explanation: String::new(),
            cause: String::new(),
            why: String::new(),
            remedy: String::new(),
            effect: None,
            trials: vec![TrialId(1)],
            evidence: Evidence {
                trial: TrialId(1),
                instance: 0,
                events: Vec::new(),
            },
        };
        let case = CaseJudgement {
            case: CaseId("a::b::c".to_owned()),
            index: Some(0),
            scenario: 0,
            operation: 0,
            verdict: Verdict::Pass,
            bound: None,
            grounds: Vec::new(),
            findings: vec![finding],
            trials: TrialCounts::default(),
            effects: Vec::new(),
            spread_ns: None,
            tightness: None,
            sweep: None,
        };
        Judgement {
            cases: vec![case],
            ..judged(Verdict::Pass)
        }
    }

    fn with_ground(reason: Reason) -> Judgement {
        let ground = Ground {
            reason,
            message: String::new(),
            effect: None,
            line: None,
        };
        Judgement {
            grounds: vec![ground],
            ..judged(Verdict::Pass)
        }
    }

    #[test]
    fn the_table_of_the_reference() {
        let plain = ExitRules::default();
        let strict = ExitRules {
            strict: true,
            ..plain
        };
        let zero = ExitRules {
            exit_zero: true,
            ..plain
        };
        let both = ExitRules {
            strict: true,
            exit_zero: true,
        };
        for (verdict, codes) in [
            // plain, strict, exit zero, both
            (Verdict::Pass, [0, 0, 0, 0]),
            (Verdict::Fail, [1, 1, 0, 0]),
            (Verdict::Inconclusive, [3, 1, 0, 0]),
            (Verdict::Error, [4, 4, 4, 4]),
        ] {
            for (rules, code) in [plain, strict, zero, both].into_iter().zip(codes) {
                let exit = exit_code(&judged(verdict), rules);
                assert_eq!(exit.code(), code, "{verdict:?} {rules:?}");
            }
        }
    }

    #[test]
    fn an_interruption_goes_before_all_and_no_flag_changes_it() {
        for (signal, code) in [("SIGINT", 130), ("SIGTERM", 143)] {
            for exit_zero in [false, true] {
                let judgement = Judgement {
                    interrupted: Some(signal.to_owned()),
                    ..judged(Verdict::Fail)
                };
                let rules = ExitRules {
                    strict: true,
                    exit_zero,
                };
                assert_eq!(exit_code(&judgement, rules).code(), code);
            }
        }
    }

    #[test]
    fn a_clean_up_that_failed_is_an_error_even_where_every_case_passed() {
        let judgement = with_ground(Reason::CleanupFailed);
        assert_eq!(exit_code(&judgement, ExitRules::default()), Exit::Error);
    }

    #[test]
    fn only_a_toned_down_finding_fails_when_strict() {
        let strict = ExitRules {
            strict: true,
            exit_zero: false,
        };
        let toned_down = with_info(Hazard::StuckKey);
        assert_eq!(exit_code(&toned_down, strict), Exit::Fail);
        assert_eq!(exit_code(&toned_down, ExitRules::default()), Exit::Pass);
        assert_eq!(
            exit_code(&with_info(Hazard::StaleReadAfterAck), strict),
            Exit::Pass
        );
    }

    #[test]
    fn of_two_ends_the_graver_one_is_told() {
        assert_eq!(Exit::Pass.and(Exit::Error), Exit::Error);
        assert_eq!(Exit::Fail.and(Exit::Error), Exit::Fail);
        assert_eq!(Exit::Error.and(Exit::Inconclusive), Exit::Error);
        assert_eq!(Exit::Interrupted.and(Exit::Fail), Exit::Interrupted);
        let codes: Vec<u8> = Exit::ALL.into_iter().map(Exit::code).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 101, 130, 143]);
    }
}
