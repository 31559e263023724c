use std::error::Error as StdError;
use std::sync::Arc;
use std::{fmt, io};

/// What storage operations return.
pub type Result<T> = std::result::Result<T, Error>;

/// What kind of failure an [`Error`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The engine failed or can't be reached at the moment.
    Unavailable,
    /// There is no room for more.
    Full,
    /// What is stored can't be read as what was written.
    Corrupt,
    /// The store was written in a format that this version does not know.
    Format,
    /// The storage was closed.
    Closed,
}

/// A failed storage operation: its kind, which operation it was, whether a retry can help, and
/// its source where there is one. Nothing of a failed write was applied, but where the sync itself
/// failed: then a durable backend may not know.
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    operation: &'static str,
    message: String,
    retryable: bool,
    /// Shared, so that a failure can be told to everyone whom it concerns.
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind` in `operation`, a trait method's name; `message` says what went wrong.
    /// It counts as worth a retry where the kind is [`ErrorKind::Unavailable`].
    pub fn new(kind: ErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            operation,
            message: message.into(),
            retryable: kind == ErrorKind::Unavailable,
            source: None,
        }
    }

    /// What a failed system call means: [`ErrorKind::Full`] where there is no room,
    /// [`ErrorKind::Unavailable`] otherwise, not worth a retry where the path or its permissions
    /// are wrong.
    #[must_use]
    pub fn from_io(operation: &'static str, error: io::Error) -> Self {
        let (kind, message, retryable) = match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => (ErrorKind::Full, "there is no room", true),
            io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::AlreadyExists => {
                (ErrorKind::Unavailable, "the path can't be used", false)
            }
            _ => (ErrorKind::Unavailable, "reading or writing failed", true),
        };
        Self::new(kind, operation, message).with_retryable(retryable).with_source(error)
    }

    /// Says whether the same call may succeed later.
    #[must_use]
    pub fn with_retryable(mut self, retryable: bool) -> Self {
        self.retryable = retryable;
        self
    }

    /// Names the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What went wrong, without the name of the operation.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The operation that failed.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// The same failure, as seen by another operation that it made fail.
    #[must_use]
    pub fn in_operation(mut self, operation: &'static str) -> Self {
        self.operation = operation;
        self
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "storage operation {} failed: {}", self.operation, self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("operation", &self.operation)
            .field("message", &self.message)
            .field("retryable", &self.retryable)
            .field("source", &self.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
