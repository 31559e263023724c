use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};
use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Makes a directory, so that a power cut does not unmake it.
pub(crate) fn create_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    match dir.parent() {
        Some(parent) => sync_dir(parent),
        None => Ok(()),
    }
}

/// Makes the names in a directory durable, where the system has directories that can be synced.
fn sync_dir(dir: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        File::open(dir)?.sync_all()?;
    }
    Ok(())
}

thread_local! {
    static READS: Cell<u64> = const { Cell::new(0) };
}

/// How often this thread has read from a store's file.
pub(crate) fn reads_of_this_thread() -> u64 {
    READS.get()
}

/// What an engine and its file tell each other.
#[derive(Debug)]
pub(crate) struct FileState {
    /// Whether the file syncs when the database says so.
    pub(crate) syncs: AtomicBool,
    /// Whether the file has another length that is not synced yet. redb holds a lock meanwhile, that
    /// every new view needs.
    pub(crate) is_resized: AtomicBool,
}

impl FileState {
    pub(crate) fn new(syncs: bool) -> Arc<Self> {
        Arc::new(Self { syncs: AtomicBool::new(syncs), is_resized: AtomicBool::new(false) })
    }
}

/// A file that is synced or not.
#[derive(Debug)]
pub(crate) struct StoreFile {
    file: FileBackend,
    state: Arc<FileState>,
}

impl StoreFile {
    pub(crate) fn open(path: &Path, state: Arc<FileState>) -> io::Result<Self> {
        let is_new = !path.exists();
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        if is_new && let Some(dir) = path.parent() {
            sync_dir(dir)?;
        }
        let file = FileBackend::new(file).map_err(io::Error::other)?;
        Ok(Self { file, state })
    }
}

impl StorageBackend for StoreFile {
    fn sync_data(&self) -> io::Result<()> {
        if self.state.syncs.load(Ordering::Acquire) {
            self.file.sync_data()?;
        }
        self.state.is_resized.store(false, Ordering::Release);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    /// redb reads what it has not in its cache.
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        READS.set(READS.get().wrapping_add(1));
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.state.is_resized.store(true, Ordering::Release);
        self.file.set_len(len)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
