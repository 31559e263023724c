//! From the broker's events to the queue.

use super::queue::Queue;
use crate::throttle::Throttle;
use fanfare::{EventStream, Lagged};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

/// How often the log may tell of dropped events.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Goes on until `ending` comes and all that is in the stream by then is in the queue.
pub(super) async fn run(
    mut events: EventStream,
    queue: Arc<Queue>,
    mut ending: oneshot::Receiver<()>,
) {
    let throttle = Throttle::new(TELL_EVERY);
    let mut drops = Drops { untold: 0, throttle, tell_at: Instant::now() };
    loop {
        tokio::select! {
            // The end is looked at where no event is there.
            biased;
            event = events.recv() => match event {
                Some(Ok(event)) => {
                    if !queue.push(event.to_json()) {
                        drops.note(1);
                    }
                }
                Some(Err(Lagged(dropped))) => {
                    queue.lost(dropped);
                    drops.note(dropped);
                }
                None => break,
            },
            () = sleep_until(drops.tell_at), if drops.untold > 0 => drops.note(0),
            _ = &mut ending => break,
        }
    }
    drops.tell();
}

/// Logs what was dropped: the first at once, what follows summed up.
struct Drops {
    untold: u64,
    throttle: Throttle,
    /// When to tell of those that are untold.
    tell_at: Instant,
}

impl Drops {
    fn note(&mut self, events: u64) {
        self.untold += events;
        match self.throttle.pass() {
            Ok(_) => self.tell(),
            Err(wait) => self.tell_at = Instant::now() + wait,
        }
    }

    fn tell(&mut self) {
        match std::mem::take(&mut self.untold) {
            0 => {}
            dropped => tracing::warn!("{dropped} events were dropped: the webhook is too slow"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanfare::{Algorithm, Broker, MemoryStorage, Message, VerifyingKey};

    #[tokio::test]
    async fn all_that_is_there_at_the_end_is_queued_and_what_the_stream_lost_is_counted() {
        let key = VerifyingKey::hmac(Algorithm::HS256, &[7; 32]).unwrap();
        let broker = Broker::builder().verifying_key(key).storage(MemoryStorage::new());
        let broker = broker.event_capacity(512).build().await.unwrap();
        let events = broker.events();
        for _ in 0..700 {
            let message = Message::new("c", "e").emit_pub_sub_event(true);
            broker.publish(message).await.unwrap();
        }
        let queue = Arc::new(Queue::new(1 << 20));
        let (end, ending) = oneshot::channel();
        end.send(()).unwrap();
        run(events, Arc::clone(&queue), ending).await;
        let stats = queue.stats();
        assert_eq!((stats.queued_events, stats.dropped_events), (512, 188));
    }
}
