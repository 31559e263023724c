//! Reads on the threads of their callers.

use super::bounded::Bounded;
use super::group::panicked;
use super::{Engine, View};
use crate::Result;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// A read that takes longer, and may have waited for a disk, is slow.
const SLOW: Duration = Duration::from_micros(250);

/// How many times as long as a slow read took reads stay on threads of their own after it.
const PAUSE: u32 = 100;

/// The longest pause: a disk that hung for long may be well again.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Lets async callers read by themselves while the engine answers from memory.
///
/// To hand a read to another thread and its answer back costs two wake-ups, which is more than
/// what a page of messages takes to read. But a runtime's thread must not wait for a disk. So a
/// read is done in place only
///
/// - while the engine gives a view without waiting ([`Engine::view_now`]);
/// - as far as it has little to look at ([`Bounded`]): where there is more it is given up, and
///   begun again elsewhere;
/// - while no read was slow shortly before, in place or elsewhere, of those that may have waited
///   for a disk ([`View::may_have_waited`]). The pause after a slow one is a hundred times as long
///   as the read was, up to a minute, so that disks take about a hundredth of a runtime thread's
///   time;
/// - while fewer than a number of others are: a disk that hangs stops no more threads than that.
pub(super) struct DirectReads {
    /// Whoever closes the store has to be the last to hold it.
    engine: Weak<dyn Engine>,
    most: usize,
    running: AtomicUsize,
    pace: Arc<Pace>,
}

impl DirectReads {
    pub(super) fn new(engine: &Arc<dyn Engine>, most: usize) -> Self {
        let pace = Arc::new(Pace::new(SLOW));
        Self { engine: Arc::downgrade(engine), most, running: AtomicUsize::new(0), pace }
    }

    /// What reads on other threads are to be timed by.
    pub(super) fn pace(&self) -> Arc<Pace> {
        self.pace.clone()
    }

    /// Reads; `None` where it has to be done on another thread.
    pub(super) fn try_run<T>(&self, read: impl Fn(&dyn View) -> Result<T>) -> Option<Result<T>> {
        if !self.pace.is_fast() {
            return None;
        }
        let _turn = self.turn()?;
        let engine = self.engine.upgrade()?;
        let start = Instant::now();
        let tried = catch_unwind(AssertUnwindSafe(|| {
            let view = match engine.view_now()? {
                Ok(view) => view,
                Err(error) => return Some(Err(error)),
            };
            let bounded = Bounded::new(&*view, start, self.pace.slow);
            let result = self.pace.run(start, &*view, |_| read(&bounded));
            (!bounded.is_over()).then_some(result)
        }));
        tried.unwrap_or_else(|_| Some(Err(panicked())))
    }

    fn turn(&self) -> Option<Turn<'_>> {
        let turn = Turn(&self.running);
        (self.running.fetch_add(1, Ordering::Relaxed) < self.most).then_some(turn)
    }
}

/// Counts a read while it is under way.
struct Turn<'a>(&'a AtomicUsize);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Remembers when a read was slow.
pub(super) struct Pace {
    slow: Duration,
    start: Instant,
    /// Until when reads count as slow, in microseconds from the start.
    slow_until: AtomicU64,
}

impl Pace {
    fn new(slow: Duration) -> Self {
        Self { slow, start: Instant::now(), slow_until: AtomicU64::new(0) }
    }

    /// Reads, and sees how long that and what was done since the start take.
    pub(super) fn run<T>(
        &self,
        start: Instant,
        view: &dyn View,
        read: impl FnOnce(&dyn View) -> T,
    ) -> T {
        let result = read(view);
        if view.may_have_waited() {
            self.note(start.elapsed());
        }
        result
    }

    /// Remembers how long a read took.
    fn note(&self, taken: Duration) {
        if taken > self.slow {
            let pause = taken.saturating_mul(PAUSE).min(MAX_PAUSE);
            let until = self.start.elapsed() + pause;
            self.slow_until.fetch_max(micros(until), Ordering::Relaxed);
        }
    }

    fn is_fast(&self) -> bool {
        let slow_until = self.slow_until.load(Ordering::Relaxed);
        slow_until == 0 || slow_until <= micros(self.start.elapsed())
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
