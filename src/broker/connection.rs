//! Open connections: their sessions, carried out.

use super::channel::Joined;
use super::core::Core;
use super::events::Peer;
use super::mailbox::Mailbox;
use super::outgoing::Settle;
use super::subscribers::ConnectionKey;
use crate::protocol::error::ProtocolError;
use crate::protocol::event::Event;
use crate::session::{Action, CloseReason, Leave, Now, Right, Session, UseToken};
use fanfare_storage::Timestamp;
use parking_lot::Mutex;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

/// An open connection.
pub(crate) struct Connection {
    key: ConnectionKey,
    id: Arc<str>,
    secret: Arc<str>,
    mailbox: Arc<Mailbox>,
    session: Mutex<Session<Joined>>,
    /// Whether the host has ended it. Set under the session's lock.
    stopped: AtomicBool,
    /// Whose it is; never changes.
    uid: Option<Arc<str>>,
    opening: Opening,
}

/// How a connection was opened.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) at: Timestamp,
    pub(super) keep_alive: bool,
    pub(super) peer: Peer,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Something that must end before the connection's next message is looked at.
pub(crate) type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Connection {
    pub(super) fn new(
        key: ConnectionKey,
        id: Arc<str>,
        secret: Arc<str>,
        mailbox: Arc<Mailbox>,
        session: Session<Joined>,
        opening: Opening,
    ) -> Self {
        let (uid, stopped) = (session.meta().uid.clone(), AtomicBool::new(false));
        Self { key, id, secret, mailbox, session: Mutex::new(session), stopped, uid, opening }
    }

    pub(super) fn peer(&self) -> &Peer {
        &self.opening.peer
    }

    pub(super) fn uid(&self) -> Option<&Arc<str>> {
        self.uid.as_ref()
    }

    pub(super) fn connected_at(&self) -> Timestamp {
        self.opening.at
    }

    pub(super) fn keep_alive(&self) -> bool {
        self.opening.keep_alive
    }

    pub(crate) fn key(&self) -> ConnectionKey {
        self.key
    }

    pub(crate) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// The session. Holders neither encode nor wait.
    pub(crate) fn session(&self) -> &Mutex<Session<Joined>> {
        &self.session
    }

    /// Whether who asks for it over HTTP is to find it no more: it has ended, or is being closed.
    pub(crate) fn is_over(&self) -> bool {
        self.mailbox.closing().is_some() || self.session.lock().has_ended()
    }

    /// Asks for the connection's end, after what is queued for it. Nothing that its client asks for
    /// from now on is done, also of what was read already. The first reason counts; returns whether
    /// this is it.
    pub(crate) fn close(&self, reason: CloseReason) -> bool {
        // Both under the session's lock: nothing is done for it in between.
        self.close_locked(&mut self.session.lock(), reason)
    }

    /// The same, for who has the session.
    pub(super) fn close_locked(&self, session: &mut Session<Joined>, reason: CloseReason) -> bool {
        session.stop();
        self.stopped.store(true, Ordering::Relaxed);
        self.mailbox.close(reason)
    }

    /// Whether it was closed, so that nothing is to be done for it. Costs nothing; what has waited
    /// asks [`check`](Self::check).
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Whether what the client was permitted may be done, now that it has waited.
    pub(super) fn check(&self, right: &Right) -> Result<(), ProtocolError> {
        self.session.lock().still_permits(right)
    }

    pub(crate) fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// Tells the client of failure alone; `written` is the channel as it wrote it.
    pub(super) fn hears_of_failure(&self, written: &str) -> Settle {
        Settle::Connection { mailbox: Arc::clone(&self.mailbox), written: written.into() }
    }

    /// Compares a secret in time that does not depend on where it differs.
    pub(crate) fn has_secret(&self, secret: &str) -> bool {
        super::secrets::equal(&self.secret, secret)
    }
}

impl Core {
    /// Does what a session asks for. Where that takes time, the returned future has to be driven
    /// to its end before the session is handed anything else.
    pub(crate) fn perform(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        action: Action<'_, Joined>,
    ) -> Option<Wait> {
        match action {
            Action::None => None,
            Action::Reply(Event::Error { channel, error }) => {
                connection.mailbox.refuse(channel, error);
                None
            }
            Action::Reply(event) => {
                connection.mailbox.push(event.to_frame());
                None
            }
            Action::Join(join) => self.join(connection, join),
            Action::Leave(leave) => {
                let left = self.leave(connection, &leave);
                let (mailbox, farewell) = (Arc::clone(&connection.mailbox), leave.farewell);
                let Some(left) = left else {
                    mailbox.push(farewell.to_frame());
                    return None;
                };
                // Whoever has read it is a member no more, whoever asks.
                Some(Box::pin(async move {
                    let _ = left.await;
                    mailbox.push(farewell.to_frame());
                }))
            }
            Action::React(request) => Some(self.react_for(connection, request)),
            Action::Write(request) => self.write_for(connection, request),
            Action::GetEntry(request) => Some(self.get_entry_for(connection, request)),
            Action::AskHost(question) => Some(Box::pin(
                Arc::clone(self).ask_about_subscribe(Arc::clone(connection), question),
            )),
            Action::AutoSubscribe(channel) => {
                let action = connection.session.lock().auto_subscribe(&channel);
                self.perform(connection, action)
            }
            Action::UseToken(use_of) => {
                Some(Box::pin(Arc::clone(self).use_token(Arc::clone(connection), use_of)))
            }
            Action::UpdateUmd(update) => {
                let (core, connection) = (Arc::clone(self), Arc::clone(connection));
                Some(Box::pin(async move {
                    let channel = update.written.clone();
                    if let Err(error) = core.update_umd(&connection, update).await {
                        connection.mailbox.refuse(channel, error);
                    }
                }))
            }
            Action::Close(reason) => {
                connection.close(reason);
                None
            }
        }
    }

    /// What has to end before a client's next message is looked at, where messages have a rate.
    pub(crate) fn paced(
        &self,
        connection: &Connection,
        now: Now,
        wait: Option<Wait>,
    ) -> Option<Wait> {
        if self.sessions.message_rate.is_none() {
            return wait;
        }
        let Some(pause) = connection.session.lock().pause(now) else { return wait };
        Some(Box::pin(async move {
            if let Some(wait) = wait {
                wait.await;
            }
            tokio::time::sleep(pause).await;
        }))
    }

    /// Ends a registration, as [`Hub::leave`](super::hub::Hub::leave) does, and tells the host so.
    pub(super) fn leave(
        &self,
        connection: &Connection,
        leave: &Leave<Joined>,
    ) -> Option<oneshot::Receiver<()>> {
        let left = self.hub.leave(&leave.registration);
        if let Event::Unsubscribed { channel, meta, .. } = &leave.farewell {
            self.hub.announcer().unsubscribed(connection, channel, meta);
        }
        left
    }

    /// Asks storage about a single-use token, and goes on with what waits for that.
    async fn use_token(self: Arc<Self>, connection: Arc<Connection>, use_of: UseToken) {
        let Some(fresh) = self.try_token(&use_of).await else {
            connection.close(CloseReason::StorageFault);
            return;
        };
        let action = connection.session.lock().token_used(fresh);
        if let Some(wait) = self.perform(&connection, action) {
            wait.await;
        }
    }

    /// Whether a single-use token is fresh; `None` where storage can't tell. A passing fault must
    /// not refuse a subscribe (protocol section 6), so it is asked again, and if need be the
    /// connection is closed.
    pub(super) async fn try_token(&self, use_of: &UseToken) -> Option<bool> {
        const TRIES: u32 = 4;
        let mut uncertain = false;
        for attempt in 0..TRIES {
            match self.ask_about_token(use_of).await {
                // An earlier try may have used the token up without being able to say so.
                Ok(false) if uncertain => return None,
                Ok(fresh) => return Some(fresh),
                Err(error) => {
                    uncertain = use_of.spend;
                    tracing::debug!(%error, "storage could not tell whether a token was used");
                    tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
                }
            }
        }
        None
    }

    async fn ask_about_token(&self, use_of: &UseToken) -> fanfare_storage::Result<bool> {
        let now = self.clock.now().wall;
        if use_of.spend {
            self.storage.spend_token(use_of.token.clone(), now).await
        } else {
            self.storage.is_token_spent(&use_of.token, now).await.map(|spent| !spent)
        }
    }
}
