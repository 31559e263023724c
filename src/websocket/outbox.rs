//! Frames on their way to the socket, in as few writes as possible.

use crate::protocol::frame::Frame;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;

/// How many frames one write takes at most.
const SLICES: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: VecDeque<Frame>,
    /// Whether the first frame has been written in part, so that it can't be left out any more.
    front_is_cut: bool,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The queue, to be filled or appended to.
    pub(super) fn queue(&mut self) -> &mut VecDeque<Frame> {
        &mut self.queue
    }

    /// Drops everything but what is needed to end the frame that is being written.
    pub(super) fn clear(&mut self) {
        self.queue.truncate(usize::from(self.front_is_cut));
    }

    /// Writes until nothing is left.
    pub(super) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self.queue.len().min(SLICES);
            for (slice, frame) in slices.iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(frame);
            }
            match Pin::new(&mut *io).poll_write_vectored(context, &slices[..count]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(length)) => self.advance(length),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        // What a burst needed is not kept for the next one.
        const KEPT: usize = 16;
        if self.queue.capacity() > KEPT {
            self.queue = VecDeque::new();
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut length: usize) {
        while let Some(front) = self.queue.front_mut() {
            if front.len() > length {
                bytes::Buf::advance(front, length);
                self.front_is_cut |= length > 0;
                return;
            }
            length -= front.len();
            self.queue.pop_front();
            self.front_is_cut = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::task::Waker;

    /// Takes a few bytes at a time.
    struct Trickle {
        written: Vec<u8>,
        room: usize,
    }

    impl AsyncWrite for Trickle {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Poll::Pending;
            }
            self.room -= taken;
            self.written.extend_from_slice(&bytes[..taken]);
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn clearing_keeps_the_rest_of_a_frame_that_was_begun() {
        let mut context = Context::from_waker(Waker::noop());
        let mut io = Trickle { written: Vec::new(), room: 7 };
        let mut outbox = Outbox::default();
        for frame in ["first", "second", "third"] {
            outbox.queue().push_back(Bytes::from_static(frame.as_bytes()));
        }
        assert!(outbox.poll_write(&mut io, &mut context).is_pending());
        outbox.clear();
        outbox.queue().push_back(Bytes::from_static(b"!"));
        io.room = 100;
        assert!(outbox.poll_write(&mut io, &mut context).is_ready());
        assert_eq!(io.written, b"firstsecond!");

        outbox.queue().push_back(Bytes::from_static(b"whole"));
        outbox.clear();
        assert!(outbox.is_empty(), "a frame that was not begun is dropped");
    }
}
