//! What is special about the memory store: its bound, and that it forgets idle channels.

use bytes::Bytes;
use fanfare_storage::{
    ErrorKind, Item, MemoryStorage, Message, MessageId, MessagePage, MessageQuery, Order, Outcome,
    Publish, ReactionDetail, Retention, Schedule, SetEntry, Storage, Timestamp, TokenUse, Write,
};
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn id(number: u128) -> MessageId {
    MessageId::from_parts(NOW, number)
}

fn publish(id: MessageId, size: usize, retention: Retention) -> Item {
    let data = Bytes::from(vec![b'1'; size]);
    let message = Message { id, event: "chat".to_owned(), data, author: None };
    Item::from(Write::Publish(Publish { message, retention, deduplication: None }))
}

fn set(key: &str, value: Option<&'static str>) -> Item {
    Item::from(Write::SetEntry(SetEntry {
        id: MessageId::MIN,
        key: key.to_owned(),
        value: value.map(|value| Bytes::from_static(value.as_bytes())),
        author: None,
        expires_at: None,
        announce_expiry: false,
        context: Bytes::new(),
        max_keys: 10,
    }))
}

async fn page(storage: &MemoryStorage, channel: &str, now: Timestamp) -> MessagePage {
    let query = MessageQuery {
        from: MessageId::MIN,
        to: MessageId::MAX,
        order: Order::Ascending,
        max_messages: usize::MAX,
        max_bytes: usize::MAX,
        reactions: ReactionDetail::None,
        now,
    };
    storage.messages(channel, query).await.unwrap()
}

#[tokio::test]
async fn at_the_bound_writes_fail_and_nothing_is_lost() {
    let storage = MemoryStorage::with_capacity(64 * 1024);
    let mut stored = 0;
    let full = loop {
        let item = publish(id(stored), 1000, Retention::Forever);
        match storage.commit("room", vec![item], NOW).await {
            Ok(outcomes) => assert_eq!(outcomes, [Outcome::Applied]),
            Err(error) => break error,
        }
        stored += 1;
        assert!(stored < 64, "more was stored than fits");
    };
    assert_eq!(full.kind(), ErrorKind::Full);
    assert_eq!(full.operation(), "commit");
    assert!(!full.is_retryable());
    assert_eq!(page(&storage, "room", NOW).await.messages.len() as u128, stored);

    let batch = vec![
        publish(id(stored), 0, Retention::Forever),
        publish(id(stored + 1), 4000, Retention::Forever),
    ];
    let used = storage.used();
    let error = storage.commit("room", batch, NOW).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    assert_eq!(storage.used(), used, "a refused batch left something behind");
    assert_eq!(page(&storage, "room", NOW).await.messages.len() as u128, stored);
}

#[tokio::test]
async fn every_kind_of_write_is_bounded() {
    let storage = MemoryStorage::with_capacity(16 * 1024);
    let long = "x".repeat(16 * 1024);
    let token = TokenUse { key: "k".to_owned(), jti: long.clone(), expires_at: NOW + DAY };
    let error = storage.spend_token(token.clone(), NOW).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    assert!(!storage.is_token_spent(&token, NOW).await.unwrap());

    let schedule =
        Schedule { id: id(1), due: NOW, channel: "c".to_owned(), payload: long.clone().into() };
    let items = vec![Item::from(Write::AddSchedule(schedule))];
    assert_eq!(storage.commit("c", items, NOW).await.unwrap_err().kind(), ErrorKind::Full);
    let items = vec![set(&long, Some("1"))];
    assert_eq!(storage.commit("c", items, NOW).await.unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(storage.used(), 0);
}

#[tokio::test]
async fn what_goes_gives_its_bytes_back() {
    let storage = MemoryStorage::new();
    let end = NOW + Duration::from_secs(10);
    let items = vec![
        publish(id(1), 500, Retention::Until(end)),
        set("a", Some("[1]")),
        set("a", Some("[2]")),
        set("a", None),
    ];
    storage.commit("room", items, NOW).await.unwrap();
    assert!(storage.used() > 500);
    storage.sweep(end, 100).await.unwrap();
    let idle = storage.used();
    assert!(idle > 0, "the channel's newest id was forgotten at once");
    storage.sweep(end + DAY, 100).await.unwrap();
    assert_eq!(storage.used(), 0);
}

#[tokio::test]
async fn forgotten_channels_neither_reuse_ids_nor_hide_gaps() {
    let storage = MemoryStorage::new();
    let end = NOW + Duration::from_secs(10);
    storage.commit("room", vec![publish(id(7), 1, Retention::Until(end))], NOW).await.unwrap();
    let later = end + DAY;
    storage.sweep(later, 100).await.unwrap();
    assert_eq!(storage.used(), 0);

    assert_eq!(page(&storage, "room", later).await.gone, Some(id(7)));
    let again = vec![publish(id(7), 1, Retention::Forever), publish(id(8), 1, Retention::Forever)];
    let outcomes = storage.commit("room", again, later).await.unwrap();
    assert_eq!(outcomes, [Outcome::IdNotNewest(id(7)), Outcome::Applied]);
    assert_eq!(page(&storage, "room", later).await.gone, Some(id(7)));
    assert_eq!(storage.high_water().await.unwrap(), Some(id(8)));
}

#[tokio::test]
async fn channels_are_remembered_for_a_day_after_their_newest_id() {
    let storage = MemoryStorage::new();
    let later = NOW + Duration::from_secs(23 * 60 * 60);
    for (moment, number) in [(NOW, 1), (later, 2)] {
        let message = MessageId::from_parts(moment, number);
        let item = publish(message, 1, Retention::Until(moment));
        storage.commit("room", vec![item], moment).await.unwrap();
    }
    storage.sweep(NOW + DAY, 100).await.unwrap();
    assert!(storage.used() > 0, "it was forgotten an hour after its newest id");
    storage.sweep(NOW + DAY + DAY, 100).await.unwrap();
    assert_eq!(storage.used(), 0);
}

#[tokio::test]
async fn any_number_of_channels_can_come_and_go() {
    let storage = MemoryStorage::with_capacity(256 * 1024);
    let mut now = NOW;
    for number in 0..20_000_u128 {
        let end = now + Duration::from_millis(1);
        let item = publish(id(number), 10, Retention::Until(end));
        storage.commit(&format!("room.{number}"), vec![item], now).await.unwrap();
        now = end;
        if number % 100 == 0 {
            storage.sweep(now, 1000).await.unwrap();
        }
    }
}

#[tokio::test]
async fn payloads_do_not_pin_the_buffers_that_they_came_in() {
    let storage = MemoryStorage::new();
    let buffer = Bytes::from(vec![b'1'; 64 * 1024]);
    let message =
        Message { id: id(1), event: "e".to_owned(), data: buffer.slice(..8), author: None };
    let publish = Publish { message, retention: Retention::Forever, deduplication: None };
    storage.commit("room", vec![Write::Publish(publish).into()], NOW).await.unwrap();
    assert!(buffer.is_unique(), "the store keeps 64 KiB for 8 bytes");
}
