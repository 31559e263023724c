//! Changing a user's metadata (protocol section 7.4).

use super::connection::Connection;
use super::core::Core;
use super::presence::Full;
use crate::protocol::error::{Code, ProtocolError};
use crate::session::{UmdUpdate, used_before};
use fanfare_storage::TokenUse;
use std::sync::Arc;

impl Core {
    /// Changes metadata, everywhere or, where that is refused, nowhere. When this returns, the
    /// members of presence channels have been told.
    pub(crate) async fn update_umd(
        self: &Arc<Self>,
        connection: &Connection,
        update: UmdUpdate,
    ) -> Result<(), ProtocolError> {
        let UmdUpdate { token, verdict, .. } = update;
        if let Some(token) = &token {
            let spent = self.storage.is_token_spent(token, self.clock.now().wall).await;
            if spent.map_err(|error| undecided(&error))? {
                return Err(used_before(Code::InvalidUmdToken));
            }
        }
        let change = verdict?;

        let shown = connection.session().lock().shown(&change);
        // All ask before any waits, so that a busy channel does not hold up the others.
        let asked: Vec<_> = shown
            .into_iter()
            .map(|shown| {
                let umd = change.umd.clone();
                (shown.registration, self.hub.reserve_seat(&shown.channel, shown.uid, umd))
            })
            .collect();
        let mut reserved = Vec::with_capacity(asked.len());
        for (joined, reservation) in asked {
            reserved.push((joined, reservation.await.map_err(Full::to_error)?));
        }
        if let Some(token) = token {
            self.spend_umd_token(token).await?;
        }

        {
            let mut session = connection.session().lock();
            if session.set_umd(&change) {
                self.hub.announcer().connection_updated(connection, session.meta());
            }
        }
        // Nothing waits between this and the session, so that they change together.
        let updates: Vec<_> = reserved
            .into_iter()
            .map(|(joined, reservation)| self.hub.update_seat(&joined, reservation))
            .collect();
        for update in updates {
            update.await;
        }
        Ok(())
    }

    async fn spend_umd_token(&self, token: TokenUse) -> Result<(), ProtocolError> {
        let fresh = self.storage.spend_token(token, self.clock.now().wall).await;
        if fresh.map_err(|error| undecided(&error))? {
            Ok(())
        } else {
            Err(used_before(Code::InvalidUmdToken))
        }
    }
}

fn undecided(error: &fanfare_storage::Error) -> ProtocolError {
    tracing::warn!(%error, "storage could not tell whether a token was used");
    ProtocolError::new(Code::StorageUnavailable, "nothing was changed; try again later")
}
