use super::channel::Channel;
use super::{View, keys, record};
use crate::live_count::LiveCount;
use crate::{Entry, Order, Outcome, Result, SetEntry, json_eq};
use std::ops::ControlFlow;

impl Channel<'_, '_> {
    pub(super) fn set_entry(&mut self, set: SetEntry) -> Result<Outcome> {
        let SetEntry { id, key, value, author, expires_at, announce_expiry, context, max_keys } =
            set;
        self.seen = self.seen.max(Some(id));
        let place = self.keys.entry(&key);
        let stored = self.txn.get(&place)?;
        let stored = stored.map(|record| record::decode_entry(key.clone(), record)).transpose()?;
        let is_live = |entry: &&Entry| entry.expires_at.is_none_or(|end| end > self.now);
        let former = stored.as_ref().filter(is_live).cloned();
        let Some(value) = value else {
            if former.is_some() {
                self.replace_entry(place, stored.as_ref(), None);
            }
            return Ok(former.map_or(Outcome::Unchanged, |it| Outcome::EntryChanged(Some(it))));
        };
        if former.is_none() && self.has_no_room(max_keys)? {
            return Ok(Outcome::LimitReached);
        }
        let equal = former.as_ref().filter(|former| json_eq(&former.value, &value));
        let is_equal = equal.is_some();
        let (value, author) = match equal {
            Some(equal) => (equal.value.clone(), equal.author.clone()),
            None => (value, author),
        };
        let entry = Entry { key, value, author, expires_at, announce_expiry, context };
        self.replace_entry(place, stored.as_ref(), Some(&entry));
        Ok(match stored.filter(|stored| former.is_none() && stored.announce_expiry) {
            Some(expired) => Outcome::ExpiredEntryReplaced(expired),
            None if is_equal => Outcome::Unchanged,
            None => Outcome::EntryChanged(former),
        })
    }

    /// Puts one entry in another's place; either may be none.
    fn replace_entry(&mut self, place: Vec<u8>, former: Option<&Entry>, entry: Option<&Entry>) {
        let expires = |entry: Option<&Entry>| entry.and_then(|entry| entry.expires_at);
        if let Some(former) = former {
            self.head.entries.remove(former.expires_at);
        }
        if let Some(entry) = entry {
            self.head.entries.add(entry.expires_at);
        }
        if expires(former) != expires(entry) {
            if let Some(end) = expires(former) {
                self.txn.delete(keys::expiry(end, &place));
            }
            if let Some(end) = expires(entry) {
                self.txn.put(keys::expiry(end, &place), Vec::new());
            }
        }
        match entry {
            Some(entry) => self.put(place, record::encode_entry(entry)),
            None => self.txn.delete(place),
        }
    }

    fn has_no_room(&mut self, max_keys: usize) -> Result<bool> {
        if self.head.entries.is_below(max_keys, self.now) {
            return Ok(false);
        }
        if !self.head.entries.is_exact(self.now) {
            let mut expiries = Vec::new();
            self.txn.scan(&self.keys.entries(None), Order::Ascending, &mut |_, record| {
                expiries.push(record::peek_expiry(record)?);
                Ok(ControlFlow::Continue(()))
            })?;
            self.head.entries = LiveCount::recount(self.now, expiries);
        }
        Ok(!self.head.entries.is_below(max_keys, self.now))
    }
}
