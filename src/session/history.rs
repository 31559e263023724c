//! How far a connection sees back in a channel (protocol section 9, `listMessages`).

use super::action::Recovery;
use super::subscribe::not_subscribed;
use super::{Session, required_channel};
use crate::auth::Permissions;
use crate::protocol::error::ProtocolError;
use fanfare_storage::{MessageId, Timestamp};
use std::sync::Arc;

/// What of a channel's messages a connection may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HistoryScope {
    /// The channel's real name.
    pub(crate) channel: Arc<str>,
    /// The least id that shows.
    pub(crate) from: MessageId,
}

impl<R> Session<R> {
    /// What `listMessages` may show: an active subscription is needed, and its start or
    /// `historyStart`, whichever is earlier, is the horizon.
    pub(crate) fn history_scope(
        &self,
        channel: Option<&str>,
    ) -> Result<HistoryScope, ProtocolError> {
        let written = required_channel(channel)?;
        let name = self.resolve(written, None);
        let Some((channel, subscription)) = self.subscriptions.active(&name) else {
            return Err(not_subscribed(written));
        };
        let grants = self.tokens(subscription.permissions.as_deref()).channel(channel);
        let granted = horizon(grants.history_start);
        let since_start = subscription.active.as_ref().map(|active| active.start.next());
        let from = granted.into_iter().chain(since_start).min().unwrap_or(MessageId::MAX);
        Ok(HistoryScope { channel: Arc::clone(channel), from })
    }

    /// What a subscribe may recover (section 6): nothing without `historyStart`.
    pub(super) fn recovery(
        &self,
        channel: &str,
        permissions: Option<&Permissions>,
        after: MessageId,
    ) -> Option<Recovery> {
        let horizon = horizon(self.tokens(permissions).channel(channel).history_start)?;
        Some(Recovery { after, horizon })
    }
}

/// The least id that `historyStart` shows.
fn horizon(history_start: Option<u64>) -> Option<MessageId> {
    history_start.map(|seconds| MessageId::first_at(Timestamp::from_unix_seconds(seconds)))
}
