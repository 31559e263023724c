//! Engines that fail, panic or are damaged.

use crate::engine::{MapEngine, Mood, Shared};
use bytes::Bytes;
use fanfare_storage::kv::{FORMAT_VERSION, GroupLimits, KvOptions, KvStorage};
use fanfare_storage::{
    Durability, ErrorKind, Item, Message, MessageId, MessageQuery, Order, Outcome, Publish,
    ReactionDetail, Result, Retention, Schedule, ScheduleQuery, Storage, Timestamp,
};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinHandle;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

fn open(limits: GroupLimits) -> (Arc<KvStorage>, Arc<Shared>) {
    let shared = Arc::<Shared>::default();
    let mut options = KvOptions::new(Durability::Written);
    options.limits = limits;
    options.direct_reads = 1;
    let storage = KvStorage::open(MapEngine(shared.clone()), options).unwrap();
    (Arc::new(storage), shared)
}

fn publish(number: u128, size: usize) -> Vec<Item> {
    let message = Message {
        id: MessageId::from_u128(number),
        event: "chat".to_owned(),
        data: Bytes::from(vec![b'1'; size]),
        author: None,
    };
    let publish = Publish { message, retention: Retention::Forever, deduplication: None };
    vec![publish.into()]
}

fn commit(
    storage: &Arc<KvStorage>,
    channel: usize,
    size: usize,
) -> JoinHandle<Result<Vec<Outcome>>> {
    let storage = storage.clone();
    tokio::spawn(
        async move { storage.commit(&format!("room.{channel}"), publish(1, size), NOW).await },
    )
}

async fn count(storage: &KvStorage, channel: &str) -> Result<usize> {
    let query = MessageQuery {
        from: MessageId::MIN,
        to: MessageId::MAX,
        order: Order::Ascending,
        max_messages: usize::MAX,
        max_bytes: usize::MAX,
        reactions: ReactionDetail::None,
        now: NOW,
    };
    Ok(storage.messages(channel, query).await?.messages.len())
}

/// Waits until `apply` has begun so many times.
async fn begun(shared: &Shared, times: usize) {
    while shared.begun.load(Ordering::SeqCst) < times {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_failed_group_fails_for_all_and_leaves_nothing() {
    let (storage, shared) = open(GroupLimits::default());
    for (mood, is_retryable) in [(Mood::Fails, true), (Mood::Panics, false)] {
        shared.set(Mood::Waits);
        let before = shared.begun.load(Ordering::SeqCst);
        let commits: Vec<_> = (0..10).map(|channel| commit(&storage, channel, 10)).collect();
        begun(&shared, before + 1).await;
        shared.set(mood);
        for commit in commits {
            let error = commit.await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert_eq!(error.operation(), "commit");
            assert_eq!(error.is_retryable(), is_retryable);
        }
        shared.set(Mood::Works);
        for channel in 0..10 {
            assert_eq!(count(&storage, &format!("room.{channel}")).await.unwrap(), 0);
        }
    }
    assert_eq!(commit(&storage, 0, 10).await.unwrap().unwrap(), [Outcome::Applied]);
}

#[tokio::test]
async fn a_panic_while_reading_hangs_nobody() {
    let (storage, shared) = open(GroupLimits::default());
    shared.set(Mood::PanicsWhenRead);
    for round in 0..20 {
        shared.is_quick.store(round % 2 == 0, Ordering::SeqCst);
        let error = count(&storage, "room").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let error = commit(&storage, 0, 10).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(storage.check().await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    shared.set(Mood::Works);
    assert_eq!(count(&storage, "room").await.unwrap(), 0);
    storage.check().await.unwrap();
}

fn read(storage: &Arc<KvStorage>) -> JoinHandle<Result<usize>> {
    let storage = storage.clone();
    tokio::spawn(async move { count(&storage, "room.0").await })
}

/// A store whose reads wait, and so many of them that have begun, the first of them in place.
async fn with_reads(
    number: usize,
) -> (Arc<KvStorage>, Arc<Shared>, Vec<JoinHandle<Result<usize>>>) {
    let (storage, shared) = open(GroupLimits::default());
    commit(&storage, 0, 10).await.unwrap().unwrap();
    shared.is_quick.store(true, Ordering::SeqCst);
    shared.set(Mood::WaitsWhenRead);
    let scans = shared.scans.load(Ordering::SeqCst);
    let reads = (0..number).map(|_| read(&storage)).collect();
    while shared.scans.load(Ordering::SeqCst) < scans + number {
        std::thread::yield_now();
    }
    (storage, shared, reads)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_read_at_a_time_holds_up_the_thread_of_its_caller() {
    let (_storage, shared, reads) = with_reads(3).await;
    assert_eq!(shared.views_now.load(Ordering::SeqCst), 1);
    shared.set(Mood::Works);
    for read in reads {
        assert_eq!(read.await.unwrap().unwrap(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_waits_for_a_read_in_place() {
    let (storage, shared, mut reads) = with_reads(1).await;
    let mut close = storage.close();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    // Much longer than it takes the threads to end.
    let waits = (0..20_000).all(|_| {
        std::thread::yield_now();
        close.as_mut().poll(&mut context).is_pending()
    });
    shared.set(Mood::Works);
    assert!(waits);
    close.await.unwrap();
    assert_eq!(Arc::strong_count(&shared), 1, "the engine is let go");
    assert_eq!(reads.remove(0).await.unwrap().unwrap(), 1);
    assert_eq!(count(&storage, "room.0").await.unwrap_err().kind(), ErrorKind::Closed);
}

/// Overwrites every record under a key that contains the text.
fn damage(shared: &Shared, text: &str) {
    let mut damaged = 0;
    for (key, value) in &mut *shared.data.write().unwrap() {
        if key.windows(text.len()).any(|window| window == text.as_bytes()) {
            *value = vec![0xEE; 3];
            damaged += 1;
        }
    }
    assert!(damaged > 0);
}

#[tokio::test]
async fn a_damaged_channel_fails_alone() {
    let (storage, shared) = open(GroupLimits::default());
    for channel in 0..10 {
        commit(&storage, channel, 10).await.unwrap().unwrap();
    }
    damage(&shared, "room.7");
    shared.set(Mood::Waits);
    let before = shared.begun.load(Ordering::SeqCst);
    let first = commit(&storage, 99, 10);
    begun(&shared, before + 1).await;
    let group: Vec<_> = (0..10)
        .map(|channel| {
            let storage = storage.clone();
            let name = format!("room.{channel}");
            tokio::spawn(async move { storage.commit(&name, publish(2, 10), NOW).await })
        })
        .collect();
    shared.set(Mood::Works);
    first.await.unwrap().unwrap();
    for (channel, commit) in group.into_iter().enumerate() {
        let result = commit.await.unwrap();
        if channel == 7 {
            let error = result.unwrap_err();
            assert_eq!((error.kind(), error.operation()), (ErrorKind::Corrupt, "commit"));
            assert!(!error.is_retryable());
        } else {
            assert_eq!(result.unwrap(), [Outcome::Applied]);
        }
    }
    let error = count(&storage, "room.7").await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Corrupt, "messages"));
    assert_eq!(count(&storage, "room.6").await.unwrap(), 2);
}

#[tokio::test]
async fn damage_does_not_stop_sweeps() {
    let (storage, shared) = open(GroupLimits::default());
    let end = NOW + Duration::from_secs(1);
    for channel in ["bad", "good"] {
        let mut items = publish(1, 10);
        if let fanfare_storage::Write::Publish(publish) = &mut items[0].write {
            publish.retention = Retention::Until(end);
        }
        storage.commit(channel, items, NOW).await.unwrap();
    }
    damage(&shared, "bad");
    let swept = storage.sweep(end, 10).await.unwrap();
    assert_eq!((swept.removed, swept.more), (2, false));
    assert_eq!(storage.sweep(end, 10).await.unwrap().removed, 0);
    assert_eq!(count(&storage, "good").await.unwrap(), 0);
}

#[tokio::test]
async fn a_damaged_schedule_does_not_stop_the_others() {
    let (storage, shared) = open(GroupLimits::default());
    for number in 1..=3 {
        let (id, due) = (MessageId::from_u128(number), NOW + Duration::from_secs(number as u64));
        let channel = if number == 2 { "bad" } else { "good" };
        let payload = Bytes::from_static(b"{}");
        let schedule = Schedule { id, due, channel: channel.to_owned(), payload };
        let outcomes = storage.commit(channel, vec![schedule.into()], NOW).await.unwrap();
        assert_eq!(outcomes, [Outcome::Applied]);
    }
    for value in shared.data.write().unwrap().values_mut() {
        if value.windows(3).any(|window| window == b"bad") {
            *value = vec![0xEE; 3];
        }
    }
    let all = |limit| ScheduleQuery { after: None, until: Timestamp::MAX, limit };
    for (limit, expected) in [(9, vec![1, 3]), (2, vec![1, 3]), (1, vec![1])] {
        let found = storage.schedules(all(limit)).await.unwrap();
        let found: Vec<_> = found.iter().map(|schedule| schedule.id.as_u128()).collect();
        assert_eq!(found, expected, "at most {limit}");
    }
}

#[tokio::test]
async fn a_store_of_another_format_is_refused() {
    let shared = Arc::<Shared>::default();
    let try_open =
        || KvStorage::open(MapEngine(shared.clone()), KvOptions::new(Durability::Written));
    drop(try_open().unwrap());
    drop(try_open().unwrap());
    let other = (FORMAT_VERSION + 1).to_be_bytes().to_vec();
    for format in [other, b"?".to_vec()] {
        shared.data.write().unwrap().insert(b"mformat".to_vec(), format);
        let error = try_open().unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Format, "open"));
    }
    let error = try_open().unwrap_err().to_string();
    assert!(error.contains(&format!("format {FORMAT_VERSION}")), "{error}");
    shared.data.write().unwrap().remove(&b"mformat"[..]);
    shared.data.write().unwrap().insert(b"foreign".to_vec(), Vec::new());
    assert_eq!(try_open().unwrap_err().kind(), ErrorKind::Format);
}

#[tokio::test]
async fn the_engine_is_settled_when_it_is_time_and_at_the_end() {
    let mut limits = GroupLimits::default();
    limits.settle_after = Some(Duration::from_millis(1));
    let (storage, shared) = open(limits);
    let synced = || shared.synced.load(Ordering::SeqCst);
    assert_eq!(synced(), 1, "for the format");
    commit(&storage, 0, 10).await.unwrap().unwrap();
    while synced() < 2 {
        tokio::task::yield_now().await;
    }
    storage.close().await.unwrap();
    assert_eq!(synced(), 3);
}

#[tokio::test]
async fn a_dropped_store_lets_its_engine_go() {
    let (storage, shared) = open(GroupLimits::default());
    commit(&storage, 0, 10).await.unwrap().unwrap();
    drop(storage);
    while Arc::strong_count(&shared) > 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(shared.synced.load(Ordering::SeqCst), 2, "settled at the end");
}

#[test]
fn no_runtime_of_a_kind_is_needed() {
    let (storage, _shared) = open(GroupLimits::default());
    let mut commit = storage.commit("room", publish(1, 10), NOW);
    let (sender, receiver) = std::sync::mpsc::channel();
    let waker = std::task::Waker::from(Arc::new(Wakes(std::sync::Mutex::new(sender))));
    let mut context = std::task::Context::from_waker(&waker);
    let outcomes = loop {
        match commit.as_mut().poll(&mut context) {
            std::task::Poll::Ready(outcomes) => break outcomes,
            std::task::Poll::Pending => receiver.recv().unwrap(),
        }
    };
    assert_eq!(outcomes.unwrap(), [Outcome::Applied]);
}

struct Wakes(std::sync::Mutex<std::sync::mpsc::Sender<()>>);

impl std::task::Wake for Wakes {
    fn wake(self: Arc<Self>) {
        let _ = self.0.lock().unwrap().send(());
    }
}
