//! A histogram of latencies that can be stored and merged.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};

use super::{CONFIDENCE, supports_quantile};

/// Microseconds of latency in an HDR histogram with three significant digits.
#[derive(Debug, Clone, PartialEq)]
pub struct Latencies {
    microseconds: Histogram<u64>,
}

/// A text that does not hold a histogram.
#[derive(Debug, thiserror::Error)]
pub enum HistogramError {
    /// It is not base64.
    #[error("the histogram is not base64")]
    Base64(#[from] base64::DecodeError),
    /// The bytes are not a V2 histogram.
    #[error("the histogram is not in the V2 format: {0:?}")]
    Format(hdrhistogram::serialization::DeserializeError),
    /// Its values do not fit.
    #[error("the histogram's values are out of range")]
    Range,
}

impl Default for Latencies {
    fn default() -> Self {
        let microseconds = Histogram::new(3).expect("three significant digits are allowed");
        Self { microseconds }
    }
}

impl Latencies {
    /// Adds one latency.
    pub fn record_us(&mut self, us: u64) {
        // `record` grows the histogram; `saturating_record` alone would cut every
        // value to the size that it happens to have.
        if self.microseconds.record(us).is_err() {
            self.microseconds.saturating_record(us);
        }
    }

    /// Adds all latencies of another one.
    ///
    /// # Errors
    /// Where the other one's values do not fit into this one.
    pub fn merge(&mut self, other: &Self) -> Result<(), HistogramError> {
        self.microseconds
            .add(&other.microseconds)
            .map_err(|_| HistogramError::Range)
    }

    /// How many latencies it holds.
    pub fn count(&self) -> u64 {
        self.microseconds.len()
    }

    /// The q-quantile in microseconds; 0 where it is empty.
    pub fn quantile_us(&self, quantile: f64) -> u64 {
        if quantile >= 1.0 {
            return self.max_us();
        }
        // Buckets are three digits wide; a quantile never exceeds the maximum.
        self.microseconds
            .value_at_quantile(quantile)
            .min(self.max_us())
    }

    /// The largest in microseconds; 0 where it is empty.
    pub fn max_us(&self) -> u64 {
        self.microseconds.max()
    }

    /// Whether it holds enough for a 95 % claim about the q-quantile.
    pub fn supports(&self, quantile: f64) -> bool {
        supports_quantile(self.count(), quantile, CONFIDENCE)
    }

    /// As base64 of the compressed V2 format, which other tools read too.
    ///
    /// # Panics
    /// Never: writing to memory does not fail.
    pub fn to_base64(&self) -> String {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&self.microseconds, &mut bytes)
            .expect("a histogram that fits in memory can be written to memory");
        STANDARD.encode(bytes)
    }

    /// Back from what [`to_base64`](Self::to_base64) made.
    ///
    /// # Errors
    /// Where the text is not base64, or not such a histogram.
    pub fn from_base64(text: &str) -> Result<Self, HistogramError> {
        let bytes = STANDARD.decode(text)?;
        let mut microseconds: Histogram<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(HistogramError::Format)?;
        // What is stored has fixed bounds; merging wants it to grow again.
        microseconds.auto(true);
        Ok(Self { microseconds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[u64]) -> Latencies {
        let mut latencies = Latencies::default();
        for value in values {
            latencies.record_us(*value);
        }
        latencies
    }

    #[test]
    fn quantiles_keep_three_digits() {
        let latencies = of(&(1..=1000).map(|n| n * 1000).collect::<Vec<_>>());
        assert_eq!(latencies.count(), 1000);
        let p95 = latencies.quantile_us(0.95);
        assert!((949_000..=951_000).contains(&p95), "{p95}");
        assert_eq!(latencies.quantile_us(1.0), latencies.max_us());
        assert!(latencies.supports(0.99));
        assert!(!latencies.supports(0.999));
    }

    #[test]
    fn an_empty_one_says_nothing_and_can_be_stored() {
        let empty = Latencies::default();
        assert_eq!(empty.quantile_us(0.5), 0);
        assert!(!empty.supports(0.5));
        assert_eq!(Latencies::from_base64(&empty.to_base64()).unwrap(), empty);
    }

    #[test]
    fn the_stored_form_is_the_compressed_v2_of_the_format() {
        assert!(of(&[1, 2, 3]).to_base64().starts_with("HISTFAAAA"));
        assert!(matches!(
            Latencies::from_base64("not base64!"),
            Err(HistogramError::Base64(_))
        ));
        assert!(matches!(
            Latencies::from_base64("AAAA"),
            Err(HistogramError::Format(_))
        ));
    }

    proptest! {
        #[test]
        fn stored_and_merged_is_the_same_as_recorded_at_once(
            left in prop::collection::vec(0_u64..10_000_000_000, 0..40),
            right in prop::collection::vec(0_u64..10_000_000_000, 0..40),
        ) {
            let mut merged = Latencies::from_base64(&of(&left).to_base64()).unwrap();
            merged.merge(&Latencies::from_base64(&of(&right).to_base64()).unwrap()).unwrap();
            let whole = of(&[left, right].concat());
            prop_assert_eq!(merged.count(), whole.count());
            for quantile in [0.5, 0.9, 0.99, 1.0] {
                prop_assert_eq!(merged.quantile_us(quantile), whole.quantile_us(quantile));
            }
        }
    }
}
