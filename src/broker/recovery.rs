//! Recovery: what a client that comes back has missed (protocol section 6).
//!
//! A registration that is held splits a channel's messages at the id that was delivered last when
//! it was made. What is newer is gathered for it. What is older and stored is in storage already,
//! since messages are stored before they are delivered. So a read of storage up to that id, at
//! leisure and with no lock held, finds all that was missed and nothing that comes live too.

use super::core::Core;
use super::replay::{Kept, PAGE_BYTES, ReplayRoom};
use super::subscribers::Registration;
use crate::protocol::frame::{Frame, Sender, StampedFrame, UnstampedFrame};
use crate::session::{CloseReason, Recovery};
use fanfare_storage::{
    Durability, Message, MessageId, MessageQuery, Order, ReactionDetail, Result as StorageResult,
    Storage, Timestamp,
};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// What one subscribe may recover at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecoveryLimits {
    pub(super) messages: usize,
    /// Of JSON.
    pub(super) bytes: usize,
}

impl Default for RecoveryLimits {
    fn default() -> Self {
        Self { messages: 1_000, bytes: 1 << 20 }
    }
}

/// What all recoveries share.
#[derive(Debug)]
pub(super) struct Recoveries {
    limits: RecoveryLimits,
    pub(super) room: ReplayRoom,
    /// Storage has all that was stored since this id.
    complete_from: MessageId,
    /// Those who read at a time; see [`patiently`](Self::patiently).
    reads: Semaphore,
}

/// The messages that a client missed: the first as frames, as many as there was room for.
#[derive(Debug)]
pub(super) struct Missed {
    frames: VecDeque<Frame>,
    left: Option<Left>,
}

/// Messages that are known to be there, and are read once they are to be sent.
#[derive(Clone, Copy, Debug)]
struct Left {
    from: MessageId,
    to: MessageId,
    /// When they were found, so that nothing expires in between.
    now: Timestamp,
}

/// Storage could not be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unreadable;

const CONCURRENT_READS: usize = 32;
/// The bounds of one read.
const READ_MESSAGES: usize = 100;
const READ_BYTES: usize = 256 << 10;

impl Recoveries {
    /// For a broker that starts `now` on a storage whose newest id is `floor`.
    pub(super) fn new(
        limits: RecoveryLimits,
        room: ReplayRoom,
        storage: &dyn Storage,
        floor: MessageId,
        now: Timestamp,
    ) -> Self {
        // A crash of the process before this one may have taken messages back.
        let forgets = storage.capabilities().durability < Durability::Written;
        let complete_from =
            if forgets { floor.next().max(MessageId::first_at(now)) } else { MessageId::MIN };
        Self { limits, room, complete_from, reads: Semaphore::new(CONCURRENT_READS) }
    }

    /// Reads what a subscriber is owed: a few at a time, since crowds come back together, and
    /// again where storage fails, since a passing fault must not answer for it.
    pub(super) async fn patiently<T, F>(&self, mut read: impl FnMut() -> F) -> Result<T, Unreadable>
    where
        F: Future<Output = StorageResult<T>>,
    {
        const TRIES: u32 = 4;
        for attempt in 0..TRIES {
            let turn = self.reads.acquire().await;
            match read().await {
                Ok(found) => return Ok(found),
                Err(error) => {
                    tracing::debug!(%error, "what a subscriber is owed could not be read");
                }
            }
            drop(turn);
            tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
        }
        Err(Unreadable)
    }

    /// The ids of what was missed, where storage can tell: from and to, both inclusive.
    fn range(&self, recovery: Recovery, start: MessageId) -> Option<(MessageId, MessageId)> {
        let from = recovery.after.next().max(recovery.horizon);
        // Who names the least id has seen nothing, and so misses nothing that is gone.
        let complete = from >= self.complete_from || recovery.after == MessageId::MIN;
        (recovery.after <= start && complete).then_some((from, start))
    }

    /// All that was missed, or `None` where more was than the limits allow, or where it can't be
    /// told that this is all. As much of it is kept as there is room for.
    async fn read(
        &self,
        storage: &dyn Storage,
        channel: &str,
        range: (MessageId, MessageId),
        now: Timestamp,
    ) -> StorageResult<Option<Missed>> {
        let (mut from, to) = range;
        let (mut kept, mut left_out) = (Kept::default(), None);
        let (mut count, mut bytes) = (0, 0);
        while from <= to {
            let left = self.limits.messages - count;
            // One more than is wanted tells that there are too many.
            let max_messages = READ_MESSAGES.min(left.saturating_add(1));
            let query = MessageQuery { max_messages, ..Left { from, to, now }.query() };
            let page = storage.messages(channel, query).await?;
            if page.gone.is_some() || page.messages.len() > left {
                return Ok(None);
            }
            count += page.messages.len();
            for listed in &page.messages {
                let frame = as_published(channel, &listed.message);
                bytes += frame.text_len();
                if left_out.is_none() && !kept.push(&frame.frame(), &self.room) {
                    left_out = Some(listed.message.id);
                }
            }
            if bytes > self.limits.bytes {
                return Ok(None);
            }
            let last = page.messages.last().map(|listed| listed.message.id);
            match last {
                Some(last) if page.more => from = last.next(),
                None if page.more => return Ok(None),
                _ => break,
            }
        }
        let left = left_out.map(|from| Left { from, to, now });
        Ok(Some(Missed { frames: kept.into_frames(), left }))
    }

    /// The next of what was missed, read again into the room of a page; `None` where some of it is
    /// gone since.
    async fn read_on(
        &self,
        storage: &dyn Storage,
        channel: &str,
        left: Left,
    ) -> Result<Option<Missed>, Unreadable> {
        let mut room = self.room.page().await;
        let query = MessageQuery { max_bytes: PAGE_BYTES, ..left.query() };
        let page = self.patiently(|| storage.messages(channel, query.clone())).await?;
        let Some(last) = page.messages.last().filter(|_| page.gone.is_none()) else {
            return Ok(None);
        };
        let mut next = page.more.then(|| last.message.id.next());
        for listed in &page.messages {
            if !room.push(as_published(channel, &listed.message).frame()) {
                next = Some(listed.message.id);
                break;
            }
        }
        let left = next.map(|from| Left { from, ..left });
        Ok(Some(Missed { frames: room.into_frames(), left }))
    }
}

impl Left {
    fn query(self) -> MessageQuery {
        MessageQuery {
            from: self.from,
            to: self.to,
            order: Order::Ascending,
            max_messages: READ_MESSAGES,
            max_bytes: READ_BYTES,
            reactions: ReactionDetail::None,
            now: self.now,
        }
    }
}

/// A message as it was delivered when it was published (section 7.1).
fn as_published(channel: &str, message: &Message) -> StampedFrame {
    let author = message.author.as_ref();
    let sender =
        author.map(|author| Sender { uid: author.uid.as_deref(), umd: author.umd.as_deref() });
    UnstampedFrame::message(channel, &message.event, &message.data, sender).stamp(message.id)
}

impl Core {
    /// What came between what a client knows and `start`, from where on it gets everything;
    /// `None` where that can't be delivered in whole.
    pub(super) async fn missed(
        &self,
        channel: &str,
        recovery: Recovery,
        start: MessageId,
    ) -> Result<Option<Missed>, Unreadable> {
        let Some(range) = self.recoveries.range(recovery, start) else { return Ok(None) };
        // The same for all pages, so that they show the channel as it was at one moment.
        let now = self.clock.now().wall;
        let read = || self.recoveries.read(&*self.storage, channel, range, now);
        self.recoveries.patiently(read).await
    }

    /// Delivers what was missed, and closes a connection that no longer can have all of it.
    pub(super) async fn recover(
        &self,
        registration: &Arc<Registration>,
        channel: &str,
        mut missed: Missed,
    ) {
        while self.replay(registration, missed.frames).await {
            let Some(left) = missed.left else { return };
            let reason = match self.recoveries.read_on(&*self.storage, channel, left).await {
                Ok(Some(next)) => {
                    missed = next;
                    continue;
                }
                // It comes back, and is told what it can't have.
                Ok(None) => CloseReason::SlowConsumer,
                Err(Unreadable) => CloseReason::StorageFault,
            };
            registration.mailbox().close(reason);
            return;
        }
    }
}
