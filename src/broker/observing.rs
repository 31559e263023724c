//! What a new subscriber is told of the keys that it observes (protocol section 7.3).
//!
//! Its registration is held, so that changes gather while entries are read, a page at a time. An
//! entry notes which place in the channel's order its last write had. So a gathered change that is
//! not newer than what was read of its key tells nothing new, and is left out: the subscriber sees
//! each key's value once, and then every later change.

use super::core::Core;
use super::entries::READ_PAGE;
use super::mailbox::Gathered;
use super::outgoing::split_context;
use super::recovery::Unreadable;
use super::subscribers::Registration;
use crate::protocol::entry::{EntryText, meta};
use crate::protocol::frame::{Frame, text_frame};
use fanfare_storage::{Entry, EntryQuery, MessageId};
use std::collections::HashMap;
use std::sync::Arc;

/// The keys that were written after the registration was made and before they were read, with the
/// last such write. Of no other key can anything have gathered that was read too.
#[derive(Debug, Default)]
pub(super) struct Shown(HashMap<String, MessageId>);

impl Shown {
    /// Whether something gathered tells what was not read.
    pub(super) fn lacks(&self, gathered: &Gathered) -> bool {
        let read = gathered.key.as_ref().and_then(|key| self.0.get(&**key));
        read.is_none_or(|read| gathered.id > *read)
    }

    /// Takes note of an entry that is told to a registration that was made at `start`.
    fn note(&mut self, entry: &Entry, start: MessageId) {
        if let Some((id, _)) = split_context(&entry.context)
            && id > start
        {
            self.0.insert(entry.key.clone(), id);
        }
    }
}

impl Core {
    /// Tells a held registration, made at `start`, the values that it observes, no faster than its
    /// client reads. When this ends, all that it told of has been delivered too, and so was
    /// gathered.
    pub(super) async fn show_entries(
        &self,
        registration: &Arc<Registration>,
        channel: &Arc<str>,
        start: MessageId,
    ) -> Result<Shown, Unreadable> {
        let mut shown = Shown::default();
        // The same for all pages. What is gone by then is gone for all writes that come later,
        // which so are changes, and announced.
        let now = self.hub.time_of_writes(channel);
        let mut after = None;
        loop {
            let mut room = self.recoveries.room.page().await;
            let query = EntryQuery { after: after.take(), limit: READ_PAGE, now };
            let read = || self.storage.entries(channel, query.clone());
            let page = self.recoveries.patiently(read).await?;
            let mut is_last = page.len() < READ_PAGE;
            for entry in page {
                if registration.observes(channel, &entry.key) {
                    if !room.push(updated(channel, &entry)) {
                        is_last = false;
                        break;
                    }
                    shown.note(&entry, start);
                }
                after = Some(entry.key);
            }
            if !room.is_empty() && !self.replay(registration, room.into_frames()).await {
                break;
            }
            if is_last {
                break;
            }
            // Not all storages wait for anything, and few of many entries may be observed.
            tokio::task::yield_now().await;
        }
        if !shown.0.is_empty() {
            self.hub.barrier(channel).await;
        }
        Ok(shown)
    }
}

fn updated(channel: &str, entry: &Entry) -> Frame {
    let meta = meta(entry.author.as_ref());
    let shown = EntryText { key: &entry.key, value: Some(&entry.value), meta: Some(&meta) };
    text_frame(128 + entry.value.len(), |out| shown.write_updated(out, channel))
}
