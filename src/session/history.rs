//! How far a connection sees back in a channel (protocol section 9, `listMessages`).

use super::subscribe::not_subscribed;
use super::{Session, required_channel};
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
        let granted = grants
            .history_start
            .map(|seconds| MessageId::first_at(Timestamp::from_unix_seconds(seconds)));
        let since_start = subscription.active.as_ref().map(|active| active.start.next());
        let from = granted.into_iter().chain(since_start).min().unwrap_or(MessageId::MAX);
        Ok(HistoryScope { channel: Arc::clone(channel), from })
    }
}
