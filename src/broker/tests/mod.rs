//! Channels and their order, with storage that can be held up, made to fail, or to panic.

mod aging;
mod control;
mod crowd;
mod delivery;
mod ending;
mod entries;
mod expiry;
mod faulty;
mod held;
mod logging;
mod observing;
mod order;
mod place;
mod presence;
mod publishing;
mod recovery;
mod replaying;
mod scheduling;
mod taken_back;
mod umd;

use super::channel::Joined;
use super::clock::{Clock, ManualClock};
use super::events::Announcer;
use super::hub::Hub;
use super::mailbox::Mailbox;
use super::outgoing::{Draft, Refusal, Settle, Settled};
use super::subscribers::{ConnectionKey, Phase, Registration};
use crate::session::CloseReason;
use bytes::Bytes;
use fanfare_storage::{MessageId, Retention, Storage, Timestamp};
use faulty::FaultyStorage;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

const BUDGET: usize = 1 << 20;

/// A hub, with what is around it.
struct World {
    hub: Arc<Hub>,
    clock: Arc<ManualClock>,
    storage: Arc<FaultyStorage>,
}

impl World {
    fn new() -> Self {
        Self::with_budget(BUDGET)
    }

    fn with_budget(budget: usize) -> Self {
        let storage = Arc::new(FaultyStorage::default());
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_seconds(1_700_000_000)));
        let hub = hub(&storage, &clock, MessageId::MIN, budget);
        Self { hub, clock, storage }
    }

    /// As a process that starts again on the same storage.
    async fn restart(&mut self) {
        let floor = self.storage.high_water().await.unwrap().unwrap_or(MessageId::MIN);
        self.hub = hub(&self.storage, &self.clock, floor, BUDGET);
    }

    fn subscriber(&self, channel: &str) -> Subscriber {
        Subscriber::join(&self.hub, channel, BUDGET)
    }

    fn publish(&self, channel: &str, data: u64) -> MessageId {
        let draft = Draft::of_host(channel, "e", &data.to_string(), Retention::None);
        let permit = self.hub.try_reserve(draft.size()).unwrap();
        self.hub.publish(&channel.into(), draft.outgoing(Settle::Nobody, permit))
    }

    /// Starts a stored publish; the receiver tells what became of it.
    fn store(&self, channel: &str, data: u64) -> oneshot::Receiver<Result<Settled, Refusal>> {
        let draft = Draft::of_host(channel, "e", &data.to_string(), Retention::Forever);
        let permit = self.hub.try_reserve(draft.size()).unwrap();
        let (caller, settled) = oneshot::channel();
        self.hub.publish(&channel.into(), draft.outgoing(Settle::Caller(caller), permit));
        settled
    }
}

fn hub(
    storage: &Arc<FaultyStorage>,
    clock: &Arc<ManualClock>,
    floor: MessageId,
    budget: usize,
) -> Arc<Hub> {
    let storage: Arc<dyn Storage> = Arc::<FaultyStorage>::clone(storage);
    let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(clock);
    Arc::new(Hub::new(storage, clock, floor, budget, Announcer::new(16)))
}

/// A connection as far as a channel sees it.
struct Subscriber {
    hub: Arc<Hub>,
    joined: Joined,
    start: MessageId,
    key: ConnectionKey,
    mailbox: Arc<Mailbox>,
}

impl Subscriber {
    fn join(hub: &Arc<Hub>, channel: &str, budget: usize) -> Self {
        static KEY: AtomicU64 = AtomicU64::new(0);
        let key = ConnectionKey(KEY.fetch_add(1, Ordering::Relaxed));
        let mailbox = Arc::new(Mailbox::new(budget));
        let confirmation = Bytes::from_static(br#"{"event":"confirmed"}"#);
        let registration = Registration::new(key, Arc::clone(&mailbox), true, Phase::Live);
        let (joined, start) = hub.join(&channel.into(), &registration.into(), Some(confirmation));
        Self { hub: Arc::clone(hub), joined, start, key, mailbox }
    }

    fn leave(&self) {
        self.hub.leave(&self.joined);
    }

    /// Takes all that has arrived, parsed; the confirmation is among it.
    fn received(&self) -> Vec<Value> {
        let (frames, closing) = self.mailbox.drain();
        assert_eq!(closing, None);
        frames.iter().map(parse).collect()
    }

    /// The ids and data of the messages that have arrived.
    fn messages(&self) -> Vec<(MessageId, u64)> {
        let messages = self.received().into_iter().filter(|message| message["id"].is_string());
        messages.map(|message| (id(&message), message["data"].as_u64().unwrap())).collect()
    }

    fn closing(&self) -> Option<CloseReason> {
        self.mailbox.drain().1
    }
}

fn parse(frame: &Bytes) -> Value {
    let start = frame.windows(2).position(|two| two == b"{\"").unwrap();
    serde_json::from_slice(&frame[start..]).unwrap()
}

fn id(message: &Value) -> MessageId {
    message["id"].as_str().unwrap().parse().unwrap()
}

/// Lets other tasks run until `condition` holds.
async fn until(mut condition: impl FnMut() -> bool) {
    let patience = Duration::from_secs(60);
    let met = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(patience, met).await.expect("the condition was not met in a minute");
}
