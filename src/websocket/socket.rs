//! The socket under a WebSocket. Where it is known to be TCP's own, publishers may write to it too
//! ([`Mailbox`](crate::broker::Mailbox)); any other, such as TLS, is its task's alone.

use crate::broker::FrameQueue;
use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// How many frames one write takes at most.
const SLICES: usize = 64;

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(Arc<TcpStream>),
    Other(Box<TokioIo<Upgraded>>),
}

impl Socket {
    /// The socket, and what was read from it already.
    pub(super) fn new(upgraded: Upgraded) -> (Self, Bytes) {
        let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) => return (Self::of_tcp(parts.io.into_inner()), parts.read_buf),
            Err(upgraded) => upgraded,
        };
        // As axum serves.
        #[cfg(feature = "tower")]
        let upgraded = {
            use hyper_util::server::conn::auto::upgrade::downcast;
            match downcast::<TokioIo<TcpStream>>(upgraded) {
                Ok(parts) => return (Self::of_tcp(parts.io.into_inner()), parts.read_buf),
                Err(upgraded) => upgraded,
            }
        };
        (Self::Other(Box::new(TokioIo::new(upgraded))), Bytes::new())
    }

    fn of_tcp(stream: TcpStream) -> Self {
        // Frames are written when they are ready, and must not wait for others; without it they
        // arrive all the same.
        let _ = stream.set_nodelay(true);
        Self::Tcp(Arc::new(stream))
    }

    /// The TCP socket, for others to write to.
    pub(super) fn tcp(&self) -> Option<&Arc<TcpStream>> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::Other(_) => None,
        }
    }

    /// Writes until nothing is left.
    pub(super) fn poll_write_all(
        &mut self,
        frames: &mut FrameQueue,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !frames.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = frames.show(&mut slices);
            match ready!(self.poll_write(&slices[..count], context))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                length => frames.advance(length),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(
        &mut self,
        slices: &[IoSlice<'_>],
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => loop {
                ready!(stream.poll_write_ready(context))?;
                match stream.try_write_vectored(slices) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => return Poll::Ready(result),
                }
            },
            Self::Other(io) => Pin::new(io).poll_write_vectored(context, slices),
        }
    }

    /// Brings out what a layer in between, such as TLS, took and has not sent yet.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(_) => Poll::Ready(Ok(())),
            Self::Other(io) => Pin::new(io).poll_flush(context),
        }
    }

    /// Ends the sending side.
    pub(super) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => {
                Poll::Ready(socket2::SockRef::from(&**stream).shutdown(Shutdown::Write))
            }
            Self::Other(io) => Pin::new(io).poll_shutdown(context),
        }
    }
}

/// Reads what is there. Where that leaves room, there is no more: tokio is told so, as its own
/// readers do where the system tells of what comes later (epoll), and no system call is spent on
/// finding that out.
fn try_read(stream: &TcpStream, buffer: &mut ReadBuf<'_>) -> io::Result<()> {
    let room = buffer.remaining();
    let mut read = None;
    let emptied = stream.try_io(Interest::READABLE, || {
        let length = stream.try_read_buf(buffer)?;
        read = Some(length);
        let emptied = cfg!(target_os = "linux") && (1..room).contains(&length);
        if emptied { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    if read.is_some() { Ok(()) } else { emptied }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(stream) => loop {
                ready!(stream.poll_read_ready(context))?;
                match try_read(stream, buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => return Poll::Ready(result),
                }
            },
            Self::Other(io) => Pin::new(io).poll_read(context, buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    const REQUEST: &str =
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nearly";

    /// What a server of hyper's makes of an upgrade on a TCP socket.
    async fn upgraded() -> (Socket, Bytes, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.write_all(REQUEST.as_bytes()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let sender = parking_lot::Mutex::new(Some(sender));
        let service = service_fn(|request: http::Request<_>| {
            let sender = sender.lock().take().unwrap();
            async move {
                let _ = sender.send(hyper::upgrade::on(request));
                let answer = http::Response::builder().status(101).header("upgrade", "x");
                answer.header("connection", "upgrade").body(String::new())
            }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(server), service);
        connection.with_upgrades().await.unwrap();
        let upgraded = receiver.await.unwrap().await.unwrap();
        let (socket, early) = Socket::new(upgraded);
        (socket, early, client)
    }

    #[tokio::test]
    async fn a_tcp_socket_is_had_back_with_what_was_read_too_far() {
        let (socket, early, _client) = upgraded().await;
        assert!(socket.tcp().unwrap().nodelay().unwrap());
        assert_eq!(early, "early");
    }

    #[tokio::test]
    async fn many_frames_arrive_in_order_however_slowly_they_are_read() {
        let (mut socket, _, mut client) = upgraded().await;
        let mut frames = FrameQueue::default();
        let mut expected = Vec::new();
        for number in 0..20_000_u32 {
            let frame = vec![number.to_le_bytes()[0]; 1 + number as usize % 1000];
            expected.extend_from_slice(&frame);
            frames.push(Bytes::from(frame));
        }
        let writer = tokio::spawn(async move {
            std::future::poll_fn(|context| socket.poll_write_all(&mut frames, context)).await?;
            std::future::poll_fn(|context| socket.poll_shutdown(context)).await
        });
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.unwrap();
        writer.await.unwrap().unwrap();
        let head = received.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        assert!(received[head..] == expected, "what arrives is not what was written");
    }
}
