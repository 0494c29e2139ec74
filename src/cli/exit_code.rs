//! The one table of exit codes (`language.md` section 10).

use crate::oracle::Verdict;

/// How a command ends. The numbers are a promise to scripts and CI systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Exit {
    /// Every case passed; the command did what it was asked for.
    Pass,
    /// At least one case failed: a hazard was observed, or a latency threshold
    /// was missed.
    Fail,
    /// Usage, scenario or project file is wrong; nothing was sent.
    Usage,
    /// No hazard seen, but at least one case could not be judged.
    Inconclusive,
    /// Target, probe, set-up, clean-up or report failed.
    Error,
    /// Refused by a safety rule; nothing was sent.
    Refused,
    /// Nothing to run after filters.
    Nothing,
    /// A bug in retrial: a panic.
    Bug,
    /// Interrupted by Ctrl-C.
    Interrupted,
    /// Interrupted by SIGTERM.
    Terminated,
}

/// Whether an inconclusive run counts as a failed one (`--strict`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// Inconclusive is a code of its own.
    Usual,
    /// Inconclusive is as bad as failed.
    Strict,
}

impl Exit {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 10] = [
        Self::Pass,
        Self::Fail,
        Self::Usage,
        Self::Inconclusive,
        Self::Error,
        Self::Refused,
        Self::Nothing,
        Self::Bug,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The number that the shell sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::Usage => 2,
            Self::Inconclusive => 3,
            Self::Error => 4,
            Self::Refused => 5,
            Self::Nothing => 6,
            Self::Bug => 101,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// What a verdict ends with.
    pub(crate) fn of(verdict: Verdict, strictness: Strictness) -> Self {
        match (verdict, strictness) {
            (Verdict::Pass, _) => Self::Pass,
            (Verdict::Fail, _) | (Verdict::Inconclusive, Strictness::Strict) => Self::Fail,
            (Verdict::Inconclusive, Strictness::Usual) => Self::Inconclusive,
            (Verdict::Error, _) => Self::Error,
        }
    }

    /// What holds where two things happened: an interruption before all, then a
    /// failure before an error before an inconclusive case.
    pub(crate) fn and(self, other: Self) -> Self {
        if self.rank() >= other.rank() {
            self
        } else {
            other
        }
    }

    /// For report-only jobs (`--exit-zero`): 1 and 3 become 0, never 2, 4, 5, 6.
    pub(crate) fn zeroed(self) -> Self {
        match self {
            Self::Fail | Self::Inconclusive => Self::Pass,
            Self::Pass
            | Self::Usage
            | Self::Error
            | Self::Refused
            | Self::Nothing
            | Self::Bug
            | Self::Interrupted
            | Self::Terminated => self,
        }
    }

    fn rank(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Nothing => 1,
            Self::Inconclusive => 2,
            Self::Error => 3,
            Self::Fail => 4,
            Self::Usage => 5,
            Self::Refused => 6,
            Self::Interrupted => 7,
            Self::Terminated => 8,
            Self::Bug => 9,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_documentation() {
        let numbers = Exit::ALL.map(Exit::code);
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 101, 130, 143]);
    }

    #[test]
    fn a_failure_outranks_an_error_and_an_error_an_inconclusive_case() {
        assert_eq!(Exit::Inconclusive.and(Exit::Error), Exit::Error);
        assert_eq!(Exit::Error.and(Exit::Fail), Exit::Fail);
        assert_eq!(Exit::Fail.and(Exit::Interrupted), Exit::Interrupted);
        assert_eq!(Exit::Pass.and(Exit::Error), Exit::Error);
    }

    #[test]
    fn exit_zero_forgives_only_what_the_target_did() {
        for exit in Exit::ALL {
            let forgiven = matches!(exit, Exit::Fail | Exit::Inconclusive);
            let expected = if forgiven { Exit::Pass } else { exit };
            assert_eq!(exit.zeroed(), expected);
        }
    }

    #[test]
    fn strict_makes_an_inconclusive_run_a_failed_one() {
        assert_eq!(
            Exit::of(Verdict::Inconclusive, Strictness::Strict),
            Exit::Fail
        );
        assert_eq!(Exit::of(Verdict::Error, Strictness::Strict), Exit::Error);
    }
}
