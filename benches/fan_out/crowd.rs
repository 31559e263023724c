//! A broker and a crowd of subscribers, whose sockets are in a process of their own.

use super::platform::cpu_time;
use super::{clients, runtime, token};
use fanfare::{Algorithm, Broker, BrokerService, MemoryStorage, Message, VerifyingKey};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout};
use tokio::runtime::Runtime;

pub const CHANNEL: &str = "bench";
/// How many messages are under way at once.
pub const WINDOWS: [u64; 2] = [1, 16];

pub async fn broker() -> Broker {
    Broker::builder()
        .verifying_key(VerifyingKey::hmac(Algorithm::HS256, token::SECRET).unwrap())
        .storage(MemoryStorage::new())
        .build()
        .await
        .unwrap()
}

/// A token that subscribes by itself, so that clients have nothing to say.
pub fn subscriber_token() -> String {
    token::connect(&json!({"channels": {CHANNEL: {"autoSubscribe": true}}}))
}

/// A message with 128 bytes of data.
pub fn message() -> Message {
    Message::new(CHANNEL, "tick").data(&"x".repeat(126))
}

pub struct Crowd {
    runtime: Runtime,
    broker: Broker,
    /// See [`clients::Order::start`].
    reports: ChildStdout,
    _clients: Child,
}

impl Crowd {
    pub fn gather(size: usize) -> Self {
        let runtime = runtime();
        let (broker, reports, clients) = runtime.block_on(async {
            let broker = broker().await;
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(serve(listener, broker.service()));
            let order = clients::Order { address, size, token: subscriber_token() };
            let (clients, mut reports) = order.start();
            reports.read_u8().await.expect("the clients did not connect");
            assert_eq!(broker.connection_count(), size);
            (broker, reports, clients)
        });
        Self { runtime, broker, reports, _clients: clients }
    }

    /// Publishes so many messages, `window` at a time, and returns the processor time that this took.
    pub fn publish(&mut self, messages: u64, window: u64) -> Duration {
        self.runtime.block_on(async {
            let start = cpu_time();
            let mut left = messages;
            while left > 0 {
                let burst = left.min(window);
                for _ in 0..burst {
                    self.broker.publish(message()).await.unwrap();
                }
                everybody_has(&mut self.reports, burst).await;
                left -= burst;
            }
            cpu_time() - start
        })
    }
}

/// Waits until all clients have received so many more messages.
pub async fn everybody_has(reports: &mut ChildStdout, messages: u64) {
    for _ in 0..messages {
        reports.read_u8().await.expect("the clients went away");
    }
}

pub async fn serve(listener: TcpListener, service: BrokerService) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let io = TokioIo::new(socket);
        let connection = http1::Builder::new().serve_connection(io, service.clone());
        tokio::spawn(connection.with_upgrades());
    }
}
