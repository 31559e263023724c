//! Durable storage for the [fanfare](https://docs.rs/fanfare) realtime broker, on
//! [redb](https://docs.rs/redb): a B-tree in one file, that is copied on write and has checksums.
//!
//! ```
//! use fanfare_storage::{Durability, Storage};
//! use fanfare_storage_redb::RedbStorage;
//!
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path().join("store");
//! let storage = RedbStorage::open(&dir)?;
//! assert_eq!(storage.capabilities().durability, Durability::Synced);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Durability
//!
//! | setting | how redb commits | a killed process | a power cut |
//! | --- | --- | --- | --- |
//! | [`Synced`](Durability::Synced), the default | `Durability::Immediate`: the data, then `fsync` | loses nothing that was acknowledged | the same, where the disk keeps what it says it has written |
//! | [`Written`](Durability::Written) | the same, without `fsync` | loses nothing that was acknowledged | may lose what was written in the last half minute or so, and, since the system writes pages back in any order, **may leave a file that can't be opened** |
//! | [`Lazy`](Durability::Lazy) | `Durability::None`, and once a second `Durability::Immediate` | loses up to about the last second | the same |
//!
//! `Written` is for stores that can be made anew. `Lazy` loses more to a crash of the process, and
//! to a disk that fails, but never the store. [`Volatile`](Durability::Volatile) is served as `Lazy`. Closing the store
//! syncs it in every setting.
//!
//! After a crash the next opening walks the whole file to check it, which takes time in
//! proportion to its size; [`RedbBuilder::quick_repair`] trades that against slower writes.
//!
//! # Failures
//!
//! Where the system fails to read or write, redb stops, and this storage opens the file again
//! with the next call; so it works again by itself once there is room on a full disk. A write
//! that failed in its very last step, the sync, may show after that; every other failed write
//! left nothing.

mod builder;
mod engine;
mod error;
mod file;

pub use builder::RedbBuilder;
pub use fanfare_storage::Durability;

#[cfg(test)]
mod tests;

use fanfare_storage::Result;
use fanfare_storage::kv::{KvBacked, KvStorage};
use std::path::Path;

/// A [`Storage`](fanfare_storage::Storage) in a directory of its own. One process may have it
/// open, once.
///
/// All commits that wait share one transaction and one sync, on a thread that writes. Reads are
/// done where the caller is while the engine's cache has what they need, and else on threads of
/// their own ([`RedbBuilder::direct_reads`]). Close it before the end, or drop it: without closing, the file is released a
/// moment after the drop.
#[derive(Debug)]
pub struct RedbStorage {
    kv: KvStorage,
}

impl RedbStorage {
    /// The file in the store's directory.
    pub const FILE_NAME: &str = "fanfare.redb";

    /// Opens the store in a directory, or makes a new one where there is none, with the default
    /// settings. Blocks while it does so.
    ///
    /// # Errors
    ///
    /// Those of [`RedbBuilder::open`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Self::builder().open(dir)
    }

    /// Settings to open a store with.
    pub fn builder() -> RedbBuilder {
        RedbBuilder::default()
    }
}

impl KvBacked for RedbStorage {
    fn kv(&self) -> &KvStorage {
        &self.kv
    }
}

/// The README's examples, as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
