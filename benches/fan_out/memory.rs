//! Fan-out into mailboxes, without sockets.

use super::crowd::{CHANNEL, broker, message, subscriber_token};
use super::{SUBSCRIBERS, runtime};
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use fanfare::Broker;
use fanfare::internals::{Connection, settled};
use std::cell::LazyCell;
use std::collections::VecDeque;
use std::hint::black_box;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Messages that are published before the mailboxes are emptied, which is not measured.
const BURST: u64 = 16;

pub fn benchmarks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fan_out/memory");
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    for size in SUBSCRIBERS {
        let mut crowd = LazyCell::new(|| Crowd::gather(size));
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter_custom(|messages| {
                let mut elapsed = Duration::ZERO;
                let mut left = messages;
                while left > 0 {
                    let burst = left.min(BURST);
                    elapsed += crowd.publish(burst);
                    crowd.empty_mailboxes(burst);
                    left -= burst;
                }
                elapsed
            });
        });
    }
    group.finish();
}

struct Crowd {
    runtime: Runtime,
    broker: Broker,
    /// Each with the queue that its mailbox is emptied into, as a connection's task has one.
    subscribers: Vec<(Connection, VecDeque<Bytes>)>,
}

impl Crowd {
    fn gather(size: usize) -> Self {
        let runtime = runtime();
        let (broker, mut subscribers) = runtime.block_on(async {
            let broker = broker().await;
            let token = subscriber_token();
            let mut subscribers = Vec::with_capacity(size);
            for _ in 0..size {
                let connection = Connection::open(&broker, &token).await.unwrap();
                subscribers.push((connection, VecDeque::new()));
            }
            (broker, subscribers)
        });
        assert_eq!(broker.channel_info(CHANNEL).unwrap().subscriptions_count(), size);
        for (connection, queue) in &mut subscribers {
            connection.take(queue);
            queue.clear();
        }
        Self { runtime, broker, subscribers }
    }

    fn publish(&self, messages: u64) -> Duration {
        self.runtime.block_on(async {
            let start = Instant::now();
            for _ in 0..messages {
                black_box(self.broker.publish(message()).await.unwrap());
            }
            // A crowd is served by a task.
            settled(&self.broker).await;
            start.elapsed()
        })
    }

    fn empty_mailboxes(&mut self, expected: u64) {
        for (connection, queue) in &mut self.subscribers {
            assert_eq!(connection.take(queue), None);
            assert_eq!(queue.len() as u64, expected);
            queue.clear();
        }
    }
}
