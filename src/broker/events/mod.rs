//! Events for the host (protocol section 12): a bounded stream of what happens.
//!
//! Nobody waits for who listens. An event costs nothing where nobody does.

mod encode;
mod kinds;
#[cfg(test)]
mod tests;

pub use kinds::{
    ChannelEvent, ConnectionEvent, Event, EventKind, EventMetadata, MessageEvent,
    SubscriptionEvent, Trigger,
};

use super::Broker;
use super::connection::Connection;
use crate::protocol::event::Meta;
use bytes::Bytes;
use fanfare_storage::{MessageId, Timestamp};
use std::fmt;
use std::sync::Arc;
use tokio::sync::broadcast::{self, error::RecvError};

/// The events of a broker from a moment on; see [`Broker::events`].
#[derive(Debug)]
pub struct EventStream(broadcast::Receiver<Event>);

/// So many events were dropped, since the stream was not read for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lagged(pub u64);

impl fmt::Display for Lagged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} events were dropped, since they were not read in time", self.0)
    }
}

impl std::error::Error for Lagged {}

impl EventStream {
    /// The next event. `None` once the last handle and the last service of the broker are gone and
    /// all was read. It may be dropped before it is done: no event is lost by that.
    ///
    /// # Errors
    ///
    /// Fails where events were dropped, with how many, since more than
    /// [`event_capacity`](crate::BrokerBuilder::event_capacity) had come that were not read. The
    /// stream goes on with the oldest that is left.
    pub async fn recv(&mut self) -> Option<Result<Event, Lagged>> {
        match self.0.recv().await {
            Ok(event) => Some(Ok(event)),
            Err(RecvError::Lagged(dropped)) => Some(Err(Lagged(dropped))),
            Err(RecvError::Closed) => None,
        }
    }
}

impl Broker {
    /// What happens from now on: connections, subscriptions, and the messages for which
    /// `emitPubSubEvent` is true (protocol section 12). Each stream gets each event once. Those of
    /// messages come in their channel's order, once a message is stored, where it is to be, and
    /// delivered. Those of one connection come in order too.
    ///
    /// Nobody waits for a stream. One that is not read for as long as
    /// [`event_capacity`](crate::BrokerBuilder::event_capacity) events come loses the oldest, and
    /// is told how many.
    ///
    /// ```
    /// # use fanfare::{Algorithm, Broker, MemoryStorage, VerifyingKey};
    /// use fanfare::{EventKind, Message};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let key = VerifyingKey::hmac(Algorithm::HS256, b"a secret of at least 32 bytes...")?;
    /// # let broker = Broker::builder().verifying_key(key).storage(MemoryStorage::new()).build().await?;
    /// let mut events = broker.events();
    /// broker.publish(Message::new("news", "headline").data("hi").emit_pub_sub_event(true)).await?;
    /// drop(broker);
    /// while let Some(event) = events.recv().await {
    ///     match event {
    ///         Ok(event) => match event.kind() {
    ///             EventKind::MessagePublished(message) => assert_eq!(message.data, "\"hi\""),
    ///             _ => println!("{}", event.to_json()),
    ///         },
    ///         Err(lagged) => eprintln!("{lagged}"),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn events(&self) -> EventStream {
        self.core.hub.announcer().listen()
    }
}

/// Where events are sent from.
#[derive(Clone, Debug)]
pub(crate) struct Announcer(broadcast::Sender<Event>);

/// An event of a message that only lacks its place in the channel's order.
#[derive(Debug)]
pub(crate) struct Announcement {
    announcer: Announcer,
    channel: Arc<str>,
    event: Arc<str>,
    sender: Meta,
    connection_id: Option<Arc<str>>,
    trigger: Option<Trigger>,
}

/// What a message comes from.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) sender: Meta,
    pub(crate) connection_id: Option<Arc<str>>,
    /// None for what was scheduled.
    pub(crate) trigger: Option<Trigger>,
}

impl Announcer {
    /// That keeps so many events for who is slow.
    pub(super) fn new(capacity: usize) -> Self {
        Self(broadcast::Sender::new(capacity))
    }

    fn listen(&self) -> EventStream {
        EventStream(self.0.subscribe())
    }

    /// Whether anybody listens; where nobody does, nothing needs to be prepared.
    fn is_heard(&self) -> bool {
        self.0.receiver_count() > 0
    }

    fn announce(&self, event: impl FnOnce() -> (EventKind, EventMetadata)) {
        if self.is_heard() {
            let (kind, metadata) = event();
            // The last listener may have gone since.
            let _ = self.0.send(Event::new(kind, metadata));
        }
    }

    pub(super) fn connected(&self, connection: &Connection, meta: impl FnOnce() -> Meta) {
        self.announce(|| {
            (EventKind::Connected(connection_event(connection, meta(), None)), of(connection))
        });
    }

    pub(super) fn disconnected(
        &self,
        connection: &Connection,
        now: Timestamp,
        meta: impl FnOnce() -> Meta,
    ) {
        self.announce(|| {
            let ended = connection_event(connection, meta(), Some(now));
            (EventKind::Disconnected(ended), of(connection))
        });
    }

    pub(super) fn subscribed(&self, connection: &Connection, channel: &Arc<str>, meta: &Meta) {
        self.announce(|| {
            let subscription = subscription_event(connection, channel, meta);
            let metadata = EventMetadata { channel: Some(Arc::clone(channel)), ..of(connection) };
            (EventKind::Subscribed(subscription), metadata)
        });
    }

    pub(super) fn unsubscribed(&self, connection: &Connection, channel: &Arc<str>, meta: &Meta) {
        self.announce(|| {
            let subscription = subscription_event(connection, channel, meta);
            let metadata = EventMetadata { channel: Some(Arc::clone(channel)), ..of(connection) };
            (EventKind::Unsubscribed(subscription), metadata)
        });
    }

    /// To be called under the channel's lock, so that the last count is the true one.
    pub(super) fn channel_updated(&self, channel: &Arc<str>, subscriptions_count: usize) {
        self.announce(|| {
            let name = Arc::clone(channel);
            let updated = ChannelEvent { name, subscriptions_count };
            let channel = Some(Arc::clone(channel));
            (EventKind::ChannelUpdated(updated), EventMetadata { channel, ..Default::default() })
        });
    }

    /// Prepares the event of a message, where anybody listens.
    pub(super) fn message(
        &self,
        channel: &Arc<str>,
        event: &str,
        origin: impl FnOnce() -> Origin,
    ) -> Option<Box<Announcement>> {
        self.is_heard().then(|| {
            let Origin { sender, connection_id, trigger } = origin();
            Box::new(Announcement {
                announcer: self.clone(),
                channel: Arc::clone(channel),
                event: event.into(),
                sender,
                connection_id,
                trigger,
            })
        })
    }
}

impl Announcement {
    /// Tells of the message, which has just been delivered.
    pub(super) fn send(self, id: MessageId, data: Bytes) {
        let Self { announcer, channel, event, sender, connection_id, trigger } = self;
        announcer.announce(|| {
            let metadata = EventMetadata {
                channel: Some(Arc::clone(&channel)),
                event: Some(Arc::clone(&event)),
                connection_id,
                trigger,
            };
            let Meta { uid, umd } = sender;
            let message = MessageEvent { id, event, channel, data, uid, umd };
            (EventKind::MessagePublished(message), metadata)
        });
    }
}

fn of(connection: &Connection) -> EventMetadata {
    EventMetadata { connection_id: Some(Arc::clone(connection.id())), ..Default::default() }
}

fn connection_event(
    connection: &Connection,
    meta: Meta,
    disconnected_at: Option<Timestamp>,
) -> ConnectionEvent {
    ConnectionEvent {
        id: Arc::clone(connection.id()),
        connected_at: connection.connected_at(),
        disconnected_at,
        keep_alive: connection.keep_alive(),
        uid: meta.uid,
        umd: meta.umd,
    }
}

fn subscription_event(
    connection: &Connection,
    channel: &Arc<str>,
    meta: &Meta,
) -> SubscriptionEvent {
    SubscriptionEvent {
        channel: Arc::clone(channel),
        connection_id: Arc::clone(connection.id()),
        uid: meta.uid.clone(),
        umd: meta.umd.clone(),
    }
}
