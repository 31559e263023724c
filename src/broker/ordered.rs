//! A map by name that can be gone through in order, a page at a time, while it changes.
//!
//! Names are spread over shards by their hash, so that those who change it seldom meet. Each shard
//! keeps its names in order, so that a page is merged from the shards' next names: it costs what
//! it shows, however large the map is, and no lock is held for longer than one shard's part takes.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const SHARDS: usize = 32;

type Shard<V> = BTreeMap<Arc<str>, Arc<V>>;
pub(crate) type Page<V> = Vec<(Arc<str>, Arc<V>)>;

#[derive(Debug)]
pub(crate) struct OrderedMap<V> {
    shards: Box<[Mutex<Shard<V>>]>,
    hasher: RandomState,
    /// Changed under the lock of the shard that changes.
    len: AtomicUsize,
}

impl<V> Default for OrderedMap<V> {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, hasher: RandomState::new(), len: AtomicUsize::new(0) }
    }
}

impl<V> OrderedMap<V> {
    #[allow(clippy::cast_possible_truncation)] // any bits of the hash will do
    fn shard(&self, name: &str) -> &Mutex<Shard<V>> {
        &self.shards[self.hasher.hash_one(name) as usize % SHARDS]
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<V>> {
        self.shard(name).lock().get(name).cloned()
    }

    /// Puts a value under a name, in the place of one that was there.
    pub(crate) fn insert(&self, name: &Arc<str>, value: &Arc<V>) {
        let mut shard = self.shard(name).lock();
        if shard.insert(Arc::clone(name), Arc::clone(value)).is_none() {
            self.len.fetch_add(1, Ordering::Release);
        }
    }

    /// Removes a name if it still stands for `value`.
    pub(crate) fn remove(&self, name: &str, value: &V) {
        let mut shard = self.shard(name).lock();
        if shard.get(name).is_some_and(|found| std::ptr::eq(&**found, value)) {
            shard.remove(name);
            self.len.fetch_sub(1, Ordering::Release);
        }
    }

    /// Up to `limit` values whose names start with `prefix` and come after `after`, in the order
    /// of their names' bytes. What is there all the while that pages are asked for shows once;
    /// what comes or goes meanwhile may show or not.
    pub(crate) fn page(&self, after: Option<&str>, prefix: &str, limit: usize) -> Page<V> {
        let mut page = Vec::new();
        let mut after = after.map(Arc::from);
        loop {
            // Names are spread evenly, so that somewhat more than each shard's share is enough.
            let share = (limit - page.len()) / SHARDS * 2 + 4;
            let (found, seen_to) = self.next_of_each(after.as_deref(), prefix, share);
            page.extend(found);
            if page.len() >= limit || seen_to.is_none() {
                page.truncate(limit);
                return page;
            }
            after = seen_to;
        }
    }

    /// The next names in order, from up to `share` of each shard; up to and with which name they
    /// are all that there are, where there may be more.
    fn next_of_each(
        &self,
        after: Option<&str>,
        prefix: &str,
        share: usize,
    ) -> (Page<V>, Option<Arc<str>>) {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let mut found = Vec::new();
        let mut seen_to: Option<Arc<str>> = None;
        for shard in &self.shards {
            let before = found.len();
            let shard = shard.lock();
            let names = shard.range::<str, _>((start, Bound::Unbounded));
            let names = names.take_while(|(name, _)| name.starts_with(prefix)).take(share);
            found.extend(names.map(|(name, value)| (Arc::clone(name), Arc::clone(value))));
            drop(shard);
            if let Some((last, _)) = found.last()
                && found.len() - before == share
                && seen_to.as_ref().is_none_or(|seen_to| last < seen_to)
            {
                seen_to = Some(Arc::clone(last));
            }
        }
        if let Some(seen_to) = &seen_to {
            found.retain(|(name, _)| name <= seen_to);
        }
        found.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        (found, seen_to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn names(page: &[(Arc<str>, Arc<String>)]) -> Vec<String> {
        page.iter().map(|(name, _)| name.to_string()).collect()
    }

    #[test]
    fn a_late_removal_does_not_hit_a_successor() {
        let map = OrderedMap::default();
        let (name, first, second) = (Arc::from("a"), Arc::new(1), Arc::new(1));
        map.insert(&name, &first);
        map.insert(&name, &second);
        map.remove("a", &first);
        assert_eq!(map.len(), 1);
        map.remove("a", &second);
        assert_eq!((map.len(), map.get("a")), (0, None));
    }

    #[test]
    fn it_counts_right_whoever_changes_it() {
        let map = OrderedMap::default();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let map = &map;
                scope.spawn(move || {
                    for number in 0..2_000 {
                        let name: Arc<str> = format!("{}", (number * 7 + thread) % 50).into();
                        let value = Arc::new(thread);
                        map.insert(&name, &value);
                        map.page(Some("2"), "", 10);
                        map.remove(&name, &value);
                    }
                });
            }
        });
        assert_eq!(map.len(), map.page(None, "", usize::MAX).len());
    }

    proptest! {
        #[test]
        fn pages_show_each_once_in_order(
            all in prop::collection::btree_set("[abc]{0,6}", 0..600),
            prefix in "[ab]{0,2}",
            limit in prop_oneof![1_usize..7, 100_usize..200],
        ) {
            let map = OrderedMap::default();
            for name in &all {
                map.insert(&name.as_str().into(), &Arc::new(name.clone()));
            }
            let mut seen: Vec<String> = Vec::new();
            loop {
                let page = names(&map.page(seen.last().map(String::as_str), &prefix, limit));
                prop_assert!(page.len() <= limit);
                if page.is_empty() {
                    break;
                }
                seen.extend(page);
            }
            let expected: BTreeSet<_> = all.into_iter().filter(|name| name.starts_with(&prefix)).collect();
            prop_assert_eq!(seen, expected.into_iter().collect::<Vec<_>>());
        }
    }
}
