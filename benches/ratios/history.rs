//! Pages of a history, whatever its length.

use super::{builder, row, runtime};
use bytes::Bytes;
use fanfare::{HistoryQuery, MessageId, Order, Storage, Timestamp};
use fanfare_storage::{Item, Message, MessageQuery, Publish, ReactionDetail, Retention, Write};
use fanfare_storage_redb::RedbStorage;
use std::env;
use std::sync::Arc;
use std::time::Instant;

const SHORT: u64 = 100;
const PAGE: usize = 100;

/// A million messages, or as many as `RATIOS_HISTORY` says; ten times as many take some minutes.
fn long() -> u64 {
    env::var("RATIOS_HISTORY").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000)
}

pub fn report() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = runtime();
    runtime.block_on(async {
        let storage: Arc<dyn Storage> = Arc::new(RedbStorage::open(directory.path()).unwrap());
        fill(&*storage, "short", SHORT).await;
        fill(&*storage, "long", long()).await;
        let broker = builder().shared_storage(Arc::clone(&storage)).build().await.unwrap();
        let page = async |channel: &str, length| {
            let after = Some(id(length / 2 - SHORT / 2)).filter(|_| length > SHORT);
            let query = HistoryQuery { after, limit: PAGE, ..HistoryQuery::default() };
            let page = broker.history(channel, query).await.unwrap();
            assert_eq!(page.messages.len(), PAGE);
        };
        let of_storage = async || {
            let query = MessageQuery {
                from: id(long() / 2),
                to: MessageId::MAX,
                order: Order::Ascending,
                max_messages: PAGE,
                max_bytes: 1 << 20,
                reactions: ReactionDetail::None,
                now: Timestamp::now(),
            };
            assert_eq!(storage.messages("long", query).await.unwrap().messages.len(), PAGE);
        };
        let short = timed(async || page("short", SHORT).await).await;
        let long_page = timed(async || page("long", long()).await).await;
        let own = timed(of_storage).await;
        let (flat, over) = (long_page / short, long_page / own);
        let what = format!("a page of 100 of a history of {} messages, to one of 100", long());
        row(&what, format!("{flat:.2}"), "1.5", flat <= 1.5);
        row("the same page, to the storage's own", format!("{over:.2}"), "3", over <= 3.0);
        broker.shutdown().await.unwrap();
    });
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
    const AT_ONCE: u64 = 10_000;
    let data = Bytes::from(format!("\"{}\"", "x".repeat(126)));
    for start in (0..length).step_by(10_000) {
        let items = (start..length.min(start + AT_ONCE)).map(|number| {
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
