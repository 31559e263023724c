//! What all handles of a broker share.

use super::channel::Joined;
use super::clock::Clock;
use super::connection::{Connection, Opening, Wait};
use super::connections::Connections;
use super::events::Peer;
use super::hooks::Host;
use super::hub::Hub;
use super::mailbox::Mailbox;
use super::metered::StorageUse;
use super::reaction::ReactionLimits;
use super::recovery::Recoveries;
use super::schedule::Bookings;
use super::secrets;
use crate::auth::{Token, Verifier};
use crate::protocol::event::Meta;
use crate::session::{Action, CloseReason, Session, SessionSettings};
use fanfare_storage::Storage;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};

/// Limits and switches, from the builder. Without `Debug`, which would show the keys.
pub(crate) struct Settings {
    pub(crate) api_keys: Vec<Box<str>>,
    /// Origins that may use the client HTTP API from a browser; empty is any.
    pub(crate) allowed_origins: Vec<Box<str>>,
    pub(crate) max_connections: Option<usize>,
    pub(crate) max_inbound_message: usize,
    pub(crate) mailbox_budget: usize,
    pub(crate) max_client_body: usize,
    pub(crate) max_server_body: usize,
    pub(crate) reactions: ReactionLimits,
    /// Of one channel's storage.
    pub(crate) max_storage_keys: usize,
}

pub(crate) struct Core {
    pub(crate) settings: Settings,
    pub(crate) hub: Arc<Hub>,
    pub(crate) storage: Arc<dyn Storage>,
    pub(super) storage_use: Arc<StorageUse>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) sessions: Arc<SessionSettings>,
    /// The host's hooks, where it has any.
    pub(super) host: Option<Arc<Host>>,
    pub(crate) connections: Connections,
    /// By connections that are open, or are about to be.
    pub(super) places_taken: AtomicUsize,
    pub(super) bookings: Arc<Bookings>,
    pub(super) recoveries: Recoveries,
    /// Held by who revokes.
    pub(super) revoking: tokio::sync::Mutex<()>,
    /// Whoever ends takes its turn here.
    pub(crate) departures: Semaphore,
    pub(super) draining: AtomicBool,
    /// Held by what is done from time to time, so that the storage is not closed under it.
    pub(super) upkeep: tokio::sync::Mutex<()>,
    /// Told when a connection ends while draining.
    pub(super) ended: Notify,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker")
            .field("connections", &self.connections.len())
            .field("storage", &self.storage)
            .finish_non_exhaustive()
    }
}

impl Core {
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Opens a connection for a user: it is welcomed and subscribed to what its token says. What
    /// is returned with it has to end before its first message is looked at.
    pub(crate) fn open(
        self: &Arc<Self>,
        token: &Token,
        meta: Meta,
        peer: Peer,
    ) -> Result<(Arc<Connection>, Option<Wait>), aws_lc_rs::error::Unspecified> {
        let now = self.clock.now();
        let (id, secret) = (secrets::random()?, secrets::random()?);
        let refusals = Arc::clone(&self.hub.counters().refused);
        let mailbox = Arc::new(Mailbox::counting(self.settings.mailbox_budget, refusals));
        let early = self.clock.jitter(self.sessions.timers.most_early());
        let sessions = Arc::clone(&self.sessions);
        let session = Session::new(sessions, Arc::clone(&id), token, meta, now, early);
        let key = self.connections.next_key();
        let opening = Opening { at: now.wall, keep_alive: token.keep_alive, peer };
        let connection = Connection::new(key, id, Arc::clone(&secret), mailbox, session, opening);
        let connection = Arc::new(connection);
        self.connections.insert(&connection);
        self.hub.announcer().connected(&connection, || connection.session().lock().meta().clone());
        self.hub.counters().connected.add(1);
        let actions = connection.session().lock().start(secret, now);
        let wait = self.perform_all(&connection, actions);
        // Whoever drains has set the flag before it closes all connections: either it saw this
        // one, or this sees the flag.
        if self.is_draining() {
            connection.mailbox().close(CloseReason::Draining);
        }
        // Likewise whoever revokes, who notes it first and looks for connections second.
        if self.verifier.revocations().cover(&token.identity(), now.wall) {
            connection.close(CloseReason::Disconnected);
        }
        Ok((connection, wait))
    }

    /// Does what a session asks for, one after the other, and no faster than the client reads what
    /// it is told by that: many channels may be more than its mailbox holds.
    fn perform_all(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        actions: Vec<Action<'static, Joined>>,
    ) -> Option<Wait> {
        let mut actions = actions.into_iter();
        let mut first = None;
        while first.is_none() && !connection.mailbox().is_half_full() {
            first = self.perform(connection, actions.next()?);
        }
        let (core, connection) = (Arc::clone(self), Arc::clone(connection));
        Some(Box::pin(async move {
            if let Some(wait) = first {
                wait.await;
            }
            for action in actions {
                if connection.mailbox().is_half_full() && !core.read_up(connection.mailbox()).await
                {
                    return;
                }
                if let Some(wait) = core.perform(&connection, action) {
                    wait.await;
                }
            }
        }))
    }

    /// Ends a connection's subscriptions, once it is being closed.
    pub(crate) fn unsubscribe_all(&self, connection: &Connection) {
        let registrations = connection.session().lock().end();
        // Who can't come back, or is not to, is a member no more.
        let is_final = self.is_draining() || connection.mailbox().is_disconnected();
        for (registration, meta) in &registrations {
            if is_final {
                self.hub.leave(registration);
            } else {
                self.hub.lose(registration);
            }
            self.hub.announcer().unsubscribed(connection, registration.channel_name(), meta);
        }
    }

    /// Ends a connection: its subscriptions and its place in the list.
    pub(crate) fn ended(&self, connection: &Connection) {
        self.unsubscribe_all(connection);
        let now = self.clock.now().wall;
        let announcer = self.hub.announcer();
        announcer.disconnected(connection, now, || connection.session().lock().meta().clone());
        // Last, since whoever drains waits for that, and then nothing more is to be told.
        self.connections.remove(connection);
        if self.is_draining() {
            self.ended.notify_waiters();
        }
    }

    /// Closes all connections and waits until they are gone, for `patience` at the longest.
    pub(super) async fn drain(&self, patience: Duration) {
        self.draining.store(true, Ordering::Release);
        self.connections.close_all(CloseReason::Draining);
        let all_gone = async {
            loop {
                let ended = self.ended.notified();
                if self.connections.len() == 0 {
                    return;
                }
                ended.await;
            }
        };
        if tokio::time::timeout(patience, all_gone).await.is_err() {
            tracing::warn!(left = self.connections.len(), "connections were cut off");
            self.connections.cut_off_all();
        }
    }
}
