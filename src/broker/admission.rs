//! Who may open a connection (protocol section 5).

use super::core::Core;
use crate::auth::{Scope, Token, TokenError};
use crate::protocol::error::{Code, ProtocolError};
use crate::session::single_use;
use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A place among the connections that may be open, given back when dropped. The broker comes with
/// it, so that it costs a connection nothing.
pub(crate) struct Place(Arc<Core>);

impl Deref for Place {
    type Target = Arc<Core>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.places_taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why a token opens no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenFault {
    Missing,
    NotVerified,
    Expired,
    NotYet,
    Audience,
    Issuer,
    Claims,
    Revoked,
    Scope,
    OtherConnection,
    Used,
}

impl TokenFault {
    /// Words for them, as metrics have it, in their order.
    pub(super) const NAMES: [&'static str; 11] = [
        "missing",
        "not_verified",
        "expired",
        "not_yet",
        "audience",
        "issuer",
        "claims",
        "revoked",
        "scope",
        "other_connection",
        "used",
    ];

    /// Whether whoever issues tokens is to look into it: clients can't bring it about alone.
    const fn is_of_the_issuer(self) -> bool {
        matches!(self, Self::NotYet | Self::Audience | Self::Issuer | Self::Claims)
    }
}

impl From<&TokenError> for TokenFault {
    fn from(error: &TokenError) -> Self {
        match error {
            TokenError::NotVerified => Self::NotVerified,
            TokenError::Expired => Self::Expired,
            TokenError::NotYet => Self::NotYet,
            TokenError::Audience => Self::Audience,
            TokenError::Issuer => Self::Issuer,
            TokenError::Revoked => Self::Revoked,
            TokenError::Claim(_) => Self::Claims,
        }
    }
}

impl Core {
    /// Whether `token` may open a connection, but for its single use.
    pub(crate) fn verify_connect(&self, token: &str) -> Result<Token, ProtocolError> {
        if self.is_draining() {
            return Err(ProtocolError::shutting_down());
        }
        if token.is_empty() {
            let message = "a token is needed, as ?token=JWT or as Authorization: Bearer JWT";
            return Err(self.refuse_token(TokenFault::Missing, message));
        }
        let now = self.clock.now().wall;
        let token = self
            .verifier
            .verify(token, now)
            .map_err(|error| self.refuse_token(TokenFault::from(&error), error.to_string()))?;
        if !token.has_scope(Scope::Connect) {
            let message = "the token's scope must contain \"connect\"";
            return Err(self.refuse_token(TokenFault::Scope, message));
        }
        if token.connection_id.is_some() {
            let message = "a token with a connectionId can't open a connection";
            return Err(self.refuse_token(TokenFault::OtherConnection, message));
        }
        Ok(token)
    }

    /// A place for one more connection, where there is any.
    pub(crate) fn take_place(self: &Arc<Self>) -> Result<Place, ProtocolError> {
        let most = self.settings.max_connections.unwrap_or(usize::MAX);
        let one_more = |taken: usize| (taken < most).then(|| taken + 1);
        let taken = &self.places_taken;
        match taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => Ok(Place(Arc::clone(self))),
            Err(_) => {
                if let Ok(times) = self.hub.counters().crowds_told.pass() {
                    tracing::warn!(times, most, "clients are refused: too many are connected");
                }
                let message = "the server has as many connections as it takes; try again later";
                Err(ProtocolError::new(Code::TooManyConnections, message))
            }
        }
    }

    /// Uses a token for a single use up; others are always good.
    pub(crate) async fn spend_connect(&self, token: &Token) -> Result<(), ProtocolError> {
        let Some(use_of) = single_use(token) else { return Ok(()) };
        let now = self.clock.now().wall;
        let fresh = self.storage.spend_token(use_of, now).await.map_err(|error| {
            tracing::debug!(%error, "a single-use token could not be checked");
            ProtocolError::storage(error, "try again later")
        })?;
        if fresh {
            return Ok(());
        }
        let message = "the token is for a single use and was used before";
        Err(self.refuse_token(TokenFault::Used, message))
    }

    fn refuse_token(
        &self,
        fault: TokenFault,
        message: impl Into<Cow<'static, str>>,
    ) -> ProtocolError {
        let counters = self.hub.counters();
        counters.tokens.count(fault as usize);
        let message = message.into();
        if fault.is_of_the_issuer()
            && let Ok(times) = counters.token_faults_told.pass()
        {
            tracing::warn!(times, "tokens that this server's keys signed are refused: {message}");
        } else {
            tracing::debug!("a client may not connect: {message}");
        }
        ProtocolError::new(Code::InvalidToken, message)
    }
}
