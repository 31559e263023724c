//! Telling a subscriber what it is owed, at the pace at which it reads: messages that it missed, and
//! values that it observes.
//!
//! That is encoded for each by itself, unlike what is live, and crowds come back together, slow
//! ones among them. So all of it has a budget in bytes. A frame carries its share until it is
//! dropped, wherever it waits by then: in a queue, or half written to a socket. Whoever finds no
//! room waits for its turn; and where room is scarce, none may keep its own for long without
//! reading.

use super::core::Core;
use super::mailbox::{Mailbox, OVERHEAD};
use super::subscribers::Registration;
use crate::protocol::frame::Frame;
use crate::session::CloseReason;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The room that all replays share.
#[derive(Debug)]
pub(super) struct ReplayRoom {
    free: Arc<Semaphore>,
    size: usize,
}

/// Frames of one client, in room that was reserved for them.
#[derive(Debug)]
pub(super) struct Page {
    room: OwnedSemaphorePermit,
    frames: VecDeque<Frame>,
}

/// Frames that are to be sent later.
#[derive(Debug, Default)]
pub(super) struct Kept {
    frames: VecDeque<Frame>,
    page: Option<Page>,
}

/// A frame, with its share of the room.
struct Roomed {
    frame: Frame,
    _share: OwnedSemaphorePermit,
}

/// The room of a page: enough for a socket to be busy with, and for any frame that the protocol
/// allows.
pub(super) const PAGE_BYTES: usize = 64 << 10;
const PAGE: u32 = PAGE_BYTES as u32;

/// How long a client may take to read a part of what it is owed, where room is scarce.
const PATIENCE: Duration = Duration::from_secs(30);

impl ReplayRoom {
    /// Room for `bytes`, and for one page at least.
    pub(super) fn new(bytes: usize) -> Self {
        let size = bytes.clamp(PAGE_BYTES, Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(size)), size }
    }

    /// Bytes that are taken.
    pub(super) fn used(&self) -> usize {
        self.size.saturating_sub(self.free.available_permits())
    }

    fn is_scarce(&self) -> bool {
        self.used() > self.size / 2
    }

    /// Room for what is to be sent next, in turn. Nobody waits for it who holds such a page.
    pub(super) async fn page(&self) -> Page {
        match Arc::clone(&self.free).acquire_many_owned(PAGE).await {
            Ok(room) => Page::new(room),
            Err(_) => unreachable!("the semaphore is never closed"),
        }
    }

    /// Room for what is to be sent later, where plenty is left for what is to be sent next: so who
    /// waits for [`page`](Self::page) may hold these.
    fn spare_page(&self) -> Option<Page> {
        let room = Arc::clone(&self.free).try_acquire_many_owned(PAGE).ok()?;
        (!self.is_scarce()).then(|| Page::new(room))
    }
}

impl Page {
    fn new(room: OwnedSemaphorePermit) -> Self {
        Self { room, frames: VecDeque::new() }
    }

    /// Adds a frame if it fits; the first always does. Returns whether it did.
    pub(super) fn push(&mut self, frame: Frame) -> bool {
        let cost = frame.len() + OVERHEAD;
        let cost = if self.frames.is_empty() { cost.min(self.room.num_permits()) } else { cost };
        let Some(share) = self.room.split(cost) else { return false };
        self.frames.push_back(Bytes::from_owner(Roomed { frame, _share: share }));
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The frames; room that they don't need is given back.
    pub(super) fn into_frames(self) -> VecDeque<Frame> {
        self.frames
    }
}

impl Kept {
    /// Keeps a frame if there is room for it, and returns whether there was.
    pub(super) fn push(&mut self, frame: &Frame, room: &ReplayRoom) -> bool {
        if self.page.as_mut().is_some_and(|page| page.push(frame.clone())) {
            return true;
        }
        let Some(mut page) = room.spare_page() else { return false };
        page.push(frame.clone());
        let full = self.page.replace(page);
        self.frames.extend(full.into_iter().flat_map(Page::into_frames));
        true
    }

    pub(super) fn into_frames(mut self) -> VecDeque<Frame> {
        self.frames.extend(self.page.into_iter().flat_map(Page::into_frames));
        self.frames
    }
}

impl AsRef<[u8]> for Roomed {
    fn as_ref(&self) -> &[u8] {
        &self.frame
    }
}

impl Core {
    /// Sends frames that have their [room](ReplayRoom), no faster than the client reads, since it is
    /// no fault of a client to be owed more than its mailbox holds. Returns whether all were
    /// written. One that reads nothing for too long is closed as too slow.
    pub(super) async fn replay(
        &self,
        registration: &Arc<Registration>,
        mut frames: VecDeque<Frame>,
    ) -> bool {
        let mailbox = registration.mailbox();
        loop {
            if !self.keeps_up(mailbox, PATIENCE).await {
                return false;
            }
            if frames.is_empty() {
                return true;
            }
            if !mailbox.replay(registration, &mut frames) {
                return false;
            }
        }
    }

    /// Waits until the client has been sent all that is queued for it, and returns whether it was:
    /// for as long as connections may be idle, and then closes it.
    pub(super) async fn read_up(&self, mailbox: &Mailbox) -> bool {
        self.keeps_up(mailbox, Duration::MAX).await
    }

    /// As [`read_up`](Self::read_up), for no longer than `patience` while room is scarce.
    async fn keeps_up(&self, mailbox: &Mailbox, patience: Duration) -> bool {
        let idle = self.sessions.timers.idle;
        let step = patience.min(idle);
        let mut waited = Duration::ZERO;
        while tokio::time::timeout(step, mailbox.written()).await.is_err() {
            waited = waited.saturating_add(step);
            if waited >= idle || self.recoveries.room.is_scarce() {
                mailbox.close(CloseReason::SlowConsumer);
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize) -> Frame {
        vec![0; length].into()
    }

    #[test]
    fn a_frame_holds_its_share_until_the_last_of_it_is_dropped() {
        let room = ReplayRoom::new(1 << 20);
        let mut page = room.spare_page().unwrap();
        assert_eq!(room.used(), PAGE_BYTES);
        assert!(page.push(frame(1_000)) && page.push(frame(2_000)));
        let mut frames = page.into_frames();
        assert_eq!(room.used(), 3_000 + 2 * OVERHEAD);
        frames.pop_front();
        let part = frames[0].slice(1_000..);
        drop(frames);
        assert_eq!(room.used(), 2_000 + OVERHEAD);
        drop(part);
        assert_eq!(room.used(), 0);
    }

    #[test]
    fn a_page_holds_what_fits_and_one_frame_of_any_size() {
        let room = ReplayRoom::new(1 << 20);
        let mut page = room.spare_page().unwrap();
        assert!(page.push(frame(PAGE_BYTES - 100 - OVERHEAD)));
        assert!(!page.push(frame(101 - OVERHEAD)));
        assert!(page.push(frame(100 - OVERHEAD)));
        drop(page);
        let mut page = room.spare_page().unwrap();
        assert!(page.push(frame(2 * PAGE_BYTES)) && !page.push(frame(0)));
        drop(page.into_frames());
        assert_eq!(room.used(), 0);
    }

    #[tokio::test]
    async fn what_is_for_later_leaves_half_for_what_is_next() {
        let room = ReplayRoom::new(1 << 20);
        let later: Vec<_> = std::iter::from_fn(|| room.spare_page()).collect();
        assert_eq!(room.used(), 1 << 19);
        let mut next = Vec::new();
        for _ in 0..8 {
            next.push(room.page().await);
        }
        assert_eq!(room.used(), 1 << 20);
        assert!(tokio::time::timeout(Duration::ZERO, room.page()).await.is_err());
        drop(next);
        drop(later);
        assert_eq!(room.used(), 0);
    }
}
