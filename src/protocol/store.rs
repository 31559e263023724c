//! Lifetimes (protocol section 2, `store`).

use super::error::{Code, ProtocolError};
use super::fields::{Field, Fields};
use super::names;
use fanfare_storage::{Retention, Timestamp};
use std::time::Duration;

/// Whole seconds, where a started one counts.
pub(crate) fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}

/// How long something is kept, in the protocol's terms: seconds, or forever.
///
/// A longer lifetime is the greater one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StoreFor {
    /// 0 is not at all.
    Seconds(u64),
    Forever,
}

impl StoreFor {
    /// In whole seconds, where a started one counts.
    pub(crate) fn whole_seconds(time: Duration) -> Self {
        Self::Seconds(whole_seconds(time))
    }

    /// The field `store` of a request; `None` where it is absent.
    pub(crate) fn read(fields: &Fields<'_>) -> Result<Option<Self>, ProtocolError> {
        match fields.integer(Field::Store)? {
            None => Ok(None),
            Some(-1) => Ok(Some(Self::Forever)),
            Some(seconds) => {
                // What is negative becomes too much, and is refused as such.
                let store = Self::Seconds(u64::try_from(seconds).unwrap_or(u64::MAX));
                store.check().map(|()| Some(store))
            }
        }
    }

    /// Refuses lifetimes beyond the limit (section 2).
    pub(crate) fn check(self) -> Result<(), ProtocolError> {
        match self {
            Self::Seconds(seconds) if seconds > names::MAX_STORE_SECONDS.unsigned_abs() => {
                Err(ProtocolError::new(
                    Code::InvalidMessage,
                    "\"store\" must be -1 (forever) or 0 to 3155695200 seconds",
                ))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn retention(self, now: Timestamp) -> Retention {
        match self {
            Self::Forever => Retention::Forever,
            Self::Seconds(0) => Retention::None,
            Self::Seconds(seconds) => Retention::Until(now + Duration::from_secs(seconds)),
        }
    }
}
