//! Calling what may panic.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

/// It panicked.
pub(super) struct Panicked;

/// Makes a future and drives it to its end, or to its panic, after which it is not polled again.
pub(super) async fn guarded<F: Future + Unpin>(
    make: impl FnOnce() -> F,
) -> Result<F::Output, Panicked> {
    // Nothing that it was working on is looked at after a panic, but what refuses it.
    let mut future = catch_unwind(AssertUnwindSafe(make)).map_err(|_| Panicked)?;
    poll_fn(|context| {
        let poll = || Pin::new(&mut future).poll(context);
        match catch_unwind(AssertUnwindSafe(poll)) {
            Ok(poll) => poll.map(Ok),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    })
    .await
}
