//! Histograms side by side as text.

use crate::{Histogram, edge};
use std::fmt;

/// Named histograms; `Display` writes a line for each bucket that any of them has filled.
#[derive(Debug, Clone)]
pub struct AsciiChart<T = ()> {
    series: Vec<(String, Histogram<T>)>,
}

impl<T> Default for AsciiChart<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> AsciiChart<T> {
    pub fn new() -> Self {
        Self { series: Vec::new() }
    }

    pub fn add(mut self, name: &str, histogram: Histogram<T>) -> Self {
        self.series.push((name.to_owned(), histogram));
        self
    }

    /// What openraft prints: the same as `Display`.
    pub fn detailed(&self) -> &Self {
        self
    }
}

impl<T> fmt::Display for AsciiChart<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.series.iter().map(|(name, _)| name.as_str()).collect();
        writeln!(f, "{:>20} | {}", "up to", names.join(" | "))?;
        for bucket in 0..crate::BUCKETS {
            let counts: Vec<u64> = self.series.iter().map(|(_, h)| h.counts[bucket]).collect();
            if counts.iter().any(|count| *count > 0) {
                let counts: Vec<String> = counts.iter().map(u64::to_string).collect();
                writeln!(f, "{:>20} | {}", edge(bucket), counts.join(" | "))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_bucket_in_use() {
        let (mut fast, mut slow) = (Histogram::<()>::new(), Histogram::new());
        fast.record_n(2, 3);
        slow.record(300);
        let text = AsciiChart::new().add("fast", fast).add("slow", slow).to_string();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert_eq!(lines, ["up to | fast | slow", "3 | 3 | 0", "511 | 0 | 1"]);
    }
}
