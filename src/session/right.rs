//! What may be taken back while something waits: behind a hook, or for room.

use super::Session;
use super::action::{WriteKind, WriteRequest};
use super::publish::publish_denied;
use super::reaction::{ReactionRequest, react_denied};
use super::storage::set_denied;
use super::subscribe::not_subscribed;
use crate::protocol::error::{Code, ProtocolError};
use crate::protocol::schedule;
use fanfare_storage::Timestamp;
use std::sync::Arc;

/// What a client was permitted to do, before anything that the host puts in its place.
#[derive(Clone, Debug)]
pub(crate) struct Right {
    /// The channel's real name.
    channel: Arc<str>,
    /// The channel as the client wrote it, for errors.
    pub(crate) written: Box<str>,
    to: Deed,
    /// When it is to be done, where not at once.
    due: Option<Timestamp>,
}

#[derive(Clone, Debug)]
enum Deed {
    /// Publish this event.
    Publish(Box<str>),
    /// Set this key.
    Set(Box<str>),
    /// React so to messages of this event.
    React { event: Box<str>, reaction: Box<str> },
}

impl WriteRequest<'_> {
    pub(crate) fn right(&self) -> Right {
        let to = match &self.kind {
            WriteKind::Message { event, .. } => Deed::Publish(event.as_ref().into()),
            WriteKind::Entry { key } => Deed::Set(key.as_ref().into()),
        };
        let (channel, written) = (Arc::clone(&self.channel), self.written.as_ref().into());
        Right { channel, written, to, due: self.due }
    }
}

impl ReactionRequest {
    /// `event` is that of the message reacted to.
    pub(crate) fn right(&self, event: &str) -> Right {
        let (channel, written) = (Arc::clone(&self.channel), self.written.clone());
        let reaction = self.reacting.reaction.clone();
        Right { channel, written, to: Deed::React { event: event.into(), reaction }, due: None }
    }
}

impl<R> Session<R> {
    /// Refuses whatever is asked for by a connection that was ended.
    pub(crate) fn check_open(&self) -> Result<(), ProtocolError> {
        if self.ended {
            let message = "the connection has ended, and nothing is done for it any more";
            return Err(ProtocolError::new(Code::InvalidCredentials, message));
        }
        Ok(())
    }

    /// Whether what was permitted still is, now that it has waited: the connection may have been
    /// ended since, its permissions changed, or the token of its subscription revoked.
    pub(crate) fn still_permits(&self, right: &Right) -> Result<(), ProtocolError> {
        let Right { channel, written, to, due } = right;
        self.check_open()?;
        // By its real name, which an alias can't change the meaning of.
        let subscription = self.subscriptions.active(channel);
        let tokens = self.tokens(subscription.and_then(|(_, found)| found.permissions.as_deref()));
        let (needs_subscription, schedule_before) = match to {
            Deed::Publish(event) => {
                let grants = tokens.message(channel, event);
                if !grants.may_publish() {
                    return Err(publish_denied(event, written));
                }
                (!grants.may_broadcast(), grants.schedule_before)
            }
            Deed::Set(key) => {
                let grants = tokens.storage(channel, key);
                if !grants.set {
                    return Err(set_denied(key, written));
                }
                (false, grants.schedule_before)
            }
            Deed::React { event, reaction } => {
                if !tokens.message(channel, event).react.permits(reaction) {
                    return Err(react_denied(reaction, event, written));
                }
                (true, None)
            }
        };
        if let Some(due) = due {
            schedule::check_permission(*due, schedule_before)?;
        }
        if needs_subscription && subscription.is_none() {
            return Err(not_subscribed(written));
        }
        Ok(())
    }
}
