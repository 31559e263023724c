//! One connection's task: between its socket, its session and its mailbox.

use super::reader::{Incoming, Reader};
use super::socket::Socket;
use crate::auth::Token;
use crate::broker::{Connection, FrameQueue, Mail, Peer, Place, Wait};
use crate::protocol::event::Meta;
use crate::protocol::frame::close_frame;
use crate::session::{Action, CloseReason, Now};
use bytes::Bytes;
use hyper::upgrade::Upgraded;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long a client may take to answer a close, and to read what comes before it.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);
/// How often a connection that waits looks at its time.
const WAITING: Duration = Duration::from_secs(1);
/// A timer that fires early looks again; one too far away can't be set.
const LONGEST_TIMER: Duration = Duration::from_secs(24 * 60 * 60);
/// Messages read in one turn, before what they caused is written.
const MESSAGES_PER_TURN: usize = 32;
/// Turns before other tasks have theirs.
const TURNS: usize = 8;

/// A connection that ends when this is dropped, however its task does.
struct Open {
    core: Place,
    connection: Arc<Connection>,
}

impl Open {
    /// When the session next wants to be called. Deadlines only move back, so the timer is not
    /// touched for every frame: it looks again when it fires.
    fn next_deadline(&self) -> Instant {
        let due = self.connection.session().lock().next_timeout();
        Instant::now() + due.saturating_sub(self.core.clock.now().steady).min(LONGEST_TIMER)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.core.ended(&self.connection);
    }
}

/// A connection from its welcome to its end, as a future. There is one of it for every connection,
/// so its size counts: what is needed only now and then is in boxes.
pub(super) struct Driver {
    socket: Socket,
    reader: Reader,
    /// What was taken from the mailbox and is being written.
    outbox: FrameQueue,
    /// What has to end before the next message is read.
    wait: Option<Wait>,
    /// When that began, on the steady clock.
    waits_since: Duration,
    timer: Pin<Box<Sleep>>,
    last_sent: Now,
    phase: Phase,
    /// Whether the sending side was shut down.
    said_all: bool,
    /// The last to be dropped: once a connection counts as ended, its socket is closed.
    open: Open,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// A close frame is on its way, and the client's is awaited.
    Closing,
    /// As `Closing`, but what comes in can't be read as frames any more. It is read all the same:
    /// closing a socket with unread bytes resets it, and the close frame may be lost by that.
    Discarding,
    /// Both close frames are known; what is left to write is written.
    Closed,
}

/// The connection is over.
struct Ended;

/// Whether anything was done.
type Turn = Result<bool, Ended>;

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        for _ in 0..TURNS {
            match self.turn(context) {
                Err(Ended) => return Poll::Ready(()),
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
            }
        }
        // Others have their turn, and this task comes back.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Driver {
    /// Opens a connection on a socket; `None` where that can't be, and the socket is closed.
    pub(super) fn new(
        core: Place,
        token: &Token,
        (meta, peer): (Meta, Peer),
        upgraded: Upgraded,
    ) -> Option<Self> {
        let Ok((connection, wait)) = core.open(token, meta, peer) else {
            tracing::error!("a connection was refused: the system gives no random numbers");
            return None;
        };
        let (socket, early) = Socket::new(upgraded);
        let open = Open { core, connection };
        let timer = Box::pin(tokio::time::sleep_until(open.next_deadline()));
        let core = &open.core;
        let now = core.clock.now();
        let reader = Reader::new(core.settings.max_inbound_message, &early);
        Some(Self {
            open,
            socket,
            reader,
            outbox: FrameQueue::default(),
            wait,
            waits_since: now.steady,
            timer,
            last_sent: now,
            phase: Phase::Open,
            said_all: false,
        })
    }

    /// Ends the connection, once it is over. Few do so at a time: where a crowd is gone at once,
    /// others have their turn in between.
    pub(super) async fn finish(mut self) {
        let Open { core, connection } = &self.open;
        let turn = core.departures.acquire().await;
        core.unsubscribe_all(connection);
        connection.mailbox().disconnect();
        drop(turn);
        // Closing a TCP socket says enough; TLS wants to say goodbye too, and a client that is gone
        // is not waited for.
        if self.socket.tcp().is_none() {
            let goodbye = poll_fn(|context| self.socket.poll_shutdown(context));
            let _ = tokio::time::timeout(Duration::from_secs(1), goodbye).await;
        }
    }

    fn turn(&mut self, context: &mut Context<'_>) -> Turn {
        self.write(context)?;
        let read = self.read(context)?;
        Ok(self.tick(context)? | read)
    }

    /// Writes what the mailbox holds, for as long as the socket takes it. New mail is taken only
    /// when all that was taken before is written, so that the mailbox's budget bounds both.
    fn write(&mut self, context: &mut Context<'_>) -> Result<(), Ended> {
        if self.open.connection.mailbox().is_cut_off() {
            return Err(Ended);
        }
        loop {
            if !self.take_mail(context) {
                return Ok(());
            }
            if self.outbox.is_empty() {
                match self.socket.poll_flush(context) {
                    Poll::Ready(Ok(())) => break,
                    Poll::Ready(Err(_)) => return Err(Ended),
                    Poll::Pending => return Ok(()),
                }
            }
            match self.socket.poll_write_all(&mut self.outbox, context) {
                Poll::Ready(Ok(())) => self.last_sent = self.open.core.clock.now(),
                Poll::Ready(Err(_)) => return Err(Ended),
                Poll::Pending => return Ok(()),
            }
        }
        if self.phase == Phase::Closed { Err(Ended) } else { Ok(()) }
    }

    /// Takes what is to be written, and returns whether it may be: somebody else may be writing.
    fn take_mail(&mut self, context: &Context<'_>) -> bool {
        let mailbox = self.open.connection.mailbox();
        if self.phase != Phase::Open {
            return mailbox.withhold(&mut self.outbox, context);
        }
        match mailbox.take(&mut self.outbox, self.socket.tcp(), context) {
            Mail::Later => return false,
            Mail::Taken(None) => {}
            Mail::Taken(Some(reason)) => self.close(reason),
        }
        true
    }

    /// Starts the closing handshake (RFC 6455 section 7).
    fn close(&mut self, reason: CloseReason) {
        self.open.core.hub.counters().closed(reason);
        if reason == CloseReason::SlowConsumer {
            let Open { core, connection } = &self.open;
            core.hub.counters().slow_consumer(connection.mailbox().dropped() + self.outbox.len());
            self.outbox.clear();
        }
        self.outbox.push(close_frame(reason.code(), reason.text()));
        self.wait = None;
        self.open.core.unsubscribe_all(&self.open.connection);
        self.phase = Phase::Closing;
        self.timer.as_mut().reset(Instant::now() + CLOSE_PATIENCE);
    }

    fn read(&mut self, context: &mut Context<'_>) -> Turn {
        // What is read in one turn came at one time: looking at the clocks costs as much as a tenth
        // of a message.
        let mut read_at = None;
        for done in 0..MESSAGES_PER_TURN {
            if let Some(wait) = &mut self.wait {
                match wait.as_mut().poll(context) {
                    Poll::Ready(()) => {
                        self.wait = None;
                        // What the client sent in the meantime was not its fault to be unread.
                        let Open { core, connection } = &self.open;
                        connection.session().lock().resume(self.waits_since, core.clock.now());
                        self.hasten_timer();
                        // It may have ended with the connection being closed, which comes first.
                        return Ok(true);
                    }
                    Poll::Pending => return Ok(done > 0),
                }
            }
            match self.phase {
                Phase::Open | Phase::Closing => {}
                Phase::Discarding => return Ok(self.discard(context)? | (done > 0)),
                Phase::Closed => return Ok(done > 0),
            }
            let mut replies = Vec::new();
            match self.reader.poll_next(&mut self.socket, &mut replies, context) {
                Poll::Pending => return Ok(done > 0),
                Poll::Ready(Incoming::Lost) => return Err(Ended),
                Poll::Ready(incoming) if self.phase == Phase::Open => {
                    let now = *read_at.get_or_insert_with(|| self.open.core.clock.now());
                    self.handle(now, incoming, replies);
                }
                // The client's last words before its close are not looked at any more.
                Poll::Ready(Incoming::Closed) => self.phase = Phase::Closed,
                Poll::Ready(Incoming::Broken(_)) => self.phase = Phase::Discarding,
                Poll::Ready(_) => {}
            }
        }
        Ok(true)
    }

    /// Lets the timer fire when the session wants to be called, where it was put off further.
    fn hasten_timer(&mut self) {
        let next = self.open.next_deadline();
        if next < self.timer.deadline() {
            self.timer.as_mut().reset(next);
        }
    }

    fn handle(&mut self, now: Now, incoming: Incoming, replies: Vec<u8>) {
        let Open { core, connection } = &self.open;
        match incoming {
            Incoming::Text(text) => {
                let action = connection.session().lock().handle_text(now, &text);
                self.waits_since = now.steady;
                self.wait = core.paced(connection, now, core.perform(connection, action));
            }
            Incoming::Binary => {
                let action = connection.session().lock().handle_binary(now);
                self.waits_since = now.steady;
                self.wait = core.paced(connection, now, core.perform(connection, action));
            }
            Incoming::Control => {
                connection.session().lock().touch(now);
                if !replies.is_empty() {
                    connection.mailbox().pong(Bytes::from(replies));
                }
            }
            Incoming::Closed => {
                self.outbox.push(Bytes::from(replies));
                core.unsubscribe_all(connection);
                self.phase = Phase::Closed;
                self.timer.as_mut().reset(Instant::now() + CLOSE_PATIENCE);
            }
            Incoming::Broken(reason) => {
                self.close(reason);
                self.phase = Phase::Discarding;
            }
            Incoming::Lost => {}
        }
    }

    fn discard(&mut self, context: &mut Context<'_>) -> Turn {
        if self.outbox.is_empty() && !self.said_all {
            // The client, which may be waiting for the end, sees it and closes.
            match self.socket.poll_shutdown(context) {
                Poll::Ready(Ok(())) => self.said_all = true,
                Poll::Ready(Err(_)) => return Err(Ended),
                Poll::Pending => {}
            }
        }
        let mut buffer = [0; 1024];
        for _ in 0..MESSAGES_PER_TURN {
            let mut buffer = ReadBuf::new(&mut buffer);
            match Pin::new(&mut self.socket).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Err(Ended),
                Poll::Pending => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Does what is due by time.
    fn tick(&mut self, context: &mut Context<'_>) -> Turn {
        if self.timer.as_mut().poll(context).is_pending() {
            return Ok(false);
        }
        if self.phase != Phase::Open {
            return Err(Ended);
        }
        let Open { core, connection } = &self.open;
        let now = core.clock.now();
        if self.wait.is_some() {
            // Nothing is read, and so nothing can be held against the client but its age.
            if connection.session().lock().is_aged(now) {
                connection.mailbox().close(CloseReason::MaximumAge);
            }
            self.timer.as_mut().reset(Instant::now() + WAITING);
            return Ok(true);
        }
        let sent_by_others = connection.mailbox().last_sent();
        {
            let mut session = connection.session().lock();
            session.touch(self.last_sent);
            sent_by_others.into_iter().for_each(|steady| session.touch(Now { steady, ..now }));
        }
        loop {
            let due = connection.session().lock().handle_timeout(now);
            let Some(action) = due else { break };
            let closes = matches!(action, Action::Close(_));
            let wait = core.perform(connection, action);
            debug_assert!(wait.is_none(), "nothing that is due by time waits");
            if closes {
                break;
            }
        }
        let next = self.open.next_deadline();
        self.timer.as_mut().reset(next);
        Ok(true)
    }
}
