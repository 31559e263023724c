//! Storage for the [fanfare](https://docs.rs/fanfare) realtime broker, on
//! [sled](https://docs.rs/sled/0.34.7) 0.34.7.
//!
//! # Read this first
//!
//! - **A power cut can lose what was acknowledged.** On Linux sled's `flush` writes the log and
//!   calls `sync_file_range`, which neither writes the file's metadata nor makes the disk empty
//!   its cache, in place of `fsync`. This storage therefore never advertises more than
//!   [`Durability::Written`]: a crash of the process loses nothing, one of the machine may. What
//!   is lost leaves no trace, so that a client that comes back after a power cut may be told that
//!   all was recovered while something is missing. For history that survives a power cut use
//!   `fanfare-storage-redb`.
//! - **sled is unmaintained**: 0.34.7 is of 2021, and 1.0 never left its alphas. The version is
//!   pinned, since its file format is its own.
//! - **Two advisories** concern what it depends on, and a host that checks for advisories has to
//!   exempt them: [RUSTSEC-2025-0057] (`fxhash` is unmaintained) and [RUSTSEC-2024-0384]
//!   (`instant`, by way of `parking_lot` 0.11, is unmaintained). Neither is a vulnerability.
//! - **Damage can pass for a torn write.** What sled can't read at the end of its log it takes for
//!   the rest of a crash and drops, so that a damaged or foreign file may open as a smaller or
//!   an empty store.
//! - **A disk that fails or fills up ends the store**: sled refuses everything after a failed
//!   write; close the storage and open it again.
//! - **Memory grows with what is stored**, beside [`cache_bytes`](SledBuilder::cache_bytes), by about
//!   20 bytes for each message of 130: sled keeps in memory where each of its pages is, and a page
//!   has 16 of them at most, and nine where they came in order. To fill a store with ten million, in
//!   commits of 10,000, with the default cache, took a process 520 MiB, 390 of them in use.
//! - **Space comes back slowly**: a part of the file, of 512 KiB, is used again when all that it had
//!   was written anew or deleted. Where one message of ten stayed, between others that were deleted,
//!   the file was ten times as long as what it held.
//!
//! ```
//! use fanfare_storage::{Durability, Storage};
//! use fanfare_storage_sled::SledStorage;
//!
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path().join("store");
//! let storage = SledStorage::open(&dir)?;
//! assert_eq!(storage.capabilities().durability, Durability::Written);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it is used
//!
//! Everything is in one tree, so that a group of commits is one [`sled::Batch`], which is atomic
//! within a tree; sled's transactions over several trees run optimistically, retry on conflicts,
//! and would give a single writer nothing for that. Scans are not isolated in sled: a lock keeps
//! batches from being applied while one reads.
//!
//! Each change of a key leaves the former state of a page behind as garbage, which sled collects
//! now and then, however much there is of it: a batch of many changes leaves more than is ever
//! freed, 2.7 KB for each message in commits of 10,000. So each batch is followed by as many
//! collections as it needs.
//!
//! | setting | how commits are written | a killed process | a power cut |
//! | --- | --- | --- | --- |
//! | [`Synced`](Durability::Synced) | as `Written`: sled has nothing better | | |
//! | [`Written`](Durability::Written), the default | a batch, then `flush` | loses nothing that was acknowledged | may lose the latest writes |
//! | [`Lazy`](Durability::Lazy), [`Volatile`](Durability::Volatile) | a batch, and twice a second `flush` | loses about the last half second | the same and more |
//!
//! [RUSTSEC-2025-0057]: https://rustsec.org/advisories/RUSTSEC-2025-0057
//! [RUSTSEC-2024-0384]: https://rustsec.org/advisories/RUSTSEC-2024-0384

mod engine;

pub use fanfare_storage::Durability;

use engine::SledEngine;
use fanfare_storage::kv::{KvBacked, KvOptions, KvStorage};
use fanfare_storage::{Error, ErrorKind, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

/// How often what is written lazily is flushed.
const LAZY_FLUSH: Duration = Duration::from_millis(500);

/// A [`Storage`](fanfare_storage::Storage) in a directory of its own. One process may have it
/// open, once. Read the [crate's documentation](crate) before use.
#[derive(Debug)]
pub struct SledStorage {
    kv: KvStorage,
}

impl SledStorage {
    /// Opens the store in a directory, or makes a new one where there is none, with the default
    /// settings. Blocks while it does so.
    ///
    /// # Errors
    ///
    /// Those of [`SledBuilder::open`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Self::builder().open(dir)
    }

    /// Settings to open a store with.
    pub fn builder() -> SledBuilder {
        SledBuilder::default()
    }
}

impl KvBacked for SledStorage {
    fn kv(&self) -> &KvStorage {
        &self.kv
    }
}

/// Settings to open a [`SledStorage`] with.
#[derive(Clone, Debug)]
#[must_use]
pub struct SledBuilder {
    durability: Durability,
    cache_bytes: u64,
    direct_reads: Option<usize>,
}

impl Default for SledBuilder {
    fn default() -> Self {
        Self { durability: Durability::Written, cache_bytes: 128 * 1024 * 1024, direct_reads: None }
    }
}

impl SledBuilder {
    /// What an acknowledged write survives; [`Durability::Written`] by default, and at most. See
    /// the [crate's documentation](crate).
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How much memory the engine uses to cache pages, in bytes; 128 MiB by default.
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// How many reads at a time may be done on the threads of those who ask, at most, while the
    /// engine answers at once; see [`KvOptions::direct_reads`] for the default. 0 keeps a disk that
    /// hangs from stopping a runtime of a single thread.
    pub fn direct_reads(mut self, most: usize) -> Self {
        self.direct_reads = Some(most);
        self
    }

    /// Opens the store in a directory, or makes a new one where there is none; the directory is
    /// made too. Blocks while it does so.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Unavailable`] where the directory or its files can't be made, opened, read
    ///   or written, or the store is open already, here or in another process, for two seconds or
    ///   more;
    /// - [`ErrorKind::Corrupt`] where sled finds the files damaged, which it often does not;
    /// - [`ErrorKind::Format`] where they were written in a format that this version does not
    ///   know, or by something else than fanfare;
    /// - [`ErrorKind::Full`] where there is no room.
    pub fn open(self, dir: impl AsRef<Path>) -> Result<SledStorage> {
        let dir = dir.as_ref();
        // sled panics at some of what it can't read.
        let opened = catch_unwind(AssertUnwindSafe(|| self.open_dir(dir)));
        let opened = opened.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Corrupt, "open", "the engine panicked at what it read"))
        });
        opened.map_err(|error| {
            let message = format!("the store at {}", dir.display());
            Error::new(error.kind(), "open", message)
                .with_retryable(error.is_retryable())
                .with_source(error)
        })
    }

    fn open_dir(&self, dir: &Path) -> Result<SledStorage> {
        let durability = self.durability.min(Durability::Written).max(Durability::Lazy);
        let mut options = KvOptions::new(durability);
        options.name = "fanfare-sled".to_owned();
        if let Some(most) = self.direct_reads {
            options.direct_reads = most;
        }
        if durability == Durability::Lazy {
            options.limits.settle_after = Some(LAZY_FLUSH);
        }
        let engine = SledEngine::open(dir, self.cache_bytes, durability)?;
        Ok(SledStorage { kv: KvStorage::open(engine, options)? })
    }
}

/// The README's examples, as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
