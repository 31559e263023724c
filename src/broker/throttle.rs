//! Says a thing that may happen at any rate only now and then.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// How often the log tells of the same thing.
const EVERY: Duration = Duration::from_secs(10);

/// Opens at once, and again a while after each time that it was passed.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    passed: Option<Instant>,
    /// Since then.
    held_back: u64,
}

impl Throttle {
    /// Where it is time to say it: how often it happened since it was last said, this time included.
    pub(crate) fn pass(&self) -> Option<u64> {
        self.pass_at(Instant::now())
    }

    fn pass_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        if state.passed.is_some_and(|passed| now.saturating_duration_since(passed) < EVERY) {
            state.held_back += 1;
            return None;
        }
        state.passed = Some(now);
        Some(std::mem::take(&mut state.held_back) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_passed_once_in_a_while_and_tells_what_it_held_back() {
        let throttle = Throttle::default();
        let start = Instant::now();
        let passes = |seconds| throttle.pass_at(start + Duration::from_secs(seconds));
        assert_eq!(passes(0), Some(1));
        assert_eq!((passes(0), passes(9)), (None, None));
        assert_eq!(passes(10), Some(3));
        assert_eq!(passes(19), None);
        assert_eq!(passes(100), Some(2));
    }
}
