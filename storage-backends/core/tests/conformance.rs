//! The conformance suite on the memory store.

use fanfare_storage::conformance::Harness;
use fanfare_storage::{MemoryStorage, Storage, async_trait};
use std::sync::Arc;

struct Memory;

#[async_trait]
impl Harness for Memory {
    async fn create(&self) -> Arc<dyn Storage> {
        Arc::new(MemoryStorage::new())
    }
}

fanfare_storage::conformance_tests!(Memory);
