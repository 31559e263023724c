//! Control from the host: ending connections and subscriptions, changing permissions.

use super::channel::Joined;
use super::connection::Connection;
use super::core::Core;
use super::listed::no_connection;
use super::{Broker, Error};
use crate::auth::{ChannelClaims, Permissions};
use crate::protocol::error::{Code, ProtocolError};
use crate::session::{Action, CloseReason, Session};
use parking_lot::MutexGuard;
use std::sync::Arc;

impl Broker {
    /// Closes a connection with code 4403 (protocol section 5), after what is queued for it, and
    /// returns whether it was there, be it that it was closing already. What its client has sent
    /// and was not looked at yet, or waits behind a [hook](crate::Hooks) or for room, has no effect any
    /// more. `fanfare.js` does not come back soon after
    /// that; to keep a client out, [revoke](Self::revoke_token) its token.
    pub fn disconnect(&self, id: &str) -> bool {
        let connection = self.core.connections.get(id);
        connection
            .inspect(|connection| {
                connection.close(CloseReason::Disconnected);
            })
            .is_some()
    }

    /// Closes all connections of a user, as [`disconnect`](Self::disconnect) does, and returns how
    /// many it closed; those that were closing already do not count. It costs what it closes. Where
    /// the future is dropped, some are closed and others not.
    pub async fn disconnect_user(&self, uid: &str) -> usize {
        let mut closed = 0;
        for page in self.core.connections.pages(Some(uid)) {
            closed += page
                .iter()
                .filter(|connection| connection.close(CloseReason::Disconnected))
                .count();
            tokio::task::yield_now().await;
        }
        closed
    }

    /// Ends a connection's subscription to a channel, by the channel's real name, and returns
    /// whether there was one. The client is told by `hotsock.unsubscribed`, or by an error where
    /// its subscribe was still under way; it may subscribe again.
    ///
    /// # Errors
    ///
    /// Fails where there is no such connection ([`is_not_found`](Error::is_not_found)).
    pub fn unsubscribe(&self, id: &str, channel: &str) -> Result<bool, Error> {
        let connection = self.core.connections.get(id).ok_or_else(no_connection)?;
        Ok(self.core.end_subscription(&connection, channel))
    }

    /// Ends the subscriptions to a channel of all connections of a user, as
    /// [`unsubscribe`](Self::unsubscribe) does, and returns how many there were. Where the future is
    /// dropped, some have ended and others not.
    pub async fn unsubscribe_user(&self, uid: &str, channel: &str) -> usize {
        let mut ended = 0;
        for page in self.core.connections.pages(Some(uid)) {
            let subscribed = page.iter();
            ended += subscribed.filter(|one| self.core.end_subscription(one, channel)).count();
            tokio::task::yield_now().await;
        }
        ended
    }

    /// Puts other permissions in the place of those that a connection's token gave it, from its
    /// next message on; what it sent before and still waits has to be permitted by them too,
    /// and is stored for as long as was granted when it was sent.
    /// Subscriptions that are no longer granted end, which the client is told by
    /// `hotsock.unsubscribed`; what subscribe tokens granted stays granted. The others go on as they
    /// are, under their aliases too, and observe what they now may. New channels with
    /// `autoSubscribe` are not subscribed to, but may be. When the client connects again, its token
    /// counts again.
    ///
    /// Keys and directives are those of a token's `channels` claim (protocol section 4).
    ///
    /// ```
    /// # use fanfare::{Algorithm, Broker, MemoryStorage, VerifyingKey};
    /// use fanfare::ChannelClaims;
    ///
    /// # fn run(broker: &Broker, id: &str) -> Result<(), fanfare::Error> {
    /// let readers = ChannelClaims::new().subscribe(true);
    /// broker.set_permissions(id, [("room.*", readers)])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails where a key or a directive is not one that a token could have
    /// ([`is_invalid_input`](Error::is_invalid_input)), and where there is no such connection
    /// ([`is_not_found`](Error::is_not_found)).
    pub fn set_permissions<K: Into<String>>(
        &self,
        id: &str,
        channels: impl IntoIterator<Item = (K, ChannelClaims)>,
    ) -> Result<(), Error> {
        let channels = channels.into_iter().map(|(key, claims)| (key.into(), claims.into_json()));
        let channels = serde_json::Value::Object(channels.collect()).to_string();
        self.core.set_permissions(id, &channels).map_err(Error::from)
    }
}

impl Core {
    /// `channels` is the text of a `channels` claim.
    pub(crate) fn set_permissions(&self, id: &str, channels: &str) -> Result<(), ProtocolError> {
        let permissions: Arc<Permissions> = self
            .verifier
            .permissions(channels)
            .map_err(|error| ProtocolError::new(Code::InvalidMessage, error.to_string()))?;
        let connection = self.connections.get(id).ok_or_else(no_connection)?;
        let mut session = connection.session().lock();
        let actions = session.set_permissions(permissions, |joined, observer| {
            joined.registration().observe(observer.map(Arc::new));
        });
        self.perform_now(&connection, &mut session, actions);
        Ok(())
    }

    fn end_subscription(&self, connection: &Connection, channel: &str) -> bool {
        let mut session = connection.session().lock();
        let action = session.end_subscription(channel);
        let ended = action.is_some();
        self.perform_now(connection, &mut session, action);
        ended
    }

    /// Does what is to be done to a connection from elsewhere than its own task. The session stays
    /// locked all the while, so that its client can't subscribe anew between the end of a
    /// subscription and the word of it. That word is short and is for this client alone.
    pub(super) fn perform_now(
        &self,
        connection: &Connection,
        _session: &mut MutexGuard<'_, Session<Joined>>,
        actions: impl IntoIterator<Item = Action<'static, Joined>>,
    ) {
        for action in actions {
            match action {
                Action::Leave(leave) => {
                    self.leave(connection, &leave);
                    connection.mailbox().push_farewell(leave.farewell.to_frame());
                }
                Action::Reply(event) => connection.mailbox().push(event.to_frame()),
                Action::Close(reason) => {
                    connection.mailbox().close(reason);
                }
                // Nothing else is asked for by the host.
                _ => {}
            }
        }
    }
}
