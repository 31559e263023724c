//! Error codes (protocol section 13).

use fanfare_storage::{Error as StorageError, ErrorKind};
use std::borrow::Cow;
use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $text:literal $status:literal,)*) => {
        /// A stable error code of the [protocol](crate::wire_protocol), section 13.
        ///
        /// Clients see it as text ([`as_str`](Self::as_str)), and over HTTP together with a status
        /// ([`status`](Self::status)).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = concat!("`", $text, "`, status ", stringify!($status), ":")]
            $(#[$doc])* $variant,)*
            /// A code of the host's own, with which a [hook](crate::Hooks) vetoes; with status 403.
            /// It is sent as it is, so it should be of capital letters and `_`, as the others are.
            Custom(&'static str),
        }

        impl Code {
            /// All but the host's own.
            const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code as it is on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* Self::Custom(code) => code }
            }

            /// The status that an HTTP answer with this code has.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* Self::Custom(_) => 403 }
            }
        }
    };
}

codes! {
    /// the connection is subscribed to the channel already.
    AlreadySubscribed "ALREADY_SUBSCRIBED" 409,
    /// what was asked for needs a subscription to the channel, and the connection has none.
    NotSubscribed "NOT_SUBSCRIBED" 403,
    /// no token grants `subscribe`, the connection has as many subscriptions as it may have
    /// ([`max_subscriptions`](crate::BrokerBuilder::max_subscriptions)), or the host ended the
    /// subscription before it began.
    SubscribePermissionDenied "SUBSCRIBE_PERMISSION_DENIED" 403,
    /// a subscribe token is not valid, lacks the scope `subscribe`, is another connection's or
    /// user's, was used before or revoked, or its alias is another subscription's.
    InvalidSubscribeToken "INVALID_SUBSCRIBE_TOKEN" 400,
    /// subscribing to a presence channel needs a `uid`.
    PresenceUserIdRequired "PRESENCE_CHANNEL_USER_ID_REQUIRED" 403,
    /// the members of a presence channel would take more than 102,400 bytes, by a join or a change
    /// of metadata.
    PresenceCapacityReached "PRESENCE_CHANNEL_CAPACITY_REACHED" 403,
    /// neither `publish` nor `broadcast` is granted.
    PublishPermissionDenied "PUBLISH_PERMISSION_DENIED" 403,
    /// something is to be put off, and `scheduleBefore` does not let it or is not granted.
    SchedulePermissionDenied "SCHEDULE_PERMISSION_DENIED" 403,
    /// `react` is not granted for the event of the message, the user has no `uid`, or the message
    /// has as many reactions as it may have, of this user or in all
    /// ([`max_reactions_per_message`](crate::BrokerBuilder::max_reactions_per_message)).
    ReactPermissionDenied "REACT_PERMISSION_DENIED" 403,
    /// `get` or `set` of the key is not granted, or the channel's storage has as many keys as it may
    /// have ([`max_storage_keys`](crate::BrokerBuilder::max_storage_keys)).
    StoragePermissionDenied "STORAGE_PERMISSION_DENIED" 403,
    /// `getInfo` is not granted.
    InfoPermissionDenied "INFO_PERMISSION_DENIED" 403,
    /// `umdUpdate` is not granted.
    UmdPermissionDenied "UMD_PERMISSION_DENIED" 403,
    /// no JSON object, a binary message, or a field of a wrong type or out of range, which the
    /// message names; also a request to connect that is no WebSocket upgrade.
    InvalidMessage "INVALID_MESSAGE" 400,
    /// a channel's name is missing, or is none.
    InvalidChannelName "INVALID_CHANNEL_NAME" 400,
    /// an event's name is missing, is none, or starts with `hotsock.`.
    InvalidEventName "INVALID_EVENT_NAME" 400,
    /// a key of channel storage is missing, or is none.
    InvalidStorageKey "INVALID_STORAGE_KEY" 400,
    /// a reaction is missing, or is none.
    InvalidReaction "INVALID_REACTION" 400,
    /// what names a message is no id.
    InvalidMessageId "INVALID_MESSAGE_ID" 400,
    /// a schedule expression or a time zone can't be read, the time has passed, or what can't be
    /// put off is to be.
    InvalidSchedule "INVALID_SCHEDULE" 400,
    /// a token that is to change metadata is missing or not valid, lacks the scope or the claim
    /// `umd`, is another connection's or user's, or was used before or revoked.
    InvalidUmdToken "INVALID_UMD_TOKEN" 400,
    /// the data has more than 32 KiB of JSON.
    DataTooLarge "DATA_TOO_LARGE" 400,
    /// a client's event starts with `hotsock.` and is no command.
    UnknownCommand "UNKNOWN_COMMAND" 400,
    /// the message reacted to is not stored or has expired, or the message whose reactions are
    /// asked for is out of sight.
    MessageNotFound "MESSAGE_NOT_FOUND" 404,
    /// the connection sends more than
    /// [`max_message_rate`](crate::BrokerBuilder::max_message_rate) allows, or as many revocations
    /// are in force as there may be.
    RateLimited "RATE_LIMITED" 429,
    /// the storage failed. No subscriber was told anything, though what was to be stored may be
    /// there all the same.
    StorageUnavailable "STORAGE_UNAVAILABLE" 503,
    /// there is no token to connect with, or it is not valid, lacks the scope `connect`, or was used
    /// before or revoked.
    InvalidToken "INVALID_TOKEN" 401,
    /// `connectionId` and `connectionSecret` are not those of an open connection.
    InvalidCredentials "INVALID_CREDENTIALS" 401,
    /// the path is for backends, and the request has none of the
    /// [API keys](crate::BrokerBuilder::api_key).
    InvalidApiKey "INVALID_API_KEY" 401,
    /// there is no such path, operation, connection, subscription or schedule.
    NotFound "NOT_FOUND" 404,
    /// the path does not answer this method.
    MethodNotAllowed "METHOD_NOT_ALLOWED" 405,
    /// the body of the request is too large.
    BodyTooLarge "BODY_TOO_LARGE" 413,
    /// the broker is shutting down, or has (beyond Hotsock).
    ShuttingDown "SHUTTING_DOWN" 503,
    /// as many connections as there may be are open
    /// ([`max_connections`](crate::BrokerBuilder::max_connections)) (beyond Hotsock).
    TooManyConnections "TOO_MANY_CONNECTIONS" 503,
    /// a [hook](crate::Hooks) took too long or panicked, which refused what it was asked (beyond
    /// Hotsock).
    Unavailable "UNAVAILABLE" 503,
}

impl Code {
    /// How many kinds of codes there are: hosts' own are one.
    pub(crate) const KINDS: usize = Self::ALL.len() + 1;

    /// Its kind's place among [`kinds`](Self::kinds).
    pub(crate) fn kind(self) -> usize {
        Self::ALL.iter().position(|code| *code == self).unwrap_or(Self::ALL.len())
    }

    /// The names of all kinds.
    pub(crate) fn kinds() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().map(|code| code.as_str()).chain(["CUSTOM"])
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What was wrong with a request, for the one who sent it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub(crate) struct ProtocolError {
    pub(crate) code: Code,
    pub(crate) message: Cow<'static, str>,
    /// The cause, for the host alone: it may tell of paths.
    storage: Option<Box<StorageError>>,
}

impl ProtocolError {
    pub(crate) fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), storage: None }
    }

    /// Says that the broker is ending.
    pub(crate) fn shutting_down() -> Self {
        Self::new(Code::ShuttingDown, "the server is shutting down; try again elsewhere")
    }

    /// Says that the storage failed. That nothing works any more once it is closed is the
    /// broker's end.
    pub(crate) fn storage(cause: StorageError, message: &'static str) -> Self {
        let said = match cause.kind() {
            ErrorKind::Closed => Self::shutting_down(),
            _ => Self::new(Code::StorageUnavailable, message),
        };
        Self { storage: Some(Box::new(cause)), ..said }
    }

    /// What the storage said.
    pub(crate) fn storage_error(&self) -> Option<&StorageError> {
        self.storage.as_deref()
    }
}

/// As clients see it.
impl PartialEq for ProtocolError {
    fn eq(&self, other: &Self) -> bool {
        (self.code, &self.message) == (other.code, &other.message)
    }
}

impl Eq for ProtocolError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes and statuses, from the table of the chapter on errors.
    fn documented() -> Vec<(&'static str, u16)> {
        let text = include_str!("../../docs/protocol.md");
        let (_, errors) = text.split_once("\n## 13. ").expect("the chapter on errors");
        let rows = errors.lines().filter_map(|line| line.strip_prefix("| `"));
        rows.map(|row| {
            let cells: Vec<_> = row.split(" | ").collect();
            let [code, status, when] = cells[..] else { panic!("not three cells: {row}") };
            assert!(when.len() > 2, "{code} comes sometimes");
            (code.strip_suffix('`').expect("one code in a row"), status.parse().expect(row))
        })
        .collect()
    }

    #[test]
    fn section_13_every_code_is_documented_and_no_other() {
        let all: Vec<_> = Code::ALL.iter().map(|code| (code.as_str(), code.status())).collect();
        assert_eq!(documented(), all, "in the same order");
    }
}
