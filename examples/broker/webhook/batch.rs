//! Which events go together, and the body that they make.

use super::queue::Entry;
use bytes::Bytes;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

const MAX_EVENTS: usize = 100;
/// Of the events' JSON, but for one that is larger by itself.
const MAX_BYTES: usize = 512 * 1024;

/// A body that is the same however often it is posted.
pub(super) struct Batch {
    /// Unique, also across restarts.
    pub(super) delivery: String,
    /// How many events were dropped between the batch before and the last event of this one.
    pub(super) dropped: u64,
    pub(super) events: u64,
    /// Of the events' JSON.
    pub(super) bytes: usize,
    pub(super) body: Bytes,
}

impl Batch {
    /// Takes the first of what waits, up to the bounds, and at least one; `None` where nothing does.
    pub(super) fn take(waiting: &mut VecDeque<Entry>) -> Option<Vec<Entry>> {
        let count = count(waiting.iter().map(|entry| entry.json.len()));
        (count > 0).then(|| waiting.drain(..count).collect())
    }

    pub(super) fn new(entries: &[Entry]) -> Self {
        let delivery = next_delivery();
        let dropped = entries.iter().map(|entry| entry.dropped_before).sum();
        let bytes = entries.iter().map(|entry| entry.json.len()).sum();
        let mut body = String::with_capacity(bytes + entries.len() + 128);
        // Writing to a string can't fail; a delivery's name needs no escapes.
        let _ = write!(body, r#"{{"delivery":"{delivery}","dropped":{dropped},"events":["#);
        for (index, entry) in entries.iter().enumerate() {
            if index > 0 {
                body.push(',');
            }
            body.push_str(&entry.json);
        }
        body.push_str("]}");
        Self { delivery, dropped, events: entries.len() as u64, bytes, body: body.into() }
    }
}

/// How many of the first go together, given their sizes.
fn count(sizes: impl Iterator<Item = usize>) -> usize {
    let mut bytes = 0;
    let fit = sizes.take(MAX_EVENTS).take_while(|size| {
        let is_first = bytes == 0;
        bytes += size;
        is_first || bytes <= MAX_BYTES
    });
    fit.count()
}

/// A name for this process, and a number.
fn next_delivery() -> String {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| fastrand::u64(..));
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{:016x}-{}", *PROCESS, NEXT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn count_of(sizes: &[usize]) -> usize {
        count(sizes.iter().copied())
    }

    #[test]
    fn batches_are_bounded_in_number_and_bytes() {
        assert_eq!(count_of(&[]), 0);
        assert_eq!(count_of(&[1]), 1);
        assert_eq!(count_of(&[200; 99]), 99);
        assert_eq!(count_of(&[200; 101]), 100);
        assert_eq!(count_of(&[MAX_BYTES / 2, MAX_BYTES / 2, 1]), 2);
        assert_eq!(count_of(&[1, MAX_BYTES, 1]), 1);
        assert_eq!(count_of(&[MAX_BYTES + 1, 1]), 1, "what is too large goes alone");
    }

    #[test]
    fn what_is_taken_makes_a_body_and_the_rest_stays() {
        let entry = |number: u64| Entry {
            json: format!(r#"{{"n":{number}}}"#).into(),
            dropped_before: number % 2,
        };
        let mut waiting: VecDeque<Entry> = (0..150).map(entry).collect();
        let batch = Batch::new(&Batch::take(&mut waiting).unwrap());
        assert_eq!((batch.events, batch.dropped, waiting.len()), (100, 50, 50));
        assert_eq!(batch.bytes, 10 * 7 + 90 * 8);
        let numbers: Vec<Value> = (0..100).map(|n| json!({"n": n})).collect();
        let body: Value = serde_json::from_slice(&batch.body).unwrap();
        assert_eq!(body, json!({"delivery": batch.delivery, "dropped": 50, "events": numbers}));
        let next = Batch::new(&Batch::take(&mut waiting).unwrap());
        assert_ne!(next.delivery, batch.delivery);
        assert!(Batch::take(&mut waiting).is_none());
    }
}
