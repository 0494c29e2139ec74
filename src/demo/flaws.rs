//! The flaws by name: what each does, and the hazard that it is caught under.
//!
//! This file knows names and words only; what a flaw changes is said in
//! `conduct`, how it goes wrong in `ways`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A way in which retries go wrong in the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flaw {
    /// The key is not read at all.
    IgnoresKey,
    /// The key is looked up, then stored.
    CheckThenAct,
    /// The record is written only when the work is done.
    RecordAtEnd,
    /// The record is written only if the client heard the answer.
    RecordIfHeard,
    /// The record is finished only if the client is still there.
    StuckOnDisconnect,
    /// The handler is cancelled when the client goes away.
    CancelOnDisconnect,
    /// A body that ends early is completed and executed.
    CutBodyAccepted,
    /// The mail is sent outside the guarded step.
    MailApart,
    /// Success is answered before the effects are committed.
    AckBeforeCommit,
    /// An error after the effect releases the key.
    ReleaseOnError,
    /// A replay carries a new id.
    NewIdOnReplay,
    /// An unfinished record is answered as an empty success.
    NullInProgress,
    /// A unique violation is answered 500.
    Constraint500,
    /// The key handling throws when the client looks different.
    Key5xx,
    /// The fingerprint covers raw bytes and headers.
    RawFingerprint,
    /// One lock guards all keys.
    GlobalLock,
}

impl Flaw {
    /// Every flaw, in the order in which the gallery shows them.
    pub const ALL: [Self; 16] = [
        Self::IgnoresKey,
        Self::CheckThenAct,
        Self::RecordAtEnd,
        Self::RecordIfHeard,
        Self::StuckOnDisconnect,
        Self::CancelOnDisconnect,
        Self::CutBodyAccepted,
        Self::MailApart,
        Self::AckBeforeCommit,
        Self::ReleaseOnError,
        Self::NewIdOnReplay,
        Self::NullInProgress,
        Self::Constraint500,
        Self::Key5xx,
        Self::RawFingerprint,
        Self::GlobalLock,
    ];

    /// The name by which it is switched on.
    pub fn name(self) -> &'static str {
        self.words().0
    }

    /// The id of the hazard that it is caught under.
    pub fn hazard(self) -> &'static str {
        self.words().1
    }

    /// One sentence: what the flaw does.
    pub fn line(self) -> &'static str {
        self.words().2
    }

    /// The flaw of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|flaw| flaw.name() == name)
    }

    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::IgnoresKey => (
                "ignores-key",
                "duplicate-effect-sequential",
                "The idempotency key is never read, so that every attempt is executed.",
            ),
            Self::CheckThenAct => (
                "check-then-act",
                "duplicate-effect-concurrent",
                "The key is looked up and only then stored, so that copies arriving within a round trip to the database all find it free.",
            ),
            Self::RecordAtEnd => (
                "record-at-end",
                "duplicate-effect-in-flight",
                "The record is written only when the work is done, so that a retry during the work runs beside it.",
            ),
            Self::RecordIfHeard => (
                "record-if-heard",
                "duplicate-effect-dropped-response",
                "The record is written after the answer and only for a client that stayed to hear it, so that the retry after a lost answer is executed again.",
            ),
            Self::StuckOnDisconnect => (
                "stuck-on-disconnect",
                "stuck-key",
                "The record is finished by a hook that is skipped when the client has gone, so that its key stays in progress for ever.",
            ),
            Self::CancelOnDisconnect => (
                "cancel-on-disconnect",
                "cancel-mid-handler",
                "The handler is cancelled when the client goes away, after the order is stored and before the key knows it.",
            ),
            Self::CutBodyAccepted => (
                "cut-body-accepted",
                "partial-upload-executed",
                "A body that ends early is completed by a lenient parser and executed without a record.",
            ),
            Self::MailApart => (
                "mail-apart",
                "partial-side-effect",
                "The mail is sent after the order is committed, by a step that ends with the connection, and no replay makes up for it.",
            ),
            Self::AckBeforeCommit => (
                "ack-before-commit",
                "lost-effect",
                "Success is recorded and answered before the order is committed, and every fourth commit fails.",
            ),
            Self::ReleaseOnError => (
                "release-on-error",
                "error-after-effect",
                "Every third order fails after it is committed: 500 is answered and the key is released.",
            ),
            Self::NewIdOnReplay => (
                "new-id-on-replay",
                "divergent-replay",
                "A replay is built anew and carries an id that belongs to no order.",
            ),
            Self::NullInProgress => (
                "null-in-progress",
                "in-progress-replayed",
                "A duplicate during the work is answered 200 with the empty result of the unfinished record.",
            ),
            Self::Constraint500 => (
                "constraint-500",
                "constraint-leaks-500",
                "The unique violation of a duplicate during the work reaches the client as a 500.",
            ),
            Self::Key5xx => (
                "key-5xx",
                "key-handling-5xx",
                "The key handling compares the client's User-Agent and throws when a retry comes with another one.",
            ),
            Self::RawFingerprint => (
                "raw-fingerprint",
                "false-payload-mismatch",
                "The payload's fingerprint covers its raw bytes and the headers, so that a retry written differently is refused.",
            ),
            Self::GlobalLock => (
                "global-lock",
                "unrelated-keys-refused",
                "One lock guards all keys, so that whoever comes while another order is placed is refused.",
            ),
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A flaw and, where it has one, the width of its window:
/// `check-then-act=300us`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlawSetting {
    /// The flaw.
    pub flaw: Flaw,
    /// The time between check and act; `None` is one round trip.
    pub window: Option<Duration>,
}

impl From<Flaw> for FlawSetting {
    fn from(flaw: Flaw) -> Self {
        Self { flaw, window: None }
    }
}

/// Why the text names no flaw.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlawError {
    /// No flaw has that name.
    #[error("unknown flaw `{name}`{}", .near.map_or_else(
        || format!("; there are {}", names()),
        |flaw| format!("; did you mean `{flaw}`?"),
    ))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The flaw that it looks like.
        near: Option<Flaw>,
    },
    /// Only `check-then-act` has a window.
    #[error("`{0}` takes no window; only `check-then-act` does, e.g. `check-then-act=300us`")]
    NoWindow(Flaw),
    /// The window is no duration.
    #[error(
        "`{0}` is no window; write a whole number and a unit, `300us`, `2ms` or `1s`, up to 60s"
    )]
    BadWindow(String),
}

impl FromStr for FlawSetting {
    type Err = FlawError;

    fn from_str(text: &str) -> Result<Self, FlawError> {
        let (name, window) = match text.split_once('=') {
            Some((name, window)) => (name, Some(window)),
            None => (text, None),
        };
        let flaw = Flaw::find(name).ok_or_else(|| FlawError::Unknown {
            name: name.to_owned(),
            near: nearest(name),
        })?;
        let window = match window {
            None => None,
            Some(_) if flaw != Flaw::CheckThenAct => return Err(FlawError::NoWindow(flaw)),
            Some(window) => {
                Some(parse_window(window).ok_or_else(|| FlawError::BadWindow(window.to_owned()))?)
            }
        };
        Ok(Self { flaw, window })
    }
}

fn nearest(name: &str) -> Option<Flaw> {
    Flaw::ALL
        .into_iter()
        .map(|flaw| (strsim::osa_distance(name, flaw.name()), flaw))
        .filter(|(distance, flaw)| *distance <= flaw.name().len() / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, flaw)| flaw)
}

fn names() -> String {
    Flaw::ALL.map(Flaw::name).join(", ")
}

fn parse_window(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let window = match &text[digits..] {
        "us" => Duration::from_micros(number),
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        _ => return None,
    };
    (window <= Duration::from_mins(1)).then_some(window)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flaw_is_found_by_its_name_and_no_two_share_a_hazard() {
        let mut hazards = Vec::new();
        for flaw in Flaw::ALL {
            assert_eq!(Flaw::find(flaw.name()), Some(flaw));
            assert!(flaw.line().ends_with('.'), "{flaw}");
            hazards.push(flaw.hazard());
        }
        hazards.sort_unstable();
        hazards.dedup();
        assert_eq!(hazards.len(), Flaw::ALL.len());
    }

    #[test]
    fn a_window_is_read_with_its_unit() {
        let setting: FlawSetting = "check-then-act=300us".parse().unwrap();
        assert_eq!(setting.flaw, Flaw::CheckThenAct);
        assert_eq!(setting.window, Some(Duration::from_micros(300)));
        let plain: FlawSetting = "check-then-act".parse().unwrap();
        assert_eq!(plain.window, None);
    }

    #[test]
    fn mistakes_are_named() {
        let message = |text: &str| text.parse::<FlawSetting>().unwrap_err().to_string();
        assert_eq!(
            message("check-than-act"),
            "unknown flaw `check-than-act`; did you mean `check-then-act`?"
        );
        assert!(message("zzz").contains("there are ignores-key, check-then-act"));
        assert!(message("mail-apart=3ms").starts_with("`mail-apart` takes no window"));
        for window in ["", "3", "ms", "3h", "-3ms", "61s", "99999999999999999999us"] {
            assert!(
                message(&format!("check-then-act={window}"))
                    .starts_with(&format!("`{window}` is no window")),
                "{window}"
            );
        }
    }
}
