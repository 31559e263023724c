//! A subscription that is about to be made.

use super::{checked_uid, checked_umd, umd_text};
use crate::broker::Error;
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

    /// The subscription's user id: that of the subscribe token, where it has one, else the
    /// connection's.
    #[must_use]
    pub fn uid(&self) -> Option<&str> {
        self.meta.uid.as_deref()
    }

    /// The subscription's user metadata, JSON text; likewise.
    #[must_use]
    pub fn umd(&self) -> Option<&str> {
        umd_text(&self.meta)
    }

    /// Shows others on the channel another user, or none. On a presence channel a subscription
    /// without a user is refused.
    ///
    /// # Errors
    ///
    /// Fails where the uid is empty or longer than 128 characters
    /// ([`is_invalid_input`](Error::is_invalid_input)).
    pub fn set_uid(&mut self, uid: Option<&str>) -> Result<(), Error> {
        checked_uid(uid)?;
        self.meta.uid = uid.map(Into::into);
        Ok(())
    }

    /// Sets the subscription's user metadata to anything that serialises to JSON; null is none.
    ///
    /// # Errors
    ///
    /// Fails where it does not serialise, or has more than 1,024 bytes
    /// ([`is_invalid_input`](Error::is_invalid_input)).
    pub fn set_umd(&mut self, umd: &(impl serde::Serialize + ?Sized)) -> Result<(), Error> {
        self.meta.umd = checked_umd(umd)?;
        Ok(())
    }
}
