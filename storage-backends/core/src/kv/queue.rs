use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::time::Instant;

/// Hands work from async callers to threads. It is unbounded; whoever pushes has a permit that
/// bounds it.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<T>,
    is_closed: bool,
}

/// What a thread that takes work finds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken<T> {
    Work(T),
    /// The deadline passed.
    Late,
    /// The queue is closed, and everything in it was taken.
    Closed,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        let state = State { waiting: VecDeque::new(), is_closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Drops the work where the queue is closed.
    pub(super) fn push(&self, work: T) {
        let mut state = self.state.lock();
        if !state.is_closed {
            state.waiting.push_back(work);
            self.changed.notify_one();
        }
    }

    /// Waits for work, at most until the deadline.
    pub(super) fn take(&self, deadline: Option<Instant>) -> Taken<T> {
        let mut state = self.state.lock();
        loop {
            if let Some(work) = state.waiting.pop_front() {
                return Taken::Work(work);
            }
            if state.is_closed {
                return Taken::Closed;
            }
            match deadline {
                None => self.changed.wait(&mut state),
                Some(deadline) => {
                    if self.changed.wait_until(&mut state, deadline).timed_out()
                        && state.waiting.is_empty()
                    {
                        return Taken::Late;
                    }
                }
            }
        }
    }

    /// Takes the next work, where there is some at once that the condition holds for.
    pub(super) fn take_if(&self, condition: impl FnOnce(&T) -> bool) -> Option<T> {
        let mut state = self.state.lock();
        state.waiting.front().filter(|work| condition(work))?;
        state.waiting.pop_front()
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.state.lock().waiting.len()
    }

    /// Takes no more work; what waits is still to be done.
    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Takes no more work and drops what waits.
    pub(super) fn abandon(&self) {
        let waiting = {
            let mut state = self.state.lock();
            state.is_closed = true;
            std::mem::take(&mut state.waiting)
        };
        self.changed.notify_all();
        drop(waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn work_comes_in_order_and_closing_leaves_what_waits() {
        let queue = Queue::new();
        queue.push(1);
        queue.push(2);
        queue.push(3);
        assert_eq!(queue.take_if(|work| *work == 2), None);
        assert_eq!(queue.take_if(|work| *work == 1), Some(1));
        queue.close();
        queue.push(4);
        assert_eq!(queue.take(None), Taken::Work(2));
        assert_eq!(queue.take(None), Taken::Work(3));
        assert_eq!(queue.take(None), Taken::Closed);
    }

    #[test]
    fn a_deadline_ends_the_wait() {
        let queue = Queue::<u8>::new();
        let deadline = Instant::now() + Duration::from_millis(1);
        assert_eq!(queue.take(Some(deadline)), Taken::Late);
    }

    #[test]
    fn abandoned_work_is_dropped() {
        let queue = Queue::new();
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        queue.push(sender);
        queue.abandon();
        assert!(receiver.recv().is_err(), "the work is still there");
        assert!(matches!(queue.take(None), Taken::Closed));
    }
}
