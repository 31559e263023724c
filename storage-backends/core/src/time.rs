use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment on the wall clock, in whole milliseconds since the Unix epoch.
///
/// ```
/// use fanfare_storage::Timestamp;
/// use std::time::{Duration, UNIX_EPOCH};
///
/// let start = Timestamp::from_unix_seconds(1_700_000_000);
/// assert_eq!((start + Duration::from_millis(5)).as_unix_millis(), 1_700_000_000_005);
///
/// let half_a_second = UNIX_EPOCH + Duration::from_micros(500_999);
/// assert_eq!(Timestamp::from(half_a_second).as_unix_millis(), 500);
/// assert_eq!(Timestamp::from(UNIX_EPOCH - Duration::from_secs(1)), Timestamp::EPOCH);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Timestamp = Timestamp(0);
    /// Later than every other moment.
    pub const MAX: Timestamp = Timestamp(u64::MAX);

    /// The system clock's time; the epoch where the clock stands before it.
    #[must_use]
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// From milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_unix_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// From seconds since the Unix epoch; seconds beyond the range become [`Timestamp::MAX`].
    #[must_use]
    pub const fn from_unix_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_unix_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn as_unix_seconds(self) -> u64 {
        self.0 / 1000
    }

    /// The time from `earlier` to `self`; zero where `earlier` is later.
    #[must_use]
    pub const fn saturating_since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// In whole milliseconds, rounded down; the epoch where the time is before it.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Saturates at [`Timestamp::MAX`].
impl std::ops::Add<Duration> for Timestamp {
    type Output = Timestamp;

    fn add(self, rest: Duration) -> Timestamp {
        Self(self.0.saturating_add(u64::try_from(rest.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms since the Unix epoch", self.0)
    }
}
