//! Protocol section 6, recovery, between clients.

use crate::client::Client;
use crate::server::{Server, builder};
use crate::token::{chat, connect};
use fanfare::{HistoryQuery, Message};
use serde_json::{Value, json};

impl Client {
    async fn recover(&mut self, channel: &str, after: &Value) -> Value {
        let data = json!({"after": after});
        self.send(&json!({"event": "hotsock.subscribe", "channel": channel, "data": data})).await;
        let confirmation = self.next().await;
        assert_eq!(confirmation["event"], "hotsock.subscribed", "{confirmation}");
        confirmation["data"]["recovered"].clone()
    }
}

#[tokio::test]
async fn section_6_a_client_that_comes_back_gets_what_it_missed() {
    let server = Server::start().await;
    let mut jim = Client::subscribed(&server, &chat("jim"), "room").await;
    let mut pam = Client::subscribed(&server, &chat("pam"), "room").await;
    jim.publish("room", "chat", &json!(1)).await;
    let known = pam.next().await["id"].clone();
    drop(pam);
    jim.next().await;
    jim.publish("room", "typing", &json!(null)).await;
    jim.publish("room", "chat", &json!({"b": 1.50, "a": [null]})).await;
    server.broker.publish(Message::new("room", "notice").store_forever()).await.unwrap();
    let missed = [jim.next_text().await, jim.next_text().await];

    let mut pam = Client::connect(&server, &chat("pam")).await;
    assert_eq!(pam.recover("room", &known).await, json!(true));
    assert_eq!([pam.next_text().await, pam.next_text().await], missed);
    jim.publish("room", "typing", &json!(null)).await;
    assert_eq!(pam.next().await["event"], "typing");
    pam.assert_silent().await;
}

#[tokio::test]
async fn section_6_all_that_the_limits_allow_arrives_at_a_client_that_reads() {
    let server = Server::with(builder().max_queued_bytes(64 << 10)).await;
    let text = "x".repeat(900);
    for _ in 0..1_000 {
        let message = Message::new("room", "chat").data(&text).store_forever();
        server.broker.publish(message).await.unwrap();
    }
    let mut pam = Client::connect(&server, &chat("pam")).await;
    let nothing = json!("00000000000000000000000000");
    let data = json!({"after": nothing});
    pam.send(&json!({"event": "hotsock.subscribe", "channel": "room", "data": data})).await;
    assert_eq!(pam.next().await["data"], json!({"recovered": true}));
    server.broker.publish(Message::new("room", "last")).await.unwrap();
    for _ in 0..1_000 {
        assert_eq!(pam.next().await["event"], "chat");
    }
    assert_eq!(pam.next().await["event"], "last");
    server.broker.publish(Message::new("room", "chat").store_forever()).await.unwrap();
    let mut late = Client::connect(&server, &chat("late")).await;
    assert_eq!(late.recover("room", &nothing).await, json!(false));
    late.assert_silent().await;
}

#[tokio::test]
async fn section_6_recovery_is_refused_without_history_start_and_not_asked_for_by_an_empty_id() {
    let server = Server::start().await;
    let message = Message::new("room", "chat").store_forever();
    let id = server.broker.publish(message).await.unwrap().id().to_string();
    let token = connect(&json!({"channels": {"room": {"subscribe": true}}}));
    let mut blind = Client::connect(&server, &token).await;
    assert_eq!(blind.recover("room", &json!(id)).await, json!(false));
    for none in [json!(""), json!(null)] {
        let mut other = Client::connect(&server, &chat("other")).await;
        assert_eq!(other.recover("room", &none).await, json!(null));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn section_6_a_client_that_comes_and_goes_sees_the_history() {
    const MESSAGES: usize = 2_000;
    let server = Server::with(builder().max_recovered_messages(MESSAGES)).await;
    let publishers: Vec<_> = (0..4)
        .map(|_| {
            let broker = server.broker.clone();
            tokio::spawn(async move {
                for number in 0..MESSAGES / 4 {
                    let message = Message::new("room", "chat").data(&number);
                    broker.publish(message.store_forever()).await.unwrap();
                    broker.publish(Message::new("room", "typing")).await.unwrap();
                }
            })
        })
        .collect();
    let mut after = json!("00000000000000000000000000");
    let mut seen = Vec::new();
    let mut connections = 0;
    while seen.len() < MESSAGES {
        let mut client = Client::connect(&server, &chat("pam")).await;
        assert_eq!(client.recover("room", &after).await, json!(true));
        connections += 1;
        // Some of what was on its way is lost with the connection.
        for _ in 0..connections % 50 {
            if seen.len() == MESSAGES {
                break;
            }
            let message = client.next().await;
            after = message["id"].clone();
            if message["event"] == "chat" {
                seen.push(after.as_str().unwrap().to_owned());
            }
        }
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
    let query = HistoryQuery { limit: 1_000, ..Default::default() };
    let first = server.broker.history("room", &query).await.unwrap();
    let query = HistoryQuery { after: first.messages.last().map(|last| last.id), ..query };
    let second = server.broker.history("room", &query).await.unwrap();
    let stored = first.messages.iter().chain(&second.messages);
    assert!(stored.map(|message| message.id.to_string()).eq(seen), "{connections} connections");
}
