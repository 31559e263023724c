//! A subscription that is about to be made.

use crate::protocol::event::Meta;
use std::sync::Arc;

/// A connection that is about to be subscribed to a channel, which its tokens permit; see
/// [`Hooks::subscribe`](super::Hooks::subscribe).
#[derive(Debug)]
pub struct Subscribing {
    pub(in crate::broker) connection_id: Arc<str>,
    pub(in crate::broker) connection_uid: Option<Arc<str>>,
    pub(in crate::broker) channel: Arc<str>,
    pub(in crate::broker) meta: Meta,
    pub(in crate::broker) automatic: bool,
}

impl Subscribing {
    /// The connection.
    #[must_use]
    pub fn connection_id(&self) -> &str {
        &self.connection_id
    }

    /// Whose connection it is.
    #[must_use]
    pub fn connection_uid(&self) -> Option<&str> {
        self.connection_uid.as_deref()
    }

    /// The channel's real name, also where the client used an alias.
    #[must_use]
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// Whether the token says `autoSubscribe` and the client sent no command.
    #[must_use]
    pub fn is_automatic(&self) -> bool {
        self.automatic
    }

    identity! {
        /// The subscription's user id: that of the subscribe token, where it has one, else the
        /// connection's.
        uid,
        /// The subscription's user metadata, JSON text; likewise.
        umd,
        /// Shows others on the channel another user, or none. On a presence channel a subscription
        /// without a user is refused.
        set_uid,
        /// Sets the subscription's user metadata
        set_umd,
    }
}
