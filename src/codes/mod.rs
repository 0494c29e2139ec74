//! Every code that retrial can print: hazards, diagnostics, reasons, each with
//! its one line here and its page in `pages/` (what `retrial explain` prints).
//!
//! This room holds closed lists and their words. It must not know who uses a
//! code, or when.

mod hazard;
mod pages;

pub use hazard::{Hazard, Severity};
pub use pages::{example, page, topics};

/// Declares a closed list of codes: an enum whose variants print, parse and
/// serialise as their kebab-case word, each with its one line.
macro_rules! codes {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $code:literal, $line:literal;)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $(#[doc = $line] #[serde(rename = $code)] $variant,)*
        }

        impl $name {
            /// The whole list, in the order of the reference text.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word that people read, type and search for.
            pub fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// What the code means, in one line.
            pub fn line(self) -> &'static str {
                match self { $(Self::$variant => $line,)* }
            }

            /// The code with this word, if there is one.
            pub fn find(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.code() == word)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(self.code())
            }
        }
    };
}
use codes;

codes! {
    /// What can be wrong with something a person wrote: a scenario, a project
    /// file, a flag. Source: `language.md` section 13.
    Diagnosis {
        UnknownField = "unknown-field", "a field that does not exist here";
        MissingField = "missing-field", "a field that has to be there is not";
        DuplicateField = "duplicate-field", "a field is given twice in one map";
        ConflictingFields = "conflicting-fields", "two fields exclude each other";
        WrongType = "wrong-type", "a value of another type was expected";
        InvalidValue = "invalid-value", "a value is not one of those that make sense here";
        UnknownPattern = "unknown-pattern", "no pattern has this name";
        UnknownMethod = "unknown-method", "no HTTP method has this name";
        UnknownContract = "unknown-contract", "no contract has this name";
        UnknownEnvironment = "unknown-environment", "the project file has no environment of this name";
        UnknownAuth = "unknown-auth", "the project file has no auth entry of this name";
        UnknownOperation = "unknown-operation", "the scenario has no operation of this name";
        UnknownEffect = "unknown-effect", "the scenario has no effect of this name";
        UndefinedValue = "undefined-value", "an expression uses a name that is not defined here";
        InvalidExpression = "invalid-expression", "an expression between `${{` and `}}` does not parse";
        ReservedName = "reserved-name", "a capture or variable takes a name that has a meaning of its own";
        InvalidJsonpath = "invalid-jsonpath", "a JSONPath does not parse";
        InvalidRegex = "invalid-regex", "a regular expression does not parse";
        InvalidDuration = "invalid-duration", "a duration is not a number with a unit";
        InvalidUrl = "invalid-url", "a URL does not parse or has a scheme that is not http or https";
        InvalidName = "invalid-name", "a name has letters that names may not have";
        DuplicateCase = "duplicate-case", "two cases would have one id";
        DuplicateScenario = "duplicate-scenario", "two files have one scenario name";
        UnquotedBraces = "unquoted-braces", "an expression inside `{ }` or `[ ]` needs quotes";
        TabIndent = "tab-indent", "YAML does not allow tabs as indentation";
        InvalidYaml = "invalid-yaml", "the file is not valid YAML";
        NotUtf8 = "not-utf-8", "the file is not UTF-8 text";
        EmptyFile = "empty-file", "the file holds nothing";
        FileTooLarge = "file-too-large", "the file is larger than 1 MiB";
        TooDeep = "too-deep", "the file nests deeper than 64 levels";
        TooManyNodes = "too-many-nodes", "the file holds more than 20 000 values after its aliases are followed";
        UnreadableFile = "unreadable-file", "a file could not be read";
        NotSupportedYet = "not-supported-yet", "known, but this version does not do it yet";
        UnmarkedEffect = "unmarked-effect", "an effect that cannot tell one trial from another";
        SlowCase = "slow-case", "a case that has to wait long";
        UnsetEnvironment = "unset-environment-variable", "an environment variable that an expression uses is not set";
        ShortSecret = "short-secret", "a secret too short to be hidden without eating the evidence";
        ProxyIgnored = "proxy-ignored", "a proxy is set in the environment, and is not used yet";
        HostNotAllowed = "host-not-allowed", "a host that nobody allowed retrial to send to";
        OverLimit = "over-limit", "more than the limits of the project or the built-in caps allow";
        NothingToRun = "nothing-to-run", "no scenario, or no case after the filters";
        Usage = "usage", "the command line does not make sense";
    }
}

codes! {
    /// Why a case could not be judged, or why the target, a probe or a step was
    /// unusable. Source: `language.md` section 13.
    Reason {
        BlindProbe = "blind-probe", "the control trials saw no effect, or could not tell two operations apart";
        ControlMismatch = "control-mismatch", "one clean operation showed another count than the effect expects";
        NoOverlap = "no-overlap", "the attempts did not overlap";
        NotSettled = "not-settled", "an effect still changed when the patience was over";
        TooFewTrials = "too-few-trials", "a budget ran out before enough trials had run";
        TooFewSamples = "too-few-samples", "a latency threshold has too little data";
        NoisyTarget = "noisy-target", "counts moved without us";
        HookMissing = "hook-missing", "a hook that the case needs is not there";
        Interrupted = "interrupted", "the run was interrupted before the case was through";
        IndeterminateFinal = "indeterminate-final", "the key's final answer is a stored server error, which says neither yes nor no";
        ProbeUnreadable = "probe-unreadable", "an effect could not be read";
        SetupFailed = "setup-failed", "a set-up step did not work";
        CleanupFailed = "cleanup-failed", "a clean-up step did not work";
        TargetUnreachable = "target-unreachable", "the target could not be reached, or refused every clean operation";
        HookFailed = "hook-failed", "a hook failed";
        ReportFailed = "report-failed", "a report could not be written";
        NotApplicable = "not-applicable", "the case does not apply to this operation";
    }
}

impl Reason {
    /// Whether this is a reason for `error` (something was unusable) rather
    /// than for `inconclusive` (nothing could be said).
    pub fn is_error(self) -> bool {
        matches!(
            self,
            Self::ProbeUnreadable
                | Self::SetupFailed
                | Self::CleanupFailed
                | Self::TargetUnreachable
                | Self::HookFailed
                | Self::ReportFailed
        )
    }
}
