//! The storage under the broker: one in memory, or the one named by `FANFARE_TEST_STORAGE`, so that
//! all tests can be run on each.

use fanfare::{Durability, MemoryStorage, Storage};
use fanfare_storage_redb::RedbStorage;
use fanfare_storage_sled::SledStorage;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::{env, fs, process};

/// An empty storage. What it has on disk stays until the tests are run again.
pub fn storage() -> Arc<dyn Storage> {
    let kind = env::var("FANFARE_TEST_STORAGE").unwrap_or_default();
    match &*kind {
        "" | "memory" => Arc::new(MemoryStorage::new()),
        // Synced at the end only: crashes have tests of their own.
        "redb" => {
            let builder = RedbStorage::builder().durability(Durability::Written);
            Arc::new(builder.cache_bytes(1 << 20).open(directory(&kind)).unwrap())
        }
        "sled" => {
            let builder = SledStorage::builder().durability(Durability::Written);
            Arc::new(builder.cache_bytes(1 << 20).open(directory(&kind)).unwrap())
        }
        other => panic!("FANFARE_TEST_STORAGE={other}, which is not memory, redb or sled"),
    }
}

/// A directory that nothing else uses.
fn directory(kind: &str) -> PathBuf {
    static RUN: LazyLock<PathBuf> = LazyLock::new(|| {
        let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("broker");
        for run in fs::read_dir(&all).into_iter().flatten().flatten() {
            let ended = |pid| !Path::new("/proc").join(pid).exists();
            if run.file_name().to_str().is_some_and(ended) {
                let _ = fs::remove_dir_all(run.path());
            }
        }
        all.join(process::id().to_string())
    });
    static NEXT: AtomicU64 = AtomicU64::new(0);
    RUN.join(format!("{kind}-{}", NEXT.fetch_add(1, Ordering::Relaxed)))
}
