//! Writing to a connection's socket: who may, and when.
//!
//! The connection's task takes what waits and writes it. Where nothing waits, whoever delivers to
//! a crowd writes to the socket at once, without waking the task: that is most of what a delivery
//! can save. The bytes never wait for each other: at any time one of them alone writes, and what
//! comes meanwhile is queued. Nobody writes under the lock.
//!
//! | the socket is | who writes | when something comes that only the task can deal with |
//! | --- | --- | --- |
//! | [withheld](Direct::Withheld) | the task | it is queued, and the task woken |
//! | [free](Direct::Free): nothing waits, nor has the task anything left to write | nobody | the socket is withheld, and the task woken |
//! | [lent](Direct::Lent) | whoever took it out | it is queued; the socket is withheld, and the task woken, when it is returned |
//!
//! The task alone makes it free, in [`Mailbox::take`]; whoever delivers takes it out and returns it,
//! in [`Mailbox::deliver_burst`]; all that comes goes through [`State::summon`].

use super::{Mailbox, OVERHEAD, State, wake};
use crate::broker::burst::Burst;
use crate::broker::frame_queue::FrameQueue;
use crate::broker::subscribers::{Phase, Registration};
use crate::session::CloseReason;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::net::TcpStream;

/// The socket, for those who deliver.
#[derive(Debug, Default)]
pub(super) enum Direct {
    /// Not theirs: the connection's task has something to write, or does all the writing.
    #[default]
    Withheld,
    /// Nothing waits; whoever has something to write may take it out.
    Free(Arc<TcpStream>),
    /// Somebody has taken it out, and writes.
    Lent,
}

/// What the connection's task finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mail {
    /// Somebody else is writing to the socket; the task is woken when it may.
    Later,
    /// All that waited; the connection is to be closed for the reason, if there is one.
    Taken(Option<CloseReason>),
}

impl Mailbox {
    /// Moves all that waits into `into`, if that is empty or the connection is to be closed. Where
    /// `into` is empty still, others may write to `socket` from now on. The task of `context` is
    /// woken when there is more.
    pub(crate) fn take(
        &self,
        into: &mut FrameQueue,
        socket: Option<&Arc<TcpStream>>,
        context: &Context<'_>,
    ) -> Mail {
        let mut state = self.state.lock();
        state.wake_later(context);
        if matches!(state.direct, Direct::Lent) {
            return Mail::Later;
        }
        // A client that does not read must not be able to put its own end off.
        if into.is_empty() || state.closing.is_some() {
            into.append(&mut state.queue);
            if let Some(pong) = state.pong.take() {
                into.push(*pong);
            }
            state.bytes = state.gathered_bytes();
            state.pressure = Vec::new();
        }
        match (&state.direct, socket) {
            (Direct::Withheld, Some(socket)) if into.is_empty() && !state.is_ending() => {
                state.direct = Direct::Free(Arc::clone(socket));
            }
            (Direct::Free(_), _) if !into.is_empty() => state.direct = Direct::Withheld,
            _ => {}
        }
        state.unwritten = !into.is_empty();
        let closing = state.closing;
        // Not sooner: who waits is most often this very task, which would never rest.
        let is_over = closing.is_some() || state.is_written();
        let replaying = state.replaying.take_if(|_| is_over);
        drop(state);
        wake(replaying);
        Mail::Taken(closing)
    }

    /// Takes the socket back for the connection's task alone, with the rest of a frame that was
    /// begun; what else waits is left out. Returns false where somebody is writing to it; the
    /// task of `context` is woken when it may ask again.
    pub(crate) fn withhold(&self, into: &mut FrameQueue, context: &Context<'_>) -> bool {
        let mut state = self.state.lock();
        if matches!(state.direct, Direct::Lent) {
            state.wake_later(context);
            state.is_wanted = true;
            return false;
        }
        state.direct = Direct::Withheld;
        let mut begun = std::mem::take(&mut state.queue);
        begun.clear();
        begun.append(into);
        *into = begun;
        true
    }

    /// Forgets the socket, which is to be closed.
    pub(crate) fn disconnect(&self) {
        self.state.lock().direct = Direct::Withheld;
    }

    /// When something was last written to the socket by others than the connection's task, on the
    /// steady clock.
    pub(crate) fn last_sent(&self) -> Option<Duration> {
        self.state.lock().last_sent
    }

    /// Brings the mailbox into the processor's cache.
    pub(in crate::broker) fn fetch(&self) {
        std::hint::black_box(self.state.is_locked());
    }

    /// Writes a channel's messages to the socket, or queues them where they can't be written now.
    /// As [`deliver`](Self::deliver) as to registrations.
    pub(in crate::broker) fn deliver_burst(&self, registration: &Registration, burst: &Burst<'_>) {
        let mut state = self.state.lock();
        let may_write = registration.phase() == Phase::Live;
        if let Some(socket) = may_write.then(|| state.lend_socket()).flatten() {
            drop(state);
            // What fails here fails for the connection's task too, which ends by it.
            let written = send(&socket, burst.bytes());
            self.return_socket(socket, burst, written);
            return;
        }
        let mut waker = None;
        for delivery in burst.deliveries() {
            waker = state.accept(registration, delivery, self.budget).or(waker);
        }
        drop(state);
        wake(waker);
    }

    fn return_socket(&self, socket: Arc<TcpStream>, burst: &Burst<'_>, written: usize) {
        let mut state = self.state.lock();
        if !matches!(state.direct, Direct::Lent) {
            // The connection has ended.
            return;
        }
        if written > 0 {
            state.last_sent = Some(burst.at().steady);
        }
        let is_wanted = std::mem::take(&mut state.is_wanted);
        let is_written = written == burst.bytes().len();
        if is_written && !is_wanted {
            state.direct = Direct::Free(socket);
            return;
        }
        state.direct = Direct::Withheld;
        if !is_written {
            state.queue_rest(burst, written, self.budget);
        }
        let waker = state.waker.take();
        drop(state);
        wake(waker);
    }
}

/// Writes what the socket takes at once, and returns how much that was.
#[cfg(not(target_os = "linux"))]
fn send(socket: &TcpStream, bytes: &[u8]) -> usize {
    socket.try_write(bytes).unwrap_or(0)
}

/// Writes what the socket takes at once, and returns how much that was. Past tokio, whose record of
/// the socket's readiness is in memory of its own: looking there costs a crowd 3 % of its time,
/// and here the socket is nearly always ready. It is the connection's task that waits for it.
#[cfg(target_os = "linux")]
fn send(socket: &TcpStream, bytes: &[u8]) -> usize {
    use rustix::net::SendFlags;
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    rustix::net::send(socket, bytes, flags).unwrap_or(0)
}

impl State {
    fn wake_later(&mut self, context: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
    }

    /// Takes the socket out, where nothing waits that would have to be written before.
    fn lend_socket(&mut self) -> Option<Arc<TcpStream>> {
        match std::mem::replace(&mut self.direct, Direct::Lent) {
            Direct::Free(socket) => Some(socket),
            other => {
                self.direct = other;
                None
            }
        }
    }

    /// Sees to it that the connection's task deals with what has come, and nobody writes before it
    /// does. Returns whom to wake for that, after the lock.
    pub(super) fn summon(&mut self) -> Option<Waker> {
        match self.direct {
            Direct::Lent => {
                self.is_wanted = true;
                return None;
            }
            Direct::Free(_) => self.direct = Direct::Withheld,
            Direct::Withheld => {}
        }
        self.waker.take()
    }

    /// Whether the connection is to be closed or to end.
    fn is_ending(&self) -> bool {
        self.closing.is_some() || self.cut_off
    }

    /// Queues what could not be written, before all that came in the meantime.
    fn queue_rest(&mut self, burst: &Burst<'_>, written: usize, budget: usize) {
        let mut rest = FrameQueue::default();
        for delivery in burst.deliveries() {
            rest.push(delivery.frame.clone());
        }
        rest.advance(written);
        self.bytes += rest.bytes() + rest.len() * OVERHEAD;
        rest.append(&mut self.queue);
        self.queue = rest;
        if self.closing.is_none() && self.bytes > budget && self.queue.len() > 1 {
            // The task is woken by the caller.
            self.waker = self.overflow();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Now;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};
    use tokio::net::TcpListener;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn whoever_wants_the_socket_back_is_woken_when_it_is_returned() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = Arc::new(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
        let mailbox = Mailbox::new(1_000);
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let context = Context::from_waker(&waker);
        let mut frames = FrameQueue::default();
        let now = Now { wall: fanfare_storage::Timestamp::EPOCH, steady: Duration::ZERO };
        let burst = Burst::new(Vec::new(), now);
        let lend = || mailbox.state.lock().lend_socket().unwrap();

        mailbox.take(&mut frames, Some(&socket), &context);
        mailbox.return_socket(lend(), &burst, 0);
        assert_eq!(count.0.load(Ordering::Relaxed), 0, "nobody wanted it");

        let lent = lend();
        assert!(!mailbox.withhold(&mut frames, &context));
        mailbox.return_socket(lent, &burst, 0);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(mailbox.withhold(&mut frames, &context));
    }
}
