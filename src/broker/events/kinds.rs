//! What an event tells (protocol section 12).

use bytes::Bytes;
use fanfare_storage::{MessageId, Timestamp};
use std::sync::Arc;

/// Something that happened in a broker; see [`Broker::events`](crate::Broker::events). Clones are
/// cheap and share what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event(Arc<Inner>);

#[derive(Debug, PartialEq, Eq)]
struct Inner {
    kind: EventKind,
    metadata: EventMetadata,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A connection was opened: `hotsock.connected`.
    Connected(ConnectionEvent),
    /// A connection ended, after its subscriptions: `hotsock.disconnected`.
    Disconnected(ConnectionEvent),
    /// A subscription was confirmed: `hotsock.subscribed`.
    Subscribed(SubscriptionEvent),
    /// A subscription that had been confirmed ended: `hotsock.unsubscribed`.
    Unsubscribed(SubscriptionEvent),
    /// The number of a channel's subscriptions changed: `hotsock.channelUpdated`. Not for those
    /// that `omitFromSubCount` leaves out.
    ChannelUpdated(ChannelEvent),
    /// A message for which `emitPubSubEvent` is true was delivered: `hotsock.messagePublished`.
    MessagePublished(MessageEvent),
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionEvent {
    /// Its id.
    pub id: Arc<str>,
    /// When it was opened.
    pub connected_at: Timestamp,
    /// When it ended, where it did.
    pub disconnected_at: Option<Timestamp>,
    /// Whether its token asks for `hotsock.keepAlive`.
    pub keep_alive: bool,
    /// The user id.
    pub uid: Option<Arc<str>>,
    /// The user metadata, JSON text.
    pub umd: Option<Bytes>,
}

/// A connection's subscription to a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriptionEvent {
    /// The channel's real name.
    pub channel: Arc<str>,
    /// The connection.
    pub connection_id: Arc<str>,
    /// The user id, which a subscribe token may have overridden.
    pub uid: Option<Arc<str>>,
    /// The user metadata, JSON text; likewise.
    pub umd: Option<Bytes>,
}

/// A channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelEvent {
    /// Its name.
    pub name: Arc<str>,
    /// How many subscriptions count.
    pub subscriptions_count: usize,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageEvent {
    /// Its id, as subscribers see it.
    pub id: MessageId,
    /// Its event.
    pub event: Arc<str>,
    /// Its channel's real name.
    pub channel: Arc<str>,
    /// Its data, JSON text as it was sent.
    pub data: Bytes,
    /// The sender's user id; none where the server published it.
    pub uid: Option<Arc<str>>,
    /// The sender's user metadata, JSON text; likewise.
    pub umd: Option<Bytes>,
}

/// How an event came about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventMetadata {
    /// The channel that it is about.
    pub channel: Option<Arc<str>>,
    /// The event of a message.
    pub event: Option<Arc<str>>,
    /// The connection that caused it.
    pub connection_id: Option<Arc<str>>,
    /// How a message was published; none for one that was scheduled.
    pub trigger: Option<Trigger>,
}

/// Where a message came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trigger {
    /// A client's WebSocket.
    ClientWebSocket,
    /// The client HTTP API.
    ClientHttp,
    /// The server HTTP API.
    ServerHttp,
    /// The host's own calls (beyond Hotsock).
    ServerEmbedded,
}

impl Trigger {
    /// Its name in `metadata`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ClientWebSocket => "client.websocket",
            Self::ClientHttp => "client.http",
            Self::ServerHttp => "server.http",
            Self::ServerEmbedded => "server.embedded",
        }
    }
}

impl Event {
    pub(crate) fn new(kind: EventKind, metadata: EventMetadata) -> Self {
        Self(Arc::new(Inner { kind, metadata }))
    }

    /// What happened.
    #[must_use]
    pub fn kind(&self) -> &EventKind {
        &self.0.kind
    }

    /// How it came about.
    #[must_use]
    pub fn metadata(&self) -> &EventMetadata {
        &self.0.metadata
    }

    /// The `type` of its JSON form, such as `hotsock.connected`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.kind() {
            EventKind::Connected(_) => "hotsock.connected",
            EventKind::Disconnected(_) => "hotsock.disconnected",
            EventKind::Subscribed(_) => "hotsock.subscribed",
            EventKind::Unsubscribed(_) => "hotsock.unsubscribed",
            EventKind::ChannelUpdated(_) => "hotsock.channelUpdated",
            EventKind::MessagePublished(_) => "hotsock.messagePublished",
        }
    }
}
