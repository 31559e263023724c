//! Processes killed while they write.

use fanfare_storage::Storage;
use fanfare_storage::conformance::crash::{append_until_killed, kill_while_appending};
use fanfare_storage_sled::SledStorage;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

const DIR: &str = "FANFARE_TEST_DIR";

fn open(dir: impl AsRef<Path>) -> Arc<dyn Storage> {
    Arc::new(SledStorage::open(dir).unwrap())
}

#[test]
#[ignore = "runs until it is killed, by the other test"]
fn appends_until_killed() {
    append_until_killed(open(std::env::var_os(DIR).unwrap()));
}

#[test]
fn a_killed_process_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for acknowledgements in [300, 1, 77] {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child
            .args(["--exact", "appends_until_killed", "--ignored", "--nocapture"])
            .env(DIR, dir.path());
        let acknowledged = kill_while_appending(child, acknowledgements);
        acknowledged.assert_stored(open(dir.path()));
    }
}
