//! Becoming a member, as a connection does it.

use super::{Entered, Full};
use crate::broker::connection::Connection;
use crate::broker::core::Core;
use crate::broker::subscribers::Registration;
use crate::protocol::error::{Code, ProtocolError};
use crate::session::{CloseReason, Join, UseToken, used_before};
use fanfare_storage::TokenUse;
use std::sync::Arc;

impl Core {
    /// Makes a connection a member of the presence channel that it joins. Where it can't be one,
    /// it is told so, and the session too.
    pub(in crate::broker) async fn enter(
        &self,
        connection: &Connection,
        join: &Join,
        registration: &Arc<Registration>,
    ) -> Option<Entered> {
        match self.try_to_enter(join, registration).await {
            Ok(entered) => Some(entered),
            Err(Refused::Said(error)) => {
                let mut session = connection.session().lock();
                session.join_refused(&join.channel);
                connection.mailbox().refuse(Some(join.written.clone()), error);
                None
            }
            Err(Refused::Fault) => {
                connection.close(CloseReason::StorageFault);
                None
            }
        }
    }

    /// Room is kept first where a single-use token is to be used up: it is spent only by a use
    /// that succeeds (protocol section 3).
    async fn try_to_enter(
        &self,
        join: &Join,
        registration: &Arc<Registration>,
    ) -> Result<Entered, Refused> {
        let (channel, meta) = (&join.channel, &join.confirmation.meta);
        let mut reserved = None;
        if let Some(token) = &join.spend {
            let uid = meta.uid.clone().unwrap_or_default();
            reserved = Some(self.hub.reserve_seat(channel, uid, meta.umd.clone()).await?);
            self.spend_for(token).await?;
        }
        Ok(self.hub.enter(channel, meta, Arc::clone(registration), reserved).await?)
    }

    async fn spend_for(&self, token: &TokenUse) -> Result<(), Refused> {
        let use_of = UseToken { token: token.clone(), spend: true };
        match self.try_token(&use_of).await {
            Some(true) => Ok(()),
            Some(false) => Err(Refused::Said(used_before(Code::InvalidSubscribeToken))),
            None => Err(Refused::Fault),
        }
    }
}

enum Refused {
    Said(ProtocolError),
    /// Storage could not tell whether the token was used.
    Fault,
}

impl From<Full> for Refused {
    fn from(full: Full) -> Self {
        Self::Said(full.to_error())
    }
}
