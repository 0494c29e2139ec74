//! What the flaws that are on change: one value that the desk asks at each
//! step, instead of asking which flaws there are.

use std::time::Duration;

use super::DemoError;
use super::flaws::{Flaw, FlawSetting};

/// One round trip to a database that is not on the same machine.
const ROUND_TRIP: Duration = Duration::from_millis(1);

/// How the shop conducts itself at each step.
#[derive(Debug, Clone)]
pub(super) struct Conduct {
    pub(super) keys: Keys,
    pub(super) keeping: Keeping,
    pub(super) bodies: Bodies,
    pub(super) fingerprint: Fingerprint,
    pub(super) replay: Replay,
    pub(super) in_flight: InFlight,
    pub(super) client: Client,
    pub(super) lock: Lock,
}

/// Whether keys are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    Read,
    Ignored,
}

/// How a key is kept from its first sight to its record. Each is a whole way
/// of its own (`ways`), so only one can be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeping {
    Right,
    CheckThenAct { window: Duration },
    RecordAtEnd,
    RecordIfHeard,
    StuckOnDisconnect,
    CancelOnDisconnect,
    MailApart,
    AckBeforeCommit,
    ReleaseOnError,
    Constraint500,
}

/// Which bodies are executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bodies {
    Whole,
    CutToo,
}

/// What makes two requests the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fingerprint {
    Meaning,
    RawBytesAndHeaders,
}

/// Where a replay comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replay {
    Stored,
    NewId,
}

/// What a duplicate gets during the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InFlight {
    Refused,
    NullSuccess,
}

/// Whether a retry has to look like the first attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    Any,
    MustBeTheSame,
}

/// What the lock around the work covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    PerKey,
    Global,
}

impl Conduct {
    /// The conduct of a shop with these flaws.
    ///
    /// # Errors
    /// [`DemoError::FlawsClash`] where two flaws replace the same step.
    pub(super) fn new(flaws: &[FlawSetting]) -> Result<Self, DemoError> {
        let mut conduct = Self {
            keys: Keys::Read,
            keeping: Keeping::Right,
            bodies: Bodies::Whole,
            fingerprint: Fingerprint::Meaning,
            replay: Replay::Stored,
            in_flight: InFlight::Refused,
            client: Client::Any,
            lock: Lock::PerKey,
        };
        let mut keeper: Option<Flaw> = None;
        for setting in flaws {
            let Some(keeping) = conduct.take(*setting) else {
                continue;
            };
            match keeper {
                Some(first) if first != setting.flaw => {
                    return Err(DemoError::FlawsClash {
                        first,
                        second: setting.flaw,
                    });
                }
                _ => keeper = Some(setting.flaw),
            }
            conduct.keeping = keeping;
        }
        Ok(conduct)
    }

    /// Takes a flaw over; gives the way of keeping keys if it is one.
    fn take(&mut self, setting: FlawSetting) -> Option<Keeping> {
        match setting.flaw {
            Flaw::CheckThenAct => {
                return Some(Keeping::CheckThenAct {
                    window: setting.window.unwrap_or(ROUND_TRIP),
                });
            }
            Flaw::RecordAtEnd => return Some(Keeping::RecordAtEnd),
            Flaw::RecordIfHeard => return Some(Keeping::RecordIfHeard),
            Flaw::StuckOnDisconnect => return Some(Keeping::StuckOnDisconnect),
            Flaw::CancelOnDisconnect => return Some(Keeping::CancelOnDisconnect),
            Flaw::MailApart => return Some(Keeping::MailApart),
            Flaw::AckBeforeCommit => return Some(Keeping::AckBeforeCommit),
            Flaw::ReleaseOnError => return Some(Keeping::ReleaseOnError),
            Flaw::Constraint500 => return Some(Keeping::Constraint500),
            Flaw::IgnoresKey => self.keys = Keys::Ignored,
            Flaw::CutBodyAccepted => self.bodies = Bodies::CutToo,
            Flaw::NewIdOnReplay => self.replay = Replay::NewId,
            Flaw::NullInProgress => self.in_flight = InFlight::NullSuccess,
            Flaw::Key5xx => self.client = Client::MustBeTheSame,
            Flaw::RawFingerprint => self.fingerprint = Fingerprint::RawBytesAndHeaders,
            Flaw::GlobalLock => self.lock = Lock::Global,
        }
        None
    }

    /// Whether the shop looks at its client's connection while it works. The
    /// right one does not: its work belongs to the key, not to the connection.
    pub(super) fn watches_the_client(&self) -> bool {
        matches!(
            self.keeping,
            Keeping::RecordIfHeard
                | Keeping::StuckOnDisconnect
                | Keeping::CancelOnDisconnect
                | Keeping::MailApart
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flaws_of_different_steps_go_together() {
        let conduct =
            Conduct::new(&[Flaw::RecordAtEnd.into(), Flaw::NullInProgress.into()]).unwrap();
        assert_eq!(conduct.keeping, Keeping::RecordAtEnd);
        assert_eq!(conduct.in_flight, InFlight::NullSuccess);
        assert_eq!(conduct.keys, Keys::Read);
    }

    #[test]
    fn two_ways_of_keeping_a_key_clash() {
        let error = Conduct::new(&[Flaw::RecordAtEnd.into(), Flaw::MailApart.into()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the flaws `record-at-end` and `mail-apart` cannot be on together: both replace how a key is kept"
        );
    }
}
