//! A few numbers for many: count, median, 99th percentile, largest.

use super::{CONFIDENCE, supports_quantile};

/// What is said of a list of measured values, all in one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// How many there are; never 0.
    pub count: u64,
    /// The median, by nearest rank: a value that was measured.
    pub p50: u64,
    /// The 99th percentile, by nearest rank; `None` below the 299 values that a
    /// claim about it needs.
    pub p99: Option<u64>,
    /// The largest.
    pub max: u64,
}

impl Summary {
    /// What is said of these values; `None` where there are none.
    pub fn of(mut values: Vec<u64>) -> Option<Self> {
        values.sort_unstable();
        let max = *values.last()?;
        let count = values.len() as u64;
        let at = |per_cent: u64| {
            // Nearest rank: the least value that so many per cent do not exceed.
            let rank = (count * per_cent).div_ceil(100).max(1);
            values[usize::try_from(rank - 1).expect("a rank is at most the length of a list")]
        };
        Some(Self {
            count,
            p50: at(50),
            p99: supports_quantile(count, 0.99, CONFIDENCE).then(|| at(99)),
            max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_has_no_summary_and_one_value_is_its_own() {
        assert_eq!(Summary::of(Vec::new()), None);
        let one = Summary::of(vec![7]).unwrap();
        assert_eq!((one.count, one.p50, one.p99, one.max), (1, 7, None, 7));
    }

    #[test]
    fn ranks_are_the_nearest_ones() {
        let even = Summary::of((1..=10).collect()).unwrap();
        assert_eq!((even.p50, even.p99, even.max), (5, None, 10));
        let many = Summary::of((1..=300).rev().collect()).unwrap();
        assert_eq!((many.p50, many.p99, many.max), (150, Some(297), 300));
    }

    #[test]
    fn a_99th_percentile_needs_299_values() {
        assert_eq!(Summary::of(vec![1; 298]).unwrap().p99, None);
        assert_eq!(Summary::of(vec![1; 299]).unwrap().p99, Some(1));
    }

    proptest! {
        #[test]
        fn order_does_not_matter_and_the_numbers_are_ordered(
            values in prop::collection::vec(any::<u64>(), 1..400),
        ) {
            let summary = Summary::of(values.clone()).unwrap();
            let mut turned = values.clone();
            turned.reverse();
            prop_assert_eq!(Summary::of(turned), Some(summary));
            prop_assert!(summary.p50 <= summary.p99.unwrap_or(summary.max));
            prop_assert!(summary.p99.unwrap_or(0) <= summary.max);
            prop_assert!(values.contains(&summary.p50) && values.contains(&summary.max));
        }
    }
}
