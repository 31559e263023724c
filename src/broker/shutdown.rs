//! The end of a broker.

use super::{Broker, Error};
use fanfare_storage::ErrorKind;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long a shutdown waits where nothing is said: well within the 30 seconds that supervisors
/// usually allow.
const PATIENCE: Duration = Duration::from_secs(20);
/// More than anybody waits, and little enough to be added to any clock's time.
const LONGEST_PATIENCE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Broker {
    /// Ends the broker in order, as [`shutdown_within`](Self::shutdown_within) 20 seconds.
    ///
    /// # Errors
    ///
    /// Fails where the storage can't be closed in order.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime whose timers are on.
    pub async fn shutdown(&self) -> Result<(), Error> {
        self.shutdown_within(PATIENCE).await
    }

    /// Ends the broker in order: refuses new connections and messages, closes the open ones with
    /// code 1012, so that clients come back at once elsewhere, and waits for them to go. Whoever
    /// has not gone after half of `patience` is cut off. What is left of `patience` it waits for
    /// members to be told of each other and for what is being stored. Then it closes the storage,
    /// in any case and however long that takes: for engines on disk, as long as what they are
    /// writing, and one sync.
    ///
    /// Later calls do nothing. All [`events`](Self::events) are in their streams when this returns,
    /// but for those of what was cut off or given up.
    ///
    /// # Errors
    ///
    /// Fails where the storage can't be closed in order.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime whose timers are on.
    pub async fn shutdown_within(&self, patience: Duration) -> Result<(), Error> {
        let patience = patience.min(LONGEST_PATIENCE);
        let deadline = Instant::now() + patience;
        self.core.drain(patience / 2).await;
        if timeout_at(deadline, self.core.hub.give_seats_up()).await.is_err() {
            tracing::error!("members are still being told of each other, and are given up");
        }
        if timeout_at(deadline, self.core.hub.settled()).await.is_err() {
            tracing::error!("messages are still being stored, and are given up");
        }
        // Whatever is at work ends soon, and nothing starts any more.
        let upkeep = timeout_at(deadline, self.core.upkeep.lock()).await;
        if upkeep.is_err() {
            tracing::error!("the storage does not answer, and is closed all the same");
        }
        let noted = self.note_newest_id(deadline).await;
        let closed = self.core.storage.close().await;
        noted.and(closed).map_err(Error::storage)
    }

    async fn note_newest_id(&self, deadline: Instant) -> fanfare_storage::Result<()> {
        match timeout_at(deadline, self.core.hub.save_high_water()).await {
            // An earlier call has ended the broker.
            Ok(Err(error)) if error.kind() == ErrorKind::Closed => Ok(()),
            Ok(noted) => noted,
            Err(_) => {
                let message = "the storage did not answer in time";
                let kind = ErrorKind::Unavailable;
                Err(fanfare_storage::Error::new(kind, "raise_high_water", message))
            }
        }
        .inspect_err(|error| tracing::error!(%error, "the newest id could not be noted"))
    }
}
