//! Recovery: what a client that comes back has missed (protocol section 6).
//!
//! A registration that is held splits a channel's messages at the id that was delivered last when
//! it was made. What is newer is gathered for it. What is older and stored is in storage already,
//! since messages are stored before they are delivered. So a read of storage up to that id, at
//! leisure and with no lock held, finds all that was missed and nothing that comes live too.

use super::core::Core;
use super::mailbox::Mailbox;
use super::subscribers::Registration;
use crate::protocol::frame::{Frame, StampedFrame, UnstampedFrame};
use crate::protocol::json;
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
    /// Storage has all that was stored since this id.
    complete_from: MessageId,
    /// Those who read at a time; see [`patiently`](Self::patiently).
    reads: Semaphore,
}

/// The messages that a client missed, as frames.
pub(super) type Missed = VecDeque<Frame>;

/// Storage could not be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unreadable;

const CONCURRENT_READS: usize = 32;
/// The bounds of one read.
const PAGE_MESSAGES: usize = 100;
const PAGE_BYTES: usize = 256 << 10;

impl Recoveries {
    /// For a broker that starts `now` on a storage whose newest id is `floor`.
    pub(super) fn new(
        limits: RecoveryLimits,
        storage: &dyn Storage,
        floor: MessageId,
        now: Timestamp,
    ) -> Self {
        // A crash of the process before this one may have taken messages back.
        let forgets = storage.capabilities().durability < Durability::Written;
        let complete_from =
            if forgets { floor.next().max(MessageId::first_at(now)) } else { MessageId::MIN };
        Self { limits, complete_from, reads: Semaphore::new(CONCURRENT_READS) }
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
                Err(error) => tracing::warn!(%error, "what a subscriber is owed could not be read"),
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
    /// told that this is all.
    async fn read(
        &self,
        storage: &dyn Storage,
        channel: &str,
        range: (MessageId, MessageId),
        now: Timestamp,
    ) -> StorageResult<Option<Missed>> {
        let (mut from, to) = range;
        let mut missed = Missed::new();
        let mut bytes = 0;
        while from <= to {
            let left = self.limits.messages - missed.len();
            let query = MessageQuery {
                from,
                to,
                order: Order::Ascending,
                // One more than is wanted tells that there are too many.
                max_messages: PAGE_MESSAGES.min(left.saturating_add(1)),
                max_bytes: PAGE_BYTES,
                reactions: ReactionDetail::None,
                now,
            };
            let page = storage.messages(channel, query).await?;
            if page.gone.is_some() || page.messages.len() > left {
                return Ok(None);
            }
            let last = page.messages.last().map(|listed| listed.message.id);
            for listed in &page.messages {
                let frame = as_published(channel, &listed.message);
                bytes += frame.text_len();
                missed.push_back(frame.frame());
            }
            if bytes > self.limits.bytes {
                return Ok(None);
            }
            match last {
                Some(last) if page.more => from = last.next(),
                None if page.more => return Ok(None),
                _ => break,
            }
        }
        Ok(Some(missed))
    }
}

/// A message as it was delivered when it was published (section 7.1).
fn as_published(channel: &str, message: &Message) -> StampedFrame {
    let meta = message.author.as_ref().map(|author| {
        let mut meta = Vec::with_capacity(64);
        json::meta(&mut meta, author.uid.as_deref(), author.umd.as_deref());
        meta
    });
    UnstampedFrame::message(channel, &message.event, &message.data, meta.as_deref())
        .stamp(message.id)
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

    /// Delivers what was missed, no faster than the client reads, since it is no fault of a
    /// client to have missed more than its mailbox holds. One that reads nothing for as long as
    /// connections may be idle is closed as too slow.
    pub(super) async fn replay(&self, registration: &Arc<Registration>, mut missed: Missed) {
        let mailbox = registration.mailbox();
        while self.read_up(mailbox).await && !missed.is_empty() {
            mailbox.replay(registration, &mut missed);
        }
    }

    /// Waits until the client has been sent all that is queued for it, and returns whether it was:
    /// for as long as connections may be idle, and then closes it.
    pub(super) async fn read_up(&self, mailbox: &Mailbox) -> bool {
        let patience = self.sessions.timers.idle;
        let in_time = tokio::time::timeout(patience, mailbox.emptied()).await.is_ok();
        if !in_time {
            mailbox.close(CloseReason::SlowConsumer);
        }
        in_time
    }
}
