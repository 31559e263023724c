use crate::error::from_redb;
use crate::file::{self, FileState};
use bytes::Bytes;
use fanfare_storage::kv::{Changes, Engine, KeyRange, View, Visit};
use fanfare_storage::{Durability, Error, ErrorKind, Order, Result};
use parking_lot::{RwLock, RwLockReadGuard};
use redb::{
    Database, ReadOnlyTable, ReadableDatabase, TableDefinition, TableError, TableHandle,
    WriteTransaction,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// One table for everything: a commit then writes one tree, and what belongs together is close.
const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("fanfare");

pub(crate) type OpenDatabase = Box<dyn Fn() -> Result<Database> + Send + Sync>;

pub(crate) struct RedbEngine {
    open: OpenDatabase,
    /// Views hold it shared. It is taken alone, and empty meanwhile, to open the file again.
    database: RwLock<Option<Database>>,
    /// Whether the database refuses to go on and has to be opened again.
    is_broken: AtomicBool,
    durability: Durability,
    file: Arc<FileState>,
    quick_repair: bool,
}

impl RedbEngine {
    pub(crate) fn open(
        open: OpenDatabase,
        durability: Durability,
        file: Arc<FileState>,
        quick_repair: bool,
    ) -> Result<Self> {
        let database = open()?;
        prepare(&database)?;
        Ok(Self {
            open,
            database: RwLock::new(Some(database)),
            is_broken: AtomicBool::new(false),
            durability,
            file,
            quick_repair,
        })
    }

    /// Holds the database, opened again where that is due.
    fn hold(&self) -> Result<Held<'_>> {
        if self.is_broken.load(Ordering::Acquire) {
            let mut database = self.database.write();
            if self.is_broken.load(Ordering::Acquire) {
                // The file can be opened but once.
                *database = None;
                *database = Some((self.open)()?);
                self.is_broken.store(false, Ordering::Release);
            }
        }
        Ok(Held { engine: self, database: self.database.read() })
    }

    /// Holds the database where it need not be opened again, and gives views without waiting for the
    /// file.
    fn try_hold(&self) -> Option<Held<'_>> {
        let is_resized = self.file.is_resized.load(Ordering::Acquire);
        if is_resized || self.is_broken.load(Ordering::Acquire) {
            return None;
        }
        let database = self.database.try_read()?;
        Some(Held { engine: self, database })
    }

    fn view_of<'a>(&'a self, held: Held<'a>) -> Result<Box<dyn View + 'a>> {
        let reads_before = file::reads_of_this_thread();
        let reading = held.database()?.begin_read().map_err(|error| self.note(error))?;
        let table = reading.open_table(TABLE).map_err(|error| self.note(error))?;
        Ok(Box::new(RedbView { table, held, reads_before }))
    }

    fn begin_write(
        &self,
        held: &Held<'_>,
        durability: redb::Durability,
    ) -> Result<WriteTransaction> {
        let mut transaction = held.database()?.begin_write().map_err(|error| self.note(error))?;
        transaction.set_durability(durability).map_err(|error| self.note(error))?;
        transaction.set_quick_repair(self.quick_repair);
        Ok(transaction)
    }

    /// Makes an error of ours, and sees whether it is one after which redb does nothing more.
    fn note(&self, error: impl Into<redb::Error>) -> Error {
        let error = error.into();
        let stops = matches!(
            error,
            redb::Error::Io(_)
                | redb::Error::Backend(_)
                | redb::Error::PreviousIo
                | redb::Error::DatabaseClosed
                | redb::Error::LockPoisoned(_)
        );
        if stops {
            self.is_broken.store(true, Ordering::Release);
        }
        from_redb(error)
    }
}

/// Makes the table in a new database, and refuses one that is another program's.
fn prepare(database: &Database) -> Result<()> {
    let reading = database.begin_read().map_err(from_redb)?;
    match reading.open_table(TABLE) {
        Ok(_) => return Ok(()),
        Err(TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(from_redb(error)),
    }
    let tables = reading.list_tables().map_err(from_redb)?;
    let multimaps = reading.list_multimap_tables().map_err(from_redb)?;
    let names: Vec<_> = tables
        .map(|table| table.name().to_owned())
        .chain(multimaps.map(|table| redb::MultimapTableHandle::name(&table).to_owned()))
        .collect();
    if !names.is_empty() {
        let message = format!("the file is another program's: it has the tables {names:?}");
        return Err(Error::new(ErrorKind::Format, "open", message));
    }
    let transaction = database.begin_write().map_err(from_redb)?;
    transaction.open_table(TABLE).map(drop).map_err(from_redb)?;
    transaction.commit().map_err(from_redb)
}

/// The database while it is in use.
struct Held<'a> {
    engine: &'a RedbEngine,
    database: RwLockReadGuard<'a, Option<Database>>,
}

impl Held<'_> {
    fn database(&self) -> Result<&Database> {
        self.database.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Unavailable, "engine", "the file could not be opened again")
        })
    }
}

/// After a panic nothing is known of the database's state.
impl Drop for Held<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.engine.is_broken.store(true, Ordering::Release);
        }
    }
}

impl Engine for RedbEngine {
    fn view(&self) -> Result<Box<dyn View + '_>> {
        self.view_of(self.hold()?)
    }

    fn view_now(&self) -> Option<Result<Box<dyn View + '_>>> {
        self.try_hold().map(|held| self.view_of(held))
    }

    fn apply(&self, changes: &Changes) -> Result<()> {
        let held = self.hold()?;
        let durability = match self.durability {
            Durability::Volatile | Durability::Lazy => redb::Durability::None,
            Durability::Written | Durability::Synced => redb::Durability::Immediate,
        };
        let transaction = self.begin_write(&held, durability)?;
        let mut table = transaction.open_table(TABLE).map_err(|error| self.note(error))?;
        for (key, value) in changes.iter() {
            match value {
                Some(value) => table.insert(key, value).map(drop),
                None => table.remove(key).map(drop),
            }
            .map_err(|error| self.note(error))?;
        }
        drop(table);
        transaction.commit().map_err(|error| self.note(error))
    }

    fn sync(&self) -> Result<()> {
        if self.durability == Durability::Synced {
            return Ok(());
        }
        let held = self.hold()?;
        let syncs = self.file.syncs.swap(true, Ordering::AcqRel);
        let synced = self
            .begin_write(&held, redb::Durability::Immediate)
            .and_then(|transaction| transaction.commit().map_err(|error| self.note(error)));
        self.file.syncs.store(syncs, Ordering::Release);
        synced
    }
}

struct RedbView<'a> {
    table: ReadOnlyTable<&'static [u8], &'static [u8]>,
    held: Held<'a>,
    /// How often this thread had read from files when it began.
    reads_before: u64,
}

impl View for RedbView<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let value = self.table.get(key).map_err(|error| self.held.engine.note(error))?;
        Ok(value.map(|value| Bytes::copy_from_slice(value.value())))
    }

    fn scan(&self, range: &KeyRange, order: Order, visit: &mut Visit<'_>) -> Result<()> {
        if range.start >= range.end {
            return Ok(());
        }
        let bounds = range.start.as_slice()..range.end.as_slice();
        let mut pairs = self.table.range(bounds).map_err(|error| self.held.engine.note(error))?;
        while let Some(pair) = match order {
            Order::Ascending => pairs.next(),
            Order::Descending => pairs.next_back(),
        } {
            let (key, value) = pair.map_err(|error| self.held.engine.note(error))?;
            if visit(key.value(), value.value())?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn may_have_waited(&self) -> bool {
        file::reads_of_this_thread() != self.reads_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::StorageBackend as _;
    use std::path::Path;

    fn open(path: &Path, cache_bytes: usize) -> RedbEngine {
        let state = FileState::new(true);
        let open: OpenDatabase = {
            let (path, state) = (path.to_owned(), state.clone());
            Box::new(move || {
                let file = file::StoreFile::open(&path, state.clone()).unwrap();
                let mut builder = Database::builder();
                builder.set_cache_size(cache_bytes);
                builder.create_with_backend(file).map_err(from_redb)
            })
        };
        RedbEngine::open(open, Durability::Written, state, false).unwrap()
    }

    #[test]
    fn a_view_tells_whether_it_read_from_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        for (cache_bytes, asks_its_disk) in [(0, true), (1 << 20, false)] {
            let engine = open(&path, cache_bytes);
            let read = || {
                let view = engine.view_now().unwrap().unwrap();
                assert!(view.get(b"key").unwrap().is_none());
                view.may_have_waited()
            };
            read();
            assert_eq!(read(), asks_its_disk, "{cache_bytes} bytes of cache");
        }
    }

    #[test]
    fn nobody_waits_for_a_file_that_grows() {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(&dir.path().join("store"), 1 << 20);
        let file = file::StoreFile::open(&dir.path().join("other"), engine.file.clone()).unwrap();
        file.set_len(1 << 20).unwrap();
        assert!(engine.view_now().is_none());
        file.sync_data().unwrap();
        assert!(engine.view_now().is_some());
    }

    #[test]
    fn nobody_waits_for_a_database_that_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(&dir.path().join("store"), 1 << 20);
        {
            let _opening = engine.database.write();
            assert!(engine.view_now().is_none());
        }
        engine.is_broken.store(true, Ordering::Release);
        assert!(engine.view_now().is_none());
        drop(engine.view().unwrap());
        assert!(engine.view_now().is_some());
    }
}
