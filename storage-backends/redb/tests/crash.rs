//! Processes killed while they write.

use fanfare_storage::conformance::crash::{append_until_killed, kill_while_appending};
use fanfare_storage::{Durability, Storage};
use fanfare_storage_redb::RedbStorage;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

const DIR: &str = "FANFARE_TEST_DIR";
const DURABILITY: &str = "FANFARE_TEST_DURABILITY";

fn open(dir: impl AsRef<Path>, durability: Durability) -> Arc<dyn Storage> {
    Arc::new(RedbStorage::builder().durability(durability).open(dir).unwrap())
}

#[test]
#[ignore = "runs until it is killed, by the other tests"]
fn appends_until_killed() {
    let durability = match std::env::var(DURABILITY).unwrap().as_str() {
        "synced" => Durability::Synced,
        _ => Durability::Written,
    };
    append_until_killed(open(std::env::var_os(DIR).unwrap(), durability));
}

fn kill_and_check(durability: Durability, name: &str) {
    let dir = tempfile::tempdir().unwrap();
    for acknowledgements in [300, 1, 77] {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child
            .args(["--exact", "appends_until_killed", "--ignored", "--nocapture"])
            .env(DIR, dir.path())
            .env(DURABILITY, name);
        let acknowledged = kill_while_appending(child, acknowledgements);
        acknowledged.assert_stored(open(dir.path(), durability));
    }
}

#[test]
fn a_killed_process_loses_nothing_that_was_synced() {
    kill_and_check(Durability::Synced, "synced");
}

#[test]
fn a_killed_process_loses_nothing_that_was_written() {
    kill_and_check(Durability::Written, "written");
}
