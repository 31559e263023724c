//! Pages of a history, whatever its length.

use super::stored::BACKENDS;
use super::{builder, row, runtime};
use bytes::Bytes;
use fanfare::{HistoryQuery, MessageId, Storage, Timestamp};
use fanfare_storage::{Item, Message, Publish, Retention, Write};
use std::env;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const SHORT: u64 = 100;
const PAGE: usize = 100;
/// Records written at once.
const AT_ONCE: usize = 10_000;

/// A million messages, or as many as `RATIOS_HISTORY` says; ten times as many take some minutes.
fn long() -> u64 {
    env::var("RATIOS_HISTORY").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000)
}

pub fn report() {
    for (name, open) in BACKENDS {
        let directory = tempfile::tempdir().unwrap();
        let runtime = runtime();
        runtime.block_on(async {
            let storage = open(directory.path());
            fill(&*storage, "short", SHORT).await;
            fill(&*storage, "long", long()).await;
            let broker = builder().shared_storage(Arc::clone(&storage)).build().await.unwrap();
            let page = async |channel: &str, length| {
                let after = Some(id(length / 2 - SHORT / 2)).filter(|_| length > SHORT);
                let query = HistoryQuery { after, limit: PAGE, ..HistoryQuery::default() };
                let page = broker.history(channel, query).await.unwrap();
                assert_eq!(page.messages.len(), PAGE);
            };
            let short = timed(async || page("short", SHORT).await).await;
            let long_page = timed(async || page("long", long()).await).await;
            let flat = long_page / short;
            let what =
                format!("a page of 100 of {} messages, to one of 100 messages, {name}", long());
            row(&what, format!("{flat:.2}"), "1.5", flat <= 1.5);

            let scan = own_scan(name, &directory.path().join("own"));
            let own = timed(async || assert_eq!(scan(), PAGE)).await;
            let over = long_page / own;
            let what = format!("the same page, to a range scan of {name}'s own");
            row(&what, format!("{over:.2}"), "3", over <= 3.0);
            broker.shutdown().await.unwrap();
        });
    }
}

/// The engine without a broker or a backend: as many records, each as long as a message's, of
/// which a page is copied.
fn own_scan(engine: &str, path: &Path) -> Box<dyn Fn() -> usize> {
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
            let tree = sled::open(path).unwrap();
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

/// Seconds of a call, the median of medians.
async fn timed(mut call: impl AsyncFnMut()) -> f64 {
    let mut all = Vec::new();
    for _ in 0..super::REPETITIONS {
        let mut taken = Vec::new();
        for _ in 0..100 {
            let start = Instant::now();
            call().await;
            taken.push(start.elapsed().as_secs_f64());
        }
        all.push(super::median(taken));
    }
    super::median(all)
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
