//! Arithmetic: exact binomial bounds, how much data a quantile needs, histograms
//! of latency.
//!
//! Numbers in, numbers out. This room must not know where its numbers come from:
//! no trial, no verdict, no time.

mod binomial;
mod histogram;
mod summary;

pub use binomial::{
    clopper_pearson, lower_bound, rank_that_is_hit, samples_needed_for_quantile, supports_quantile,
    trials_needed, zero_of_n_bound,
};
pub use histogram::{HistogramError, Latencies};
pub use summary::Summary;

/// The confidence of everything that is claimed without another number beside
/// it (`retry-safety.md` section 4.2).
pub const CONFIDENCE: f64 = 0.95;
