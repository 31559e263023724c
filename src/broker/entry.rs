//! Channel storage as the host sees it.

use super::core::Core;
use super::entries::Setting;
use super::events::Cause;
use super::message::Due;
use super::outgoing::Refusal;
use super::publish::{Begun, Pending};
use super::schedule::{Deed, Task};
use crate::protocol::error::{Code, ProtocolError};
use crate::protocol::names;
use crate::protocol::store::StoreFor;
use crate::session::{check_data_size, is_clearing};
use bytes::Bytes;
use fanfare_storage::{Entry, MessageId, Outcome, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;

/// The event by which channel storage is set.
pub(crate) const SET: &str = "hotsock.channelStorageSet";

/// A value to be set in a channel's storage, or cleared; see
/// [`Broker::set_entry`](crate::Broker::set_entry).
///
/// The key has 1 to 128 characters and none of `*`, `#`, `,` and white space; the value is at most
/// 32 KiB of JSON (protocol section 2).
#[derive(Debug)]
#[must_use = "an update does nothing until it is set"]
pub struct EntryUpdate {
    channel: String,
    key: String,
    data: Result<String, serde_json::Error>,
    store: StoreFor,
    emit: bool,
    cause: Cause,
    due: Option<Due>,
}

/// What became of an [`EntryUpdate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntryUpdated {
    /// Whether observers were told of another value. Not so where the value was there already,
    /// nor where it is scheduled.
    pub changed: bool,
    /// By which [`Broker::cancel_schedule`](crate::Broker::cancel_schedule) knows it, where it is
    /// to be set later.
    pub schedule_id: Option<MessageId>,
}

impl EntryUpdate {
    /// An update that clears the key, and that is kept forever once it has a value.
    pub fn new(channel: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            channel: channel.into(),
            key: key.into(),
            data: Ok("null".to_owned()),
            store: StoreFor::Forever,
            emit: false,
            cause: Cause::of_host(),
            due: None,
        }
    }

    /// Sets the value to anything that serialises to JSON; where it does not, setting fails. What
    /// is `null` or an object without members clears the key.
    pub fn data(mut self, data: &(impl Serialize + ?Sized)) -> Self {
        self.data = serde_json::to_string(data);
        self
    }

    /// Sets the value to JSON text, which is kept byte for byte; where it is not valid JSON,
    /// setting fails.
    pub fn raw_data(mut self, json: impl Into<String>) -> Self {
        // Parsing does not change the text, but for white space around it.
        self.data = RawValue::from_string(json.into()).map(|raw| raw.get().to_owned());
        self
    }

    /// Keeps the value for a while: 1 to 3,155,695,200 seconds, counted in whole ones, where a
    /// started one counts.
    pub fn store_for(mut self, time: Duration) -> Self {
        let whole = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
        self.store = StoreFor::Seconds(whole);
        self
    }

    /// Whether broker events tell of the update (protocol section 12); not by default.
    pub fn emit_pub_sub_event(mut self, emit: bool) -> Self {
        self.emit = emit;
        self
    }

    pub(crate) fn cause(mut self, cause: Cause) -> Self {
        self.cause = cause;
        self
    }

    /// Sets the value at a later time instead of now, which must not be past (protocol section
    /// 11). Its lifetime begins at that time.
    pub fn schedule_at(mut self, time: Timestamp) -> Self {
        self.due = Some(Due::At(time));
        self
    }

    /// As [`schedule_at`](Self::schedule_at), of a local time; see
    /// [`Message::schedule_expression`](crate::Message::schedule_expression).
    pub fn schedule_expression(
        mut self,
        expression: impl Into<String>,
        time_zone: Option<&str>,
    ) -> Self {
        let zone = time_zone.map(str::to_owned);
        self.due = Some(Due::Local { expression: expression.into(), zone });
        self
    }

    pub(crate) fn store(mut self, store: StoreFor) -> Self {
        self.store = store;
        self
    }

    /// Checks names and sizes, and returns when it is due and what is to be done then.
    fn check(self, now: Timestamp) -> Result<(Arc<str>, Option<Timestamp>, Task), ProtocolError> {
        names::check_channel(&self.channel)?;
        names::check_key(&self.key)?;
        let data = self.data.map_err(|error| {
            ProtocolError::new(Code::InvalidMessage, format!("the data is no JSON: {error}"))
        })?;
        check_data_size(&data)?;
        self.store.check()?;
        if self.store == StoreFor::Seconds(0) {
            let message = "channel storage keeps values for 1 second at least, or forever (-1)";
            return Err(ProtocolError::new(Code::InvalidMessage, message));
        }
        let due = self.due.map(|due| due.resolve(now)).transpose()?;
        let value = (!is_clearing(&data)).then_some(data);
        let deed = Deed::SetEntry { key: self.key, value };
        let cause = self.emit.then_some(self.cause);
        let task = Task { author: None, store: self.store, emit: self.emit, cause, deed };
        Ok((self.channel.into(), due, task))
    }
}

/// A value of a channel's storage.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelEntry {
    /// The key.
    pub key: String,
    /// JSON text, byte for byte as it was set.
    pub data: Bytes,
    /// The writer's user id; `None` for the server's values too.
    pub uid: Option<String>,
    /// The writer's metadata, JSON text.
    pub umd: Option<Bytes>,
    /// When it goes, where it is not kept forever.
    pub expires_at: Option<Timestamp>,
}

impl ChannelEntry {
    fn new(entry: Entry) -> Self {
        let author = entry.author.unwrap_or_default();
        let Entry { key, value, expires_at, .. } = entry;
        Self { key, data: value, uid: author.uid, umd: author.umd, expires_at }
    }
}

/// Which values of a channel's storage are wanted; see [`Broker::entries`](crate::Broker::entries).
#[derive(Clone, Debug)]
pub struct EntryQuery {
    /// Only keys that come after this one in the order of their bytes.
    pub after: Option<String>,
    /// At most this many values, and never more than 1,000; 100 by default.
    pub limit: usize,
}

impl Default for EntryQuery {
    fn default() -> Self {
        Self { after: None, limit: 100 }
    }
}

const MAX_LIMIT: usize = 1_000;

impl Core {
    /// Checks an update and gives it its place in its channel's order.
    pub(crate) async fn begin_entry(&self, update: EntryUpdate) -> Result<Begun, ProtocolError> {
        let (channel, pending, schedule) = self.start_entry(update).await?;
        Ok(Begun::new(channel, SET, pending).scheduled(schedule))
    }

    pub(super) async fn update_entry(
        &self,
        update: EntryUpdate,
    ) -> Result<EntryUpdated, ProtocolError> {
        let (_, pending, schedule_id) = self.start_entry(update).await?;
        let settled = pending.settled().await.map_err(Refusal::into_error)?;
        let changed = matches!(settled.outcome, Outcome::EntryChanged(_));
        Ok(EntryUpdated { changed, schedule_id })
    }

    async fn start_entry(
        &self,
        update: EntryUpdate,
    ) -> Result<(Arc<str>, Pending, Option<MessageId>), ProtocolError> {
        if self.is_draining() {
            return Err(ProtocolError::shutting_down());
        }
        let now = self.clock.now().wall;
        let (channel, due, task) = update.check(now)?;
        if let Some(due) = due {
            let booking = self.book(&channel, due, &task)?;
            let id = booking.id;
            let pending = self.enqueue_booking(&channel, booking).await;
            return Ok((channel, pending, Some(id)));
        }
        let retention = task.store.retention(now);
        let Deed::SetEntry { key, value } = task.deed else {
            unreachable!("an update sets an entry")
        };
        let setting = Setting { key, value, author: None, retention, cause: task.cause };
        let draft =
            setting.draft(self.hub.announcer(), &channel, self.settings.max_storage_keys, None);
        let pending = self.enqueue(&channel, draft).await;
        Ok((channel, pending, None))
    }

    pub(super) async fn entry(
        &self,
        channel: &str,
        key: &str,
    ) -> Result<Option<ChannelEntry>, ProtocolError> {
        names::check_channel(channel)?;
        names::check_key(key)?;
        Ok(self.current_entry(&channel.into(), key).await?.map(ChannelEntry::new))
    }

    pub(super) async fn entries(
        &self,
        channel: &str,
        query: EntryQuery,
    ) -> Result<Vec<ChannelEntry>, ProtocolError> {
        names::check_channel(channel)?;
        let limit = query.limit.clamp(1, MAX_LIMIT);
        let found = self.find_entries(&channel.into(), None, query.after, limit, |_| true).await?;
        Ok(found.into_iter().map(ChannelEntry::new).collect())
    }
}
