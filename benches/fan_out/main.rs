//! What it costs to bring one message to many subscribers.
//!
//! `memory` is the broker alone: a message is encoded, ordered and put into every subscriber's
//! mailbox. `sockets` is the whole way, over loopback, to clients in a process of their own; with
//! `window_1` the next message goes out when everybody has the last one, so that each delivery is
//! a write of its own, and with `window_16` sixteen are under way.
//!
//!     cargo bench --bench fan_out
//!     cargo bench --bench fan_out -- memory/1000$
//!
//! The throughput is in deliveries. What `sockets` shows is the server's processor time, so that
//! neither the clients nor whatever else runs on the machine counts. 10,000 sockets need that many
//! open files in each of the two processes: sizes beyond the hard limit are skipped, with a line
//! that says so.

#![allow(unreachable_pub)] // a benchmark is a crate of its own

mod clients;
mod crowd;
mod frames;
mod memory;
mod platform;
mod sockets;
#[allow(dead_code)]
#[path = "../../tests/broker/token.rs"]
mod token;

use criterion::Criterion;
use tokio::runtime::Runtime;

const SUBSCRIBERS: [usize; 5] = [1, 10, 100, 1_000, 10_000];

fn main() {
    if let Some(order) = clients::Order::from_environment() {
        return clients::run(&order);
    }
    let mut criterion = Criterion::default().configure_from_args();
    memory::benchmarks(&mut criterion);
    sockets::benchmarks(&mut criterion);
    criterion.final_summary();
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
