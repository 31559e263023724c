//! Numbers that tell how a broker is doing.

use crate::client::Client;
use crate::server::{Server, builder, until};
use crate::token::chat;
use fanfare::{Message, Stats};
use serde_json::json;

#[tokio::test]
async fn they_count_what_happens() {
    let server = Server::start().await;
    let mut jim = Client::subscribed(&server, &chat("jim"), "a").await;
    jim.subscribe("b").await;
    let mut ann = Client::subscribed(&server, &chat("ann"), "a").await;
    server.broker.publish(Message::new("a", "e").store_forever()).await.unwrap();
    server.broker.publish(Message::new("b", "e")).await.unwrap();
    server.broker.publish(Message::new("empty", "e")).await.unwrap();
    jim.publish("a", "typing", &json!(1)).await;
    for (client, count) in [(&mut jim, 2), (&mut ann, 2)] {
        for _ in 0..count {
            client.next().await;
        }
    }
    server.broker.revoke_token("x", None).await.unwrap();
    let mut expected = Stats::default();
    expected.connections = 2;
    expected.channels = 2;
    expected.subscriptions = 3;
    expected.revocations = 1;
    expected.connections_opened = 2;
    expected.published = 4;
    expected.delivered = 4;
    expected.stored = 1;
    assert_eq!(server.broker.stats().await, expected);

    jim.send(&json!({"event": "hotsock.unsubscribe", "channel": "b"})).await;
    jim.next().await;
    drop(ann);
    until(|| server.broker.connection_count() == 1).await;
    let stats = server.broker.stats().await;
    assert_eq!((stats.connections, stats.channels, stats.subscriptions), (1, 1, 1));
    server.broker.shutdown().await.unwrap();
    let stats = server.broker.stats().await;
    assert_eq!((stats.connections, stats.channels, stats.subscriptions), (0, 0, 0));
    assert!(server.broker.check().await.is_err());
    assert_eq!(stats.storage_errors, 0, "an end is no failure");
}

#[tokio::test]
async fn they_count_slow_consumers_and_what_these_miss() {
    let server = Server::with(builder().max_queued_bytes(64 << 10)).await;
    let mut slow = Client::subscribed(&server, &chat("slow"), "c").await;
    let data = "x".repeat(30_000);
    let mut queued = 0;
    while server.broker.channel_info("c").unwrap().subscriptions_count() == 1 {
        server.broker.publish(Message::new("c", "e").data(&data)).await.unwrap();
        queued = queued.max(server.broker.stats().await.queued_bytes);
        tokio::task::yield_now().await;
    }
    assert!(queued > 0 && queued <= 64 << 10, "{queued}");
    assert_eq!(slow.close_code().await, 4429);
    let stats = server.broker.stats().await;
    assert_eq!((stats.slow_consumers, stats.queued_bytes), (1, 0));
    assert!(stats.dropped > 1 && stats.dropped < stats.delivered, "{stats:?}");
    let text = stats.to_prometheus();
    let line = format!(
        "# TYPE fanfare_messages_dropped_total counter\nfanfare_messages_dropped_total {}\n",
        stats.dropped
    );
    assert!(text.contains(&line), "{text}");
    assert_eq!(text.lines().count(), 3 * 14);
}
