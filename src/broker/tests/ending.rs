//! The end of a broker.

use super::*;
use crate::auth::{Algorithm, VerifyingKey};
use crate::broker::Broker;

#[tokio::test]
async fn the_storage_is_not_closed_under_a_sweep() {
    let storage = Arc::new(FaultyStorage::default());
    storage.close_sweep_gate();
    let shared: Arc<dyn Storage> = Arc::<FaultyStorage>::clone(&storage);
    let broker = Broker::builder()
        .verifying_key(VerifyingKey::hmac(Algorithm::HS256, &[1; 32]).unwrap())
        .shared_storage(shared)
        .build()
        .await
        .unwrap();
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
