//! What a delivery to one of many costs, and to one of few: the processor time of a message, less what
//! it costs by itself, shared by those who get it. Beside each crowd is one of bare sockets, into which
//! the same frames are written and nothing else is done: with many sockets the system, too, takes
//! longer or less long for each.

use super::crowd::{self, Crowd, WINDOWS, broker, message, subscriber_token};
use super::platform::{OTHER_FILES, cpu_time, raise_file_limit};
use super::{clients, median, row, runtime};
use fanfare::internals::{Connection, settled};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdout};
use tokio::runtime::Runtime;

const FEW: usize = 10;
const MANY: usize = 10_000;
const BOUND: f64 = 1.3;
/// In each measurement, of all messages to all subscribers: a second, about.
const DELIVERIES: usize = 160_000;

pub fn report() {
    let what = "processor time of a delivery to one of 10,000, to one of 10, each to bare sockets'";
    if raise_file_limit() < MANY as u64 + OTHER_FILES {
        println!("| {what} | too few files may be open | | skipped |");
        return;
    }
    let (few, many) = (Costs::measure(FEW), Costs::measure(MANY));
    for (number, window) in WINDOWS.into_iter().enumerate() {
        let [of_delivery, in_all] = [Costs::of_delivery, Costs::in_all]
            .map(|cost| [&many, &few].map(|costs| cost(costs, number)));
        let change = of_delivery[0] / of_delivery[1];
        let measured = format!(
            "{change:.2} ({:.2} to {:.2}; {:.2} to {:.2} with what a message costs by itself)",
            of_delivery[0], of_delivery[1], in_all[0], in_all[1]
        );
        let holds = (1.0 / BOUND..=BOUND).contains(&change);
        row(&format!("{what}, window {window}"), measured, "1.3 up or down", holds);
    }
}

/// Medians of what all messages cost, for each window, in seconds.
struct Costs {
    broker: [f64; 2],
    /// What the messages alone cost the broker.
    alone: [f64; 2],
    bare: [f64; 2],
}

impl Costs {
    /// By turns, since not everybody may have open files for both crowds at once.
    fn measure(size: usize) -> Self {
        let messages = (DELIVERIES / size) as u64;
        let mut times: [[Vec<f64>; 2]; 3] = Default::default();
        let mut add = |of: usize, publish: &mut dyn FnMut(u64, u64) -> Duration| {
            for (window, times) in WINDOWS.into_iter().zip(&mut times[of]) {
                times.push(publish(messages, window).as_secs_f64());
            }
        };
        for _ in 0..super::REPETITIONS {
            let mut crowd = Crowd::gather(size);
            add(0, &mut |messages, window| crowd.publish(messages, window));
            drop(crowd);
            add(1, &mut publish_to_one);
            let mut bare = Bare::gather(size);
            add(2, &mut |messages, window| bare.publish(messages, window));
        }
        let [broker, alone, bare] = times.map(|times| times.map(median));
        Self { broker, alone, bare }
    }

    /// What a delivery costs, to the same of bare sockets.
    fn of_delivery(&self, window: usize) -> f64 {
        (self.broker[window] - self.alone[window]) / self.bare[window]
    }

    /// The same with the message's own cost.
    fn in_all(&self, window: usize) -> f64 {
        self.broker[window] / self.bare[window]
    }
}

/// Publishes to one subscriber that has a mailbox and no socket.
fn publish_to_one(messages: u64, window: u64) -> Duration {
    runtime().block_on(async {
        let broker = broker().await;
        let subscriber = Connection::open(&broker, &subscriber_token()).await.unwrap();
        let mut frames = VecDeque::new();
        let start = cpu_time();
        let mut left = messages;
        while left > 0 {
            let burst = left.min(window);
            for _ in 0..burst {
                broker.publish(message()).await.unwrap();
            }
            settled(&broker).await;
            assert_eq!(subscriber.take(&mut frames), None);
            frames.clear();
            left -= burst;
        }
        cpu_time() - start
    })
}

/// A crowd of sockets without a broker.
struct Bare {
    runtime: Runtime,
    sockets: Vec<TcpStream>,
    frame: Vec<u8>,
    /// See [`clients::Order::start`].
    reports: ChildStdout,
    _clients: Child,
}

impl Bare {
    fn gather(size: usize) -> Self {
        let runtime = runtime();
        let frame = runtime.block_on(frame());
        let (sockets, reports, clients) = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let order = clients::Order { address, size, token: String::new() };
            let (clients, mut reports) = order.start();
            let mut sockets = Vec::with_capacity(size);
            for _ in 0..size {
                sockets.push(welcomed(&listener).await);
            }
            reports.read_u8().await.expect("the clients did not connect");
            (sockets, reports, clients)
        });
        Self { runtime, sockets, frame, reports, _clients: clients }
    }

    /// As [`Crowd::publish`].
    fn publish(&mut self, messages: u64, window: u64) -> Duration {
        self.runtime.block_on(async {
            let start = cpu_time();
            let mut left = messages;
            while left > 0 {
                let burst = left.min(window);
                let bytes = self.frame.repeat(burst.try_into().unwrap());
                for socket in &self.sockets {
                    assert_eq!(socket.try_write(&bytes).unwrap(), bytes.len());
                }
                crowd::everybody_has(&mut self.reports, burst).await;
                left -= burst;
            }
            cpu_time() - start
        })
    }
}

/// A frame as the broker's subscribers get it.
async fn frame() -> Vec<u8> {
    let broker = broker().await;
    let subscriber = Connection::open(&broker, &subscriber_token()).await.unwrap();
    let mut frames = VecDeque::new();
    subscriber.take(&mut frames);
    frames.clear();
    broker.publish(message()).await.unwrap();
    settled(&broker).await;
    subscriber.take(&mut frames);
    frames.pop_front().expect("the message was delivered").to_vec()
}

/// The next client, which believes that it is connected and subscribed.
async fn welcomed(listener: &TcpListener) -> TcpStream {
    let (mut socket, _) = listener.accept().await.unwrap();
    socket.set_nodelay(true).unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        assert!(socket.read_buf(&mut request).await.unwrap() > 0, "the client went away");
    }
    // Two frames without anything in them.
    socket.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\0\x81\0").await.unwrap();
    socket
}
