//! What was found to be allowed before.
//!
//! Only what is allowed is remembered: a client that may do nothing takes no room by trying.

use crate::auth::{MessageGrants, ReactGrant};
use std::sync::Arc;

/// How many events' permissions are remembered at one place. Clients publish few kinds of events;
/// beyond that the oldest is evaluated again, which costs time and nothing else.
const REMEMBERED: usize = 16;
/// Bytes that one of them may take. Only long lists of reactions need more.
const MAX_ENTRY: usize = 8 << 10;

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
    pub(super) fn known(&self, channel: &Arc<str>, event: &str) -> Option<&MessageGrants> {
        let known = self.entries.iter().find(|entry| {
            *entry.event == *event
                && (Arc::ptr_eq(&entry.channel, channel) || entry.channel == *channel)
        });
        known.map(|entry| &entry.grants)
    }

    /// To be called with what [`cost`] allows.
    pub(super) fn remember(&mut self, channel: &Arc<str>, event: &str, grants: &MessageGrants) {
        let entry = Remembered {
            channel: Arc::clone(channel),
            event: event.into(),
            grants: grants.clone(),
        };
        if self.entries.len() < REMEMBERED {
            // Most places remember one or two.
            self.entries.reserve_exact(1);
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

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.entries.iter().filter_map(|entry| cost(&entry.event, &entry.grants)).sum()
    }
}

/// Bytes that it takes to remember what may be done with an event, but for the channel's name;
/// `None` where it is not to be remembered.
pub(super) fn cost(event: &str, grants: &MessageGrants) -> Option<usize> {
    if !grants.is_any() {
        return None;
    }
    let reactions = match &grants.react {
        ReactGrant::None | ReactGrant::Any => 0,
        ReactGrant::Some(all) => all.iter().map(|one| size_of::<Box<str>>() + one.len()).sum(),
    };
    let bytes = size_of::<Remembered>() + event.len() + reactions;
    (bytes <= MAX_ENTRY).then_some(bytes)
}
