//! What a connection is subscribed to, and what it was found to be allowed there.

use crate::auth::{Grants, MessageGrants, Permissions, TokenIdentity};
use crate::protocol::event::Meta;
use fanfare_storage::MessageId;
use std::collections::HashMap;
use std::sync::Arc;

/// One subscription, from the moment that it was granted.
#[derive(Debug)]
pub(super) struct Subscription<R> {
    /// What the subscribe token grants, where one was used.
    pub(super) permissions: Option<Arc<Permissions>>,
    /// See [`Token::channels_digest`](crate::auth::Token::channels_digest).
    pub(super) digest: [u8; 32],
    /// The subscribe token, where one was used.
    pub(super) token: Option<Box<TokenIdentity>>,
    pub(super) alias: Option<Arc<str>>,
    /// Whether the alias is good as long as the subscription is, and outranks the connect token's.
    pub(super) alias_is_own: bool,
    pub(super) meta: Meta,
    pub(super) grants: GrantCache,
    /// Whether the connection's permissions changed before it was active.
    pub(super) is_stale: bool,
    /// `None` until the channel has it registered; commands see it as subscribed from then on.
    pub(super) active: Option<Active<R>>,
}

#[derive(Debug)]
pub(super) struct Active<R> {
    pub(super) registration: R,
    /// Everything published since has a greater id.
    pub(super) start: MessageId,
}

/// All subscriptions of a connection, by the channels' real names.
#[derive(Debug)]
pub(super) struct Subscriptions<R> {
    /// In boxes, since even the smallest map has room for four.
    by_channel: HashMap<Arc<str>, Box<Subscription<R>>>,
}

impl<R> Default for Subscriptions<R> {
    fn default() -> Self {
        Self { by_channel: HashMap::new() }
    }
}

impl<R> Subscriptions<R> {
    pub(super) fn len(&self) -> usize {
        self.by_channel.len()
    }

    /// The subscription, whether it is registered yet or not.
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
        self.by_channel.iter().map(|(channel, subscription)| (channel, &**subscription))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&Arc<str>, &mut Subscription<R>)> {
        self.by_channel.iter_mut().map(|(channel, subscription)| (channel, &mut **subscription))
    }

    pub(super) fn insert(&mut self, channel: Arc<str>, subscription: Subscription<R>) {
        self.by_channel.insert(channel, Box::new(subscription));
    }

    pub(super) fn remove(&mut self, channel: &str) -> Option<(Arc<str>, Subscription<R>)> {
        self.by_channel.remove_entry(channel).map(|(channel, removed)| (channel, *removed))
    }

    pub(super) fn drain(&mut self) -> Vec<(R, Meta)> {
        self.by_channel
            .drain()
            .filter_map(|(_, subscription)| {
                let Subscription { active, meta, .. } = *subscription;
                active.map(|active| (active.registration, meta))
            })
            .collect()
    }
}

/// How many events' permissions are remembered at one place. Clients publish few kinds of events;
/// beyond that the oldest is evaluated again, which costs time and nothing else.
const REMEMBERED: usize = 16;

/// Permissions that were evaluated before. The answers stay true as long as the same permissions
/// are in force.
#[derive(Debug, Default)]
pub(super) struct GrantCache {
    entries: Vec<Remembered>,
    oldest: usize,
}

#[derive(Debug)]
struct Remembered {
    channel: Arc<str>,
    event: Box<str>,
    grants: MessageGrants,
}

impl GrantCache {
    pub(super) fn message(
        &mut self,
        tokens: &Grants<'_>,
        channel: &Arc<str>,
        event: &str,
    ) -> MessageGrants {
        let known = self.entries.iter().find(|entry| {
            *entry.event == *event
                && (Arc::ptr_eq(&entry.channel, channel) || entry.channel == *channel)
        });
        if let Some(entry) = known {
            return entry.grants.clone();
        }
        let grants = tokens.message(channel, event);
        self.remember(Remembered {
            channel: Arc::clone(channel),
            event: event.into(),
            grants: grants.clone(),
        });
        grants
    }

    fn remember(&mut self, entry: Remembered) {
        if self.entries.len() < REMEMBERED {
            self.entries.push(entry);
        } else {
            self.entries[self.oldest] = entry;
            self.oldest = (self.oldest + 1) % REMEMBERED;
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}
