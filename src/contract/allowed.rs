//! From the outcomes of one key to the numbers of effects that are allowed:
//! `retry-safety.md` section 3.2.

use super::Outcome;

/// What an effect is expected to be, with its values in place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wanted {
    /// So often (or so much) for each operation that took effect.
    Times(f64),
    /// Between two bounds, whatever the outcomes.
    Bounds {
        /// Lower bound.
        min: f64,
        /// Upper bound.
        max: f64,
    },
}

/// The numbers of effects that the outcomes of one key allow, after settle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Allowed {
    /// Just so many.
    Exactly(f64),
    /// None or so many; nothing in between.
    ZeroOr(f64),
    /// Anything from here to there.
    Between(f64, f64),
}

/// Sums of decimal amounts are compared with this relative tolerance.
const TOLERANCE: f64 = 1e-9;

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()).max(1.0)
}

impl Allowed {
    /// The numbers allowed by the outcomes of all attempts of one key.
    pub fn from_outcomes(wanted: Wanted, outcomes: impl IntoIterator<Item = Outcome>) -> Self {
        let n = match wanted {
            Wanted::Bounds { min, max } => return Self::Between(min, max),
            Wanted::Times(n) => n,
        };
        match Outcome::of_key(outcomes) {
            Outcome::Ok => Self::Exactly(n),
            Outcome::Unknown => Self::ZeroOr(n),
            Outcome::Rejected => Self::Exactly(0.0),
        }
    }

    /// The least allowed.
    pub fn min(self) -> f64 {
        match self {
            Self::Exactly(n) | Self::Between(n, _) => n,
            Self::ZeroOr(n) => n.min(0.0),
        }
    }

    /// The most allowed.
    pub fn max(self) -> f64 {
        match self {
            Self::Exactly(n) | Self::Between(_, n) => n,
            Self::ZeroOr(n) => n.max(0.0),
        }
    }

    /// Whether this number is allowed.
    pub fn admits(self, seen: f64) -> bool {
        match self {
            Self::Exactly(n) => close(seen, n),
            Self::ZeroOr(n) => close(seen, n) || close(seen, 0.0),
            Self::Between(..) => !self.exceeded_by(seen) && !self.missed_by(seen),
        }
    }

    /// Whether this number is more than allowed: one such reading is proof.
    pub fn exceeded_by(self, seen: f64) -> bool {
        seen > self.max() && !close(seen, self.max())
    }

    /// Whether this number is less than allowed: proof only after settle.
    pub fn missed_by(self, seen: f64) -> bool {
        seen < self.min() && !close(seen, self.min())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::{Ok, Rejected, Unknown};

    fn once(outcomes: &[Outcome]) -> Allowed {
        Allowed::from_outcomes(Wanted::Times(1.0), outcomes.iter().copied())
    }

    #[test]
    fn the_rows_of_the_reference_table() {
        assert_eq!(once(&[Ok, Rejected, Unknown]), Allowed::Exactly(1.0));
        assert_eq!(once(&[Rejected, Unknown]), Allowed::ZeroOr(1.0));
        assert_eq!(once(&[Rejected, Rejected]), Allowed::Exactly(0.0));
        assert_eq!(once(&[]), Allowed::Exactly(0.0));
    }

    #[test]
    fn zero_or_two_does_not_admit_one_and_is_not_missed_by_it() {
        let allowed = Allowed::from_outcomes(Wanted::Times(2.0), [Unknown]);
        assert!(!allowed.admits(1.0));
        assert!(!allowed.missed_by(1.0));
        assert!(!allowed.exceeded_by(1.0));
        assert!(allowed.exceeded_by(3.0));
    }

    #[test]
    fn sums_of_decimals_are_not_taken_for_an_excess() {
        let allowed = Allowed::Exactly(59.97);
        assert!(allowed.admits(19.99 + 19.99 + 19.99));
        assert!(allowed.exceeded_by(59.98));
        assert!(allowed.missed_by(59.96));
    }

    #[test]
    fn bounds_hold_whatever_the_outcomes() {
        let wanted = Wanted::Bounds { min: 0.0, max: 2.0 };
        assert_eq!(
            Allowed::from_outcomes(wanted, [Ok]),
            Allowed::from_outcomes(wanted, [])
        );
    }
}
