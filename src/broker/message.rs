//! What a host publishes.

use super::content::{CheckedContent, Content, content_setters};
use super::outgoing::Settled;
use crate::protocol::error::{Code, ProtocolError};
use crate::protocol::names;
use crate::protocol::store::StoreFor;
use fanfare_storage::{MessageId, Outcome, Timestamp};
use serde::Serialize;
use std::sync::Arc;

/// A message to be published by the host; see [`Broker::publish`](crate::Broker::publish).
///
/// The channel's name has 1 to 256 characters and none of `*`, `#`, `,` and white space; the
/// event's has 1 to 128, no `*`, and starts neither with `#` nor with `hotsock.`. The data is at
/// most 32 KiB of JSON (protocol section 2).
///
/// ```
/// use fanfare::Message;
/// use std::time::Duration;
///
/// #[derive(serde::Serialize)]
/// struct Price { symbol: &'static str, cents: u32 }
///
/// let message = Message::new("prices", "changed")
///     .data(&Price { symbol: "AAPL", cents: 22684 })
///     .store_for(Duration::from_secs(3600));
/// ```
#[derive(Clone, Debug)]
#[must_use = "a message does nothing until it is published"]
pub struct Message {
    channel: String,
    event: String,
    deduplication: Option<String>,
    content: Content,
}

/// A message that passed all checks, but for its channel's.
#[derive(Debug)]
pub(super) struct CheckedMessage {
    pub(super) event: Arc<str>,
    pub(super) deduplication: Option<String>,
    pub(super) content: CheckedContent,
}

/// Characters of a `deduplicationId`.
const MAX_DEDUPLICATION_CHARS: usize = 256;

impl Message {
    /// A message without data (`null`) that is not stored.
    pub fn new(channel: impl Into<String>, event: impl Into<String>) -> Self {
        Self {
            channel: channel.into(),
            event: event.into(),
            deduplication: None,
            content: Content::new(StoreFor::Seconds(0)),
        }
    }

    /// Sets the data to anything that serialises to JSON; where it does not, publishing fails.
    pub fn data(mut self, data: &(impl Serialize + ?Sized)) -> Self {
        self.content.set_data(data);
        self
    }

    /// Sets the data to JSON text, which is passed on byte for byte, but for white space around it;
    /// where it is not valid JSON, publishing fails.
    pub fn raw_data(mut self, json: impl Into<String>) -> Self {
        self.content.set_raw_data(json.into());
        self
    }

    /// Stores the message with no end.
    pub fn store_forever(mut self) -> Self {
        self.content.set_store(StoreFor::Forever);
        self
    }

    content_setters! {
        /// Stores the message for a while: up to 3,155,695,200 seconds, counted in whole ones, where a
        /// started one counts. A time of zero does not store it.
        store_for,
        /// Whether broker events tell of the message (protocol section 12); not by default.
        emit,
        /// Publishes the message at a later time instead of now, which must not be past (protocol
        /// section 11). It gets its id, and its lifetime begins, at that time.
        schedule,
    }

    /// Names the message, so that it is published once though it may be sent again: a message
    /// with the id of another that its channel got less than 5 minutes before is accepted and
    /// dropped (protocol section 10). Where the storage is durable, that holds across a restart.
    /// The id has 1 to 256 characters.
    ///
    /// A message that is scheduled is compared when it is due, and not before.
    pub fn deduplication_id(mut self, id: impl Into<String>) -> Self {
        self.deduplication = Some(id.into());
        self
    }

    pub(super) fn check(self, now: Timestamp) -> Result<(String, CheckedMessage), ProtocolError> {
        names::check_channel(&self.channel)?;
        let channel = self.channel.clone();
        self.check_content(now).map(|message| (channel, message))
    }

    /// Checks all but the channel.
    pub(super) fn check_content(self, now: Timestamp) -> Result<CheckedMessage, ProtocolError> {
        check_event(&self.event)?;
        let content = self.content.check(now)?;
        if let Some(id) = &self.deduplication {
            check_deduplication(id)?;
        }
        Ok(CheckedMessage { event: self.event.into(), deduplication: self.deduplication, content })
    }
}

/// Checks the name of an event that a host publishes.
pub(super) fn check_event(event: &str) -> Result<(), ProtocolError> {
    names::check_event(event)?;
    if event.starts_with(names::RESERVED_PREFIX) {
        let message = "the event name must not start with \"hotsock.\"";
        return Err(ProtocolError::new(Code::InvalidEventName, message));
    }
    Ok(())
}

fn check_deduplication(id: &str) -> Result<(), ProtocolError> {
    if id.is_empty() || names::longer_than(id, MAX_DEDUPLICATION_CHARS) {
        return Err(ProtocolError::new(
            Code::InvalidMessage,
            "\"deduplicationId\" must have 1 to 256 characters",
        ));
    }
    Ok(())
}

/// What was published, or will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    id: MessageId,
    schedule: Option<MessageId>,
    duplicate: bool,
    changed: bool,
    channel: Arc<str>,
    event: Arc<str>,
}

impl Published {
    pub(super) fn new(
        channel: Arc<str>,
        event: Arc<str>,
        settled: &Settled,
        schedule: Option<MessageId>,
    ) -> Self {
        let duplicate = matches!(settled.outcome, Outcome::Duplicate(_));
        let changed = settled.outcome != Outcome::Unchanged;
        Self { id: schedule.unwrap_or(settled.id), schedule, duplicate, changed, channel, event }
    }

    /// Whether its id is one that subscribers see: a reaction that repeats another has none.
    pub(crate) fn is_told(&self) -> bool {
        self.changed && self.schedule.is_none()
    }

    /// The id that subscribers see. Of a message that repeats another it is that one's
    /// ([`is_duplicate`](Self::is_duplicate)). One that is scheduled has no id of its own before
    /// it is delivered; this is its schedule's ([`schedule_id`](Self::schedule_id)) then.
    #[must_use]
    pub fn id(&self) -> MessageId {
        self.id
    }

    /// By which [`Broker::cancel_schedule`](crate::Broker::cancel_schedule) knows it, where it is
    /// to be published later.
    #[must_use]
    pub fn schedule_id(&self) -> Option<MessageId> {
        self.schedule
    }

    /// Whether the message was dropped, since it repeats another one
    /// ([`Message::deduplication_id`]).
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        self.duplicate
    }

    /// The channel.
    #[must_use]
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &str {
        &self.event
    }
}
