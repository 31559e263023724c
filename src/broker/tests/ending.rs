//! The end of a broker.

use super::*;
use crate::auth::{Algorithm, VerifyingKey};
use crate::broker::{
    Broker, EntryQuery, EntryUpdate, HistoryQuery, Message, Reaction, ScheduleQuery,
};
use fanfare_storage::ErrorKind;
use tokio::time::Instant;

async fn broker(storage: &Arc<FaultyStorage>) -> Broker {
    let shared: Arc<dyn Storage> = Arc::<FaultyStorage>::clone(storage);
    let key = VerifyingKey::hmac(Algorithm::HS256, &[1; 32]).unwrap();
    Broker::builder().verifying_key(key).storage(shared).build().await.unwrap()
}

#[tokio::test]
async fn the_storage_is_not_closed_under_a_sweep() {
    let storage = Arc::new(FaultyStorage::default());
    storage.close_sweep_gate();
    let broker = broker(&storage).await;
    until(|| storage.is_sweeping()).await;
    let shutdown = tokio::spawn(async move { broker.shutdown().await });
    // As far as it comes while the sweep goes on.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert!(!shutdown.is_finished());
    storage.open_sweep_gate();
    shutdown.await.unwrap().unwrap();
    assert!(!storage.was_closed_while_sweeping());
}

#[tokio::test]
async fn the_storage_is_closed_though_a_full_disk_takes_no_more_ids() {
    let storage = Arc::new(FaultyStorage::default());
    storage.fail_high_water();
    let broker = broker(&storage).await;
    // It is not stored, so that its id is still to be noted.
    broker.publish(Message::new("c", "e")).await.unwrap();
    assert!(broker.shutdown().await.unwrap_err().is_storage_unavailable());
    assert_eq!(storage.check().await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test(start_paused = true)]
async fn all_that_a_shutdown_waits_for_shares_its_patience() {
    let storage = Arc::new(FaultyStorage::default());
    storage.close_gate();
    storage.close_sweep_gate();
    let broker = broker(&storage).await;
    until(|| storage.is_sweeping()).await;
    let publishing = tokio::spawn({
        let broker = broker.clone();
        async move { broker.publish(Message::new("c", "e").store_forever()).await }
    });
    until(|| storage.commits() == 1).await;
    // On the runtime's clock, which goes only where everybody waits.
    let start = Instant::now();
    broker.shutdown_within(Duration::from_secs(8)).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 8);
    assert_eq!(storage.check().await.unwrap_err().kind(), ErrorKind::Closed);
    publishing.abort();
}

#[tokio::test]
async fn a_shutdown_may_be_without_patience_or_have_all_of_it() {
    for patience in [Duration::ZERO, Duration::MAX] {
        let storage = Arc::new(FaultyStorage::default());
        let broker = broker(&storage).await;
        broker.publish(Message::new("c", "e").store_forever()).await.unwrap();
        broker.shutdown_within(patience).await.unwrap();
        broker.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn whatever_is_asked_of_a_broker_that_has_ended_it_is_said_to_have_ended() {
    let storage = Arc::new(FaultyStorage::default());
    let broker = broker(&storage).await;
    let id = broker.publish(Message::new("c", "e").store_forever()).await.unwrap().id();
    broker.shutdown().await.unwrap();
    let errors = [
        broker.history("c", &HistoryQuery::default()).await.err(),
        broker.entry("c", "k").await.err(),
        broker.entries("c", &EntryQuery::default()).await.err(),
        broker.reactions("c", id).await.err(),
        broker.schedules(&ScheduleQuery::default()).await.err(),
        broker.cancel_schedule(id).await.err(),
        broker.revoke_user("jim", Timestamp::MAX, None).await.err(),
        broker.publish(Message::new("c", "e")).await.err(),
        broker.set_entry(EntryUpdate::clear("c", "k")).await.err(),
        broker.add_reaction("c", id, Reaction::new("+1", "jim")).await.err(),
        broker.check().await.err(),
    ];
    for (place, error) in errors.into_iter().enumerate() {
        let error = error.unwrap_or_else(|| panic!("the call {place} did not fail"));
        assert!(error.is_shutting_down() && !error.is_storage_unavailable(), "{place}: {error}");
    }
}
