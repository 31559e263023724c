//! Storage for the [fanfare](https://docs.rs/fanfare) realtime broker: the [`Storage`] trait,
//! the types that it speaks, and the in-memory backend.
//!
//! A broker hands its storage whole units: one channel's [`Item`]s, applied atomically, with one
//! [`Outcome`] for each. Reads are pages, bounded in number and bytes, and are given the time
//! that counts as now, so that what has expired never shows, however late a sweep comes.
//!
//! # Writing a backend
//!
//! On an embedded engine of keys and values, implement [`kv::Engine`], which is three methods: the
//! layout of the records, the rules of every write, group commit and threads for reading are in
//! [`kv`]. On anything else, implement [`Storage`]; nothing in it is optional but what has a
//! default. A backend is right when the conformance suite passes on it (feature `conformance`).

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod id;
mod json;
pub mod kv;
mod live_count;
mod memory;
mod query;
mod record;
mod storage;
mod time;
mod write;

pub use async_trait::async_trait;
pub use error::{Error, ErrorKind, Result};
pub use id::{InvalidMessageId, MessageId};
pub use json::json_eq;
pub use memory::MemoryStorage;
pub use query::{
    EntryQuery, ListedMessage, MessagePage, MessageQuery, Order, ReactionCount, ReactionDetail,
    ScheduleQuery, Swept,
};
pub use record::{Author, Entry, Message, Reaction, Revocation, RevokedSubject, Schedule};
pub use storage::{Capabilities, Durability, FedMessage, Feed, Storage};
pub use time::Timestamp;
pub use write::{
    AddReaction, Deduplication, Item, Outcome, Publish, RemoveReaction, Retention, SetEntry,
    TokenUse, Write,
};
