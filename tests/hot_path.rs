//! What happens for every message and every connection allocates no more than it does today. These
//! are counts, not times, so that they are the same on every machine.

#[allow(dead_code, unreachable_pub)] // made for a crate of its own
#[path = "broker/token.rs"]
mod token;

use allocation_counter::{AllocationInfo, measure};
use fanfare::internals::Connection;
use fanfare::{Algorithm, Broker, BrokerService, MemoryStorage, Message, VerifyingKey};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Handle, Runtime};

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
fn a_publish_makes_three_allocations_whatever_the_token_holds() {
    let server = Server::start();
    let _guard = server.runtime.enter();
    for patterns in [1, 10, 300] {
        let sender = server.subscribe(&token_with(patterns));
        let allocated = publish(&sender);
        assert_eq!(empty(&sender), 0, "something was refused or echoed");
        assert!(allocated.count_total <= 3, "{patterns} patterns: {allocated:?}");
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

#[test]
fn what_a_connection_remembers_of_its_permissions_has_a_bound() {
    const CHANNELS: usize = 1_000;
    let server = Server::start();
    let _guard = server.runtime.enter();
    let token = token::connect(&json!({"channels": {"*": {"subscribe": true,
        "messages": {"*": {"publish": true}, "no*": {"publish": false}}}}}));
    let sender = server.connect(&token);
    for number in 0..CHANNELS {
        let subscribe = format!(r#"{{"event":"hotsock.subscribe","channel":"{number}"}}"#);
        assert!(sender.text(&subscribe).is_none());
        empty(&sender);
    }
    // What is tried is as long as it may be.
    let try_all = |start: &str, allowed: bool| {
        for event in (0..16).map(|number| format!("{start}{number:\u{1F980}>120}")) {
            let mut channels = (0..CHANNELS).map(|number| number.to_string());
            assert!(channels.all(|channel| sender.may_publish(&channel, &event) == allowed));
        }
    };
    let denied = measure(|| try_all("no", false)).bytes_current;
    assert_eq!(denied, 0, "what is denied is not remembered");
    let allowed = measure(|| try_all("yes", true)).bytes_current;
    assert!((1..=160 << 10).contains(&allowed), "{allowed} bytes");
}

#[test]
fn a_member_list_is_serialised_once_however_many_hear_of_it() {
    let server = Server::start();
    let mut members = Vec::new();
    let mut join = || {
        let token = token::connect(&json!({
            "uid": format!("user-{}", members.len()),
            "channels": {"presence.room": {"subscribe": true}},
        }));
        let connection = server.connect(&token);
        let allocated = measure(|| {
            let subscribe = r#"{"event":"hotsock.subscribe","channel":"presence.room"}"#;
            if let Some(wait) = connection.text(subscribe) {
                server.runtime.block_on(wait);
            }
        });
        members.push(connection);
        assert!(members.iter().all(|member| empty(member) == 1), "everybody hears of each");
        allocated.bytes_total
    };
    let few = (0..100).map(|_| join()).last().unwrap();
    let many = (0..100).map(|_| join()).last().unwrap();
    // The list of a hundred more is 3 KB longer, and once more in the frames. A list for each of
    // them would be a megabyte.
    let more = many - few;
    assert!(more <= 32 << 10, "{more} bytes more");
}

#[test]
fn what_crowds_needed_is_given_back() {
    const CROWD: usize = 100;
    let server = Server::start();
    let token = token::connect(&json!({
        "channels": {"room": {"autoSubscribe": true}},
    }));
    let (address, idle) = server.runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, server.broker.service()));
        (address, Handle::current().metrics().num_alive_tasks())
    });
    let come_and_go = || {
        server.runtime.block_on(async {
            let mut crowd = Vec::with_capacity(CROWD);
            for _ in 0..CROWD {
                crowd.push(client(address, &token).await);
            }
            assert_eq!(server.broker.connection_count(), CROWD);
            server.broker.publish(Message::new("room", "chat").data("all")).await.unwrap();
            // Some with something unread, which resets their connections.
            drop(crowd);
            let metrics = Handle::current().metrics();
            let gone = async {
                while server.broker.connection_count() > 0 || metrics.num_alive_tasks() > idle {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(60), gone).await.expect("some stay");
        });
    };
    // What is made once, and grows to what a crowd needs.
    (0..3).for_each(|_| come_and_go());
    let left = measure(|| (0..10).for_each(|_| come_and_go()));
    let each = left.bytes_current / (10 * CROWD as i64);
    assert!(each <= 8, "{each} bytes of each are left: {left:?}");
}

async fn serve(listener: TcpListener, service: BrokerService) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let served = http1::Builder::new().serve_connection(TokioIo::new(socket), service.clone());
        tokio::spawn(served.with_upgrades());
    }
}

/// A client that has read the confirmation of its subscription.
async fn client(address: SocketAddr, token: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(token::upgrade(address, token).as_bytes()).await.unwrap();
    let mut received = Vec::with_capacity(1024);
    while !received.windows(18).any(|window| window == b"hotsock.subscribed") {
        assert!(socket.read_buf(&mut received).await.unwrap() > 0, "{}", received.escape_ascii());
    }
    socket
}
