//! What is to happen to the members of one presence channel, one thing after the other.
//!
//! Steps queue, and whoever holds the members takes them in turn: so what one change announces is
//! with all members before the next one is made, and a newcomer sees exactly the changes after its
//! own. The lock is held for no more than the queue and the hand-over of the members; nothing is
//! encoded or delivered under it.

use super::members::{Full, Members, Ticket, Umd};
use super::{Entered, Reservation};
use crate::broker::subscribers::Registration;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::Instant;

#[derive(Debug)]
pub(in crate::broker) struct Room {
    pub(super) channel: Arc<str>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// At most one step for each command that a connection waits for, and one for each seat that
    /// is left.
    queue: VecDeque<Step>,
    /// `None` while somebody works the queue off.
    turn: Option<Box<Turn>>,
    /// The members as JSON, as of the last change.
    list: Bytes,
    /// The registry no longer knows this room; whoever meets it looks the name up again.
    closed: bool,
}

/// What the one who works the queue off owns.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) members: Members,
    pub(super) alarm: Option<Alarm>,
}

/// A task that looks after seats that are kept for some time; it ends with this.
#[derive(Debug)]
pub(super) struct Alarm {
    pub(super) at: Instant,
    pub(super) task: AbortHandle,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Something that is to happen to the members.
#[derive(Debug)]
pub(super) enum Step {
    /// A connection takes a seat.
    Enter(Enter),
    /// Room is kept for what is to be shown of a user.
    Reserve { uid: Arc<str>, umd: Umd, reply: oneshot::Sender<Result<Reservation, Full>> },
    /// Room that was kept is given back.
    Release { uid: Arc<str>, reserved: Ticket },
    /// A seat shows what room was reserved for.
    Update { uid: Arc<str>, seat: Ticket, reserved: Ticket, done: oneshot::Sender<()> },
    /// A seat is left, or its connection was lost and it is kept for some time.
    Leave { uid: Arc<str>, seat: Ticket, keep: bool, done: oneshot::Sender<()> },
    /// Seats that were kept long enough are given up.
    Expire,
    /// All seats are given up that are kept though their connections were lost.
    GiveUp { done: oneshot::Sender<()> },
}

/// A connection that wants to be a member. Where it has gone away when its turn comes, nothing
/// happens.
#[derive(Debug)]
pub(super) struct Enter {
    pub(super) uid: Arc<str>,
    pub(super) umd: Umd,
    pub(super) reserved: Option<Ticket>,
    pub(super) registration: Arc<Registration>,
    pub(super) reply: oneshot::Sender<Result<Entered, Full>>,
}

impl Room {
    pub(super) fn new(channel: Arc<str>) -> Self {
        let state = State {
            queue: VecDeque::new(),
            turn: Some(Box::default()),
            list: Bytes::from_static(b"[]"),
            closed: false,
        };
        Self { channel, state: Mutex::new(state) }
    }

    /// Queues a step, and hands the turn over where nobody has it: the caller has to work the
    /// queue off then. `Err` gives the step back where the room is closed.
    pub(super) fn push(&self, step: Step) -> Result<Option<Box<Turn>>, Step> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(step);
        }
        state.queue.push_back(step);
        Ok(state.turn.take())
    }

    /// The next step with the turn; `None` has taken the turn back, since nothing is left to do.
    pub(super) fn next(&self, turn: Box<Turn>) -> Option<(Step, Box<Turn>)> {
        let mut state = self.state.lock();
        if let Some(step) = state.queue.pop_front() {
            return Some((step, turn));
        }
        state.closed = turn.members.is_empty();
        state.queue.shrink_to_fit();
        state.turn = Some(turn);
        None
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    pub(super) fn list(&self) -> Bytes {
        self.state.lock().list.clone()
    }

    pub(super) fn set_list(&self, list: Bytes) {
        self.state.lock().list = list;
    }
}
