//! From the queue to the receiver: one request at a time, so that all stays in order, and each until
//! it is accepted.

use super::backoff;
use super::batch::Batch;
use super::endpoint::{Endpoint, Refusal};
use super::queue::Queue;
use super::secret::Secret;

use crate::throttle::Throttle;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often the log may tell of requests that fail.
const TELL_EVERY: Duration = Duration::from_secs(30);

pub(super) struct Sender {
    endpoint: Endpoint,
    secret: Secret,
    queue: Arc<Queue>,
    failures: Throttle,
    /// Whether the log's last word is that requests fail.
    is_failure_told: bool,
}

impl Sender {
    pub(super) fn new(endpoint: Endpoint, secret: Secret, queue: Arc<Queue>) -> Self {
        Self {
            endpoint,
            secret,
            queue,
            failures: Throttle::new(TELL_EVERY),
            is_failure_told: false,
        }
    }

    /// Goes on until the queue is closed and empty.
    pub(super) async fn run(mut self) {
        while let Some(batch) = self.queue.next().await {
            self.deliver(&batch).await;
            self.queue.accepted(&batch);
        }
    }

    /// Nothing but acceptance ends this. Meanwhile the queue fills, and then drops and counts: a
    /// receiver that is mended gets what the queue has, and is told what is missing.
    async fn deliver(&mut self, batch: &Batch) {
        let mut failures = 0_u32;
        loop {
            // Signed anew each time, since receivers refuse old signatures.
            let signature = self.secret.signature(unix_seconds(), &batch.body);
            let Err(refusal) = self.endpoint.post(batch, &signature).await else {
                break;
            };
            self.queue.failed();
            failures = failures.saturating_add(1);
            let wait = backoff::wait(failures, refusal.retry_after, fastrand::f64());
            self.tell(&refusal, wait);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // At the end there is not much time left to wait.
                () = self.queue.closing() => {}
            }
        }
        if std::mem::take(&mut self.is_failure_told) {
            // As loud as the failure was: who has read of that is to read of its end.
            tracing::warn!("{} accepts again, after {failures} failures", self.endpoint);
        }
    }

    fn tell(&mut self, refusal: &Refusal, wait: Duration) {
        if self.failures.pass().is_ok() {
            self.is_failure_told = true;
            let waiting = self.queue.stats().queued_events;
            tracing::warn!(
                "posting to {} fails, and is tried again in {wait:.1?}, with {waiting} events waiting: {}",
                self.endpoint,
                refusal.reason
            );
        }
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
