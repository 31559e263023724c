//! Reading messages from a socket. The library's state machine is used for reading alone, with a
//! small buffer; what it wants to answer by itself is handed out, to go with everything else.

use crate::session::CloseReason;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};
use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message, Utf8Bytes};

/// The library allocates its buffer when it starts and keeps it, so this is what every idle
/// connection costs; its default of 128 KiB would be 1.3 GB for 10,000 of them. Most of what
/// clients send fits into one read of this size.
const READ_BUFFER: usize = 1024;

#[derive(Debug)]
pub(super) struct Reader {
    context: WebSocketContext,
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
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .max_message_size(Some(max_message))
            .max_frame_size(Some(max_message));
        // Copied, so that the buffer that it was read into is not kept.
        let early = early.to_vec();
        Self { context: WebSocketContext::from_partially_read(early, Role::Server, Some(config)) }
    }

    /// The next message; what is to be sent in answer is appended to `replies`.
    pub(super) fn poll_next<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        replies: &mut Vec<u8>,
        context: &mut Context<'_>,
    ) -> Poll<Incoming> {
        let mut stream = HalfSync { io, context, replies };
        match self.context.read(&mut stream) {
            Ok(Message::Text(text)) => Poll::Ready(Incoming::Text(text)),
            Ok(Message::Binary(_)) => Poll::Ready(Incoming::Binary),
            Ok(Message::Ping(_)) => {
                // Brings the pong out; nothing here can fail but by the connection's end, which
                // the next read finds.
                let _ = self.context.flush(&mut stream);
                Poll::Ready(Incoming::Control)
            }
            Ok(Message::Close(_)) => {
                let _ = self.context.flush(&mut stream);
                Poll::Ready(Incoming::Closed)
            }
            Ok(Message::Pong(_) | Message::Frame(_)) => Poll::Ready(Incoming::Control),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(error) => Poll::Ready(failure(&error)),
        }
    }
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
}

impl<S: AsyncRead + Unpin> Read for HalfSync<'_, '_, S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(into);
        match Pin::new(&mut *self.io).poll_read(self.context, &mut buffer) {
            Poll::Ready(result) => result.map(|()| buffer.filled().len()),
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
