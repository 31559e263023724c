use super::group::panicked;
use super::queue::{Queue, Taken};
use crate::{Error, ErrorKind, Result};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, oneshot};

/// Reads that wait or are under way, at most; callers beyond wait, in order.
const CAPACITY: u32 = 1024;

type Job<E> = Box<dyn FnOnce(&E) + Send>;

/// Threads that read from an engine that blocks, for many async callers, at most 1,024 at a time.
///
/// It works on any runtime. A read that panics fails with [`ErrorKind::Unavailable`].
pub struct ReaderPool<E: ?Sized> {
    queue: Arc<Queue<(Job<E>, OwnedSemaphorePermit)>>,
    permits: Arc<Semaphore>,
    /// One for each thread, told when it has ended and dropped the engine.
    ends: Mutex<Vec<oneshot::Receiver<()>>>,
}

impl<E: ?Sized + Send + Sync + 'static> ReaderPool<E> {
    /// Starts the threads, at least one. Each holds the engine until the pool is closed or
    /// dropped.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] where the system refuses a thread.
    pub fn start(name: &str, threads: usize, engine: &Arc<E>) -> Result<Self> {
        let queue = Arc::new(Queue::new());
        let permits = Arc::new(Semaphore::new(CAPACITY as usize));
        let mut ends = Vec::new();
        for number in 0..threads.max(1) {
            let (end, ended) = oneshot::channel();
            let (work_queue, engine) = (queue.clone(), engine.clone());
            let spawned =
                thread::Builder::new().name(format!("{name}-{number}")).spawn(move || {
                    work(&work_queue, &*engine);
                    drop(engine);
                    // Whoever closed may be gone.
                    let _ = end.send(());
                });
            if let Err(error) = spawned {
                queue.close();
                let refused = Error::new(ErrorKind::Unavailable, "open", "no thread to read");
                return Err(refused.with_source(error));
            }
            ends.push(ended);
        }
        Ok(Self { queue, permits, ends: Mutex::new(ends) })
    }

    /// Reads on one of the threads.
    ///
    /// # Errors
    ///
    /// What `read` says; [`ErrorKind::Unavailable`] where it panics; [`ErrorKind::Closed`] after
    /// [`close`](Self::close).
    pub async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        read: impl FnOnce(&E) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = self.enter(operation).await?;
        self.run_entered(permit, operation, read).await
    }

    /// Waits until one more may read; [`close`](Self::close) waits until the permit is dropped.
    pub(super) async fn enter(&self, operation: &'static str) -> Result<OwnedSemaphorePermit> {
        self.permits.clone().acquire_owned().await.map_err(|_| closed(operation))
    }

    pub(super) async fn run_entered<T: Send + 'static>(
        &self,
        permit: OwnedSemaphorePermit,
        operation: &'static str,
        read: impl FnOnce(&E) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let job: Job<E> = Box::new(move |engine| {
            let result = catch_unwind(AssertUnwindSafe(|| read(engine)));
            let _ = answer.send(result.unwrap_or_else(|_| Err(panicked())));
        });
        self.queue.push((job, permit));
        answered
            .await
            .map_err(|_| closed(operation))?
            .map_err(|error| error.in_operation(operation))
    }

    /// Finishes the reads that callers wait for, and ends the threads. Later reads fail.
    pub async fn close(&self) {
        // The semaphore is fair: with all permits in hand, every earlier read is answered.
        if let Ok(permits) = self.permits.acquire_many(CAPACITY).await {
            self.permits.close();
            drop(permits);
        }
        self.queue.close();
        let mut ends = self.ends.lock().await;
        while let Some(end) = ends.last_mut() {
            let _ = end.await;
            ends.pop();
        }
    }
}

fn closed(operation: &'static str) -> Error {
    Error::new(ErrorKind::Closed, operation, "the store is closed")
}

fn work<E: ?Sized>(queue: &Queue<(Job<E>, OwnedSemaphorePermit)>, engine: &E) {
    while let Taken::Work((job, permit)) = queue.take(None) {
        job(engine);
        drop(permit);
    }
}

impl<E: ?Sized> Drop for ReaderPool<E> {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl<E: ?Sized> fmt::Debug for ReaderPool<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReaderPool")
            .field("free", &self.permits.available_permits())
            .finish_non_exhaustive()
    }
}
