//! Disks that lose power, fill up and fail.

mod disk;
mod faults;
mod power;

use crate::RedbStorage;
use crate::builder::open_storage;
use crate::engine::OpenDatabase;
use crate::file::FileState;
use bytes::Bytes;
use disk::Disk;
use fanfare_storage::kv::KvOptions;
use fanfare_storage::{
    Durability, Item, Message, MessageId, MessageQuery, Order, Publish, ReactionDetail, Result,
    Retention, Storage, Timestamp,
};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

/// Opens the store on a disk.
fn open(disk: &Disk, durability: Durability) -> Result<RedbStorage> {
    let state = FileState::new(true);
    let disk = disk.clone();
    let open: OpenDatabase = Box::new(move || {
        let mut builder = redb::Builder::new();
        builder.set_cache_size(1024 * 1024);
        builder.create_with_backend(disk.clone()).map_err(crate::error::from_redb)
    });
    open_storage(open, state, false, KvOptions::new(durability))
}

fn publish(number: u128, size: usize) -> Vec<Item> {
    let message = Message {
        id: MessageId::from_u128(number),
        event: "chat".to_owned(),
        data: Bytes::from(vec![b'1'; size]),
        author: None,
    };
    vec![Publish { message, retention: Retention::Forever, deduplication: None }.into()]
}

async fn ids(storage: &RedbStorage, channel: &str) -> Result<Vec<u128>> {
    let query = MessageQuery {
        from: MessageId::MIN,
        to: MessageId::MAX,
        order: Order::Ascending,
        max_messages: usize::MAX,
        max_bytes: usize::MAX,
        reactions: ReactionDetail::None,
        now: NOW,
    };
    let page = storage.messages(channel, query).await?;
    Ok(page.messages.iter().map(|listed| listed.message.id.as_u128()).collect())
}
