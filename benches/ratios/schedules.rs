//! What schedules that wait cost in memory: only those of the near future are held.

use super::channels::resident;
use super::{builder, row, runtime};
use fanfare::{Durability, Message, Timestamp};
use fanfare_storage_redb::RedbStorage;
use std::env;
use std::process::Command;
use std::time::Duration;

const MANY: usize = 1_000_000;
const AT_ONCE: usize = 1_000;
/// What the storage may keep of its file in memory.
const CACHE: usize = 8 << 20;
/// Says to a process of its own how many are to wait.
const WAITING: &str = "RATIOS_WAITING";

pub fn report() {
    let [none, many] = [0, MANY].map(memory_with);
    let megabytes = (many - none) / f64::from(1 << 20);
    row(
        "memory of a million schedules that wait, beside a broker without any",
        format!("{megabytes:.1} MiB"),
        "32 MiB",
        megabytes <= 32.0,
    );
}

fn memory_with(waiting: usize) -> f64 {
    let this = env::current_exe().unwrap();
    let output = Command::new(this).env(WAITING, waiting.to_string()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().parse().expect("memory is not known on this system")
}

/// Whether this process was only to measure memory, and has.
pub fn measured_memory() -> bool {
    let Ok(waiting) = env::var(WAITING) else { return false };
    let waiting = waiting.parse().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let storage = RedbStorage::builder().durability(Durability::Written).cache_bytes(CACHE);
    let storage = storage.open(directory.path()).unwrap();
    let runtime = runtime();
    let broker = runtime.block_on(builder().storage(storage).build()).unwrap();
    let soon = Timestamp::now() + Duration::from_secs(60 * 60);
    runtime.block_on(async {
        for start in (0..waiting).step_by(AT_ONCE) {
            let messages = (start..start + AT_ONCE).map(|number| {
                let message = Message::new(format!("channel.{}", number % 100), "reminder");
                let seconds = (number * 7_919 % MANY) as u64;
                message.data("in good time").schedule_at(soon + Duration::from_secs(seconds))
            });
            let all = broker.publish_batch(messages).await;
            assert!(all.iter().all(Result::is_ok));
        }
    });
    print!("{}", resident());
    true
}
