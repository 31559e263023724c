//! What permissions cost, for tokens with few and with many patterns.
//!
//! `publish/known` is the hot path: one client's message of 200 bytes is parsed, checked, encoded
//! and given its place in a channel that nobody else listens to. `publish/first` is the same for
//! an event that was not published before, so that its permission has to be evaluated.
//! `connect/first` takes a token in, from its signature to the open connection, and ends that;
//! with `connect/known` another connection's token says the same.
//!
//!     cargo bench --bench permissions
//!     cargo bench --bench permissions -- publish/known

#![allow(unreachable_pub)] // a benchmark is a crate of its own

#[allow(dead_code)]
#[path = "../tests/broker/token.rs"]
mod token;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use fanfare::internals::Connection;
use fanfare::{Algorithm, Broker, MemoryStorage, VerifyingKey};
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::hint::black_box;
use std::time::Duration;
use tokio::runtime::Runtime;

const PATTERNS: [usize; 4] = [1, 10, 100, 1_000];
const MESSAGE_BYTES: usize = 200;
/// More than any cache of permissions should hold for one connection, and little enough to be
/// prepared.
const EVENTS: usize = 20_000;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let server = Server::start();
    // Publishing may leave work to tasks.
    let _guard = server.runtime.enter();

    let mut group = criterion.benchmark_group("permissions/publish/known");
    for patterns in PATTERNS {
        let room = Room::with(&server, patterns);
        room.publish(&mut group, patterns, 1);
    }
    group.finish();

    let mut group = criterion.benchmark_group("permissions/publish/first");
    for patterns in PATTERNS {
        let room = Room::with(&server, patterns);
        room.publish(&mut group, patterns, EVENTS);
    }
    group.finish();

    for (name, in_force) in [("known", true), ("first", false)] {
        let mut group = criterion.benchmark_group(format!("permissions/connect/{name}"));
        for patterns in PATTERNS {
            let token = token_with(patterns);
            let _other = in_force.then(|| server.connect(&token));
            group.throughput(Throughput::Elements(1));
            group.bench_function(BenchmarkId::from_parameter(patterns), |bencher| {
                bencher.iter(|| server.connect(black_box(&token)));
            });
        }
        group.finish();
    }
    criterion.final_summary();
}

struct Server {
    runtime: Runtime,
    broker: Broker,
}

impl Server {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let builder = Broker::builder()
            .verifying_key(VerifyingKey::hmac(Algorithm::HS256, token::SECRET).unwrap())
            .storage(MemoryStorage::new());
        let broker = runtime.block_on(builder.build()).unwrap();
        Self { runtime, broker }
    }

    fn connect(&self, token: &str) -> Connection {
        self.runtime.block_on(Connection::open(&self.broker, token)).unwrap()
    }
}

/// Claims with so many patterns, of which the middle one is about the channel that is used. They
/// are short, since a token has at most 64 KiB.
fn token_with(patterns: usize) -> String {
    let channels: Map<String, Value> = (0..patterns)
        .map(|number| {
            let mut directives = json!({"messages": {"c.*": {"publish": true}}});
            if number == patterns / 2 {
                directives["subscribe"] = true.into();
            }
            (format!("r{number}.*"), directives)
        })
        .collect();
    token::connect(&json!({"uid": "jim", "channels": channels}))
}

/// A connection that is subscribed to a channel, which its token allows by a pattern.
struct Room {
    connection: Connection,
    channel: String,
}

impl Room {
    fn with(server: &Server, patterns: usize) -> Self {
        let connection = server.connect(&token_with(patterns));
        let channel = format!("r{}.lobby", patterns / 2);
        let subscribe = json!({"event": "hotsock.subscribe", "channel": channel});
        assert!(connection.text(&subscribe.to_string()).is_none());
        let room = Self { connection, channel };
        assert_eq!(room.answers(), 2, "a welcome and a confirmation");
        room
    }

    /// How many frames wait for the client.
    fn answers(&self) -> usize {
        let mut frames = VecDeque::new();
        assert_eq!(self.connection.take(&mut frames), None);
        frames.len()
    }

    /// Publishes `events` different events by turns.
    fn publish(&self, group: &mut BenchmarkGroup<'_, WallTime>, patterns: usize, events: usize) {
        let messages: Vec<String> = (0..events).map(|number| self.message(number)).collect();
        let mut turns = messages.iter().cycle();
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::from_parameter(patterns), |bencher| {
            bencher.iter(|| {
                let message = turns.next().map(String::as_str).unwrap_or_default();
                let wait = self.connection.text(black_box(message));
                assert!(wait.is_none(), "what is not stored waits for nothing");
            });
        });
        assert_eq!(self.answers(), 0, "nothing was refused, and nothing echoed");
    }

    fn message(&self, number: usize) -> String {
        let start = format!(r#"{{"event":"c.{number}","channel":"{}","data":""#, self.channel);
        let data = "x".repeat(MESSAGE_BYTES - start.len() - 2);
        let message = format!(r#"{start}{data}"}}"#);
        assert_eq!(message.len(), MESSAGE_BYTES);
        message
    }
}
