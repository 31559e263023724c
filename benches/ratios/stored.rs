//! Stored publishes beside what the storage does by itself.

use super::{builder, median, repeated, row, runtime};
use bytes::Bytes;
use fanfare::{Broker, Message, MessageId, Storage, Timestamp};
use fanfare_storage::{Item, Message as Stored, Publish, Retention, Write};
use fanfare_storage_redb::RedbStorage;
use fanfare_storage_sled::SledStorage;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const PUBLISHERS: usize = 64;
const MEASURED: Duration = Duration::from_millis(500);
const CHANNEL: &str = "bench";

pub type Open = fn(&Path) -> Arc<dyn Storage>;

pub const BACKENDS: [(&str, Open); 2] = [
    ("redb", |directory| Arc::new(RedbStorage::open(directory).unwrap())),
    ("sled", |directory| Arc::new(SledStorage::open(directory).unwrap())),
];

pub fn report() {
    for (name, open) in BACKENDS {
        let directory = tempfile::tempdir().unwrap();
        let runtime = runtime();
        let storage = runtime.block_on(async { open(directory.path()) });
        let broker = builder().storage(Arc::clone(&storage));
        let broker = runtime.block_on(broker.build()).unwrap();
        let mut raw = Raw { storage, number: 0 };

        // By turns, so that what disturbs the disk disturbs both.
        let ratio = repeated(|| {
            let raw = runtime.block_on(raw.messages_per_second(PUBLISHERS));
            runtime.block_on(publishes_per_second(&broker)) / raw
        });
        row(
            &format!("stored publishes of 64 publishers, to batches of 64 of {name}'s own"),
            format!("{ratio:.2}"),
            "0.6",
            ratio >= 0.6,
        );
        let added = repeated(|| {
            let own = runtime.block_on(raw.latency());
            runtime.block_on(latency(&broker)) - own
        });
        row(
            &format!("latency that a stored publish adds to {name}'s commit, idle"),
            format!("{added:.0} µs"),
            "100 µs",
            added <= 100.0,
        );
        runtime.block_on(broker.shutdown()).unwrap();
    }
}

fn message() -> Message {
    Message::new(CHANNEL, "chat").data(&"x".repeat(126)).store_forever()
}

async fn publishes_per_second(broker: &Broker) -> f64 {
    let mut publishers = JoinSet::new();
    let start = Instant::now();
    for _ in 0..PUBLISHERS {
        let broker = broker.clone();
        publishers.spawn(async move {
            let mut published = 0.0;
            while start.elapsed() < MEASURED {
                broker.publish(message()).await.unwrap();
                published += 1.0;
            }
            published
        });
    }
    let published: f64 = publishers.join_all().await.into_iter().sum();
    published / start.elapsed().as_secs_f64()
}

/// Microseconds of a publish.
async fn latency(broker: &Broker) -> f64 {
    let mut taken = Vec::new();
    for _ in 0..50 {
        let start = Instant::now();
        broker.publish(message()).await.unwrap();
        taken.push(start.elapsed().as_secs_f64() * 1e6);
    }
    median(taken)
}

/// The storage, without a broker, on a channel of its own.
struct Raw {
    storage: Arc<dyn Storage>,
    number: u64,
}

impl Raw {
    async fn messages_per_second(&mut self, batch: usize) -> f64 {
        let start = Instant::now();
        let mut written = 0.0;
        while start.elapsed() < MEASURED {
            self.commit(batch).await;
            written += batch as f64;
        }
        written / start.elapsed().as_secs_f64()
    }

    /// Microseconds of a commit of one message.
    async fn latency(&mut self) -> f64 {
        let mut taken = Vec::new();
        for _ in 0..50 {
            let start = Instant::now();
            self.commit(1).await;
            taken.push(start.elapsed().as_secs_f64() * 1e6);
        }
        median(taken)
    }

    async fn commit(&mut self, batch: usize) {
        let data = Bytes::from(format!("\"{}\"", "x".repeat(126)));
        let items = (0..batch).map(|_| {
            self.number += 1;
            let id = MessageId::from_parts(Timestamp::from_unix_millis(self.number), 0);
            let message = Stored { id, event: "chat".to_owned(), data: data.clone(), author: None };
            let publish = Publish { message, retention: Retention::Forever, deduplication: None };
            Item::from(Write::Publish(publish))
        });
        let items = items.collect();
        self.storage.commit("raw", items, Timestamp::now()).await.unwrap();
    }
}
