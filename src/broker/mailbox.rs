//! The queue of frames that wait to be written to one connection.
//!
//! Whoever delivers pushes and goes on; the connection's own task takes, and writes. Only where
//! nothing waits, a crowd's messages go straight to the socket ([`direct`]). The queue has a
//! budget in bytes. A connection whose queue goes over it is closed with a code that tells the
//! client to come back; what was queued is dropped, since it could only be delivered late and
//! the client has to fetch what it missed anyway.

mod direct;

pub(crate) use direct::Mail;

use super::frame_queue::FrameQueue;
use super::outgoing::Audience;
use super::relief::{Pressure, pressure};
use super::stats::Refusals;
use super::subscribers::{Delivery, Phase, Registration};
use crate::protocol::error::ProtocolError;
use crate::protocol::event::Event;
use crate::protocol::frame::Frame;
use crate::session::CloseReason;
use direct::Direct;
use fanfare_storage::MessageId;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Mailbox {
    state: Mutex<State>,
    budget: usize,
    /// Where errors are counted that the client is told.
    refusals: Arc<Refusals>,
}

#[derive(Debug, Default)]
struct State {
    direct: Direct,
    /// When something was last written directly, on the steady clock.
    last_sent: Option<Duration>,
    /// What came while the socket was lent has to be looked at when it is returned.
    is_wanted: bool,
    queue: FrameQueue,
    /// What came for a registration that is held. A connection has one of these at most, since
    /// its commands wait for each other.
    gathered: Vec<Gathered>,
    /// Of `queue` and `gathered`.
    bytes: usize,
    /// The answer to the client's last ping; an earlier one that was not sent yet need not be
    /// (RFC 6455 section 5.5.3). In a box, since it is seldom there.
    pong: Option<Box<Frame>>,
    /// Set once; nothing is queued from then on.
    closing: Option<CloseReason>,
    /// What was dropped when it went over budget.
    dropped: u32,
    /// The connection is to end without a word more.
    cut_off: bool,
    waker: Option<Waker>,
    /// Whether what the task took last was not all written when it last asked for more.
    unwritten: bool,
    /// Of who waits for all to be written; see [`Mailbox::written`].
    replaying: Option<Waker>,
    /// Of those who wait for the queue to be taken.
    pressure: Vec<Pressure>,
}

/// A frame that came for a held registration.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// Its place in the channel's order.
    pub(crate) id: MessageId,
    /// The key of the channel's storage that it tells of, if it does.
    pub(crate) key: Option<Arc<str>>,
    frame: Frame,
}

impl Mailbox {
    /// An empty mailbox that holds up to `budget` bytes, and at least one frame of any size.
    pub(crate) fn counting(budget: usize, refusals: Arc<Refusals>) -> Self {
        Self { state: Mutex::default(), budget, refusals }
    }

    #[cfg(test)]
    pub(crate) fn new(budget: usize) -> Self {
        Self::counting(budget, Arc::default())
    }

    /// Tells the client what went wrong, on the channel as it wrote it.
    pub(super) fn refuse(&self, channel: Option<Box<str>>, error: ProtocolError) {
        self.refusals.count(error.code.kind());
        self.push(Event::Error { channel, error }.to_frame());
    }

    /// Queues a frame.
    pub(crate) fn push(&self, frame: Frame) {
        let mut state = self.state.lock();
        let waker = state.push(frame, self.budget);
        drop(state);
        wake(waker);
    }

    /// Queues a channel's frame unless the registration has ended, or gathers it while that is
    /// held. The phase is looked at under the mailbox's lock, where it is changed, so that nothing
    /// of a subscription arrives after its end, or of an earlier one after a new one's start.
    pub(super) fn deliver(&self, registration: &Registration, delivery: &Delivery<'_>) {
        let mut state = self.state.lock();
        let waker = state.accept(registration, delivery, self.budget);
        if let Some(pressure) = delivery.pressure.filter(|_| registration.phase() != Phase::Ended) {
            state.press(pressure, self.budget);
        }
        drop(state);
        wake(waker);
    }

    /// Waits while the queue is more than half full, for a second at the longest.
    pub(super) async fn relieved(&self) {
        let (pressure, relief) = pressure();
        self.state.lock().press(&pressure, self.budget);
        drop(pressure);
        relief.wait().await;
    }

    /// Whether it is time to wait until the client has read.
    pub(super) fn is_half_full(&self) -> bool {
        self.state.lock().bytes > self.budget / 2
    }

    /// Queues word of a subscription's end, which does not count: there is no more of it than there
    /// were subscriptions, and it is not the client's fault that they end.
    pub(super) fn push_farewell(&self, frame: Frame) {
        let mut state = self.state.lock();
        let mut waker = None;
        if state.closing.is_none() {
            state.queue.push(frame);
            waker = state.summon();
        }
        drop(state);
        wake(waker);
    }

    /// Ends a registration.
    pub(super) fn end_registration(&self, registration: &Registration) {
        let mut state = self.state.lock();
        if registration.phase() == Phase::Held {
            state.take_gathered();
        }
        registration.set_phase(Phase::Ended);
    }

    /// Makes a held registration live: what was gathered is queued where `wanted` says so, before
    /// anything that comes later. It was let in when it came, so none of it is too much now.
    pub(super) fn release(
        &self,
        registration: &Registration,
        mut wanted: impl FnMut(&Gathered) -> bool,
    ) {
        let mut state = self.state.lock();
        if registration.phase() != Phase::Held {
            return;
        }
        registration.set_phase(Phase::Live);
        for gathered in state.take_gathered() {
            if state.closing.is_none() && wanted(&gathered) {
                state.bytes += gathered.frame.len() + OVERHEAD;
                state.queue.push(gathered.frame);
            }
        }
        let waker = if state.queue.is_empty() { None } else { state.summon() };
        drop(state);
        wake(waker);
    }

    /// Waits until all that was queued is written, so that the client keeps up, or the connection is
    /// to be closed. One waits at a time, since a connection's commands do.
    pub(super) async fn written(&self) {
        poll_fn(|context| {
            let mut state = self.state.lock();
            if state.is_written() || state.closing.is_some() {
                return Poll::Ready(());
            }
            state.replaying = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Queues the first of `frames` for a registration that is held, and further ones as long as
    /// they leave room for what is gathered meanwhile. Returns whether it may: not where the
    /// registration or the connection has ended.
    pub(super) fn replay(&self, registration: &Registration, frames: &mut VecDeque<Frame>) -> bool {
        let room = REPLAYED_AT_ONCE.min(self.budget / 4);
        let mut state = self.state.lock();
        if registration.phase() != Phase::Held || state.closing.is_some() {
            return false;
        }
        let mut queued = 0;
        while let Some(frame) = frames.pop_front() {
            let cost = frame.len() + OVERHEAD;
            let fits = queued + cost <= room && state.bytes + cost <= self.budget;
            if queued > 0 && !fits {
                frames.push_front(frame);
                break;
            }
            queued += cost;
            state.bytes += cost;
            state.queue.push(frame);
        }
        let waker = state.summon();
        drop(state);
        wake(waker);
        true
    }

    /// Queues the answer to a ping, in the place of one that still waits.
    pub(crate) fn pong(&self, frame: Frame) {
        let mut state = self.state.lock();
        state.pong = Some(Box::new(frame));
        let waker = state.summon();
        drop(state);
        wake(waker);
    }

    /// Asks for the connection's end, without waiting for the client.
    pub(crate) fn cut_off(&self) {
        let mut state = self.state.lock();
        state.cut_off = true;
        let waker = state.summon();
        drop(state);
        wake(waker);
    }

    /// Bytes that wait to be written, with what surrounds them.
    pub(super) fn queued_bytes(&self) -> usize {
        self.state.lock().bytes
    }

    /// How many frames were dropped since the client was too slow.
    pub(crate) fn dropped(&self) -> usize {
        self.state.lock().dropped as usize
    }

    pub(crate) fn is_cut_off(&self) -> bool {
        self.state.lock().cut_off
    }

    /// Asks for the connection's end, after what is queued. The first reason counts; returns
    /// whether this is it.
    pub(crate) fn close(&self, reason: CloseReason) -> bool {
        let mut state = self.state.lock();
        let is_first = state.closing.is_none();
        if is_first {
            state.closing = Some(reason);
        }
        let waker = state.summon();
        drop(state);
        wake(waker);
        is_first
    }

    /// Whether the host ended the connection.
    pub(super) fn is_disconnected(&self) -> bool {
        self.state.lock().closing == Some(CloseReason::Disconnected)
    }

    pub(crate) fn closing(&self) -> Option<CloseReason> {
        self.state.lock().closing
    }

    /// Takes all that waits, and has it written.
    #[cfg(test)]
    pub(crate) fn drain(&self) -> (Vec<Frame>, Option<CloseReason>) {
        let mut all = Vec::new();
        loop {
            let mut frames = FrameQueue::default();
            let context = std::task::Context::from_waker(Waker::noop());
            let Mail::Taken(closing) = self.take(&mut frames, None, &context) else {
                panic!("the socket is being written to");
            };
            if frames.is_empty() {
                return (all, closing);
            }
            all.extend(frames.into_frames());
        }
    }
}

/// Bytes of a replay that are queued at once: enough for a socket to be busy with.
const REPLAYED_AT_ONCE: usize = 64 << 10;

/// What a frame takes beside its bytes, roughly: its place in the queue, and what counts its
/// references. Without it a flood of tiny frames would cost many times the budget.
pub(super) const OVERHEAD: usize = 64;

impl State {
    fn accept(
        &mut self,
        registration: &Registration,
        delivery: &Delivery<'_>,
        budget: usize,
    ) -> Option<Waker> {
        match registration.phase() {
            Phase::Live => self.push(delivery.frame.clone(), budget),
            Phase::Held => self.gather(delivery, budget),
            Phase::Ended => None,
        }
    }

    fn gather(&mut self, delivery: &Delivery<'_>, budget: usize) -> Option<Waker> {
        if self.closing.is_some() {
            return None;
        }
        let cost = delivery.frame.len() + OVERHEAD;
        let is_first = self.queue.is_empty() && self.gathered.is_empty();
        if self.bytes + cost > budget && !is_first {
            return self.overflow();
        }
        self.bytes += cost;
        let key = match delivery.audience {
            Audience::Observers(key) => Some(Arc::clone(key)),
            Audience::AllBut(_) | Audience::Nobody => None,
        };
        let gathered = Gathered { id: delivery.id, key, frame: delivery.frame.clone() };
        self.gathered.push(gathered);
        None
    }

    /// Whether nothing that was queued is left to write.
    fn is_written(&self) -> bool {
        self.queue.is_empty() && !self.unwritten
    }

    fn take_gathered(&mut self) -> Vec<Gathered> {
        self.bytes = self.bytes.saturating_sub(self.gathered_bytes());
        std::mem::take(&mut self.gathered)
    }

    fn gathered_bytes(&self) -> usize {
        self.gathered.iter().map(|gathered| gathered.frame.len() + OVERHEAD).sum()
    }

    /// Lets whoever holds the other end wait for the queue to be taken, where it is more than half
    /// full. Nobody waits for a client that was waited for in vain and has read nothing since.
    fn press(&mut self, pressure: &Pressure, budget: usize) {
        let given_up = || self.pressure.iter().any(Pressure::is_given_up);
        if self.bytes > budget / 2 && self.closing.is_none() && !given_up() {
            self.pressure.push(pressure.clone());
        }
    }

    fn overflow(&mut self) -> Option<Waker> {
        self.closing = Some(CloseReason::SlowConsumer);
        // The one that did not fit, too.
        let dropped = self.queue.len() + self.gathered.len() + 1;
        self.dropped = u32::try_from(dropped).unwrap_or(u32::MAX);
        self.queue.clear();
        self.gathered = Vec::new();
        self.pressure = Vec::new();
        self.bytes = 0;
        self.summon()
    }

    fn push(&mut self, frame: Frame, budget: usize) -> Option<Waker> {
        if self.closing.is_some() {
            return None;
        }
        let cost = frame.len() + OVERHEAD;
        if self.bytes + cost > budget && !self.queue.is_empty() {
            return self.overflow();
        }
        self.bytes += cost;
        self.queue.push(frame);
        self.summon()
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::future::Future;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake};

    #[test]
    fn over_budget_everything_is_dropped_and_the_connection_closed() {
        let mailbox = Mailbox::new(10 + 2 * OVERHEAD);
        mailbox.push(Bytes::from_static(b"123456"));
        mailbox.push(Bytes::from_static(b"1234"));
        mailbox.push(Bytes::from_static(b"1"));
        mailbox.push(Bytes::from_static(b"late"));
        assert_eq!(mailbox.drain(), (vec![], Some(CloseReason::SlowConsumer)));
    }

    #[test]
    fn a_single_frame_may_be_larger_than_the_budget() {
        let mailbox = Mailbox::new(2);
        mailbox.push(Bytes::from_static(b"123"));
        assert_eq!(mailbox.drain(), (vec![Bytes::from_static(b"123")], None));
        mailbox.push(Bytes::from_static(b"123"));
        assert_eq!(mailbox.drain().0.len(), 1, "what was taken counts no more");
    }

    #[test]
    fn the_first_reason_to_close_counts_and_comes_after_what_was_queued() {
        let mailbox = Mailbox::new(1_000);
        mailbox.push(Bytes::from_static(b"a"));
        mailbox.close(CloseReason::Draining);
        mailbox.close(CloseReason::Idle);
        mailbox.push(Bytes::from_static(b"b"));
        let expected = (vec![Bytes::from_static(b"a")], Some(CloseReason::Draining));
        assert_eq!(mailbox.drain(), expected);
    }

    #[test]
    fn a_client_that_does_not_read_can_t_put_its_end_off() {
        let mailbox = Mailbox::new(1_000);
        mailbox.push(Bytes::from_static(b"queued"));
        mailbox.close(CloseReason::MaximumAge);
        let mut stalled = FrameQueue::default();
        stalled.push(Bytes::from_static(b"unwritten"));
        let mail = mailbox.take(&mut stalled, None, &Context::from_waker(Waker::noop()));
        assert_eq!(mail, Mail::Taken(Some(CloseReason::MaximumAge)));
        let expected = [Bytes::from_static(b"unwritten"), Bytes::from_static(b"queued")];
        assert_eq!(stalled.into_frames(), expected);
    }

    #[test]
    fn only_the_last_pong_waits() {
        let mailbox = Mailbox::new(1_000);
        mailbox.pong(Bytes::from_static(b"first"));
        mailbox.pong(Bytes::from_static(b"second"));
        assert_eq!(mailbox.drain(), (vec![Bytes::from_static(b"second")], None));
    }

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_waits_for_all_to_be_written_is_woken_then_and_not_before() {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let (task, mut outbox) = (Context::from_waker(Waker::noop()), FrameQueue::default());
        let mailbox = Mailbox::new(1_000);
        mailbox.push(Bytes::from_static(b"first"));
        let mut written = std::pin::pin!(mailbox.written());
        let mut is_written = || written.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        assert!(!is_written());
        mailbox.take(&mut outbox, None, &task);
        mailbox.push(Bytes::from_static(b"next"));
        for _ in 0..3 {
            // The socket takes nothing.
            mailbox.take(&mut outbox, None, &task);
            assert!(!is_written());
        }
        for _ in 0..2 {
            assert_eq!(count.0.load(Ordering::Relaxed), 0);
            outbox = FrameQueue::default();
            assert!(!is_written());
            mailbox.take(&mut outbox, None, &task);
        }
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(is_written());
    }

    #[test]
    fn the_task_is_woken_once_for_many_frames() {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let mailbox = Mailbox::new(1_000);
        mailbox.take(&mut FrameQueue::default(), None, &Context::from_waker(&waker));
        for _ in 0..3 {
            mailbox.push(Bytes::from_static(b"x"));
        }
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }
}
