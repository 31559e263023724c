//! What waits, as hosts see it.

use super::payload::{Deed, Task};
use crate::broker::core::Core;
use crate::broker::listed::{DEFAULT_LIMIT, cut, page_size};
use bytes::Bytes;
use fanfare_storage::{MessageId, Timestamp};

/// Which schedules are wanted; see [`Broker::schedules`](crate::Broker::schedules).
///
/// ```
/// use fanfare::{ScheduleQuery, Timestamp};
/// use std::time::Duration;
/// let within_a_day = ScheduleQuery {
///     until: Timestamp::now() + Duration::from_secs(24 * 60 * 60),
///     ..Default::default()
/// };
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ScheduleQuery {
    /// Only those after this due time and id: the [`next`](SchedulePage::next) of the page before.
    pub after: Option<(Timestamp, MessageId)>,
    /// Only those due at or before this moment; all by default.
    pub until: Timestamp,
    /// At most this many: 1 to 1,000, to which other numbers are brought; 100 by default.
    pub limit: usize,
}

impl Default for ScheduleQuery {
    fn default() -> Self {
        Self { after: None, until: Timestamp::MAX, limit: DEFAULT_LIMIT }
    }
}

/// A page of schedules.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchedulePage {
    /// The schedules of all channels, by due time.
    pub schedules: Vec<Schedule>,
    /// Where the next page starts; `None` where there is none.
    pub next: Option<(Timestamp, MessageId)>,
}

/// Something that will be done on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Schedule {
    /// Its id, by which it can be cancelled.
    pub id: MessageId,
    /// When it will be done.
    pub due: Timestamp,
    /// The channel.
    pub channel: String,
    /// What will be done.
    pub action: ScheduledAction,
}

/// What a [`Schedule`] does when it is due.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScheduledAction {
    /// It publishes a message.
    #[non_exhaustive]
    Publish {
        /// The event's name.
        event: String,
        /// JSON text.
        data: Bytes,
        /// The user id of the client that scheduled it; `None` for the server's messages too.
        uid: Option<String>,
    },
    /// It sets a key of the channel's storage.
    #[non_exhaustive]
    SetEntry {
        /// The key.
        key: String,
        /// JSON text; `None` clears the key.
        value: Option<Bytes>,
        /// The user id of the client that scheduled it, if it was one that has any.
        uid: Option<String>,
    },
    /// A newer version of the broker wrote it. This one leaves it alone.
    Unknown,
}

impl Core {
    pub(crate) async fn schedules(
        &self,
        query: &ScheduleQuery,
    ) -> fanfare_storage::Result<SchedulePage> {
        let ScheduleQuery { after, until, limit } = *query;
        let limit = page_size(limit);
        let asked = fanfare_storage::ScheduleQuery { after, until, limit: limit + 1 };
        let mut found = self.storage.schedules(asked).await?;
        let next = cut(&mut found, limit).map(|last| (last.due, last.id));
        Ok(SchedulePage { schedules: found.into_iter().map(Schedule::from).collect(), next })
    }
}

impl From<fanfare_storage::Schedule> for Schedule {
    fn from(stored: fanfare_storage::Schedule) -> Self {
        let fanfare_storage::Schedule { id, due, channel, payload } = stored;
        let action = Task::from_payload(&payload).map_or(ScheduledAction::Unknown, |task| {
            let uid = task.author.and_then(|author| author.uid);
            match task.deed {
                Deed::Publish { event, data, .. } => {
                    ScheduledAction::Publish { event, data: data.into(), uid }
                }
                Deed::SetEntry { key, value } => {
                    ScheduledAction::SetEntry { key, value: value.map(Bytes::from), uid }
                }
            }
        });
        Self { id, due, channel, action }
    }
}
