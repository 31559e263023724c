use crate::{MessageId, Timestamp};
use bytes::Bytes;

/// Who wrote something: a client's user id and metadata, each where it has one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Author {
    /// The user id.
    pub uid: Option<String>,
    /// The user metadata, JSON text as it came.
    pub umd: Option<Bytes>,
}

/// A message of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its id, greater than that of every earlier message of its channel.
    pub id: MessageId,
    /// The event's name.
    pub event: String,
    /// The payload, JSON text kept byte for byte.
    pub data: Bytes,
    /// Who sent it; `None` for a message of the server's.
    pub author: Option<Author>,
}

/// A reaction to a stored message. It lives as long as the message does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reaction {
    /// The reaction itself, such as an emoji.
    pub reaction: String,
    /// Who reacted.
    pub uid: String,
    /// Their metadata at the time, JSON text.
    pub umd: Option<Bytes>,
    /// The id that its announcement had.
    pub id: MessageId,
    /// When it was added.
    pub created_at: Timestamp,
    /// The broker's notes on the request that added it, opaque to storage.
    pub context: Bytes,
}

impl Reaction {
    /// What it counts for where reactions are read: its parts, and 64 bytes for what is around
    /// them.
    #[must_use]
    pub fn size(&self) -> usize {
        let umd = self.umd.as_ref().map_or(0, Bytes::len);
        64 + self.reaction.len() + self.uid.len() + umd + self.context.len()
    }
}

/// A value of a channel's storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key, unique in its channel.
    pub key: String,
    /// JSON text, kept byte for byte.
    pub value: Bytes,
    /// Who wrote the value; `None` for the server.
    pub author: Option<Author>,
    /// When it goes; `None` keeps it forever.
    pub expires_at: Option<Timestamp>,
    /// Whether it is to be told when it has expired, once: by
    /// [`Swept::entries`](crate::Swept::entries), or to whoever replaces it before, by
    /// [`Outcome::ExpiredEntryReplaced`](crate::Outcome::ExpiredEntryReplaced).
    pub announce_expiry: bool,
    /// The broker's notes on the last write, opaque to storage.
    pub context: Bytes,
}

/// Something to be done on a channel at a later time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Its id, unique in the whole store.
    pub id: MessageId,
    /// When it is due.
    pub due: Timestamp,
    /// The channel that it belongs to.
    pub channel: String,
    /// What is to be done, opaque to storage.
    pub payload: Bytes,
}

/// Whose tokens a [`Revocation`] ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RevokedSubject {
    /// The token with this `jti`.
    Token(String),
    /// All tokens of this `uid`.
    User(String),
}

/// Tokens that are no longer to be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Which tokens; a later revocation of the same subject replaces an earlier one.
    pub subject: RevokedSubject,
    /// Only tokens issued before this moment.
    pub issued_before: Timestamp,
    /// When the revocation may be forgotten, since all tokens that it concerns have expired.
    pub expires_at: Option<Timestamp>,
}
