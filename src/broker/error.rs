//! What hosts are told when something fails.

use crate::protocol::error::{Code, ProtocolError};
use std::fmt;

/// A failed call on a broker.
///
/// Which kind of failure it is can be asked with the `is_…` methods; [`code`](Self::code) is the
/// code that a client would see.
#[derive(Clone, Debug)]
pub struct Error(ProtocolError);

impl Error {
    pub(super) fn storage(cause: fanfare_storage::Error) -> Self {
        Self(ProtocolError::storage(cause, "the storage failed"))
    }

    /// The stable code of the protocol, section 13.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The caller's values are at fault; the same call fails again.
    #[must_use]
    pub fn is_invalid_input(&self) -> bool {
        self.0.code.status() == 400
    }

    /// There is no such thing, such as a connection that has ended.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.0.code.status() == 404
    }

    /// There are as many as the broker keeps; see the call that failed.
    #[must_use]
    pub fn is_limit_reached(&self) -> bool {
        // Hosts need no permissions, so that these codes mean nothing else to them.
        let limits =
            [Code::RateLimited, Code::ReactPermissionDenied, Code::StoragePermissionDenied];
        limits.contains(&self.0.code)
    }

    /// The storage failed; the same call may succeed later.
    #[must_use]
    pub fn is_storage_unavailable(&self) -> bool {
        self.0.code == Code::StorageUnavailable
    }

    /// The broker is shutting down or has, or its storage was closed by somebody else.
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        self.0.code == Code::ShuttingDown
    }

    /// What the storage said, where it was the storage that failed. Its kind tells a full disk from
    /// one that can't be reached.
    #[must_use]
    pub fn storage_error(&self) -> Option<&fanfare_storage::Error> {
        self.0.storage_error()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.storage_error().map(|cause| cause as _)
    }
}

impl From<Error> for ProtocolError {
    fn from(error: Error) -> Self {
        error.0
    }
}

impl From<ProtocolError> for Error {
    fn from(error: ProtocolError) -> Self {
        Self(error)
    }
}

/// A read that failed.
pub(super) fn unreadable(cause: fanfare_storage::Error) -> ProtocolError {
    tracing::debug!(error = %cause, "the storage could not be read");
    ProtocolError::storage(cause, "the storage can't be read; try again later")
}

/// Why a broker could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// No verifying key was given, so nobody could ever connect.
    #[error("a broker needs at least one verifying key")]
    NoKeys,
    /// No storage was given. `MemoryStorage` keeps nothing across a restart, but is one.
    #[error("a broker needs a storage")]
    NoStorage,
    /// A setting is out of its range.
    #[error("{0}")]
    Setting(String),
    /// The storage does not answer.
    #[error("the storage does not work")]
    Storage(#[source] fanfare_storage::Error),
}
