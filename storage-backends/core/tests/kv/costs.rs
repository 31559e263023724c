//! How much is read and written, and what is left behind.

use crate::engine::{MapEngine, Shared};
use bytes::Bytes;
use fanfare_storage::kv::{KvOptions, KvStorage};
use fanfare_storage::{
    AddReaction, Deduplication, Durability, Item, Message, MessageId, MessageQuery, Order, Outcome,
    Publish, Reaction, ReactionDetail, Retention, Revocation, RevokedSubject, Schedule, SetEntry,
    Storage, Timestamp, TokenUse,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
const HOUR: Duration = Duration::from_secs(60 * 60);

fn open() -> (KvStorage, Arc<Shared>) {
    let shared = Arc::<Shared>::default();
    let options = KvOptions::new(Durability::Written);
    (KvStorage::open(MapEngine(shared.clone()), options).unwrap(), shared)
}

fn id(number: u128) -> MessageId {
    MessageId::from_parts(NOW, number)
}

fn publish(number: u128, retention: Retention) -> Publish {
    let message = Message {
        id: id(number),
        event: "chat".to_owned(),
        data: Bytes::from_static(b"[1]"),
        author: None,
    };
    Publish { message, retention, deduplication: None }
}

fn react(message: u128, uid: &str, number: u128) -> Item {
    let reaction = Reaction {
        reaction: "👍".to_owned(),
        uid: uid.to_owned(),
        umd: None,
        id: id(number),
        created_at: NOW,
        context: Bytes::new(),
    };
    let (max_per_message, max_per_user) = (100, 20);
    AddReaction { message: id(message), reaction, max_per_message, max_per_user }.into()
}

async fn commit(storage: &KvStorage, channel: &str, items: Vec<Item>) {
    for outcome in storage.commit(channel, items, NOW).await.unwrap() {
        assert!(matches!(outcome, Outcome::Applied | Outcome::EntryChanged(None)), "{outcome:?}");
    }
}

/// How much a counter goes up meanwhile.
async fn counted(counter: &AtomicUsize, work: impl Future) -> usize {
    let before = counter.load(Ordering::SeqCst);
    work.await;
    counter.load(Ordering::SeqCst) - before
}

#[tokio::test]
async fn a_page_costs_the_same_whatever_the_channel_holds() {
    let (storage, shared) = open();
    for size in [200, 20_000] {
        let channel = format!("room.{size}");
        let messages = (1..=size).map(|number| publish(number, Retention::Forever).into());
        commit(&storage, &channel, messages.collect()).await;
        for order in [Order::Ascending, Order::Descending] {
            let query = MessageQuery {
                from: id(size / 2 - 50),
                to: id(size),
                order,
                max_messages: 100,
                max_bytes: usize::MAX,
                reactions: ReactionDetail::None,
                now: NOW,
            };
            let visited = counted(&shared.visited, async {
                let page = storage.messages(&channel, query).await.unwrap();
                assert_eq!((page.messages.len(), page.more), (100, true));
            });
            assert_eq!(visited.await, 101, "one more tells that there is more");
        }
        let next = counted(&shared.visited, async {
            commit(&storage, &channel, vec![publish(size + 1, Retention::Forever).into()]).await;
        });
        assert_eq!(next.await, 1, "to publish takes the last id alone");
    }
}

#[tokio::test]
async fn a_page_searches_only_for_reactions_that_there_are() {
    let (storage, shared) = open();
    let messages = (1..=100).map(|number| publish(number, Retention::Forever).into());
    commit(&storage, "room", messages.collect()).await;
    commit(
        &storage,
        "room",
        (0..3).map(|user| react(50, &format!("{user}"), 200 + user)).collect(),
    )
    .await;
    for (reactions, scans) in
        [(ReactionDetail::None, 1), (ReactionDetail::Counts, 2), (ReactionDetail::All, 3)]
    {
        let query = MessageQuery {
            from: id(1),
            to: id(100),
            order: Order::Descending,
            max_messages: 100,
            max_bytes: usize::MAX,
            reactions,
            now: NOW,
        };
        let counted = counted(&shared.scans, async {
            let page = storage.messages("room", query).await.unwrap();
            assert_eq!(page.messages.len(), 100);
            let reacted = &page.messages[50];
            assert_eq!(reacted.message.id, id(50));
            assert_eq!(reacted.reaction_counts.is_empty(), reactions == ReactionDetail::None);
            assert_eq!(reacted.reactions.len(), 3 * usize::from(reactions == ReactionDetail::All));
        });
        assert_eq!(counted.await, scans, "{reactions:?}");
    }
}

#[tokio::test]
async fn publishing_writes_few_records() {
    let (storage, shared) = open();
    commit(&storage, "room", vec![publish(1, Retention::Forever).into()]).await;
    let forever = vec![publish(2, Retention::Forever).into()];
    let written = counted(&shared.written, commit(&storage, "room", forever)).await;
    assert_eq!(written, 2, "the message and the store's greatest id");
    let until = vec![publish(3, Retention::Until(NOW + HOUR)).into()];
    let written = counted(&shared.written, commit(&storage, "room", until)).await;
    assert_eq!(written, 3, "and its place in the order of expiry");
    let batch = (4..104).map(|number| publish(number, Retention::Forever).into()).collect();
    let written = counted(&shared.written, commit(&storage, "room", batch)).await;
    assert_eq!(written, 101);
}

#[tokio::test]
async fn nothing_is_left_of_what_has_expired() {
    let (storage, shared) = open();
    let end = NOW + HOUR;
    for channel in 0..20 {
        let key = "key".to_owned();
        let deduplication = Some(Deduplication { key: key.clone(), until: end });
        let mut items = vec![
            publish(1, Retention::Until(end)).into(),
            Publish { deduplication, ..publish(2, Retention::Until(end)) }.into(),
            SetEntry {
                id: id(1),
                key,
                value: Some(Bytes::from_static(b"1")),
                author: None,
                expires_at: Some(end),
                announce_expiry: false,
                context: Bytes::new(),
                max_keys: 9,
            }
            .into(),
        ];
        items.extend((10..60).map(|number| react(1, &format!("user {number}"), number)));
        commit(&storage, &format!("room.{channel}"), items).await;
    }
    let due = Schedule { id: id(99), due: end, channel: "room.0".to_owned(), payload: "".into() };
    commit(&storage, "room.0", vec![due.into()]).await;
    storage.cancel_schedule(id(99)).await.unwrap();
    let token = TokenUse { key: "k".to_owned(), jti: "j".to_owned(), expires_at: end };
    storage.spend_token(token, NOW).await.unwrap();
    let subject = RevokedSubject::User("jim".to_owned());
    let revocation = Revocation { subject, issued_before: NOW, expires_at: Some(end) };
    storage.revoke(revocation).await.unwrap();

    let largest = sweep(&storage, &shared, end).await;
    assert!(largest <= 3 * 20, "one call wrote {largest} records");
    let idle = shared.data.read().unwrap().len();
    assert_eq!(idle, 2 * 20 + 2, "heads, when to see to them, format and greatest id");
    sweep(&storage, &shared, end + 48 * HOUR).await;
    let left: Vec<_> = shared.data.read().unwrap().keys().cloned().collect();
    assert_eq!(left, [&b"mforgotten"[..], b"mformat", b"mhigh"]);
}

/// Sweeps in small steps until nothing more is done, and tells how much the largest wrote.
async fn sweep(storage: &KvStorage, shared: &Shared, now: Timestamp) -> usize {
    let mut largest = 0;
    for _ in 0..1000 {
        let before = shared.written.load(Ordering::SeqCst);
        let swept = storage.sweep(now, 20).await.unwrap();
        largest = largest.max(shared.written.load(Ordering::SeqCst) - before);
        if !swept.more {
            // Forgetting channels is no news, and goes on in later sweeps.
            let _ = storage.sweep(now, 100).await.unwrap();
            return largest;
        }
    }
    panic!("sweeps do not come to an end");
}
