use fanfare_storage::{Error, ErrorKind};
use std::io;

/// What this storage makes of redb's errors. The operation is named by whoever calls.
pub(crate) fn from_redb(error: impl Into<redb::Error>) -> Error {
    let error = error.into();
    let (kind, message) = match error {
        redb::Error::Io(error) => return from_io(error),
        redb::Error::Corrupted(_) => (ErrorKind::Corrupt, "the file is damaged"),
        redb::Error::ValueTooLarge(_) => (ErrorKind::Full, "a record is too large"),
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
            (ErrorKind::Unavailable, "the store is open already, here or in another process")
        }
        redb::Error::UpgradeRequired(_) => (ErrorKind::Format, "redb's file format is too old"),
        redb::Error::TableTypeMismatch { .. }
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TypeDefinitionChanged { .. } => {
            (ErrorKind::Format, "the file's tables are not fanfare's")
        }
        _ => (ErrorKind::Unavailable, "the engine failed"),
    };
    Error::new(kind, "engine", message).with_source(error)
}

pub(crate) fn from_io(error: io::Error) -> Error {
    // What redb says of a file that is not its own.
    if error.kind() == io::ErrorKind::InvalidData {
        let message = "the file is no redb database";
        return Error::new(ErrorKind::Corrupt, "engine", message).with_source(error);
    }
    Error::from_io("engine", error)
}
