//! Protocol section 9.

use crate::client::{Client, post, request};
use crate::server::{Server, builder};
use crate::token::{chat, connect};
use http::Request;
use serde_json::{Value, json};

async fn list(server: &Server, client: &Client, body: &Value) -> Vec<Value> {
    let answer = client.call(server, "listMessages", body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["messages"].as_array().unwrap().clone()
}

fn data(messages: &[Value]) -> Vec<u64> {
    messages.iter().map(|message| message["data"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn section_9_a_history_of_250_messages_is_read_in_pages() {
    let server = Server::start().await;
    let mut jim = Client::subscribed(&server, &chat("jim"), "room").await;
    let mut ids = Vec::new();
    for number in 0..250 {
        jim.publish("room", "chat", &json!(number)).await;
        ids.push(jim.next().await["id"].clone());
    }
    let mut all = Vec::new();
    let mut after = Value::Null;
    loop {
        let page = list(&server, &jim, &json!({"channel": "room", "after": after})).await;
        let Some(last) = page.last() else { break };
        assert!(page.len() == 100 || all.len() + page.len() == 250);
        after = last["id"].clone();
        all.extend(page);
    }
    assert_eq!(data(&all), (0..250).collect::<Vec<_>>());
    assert_eq!(all.iter().map(|message| message["id"].clone()).collect::<Vec<_>>(), ids);
    let expected = json!({
        "id": ids[0], "event": "chat", "channel": "room", "data": 0,
        "meta": {"uid": "jim", "umd": null},
    });
    assert_eq!(all[0], expected);

    let newest = list(&server, &jim, &json!({"channel": "room", "reverse": true})).await;
    assert_eq!(data(&newest), (150..250).rev().collect::<Vec<_>>());
    let body = json!({"channel": "room", "reverse": true, "before": ids[150], "after": "rubbish"});
    assert_eq!(data(&list(&server, &jim, &body).await), (50..150).rev().collect::<Vec<_>>());
    let body = json!({"channel": "room", "after": "", "before": "rubbish"});
    assert_eq!(data(&list(&server, &jim, &body).await).len(), 100);
}

#[tokio::test]
async fn section_9_a_page_holds_at_most_a_megabyte() {
    let server = Server::start().await;
    let mut jim = Client::subscribed(&server, &chat("jim"), "room").await;
    let large = "x".repeat(32_000);
    for _ in 0..50 {
        jim.publish("room", "chat", &json!(large)).await;
        jim.next_text().await;
    }
    let answer = jim.call(&server, "listMessages", &json!({"channel": "room"})).await;
    let count = answer.json()["messages"].as_array().unwrap().len();
    let element = answer.json()["messages"][0].to_string().len();
    assert_eq!(count, (1 << 20) / element, "as many as fit");
    assert!(count < 50);
}

#[tokio::test]
async fn section_9_listing_needs_a_subscription_and_valid_fields() {
    let server = Server::start().await;
    let mut jim = Client::connect(&server, &chat("jim")).await;
    let code =
        async |jim: &Client, body: Value| jim.call(&server, "listMessages", &body).await.code();
    assert_eq!(code(&jim, json!({"channel": "room"})).await, (403, "NOT_SUBSCRIBED".into()));
    jim.subscribe("room").await;
    for (body, expected) in [
        (json!({"channel": "room", "after": "x"}), "INVALID_MESSAGE_ID"),
        (json!({"channel": "room", "after": "8ZZZZZZZZZZZZZZZZZZZZZZZZZ"}), "INVALID_MESSAGE_ID"),
        (json!({"channel": "room", "reverse": true, "before": "x"}), "INVALID_MESSAGE_ID"),
        (json!({"channel": "room", "reverse": 1}), "INVALID_MESSAGE"),
        (json!({"channel": 1}), "INVALID_MESSAGE"),
        (json!({}), "INVALID_CHANNEL_NAME"),
        (json!([]), "INVALID_MESSAGE"),
    ] {
        assert_eq!(code(&jim, body).await, (400, expected.to_owned()));
    }
}

#[tokio::test]
async fn section_9_without_history_start_a_client_sees_what_came_after_its_subscription() {
    let server = Server::start().await;
    let publish = async |data: u64| {
        let message = fanfare::Message::new("room", "e").data(&data).store_forever();
        server.broker.publish(message).await.unwrap();
    };
    publish(1).await;
    let token = connect(&json!({"channels": {"room": {"subscribe": true}}}));
    let jim = Client::subscribed(&server, &token, "room").await;
    assert_eq!(list(&server, &jim, &json!({"channel": "room"})).await, [] as [Value; 0]);
    publish(2).await;
    assert_eq!(data(&list(&server, &jim, &json!({"channel": "room"})).await), [2]);
}

#[tokio::test]
async fn section_9_publishing_over_http_is_as_publishing_over_the_socket() {
    let server = Server::start().await;
    let mut jim = Client::subscribed(&server, &chat("jim"), "room").await;
    let mut pam = Client::subscribed(&server, &chat("pam"), "room").await;
    let body = json!({"channel": "room", "event": "chat", "data": {"a": 1}});
    let answer = jim.call(&server, "publishMessage", &body).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()),
        (202, json!({"channel": "room", "event": "chat"}))
    );
    assert_eq!(jim.next().await["data"], json!({"a": 1}));
    assert_eq!(pam.next().await["meta"], json!({"uid": "jim", "umd": null}));

    let body = json!({"channel": "room", "event": "typing", "eagerIdGeneration": true});
    let answer = jim.call(&server, "publishMessage", &body).await.json();
    assert_eq!(pam.next().await["id"], answer["id"]);
    jim.assert_silent().await;

    let body = json!({"channel": "room", "event": "other"});
    let code = jim.call(&server, "publishMessage", &body).await.code();
    assert_eq!(code, (403, "PUBLISH_PERMISSION_DENIED".into()));
    let body = json!({"channel": "room", "event": "hotsock.ping"});
    let code = jim.call(&server, "publishMessage", &body).await.code();
    assert_eq!(code, (400, "UNKNOWN_COMMAND".into()));
}

#[tokio::test]
async fn section_13_unknown_connections_and_wrong_secrets_look_alike() {
    let server = Server::start().await;
    let jim = Client::connect(&server, &chat("jim")).await;
    let wrong = format!("/connection/listMessages?connectionId={}&connectionSecret=x", jim.id);
    let mut answers = Vec::new();
    for path in [
        wrong.as_str(),
        "/connection/listMessages?connectionId=nobody&connectionSecret=x",
        "/connection/listMessages",
    ] {
        let answer = post(server.address, path, &json!({"channel": "room"})).await;
        assert_eq!(answer.code(), (401, "INVALID_CREDENTIALS".into()));
        answers.push(answer.text);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn section_1_pages_of_any_origin_may_use_it_unless_the_host_says_which() {
    for (allowed, origin, expected) in [
        (None, "https://a.example", Some("*")),
        (Some("https://a.example"), "https://a.example", Some("https://a.example")),
        (Some("https://a.example"), "https://b.example", None),
    ] {
        let builder = allowed.into_iter().fold(builder(), fanfare::BrokerBuilder::allowed_origin);
        let server = Server::with(builder).await;
        for method in ["OPTIONS", "POST", "GET"] {
            let request_of_page = Request::builder()
                .method(method)
                .uri("/connection/listMessages")
                .header("origin", origin)
                .body(String::new())
                .unwrap();
            let answer = request(server.address, request_of_page).await;
            let status = match method {
                "OPTIONS" => 204,
                "POST" => 401,
                _ => 405,
            };
            assert_eq!(answer.status, status);
            let header = answer.headers.get("access-control-allow-origin");
            assert_eq!(header.map(|value| value.to_str().unwrap()), expected);
            if method == "OPTIONS" {
                assert_eq!(answer.headers["access-control-allow-methods"], "POST");
            }
        }
    }
}
