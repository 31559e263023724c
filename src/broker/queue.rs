//! What waits in a channel for its delivery, in the order of ids.
//!
//! It is looked through under the channel's lock, and may be long where subscribers are many and
//! messages come faster than they are written. So everything in it is found without a walk past
//! what is only waiting to be delivered.

use super::events::Announcement;
use super::outgoing::{Audience, PendingWrite, Refusal, Settle, Settled};
use super::subscribers::Delivery;
use crate::protocol::frame::StampedFrame;
use bytes::Bytes;
use fanfare_storage::{Item, MessageId, Outcome, Result as StorageResult};
use std::collections::VecDeque;
use tokio::sync::OwnedSemaphorePermit;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Queue {
    items: VecDeque<Queued>,
    /// How many at the end have not been looked at for writes: none of the others is
    /// [`Stage::Unsaved`]. A channel has a queue also where nobody publishes, so it has to be small.
    unseen: usize,
}

#[derive(Debug)]
pub(super) struct Queued {
    pub(super) id: MessageId,
    pub(super) frame: StampedFrame,
    pub(super) audience: Audience,
    pub(super) stage: Stage,
    pub(super) settle: Settle,
    pub(super) announcement: Option<Box<Announcement>>,
    pub(super) _permit: OwnedSemaphorePermit,
}

#[derive(Debug)]
pub(super) enum Stage {
    Unsaved(Box<PendingWrite>),
    /// A batch has the write.
    Saving,
    /// What storage said is there where it said more than that the write was applied.
    Ready(Option<Box<Outcome>>),
}

/// A write that was taken to be saved.
#[derive(Debug)]
pub(super) struct Saving {
    pub(super) id: MessageId,
    write: Box<PendingWrite>,
    data: Bytes,
}

/// The bounds of a batch; what is over them goes with the next.
const MAX_BATCH_ITEMS: usize = 512;
const MAX_BATCH_BYTES: usize = 4 << 20;

impl Queue {
    pub(super) fn new() -> Self {
        Self { items: VecDeque::new(), unseen: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Adds an item, whose id is greater than all others'.
    pub(super) fn push(&mut self, queued: Queued) {
        if self.unseen > 0 || matches!(queued.stage, Stage::Unsaved(_)) {
            self.unseen += 1;
        }
        self.items.push_back(queued);
    }

    /// The next item to be delivered, if it may be by now.
    pub(super) fn front_if_ready(&self) -> Option<&Queued> {
        self.items.front().filter(|front| matches!(front.stage, Stage::Ready(_)))
    }

    pub(super) fn pop_ready(&mut self) -> Option<Queued> {
        self.front_if_ready()?;
        let popped = self.items.pop_front();
        self.unseen = self.unseen.min(self.items.len());
        popped
    }

    /// Takes the writes of the next batch.
    pub(super) fn take_unsaved(&mut self) -> Vec<Saving> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        let start = self.items.len() - self.unseen;
        for queued in self.items.range_mut(start..) {
            if taken.len() == MAX_BATCH_ITEMS || bytes >= MAX_BATCH_BYTES {
                break;
            }
            self.unseen -= 1;
            if !matches!(queued.stage, Stage::Unsaved(_)) {
                continue;
            }
            if let Stage::Unsaved(write) = std::mem::replace(&mut queued.stage, Stage::Saving) {
                bytes += queued.frame.len();
                taken.push(Saving { id: queued.id, write, data: queued.frame.data() });
            }
        }
        taken
    }

    fn position(&self, id: MessageId) -> Option<usize> {
        self.items.binary_search_by_key(&id, |queued| queued.id).ok()
    }

    /// Notes that an item was saved.
    pub(super) fn mark_ready(&mut self, id: MessageId, outcome: Option<Box<Outcome>>) {
        if let Some(position) = self.position(id) {
            self.items[position].stage = Stage::Ready(outcome);
        }
    }

    /// Takes an item out that is being saved, and so was seen.
    pub(super) fn remove(&mut self, id: MessageId) -> Option<Queued> {
        self.position(id).and_then(|position| self.items.remove(position))
    }

    /// Gives an item that was being saved a new id, greater than all others', to be saved again.
    pub(super) fn move_to_end(&mut self, saving: Saving, id: MessageId) {
        let Saving { id: refused, write, data } = saving;
        let Some(mut queued) = self.remove(refused) else { return };
        // Nobody else has the frame's memory, so that it need not be copied.
        drop(data);
        queued.id = id;
        queued.frame = queued.frame.unstamp().stamp(id);
        queued.stage = Stage::Unsaved(write);
        self.push(queued);
    }
}

impl Saving {
    /// What storage is asked to do.
    pub(super) fn item(&self) -> Item {
        self.write.item(self.id, self.data.clone())
    }

    /// What storage's answer means; see [`PendingWrite::refusal`].
    fn refusal(&self, outcome: &Outcome) -> Option<Refusal> {
        self.write.refusal(outcome)
    }
}

impl Queued {
    pub(super) fn delivery<'a>(&'a self, channel: &'a str) -> Delivery<'a> {
        Delivery {
            id: self.id,
            frame: self.frame.frame(),
            channel,
            audience: &self.audience,
            pressure: None,
        }
    }

    /// Tells that it was delivered.
    pub(super) fn settle(self) {
        if let Some(announcement) = self.announcement {
            let outcome = match &self.stage {
                Stage::Ready(Some(outcome)) => Some(&**outcome),
                _ => None,
            };
            announcement.send(self.id, self.frame.data(), outcome);
        }
        let outcome = match self.stage {
            Stage::Ready(Some(outcome)) => *outcome,
            _ => Outcome::Applied,
        };
        self.settle.done(Settled { id: self.id, outcome });
    }

    /// Tells what became of something that is not delivered.
    pub(super) fn end(self, saving: &Saving, outcome: StorageResult<Outcome>) {
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => return self.settle.refuse(Refusal::Storage(error)),
        };
        if let Some(refusal) = saving.refusal(&outcome) {
            return self.settle.refuse(refusal);
        }
        let id = if let Outcome::Duplicate(id) = outcome { id } else { self.id };
        self.settle.done(Settled { id, outcome });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::outgoing::Draft;
    use fanfare_storage::{Retention, Timestamp};
    use proptest::prelude::*;
    use std::sync::Arc;
    use tokio::sync::Semaphore;

    fn id(number: u128) -> MessageId {
        MessageId::from_parts(Timestamp::EPOCH, number)
    }

    fn queued(number: u128, is_stored: bool) -> Queued {
        let retention = if is_stored { Retention::Forever } else { Retention::None };
        let Draft { frame, audience, write, announcement } =
            Draft::of_host("c", "e", "1", retention);
        Queued {
            id: id(number),
            frame: frame.stamp(id(number)),
            audience,
            stage: write.map_or(Stage::Ready(None), Stage::Unsaved),
            settle: Settle::Nobody,
            announcement,
            _permit: Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap(),
        }
    }

    #[test]
    fn a_batch_is_found_without_a_walk_past_what_is_ready() {
        let mut queue = Queue::new();
        for number in 0..2_000 {
            queue.push(queued(number, number >= 1_000));
        }
        assert_eq!(queue.unseen, 1_000);
        let batch = queue.take_unsaved();
        assert_eq!((batch[0].id, batch.len()), (id(1_000), MAX_BATCH_ITEMS));
        assert_eq!(queue.unseen, 1_000 - MAX_BATCH_ITEMS);
        batch.iter().for_each(|saving| queue.mark_ready(saving.id, None));
        assert_eq!(queue.take_unsaved().len(), 1_000 - MAX_BATCH_ITEMS);
        assert_eq!(queue.unseen, 0, "nothing is looked at to see that nothing is left");
        assert!(queue.take_unsaved().is_empty());
        queue.push(queued(2_000, false));
        queue.push(queued(2_001, true));
        assert_eq!(queue.unseen, 1);
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Push(bool),
        /// Takes a batch, of which each of the first is given a new id where a bit is set.
        Save(u8),
        Pop,
    }

    proptest! {
        #[test]
        fn batches_are_all_that_is_unsaved_in_order(
            steps in prop::collection::vec(
                prop_oneof![
                    3 => any::<bool>().prop_map(Step::Push),
                    1 => any::<u8>().prop_map(Step::Save),
                    1 => Just(Step::Pop),
                ],
                0..100,
            ),
        ) {
            let (mut queue, mut newest) = (Queue::new(), 0);
            // The ids, and whether they are unsaved.
            let mut model: Vec<(MessageId, bool)> = Vec::new();
            for step in steps {
                match step {
                    Step::Push(is_stored) => {
                        newest += 1;
                        queue.push(queued(newest, is_stored));
                        model.push((id(newest), is_stored));
                    }
                    Step::Save(refused) => {
                        let batch = queue.take_unsaved();
                        let unsaved = model.iter().filter(|(_, unsaved)| *unsaved);
                        let expected: Vec<_> = unsaved.map(|(id, _)| *id).collect();
                        prop_assert_eq!(batch.iter().map(|one| one.id).collect::<Vec<_>>(), expected);
                        for (place, saving) in batch.into_iter().enumerate() {
                            let at = model.iter().position(|(id, _)| *id == saving.id).unwrap();
                            if place < 8 && refused & (1 << place) != 0 {
                                newest += 1;
                                queue.move_to_end(saving, id(newest));
                                model.remove(at);
                                model.push((id(newest), true));
                            } else {
                                queue.mark_ready(saving.id, None);
                                model[at].1 = false;
                            }
                        }
                    }
                    Step::Pop => {
                        let ready = model.first().filter(|(_, unsaved)| !unsaved).copied();
                        prop_assert_eq!(queue.pop_ready().map(|one| one.id), ready.map(|one| one.0));
                        if ready.is_some() {
                            model.remove(0);
                        }
                    }
                }
            }
        }
    }
}
