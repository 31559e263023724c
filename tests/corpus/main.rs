//! The fuzz targets on stable Rust: their seeds, and random changes of these.
//!
//! Changes come from a fixed seed, so that every run tries the same. `CORPUS_ROUNDS` sets how many
//! are tried of each target, and `CORPUS_SEED` where they start.

#![allow(unreachable_pub)] // a test is a crate of its own

mod mutation;
#[path = "../../fuzz/src/lib.rs"]
mod targets;

use mutation::Mutator;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

type Target = fn(&[u8]);

#[test]
fn inbound_frames() {
    replay("inbound_frame", targets::inbound_frame::run);
    vary("inbound_frame", targets::inbound_frame::run, 1_000);
}

#[test]
fn claims() {
    replay("claims", targets::claims::run);
    vary("claims", targets::claims::run, 1_000);
}

#[test]
fn records() {
    replay("record", targets::record::run);
    vary("record", targets::record::run, 2_000);
}

fn replay(name: &str, target: Target) {
    for (file, seed) in seeds(name) {
        run(&file, &seed, target);
    }
}

fn vary(name: &str, target: Target, rounds: u64) {
    let number = |variable: &str| std::env::var(variable).ok().and_then(|text| text.parse().ok());
    let mut mutator = Mutator::new(number("CORPUS_SEED").unwrap_or(0), seeds(name));
    for round in 0..number("CORPUS_ROUNDS").unwrap_or(rounds) {
        let input = mutator.next();
        run(&format!("round {round} of {name}"), &input, target);
    }
}

/// Runs a target, and where it panics says on which input.
fn run(name: &str, input: &[u8], target: Target) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(input))) {
        eprintln!("{name} failed: b\"{}\"", input.escape_ascii());
        resume_unwind(panic);
    }
}

/// The seeds of a target with their files' names, in an order that is always the same.
fn seeds(name: &str) -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let files = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
    let mut seeds: Vec<_> =
        files.map(|file| (file.display().to_string(), fs::read(file).unwrap())).collect();
    assert!(seeds.len() >= 15, "{} has lost its seeds", directory.display());
    seeds.sort_unstable();
    seeds
}
