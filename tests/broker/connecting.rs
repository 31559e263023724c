//! Protocol section 5, and what of sections 1 and 3 shows on connecting.

use crate::backend;
use crate::client::{Answer, Client, request};
use crate::server::{Server, builder};
use crate::token::{chat, connect, now, sign, sign_with};
use http::Request;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

async fn get(server: &Server, path: &str) -> Answer {
    request(server.address, Request::get(path).body(String::new()).unwrap()).await
}

/// An upgrade request that is as it should be but for its token.
async fn upgrade(server: &Server, token: &str) -> Answer {
    let request_with_upgrade = Request::get(format!("/v1?token={token}"))
        .header("connection", "keep-alive, Upgrade")
        .header("upgrade", "WebSocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(String::new())
        .unwrap();
    request(server.address, request_with_upgrade).await
}

#[tokio::test]
async fn section_5_bad_tokens_are_refused_before_the_upgrade() {
    let server = Server::start().await;
    let used_elsewhere = json!({"connectionId": "c"});
    for (what, token) in [
        ("missing", String::new()),
        ("garbage", "a.b.c".to_owned()),
        (
            "of another key",
            sign_with(
                b"another secret, of sufficient length!",
                &json!({"exp": now() + 60, "scope": "connect"}),
            ),
        ),
        ("expired", sign(&json!({"exp": now() - 1, "scope": "connect"}))),
        ("early", connect(&json!({"nbf": now() + 60}))),
        ("without an end", sign(&json!({"scope": "connect"}))),
        ("for subscribing", connect(&json!({"scope": "subscribe"}))),
        ("for one connection", connect(&used_elsewhere)),
        ("malformed", connect(&json!({"uid": 1}))),
    ] {
        for answer in
            [upgrade(&server, &token).await, get(&server, &format!("/v1?token={token}")).await]
        {
            assert_eq!(answer.code(), (401, "INVALID_TOKEN".to_owned()), "{what}");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
    }
    assert_eq!(server.broker.connection_count(), 0);
}

#[tokio::test]
async fn section_5_a_good_token_without_an_upgrade_is_told_so_and_not_used_up() {
    let server = Server::start().await;
    let token = connect(&json!({"singleUse": true, "jti": "once"}));
    let answer = get(&server, &format!("/v1?token={token}")).await;
    assert_eq!(answer.code(), (400, "INVALID_MESSAGE".to_owned()));
    Client::connect(&server, &token).await;
}

#[tokio::test]
async fn section_1_the_token_may_come_as_a_header_and_the_path_end_with_a_slash() {
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    let server = Server::start().await;
    let url = format!("ws://{}/v1/", server.address);
    let mut request = url.clone().into_client_request().unwrap();
    let value = format!("Bearer {}", chat("jim")).parse().unwrap();
    request.headers_mut().insert("authorization", value);
    tokio_tungstenite::connect_async(request).await.unwrap();
    Client::connect_to(&format!("{url}?token={}", chat("jim"))).await;
}

#[tokio::test]
async fn section_5_ids_and_secrets_are_unique_and_long() {
    let server = Server::start().await;
    let (one, other) =
        (Client::connect(&server, &chat("a")).await, Client::connect(&server, &chat("a")).await);
    assert!(one.id != other.id && one.secret != other.secret && one.id != one.secret);
    // 22 characters of base 64 are 128 bits.
    assert!(one.secret.len() >= 22 && one.id.len() >= 22);
}

#[tokio::test]
async fn section_3_a_single_use_token_connects_once_also_across_a_restart() {
    let storage = backend::storage();
    let token = connect(&json!({"singleUse": true, "jti": "once"}));
    let server = Server::with(builder().storage(Arc::clone(&storage))).await;
    Client::connect(&server, &token).await;
    assert_eq!(upgrade(&server, &token).await.code(), (401, "INVALID_TOKEN".to_owned()));
    drop(server);
    let server = Server::with(builder().storage(storage)).await;
    assert_eq!(upgrade(&server, &token).await.code(), (401, "INVALID_TOKEN".to_owned()));
}

#[tokio::test]
async fn section_3_concurrent_uses_of_a_single_use_token_open_one_connection() {
    let server = Server::start().await;
    let url = server.url(&connect(&json!({"singleUse": true, "jti": "once"})));
    let attempts: Vec<_> =
        (0..8).map(|_| tokio::spawn(tokio_tungstenite::connect_async(url.clone()))).collect();
    let mut opened = 0;
    for attempt in attempts {
        opened += usize::from(attempt.await.unwrap().is_ok());
    }
    assert_eq!(opened, 1);
}

#[tokio::test]
async fn section_5_auto_subscribed_channels_are_confirmed_after_the_welcome() {
    let server = Server::start().await;
    let token = connect(&json!({"channels": {"news": {"autoSubscribe": true}}}));
    let mut client = Client::connect(&server, &token).await;
    let confirmation = client.next().await;
    assert_eq!(confirmation["event"], "hotsock.subscribed");
    assert_eq!(confirmation["data"], json!({"autoSubscribed": true}));
    server.broker.publish(fanfare::Message::new("news", "e")).await.unwrap();
    assert_eq!(client.next().await["event"], "e");
}

#[tokio::test]
async fn section_5_a_connection_ends_with_1001_at_its_maximum_age() {
    let server = Server::with(builder().max_connection_age(Some(Duration::from_secs(1)))).await;
    let mut client = Client::connect(&server, &chat("jim")).await;
    assert_eq!(client.close_code().await, 1001);
    crate::server::until(|| server.broker.connection_count() == 0).await;
}

#[tokio::test]
async fn section_5_those_who_came_together_are_told_of_different_ends() {
    let server = Server::start().await;
    let mut ends = Vec::new();
    for _ in 0..20 {
        let client = Client::connect(&server, &chat("jim")).await;
        ends.push(client.expires_at.parse::<jiff::Timestamp>().unwrap());
    }
    ends.sort_unstable();
    let (first, last) = (ends[0], ends[19]);
    assert_ne!(first, last);
    let spread = last.duration_since(first);
    assert!(spread <= jiff::SignedDuration::from_mins(13), "{spread}");
}

#[tokio::test]
async fn section_5_a_silent_connection_ends_with_1001() {
    let server = Server::with(builder().idle_timeout(Duration::from_secs(1))).await;
    let mut client = Client::connect(&server, &chat("jim")).await;
    assert_eq!(client.close_code().await, 1001);
}

#[tokio::test]
async fn section_5_a_shutdown_closes_clients_with_1012_and_refuses_new_ones() {
    let server = Server::start().await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(Client::subscribed(&server, &chat("jim"), "c").await);
    }
    let broker = server.broker.clone();
    let shutdown = tokio::spawn(async move { broker.shutdown().await });
    for client in &mut clients {
        assert_eq!(client.close_code().await, 1012);
    }
    shutdown.await.unwrap().unwrap();
    assert_eq!(server.broker.connection_count(), 0);
    assert_eq!(upgrade(&server, &chat("jim")).await.code(), (503, "SHUTTING_DOWN".to_owned()));
    let error = server.broker.publish(fanfare::Message::new("c", "e")).await.unwrap_err();
    assert!(error.is_shutting_down());
    server.broker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_dropped_connection_leaves_nothing_behind() {
    let server = Server::start().await;
    let client = Client::subscribed(&server, &chat("jim"), "c").await;
    assert_eq!(server.broker.channel_info("c").unwrap().subscriptions_count(), 1);
    drop(client);
    crate::server::until(|| server.broker.connection_count() == 0).await;
    assert_eq!(server.broker.channel_info("c").unwrap().subscriptions_count(), 0);
}

/// Welcomes and confirmations that are more than what may be queued.
#[tokio::test]
async fn section_5_many_auto_subscribed_channels_are_told_as_the_client_reads() {
    let small = Server::with(builder().max_queued_bytes(64 << 10)).await;
    let default = Server::start().await;
    for (server, channels, umd) in [(small, 600, 0), (default, 1_200, 1_000)] {
        let names = (0..channels).map(|n| (format!("c{n}"), json!({"autoSubscribe": true})));
        let names: serde_json::Map<_, _> = names.collect();
        let token = json!({"uid": "jim", "umd": "x".repeat(umd), "channels": names});
        let mut jim = Client::connect(&server, &connect(&token)).await;
        for _ in 0..channels {
            assert_eq!(jim.next().await["event"], "hotsock.subscribed");
        }
    }
}
