//! What a host publishes.

use super::events::Cause;
use super::outgoing::Settled;
use crate::protocol::error::{Code, ProtocolError};
use crate::protocol::store::StoreFor;
use crate::protocol::{names, schedule};
use crate::session::check_data_size;
use fanfare_storage::{MessageId, Outcome, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;

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
#[derive(Debug)]
#[must_use = "a message does nothing until it is published"]
pub struct Message {
    channel: String,
    event: String,
    data: Result<String, serde_json::Error>,
    store: StoreFor,
    deduplication: Option<String>,
    emit: bool,
    cause: Cause,
    due: Option<Due>,
}

/// When a message is to be published, where not at once.
#[derive(Debug)]
pub(super) enum Due {
    At(Timestamp),
    Local { expression: String, zone: Option<String> },
}

/// A message that passed all checks, but for its channel's.
#[derive(Debug)]
pub(super) struct CheckedMessage {
    pub(super) event: Arc<str>,
    pub(super) data: String,
    pub(super) store: StoreFor,
    pub(super) deduplication: Option<String>,
    pub(super) emit: bool,
    /// Where it came in.
    pub(super) cause: Cause,
    pub(super) due: Option<Timestamp>,
}

/// Characters of a `deduplicationId`.
const MAX_DEDUPLICATION_CHARS: usize = 256;

impl Message {
    /// A message without data (`null`) that is not stored.
    pub fn new(channel: impl Into<String>, event: impl Into<String>) -> Self {
        Self {
            channel: channel.into(),
            event: event.into(),
            data: Ok("null".to_owned()),
            store: StoreFor::Seconds(0),
            deduplication: None,
            emit: false,
            cause: Cause::of_host(),
            due: None,
        }
    }

    /// Sets the data to anything that serialises to JSON; where it does not, publishing fails.
    pub fn data(mut self, data: &(impl Serialize + ?Sized)) -> Self {
        self.data = serde_json::to_string(data);
        self
    }

    /// Sets the data to JSON text, which is passed on byte for byte; where it is not valid JSON,
    /// publishing fails.
    pub fn raw_data(mut self, json: impl Into<String>) -> Self {
        // Parsing does not change the text, but for white space around it.
        self.data = RawValue::from_string(json.into()).map(|raw| raw.get().to_owned());
        self
    }

    /// Stores the message for a while: up to 3,155,695,200 seconds, counted in whole ones, where a
    /// started one counts. A time of zero does not store it.
    pub fn store_for(mut self, time: Duration) -> Self {
        self.store = StoreFor::whole_seconds(time);
        self
    }

    /// Stores the message with no end.
    pub fn store_forever(mut self) -> Self {
        self.store = StoreFor::Forever;
        self
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

    /// Whether broker events tell of the message (protocol section 12); not by default.
    pub fn emit_pub_sub_event(mut self, emit: bool) -> Self {
        self.emit = emit;
        self
    }

    /// Publishes the message at a later time instead of now, which must not be past (protocol
    /// section 11). It gets its id, and its lifetime begins, at that time.
    pub fn schedule_at(mut self, time: Timestamp) -> Self {
        self.due = Some(Due::At(time));
        self
    }

    /// As [`schedule_at`](Self::schedule_at), of a local time, `at(YYYY-MM-DDTHH:MM:SS)`, in a
    /// time zone of the IANA database, or in UTC. A time that daylight saving skips moves forward
    /// by what it skips; of one that comes twice the first is meant.
    ///
    /// ```
    /// use fanfare::Message;
    ///
    /// let new_year = Message::new("news", "wishes")
    ///     .schedule_expression("at(2100-01-01T00:00:00)", Some("Europe/Berlin"));
    /// ```
    pub fn schedule_expression(
        mut self,
        expression: impl Into<String>,
        time_zone: Option<&str>,
    ) -> Self {
        let zone = time_zone.map(str::to_owned);
        self.due = Some(Due::Local { expression: expression.into(), zone });
        self
    }

    pub(crate) fn cause(mut self, cause: Cause) -> Self {
        self.cause = cause;
        self
    }

    pub(crate) fn store(mut self, store: StoreFor) -> Self {
        self.store = store;
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
        let data = self.data.map_err(|error| {
            ProtocolError::new(Code::InvalidMessage, format!("the data is no JSON: {error}"))
        })?;
        check_data_size(&data)?;
        self.store.check()?;
        if let Some(id) = &self.deduplication {
            check_deduplication(id)?;
        }
        Ok(CheckedMessage {
            event: self.event.into(),
            data,
            store: self.store,
            deduplication: self.deduplication,
            emit: self.emit,
            cause: self.cause,
            due: self.due.map(|due| due.resolve(now)).transpose()?,
        })
    }
}

impl Due {
    pub(super) fn resolve(self, now: Timestamp) -> Result<Timestamp, ProtocolError> {
        let due = match self {
            Self::At(due) => due,
            Self::Local { expression, zone } => schedule::resolve(&expression, zone.as_deref())?,
        };
        schedule::check_due(due, now).map(|()| due)
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
