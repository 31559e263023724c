//! Reactions (protocol section 7.2).

use super::publish::check_data_size;
use super::subscribe::not_subscribed;
use super::{Session, required_channel};
use crate::protocol::error::{Code, ProtocolError};
use crate::protocol::event::Meta;
use crate::protocol::fields::{Field, Fields};
use crate::protocol::names;
use fanfare_storage::MessageId;
use std::sync::Arc;

/// The command, whose permissions say whether the sender gets its own reactions.
pub(crate) const REACTION: &str = "hotsock.messageReaction";

/// What is done with a reaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReactionAction {
    Add,
    Remove,
}

/// What `data` of the command says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reacting {
    pub(crate) message: MessageId,
    pub(crate) reaction: Box<str>,
    pub(crate) action: ReactionAction,
}

/// A reaction whose target has still to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReactionRequest {
    /// The channel's real name.
    pub(crate) channel: Arc<str>,
    /// The channel as the client wrote it.
    pub(crate) written: Box<str>,
    pub(crate) reacting: Reacting,
    pub(crate) uid: Arc<str>,
    /// Who others see as the sender; its `uid` is the one above.
    pub(crate) meta: Meta,
    /// Whether the sender's own subscription is told.
    pub(crate) echo: bool,
}

impl Reacting {
    /// Reads and checks the command's `data`.
    pub(crate) fn parse(data: &Fields<'_>) -> Result<Self, ProtocolError> {
        let action = match data.string(Field::Action)?.as_deref() {
            Some("add") => ReactionAction::Add,
            Some("remove") => ReactionAction::Remove,
            _ => {
                let message = "the field \"action\" must be \"add\" or \"remove\"";
                return Err(ProtocolError::new(Code::InvalidMessage, message));
            }
        };
        let message = message_id(data)?;
        let reaction = data.string(Field::Reaction)?.unwrap_or_default();
        check_reaction(&reaction)?;
        Ok(Self { message, reaction: reaction.into(), action })
    }
}

/// The field `messageId`, which has to be there.
pub(crate) fn message_id(fields: &Fields<'_>) -> Result<MessageId, ProtocolError> {
    let text = fields.string(Field::MessageId)?.unwrap_or_default();
    text.parse().map_err(|error| {
        ProtocolError::new(Code::InvalidMessageId, format!("the field \"messageId\": {error}"))
    })
}

pub(crate) fn check_reaction(reaction: &str) -> Result<(), ProtocolError> {
    if names::is_reaction(reaction) {
        return Ok(());
    }
    Err(ProtocolError::new(
        Code::InvalidReaction,
        "a reaction has 1 to 100 bytes, is not blank and has no '#'",
    ))
}

/// The command's `data`, which has to be an object. What would put the reaction off, or drop it, is
/// refused: to take it and do something else would be worse.
pub(crate) fn reaction_data<'a>(fields: &Fields<'a>) -> Result<Fields<'a>, ProtocolError> {
    check_data_size(fields.raw(Field::Data).unwrap_or_default())?;
    for (field, code) in [
        (Field::ScheduleExpression, Code::InvalidSchedule),
        (Field::DeduplicationId, Code::InvalidMessage),
    ] {
        if fields.has(field) {
            let message = format!("a reaction takes no {:?}", field.name());
            return Err(ProtocolError::new(code, message));
        }
    }
    fields.object(Field::Data)?.ok_or_else(|| {
        let message = "the field \"data\" must be an object with messageId, reaction and action";
        ProtocolError::new(Code::InvalidMessage, message)
    })
}

impl<R> Session<R> {
    /// Checks syntax, whether the user is known, and the subscription. What the target decides
    /// comes last, with [`may_react`](Self::may_react).
    pub(crate) fn react(
        &mut self,
        fields: &Fields<'_>,
        channel: Option<&str>,
    ) -> Result<ReactionRequest, ProtocolError> {
        let written = required_channel(channel)?;
        let reacting = Reacting::parse(&reaction_data(fields)?)?;
        let (channel, grants, _) = self.message_grants(written, REACTION);
        let subscription = self.subscriptions.active(&channel);
        let meta = match subscription {
            Some((_, subscription)) => self.subscriptions.meta(subscription),
            None => self.meta.clone(),
        };
        let Some(uid) = meta.uid.clone().filter(|uid| !uid.is_empty()) else {
            let message = "reacting needs a token with a uid";
            return Err(ProtocolError::new(Code::ReactPermissionDenied, message));
        };
        if subscription.is_none() {
            return Err(not_subscribed(written));
        }
        Ok(ReactionRequest {
            channel,
            written: written.into(),
            reacting,
            uid,
            meta,
            echo: grants.echo,
        })
    }

    /// Whether the target's event may be reacted to so, now that it is known. What is returned
    /// where it may is whether broker events tell of it (section 12).
    pub(crate) fn may_react(
        &mut self,
        request: &ReactionRequest,
        event: &str,
    ) -> Result<bool, ProtocolError> {
        // The subscription may have ended while the target was looked at. Its channel's name is
        // real for as long as it has not.
        if self.subscriptions.active(&request.channel).is_none() {
            return Err(not_subscribed(&request.written));
        }
        let (_, grants, _) = self.message_grants(&request.channel, event);
        if !grants.react.permits(&request.reacting.reaction) {
            return Err(react_denied(&request.reacting.reaction, event, &request.written));
        }
        Ok(grants.emit_pub_sub_event)
    }
}

pub(super) fn react_denied(reaction: &str, event: &str, channel: &str) -> ProtocolError {
    let message =
        format!("no token in force grants \"react\" with {reaction:?} to {event:?} on {channel:?}");
    ProtocolError::new(Code::ReactPermissionDenied, message)
}
