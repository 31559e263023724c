//! Protocol section 10, and the HTTP errors of section 1.

use crate::client::{Client, backend, request};
use crate::server::Server;
use crate::token::{chat, connect};
use http::{Method, Request};
use serde_json::{Value, json};

#[tokio::test]
async fn section_10_backends_publish() {
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
    let history = server.broker.history("room", &fanfare::HistoryQuery::default()).await.unwrap();
    assert_eq!(history.messages.len(), 1, "only the first was stored");
}

#[tokio::test]
async fn section_10_backends_are_told_what_is_wrong() {
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
        ("channels", "INVALID_MESSAGE"),
        ("emitPubSubEvent", "INVALID_MESSAGE"),
        ("eagerIdGeneration", "INVALID_MESSAGE"),
    ] {
        let mut body = json!({"channel": "c", "event": "e"});
        body[field] = json!("x");
        let answer = backend(&server, Method::POST, "/publish", &body).await;
        assert_eq!(answer.code(), (400, code.to_owned()), "{field}");
        body[field] = json!(null);
        assert_eq!(backend(&server, Method::POST, "/publish", &body).await.status, 202);
    }
    for body in [
        json!({"channel": "c", "event": "e", "deduplicationId": ""}),
        json!({"channel": "c", "event": "e", "deduplicationId": 1}),
        json!({"channel": "c", "channels": ["d"], "event": "e"}),
        json!({"channels": [], "event": "e"}),
        json!({"channels": [1], "event": "e"}),
        json!({"channels": vec!["c"; 1_001], "event": "e"}),
        json!([]),
        json!(vec![json!({"channel": "c", "event": "e"}); 101]),
    ] {
        let answer = backend(&server, Method::POST, "/publish", &body).await;
        assert_eq!(answer.code(), (400, "INVALID_MESSAGE".to_owned()));
    }
    for store in [-1_i64, 0, 1, 3_155_695_200] {
        let body = json!({"channel": "c", "event": "e", "store": store});
        assert_eq!(backend(&server, Method::POST, "/publish", &body).await.status, 202);
    }
}

#[tokio::test]
async fn section_10_a_repeated_message_is_answered_with_the_first_ones_id() {
    let server = Server::start().await;
    let mut jim = Client::subscribed(&server, &chat("jim"), "room").await;
    let body = json!({"channel": "room", "event": "e", "data": 1,
                      "deduplicationId": "d", "eagerIdGeneration": true});
    let mut ids = Vec::new();
    for _ in 0..3 {
        let answer = backend(&server, Method::POST, "/publish", &body).await;
        assert_eq!(answer.status, 202);
        ids.push(answer.json()["id"].clone());
    }
    assert_eq!(jim.next().await["id"], ids[0]);
    assert!(ids[0].is_string() && ids.iter().all(|id| *id == ids[0]));
    jim.assert_silent().await;
}

#[tokio::test]
async fn section_10_an_array_is_answered_item_by_item() {
    let server = Server::start().await;
    let mut jim = Client::subscribed(&server, &chat("jim"), "room").await;
    let body = json!([
        {"channel": "room", "event": "e", "data": 1, "store": 60, "eagerIdGeneration": true},
        {"channel": "room", "event": "hotsock.unknown"},
        7,
        {"channels": ["room"], "event": "e"},
        {"channel": "room", "event": "e", "data": 2},
        {"channel": "room", "event": "e", "scheduleExpression": "at(2126-01-01T00:00:00)"},
    ]);
    let answer = backend(&server, Method::POST, "/publish", &body).await;
    assert_eq!(answer.status, 202);
    let answer = answer.json();
    let code = |index: usize| answer[index]["error"]["code"].as_str().unwrap();
    let (first, second) = (jim.next().await, jim.next().await);
    assert_eq!((&first["data"], &second["data"]), (&json!(1), &json!(2)));
    let expected = json!({"channel": "room", "event": "e", "id": first["id"]});
    assert_eq!(answer[0], expected);
    assert_eq!(
        (code(1), code(2), code(3)),
        ("INVALID_EVENT_NAME", "INVALID_MESSAGE", "INVALID_MESSAGE")
    );
    assert_eq!(answer[4], json!({"channel": "room", "event": "e"}));
    assert_eq!(answer[5]["scheduleArn"], answer[5]["scheduleId"]);
    assert!(answer[5]["scheduleId"].is_string());
    assert_eq!(answer.as_array().unwrap().len(), 6);

    // Where nothing was accepted, the first error tells the status.
    let body = json!([{"channel": "a b", "event": "e"}, {"channel": "c", "event": "*"}]);
    let answer = backend(&server, Method::POST, "/publish", &body).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()[1]["error"]["code"], "INVALID_EVENT_NAME");
}

#[tokio::test]
async fn section_10_channels_publishes_to_each() {
    let server = Server::start().await;
    let mut jim = Client::subscribed(&server, &chat("jim"), "c999").await;
    let mut channels: Vec<_> = (0..1_000).map(|number| format!("c{number}")).collect();
    channels[0] = "wrong name".to_owned();
    let body = json!({"channels": channels, "event": "e", "data": 1, "store": 60,
                      "eagerIdGeneration": true});
    let answer = backend(&server, Method::POST, "/publish", &body).await;
    assert_eq!(answer.status, 202);
    let answer = answer.json();
    assert_eq!(answer.as_array().unwrap().len(), 1_000);
    assert_eq!(answer[0]["error"]["code"], "INVALID_CHANNEL_NAME");
    assert_eq!(answer[1]["channel"], "c1");
    assert_eq!(jim.next().await["id"], answer[999]["id"]);
}

#[tokio::test]
async fn section_1_an_api_key_is_needed() {
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
async fn section_10_channel_info_counts_subscriptions_but_for_those_that_are_omitted() {
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
async fn section_1_unknown_paths_wrong_methods_and_large_bodies_are_json_errors() {
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
async fn section_1_the_browser_client_is_served() {
    let server = Server::start().await;
    let answer = backend(&server, Method::GET, "/fanfare.js", &Value::Null).await;
    assert_eq!(answer.headers["content-type"], "text/javascript");
    assert_eq!(answer.text, fanfare::CLIENT_MODULE);
}
