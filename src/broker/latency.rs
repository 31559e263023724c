//! How long things take.

use super::stats::Counter;
use super::tally::{Counts, Tally};
use std::fmt::Write;
use std::time::Duration;

/// Bounds of the classes, in milliseconds; what takes longer is in one more.
const BOUNDS: [u64; 10] = [1, 2, 5, 10, 25, 50, 100, 250, 1_000, 5_000];
const CLASSES: usize = BOUNDS.len() + 1;

/// Counts how long things took, in classes.
#[derive(Debug, Default)]
pub(super) struct Latency {
    classes: Tally<CLASSES>,
    micros: Counter,
}

impl Latency {
    pub(super) fn add(&self, time: Duration) {
        let class = BOUNDS.iter().position(|bound| time <= Duration::from_millis(*bound));
        self.classes.count(class.unwrap_or(BOUNDS.len()));
        self.micros.add(usize::try_from(time.as_micros()).unwrap_or(usize::MAX));
    }

    pub(super) fn totals(&self) -> Latencies {
        Latencies { classes: self.classes.counts(), time: Duration::from_micros(self.micros.get()) }
    }
}

/// How long things took, in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Latencies {
    classes: Counts<CLASSES>,
    time: Duration,
}

impl Latencies {
    /// Appends a histogram, as Prometheus reads it.
    pub(super) fn write(&self, text: &mut String, name: &str, help: &str) {
        // Writing to a string can't fail.
        let _ = writeln!(text, "# HELP fanfare_{name} {help}\n# TYPE fanfare_{name} histogram");
        let bounds = BOUNDS.map(|bound| Duration::from_millis(bound).as_secs_f64().to_string());
        let mut count = 0;
        for (bound, number) in
            bounds.iter().map(String::as_str).chain(["+Inf"]).zip(self.classes.all())
        {
            count += number;
            let _ = writeln!(text, "fanfare_{name}_bucket{{le=\"{bound}\"}} {count}");
        }
        let sum = self.time.as_secs_f64();
        let _ = writeln!(text, "fanfare_{name}_sum {sum}\nfanfare_{name}_count {count}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_long_is_in_a_class_above() {
        let latency = Latency::default();
        for micros in [0, 1_000, 1_001, 6_000_000] {
            latency.add(Duration::from_micros(micros));
        }
        let mut text = String::new();
        latency.totals().write(&mut text, "x", "Help.");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], ["# HELP fanfare_x Help.", "# TYPE fanfare_x histogram"]);
        assert_eq!(lines[2], "fanfare_x_bucket{le=\"0.001\"} 2");
        assert_eq!(lines[3], "fanfare_x_bucket{le=\"0.002\"} 3");
        assert_eq!(lines[11], "fanfare_x_bucket{le=\"5\"} 3");
        assert_eq!(
            lines[12..],
            ["fanfare_x_bucket{le=\"+Inf\"} 4", "fanfare_x_sum 6.002001", "fanfare_x_count 4"]
        );
    }
}
