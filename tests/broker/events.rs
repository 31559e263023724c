//! What a host hears of its broker.

use crate::client::{Client, backend};
use crate::scheduling;
use crate::server::{Server, builder};
use crate::token::{chat, connect};
use fanfare::{EventKind, EventStream, Lagged, Message, Timestamp};
use futures_util::FutureExt as _;
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

pub async fn next(events: &mut EventStream) -> Value {
    let next = tokio::time::timeout(Duration::from_secs(30), events.recv());
    let event = next.await.expect("no event in 30 seconds").unwrap().unwrap();
    let json: Value = serde_json::from_str(&event.to_json()).unwrap();
    assert_eq!(json["type"], event.name());
    json
}

/// A user whose messages `told` emit events and others do not.
fn emitting(uid: &str) -> String {
    connect(&json!({"uid": uid, "umd": {"name": "J"}, "channels": {"*": {
        "subscribe": true,
        "messages": {
            "told": {"publish": true, "store": 60, "emitPubSubEvent": true, "scheduleBefore": 4_000_000_000_u64},
            "untold": {"publish": true},
        },
    }}}))
}

pub fn event(kind: &str, metadata: &Value, data_type: &str, data: &Value) -> Value {
    let mut all = json!({"hotsockVersion": "1.13"});
    all.as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
    json!({
        "source": "hotsock.v1", "type": kind, "metadata": all, "data": data, "dataType": data_type,
    })
}

#[tokio::test]
async fn section_12_a_connection_s_life_is_told_in_order() {
    let server = Server::start().await;
    let mut events = server.broker.events();
    let mut jim = Client::connect(&server, &emitting("jim")).await;
    let id = jim.id.clone();
    let mine = json!({"connectionId": id, "sourceIp": "127.0.0.1"});
    let connected = next(&mut events).await;
    let since = connected["data"]["connectedAt"].clone();
    assert!(since.as_str().unwrap().ends_with('Z'));
    let mut data = json!({
        "id": id, "connectedAt": since, "disconnectedAt": null, "keepAlive": false,
        "sourceIp": "127.0.0.1", "uid": "jim", "umd": {"name": "J"}, "userAgent": null,
    });
    assert_eq!(connected, event("hotsock.connected", &mine, "connection", &data));

    let on_channel = json!({"connectionId": id, "sourceIp": "127.0.0.1", "channel": "c"});
    let subscription =
        json!({"channel": "c", "connectionId": id, "uid": "jim", "umd": {"name": "J"}});
    let updated = |count: u32| {
        let data = json!({"name": "c", "subscriptionsCount": count});
        event("hotsock.channelUpdated", &json!({"channel": "c"}), "channel", &data)
    };
    let subscribed = event("hotsock.subscribed", &on_channel, "subscription", &subscription);
    let unsubscribed = event("hotsock.unsubscribed", &on_channel, "subscription", &subscription);
    jim.subscribe("c").await;
    assert_eq!(next(&mut events).await, updated(1));
    assert_eq!(next(&mut events).await, subscribed);
    jim.send(&json!({"event": "hotsock.unsubscribe", "channel": "c"})).await;
    assert_eq!(next(&mut events).await, updated(0));
    assert_eq!(next(&mut events).await, unsubscribed);
    jim.next().await;
    jim.subscribe("c").await;
    assert_eq!(next(&mut events).await, updated(1));
    assert_eq!(next(&mut events).await, subscribed);
    assert!(server.broker.unsubscribe(&id, "c").unwrap());
    assert_eq!(next(&mut events).await, updated(0));
    assert_eq!(next(&mut events).await, unsubscribed);
    jim.next().await;
    jim.subscribe("c").await;
    next(&mut events).await;
    next(&mut events).await;

    drop(jim);
    assert_eq!(next(&mut events).await, updated(0));
    assert_eq!(next(&mut events).await, unsubscribed);
    let disconnected = next(&mut events).await;
    data["disconnectedAt"] = disconnected["data"]["disconnectedAt"].clone();
    assert!(data["disconnectedAt"].as_str() >= since.as_str());
    assert_eq!(disconnected, event("hotsock.disconnected", &mine, "connection", &data));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn section_12_all_ends_of_connections_are_told_once_a_shutdown_is_over() {
    let server = Server::start().await;
    let mut events = server.broker.events();
    let mut closing = Vec::new();
    for _ in 0..20 {
        let mut client = Client::connect(&server, &emitting("jim")).await;
        closing.push(tokio::spawn(async move { client.close_code().await }));
    }
    server.broker.shutdown().await.unwrap();
    let mut ended = 0;
    while let Some(Some(event)) = events.recv().now_or_never() {
        ended += usize::from(event.unwrap().name() == "hotsock.disconnected");
    }
    assert_eq!(ended, closing.len());
}

#[tokio::test]
async fn section_12_subscriptions_that_are_not_counted_do_not_update_a_channel() {
    let server = Server::start().await;
    let mut events = server.broker.events();
    let hidden =
        connect(&json!({"channels": {"c": {"subscribe": true, "omitFromSubCount": true}}}));
    let hidden = Client::subscribed(&server, &hidden, "c").await;
    let mut kinds = Vec::new();
    for _ in 0..2 {
        kinds.push(next(&mut events).await["type"].clone());
    }
    drop(hidden);
    for _ in 0..2 {
        kinds.push(next(&mut events).await["type"].clone());
    }
    let expected = ["connected", "subscribed", "unsubscribed", "disconnected"];
    assert_eq!(kinds, expected.map(|kind| json!(format!("hotsock.{kind}"))));
}

#[tokio::test]
async fn section_12_messages_are_told_where_they_ask_for_it_with_what_triggered_them() {
    let server = Server::start().await;
    let mut jim = Client::subscribed(&server, &emitting("jim"), "c").await;
    let mut events = server.broker.events();
    let meta = json!({"uid": "jim", "umd": {"name": "J"}});
    let check = |event: &Value, trigger: &str, data: Value, meta: Option<&Value>| {
        assert_eq!(event["type"], "hotsock.messagePublished");
        assert_eq!(event["dataType"], "message");
        assert_eq!(event["metadata"]["trigger"], trigger);
        assert_eq!(
            (&event["metadata"]["channel"], &event["metadata"]["event"]),
            (&json!("c"), &json!("told"))
        );
        assert_eq!(event["data"]["data"], data);
        assert_eq!(event["data"].get("meta"), meta);
    };
    jim.publish("c", "untold", &json!(0)).await;
    jim.publish("c", "told", &json!(1)).await;
    let told = next(&mut events).await;
    check(&told, "client.websocket", json!(1), Some(&meta));
    assert_eq!(told["metadata"]["connectionId"], json!(jim.id));

    let body = json!({"channel": "c", "event": "told", "data": 2, "eagerIdGeneration": true});
    let answer = jim.call(&server, "publishMessage", &body).await;
    let told = next(&mut events).await;
    check(&told, "client.http", json!(2), Some(&meta));
    assert_eq!(told["data"]["id"], answer.json()["id"]);

    let untold = json!({"channel": "c", "event": "told", "data": 3});
    backend(&server, Method::POST, "/publish", &untold).await;
    let body = json!({"channel": "c", "event": "told", "data": 4, "emitPubSubEvent": true});
    backend(&server, Method::POST, "/publish", &body).await;
    let told = next(&mut events).await;
    check(&told, "server.http", json!(4), None);
    assert!(told["metadata"].get("connectionId").is_none());

    let once = |data: u32| {
        Message::new("c", "told").data(&data).emit_pub_sub_event(true).deduplication_id("d")
    };
    let published = server.broker.publish(once(5)).await.unwrap();
    assert!(server.broker.publish(once(6)).await.unwrap().is_duplicate());
    let told = next(&mut events).await;
    check(&told, "server.embedded", json!(5), None);
    assert_eq!(told["data"]["id"], published.id().to_string());

    let soon = Timestamp::now() + Duration::from_millis(200);
    let later = Message::new("c", "told").data(&7).emit_pub_sub_event(true).schedule_at(soon);
    server.broker.publish(later).await.unwrap();
    let told = next(&mut events).await;
    check(&told, "server.embedded", json!(7), None);

    // What is scheduled tells the request that asked for it.
    let body = json!({"channel": "c", "event": "told", "data": 8, "scheduleExpression": scheduling::soon()});
    jim.call(&server, "publishMessage", &body).await;
    let told = next(&mut events).await;
    check(&told, "client.http", json!(8), Some(&meta));
    assert_eq!(told["metadata"]["connectionId"], json!(jim.id));
    assert!(told["metadata"]["requestId"].is_string());
}

#[tokio::test]
async fn section_12_messages_are_told_in_their_channel_s_order_once() {
    const EACH: usize = 200;
    let server = Server::start().await;
    let mut events = server.broker.events();
    // Both those whose publisher delivers and those that a task does, for a crowd.
    let mut crowd = Vec::new();
    for _ in 0..10 {
        crowd.push(Client::subscribed(&server, &chat("ann"), "crowd").await);
    }
    let publishers = ["few", "crowd"].map(|channel| {
        let broker = server.broker.clone();
        tokio::spawn(async move {
            for number in 0..EACH {
                let message = Message::new(channel, "e").data(&number).emit_pub_sub_event(true);
                let message = if number % 3 == 0 { message.store_forever() } else { message };
                broker.publish(message).await.unwrap();
            }
        })
    });
    let (mut few, mut many) = (Vec::new(), Vec::new());
    while few.len() < EACH || many.len() < EACH {
        let event = events.recv().await.unwrap().unwrap();
        if let EventKind::MessagePublished(message) = event.kind() {
            let seen = if &*message.channel == "few" { &mut few } else { &mut many };
            seen.push((message.id, String::from_utf8(message.data.to_vec()).unwrap()));
        }
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
    for seen in [few, many] {
        assert!(seen.is_sorted_by(|one, other| one.0 < other.0));
        let data: Vec<_> = seen.into_iter().map(|(_, data)| data).collect();
        assert_eq!(data, (0..EACH).map(|number| number.to_string()).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn section_12_what_was_dropped_shows_and_the_stream_goes_on() {
    let server = Server::with(builder().event_capacity(8)).await;
    let mut events = server.broker.events();
    for number in 0..20 {
        let message = Message::new("c", "e").data(&number).emit_pub_sub_event(true);
        server.broker.publish(message).await.unwrap();
    }
    assert_eq!(events.recv().await, Some(Err(Lagged(12))));
    assert_eq!(next(&mut events).await["data"]["data"], 12);
    for wrong in [0, 65_537] {
        assert!(builder().event_capacity(wrong).build().await.is_err());
    }
}
