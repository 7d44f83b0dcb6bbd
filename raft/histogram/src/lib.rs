//! The counters that openraft's statistics are made of, in place of crates.io's `base2histogram`.
//!
//! That crate fills tables for sixteen bucket widths, 22 MiB, as soon as the first histogram is made, though openraft
//! uses one width; and nothing reads these statistics, since openraft's feature `runtime-stats` is off. So the
//! workspace's `[patch.crates-io]` puts this one in its place. It must bear that package's name and version, and serves
//! what openraft calls of it, nothing more. Only openraft calls it; no room of ours does.

mod chart;

pub use chart::AsciiChart;
use std::fmt;
use std::marker::PhantomData;

/// One bucket for each length in bits, 0 (the value 0) to 64.
const BUCKETS: usize = 65;

/// How often values of each magnitude were recorded. `T` (what openraft never gives) would label periods of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram<T = ()> {
    counts: [u64; BUCKETS],
    label: PhantomData<T>,
}

/// How many samples there are, and values that this share of them does not exceed (each the upper edge of its bucket).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PercentileStats {
    pub samples: u64,
    pub p0_1: u64,
    pub p1: u64,
    pub p5: u64,
    pub p10: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (samples, p10, p50, p90, p99) = (self.samples, self.p10, self.p50, self.p90, self.p99);
        write!(f, "{samples} samples, p10 {p10}, p50 {p50}, p90 {p90}, p99 {p99}")
    }
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Histogram<T> {
    pub fn new() -> Self {
        let counts = [0; BUCKETS];
        Self {
            counts,
            label: PhantomData,
        }
    }

    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Records `value` as seen `count` times.
    pub fn record_n(&mut self, value: u64, count: u64) {
        let bucket = &mut self.counts[(u64::BITS - value.leading_zeros()) as usize];
        *bucket = bucket.saturating_add(count);
    }

    pub fn total(&self) -> u64 {
        self.counts
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The value that the share `p` (0 to 1) of all samples does not exceed, rounded up to its bucket's edge; 0 if
    /// there are none.
    pub fn percentile(&self, p: f64) -> u64 {
        let rank = ((self.total() as f64 * p).ceil() as u64).max(1);
        let mut below = 0u64;
        for (bucket, count) in self.counts.iter().enumerate() {
            below = below.saturating_add(*count);
            if below >= rank {
                return edge(bucket);
            }
        }
        0
    }

    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats {
            samples: self.total(),
            p0_1: self.percentile(0.001),
            p1: self.percentile(0.01),
            p5: self.percentile(0.05),
            p10: self.percentile(0.1),
            p50: self.percentile(0.5),
            p90: self.percentile(0.9),
            p99: self.percentile(0.99),
            p99_9: self.percentile(0.999),
        }
    }
}

/// The largest value of a bucket.
fn edge(bucket: usize) -> u64 {
    ((1u128 << bucket) - 1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_upper_edge_of_its_bucket() {
        let mut seen = Histogram::<()>::new();
        assert_eq!((seen.total(), seen.percentile(0.5)), (0, 0));
        seen.record(0);
        seen.record_n(5, 8);
        seen.record(u64::MAX);
        let stats = seen.percentile_stats();
        assert_eq!(
            (stats.samples, stats.p10, stats.p50, stats.p90, stats.p99),
            (10, 0, 7, 7, u64::MAX)
        );
        let text = format!("10 samples, p10 0, p50 7, p90 7, p99 {}", u64::MAX);
        assert_eq!(stats.to_string(), text);
    }

    #[test]
    fn counting_stops_at_the_largest_number() {
        let mut seen = Histogram::<()>::new();
        seen.record_n(1, u64::MAX);
        seen.record(1);
        seen.record(2);
        assert_eq!((seen.total(), seen.percentile(1.0)), (u64::MAX, 1));
    }
}
