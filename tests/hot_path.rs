//! What happens for every message and every connection allocates no more than it does today. These
//! are counts, not times, so that they are the same on every machine.

#[allow(dead_code, unreachable_pub)] // made for a crate of its own
#[path = "broker/token.rs"]
mod token;

use allocation_counter::{AllocationInfo, measure};
use fanfare::internals::Connection;
use fanfare::{Algorithm, Broker, MemoryStorage, VerifyingKey};
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use tokio::runtime::Runtime;

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

    /// A connection that has read its welcome.
    fn connect(&self, token: &str) -> Connection {
        let connection = self.runtime.block_on(Connection::open(&self.broker, token)).unwrap();
        empty(&connection);
        connection
    }

    /// A connection that is subscribed to the channel `room`.
    fn subscribe(&self, token: &str) -> Connection {
        let connection = self.connect(token);
        let wait = connection.text(r#"{"event":"hotsock.subscribe","channel":"room"}"#);
        assert!(wait.is_none());
        empty(&connection);
        connection
    }
}

fn empty(connection: &Connection) -> usize {
    let mut frames = VecDeque::new();
    assert_eq!(connection.take(&mut frames), None);
    frames.len()
}

/// Claims of a chat, with so many patterns of which one is about it.
fn token_with(patterns: usize) -> String {
    let directives = json!({"subscribe": true, "messages": {"chat": {"publish": true}}});
    let other = (1..patterns).map(|number| (format!("r{number}.*"), directives.clone()));
    let channels: Map<String, Value> =
        other.chain([("room*".to_owned(), directives.clone())]).collect();
    token::connect(&json!({"uid": "jim", "channels": channels}))
}

/// A message of 200 bytes.
fn message() -> String {
    let start = r#"{"event":"chat","channel":"room","data":""#;
    format!(r#"{start}{}"}}"#, "x".repeat(200 - start.len() - 2))
}

/// What one publish allocates, once its like was published before.
fn publish(connection: &Connection) -> AllocationInfo {
    let message = message();
    for _ in 0..10 {
        assert!(connection.text(&message).is_none());
    }
    measure(|| assert!(connection.text(&message).is_none()))
}

#[test]
fn a_publish_makes_four_allocations_whatever_the_token_holds() {
    let server = Server::start();
    let _guard = server.runtime.enter();
    for patterns in [1, 10, 300] {
        let sender = server.subscribe(&token_with(patterns));
        let allocated = publish(&sender);
        assert_eq!(empty(&sender), 0, "something was refused or echoed");
        assert!(allocated.count_total <= 4, "{patterns} patterns: {allocated:?}");
        assert!(allocated.count_current <= 0, "something is kept: {allocated:?}");
    }
}

#[test]
fn a_delivery_to_a_few_allocates_no_more_than_the_place_in_the_mailbox() {
    let server = Server::start();
    let _guard = server.runtime.enter();
    let token = token_with(1);
    let sender = server.subscribe(&token);
    let alone = publish(&sender);
    let others = [(); 4].map(|()| server.subscribe(&token));
    let together = publish(&sender);
    // Mailboxes grow by doubling, and have some room after the ten messages before.
    assert_eq!(together.count_total, alone.count_total);
    assert!(others.iter().all(|other| empty(other) == 11));
}

#[test]
fn an_idle_connection_holds_little() {
    const CONNECTIONS: usize = 100;
    let server = Server::start();
    let token = token_with(1);
    let _first = server.subscribe(&token);
    let mut connections = Vec::with_capacity(CONNECTIONS);
    let allocated = measure(|| {
        connections.extend((0..CONNECTIONS).map(|_| server.subscribe(&token)));
    });
    // Beside it there are the connection's task, about 600 bytes, and the runtime's record of its
    // socket, 256.
    let each = allocated.bytes_current / CONNECTIONS as i64;
    assert!(each <= 1_792, "{each} bytes");
}
