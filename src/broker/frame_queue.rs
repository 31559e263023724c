//! Frames that wait to be written, in order.

use crate::protocol::frame::Frame;
use std::collections::VecDeque;
use std::io::IoSlice;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct FrameQueue {
    frames: VecDeque<Frame>,
    /// Whether the first frame has been written in part, so that it can't be left out any more.
    front_is_cut: bool,
}

impl FrameQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Bytes that are left to write.
    pub(super) fn bytes(&self) -> usize {
        self.frames.iter().map(Frame::len).sum()
    }

    pub(crate) fn push(&mut self, frame: Frame) {
        self.frames.push_back(frame);
    }

    /// Moves all frames of `later` behind these, which may only be begun where there are none.
    pub(crate) fn append(&mut self, later: &mut Self) {
        debug_assert!(!later.front_is_cut || self.is_empty(), "a frame is cut by others");
        if self.is_empty() {
            std::mem::swap(self, later);
        } else {
            self.frames.append(&mut later.frames);
        }
    }

    /// Drops everything but what is needed to end the frame that is being written.
    pub(crate) fn clear(&mut self) {
        self.frames.truncate(usize::from(self.front_is_cut));
    }

    /// Shows the first frames, as many as `slices` has places for, and returns how many.
    pub(crate) fn show<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let shown = slices.iter_mut().zip(&self.frames);
        shown.map(|(slice, frame)| *slice = IoSlice::new(frame)).count()
    }

    /// Drops the first `length` bytes, which were written. Once nothing is left, neither is the
    /// memory: most connections are idle most of the time.
    pub(crate) fn advance(&mut self, mut length: usize) {
        while let Some(front) = self.frames.front_mut() {
            if front.len() > length {
                bytes::Buf::advance(front, length);
                self.front_is_cut |= length > 0;
                return;
            }
            length -= front.len();
            self.frames.pop_front();
            self.front_is_cut = false;
        }
        self.frames = VecDeque::new();
    }
}

#[cfg(any(test, feature = "internals"))]
impl From<VecDeque<Frame>> for FrameQueue {
    fn from(frames: VecDeque<Frame>) -> Self {
        Self { frames, front_is_cut: false }
    }
}

#[cfg(any(test, feature = "internals"))]
impl FrameQueue {
    pub(crate) fn into_frames(self) -> VecDeque<Frame> {
        self.frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn queue(frames: &[&'static str]) -> FrameQueue {
        let mut queue = FrameQueue::default();
        for frame in frames {
            queue.push(Bytes::from_static(frame.as_bytes()));
        }
        queue
    }

    fn text(queue: &FrameQueue) -> String {
        let mut slices = [IoSlice::new(&[]); 8];
        let count = queue.show(&mut slices);
        slices[..count].iter().map(|slice| str::from_utf8(slice).unwrap()).collect()
    }

    #[test]
    fn clearing_keeps_the_rest_of_a_frame_that_was_begun() {
        let mut frames = queue(&["first", "second", "third"]);
        frames.advance(7);
        frames.clear();
        frames.push(Bytes::from_static(b"!"));
        assert_eq!(text(&frames), "cond!");

        frames.advance(4);
        frames.clear();
        assert!(frames.is_empty(), "a frame that was not begun is dropped");
    }

    #[test]
    fn a_frame_that_was_begun_stays_so_in_another_queue() {
        let mut waiting = queue(&["first", "next"]);
        waiting.advance(3);
        let mut frames = FrameQueue::default();
        frames.append(&mut waiting);
        assert!(waiting.is_empty());
        frames.clear();
        assert_eq!(text(&frames), "st");
    }

    #[test]
    fn an_empty_queue_holds_no_memory() {
        let mut frames = queue(&["a", "b"]);
        frames.advance(2);
        assert_eq!((frames.frames.len(), frames.frames.capacity()), (0, 0));
    }
}
