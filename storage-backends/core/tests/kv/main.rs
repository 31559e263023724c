//! The storage over an engine of keys and values: the conformance suite on a map, and what
//! happens when the engine is slow, fails, panics or is damaged.

mod costs;
mod engine;
mod faults;

use engine::{MapEngine, Shared};
use fanfare_storage::conformance::Harness;
use fanfare_storage::kv::{KvOptions, KvStorage};
use fanfare_storage::{Durability, Storage, async_trait};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// A map that outlives its storages, in place of a disk.
#[derive(Default)]
struct Map {
    shared: Mutex<Arc<Shared>>,
    /// Whether it is read in place.
    is_quick: bool,
}

impl Map {
    fn open(&self) -> Arc<dyn Storage> {
        let shared = self.shared.lock().unwrap().clone();
        shared.is_quick.store(self.is_quick, Ordering::SeqCst);
        let mut options = KvOptions::new(Durability::Written);
        options.direct_reads = 4;
        Arc::new(KvStorage::open(MapEngine(shared), options).unwrap())
    }
}

#[async_trait]
impl Harness for Map {
    async fn create(&self) -> Arc<dyn Storage> {
        *self.shared.lock().unwrap() = Arc::default();
        self.open()
    }

    async fn reopen(&self) -> Option<Arc<dyn Storage>> {
        assert_eq!(Arc::strong_count(&self.shared.lock().unwrap()), 1, "the engine was not let go");
        Some(self.open())
    }
}

fanfare_storage::conformance_tests!(Map::default());

mod in_place {
    use super::Map;

    fanfare_storage::conformance_tests!(Map { is_quick: true, ..Map::default() });
}
