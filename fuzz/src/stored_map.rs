//! A storage engine whose whole content can be looked at and replaced.

use bytes::Bytes;
use fanfare_storage::kv::{Changes, Engine, KeyRange, KvOptions, KvStorage, View, Visit};
use fanfare_storage::{Durability, Order, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

pub(super) type Map = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Default)]
pub(super) struct StoredMap(Arc<RwLock<Map>>);

impl StoredMap {
    pub(super) fn of(map: Map) -> Self {
        Self(Arc::new(RwLock::new(map)))
    }

    pub(super) fn content(&self) -> Map {
        self.read().clone()
    }

    /// A storage on it, whose threads end when it is closed.
    pub(super) fn storage(&self) -> Result<KvStorage> {
        let mut options = KvOptions::new(Durability::Volatile);
        options.reader_threads = 1;
        KvStorage::open(self.clone(), options)
    }

    fn read(&self) -> RwLockReadGuard<'_, Map> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine for StoredMap {
    fn view(&self) -> Result<Box<dyn View + '_>> {
        Ok(Box::new(MapView(self.read())))
    }

    fn apply(&self, changes: &Changes) -> Result<()> {
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in changes.iter() {
            match value {
                Some(value) => map.insert(key.to_vec(), value.to_vec()),
                None => map.remove(key),
            };
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }
}

struct MapView<'a>(RwLockReadGuard<'a, Map>);

impl View for MapView<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.0.get(key).map(|value| Bytes::copy_from_slice(value)))
    }

    fn scan(&self, range: &KeyRange, order: Order, visit: &mut Visit<'_>) -> Result<()> {
        if range.start >= range.end {
            return Ok(());
        }
        let mut range = self.0.range(range.start.clone()..range.end.clone());
        while let Some((key, value)) = match order {
            Order::Ascending => range.next(),
            Order::Descending => range.next_back(),
        } {
            if visit(key, value)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}
