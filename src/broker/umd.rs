//! Changing a user's metadata (protocol section 7.4).

use super::connection::Connection;
use super::core::Core;
use super::presence::Full;
use crate::protocol::error::{Code, ProtocolError};
use crate::session::{UmdUpdate, used_before};
use bytes::Bytes;
use fanfare_storage::TokenUse;
use std::collections::HashSet;
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
            if spent.map_err(undecided)? {
                return Err(used_before(Code::InvalidUmdToken));
            }
        }
        let change = verdict?;

        let shown = connection.session().lock().shown(&change);
        let channels: HashSet<_> = shown.iter().map(|shown| Arc::clone(&shown.channel)).collect();
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
        let now = self.clock.now();
        connection.session().lock().still_permits_umd(&change, now)?;
        if let Some(token) = token {
            self.spend_umd_token(token).await?;
        }

        let late = {
            let mut session = connection.session().lock();
            session.still_permits_umd(&change, self.clock.now())?;
            if session.set_umd(&change) {
                self.hub.announcer().connection_updated(connection, session.meta());
            }
            let mut shown = session.shown(&change);
            shown.retain(|shown| !channels.contains(&shown.channel));
            shown
        };
        // Nothing waits between this and the session, so that they change together.
        let updates: Vec<_> = reserved
            .into_iter()
            .map(|(joined, reservation)| self.hub.update_seat(&joined, reservation))
            .collect();
        for update in updates {
            update.await;
        }
        // Another change may have come in between, and subscriptions while room was asked for.
        for channel in &channels {
            self.show_umd(connection, channel, Some(&change.umd)).await;
        }
        for shown in late {
            self.show_umd(connection, &shown.channel, None).await;
        }
        Ok(())
    }

    /// Shows the members of a presence channel what the user's metadata are, if that is not what
    /// they saw last. Where there is no room for it, they go on to see what they saw.
    pub(super) async fn show_umd(
        self: &Arc<Self>,
        connection: &Connection,
        channel: &Arc<str>,
        last: Option<&Option<Bytes>>,
    ) {
        let mut last = last.cloned();
        loop {
            let Some(shown) = connection.session().lock().shown_on(channel) else { return };
            if last.as_ref() == Some(&shown.umd) {
                return;
            }
            let reservation = self.hub.reserve_seat(channel, shown.uid, shown.umd.clone()).await;
            let Ok(reservation) = reservation else { return };
            self.hub.update_seat(&shown.registration, reservation).await;
            last = Some(shown.umd);
        }
    }

    async fn spend_umd_token(&self, token: TokenUse) -> Result<(), ProtocolError> {
        let fresh = self.storage.spend_token(token, self.clock.now().wall).await;
        if fresh.map_err(undecided)? { Ok(()) } else { Err(used_before(Code::InvalidUmdToken)) }
    }
}

fn undecided(error: fanfare_storage::Error) -> ProtocolError {
    tracing::debug!(%error, "storage could not tell whether a token was used");
    ProtocolError::storage(error, "nothing was changed; try again later")
}
