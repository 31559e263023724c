//! What cases are written with.

use super::Harness;
use crate::{
    AddReaction, Author, Deduplication, Entry, EntryQuery, Item, ListedMessage, Message, MessageId,
    MessagePage, MessageQuery, Order, Outcome, Publish, Reaction, ReactionDetail, RemoveReaction,
    Retention, Schedule, ScheduleQuery, SetEntry, Storage, Swept, Timestamp, TokenUse, Write,
};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// What cases take as the time that they begin at.
pub(super) const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

/// So many seconds later.
pub(super) fn after(seconds: u64) -> Timestamp {
    NOW + Duration::from_secs(seconds)
}

/// Ids in the order of their numbers.
pub(super) fn id(number: u128) -> MessageId {
    MessageId::from_parts(NOW, number)
}

/// The store under examination, with the calls that cases make most.
pub(super) struct Subject {
    pub(super) harness: Arc<dyn Harness>,
    pub(super) store: Arc<dyn Storage>,
}

impl Subject {
    pub(super) async fn new(harness: Arc<dyn Harness>) -> Self {
        let store = harness.create().await;
        Self { harness, store }
    }

    /// Closes the store and opens it again.
    pub(super) async fn reopen(&mut self) {
        self.store.close().await.expect("closing");
        // The old handle goes first, since a store may be open but once.
        self.store = Arc::new(crate::MemoryStorage::with_capacity(0));
        self.store = self.harness.reopen().await.expect("a persistent store is reopened");
    }

    pub(super) async fn commit(
        &self,
        channel: &str,
        items: impl IntoIterator<Item: Into<Item>>,
        now: Timestamp,
    ) -> Vec<Outcome> {
        let items: Vec<_> = items.into_iter().map(Into::into).collect();
        let count = items.len();
        let outcomes = self.store.commit(channel, items, now).await.expect("a commit");
        assert_eq!(outcomes.len(), count, "every item has its outcome");
        outcomes
    }

    /// Commits what must be applied.
    pub(super) async fn apply(&self, channel: &str, items: impl IntoIterator<Item: Into<Item>>) {
        for outcome in self.commit(channel, items, NOW).await {
            assert!(
                matches!(outcome, Outcome::Applied | Outcome::EntryChanged(_)),
                "{outcome:?} where a write is to be applied"
            );
        }
    }

    /// Commits one item.
    pub(super) async fn one(
        &self,
        channel: &str,
        item: impl Into<Item>,
        now: Timestamp,
    ) -> Outcome {
        self.commit(channel, [item], now).await.remove(0)
    }

    pub(super) async fn page(&self, channel: &str, query: MessageQuery) -> MessagePage {
        self.store.messages(channel, query).await.expect("a page of messages")
    }

    /// All messages of a channel.
    pub(super) async fn all(&self, channel: &str, now: Timestamp) -> MessagePage {
        let page = self.page(channel, MessageQuery { now, ..everything() }).await;
        assert!(!page.more, "a page without limits holds all");
        page
    }

    pub(super) async fn ids(&self, channel: &str, now: Timestamp) -> Vec<MessageId> {
        ids(&self.all(channel, now).await)
    }

    /// One message's reactions.
    pub(super) async fn reactions(&self, channel: &str, message: MessageId) -> Vec<Reaction> {
        let found = self.store.message(channel, message, NOW).await.expect("a message");
        found.expect("the message is there").reactions
    }

    pub(super) async fn entry(&self, channel: &str, key: &str, now: Timestamp) -> Option<Entry> {
        self.store.entry(channel, key, now).await.expect("an entry")
    }

    pub(super) async fn entries(&self, channel: &str, now: Timestamp) -> Vec<Entry> {
        let query = EntryQuery { after: None, limit: usize::MAX, now };
        self.store.entries(channel, query).await.expect("a page of entries")
    }

    pub(super) async fn schedules(&self) -> Vec<Schedule> {
        let query = ScheduleQuery { after: None, until: Timestamp::MAX, limit: usize::MAX };
        self.store.schedules(query).await.expect("a page of schedules")
    }

    /// Sweeps until nothing is left, in small steps.
    pub(super) async fn sweep(&self, now: Timestamp) -> Swept {
        let mut all = Swept::default();
        loop {
            let swept = self.store.sweep(now, 7).await.expect("a sweep");
            assert!(!swept.more || swept.removed > 0, "a sweep makes progress");
            all.removed += swept.removed;
            all.entries.extend(swept.entries);
            if !swept.more {
                return all;
            }
        }
    }
}

pub(super) fn ids(page: &MessagePage) -> Vec<MessageId> {
    page.messages.iter().map(|listed| listed.message.id).collect()
}

/// A query for all messages, without reactions.
pub(super) fn everything() -> MessageQuery {
    MessageQuery {
        from: MessageId::MIN,
        to: MessageId::MAX,
        order: Order::Ascending,
        max_messages: usize::MAX,
        max_bytes: usize::MAX,
        reactions: ReactionDetail::None,
        now: NOW,
    }
}

pub(super) fn message(number: u128) -> Message {
    Message {
        id: id(number),
        event: "chat".to_owned(),
        data: Bytes::from(format!(r#"{{"number": {number}}}"#)),
        author: Some(author("jim")),
    }
}

/// A message without reactions as a page shows it.
pub(super) fn listed(message: Message, retention: Retention) -> ListedMessage {
    ListedMessage { message, retention, reactions: Vec::new(), reaction_counts: Vec::new() }
}

pub(super) fn author(uid: &str) -> Author {
    Author { uid: Some(uid.to_owned()), umd: Some(Bytes::from(format!("{{\"of\": \"{uid}\"}}"))) }
}

/// A message that is kept.
pub(super) fn kept(number: u128, retention: Retention) -> Publish {
    Publish { message: message(number), retention, deduplication: None }
}

pub(super) fn forever(number: u128) -> Publish {
    kept(number, Retention::Forever)
}

/// A message that is kept for so many seconds.
pub(super) fn until(number: u128, seconds: u64) -> Publish {
    kept(number, Retention::Until(after(seconds)))
}

/// A message that is dropped where its key is known.
pub(super) fn repeatable(number: u128, key: &str, seconds: u64) -> Publish {
    let deduplication = Deduplication { key: key.to_owned(), until: after(seconds) };
    Publish { deduplication: Some(deduplication), ..forever(number) }
}

/// Jim's reaction to a message.
pub(super) fn react(message: u128, reaction: &str, number: u128) -> AddReaction {
    react_as("jim", message, reaction, number)
}

pub(super) fn react_as(uid: &str, message: u128, reaction: &str, number: u128) -> AddReaction {
    AddReaction {
        message: id(message),
        reaction: Reaction {
            reaction: reaction.to_owned(),
            uid: uid.to_owned(),
            umd: Some(Bytes::from_static(b"{\"a\" :1}")),
            id: id(number),
            created_at: after(1),
            context: Bytes::from_static(b"notes"),
        },
        max_per_message: 100,
        max_per_user: 20,
    }
}

pub(super) fn unreact(uid: &str, message: u128, reaction: &str, number: u128) -> RemoveReaction {
    RemoveReaction {
        message: id(message),
        reaction: reaction.to_owned(),
        uid: uid.to_owned(),
        id: id(number),
    }
}

/// Sets an entry for good.
pub(super) fn set(key: &str, value: impl Into<Bytes>) -> SetEntry {
    SetEntry {
        id: MessageId::MIN,
        key: key.to_owned(),
        value: Some(value.into()),
        author: Some(author("jim")),
        expires_at: None,
        announce_expiry: false,
        context: Bytes::from_static(b"notes"),
        max_keys: 10_000,
    }
}

/// Sets an entry for so many seconds.
pub(super) fn set_until(key: &str, value: impl Into<Bytes>, seconds: u64) -> SetEntry {
    SetEntry { expires_at: Some(after(seconds)), ..set(key, value) }
}

pub(super) fn clear(key: &str) -> SetEntry {
    SetEntry { value: None, ..set(key, "") }
}

/// What a [`SetEntry`] leaves behind.
pub(super) fn entry_of(set: &SetEntry) -> Entry {
    Entry {
        key: set.key.clone(),
        value: set.value.clone().expect("a value is set"),
        author: set.author.clone(),
        expires_at: set.expires_at,
        announce_expiry: set.announce_expiry,
        context: set.context.clone(),
    }
}

pub(super) fn schedule(number: u128, channel: &str, seconds: u64) -> Schedule {
    Schedule {
        id: id(number),
        due: after(seconds),
        channel: channel.to_owned(),
        payload: Bytes::from(format!("payload {number}")),
    }
}

/// An item that carries out a schedule.
pub(super) fn fulfilling(number: u128, write: impl Into<Write>) -> Item {
    Item { write: write.into(), fulfils: Some(id(number)) }
}

pub(super) fn token(key: &str, jti: &str, seconds: u64) -> TokenUse {
    TokenUse { key: key.to_owned(), jti: jti.to_owned(), expires_at: after(seconds) }
}

/// Names that a careless store mistakes for each other or for its own.
pub(super) fn odd_names() -> Vec<String> {
    let mut names: Vec<String> = [
        "",
        "\0",
        "\0\0",
        "\0a",
        "a",
        "a\0",
        "a\0\0",
        "a\0b",
        "a\0\u{1}",
        "a\u{1}",
        "ab",
        "a.b",
        "a.",
        "A",
        "a/b",
        "a:b",
        "\u{ff}",
        "\u{ff}\u{ff}",
        "é",
        "e\u{301}",
        "日本",
        "😀",
        "\u{10ffff}",
        "../a",
        " ",
        "\n",
    ]
    .map(str::to_owned)
    .into();
    names.push("x".repeat(1024));
    names.push("x".repeat(1025));
    names.push("\0".repeat(256));
    names
}
