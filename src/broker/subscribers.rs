//! Who gets a channel's messages: a list that is cheap to hand out as it is at a moment, and
//! cheap to change while somebody still reads an older state of it.
//!
//! The list is made of chunks that are shared between its states. A change copies one chunk and
//! the list of chunks, and that only while a delivery is under way, so that a mass join or leave
//! costs what it adds and not the square of it.

use super::mailbox::Mailbox;
use super::outgoing::Audience;
use super::relief::Pressure;
use crate::auth::Grants;
use crate::protocol::frame::Frame;
use crate::session::Observer;
use fanfare_storage::MessageId;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Tells connections apart within a broker; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnectionKey(pub(crate) u64);

/// One connection's subscription to one channel.
#[derive(Debug)]
pub(crate) struct Registration {
    connection: ConnectionKey,
    mailbox: Arc<Mailbox>,
    counted: bool,
    /// A [`Phase`], changed under the mailbox's lock.
    phase: AtomicU8,
    /// The tokens that say which keys of the channel's storage are observed, if any.
    observer: Mutex<Option<Arc<Observer>>>,
}

/// What becomes of what is delivered to a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// It is queued for the client.
    Live,
    /// It is gathered, since the client has to be told of something else before.
    Held,
    /// Nothing: the subscription has ended.
    Ended,
}

impl Registration {
    /// A registration that is live, or one that is held at first.
    pub(super) fn new(
        connection: ConnectionKey,
        mailbox: Arc<Mailbox>,
        counted: bool,
        phase: Phase,
    ) -> Self {
        let phase = AtomicU8::new(phase as u8);
        Self { connection, mailbox, counted, phase, observer: Mutex::new(None) }
    }

    pub(super) fn connection(&self) -> ConnectionKey {
        self.connection
    }

    /// Whether it shows in the channel's count.
    pub(super) fn is_counted(&self) -> bool {
        self.counted
    }

    pub(super) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    pub(super) fn observe(&self, observer: Option<Arc<Observer>>) {
        *self.observer.lock() = observer;
    }

    /// Whether it observes a key of its channel's storage.
    pub(super) fn observes(&self, channel: &str, key: &str) -> bool {
        let observer = self.observer.lock().clone();
        observer.is_some_and(|observer| observer.observes(channel, key, &mut None))
    }

    /// To be asked under the mailbox's lock.
    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Live,
            1 => Phase::Held,
            _ => Phase::Ended,
        }
    }

    /// To be called under the mailbox's lock.
    pub(super) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    fn end(&self) {
        self.mailbox.end_registration(self);
    }
}

/// Something that a channel delivers, in its place.
#[derive(Debug)]
pub(super) struct Delivery<'a> {
    pub(super) id: MessageId,
    pub(super) frame: Frame,
    pub(super) channel: &'a str,
    pub(super) audience: &'a Audience,
    /// What mailboxes hold that become more than half full by it.
    pub(super) pressure: Option<&'a Pressure>,
}

impl Delivery<'_> {
    /// The one connection that does not get it, where it is for all others.
    pub(super) fn left_out(&self) -> Option<ConnectionKey> {
        match self.audience {
            Audience::AllBut(except) => *except,
            Audience::Observers(_) | Audience::Nobody => None,
        }
    }
}

const CHUNK: usize = 128;
pub(super) type Chunk = Vec<Option<Arc<Registration>>>;

/// The subscribers of one channel.
#[derive(Debug, Default)]
pub(super) struct Subscribers {
    chunks: Arc<Vec<Arc<Chunk>>>,
    /// Places that were left, to be taken again before the list grows.
    free: Vec<Slot>,
    /// Places taken.
    len: usize,
    /// Those of them that show in the channel's count.
    counted: usize,
}

/// A place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u32);

impl Slot {
    fn split(self) -> (usize, usize) {
        (self.0 as usize / CHUNK, self.0 as usize % CHUNK)
    }
}

/// The list as it was at one moment.
#[derive(Clone, Debug)]
pub(super) struct Snapshot(Arc<Vec<Arc<Chunk>>>);

impl Subscribers {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many subscriptions show in the channel's count.
    pub(super) fn counted(&self) -> usize {
        self.counted
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot(Arc::clone(&self.chunks))
    }

    pub(super) fn insert(&mut self, registration: Arc<Registration>) -> Slot {
        self.len += 1;
        self.counted += usize::from(registration.counted);
        let chunks = Arc::make_mut(&mut self.chunks);
        if let Some(slot) = self.free.pop() {
            let (chunk, place) = slot.split();
            Arc::make_mut(&mut chunks[chunk])[place] = Some(registration);
            return slot;
        }
        if chunks.last().is_none_or(|last| last.len() == CHUNK) {
            chunks.push(Arc::default());
        }
        let chunk = chunks.len() - 1;
        let last = Arc::make_mut(&mut chunks[chunk]);
        let slot = chunk * CHUNK + last.len();
        last.push(Some(registration));
        #[allow(clippy::cast_possible_truncation)] // a channel of 2^32 sockets fits no machine
        Slot(slot as u32)
    }

    /// Ends `registration`, which was given `slot`. One that has ended already is left alone, so
    /// that a late removal can't hit whoever has its place now. Returns whether it was there.
    pub(super) fn remove(&mut self, slot: Slot, registration: &Arc<Registration>) -> bool {
        let (chunk, place) = slot.split();
        let held = self.chunks.get(chunk).and_then(|chunk| chunk.get(place)?.as_ref());
        if !held.is_some_and(|held| Arc::ptr_eq(held, registration)) {
            return false;
        }
        registration.end();
        self.len -= 1;
        self.counted -= usize::from(registration.counted);
        if self.len == 0 {
            // Also gives back what a crowd needed.
            self.chunks = Arc::default();
            self.free = Vec::new();
            return true;
        }
        let chunks = Arc::make_mut(&mut self.chunks);
        Arc::make_mut(&mut chunks[chunk])[place] = None;
        self.free.push(slot);
        true
    }
}

impl Snapshot {
    /// Queues a frame for its audience, and returns how many that is.
    pub(super) fn deliver(&self, delivery: &Delivery<'_>) -> usize {
        match delivery.audience {
            Audience::AllBut(except) => {
                let mut delivered = 0;
                for registration in self.registrations() {
                    if Some(registration.connection) != *except {
                        registration.mailbox.deliver(registration, delivery);
                        delivered += 1;
                    }
                }
                delivered
            }
            Audience::Observers(key) => {
                let mut known = None;
                self.chunks()
                    .map(|chunk| deliver_to_observers(chunk, delivery, key, &mut known))
                    .sum()
            }
            Audience::Nobody => 0,
        }
    }

    /// The subscribers in parts, which are no more than a thread can serve in one turn.
    pub(super) fn chunks(&self) -> impl Iterator<Item = &Chunk> {
        self.0.iter().map(|chunk| &**chunk)
    }

    fn registrations(&self) -> impl Iterator<Item = &Arc<Registration>> {
        self.0.iter().flat_map(|chunk| chunk.iter()).flatten()
    }
}

/// Queues a frame for those of a part of the subscribers who observe `key`, and returns how many
/// these are.
pub(super) fn deliver_to_observers(
    subscribers: &Chunk,
    delivery: &Delivery<'_>,
    key: &str,
    known: &mut Option<Known>,
) -> usize {
    let mut delivered = 0;
    for registration in subscribers.iter().flatten() {
        let Some(observer) = registration.observer.lock().clone() else { continue };
        if observer.observes(delivery.channel, key, known) {
            registration.mailbox.deliver(registration, delivery);
            delivered += 1;
        }
    }
    delivered
}

/// What the last observer's tokens grant, and which tokens these were.
pub(super) type Known = (Arc<Observer>, bool);

impl Observer {
    /// Whether the tokens grant `observe`. Equal permissions are shared between connections, so
    /// that most observers of a channel have the answer of the one before.
    fn observes(self: &Arc<Self>, channel: &str, key: &str, known: &mut Option<Known>) -> bool {
        if let Some((other, answer)) = known
            && self.is_same(other)
        {
            return *answer;
        }
        let grants = Grants { connect: &self.connect, subscribe: self.subscribe.as_deref() };
        let answer = grants.storage(channel, key).observe;
        *known = Some((Arc::clone(self), answer));
        answer
    }

    fn is_same(&self, other: &Self) -> bool {
        let subscribe = match (&self.subscribe, &other.subscribe) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        subscribe && Arc::ptr_eq(&self.connect, &other.connect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn registration(key: u64) -> Arc<Registration> {
        let mailbox = Arc::new(Mailbox::new(1 << 20));
        let counted = key.is_multiple_of(2);
        Arc::new(Registration::new(ConnectionKey(key), mailbox, counted, Phase::Live))
    }

    fn deliver(snapshot: &Snapshot) {
        snapshot.deliver(&Delivery {
            id: MessageId::MIN,
            frame: Bytes::from_static(b"x"),
            channel: "c",
            audience: &Audience::AllBut(None),
            pressure: None,
        });
    }

    fn received(registration: &Registration) -> usize {
        registration.mailbox.drain().0.len()
    }

    #[test]
    fn a_snapshot_is_not_changed_by_what_comes_later_but_for_ends() {
        let mut subscribers = Subscribers::default();
        let (first, second, third) = (registration(1), registration(2), registration(3));
        let slot = subscribers.insert(Arc::clone(&first));
        subscribers.insert(Arc::clone(&second));
        let snapshot = subscribers.snapshot();
        subscribers.remove(slot, &first);
        subscribers.insert(Arc::clone(&third));
        deliver(&snapshot);
        assert_eq!((received(&first), received(&second), received(&third)), (0, 1, 0));
    }

    #[test]
    fn a_late_removal_does_not_hit_who_has_the_place_now() {
        let mut subscribers = Subscribers::default();
        let (old, other, new) = (registration(1), registration(2), registration(1));
        let slot = subscribers.insert(Arc::clone(&old));
        subscribers.insert(Arc::clone(&other));
        subscribers.remove(slot, &old);
        assert_eq!(subscribers.insert(Arc::clone(&new)), slot);
        subscribers.remove(slot, &old);
        deliver(&subscribers.snapshot());
        assert_eq!((received(&old), received(&new)), (0, 1));
    }

    proptest! {
        #[test]
        fn everybody_in_the_list_gets_each_frame_once(
            steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 0..600),
        ) {
            let mut subscribers = Subscribers::default();
            let mut model = Vec::new();
            for (key, (join, index)) in steps.into_iter().enumerate() {
                if join || model.is_empty() {
                    let new = registration(key as u64);
                    model.push((subscribers.insert(Arc::clone(&new)), new));
                } else {
                    let (slot, gone): (Slot, Arc<Registration>) =
                        model.swap_remove(index.index(model.len()));
                    subscribers.remove(slot, &gone);
                    prop_assert!(gone.phase() == Phase::Ended);
                }
            }
            deliver(&subscribers.snapshot());
            prop_assert_eq!(subscribers.len, model.len());
            let counted = model.iter().filter(|(_, one)| one.counted).count();
            prop_assert_eq!(subscribers.counted(), counted);
            for (_, one) in &model {
                prop_assert_eq!(received(one), 1);
            }
        }
    }
}
