//! What the names that clients write are looked up in, where a connection has many subscriptions.

use super::subscription::Subscription;
use crate::auth::{Digest, Permissions};
use std::collections::HashMap;
use std::sync::Arc;

/// What many subscriptions would otherwise be walked through for. It grows and shrinks with them.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Those with an alias, the oldest first. Others are in no part of this.
    by_alias: HashMap<Arc<str>, Vec<Arc<str>>>,
    /// The subscribe tokens' permissions, and how many subscriptions have them.
    permissions: HashMap<Digest, (Arc<Permissions>, usize)>,
    /// The channels that those name, and how many of them do.
    exact_keys: HashMap<Box<str>, usize>,
}

impl Index {
    /// Adds the subscription to a channel, which is newer than all that are in it.
    pub(super) fn insert<R>(&mut self, channel: &Arc<str>, subscription: &Subscription<R>) {
        if let Some(alias) = &subscription.alias {
            let channel = Arc::clone(channel);
            match self.by_alias.get_mut(alias) {
                Some(channels) => channels.push(channel),
                None => _ = self.by_alias.insert(Arc::clone(alias), vec![channel]),
            }
        }
        let Some(permissions) = &subscription.permissions else { return };
        let known = self.permissions.entry(*permissions.digest());
        let (_, count) = known.or_insert_with(|| (Arc::clone(permissions), 0));
        *count += 1;
        if *count == 1 {
            for key in permissions.exact_keys() {
                match self.exact_keys.get_mut(key) {
                    Some(count) => *count += 1,
                    None => _ = self.exact_keys.insert(key.into(), 1),
                }
            }
        }
    }

    /// Takes out what [`insert`](Self::insert) added.
    pub(super) fn remove<R>(&mut self, channel: &str, subscription: &Subscription<R>) {
        if let Some(alias) = subscription.alias.as_deref()
            && let Some(channels) = self.by_alias.get_mut(alias)
        {
            channels.retain(|one| **one != *channel);
            if channels.is_empty() {
                self.by_alias.remove(alias);
            }
        }
        let Some(permissions) = &subscription.permissions else { return };
        let digest = permissions.digest();
        let Some((_, count)) = self.permissions.get_mut(digest) else { return };
        *count -= 1;
        if *count == 0 {
            self.permissions.remove(digest);
            for key in permissions.exact_keys() {
                let Some(count) = self.exact_keys.get_mut(key) else { continue };
                *count -= 1;
                if *count == 0 {
                    self.exact_keys.remove(key);
                }
            }
        }
    }

    /// The channels whose subscriptions have an alias, the oldest first.
    pub(super) fn by_alias(&self, alias: &str) -> &[Arc<str>] {
        self.by_alias.get(alias).map_or(&[], Vec::as_slice)
    }

    pub(super) fn permissions(&self, digest: &Digest) -> Option<&Arc<Permissions>> {
        self.permissions.get(digest).map(|(permissions, _)| permissions)
    }

    pub(super) fn has_exact_key(&self, channel: &str) -> bool {
        self.exact_keys.contains_key(channel)
    }
}
