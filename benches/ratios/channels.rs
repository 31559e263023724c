//! One client's publishes among few and many channels and permissions; the memory of channels.

use super::platform::cpu_time;
use super::{builder, repeated, row, runtime, token};
use fanfare::MemoryStorage;
use fanfare::internals::Connection;
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::env;
use std::hint::black_box;
use std::process::Command;
use tokio::runtime::Runtime;

const MANY: usize = 1_000;
const PUBLISHES: u32 = 50_000;
/// Says to a process of its own how to use its memory.
const MEMORY: &str = "RATIOS_MEMORY";

pub fn report() {
    let server = Server::start();
    let _guard = server.runtime.enter();
    let rooms = [1, 10, 100, 1_000].map(|patterns| server.room(patterns));
    let costs: Vec<_> = rooms.iter().map(|room| repeated(|| room.publish())).collect();
    row(
        "parse, check, stamp and encode a publish of 200 bytes",
        format!("{:.2} µs", costs[0]),
        "1.5 µs",
        costs[0] <= 1.5,
    );
    let most = costs.iter().copied().fold(0.0, f64::max);
    let growth = (most - costs[0]).max(0.0) * 1e3;
    row(
        "what 1 to 1,000 patterns in a token add to it",
        format!("{growth:.0} ns"),
        "150 ns",
        growth <= 150.0,
    );

    let checks = rooms.each_ref().map(|room| repeated(|| room.check()));
    let slowest = checks.iter().copied().fold(0.0, f64::max);
    row(
        "permission check of a publish, the slowest with 1 to 1,000 patterns",
        format!("{slowest:.0} ns"),
        "150 ns",
        slowest <= 150.0,
    );
    let flat = slowest / checks[0];
    row("the same, to that with 1 pattern", format!("{flat:.2}"), "1.2", flat <= 1.2);

    let alone = repeated(|| rooms[0].publish());
    let others = server.crowd(|one, channel| format!("other.{one}.{channel}"));
    let among = repeated(|| rooms[0].publish());
    drop(others);
    let ratio = among / alone;
    row(
        "a publish among 1,000,000 other channels, to one alone",
        format!("{ratio:.2}"),
        "1.2",
        ratio <= 1.2,
    );

    let [shared, own] = ["shared", "own"].map(memory_of);
    let each = (own - shared) / (MANY * MANY) as f64;
    row(
        "memory of a channel with one subscriber beyond the subscription, of a million",
        format!("{each:.0} B"),
        "512 B",
        each <= 512.0,
    );
}

/// Whether this process was only to measure memory, and has.
pub fn measured_memory() -> bool {
    let Ok(how) = env::var(MEMORY) else { return false };
    let server = Server::start();
    let before = resident();
    let _crowd = match &*how {
        "shared" => server.crowd(|_, channel| format!("channel.000.{channel:03}")),
        _ => server.crowd(|one, channel| format!("channel.{one:03}.{channel:03}")),
    };
    print!("{}", resident() - before);
    true
}

/// Bytes of a million subscriptions, to a thousand channels or each to its own.
fn memory_of(how: &str) -> f64 {
    let output = Command::new(env::current_exe().unwrap()).env(MEMORY, how).output().unwrap();
    String::from_utf8(output.stdout).unwrap().parse().expect("memory is not known on this system")
}

pub fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    number.map_or(0, |kib| kib * 1024)
}

/// A connection that is subscribed to a channel of its own.
struct Room {
    connection: Connection,
    channel: String,
}

impl Room {
    /// Microseconds of one publish that nobody else receives.
    fn publish(&self) -> f64 {
        let start = format!(r#"{{"event":"chat","channel":"{}","data":""#, self.channel);
        let message = format!(r#"{start}{}"}}"#, "x".repeat(200 - start.len() - 2));
        let begun = cpu_time();
        for _ in 0..PUBLISHES {
            assert!(self.connection.text(&message).is_none());
        }
        let taken = cpu_time() - begun;
        assert_eq!(taken_frames(&self.connection), 0, "something was refused or echoed");
        taken.as_secs_f64() * 1e6 / f64::from(PUBLISHES)
    }
}

impl Room {
    /// Nanoseconds of looking a permission up that was looked up before.
    fn check(&self) -> f64 {
        const CHECKS: u32 = 1_000_000;
        let begun = cpu_time();
        for _ in 0..CHECKS {
            assert!(self.connection.may_publish(black_box(&self.channel), black_box("chat")));
        }
        (cpu_time() - begun).as_secs_f64() * 1e9 / f64::from(CHECKS)
    }
}

fn taken_frames(connection: &Connection) -> usize {
    let mut frames = VecDeque::new();
    assert_eq!(connection.take(&mut frames), None);
    frames.len()
}

struct Server {
    runtime: Runtime,
    broker: fanfare::Broker,
}

impl Server {
    fn start() -> Self {
        let runtime = runtime();
        let builder = builder().storage(MemoryStorage::new()).max_subscriptions(MANY);
        let broker = runtime.block_on(builder.build()).unwrap();
        Self { runtime, broker }
    }

    fn connect(&self, token: &str) -> Connection {
        let connection = self.runtime.block_on(Connection::open(&self.broker, token)).unwrap();
        taken_frames(&connection);
        connection
    }

    /// A connection whose channel is allowed by one of so many patterns.
    fn room(&self, patterns: usize) -> Room {
        let channels: Map<String, Value> = (0..patterns)
            .map(|number| {
                // Short, since a token has at most 64 KiB.
                let mut directives = json!({"messages": {"c*": {"publish": true}}});
                let mut name = format!("r{number}.*");
                if number == patterns / 2 {
                    directives["subscribe"] = true.into();
                    name = "room*".to_owned();
                }
                (name, directives)
            })
            .collect();
        let connection =
            self.connect(&token::connect(&json!({"uid": "jim", "channels": channels})));
        let channel = format!("room.{patterns}");
        self.subscribe(&connection, &channel);
        Room { connection, channel }
    }

    /// A thousand connections with a thousand subscriptions each.
    fn crowd(&self, name: impl Fn(usize, usize) -> String) -> Vec<Connection> {
        let token = token::connect(&json!({"channels": {"*": {"subscribe": true}}}));
        let connect = |one| {
            let connection = self.connect(&token);
            (0..MANY).for_each(|channel| self.subscribe(&connection, &name(one, channel)));
            connection
        };
        (0..MANY).map(connect).collect()
    }

    fn subscribe(&self, connection: &Connection, channel: &str) {
        let _guard = self.runtime.enter();
        let subscribe = json!({"event": "hotsock.subscribe", "channel": channel});
        assert!(connection.text(&subscribe.to_string()).is_none());
        assert_eq!(taken_frames(connection), 1);
    }
}
