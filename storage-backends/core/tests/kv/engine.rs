//! An engine in memory that can be made to wait, fail or panic.

use bytes::Bytes;
use fanfare_storage::kv::{Changes, Engine, KeyRange, View, Visit};
use fanfare_storage::{Error, ErrorKind, Order, Result};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, RwLock, RwLockReadGuard};

pub(crate) type Data = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Mood {
    #[default]
    Works,
    /// `apply` waits until the mood changes.
    Waits,
    Fails,
    Panics,
    PanicsWhenRead,
    /// Scans wait until the mood changes.
    WaitsWhenRead,
}

#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) data: RwLock<Data>,
    /// Whether it gives views at once.
    pub(crate) is_quick: AtomicBool,
    /// Views given at once.
    pub(crate) views_now: AtomicUsize,
    mood: Mutex<Mood>,
    changed: Condvar,
    pub(crate) applied: AtomicUsize,
    /// Calls of `apply` that began.
    pub(crate) begun: AtomicUsize,
    pub(crate) synced: AtomicUsize,
    /// Scans that began.
    pub(crate) scans: AtomicUsize,
    /// Keys that scans visited.
    pub(crate) visited: AtomicUsize,
    /// Keys that `apply` wrote or removed.
    pub(crate) written: AtomicUsize,
}

impl Shared {
    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
        self.changed.notify_all();
    }

    fn mood(&self) -> Mood {
        *self.mood.lock().unwrap()
    }

    /// The mood, once it is no longer this one.
    fn wait_while(&self, waits: Mood) -> Mood {
        let mood = self.mood.lock().unwrap();
        *self.changed.wait_while(mood, |mood| *mood == waits).unwrap()
    }
}

#[derive(Debug)]
pub(crate) struct MapEngine(pub(crate) Arc<Shared>);

struct MapView<'a>(RwLockReadGuard<'a, Data>, &'a Shared);

impl Engine for MapEngine {
    fn view(&self) -> Result<Box<dyn View + '_>> {
        assert_ne!(self.0.mood(), Mood::PanicsWhenRead, "as the test wants");
        Ok(Box::new(MapView(self.0.data.read().unwrap(), &self.0)))
    }

    fn view_now(&self) -> Option<Result<Box<dyn View + '_>>> {
        if !self.0.is_quick.load(Ordering::SeqCst) {
            return None;
        }
        self.0.views_now.fetch_add(1, Ordering::SeqCst);
        Some(self.view())
    }

    fn apply(&self, changes: &Changes) -> Result<()> {
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        let mood = self.0.wait_while(Mood::Waits);
        assert_ne!(mood, Mood::Panics, "as the test wants");
        if mood == Mood::Fails {
            return Err(Error::new(ErrorKind::Unavailable, "engine", "as the test wants"));
        }
        self.0.applied.fetch_add(1, Ordering::SeqCst);
        let mut data = self.0.data.write().unwrap();
        for (key, value) in changes.iter() {
            self.0.written.fetch_add(1, Ordering::SeqCst);
            match value {
                Some(value) => data.insert(key.to_vec(), value.to_vec()),
                None => data.remove(key),
            };
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        self.0.synced.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl View for MapView<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.0.get(key).map(|value| Bytes::copy_from_slice(value)))
    }

    fn may_have_waited(&self) -> bool {
        false
    }

    fn scan(&self, range: &KeyRange, order: Order, visit: &mut Visit<'_>) -> Result<()> {
        self.1.scans.fetch_add(1, Ordering::SeqCst);
        self.1.wait_while(Mood::WaitsWhenRead);
        if range.start >= range.end {
            return Ok(());
        }
        let mut range = self.0.range(range.start.clone()..range.end.clone());
        while let Some((key, value)) = match order {
            Order::Ascending => range.next(),
            Order::Descending => range.next_back(),
        } {
            self.1.visited.fetch_add(1, Ordering::SeqCst);
            if visit(key, value)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}
