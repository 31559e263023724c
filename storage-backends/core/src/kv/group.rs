use super::queue::{Queue, Taken};
use crate::{Error, ErrorKind, Result};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, oneshot};

/// What a [`GroupWriter`] calls on its thread: an engine that blocks.
pub trait GroupCommit: Send + 'static {
    /// What callers ask for.
    type Request: Send + 'static;
    /// What they get.
    type Response: Send + 'static;

    /// Does everything asked for in one transaction, makes it durable, and answers each request,
    /// in order. A request that fails by itself must not touch what the others do.
    ///
    /// # Errors
    ///
    /// Where the transaction as a whole fails. Every request of the group fails with the error.
    fn commit(&mut self, group: Vec<Self::Request>) -> Result<Vec<Result<Self::Response>>>;

    /// Called when [`GroupLimits::settle_after`] has passed since the first commit after the last
    /// such call, and when the writer is closed or dropped.
    ///
    /// # Errors
    ///
    /// The error of the call at closing is returned by [`GroupWriter::close`].
    fn settle(&mut self) -> Result<()>;
}

/// How much a [`GroupWriter`] takes at a time.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct GroupLimits {
    /// Requests of one group, at most; at least 1.
    pub group_requests: usize,
    /// Bytes of one group, at most, though a single request may have more.
    pub group_bytes: usize,
    /// Bytes of all requests that wait or are under way, at most, though a single request may
    /// have more, and then is alone. Callers beyond wait, in order.
    pub queue_bytes: usize,
    /// See [`GroupCommit::settle`]; `None` calls it at closing only.
    pub settle_after: Option<Duration>,
}

/// 1,024 requests and 8 MiB in a group; 32 MiB waiting; settled at closing.
impl Default for GroupLimits {
    fn default() -> Self {
        Self {
            group_requests: 1024,
            group_bytes: 8 * 1024 * 1024,
            queue_bytes: 32 * 1024 * 1024,
            settle_after: None,
        }
    }
}

/// What a request counts for beside its own bytes, so that empty ones are bounded too.
const REQUEST_BYTES: usize = 256;

/// One thread that writes for many async callers: everything that waits is one group, with one
/// transaction and one sync. While that is under way the next group gathers.
///
/// It works on any runtime. Where a call to the engine panics, its requests fail with
/// [`ErrorKind::Unavailable`], and the thread goes on.
pub struct GroupWriter<G: GroupCommit> {
    queue: Arc<Queue<Waiting<G>>>,
    permits: Arc<Semaphore>,
    capacity: u32,
    /// What the thread says at its end; `None` once that was heard.
    end: Mutex<Option<oneshot::Receiver<Result<()>>>>,
}

struct Waiting<G: GroupCommit> {
    request: G::Request,
    bytes: usize,
    answer: oneshot::Sender<Result<G::Response>>,
    /// Given back when the request is answered.
    _permit: OwnedSemaphorePermit,
}

impl<G: GroupCommit> GroupWriter<G> {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] where the system refuses a thread.
    pub fn start(name: &str, group: G, limits: GroupLimits) -> Result<Self> {
        let capacity = limits.queue_bytes.clamp(1, u32::MAX as usize >> 3);
        let capacity = u32::try_from(capacity).unwrap_or(u32::MAX >> 3);
        let queue = Arc::new(Queue::new());
        let (end, ended) = oneshot::channel();
        let thread = Thread { queue: queue.clone(), limits, group };
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let result = thread.run();
                // Whoever closed may be gone.
                let _ = end.send(result);
            })
            .map_err(|error| {
                Error::new(ErrorKind::Unavailable, "open", "no thread to write").with_source(error)
            })?;
        Ok(Self {
            queue,
            permits: Arc::new(Semaphore::new(capacity as usize)),
            capacity,
            end: Mutex::new(Some(ended)),
        })
    }

    /// Has a request done that takes about so many bytes of memory, and waits for its answer.
    /// Where the future is dropped the request may be done or not.
    ///
    /// # Errors
    ///
    /// What [`GroupCommit::commit`] says; [`ErrorKind::Unavailable`] where it panics;
    /// [`ErrorKind::Closed`] after [`close`](Self::close).
    pub async fn submit(
        &self,
        operation: &'static str,
        request: G::Request,
        bytes: usize,
    ) -> Result<G::Response> {
        let closed = || Error::new(ErrorKind::Closed, operation, "the store is closed");
        let bytes = bytes.saturating_add(REQUEST_BYTES);
        let share = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.capacity);
        let permit = self.permits.clone().acquire_many_owned(share).await.map_err(|_| closed())?;
        let (answer, answered) = oneshot::channel();
        self.queue.push(Waiting { request, bytes, answer, _permit: permit });
        answered.await.map_err(|_| closed())?.map_err(|error| error.in_operation(operation))
    }

    /// Finishes the requests that callers wait with, settles the engine and drops it. Later
    /// requests fail.
    ///
    /// # Errors
    ///
    /// What [`GroupCommit::settle`] says; nothing where the writer was closed before.
    pub async fn close(&self) -> Result<()> {
        // The semaphore is fair: with all permits in hand, every earlier request is answered.
        if let Ok(permits) = self.permits.acquire_many(self.capacity).await {
            self.permits.close();
            drop(permits);
        }
        self.queue.close();
        let mut end = self.end.lock().await;
        let Some(ended) = end.as_mut() else {
            return Ok(());
        };
        let result = ended.await.unwrap_or(Ok(()));
        *end = None;
        result
    }
}

impl<G: GroupCommit> Drop for GroupWriter<G> {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl<G: GroupCommit> fmt::Debug for GroupWriter<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupWriter")
            .field("free_bytes", &self.permits.available_permits())
            .finish_non_exhaustive()
    }
}

/// The writer's side of the queue.
struct Thread<G: GroupCommit> {
    queue: Arc<Queue<Waiting<G>>>,
    limits: GroupLimits,
    group: G,
}

impl<G: GroupCommit> Thread<G> {
    fn run(mut self) -> Result<()> {
        let mut settle_at = None;
        loop {
            match self.queue.take(settle_at) {
                Taken::Work(first) => {
                    let group = self.gather(first);
                    self.commit(group);
                    let deadline = || self.limits.settle_after.map(|after| Instant::now() + after);
                    settle_at = settle_at.or_else(deadline);
                    if settle_at.is_some_and(|deadline| deadline <= Instant::now()) {
                        // The error comes back with the next commit or at the end.
                        let _ = self.settle();
                        settle_at = None;
                    }
                }
                Taken::Late => {
                    let _ = self.settle();
                    settle_at = None;
                }
                Taken::Closed => return self.settle(),
            }
        }
    }

    /// Everything that waits, within the limits.
    fn gather(&self, first: Waiting<G>) -> Vec<Waiting<G>> {
        let mut bytes = first.bytes;
        let mut group = vec![first];
        while group.len() < self.limits.group_requests
            && let Some(next) = self
                .queue
                .take_if(|next| bytes.saturating_add(next.bytes) <= self.limits.group_bytes)
        {
            bytes += next.bytes;
            group.push(next);
        }
        group
    }

    fn commit(&mut self, group: Vec<Waiting<G>>) {
        let mut requests = Vec::with_capacity(group.len());
        let mut callers = Vec::with_capacity(group.len());
        for waiting in group {
            requests.push(waiting.request);
            callers.push((waiting.answer, waiting._permit));
        }
        let result = catch_unwind(AssertUnwindSafe(|| self.group.commit(requests)));
        let mut answers = match result.unwrap_or_else(|_| Err(panicked())) {
            Ok(answers) => answers.into_iter(),
            Err(error) => {
                let all = callers.iter().map(|_| Err(error.clone()));
                all.collect::<Vec<_>>().into_iter()
            }
        };
        for (caller, permit) in callers {
            let answer = answers.next().unwrap_or_else(|| {
                let message = "the engine gave fewer answers than there were requests";
                Err(Error::new(ErrorKind::Unavailable, "commit", message).with_retryable(false))
            });
            // A caller that has gone away needs no answer.
            let _ = caller.send(answer);
            drop(permit);
        }
    }

    fn settle(&mut self) -> Result<()> {
        let result = catch_unwind(AssertUnwindSafe(|| self.group.settle()));
        result.unwrap_or_else(|_| Err(panicked()))
    }
}

/// Nobody must wait for a thread that is no more.
impl<G: GroupCommit> Drop for Thread<G> {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

pub(super) fn panicked() -> Error {
    Error::new(ErrorKind::Unavailable, "commit", "the engine panicked").with_retryable(false)
}

#[cfg(test)]
mod tests;
