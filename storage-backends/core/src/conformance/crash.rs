//! Killing a process that writes: what it acknowledged must be there afterwards.
//!
//! A backend's test starts itself once more as the process to be killed:
//!
//! ```no_run
//! use fanfare_storage::conformance::crash;
//! # use fanfare_storage::{MemoryStorage, Storage};
//! # use std::process::Command;
//! # use std::sync::Arc;
//! # fn open() -> Arc<dyn Storage> { Arc::new(MemoryStorage::new()) }
//!
//! #[test]
//! #[ignore = "runs until it is killed, by the test below"]
//! fn appends_until_killed() {
//!     crash::append_until_killed(open());
//! }
//!
//! #[test]
//! fn a_killed_process_loses_nothing() {
//!     let mut child = Command::new(std::env::current_exe().unwrap());
//!     child.args(["--exact", "appends_until_killed", "--ignored", "--nocapture"]);
//!     let acknowledged = crash::kill_while_appending(child, 500);
//!     acknowledged.assert_stored(open());
//! }
//! ```

use super::build::{NOW, Subject, forever, id, set, token};
use super::{Harness, Verdict, persistence};
use crate::{Item, Storage};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

const CHANNELS: usize = 8;
/// Messages of a batch.
const BATCH: u128 = 3;
const MARK: &str = "acknowledged ";
/// How long a process may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(120);

/// Writes to several channels at once, going on where an earlier process was killed, and says on
/// the standard output what was acknowledged. Ends when the store fails.
///
/// # Panics
///
/// When the store fails.
pub fn append_until_killed(storage: Arc<dyn Storage>) {
    runtime().block_on(async {
        let subject = Arc::new(existing(storage));
        let writers: Vec<_> =
            (0..CHANNELS).map(|channel| tokio::spawn(append(subject.clone(), channel))).collect();
        for writer in writers {
            writer.await.expect("a writer runs until it is killed");
        }
    });
}

async fn append(subject: Arc<Subject>, channel: usize) {
    let name = name(channel);
    let stored = subject.ids(&name, NOW).await;
    for batch in stored.len() as u128 / BATCH.. {
        // False where the last process was killed between the two.
        subject.store.spend_token(use_of(channel, batch), NOW).await.expect("a token");
        let messages = (batch * BATCH..(batch + 1) * BATCH).map(forever);
        let mut items: Vec<Item> = messages.map(Item::from).collect();
        items.push(set("batch", batch.to_string()).into());
        subject.commit(&name, items, NOW).await;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{MARK}{channel} {batch}").and_then(|()| out.flush()).expect("a line");
    }
}

fn name(channel: usize) -> String {
    format!("crash.{channel}")
}

fn use_of(channel: usize, batch: u128) -> crate::TokenUse {
    token("crash", &format!("{channel} {batch}"), 1_000_000)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime for the suite")
}

/// What a killed process had been told was stored: the last batch of each channel.
#[derive(Clone, Debug)]
pub struct Acknowledged(BTreeMap<usize, u128>);

/// Starts a process that runs [`append_until_killed`], and kills it after so many
/// acknowledgements, in the middle of what it does.
///
/// # Panics
///
/// Where the process ends by itself, or takes minutes.
pub fn kill_while_appending(mut command: Command, acknowledgements: usize) -> Acknowledged {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("a process to kill");
    let out = child.stdout.take().expect("a pipe");
    let (sender, lines) = channel();
    // Reading blocks; on a thread of its own it can be given up.
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let mut last = BTreeMap::new();
    let mut count = 0;
    let mut hangs = false;
    loop {
        match lines.recv_timeout(PATIENCE) {
            // The harness of tests writes before the first line.
            Ok(line) if line.contains(MARK) => {
                let (_, rest) = line.split_once(MARK).unwrap_or_default();
                let (channel, batch) = rest.split_once(' ').expect("a channel and a batch");
                last.insert(channel.parse().expect("a channel"), batch.parse().expect("a batch"));
                count += 1;
                if count == acknowledgements {
                    child.kill().expect("killing");
                }
            }
            Ok(_) => {}
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                hangs = true;
                child.kill().expect("killing");
            }
        }
    }
    let status = child.wait().expect("the process's end");
    assert!(!hangs, "the process hung after {count} acknowledgements");
    assert!(count >= acknowledgements, "the process ended by itself: {status}");
    Acknowledged(last)
}

impl Acknowledged {
    /// Checks that all of it is in the store, opened again, and that every batch is whole; then
    /// closes the store.
    ///
    /// # Panics
    ///
    /// Where it is not.
    pub fn assert_stored(&self, storage: Arc<dyn Storage>) {
        runtime().block_on(async {
            let subject = existing(storage);
            assert_eq!(persistence(&subject), Verdict::Passed, "a killed store must persist");
            for channel in 0..CHANNELS {
                self.assert_channel_stored(&subject, channel).await;
            }
            subject.store.close().await.expect("closing");
        });
    }

    async fn assert_channel_stored(&self, subject: &Subject, channel: usize) {
        let name = name(channel);
        let found = subject.ids(&name, NOW).await;
        let expected: Vec<_> = (0..found.len() as u128).map(id).collect();
        assert_eq!(found, expected, "{name} has a gap");
        assert_eq!(found.len() as u128 % BATCH, 0, "{name} ends within a batch");
        let batches = found.len() as u128 / BATCH;
        let entry = subject.entry(&name, "batch", NOW).await.map(|entry| entry.value);
        let last = batches.checked_sub(1).map(|last| last.to_string());
        assert_eq!(entry.as_deref(), last.as_ref().map(String::as_bytes), "a part of a batch");
        if let Some(acknowledged) = self.0.get(&channel) {
            assert!(batches > *acknowledged, "{name} lost batch {acknowledged}, has {batches}");
            let spent = use_of(channel, *acknowledged);
            let is_spent = subject.store.is_token_spent(&spent, NOW).await.expect("a token");
            assert!(is_spent, "a used token can be used again");
        }
    }
}

/// A subject on a store that is there already.
fn existing(store: Arc<dyn Storage>) -> Subject {
    Subject { harness: Arc::new(Nothing), store }
}

/// Makes no stores.
struct Nothing;

#[async_trait]
impl Harness for Nothing {
    async fn create(&self) -> Arc<dyn Storage> {
        unreachable!("the store is there already")
    }
}
