use crate::RedbStorage;
use crate::engine::{OpenDatabase, RedbEngine};
use crate::error;
use crate::file::{self, FileState};
use fanfare_storage::kv::{KvOptions, KvStorage};
use fanfare_storage::{Durability, Error, ErrorKind, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often what is written lazily is synced.
const LAZY_SYNC: Duration = Duration::from_secs(1);

/// Settings to open a [`RedbStorage`] with.
///
/// ```
/// use fanfare_storage_redb::{Durability, RedbStorage};
///
/// # let dir = tempfile::tempdir()?;
/// let storage = RedbStorage::builder()
///     .durability(Durability::Lazy)
///     .cache_bytes(16 * 1024 * 1024)
///     .open(dir.path())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RedbBuilder {
    durability: Durability,
    cache_bytes: usize,
    direct_reads: Option<usize>,
    quick_repair: bool,
    check_integrity: bool,
}

impl Default for RedbBuilder {
    fn default() -> Self {
        Self {
            durability: Durability::Synced,
            cache_bytes: 128 * 1024 * 1024,
            direct_reads: None,
            quick_repair: false,
            check_integrity: false,
        }
    }
}

impl RedbBuilder {
    /// What an acknowledged write survives; [`Durability::Synced`] by default. See the
    /// [crate's documentation](crate#durability).
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How much memory the engine uses to cache pages, in bytes; 128 MiB by default.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
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

    /// Whether opening after a crash is fast whatever the store's size; off by default. Each
    /// commit then takes two syncs in place of one, and writes down which pages are in use.
    pub fn quick_repair(mut self, is_on: bool) -> Self {
        self.quick_repair = is_on;
        self
    }

    /// Whether opening reads the whole file and checks it, not only after a crash; off by
    /// default. Without it, damage done to the file from outside shows when what is damaged is
    /// read.
    pub fn check_integrity(mut self, is_on: bool) -> Self {
        self.check_integrity = is_on;
        self
    }

    /// Opens the store in a directory, or makes a new one where there is none; the directory is
    /// made too. Blocks while it does so, after a crash for as long as it takes to read the store.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Unavailable`] where the directory or the file can't be made, opened, read or
    ///   written, or the store is open already, here or in another process;
    /// - [`ErrorKind::Corrupt`] where the file is damaged or is no redb file;
    /// - [`ErrorKind::Format`] where it was written in a format that this version does not know,
    ///   or by something else than fanfare;
    /// - [`ErrorKind::Full`] where there is no room.
    pub fn open(self, dir: impl AsRef<Path>) -> Result<RedbStorage> {
        let dir = dir.as_ref();
        file::create_dir(dir).map_err(|error| at(dir, error::from_io(error)))?;
        let path = dir.join(RedbStorage::FILE_NAME);
        self.open_file(path.clone()).map_err(|error| at(&path, error))
    }

    fn open_file(self, path: PathBuf) -> Result<RedbStorage> {
        let durability = match self.durability {
            Durability::Volatile => Durability::Lazy,
            durability => durability,
        };
        let state = FileState::new(durability != Durability::Written);
        let mut options = KvOptions::new(durability);
        options.name = "fanfare-redb".to_owned();
        if let Some(most) = self.direct_reads {
            options.direct_reads = most;
        }
        if durability == Durability::Lazy {
            options.limits.settle_after = Some(LAZY_SYNC);
        }
        let quick_repair = self.quick_repair;
        let open: OpenDatabase = {
            let state = state.clone();
            Box::new(move || {
                let mut builder = redb::Builder::new();
                builder.set_cache_size(self.cache_bytes);
                builder.set_check_integrity_on_open(self.check_integrity);
                let file = file::StoreFile::open(&path, state.clone()).map_err(error::from_io)?;
                builder.create_with_backend(file).map_err(error::from_redb)
            })
        };
        open_storage(open, state, quick_repair, options)
    }
}

/// Opens a store, and turns the engine's panics at what is no store of its own into errors.
pub(crate) fn open_storage(
    open: OpenDatabase,
    state: Arc<FileState>,
    quick_repair: bool,
    options: KvOptions,
) -> Result<RedbStorage> {
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let engine = RedbEngine::open(open, options.durability, state, quick_repair)?;
        Ok(RedbStorage { kv: KvStorage::open(engine, options)? })
    }));
    opened.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Corrupt, "open", "the engine panicked at what it read"))
    })
}

/// Names the place of a failure.
fn at(path: &Path, error: Error) -> Error {
    let message = format!("the store at {}", path.display());
    Error::new(error.kind(), "open", message)
        .with_retryable(error.is_retryable())
        .with_source(error)
}
