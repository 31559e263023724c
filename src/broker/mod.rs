//! The broker that a host holds: channels, connections, publishing, reading, the end.

mod admission;
mod attach;
mod builder;
mod burst;
mod channel;
mod clock;
mod connection;
mod connections;
mod content;
mod control;
mod core;
mod entries;
mod entry;
mod error;
mod events;
mod frame_queue;
mod history;
mod hooked;
mod hooks;
mod hub;
mod info;
#[cfg(feature = "internals")]
pub mod internals;
mod latency;
mod listed;
mod listing;
mod mailbox;
mod message;
mod metered;
mod observing;
mod ordered;
mod outgoing;
mod presence;
mod publish;
mod queue;
mod reaction;
mod recovery;
mod relief;
mod replay;
mod revoking;
mod role;
mod schedule;
mod secrets;
mod shutdown;
mod stats;
mod subscribers;
mod tally;
#[cfg(test)]
mod tests;
mod throttle;
mod umd;
mod writing;

pub use builder::BrokerBuilder;
pub use entry::{ChannelEntry, EntryPage, EntryQuery, EntryUpdate, EntryUpdated};
pub use error::{BuildError, Error};
pub use events::{
    ChannelEvent, ChannelMemberEvent, ChannelStorageEvent, ConnectionEvent, Event, EventKind,
    EventMetadata, EventStream, Lagged, MessageEvent, MessageReactionEvent, SourceIp,
    SubscriptionEvent, Trigger,
};
pub use history::{HistoryMessage, HistoryPage, HistoryQuery};
pub use hooks::{Connecting, Hooks, Publishing, Subscribing, Veto};
pub use info::{ChannelInfo, Member};
pub use listed::{ChannelPage, ChannelQuery, ConnectionInfo, ConnectionPage, ConnectionQuery};
pub use message::{Message, Published};
pub use reaction::{MessageReaction, Reaction};
pub use revoking::{RevocationEffect, RevocationPage, RevocationQuery};
pub use schedule::{Schedule, SchedulePage, ScheduleQuery, ScheduledAction};
pub use stats::Stats;

pub(crate) use admission::Place;
pub(crate) use connection::{Connection, Wait};
pub(crate) use core::Core;
pub(crate) use events::{Cause, Peer};
pub(crate) use frame_queue::FrameQueue;
pub(crate) use listed::{DEFAULT_LIMIT, MAX_LIMIT};
pub(crate) use listing::ListRequest;
pub(crate) use mailbox::Mail;
pub(crate) use publish::Begun;
pub(crate) use reaction::HostReaction;
pub(crate) use secrets::equal as secrets_equal;

use crate::http::BrokerService;
use crate::protocol::error::ProtocolError;
use crate::protocol::names;
use crate::session::ReactionAction;
use fanfare_storage::MessageId;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// A realtime broker. Clones are handles of the same one; it works until
/// [`shutdown`](Self::shutdown), or until the last handle and the last service are gone.
///
/// ```
/// use fanfare::{Algorithm, Broker, MemoryStorage, Message, VerifyingKey};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let broker = Broker::builder()
///     .verifying_key(VerifyingKey::hmac(Algorithm::HS256, b"a secret of at least 32 bytes...")?)
///     .storage(MemoryStorage::new())
///     .build()
///     .await?;
///
/// let published = broker.publish(Message::new("news", "headline").data(&"hello")).await?;
/// assert_eq!(published.id().to_string().len(), 26);
/// broker.shutdown().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
///
/// Futures of calls that only read may be dropped at any time. So may those of calls that change
/// something, but what they are about may have happened, or happen still: it goes on by itself
/// once it has its place in its channel's order or is on its way to the storage. Each says so.
#[derive(Clone, Debug)]
pub struct Broker {
    core: Arc<Core>,
}

impl Broker {
    pub(crate) fn of(core: &Arc<Core>) -> Self {
        Self { core: Arc::clone(core) }
    }

    /// Starts describing a broker.
    pub fn builder() -> BrokerBuilder {
        BrokerBuilder::new()
    }

    /// The service that speaks to clients and backends, to be mounted on a server (protocol
    /// section 1). Clones, and further calls, serve the same broker.
    #[must_use]
    pub fn service(&self) -> BrokerService {
        BrokerService::new(Arc::clone(&self.core))
    }

    /// Publishes a message as the server (protocol section 10): no permission is needed, and it
    /// carries no `meta`. A stored message is in storage when this returns, and so is one that is
    /// scheduled.
    ///
    /// Messages of one channel reach all its subscribers in the order of their ids, which is the
    /// order in which the calls were made, where one was made after another had returned.
    ///
    /// # Errors
    ///
    /// Fails where a name, the data, the lifetime, the deduplication id or the schedule is invalid
    /// ([`is_invalid_input`](Error::is_invalid_input)), the storage fails
    /// ([`is_storage_unavailable`](Error::is_storage_unavailable)) or the broker shuts down
    /// ([`is_shutting_down`](Error::is_shutting_down)). No subscriber was told anything then. But a
    /// storage that failed may have stored the message all the same, so that the history shows it;
    /// with a [`deduplication_id`](Message::deduplication_id) it can be sent again without being
    /// there twice.
    ///
    /// # Cancel safety
    ///
    /// Where the future is dropped, the message is published or it is not. It is once it has its
    /// place, for which it waits only where
    /// [`max_unstored_bytes`](BrokerBuilder::max_unstored_bytes) wait already. Here too a
    /// [`deduplication_id`](Message::deduplication_id) makes it safe to try again.
    pub async fn publish(&self, message: Message) -> Result<Published, Error> {
        self.core.publish_for_host(message).await.map_err(Error::from)
    }

    /// Publishes many messages, which are stored together where they are to be stored, and tells
    /// in the same order what became of each. Those of one channel keep their order.
    ///
    /// # Cancel safety
    ///
    /// Where the future is dropped, each message is published or not as with
    /// [`publish`](Self::publish): those that have their places are, and the rest is not.
    ///
    /// # Examples
    ///
    /// ```
    /// # async fn example(broker: fanfare::Broker) {
    /// use fanfare::Message;
    /// let messages = ["one", "two"].map(|text| Message::new("log", "line").data(text));
    /// for result in broker.publish_batch(messages).await {
    ///     if let Err(error) = result {
    ///         eprintln!("{error}");
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn publish_batch(
        &self,
        messages: impl IntoIterator<Item = Message>,
    ) -> Vec<Result<Published, Error>> {
        let mut begun = Vec::new();
        for message in messages {
            begun.push(self.core.begin(message).await);
        }
        let published = publish::all_published(begun).await;
        published.into_iter().map(|result| result.map_err(Error::from)).collect()
    }

    /// Publishes one message to many channels in place of its own, which is not looked at, and tells
    /// in the same order what became of each.
    ///
    /// ```
    /// # async fn example(broker: fanfare::Broker) -> Result<(), fanfare::Error> {
    /// use fanfare::Message;
    /// let rooms = ["room.1", "room.2"];
    /// let message = Message::new("", "notice").data("the server restarts at noon");
    /// for (room, result) in rooms.iter().zip(broker.publish_to(rooms, message).await?) {
    ///     if let Err(error) = result {
    ///         eprintln!("{room}: {error}");
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails as [`publish`](Self::publish) does where the message itself is at fault, or the
    /// broker shuts down; nothing was published then. What fails on one channel is told in its
    /// place.
    ///
    /// # Cancel safety
    ///
    /// As that of [`publish_batch`](Self::publish_batch).
    pub async fn publish_to<S: AsRef<str>>(
        &self,
        channels: impl IntoIterator<Item = S>,
        message: Message,
    ) -> Result<Vec<Result<Published, Error>>, Error> {
        let published = self.core.publish_to_all(channels, message).await?;
        Ok(published.into_iter().map(|result| result.map_err(Error::from)).collect())
    }

    /// A page of what is scheduled, by due time (protocol section 11).
    ///
    /// ```
    /// use fanfare::{Algorithm, Broker, MemoryStorage, Message, VerifyingKey};
    /// use fanfare::{ScheduleQuery, ScheduledAction, Timestamp};
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let broker = Broker::builder()
    /// #     .verifying_key(VerifyingKey::hmac(Algorithm::HS256, &[0; 32])?)
    /// #     .storage(MemoryStorage::new())
    /// #     .build()
    /// #     .await?;
    /// let tomorrow = Timestamp::now() + Duration::from_secs(24 * 60 * 60);
    /// broker.publish(Message::new("news", "reminder").schedule_at(tomorrow)).await?;
    ///
    /// // Page by page, cancels all reminders.
    /// let mut query = ScheduleQuery { limit: 1_000, ..Default::default() };
    /// loop {
    ///     let page = broker.schedules(&query).await?;
    ///     for schedule in &page.schedules {
    ///         if let ScheduledAction::Publish { event, .. } = &schedule.action
    ///             && event == "reminder"
    ///         {
    ///             assert!(broker.cancel_schedule(schedule.id).await?);
    ///         }
    ///     }
    ///     query.after = page.next;
    ///     if query.after.is_none() {
    ///         break;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails where the storage does.
    pub async fn schedules(&self, query: &ScheduleQuery) -> Result<SchedulePage, Error> {
        self.core.schedules(query).await.map_err(Error::storage)
    }

    /// Cancels what is scheduled under an id, and tells whether it was still to be done.
    ///
    /// # Errors
    ///
    /// Fails where the storage does.
    ///
    /// # Cancel safety
    ///
    /// Where the future is dropped, it may be cancelled or not; asking again tells.
    pub async fn cancel_schedule(&self, id: MessageId) -> Result<bool, Error> {
        self.core.cancel_schedule(id).await.map_err(Error::storage)
    }

    /// Gives a reaction to a stored message in the name of a user, without permission checks
    /// (protocol sections 7.2 and 10), and returns whether the user had not given it before.
    ///
    /// ```
    /// use fanfare::{Algorithm, Broker, MemoryStorage, Message, Reaction, VerifyingKey};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let broker = Broker::builder()
    /// #     .verifying_key(VerifyingKey::hmac(Algorithm::HS256, &[0; 32])?)
    /// #     .storage(MemoryStorage::new())
    /// #     .build()
    /// #     .await?;
    /// let headline = broker.publish(Message::new("news", "headline").store_forever()).await?.id();
    /// assert!(broker.add_reaction("news", headline, Reaction::new("👍", "jim")).await?);
    /// for reaction in broker.reactions("news", headline).await? {
    ///     println!("{} of {}", reaction.reaction, reaction.uid);
    /// }
    /// assert!(broker.remove_reaction("news", headline, Reaction::new("👍", "jim")).await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails where the channel's name or the reaction is invalid, the message is not there or has
    /// as many reactions as it may have ([`BrokerBuilder::max_reactions_per_message`],
    /// [`max_reactions_per_user`](BrokerBuilder::max_reactions_per_user); see
    /// [`Error::is_limit_reached`]), the storage fails, or
    /// the broker shuts down.
    ///
    /// # Cancel safety
    ///
    /// Where the future is dropped, the reaction is given or it is not; to give it again changes
    /// nothing where it is.
    pub async fn add_reaction(
        &self,
        channel: &str,
        message: MessageId,
        reaction: Reaction,
    ) -> Result<bool, Error> {
        let change = reaction.check(message, ReactionAction::Add)?;
        self.react(channel, change).await
    }

    /// Takes a user's reaction back, and returns whether it was there. The user's metadata is
    /// only told to subscribers.
    ///
    /// # Errors
    ///
    /// As [`add_reaction`](Self::add_reaction), but for the limits.
    ///
    /// # Cancel safety
    ///
    /// As that of [`add_reaction`](Self::add_reaction).
    pub async fn remove_reaction(
        &self,
        channel: &str,
        message: MessageId,
        reaction: Reaction,
    ) -> Result<bool, Error> {
        let change = reaction.check(message, ReactionAction::Remove)?;
        self.react(channel, change).await
    }

    async fn react(&self, channel: &str, change: HostReaction) -> Result<bool, Error> {
        names::check_channel(channel)?;
        self.core.react_for_host(&channel.into(), &change).await.map_err(Error::from)
    }

    /// A message's reactions, in the order in which they were given. Where they take more than
    /// 1 MiB, those of some users are left out; [`history`](Self::history) counts all.
    ///
    /// # Errors
    ///
    /// Fails where the channel's name is invalid, the message is not there, or the storage fails.
    pub async fn reactions(
        &self,
        channel: &str,
        message: MessageId,
    ) -> Result<Vec<MessageReaction>, Error> {
        names::check_channel(channel)?;
        self.core.reactions(channel, message).await.map_err(Error::from)
    }

    /// A page of a channel's stored messages that have not expired: up to the query's limit, or up to
    /// 4 MiB of them.
    ///
    /// ```
    /// # async fn example(broker: fanfare::Broker) -> Result<(), fanfare::Error> {
    /// use fanfare::HistoryQuery;
    ///
    /// let mut query = HistoryQuery { limit: 1_000, ..Default::default() };
    /// loop {
    ///     let page = broker.history("news", &query).await?;
    ///     for message in &page.messages {
    ///         println!("{} {:?}", message.event, message.data);
    ///     }
    ///     // In descending order it would be `before`.
    ///     query.after = page.next;
    ///     if query.after.is_none() {
    ///         break;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails where the channel's name is invalid or the storage fails.
    pub async fn history(&self, channel: &str, query: &HistoryQuery) -> Result<HistoryPage, Error> {
        history::read(&self.core, channel, query).await.map_err(Error::from)
    }

    /// Sets or clears a value of a channel's storage as the server (protocol section 7.3): no
    /// permission is needed, and the value's `uid` and `umd` are null. It is in storage, and its
    /// observers have been told where it changed, when this returns; one that is scheduled is in
    /// storage as such.
    ///
    /// ```
    /// use fanfare::{Algorithm, Broker, EntryQuery, EntryUpdate, MemoryStorage, VerifyingKey};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let broker = Broker::builder()
    /// #     .verifying_key(VerifyingKey::hmac(Algorithm::HS256, &[0; 32])?)
    /// #     .storage(MemoryStorage::new())
    /// #     .build()
    /// #     .await?;
    /// broker.set_entry(EntryUpdate::set("match.7", "score", &[2, 1])).await?;
    /// let score = broker.entry("match.7", "score").await?.expect("was set just now");
    /// assert_eq!(score.data, "[2,1]");
    ///
    /// broker.set_entry(EntryUpdate::clear("match.7", "score")).await?;
    /// assert!(broker.entries("match.7", &EntryQuery::default()).await?.entries.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails as [`publish`](Self::publish) does, and where the channel has as many keys as it may
    /// have ([`BrokerBuilder::max_storage_keys`]; see [`Error::is_limit_reached`]). No observer was
    /// told anything then. A storage that failed may have set the value all the same; it can be set
    /// again.
    ///
    /// # Cancel safety
    ///
    /// Where the future is dropped, the value is set or it is not, as with
    /// [`publish`](Self::publish); it can be set again.
    pub async fn set_entry(&self, update: EntryUpdate) -> Result<EntryUpdated, Error> {
        self.core.update_entry(update).await.map_err(Error::from)
    }

    /// A value of a channel's storage, which includes all that was set before. `None` where there
    /// is none, or none any more.
    ///
    /// # Errors
    ///
    /// Fails where a name is invalid or the storage fails.
    pub async fn entry(&self, channel: &str, key: &str) -> Result<Option<ChannelEntry>, Error> {
        self.core.entry(channel, key).await.map_err(Error::from)
    }

    /// A page of a channel's storage. It is short only at the end, and so may have 32 MiB where 1,000
    /// values are asked for.
    ///
    /// # Errors
    ///
    /// Fails where the channel's name is invalid or the storage fails.
    pub async fn entries(&self, channel: &str, query: &EntryQuery) -> Result<EntryPage, Error> {
        self.core.entries(channel, query).await.map_err(Error::from)
    }

    /// Who is on a channel; zero for one that was never used.
    ///
    /// # Errors
    ///
    /// Fails where the channel's name is invalid.
    pub fn channel_info(&self, channel: &str) -> Result<ChannelInfo, Error> {
        self.core.channel_info(channel).map_err(Error::from)
    }

    /// How many connections are open.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.core.connections.len()
    }

    /// Whether the broker takes connections and its storage works, for a readiness probe.
    ///
    /// # Errors
    ///
    /// Fails where the storage does, and once the broker shuts down.
    pub async fn check(&self) -> Result<(), Error> {
        if self.core.is_draining() {
            return Err(ProtocolError::shutting_down().into());
        }
        self.core.storage.check().await.map_err(Error::storage)
    }
}

impl Core {
    pub(crate) fn channel_info(&self, channel: &str) -> Result<ChannelInfo, ProtocolError> {
        names::check_channel(channel)?;
        Ok(self.info_of(channel, self.hub.subscriptions_count(channel)))
    }

    fn info_of(&self, channel: &str, subscriptions_count: usize) -> ChannelInfo {
        let members = names::is_presence(channel).then(|| self.hub.members(channel));
        ChannelInfo::new(channel, subscriptions_count, members)
    }
}

/// Does what is due from time to time, for as long as anybody holds the broker.
async fn keep(core: Weak<Core>) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first sweep is at once: pages have to step over what has expired until it is gone.
    for second in (0..SWEEP_EVERY).cycle() {
        tick.tick().await;
        let Some(core) = core.upgrade() else { return };
        let _working = core.upkeep.lock().await;
        if core.is_draining() {
            return;
        }
        if let Err(error) = core.hub.save_high_water().await {
            tracing::debug!(%error, "the newest id could not be noted");
        }
        if second == 0 {
            core.verifier.revocations().forget_expired(core.clock.now().wall);
        }
        // Whoever listens wants to hear in time that a value of a channel's storage has expired.
        if second == 0 || core.hub.announcer().is_heard() {
            sweep(&core).await;
        }
    }
}

/// Seconds between sweeps of what has expired, where nobody listens to events.
const SWEEP_EVERY: u32 = 30;

async fn sweep(core: &Core) {
    const AT_ONCE: usize = 1_000;
    loop {
        match core.storage.sweep(core.clock.now().wall, AT_ONCE).await {
            Ok(swept) => {
                for (channel, entry) in swept.entries {
                    core.hub.announcer().entry_expired(channel.into(), entry);
                }
                if !swept.more || core.is_draining() {
                    return;
                }
                tokio::task::yield_now().await;
            }
            Err(error) => {
                tracing::debug!(%error, "expired messages could not be removed");
                return;
            }
        }
    }
}
