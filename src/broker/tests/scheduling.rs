//! Protocol section 11: schedules, as a broker carries them out.

use super::publishing::{START, broker};
use super::*;
use crate::broker::schedule::{Deed, Task};
use crate::broker::{Broker, HistoryQuery, Message, ScheduleQuery, ScheduledAction};
use crate::protocol::store::StoreFor;
use fanfare_storage::{Author, MemoryStorage, Schedule};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_seconds(START + seconds)
}

fn message(data: u64) -> Message {
    Message::new("c", "e").data(&data)
}

async fn waiting(broker: &Broker) -> Vec<crate::broker::Schedule> {
    broker.schedules(&ScheduleQuery::default()).await.unwrap().schedules
}

/// Waits for so many messages, on tokio's clock, which stands still while a task is busy.
async fn received(subscriber: &Subscriber, count: usize) -> Vec<(MessageId, u64)> {
    let mut messages = subscriber.messages();
    let all = async {
        while messages.len() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
            messages.extend(subscriber.messages());
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("not received in a minute");
    messages
}

/// The data of so many messages, which come in the order of their times, then of their calls.
async fn data(subscriber: &Subscriber, count: usize) -> Vec<u64> {
    received(subscriber, count).await.into_iter().map(|(_, data)| data).collect()
}

async fn tried(storage: &FaultyStorage, commits: usize) {
    let tried = async {
        while storage.commits() < commits {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), tried).await.expect("not tried in a minute");
}

async fn all_done(broker: &Broker) {
    done_until(broker, Timestamp::MAX).await;
}

async fn done_until(broker: &Broker, time: Timestamp) {
    let done = async {
        while waiting(broker).await.first().is_some_and(|next| next.due <= time) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), done).await.expect("not done in a minute");
}

#[tokio::test(start_paused = true)]
async fn section_11_a_message_is_published_at_its_time() {
    let (broker, clock) = broker(Arc::new(MemoryStorage::new())).await;
    let subscriber = Subscriber::join(&broker.core.hub, "c", BUDGET);
    let kept = message(1).store_for(Duration::from_secs(10)).schedule_at(at(100));
    let scheduled = broker.publish(kept).await.unwrap();
    assert_eq!(scheduled.schedule_id(), Some(scheduled.id()));
    broker.publish(message(2).schedule_at(at(50))).await.unwrap();
    let far = message(3).schedule_expression("at(2123-11-14T22:13:20)", Some("UTC"));
    broker.publish(far).await.unwrap();
    assert_eq!(waiting(&broker).await.len(), 3);

    clock.set_wall(at(99));
    let [(_, 2)] = received(&subscriber, 1).await[..] else { panic!("not just the second") };
    tokio::time::sleep(Duration::from_secs(5)).await;
    clock.set_wall(at(100));
    let [(id, 1)] = received(&subscriber, 1).await[..] else { panic!("not the first") };
    // Its id, and its lifetime, begin now.
    assert_eq!(id.timestamp(), at(100));
    clock.set_wall(at(109));
    let history = async || broker.history("c", &HistoryQuery::default()).await.unwrap().messages;
    assert_eq!(history().await.len(), 1);
    clock.set_wall(at(110));
    assert!(history().await.is_empty());
    assert_eq!(waiting(&broker).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn section_11_schedules_are_listed_and_cancelled() {
    let (broker, clock) = broker(Arc::new(MemoryStorage::new())).await;
    let subscriber = Subscriber::join(&broker.core.hub, "c", BUDGET);
    let mut ids = Vec::new();
    for number in 0..5 {
        let scheduled = broker.publish(message(number).schedule_at(at(10 + number))).await;
        ids.push(scheduled.unwrap().id());
    }
    let query = ScheduleQuery { until: at(13), limit: 3, ..ScheduleQuery::default() };
    let page = broker.schedules(&query).await.unwrap();
    assert_eq!(page.schedules.iter().map(|one| one.id).collect::<Vec<_>>(), ids[..3]);
    assert_eq!(page.next, Some((at(12), ids[2])));
    let last = &page.schedules[2];
    assert_eq!((last.due, &*last.channel), (at(12), "c"));
    let expected = ScheduledAction::Publish {
        event: "e".to_owned(),
        data: Bytes::from_static(b"2"),
        uid: None,
    };
    assert_eq!(last.action, expected);
    let page = broker.schedules(&ScheduleQuery { after: page.next, ..query }).await.unwrap();
    assert_eq!((page.schedules[0].id, page.schedules.len(), page.next), (ids[3], 1, None));

    assert!(broker.cancel_schedule(ids[0]).await.unwrap());
    assert!(!broker.cancel_schedule(ids[0]).await.unwrap());
    clock.set_wall(at(20));
    all_done(&broker).await;
    assert_eq!(data(&subscriber, 4).await, [1, 2, 3, 4]);
    assert!(!broker.cancel_schedule(ids[1]).await.unwrap());
}

#[tokio::test]
async fn section_11_the_past_and_what_is_no_time_are_refused() {
    let (broker, _) = broker(Arc::new(MemoryStorage::new())).await;
    let past = Timestamp::from_unix_millis(START * 1_000 - 1);
    for bad in [
        message(1).schedule_at(past),
        message(1).schedule_expression("at(2023-11-14T22:13:19)", None),
        message(1).schedule_expression("soon", None),
        message(1).schedule_expression("at(2100-01-01T00:00:00)", Some("Nowhere")),
    ] {
        let error = broker.publish(bad).await.unwrap_err();
        assert_eq!(error.code().as_str(), "INVALID_SCHEDULE");
    }
    assert!(waiting(&broker).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn section_11_what_was_due_while_the_broker_was_down_is_delivered_at_start_once() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let (first, clock) = broker(Arc::clone(&storage)).await;
    let batch = (0..1_000).map(|number| {
        let channel = ["a", "b"][number as usize % 2];
        Message::new(channel, "e").data(&number).store_forever().schedule_at(at(number))
    });
    for scheduled in first.publish_batch(batch).await {
        scheduled.unwrap();
    }
    drop(first);
    drop(clock);
    // Two brokers, and each message once all the same.
    let clock = Arc::new(ManualClock::at(at(5_000)));
    let mut brokers = Vec::new();
    for _ in 0..2 {
        let key = crate::auth::VerifyingKey::hmac(crate::auth::Algorithm::HS256, &[1; 32]);
        let builder = Broker::builder().verifying_key(key.unwrap());
        let builder = builder.storage(Arc::clone(&storage));
        brokers.push(builder.build_with(Arc::<ManualClock>::clone(&clock)).await.unwrap());
    }
    all_done(&brokers[0]).await;
    for (first, channel) in ["a", "b"].into_iter().enumerate() {
        let query = HistoryQuery { limit: 1_000, ..HistoryQuery::default() };
        let history = brokers[0].history(channel, &query).await.unwrap().messages;
        let mut data: Vec<u64> =
            history.iter().map(|one| serde_json::from_slice(&one.data).unwrap()).collect();
        // Two brokers at work may put one page before the other.
        data.sort_unstable();
        assert_eq!(data, (first as u64..1_000).step_by(2).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn section_11_a_storage_that_fails_delays_and_loses_nothing() {
    let storage = Arc::new(FaultyStorage::default());
    let (broker, clock) = broker(Arc::<FaultyStorage>::clone(&storage)).await;
    let subscriber = Subscriber::join(&broker.core.hub, "c", BUDGET);
    for number in 0..3 {
        broker.publish(message(number).schedule_at(at(1))).await.unwrap();
    }
    storage.set_mode(faulty::Mode::Fail);
    let before = storage.commits();
    let error = broker.publish(message(9).schedule_at(at(1))).await.unwrap_err();
    assert!(error.is_storage_unavailable());
    clock.set_wall(at(1));
    // The manual clock's steady part stands still, so that the first retry never comes by
    // itself; the wall clock alone shows that it was tried.
    tried(&storage, before + 2).await;
    assert_eq!(waiting(&broker).await.len(), 3);
    assert!(subscriber.messages().is_empty());
    storage.set_mode(faulty::Mode::Panic);
    clock.advance(Duration::from_secs(10));
    tried(&storage, before + 3).await;
    clock.advance(Duration::from_secs(10));
    all_done(&broker).await;
    assert_eq!(data(&subscriber, 3).await, [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn section_11_what_a_newer_version_wrote_is_left() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let id = MessageId::from_parts(at(0), 7);
    let payload = Bytes::from_static(br#"{"v":9,"what":"ever"}"#);
    let newer = Schedule { id, due: at(0), channel: "c".to_owned(), payload };
    storage.commit("c", vec![newer.into()], at(0)).await.unwrap();
    let (broker, clock) = broker(storage).await;
    let subscriber = Subscriber::join(&broker.core.hub, "c", BUDGET);
    broker.publish(message(1).schedule_at(at(5))).await.unwrap();
    clock.set_wall(at(6));
    received(&subscriber, 1).await;
    let left = waiting(&broker).await;
    assert_eq!((left.len(), left[0].id, &left[0].action), (1, id, &ScheduledAction::Unknown));
}

#[tokio::test(start_paused = true)]
async fn section_11_channel_storage_is_set_at_its_time_with_a_lifetime_from_then() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let (broker, clock) = broker(Arc::clone(&storage)).await;
    let author = Author { uid: Some("jim".to_owned()), umd: None };
    for (value, store, due) in [
        (Some("[1]"), StoreFor::Seconds(60), 10),
        (Some("[ 2 ]"), StoreFor::Forever, 20),
        (None, StoreFor::Forever, 30),
    ] {
        let deed = Deed::SetEntry { key: "k".to_owned(), value: value.map(str::to_owned) };
        let task = Task { author: Some(author.clone()), store, emit: false, cause: None, deed };
        let booking = broker.core.book("c", at(due), &task).unwrap();
        let pending = broker.core.enqueue_booking(&"c".into(), booking).await;
        pending.settled().await.unwrap();
    }
    let ScheduledAction::SetEntry { key, .. } = &waiting(&broker).await[0].action else {
        panic!("no change of storage")
    };
    assert_eq!(key, "k");
    for (time, expected) in
        [(10, Some((&b"[1]"[..], Some(at(70))))), (20, Some((&b"[ 2 ]"[..], None))), (30, None)]
    {
        clock.set_wall(at(time));
        done_until(&broker, at(time)).await;
        let entry = storage.entry("c", "k", at(time)).await.unwrap();
        let found = entry.as_ref().map(|entry| (&entry.value[..], entry.expires_at));
        assert_eq!(found, expected);
        assert!(entry.is_none_or(|entry| entry.author.as_ref() == Some(&author)));
    }
}

#[tokio::test(start_paused = true)]
async fn section_10_a_scheduled_message_is_compared_when_it_is_due() {
    let (broker, clock) = broker(Arc::new(MemoryStorage::new())).await;
    let subscriber = Subscriber::join(&broker.core.hub, "c", BUDGET);
    let repeatable = |data, due| message(data).deduplication_id("d").schedule_at(at(due));
    for (data, due) in [(1, 10), (2, 10), (3, 20), (4, 400)] {
        broker.publish(repeatable(data, due)).await.unwrap();
    }
    for time in [10, 20, 400] {
        clock.set_wall(at(time));
        done_until(&broker, at(time)).await;
    }
    assert_eq!(data(&subscriber, 2).await, [1, 4]);
    assert!(subscriber.messages().is_empty());
}

#[tokio::test]
async fn section_11_the_broker_is_gone_with_its_last_handle() {
    let (broker, _) = broker(Arc::new(MemoryStorage::new())).await;
    broker.publish(message(1).schedule_at(at(1_000))).await.unwrap();
    let core = Arc::downgrade(&broker.core);
    drop(broker);
    until(|| core.upgrade().is_none()).await;
}
