use super::direct::DirectReads;
use super::group::{GroupCommit, GroupLimits, GroupWriter, panicked};
use super::readers::ReaderPool;
use super::txn::Txn;
use super::{Engine, View, channel, open, read, sweep, tables};
use crate::{
    Capabilities, Durability, Entry, EntryQuery, Error, ErrorKind, Item, ListedMessage, MessageId,
    MessagePage, MessageQuery, Outcome, Result, Revocation, Schedule, ScheduleQuery, Storage,
    Swept, Timestamp, TokenUse, Write,
};
use async_trait::async_trait;
use bytes::Bytes;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::available_parallelism;
use std::time::Instant;

/// How a [`KvStorage`] runs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KvOptions {
    /// What the storage advertises, and the engine must keep.
    pub durability: Durability,
    /// Names the threads.
    pub name: String,
    /// How many threads read; as many as the machine has processors, from 2 to 8, by default.
    pub reader_threads: usize,
    /// How many reads at a time may be done on the threads of those who ask, at most, while the
    /// engine answers at once ([`Engine::view_now`]). One less than the machine has processors
    /// by default, so that a disk that hangs leaves one thread to a runtime that has as many; 0
    /// where callers must never wait, as on a runtime of a single thread.
    pub direct_reads: usize,
    /// How much is written at a time. [`GroupLimits::settle_after`] says how often
    /// [`Engine::sync`] is called.
    pub limits: GroupLimits,
}

impl KvOptions {
    /// The defaults for an engine whose applied changes have this durability.
    #[must_use]
    pub fn new(durability: Durability) -> Self {
        let processors = available_parallelism().map_or(2, usize::from);
        Self {
            durability,
            name: "fanfare-storage".to_owned(),
            reader_threads: processors.clamp(2, 8),
            direct_reads: available_parallelism().map_or(0, |processors| processors.get() - 1),
            limits: GroupLimits::default(),
        }
    }
}

/// A [`Storage`] on an [`Engine`]. A backend wraps it in a type of its own by [`KvBacked`].
pub struct KvStorage {
    capabilities: Capabilities,
    writer: GroupWriter<EngineWriter>,
    readers: ReaderPool<dyn Engine>,
    direct: DirectReads,
    is_closed: AtomicBool,
}

/// A backend that is a [`KvStorage`]; this makes it a [`Storage`].
pub trait KvBacked: Send + Sync + fmt::Debug + 'static {
    /// The storage.
    fn kv(&self) -> &KvStorage;
}

impl KvBacked for KvStorage {
    fn kv(&self) -> &KvStorage {
        self
    }
}

impl fmt::Debug for KvStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KvStorage")
            .field("capabilities", &self.capabilities)
            .field("writer", &self.writer)
            .field("readers", &self.readers)
            .finish_non_exhaustive()
    }
}

/// Something to write. It answers its caller by itself; what it returns tells whether what it
/// wrote is to be kept.
type Job = Box<dyn FnOnce(&mut Txn<'_>) -> Result<()> + Send>;

struct EngineWriter {
    engine: Arc<dyn Engine>,
}

impl GroupCommit for EngineWriter {
    type Request = Job;
    type Response = ();

    fn commit(&mut self, group: Vec<Job>) -> Result<Vec<Result<()>>> {
        let view = self.engine.view()?;
        let mut txn = Txn::new(&*view);
        let results = group.into_iter().map(|job| run(job, &mut txn)).collect();
        let changes = txn.into_changes();
        drop(view);
        if !changes.is_empty() {
            self.engine.apply(&changes)?;
        }
        Ok(results)
    }

    fn settle(&mut self) -> Result<()> {
        self.engine.sync()
    }
}

/// Runs one job of a group, of which nothing is left where it fails.
fn run(job: Job, txn: &mut Txn<'_>) -> Result<()> {
    let result = catch_unwind(AssertUnwindSafe(|| job(txn))).unwrap_or_else(|_| Err(panicked()));
    match &result {
        Ok(()) => txn.save(),
        Err(_) => txn.roll_back(),
    }
    result
}

impl KvStorage {
    /// Takes an engine, checks the format of what it has stored, and starts the threads. Blocks
    /// while the engine does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Format`] where the store was written in another format than
    /// [`FORMAT_VERSION`](super::FORMAT_VERSION); what the engine says;
    /// [`ErrorKind::Unavailable`] where the system refuses a thread.
    pub fn open(engine: impl Engine, options: KvOptions) -> Result<Self> {
        let engine: Arc<dyn Engine> = Arc::new(engine);
        open::check_format(&*engine).map_err(|error| error.in_operation("open"))?;
        let KvOptions { durability, name, reader_threads, direct_reads, limits } = options;
        let readers = ReaderPool::start(&format!("{name}-read"), reader_threads, &engine)?;
        let direct = DirectReads::new(&engine, direct_reads);
        let writer = GroupWriter::start(&format!("{name}-write"), EngineWriter { engine }, limits)?;
        let capabilities = Capabilities { durability, shared: false };
        Ok(Self { capabilities, writer, readers, direct, is_closed: AtomicBool::new(false) })
    }

    fn ready(&self, operation: &'static str) -> Result<()> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Closed, operation, "the store is closed"));
        }
        Ok(())
    }

    async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        bytes: usize,
        write: impl FnOnce(&mut Txn<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.ready(operation)?;
        let (answer, mut answered) = tokio::sync::oneshot::channel();
        let job: Job = Box::new(move |txn| {
            // The caller may be gone; what is written is written.
            let _ = answer.send(write(txn)?);
            Ok(())
        });
        self.writer.submit(operation, job, bytes).await?;
        answered.try_recv().map_err(|_| panicked().in_operation(operation))
    }

    async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        read: impl Fn(&dyn View) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.ready(operation)?;
        // Also in place: so that closing waits for it, and the caller's task lets others have a
        // turn after some.
        let permit = self.readers.enter(operation).await?;
        match self.direct.try_run(&read) {
            Some(result) => result.map_err(|error| error.in_operation(operation)),
            None => {
                let pace = self.direct.pace();
                let read = move |engine: &dyn Engine| {
                    // An engine may give no view while it applies changes; that says nothing of reads.
                    let view = engine.view()?;
                    pace.run(Instant::now(), &*view, read)
                };
                self.readers.run_entered(permit, operation, read).await
            }
        }
    }

    async fn shut(&self) -> Result<()> {
        self.is_closed.store(true, Ordering::Release);
        // The writer is the last to hold the engine, so that it is dropped when this returns.
        self.readers.close().await;
        self.writer.close().await.map_err(|error| error.in_operation("close"))
    }
}

/// About how many bytes a batch keeps in memory while it waits.
fn batch_bytes(items: &[Item]) -> usize {
    let bytes = items.iter().map(|item| match &item.write {
        Write::Publish(publish) => publish.message.data.len() + publish.message.event.len(),
        Write::AddReaction(add) => add.reaction.context.len(),
        Write::RemoveReaction(_) => 0,
        Write::SetEntry(set) => set.value.as_ref().map_or(0, Bytes::len) + set.context.len(),
        Write::AddSchedule(schedule) => schedule.payload.len(),
    });
    size_of_val(items) + bytes.sum::<usize>()
}

#[async_trait]
impl<B: KvBacked> Storage for B {
    fn capabilities(&self) -> Capabilities {
        self.kv().capabilities
    }

    async fn commit(
        &self,
        channel: &str,
        items: Vec<Item>,
        now: Timestamp,
    ) -> Result<Vec<Outcome>> {
        let (channel, bytes) = (channel.to_owned(), batch_bytes(&items));
        let write = move |txn: &mut Txn<'_>| channel::commit(txn, &channel, items, now);
        self.kv().write("commit", bytes, write).await
    }

    async fn messages(&self, channel: &str, query: MessageQuery) -> Result<MessagePage> {
        let channel = channel.to_owned();
        self.kv().read("messages", move |view| read::messages(view, &channel, &query)).await
    }

    async fn message(
        &self,
        channel: &str,
        id: MessageId,
        now: Timestamp,
    ) -> Result<Option<ListedMessage>> {
        let channel = channel.to_owned();
        self.kv().read("message", move |view| read::message(view, &channel, id, now)).await
    }

    async fn entry(&self, channel: &str, key: &str, now: Timestamp) -> Result<Option<Entry>> {
        let (channel, key) = (channel.to_owned(), key.to_owned());
        self.kv().read("entry", move |view| read::entry(view, &channel, &key, now)).await
    }

    async fn entries(&self, channel: &str, query: EntryQuery) -> Result<Vec<Entry>> {
        let channel = channel.to_owned();
        self.kv().read("entries", move |view| read::entries(view, &channel, &query)).await
    }

    async fn schedules(&self, query: ScheduleQuery) -> Result<Vec<Schedule>> {
        self.kv().read("schedules", move |view| tables::schedules(view, &query)).await
    }

    async fn cancel_schedule(&self, id: MessageId) -> Result<bool> {
        self.kv().write("cancel_schedule", 0, move |txn| tables::cancel_schedule(txn, id)).await
    }

    async fn spend_token(&self, token: TokenUse, _now: Timestamp) -> Result<bool> {
        self.kv().write("spend_token", 0, move |txn| tables::spend_token(txn, &token)).await
    }

    async fn is_token_spent(&self, token: &TokenUse, _now: Timestamp) -> Result<bool> {
        let token = token.clone();
        self.kv().read("is_token_spent", move |view| tables::is_token_spent(view, &token)).await
    }

    async fn revoke(&self, revocation: Revocation) -> Result<()> {
        self.kv().write("revoke", 0, move |txn| tables::revoke(txn, &revocation)).await
    }

    async fn revocations(&self, now: Timestamp) -> Result<Vec<Revocation>> {
        self.kv().read("revocations", move |view| tables::revocations(view, now)).await
    }

    async fn high_water(&self) -> Result<Option<MessageId>> {
        self.kv().read("high_water", |view| tables::high_water(view)).await
    }

    async fn raise_high_water(&self, id: MessageId) -> Result<()> {
        self.kv().write("raise_high_water", 0, move |txn| tables::raise_high_water(txn, id)).await
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<Swept> {
        self.kv().write("sweep", 0, move |txn| sweep::sweep(txn, now, limit)).await
    }

    async fn check(&self) -> Result<()> {
        self.kv().read("check", |view| tables::high_water(view).map(drop)).await?;
        self.kv().write("check", 0, |_| Ok(())).await
    }

    async fn close(&self) -> Result<()> {
        self.kv().shut().await
    }
}
