//! Opens the storage that `--storage` names.

use crate::failure::Failure;
use crate::key_files;
use crate::options::StorageChoice;
use fanfare::{MemoryStorage, Storage};
use fanfare_storage_redb::RedbStorage;
use fanfare_storage_sled::SledStorage;
use std::path::Path;
use std::sync::Arc;

/// # Errors
///
/// Fails where the directory can't be made, is in use by another process, or holds something
/// that this version can't read.
pub(crate) fn open(choice: &StorageChoice) -> Result<Arc<dyn Storage>, Failure> {
    Ok(match choice {
        StorageChoice::Memory => Arc::new(MemoryStorage::new()),
        StorageChoice::Redb(directory) => Arc::new(open_in(directory, RedbStorage::open)?),
        StorageChoice::Sled(directory) => Arc::new(open_in(directory, SledStorage::open)?),
    })
}

fn open_in<'a, S>(
    directory: &'a Path,
    open: impl FnOnce(&'a Path) -> fanfare_storage::Result<S>,
) -> Result<S, Failure> {
    key_files::make_directory(directory)?;
    open(directory).map_err(|error| Failure::machine("the storage can't be opened", &error))
}
