//! What the broker logs, on its way to stderr. A thread of its own writes it, so that whoever reads
//! it too slowly, or not at all, holds nobody up.

use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How many bytes of lines may wait to be written.
const CAPACITY: usize = 1 << 20;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Log(Arc<Queue>);

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    /// Of these.
    bytes: usize,
    /// Lines that found no room since the last that did was written.
    dropped: u64,
    is_writing: bool,
}

impl Log {
    /// # Errors
    ///
    /// Fails where the system gives no thread.
    pub(crate) fn to(mut out: impl Write + Send + 'static) -> io::Result<Self> {
        let queue = Arc::<Queue>::default();
        let lines = Arc::clone(&queue);
        thread::Builder::new().name("log".to_owned()).spawn(move || {
            loop {
                let line = lines.next();
                // There is nobody to whom a failure could be told.
                let _ = out.write_all(&line);
                lines.written();
            }
        })?;
        Ok(Self(queue))
    }

    /// Where one line is written to.
    pub(crate) fn line(&self) -> Line {
        Line(Arc::clone(&self.0))
    }

    /// Waits until all is written, for `patience` at the longest.
    pub(crate) fn flush(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut state = self.0.state.lock();
        while state.is_writing || !state.lines.is_empty() {
            if self.0.changed.wait_until(&mut state, deadline).timed_out() {
                return;
            }
        }
    }
}

impl Queue {
    fn push(&self, line: &[u8]) {
        let mut state = self.state.lock();
        if state.bytes + line.len() > CAPACITY {
            state.dropped += 1;
            return;
        }
        state.bytes += line.len();
        state.lines.push_back(line.to_vec());
        drop(state);
        self.changed.notify_all();
    }

    /// The next line, after a word of those that are missing before it.
    fn next(&self) -> Vec<u8> {
        let mut state = self.state.lock();
        loop {
            if let Some(line) = state.lines.pop_front() {
                state.bytes -= line.len();
                state.is_writing = true;
                return line;
            }
            // What found no room came after all that did.
            if state.dropped > 0 {
                let dropped = std::mem::take(&mut state.dropped);
                state.is_writing = true;
                return format!(
                    "{dropped} lines of the log were dropped: nobody read it in time\n"
                )
                .into_bytes();
            }
            self.changed.wait(&mut state);
        }
    }

    fn written(&self) {
        self.state.lock().is_writing = false;
        self.changed.notify_all();
    }
}

/// A writer that takes one line.
pub(crate) struct Line(Arc<Queue>);

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Takes a line only when it is asked for.
    struct Reluctant(SyncSender<String>);

    impl Write for Reluctant {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(String::from_utf8_lossy(line).into_owned());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn log() -> (Log, Receiver<String>) {
        let (sender, receiver) = sync_channel(0);
        (Log::to(Reluctant(sender)).unwrap(), receiver)
    }

    #[test]
    fn lines_wait_for_their_reader_up_to_a_bound_and_the_missing_are_counted() {
        let (log, reader) = log();
        let line = format!("{}\n", "x".repeat(1023));
        for _ in 0..2 * CAPACITY / 1024 {
            log.line().write_all(line.as_bytes()).unwrap();
        }
        let mut taken = 0;
        let missing = loop {
            let next = reader.recv_timeout(PATIENCE).unwrap();
            if next != line {
                break next;
            }
            taken += 1;
        };
        // One more than fits may have been on its way already.
        let most = CAPACITY / 1024;
        assert!((most..=most + 1).contains(&taken), "{taken}");
        let dropped = 2 * most - taken;
        assert_eq!(
            missing,
            format!("{dropped} lines of the log were dropped: nobody read it in time\n")
        );
        log.line().write_all(b"after\n").unwrap();
        assert_eq!(reader.recv_timeout(PATIENCE).unwrap(), "after\n");
        log.flush(PATIENCE);
    }

    #[test]
    fn an_end_does_not_wait_for_a_reader_that_is_gone() {
        let (log, reader) = log();
        log.line().write_all(b"last words\n").unwrap();
        log.flush(Duration::ZERO);
        drop(reader);
        log.flush(PATIENCE);
    }
}
