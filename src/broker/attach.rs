//! Subscribing, where a client has to be told of something between its confirmation and what is
//! live: it is registered first and told second, so that nothing falls between.

use super::channel::Joined;
use super::connection::{Connection, Wait};
use super::core::Core;
use super::observing::Shown;
use super::subscribers::{Phase, Registration};
use crate::protocol::event::{Event, Subscribed};
use crate::protocol::names;
use crate::session::{CloseReason, Join, Observer, Session};
use bytes::Bytes;
use fanfare_storage::MessageId;
use std::sync::Arc;

impl Core {
    /// Registers a connection with a channel, and confirms it before anything that the channel
    /// delivers.
    pub(super) fn join(self: &Arc<Self>, connection: &Arc<Connection>, join: Join) -> Option<Wait> {
        let presence = names::is_presence(&join.channel);
        if presence || join.observer.is_some() || join.recovery.is_some() {
            return Some(Box::pin(Arc::clone(self).attach(Arc::clone(connection), join)));
        }
        let meta = join.confirmation.meta.clone();
        let confirmation = Event::Subscribed(join.confirmation).to_frame();
        let registration = registration(connection, join.counted, None, Phase::Live);
        // The session stays locked until the subscription is in it: whoever has read the
        // confirmation finds it there, over HTTP too.
        let left = {
            let mut session = connection.session().lock();
            if !session.awaits(&join.channel) {
                return None;
            }
            let (joined, start) = self.hub.join(&join.channel, &registration, Some(confirmation));
            let left = session.joined(&join.channel, joined, start);
            refresh_observer(&mut session, &registration, &join.channel);
            if left.is_none() {
                self.hub.announcer().subscribed(connection, &join.channel, &meta);
            }
            left
        };
        if let Some(joined) = left {
            self.hub.leave(&joined);
        }
        None
    }

    /// As [`join`](Self::join), with what comes between the confirmation and the live messages.
    async fn attach(self: Arc<Self>, connection: Arc<Connection>, mut join: Join) {
        let observer = join.observer.take();
        let observes = observer.is_some();
        let registration = registration(&connection, join.counted, observer, Phase::Held);
        let Some((held, start)) = self.hold(&connection, &mut join, &registration).await else {
            return;
        };
        let Join { channel, mut confirmation, recovery, .. } = join;
        let mut missed = None;
        if let Some(recovery) = recovery {
            let Ok(found) = self.missed(&channel, recovery, start).await else {
                connection.close(CloseReason::StorageFault);
                return;
            };
            self.hub.counters().recovered(found.is_some());
            confirmation.recovered = Some(found.is_some());
            missed = found;
        }
        let told = confirmation.meta.umd.clone();
        let Some(umd) = held.confirm(&connection, confirmation, start) else { return };
        let mut shown = Shown::default();
        if observes {
            let Ok(all) = self.show_entries(&registration, &channel, start).await else {
                connection.close(CloseReason::StorageFault);
                return;
            };
            shown = all;
        }
        if let Some(missed) = missed {
            self.recover(&registration, &channel, missed).await;
        }
        connection.mailbox().release(&registration, |gathered| shown.lacks(gathered));
        if umd != told {
            self.show_umd(&connection, &channel, Some(&told)).await;
        }
        // Many lists of members may be more than a mailbox holds.
        connection.mailbox().relieved().await;
    }

    /// Registers a connection that is held; on presence channels as a member, which can be
    /// refused.
    async fn hold(
        &self,
        connection: &Connection,
        join: &mut Join,
        registration: &Arc<Registration>,
    ) -> Option<(Held<'_>, MessageId)> {
        if !names::is_presence(&join.channel) {
            let (joined, start) = self.hub.join(&join.channel, registration, None);
            return Some((Held { core: self, joined: Some(joined) }, start));
        }
        let mut entered = self.enter(connection, join, registration).await?;
        join.confirmation.members = Some(entered.members.clone());
        Some((Held { core: self, joined: entered.take() }, entered.start))
    }
}

fn registration(
    connection: &Connection,
    counted: bool,
    observer: Option<Observer>,
    phase: Phase,
) -> Arc<Registration> {
    let mailbox = Arc::clone(connection.mailbox());
    let registration = Registration::new(connection.key(), mailbox, counted, phase);
    registration.observe(observer.map(Arc::new));
    Arc::new(registration)
}

/// The permissions may have changed since the observer was made.
fn refresh_observer(session: &mut Session<Joined>, registration: &Registration, channel: &str) {
    if let Some(observer) = session.changed_observer(channel) {
        registration.observe(observer.map(Arc::new));
    }
}

/// A registration that its session does not know yet. Where it never comes to, since the
/// connection ended, it is ended here.
struct Held<'a> {
    core: &'a Core,
    joined: Option<Joined>,
}

impl Held<'_> {
    /// Tells the session and then the client that the subscription exists, if it does: the session
    /// may have ended. Returns the subscription's metadata, which may have changed since they were
    /// put into the confirmation.
    fn confirm(
        mut self,
        connection: &Connection,
        confirmation: Subscribed,
        start: MessageId,
    ) -> Option<Option<Bytes>> {
        let joined = self.joined.take()?;
        let (channel, meta) = (Arc::clone(&confirmation.channel), confirmation.meta.clone());
        let confirmation = Event::Subscribed(confirmation).to_frame();
        let mut session = connection.session().lock();
        let registration = Arc::clone(joined.registration());
        self.joined = session.joined(&channel, joined, start);
        refresh_observer(&mut session, &registration, &channel);
        if self.joined.is_some() {
            return None;
        }
        connection.mailbox().push(confirmation);
        self.core.hub.announcer().subscribed(connection, &channel, &meta);
        session.umd_of(&channel)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(joined) = self.joined.take() {
            self.core.hub.leave(&joined);
        }
    }
}
