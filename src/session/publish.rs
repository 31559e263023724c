//! Publishing (protocol section 7.1).

use super::action::{WriteKind, WriteRequest};
use super::subscribe::not_subscribed;
use super::{Now, Session, grant_cache, required_channel};
use crate::auth::MessageGrants;
use crate::protocol::error::{Code, ProtocolError};
use crate::protocol::fields::{Field, Fields};
use crate::protocol::store::StoreFor;
use crate::protocol::{names, schedule};
use std::borrow::Cow;
use std::sync::Arc;

impl<R> Session<R> {
    /// Checks syntax and sizes, then permission, then subscription (section 7).
    pub(super) fn publish<'a>(
        &mut self,
        now: Now,
        fields: &Fields<'a>,
        event: Cow<'a, str>,
        channel: Option<Cow<'a, str>>,
    ) -> Result<WriteRequest<'a>, ProtocolError> {
        required_channel(channel.as_deref())?;
        // The check above refuses a missing name.
        let written = channel.unwrap_or_default();
        names::check_event(&event)?;
        let data = checked_data(fields)?;
        let due = schedule::due(fields, now.wall)?;

        let (channel, grants, subscribed) = self.message_grants(&written, &event);
        if !grants.may_publish() {
            return Err(publish_denied(&event, &written));
        }
        if let Some(due) = due {
            schedule::check_permission(due, grants.schedule_before)?;
        }
        if !subscribed && !grants.may_broadcast() {
            return Err(not_subscribed(&written));
        }
        let meta = match self.subscriptions.active(&channel) {
            Some((_, subscription)) => self.subscriptions.meta(subscription),
            None => self.meta.clone(),
        };
        Ok(WriteRequest {
            channel,
            written,
            kind: WriteKind::Message { event, echo: grants.echo },
            data: Cow::Borrowed(data),
            meta,
            emit: grants.emit_pub_sub_event,
            store: grants.store.unwrap_or(StoreFor::Seconds(0)),
            due,
        })
    }

    /// The channel that a name means, what may be done with an event there, and whether the
    /// connection is subscribed to it.
    pub(crate) fn message_grants(
        &mut self,
        written: &str,
        event: &str,
    ) -> (Arc<str>, MessageGrants, bool) {
        let real = self.resolve(written, None);
        let active = self.subscriptions.active(&real).map(|(channel, _)| Arc::clone(channel));
        let channel = active.clone().unwrap_or_else(|| Arc::from(&*real));
        let subscribed = active.as_ref();
        let grants = subscribed
            .and_then(|name| self.subscriptions.message_grants(&self.permissions, name, event))
            .unwrap_or_else(|| self.message_grants_of_connection(&channel, event));
        (channel, grants, active.is_some())
    }

    fn message_grants_of_connection(&mut self, channel: &Arc<str>, event: &str) -> MessageGrants {
        if let Some(known) = self.unsubscribed_grants.known(channel, event) {
            return known.clone();
        }
        let grants = self.tokens(None).message(channel, event);
        if grant_cache::cost(event, &grants).is_some() {
            self.unsubscribed_grants.remember(channel, event, &grants);
        }
        grants
    }
}

pub(super) fn publish_denied(event: &str, channel: &str) -> ProtocolError {
    ProtocolError::new(
        Code::PublishPermissionDenied,
        format!("no token in force grants \"publish\" of {event:?} on {channel:?}"),
    )
}

/// The field `data` as it came, `null` where it is absent.
pub(super) fn checked_data<'a>(fields: &Fields<'a>) -> Result<&'a str, ProtocolError> {
    let data = fields.raw(Field::Data).unwrap_or("null");
    check_data_size(data).map(|()| data)
}

/// Refuses data beyond the limit (section 2).
pub(crate) fn check_data_size(data: &str) -> Result<(), ProtocolError> {
    if data.len() > names::MAX_DATA_BYTES {
        return Err(ProtocolError::new(
            Code::DataTooLarge,
            format!("data has {} bytes of JSON; at most 32768 are allowed", data.len()),
        ));
    }
    Ok(())
}
