//! Webhooks: the broker's events (protocol section 12), posted to a receiver of the operator's as
//! signed batches of JSON. `docs/webhooks.md` is for who writes one.
//!
//! A pump moves events from the broker's stream to a bounded queue, a sender posts what is in the
//! queue, a batch at a time, until it is accepted. Neither makes the broker wait.

mod backoff;
mod batch;
mod endpoint;
mod metrics;
mod pump;
mod queue;
mod secret;
mod sender;
mod settings;

pub(crate) use queue::Queue;
pub(crate) use settings::Settings;

use fanfare::EventStream;
use sender::Sender;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How many events may wait for the pump. A crowd that comes or goes at once makes several for
/// each client.
pub(crate) const EVENT_CAPACITY: usize = 16 * 1024;

/// How long the events may take to end, once the broker has: connections that were cut off end a
/// moment later.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the events that are left may take at the end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// Webhooks at work.
pub(crate) struct Webhook {
    queue: Arc<Queue>,
    pump: JoinHandle<()>,
    end: oneshot::Sender<()>,
    sender: JoinHandle<()>,
}

impl Webhook {
    pub(crate) fn start(settings: Settings, events: EventStream) -> Self {
        let Settings { endpoint, secret, queue_limit } = settings;
        let queue = Arc::new(Queue::new(queue_limit));
        let (end, ending) = oneshot::channel();
        let pump = tokio::spawn(pump::run(events, Arc::clone(&queue), ending));
        let sender = tokio::spawn(Sender::new(endpoint, secret, Arc::clone(&queue)).run());
        Self { queue, pump, end, sender }
    }

    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// Posts what is left, to be called once the broker has ended. Gives up after a while, and says
    /// how much is lost by that.
    pub(crate) async fn finish(self) {
        let Self { queue, mut pump, end, mut sender } = self;
        if tokio::time::timeout(END_TIMEOUT, &mut pump).await.is_err() {
            // The pump is there to hear it as long as it has not panicked.
            let _ = end.send(());
            let _ = pump.await;
        }
        queue.close();
        if tokio::time::timeout(FLUSH_TIMEOUT, &mut sender).await.is_err() {
            sender.abort();
        }
        let left = queue.stats().queued_events;
        if left > 0 {
            tracing::error!("the webhook has not accepted {left} events, which are lost now");
        }
    }
}
