//! Events for the host (protocol section 12): a bounded stream of what happens.
//!
//! Nobody waits for who listens. An event costs nothing where nobody does.

mod announcement;
mod cause;
mod encode;
mod kinds;
#[cfg(test)]
mod tests;

pub use cause::SourceIp;
pub use kinds::{
    ChannelEvent, ChannelMemberEvent, ChannelStorageEvent, ConnectionEvent, Event, EventKind,
    EventMetadata, MessageEvent, MessageReactionEvent, SubscriptionEvent, Trigger,
};

pub(crate) use announcement::{Announcement, Subject};
pub(crate) use cause::{Cause, Peer, StoredCause, Via};

use super::Broker;
use super::connection::Connection;
use crate::protocol::event::Meta;
use crate::protocol::presence::ChangeKind;
use fanfare_storage::Timestamp;
use std::fmt;
use std::sync::Arc;
use tokio::sync::broadcast::{
    self,
    error::{RecvError, TryRecvError},
};

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

    /// The next event, where one is there already.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Option<Result<Event, Lagged>> {
        match self.0.try_recv() {
            Ok(event) => Some(Ok(event)),
            Err(TryRecvError::Lagged(dropped)) => Some(Err(Lagged(dropped))),
            Err(TryRecvError::Empty | TryRecvError::Closed) => None,
        }
    }
}

impl Broker {
    /// What happens from now on: connections, subscriptions, members of presence channels, and the
    /// messages, reactions and values of channel storage for which `emitPubSubEvent` is true
    /// (protocol section 12). Each stream gets each event once.
    ///
    /// Those of messages, reactions and values come in their channel's order, once they are stored,
    /// where they are to be, and delivered. Those of one channel's members come in the order in
    /// which these changed, as do those of one connection and its subscriptions. Values expire
    /// where no order is, and are told within a second or so; where one is set anew before that, its
    /// expiry is told first, unless it is just being swept up.
    ///
    /// What is told of addresses is what the host says ([`SourceIp`]).
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

impl Announcer {
    /// That keeps so many events for who is slow.
    pub(super) fn new(capacity: usize) -> Self {
        Self(broadcast::Sender::new(capacity))
    }

    fn listen(&self) -> EventStream {
        EventStream(self.0.subscribe())
    }

    /// Whether anybody listens; where nobody does, nothing needs to be prepared.
    pub(super) fn is_heard(&self) -> bool {
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

    /// To be called under the session's lock, so that the last is the true one.
    pub(super) fn connection_updated(&self, connection: &Connection, meta: &Meta) {
        self.announce(|| {
            let updated = connection_event(connection, meta.clone(), None);
            (EventKind::ConnectionUpdated(updated), of(connection))
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

    /// To be called in the order of the changes, which is that of their channel.
    pub(super) fn member_changed(
        &self,
        kind: ChangeKind,
        member: impl FnOnce() -> ChannelMemberEvent,
    ) {
        self.announce(|| {
            let member = member();
            let channel = Some(Arc::clone(&member.channel));
            let kind = match kind {
                ChangeKind::Added => EventKind::MemberAdded(member),
                ChangeKind::Updated => EventKind::MemberUpdated(member),
                ChangeKind::Removed => EventKind::MemberRemoved(member),
            };
            (kind, EventMetadata { channel, ..Default::default() })
        });
    }
}

fn of(connection: &Connection) -> EventMetadata {
    let Peer { source_ip, user_agent } = connection.peer().clone();
    let connection_id = Some(Arc::clone(connection.id()));
    EventMetadata { connection_id, source_ip, user_agent, ..Default::default() }
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
        source_ip: connection.peer().source_ip,
        uid: meta.uid,
        umd: meta.umd,
        user_agent: connection.peer().user_agent.clone(),
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
