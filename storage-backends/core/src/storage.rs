use crate::{
    Entry, EntryQuery, Item, ListedMessage, Message, MessageId, MessagePage, MessageQuery, Outcome,
    Result, Revocation, Schedule, ScheduleQuery, Swept, Timestamp, TokenUse,
};
use async_trait::async_trait;
use std::fmt;
use std::sync::Arc;

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// Nothing: it is gone with the process.
    Volatile,
    /// Mostly a crash of the process; recent writes may be lost even then.
    Lazy,
    /// A crash of the process, but not of the machine. After one of the machine a broker may tell
    /// clients that they recovered everything although the latest messages were lost: it can't
    /// know of it.
    Written,
    /// A crash of the machine and a power cut.
    #[default]
    Synced,
}

/// What a backend can do. A broker adapts to it, and the conformance suite says which of its
/// cases do not apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// What an acknowledged write survives.
    pub durability: Durability,
    /// Whether other brokers write to the same store; their messages come by [`Storage::feed`].
    /// The broker of this version does not look at it; see there.
    pub shared: bool,
}

/// A message that another node published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FedMessage {
    /// The channel.
    pub channel: String,
    /// The message, with its final id.
    pub message: Message,
}

/// The messages that other nodes publish, in id order within each channel.
#[async_trait]
pub trait Feed: Send + fmt::Debug {
    /// The next message; `None` once the storage is closed.
    ///
    /// # Errors
    ///
    /// Fails where messages may have been missed since the last call.
    async fn next(&mut self) -> Result<Option<FedMessage>>;
}

/// Where a broker keeps what must outlive a moment.
///
/// # Contract
///
/// - [`commit`](Self::commit) is atomic: all of its items, with the outcomes returned, or, on an
///   error, nothing; but where the sync itself failed, all may show later. Items take effect in
///   order. Once it returns, what it wrote has the
///   durability that [`capabilities`](Self::capabilities) tells and is in every later read.
/// - The broker has at most one commit of a channel under way. Commits of different channels
///   come concurrently, and a backend should let them share a sync.
/// - A dropped future is not a cancelled commit: it may or may not be applied, whole.
/// - Reads never show what has expired at their `now`, swept or not.
/// - Ids of a channel only grow: a message or reaction whose id is not greater than the newest
///   that the channel ever had, which survives the expiry of everything in it, is refused with
///   [`Outcome::IdNotNewest`].
/// - What is remembered of channels of which nothing is left may be joined into one for all of
///   them, so that a store that saw a million channels need not remember each. It then errs on
///   the safe side: a channel that may be one of them refuses ids that are not greater than the
///   newest of any, and names the greatest id that is gone from any in
///   [`MessagePage::gone`]. A channel in which something is left answers for itself.
/// - Nothing blocks the calling thread for longer than memory operations take; engines that do
///   I/O run it on threads of their own.
/// - Names and keys are compared as bytes, and any string is a valid one.
///
/// All methods fail with [`ErrorKind::Closed`](crate::ErrorKind::Closed) after
/// [`close`](Self::close), with [`Unavailable`](crate::ErrorKind::Unavailable) when the engine
/// does, and with [`Corrupt`](crate::ErrorKind::Corrupt) where they meet a record that can't be
/// read; those that write also with [`Full`](crate::ErrorKind::Full). There are no other causes.
#[async_trait]
pub trait Storage: Send + Sync + fmt::Debug + 'static {
    /// What this backend can do. Constant for its lifetime.
    fn capabilities(&self) -> Capabilities;

    /// Applies a batch to one channel, atomically, and tells what became of each item, in order.
    async fn commit(&self, channel: &str, items: Vec<Item>, now: Timestamp)
    -> Result<Vec<Outcome>>;

    /// A page of a channel's messages.
    async fn messages(&self, channel: &str, query: MessageQuery) -> Result<MessagePage>;

    /// One unexpired message with its reactions, as [`ReactionDetail::All`] shows them. Where they
    /// are not needed, ask [`messages`](Self::messages) for the range of its one id.
    ///
    /// [`ReactionDetail::All`]: crate::ReactionDetail::All
    async fn message(
        &self,
        channel: &str,
        id: MessageId,
        now: Timestamp,
    ) -> Result<Option<ListedMessage>>;

    /// One unexpired entry of a channel's storage.
    async fn entry(&self, channel: &str, key: &str, now: Timestamp) -> Result<Option<Entry>>;

    /// A page of a channel's storage.
    async fn entries(&self, channel: &str, query: EntryQuery) -> Result<Vec<Entry>>;

    /// A page of all channels' schedules.
    async fn schedules(&self, query: ScheduleQuery) -> Result<Vec<Schedule>>;

    /// Removes a schedule, and tells whether it was there.
    async fn cancel_schedule(&self, id: MessageId) -> Result<bool>;

    /// Uses a token up; false where it was used before. Atomic: of any number of concurrent
    /// calls for one token, on any node, one is true. A token is one `key` and `jti`, whatever
    /// its `expires_at`, and is remembered until the `expires_at` of its first use.
    async fn spend_token(&self, token: TokenUse, now: Timestamp) -> Result<bool>;

    /// Whether a token was used up, without using it.
    async fn is_token_spent(&self, token: &TokenUse, now: Timestamp) -> Result<bool>;

    /// Remembers a revocation.
    async fn revoke(&self, revocation: Revocation) -> Result<()>;

    /// All revocations in force at `now`, in any order.
    async fn revocations(&self, now: Timestamp) -> Result<Vec<Revocation>>;

    /// The greatest id of all channels, entries and schedules that this store has seen in commits or was
    /// told by [`raise_high_water`](Self::raise_high_water). A broker asks at its start, and
    /// makes only greater ids.
    async fn high_water(&self) -> Result<Option<MessageId>>;

    /// Tells the store of an id that was given to something that is not stored.
    async fn raise_high_water(&self, id: MessageId) -> Result<()>;

    /// Removes what has expired at `now`, at most about `limit` things, so that one call stays
    /// short. With a `limit` of at least 1 every call makes progress, so that calls until
    /// [`Swept::more`] is false come to an end.
    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<Swept>;

    /// Answers where the engine works.
    async fn check(&self) -> Result<()>;

    /// Makes all that was acknowledged as durable as the engine can, and ends. Calls under way
    /// are finished; later ones fail. Closing twice is no error.
    async fn close(&self) -> Result<()>;

    /// What other nodes publish, from now on; `None` where
    /// [`shared`](Capabilities::shared) is false.
    ///
    /// It is for brokers of several nodes, which are not there yet: the broker of this version does
    /// not call it. Several brokers on one store share what is in it, so that a single-use token is
    /// used once and a scheduled message comes once, but the subscribers of one are told nothing
    /// that another publishes.
    async fn feed(&self) -> Result<Option<Box<dyn Feed>>> {
        Ok(None)
    }
}

/// For a storage that is shared, or known only at run time.
#[async_trait]
impl<S: Storage + ?Sized> Storage for Arc<S> {
    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }

    async fn commit(
        &self,
        channel: &str,
        items: Vec<Item>,
        now: Timestamp,
    ) -> Result<Vec<Outcome>> {
        (**self).commit(channel, items, now).await
    }

    async fn messages(&self, channel: &str, query: MessageQuery) -> Result<MessagePage> {
        (**self).messages(channel, query).await
    }

    async fn message(
        &self,
        channel: &str,
        id: MessageId,
        now: Timestamp,
    ) -> Result<Option<ListedMessage>> {
        (**self).message(channel, id, now).await
    }

    async fn entry(&self, channel: &str, key: &str, now: Timestamp) -> Result<Option<Entry>> {
        (**self).entry(channel, key, now).await
    }

    async fn entries(&self, channel: &str, query: EntryQuery) -> Result<Vec<Entry>> {
        (**self).entries(channel, query).await
    }

    async fn schedules(&self, query: ScheduleQuery) -> Result<Vec<Schedule>> {
        (**self).schedules(query).await
    }

    async fn cancel_schedule(&self, id: MessageId) -> Result<bool> {
        (**self).cancel_schedule(id).await
    }

    async fn spend_token(&self, token: TokenUse, now: Timestamp) -> Result<bool> {
        (**self).spend_token(token, now).await
    }

    async fn is_token_spent(&self, token: &TokenUse, now: Timestamp) -> Result<bool> {
        (**self).is_token_spent(token, now).await
    }

    async fn revoke(&self, revocation: Revocation) -> Result<()> {
        (**self).revoke(revocation).await
    }

    async fn revocations(&self, now: Timestamp) -> Result<Vec<Revocation>> {
        (**self).revocations(now).await
    }

    async fn high_water(&self) -> Result<Option<MessageId>> {
        (**self).high_water().await
    }

    async fn raise_high_water(&self, id: MessageId) -> Result<()> {
        (**self).raise_high_water(id).await
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<Swept> {
        (**self).sweep(now, limit).await
    }

    async fn check(&self) -> Result<()> {
        (**self).check().await
    }

    async fn close(&self) -> Result<()> {
        (**self).close().await
    }

    async fn feed(&self) -> Result<Option<Box<dyn Feed>>> {
        (**self).feed().await
    }
}
