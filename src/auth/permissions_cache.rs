//! Permissions of tokens in force, shared by all tokens that say the same.

use super::permissions::{Digest, Permissions};
use super::reader::ClaimError;
use super::regex_cache::RegexCache;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// How many different ones are known. At the bound those that no token in force has are forgotten,
/// and where all are in force, further ones are not shared.
const CAPACITY: usize = 1_000;

#[derive(Debug, Default)]
pub(super) struct PermissionsCache {
    known: Mutex<HashMap<Digest, Weak<Permissions>>>,
    regexes: RegexCache,
}

impl PermissionsCache {
    /// The permissions of a `channels` claim whose text has this digest. It is read only where no
    /// token in force has the same.
    pub(super) fn get_or_read(
        &self,
        digest: Digest,
        read: impl FnOnce(&RegexCache) -> Result<Permissions, ClaimError>,
    ) -> Result<Arc<Permissions>, ClaimError> {
        if let Some(known) = self.known.lock().get(&digest).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let mut permissions = read(&self.regexes)?;
        permissions.digest = digest;
        let permissions = Arc::new(permissions);
        let mut known = self.known.lock();
        if known.len() >= CAPACITY {
            known.retain(|_, permissions| permissions.strong_count() > 0);
        }
        if known.len() < CAPACITY {
            known.insert(digest, Arc::downgrade(&permissions));
        }
        Ok(permissions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::reader::Object;

    fn read(cache: &PermissionsCache, number: usize) -> Arc<Permissions> {
        let text = format!(r#"{{"c{number}":{{}}}}"#);
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_le_bytes());
        let parse = |regexes: &_| Permissions::parse(&Object::parse(&text).unwrap(), regexes);
        cache.get_or_read(digest, parse).unwrap()
    }

    #[test]
    fn equal_claims_share_their_permissions_while_they_are_in_force() {
        let cache = PermissionsCache::default();
        let first = read(&cache, 1);
        assert!(Arc::ptr_eq(&first, &read(&cache, 1)) && !Arc::ptr_eq(&first, &read(&cache, 2)));
        let mut digest = [0; 32];
        digest[0] = 1;
        let again = cache.get_or_read(digest, |_| unreachable!("it is in force"));
        assert!(Arc::ptr_eq(&first, &again.unwrap()));
        let weak = Arc::downgrade(&first);
        drop(first);
        assert!(weak.upgrade().is_none(), "the cache keeps nothing alive");
        assert!(read(&cache, 1).is_exact_key("c1"));
    }

    #[test]
    fn at_the_bound_what_is_not_in_force_is_forgotten() {
        let cache = PermissionsCache::default();
        let in_force: Vec<_> = (0..10).map(|number| read(&cache, number)).collect();
        for number in 10..2 * CAPACITY {
            read(&cache, number);
            assert!(cache.known.lock().len() <= CAPACITY);
        }
        for (number, permissions) in in_force.iter().enumerate() {
            assert!(Arc::ptr_eq(permissions, &read(&cache, number)));
        }
    }

    #[test]
    fn where_all_are_in_force_more_are_read_all_the_same() {
        let cache = PermissionsCache::default();
        let in_force: Vec<_> = (0..=CAPACITY).map(|number| read(&cache, number)).collect();
        assert!(in_force[CAPACITY].is_exact_key("c1000"));
        assert_eq!(cache.known.lock().len(), CAPACITY);
    }

    #[test]
    fn what_is_malformed_is_not_kept() {
        let cache = PermissionsCache::default();
        let wrong = || cache.get_or_read([1; 32], |_| Err(ClaimError::new("is wrong")));
        assert!(wrong().is_err() && wrong().is_err());
        assert!(cache.known.lock().is_empty());
    }
}
