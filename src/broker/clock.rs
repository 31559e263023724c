//! Where a broker's time comes from.

use crate::session::Now;
use fanfare_storage::Timestamp;
use std::fmt::Debug;
use std::time::{Duration, Instant};

/// A source of time. Tests have one of their own.
pub(crate) trait Clock: Send + Sync + Debug + 'static {
    fn now(&self) -> Now;

    /// The wall clock alone.
    fn wall(&self) -> Timestamp {
        self.now().wall
    }

    /// A time of up to `most`, another one whenever it is asked for: what would happen to many at
    /// one moment is so spread over a while.
    fn jitter(&self, most: Duration) -> Duration;
}

/// The machine's clocks.
#[derive(Debug)]
pub(crate) struct SystemClock {
    start: Instant,
}

impl SystemClock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        Now { wall: Timestamp::now(), steady: self.start.elapsed() }
    }

    fn wall(&self) -> Timestamp {
        Timestamp::now()
    }

    fn jitter(&self, most: Duration) -> Duration {
        most.mul_f64(fastrand::f64())
    }
}

/// A clock that stands where it is put, and does what it does at the moment that was asked for.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct ManualClock {
    now: parking_lot::Mutex<Now>,
    jitter: parking_lot::Mutex<Duration>,
}

#[cfg(test)]
impl ManualClock {
    pub(crate) fn at(wall: Timestamp) -> Self {
        let now = Now { wall, steady: Duration::ZERO };
        Self { now: now.into(), jitter: parking_lot::Mutex::default() }
    }

    /// Sets the wall clock alone, as an administrator might.
    pub(crate) fn set_wall(&self, wall: Timestamp) {
        self.now.lock().wall = wall;
    }

    /// Lets time go on, on both clocks.
    pub(crate) fn advance(&self, by: Duration) {
        let mut now = self.now.lock();
        *now = Now { wall: now.wall + by, steady: now.steady + by };
    }

    /// How much is spread from now on, instead of nothing.
    pub(crate) fn set_jitter(&self, jitter: Duration) {
        *self.jitter.lock() = jitter;
    }
}

#[cfg(test)]
impl Clock for ManualClock {
    fn now(&self) -> Now {
        *self.now.lock()
    }

    fn jitter(&self, most: Duration) -> Duration {
        most.min(*self.jitter.lock())
    }
}
