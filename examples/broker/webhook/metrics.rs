//! The numbers of the webhook for Prometheus.

use super::queue::Stats;
use std::fmt::Write as _;

impl Stats {
    /// In the text format that Prometheus reads (version 0.0.4).
    pub(crate) fn to_prometheus(self) -> String {
        let mut text = String::new();
        for (name, kind, help, value) in [
            ("queued_events", "gauge", "Events that wait for the receiver.", self.queued_events),
            ("queued_bytes", "gauge", "Bytes of these.", self.queued_bytes as u64),
            ("delivered_total", "counter", "Events that it accepted.", self.delivered_events),
            (
                "dropped_total",
                "counter",
                "Events dropped since too many waited.",
                self.dropped_events,
            ),
            (
                "failures_total",
                "counter",
                "Requests that failed, each then retried.",
                self.failed_requests,
            ),
        ] {
            // Writing to a string can't fail.
            let _ = write!(
                text,
                "# HELP fanfare_webhook_{name} {help}\n# TYPE fanfare_webhook_{name} {kind}\n\
                 fanfare_webhook_{name} {value}\n"
            );
        }
        text
    }
}
