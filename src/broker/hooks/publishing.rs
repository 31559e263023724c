//! A message that is about to be published.

use crate::broker::Error;
use crate::broker::message::check_event;
use crate::protocol::error::{Code, ProtocolError};
use crate::protocol::json;
use crate::protocol::store::StoreFor;
use crate::session::{WriteKind, WriteRequest, check_data_size};
use fanfare_storage::Timestamp;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// A message that a client is about to publish, or a value of a channel's storage that it is about
/// to set ([`key`](Self::key)), which its tokens permit; see
/// [`Hooks::publish`](super::Hooks::publish).
#[derive(Debug)]
pub struct Publishing {
    pub(in crate::broker) connection_id: Arc<str>,
    pub(in crate::broker) request: WriteRequest<'static>,
    pub(in crate::broker) dropped: bool,
}

impl Publishing {
    /// The sender's connection.
    #[must_use]
    pub fn connection_id(&self) -> &str {
        &self.connection_id
    }

    /// The channel's real name, also where the client used an alias.
    #[must_use]
    pub fn channel(&self) -> &str {
        &self.request.channel
    }

    /// The key of the channel's storage, where a value is set and no message published.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match &self.request.kind {
            WriteKind::Message { .. } => None,
            WriteKind::Entry { key } => Some(key),
        }
    }

    /// The event; `hotsock.channelStorageSet` where a value is set.
    #[must_use]
    pub fn event(&self) -> &str {
        self.request.event()
    }

    /// The data, JSON text as the client wrote it; `null` where there is none.
    #[must_use]
    pub fn data(&self) -> &str {
        &self.request.data
    }

    /// The user id that others see as the sender's.
    #[must_use]
    pub fn uid(&self) -> Option<&str> {
        self.request.meta.uid.as_deref()
    }

    /// The user metadata that others see, JSON text.
    #[must_use]
    pub fn umd(&self) -> Option<&str> {
        self.request.meta.umd_text()
    }

    /// When it is to be published, where not at once.
    #[must_use]
    pub fn scheduled_for(&self) -> Option<Timestamp> {
        self.request.due
    }

    /// Whether the message is to be stored; a value always is.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.request.store != StoreFor::Seconds(0)
    }

    /// Publishes it under another event. Whether the sender gets a copy, and whether broker events
    /// tell of it, is as its tokens say of the event that it sent.
    ///
    /// # Errors
    ///
    /// Fails where the name is not one that may be published, or where a value is set
    /// ([`is_invalid_input`](Error::is_invalid_input)).
    pub fn set_event(&mut self, event: impl Into<String>) -> Result<(), Error> {
        let event = event.into();
        check_event(&event)?;
        match &mut self.request.kind {
            WriteKind::Message { event: name, .. } => *name = Cow::Owned(event),
            WriteKind::Entry { .. } => {
                let message = "a value is set by hotsock.channelStorageSet alone";
                return Err(ProtocolError::new(Code::InvalidEventName, message).into());
            }
        }
        Ok(())
    }

    /// Sets the data to anything that serialises to JSON. A null, and an object without members,
    /// clears a value.
    ///
    /// # Errors
    ///
    /// Fails where it does not serialise, or has more than 32 KiB
    /// ([`is_invalid_input`](Error::is_invalid_input)).
    pub fn set_data(&mut self, data: &(impl serde::Serialize + ?Sized)) -> Result<(), Error> {
        self.put_data(json::text(data)?)
    }

    /// Sets the data to JSON text, which is passed on byte for byte, but for white space around it.
    ///
    /// # Errors
    ///
    /// Fails where it is not valid JSON, or has more than 32 KiB
    /// ([`is_invalid_input`](Error::is_invalid_input)).
    pub fn set_raw_data(&mut self, json: impl Into<String>) -> Result<(), Error> {
        self.put_data(json::checked(json.into())?)
    }

    fn put_data(&mut self, data: String) -> Result<(), Error> {
        check_data_size(&data)?;
        self.request.data = Cow::Owned(data);
        Ok(())
    }

    /// Stores the message for a while from when it is published: up to 3,155,695,200 seconds,
    /// counted in whole ones, where a started one counts. A time of zero does not store it, and
    /// changes nothing where a value is set, which is kept in any case.
    ///
    /// # Errors
    ///
    /// Fails where the time is longer ([`is_invalid_input`](Error::is_invalid_input)).
    pub fn store_for(&mut self, time: Duration) -> Result<(), Error> {
        let store = StoreFor::whole_seconds(time);
        store.check()?;
        if store == StoreFor::Seconds(0) {
            self.do_not_store();
        } else {
            self.request.store = store;
        }
        Ok(())
    }

    /// Stores the message with no end.
    pub fn store_forever(&mut self) {
        self.request.store = StoreFor::Forever;
    }

    /// Does not store the message. Where a value is set this does nothing.
    pub fn do_not_store(&mut self) {
        if self.key().is_none() {
            self.request.store = StoreFor::Seconds(0);
        }
    }

    /// Publishes nothing, where the hook returns `Ok`, and tells nobody: to the sender all looks
    /// well, but for the id, which the client HTTP API can't tell of what does not exist.
    pub fn drop_silently(&mut self) {
        self.dropped = true;
    }
}
