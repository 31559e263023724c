use crate::{Entry, Message, MessageId, Reaction, Retention, Timestamp};

/// From which end a page is filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    #[default]
    Ascending,
    /// Newest first.
    Descending,
}

/// What of a message's reactions a page carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReactionDetail {
    /// Nothing.
    #[default]
    None,
    /// How often each reaction was given. Costs no more for a message with a million reactions
    /// than for one with a few, as the values are few.
    Counts,
    /// The reactions, each with its user, up to
    /// [`MAX_REACTIONS_BYTES`](ListedMessage::MAX_REACTIONS_BYTES) of a message's, and as
    /// [`Counts`](Self::Counts) does, how many there are in all.
    All,
}

/// Asks for a page of a channel's unexpired messages.
#[derive(Clone, Debug)]
pub struct MessageQuery {
    /// The least id wanted.
    pub from: MessageId,
    /// The greatest id wanted.
    pub to: MessageId,
    /// Which end comes first.
    pub order: Order,
    /// At most this many messages.
    pub max_messages: usize,
    /// The page ends with the message whose [`size`](ListedMessage::size) makes the sum of all
    /// reach this many bytes; it has one message at least, where there is one and `max_messages`
    /// is not 0.
    pub max_bytes: usize,
    /// What comes along of each message's reactions.
    pub reactions: ReactionDetail,
    /// What counts as now; messages that expire at or before it do not show.
    pub now: Timestamp,
}

/// A message as a page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedMessage {
    /// The message.
    pub message: Message,
    /// How long it is kept; never [`Retention::None`].
    pub retention: Retention,
    /// Its reactions, in the order of their ids, where they were asked for by
    /// [`ReactionDetail::All`]. Where they are more than
    /// [`MAX_REACTIONS_BYTES`](Self::MAX_REACTIONS_BYTES) some are left out; which ones is up to
    /// the backend.
    pub reactions: Vec<Reaction>,
    /// All of its reactions counted, in the order of their bytes, where they were asked for by
    /// [`ReactionDetail::Counts`] or [`ReactionDetail::All`].
    pub reaction_counts: Vec<ReactionCount>,
}

impl ListedMessage {
    /// No message comes with more reactions than make the sum of their
    /// [`size`](Reaction::size)s reach this, so that one to which a million users reacted can be
    /// read as well: 1 MiB.
    pub const MAX_REACTIONS_BYTES: usize = 1 << 20;

    /// What it counts for in [`MessageQuery::max_bytes`]: `data`, and the reactions and counts
    /// that come along.
    #[must_use]
    pub fn size(&self) -> usize {
        let reactions: usize = self.reactions.iter().map(Reaction::size).sum();
        let counts: usize = self.reaction_counts.iter().map(|count| count.reaction.len() + 8).sum();
        self.message.data.len() + reactions + counts
    }
}

/// How many users gave a reaction to a message; never zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReactionCount {
    /// The reaction.
    pub reaction: String,
    /// How many gave it.
    pub count: u64,
}

/// A page of messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessagePage {
    /// The messages, in the order asked for.
    pub messages: Vec<ListedMessage>,
    /// Whether the range holds more than these.
    pub more: bool,
    /// The greatest id of which it is known that it was stored in the range and is there no
    /// more, by expiry (swept or not) or by removal. `None` proves that nothing is missing in
    /// the part of the range that the page covers: up to its last message where `more` is true,
    /// else all of it. A backend that does not keep every single id that is gone answers with
    /// the greatest of the channel, as long as it is not before `from`, even where it lies
    /// beyond `to`.
    pub gone: Option<MessageId>,
}

/// Asks for a page of a channel's unexpired storage entries, in the order of their keys' bytes.
#[derive(Clone, Debug)]
pub struct EntryQuery {
    /// Only keys greater than this.
    pub after: Option<String>,
    /// At most this many.
    pub limit: usize,
    /// What counts as now.
    pub now: Timestamp,
}

/// Asks for a page of schedules, in the order of their due times, then ids.
#[derive(Clone, Debug)]
pub struct ScheduleQuery {
    /// Only those after this one, a due time and an id.
    pub after: Option<(Timestamp, MessageId)>,
    /// Only those due at or before this moment.
    pub until: Timestamp,
    /// At most this many.
    pub limit: usize,
}

/// What a sweep did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many expired things were removed, of any kind.
    pub removed: usize,
    /// Channel and entry for each expired storage entry that asked for an announcement.
    pub entries: Vec<(String, Entry)>,
    /// Whether more is left to be swept at once.
    pub more: bool,
}
