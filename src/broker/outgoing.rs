//! What goes through a channel's order: messages, and everything else that must keep its place
//! among them.

use super::events::Announcement;
use super::mailbox::Mailbox;
use super::schedule::Bookings;
use super::subscribers::ConnectionKey;
use crate::protocol::error::{Code, ProtocolError};
use crate::protocol::frame::UnstampedFrame;
use bytes::Bytes;
use fanfare_storage::{
    AddReaction, Author, Deduplication, Error as StorageError, Item, Message, MessageId, Outcome,
    Publish, RemoveReaction, Retention, Schedule, SetEntry, Timestamp, Write,
};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// Something on its way into a channel's order, with its share of what may wait.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) draft: Draft,
    pub(crate) settle: Settle,
    /// Given back once it is delivered or given up.
    pub(crate) permit: OwnedSemaphorePermit,
}

/// Something that is encoded and only lacks its place.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) frame: UnstampedFrame,
    pub(crate) audience: Audience,
    /// What storage is asked to do before anybody sees it, if anything.
    /// In a box, since most have none, and drafts are moved several times.
    pub(crate) write: Option<Box<PendingWrite>>,
    /// What the host hears of it once it is delivered, if anything.
    pub(crate) announcement: Option<Box<Announcement>>,
}

/// Which subscribers of the channel get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// All, but for the sender's own subscription where it wants no copy.
    AllBut(Option<ConnectionKey>),
    /// Those who may observe this key of the channel's storage.
    Observers(Arc<str>),
    /// None: it only needs its place in the order.
    Nobody,
}

/// A write to storage that only lacks its id.
#[derive(Debug)]
pub(crate) struct PendingWrite {
    pub(crate) change: Change,
    /// The schedule that this carries out; see [`Item::fulfils`].
    pub(crate) fulfils: Option<MessageId>,
}

/// What is to be written. Ids in it are set when the place in the order is known, but for those
/// of schedules.
#[derive(Debug)]
pub(crate) enum Change {
    /// The frame's message; its data is in the frame.
    Message {
        event: String,
        author: Option<Author>,
        retention: Retention,
        deduplication: Option<Deduplication>,
    },
    AddReaction(AddReaction),
    RemoveReaction(RemoveReaction),
    /// Its context gets the id put before it; see [`split_context`].
    SetEntry(SetEntry),
    AddSchedule(Schedule),
}

/// Who is told what became of it.
#[derive(Debug)]
pub(crate) enum Settle {
    /// Nobody: what is not stored can't fail.
    Nobody,
    /// A caller that waits for it.
    Caller(oneshot::Sender<Result<Settled, Refusal>>),
    /// The connection that sent it, which hears of failure only (protocol section 7).
    Connection { mailbox: Arc<Mailbox>, written: Box<str> },
    /// The scheduler, of a schedule that is due then, and somebody else.
    Booking { bookings: Arc<Bookings>, due: Timestamp, then: Box<Settle> },
}

/// It was taken, and is in storage where it had to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    /// Its id; of a message that repeats another, that one's.
    pub(crate) id: MessageId,
    /// What storage said; of what is not stored, [`Outcome::Applied`].
    pub(crate) outcome: Outcome,
}

/// It was not taken, and no subscriber was told.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// Storage failed. What it was asked for may be done all the same: where its very last step
    /// fails, the sync, it may not know.
    Storage(StorageError),
    /// What it was about is not there, or has expired.
    MessageNotFound,
    /// A limit on reactions is reached.
    TooManyReactions,
    /// A limit on storage keys is reached.
    TooManyKeys,
}

impl PendingWrite {
    fn message(event: &str, author: Option<Author>, retention: Retention) -> Option<Box<Self>> {
        if retention == Retention::None {
            return None;
        }
        let change =
            Change::Message { event: event.to_owned(), author, retention, deduplication: None };
        Some(Box::new(Self { change, fulfils: None }))
    }

    /// The write, with its id and the data of its frame.
    pub(super) fn item(&self, id: MessageId, data: Bytes) -> Item {
        Item { write: self.change.write(id, data), fulfils: self.fulfils }
    }

    /// What storage's answer means; `Err` where it was not taken. The outcomes that the channel
    /// deals with itself don't get here.
    pub(super) fn refusal(&self, outcome: &Outcome) -> Option<Refusal> {
        match (outcome, &self.change) {
            (Outcome::MessageNotFound, _) => Some(Refusal::MessageNotFound),
            (Outcome::LimitReached, Change::SetEntry(_)) => Some(Refusal::TooManyKeys),
            (Outcome::LimitReached, _) => Some(Refusal::TooManyReactions),
            _ => None,
        }
    }
}

impl Change {
    fn write(&self, id: MessageId, data: Bytes) -> Write {
        match self {
            Self::Message { event, author, retention, deduplication } => {
                let message = Message { id, event: event.clone(), data, author: author.clone() };
                let (retention, deduplication) = (*retention, deduplication.clone());
                Publish { message, retention, deduplication }.into()
            }
            Self::AddReaction(add) => {
                let mut add = add.clone();
                add.reaction.id = id;
                add.into()
            }
            Self::RemoveReaction(remove) => RemoveReaction { id, ..remove.clone() }.into(),
            Self::SetEntry(set) => {
                let context = join_context(id, &set.context);
                SetEntry { id, context, ..set.clone() }.into()
            }
            // With an id of its own, which is unique in the whole store.
            Self::AddSchedule(schedule) => schedule.clone().into(),
        }
    }

    /// Bytes that it holds beside its frame, roughly.
    fn size(&self) -> usize {
        match self {
            Self::Message { .. } | Self::AddReaction(_) | Self::RemoveReaction(_) => 0,
            Self::SetEntry(set) => set.value.as_ref().map_or(0, Bytes::len),
            Self::AddSchedule(schedule) => schedule.payload.len(),
        }
    }
}

/// An entry's context: the id that its last write had in the channel's order, and what else the
/// broker notes. The id tells whoever reads entries which updates they include already.
fn join_context(id: MessageId, notes: &[u8]) -> Bytes {
    let mut text = [0; MessageId::TEXT_LEN];
    let mut context = Vec::with_capacity(text.len() + notes.len());
    context.extend_from_slice(id.encode(&mut text).as_bytes());
    context.extend_from_slice(notes);
    context.into()
}

/// The id of an entry's last write, and the notes; `None` where another program wrote it.
pub(crate) fn split_context(context: &Bytes) -> Option<(MessageId, Bytes)> {
    let id = std::str::from_utf8(context.get(..MessageId::TEXT_LEN)?).ok()?.parse().ok()?;
    Some((id, context.slice(MessageId::TEXT_LEN..)))
}

impl Draft {
    /// What a client publishes.
    pub(crate) fn message(
        frame: UnstampedFrame,
        event: &str,
        author: Option<Author>,
        retention: Retention,
    ) -> Self {
        let write = PendingWrite::message(event, author, retention);
        Self { frame, audience: Audience::AllBut(None), write, announcement: None }
    }

    /// What the host publishes: without `meta` (section 10).
    pub(crate) fn of_host(channel: &str, event: &str, data: &str, retention: Retention) -> Self {
        let frame = UnstampedFrame::message(channel, event, data.as_bytes(), None);
        Self::message(frame, event, None, retention)
    }

    /// Nothing, in its place: whoever waits for it to be settled has waited for all before it.
    pub(crate) fn barrier() -> Self {
        Self {
            frame: UnstampedFrame::without_id(0, |_| ()),
            audience: Audience::Nobody,
            write: None,
            announcement: None,
        }
    }

    pub(crate) fn is_stored(&self) -> bool {
        self.write.is_some()
    }

    /// Whether storage learns the id, and so tells of it after a restart.
    pub(super) fn stores_its_id(&self) -> bool {
        self.write.as_ref().is_some_and(|write| match write.change {
            Change::Message { .. }
            | Change::AddReaction(_)
            | Change::RemoveReaction(_)
            | Change::SetEntry(_) => true,
            Change::AddSchedule(_) => false,
        })
    }

    /// What it takes of the budget of what may wait.
    pub(crate) fn size(&self) -> usize {
        // What surrounds it in queues and batches, roughly.
        const OVERHEAD: usize = 256;
        let write = self.write.as_ref().map_or(0, |write| write.change.size());
        self.frame.len() + write + OVERHEAD
    }

    pub(crate) fn outgoing(self, settle: Settle, permit: OwnedSemaphorePermit) -> Outgoing {
        Outgoing { draft: self, settle, permit }
    }
}

impl Settle {
    pub(super) fn done(self, settled: Settled) {
        match self {
            Self::Nobody | Self::Connection { .. } => {}
            // A caller that went away needs no answer.
            Self::Caller(caller) => drop(caller.send(Ok(settled))),
            Self::Booking { bookings, due, then } => {
                bookings.ring(due);
                then.done(settled);
            }
        }
    }

    pub(super) fn refuse(self, refusal: Refusal) {
        match self {
            Self::Nobody => {}
            Self::Caller(caller) => {
                let _ = caller.send(Err(refusal));
            }
            Self::Connection { mailbox, written } => {
                mailbox.refuse(Some(written), refusal.into_error());
            }
            Self::Booking { bookings, due, then } => {
                // It may be there all the same.
                bookings.ring(due);
                then.refuse(refusal);
            }
        }
    }
}

impl Refusal {
    pub(crate) fn into_error(self) -> ProtocolError {
        let (code, message) = match self {
            Self::Storage(cause) => {
                let message = "the storage failed and no subscriber was told, though it may be \
                               stored; try again later";
                return ProtocolError::storage(cause, message);
            }
            Self::MessageNotFound => (
                Code::MessageNotFound,
                "the channel has no stored message of this id, or it has expired",
            ),
            Self::TooManyReactions => (
                Code::ReactPermissionDenied,
                "the message has as many reactions as it may have, of this user or in all",
            ),
            Self::TooManyKeys => (
                Code::StoragePermissionDenied,
                "the channel's storage has as many keys as it may have; clear one first",
            ),
        };
        ProtocolError::new(code, message)
    }
}
