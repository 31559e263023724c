//! What an event tells (protocol section 12).

use bytes::Bytes;
use fanfare_storage::{MessageId, Timestamp};
use std::net::IpAddr;
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
    /// A connection's user metadata changed: `hotsock.connectionUpdated`.
    ConnectionUpdated(ConnectionEvent),
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
    /// A reaction was given to a message whose event has `emitPubSubEvent`:
    /// `hotsock.messageReactionAdded`.
    MessageReactionAdded(MessageReactionEvent),
    /// Likewise, of one that was taken back: `hotsock.messageReactionRemoved`.
    MessageReactionRemoved(MessageReactionEvent),
    /// A value of a channel's storage changed or expired, whose last write has `emitPubSubEvent`:
    /// `hotsock.channelStorageUpdated`.
    ChannelStorageUpdated(ChannelStorageEvent),
    /// A user joined a presence channel, with their first connection: `hotsock.memberAdded`.
    MemberAdded(ChannelMemberEvent),
    /// What a presence channel shows of a member changed: `hotsock.memberUpdated`.
    MemberUpdated(ChannelMemberEvent),
    /// A member left, with their last connection: `hotsock.memberRemoved`.
    MemberRemoved(ChannelMemberEvent),
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
    /// The address that it comes from, where the host tells it ([`SourceIp`](crate::SourceIp)).
    pub source_ip: Option<IpAddr>,
    /// The user id.
    pub uid: Option<Arc<str>>,
    /// The user metadata, JSON text.
    pub umd: Option<Bytes>,
    /// What the client says it is, up to 512 bytes of it.
    pub user_agent: Option<Arc<str>>,
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

/// A value of a channel's storage.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelStorageEvent {
    /// The channel's real name.
    pub channel: Arc<str>,
    /// The key.
    pub key: Arc<str>,
    /// The value, JSON text as it was sent; none where it was cleared or has expired.
    pub data: Option<Bytes>,
    /// The value before, JSON text, where there was one.
    pub data_previous: Option<Bytes>,
    /// Whether the value has expired.
    pub expired: bool,
    /// When the value goes, or when it went that has expired; none where it is kept forever.
    pub expires_at: Option<Timestamp>,
    /// The user id of who wrote last; none where the server did.
    pub uid: Option<Arc<str>>,
    /// The user metadata of who wrote last, JSON text; likewise.
    pub umd: Option<Bytes>,
}

/// A reaction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageReactionEvent {
    /// The channel's real name.
    pub channel: Arc<str>,
    /// The message reacted to.
    pub message_id: MessageId,
    /// The id with which subscribers were told that it was given, also where it was taken back.
    pub id: MessageId,
    /// The reaction, such as an emoji.
    pub reaction: Arc<str>,
    /// Who gave it.
    pub uid: Arc<str>,
    /// Their metadata when they did, JSON text.
    pub umd: Option<Bytes>,
    /// When it was given.
    pub created_at: Timestamp,
    /// When it goes, with its message; none where that is kept forever.
    pub expires_at: Option<Timestamp>,
}

/// A member of a presence channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelMemberEvent {
    /// The channel's real name, which the JSON form has in `metadata` only.
    pub channel: Arc<str>,
    /// The user id.
    pub uid: Arc<str>,
    /// The user metadata, JSON text; of one who left, what was shown last.
    pub umd: Option<Bytes>,
    /// All members from then on, JSON text: an array of objects with `uid` and `umd`, in the order
    /// of joining.
    pub members: Bytes,
}

/// How an event came about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventMetadata {
    /// The channel that it is about.
    pub channel: Option<Arc<str>>,
    /// The event of a message or, of a reaction, of the message reacted to.
    pub event: Option<Arc<str>>,
    /// The key in the channel's storage.
    pub key: Option<Arc<str>>,
    /// The reaction.
    pub reaction: Option<Arc<str>>,
    /// The connection that caused it.
    pub connection_id: Option<Arc<str>>,
    /// The address that the request came from, or else the connection, where the host tells it
    /// ([`SourceIp`](crate::SourceIp)).
    pub source_ip: Option<IpAddr>,
    /// What the client or backend says it is, up to 512 bytes of it.
    pub user_agent: Option<Arc<str>>,
    /// Which request caused it: the same for all that one request published, made up but where a
    /// backend names it in `X-Request-Id`.
    pub request_id: Option<Arc<str>>,
    /// How it came in; of what was scheduled, how the request did that asked for it.
    pub trigger: Option<Trigger>,
}

/// Where a message, a value or a reaction came in.
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

    pub(super) fn by_name(name: &str) -> Option<Self> {
        let all = [Self::ClientWebSocket, Self::ClientHttp, Self::ServerHttp, Self::ServerEmbedded];
        all.into_iter().find(|trigger| trigger.name() == name)
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
            EventKind::ConnectionUpdated(_) => "hotsock.connectionUpdated",
            EventKind::Disconnected(_) => "hotsock.disconnected",
            EventKind::Subscribed(_) => "hotsock.subscribed",
            EventKind::Unsubscribed(_) => "hotsock.unsubscribed",
            EventKind::ChannelUpdated(_) => "hotsock.channelUpdated",
            EventKind::MessagePublished(_) => "hotsock.messagePublished",
            EventKind::MessageReactionAdded(_) => "hotsock.messageReactionAdded",
            EventKind::MessageReactionRemoved(_) => "hotsock.messageReactionRemoved",
            EventKind::ChannelStorageUpdated(_) => "hotsock.channelStorageUpdated",
            EventKind::MemberAdded(_) => "hotsock.memberAdded",
            EventKind::MemberUpdated(_) => "hotsock.memberUpdated",
            EventKind::MemberRemoved(_) => "hotsock.memberRemoved",
        }
    }
}
