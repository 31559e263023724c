//! Protocol section 10, and the HTTP errors of section 1.

use crate::client::{Client, backend, request};
use crate::server::Server;
use crate::token::{chat, connect};
use http::{Method, Request};
use serde_json::{Value, json};

#[tokio::test]
async fn backends_publish() {
    let server = Server::start().await;
    let mut jim = Client::subscribed(&server, &chat("jim"), "room").await;
    let body = json!({"channel": "room", "event": "notice", "data": {"a": 1}, "store": 60});
    let answer = backend(&server, Method::POST, "/publish", &body).await;
    let expected = json!({"channel": "room", "event": "notice"});
    assert_eq!((answer.status.as_u16(), answer.json()), (202, expected));
    let message = jim.next().await;
    assert_eq!(message["data"], json!({"a": 1}));
    assert!(message.get("meta").is_none());

    let body = json!({"channel": "room", "event": "notice", "eagerIdGeneration": true});
    let answer = backend(&server, Method::POST, "/publish", &body).await.json();
    let message = jim.next().await;
    assert_eq!((&message["id"], &message["data"]), (&answer["id"], &json!(null)));
    let history = server.broker.history("room", fanfare::HistoryQuery::default()).await.unwrap();
    assert_eq!(history.messages.len(), 1, "only the first was stored");
}

#[tokio::test]
async fn backends_are_told_what_is_wrong() {
    let server = Server::start().await;
    for (body, code) in [
        (json!({"event": "e"}), "INVALID_CHANNEL_NAME"),
        (json!({"channel": "a b", "event": "e"}), "INVALID_CHANNEL_NAME"),
        (json!({"channel": "c"}), "INVALID_EVENT_NAME"),
        (json!({"channel": "c", "event": "hotsock.anything"}), "INVALID_EVENT_NAME"),
        (json!({"channel": "c", "event": "e", "store": -2}), "INVALID_MESSAGE"),
        (json!({"channel": "c", "event": "e", "store": 3_155_695_201_u64}), "INVALID_MESSAGE"),
        (json!({"channel": "c", "event": "e", "store": "1"}), "INVALID_MESSAGE"),
        (json!({"channel": "c", "event": "e", "data": "x".repeat(40_000)}), "DATA_TOO_LARGE"),
        (json!("text"), "INVALID_MESSAGE"),
    ] {
        let answer = backend(&server, Method::POST, "/publish", &body).await;
        assert_eq!(answer.code(), (400, code.to_owned()), "{body}");
    }
    for (field, code) in [
        ("scheduleExpression", "INVALID_SCHEDULE"),
        ("deduplicationId", "INVALID_MESSAGE"),
        ("channels", "INVALID_MESSAGE"),
    ] {
        let mut body = json!({"channel": "c", "event": "e"});
        body[field] = json!("x");
        let answer = backend(&server, Method::POST, "/publish", &body).await;
        assert_eq!(answer.code(), (400, code.to_owned()), "{field}");
        body[field] = json!(null);
        assert_eq!(backend(&server, Method::POST, "/publish", &body).await.status, 202);
    }
    for store in [-1_i64, 0, 1, 3_155_695_200] {
        let body = json!({"channel": "c", "event": "e", "store": store});
        assert_eq!(backend(&server, Method::POST, "/publish", &body).await.status, 202);
    }
}

#[tokio::test]
async fn an_api_key_is_needed() {
    let server = Server::start().await;
    for key in [None, Some("Bearer wrong"), Some("Basic an API key for tests"), Some("Bearer ")] {
        for (method, path) in [("POST", "/publish"), ("GET", "/channels/c")] {
            let mut builder = Request::builder().method(method).uri(path);
            if let Some(key) = key {
                builder = builder.header("authorization", key);
            }
            let answer = request(server.address, builder.body(String::new()).unwrap()).await;
            assert_eq!(answer.code(), (401, "INVALID_API_KEY".to_owned()));
        }
    }
}

#[tokio::test]
async fn channel_info_counts_subscriptions_but_for_those_that_are_omitted() {
    let server = Server::start().await;
    let info = async |path: &str| backend(&server, Method::GET, path, &Value::Null).await.json();
    assert_eq!(info("/channels/never").await, json!({"name": "never", "subscriptionsCount": 0}));
    let hidden = json!({"channels": {"a/b ü": {"subscribe": true, "omitFromSubCount": true}}});
    assert_eq!(
        backend(&server, Method::GET, "/channels/a%2Fb%20x", &Value::Null).await.code(),
        (400, "INVALID_CHANNEL_NAME".to_owned())
    );
    let hidden = hidden.to_string().replace("a/b ü", "a/bü");
    let hidden: Value = serde_json::from_str(&hidden).unwrap();
    let _hidden = Client::subscribed(&server, &connect(&hidden), "a/bü").await;
    let _seen = Client::subscribed(&server, &chat("jim"), "a/bü").await;
    let expected = json!({"name": "a/bü", "subscriptionsCount": 1});
    assert_eq!(info("/channels/a%2Fb%C3%BC").await, expected);
}

#[tokio::test]
async fn unknown_paths_wrong_methods_and_large_bodies_are_json_errors() {
    let server = Server::start().await;
    for path in ["/", "/v2", "/connection/nothing", "/connection/", "/channels/", "/channels/a/b"] {
        let answer = backend(&server, Method::GET, path, &Value::Null).await;
        assert_eq!(answer.code(), (404, "NOT_FOUND".to_owned()), "{path}");
    }
    for (method, path, allowed) in [
        (Method::POST, "/v1", "GET"),
        (Method::GET, "/publish", "POST"),
        (Method::DELETE, "/channels/c", "GET"),
        (Method::GET, "/connection/listMessages", "POST"),
    ] {
        let answer = backend(&server, method, path, &Value::Null).await;
        assert_eq!(answer.code(), (405, "METHOD_NOT_ALLOWED".to_owned()), "{path}");
        assert_eq!(answer.headers["allow"], allowed);
    }
    let large = json!("x".repeat(5 << 20));
    let answer = backend(&server, Method::POST, "/publish", &large).await;
    assert_eq!(answer.code(), (413, "BODY_TOO_LARGE".to_owned()));
}

#[tokio::test]
async fn the_browser_client_is_served() {
    let server = Server::start().await;
    let answer = backend(&server, Method::GET, "/fanfare.js", &Value::Null).await;
    assert_eq!(answer.headers["content-type"], "text/javascript");
    assert_eq!(answer.text, fanfare::CLIENT_MODULE);
}
