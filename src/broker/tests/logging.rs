//! What the log is told of what may happen at any rate.

use super::faulty::Mode;
use super::place::Place;
use super::*;
use crate::broker::Message;
use parking_lot::Mutex;
use std::io::Write;

/// A log that can be read.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// The lines that it has been told since the last time.
    fn take(&self) -> Vec<String> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock())).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn that_the_storage_fails_is_logged_once_in_a_while_and_not_with_each_failure() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let place = Place::new().await;
    place.storage.set_mode(Mode::Fail);
    let fail = async |times: usize| {
        for _ in 0..times {
            let message = Message::new("c", "e").store_forever();
            place.broker.publish(message).await.unwrap_err();
        }
        log.take()
    };
    let lines = fail(5).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("ERROR") && lines[0].contains("the storage fails times=1"),
        "{lines:?}"
    );
    tokio::time::advance(Duration::from_secs(9)).await;
    assert_eq!(fail(5).await, [""; 0]);
    tokio::time::advance(Duration::from_secs(1)).await;
    let lines = fail(5).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("times=10"), "{lines:?}");
    assert_eq!(place.broker.stats().await.storage_errors, 15, "each is counted");
}
