//! Channel storage (protocol section 7.3): values by key, which observers are told of.
//!
//! A write takes its place in the channel's order, so that observers hear of changes in the order
//! in which storage has them.

use super::connection::{Connection, Wait};
use super::core::Core;
use super::error::unreadable;
use super::events::{Announcer, Cause, ChannelStorageEvent, Subject};
use super::outgoing::{Audience, Change, Draft, PendingWrite};
use crate::protocol::entry::{EntryText, meta};
use crate::protocol::error::ProtocolError;
use crate::protocol::frame::{UnstampedFrame, text_frame};
use crate::session::{GetRequest, StorageScope};
use bytes::Bytes;
use fanfare_storage::{Author, Entry, EntryQuery, MessageId, Retention, SetEntry, Timestamp};
use std::sync::Arc;

/// A value to be set now.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) key: String,
    /// JSON text; `None` clears.
    pub(super) value: Option<String>,
    pub(super) author: Option<Author>,
    pub(super) retention: Retention,
    /// The request, where broker events tell of it (section 12).
    pub(super) cause: Option<Cause>,
}

/// Items of a page of the client HTTP API.
const LIST_PAGE: usize = 100;
/// Entries of one read, with up to 32 KiB each.
pub(super) const READ_PAGE: usize = 32;

impl Setting {
    pub(super) fn draft(
        self,
        announcer: &Announcer,
        channel: &Arc<str>,
        max_keys: usize,
        fulfils: Option<MessageId>,
    ) -> Draft {
        let meta = meta(self.author.as_ref());
        let value = self.value.map(Bytes::from);
        let shown = EntryText { key: &self.key, value: value.as_deref(), meta: Some(&meta) };
        let frame = UnstampedFrame::without_id(128, |out| shown.write_updated(out, channel));
        let audience = Audience::Observers(Arc::from(&*self.key));
        let expires_at = match self.retention {
            Retention::Until(end) => Some(end),
            // Values can't be kept for no time at all (section 2).
            Retention::Forever | Retention::None => None,
        };
        let announce_expiry = self.cause.is_some();
        // Kept for the event of its expiry.
        let context = self.cause.as_ref().map_or_else(Bytes::new, Cause::to_notes);
        let announcement = self.cause.and_then(|cause| {
            let (key, author, value) = (&self.key, self.author.as_ref(), value.clone());
            let describe =
                || (Subject::Entry(event(channel, key, value, expires_at, author)), cause);
            announcer.prepare(channel, describe)
        });
        let set = SetEntry {
            id: MessageId::MIN,
            key: self.key,
            value,
            author: self.author,
            expires_at,
            announce_expiry,
            context,
            max_keys,
        };
        Draft {
            frame,
            audience,
            write: Some(Box::new(PendingWrite { change: Change::SetEntry(set), fulfils })),
            announcement,
        }
    }
}

fn event(
    channel: &Arc<str>,
    key: &str,
    data: Option<Bytes>,
    expires_at: Option<Timestamp>,
    author: Option<&Author>,
) -> ChannelStorageEvent {
    ChannelStorageEvent {
        channel: Arc::clone(channel),
        key: key.into(),
        expires_at: expires_at.filter(|_| data.is_some()),
        data,
        data_previous: None,
        expired: false,
        uid: author.and_then(|author| author.uid.as_deref()).map(Arc::from),
        umd: author.and_then(|author| author.umd.clone()),
    }
}

impl Core {
    pub(super) fn get_entry_for(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        request: GetRequest<'_>,
    ) -> Wait {
        let (core, connection) = (Arc::clone(self), Arc::clone(connection));
        let GetRequest { channel, written, key } = request;
        let (written, key) = (written.into_owned(), key.into_owned());
        Box::pin(async move {
            let mailbox = connection.mailbox();
            match core.entry_data(&channel, &key).await {
                Ok(answer) => mailbox.push(text_frame(192, |out| out.extend_from_slice(&answer))),
                Err(error) => mailbox.refuse(Some(written.into_boxed_str()), error),
            }
        })
    }

    /// The value of a key, as a `hotsock.channelStorageData` tells it. It includes what was
    /// written before.
    pub(crate) async fn entry_data(
        &self,
        channel: &Arc<str>,
        key: &str,
    ) -> Result<Vec<u8>, ProtocolError> {
        let entry = self.current_entry(channel, key).await?;
        let meta = entry.as_ref().map(|entry| meta(entry.author.as_ref()));
        let value = entry.as_ref().map(|entry| &*entry.value);
        let mut out = Vec::new();
        EntryText { key, value, meta: meta.as_deref() }.write_data(&mut out, channel);
        Ok(out)
    }

    /// The value of a key, once what is under way on the channel is in storage.
    pub(crate) async fn current_entry(
        &self,
        channel: &Arc<str>,
        key: &str,
    ) -> Result<Option<Entry>, ProtocolError> {
        self.hub.barrier(channel).await;
        let now = self.clock.now().wall;
        self.storage.entry(channel, key, now).await.map_err(unreadable)
    }

    /// Up to 100 values that the client may get, and that are among `keys` where there are any:
    /// `{"items":[…]}`, by key.
    pub(crate) async fn list_entries(
        &self,
        scope: &StorageScope,
        keys: Option<Vec<String>>,
        after: Option<String>,
    ) -> Result<Vec<u8>, ProtocolError> {
        if !scope.may_get_any() {
            return Ok(items(&[]));
        }
        let wanted = |key: &str| scope.may_get(key);
        let found = self.find_entries(&scope.channel, keys, after, LIST_PAGE, wanted).await?;
        Ok(items(&found))
    }

    /// As [`list_entries`](Self::list_entries), for the server.
    pub(crate) async fn list_all_entries(
        &self,
        channel: &str,
        keys: Option<Vec<String>>,
        after: Option<String>,
    ) -> Result<Vec<u8>, ProtocolError> {
        let found = self.find_entries(&channel.into(), keys, after, LIST_PAGE, |_| true).await?;
        Ok(items(&found))
    }

    /// Up to `limit` values by key, after a key, of those wanted.
    pub(super) async fn find_entries(
        &self,
        channel: &Arc<str>,
        keys: Option<Vec<String>>,
        mut after: Option<String>,
        limit: usize,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<Entry>, ProtocolError> {
        let mut found = Vec::new();
        if let Some(mut keys) = keys {
            keys.retain(|key| after.as_ref().is_none_or(|after| key > after) && wanted(key));
            keys.sort_unstable();
            keys.dedup();
            keys.truncate(limit);
            self.hub.barrier(channel).await;
            let now = self.clock.now().wall;
            for key in keys {
                let entry = self.storage.entry(channel, &key, now).await;
                found.extend(entry.map_err(unreadable)?);
            }
            return Ok(found);
        }
        self.hub.barrier(channel).await;
        let now = self.clock.now().wall;
        loop {
            let query = EntryQuery { after: after.take(), limit: READ_PAGE, now };
            let page = self.storage.entries(channel, query).await;
            let page = page.map_err(unreadable)?;
            let is_last = page.len() < READ_PAGE;
            after = page.last().map(|last| last.key.clone());
            let left = limit - found.len();
            found.extend(page.into_iter().filter(|entry| wanted(&entry.key)).take(left));
            if is_last || found.len() == limit {
                return Ok(found);
            }
            // Not all storages wait for anything, and few of many entries may be wanted.
            tokio::task::yield_now().await;
        }
    }
}

fn items(entries: &[Entry]) -> Vec<u8> {
    let mut out = br#"{"items":["#.to_vec();
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let meta = meta(entry.author.as_ref());
        let item = EntryText { key: &entry.key, value: Some(&entry.value), meta: Some(&meta) };
        item.write_item(&mut out);
    }
    out.extend_from_slice(b"]}");
    out
}
