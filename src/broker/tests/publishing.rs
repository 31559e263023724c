//! Protocol section 10, as plain Rust calls.

use super::*;
use crate::auth::{Algorithm, VerifyingKey};
use crate::broker::{Broker, EntryQuery, EntryUpdate, HistoryQuery, Message, Reaction};
use fanfare_storage::{ErrorKind, MemoryStorage};
use std::collections::HashSet;

pub(super) const START: u64 = 1_700_000_000;

pub(super) async fn broker(storage: Arc<dyn Storage>) -> (Broker, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_unix_seconds(START)));
    let key = VerifyingKey::hmac(Algorithm::HS256, &[1; 32]).unwrap();
    let builder = Broker::builder().verifying_key(key).storage(storage);
    let broker = builder.build_with(Arc::<ManualClock>::clone(&clock)).await.unwrap();
    (broker, clock)
}

fn repeatable(channel: &str, data: u64) -> Message {
    Message::new(channel, "e").data(&data).deduplication_id("d")
}

#[tokio::test]
async fn section_10_a_repeated_message_is_dropped_and_answered_with_the_first_ones_id() {
    for store in [false, true] {
        let (broker, clock) = broker(Arc::new(MemoryStorage::new())).await;
        let subscriber = Subscriber::join(&broker.core.hub, "c", BUDGET);
        let publish = async |channel: &str, data: u64| {
            let message = repeatable(channel, data);
            let message = if store { message.store_forever() } else { message };
            broker.publish(message).await.unwrap()
        };
        let first = publish("c", 1).await;
        assert!(!first.is_duplicate());
        let again = publish("c", 2).await;
        assert_eq!((again.id(), again.is_duplicate()), (first.id(), true));
        assert!(!publish("other", 3).await.is_duplicate());
        // Counted from the first, whatever came since.
        clock.set_wall(Timestamp::from_unix_millis(START * 1_000 + 299_999));
        assert!(publish("c", 4).await.is_duplicate());
        clock.set_wall(Timestamp::from_unix_seconds(START + 300));
        let fresh = publish("c", 5).await;
        assert!(!fresh.is_duplicate() && fresh.id() > first.id());
        assert_eq!(subscriber.messages(), [(first.id(), 1), (fresh.id(), 5)]);
    }
}

#[tokio::test]
async fn section_10_of_many_repetitions_at_once_one_is_published() {
    let (broker, _) = broker(Arc::new(MemoryStorage::new())).await;
    let subscriber = Subscriber::join(&broker.core.hub, "c", BUDGET);
    let calls: Vec<_> = (0..100)
        .map(|number| {
            let broker = broker.clone();
            tokio::spawn(async move { broker.publish(repeatable("c", number)).await.unwrap() })
        })
        .collect();
    let mut ids = HashSet::new();
    for call in calls {
        ids.insert(call.await.unwrap().id());
    }
    let [(id, _)] = subscriber.messages()[..] else { panic!("not one message") };
    assert_eq!(ids, HashSet::from([id]));
}

#[tokio::test]
async fn section_10_a_batch_keeps_the_order_of_each_channel_and_is_stored_together() {
    let storage = Arc::new(FaultyStorage::default());
    let (broker, _) = broker(Arc::<FaultyStorage>::clone(&storage)).await;
    storage.close_gate();
    let batch = (0..300_u64).map(|number| {
        Message::new(["a", "b", "c"][number as usize % 3], "e").data(&number).store_forever()
    });
    let batch: Vec<_> = batch.collect();
    let publishing = tokio::spawn({
        let broker = broker.clone();
        async move { broker.publish_batch(batch).await }
    });
    until(|| storage.commits() == 3).await;
    storage.open_gate();
    let published = publishing.await.unwrap();
    assert_eq!(published.len(), 300);
    assert!(storage.commits() < 30, "{} commits", storage.commits());
    for (first, channel) in ["a", "b", "c"].into_iter().enumerate() {
        let history = broker.history(channel, &HistoryQuery::default()).await.unwrap().messages;
        let data: Vec<u64> =
            history.iter().map(|one| serde_json::from_slice(&one.data).unwrap()).collect();
        assert_eq!(data, (first as u64..300).step_by(3).collect::<Vec<_>>());
        let ids = published.iter().skip(first).step_by(3).map(|one| one.as_ref().unwrap().id());
        assert_eq!(history.iter().map(|one| one.id).collect::<Vec<_>>(), ids.collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn section_10_what_is_wrong_in_a_batch_is_told_in_its_place() {
    let storage = Arc::new(FaultyStorage::default());
    let (broker, _) = broker(Arc::<FaultyStorage>::clone(&storage)).await;
    storage.set_mode(faulty::Mode::Fail);
    let results = broker
        .publish_batch([
            Message::new("a", "e"),
            Message::new("a b", "e"),
            Message::new("a", "hotsock.e"),
            Message::new("a", "e").store_forever(),
            Message::new("b", "e").deduplication_id(""),
            Message::new("b", "e").deduplication_id("d".repeat(256)),
        ])
        .await;
    let codes = results.iter().map(|result| match result {
        Ok(_) => "",
        Err(error) => error.code().as_str(),
    });
    let expected = [
        "",
        "INVALID_CHANNEL_NAME",
        "INVALID_EVENT_NAME",
        "STORAGE_UNAVAILABLE",
        "INVALID_MESSAGE",
        "STORAGE_UNAVAILABLE",
    ];
    assert_eq!(codes.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn section_10_one_message_goes_to_many_channels() {
    let (broker, _) = broker(Arc::new(MemoryStorage::new())).await;
    let subscribers = ["a", "b"].map(|name| Subscriber::join(&broker.core.hub, name, BUDGET));
    let message = Message::new("", "e").data(&7);
    let results = broker.publish_to(["a", "#", "b"], message).await.unwrap();
    assert!(results[1].as_ref().unwrap_err().is_invalid_input());
    for (result, subscriber) in [&results[0], &results[2]].into_iter().zip(subscribers) {
        assert_eq!(subscriber.messages(), [(result.as_ref().unwrap().id(), 7)]);
    }
    let wrong = broker.publish_to(["a"], Message::new("", "e*")).await;
    assert!(wrong.unwrap_err().is_invalid_input());
}

#[tokio::test]
async fn what_the_storage_said_comes_with_the_error() {
    let storage = Arc::new(FaultyStorage::default());
    let (broker, _) = broker(Arc::<FaultyStorage>::clone(&storage)).await;
    let first = broker.publish(Message::new("c", "e").store_forever()).await.unwrap().id();
    storage.set_mode(faulty::Mode::Full);
    storage.fail_revocations(true);
    let thumb = || Reaction::new("+1", "jim");
    let full = [
        broker.publish(Message::new("c", "e").store_forever()).await.err(),
        broker.publish_batch([Message::new("c", "e").store_forever()]).await.remove(0).err(),
        broker.set_entry(EntryUpdate::set("c", "k", &1)).await.err(),
        broker.add_reaction("c", first, thumb()).await.err(),
        broker.remove_reaction("c", first, thumb()).await.err(),
    ];
    storage.fail_reads(2);
    let unavailable = [
        broker.history("c", &HistoryQuery::default()).await.err(),
        broker.entries("c", &EntryQuery::default()).await.err(),
        broker.revoke_token("jti", None).await.err(),
    ];
    let full = full.map(|error| (error, ErrorKind::Full));
    let unavailable = unavailable.map(|error| (error, ErrorKind::Unavailable));
    for (place, (error, kind)) in full.into_iter().chain(unavailable).enumerate() {
        let error = error.unwrap_or_else(|| panic!("the call {place} did not fail"));
        assert!(error.is_storage_unavailable(), "{place}: {error}");
        assert_eq!(error.storage_error().unwrap().kind(), kind, "{place}");
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.downcast_ref::<fanfare_storage::Error>().unwrap().kind(), kind);
    }
}

#[tokio::test]
async fn what_failed_can_be_tried_again_as_it_is() {
    let storage = Arc::new(FaultyStorage::default());
    let (broker, _) = broker(Arc::<FaultyStorage>::clone(&storage)).await;
    let message = repeatable("c", 1).store_forever();
    let update = EntryUpdate::set("c", "k", &1);
    storage.set_mode(faulty::Mode::Fail);
    broker.publish(message.clone()).await.unwrap_err();
    broker.set_entry(update.clone()).await.unwrap_err();
    storage.set_mode(faulty::Mode::Work);
    broker.publish(message).await.unwrap();
    assert!(broker.set_entry(update).await.unwrap().changed);
}

#[tokio::test]
async fn json_text_of_the_host_s_loses_the_white_space_around_it_and_a_null_is_no_metadata() {
    let (broker, _) = broker(Arc::new(MemoryStorage::new())).await;
    let message = Message::new("c", "e").raw_data(" [ 1.50 ]\n").store_forever();
    let id = broker.publish(message).await.unwrap().id();
    for (uid, umd) in [("jim", " null "), ("pam", " {} ")] {
        let reaction = Reaction::new("+1", uid).raw_umd(umd);
        assert!(broker.add_reaction("c", id, reaction).await.unwrap());
    }
    broker.set_entry(EntryUpdate::set_raw("c", "k", " [ 1.50 ]\n")).await.unwrap();

    let history = broker.history("c", &HistoryQuery::default()).await.unwrap();
    assert_eq!(history.messages[0].data, "[ 1.50 ]");
    assert_eq!(broker.entry("c", "k").await.unwrap().unwrap().data, "[ 1.50 ]");
    let given = broker.reactions("c", id).await.unwrap();
    let umd: Vec<_> = given.iter().map(|reaction| reaction.umd.as_deref()).collect();
    assert_eq!(umd, [None, Some(&b"{}"[..])]);

    let wrong = Reaction::new("+1", "jim").raw_umd("{");
    assert!(broker.add_reaction("c", id, wrong).await.unwrap_err().is_invalid_input());
}
