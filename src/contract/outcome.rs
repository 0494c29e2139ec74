//! What one attempt says about its operation: the table of `retry-safety.md`
//! section 0.

use super::{Contract, Replay, Unavailable};
use serde::{Deserialize, Serialize};

/// The class of an attempt's outcome; everything in `retry-safety.md` section 3
/// rests on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The target claims that the operation took effect.
    Ok,
    /// This attempt certainly changed nothing. It speaks for itself only, never
    /// for the key.
    Rejected,
    /// It may or may not have happened, now or later.
    Unknown,
}

impl Outcome {
    /// What all attempts of one key say together: one `ok` settles it, else one
    /// that is open leaves it open (`retry-safety.md` 3.2).
    pub fn of_key(attempts: impl IntoIterator<Item = Self>) -> Self {
        attempts
            .into_iter()
            .fold(Self::Rejected, |all, one| match (all, one) {
                (Self::Ok, _) | (_, Self::Ok) => Self::Ok,
                (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
                (Self::Rejected, Self::Rejected) => Self::Rejected,
            })
    }

    /// What the operations of a flow say together about an effect that may belong
    /// to any of them: only where they agree is it certain.
    pub fn of_flow(operations: impl IntoIterator<Item = Self>) -> Self {
        operations
            .into_iter()
            .reduce(|all, one| if all == one { all } else { Self::Unknown })
            .unwrap_or(Self::Rejected)
    }
}

/// Whether an answer met the operation's `expect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// It did.
    Met,
    /// Its status is another one.
    StatusDiffers,
    /// Its status fits, but its JSON is not as expected.
    JsonDiffers,
}

/// What came of an attempt, as far as the table asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// A whole answer.
    Answer {
        /// Its status.
        status: u16,
        /// Whether it met the operation's `expect`, where there is one.
        expected: Option<Expected>,
        /// Whether it names a result (an identity field has a value).
        names_result: bool,
    },
    /// No byte of the request left, or the target said that it did nothing with
    /// it and never will.
    NothingSent,
    /// Bytes of the request left, and no whole answer came.
    NoAnswer,
}

/// Statuses that certainly changed nothing (`retry-safety.md` section 0).
const REJECTED: [u16; 22] = [
    400, 401, 403, 404, 405, 406, 409, 410, 411, 412, 413, 414, 415, 417, 421, 422, 423, 425, 426,
    428, 429, 431,
];

/// Statuses that, in a closing retry, say that the key is still in progress
/// whatever the contract lists (`language.md` section 14).
const CLOSING_IN_PROGRESS: [u16; 5] = [409, 423, 425, 429, 503];

impl Contract {
    /// The class of an attempt's outcome.
    pub fn outcome(&self, claim: Claim) -> Outcome {
        match claim {
            Claim::NothingSent => Outcome::Rejected,
            Claim::NoAnswer => Outcome::Unknown,
            Claim::Answer {
                status,
                expected,
                names_result,
            } => match (status, expected) {
                (_, Some(Expected::Met)) => Outcome::Ok,
                (200..=299, Some(Expected::JsonDiffers)) => Outcome::Unknown,
                (409, _) if names_result && self.replay == Replay::ConflictWithLink => Outcome::Ok,
                _ => self.outcome_of_status(status),
            },
        }
    }

    fn outcome_of_status(&self, status: u16) -> Outcome {
        match status {
            202 if self.accepted_is_ok => Outcome::Ok,
            202 | 207 => Outcome::Unknown,
            200..=299 => Outcome::Ok,
            501 => Outcome::Rejected,
            503 if self.unavailable == Unavailable::Rejected => Outcome::Rejected,
            status if REJECTED.contains(&status) => Outcome::Rejected,
            _ => Outcome::Unknown,
        }
    }

    /// Whether a duplicate may be answered so while the first attempt runs.
    pub fn says_in_progress(&self, status: u16) -> bool {
        self.in_flight.statuses.contains(&status)
    }

    /// Whether an answer to a closing retry means that the key is still in
    /// progress. 400 and 422 are final there, and so is an answer that carries
    /// the identity of an `ok` answer for the key: the caller looks for that.
    pub fn closing_says_in_progress(&self, status: u16) -> bool {
        CLOSING_IN_PROGRESS.contains(&status)
            || (self.says_in_progress(status) && !matches!(status, 400 | 422))
    }

    /// How long a key may answer in progress before it counts as stuck.
    pub fn stuck_after(&self, h_p99: std::time::Duration) -> std::time::Duration {
        self.stuck_after
            .unwrap_or_else(|| std::time::Duration::from_mins(1).max(2 * h_p99))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> Claim {
        Claim::Answer {
            status,
            expected: None,
            names_result: false,
        }
    }

    #[test]
    fn every_status_has_the_class_of_the_reference_table() {
        let core = Contract::core();
        for status in 100..600 {
            let outcome = core.outcome(answer(status));
            let expected = match status {
                202 | 207 => Outcome::Unknown,
                200..=299 => Outcome::Ok,
                400
                | 401
                | 403..=406
                | 409..=415
                | 417
                | 421..=423
                | 425
                | 426
                | 428
                | 429
                | 431
                | 501 => Outcome::Rejected,
                _ => Outcome::Unknown,
            };
            assert_eq!(outcome, expected, "status {status}");
        }
    }

    #[test]
    fn expect_makes_any_status_ok_and_a_differing_body_unknown() {
        let core = Contract::core();
        let with = |status, expected| Claim::Answer {
            status,
            expected: Some(expected),
            names_result: false,
        };
        assert_eq!(core.outcome(with(422, Expected::Met)), Outcome::Ok);
        assert_eq!(
            core.outcome(with(200, Expected::StatusDiffers)),
            Outcome::Ok
        );
        assert_eq!(
            core.outcome(with(200, Expected::JsonDiffers)),
            Outcome::Unknown
        );
        assert_eq!(
            core.outcome(with(409, Expected::StatusDiffers)),
            Outcome::Rejected
        );
    }

    #[test]
    fn one_ok_settles_a_key_and_a_flow_is_certain_only_where_its_operations_agree() {
        use Outcome::{Ok, Rejected, Unknown};
        assert_eq!(Outcome::of_key([Rejected, Unknown, Ok, Rejected]), Ok);
        assert_eq!(Outcome::of_key([Rejected, Unknown]), Unknown);
        assert_eq!(Outcome::of_key([Rejected]), Rejected);
        assert_eq!(Outcome::of_key([]), Rejected);
        assert_eq!(Outcome::of_flow([Ok, Ok]), Ok);
        assert_eq!(Outcome::of_flow([Ok, Rejected]), Unknown);
        assert_eq!(Outcome::of_flow([Ok, Rejected, Ok]), Unknown);
        assert_eq!(Outcome::of_flow([Rejected, Rejected]), Rejected);
    }

    #[test]
    fn silence_is_unknown_and_nothing_sent_is_rejected() {
        let core = Contract::core();
        assert_eq!(core.outcome(Claim::NoAnswer), Outcome::Unknown);
        assert_eq!(core.outcome(Claim::NothingSent), Outcome::Rejected);
    }

    #[test]
    fn a_conflict_is_ok_only_where_the_contract_says_that_it_links_the_result() {
        let conflict = Claim::Answer {
            status: 409,
            expected: None,
            names_result: true,
        };
        let mut contract = Contract::core();
        assert_eq!(contract.outcome(conflict), Outcome::Rejected);
        contract.replay = Replay::ConflictWithLink;
        assert_eq!(contract.outcome(conflict), Outcome::Ok);
    }

    #[test]
    fn in_a_closing_retry_400_and_422_are_final() {
        let core = Contract::core();
        assert!(core.closing_says_in_progress(409));
        assert!(core.closing_says_in_progress(503));
        assert!(!core.closing_says_in_progress(400));
        assert!(!core.closing_says_in_progress(422));
        assert!(!core.closing_says_in_progress(500));
    }
}
