//! Protocol section 12: values of a channel's storage that expire.

use super::*;
use crate::auth::{Algorithm, SigningKey};
use crate::broker::events::ChannelStorageEvent;
use crate::broker::{Broker, EntryUpdate, EventKind, EventStream, Trigger, sweep};

async fn broker() -> (Broker, Arc<ManualClock>, Arc<FaultyStorage>) {
    let key = SigningKey::hmac(Algorithm::HS256, &[1; 32]).unwrap();
    let clock = Arc::new(ManualClock::at(Timestamp::from_unix_seconds(1_700_000_000)));
    let storage = Arc::new(FaultyStorage::default());
    let shared: Arc<dyn Storage> = Arc::<FaultyStorage>::clone(&storage);
    let builder = Broker::builder().verifying_key(key.verifying_key()).storage(shared);
    let broker = builder.build_with(Arc::<ManualClock>::clone(&clock)).await.unwrap();
    (broker, clock, storage)
}

async fn next_entry(events: &mut EventStream) -> ChannelStorageEvent {
    let event = events.recv().await.unwrap().unwrap();
    let EventKind::ChannelStorageUpdated(entry) = event.kind() else { panic!("{event:?}") };
    entry.clone()
}

#[tokio::test]
async fn section_12_a_value_that_is_set_before_it_was_swept_is_told_to_have_expired_first() {
    let (broker, clock, storage) = broker().await;
    let minute = Duration::from_secs(60);
    let set = |key: &str, value: &str, told: bool| {
        broker.set_entry(EntryUpdate::set_raw("c", key, value).emit_pub_sub_event(told))
    };
    let brief = |key: &str| {
        let update = EntryUpdate::set_raw("c", key, "1").store_for(minute);
        broker.set_entry(update.emit_pub_sub_event(true))
    };
    for key in ["same", "other", "silent"] {
        brief(key).await.unwrap();
    }
    storage.close_sweep_gate();
    let mut events = broker.events();
    clock.set_wall(Timestamp::from_unix_seconds(1_700_000_060));
    for (key, value, told) in [("same", "1", true), ("other", "2", true), ("silent", "2", false)] {
        assert!(set(key, value, told).await.unwrap().changed, "{key}");
        let expired = next_entry(&mut events).await;
        assert_eq!((&*expired.key, &expired.data, expired.expired), (key, &None, true));
        assert_eq!(expired.data_previous.as_deref(), Some(&b"1"[..]));
        if told {
            let anew = next_entry(&mut events).await;
            assert_eq!((&*anew.key, anew.data.as_deref()), (key, Some(value.as_bytes())));
            assert_eq!((anew.data_previous, anew.expired), (None, false));
        }
    }
    storage.open_sweep_gate();
    sweep(&broker.core).await;
    drop(broker);
    assert_eq!(events.recv().await, None, "nothing is told twice");
}

#[tokio::test]
async fn section_12_an_entry_s_expiry_is_told_where_its_last_write_asked_for_that() {
    let (broker, clock, storage) = broker().await;
    let minute = Duration::from_secs(60);
    let set = |key: &str, told: bool| {
        let update = EntryUpdate::set_raw("c", key, "[1.0]").store_for(minute);
        broker.set_entry(update.emit_pub_sub_event(told))
    };
    set("told", true).await.unwrap();
    set("untold", false).await.unwrap();
    set("silenced", true).await.unwrap();
    set("silenced", false).await.unwrap();

    // Nothing is kept of a request that no event is to tell of.
    let now = clock.now().wall;
    let kept = async |key: &str| storage.entry("c", key, now).await.unwrap().unwrap().context.len();
    assert_eq!(kept("untold").await, MessageId::TEXT_LEN);
    assert!(kept("told").await > MessageId::TEXT_LEN);

    let mut events = broker.events();
    sweep(&broker.core).await;
    let end = Timestamp::from_unix_seconds(1_700_000_060);
    clock.set_wall(end);
    sweep(&broker.core).await;
    sweep(&broker.core).await;
    drop(broker);
    let event = events.recv().await.unwrap().unwrap();
    let EventKind::ChannelStorageUpdated(entry) = event.kind() else { panic!("{event:?}") };
    assert_eq!((&*entry.channel, &*entry.key, entry.expired), ("c", "told", true));
    assert_eq!((&entry.data, entry.expires_at), (&None, Some(end)));
    assert_eq!(entry.data_previous.as_deref(), Some(&b"[1.0]"[..]));
    let metadata = event.metadata();
    assert_eq!(metadata.trigger, Some(Trigger::ServerEmbedded));
    assert_eq!((metadata.channel.as_deref(), metadata.key.as_deref()), (Some("c"), Some("told")));
    assert_eq!(events.recv().await, None);
}
