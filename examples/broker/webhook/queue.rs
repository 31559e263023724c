//! The events that wait for the receiver, up to a number of bytes.

use super::batch::Batch;
use parking_lot::Mutex;
use std::collections::VecDeque;
use tokio::sync::Notify;

/// What waits from the pump to the receiver's acceptance, the batch under way included. At its
/// bound it drops the newest, so that what is delivered is in order and has few gaps, and each gap
/// is told with what comes after it.
pub(crate) struct Queue {
    limit: usize,
    state: Mutex<State>,
    /// Something came, or nothing more will.
    changed: Notify,
    closed: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Entry>,
    /// Dropped since the last entry came.
    dropped: u64,
    closed: bool,
    stats: Stats,
}

pub(super) struct Entry {
    pub(super) json: Box<str>,
    /// How many were dropped right before this.
    pub(super) dropped_before: u64,
}

/// Events are counted once: queued, delivered or dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    /// Those under way included.
    pub(crate) queued_events: u64,
    /// Of JSON.
    pub(crate) queued_bytes: usize,
    pub(crate) delivered_events: u64,
    pub(crate) dropped_events: u64,
    pub(crate) failed_requests: u64,
}

impl Queue {
    /// A queue for so many bytes of JSON.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default(), changed: Notify::new(), closed: Notify::new() }
    }

    /// Appends an event, or drops it where the queue is full, and says so.
    #[must_use]
    pub(super) fn push(&self, json: String) -> bool {
        let mut state = self.state.lock();
        if state.stats.queued_bytes + json.len() > self.limit {
            state.drop_events(1);
            return false;
        }
        state.stats.queued_events += 1;
        state.stats.queued_bytes += json.len();
        let dropped_before = std::mem::take(&mut state.dropped);
        // A string's spare capacity would not be counted.
        state.waiting.push_back(Entry { json: json.into_boxed_str(), dropped_before });
        drop(state);
        self.changed.notify_one();
        true
    }

    /// Notes events that were lost before they came here.
    pub(super) fn lost(&self, events: u64) {
        self.state.lock().drop_events(events);
    }

    /// The next batch, as soon as anything waits; `None` once the queue is closed and empty. To be
    /// called by one task, which calls [`accepted`](Self::accepted) before it asks for another.
    pub(super) async fn next(&self) -> Option<Batch> {
        loop {
            let (entries, closed) = {
                let mut state = self.state.lock();
                (Batch::take(&mut state.waiting), state.closed)
            };
            match entries {
                // Encoded without the lock.
                Some(entries) => return Some(Batch::new(&entries)),
                None if closed => return None,
                None => self.changed.notified().await,
            }
        }
    }

    pub(super) fn accepted(&self, batch: &Batch) {
        let stats = &mut self.state.lock().stats;
        stats.queued_events -= batch.events;
        stats.queued_bytes -= batch.bytes;
        stats.delivered_events += batch.events;
    }

    /// Notes a request that was not accepted.
    pub(super) fn failed(&self) {
        self.state.lock().stats.failed_requests += 1;
    }

    /// Nothing is pushed after this.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_one();
        self.closed.notify_one();
    }

    /// Waits for the close, and tells of it once.
    pub(super) async fn closing(&self) {
        self.closed.notified().await;
    }

    pub(crate) fn stats(&self) -> Stats {
        self.state.lock().stats
    }
}

impl State {
    fn drop_events(&mut self, events: u64) {
        self.dropped += events;
        self.stats.dropped_events += events;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn body(batch: &Batch) -> Value {
        serde_json::from_slice(&batch.body).unwrap()
    }

    #[tokio::test]
    async fn the_newest_are_dropped_at_the_bound_and_counted_where_they_are_missing() {
        let queue = Queue::new(4);
        assert!(queue.push("11".to_owned()) && queue.push("22".to_owned()));
        assert!(!queue.push("3".to_owned()) && !queue.push("4".to_owned()));
        let first = queue.next().await.unwrap();
        assert_eq!((&body(&first)["events"], first.dropped), (&serde_json::json!([11, 22]), 0));
        assert!(!queue.push("5".to_owned()), "what is under way counts");
        let full =
            Stats { queued_events: 2, queued_bytes: 4, dropped_events: 3, ..Stats::default() };
        assert_eq!(queue.stats(), full);

        queue.accepted(&first);
        queue.lost(2);
        assert!(queue.push("6".to_owned()) && queue.push("7".to_owned()));
        let second = queue.next().await.unwrap();
        assert_eq!((&body(&second)["events"], second.dropped), (&serde_json::json!([6, 7]), 5));
        queue.accepted(&second);
        let empty = Stats { delivered_events: 4, dropped_events: 5, ..Stats::default() };
        assert_eq!(queue.stats(), empty);
    }

    #[tokio::test]
    async fn a_closed_queue_ends_once_it_is_empty() {
        let queue = Queue::new(100);
        assert!(queue.push("1".to_owned()));
        queue.close();
        let last = queue.next().await.unwrap();
        queue.accepted(&last);
        assert!(queue.next().await.is_none());
    }

    #[tokio::test]
    async fn who_waits_for_a_batch_is_woken() {
        let queue = Queue::new(100);
        let (batch, ()) = tokio::join!(queue.next(), async {
            tokio::task::yield_now().await;
            assert!(queue.push("1".to_owned()));
        });
        queue.accepted(&batch.unwrap());
        let (end, ()) = tokio::join!(queue.next(), async { queue.close() });
        assert!(end.is_none());
    }
}
