//! Says a thing that may happen at any rate only now and then.
//!
//! The standalone broker has this file too, which is no part of the public interface.

use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// Opens at once, and again a while after each time that it was passed.
#[derive(Debug)]
pub(crate) struct Throttle {
    every: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    opens: Option<Instant>,
    /// Since it was passed.
    held_back: u64,
}

/// Every 10 seconds.
impl Default for Throttle {
    fn default() -> Self {
        Self::new(Duration::from_secs(10))
    }
}

impl Throttle {
    pub(crate) fn new(every: Duration) -> Self {
        Self { every, state: Mutex::default() }
    }

    /// Where it is time to say it: how often it happened since it was last said, this time included.
    ///
    /// # Errors
    ///
    /// Where it is not: how long it is until then.
    pub(crate) fn pass(&self) -> Result<u64, Duration> {
        let now = Instant::now();
        let mut state = self.state.lock();
        if let Some(opens) = state.opens.filter(|opens| *opens > now) {
            state.held_back += 1;
            return Err(opens - now);
        }
        state.opens = Some(now + self.every);
        Ok(std::mem::take(&mut state.held_back) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn it_is_passed_once_in_a_while_and_tells_what_it_held_back() {
        let throttle = Throttle::default();
        let seconds = Duration::from_secs;
        assert_eq!(throttle.pass(), Ok(1));
        assert_eq!(throttle.pass(), Err(seconds(10)));
        advance(seconds(9)).await;
        assert_eq!(throttle.pass(), Err(seconds(1)));
        advance(seconds(1)).await;
        assert_eq!(throttle.pass(), Ok(3));
        advance(seconds(9)).await;
        assert_eq!(throttle.pass(), Err(seconds(1)));
        advance(seconds(81)).await;
        assert_eq!(throttle.pass(), Ok(2));
    }
}
