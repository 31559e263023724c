//! Numbers that tell how a broker is doing.

use crate::client::{Client, request};
use crate::server::{API_KEY, Server, builder, until};
use crate::token::{chat, connect, now};
use fanfare::{Message, Stats};
use http::Request;
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
    let Stats { connections, channels, subscriptions, revocations, .. } =
        server.broker.stats().await;
    assert_eq!((connections, channels, subscriptions, revocations), (2, 2, 3, 1));
    let stats = server.broker.stats().await;
    let Stats { connections_opened, published, delivered, stored, .. } = stats;
    assert_eq!((connections_opened, published, delivered, stored), (2, 4, 4, 1));
    let Stats { queued_bytes, waiting_bytes, dropped, slow_consumers, storage_errors, .. } = stats;
    let nothing = [queued_bytes, waiting_bytes, dropped, slow_consumers, storage_errors];
    assert_eq!(nothing, [0; 5]);
    assert!(stats.to_prometheus().contains("\nfanfare_storage_commit_seconds_count 1\n"));

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
    assert!(!text.contains("max_connections"), "there is no limit");
}

/// Of what was counted by kinds, those that occurred.
fn occurred(counts: impl Iterator<Item = (&'static str, u64)>) -> Vec<(&'static str, u64)> {
    counts.filter(|(_, count)| *count > 0).collect()
}

#[tokio::test]
async fn they_count_what_is_refused_by_its_code() {
    let server = Server::start().await;
    let mut jim = Client::connect(&server, &chat("jim")).await;
    for message in [
        json!({"event": "chat", "channel": "c"}),
        json!({"event": "hotsock.unsubscribe", "channel": "c"}),
        json!({"event": "hotsock.nothing"}),
        json!({"event": "hotsock.channelStorageGet", "channel": "c", "key": "k"}),
    ] {
        jim.send(&message).await;
        assert_eq!(jim.next().await["event"], "hotsock.error");
    }
    let body = json!({"channel": "c"});
    assert_eq!(jim.call(&server, "listMessages", &body).await.status, 403);
    let wrong = Request::get("/channels/c").header("authorization", "Bearer of bad news");
    for request_of in [wrong, Request::get("/nothing"), Request::delete("/publish")] {
        request(server.address, request_of.body(String::new()).unwrap()).await;
    }
    let batch = json!([{"channel": "c", "event": "e"}, {"event": "e"}, {"channel": "c"}]);
    let publish = Request::post("/publish").header("authorization", format!("Bearer {API_KEY}"));
    let answer = request(server.address, publish.body(batch.to_string()).unwrap()).await;
    assert_eq!(answer.status, 202);
    let stats = server.broker.stats().await;
    let expected = [
        ("NOT_SUBSCRIBED", 3),
        ("STORAGE_PERMISSION_DENIED", 1),
        ("INVALID_CHANNEL_NAME", 1),
        ("INVALID_EVENT_NAME", 1),
        ("UNKNOWN_COMMAND", 1),
        ("INVALID_API_KEY", 1),
        ("NOT_FOUND", 1),
        ("METHOD_NOT_ALLOWED", 1),
    ];
    assert_eq!(occurred(stats.refused()), expected);
    let line = "\nfanfare_refusals_total{code=\"NOT_SUBSCRIBED\"} 3\n";
    assert!(stats.to_prometheus().contains(line));
}

#[tokio::test]
async fn they_count_tokens_that_open_no_connection_by_what_is_wrong() {
    let server = Server::with(builder().audience("us")).await;
    let ours = |more: serde_json::Value| {
        let mut claims = json!({"aud": "us"});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        connect(&claims)
    };
    for (token, times) in [
        (String::new(), 1),
        ("a.b.c".to_owned(), 2),
        (ours(json!({"exp": 1})), 1),
        (ours(json!({"nbf": now() + 600})), 3),
        (connect(&json!({})), 1),
        (ours(json!({"uid": 1})), 1),
        (ours(json!({"scope": "umd"})), 1),
    ] {
        for _ in 0..times {
            let request_of = Request::get(format!("/v1?token={token}")).body(String::new());
            assert_eq!(request(server.address, request_of.unwrap()).await.status, 401);
        }
    }
    let stats = server.broker.stats().await;
    let expected = [
        ("missing", 1),
        ("not_verified", 2),
        ("expired", 1),
        ("not_yet", 3),
        ("audience", 1),
        ("claims", 1),
        ("scope", 1),
    ];
    assert_eq!(occurred(stats.refused_tokens()), expected);
    assert_eq!(occurred(stats.refused()), [("INVALID_TOKEN", 10)]);
    let line = "\nfanfare_refused_tokens_total{reason=\"not_yet\"} 3\n";
    assert!(stats.to_prometheus().contains(line));
}

#[tokio::test]
async fn they_count_connections_that_are_closed_by_why() {
    let server = Server::start().await;
    let mut jim = Client::connect(&server, &chat("jim")).await;
    jim.send_text(&" ".repeat((64 << 10) + 1)).await;
    assert_eq!(jim.close_code().await, 1009);
    let mut ann = Client::connect(&server, &chat("ann")).await;
    assert!(server.broker.disconnect(&ann.id));
    assert_eq!(ann.close_code().await, 4403);
    let bye = Client::connect(&server, &chat("eve")).await;
    drop(bye);
    until(|| server.broker.connection_count() == 0).await;
    let stats = server.broker.stats().await;
    assert_eq!(occurred(stats.closed()), [("disconnected", 1), ("message_too_big", 1)]);
    let line = "\nfanfare_connections_closed_total{reason=\"disconnected\"} 1\n";
    assert!(stats.to_prometheus().contains(line));
}
