//! A storage whose use is counted.

use super::latency::Latency;
use super::stats::Counter;
use super::throttle::Throttle;
use async_trait::async_trait;
use fanfare_storage::{
    Capabilities, Entry, EntryQuery, ErrorKind, Feed, Item, ListedMessage, MessageId, MessagePage,
    MessageQuery, Outcome, Result, Revocation, Schedule, ScheduleQuery, Storage, Swept, Timestamp,
    TokenUse, Write,
};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct StorageUse {
    /// Messages.
    pub(super) stored: Counter,
    pub(super) errors: Counter,
    /// Of commits that succeeded.
    pub(super) commits: Latency,
    told: Throttle,
}

pub(super) struct MeteredStorage {
    inner: Box<dyn Storage>,
    counted: Arc<StorageUse>,
}

/// As the storage itself, which hosts want to see.
impl fmt::Debug for MeteredStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl MeteredStorage {
    pub(super) fn new(inner: Box<dyn Storage>, counted: Arc<StorageUse>) -> Self {
        Self { inner, counted }
    }

    /// Counts a failure, and logs it now and then: a storage that fails does so for everybody. That
    /// nothing works after the end is none.
    fn count<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result
            && error.kind() != ErrorKind::Closed
        {
            self.counted.errors.add(1);
            if let Ok(times) = self.counted.told.pass() {
                tracing::error!(times, %error, "the storage fails");
            }
        }
        result
    }
}

#[async_trait]
impl Storage for MeteredStorage {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn commit(
        &self,
        channel: &str,
        items: Vec<Item>,
        now: Timestamp,
    ) -> Result<Vec<Outcome>> {
        let is_message: Vec<_> =
            items.iter().map(|item| matches!(item.write, Write::Publish(_))).collect();
        let start = Instant::now();
        let outcomes = self.count(self.inner.commit(channel, items, now).await)?;
        self.counted.commits.add(start.elapsed());
        let stored = outcomes
            .iter()
            .zip(is_message)
            .filter(|(outcome, is_message)| *is_message && **outcome == Outcome::Applied);
        self.counted.stored.add(stored.count());
        Ok(outcomes)
    }

    async fn messages(&self, channel: &str, query: MessageQuery) -> Result<MessagePage> {
        self.count(self.inner.messages(channel, query).await)
    }

    async fn message(
        &self,
        channel: &str,
        id: MessageId,
        now: Timestamp,
    ) -> Result<Option<ListedMessage>> {
        self.count(self.inner.message(channel, id, now).await)
    }

    async fn entry(&self, channel: &str, key: &str, now: Timestamp) -> Result<Option<Entry>> {
        self.count(self.inner.entry(channel, key, now).await)
    }

    async fn entries(&self, channel: &str, query: EntryQuery) -> Result<Vec<Entry>> {
        self.count(self.inner.entries(channel, query).await)
    }

    async fn schedules(&self, query: ScheduleQuery) -> Result<Vec<Schedule>> {
        self.count(self.inner.schedules(query).await)
    }

    async fn cancel_schedule(&self, id: MessageId) -> Result<bool> {
        self.count(self.inner.cancel_schedule(id).await)
    }

    async fn spend_token(&self, token: TokenUse, now: Timestamp) -> Result<bool> {
        self.count(self.inner.spend_token(token, now).await)
    }

    async fn is_token_spent(&self, token: &TokenUse, now: Timestamp) -> Result<bool> {
        self.count(self.inner.is_token_spent(token, now).await)
    }

    async fn revoke(&self, revocation: Revocation) -> Result<()> {
        self.count(self.inner.revoke(revocation).await)
    }

    async fn revocations(&self, now: Timestamp) -> Result<Vec<Revocation>> {
        self.count(self.inner.revocations(now).await)
    }

    async fn high_water(&self) -> Result<Option<MessageId>> {
        self.count(self.inner.high_water().await)
    }

    async fn raise_high_water(&self, id: MessageId) -> Result<()> {
        self.count(self.inner.raise_high_water(id).await)
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<Swept> {
        self.count(self.inner.sweep(now, limit).await)
    }

    async fn check(&self) -> Result<()> {
        self.count(self.inner.check().await)
    }

    async fn close(&self) -> Result<()> {
        self.count(self.inner.close().await)
    }

    async fn feed(&self) -> Result<Option<Box<dyn Feed>>> {
        self.count(self.inner.feed().await)
    }
}
