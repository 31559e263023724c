//! All channels of a broker: looked up by name, made when first needed, gone when no longer.

use super::channel::{Batch, Channel, Duties, Joined, State};
use super::clock::Clock;
use super::events::Announcer;
use super::ordered::OrderedMap;
use super::outgoing::{Audience, Draft, Outgoing, Settle};
use super::presence::Presence;
use super::queue::Saving;
use super::role::{Delivering, Holding, Storing};
use super::stats::Counters;
use super::subscribers::{Registration, Snapshot};
use crate::protocol::frame::Frame;
use dashmap::DashMap;
use fanfare_storage::{ErrorKind, MessageId, Outcome, Storage, Timestamp};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

#[derive(Debug)]
pub(crate) struct Hub {
    channels: DashMap<Arc<str>, Arc<Channel>>,
    /// Those that have subscriptions. Changed under the channel's lock.
    subscribed: OrderedMap<Channel>,
    /// How many subscriptions they have in all.
    subscriptions: AtomicUsize,
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    /// Where tasks run. Not whichever runtime a host publishes from, which may end before them.
    runtime: Handle,
    /// No id of a channel that is not in `channels` exceeds this.
    floor: Mutex<MessageId>,
    /// Bytes of messages that may wait for storage or delivery.
    waiting: Arc<Semaphore>,
    waiting_budget: usize,
    /// Whether ids were given out that storage does not learn by itself, since it was last told.
    unstored: AtomicBool,
    /// The latest millisecond of ids that ran ahead of the wall clock.
    ahead: AtomicU64,
    counters: Counters,
    pub(super) presence: Presence,
    announcer: Announcer,
}

impl Hub {
    /// A hub whose ids all exceed `floor`. Messages wait for storage and delivery in up to about
    /// `waiting_budget` bytes; beyond that publishers wait. Its tasks run on the current runtime.
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        floor: MessageId,
        waiting_budget: usize,
        announcer: Announcer,
    ) -> Self {
        let waiting_budget = waiting_budget.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Self {
            channels: DashMap::new(),
            subscribed: OrderedMap::default(),
            subscriptions: AtomicUsize::new(0),
            storage,
            clock,
            runtime: Handle::current(),
            floor: Mutex::new(floor),
            waiting: Arc::new(Semaphore::new(waiting_budget)),
            waiting_budget,
            unstored: AtomicBool::new(false),
            ahead: AtomicU64::new(0),
            counters: Counters::default(),
            presence: Presence::default(),
            announcer,
        }
    }

    /// Lets members of presence channels stay for some time after their connection was lost.
    pub(crate) fn with_presence_grace(mut self, grace: Duration) -> Self {
        self.presence.grace = grace;
        self
    }

    /// Registers a connection with a channel, and confirms it where `confirmation` is there. The
    /// id returned is the newest that was delivered before: what has a greater one reaches the
    /// registration.
    pub(crate) fn join(
        &self,
        channel: &Arc<str>,
        registration: &Arc<Registration>,
        confirmation: Option<Frame>,
    ) -> (Joined, MessageId) {
        self.with_channel(channel, |channel, state| {
            let joined = state.join(channel, Arc::clone(registration), confirmation);
            if state.is_first_subscription() {
                self.subscribed.insert(&channel.name, channel);
            }
            self.subscriptions.fetch_add(1, Ordering::Relaxed);
            if registration.is_counted() {
                self.announcer.channel_updated(&channel.name, state.subscriptions_count());
            }
            joined
        })
    }

    /// Ends a registration, at the client's wish or the broker's. On presence channels the
    /// receiver hears when the members have been told.
    pub(crate) fn leave(self: &Arc<Self>, joined: &Joined) -> Option<oneshot::Receiver<()>> {
        self.end(joined, false)
    }

    /// Ends a registration whose connection was lost, and may come back.
    pub(crate) fn lose(self: &Arc<Self>, joined: &Joined) {
        self.end(joined, true);
    }

    fn end(self: &Arc<Self>, joined: &Joined, may_return: bool) -> Option<oneshot::Receiver<()>> {
        if joined.end(&self.subscribed, &self.announcer) {
            self.subscriptions.fetch_sub(1, Ordering::Relaxed);
        }
        let seat = joined.seat.as_ref();
        let left = seat.map(|seat| self.leave_seat(seat, may_return));
        self.forget_if_unused(&joined.channel);
        left
    }

    pub(super) fn announcer(&self) -> &Announcer {
        &self.announcer
    }

    /// A share of what may wait, without waiting for it; `None` where too much waits already.
    pub(crate) fn try_reserve(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.waiting).try_acquire_many_owned(self.permits(bytes)).ok()
    }

    /// A share of what may wait, in turn.
    pub(crate) async fn reserve(&self, bytes: usize) -> OwnedSemaphorePermit {
        let waiting = Arc::clone(&self.waiting);
        match waiting.acquire_many_owned(self.permits(bytes)).await {
            Ok(permit) => permit,
            Err(_) => unreachable!("the semaphore is never closed"),
        }
    }

    /// Puts a message into its channel's order and sees to its storage and delivery. The id is
    /// final where the message is not stored; otherwise the one that is settled with is.
    pub(crate) fn publish(self: &Arc<Self>, channel: &Arc<str>, outgoing: Outgoing) -> MessageId {
        let now = self.clock.wall();
        let unstored = !outgoing.draft.stores_its_id();
        if outgoing.draft.audience != Audience::Nobody {
            self.counters.published.add(1);
        }
        let (channel, id, duties) = self.with_channel(channel, |channel, state| {
            let (id, duties) = state.enqueue(outgoing, |newest| next_id(newest, now));
            (Arc::clone(channel), id, duties)
        });
        if id.timestamp() > now {
            self.ahead.fetch_max(id.timestamp().as_unix_millis(), Ordering::Relaxed);
        }
        // After `ahead`, so that whoever takes the flag back sees it.
        if unstored && !self.unstored.load(Ordering::Acquire) {
            self.unstored.store(true, Ordering::Release);
        }
        self.fulfil(&channel, duties);
        id
    }

    /// Waits until all that was published on a channel before has been stored and delivered, or
    /// given up.
    pub(crate) async fn barrier(self: &Arc<Self>, channel: &Arc<str>) {
        let found = self.channels.get(channel).map(|found| Arc::clone(&found));
        if found.is_none_or(|channel| channel.open().is_none_or(|state| state.is_idle())) {
            return;
        }
        let draft = Draft::barrier();
        let permit = self.reserve(draft.size()).await;
        let (caller, settled) = oneshot::channel();
        self.publish(channel, draft.outgoing(Settle::Caller(caller), permit));
        // Where it is dropped, so was all before it.
        let _ = settled.await;
    }

    /// The time of the writes that are under way on a channel, or now: none that becomes visible
    /// later has an earlier one.
    pub(super) fn time_of_writes(&self, channel: &str) -> Timestamp {
        let now = self.clock.now().wall;
        let found = self.channels.get(channel).map(|found| Arc::clone(&found));
        let writing = found.and_then(|channel| channel.writing_since());
        writing.map_or(now, |since| since.min(now))
    }

    /// Up to `limit` channels that have subscriptions, in the order of their names' bytes, each
    /// with how many count.
    pub(crate) fn subscribed_channels(
        &self,
        after: Option<&str>,
        prefix: &str,
        limit: usize,
    ) -> Vec<(Arc<str>, usize)> {
        let page = self.subscribed.page(after, prefix, limit);
        page.into_iter().map(|(name, channel)| (name, channel.subscriptions_count())).collect()
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Bytes of messages that wait for storage or delivery.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting_budget.saturating_sub(self.waiting.available_permits())
    }

    /// How many channels have subscriptions, and how many they have in all.
    pub(crate) fn subscription_totals(&self) -> (usize, usize) {
        (self.subscribed.len(), self.subscriptions.load(Ordering::Relaxed))
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// How many subscriptions of a channel count (protocol section 10).
    pub(crate) fn subscriptions_count(&self, channel: &str) -> usize {
        let channel = self.channels.get(channel).map(|found| Arc::clone(&found));
        channel.map_or(0, |channel| channel.subscriptions_count())
    }

    pub(super) fn subscribers(&self, channel: &str) -> Option<Snapshot> {
        let channel = self.channels.get(channel).map(|found| Arc::clone(&found));
        channel.map(|channel| channel.subscribers())
    }

    /// Waits until all that was published has been stored and delivered, or given up.
    pub(crate) async fn settled(&self) {
        drop(self.reserve(self.waiting_budget).await);
    }

    /// Tells storage which ids may have been given out that it did not learn, so that none is given
    /// again after a restart, even where the clock has stepped back.
    pub(crate) async fn save_high_water(&self) -> fanfare_storage::Result<()> {
        if !self.unstored.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let now = self.clock.now().wall.as_unix_millis();
        let ahead = self.ahead.load(Ordering::Relaxed);
        let time = Timestamp::from_unix_millis(now.max(ahead));
        let result = self.storage.raise_high_water(MessageId::from_parts(time, u128::MAX)).await;
        if result.is_err() {
            self.unstored.store(true, Ordering::Relaxed);
        }
        result
    }

    #[cfg(test)]
    pub(crate) fn channel_count(&self) -> usize {
        self.channels.len()
    }

    #[allow(clippy::cast_possible_truncation)] // clamped to u32 when the budget was set
    fn permits(&self, bytes: usize) -> u32 {
        bytes.clamp(1, self.waiting_budget) as u32
    }

    fn fulfil(self: &Arc<Self>, channel: &Arc<Channel>, duties: Duties) {
        if let Some(role) = duties.store {
            self.runtime.spawn(Arc::clone(self).store(Arc::clone(channel), role));
        }
        if let Some(role) = duties.deliver {
            self.deliver(channel, role);
        }
    }

    /// Delivers here and now, where there is little to do; anything else is left to a task, so
    /// that a busy channel can't keep one publisher at work for everybody, and so that what is
    /// published together reaches a crowd together.
    fn deliver(self: &Arc<Self>, channel: &Arc<Channel>, role: Holding<Delivering>) {
        let Some(mut role) = channel.deliver(role, &self.counters.delivered) else {
            self.forget_if_unused(channel);
            return;
        };
        let (hub, channel) = (Arc::clone(self), Arc::clone(channel));
        self.runtime.spawn(async move {
            while let Some(ready) = channel.next_ready(role) {
                let delivered = &hub.counters.delivered;
                role = ready.deliver(&channel.name, hub.clock.now(), delivered).await;
                if channel.has_ready() {
                    tokio::task::yield_now().await;
                }
            }
            hub.forget_if_unused(&channel);
        });
    }

    /// Stores a channel's messages, a batch at a time, for as long as there are any.
    async fn store(self: Arc<Self>, channel: Arc<Channel>, role: Holding<Storing>) {
        let mut role = Some(role);
        let next = |role| channel.next_batch(role, || self.clock.now().wall);
        while let Some(Batch { writes, at, role: held }) = role.take().and_then(next) {
            let items = writes.iter().map(Saving::item).collect();
            let batch = Some((writes, held));
            let mut unsettled = Unsettled { hub: &self, channel: &channel, batch };
            let result = self.storage.commit(&channel.name, items, at).await;
            let result = result.map(|outcomes| self.tell_of_expiries(&channel.name, outcomes));
            if let Err(error) = &result {
                tracing::debug!(channel = &*channel.name, %error, "messages could not be stored");
            }
            role = unsettled.settle(result);
        }
        self.forget_if_unused(&channel);
    }

    /// Tells of values that had expired when others took their place, before anybody hears of
    /// those. To all else there was nothing.
    fn tell_of_expiries(&self, channel: &Arc<str>, outcomes: Vec<Outcome>) -> Vec<Outcome> {
        let settle = |outcome| match outcome {
            Outcome::ExpiredEntryReplaced(expired) => {
                self.announcer.entry_expired(Arc::clone(channel), expired);
                Outcome::EntryChanged(None)
            }
            outcome => outcome,
        };
        // In place, as the standard library does it where it can.
        outcomes.into_iter().map(settle).collect()
    }

    fn with_channel<T>(
        &self,
        name: &Arc<str>,
        run: impl FnOnce(&Arc<Channel>, &mut State) -> T,
    ) -> T {
        loop {
            let channel = self.channel(name);
            if let Some(mut state) = channel.open() {
                return run(&channel, &mut state);
            }
            // Whoever closed it is about to do the same.
            self.remove(&channel);
        }
    }

    fn channel(&self, name: &Arc<str>) -> Arc<Channel> {
        if let Some(found) = self.channels.get(name) {
            return Arc::clone(&found);
        }
        let made = self
            .channels
            .entry(Arc::clone(name))
            .or_insert_with(|| Arc::new(Channel::new(Arc::clone(name), *self.floor.lock())));
        Arc::clone(&made)
    }

    fn forget_if_unused(&self, channel: &Arc<Channel>) {
        if channel.close_if_unused(&self.floor) {
            self.remove(channel);
        }
    }

    fn remove(&self, channel: &Arc<Channel>) {
        self.channels.remove_if(&channel.name, |_, found| Arc::ptr_eq(found, channel));
    }
}

/// Messages that are being stored. Where the task that stores them ends early, by a panic of a
/// backend's, they are given up rather than left to block their channel.
struct Unsettled<'a> {
    hub: &'a Arc<Hub>,
    channel: &'a Arc<Channel>,
    batch: Option<(Vec<Saving>, Holding<Storing>)>,
}

impl Unsettled<'_> {
    /// Settles the batch, and returns the role of storing, with which it goes on.
    fn settle(
        &mut self,
        result: fanfare_storage::Result<Vec<Outcome>>,
    ) -> Option<Holding<Storing>> {
        let (writes, role) = self.batch.take()?;
        if let Some(role) = self.channel.stored(writes, result) {
            self.hub.deliver(self.channel, role);
        }
        Some(role)
    }
}

impl Drop for Unsettled<'_> {
    fn drop(&mut self) {
        if self.batch.is_none() {
            return;
        }
        let error = fanfare_storage::Error::new(
            ErrorKind::Unavailable,
            "commit",
            "the task that stored it was ended",
        );
        // The role of storing goes on where there is more.
        if let Some(role) = self.settle(Err(error)) {
            self.hub.runtime.spawn(Arc::clone(self.hub).store(Arc::clone(self.channel), role));
        }
    }
}

/// The id of a message published at `now` on a channel whose newest id is `newest`: greater than
/// that also where the clock has stepped back.
pub(super) fn next_id(newest: MessageId, now: Timestamp) -> MessageId {
    let fresh = MessageId::from_parts(now, fastrand::u128(..));
    if fresh > newest { fresh } else { newest.next() }
}
