//! Connections without sockets, for this crate's own benchmarks, fuzz targets and corpus tests.
//!
//! Unstable, and no part of the API: behind the feature `internals`, which nothing else may turn
//! on, and which any release may change.

use super::connection::Wait;
use super::events::Peer;
use super::{Broker, Core, FrameQueue, Mail};
use crate::auth::Decision;
use bytes::Bytes;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Waker};

/// An open connection, driven by hand.
pub struct Connection {
    core: Arc<Core>,
    connection: Arc<super::Connection>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.connection.fmt(f)
    }
}

impl Connection {
    /// Opens a connection as `GET /v1?token=…` does, its HTTP aside.
    ///
    /// # Errors
    ///
    /// What the client would be told where the token is refused.
    pub async fn open(broker: &Broker, token: &str) -> Result<Self, String> {
        let core = Arc::clone(&broker.core);
        let token = core.verify_connect(token).map_err(|error| error.to_string())?;
        core.spend_connect(&token).await.map_err(|error| error.to_string())?;
        let (connection, wait) =
            core.open(&token, token.meta(), Peer::default()).map_err(|error| error.to_string())?;
        if let Some(wait) = wait {
            wait.await;
        }
        Ok(Self { core, connection })
    }

    /// Takes a text message, all the way to its delivery. What is returned, if anything, has to
    /// be driven to its end before the next message.
    #[must_use]
    pub fn text(&self, text: &str) -> Option<Wait> {
        let now = self.core.clock.now();
        let action = self.connection.session().lock().handle_text(now, text);
        self.core.perform(&self.connection, action)
    }

    /// As [`text`](Self::text), of a binary message.
    #[must_use]
    pub fn binary(&self) -> Option<Wait> {
        let now = self.core.clock.now();
        let action = self.connection.session().lock().handle_binary(now);
        self.core.perform(&self.connection, action)
    }

    /// Whether the client may publish an event on a channel, as a publish asks.
    #[must_use]
    pub fn may_publish(&self, channel: &str, event: &str) -> bool {
        let (_, grants, _) = self.connection.session().lock().message_grants(channel, event);
        grants.publish == Decision::Granted
    }

    /// Moves the frames that wait for the client into `into`, if that is empty, and returns the
    /// code that the connection is to be closed with, if it is.
    pub fn take(&self, into: &mut VecDeque<Bytes>) -> Option<u16> {
        let context = Context::from_waker(Waker::noop());
        let mut frames = FrameQueue::from(std::mem::take(into));
        let mail = self.connection.mailbox().take(&mut frames, None, &context);
        *into = frames.into_frames();
        match mail {
            Mail::Taken(closing) => closing.map(crate::session::CloseReason::code),
            Mail::Later => unreachable!("there is no socket that others could write to"),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.core.ended(&self.connection);
    }
}

/// Waits until all that was published has been stored and delivered, or given up.
pub async fn settled(broker: &Broker) {
    broker.core.hub.settled().await;
}
