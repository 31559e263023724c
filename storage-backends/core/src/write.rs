use crate::{Author, Entry, Message, MessageId, Reaction, Schedule, Timestamp};
use bytes::Bytes;

/// How long something is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// Not at all.
    None,
    /// Up to, and not including, this moment.
    Until(Timestamp),
    /// Forever.
    Forever,
}

impl Retention {
    /// Whether something kept so is gone at `now`.
    #[must_use]
    pub fn is_over(self, now: Timestamp) -> bool {
        match self {
            Self::None => true,
            Self::Until(end) => end <= now,
            Self::Forever => false,
        }
    }
}

/// One write of a batch, with one [`Outcome`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What is written.
    pub write: Write,
    /// A schedule that this write carries out. It is removed together with the write, whatever
    /// the outcome: a duplicate has been dealt with for good, and so has a reaction whose message
    /// is gone. Only [`Outcome::IdNotNewest`] keeps it, since the broker tries again. Where it is
    /// gone already, the write is not applied and its outcome is [`Outcome::ScheduleGone`]. This
    /// is what makes scheduled messages happen once.
    pub fulfils: Option<MessageId>,
}

impl<W: Into<Write>> From<W> for Item {
    fn from(write: W) -> Self {
        Self { write: write.into(), fulfils: None }
    }
}

/// What can be written to a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// A message.
    Publish(Publish),
    /// A reaction to a stored message.
    AddReaction(AddReaction),
    /// The end of a reaction.
    RemoveReaction(RemoveReaction),
    /// A value of the channel's storage, or its end.
    SetEntry(SetEntry),
    /// Something for later. Its `channel` is the batch's. Where the store has a schedule of its
    /// id, nothing is written and the outcome is [`Outcome::Unchanged`].
    AddSchedule(Schedule),
}

impl From<Publish> for Write {
    fn from(publish: Publish) -> Self {
        Self::Publish(publish)
    }
}

impl From<AddReaction> for Write {
    fn from(add: AddReaction) -> Self {
        Self::AddReaction(add)
    }
}

impl From<RemoveReaction> for Write {
    fn from(remove: RemoveReaction) -> Self {
        Self::RemoveReaction(remove)
    }
}

impl From<SetEntry> for Write {
    fn from(set: SetEntry) -> Self {
        Self::SetEntry(set)
    }
}

impl From<Schedule> for Write {
    fn from(schedule: Schedule) -> Self {
        Self::AddSchedule(schedule)
    }
}

/// A message to be stored, remembered for deduplication, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The message.
    pub message: Message,
    /// How long it is kept. With [`Retention::None`] the message itself is not written, but its
    /// id and deduplication count as if it were.
    pub retention: Retention,
    /// Drops the message where one of the same key came before.
    pub deduplication: Option<Deduplication>,
}

/// Recognises a repeated message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deduplication {
    /// The sender's key, compared within the channel.
    pub key: String,
    /// Until when the key is remembered; a repeat does not prolong it.
    pub until: Timestamp,
}

/// Adds a reaction where the same user has not given the same one to the same message yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddReaction {
    /// The message reacted to.
    pub message: MessageId,
    /// The reaction.
    pub reaction: Reaction,
    /// How many different reactions (values) the message may have in all; a value that would be
    /// one more is refused, one that others gave already is not.
    pub max_per_message: usize,
    /// How many reactions one user may have on the message.
    pub max_per_user: usize,
}

/// Removes a user's reaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoveReaction {
    /// The message reacted to.
    pub message: MessageId,
    /// The reaction.
    pub reaction: String,
    /// Whose it is.
    pub uid: String,
    /// The id of the removal's announcement. It raises the channel's newest id.
    pub id: MessageId,
}

/// Sets or clears a value of the channel's storage.
///
/// Where an unexpired value equal as JSON ([`json_eq`](crate::json_eq)) is there already, only
/// `expires_at`, `announce_expiry` and `context` change, and the outcome is
/// [`Outcome::Unchanged`]. Clearing what is not there is [`Outcome::Unchanged`] too. A value that
/// has expired and not been swept is not there. Where one is replaced whose expiry is to be announced,
/// which no sweep does any more, the outcome is [`Outcome::ExpiredEntryReplaced`]; one that is
/// cleared or refused stays for the sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetEntry {
    /// Its place in the channel's order. It raises the store's
    /// [`high_water`](crate::Storage::high_water), whatever the outcome but
    /// [`Outcome::ScheduleGone`], and is neither kept nor compared with the channel's newest.
    pub id: MessageId,
    /// The key.
    pub key: String,
    /// The value, JSON text; `None` clears.
    pub value: Option<Bytes>,
    /// Who writes; `None` for the server.
    pub author: Option<Author>,
    /// When the value goes; `None` keeps it forever.
    pub expires_at: Option<Timestamp>,
    /// See [`Entry::announce_expiry`].
    pub announce_expiry: bool,
    /// See [`Entry::context`].
    pub context: Bytes,
    /// How many unexpired keys the channel may have; a new key beyond that is refused with
    /// [`Outcome::LimitReached`].
    pub max_keys: usize,
}

/// What became of an [`Item`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Applied: published, added, scheduled.
    Applied,
    /// The reaction was removed; this is what it was.
    ReactionRemoved(Reaction),
    /// The channel's value changed; this is what was there before, where it had not expired.
    EntryChanged(Option<Entry>),
    /// The channel's value changed, and was set where there was none. This one was there, had
    /// expired, not been swept, and is to be announced ([`Entry::announce_expiry`]).
    ExpiredEntryReplaced(Entry),
    /// Nothing was there to change.
    Unchanged,
    /// The message repeats this one and was dropped.
    Duplicate(MessageId),
    /// The message's, or the reaction's, id is not greater than the newest of the channel,
    /// which is this; nothing was written. The broker takes a greater id and tries again. Only a
    /// write that would have been applied with a greater id has this outcome: a duplicate is
    /// [`Duplicate`](Self::Duplicate) whatever its id, and a reaction that exists is
    /// [`Unchanged`](Self::Unchanged).
    IdNotNewest(MessageId),
    /// The message reacted to is not there, or has expired.
    MessageNotFound,
    /// One more would be too many.
    LimitReached,
    /// The schedule was carried out or cancelled before.
    ScheduleGone,
}

/// A single-use token being used.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenUse {
    /// Tells verifying keys apart; stable across restarts.
    pub key: String,
    /// The token's `jti`.
    pub jti: String,
    /// The token's `exp`. The use may be forgotten from then on.
    pub expires_at: Timestamp,
}
