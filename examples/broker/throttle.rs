//! Says a thing that may happen at any rate only now and then.

use std::time::Duration;
use tokio::time::Instant;

/// Opens at once, and again a while after each time that it was passed.
pub(crate) struct Throttle {
    every: Duration,
    opens: Option<Instant>,
}

impl Throttle {
    pub(crate) fn new(every: Duration) -> Self {
        Self { every, opens: None }
    }

    pub(crate) fn pass(&mut self) -> bool {
        let now = Instant::now();
        let is_open = self.opens.is_none_or(|opens| opens <= now);
        if is_open {
            self.opens = Some(now + self.every);
        }
        is_open
    }

    /// Waits until it is open.
    pub(crate) async fn open(&self) {
        if let Some(opens) = self.opens {
            tokio::time::sleep_until(opens).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_passed_once_in_a_while() {
        let mut throttle = Throttle::new(Duration::from_secs(10));
        throttle.open().await;
        assert!(throttle.pass() && !throttle.pass());
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(!throttle.pass());
        throttle.open().await;
        assert!(throttle.pass() && !throttle.pass());
    }
}
