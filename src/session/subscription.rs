//! One subscription, and what it was found to allow.

use crate::auth::{Grants, MessageGrants, Permissions, TokenIdentity};
use crate::protocol::event::Meta;
use fanfare_storage::MessageId;
use std::sync::Arc;

/// One subscription, from the moment that it was granted.
#[derive(Debug)]
pub(super) struct Subscription<R> {
    /// What the subscribe token grants, where one was used.
    pub(super) permissions: Option<Arc<Permissions>>,
    /// The subscribe token, where one was used.
    pub(super) token: Option<Box<TokenIdentity>>,
    pub(super) alias: Option<Arc<str>>,
    /// Whether the alias is good as long as the subscription is, and outranks the connect token's.
    pub(super) alias_is_own: bool,
    /// Greater than those of all that are older; given by [`Subscriptions::insert`].
    ///
    /// [`Subscriptions::insert`]: super::subscriptions::Subscriptions::insert
    pub(super) number: u32,
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
