//! Channel storage as the host sees it.

use super::content::{CheckedContent, Content, content_setters};
use super::core::Core;
use super::entries::Setting;
use super::listed::{DEFAULT_LIMIT, cut, page_size};
use super::outgoing::Refusal;
use super::publish::{Begun, Pending};
use super::schedule::{Deed, Task};
use crate::protocol::error::{Code, ProtocolError};
use crate::protocol::names;
use crate::protocol::store::StoreFor;
use crate::session::{ENTRY_SET, is_clearing};
use bytes::Bytes;
use fanfare_storage::{Entry, MessageId, Outcome, Timestamp};
use serde::Serialize;
use std::sync::Arc;

/// A value to be set in a channel's storage, or cleared; see
/// [`Broker::set_entry`](crate::Broker::set_entry).
///
/// The key has 1 to 128 characters and none of `*`, `#`, `,` and white space; the value is at most
/// 32 KiB of JSON (protocol section 2).
#[derive(Clone, Debug)]
#[must_use = "an update does nothing until it is made"]
pub struct EntryUpdate {
    channel: String,
    key: String,
    content: Content,
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
    /// Sets a key to anything that serialises to JSON; where it does not, the update fails. The value
    /// is kept forever, if nothing else is said. What is `null` or an object without members
    /// [clears](Self::clear) the key.
    pub fn set(
        channel: impl Into<String>,
        key: impl Into<String>,
        value: &(impl Serialize + ?Sized),
    ) -> Self {
        let mut update = Self::clear(channel, key);
        update.content.set_data(value);
        update
    }

    /// As [`set`](Self::set), of JSON text, which is kept byte for byte, but for white space around
    /// it; where it is not valid JSON, the update fails.
    pub fn set_raw(
        channel: impl Into<String>,
        key: impl Into<String>,
        json: impl Into<String>,
    ) -> Self {
        let mut update = Self::clear(channel, key);
        update.content.set_raw_data(json.into());
        update
    }

    /// Takes the value of a key away.
    pub fn clear(channel: impl Into<String>, key: impl Into<String>) -> Self {
        let content = Content::new(StoreFor::Forever);
        Self { channel: channel.into(), key: key.into(), content }
    }

    content_setters! {
        /// Keeps the value for a while: 1 to 3,155,695,200 seconds, counted in whole ones, where a
        /// started one counts.
        store_for,
        /// Whether broker events tell of the update (protocol section 12); not by default.
        emit,
        /// Makes the update at a later time instead of now, which must not be past (protocol section
        /// 11). The value's lifetime begins at that time.
        schedule,
    }

    /// Checks names and sizes, and returns when it is due and what is to be done then.
    fn check(self, now: Timestamp) -> Result<(Arc<str>, Option<Timestamp>, Task), ProtocolError> {
        names::check_channel(&self.channel)?;
        names::check_key(&self.key)?;
        let CheckedContent { data, store, cause, due } = self.content.check(now)?;
        if store == StoreFor::Seconds(0) {
            let message = "channel storage keeps values for 1 second at least, or forever (-1)";
            return Err(ProtocolError::new(Code::InvalidMessage, message));
        }
        let value = (!is_clearing(&data)).then_some(data);
        let deed = Deed::SetEntry { key: self.key, value };
        let task = Task { author: None, store, emit: cause.is_some(), cause, deed };
        Ok((self.channel.into(), due, task))
    }
}

/// A value of a channel's storage.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelEntry {
    /// The key.
    pub key: String,
    /// JSON text, byte for byte as it was set, but for white space around it.
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
    /// Only keys after this one: the [`next`](EntryPage::next) of the page before.
    pub after: Option<String>,
    /// At most this many values: 1 to 1,000, to which other numbers are brought; 100 by default.
    pub limit: usize,
}

/// A page of a channel's storage.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntryPage {
    /// In the order of their keys' bytes.
    pub entries: Vec<ChannelEntry>,
    /// Where the next page starts; `None` where there is none.
    pub next: Option<String>,
}

impl Default for EntryQuery {
    fn default() -> Self {
        Self { after: None, limit: DEFAULT_LIMIT }
    }
}

impl Core {
    /// Checks an update and gives it its place in its channel's order.
    pub(crate) async fn begin_entry(&self, update: EntryUpdate) -> Result<Begun, ProtocolError> {
        let (channel, pending, schedule) = self.start_entry(update).await?;
        Ok(Begun::new(channel, ENTRY_SET, pending).scheduled(schedule))
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
        query: &EntryQuery,
    ) -> Result<EntryPage, ProtocolError> {
        names::check_channel(channel)?;
        let (channel, after, limit) = (channel.into(), query.after.clone(), page_size(query.limit));
        let mut found = self.find_entries(&channel, None, after, limit + 1, |_| true).await?;
        let next = cut(&mut found, limit).map(|last| last.key.clone());
        Ok(EntryPage { entries: found.into_iter().map(ChannelEntry::new).collect(), next })
    }
}
