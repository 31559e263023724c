//! Revoking tokens.
//!
//! A revocation is stored first, then noted where tokens are verified, and then what was got with
//! the tokens is looked for and ended. Whoever opens a connection looks at the notes after it can
//! be found, and a session verifies tokens under the lock that is taken to look into it: so nothing
//! slips through in between.

use super::core::Core;
use super::listed::{DEFAULT_LIMIT, cut, page_size};
use super::{Broker, Error};
use crate::auth::{MAX_REVOCATIONS, TokenIdentity};
use crate::protocol::error::{Code, ProtocolError};
use crate::session::{Action, CloseReason};
use fanfare_storage::{Error as StorageError, ErrorKind, Revocation, RevokedSubject, Timestamp};
use std::sync::Arc;

/// What a revocation ended at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RevocationEffect {
    /// Connections that had been opened with a revoked token.
    pub disconnected: usize,
    /// Subscriptions of other connections, that had been made with one.
    pub unsubscribed: usize,
}

/// Which revocations are wanted; see [`Broker::revocations`].
#[derive(Clone, Debug)]
pub struct RevocationQuery {
    /// Only those after this one: the [`next`](RevocationPage::next) of the page before.
    pub after: Option<RevokedSubject>,
    /// At most this many: 1 to 1,000, to which other numbers are brought; 100 by default.
    pub limit: usize,
}

impl Default for RevocationQuery {
    fn default() -> Self {
        Self { after: None, limit: DEFAULT_LIMIT }
    }
}

/// A page of revocations.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RevocationPage {
    /// Those of tokens first, each in the order of their names' bytes.
    pub revocations: Vec<Revocation>,
    /// Where the next page starts; `None` where there is none.
    pub next: Option<RevokedSubject>,
}

impl Broker {
    /// Revokes the token whose `jti` this is, whichever key signed it. It is refused from now on,
    /// to connect, to subscribe and to change metadata, and also after a restart where the storage
    /// is durable. Connections that were opened with it are closed with code 4403, as by
    /// [`disconnect`](Self::disconnect), and subscriptions that were made with it end, which their
    /// clients are told by `hotsock.unsubscribed`. What clients had sent by its leave and still waits,
    /// behind a [hook](crate::Hooks), for storage or for room, is not published or changed any more,
    /// but for what is being published in this very moment; what has its place among the messages of
    /// its channel is, as is what was scheduled. Metadata that it has changed stay so.
    ///
    /// Say when the token expires, its `exp`, so that the revocation can be forgotten then; the
    /// [leeway](crate::BrokerBuilder::leeway) is added to it. Without that it is kept for ever. To
    /// look for connections costs a short look at each.
    ///
    /// ```
    /// # use fanfare::Broker;
    /// # async fn run(broker: Broker, expires_at: fanfare::Timestamp) -> Result<(), fanfare::Error> {
    /// let ended = broker.revoke_token("token-17", Some(expires_at)).await?;
    /// println!("{} connections closed", ended.disconnected);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails where the `jti` is empty or longer than 1,024 bytes
    /// ([`is_invalid_input`](Error::is_invalid_input)), the storage fails
    /// ([`is_storage_unavailable`](Error::is_storage_unavailable)) or 100,000 revocations are in
    /// force ([`is_limit_reached`](Error::is_limit_reached)). Nothing was revoked then, but a storage
    /// that failed may have noted it all the same, so that it is in force after a restart.
    ///
    /// # Cancel safety
    ///
    /// What has begun is whole: where the future is dropped after it was polled, the revocation is
    /// made all the same.
    pub async fn revoke_token(
        &self,
        jti: &str,
        expires_at: Option<Timestamp>,
    ) -> Result<RevocationEffect, Error> {
        let subject = RevokedSubject::Token(jti.to_owned());
        let revocation = Revocation { subject, issued_before: Timestamp::MAX, expires_at };
        self.core.revoke(revocation).await.map_err(Error::from)
    }

    /// Revokes all of a user's tokens that were issued before a time, as
    /// [`revoke_token`](Self::revoke_token) does with one. Which they are is told by the claims
    /// `uid` and `iat`; a token without `iat` counts as issued before. As `iat` usually is in whole
    /// seconds, a token that is issued in the second of the call counts as issued before too.
    ///
    /// `expires_at` is when all these tokens have expired. Of several revocations of one user the
    /// latest times count.
    ///
    /// # Errors
    ///
    /// As [`revoke_token`](Self::revoke_token), whose cancel safety it has too.
    pub async fn revoke_user(
        &self,
        uid: &str,
        issued_before: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Result<RevocationEffect, Error> {
        let subject = RevokedSubject::User(uid.to_owned());
        let revocation = Revocation { subject, issued_before, expires_at };
        self.core.revoke(revocation).await.map_err(Error::from)
    }

    /// A page of the revocations in force.
    #[must_use]
    pub fn revocations(&self, query: &RevocationQuery) -> RevocationPage {
        let (after, limit) = (query.after.as_ref(), page_size(query.limit));
        let now = self.core.clock.now().wall;
        let mut revocations = self.core.verifier.revocations().page(after, limit + 1, now);
        let next = cut(&mut revocations, limit).map(|last| last.subject.clone());
        RevocationPage { revocations, next }
    }
}

impl Core {
    /// Carried out by a task, so that one that has begun is whole even where its caller goes.
    pub(crate) async fn revoke(
        self: &Arc<Self>,
        mut revocation: Revocation,
    ) -> Result<RevocationEffect, ProtocolError> {
        check(&revocation.subject)?;
        // Until then the tokens are accepted, so that long they have to be known as revoked.
        revocation.expires_at = revocation.expires_at.map(|end| end + self.verifier.leeway());
        let core = Arc::clone(self);
        let revoking =
            self.hub.runtime().spawn(async move { core.revoke_in_turn(revocation).await });
        revoking.await.unwrap_or_else(|_| {
            let message = "the task that revoked was ended";
            Err(unavailable(StorageError::new(ErrorKind::Unavailable, "revoke", message)))
        })
    }

    async fn revoke_in_turn(
        &self,
        revocation: Revocation,
    ) -> Result<RevocationEffect, ProtocolError> {
        let subject = revocation.subject.clone();
        let wanted = revocation.issued_before;
        {
            // One after the other: the next one joins itself with what this one leaves.
            let _turn = self.revoking.lock().await;
            let now = self.clock.now().wall;
            let revocations = self.verifier.revocations();
            let revocation = revocations.joined(revocation, now).map_err(|_| too_many())?;
            self.storage.revoke(revocation.clone()).await.map_err(|error| {
                tracing::debug!(%error, "a revocation could not be stored");
                unavailable(error)
            })?;
            revocations.insert(revocation);
        }
        Ok(self.end_revoked(&subject, wanted).await)
    }

    async fn end_revoked(
        &self,
        subject: &RevokedSubject,
        issued_before: Timestamp,
    ) -> RevocationEffect {
        let is_revoked = |token: &TokenIdentity| {
            let names = match subject {
                RevokedSubject::Token(jti) => token.jti.as_deref() == Some(jti),
                RevokedSubject::User(uid) => token.uid.as_deref() == Some(uid),
            };
            names && token.issued_at.is_none_or(|issued_at| issued_at < issued_before)
        };
        let mut effect = RevocationEffect::default();
        for page in self.connections.pages(None) {
            for connection in &page {
                let mut session = connection.session().lock();
                let mut actions = session.revoke(is_revoked);
                if let [Action::Close(_)] = &actions[..] {
                    actions.clear();
                    let closed = connection.close_locked(&mut session, CloseReason::Disconnected);
                    effect.disconnected += usize::from(closed);
                }
                effect.unsubscribed += actions.len();
                self.perform_now(connection, &mut session, actions);
            }
            tokio::task::yield_now().await;
        }
        effect
    }
}

const MAX_NAME_BYTES: usize = 1024;

fn check(subject: &RevokedSubject) -> Result<(), ProtocolError> {
    let (RevokedSubject::Token(name) | RevokedSubject::User(name)) = subject;
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        let message = "a jti or uid to be revoked must have 1 to 1024 bytes";
        return Err(ProtocolError::new(Code::InvalidMessage, message));
    }
    Ok(())
}

fn unavailable(cause: StorageError) -> ProtocolError {
    let message = "the revocation could not be stored and is not in force, though it may be after a \
                   restart; try again later";
    ProtocolError::storage(cause, message)
}

fn too_many() -> ProtocolError {
    let message = format!(
        "{MAX_REVOCATIONS} revocations are in force, which is the limit; say when they expire"
    );
    ProtocolError::new(Code::RateLimited, message)
}
