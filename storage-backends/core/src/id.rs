use crate::Timestamp;
use std::fmt;
use std::str::FromStr;
use ulid::Ulid;

/// The id of a message, a [ULID](https://github.com/ulid/spec): 48 bits of milliseconds, then
/// 80 bits of its own. Ids of one channel strictly increase, in the order of delivery.
///
/// Its text form has 26 characters of Crockford's base 32 and sorts as the id does.
///
/// ```
/// use fanfare_storage::{MessageId, Timestamp};
///
/// let id: MessageId = "01KQ4ZJ8T3V5N7P9R1S3W5X7Z9".parse()?;
/// assert_eq!(id.to_string(), "01KQ4ZJ8T3V5N7P9R1S3W5X7Z9");
/// assert!(MessageId::first_at(id.timestamp()) < id);
/// # Ok::<(), fanfare_storage::InvalidMessageId>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(u128);

impl MessageId {
    /// Less than or equal to every id.
    pub const MIN: MessageId = MessageId(0);
    /// Greater than or equal to every id.
    pub const MAX: MessageId = MessageId(u128::MAX);
    /// Characters of the text form.
    pub const TEXT_LEN: usize = ulid::ULID_LEN;

    /// From a moment and the 80 bits that tell ids of one millisecond apart; higher bits of
    /// `random`, and of milliseconds beyond 48 bits, are cut off.
    #[must_use]
    pub const fn from_parts(time: Timestamp, random: u128) -> Self {
        Self(Ulid::from_parts(time.as_unix_millis(), random).0)
    }

    /// The least id of a moment; [`MessageId::MAX`] for moments beyond what an id can carry (the
    /// year 10889), so that a bound in the far future never wraps to one in the past.
    #[must_use]
    pub const fn first_at(time: Timestamp) -> Self {
        if time.as_unix_millis() >> Ulid::TIME_BITS == 0 {
            Self::from_parts(time, 0)
        } else {
            Self::MAX
        }
    }

    /// The next id in order; [`MessageId::MAX`] is its own.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The id before in order; [`MessageId::MIN`] is its own.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The moment that the id carries.
    #[must_use]
    pub const fn timestamp(self) -> Timestamp {
        Timestamp::from_unix_millis(Ulid(self.0).timestamp_ms())
    }

    /// As a number; ids compare as these do.
    #[must_use]
    pub const fn as_u128(self) -> u128 {
        self.0
    }

    /// From a number.
    #[must_use]
    pub const fn from_u128(number: u128) -> Self {
        Self(number)
    }

    /// Writes the text form, ASCII throughout.
    #[must_use]
    pub const fn encode(self, buffer: &mut [u8; Self::TEXT_LEN]) -> &str {
        Ulid(self.0).array_to_str(buffer)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.encode(&mut [0; Self::TEXT_LEN]))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is no ULID: not 26 characters of Crockford's base 32, or beyond 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message id has 26 characters of Crockford's base 32")]
pub struct InvalidMessageId;

impl FromStr for MessageId {
    type Err = InvalidMessageId;

    fn from_str(text: &str) -> Result<Self, InvalidMessageId> {
        let id = Ulid::from_string(text).map_err(|_| InvalidMessageId)?;
        // The library lets a first character beyond '7' overflow; such text is no ULID.
        if text.as_bytes().first().is_some_and(|first| *first > b'7') {
            return Err(InvalidMessageId);
        }
        Ok(Self(id.0))
    }
}
