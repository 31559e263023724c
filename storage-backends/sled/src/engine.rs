use bytes::Bytes;
use fanfare_storage::kv::{Changes, Engine, KeyRange, View, Visit};
use fanfare_storage::{Durability, Error, ErrorKind, Order, Result};
use parking_lot::{RwLock, RwLockReadGuard};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long a store may be locked that is opened.
const PATIENCE: Duration = Duration::from_secs(2);

/// Changes for each time that garbage is collected. sled leaves hardly more than one piece for
/// each, the former state of a page, and 512 pieces are freed at a time.
const CHANGES_PER_COLLECTION: usize = 128;

pub(crate) struct SledEngine {
    database: sled::Db,
    /// Held shared by views, and alone while a batch is applied, since sled shows a scan the
    /// batches that are applied meanwhile, in part.
    applying: RwLock<()>,
    durability: Durability,
}

impl SledEngine {
    pub(crate) fn open(dir: &Path, cache_bytes: u64, durability: Durability) -> Result<Self> {
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(cache_bytes)
            .mode(sled::Mode::HighThroughput)
            // The writer flushes.
            .flush_every_ms(None);
        let database = open_unlocked(&config).map_err(from_sled)?;
        Ok(Self { database, applying: RwLock::new(()), durability })
    }
}

/// Opens a store, once nobody has it open: one that was closed just now may be held for a moment by
/// threads of sled's own, which nothing waits for.
fn open_unlocked(config: &sled::Config) -> sled::Result<sled::Db> {
    let start = Instant::now();
    loop {
        match config.open() {
            Err(sled::Error::Io(error)) if is_lock(&error) && start.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_millis(10));
            }
            result => return result,
        }
    }
}

/// Frees what a batch replaced: states of pages, and parts of the file. By itself sled frees about
/// as much for a batch of any length, so that long ones fill the memory. sled's version is pinned
/// and uses the same collector, which there is one of in a process.
fn free_replaced(changes: usize) {
    // What nobody can still see is free two collections later.
    for _ in 0..changes / CHANGES_PER_COLLECTION + 3 {
        crossbeam_epoch::pin().flush();
    }
}

/// How sled tells of a lock that it does not get.
fn is_lock(error: &io::Error) -> bool {
    error.to_string().contains("could not acquire lock")
}

fn from_sled(error: sled::Error) -> Error {
    let (kind, message) = match error {
        sled::Error::Io(error) if is_lock(&error) => {
            let message = "the store is open already, here or in another process";
            return Error::new(ErrorKind::Unavailable, "engine", message).with_source(error);
        }
        sled::Error::Io(error) => return Error::from_io("engine", error),
        sled::Error::Corruption { .. } => (ErrorKind::Corrupt, "the files are damaged"),
        sled::Error::Unsupported(_) => (ErrorKind::Format, "sled does not read these files"),
        _ => (ErrorKind::Unavailable, "the engine failed"),
    };
    Error::new(kind, "engine", message).with_source(error)
}

impl Engine for SledEngine {
    fn view(&self) -> Result<Box<dyn View + '_>> {
        Ok(Box::new(SledView { engine: self, _isolation: self.applying.read() }))
    }

    fn view_now(&self) -> Option<Result<Box<dyn View + '_>>> {
        let isolation = self.applying.try_read()?;
        Some(Ok(Box::new(SledView { engine: self, _isolation: isolation })))
    }

    fn apply(&self, changes: &Changes) -> Result<()> {
        let mut batch = sled::Batch::default();
        let mut count = 0;
        for (key, value) in changes.iter() {
            count += 1;
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        {
            let _alone = self.applying.write();
            self.database.apply_batch(batch).map_err(from_sled)?;
        }
        free_replaced(count);
        match self.durability {
            Durability::Volatile | Durability::Lazy => Ok(()),
            Durability::Written | Durability::Synced => self.sync(),
        }
    }

    fn sync(&self) -> Result<()> {
        self.database.flush().map(drop).map_err(from_sled)
    }
}

struct SledView<'a> {
    engine: &'a SledEngine,
    _isolation: RwLockReadGuard<'a, ()>,
}

impl View for SledView<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let value = self.engine.database.get(key).map_err(from_sled)?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(&self, range: &KeyRange, order: Order, visit: &mut Visit<'_>) -> Result<()> {
        if range.start >= range.end {
            return Ok(());
        }
        let mut pairs = self.engine.database.range(range.start.as_slice()..range.end.as_slice());
        while let Some(pair) = match order {
            Order::Ascending => pairs.next(),
            Order::Descending => pairs.next_back(),
        } {
            let (key, value) = pair.map_err(from_sled)?;
            if visit(&key, &value)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_a_batch_that_is_applied() {
        let dir = tempfile::tempdir().unwrap();
        let engine = SledEngine::open(dir.path(), 1 << 20, Durability::Written).unwrap();
        assert!(engine.view_now().is_some());
        let _applying = engine.applying.write();
        assert!(engine.view_now().is_none());
    }
}
