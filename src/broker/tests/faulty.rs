//! A storage that does as it is told.

use async_trait::async_trait;
use fanfare_storage::{
    Capabilities, Durability, Entry, EntryQuery, Error, ErrorKind, Item, ListedMessage,
    MemoryStorage, MessageId, MessagePage, MessageQuery, Outcome, Result, Revocation, Schedule,
    ScheduleQuery, Storage, Swept, Timestamp, TokenUse,
};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::Semaphore;

/// What the next commits do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    #[default]
    Work,
    Fail,
    /// Fail for lack of room.
    Full,
    /// Panic once, then work.
    Panic,
}

#[derive(Debug)]
pub(super) struct FaultyStorage {
    inner: MemoryStorage,
    mode: Mutex<Mode>,
    /// One permit for each commit that may go on.
    gate: Arc<Semaphore>,
    commits: AtomicUsize,
    /// One permit for each read of messages that may go on.
    read_gate: Semaphore,
    reads: AtomicUsize,
    /// One permit for each read of entries that may go on.
    entry_gate: Semaphore,
    entry_reads: AtomicUsize,
    /// How many of the next reads of messages and entries fail.
    failing_reads: AtomicUsize,
    revocations_fail: AtomicBool,
    high_water_fails: AtomicBool,
    tokens_fail: AtomicBool,
    durability: Mutex<Durability>,
    /// One permit for each sweep that may go on.
    sweep_gate: Semaphore,
    sweeping: AtomicBool,
    closed_while_sweeping: AtomicBool,
}

impl Default for FaultyStorage {
    fn default() -> Self {
        Self {
            inner: MemoryStorage::new(),
            mode: Mutex::default(),
            gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
            commits: AtomicUsize::new(0),
            read_gate: Semaphore::new(Semaphore::MAX_PERMITS),
            reads: AtomicUsize::new(0),
            entry_gate: Semaphore::new(Semaphore::MAX_PERMITS),
            entry_reads: AtomicUsize::new(0),
            failing_reads: AtomicUsize::new(0),
            revocations_fail: AtomicBool::new(false),
            high_water_fails: AtomicBool::new(false),
            tokens_fail: AtomicBool::new(false),
            durability: Mutex::new(Durability::Synced),
            sweep_gate: Semaphore::new(Semaphore::MAX_PERMITS),
            sweeping: AtomicBool::new(false),
            closed_while_sweeping: AtomicBool::new(false),
        }
    }
}

impl FaultyStorage {
    pub(super) fn set_mode(&self, mode: Mode) {
        *self.mode.lock() = mode;
    }

    /// Holds commits up until [`open_gate`](Self::open_gate).
    pub(super) fn close_gate(&self) {
        self.gate.forget_permits(usize::MAX);
    }

    pub(super) fn open_gate(&self) {
        self.close_gate();
        self.gate.add_permits(1_000_000);
    }

    /// Holds reads of messages up until [`open_read_gate`](Self::open_read_gate).
    pub(super) fn close_read_gate(&self) {
        self.read_gate.forget_permits(usize::MAX);
    }

    pub(super) fn open_read_gate(&self) {
        self.close_read_gate();
        self.read_gate.add_permits(1_000_000);
    }

    /// How many reads of messages were begun.
    pub(super) fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    pub(super) fn fail_reads(&self, number: usize) {
        self.failing_reads.store(number, Ordering::Relaxed);
    }

    pub(super) fn fail_revocations(&self, fail: bool) {
        self.revocations_fail.store(fail, Ordering::Relaxed);
    }

    pub(super) fn fail_high_water(&self) {
        self.high_water_fails.store(true, Ordering::Relaxed);
    }

    /// Whether nobody is told whether a token was used.
    pub(super) fn fail_tokens(&self, fail: bool) {
        self.tokens_fail.store(fail, Ordering::Relaxed);
    }

    pub(super) fn set_durability(&self, durability: Durability) {
        *self.durability.lock() = durability;
    }

    /// Holds sweeps up until [`open_sweep_gate`](Self::open_sweep_gate).
    pub(super) fn close_sweep_gate(&self) {
        self.sweep_gate.forget_permits(usize::MAX);
    }

    pub(super) fn open_sweep_gate(&self) {
        self.sweep_gate.add_permits(1_000_000);
    }

    pub(super) fn is_sweeping(&self) -> bool {
        self.sweeping.load(Ordering::Relaxed)
    }

    pub(super) fn was_closed_while_sweeping(&self) -> bool {
        self.closed_while_sweeping.load(Ordering::Relaxed)
    }

    /// Holds reads of entries up until [`open_entry_gate`](Self::open_entry_gate).
    pub(super) fn close_entry_gate(&self) {
        self.entry_gate.forget_permits(usize::MAX);
    }

    pub(super) fn open_entry_gate(&self) {
        self.close_entry_gate();
        self.entry_gate.add_permits(1_000_000);
    }

    /// How many reads of entries were begun.
    pub(super) fn entry_reads(&self) -> usize {
        self.entry_reads.load(Ordering::Relaxed)
    }

    fn may_fail(&self, operation: &'static str) -> Result<()> {
        let fails = |left: usize| left.checked_sub(1);
        let order = Ordering::Relaxed;
        match self.failing_reads.fetch_update(order, order, fails) {
            Ok(_) => Err(Error::new(ErrorKind::Unavailable, operation, "told to fail")),
            Err(_) => Ok(()),
        }
    }

    /// How many commits were begun.
    pub(super) fn commits(&self) -> usize {
        self.commits.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Storage for FaultyStorage {
    fn capabilities(&self) -> Capabilities {
        Capabilities { durability: *self.durability.lock(), ..self.inner.capabilities() }
    }

    async fn commit(
        &self,
        channel: &str,
        items: Vec<Item>,
        now: Timestamp,
    ) -> Result<Vec<Outcome>> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.gate.acquire().await.unwrap().forget();
        let mode = *self.mode.lock();
        match mode {
            Mode::Work => self.inner.commit(channel, items, now).await,
            Mode::Fail => Err(Error::new(ErrorKind::Unavailable, "commit", "told to fail")),
            Mode::Full => Err(Error::new(ErrorKind::Full, "commit", "told to be full")),
            Mode::Panic => {
                self.set_mode(Mode::Work);
                panic!("told to panic");
            }
        }
    }

    async fn messages(&self, channel: &str, query: MessageQuery) -> Result<MessagePage> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.read_gate.acquire().await.unwrap().forget();
        self.may_fail("messages")?;
        self.inner.messages(channel, query).await
    }

    async fn message(
        &self,
        channel: &str,
        id: MessageId,
        now: Timestamp,
    ) -> Result<Option<ListedMessage>> {
        self.inner.message(channel, id, now).await
    }

    async fn entry(&self, channel: &str, key: &str, now: Timestamp) -> Result<Option<Entry>> {
        self.inner.entry(channel, key, now).await
    }

    async fn entries(&self, channel: &str, query: EntryQuery) -> Result<Vec<Entry>> {
        self.entry_reads.fetch_add(1, Ordering::Relaxed);
        self.entry_gate.acquire().await.unwrap().forget();
        self.may_fail("entries")?;
        self.inner.entries(channel, query).await
    }

    async fn schedules(&self, query: ScheduleQuery) -> Result<Vec<Schedule>> {
        self.inner.schedules(query).await
    }

    async fn cancel_schedule(&self, id: MessageId) -> Result<bool> {
        self.inner.cancel_schedule(id).await
    }

    async fn spend_token(&self, token: TokenUse, now: Timestamp) -> Result<bool> {
        if self.tokens_fail.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Unavailable, "spend", "told to fail"));
        }
        self.inner.spend_token(token, now).await
    }

    async fn is_token_spent(&self, token: &TokenUse, now: Timestamp) -> Result<bool> {
        self.inner.is_token_spent(token, now).await
    }

    async fn revoke(&self, revocation: Revocation) -> Result<()> {
        if self.revocations_fail.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Unavailable, "revoke", "told to fail"));
        }
        self.inner.revoke(revocation).await
    }

    async fn revocations(&self, now: Timestamp) -> Result<Vec<Revocation>> {
        self.inner.revocations(now).await
    }

    async fn high_water(&self) -> Result<Option<MessageId>> {
        self.inner.high_water().await
    }

    async fn raise_high_water(&self, id: MessageId) -> Result<()> {
        if self.high_water_fails.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Full, "raise_high_water", "told to fail"));
        }
        self.inner.raise_high_water(id).await
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<Swept> {
        self.sweeping.store(true, Ordering::Relaxed);
        self.sweep_gate.acquire().await.unwrap().forget();
        let swept = self.inner.sweep(now, limit).await;
        self.sweeping.store(false, Ordering::Relaxed);
        swept
    }

    async fn check(&self) -> Result<()> {
        self.inner.check().await
    }

    async fn close(&self) -> Result<()> {
        self.closed_while_sweeping.fetch_or(self.is_sweeping(), Ordering::Relaxed);
        self.inner.close().await
    }
}
