//! Pages of a history, whatever its length.

use super::platform::cpu_time;
use super::stored::BACKENDS;
use super::{builder, row, runtime};
use bytes::Bytes;
use fanfare::{Broker, HistoryQuery, MessageId, Storage, Timestamp};
use fanfare_storage::{Item, Message, Publish, Retention, Write};
use std::env;
use std::path::Path;
use std::thread;
use std::time::Instant;

const SHORT: u64 = 100;
const PAGE: usize = 100;
/// Pages that are read at once, or nearly so.
const MANY: usize = 16_000;
const AT_A_TIME: usize = 16;
/// Records written at once.
const AT_ONCE: usize = 10_000;

/// A million messages, or as many as `RATIOS_HISTORY` says; ten times as many take some minutes.
fn long() -> u64 {
    env::var("RATIOS_HISTORY").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000)
}

pub fn report() {
    for (name, open) in BACKENDS {
        let directory = tempfile::tempdir().unwrap();
        runtime().block_on(async {
            let storage = open(directory.path());
            fill(&*storage, "short", SHORT).await;
            fill(&*storage, "long", long()).await;
            let broker = builder().storage(storage).build().await.unwrap();
            // Before anything is timed: engines go on working for some time after they are filled.
            let scan = own_scan(name, &directory.path().join("own"));
            measure(name, &broker, &*scan).await;
            broker.shutdown().await.unwrap();
        });
    }
}

/// By turns, so that what else the machine does meets all of them.
async fn measure(name: &str, broker: &Broker, scan: &(dyn Fn() -> usize + Sync)) {
    let mut times: [Vec<f64>; 5] = Default::default();
    for _ in 0..super::REPETITIONS {
        times[0].push(timed(async || page(broker, "short", SHORT).await).await);
        times[1].push(timed(async || page(broker, "long", long()).await).await);
        times[2].push(timed(async || assert_eq!(scan(), PAGE)).await);
        times[3].push(together(broker).await);
        times[4].push(own_together(scan));
    }
    let [short, alone, own, many, many_own] = times.map(super::median);
    let what = format!("a page of 100 of {} messages, to one of 100, {name}", long());
    show(&what, (alone, short), 1.5);
    let what = format!("the same page, to a range scan of {name}'s own, nothing else going on");
    show(&what, (alone, own), 3.0);
    let what = format!("the same, of many at once, processor time, {name}");
    show(&what, (many, many_own), 3.0);
}

async fn page(broker: &Broker, channel: &str, length: u64) {
    let after = Some(id(length / 2 - SHORT / 2)).filter(|_| length > SHORT);
    let query = HistoryQuery { after, limit: PAGE, ..HistoryQuery::default() };
    let page = broker.history(channel, &query).await.unwrap();
    assert_eq!(page.messages.len(), PAGE);
}

/// A line with a ratio, and the times that it is of.
fn show(what: &str, (one, other): (f64, f64), bound: f64) {
    let ratio = one / other;
    let measured = format!("{ratio:.2} ({:.0} to {:.0} µs)", one * 1e6, other * 1e6);
    row(what, measured, &bound.to_string(), ratio <= bound);
}

/// The engine without a broker or a backend: as many records, each as long as a message's, of
/// which a page is copied.
fn own_scan(engine: &str, path: &Path) -> Box<dyn Fn() -> usize + Sync> {
    const RECORD: [u8; 160] = [b'x'; 160];
    let key = |number: u64| [b"channel\0".as_slice(), &id(number).as_u128().to_be_bytes()].concat();
    let (from, length) = (key(long() / 2), long());
    match engine {
        "redb" => {
            use redb::ReadableDatabase as _;
            const TABLE: redb::TableDefinition<'_, &[u8], &[u8]> =
                redb::TableDefinition::new("messages");
            let database = redb::Database::create(path).unwrap();
            for start in (0..length).step_by(AT_ONCE) {
                let transaction = database.begin_write().unwrap();
                let mut table = transaction.open_table(TABLE).unwrap();
                for number in start..length.min(start + AT_ONCE as u64) {
                    table.insert(&*key(number), &RECORD[..]).unwrap();
                }
                drop(table);
                transaction.commit().unwrap();
            }
            Box::new(move || {
                let table = database.begin_read().unwrap().open_table(TABLE).unwrap();
                let page = table.range(&*from..).unwrap().take(PAGE).map(|record| {
                    let (key, value) = record.unwrap();
                    (key.value().to_vec(), value.value().to_vec())
                });
                page.collect::<Vec<_>>().len()
            })
        }
        _ => {
            // With as large a cache as the backend's.
            let tree = sled::Config::new().path(path).cache_capacity(128 << 20).open().unwrap();
            for number in 0..length {
                tree.insert(key(number), &RECORD[..]).unwrap();
            }
            Box::new(move || {
                let page = tree.range(from.clone()..).take(PAGE).map(|record| {
                    let (key, value) = record.unwrap();
                    (key.to_vec(), value.to_vec())
                });
                page.collect::<Vec<_>>().len()
            })
        }
    }
}

/// Processor seconds for each of many pages that are read at once, from as many tasks as the runtime
/// spreads over its threads.
async fn together(broker: &Broker) -> f64 {
    let start = cpu_time();
    let tasks = (0..AT_A_TIME).map(|_| {
        let broker = broker.clone();
        tokio::spawn(async move {
            for _ in 0..MANY / AT_A_TIME {
                page(&broker, "long", long()).await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    (cpu_time() - start).as_secs_f64() / MANY as f64
}

/// Processor seconds for each of as many scans, by as many threads as there are processors.
fn own_together(scan: &(dyn Fn() -> usize + Sync)) -> f64 {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let start = cpu_time();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| (0..MANY / threads).for_each(|_| assert_eq!(scan(), PAGE)));
        }
    });
    (cpu_time() - start).as_secs_f64() / (MANY / threads * threads) as f64
}

/// Seconds of a call, the median of a hundred.
async fn timed(mut call: impl AsyncFnMut()) -> f64 {
    let mut taken = Vec::new();
    for _ in 0..100 {
        let start = Instant::now();
        call().await;
        taken.push(start.elapsed().as_secs_f64());
    }
    super::median(taken)
}

async fn fill(storage: &dyn Storage, channel: &str, length: u64) {
    let data = Bytes::from(format!("\"{}\"", "x".repeat(126)));
    for start in (0..length).step_by(AT_ONCE) {
        let items = (start..length.min(start + AT_ONCE as u64)).map(|number| {
            let (event, data) = ("chat".to_owned(), data.clone());
            let message = Message { id: id(number), event, data, author: None };
            let publish = Publish { message, retention: Retention::Forever, deduplication: None };
            Item::from(Write::Publish(publish))
        });
        storage.commit(channel, items.collect(), Timestamp::now()).await.unwrap();
    }
}

/// A millisecond apart, all of them in the past.
fn id(number: u64) -> MessageId {
    MessageId::from_parts(Timestamp::from_unix_millis(1_600_000_000_000 + number), 0)
}
