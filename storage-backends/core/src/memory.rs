mod budget;
mod channel;
mod shard;
mod tables;

use crate::{
    Capabilities, Durability, Entry, EntryQuery, Error, ErrorKind, Item, ListedMessage, MessageId,
    MessagePage, MessageQuery, Outcome, Result, Revocation, Schedule, ScheduleQuery, Storage,
    Swept, Timestamp, TokenUse, Write,
};
use async_trait::async_trait;
use budget::Budget;
use parking_lot::Mutex;
use shard::Shard;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tables::{Revocations, Schedules, Tokens};

const SHARDS: usize = 64;

/// Keeps everything in memory, up to a number of bytes; gone with the process.
///
/// Channels are spread over shards with a lock each, so that few contend. Every write reserves
/// what it may cost at most before it is applied: at the bound it fails with
/// [`ErrorKind::Full`], nothing of it was applied and nothing else is lost. Clearing an entry and
/// removing a reaction cost nothing to reserve but their channel. Costs are estimates from above
/// and include the structures around the data, some 250 bytes for a message and 500 for a
/// channel.
///
/// A channel in which nothing is left keeps its newest id and the greatest id that is gone for a
/// day, or, where more than half of the budget is used, until the next
/// [`sweep`](Storage::sweep). After that its values are joined with those of other forgotten
/// channels: ids still never go back and recovery still never claims more than is proven, but it
/// may claim less.
///
/// ```
/// use fanfare_storage::{MemoryStorage, Storage};
///
/// let storage = MemoryStorage::with_capacity(64 * 1024 * 1024);
/// assert!(!storage.capabilities().shared);
/// ```
pub struct MemoryStorage {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    schedules: Mutex<Schedules>,
    tokens: Mutex<Tokens>,
    revocations: Mutex<Revocations>,
    /// What [`Storage::raise_high_water`] was told.
    high: Mutex<Option<MessageId>>,
    budget: Budget,
    /// The shard where the next sweep begins, so that a busy one does not starve the others.
    next_sweep: AtomicUsize,
    is_closed: AtomicBool,
}

impl MemoryStorage {
    /// The budget of [`MemoryStorage::new`]: 1 GiB.
    pub const DEFAULT_CAPACITY: usize = 1024 * 1024 * 1024;

    /// A store of at most [`DEFAULT_CAPACITY`](Self::DEFAULT_CAPACITY) bytes.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(Self::DEFAULT_CAPACITY)
    }

    /// A store of at most so many bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            schedules: Mutex::default(),
            tokens: Mutex::default(),
            revocations: Mutex::default(),
            high: Mutex::default(),
            budget: Budget::new(bytes),
            next_sweep: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
        }
    }

    /// How many bytes of the budget are used at the moment.
    #[must_use]
    pub fn used(&self) -> usize {
        self.budget.used()
    }

    fn shard(&self, channel: &str) -> &Mutex<Shard> {
        let hash = self.hasher.hash_one(channel);
        &self.shards[(hash % SHARDS as u64) as usize]
    }

    fn ready(&self, operation: &'static str) -> Result<()> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Closed, operation, "the store is closed"));
        }
        Ok(())
    }

    fn sweep_tables(&self, now: Timestamp, limit: usize, swept: &mut Swept) {
        let mut tokens = self.tokens.lock();
        while swept.removed < limit
            && let Some(freed) = tokens.forget_one(now)
        {
            self.budget.release(freed);
            swept.removed += 1;
        }
        swept.more |= tokens.has_expired(now);
        drop(tokens);

        let mut revocations = self.revocations.lock();
        while swept.removed < limit
            && let Some(freed) = revocations.forget_one(now)
        {
            self.budget.release(freed);
            swept.removed += 1;
        }
        swept.more |= revocations.has_expired(now);
    }
}

fn concerns_schedules(item: &Item) -> bool {
    item.fulfils.is_some() || matches!(item.write, Write::AddSchedule(_))
}

impl Default for MemoryStorage {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStorage").field("budget", &self.budget).finish_non_exhaustive()
    }
}

#[async_trait]
impl Storage for MemoryStorage {
    fn capabilities(&self) -> Capabilities {
        Capabilities { durability: Durability::Volatile, shared: false }
    }

    async fn commit(
        &self,
        channel: &str,
        items: Vec<Item>,
        now: Timestamp,
    ) -> Result<Vec<Outcome>> {
        self.ready("commit")?;
        let reserved = budget::batch(channel, &items);
        self.budget.reserve(reserved, "commit")?;
        let (outcomes, ledger) = {
            let mut shard = self.shard(channel).lock();
            // Locked only where it is needed, so that channels do not contend for it.
            let mut schedules = items.iter().any(concerns_schedules).then(|| self.schedules.lock());
            shard.commit(channel, items, schedules.as_deref_mut(), now)
        };
        self.budget.settle(reserved, &ledger);
        Ok(outcomes)
    }

    async fn messages(&self, channel: &str, query: MessageQuery) -> Result<MessagePage> {
        self.ready("messages")?;
        Ok(self.shard(channel).lock().messages(channel, &query))
    }

    async fn message(
        &self,
        channel: &str,
        id: MessageId,
        now: Timestamp,
    ) -> Result<Option<ListedMessage>> {
        self.ready("message")?;
        Ok(self.shard(channel).lock().message(channel, id, now))
    }

    async fn entry(&self, channel: &str, key: &str, now: Timestamp) -> Result<Option<Entry>> {
        self.ready("entry")?;
        Ok(self.shard(channel).lock().entry(channel, key, now))
    }

    async fn entries(&self, channel: &str, query: EntryQuery) -> Result<Vec<Entry>> {
        self.ready("entries")?;
        Ok(self.shard(channel).lock().entries(channel, &query))
    }

    async fn schedules(&self, query: ScheduleQuery) -> Result<Vec<Schedule>> {
        self.ready("schedules")?;
        Ok(self.schedules.lock().page(&query))
    }

    async fn cancel_schedule(&self, id: MessageId) -> Result<bool> {
        self.ready("cancel_schedule")?;
        let cancelled = self.schedules.lock().remove(id);
        if let Some(schedule) = &cancelled {
            self.budget.release(budget::schedule(schedule));
        }
        Ok(cancelled.is_some())
    }

    async fn spend_token(&self, token: TokenUse, _now: Timestamp) -> Result<bool> {
        self.ready("spend_token")?;
        let mut tokens = self.tokens.lock();
        if tokens.is_spent(&token) {
            return Ok(false);
        }
        self.budget.reserve(Tokens::cost(&token), "spend_token")?;
        tokens.spend(&token);
        Ok(true)
    }

    async fn is_token_spent(&self, token: &TokenUse, _now: Timestamp) -> Result<bool> {
        self.ready("is_token_spent")?;
        Ok(self.tokens.lock().is_spent(token))
    }

    async fn revoke(&self, revocation: Revocation) -> Result<()> {
        self.ready("revoke")?;
        let cost = Revocations::cost(&revocation.subject);
        self.budget.reserve(cost, "revoke")?;
        if self.revocations.lock().insert(revocation) {
            self.budget.release(cost);
        }
        Ok(())
    }

    async fn revocations(&self, now: Timestamp) -> Result<Vec<Revocation>> {
        self.ready("revocations")?;
        Ok(self.revocations.lock().in_force(now))
    }

    async fn high_water(&self) -> Result<Option<MessageId>> {
        self.ready("high_water")?;
        let told = (*self.high.lock()).max(self.schedules.lock().high());
        Ok(self.shards.iter().fold(told, |high, shard| high.max(shard.lock().high())))
    }

    async fn raise_high_water(&self, id: MessageId) -> Result<()> {
        self.ready("raise_high_water")?;
        let mut high = self.high.lock();
        *high = (*high).max(Some(id));
        Ok(())
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<Swept> {
        self.ready("sweep")?;
        let mut swept = Swept::default();
        let is_tight = self.budget.is_tight();
        let first = self.next_sweep.fetch_add(1, Ordering::Relaxed);
        for offset in 0..SHARDS {
            let mut shard = self.shards[(first + offset) % SHARDS].lock();
            self.budget.release(shard.sweep(now, limit, &mut swept));
            self.budget.release(shard.forget(now, limit, is_tight));
        }
        self.sweep_tables(now, limit, &mut swept);
        Ok(swept)
    }

    async fn check(&self) -> Result<()> {
        self.ready("check")
    }

    async fn close(&self) -> Result<()> {
        self.is_closed.store(true, Ordering::Release);
        Ok(())
    }
}
