//! Reading a channel's history as the host.

use super::core::Core;
use super::error::unreadable;
use super::listed::{DEFAULT_LIMIT, page_size};
use crate::protocol::error::ProtocolError;
use crate::protocol::names;
use bytes::Bytes;
use fanfare_storage::{MessageId, MessageQuery, Order, ReactionCount, ReactionDetail, Timestamp};

/// Which messages of a channel are wanted; see [`Broker::history`](crate::Broker::history).
///
/// ```
/// use fanfare::{HistoryQuery, Order};
/// let newest_ten = HistoryQuery { order: Order::Descending, limit: 10, ..Default::default() };
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HistoryQuery {
    /// Only messages newer than this one; in ascending order the [`next`](HistoryPage::next) of the
    /// page before.
    pub after: Option<MessageId>,
    /// Only messages older than this one; in descending order the [`next`](HistoryPage::next) of the
    /// page before.
    pub before: Option<MessageId>,
    /// Which end comes first; the oldest by default.
    pub order: Order,
    /// At most this many messages: 1 to 1,000, to which other numbers are brought; 100 by
    /// default. A page also ends with the message that makes its data and reactions 4 MiB.
    pub limit: usize,
}

impl Default for HistoryQuery {
    fn default() -> Self {
        Self { after: None, before: None, order: Order::Ascending, limit: DEFAULT_LIMIT }
    }
}

/// A page of history.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryPage {
    /// The messages, in the order asked for.
    pub messages: Vec<HistoryMessage>,
    /// Where the next page starts: the [`after`](HistoryQuery::after) of its query or, in descending
    /// order, the [`before`](HistoryQuery::before); `None` where there is none.
    pub next: Option<MessageId>,
}

/// A stored message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryMessage {
    /// Its id.
    pub id: MessageId,
    /// The event's name.
    pub event: String,
    /// JSON text, byte for byte as it was published, but for white space around it.
    pub data: Bytes,
    /// The sender's user id; `None` for the server's messages too.
    pub uid: Option<String>,
    /// The sender's metadata, JSON text.
    pub umd: Option<Bytes>,
    /// How often each reaction was given, in the order of their bytes.
    pub reactions: Vec<ReactionCount>,
}

impl HistoryMessage {
    /// When it was published.
    #[must_use]
    pub fn published_at(&self) -> Timestamp {
        self.id.timestamp()
    }
}

/// A page ends here even where the limit is not reached.
const MAX_PAGE_BYTES: usize = 4 << 20;

pub(super) async fn read(
    core: &Core,
    channel: &str,
    query: &HistoryQuery,
) -> Result<HistoryPage, ProtocolError> {
    names::check_channel(channel)?;
    let page = core
        .storage
        .messages(
            channel,
            MessageQuery {
                from: query.after.map_or(MessageId::MIN, MessageId::next),
                to: query.before.map_or(MessageId::MAX, MessageId::previous),
                order: query.order,
                max_messages: page_size(query.limit),
                max_bytes: MAX_PAGE_BYTES,
                reactions: ReactionDetail::Counts,
                now: core.clock.now().wall,
            },
        )
        .await
        .map_err(unreadable)?;
    let next = page.messages.last().filter(|_| page.more).map(|last| last.message.id);
    let messages = page.messages.into_iter().map(|listed| {
        let author = listed.message.author.unwrap_or_default();
        HistoryMessage {
            id: listed.message.id,
            event: listed.message.event,
            data: listed.message.data,
            uid: author.uid,
            umd: author.umd,
            reactions: listed.reaction_counts,
        }
    });
    Ok(HistoryPage { messages: messages.collect(), next })
}
