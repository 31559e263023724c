//! How many messages a client may send: `RATE_LIMITED` (protocol section 13).
//!
//! Over the limit, what would take effect is refused. A subscribe or an unsubscribe is not, since a
//! client would give the channel up (section 6), and neither is what has an answer of its own:
//! those are done, and the client's next message waits until the limit allows it.

use super::{Now, Session};
use crate::protocol::error::{Code, ProtocolError};
use std::time::Duration;

/// A rate of messages, and how many may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageRate {
    /// Between two messages, on average.
    interval: Duration,
    /// How far ahead of that a client may be, and still send one.
    tolerance: Duration,
}

impl MessageRate {
    /// Both must be positive.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self { interval, tolerance: interval * burst.saturating_sub(1) }
    }
}

/// How much of its rate a client has used: the generic cell rate algorithm, which is a bucket of
/// tokens kept as one number.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When all is as if the client had never sent anything, on the steady clock.
    rested_at: Duration,
}

impl Pace {
    /// Counts a message, if it is within the limit.
    fn admit(&mut self, rate: MessageRate, now: Now) -> bool {
        let within = self.ahead(now) <= rate.tolerance;
        if within {
            self.count(rate, now);
        }
        within
    }

    fn count(&mut self, rate: MessageRate, now: Now) {
        self.rested_at = self.rested_at.max(now.steady).saturating_add(rate.interval);
    }

    fn ahead(&self, now: Now) -> Duration {
        self.rested_at.saturating_sub(now.steady)
    }
}

impl<R> Session<R> {
    /// Counts a message that has no effect where it is one too many.
    ///
    /// # Errors
    ///
    /// `RATE_LIMITED` over the limit. Such a message does not count.
    pub(crate) fn admit(&mut self, now: Now) -> Result<(), ProtocolError> {
        match self.settings.message_rate {
            Some(rate) if !self.pace.admit(rate, now) => Err(ProtocolError::new(
                Code::RateLimited,
                "too many messages on this connection; send fewer in the same time",
            )),
            _ => Ok(()),
        }
    }

    /// Counts a message that is never refused; see [`pause`](Self::pause).
    pub(super) fn count(&mut self, now: Now) {
        if let Some(rate) = self.settings.message_rate {
            self.pace.count(rate, now);
        }
    }

    /// How long the client's next message has to wait, after one that was over the limit and not
    /// refused. At most as long as such messages take together at the rate.
    pub(crate) fn pause(&self, now: Now) -> Option<Duration> {
        let rate = self.settings.message_rate?;
        // A message at the limit fills it; only what comes on top is to be waited for.
        let limit = rate.tolerance.saturating_add(rate.interval);
        let pause = self.pace.ahead(now).saturating_sub(limit);
        (!pause.is_zero()).then_some(pause)
    }
}
