//! Protocol sections 6 and 7.1 between clients.

use crate::client::Client;
use crate::server::Server;
use crate::token::{chat, connect};
use fanfare::Message;
use serde_json::json;

#[tokio::test]
async fn section_7_1_a_message_reaches_all_subscribers_with_its_sender() {
    let server = Server::start().await;
    let mut jim = Client::subscribed(&server, &chat("jim"), "room").await;
    let mut pam = Client::subscribed(&server, &chat("pam"), "room").await;
    jim.publish("room", "chat", &json!({"text": "hi"})).await;
    let (echo, message) = (jim.next().await, pam.next().await);
    assert_eq!(echo, message);
    assert_eq!(message["id"].as_str().unwrap().len(), 26);
    assert_eq!(message["event"], "chat");
    assert_eq!(message["channel"], "room");
    assert_eq!(message["data"], json!({"text": "hi"}));
    assert_eq!(message["meta"], json!({"uid": "jim", "umd": null}));
    jim.publish("room", "typing", &json!(null)).await;
    assert_eq!(pam.next().await["event"], "typing");
    jim.assert_silent().await;
}

#[tokio::test]
async fn section_7_1_data_arrives_byte_for_byte_live_and_in_history() {
    let server = Server::start().await;
    let mut jim = Client::subscribed(&server, &chat("jim"), "room").await;
    let deep = "[".repeat(8_000) + &"]".repeat(8_000);
    for data in [
        r#"{ "b":1.50,"a":[1e2 , "\u00e4\/\ud83d\ude00"],"a":2}"#,
        "12345678901234567890.10",
        r#""\ud800""#,
        "\"\u{2028}\u{1F600}\"",
        &deep,
    ] {
        jim.send_text(&format!(r#"{{"event":"chat","channel":"room","data":{data}}}"#)).await;
        let live = jim.next_text().await;
        assert!(live.contains(&format!(r#""data":{data},"meta""#)), "{data}");
        let body = json!({"channel": "room", "reverse": true});
        let text = jim.call(&server, "listMessages", &body).await.text;
        assert!(text.contains(&format!(r#""data":{data},"meta""#)), "{data}");
    }
}

#[tokio::test]
async fn section_7_1_the_host_publishes_without_meta() {
    let server = Server::start().await;
    let mut jim = Client::subscribed(&server, &chat("jim"), "room").await;
    let message = Message::new("room", "notice").raw_data(r#"{"a": 1.0}"#).store_forever();
    let published = server.broker.publish(message).await.unwrap();
    assert_eq!(
        jim.next_text().await,
        format!(
            r#"{{"id":"{}","event":"notice","channel":"room","data":{{"a": 1.0}}}}"#,
            published.id()
        )
    );
    let listed = jim.call(&server, "listMessages", &json!({"channel": "room"})).await.json();
    assert_eq!(listed["messages"][0]["meta"], json!({"uid": null, "umd": null}));
    let history = server.broker.history("room", &fanfare::HistoryQuery::default()).await.unwrap();
    assert_eq!(history.messages[0].id, published.id());
    assert_eq!(history.next, None);
}

#[tokio::test]
async fn section_7_1_ids_increase_and_everybody_sees_the_same_order() {
    const EACH: usize = 100;
    let server = Server::start().await;
    let mut clients = Vec::new();
    for number in 0..4 {
        clients.push(Client::subscribed(&server, &chat(&number.to_string()), "room").await);
    }
    let sending = clients.iter_mut().map(|client| async {
        for number in 0..EACH {
            client.publish("room", "chat", &json!(number)).await;
        }
        let mut received = Vec::new();
        for _ in 0..4 * EACH {
            received.push(client.next_text().await);
        }
        received
    });
    let received = futures_util::future::join_all(sending).await;
    assert!(received.windows(2).all(|pair| pair[0] == pair[1]));
    let id = |text: &String| text[7..33].to_owned();
    assert!(received[0].is_sorted_by(|one, other| id(one) < id(other)));
}

#[tokio::test]
async fn section_13_what_is_refused_is_told_and_the_connection_stays() {
    let server = Server::start().await;
    let token = connect(&json!({"uid": "jim", "channels": {"room": {"subscribe": true}}}));
    let mut jim = Client::connect(&server, &token).await;
    for (message, code) in [
        (json!({"event": "hotsock.subscribe", "channel": "other"}), "SUBSCRIBE_PERMISSION_DENIED"),
        (json!({"event": "hotsock.unsubscribe", "channel": "room"}), "NOT_SUBSCRIBED"),
        (json!({"event": "chat", "channel": "room"}), "PUBLISH_PERMISSION_DENIED"),
        (json!({"event": "hotsock.nonsense"}), "UNKNOWN_COMMAND"),
        (json!([]), "INVALID_MESSAGE"),
    ] {
        assert_eq!(jim.error(&message).await, code);
    }
    jim.subscribe("room").await;
    let again = json!({"event": "hotsock.subscribe", "channel": "room"});
    assert_eq!(jim.error(&again).await, "ALREADY_SUBSCRIBED");
    jim.assert_silent().await;
}

#[tokio::test]
async fn section_7_commands_take_effect_in_the_order_in_which_they_were_sent() {
    let server = Server::start().await;
    let token = connect(&json!({
        "uid": "jim",
        "channels": {"room": {"messages": {"chat": {"publish": true, "echo": true, "store": 60}}}},
    }));
    let single_use = |jti: &str| {
        connect(&json!({
            "scope": "subscribe", "uid": "jim", "singleUse": true, "jti": jti,
            "channels": {"room": {"subscribe": true}},
        }))
    };
    let mut jim = Client::connect(&server, &token).await;
    for round in 0..20 {
        let token = single_use(&round.to_string());
        jim.send(
            &json!({"event": "hotsock.subscribe", "channel": "room", "data": {"token": token}}),
        )
        .await;
        // Sent at once, while storage is asked about the token.
        jim.publish("room", "chat", &json!(round)).await;
        assert_eq!(jim.next().await["event"], "hotsock.subscribed");
        assert_eq!(jim.next().await["data"], round);
        jim.send(&json!({"event": "hotsock.unsubscribe", "channel": "room"})).await;
        assert_eq!(jim.next().await["event"], "hotsock.unsubscribed");
    }
}
