//! What the broker promises of its costs, as ratios, each beside its bound: measured on the same
//! machine in the same run, so that the machine matters little.
//!
//!     cargo bench --bench ratios
//!     cargo bench --bench ratios -- channels stored
//!
//! Each figure is the median of several repetitions; times of what does not wait are processor
//! time. The whole takes some minutes and about 2 GiB of memory. `docs/performance.md` tells more.

#![allow(unreachable_pub)] // a benchmark is a crate of its own

mod channels;
#[path = "../fan_out/clients.rs"]
mod clients;
mod cores;
#[path = "../fan_out/crowd.rs"]
mod crowd;
mod crowds;
#[path = "../fan_out/frames.rs"]
mod frames;
mod history;
#[path = "../fan_out/platform.rs"]
mod platform;
mod presence;
mod schedules;
mod sockets;
mod stored;
#[allow(dead_code)]
#[path = "../../tests/broker/token.rs"]
mod token;

use fanfare::{Algorithm, Broker, BrokerBuilder, VerifyingKey};
use std::fmt::Display;
use tokio::runtime::Runtime;

/// Repetitions of which the median counts.
const REPETITIONS: usize = 7;

type Part = (&'static str, fn());

const PARTS: [Part; 9] = [
    ("crowds", crowds::report),
    ("channels", channels::report),
    ("stored", stored::report),
    ("history", history::report),
    ("schedules", schedules::report),
    ("connecting", sockets::connecting),
    ("dropping", sockets::dropping),
    ("presence", presence::report),
    ("cores", cores::report),
];

fn main() {
    if let Some(order) = clients::Order::from_environment() {
        return clients::run(&order);
    }
    if channels::measured_memory() || schedules::measured_memory() {
        return;
    }
    platform::raise_file_limit();
    let wanted: Vec<_> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    println!("| what | measured | bound | |\n|---|---|---|---|");
    for (name, report) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|one| one == name) {
            report();
        }
    }
}

/// One line of the table.
fn row(what: &str, measured: impl Display, bound: &str, holds: bool) {
    println!("| {what} | {measured} | {bound} | {} |", if holds { "holds" } else { "MISSED" });
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The median of several measurements.
fn repeated(measure: impl FnMut() -> f64) -> f64 {
    let mut measure = measure;
    median((0..REPETITIONS).map(|_| measure()).collect())
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn builder() -> BrokerBuilder {
    Broker::builder().verifying_key(VerifyingKey::hmac(Algorithm::HS256, token::SECRET).unwrap())
}
