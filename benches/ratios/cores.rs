//! What a second core is good for: many channels at once, each with few subscribers.
//!
//! The clients' sockets take all that is sent in a run, and are emptied after it, so that the
//! clients need no processor of their own meanwhile.

use super::platform::{OTHER_FILES, raise_file_limit};
use super::{builder, crowd, median, row, token};
use fanfare::{Broker, MemoryStorage, Message, internals};
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

const CHANNELS: usize = 100;
/// Of each channel; enough to be served by the channel's task.
const SUBSCRIBERS: usize = 10;
/// On each channel in a run. With all that the system keeps beside them, a socket takes more.
const MESSAGES: usize = 50;

pub fn report() {
    let what = "deliveries of 100 channels on two cores, to one";
    let files = (2 * 2 * CHANNELS * SUBSCRIBERS) as u64 + OTHER_FILES;
    if available_parallelism().map_or(1, usize::from) < 2 || raise_file_limit() < files {
        println!("| {what} | there are not two, or too few files may be open | | skipped |");
        return;
    }
    let mut servers = [1, 2].map(Server::start);
    let ratio = median(
        (0..3 * super::REPETITIONS)
            .map(|_| {
                let [one, two] = servers.each_mut().map(|server| server.run().as_secs_f64());
                one / two
            })
            .collect(),
    );
    row(what, format!("{ratio:.2}"), "1.7", ratio >= 1.7);
}

struct Server {
    runtime: Runtime,
    broker: Broker,
    clients: Vec<TcpStream>,
}

impl Server {
    fn start(workers: usize) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(workers).enable_all().build();
        let runtime = runtime.unwrap();
        let (broker, address) = runtime.block_on(async {
            let broker = builder().storage(MemoryStorage::new()).build().await.unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(crowd::serve(listener, broker.service()));
            (broker, address)
        });
        let clients = (0..CHANNELS * SUBSCRIBERS).map(|number| connect(address, number)).collect();
        Self { runtime, broker, clients }
    }

    /// How long it takes until all that was published is on its way.
    fn run(&mut self) -> Duration {
        let (taken, delivered) = self.runtime.block_on(async {
            let broker = self.broker.clone();
            // Not in the thread that waits, which is none of the workers.
            tokio::spawn(async move {
                let before = broker.stats().await.delivered;
                let start = Instant::now();
                let publishers: JoinSet<()> =
                    (0..CHANNELS).map(|channel| publish(broker.clone(), channel)).collect();
                publishers.join_all().await;
                internals::settled(&broker).await;
                (start.elapsed(), broker.stats().await.delivered - before)
            })
            .await
            .unwrap()
        });
        assert_eq!(delivered, (CHANNELS * SUBSCRIBERS * MESSAGES) as u64);
        self.clients.iter_mut().for_each(empty);
        taken
    }
}

/// Publishes one message after the other, with the channel's task in between.
async fn publish(broker: Broker, channel: usize) {
    for _ in 0..MESSAGES {
        let message = Message::new(name(channel), "chat").data(&"x".repeat(126));
        broker.publish(message).await.unwrap();
        tokio::task::yield_now().await;
    }
}

fn name(channel: usize) -> String {
    format!("channel.{channel}")
}

/// A client that is subscribed to one of the channels, in turn.
fn connect(address: SocketAddr, number: usize) -> TcpStream {
    let channel = name(number % CHANNELS);
    let token = token::connect(&json!({"channels": {channel: {"autoSubscribe": true}}}));
    let mut socket = TcpStream::connect(address).unwrap();
    socket.write_all(token::upgrade(address, &token).as_bytes()).unwrap();
    const CONFIRMED: &[u8] = b"hotsock.subscribed";
    let mut received = Vec::new();
    while !received.windows(CONFIRMED.len()).any(|window| window == CONFIRMED) {
        let mut buffer = [0; 1024];
        let length = socket.read(&mut buffer).unwrap();
        assert!(length > 0, "{}", received.escape_ascii());
        received.extend_from_slice(&buffer[..length]);
    }
    socket.set_nonblocking(true).unwrap();
    socket
}

/// Reads what has arrived.
fn empty(socket: &mut TcpStream) {
    let mut buffer = [0; 64 << 10];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => panic!("a client was closed"),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => panic!("{error}"),
        }
    }
}
