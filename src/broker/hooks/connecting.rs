//! A connection that is about to be opened.

use crate::auth::Token;
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

    identity! {
        /// Whose connection it is.
        uid,
        /// The user metadata, JSON text.
        umd,
        /// Makes the connection another user's, or nobody's, in place of whom the token names: what
        /// others see, the users that subscribe tokens must name, and what
        /// [`disconnect_user`](crate::Broker::disconnect_user) goes by. Revocations go by the token.
        set_uid,
        /// Sets the user metadata
        set_umd,
    }
}
