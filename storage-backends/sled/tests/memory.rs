//! What sled keeps in memory, in a process of its own.
#![cfg(target_os = "linux")]

use fanfare_storage::{Item, Message, MessageId, Publish, Retention, Storage, Timestamp, Write};
use fanfare_storage_sled::SledStorage;
use std::fs;

/// Messages of one commit: many more than sled frees what they replace of by itself.
const MESSAGES: u64 = 5_000;

/// Bytes.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    1024 * line.trim().trim_end_matches(" kB").parse::<usize>().unwrap()
}

fn item(number: u64) -> Item {
    let id = MessageId::from_parts(Timestamp::from_unix_millis(number), 0);
    let message =
        Message { id, event: "chat".to_owned(), data: vec![b'1'; 128].into(), author: None };
    Write::Publish(Publish { message, retention: Retention::Forever, deduplication: None }).into()
}

#[tokio::test]
async fn long_commits_leave_no_memory_behind() {
    let dir = tempfile::tempdir().unwrap();
    let storage = SledStorage::open(dir.path()).unwrap();
    let commit = async |start| {
        let items = (start..start + MESSAGES).map(item).collect();
        storage.commit("long", items, Timestamp::from_unix_millis(0)).await.unwrap();
    };
    commit(1).await;
    let before = resident();
    for number in 1..=10 {
        commit(1 + number * MESSAGES).await;
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 * 1024 * 1024, "{grown} bytes");
    storage.close().await.unwrap();
}
