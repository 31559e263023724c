//! What a host publishes.

use crate::protocol::error::{Code, ProtocolError};
use crate::protocol::names;
use crate::protocol::store::StoreFor;
use crate::session::check_data_size;
use fanfare_storage::MessageId;
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
}

/// A message that passed all checks.
#[derive(Debug)]
pub(super) struct CheckedMessage {
    pub(super) channel: Arc<str>,
    pub(super) event: String,
    pub(super) data: String,
    pub(super) store: StoreFor,
}

impl Message {
    /// A message without data (`null`) that is not stored.
    pub fn new(channel: impl Into<String>, event: impl Into<String>) -> Self {
        Self {
            channel: channel.into(),
            event: event.into(),
            data: Ok("null".to_owned()),
            store: StoreFor::Seconds(0),
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
        let whole = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
        self.store = StoreFor::Seconds(whole);
        self
    }

    /// Stores the message with no end.
    pub fn store_forever(mut self) -> Self {
        self.store = StoreFor::Forever;
        self
    }

    pub(crate) fn store(mut self, store: StoreFor) -> Self {
        self.store = store;
        self
    }

    pub(super) fn check(self) -> Result<CheckedMessage, ProtocolError> {
        names::check_channel(&self.channel)?;
        names::check_event(&self.event)?;
        if self.event.starts_with(names::RESERVED_PREFIX) {
            return Err(ProtocolError::new(
                Code::InvalidEventName,
                "the event name must not start with \"hotsock.\"",
            ));
        }
        let data = self.data.map_err(|error| {
            ProtocolError::new(Code::InvalidMessage, format!("the data is no JSON: {error}"))
        })?;
        check_data_size(&data)?;
        self.store.check()?;
        Ok(CheckedMessage {
            channel: self.channel.into(),
            event: self.event,
            data,
            store: self.store,
        })
    }
}

/// What was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    id: MessageId,
    channel: Arc<str>,
    event: String,
}

impl Published {
    pub(super) fn new(id: MessageId, channel: Arc<str>, event: String) -> Self {
        Self { id, channel, event }
    }

    /// The id that subscribers see.
    #[must_use]
    pub fn id(&self) -> MessageId {
        self.id
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
