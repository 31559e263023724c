//! The conformance suite, with each durability.

use fanfare_storage::conformance::Harness;
use fanfare_storage::{Durability, Storage, async_trait};
use fanfare_storage_sled::SledStorage;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

struct Sled {
    durability: Durability,
    dir: Mutex<TempDir>,
}

impl Sled {
    fn new(durability: Durability) -> Self {
        Self { durability, dir: Mutex::new(TempDir::new().unwrap()) }
    }

    fn open(&self) -> Arc<dyn Storage> {
        let builder = SledStorage::builder().durability(self.durability);
        let storage = builder.open(self.dir.lock().unwrap().path()).unwrap();
        assert_eq!(storage.capabilities().durability, self.durability);
        Arc::new(storage)
    }
}

#[async_trait]
impl Harness for Sled {
    async fn create(&self) -> Arc<dyn Storage> {
        *self.dir.lock().unwrap() = TempDir::new().unwrap();
        self.open()
    }

    fn model_cases(&self) -> u32 {
        24
    }

    async fn reopen(&self) -> Option<Arc<dyn Storage>> {
        Some(self.open())
    }
}

mod written {
    fanfare_storage::conformance_tests!(super::Sled::new(super::Durability::Written));
}

mod lazy {
    fanfare_storage::conformance_tests!(super::Sled::new(super::Durability::Lazy));
}
