//! Reading messages from a socket. The library's state machine is used for reading alone, and only
//! while there is something to read; what it wants to answer by itself is handed out, to go with
//! everything else.

use crate::session::CloseReason;
use bytes::Bytes;
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};
use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message, Utf8Bytes};

/// How much the library reads at once. It allocates as much for each of its machines; its default
/// of 128 KiB would be 1.3 GB for 10,000 connections.
const READ_BUFFER: usize = 1024;
/// How much is read at once for a new machine, which gets no more than there is.
const FIRST_READ: usize = 16 << 10;

#[derive(Debug)]
pub(super) struct Reader {
    max_message: usize,
    /// What was read before, by HTTP.
    early: Bytes,
    /// The library's machine; gone as long as the client has nothing to say, which is most of the
    /// time and most of the memory of an idle connection.
    machine: Option<Box<Machine>>,
}

#[derive(Debug)]
struct Machine {
    context: WebSocketContext,
    /// Bytes that it was given.
    read: u64,
    /// Bytes that the messages so far took at least: each what it takes in one frame
    /// ([`frame_size`]). So where this is all that was read, nothing is under way, and the machine
    /// has nothing that must not be forgotten.
    ///
    /// It is never more than they took. A frame can't be shorter, and fragments have a header and a
    /// mask each. Two of up to 65,535 and 125 bytes, and more than 65,535 together, take exactly
    /// what one frame would: 4 + 4 and 2 + 4 bytes beside their payload, against 10 + 4. All others
    /// take more. Between fragments those before are read and not counted, so that the machine is
    /// kept. Where this is less than the messages took, for fragments or for lengths that are
    /// written longer than they need be, it is kept too, which costs its memory and nothing else.
    used: u64,
}

/// What came in.
#[derive(Debug)]
pub(super) enum Incoming {
    Text(Utf8Bytes),
    Binary,
    /// A ping or a pong, which the library deals with.
    Control,
    /// The client closes; the answer is among the replies.
    Closed,
    /// The connection has to be closed with this reason.
    Broken(CloseReason),
    /// The connection is gone.
    Lost,
}

impl Reader {
    /// A reader of what comes after `early`, which was read already.
    pub(super) fn new(max_message: usize, early: &[u8]) -> Self {
        // Copied, so that the buffer that it was read into is not kept.
        Self { max_message, early: Bytes::copy_from_slice(early), machine: None }
    }

    /// The next message; what is to be sent in answer is appended to `replies`.
    pub(super) fn poll_next<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        replies: &mut Vec<u8>,
        context: &mut Context<'_>,
    ) -> Poll<Incoming> {
        let machine = match &mut self.machine {
            Some(machine) => machine,
            none => match ready!(poll_start(&mut self.early, io, context)) {
                Ok(start) => none.insert(Box::new(Machine::new(self.max_message, start))),
                Err(_) => return Poll::Ready(Incoming::Lost),
            },
        };
        let next = machine.poll_next(io, replies, context);
        if machine.read == machine.used {
            self.machine = None;
        }
        next
    }
}

/// The first bytes for a new machine.
fn poll_start<S: AsyncRead + Unpin>(
    early: &mut Bytes,
    io: &mut S,
    context: &mut Context<'_>,
) -> Poll<io::Result<Vec<u8>>> {
    if !early.is_empty() {
        return Poll::Ready(Ok(std::mem::take(early).into()));
    }
    let mut buffer = [MaybeUninit::uninit(); FIRST_READ];
    let mut buffer = ReadBuf::uninit(&mut buffer);
    ready!(Pin::new(io).poll_read(context, &mut buffer))?;
    if buffer.filled().is_empty() {
        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
    }
    Poll::Ready(Ok(buffer.filled().to_vec()))
}

impl Machine {
    fn new(max_message: usize, start: Vec<u8>) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .max_message_size(Some(max_message))
            .max_frame_size(Some(max_message));
        let read = start.len() as u64;
        let context = WebSocketContext::from_partially_read(start, Role::Server, Some(config));
        Self { context, read, used: 0 }
    }

    fn poll_next<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        replies: &mut Vec<u8>,
        context: &mut Context<'_>,
    ) -> Poll<Incoming> {
        let mut stream = HalfSync { io, context, replies, read: &mut self.read };
        let message = match self.context.read(&mut stream) {
            Ok(message) => message,
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return Poll::Pending;
            }
            Err(error) => return Poll::Ready(failure(&error)),
        };
        self.used += frame_size(message.len());
        Poll::Ready(match message {
            Message::Text(text) => Incoming::Text(text),
            Message::Binary(_) => Incoming::Binary,
            Message::Ping(_) => {
                // Brings the pong out; nothing here can fail but by the connection's end, which
                // the next read finds.
                let _ = self.context.flush(&mut stream);
                Incoming::Control
            }
            Message::Close(_) => {
                let _ = self.context.flush(&mut stream);
                Incoming::Closed
            }
            Message::Pong(_) | Message::Frame(_) => Incoming::Control,
        })
    }
}

/// The size of a client's frame with a payload of `length` bytes (RFC 6455 section 5.2).
fn frame_size(length: usize) -> u64 {
    const MASK: u64 = 4;
    let header = match length {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    };
    header + MASK + length as u64
}

fn failure(error: &Error) -> Incoming {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            Incoming::Broken(CloseReason::MessageTooBig)
        }
        Error::Utf8(_) => Incoming::Broken(CloseReason::InvalidText),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Incoming::Lost,
        Error::Protocol(_) | Error::Capacity(_) => Incoming::Broken(CloseReason::ProtocolViolation),
        _ => Incoming::Lost,
    }
}

/// Lets the library, which reads synchronously, read what is there.
struct HalfSync<'a, 'c, S> {
    io: &'a mut S,
    context: &'a mut Context<'c>,
    replies: &'a mut Vec<u8>,
    /// Counts what is read.
    read: &'a mut u64,
}

impl<S: AsyncRead + Unpin> Read for HalfSync<'_, '_, S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(into);
        match Pin::new(&mut *self.io).poll_read(self.context, &mut buffer) {
            Poll::Ready(result) => {
                *self.read += buffer.filled().len() as u64;
                result.map(|()| buffer.filled().len())
            }
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl<S> Write for HalfSync<'_, '_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.replies.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    /// A client's frame, with a mask that changes nothing.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match u16::try_from(payload.len()) {
            Ok(length @ ..126) => frame.push(0x80 | length.to_be_bytes()[1]),
            Ok(length) => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&length.to_be_bytes());
            }
            Err(_) => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(payload);
        frame
    }

    /// What is read from `sent`, which arrives in pieces of `piece` bytes, and whether the machine
    /// was gone at the end.
    fn read(sent: &[u8], piece: usize) -> (Vec<String>, bool) {
        let mut reader = Reader::new(1 << 20, &[]);
        let mut context = Context::from_waker(Waker::noop());
        let mut read = Vec::new();
        for piece in sent.chunks(piece) {
            let mut arrived = Arrived(piece);
            while let Poll::Ready(incoming) =
                reader.poll_next(&mut arrived, &mut Vec::new(), &mut context)
            {
                read.push(match incoming {
                    Incoming::Text(text) => text.as_str().to_owned(),
                    other => format!("{other:?}"),
                });
            }
        }
        (read, reader.machine.is_none())
    }

    /// What has arrived; more is not there yet.
    struct Arrived<'a>(&'a [u8]);

    impl AsyncRead for Arrived<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if self.0.is_empty() {
                return Poll::Pending;
            }
            let (now, later) = self.0.split_at(self.0.len().min(buffer.remaining()));
            buffer.put_slice(now);
            self.0 = later;
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn messages_are_read_however_they_are_cut_and_nothing_is_kept_between_them() {
        let texts = [0, 1, 125, 126, 2_000, 65_535, 65_536, 100_000].map(|size| "x".repeat(size));
        let frames = texts.each_ref().map(|text| frame(0x81, text.as_bytes()));
        let ping = frame(0x89, b"ping");
        let mut sent = frames.concat();
        sent.extend_from_slice(&ping);
        let expected: Vec<_> = texts.into_iter().chain(["Control".to_owned()]).collect();
        for piece in [1, 2, 7, 1_000, 5_000, usize::MAX] {
            let (read, is_gone) = read(&sent, piece);
            assert!(read == expected, "in pieces of {piece}");
            assert!(is_gone, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_message_in_fragments_is_read_whole_with_others_in_between() {
        let sent = [frame(0x01, b"a"), frame(0x8a, b""), frame(0x80, b"b"), frame(0x81, b"c")];
        for piece in [1, 3, usize::MAX] {
            let (read, _) = read(&sent.concat(), piece);
            assert_eq!(read, ["Control", "ab", "c"]);
        }
    }

    #[test]
    fn fragments_that_take_no_more_than_one_frame_leave_nothing_behind() {
        for sizes in [(65_535, 1), (65_535, 125), (125, 65_535), (65_411, 125)] {
            let fragments =
                [frame(0x01, &vec![b'x'; sizes.0]), frame(0x80, &vec![b'x'; sizes.1])].concat();
            let text = "x".repeat(sizes.0 + sizes.1);
            assert_eq!(fragments.len(), frame(0x81, text.as_bytes()).len());
            let sent = [&*fragments, &frame(0x81, b"next"), &fragments].concat();
            for piece in [7, 1_000, fragments.len(), fragments.len() + 3, usize::MAX] {
                let (read, is_gone) = read(&sent, piece);
                assert!(read == [&*text, "next", &text], "{sizes:?} in pieces of {piece}");
                assert!(is_gone, "{sizes:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn half_a_message_is_not_forgotten() {
        let sent = frame(0x81, b"text");
        let (read, is_gone) = read(&sent[..7], 3);
        assert!(read.is_empty() && !is_gone);
    }

    #[test]
    fn what_http_has_read_too_far_comes_first() {
        let mut reader = Reader::new(1 << 20, &frame(0x81, b"early"));
        let mut context = Context::from_waker(Waker::noop());
        let late = frame(0x81, b"late");
        let mut arrived = Arrived(&late);
        for expected in ["early", "late"] {
            let next = reader.poll_next(&mut arrived, &mut Vec::new(), &mut context);
            let Poll::Ready(Incoming::Text(text)) = next else { panic!("{next:?}") };
            assert_eq!(text.as_str(), expected);
        }
    }
}
