//! What to do next about schedules, and when: pure, on clocks that are handed in.
//!
//! Schedules stay in storage, in the order of their due times. The plan only knows how far in
//! that order all is done, and when the next one is due, so that it is as small with a million of
//! them as with one.

use crate::session::Now;
use fanfare_storage::{MessageId, ScheduleQuery, Timestamp};
use std::time::Duration;

/// How many schedules are read and carried out together. One may have some 35 KB.
pub(super) const PAGE: usize = 128;
/// How often the wall clock is looked at while anything waits: it may be set, and the clock that
/// timers run on may stand still while the machine sleeps.
const RECHECK: Duration = Duration::from_millis(500);
const FIRST_RETRY: Duration = Duration::from_millis(200);
const MAX_RETRY: Duration = Duration::from_secs(10);

/// A place in the order of due times, then ids.
pub(super) type Place = (Timestamp, MessageId);

/// What is known of the schedules in storage.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// What is not after this place is done, cannot be read and is left, or is in `retry`.
    done: Option<Place>,
    next: Next,
    retry: Option<Retry>,
    /// Until when, on the steady clock, storage is left alone, since it could not be read.
    paused: Duration,
    /// Failures without a success in between.
    failures: u32,
}

/// When the first schedule after `done` is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    #[default]
    Unknown,
    At(Timestamp),
    Never,
}

/// Something after a place could not be stored.
#[derive(Clone, Copy, Debug)]
struct Retry {
    after: Option<Place>,
    /// On the steady clock.
    at: Duration,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Step {
    /// Carry this page of schedules out, then call [`Plan::carried_out`].
    CarryOut(ScheduleQuery),
    /// Read the next schedule, then call [`Plan::found`].
    Look(ScheduleQuery),
    /// Wait for so long, for ever where nothing is said, or until a schedule is added.
    Wait(Option<Duration>),
}

impl Plan {
    pub(super) fn step(&mut self, now: Now) -> Step {
        if let Some(pause) = self.paused.checked_sub(now.steady).filter(|left| !left.is_zero()) {
            return Step::Wait(Some(pause));
        }
        if let Some(retry) = self.retry.take_if(|retry| retry.at <= now.steady) {
            // Not forward: what was added meanwhile may be due before it.
            self.done = self.done.min(retry.after);
            self.next = Next::At(Timestamp::EPOCH);
        }
        let after = self.done;
        match self.next {
            Next::Unknown => Step::Look(ScheduleQuery { after, until: Timestamp::MAX, limit: 1 }),
            Next::At(due) if due <= now.wall => {
                Step::CarryOut(ScheduleQuery { after, until: now.wall, limit: PAGE })
            }
            Next::At(due) => {
                let wait = due.saturating_since(now.wall).min(RECHECK);
                Step::Wait(Some(self.retry_in(now).map_or(wait, |retry| retry.min(wait))))
            }
            Next::Never => Step::Wait(self.retry_in(now)),
        }
    }

    /// A schedule that is due then is in storage now.
    pub(super) fn added(&mut self, due: Timestamp) {
        if self.done.is_some_and(|(done, _)| done >= due) {
            let before = due.as_unix_millis().checked_sub(1).map(Timestamp::from_unix_millis);
            self.done = before.map(|before| (before, MessageId::MAX));
        }
        self.next = match self.next {
            Next::Unknown => Next::Unknown,
            Next::At(next) => Next::At(next.min(due)),
            Next::Never => Next::At(due),
        };
    }

    /// When the next schedule is due, as [`Step::Look`] wanted to know.
    pub(super) fn found(&mut self, due: Option<Timestamp>) {
        self.next = due.map_or(Next::Never, Next::At);
        self.succeeded();
    }

    /// The page of [`Step::CarryOut`] ended at `last` and is dealt with. Where some of it
    /// `failed` to be stored, it is tried again later; what comes after it does not wait for that.
    pub(super) fn carried_out(&mut self, len: usize, last: Option<Place>, failed: bool, now: Now) {
        if failed {
            let (after, at) = match self.retry {
                Some(retry) => (retry.after.min(self.done), retry.at),
                None => (self.done, self.back_off(now)),
            };
            self.retry = Some(Retry { after, at });
        }
        self.done = last.or(self.done);
        if len < PAGE {
            self.next = Next::Unknown;
        }
        self.succeeded();
    }

    /// Storage could not be read.
    pub(super) fn unreadable(&mut self, now: Now) {
        self.paused = self.back_off(now);
    }

    fn succeeded(&mut self) {
        if self.retry.is_none() {
            self.failures = 0;
        }
    }

    fn back_off(&mut self, now: Now) -> Duration {
        let wait = FIRST_RETRY.saturating_mul(1 << self.failures.min(16)).min(MAX_RETRY);
        self.failures = self.failures.saturating_add(1);
        now.steady.saturating_add(wait)
    }

    fn retry_in(&self, now: Now) -> Option<Duration> {
        self.retry.map(|retry| retry.at.saturating_sub(now.steady))
    }
}

#[cfg(test)]
mod tests;
