//! What a session wants done.

use super::reaction::ReactionRequest;
use super::storage::{ENTRY_SET, GetRequest};
use super::umd::UmdUpdate;
use crate::auth::Permissions;
use crate::protocol::error::ProtocolError;
use crate::protocol::event::{Event, Meta, Subscribed};
use crate::protocol::store::StoreFor;
use fanfare_storage::{MessageId, Timestamp, TokenUse};
use std::borrow::Cow;
use std::sync::Arc;

/// One thing to be done; what is borrowed comes from the message that caused it.
#[derive(Debug)]
pub(crate) enum Action<'a, R = ()> {
    /// Nothing.
    None,
    /// Say this to the client.
    Reply(Event),
    /// Ask storage about a single-use token, then call
    /// [`Session::token_used`](super::Session::token_used).
    UseToken(UseToken),
    /// Ask the host whether it vetoes a subscribe, then call
    /// [`Session::host_answered`](super::Session::host_answered).
    AskHost(SubscribeQuestion),
    /// Call [`Session::auto_subscribe`](super::Session::auto_subscribe), once all actions before
    /// this one are done.
    AutoSubscribe(Arc<str>),
    /// Register with a channel, confirm, and call [`Session::joined`](super::Session::joined),
    /// all before anything that the channel delivers. Where that is refused, call
    /// [`Session::join_refused`](super::Session::join_refused).
    Join(Join),
    /// End a registration, then say that it ended.
    Leave(Leave<R>),
    /// Look at the message reacted to, ask [`Session::may_react`](super::Session::may_react), and
    /// give or take the reaction.
    React(ReactionRequest),
    /// Publish a message, or set a value of a channel's storage.
    Write(WriteRequest<'a>),
    /// Change the user's metadata.
    UpdateUmd(UmdUpdate),
    /// Read a value of a channel's storage, and say it.
    GetEntry(GetRequest<'a>),
    /// Close the connection.
    Close(CloseReason),
}

impl<R> Action<'_, R> {
    pub(crate) fn error(channel: Option<Box<str>>, error: ProtocolError) -> Self {
        Self::Reply(Event::Error { channel, error })
    }
}

/// A question to storage about a single-use token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UseToken {
    pub(crate) token: TokenUse,
    /// Whether the token is to be used up. It is only looked at where its use fails for another
    /// reason, since a token that was used before is refused as such first (section 6).
    pub(crate) spend: bool,
}

/// A subscription that the host may veto, or show with another user.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SubscribeQuestion {
    pub(crate) channel: Arc<str>,
    pub(crate) meta: Meta,
    /// Whether the token asks for it, and not the client.
    pub(crate) auto: bool,
}

/// A subscription to be registered.
#[derive(Debug)]
pub(crate) struct Join {
    pub(crate) channel: Arc<str>,
    /// The channel as the client wrote it, for errors.
    pub(crate) written: Box<str>,
    pub(crate) confirmation: Subscribed,
    /// Whether the subscription shows in the channel's count (section 10).
    pub(crate) counted: bool,
    /// The tokens that say which keys of the channel's storage it observes, where it may observe
    /// any (section 7.3).
    pub(crate) observer: Option<Observer>,
    /// What is to be delivered of what the client missed, where it asked and may have any.
    pub(crate) recovery: Option<Recovery>,
    /// A single-use token to be used up if there is room among the members.
    pub(crate) spend: Option<TokenUse>,
}

/// What a client that comes back asks for (section 6, recovery).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recovery {
    /// The last id that the client knows.
    pub(crate) after: MessageId,
    /// The least id that it may read.
    pub(crate) horizon: MessageId,
}

/// The tokens in force on a subscription.
#[derive(Clone, Debug)]
pub(crate) struct Observer {
    pub(crate) connect: Arc<Permissions>,
    pub(crate) subscribe: Option<Arc<Permissions>>,
}

/// A registration to be ended.
#[derive(Debug)]
pub(crate) struct Leave<R> {
    pub(crate) registration: R,
    pub(crate) farewell: Event,
}

/// Something that a client may write.
#[derive(Debug)]
pub(crate) struct WriteRequest<'a> {
    /// The channel's real name.
    pub(crate) channel: Arc<str>,
    /// The channel as the client wrote it, for errors that come later.
    pub(crate) written: Cow<'a, str>,
    pub(crate) kind: WriteKind<'a>,
    /// JSON text.
    pub(crate) data: Cow<'a, str>,
    /// Who others see as the sender.
    pub(crate) meta: Meta,
    /// Whether broker events tell of it (section 12).
    pub(crate) emit: bool,
    /// Counted from when it is done.
    pub(crate) store: StoreFor,
    /// When it is to be done, where not at once.
    pub(crate) due: Option<Timestamp>,
}

/// What is written.
#[derive(Debug)]
pub(crate) enum WriteKind<'a> {
    Message {
        event: Cow<'a, str>,
        /// Whether the sender's own subscription gets a copy.
        echo: bool,
    },
    /// A value of the channel's storage, which some data clear; see
    /// [`is_clearing`](super::is_clearing).
    Entry { key: Cow<'a, str> },
}

impl WriteRequest<'_> {
    pub(crate) fn into_owned(self) -> WriteRequest<'static> {
        WriteRequest {
            channel: self.channel,
            written: Cow::Owned(self.written.into_owned()),
            kind: match self.kind {
                WriteKind::Message { event, echo } => {
                    WriteKind::Message { event: Cow::Owned(event.into_owned()), echo }
                }
                WriteKind::Entry { key } => WriteKind::Entry { key: Cow::Owned(key.into_owned()) },
            },
            data: Cow::Owned(self.data.into_owned()),
            meta: self.meta,
            emit: self.emit,
            store: self.store,
            due: self.due,
        }
    }

    /// The event, or the command.
    pub(crate) fn event(&self) -> &str {
        match &self.kind {
            WriteKind::Message { event, .. } => event,
            WriteKind::Entry { .. } => ENTRY_SET,
        }
    }
}

/// Why a connection is closed by the server (section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseReason {
    MaximumAge,
    Idle,
    Draining,
    MissedHeartbeat,
    /// By an operator, or since its token was revoked.
    Disconnected,
    SlowConsumer,
    /// Storage could not tell whether a token was used (section 6: a subscribe is not refused
    /// for a passing fault).
    StorageFault,
    MessageTooBig,
    ProtocolViolation,
    InvalidText,
}

impl CloseReason {
    /// All of them, in their order.
    pub(crate) const ALL: [Self; 10] = [
        Self::MaximumAge,
        Self::Idle,
        Self::Draining,
        Self::MissedHeartbeat,
        Self::Disconnected,
        Self::SlowConsumer,
        Self::StorageFault,
        Self::MessageTooBig,
        Self::ProtocolViolation,
        Self::InvalidText,
    ];

    /// A word for it, as metrics have it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::MaximumAge => "maximum_age",
            Self::Idle => "idle",
            Self::Draining => "draining",
            Self::MissedHeartbeat => "missed_heartbeat",
            Self::Disconnected => "disconnected",
            Self::SlowConsumer => "slow_consumer",
            Self::StorageFault => "storage_fault",
            Self::MessageTooBig => "message_too_big",
            Self::ProtocolViolation => "protocol_violation",
            Self::InvalidText => "invalid_text",
        }
    }

    /// The close code (RFC 6455 section 7.4, protocol section 5).
    pub(crate) const fn code(self) -> u16 {
        match self {
            Self::MaximumAge | Self::Idle => 1001,
            Self::ProtocolViolation => 1002,
            Self::InvalidText => 1007,
            Self::MessageTooBig => 1009,
            Self::Draining => 1012,
            Self::StorageFault => 1013,
            Self::Disconnected => 4403,
            Self::MissedHeartbeat => 4408,
            Self::SlowConsumer => 4429,
        }
    }

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::MaximumAge => "maximum connection age reached",
            Self::Idle => "idle for too long",
            Self::ProtocolViolation => "WebSocket protocol violation",
            Self::InvalidText => "text is not valid UTF-8",
            Self::MessageTooBig => "message too big",
            Self::Draining => "server is restarting",
            Self::StorageFault => "try again later",
            Self::MissedHeartbeat => "heartbeat missed",
            Self::Disconnected => "disconnected by an operator",
            Self::SlowConsumer => "slow consumer",
        }
    }
}

/// Where a subscription starts: only what has a greater id was published after it.
pub(crate) type Start = MessageId;
