//! Opens the storage that `--storage` names.

use crate::failure::Failure;
use crate::key_files;
use crate::options::{Options, StorageChoice};
use fanfare::storage::Durability;
use fanfare::{MemoryStorage, Storage};
use fanfare_storage_redb::RedbStorage;
use fanfare_storage_sled::SledStorage;
use std::path::Path;
use std::sync::Arc;

/// # Errors
///
/// Fails where the directory can't be made, is in use by another process, or holds something
/// that this version can't read.
pub(crate) fn open(options: &Options) -> Result<Arc<dyn Storage>, Failure> {
    let cache = options.storage_cache.0;
    let durability = Durability::from(options.durability);
    Ok(match &options.storage {
        StorageChoice::Memory => Arc::new(MemoryStorage::with_capacity(options.memory_storage.0)),
        StorageChoice::Redb(directory) => {
            let builder = RedbStorage::builder().cache_bytes(cache).durability(durability);
            Arc::new(open_in(directory, |directory| builder.open(directory))?)
        }
        StorageChoice::Sled(directory) => {
            let builder = SledStorage::builder().cache_bytes(cache as u64).durability(durability);
            Arc::new(open_in(directory, |directory| builder.open(directory))?)
        }
    })
}

fn open_in<'a, S>(
    directory: &'a Path,
    open: impl FnOnce(&'a Path) -> fanfare_storage::Result<S>,
) -> Result<S, Failure> {
    key_files::make_directory(directory)?;
    open(directory).map_err(|error| Failure::machine("the storage can't be opened", &error))
}
