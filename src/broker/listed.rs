//! Lists of connections and channels, in pages, for the host.

use super::Broker;
use super::connection::Connection;
use super::info::ChannelInfo;
use crate::protocol::error::{Code, ProtocolError};
use bytes::Bytes;
use fanfare_storage::Timestamp;
use std::sync::Arc;

/// What a page holds where nothing is said.
pub(crate) const DEFAULT_LIMIT: usize = 100;
/// What a page holds at most.
pub(crate) const MAX_LIMIT: usize = 1_000;

/// How much a page holds of which so much is wanted.
pub(super) fn page_size(wanted: usize) -> usize {
    wanted.clamp(1, MAX_LIMIT)
}

/// Cuts a page of which one more than so many was asked for, and gives its last item where others
/// follow.
pub(super) fn cut<T>(page: &mut Vec<T>, limit: usize) -> Option<&T> {
    let more = page.len() > limit;
    page.truncate(limit);
    page.last().filter(|_| more)
}

/// Which open connections are wanted; see [`Broker::connections`].
///
/// ```
/// use fanfare::ConnectionQuery;
/// let of_jim = ConnectionQuery { uid: Some("jim".into()), ..Default::default() };
/// ```
#[derive(Clone, Debug)]
pub struct ConnectionQuery {
    /// Only connections of this user.
    pub uid: Option<String>,
    /// Only those after this id: the [`next`](ConnectionPage::next) of the page before.
    pub after: Option<String>,
    /// At most this many: 1 to 1,000, to which other numbers are brought; 100 by default.
    pub limit: usize,
}

impl Default for ConnectionQuery {
    fn default() -> Self {
        Self { uid: None, after: None, limit: DEFAULT_LIMIT }
    }
}

/// A page of open connections.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionPage {
    /// In the order of their ids' bytes.
    pub connections: Vec<ConnectionInfo>,
    /// Where the next page starts; `None` where there is none.
    pub next: Option<String>,
}

/// What is known of an open connection at a moment. It has no secret in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionInfo {
    id: Arc<str>,
    uid: Option<Arc<str>>,
    umd: Option<Bytes>,
    connected_at: Timestamp,
    subscriptions_count: usize,
}

impl ConnectionInfo {
    fn of(connection: &Connection) -> Self {
        let session = connection.session().lock();
        Self {
            id: Arc::clone(connection.id()),
            uid: connection.uid().cloned(),
            umd: session.meta().umd.clone(),
            connected_at: connection.connected_at(),
            subscriptions_count: session.subscription_count(),
        }
    }

    /// Its id, as the client knows it too.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The user id of its connect token.
    #[must_use]
    pub fn uid(&self) -> Option<&str> {
        self.uid.as_deref()
    }

    /// The user metadata, JSON text.
    #[must_use]
    pub fn umd(&self) -> Option<&[u8]> {
        self.umd.as_deref()
    }

    /// When it was opened.
    #[must_use]
    pub fn connected_at(&self) -> Timestamp {
        self.connected_at
    }

    /// How many channels it is subscribed to.
    #[must_use]
    pub fn subscriptions_count(&self) -> usize {
        self.subscriptions_count
    }
}

/// Which channels are wanted; see [`Broker::channels`].
///
/// ```
/// use fanfare::ChannelQuery;
/// let rooms = ChannelQuery { prefix: "room.".into(), ..Default::default() };
/// ```
#[derive(Clone, Debug)]
pub struct ChannelQuery {
    /// Only channels whose names start with this; all by default.
    pub prefix: String,
    /// Only those after this name: the [`next`](ChannelPage::next) of the page before.
    pub after: Option<String>,
    /// At most this many: 1 to 1,000, to which other numbers are brought; 100 by default.
    pub limit: usize,
}

impl Default for ChannelQuery {
    fn default() -> Self {
        Self { prefix: String::new(), after: None, limit: DEFAULT_LIMIT }
    }
}

/// A page of channels.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelPage {
    /// In the order of their names' bytes.
    pub channels: Vec<ChannelInfo>,
    /// Where the next page starts; `None` where there is none.
    pub next: Option<String>,
}

impl Broker {
    /// A page of the open connections. It costs what it shows, however many there are, and holds
    /// nobody up. What is open all the while that pages are asked for shows once; what comes or
    /// goes meanwhile may show or not.
    ///
    /// ```
    /// # use fanfare::{Algorithm, Broker, MemoryStorage, VerifyingKey};
    /// use fanfare::ConnectionQuery;
    ///
    /// # async fn run(broker: Broker) {
    /// let mut query = ConnectionQuery { limit: 1_000, ..Default::default() };
    /// loop {
    ///     let page = broker.connections(&query);
    ///     for connection in &page.connections {
    ///         println!("{} of {:?}", connection.id(), connection.uid());
    ///     }
    ///     query.after = page.next;
    ///     if query.after.is_none() {
    ///         break;
    ///     }
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn connections(&self, query: &ConnectionQuery) -> ConnectionPage {
        let limit = page_size(query.limit);
        let connections = &self.core.connections;
        let mut page = connections.page(query.uid.as_deref(), query.after.as_deref(), limit + 1);
        let next = cut(&mut page, limit).map(|last| last.id().to_string());
        let connections = page.iter().map(|connection| ConnectionInfo::of(connection)).collect();
        ConnectionPage { connections, next }
    }

    /// One open connection; `None` where there is none of this id.
    #[must_use]
    pub fn connection(&self, id: &str) -> Option<ConnectionInfo> {
        self.core.connections.get(id).map(|connection| ConnectionInfo::of(&connection))
    }

    /// The channels that a connection is subscribed to, in the order of their names' bytes: as
    /// many as [`max_subscriptions`](super::BrokerBuilder::max_subscriptions) allows.
    ///
    /// # Errors
    ///
    /// Fails where there is no such connection ([`is_not_found`](super::Error::is_not_found)).
    pub fn subscriptions(&self, id: &str) -> Result<Vec<Arc<str>>, super::Error> {
        let connection = self.core.connections.get(id).ok_or_else(no_connection)?;
        let mut channels = connection.session().lock().subscribed_channels();
        channels.sort_unstable();
        Ok(channels)
    }

    /// A page of the channels that somebody is subscribed to. It costs what it shows, however many
    /// there are, and holds nobody up; what comes or goes meanwhile may show or not. A channel all
    /// of whose subscriptions are left out of the count shows with a count of 0.
    #[must_use]
    pub fn channels(&self, query: &ChannelQuery) -> ChannelPage {
        let limit = page_size(query.limit);
        let hub = &self.core.hub;
        let mut page = hub.subscribed_channels(query.after.as_deref(), &query.prefix, limit + 1);
        let next = cut(&mut page, limit).map(|(name, _)| name.to_string());
        let channels = page.iter().map(|(name, count)| self.core.info_of(name, *count)).collect();
        ChannelPage { channels, next }
    }
}

pub(super) fn no_connection() -> ProtocolError {
    ProtocolError::new(Code::NotFound, "no connection of this id is open")
}
