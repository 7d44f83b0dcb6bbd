//! Prometheus' text format.

use std::fmt::Write;

#[derive(Default)]
pub struct Text {
    out: String,
}

impl Text {
    pub fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub fn value(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.out.push_str(name);
        self.labels(labels);
        let _ = writeln!(self.out, " {value}");
    }

    /// `buckets` are not cumulative here, and have one more than there are bounds.
    pub fn histogram(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        bounds: &[f64],
        buckets: &[u64],
        sum: f64,
    ) {
        let mut count = 0;
        let texts: Vec<String> = bounds.iter().map(f64::to_string).collect();
        let ends = texts.iter().map(String::as_str).chain(["+Inf"]);
        for (end, bucket) in ends.zip(buckets) {
            count += bucket;
            let mut labels = labels.to_vec();
            labels.push(("le", end));
            self.value(&format!("{name}_bucket"), &labels, count as f64);
        }
        self.value(&format!("{name}_sum"), labels, sum);
        self.value(&format!("{name}_count"), labels, count as f64);
    }

    pub fn done(self) -> String {
        self.out
    }

    fn labels(&mut self, labels: &[(&str, &str)]) {
        for (at, (name, value)) in labels.iter().enumerate() {
            self.out.push(if at == 0 { '{' } else { ',' });
            let value = value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            let _ = write!(self.out, "{name}=\"{value}\"");
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_prometheus_reads_them() {
        let mut out = Text::default();
        out.head("a", "histogram", "h");
        out.histogram("a", &[("x", "q\"\n")], &[0.5, 1.0], &[1, 0, 2], 7.5);
        let expected = "# HELP a h\n# TYPE a histogram\na_bucket{x=\"q\\\"\\n\",le=\"0.5\"} 1\na_bucket{x=\"q\\\"\\n\",le=\"1\"} 1\n\
                        a_bucket{x=\"q\\\"\\n\",le=\"+Inf\"} 3\na_sum{x=\"q\\\"\\n\"} 7.5\na_count{x=\"q\\\"\\n\"} 3\n";
        assert_eq!(out.done(), expected);
    }
}
