//! What hosts are told when something fails.

use crate::protocol::error::{Code, ProtocolError};
use std::fmt;

/// A failed call on a broker.
///
/// Which kind of failure it is can be asked with the `is_…` methods; [`code`](Self::code) is the
/// code that a client would see.
#[derive(Debug)]
pub struct Error {
    error: ProtocolError,
    source: Option<fanfare_storage::Error>,
}

impl Error {
    pub(super) fn storage(source: fanfare_storage::Error) -> Self {
        let error = ProtocolError::new(Code::StorageUnavailable, "the storage failed");
        Self { error, source: Some(source) }
    }

    /// The stable code of the protocol, section 13.
    #[must_use]
    pub fn code(&self) -> Code {
        self.error.code
    }

    /// The caller's values are at fault; the same call fails again.
    #[must_use]
    pub fn is_invalid_input(&self) -> bool {
        self.error.code.status() == 400
    }

    /// There is no such thing, such as a connection that has ended.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.error.code.status() == 404
    }

    /// There are as many as the broker keeps; see the call that failed.
    #[must_use]
    pub fn is_limit_reached(&self) -> bool {
        // Hosts need no permissions, so that these codes mean nothing else to them.
        let limits =
            [Code::RateLimited, Code::ReactPermissionDenied, Code::StoragePermissionDenied];
        limits.contains(&self.error.code)
    }

    /// The storage failed; the same call may succeed later.
    #[must_use]
    pub fn is_storage_unavailable(&self) -> bool {
        self.error.code == Code::StorageUnavailable
    }

    /// The broker is shutting down or has.
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        self.error.code == Code::ShuttingDown
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

impl From<Error> for ProtocolError {
    fn from(error: Error) -> Self {
        error.error
    }
}

impl From<ProtocolError> for Error {
    fn from(error: ProtocolError) -> Self {
        Self { error, source: None }
    }
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
