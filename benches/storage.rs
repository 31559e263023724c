//! What storage backends cost: appending messages, and reading a page of 100 from short and long
//! histories. Durable backends are as durable as they are by default, so that an append includes
//! its sync; they write to the directory for temporary files (`TMPDIR`).
//!
//!     cargo bench --bench storage
//!     cargo bench --bench storage -- append/redb
//!
//! The throughput is in messages.

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, SamplingMode, Throughput};
use fanfare::{MemoryStorage, MessageId, Order, Storage, Timestamp};
use fanfare_storage::{
    Author, Item, Message, MessageQuery, Outcome, Publish, ReactionDetail, Retention, Write,
};
use fanfare_storage_redb::RedbStorage;
use fanfare_storage_sled::SledStorage;
use std::cell::{LazyCell, RefCell};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;

struct Backend {
    name: &'static str,
    open: fn(&Path) -> Arc<dyn Storage>,
}

const BACKENDS: &[Backend] = &[
    Backend { name: "memory", open: |_| Arc::new(MemoryStorage::new()) },
    Backend { name: "redb", open: |dir| Arc::new(RedbStorage::open(dir).unwrap()) },
    Backend { name: "sled", open: |dir| Arc::new(SledStorage::open(dir).unwrap()) },
];

const BATCHES: [usize; 2] = [1, 64];
const HISTORIES: [usize; 3] = [100, 10_000, 100_000];
const PAGE: usize = 100;
const CHANNEL: &str = "bench";
/// How long a history grows under appends before it begins anew, so that memory has a bound.
const LONGEST: usize = 500_000;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    for backend in BACKENDS {
        append(&mut criterion, backend);
        page(&mut criterion, backend);
    }
    criterion.final_summary();
}

fn append(criterion: &mut Criterion, backend: &Backend) {
    let mut group = criterion.benchmark_group(format!("storage/append/{}", backend.name));
    for size in BATCHES {
        let store = LazyCell::new(|| RefCell::new(Store::open(backend, 0)));
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::new("batch", size), |bencher| {
            bencher.iter_batched(
                || {
                    let mut store = store.borrow_mut();
                    if store.next - store.first >= LONGEST {
                        *store = Store::open(backend, store.next);
                    }
                    store.items(size)
                },
                |items| store.borrow().commit(items),
                BatchSize::NumIterations(64),
            );
        });
    }
    group.finish();
}

fn page(criterion: &mut Criterion, backend: &Backend) {
    let mut group = criterion.benchmark_group(format!("storage/page/{}", backend.name));
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(PAGE as u64));
    for length in HISTORIES {
        let store = LazyCell::new(|| Store::filled(backend, length));
        group.bench_function(BenchmarkId::new("of", length), |bencher| {
            bencher.iter(|| black_box(store.page_in_the_middle()));
        });
    }
    group.finish();
}

/// A store with one channel's history.
struct Store {
    runtime: Runtime,
    storage: Arc<dyn Storage>,
    /// The numbers of the first message and of the next.
    first: usize,
    next: usize,
    _directory: TempDir,
}

impl Drop for Store {
    fn drop(&mut self) {
        // Before the directory goes.
        self.runtime.block_on(self.storage.close()).unwrap();
    }
}

impl Store {
    /// An empty store whose messages are numbered from `first` on, so that those that were made
    /// for its predecessor can still be written to it.
    fn open(backend: &Backend, first: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let storage = {
            let _guard = runtime.enter();
            (backend.open)(directory.path())
        };
        Self { runtime, storage, first, next: first, _directory: directory }
    }

    fn filled(backend: &Backend, length: usize) -> Self {
        let mut store = Self::open(backend, 0);
        while store.next < length {
            let items = store.items((length - store.next).min(1_000));
            store.commit(items);
        }
        store
    }

    /// The next messages of the history: 128 bytes of data, by a user, kept forever.
    fn items(&mut self, count: usize) -> Vec<Item> {
        let data = Bytes::from(format!("\"{}\"", "x".repeat(126)));
        let items = (self.next..self.next + count).map(|number| {
            let message = Message {
                id: id(number),
                event: "chat".to_owned(),
                data: data.clone(),
                author: Some(Author { uid: Some("jim".to_owned()), umd: None }),
            };
            let retention = Retention::Forever;
            Write::Publish(Publish { message, retention, deduplication: None }).into()
        });
        let items = items.collect();
        self.next += count;
        items
    }

    fn commit(&self, items: Vec<Item>) {
        let commit = self.storage.commit(CHANNEL, items, Timestamp::now());
        let outcomes = self.runtime.block_on(commit).unwrap();
        assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Applied));
    }

    fn page_in_the_middle(&self) -> usize {
        let query = MessageQuery {
            from: id(self.first + (self.next - self.first - PAGE) / 2),
            to: MessageId::MAX,
            order: Order::Ascending,
            max_messages: PAGE,
            max_bytes: 1 << 20,
            reactions: ReactionDetail::Counts,
            now: Timestamp::now(),
        };
        let page = self.runtime.block_on(self.storage.messages(CHANNEL, query)).unwrap();
        assert_eq!(page.messages.len(), PAGE);
        page.messages.iter().map(|listed| listed.message.data.len()).sum()
    }
}

/// A millisecond apart.
fn id(number: usize) -> MessageId {
    let start = 1_700_000_000_000;
    MessageId::from_parts(Timestamp::from_unix_millis(start + number as u64), 0)
}
