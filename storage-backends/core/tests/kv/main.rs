//! The storage over an engine of keys and values: the conformance suite on a map, and what
//! happens when the engine is slow, fails, panics or is damaged.

mod costs;
mod engine;
mod faults;

use engine::{MapEngine, Shared};
use fanfare_storage::conformance::Harness;
use fanfare_storage::kv::{KvOptions, KvStorage};
use fanfare_storage::{Durability, Storage, async_trait};
use std::sync::{Arc, Mutex};

/// A map that outlives its storages, in place of a disk.
#[derive(Default)]
struct Map(Mutex<Arc<Shared>>);

impl Map {
    fn open(&self) -> Arc<dyn Storage> {
        let engine = MapEngine(self.0.lock().unwrap().clone());
        Arc::new(KvStorage::open(engine, KvOptions::new(Durability::Written)).unwrap())
    }
}

#[async_trait]
impl Harness for Map {
    async fn create(&self) -> Arc<dyn Storage> {
        *self.0.lock().unwrap() = Arc::default();
        self.open()
    }

    async fn reopen(&self) -> Option<Arc<dyn Storage>> {
        assert_eq!(Arc::strong_count(&self.0.lock().unwrap()), 1, "the engine was not let go");
        Some(self.open())
    }
}

fanfare_storage::conformance_tests!(Map::default());
