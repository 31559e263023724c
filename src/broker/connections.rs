//! The open connections, by id and by user.

use super::connection::Connection;
use super::ordered::OrderedMap;
use super::subscribers::ConnectionKey;
use crate::session::CloseReason;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub(crate) struct Connections {
    by_id: OrderedMap<Connection>,
    /// Those that have a uid, by that and their id; see [`user_key`].
    by_user: OrderedMap<Connection>,
    last_key: AtomicU64,
}

/// The names of a user's connections are this and their ids. It starts with its length, so that
/// no user's is the start of another's.
fn user_key(uid: &str) -> String {
    format!("{}:{uid}:", uid.len())
}

impl Connections {
    pub(super) fn next_key(&self) -> ConnectionKey {
        ConnectionKey(self.last_key.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn insert(&self, connection: &Arc<Connection>) {
        self.by_id.insert(connection.id(), connection);
        if let Some(uid) = connection.uid() {
            let key = user_key(uid) + connection.id();
            self.by_user.insert(&key.into(), connection);
        }
    }

    pub(super) fn remove(&self, connection: &Connection) {
        self.by_id.remove(connection.id(), connection);
        if let Some(uid) = connection.uid() {
            self.by_user.remove(&(user_key(uid) + connection.id()), connection);
        }
    }

    pub(super) fn key_of(&self, id: &str) -> Option<ConnectionKey> {
        self.get(id).map(|found| found.key())
    }

    pub(super) fn get(&self, id: &str) -> Option<Arc<Connection>> {
        self.by_id.get(id)
    }

    /// The connection of this id, if `secret` is its own. An unknown id and a wrong secret look
    /// alike (protocol section 13).
    pub(crate) fn authenticate(&self, id: &str, secret: &str) -> Option<Arc<Connection>> {
        self.get(id).filter(|connection| connection.has_secret(secret))
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Up to `limit` connections, of one user or of all, whose ids come after `after`, in the
    /// order of their ids.
    pub(super) fn page(
        &self,
        uid: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<Arc<Connection>> {
        let page = match uid {
            None => self.by_id.page(after, "", limit),
            Some(uid) => {
                let prefix = user_key(uid);
                let after = after.map(|after| prefix.clone() + after);
                self.by_user.page(after.as_deref(), &prefix, limit)
            }
        };
        page.into_iter().map(|(_, connection)| connection).collect()
    }

    /// All connections, of one user or of all, a few at a time.
    pub(super) fn pages<'a>(
        &'a self,
        uid: Option<&'a str>,
    ) -> impl Iterator<Item = Vec<Arc<Connection>>> + 'a {
        const AT_ONCE: usize = 256;
        let mut after: Option<Arc<str>> = None;
        std::iter::from_fn(move || {
            let page = self.page(uid, after.as_deref(), AT_ONCE);
            after = Some(Arc::clone(page.last()?.id()));
            Some(page)
        })
    }

    pub(super) fn cut_off_all(&self) {
        self.pages(None).flatten().for_each(|connection| connection.mailbox().cut_off());
    }

    pub(super) fn close_all(&self, reason: CloseReason) {
        self.pages(None).flatten().for_each(|connection| {
            connection.mailbox().close(reason);
        });
    }
}
