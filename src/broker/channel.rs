//! One channel: the order of its messages, and who gets them.
//!
//! A message gets its id under the channel's lock and with it a place in the queue. It leaves the
//! queue, to be delivered, when it is at the front and, where it is stored, in storage: so
//! delivery order is id order, and nobody sees what a crash could take back. The lock is held for
//! no more than that; encoding comes before, storage and delivery after.
//!
//! At most one thread delivers and at most one task stores at a time ([`Role`]). Whoever finds the
//! role taken leaves the work to its holder, who looks again before giving the role up, so that a
//! publisher waits for nobody.
//!
//! To a few subscribers a publisher delivers by itself. A crowd is served by a task, which takes
//! all that has come up to then and brings it to each in one write.

use super::burst::Burst;
use super::events::Announcer;
use super::ordered::OrderedMap;
use super::outgoing::{Audience, Outgoing};
use super::presence::Seat;
use super::queue::{Queue, Queued, Saving, Stage};
use super::role::{Delivering, Holding, Role, Storing};
use super::stats::Counter;
use super::subscribers::{Chunk, Registration, Slot, Snapshot, Subscribers, deliver_to_observers};
use crate::protocol::frame::Frame;
use crate::session::Now;
use fanfare_storage::{
    Error as StorageError, ErrorKind, MessageId, Outcome, Result as StorageResult, Timestamp,
};
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;

/// A subscription as its connection holds it.
#[derive(Clone, Debug)]
pub(crate) struct Joined {
    pub(super) channel: Arc<Channel>,
    slot: Slot,
    registration: Arc<Registration>,
    /// Its place among the members, on presence channels.
    pub(super) seat: Option<Box<Seat>>,
}

#[derive(Debug)]
pub(super) struct Channel {
    pub(super) name: Arc<str>,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    /// The newest id that was given out.
    newest: MessageId,
    /// The newest id that was delivered.
    published: MessageId,
    queue: Queue,
    subscribers: Subscribers,
    delivering: Role<Delivering>,
    storing: Role<Storing>,
    /// The time of the batch that is being stored.
    writing_since: Option<Timestamp>,
    /// The registry no longer knows this channel; whoever meets it looks the name up again.
    closed: bool,
}

/// The roles that publishing leaves to the caller, who does what they are for.
#[derive(Debug)]
pub(super) struct Duties {
    pub(super) deliver: Option<Holding<Delivering>>,
    pub(super) store: Option<Holding<Storing>>,
}

/// A batch on its way to storage.
pub(super) struct Batch {
    pub(super) writes: Vec<Saving>,
    /// When it was taken.
    pub(super) at: Timestamp,
    pub(super) role: Holding<Storing>,
}

/// What is delivered in one go, with those who get it: messages for all, or one thing for some.
pub(super) struct Ready {
    items: Vec<Queued>,
    subscribers: Snapshot,
    role: Holding<Delivering>,
}

/// Where a burst ends: a socket takes about so much, and it is copied once.
const MAX_BURST_BYTES: usize = 64 << 10;

impl Channel {
    /// A channel whose ids all exceed `floor`.
    pub(super) fn new(name: Arc<str>, floor: MessageId) -> Self {
        let state = State {
            newest: floor,
            published: floor,
            queue: Queue::new(),
            subscribers: Subscribers::default(),
            delivering: Role::free(),
            storing: Role::free(),
            writing_since: None,
            closed: false,
        };
        Self { name, state: Mutex::new(state) }
    }

    /// The state, unless the channel is closed.
    pub(super) fn open(&self) -> Option<MutexGuard<'_, State>> {
        Some(self.state.lock()).filter(|state| !state.closed)
    }

    /// Closes the channel if nothing needs it, and tells whether it did. `floor` is raised to the
    /// newest id that it gave out before anyone can see it closed, and so before a successor
    /// under the same name can start below.
    pub(super) fn close_if_unused(&self, floor: &Mutex<MessageId>) -> bool {
        let Some(mut state) = self.open() else { return false };
        if !state.subscribers.is_empty() || !state.queue.is_empty() || state.delivering.is_taken() {
            return false;
        }
        let mut floor = floor.lock();
        *floor = state.newest.max(*floor);
        state.closed = true;
        true
    }

    /// Ends a subscription, and returns whether it had not ended before. A channel without any is
    /// taken from the list of those that have some.
    fn leave(
        &self,
        slot: Slot,
        registration: &Arc<Registration>,
        subscribed: &OrderedMap<Self>,
        announcer: &Announcer,
    ) -> bool {
        let mut state = self.state.lock();
        let ended = state.subscribers.remove(slot, registration);
        if ended && registration.is_counted() {
            announcer.channel_updated(&self.name, state.subscribers.counted());
        }
        if ended && state.subscribers.is_empty() {
            subscribed.remove(&self.name, self);
        }
        ended
    }

    /// The time of the batch that is being stored, if any is.
    pub(super) fn writing_since(&self) -> Option<Timestamp> {
        self.state.lock().writing_since
    }

    pub(super) fn subscriptions_count(&self) -> usize {
        self.state.lock().subscribers.counted()
    }

    pub(super) fn subscribers(&self) -> Snapshot {
        self.state.lock().subscribers.snapshot()
    }

    /// Delivers what is ready, in order, where there are few to deliver it to. Returns the role where
    /// that is more than should be done at once; it goes on to a task, with
    /// [`next_ready`](Self::next_ready).
    pub(super) fn deliver(
        &self,
        role: Holding<Delivering>,
        delivered: &Counter,
    ) -> Option<Holding<Delivering>> {
        const TURN: usize = 64;
        const CROWD: usize = 8;
        for _ in 0..TURN {
            let (item, subscribers) = {
                let mut state = self.state.lock();
                if state.subscribers.len() >= CROWD {
                    return Some(role);
                }
                let Some(item) = state.pop_ready(&role) else {
                    state.delivering.give_up(role);
                    return None;
                };
                (item, state.subscribers.snapshot())
            };
            delivered.add(subscribers.deliver(&item.delivery(&self.name)));
            item.settle();
        }
        Some(role)
    }

    /// What is ready to be delivered to the same subscribers in one go, in order; `None` gives
    /// the role of delivering up.
    pub(super) fn next_ready(&self, role: Holding<Delivering>) -> Option<Ready> {
        let mut state = self.state.lock();
        let Some(first) = state.pop_ready(&role) else {
            state.delivering.give_up(role);
            return None;
        };
        let mut items = vec![first];
        let mut bytes = items[0].frame.len();
        let is_for_all = |item: &Queued| matches!(item.audience, Audience::AllBut(_));
        while bytes < MAX_BURST_BYTES
            && is_for_all(&items[0])
            && state.queue.front_if_ready().is_some_and(is_for_all)
        {
            let Some(item) = state.pop_ready(&role) else { break };
            bytes += item.frame.len();
            items.push(item);
        }
        Some(Ready { items, subscribers: state.subscribers.snapshot(), role })
    }

    /// Whether something could be delivered by now.
    pub(super) fn has_ready(&self) -> bool {
        self.state.lock().queue.front_if_ready().is_some()
    }

    /// The next batch to be stored; `None` gives the role of storing up. The time is asked for
    /// under the channel's lock, so that whoever sees no batch has an earlier one.
    pub(super) fn next_batch(
        &self,
        role: Holding<Storing>,
        now: impl FnOnce() -> Timestamp,
    ) -> Option<Batch> {
        let mut state = self.state.lock();
        let (writes, at) = (state.queue.take_unsaved(), now());
        if writes.is_empty() {
            state.storing.give_up(role);
            return None;
        }
        state.writing_since = Some(at);
        Some(Batch { writes, at, role })
    }

    /// Takes note of what became of a batch; returns the role of delivering where that is the
    /// caller's duty now.
    pub(super) fn stored(
        &self,
        batch: Vec<Saving>,
        result: StorageResult<Vec<Outcome>>,
    ) -> Option<Holding<Delivering>> {
        let (outcomes, failure) = match result {
            Ok(outcomes) => (outcomes, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let mut outcomes = outcomes.into_iter();
        let mut over = Vec::new();
        let deliver = {
            let mut state = self.state.lock();
            state.writing_since = None;
            for saving in batch {
                match outcomes.next() {
                    Some(Outcome::Applied) => state.queue.mark_ready(saving.id, None),
                    Some(outcome @ (Outcome::EntryChanged(_) | Outcome::ReactionRemoved(_))) => {
                        state.queue.mark_ready(saving.id, Some(Box::new(outcome)));
                    }
                    Some(Outcome::IdNotNewest(newest)) => state.move_to_end(saving, newest),
                    // Nobody has anything to see of it.
                    outcome => {
                        let removed = state.queue.remove(saving.id);
                        over.extend(removed.map(|queued| (queued, saving, outcome)));
                    }
                }
            }
            state.take_delivery()
        };
        for (queued, saving, outcome) in over {
            let outcome = outcome.ok_or_else(|| failure.clone().unwrap_or_else(unanswered));
            queued.end(&saving, outcome);
        }
        deliver
    }
}

impl Ready {
    /// Delivers to one part of the subscribers after the other, with other tasks having their
    /// turn in between.
    pub(super) async fn deliver(
        self,
        channel: &str,
        at: Now,
        delivered: &Counter,
    ) -> Holding<Delivering> {
        match &self.items[0].audience {
            Audience::AllBut(_) => {
                let deliveries = self.items.iter().map(|item| item.delivery(channel)).collect();
                let burst = Burst::new(deliveries, at);
                self.in_turns(delivered, |part| burst.deliver(part)).await;
            }
            Audience::Observers(key) => {
                let (update, mut known) = (self.items[0].delivery(channel), None);
                self.in_turns(delivered, |part| {
                    deliver_to_observers(part, &update, key, &mut known)
                })
                .await;
            }
            Audience::Nobody => {}
        }
        self.items.into_iter().for_each(Queued::settle);
        self.role
    }

    async fn in_turns(&self, delivered: &Counter, mut deliver: impl FnMut(&Chunk) -> usize) {
        for (number, part) in self.subscribers.chunks().enumerate() {
            // Not after the last: a turn costs a call of the system, as much as a delivery.
            if number > 0 {
                tokio::task::yield_now().await;
            }
            delivered.add(deliver(part));
        }
    }
}

impl Joined {
    pub(super) fn end(&self, subscribed: &OrderedMap<Channel>, announcer: &Announcer) -> bool {
        self.channel.leave(self.slot, &self.registration, subscribed, announcer)
    }

    pub(super) fn channel_name(&self) -> &Arc<str> {
        &self.channel.name
    }

    pub(super) fn registration(&self) -> &Arc<Registration> {
        &self.registration
    }
}

impl State {
    pub(super) fn subscriptions_count(&self) -> usize {
        self.subscribers.counted()
    }

    pub(super) fn is_first_subscription(&self) -> bool {
        self.subscribers.len() == 1
    }

    /// Registers a connection, and tells it so where `confirmation` is there. What is delivered
    /// from now on reaches it after the confirmation.
    pub(super) fn join(
        &mut self,
        channel: &Arc<Channel>,
        registration: Arc<Registration>,
        confirmation: Option<Frame>,
    ) -> (Joined, MessageId) {
        let slot = self.subscribers.insert(Arc::clone(&registration));
        if let Some(confirmation) = confirmation {
            registration.mailbox().push(confirmation);
        }
        let channel = Arc::clone(channel);
        let joined = Joined { channel, slot, registration, seat: None };
        (joined, self.published)
    }

    /// Whether nothing is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && !self.delivering.is_taken()
    }

    /// Gives a message its id and its place.
    pub(super) fn enqueue(
        &mut self,
        outgoing: Outgoing,
        next_id: impl FnOnce(MessageId) -> MessageId,
    ) -> (MessageId, Duties) {
        let id = next_id(self.newest);
        self.newest = id;
        let Outgoing { draft, settle, permit } = outgoing;
        let stored = draft.is_stored();
        self.queue.push(Queued {
            id,
            frame: draft.frame.stamp(id),
            audience: draft.audience,
            stage: draft.write.map_or(Stage::Ready(None), Stage::Unsaved),
            settle,
            announcement: draft.announcement,
            _permit: permit,
        });
        let store = if stored { self.storing.take() } else { None };
        (id, Duties { deliver: self.take_delivery(), store })
    }

    /// Takes the role of delivering where it is free and there is something to deliver.
    fn take_delivery(&mut self) -> Option<Holding<Delivering>> {
        self.queue.front_if_ready()?;
        self.delivering.take()
    }

    /// The next item to be delivered, for who has the role.
    fn pop_ready(&mut self, _role: &Holding<Delivering>) -> Option<Queued> {
        let item = self.queue.pop_ready()?;
        self.published = item.id;
        Some(item)
    }

    /// Gives a message that storage refused for its id a new one, greater than all in use.
    fn move_to_end(&mut self, saving: Saving, newest_stored: MessageId) {
        self.newest = self.newest.max(newest_stored).next();
        self.queue.move_to_end(saving, self.newest);
    }
}

/// Of what a storage says nothing, though it does not fail.
fn unanswered() -> StorageError {
    let message = "the storage gave fewer answers than it was asked for";
    StorageError::new(ErrorKind::Unavailable, "commit", message)
}
