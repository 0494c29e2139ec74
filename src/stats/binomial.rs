//! Exact binomial bounds (`retry-safety.md` sections 4.1, 4.2 and 4.6).

/// The upper bound of a rate of which none was seen in `n` trials, one-sided:
/// 1 - (1 - confidence)^(1/n), about 3/n at 95 %. Without a trial it is 1:
/// nothing is known.
pub fn zero_of_n_bound(n: u64, confidence: f64) -> f64 {
    if n == 0 {
        return 1.0;
    }
    // `exp_m1` keeps the digits that 1 - 0.05^(1/n) loses where n is large.
    -((1.0 - confidence).ln() / to_f64(n)).exp_m1()
}

/// How many trials find a defect that shows with this probability in each, with
/// this confidence: ln(1 - confidence) / ln(1 - rate), rounded up.
pub fn trials_needed(rate: f64, confidence: f64) -> u64 {
    if rate >= 1.0 {
        return 1;
    }
    if rate <= 0.0 {
        return u64::MAX;
    }
    round_up((1.0 - confidence).ln() / (-rate).ln_1p())
}

/// How many samples a claim about the q-quantile needs: with n of them the
/// largest exceeds it with probability 1 - q^n, so n >= ln(1 - confidence) / ln q.
/// The maximum (q = 1) is a claim about the samples only and needs one.
pub fn samples_needed_for_quantile(quantile: f64, confidence: f64) -> u64 {
    if quantile >= 1.0 || quantile <= 0.0 {
        return 1;
    }
    round_up((1.0 - confidence).ln() / quantile.ln()).max(1)
}

/// Whether `n` samples support a claim about the q-quantile.
pub fn supports_quantile(n: u64, quantile: f64, confidence: f64) -> bool {
    n >= samples_needed_for_quantile(quantile, confidence)
}

/// The exact two-sided interval of Clopper and Pearson (1934) for the rate
/// behind `k` of `n`. Without a trial it is everything.
pub fn clopper_pearson(k: u64, n: u64, confidence: f64) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    let k = k.min(n);
    let tail = (1.0 - confidence) / 2.0;
    let high = if k == n {
        1.0
    } else {
        bisect(|p| at_most(k, n, p) > tail)
    };
    (rate_of_so_many(k, n, tail), high)
}

/// The one-sided lower bound of the rate behind `k` of `n`, by Clopper and Pearson
/// (1934): with this confidence the rate is at least so high. Without a trial it
/// is 0.
pub fn lower_bound(k: u64, n: u64, confidence: f64) -> f64 {
    if n == 0 {
        return 0.0;
    }
    rate_of_so_many(k.min(n), n, 1.0 - confidence)
}

/// Which of `n` measured values, counted from the smallest, is so large that of
/// `n` more values of the same kind at least one is as small, with the probability
/// `chance`; this holds with the confidence `confidence`, whatever the values'
/// distribution. `None` where `n` is too small to say it of any.
///
/// The share of all values that are not above the k-th smallest of `n` has the
/// distribution Beta(k, n - k + 1) (Wilks 1941; where values are equal it is only
/// larger), so that it is at least `lower_bound(k, n, confidence)` with that
/// confidence. If the share is p, then one of `n` is so small with the probability
/// 1 - (1 - p)^n. The rank is the least k for which that reaches `chance`: it
/// depends on `n` alone, not on what was measured, so that nothing is chosen by
/// its result.
pub fn rank_that_is_hit(n: u64, chance: f64, confidence: f64) -> Option<u64> {
    (1..=n).find(|k| {
        let share = lower_bound(*k, n, confidence);
        let missed = to_f64(n) * (-share).ln_1p();
        -missed.exp_m1() >= chance
    })
}

/// The rate that makes `k` or more of `n` just so unlikely as `tail`.
fn rate_of_so_many(k: u64, n: u64, tail: f64) -> f64 {
    match k {
        0 => 0.0,
        k => bisect(|p| 1.0 - at_most(k - 1, n, p) < tail),
    }
}

/// The rate at which a condition that holds for small rates ceases to hold.
fn bisect(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    // 60 halvings leave less than one bit of a rate.
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if holds(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The probability of `k` or fewer of `n` at rate `p`, with 0 < p < 1. Summed in
/// logarithms, since (1 - p)^n vanishes long before the sum does.
fn at_most(k: u64, n: u64, p: f64) -> f64 {
    let odds = p.ln() - (-p).ln_1p();
    let mut term = to_f64(n) * (-p).ln_1p();
    let mut sum = term;
    for i in 1..=k {
        term += (to_f64(n - i + 1) / to_f64(i)).ln() + odds;
        let (large, small) = if sum > term { (sum, term) } else { (term, sum) };
        sum = large + (small - large).exp().ln_1p();
    }
    sum.exp().min(1.0)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "numbers of trials are far below 2^53"
)]
fn to_f64(n: u64) -> f64 {
    n as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the argument is positive, and the cast saturates"
)]
fn round_up(x: f64) -> u64 {
    x.ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(seen: f64, wanted: f64, tolerance: f64) {
        assert!((seen - wanted).abs() <= tolerance, "{seen} is not {wanted}");
    }

    #[test]
    fn none_of_n_has_the_bounds_of_the_reference_table() {
        for (n, percent) in [
            (20, 13.9),
            (50, 5.8),
            (100, 2.95),
            (300, 1.0),
            (1000, 0.30),
            (3000, 0.10),
        ] {
            near(zero_of_n_bound(n, 0.95) * 100.0, percent, 0.05);
        }
        near(zero_of_n_bound(0, 0.95), 1.0, 0.0);
    }

    #[test]
    fn trials_needed_are_those_of_the_reference_table() {
        let rates = [0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.001];
        let at = |confidence| rates.map(|rate| trials_needed(rate, confidence));
        assert_eq!(at(0.95), [5, 14, 29, 59, 149, 299, 2995]);
        assert_eq!(at(0.99), [7, 21, 44, 90, 228, 459, 4603]);
        assert_eq!(at(0.999), [10, 31, 66, 135, 342, 688, 6905]);
        assert_eq!(trials_needed(1.0, 0.95), 1);
        assert_eq!(trials_needed(0.0, 0.95), u64::MAX);
    }

    #[test]
    fn a_quantile_needs_its_samples() {
        let needed = [0.5, 0.95, 0.99, 0.999, 1.0].map(|q| samples_needed_for_quantile(q, 0.95));
        assert_eq!(needed, [5, 59, 299, 2995, 1]);
        assert!(supports_quantile(59, 0.95, 0.95));
        assert!(!supports_quantile(58, 0.95, 0.95));
    }

    #[test]
    fn intervals_are_those_of_the_reference_text() {
        for (k, n, low, high) in [
            (1, 20, 0.13, 24.9),
            (3, 50, 1.3, 16.6),
            (10, 100, 4.9, 17.6),
        ] {
            let (seen_low, seen_high) = clopper_pearson(k, n, 0.95);
            near(seen_low * 100.0, low, 0.06);
            near(seen_high * 100.0, high, 0.06);
        }
    }

    #[test]
    fn the_ends_of_the_interval_are_exact_where_all_or_none_were_seen() {
        let (low, high) = clopper_pearson(0, 10, 0.95);
        near(low, 0.0, 0.0);
        near(high, 1.0 - 0.025_f64.powf(0.1), 1e-12);
        let (low, high) = clopper_pearson(10, 10, 0.95);
        near(low, 0.025_f64.powf(0.1), 1e-12);
        near(high, 1.0, 0.0);
        assert_eq!(clopper_pearson(0, 0, 0.95), (0.0, 1.0));
    }

    #[test]
    fn a_one_sided_bound_is_that_of_twice_the_tail() {
        for (k, n) in [(0, 10), (3, 10), (7, 100), (100, 100)] {
            let (low, _) = clopper_pearson(k, n, 0.90);
            near(lower_bound(k, n, 0.95), low, 1e-12);
        }
        // All of n: 0.05^(1/n). One of n: 1 - 0.95^(1/n).
        near(lower_bound(5, 5, 0.95), 0.05_f64.powf(0.2), 1e-12);
        near(lower_bound(1, 20, 0.95), 1.0 - 0.95_f64.powf(0.05), 1e-12);
        near(lower_bound(9, 5, 0.95), lower_bound(5, 5, 0.95), 0.0);
        near(lower_bound(0, 0, 0.95), 0.0, 0.0);
    }

    #[test]
    fn ranks_that_are_hit_are_those_worked_out_by_hand() {
        // 4 of 4: 1 - (1 - 0.05^(1/4))^4 = 0.923, too little; 5 of 5: 0.981.
        for n in 0..5 {
            assert_eq!(rank_that_is_hit(n, 0.95, 0.95), None, "{n}");
        }
        assert_eq!(rank_that_is_hit(5, 0.95, 0.95), Some(5));
        // For large n the bound is that of a Poisson rate, which has to be 3.0 or
        // more (1 - e^-3.0 = 0.95): 2.61 for six seen, 3.29 for seven.
        for n in [100, 1_000, 50_000] {
            assert_eq!(rank_that_is_hit(n, 0.95, 0.95), Some(7), "{n}");
        }
    }

    #[test]
    fn the_value_at_the_rank_is_hit_as_often_as_it_says() {
        // A run of n values sets the claim, a second one is asked whether it has a
        // value as small. Over many pairs the claim has to hold in 95 % at least.
        use rand_chacha::ChaCha8Rng;
        use rand_chacha::rand_core::{Rng, SeedableRng};
        let mut random = ChaCha8Rng::seed_from_u64(7);
        for n in [5_usize, 13, 42, 250] {
            let rank = rank_that_is_hit(n as u64, 0.95, 0.95).unwrap();
            let mut draw = |_| {
                let mut run: Vec<u64> = (0..n).map(|_| random.next_u64()).collect();
                run.sort_unstable();
                run
            };
            let held = (0..2_000)
                .filter(|pair| {
                    let (claimed, asked) = (draw(*pair), draw(*pair));
                    asked[0] <= claimed[usize::try_from(rank).unwrap() - 1]
                })
                .count();
            assert!(held >= 1_900, "{n}: {held} of 2000");
        }
    }

    #[test]
    fn large_numbers_do_not_underflow() {
        // Wilson's interval is close to the exact one here.
        let (low, high) = clopper_pearson(50_000, 100_000, 0.95);
        near(low, 0.4969, 1e-4);
        near(high, 0.5031, 1e-4);
    }
}
