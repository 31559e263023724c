//! A connection that is about to be opened.

use super::{checked_uid, checked_umd, umd_text};
use crate::auth::Token;
use crate::broker::Error;
use crate::protocol::event::Meta;
use http::request::Parts;
use std::fmt;

/// A client that is about to connect, whose token is good; see
/// [`Hooks::connect`](super::Hooks::connect).
pub struct Connecting {
    pub(in crate::broker) meta: Meta,
    token_id: Option<std::sync::Arc<str>>,
    parts: Parts,
}

/// Shows no token.
impl fmt::Debug for Connecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connecting").field("uid", &self.meta.uid).finish_non_exhaustive()
    }
}

impl Connecting {
    pub(in crate::broker) fn new(token: &Token, parts: Parts) -> Self {
        let meta = Meta { uid: token.uid.clone(), umd: token.umd.clone() };
        Self { meta, token_id: token.jti.clone(), parts }
    }

    /// The request, with its headers, and whatever the host's middleware put into its extensions.
    /// Its URI or headers have the token, which is a secret.
    #[must_use]
    pub fn request(&self) -> &Parts {
        &self.parts
    }

    /// The token's `jti`, where it has one.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.token_id.as_deref()
    }

    /// Whose connection it is.
    #[must_use]
    pub fn uid(&self) -> Option<&str> {
        self.meta.uid.as_deref()
    }

    /// The user metadata, JSON text.
    #[must_use]
    pub fn umd(&self) -> Option<&str> {
        umd_text(&self.meta)
    }

    /// Makes the connection another user's, or nobody's, in place of whom the token names: what
    /// others see, the users that subscribe tokens must name, and what
    /// [`disconnect_user`](crate::Broker::disconnect_user) goes by. Revocations go by the token.
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

    /// Sets the user metadata to anything that serialises to JSON; null is none.
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
