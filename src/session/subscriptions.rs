//! What a connection is subscribed to.

use super::grant_cache::{self, GrantCache};
use super::index::Index;
use super::subscription::Subscription;
use crate::auth::{Digest, Grants, MessageGrants, Permissions};
use crate::protocol::event::Meta;
use crate::protocol::names;
use bytes::Bytes;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::AtomicUsize;

/// How many subscriptions are walked through where one is looked for by something else than its
/// channel. Beyond that there is an index, which few connections need and pay for.
const WALKED: usize = 16;

/// Bytes of permissions that a connection's subscriptions remember together: those of some hundred
/// events.
pub(super) const REMEMBERED_BYTES: usize = 128 << 10;

/// All subscriptions of a connection, by the channels' real names. Their permissions and aliases
/// stay as they are; only whether an alias is their own may change.
#[derive(Debug)]
pub(super) struct Subscriptions<R> {
    /// In boxes, since even the smallest map has room for four.
    by_channel: HashMap<Arc<str>, Box<Subscription<R>>>,
    index: Option<Box<Index>>,
    /// The presence channels among them.
    presence: BTreeSet<Arc<str>>,
    /// Metadata that all have, but for those that were changed since: so a change of all costs no
    /// walk.
    of_all: Option<Box<MetadataOfAll>>,
    /// How many were ever made, and how often metadata were changed.
    made: u32,
    /// Bytes of permissions that were remembered since all were forgotten, also of those that were
    /// replaced or have ended since: at least as many as are.
    remembered: u32,
    /// How many were looked at on walks through all.
    #[cfg(test)]
    walked: AtomicUsize,
}

#[derive(Debug)]
struct MetadataOfAll {
    umd: Option<Bytes>,
    /// Greater than [`Subscription::meta_since`] of those that have them.
    since: u32,
}

impl<R> Default for Subscriptions<R> {
    fn default() -> Self {
        Self {
            by_channel: HashMap::new(),
            index: None,
            presence: BTreeSet::new(),
            of_all: None,
            made: 0,
            remembered: 0,
            #[cfg(test)]
            walked: AtomicUsize::new(0),
        }
    }
}

impl<R> Subscriptions<R> {
    pub(super) fn len(&self) -> usize {
        self.by_channel.len()
    }

    /// Whether there is one, registered or not.
    pub(super) fn contains(&self, channel: &str) -> bool {
        self.by_channel.contains_key(channel)
    }

    pub(super) fn active(&self, channel: &str) -> Option<(&Arc<str>, &Subscription<R>)> {
        let (channel, found) = self.by_channel.get_key_value(channel)?;
        found.active.is_some().then_some((channel, &**found))
    }

    pub(super) fn get_mut(&mut self, channel: &str) -> Option<&mut Subscription<R>> {
        self.by_channel.get_mut(channel).map(|found| &mut **found)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Subscription<R>)> {
        self.note_walk();
        self.by_channel.iter().map(|(channel, subscription)| (channel, &**subscription))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&Arc<str>, &mut Subscription<R>)> {
        self.note_walk();
        self.by_channel.iter_mut().map(|(channel, subscription)| (channel, &mut **subscription))
    }

    pub(super) fn insert(&mut self, channel: Arc<str>, mut subscription: Subscription<R>) {
        self.remove(&channel);
        self.made = self.made.wrapping_add(1);
        (subscription.number, subscription.meta_since) = (self.made, self.made);
        if names::is_presence(&channel) {
            self.presence.insert(Arc::clone(&channel));
        }
        if let Some(index) = &mut self.index {
            index.insert(&channel, &subscription);
        }
        self.by_channel.insert(channel, Box::new(subscription));
        if self.index.is_none() && self.len() > WALKED {
            self.index = Some(Box::new(self.indexed()));
        }
    }

    pub(super) fn remove(&mut self, channel: &str) -> Option<(Arc<str>, Subscription<R>)> {
        let (channel, mut removed) = self.by_channel.remove_entry(channel)?;
        removed.own_meta = self.meta(&removed);
        if names::is_presence(&channel) {
            self.presence.remove(&channel);
        }
        // Well below where it was made, so that it is not made again and again.
        if self.len() < WALKED / 2 {
            self.index = None;
        } else if let Some(index) = &mut self.index {
            index.remove(&channel, &removed);
        }
        Some((channel, *removed))
    }

    /// Takes all, with whose they were.
    pub(super) fn drain(&mut self) -> Vec<(R, Meta)> {
        let all = std::mem::take(&mut self.by_channel);
        let ended = all.into_values().filter_map(|subscription| {
            let meta = self.meta(&subscription);
            subscription.active.map(|active| (active.registration, meta))
        });
        let ended = ended.collect();
        *self = Self::default();
        ended
    }

    /// Whom others see as a subscription's user.
    pub(super) fn meta(&self, of: &Subscription<R>) -> Meta {
        match &self.of_all {
            Some(all) if all.since > of.meta_since => {
                Meta { uid: of.own_meta.uid.clone(), umd: all.umd.clone() }
            }
            _ => of.own_meta.clone(),
        }
    }

    /// Changes the metadata of one, active or not, or of all.
    pub(super) fn set_umd(&mut self, channel: Option<&str>, umd: &Option<Bytes>) {
        self.made = self.made.wrapping_add(1);
        let since = self.made;
        let Some(channel) = channel else {
            self.of_all = Some(Box::new(MetadataOfAll { umd: umd.clone(), since }));
            return;
        };
        if let Some(found) = self.get_mut(channel) {
            found.own_meta.umd.clone_from(umd);
            found.meta_since = since;
        }
    }

    /// Those on presence channels that are active.
    pub(super) fn on_presence(&self) -> impl Iterator<Item = (&Arc<str>, &Subscription<R>)> {
        self.presence.iter().filter_map(|channel| self.active(channel))
    }

    /// What may be done with an event on a channel, by the connection's permissions and those of its
    /// subscription; `None` where there is none. The channel is to be the one that
    /// [`active`](Self::active) names.
    pub(super) fn message_grants(
        &mut self,
        connect: &Permissions,
        channel: &Arc<str>,
        event: &str,
    ) -> Option<MessageGrants> {
        let subscription = self.by_channel.get(channel)?;
        if let Some(known) = subscription.grants.known(channel, event) {
            return Some(known.clone());
        }
        let tokens = Grants { connect, subscribe: subscription.permissions.as_deref() };
        let grants = tokens.message(channel, event);
        if let Some(cost) = grant_cache::cost(event, &grants) {
            self.make_room(cost);
            let subscription = self.by_channel.get_mut(channel)?;
            subscription.grants.remember(channel, event, &grants);
        }
        Some(grants)
    }

    /// Forgets what all subscriptions were found to allow.
    pub(super) fn forget_grants(&mut self) {
        self.remembered = 0;
        self.iter_mut().for_each(|(_, subscription)| subscription.grants = GrantCache::default());
    }

    /// Makes room for so many bytes of permissions. That all are forgotten where there is none left
    /// costs a walk, and each of the hundreds of messages before it a small part of that.
    fn make_room(&mut self, bytes: usize) {
        let mut remembered = self.remembered as usize + bytes;
        if remembered > REMEMBERED_BYTES {
            self.forget_grants();
            remembered = bytes;
        }
        self.remembered = u32::try_from(remembered).unwrap_or(u32::MAX);
    }

    /// The channel of the oldest one that has this alias as its own.
    pub(super) fn by_own_alias(&self, alias: &str) -> Option<&Arc<str>> {
        match &self.index {
            Some(index) => index.by_alias(alias).iter().find(|channel| {
                self.by_channel.get(&***channel).is_some_and(|found| found.alias_is_own)
            }),
            None => {
                let own = self.with_alias(alias).filter(|(_, found)| found.alias_is_own);
                own.min_by_key(|(_, found)| found.number).map(|(channel, _)| channel)
            }
        }
    }

    /// Whether any has this alias, its own or not.
    pub(super) fn has_alias(&self, alias: &str) -> bool {
        match &self.index {
            Some(index) => !index.by_alias(alias).is_empty(),
            None => self.with_alias(alias).next().is_some(),
        }
    }

    /// Whether any subscribe token names exactly this channel.
    pub(super) fn has_exact_key(&self, channel: &str) -> bool {
        match &self.index {
            Some(index) => index.has_exact_key(channel),
            None => self.permissions().any(|permissions| permissions.is_exact_key(channel)),
        }
    }

    /// The permissions with this digest that a subscribe token has.
    pub(super) fn permissions_of(&self, digest: &Digest) -> Option<&Arc<Permissions>> {
        match &self.index {
            Some(index) => index.permissions(digest),
            None => self.permissions().find(|permissions| permissions.digest() == digest),
        }
    }

    fn with_alias(&self, alias: &str) -> impl Iterator<Item = (&Arc<str>, &Subscription<R>)> {
        self.iter().filter(move |(_, found)| found.alias.as_deref() == Some(alias))
    }

    fn permissions(&self) -> impl Iterator<Item = &Arc<Permissions>> {
        self.iter().filter_map(|(_, found)| found.permissions.as_ref())
    }

    fn indexed(&self) -> Index {
        let mut all: Vec<_> = self.iter().collect();
        all.sort_by_key(|(_, subscription)| subscription.number);
        let mut index = Index::default();
        all.iter().for_each(|(channel, subscription)| index.insert(channel, subscription));
        index
    }

    fn note_walk(&self) {
        #[cfg(test)]
        self.walked.fetch_add(self.len(), std::sync::atomic::Ordering::Relaxed);
    }

    /// How many were looked at on walks through all since this was last asked.
    #[cfg(test)]
    pub(super) fn walked(&self) -> usize {
        self.walked.swap(0, std::sync::atomic::Ordering::Relaxed)
    }

    /// Bytes of permissions that are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.iter().map(|(_, subscription)| subscription.grants.bytes()).sum()
    }

    /// Answers without the index; `None` where there is none.
    #[cfg(test)]
    pub(super) fn walking<T>(&mut self, ask: impl FnOnce(&Self) -> T) -> Option<T> {
        let index = self.index.take()?;
        let answer = ask(self);
        self.index = Some(index);
        Some(answer)
    }
}
