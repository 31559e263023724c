//! Publishing as the host, one message or many, now or later (protocol section 10).

use super::content::CheckedContent;
use super::core::Core;
use super::events::Subject;
use super::message::{CheckedMessage, Message, Published};
use super::outgoing::{Change, Draft, PendingWrite, Refusal, Settle, Settled};
use super::schedule::{Deed, Task};
use crate::protocol::error::ProtocolError;
use crate::protocol::event::Meta;
use crate::protocol::names;
use fanfare_storage::{
    Deduplication, Error as StorageError, ErrorKind, MessageId, Outcome, Timestamp,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// How long a message's `deduplicationId` is remembered.
const DEDUPLICATION: Duration = Duration::from_secs(5 * 60);

pub(super) fn deduplication(key: String, now: Timestamp) -> Deduplication {
    Deduplication { key, until: now + DEDUPLICATION }
}

/// Something in its channel's order that may still have to be stored.
#[derive(Debug)]
pub(crate) enum Pending {
    /// It is not stored, so that nothing can go wrong any more.
    Taken(MessageId),
    Waiting(oneshot::Receiver<Result<Settled, Refusal>>),
}

impl Pending {
    /// What the storage is waited for with.
    pub(super) fn waiting() -> (Settle, Self) {
        let (caller, settled) = oneshot::channel();
        (Settle::Caller(caller), Self::Waiting(settled))
    }

    pub(crate) async fn settled(self) -> Result<Settled, Refusal> {
        match self {
            Self::Taken(id) => Ok(Settled { id, outcome: Outcome::Applied }),
            Self::Waiting(receiver) => receiver.await.unwrap_or_else(|_| {
                let message = "the task that stored it was ended";
                let error = StorageError::new(ErrorKind::Unavailable, "commit", message);
                Err(Refusal::Storage(error))
            }),
        }
    }
}

/// A message of the host's that has its place.
#[derive(Debug)]
pub(crate) struct Begun {
    channel: Arc<str>,
    event: Arc<str>,
    schedule: Option<MessageId>,
    pending: Pending,
}

impl Begun {
    pub(crate) fn new(channel: Arc<str>, event: &str, pending: Pending) -> Self {
        Self { channel, event: event.into(), schedule: None, pending }
    }

    pub(super) fn scheduled(mut self, schedule: Option<MessageId>) -> Self {
        self.schedule = schedule;
        self
    }

    /// What became of it, once it is in storage where it has to be.
    pub(crate) async fn published(self) -> Result<Published, ProtocolError> {
        let settled = self.pending.settled().await.map_err(Refusal::into_error)?;
        Ok(Published::new(self.channel, self.event, &settled, self.schedule))
    }
}

impl Core {
    pub(crate) async fn publish_for_host(
        &self,
        message: Message,
    ) -> Result<Published, ProtocolError> {
        self.begin(message).await?.published().await
    }

    /// Checks a message and gives it its place. Messages that are begun one after the other keep
    /// that order where their channel is the same, and are stored together.
    pub(crate) async fn begin(&self, message: Message) -> Result<Begun, ProtocolError> {
        if self.is_draining() {
            return Err(ProtocolError::shutting_down());
        }
        let (channel, message) = message.check(self.clock.now().wall)?;
        self.begin_on(&channel, &message).await
    }

    /// Publishes one message to many channels, and tells in the same order what became of each.
    ///
    /// # Errors
    ///
    /// Fails where the message itself is at fault; nothing was published then.
    pub(crate) async fn publish_to_all<S: AsRef<str>>(
        &self,
        channels: impl IntoIterator<Item = S>,
        message: Message,
    ) -> Result<Vec<Result<Published, ProtocolError>>, ProtocolError> {
        if self.is_draining() {
            return Err(ProtocolError::shutting_down());
        }
        let message = message.check_content(self.clock.now().wall)?;
        let mut begun = Vec::new();
        for channel in channels {
            begun.push(self.begin_on(channel.as_ref(), &message).await);
        }
        Ok(all_published(begun).await)
    }

    async fn begin_on(
        &self,
        channel: &str,
        message: &CheckedMessage,
    ) -> Result<Begun, ProtocolError> {
        names::check_channel(channel)?;
        let channel: Arc<str> = channel.into();
        let event = Arc::clone(&message.event);
        let (pending, schedule) = match message.content.due {
            None => {
                let draft = self.draft_of_host(&channel, message);
                (self.enqueue(&channel, draft).await, None)
            }
            Some(due) => {
                let booking = self.book(&channel, due, &Task::of_host(message))?;
                let id = booking.id;
                (self.enqueue_booking(&channel, booking).await, Some(id))
            }
        };
        Ok(Begun { channel, event, schedule, pending })
    }

    /// What the host publishes now, and what it hears of it.
    fn draft_of_host(&self, channel: &Arc<str>, message: &CheckedMessage) -> Draft {
        let mut draft = draft(channel, message, self.clock.now().wall);
        if let Some(cause) = &message.content.cause {
            let describe = || {
                let (event, sender) = (Arc::clone(&message.event), Meta::default());
                (Subject::Message { event, sender }, cause.clone())
            };
            draft.announcement = self.hub.announcer().prepare(channel, describe);
        }
        draft
    }

    /// Puts something into its channel's order, once there is room for it.
    pub(crate) async fn enqueue(&self, channel: &Arc<str>, draft: Draft) -> Pending {
        let permit = self.hub.reserve(draft.size()).await;
        self.place(channel, draft, permit)
    }

    /// Puts something into its channel's order.
    pub(super) fn place(
        &self,
        channel: &Arc<str>,
        draft: Draft,
        permit: OwnedSemaphorePermit,
    ) -> Pending {
        if !draft.is_stored() {
            return Pending::Taken(
                self.hub.publish(channel, draft.outgoing(Settle::Nobody, permit)),
            );
        }
        let (settle, pending) = Pending::waiting();
        self.hub.publish(channel, draft.outgoing(settle, permit));
        pending
    }
}

/// Waits for all, in order; what was begun goes on together meanwhile.
pub(crate) async fn all_published(
    begun: Vec<Result<Begun, ProtocolError>>,
) -> Vec<Result<Published, ProtocolError>> {
    let mut published = Vec::with_capacity(begun.len());
    for one in begun {
        published.push(match one {
            Ok(begun) => begun.published().await,
            Err(error) => Err(error),
        });
    }
    published
}

/// What the host publishes now.
fn draft(channel: &str, message: &CheckedMessage, now: Timestamp) -> Draft {
    let CheckedContent { data, store, .. } = &message.content;
    let retention = store.retention(now);
    let mut draft = Draft::of_host(channel, &message.event, data, retention);
    if let Some(key) = &message.deduplication {
        // Also what is not kept has to be remembered.
        let change = Change::Message {
            event: message.event.as_ref().to_owned(),
            author: None,
            retention,
            deduplication: Some(deduplication(key.clone(), now)),
        };
        draft.write = Some(Box::new(PendingWrite { change, fulfils: None }));
    }
    draft
}

impl Task {
    /// What the host publishes later. Whether it repeats another is seen when it is delivered.
    fn of_host(message: &CheckedMessage) -> Self {
        let CheckedContent { data, store, cause, .. } = &message.content;
        Self {
            author: None,
            store: *store,
            emit: cause.is_some(),
            cause: cause.clone(),
            deed: Deed::Publish {
                event: message.event.as_ref().to_owned(),
                data: data.clone(),
                except: None,
                deduplication: message.deduplication.clone(),
            },
        }
    }
}
