//! Where a broker's time comes from.

use crate::session::Now;
use fanfare_storage::Timestamp;
use std::fmt::Debug;
#[cfg(test)]
use std::time::Duration;
use std::time::Instant;

/// A source of time. Tests have one of their own.
pub(crate) trait Clock: Send + Sync + Debug + 'static {
    fn now(&self) -> Now;
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
}

/// A clock that stands where it is put.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct ManualClock(parking_lot::Mutex<Now>);

#[cfg(test)]
impl ManualClock {
    pub(crate) fn at(wall: Timestamp) -> Self {
        Self(parking_lot::Mutex::new(Now { wall, steady: Duration::ZERO }))
    }

    /// Sets the wall clock alone, as an administrator might.
    pub(crate) fn set_wall(&self, wall: Timestamp) {
        self.0.lock().wall = wall;
    }

    /// Lets time go on, on both clocks.
    pub(crate) fn advance(&self, by: Duration) {
        let mut now = self.0.lock();
        *now = Now { wall: now.wall + by, steady: now.steady + by };
    }
}

#[cfg(test)]
impl Clock for ManualClock {
    fn now(&self) -> Now {
        *self.0.lock()
    }
}
