//! Error codes (protocol section 13).

use fanfare_storage::{Error as StorageError, ErrorKind};
use std::borrow::Cow;
use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $text:literal $status:literal,)*) => {
        /// A stable error code of the protocol, section 13.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[allow(missing_docs)] // The codes are documented by the protocol, under these names.
        pub enum Code {
            $($(#[$doc])* $variant,)*
            /// A code of the host's own, with which a hook vetoes; with status 403.
            Custom(&'static str),
        }

        impl Code {
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
    AlreadySubscribed "ALREADY_SUBSCRIBED" 409,
    NotSubscribed "NOT_SUBSCRIBED" 403,
    SubscribePermissionDenied "SUBSCRIBE_PERMISSION_DENIED" 403,
    InvalidSubscribeToken "INVALID_SUBSCRIBE_TOKEN" 400,
    PresenceUserIdRequired "PRESENCE_CHANNEL_USER_ID_REQUIRED" 403,
    PresenceCapacityReached "PRESENCE_CHANNEL_CAPACITY_REACHED" 403,
    PublishPermissionDenied "PUBLISH_PERMISSION_DENIED" 403,
    SchedulePermissionDenied "SCHEDULE_PERMISSION_DENIED" 403,
    ReactPermissionDenied "REACT_PERMISSION_DENIED" 403,
    StoragePermissionDenied "STORAGE_PERMISSION_DENIED" 403,
    InfoPermissionDenied "INFO_PERMISSION_DENIED" 403,
    UmdPermissionDenied "UMD_PERMISSION_DENIED" 403,
    InvalidMessage "INVALID_MESSAGE" 400,
    InvalidChannelName "INVALID_CHANNEL_NAME" 400,
    InvalidEventName "INVALID_EVENT_NAME" 400,
    InvalidStorageKey "INVALID_STORAGE_KEY" 400,
    InvalidReaction "INVALID_REACTION" 400,
    InvalidMessageId "INVALID_MESSAGE_ID" 400,
    InvalidSchedule "INVALID_SCHEDULE" 400,
    InvalidUmdToken "INVALID_UMD_TOKEN" 400,
    DataTooLarge "DATA_TOO_LARGE" 400,
    UnknownCommand "UNKNOWN_COMMAND" 400,
    MessageNotFound "MESSAGE_NOT_FOUND" 404,
    RateLimited "RATE_LIMITED" 429,
    StorageUnavailable "STORAGE_UNAVAILABLE" 503,
    InvalidToken "INVALID_TOKEN" 401,
    InvalidCredentials "INVALID_CREDENTIALS" 401,
    InvalidApiKey "INVALID_API_KEY" 401,
    NotFound "NOT_FOUND" 404,
    MethodNotAllowed "METHOD_NOT_ALLOWED" 405,
    BodyTooLarge "BODY_TOO_LARGE" 413,
    /// The broker is shutting down (beyond the listed codes, for section 1's 503).
    ShuttingDown "SHUTTING_DOWN" 503,
    /// A hook of the host's could not decide in time (beyond the listed codes).
    Unavailable "UNAVAILABLE" 503,
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
