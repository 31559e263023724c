//! Events of what goes through a channel's order: prepared before, told once it is delivered.

use super::cause::Cause;
use super::{
    Announcer, ChannelStorageEvent, EventKind, EventMetadata, MessageEvent, MessageReactionEvent,
};
use crate::broker::outgoing::split_context;
use crate::protocol::event::Meta;
use bytes::Bytes;
use fanfare_storage::{Entry, MessageId, Outcome};
use std::sync::Arc;

/// An event that only lacks its place in the channel's order, and what storage says.
#[derive(Debug)]
pub(crate) struct Announcement {
    announcer: Announcer,
    channel: Arc<str>,
    cause: Cause,
    subject: Subject,
}

/// What an event is about.
#[derive(Debug)]
pub(crate) enum Subject {
    Message {
        event: Arc<str>,
        sender: Meta,
    },
    /// Its id, and of one that is taken back also when and with what it was given, are to come.
    Reaction {
        /// The event of the message reacted to.
        event: Arc<str>,
        reaction: MessageReactionEvent,
        is_added: bool,
    },
    /// What was there before is to come.
    Entry(ChannelStorageEvent),
}

impl Announcer {
    /// Prepares an event, where anybody listens.
    pub(in crate::broker) fn prepare(
        &self,
        channel: &Arc<str>,
        describe: impl FnOnce() -> (Subject, Cause),
    ) -> Option<Box<Announcement>> {
        self.is_heard().then(|| {
            let (subject, cause) = describe();
            let (announcer, channel) = (self.clone(), Arc::clone(channel));
            Box::new(Announcement { announcer, channel, cause, subject })
        })
    }

    /// Tells that a value of a channel's storage has expired, whose last write asked for that.
    pub(in crate::broker) fn entry_expired(&self, channel: Arc<str>, entry: Entry) {
        self.announce(|| {
            let Entry { key, value, author, expires_at, context, .. } = entry;
            let author = author.unwrap_or_default();
            let expired = ChannelStorageEvent {
                channel,
                key: key.into(),
                data: None,
                data_previous: Some(value),
                expired: true,
                expires_at,
                uid: author.uid.map(Arc::from),
                umd: author.umd,
            };
            let notes = split_context(&context).map(|(_, notes)| notes);
            let cause = Cause::from_notes(notes.as_deref().unwrap_or_default());
            let metadata = entry_metadata(&expired, cause);
            (EventKind::ChannelStorageUpdated(expired), metadata)
        });
    }
}

impl Announcement {
    /// Tells of it, now that it has been delivered with an id and its data. `outcome` is what
    /// storage said where that is more than that it was applied.
    pub(in crate::broker) fn send(self, id: MessageId, data: Bytes, outcome: Option<&Outcome>) {
        let Self { announcer, channel, cause, subject } = self;
        announcer.announce(|| match subject {
            Subject::Message { event, sender: Meta { uid, umd } } => {
                let metadata = EventMetadata {
                    event: Some(Arc::clone(&event)),
                    ..cause.metadata(Arc::clone(&channel))
                };
                let message = MessageEvent { id, event, channel, data, uid, umd };
                (EventKind::MessagePublished(message), metadata)
            }
            Subject::Reaction { event, reaction, is_added: true } => {
                let metadata = reaction_metadata(&reaction, event, cause);
                let reaction = MessageReactionEvent { id, ..reaction };
                (EventKind::MessageReactionAdded(reaction), metadata)
            }
            Subject::Reaction { event, mut reaction, is_added: false } => {
                reaction.id = id;
                let mut cause = cause;
                if let Some(Outcome::ReactionRemoved(given)) = outcome {
                    reaction.id = given.id;
                    reaction.umd.clone_from(&given.umd);
                    reaction.created_at = given.created_at;
                    if !given.context.is_empty() {
                        cause = Cause::from_notes(&given.context);
                    }
                }
                let metadata = reaction_metadata(&reaction, event, cause);
                (EventKind::MessageReactionRemoved(reaction), metadata)
            }
            Subject::Entry(mut entry) => {
                if let Some(Outcome::EntryChanged(Some(before))) = outcome {
                    entry.data_previous = Some(before.value.clone());
                }
                let metadata = entry_metadata(&entry, cause);
                (EventKind::ChannelStorageUpdated(entry), metadata)
            }
        });
    }
}

fn reaction_metadata(
    reaction: &MessageReactionEvent,
    event: Arc<str>,
    cause: Cause,
) -> EventMetadata {
    EventMetadata {
        event: Some(event),
        reaction: Some(Arc::clone(&reaction.reaction)),
        ..cause.metadata(Arc::clone(&reaction.channel))
    }
}

fn entry_metadata(entry: &ChannelStorageEvent, cause: Cause) -> EventMetadata {
    EventMetadata {
        key: Some(Arc::clone(&entry.key)),
        ..cause.metadata(Arc::clone(&entry.channel))
    }
}

impl Cause {
    fn metadata(self, channel: Arc<str>) -> EventMetadata {
        EventMetadata {
            channel: Some(channel),
            connection_id: self.connection_id,
            source_ip: self.peer.source_ip,
            user_agent: self.peer.user_agent,
            request_id: self.request_id,
            trigger: self.trigger,
            ..EventMetadata::default()
        }
    }
}
