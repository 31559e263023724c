//! For authors of backends: everything of a [`Storage`](crate::Storage) but the engine.
//!
//! Most embedded engines are ordered maps of bytes that block the calling thread. Such an engine
//! becomes a storage by an implementation of [`Engine`], which is three methods, and a newtype
//! around [`KvStorage`], which has the rest: the layout of the records, the rules of every write,
//! one writer thread with group commit, and threads for reading. An engine that most often answers
//! from memory says so with [`Engine::view_now`], and is read without the way to a thread and back.
//!
//! ```
//! use bytes::Bytes;
//! use fanfare_storage::kv::{Changes, Engine, KeyRange, KvBacked, KvOptions, KvStorage, View, Visit};
//! use fanfare_storage::{Durability, Order, Result, Storage};
//! use std::collections::BTreeMap;
//! use std::sync::{RwLock, RwLockReadGuard};
//!
//! type Map = BTreeMap<Vec<u8>, Vec<u8>>;
//!
//! #[derive(Default)]
//! struct MapEngine(RwLock<Map>);
//!
//! struct MapView<'a>(RwLockReadGuard<'a, Map>);
//!
//! impl Engine for MapEngine {
//!     fn view(&self) -> Result<Box<dyn View + '_>> {
//!         Ok(Box::new(MapView(self.0.read().expect("no writer panicked"))))
//!     }
//!
//!     fn apply(&self, changes: &Changes) -> Result<()> {
//!         let mut map = self.0.write().expect("no writer panicked");
//!         for (key, value) in changes.iter() {
//!             match value {
//!                 Some(value) => map.insert(key.to_vec(), value.to_vec()),
//!                 None => map.remove(key),
//!             };
//!         }
//!         Ok(())
//!     }
//!
//!     fn sync(&self) -> Result<()> {
//!         Ok(())
//!     }
//! }
//!
//! impl View for MapView<'_> {
//!     fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
//!         Ok(self.0.get(key).map(|value| Bytes::copy_from_slice(value)))
//!     }
//!
//!     fn scan(&self, range: &KeyRange, order: Order, visit: &mut Visit<'_>) -> Result<()> {
//!         let mut range = self.0.range(range.start.clone()..range.end.clone());
//!         while let Some((key, value)) = match order {
//!             Order::Ascending => range.next(),
//!             Order::Descending => range.next_back(),
//!         } {
//!             if visit(key, value)?.is_break() {
//!                 break;
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//!
//! #[derive(Debug)]
//! struct MapStorage(KvStorage);
//!
//! impl KvBacked for MapStorage {
//!     fn kv(&self) -> &KvStorage {
//!         &self.0
//!     }
//! }
//!
//! let options = KvOptions::new(Durability::Volatile);
//! let storage = MapStorage(KvStorage::open(MapEngine::default(), options)?);
//! let _: &dyn Storage = &storage;
//! # Ok::<(), fanfare_storage::Error>(())
//! ```

mod bounded;
mod channel;
mod direct;
mod entries;
mod group;
mod keys;
mod open;
mod queue;
mod reactions;
mod read;
mod readers;
pub mod record;
mod storage;
mod sweep;
mod tables;
mod txn;

pub use group::{GroupCommit, GroupLimits, GroupWriter};
pub use keys::KeyRange;
pub use open::FORMAT_VERSION;
pub use readers::ReaderPool;
pub use storage::{KvBacked, KvOptions, KvStorage};
pub use txn::Changes;

use crate::{Order, Result};
use bytes::Bytes;
use std::ops::ControlFlow;

/// An ordered map of bytes that outlives the process, or not.
///
/// One thread calls [`apply`](Self::apply) and [`sync`](Self::sync), never at the same time as
/// each other; any number call [`view`](Self::view). All may block. Errors need not name an
/// operation; the storage does.
pub trait Engine: Send + Sync + 'static {
    /// What is stored at the moment. The view does not change while it is there: changes applied
    /// meanwhile are in later views, all or none of one call's. It is not held while the same
    /// thread applies changes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) and
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt).
    fn view(&self) -> Result<Box<dyn View + '_>>;

    /// A view, where one can be had without waiting for more than a moment: not for a disk, and
    /// for no lock that others hold while they wait for one. `None` otherwise and by default; then
    /// the caller is given a [`view`](Self::view) on a thread of its own. An engine that most often
    /// answers from memory should give one, so that [`KvOptions::direct_reads`] spare the way to a
    /// thread and back.
    fn view_now(&self) -> Option<Result<Box<dyn View + '_>>> {
        None
    }

    /// Makes all changes or, on an error, none. Afterwards they have the durability that the
    /// storage advertises and are in every new view.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable),
    /// [`ErrorKind::Full`](crate::ErrorKind::Full) and
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt).
    fn apply(&self, changes: &Changes) -> Result<()>;

    /// Makes all that was applied as durable as the engine can. Called before the engine is
    /// dropped, and at the intervals of [`GroupLimits::settle_after`].
    ///
    /// # Errors
    ///
    /// As [`apply`](Self::apply).
    fn sync(&self) -> Result<()>;
}

/// Takes a key and its value, and says whether to go on.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>> + 'a;

/// A consistent view of an [`Engine`]'s map.
pub trait View {
    /// The value of a key.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::view`].
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;

    /// Visits the keys of a range with their values, in order, until `visit` breaks or fails. A
    /// range that ends before it starts is empty.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::view`], and that of `visit`.
    fn scan(&self, range: &KeyRange, order: Order, visit: &mut Visit<'_>) -> Result<()>;

    /// Whether a call of the above may have waited for a disk; true by default. An engine that
    /// knows of those that were answered from memory keeps them from being taken for slow ones when
    /// the system was busy otherwise; see [`KvOptions::direct_reads`].
    fn may_have_waited(&self) -> bool {
        true
    }
}

/// The first key of a range, with its value.
fn first(view: &dyn View, range: &KeyRange, order: Order) -> Result<Option<(Vec<u8>, Bytes)>> {
    let mut found = None;
    view.scan(range, order, &mut |key, value| {
        found = Some((key.to_vec(), Bytes::copy_from_slice(value)));
        Ok(ControlFlow::Break(()))
    })?;
    Ok(found)
}

/// At most `limit` keys of a range, in ascending order.
fn keys(view: &dyn View, range: &KeyRange, limit: usize) -> Result<Vec<Vec<u8>>> {
    let mut keys = Vec::new();
    if limit > 0 {
        view.scan(range, Order::Ascending, &mut |key, _| {
            keys.push(key.to_vec());
            Ok(if keys.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
    }
    Ok(keys)
}
