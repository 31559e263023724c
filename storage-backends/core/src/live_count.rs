use crate::Timestamp;

/// Counts a channel's unexpired storage entries, so that a channel full of them is recognised
/// without looking at each: a recount is due only once something counted has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LiveCount {
    /// How many entries expire after `counted_at`.
    live: u64,
    /// No entry that expires at or before this moment is counted.
    counted_at: Timestamp,
    /// No counted entry expires before this moment.
    next_expiry: Timestamp,
}

impl Default for LiveCount {
    fn default() -> Self {
        Self { live: 0, counted_at: Timestamp::EPOCH, next_expiry: Timestamp::MAX }
    }
}

impl LiveCount {
    /// Counts entries from their times of expiry.
    pub(crate) fn recount(
        now: Timestamp,
        expiries: impl IntoIterator<Item = Option<Timestamp>>,
    ) -> Self {
        let mut count = Self { counted_at: now, ..Self::default() };
        for expires_at in expiries {
            count.add(expires_at);
        }
        count
    }

    pub(crate) fn add(&mut self, expires_at: Option<Timestamp>) {
        if self.counts(expires_at) {
            self.live = self.live.saturating_add(1);
            self.next_expiry = self.next_expiry.min(expires_at.unwrap_or(Timestamp::MAX));
        }
    }

    pub(crate) fn remove(&mut self, expires_at: Option<Timestamp>) {
        if self.counts(expires_at) {
            self.live = self.live.saturating_sub(1);
        }
    }

    /// Whether it is certain that fewer than `max` are unexpired at `now`.
    pub(crate) fn is_below(&self, max: usize, now: Timestamp) -> bool {
        self.counted_at <= now && self.live < max as u64
    }

    /// Whether exactly the counted ones are unexpired at `now`.
    pub(crate) fn is_exact(&self, now: Timestamp) -> bool {
        self.counted_at <= now && now < self.next_expiry
    }

    /// The numbers that a store keeps of it.
    pub(crate) fn to_parts(self) -> [u64; 3] {
        [self.live, self.counted_at.as_unix_millis(), self.next_expiry.as_unix_millis()]
    }

    pub(crate) fn from_parts([live, counted_at, next_expiry]: [u64; 3]) -> Self {
        Self {
            live,
            counted_at: Timestamp::from_unix_millis(counted_at),
            next_expiry: Timestamp::from_unix_millis(next_expiry),
        }
    }

    fn counts(&self, expires_at: Option<Timestamp>) -> bool {
        expires_at.is_none_or(|end| end > self.counted_at)
    }
}
