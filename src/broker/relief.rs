//! Waiting until those who have much to read have read it.

use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long anybody waits for others to read.
const PATIENCE: Duration = Duration::from_secs(1);

/// Held by every mailbox that somebody waits for, until it has been emptied.
#[derive(Clone, Debug)]
pub(super) struct Pressure(mpsc::Sender<Infallible>);

/// Waits until no mailbox holds the pressure any more.
#[derive(Debug)]
pub(super) struct Relief(mpsc::Receiver<Infallible>);

pub(super) fn pressure() -> (Pressure, Relief) {
    let (sender, receiver) = mpsc::channel(1);
    (Pressure(sender), Relief(receiver))
}

impl Pressure {
    /// Whether nobody waits any more.
    pub(super) fn is_given_up(&self) -> bool {
        self.0.is_closed()
    }
}

impl Relief {
    /// Waits, for a second at the longest.
    pub(super) async fn wait(mut self) {
        let _ = tokio::time::timeout(PATIENCE, self.0.recv()).await;
    }
}
