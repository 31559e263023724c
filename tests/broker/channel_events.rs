//! What a host hears of members, metadata, reactions and channel storage (protocol section 12).

use crate::client::{Client, backend, request};
use crate::events::{event, next};
use crate::server::{API_KEY, Server, builder, until};
use crate::token::{connect, now, sign};
use fanfare::{EntryUpdate, EventKind, EventStream, Message, Reaction, Timestamp};
use futures_util::FutureExt;
use http::{Method, Request};
use serde_json::{Value, json};
use std::time::Duration;

const IP: &str = "127.0.0.1";

/// The next event of a data type, whatever comes between.
async fn next_of(events: &mut EventStream, data_type: &str) -> Value {
    loop {
        let event = next(events).await;
        if event["dataType"] == data_type {
            return event;
        }
    }
}

fn member(uid: &str, umd: &Value) -> String {
    connect(&json!({"uid": uid, "umd": umd, "channels": {"presence.*": {"subscribe": true}}}))
}

fn update(client: &Client, channel: Option<&str>, umd: &Value) -> Value {
    let token = sign(&json!({
        "exp": now() + 60, "scope": "umd", "connectionId": client.id, "umd": umd,
        "umdUpdate": true, "umdPropagate": true, "channels": {"presence.*": {"umdUpdate": true}},
    }));
    let mut update = json!({"event": "hotsock.umdUpdate", "data": {"token": token}});
    if let Some(channel) = channel {
        update["channel"] = json!(channel);
    }
    update
}

#[tokio::test]
async fn section_12_members_are_told_with_all_members_as_they_come_and_go() {
    let server = Server::start().await;
    let mut events = server.broker.events();
    let on_channel = json!({"channel": "presence.c"});
    let told = |kind: &str, uid: &str, umd: Value, members: Value| {
        let data = json!({"uid": uid, "umd": umd, "members": members});
        event(&format!("hotsock.member{kind}"), &on_channel, "channelMember", &data)
    };
    let (jim, pam) = (json!({"uid": "jim", "umd": null}), json!({"uid": "pam", "umd": {"a": 1}}));
    let first = Client::subscribed(&server, &member("jim", &json!(null)), "presence.c").await;
    let expected = told("Added", "jim", json!(null), json!([jim]));
    assert_eq!(next_of(&mut events, "channelMember").await, expected);
    let mut second =
        Client::subscribed(&server, &member("pam", &json!({"a": 1})), "presence.c").await;
    let expected = told("Added", "pam", json!({"a": 1}), json!([jim, pam]));
    assert_eq!(next_of(&mut events, "channelMember").await, expected);
    // Another connection that shows the same changes nothing.
    let same = Client::subscribed(&server, &member("pam", &json!({"a": 1})), "presence.c").await;
    drop(first);
    let expected = told("Removed", "jim", json!(null), json!([pam]));
    assert_eq!(next_of(&mut events, "channelMember").await, expected);
    drop(same);
    second.send(&update(&second, Some("presence.c"), &json!(2))).await;
    let expected = told("Updated", "pam", json!(2), json!([{"uid": "pam", "umd": 2}]));
    assert_eq!(next_of(&mut events, "channelMember").await, expected);
    second.send(&json!({"event": "hotsock.unsubscribe", "channel": "presence.c"})).await;
    assert_eq!(
        next_of(&mut events, "channelMember").await,
        told("Removed", "pam", json!(2), json!([]))
    );
}

#[tokio::test]
async fn section_12_a_shutdown_is_over_when_the_last_member_s_leaving_is_told() {
    let server = Server::with(builder().presence_grace(Duration::from_secs(3_600))).await;
    let lost = Client::subscribed(&server, &member("lost", &json!(null)), "presence.c").await;
    let mut jim = Client::subscribed(&server, &member("jim", &json!(null)), "presence.c").await;
    drop(lost);
    until(|| server.broker.connection_count() == 1).await;
    let mut events = server.broker.events();
    let (ended, closed) = tokio::join!(server.broker.shutdown(), jim.close_code());
    assert_eq!((ended.is_ok(), closed), (true, 1012));
    let mut removed = Vec::new();
    while let Some(event) = events.recv().now_or_never() {
        if let EventKind::MemberRemoved(member) = event.unwrap().unwrap().kind() {
            removed.push(member.uid.to_string());
        }
    }
    removed.sort_unstable();
    assert_eq!(removed, ["jim", "lost"]);
}

#[tokio::test]
async fn section_12_a_connection_is_updated_where_its_own_metadata_change() {
    let server = Server::start().await;
    let mut events = server.broker.events();
    let url = server.url(&member("jim", &json!(1)));
    let mut jim = Client::connect_with(&url, "user-agent", "Fan/1.0").await;
    jim.subscribe("presence.c").await;
    let connected = next_of(&mut events, "connection").await;
    let metadata = json!({"connectionId": jim.id, "sourceIp": IP, "userAgent": "Fan/1.0"});
    let mut data = json!({
        "id": jim.id, "connectedAt": connected["data"]["connectedAt"], "disconnectedAt": null,
        "keepAlive": false, "sourceIp": IP, "uid": "jim", "umd": 1, "userAgent": "Fan/1.0",
    });
    assert_eq!(connected, event("hotsock.connected", &metadata, "connection", &data));
    // A subscription's are not the connection's, and what stays as it is changes nothing.
    jim.send(&update(&jim, Some("presence.c"), &json!(5))).await;
    jim.send(&update(&jim, None, &json!(1))).await;
    jim.send(&update(&jim, None, &json!({"b": 2}))).await;
    data["umd"] = json!({"b": 2});
    let updated = next_of(&mut events, "connection").await;
    assert_eq!(updated, event("hotsock.connectionUpdated", &metadata, "connection", &data));
    let body = update(&jim, None, &json!(null))["data"].clone();
    assert_eq!(jim.call(&server, "umdUpdate", &body).await.status, 200);
    data["umd"] = json!(null);
    let updated = next_of(&mut events, "connection").await;
    assert_eq!(updated, event("hotsock.connectionUpdated", &metadata, "connection", &data));
    drop(jim);
    let ended = next_of(&mut events, "connection").await;
    assert_eq!(
        (&ended["type"], &ended["data"]["umd"]),
        (&json!("hotsock.disconnected"), &json!(null))
    );
}

fn reacts(uid: &str) -> String {
    connect(&json!({"uid": uid, "umd": {"n": uid}, "channels": {"c": {
        "subscribe": true,
        "messages": {
            "told": {"react": true, "emitPubSubEvent": true},
            "untold": {"react": true},
        },
    }}}))
}

fn reaction(id: &str, action: &str) -> Value {
    json!({"event": "hotsock.messageReaction", "channel": "c",
           "data": {"messageId": id, "reaction": "👍", "action": action}})
}

/// A message that is kept for a minute.
async fn stored(server: &Server, event: &str) -> String {
    let message = Message::new("c", event).store_for(Duration::from_secs(60));
    server.broker.publish(message).await.unwrap().id().to_string()
}

#[tokio::test]
async fn section_12_reactions_are_told_where_their_target_s_event_says_so() {
    let server = Server::start().await;
    let untold_id = stored(&server, "untold").await;
    let before = Timestamp::now();
    let told_id = stored(&server, "told").await;
    let after = Timestamp::now();
    let mut jim = Client::subscribed(&server, &reacts("jim"), "c").await;
    let mut pam = Client::subscribed(&server, &reacts("pam"), "c").await;
    let mut events = server.broker.events();
    jim.send(&reaction(&untold_id, "add")).await;
    jim.send(&reaction(&told_id, "add")).await;
    // A repeat changes nothing.
    jim.send(&reaction(&told_id, "add")).await;
    assert_eq!(pam.next().await["data"]["messageId"], json!(untold_id));
    let seen = pam.next().await;

    let EventKind::MessageReactionAdded(typed) =
        events.recv().await.unwrap().unwrap().kind().clone()
    else {
        panic!("no reaction was added")
    };
    let minute = Duration::from_secs(60);
    assert!((before + minute..=after + minute).contains(&typed.expires_at.unwrap()));
    jim.send(&reaction(&told_id, "remove")).await;
    let removed = next(&mut events).await;
    let metadata = &removed["metadata"];
    assert!(metadata["requestId"].is_string());
    // What is removed is told as it was added, by the request that added it.
    let expected_metadata = json!({
        "channel": "c", "event": "told", "reaction": "👍", "connectionId": jim.id, "sourceIp": IP,
        "requestId": metadata["requestId"], "trigger": "client.websocket",
    });
    let data = json!({
        "channel": "c", "messageId": told_id, "id": seen["id"], "reaction": "👍", "uid": "jim",
        "umd": {"n": "jim"}, "createdAt": removed["data"]["createdAt"],
        "expiresAt": removed["data"]["expiresAt"],
    });
    let name = "hotsock.messageReactionRemoved";
    assert_eq!(removed, event(name, &expected_metadata, "messageReaction", &data));
    assert_eq!(typed.id.to_string(), seen["id"].as_str().unwrap());

    let mut body = reaction(&told_id, "add");
    body["event"] = json!("hotsock.messageReaction");
    jim.call(&server, "publishMessage", &body).await;
    let added = next(&mut events).await;
    assert_eq!(added["type"], "hotsock.messageReactionAdded");
    assert_eq!(added["metadata"]["trigger"], "client.http");
    assert_ne!(added["metadata"]["requestId"], metadata["requestId"]);
    assert_eq!(added["metadata"]["connectionId"], json!(jim.id));
}

#[tokio::test]
async fn section_12_the_server_s_reactions_are_told_where_it_asks_for_that() {
    let server = Server::start().await;
    let id = stored(&server, "told").await;
    let mut events = server.broker.events();
    let mut body = reaction(&id, "add");
    body["data"]["uid"] = json!("quiet");
    backend(&server, Method::POST, "/publish", &body).await;
    body["data"]["uid"] = json!("ann");
    body["emitPubSubEvent"] = json!(true);
    let named = Request::post("/publish")
        .header("authorization", format!("Bearer {API_KEY}"))
        .header("x-request-id", "mine")
        .header("user-agent", "Backend/2")
        .body(json!([body, body]).to_string())
        .unwrap();
    assert_eq!(request(server.address, named).await.status, 202);
    let added = next(&mut events).await;
    let metadata = json!({
        "channel": "c", "event": "told", "reaction": "👍", "sourceIp": IP,
        "userAgent": "Backend/2", "requestId": "mine", "trigger": "server.http",
    });
    assert_eq!(
        added,
        event("hotsock.messageReactionAdded", &metadata, "messageReaction", &added["data"])
    );
    assert_eq!((&added["data"]["uid"], &added["data"]["umd"]), (&json!("ann"), &json!(null)));

    let mine = || Reaction::new("👍", "ann").emit_pub_sub_event(true);
    server.broker.remove_reaction("c", id.parse().unwrap(), mine()).await.unwrap();
    let removed = next(&mut events).await;
    assert_eq!(removed["type"], "hotsock.messageReactionRemoved");
    assert_eq!((&removed["metadata"], &removed["data"]), (&added["metadata"], &added["data"]));
    server.broker.add_reaction("c", id.parse().unwrap(), mine()).await.unwrap();
    assert_eq!(next(&mut events).await["metadata"]["trigger"], "server.embedded");
}

fn keeps() -> String {
    connect(&json!({"uid": "jim", "umd": [1], "channels": {"c": {"storage": {
        "told": {"set": true, "store": 60, "emitPubSubEvent": true, "scheduleBefore": 4_000_000_000_u64},
        "untold": {"set": true},
    }}}}))
}

fn set(key: &str, data: &Value) -> Value {
    json!({"event": "hotsock.channelStorageSet", "channel": "c", "key": key, "data": data})
}

#[tokio::test]
async fn section_12_channel_storage_is_told_with_what_was_there_before() {
    let server = Server::start().await;
    let mut jim = Client::connect(&server, &keeps()).await;
    let mut events = server.broker.events();
    let check = |event: &Value, trigger: &str, data: Value, before: Value, meta: Value| {
        assert_eq!(event["type"], "hotsock.channelStorageUpdated");
        assert_eq!(event["metadata"]["trigger"], trigger);
        assert_eq!(
            (&event["metadata"]["channel"], &event["metadata"]["key"]),
            (&json!("c"), &json!("told"))
        );
        let expires_at = &event["data"]["expiresAt"];
        let expected = json!({
            "channel": "c", "key": "told", "data": data, "dataPrevious": before, "expired": false,
            "expiresAt": expires_at, "meta": meta,
        });
        assert_eq!(event["data"], expected);
        assert_eq!(expires_at.is_string(), trigger.starts_with("client") && !data.is_null());
    };
    let jims = json!({"uid": "jim", "umd": [1]});
    jim.send(&set("untold", &json!(1))).await;
    jim.send(&set("told", &json!(1))).await;
    let told = next(&mut events).await;
    check(&told, "client.websocket", json!(1), json!(null), jims.clone());
    assert_eq!(told["metadata"]["connectionId"], json!(jim.id));
    // An equal value is told to nobody.
    jim.send(&set("told", &json!(1))).await;
    jim.call(&server, "channelStorageSet", &set("told", &json!(2))).await;
    check(&next(&mut events).await, "client.http", json!(2), json!(1), jims.clone());
    jim.send(&set("told", &json!(null))).await;
    check(&next(&mut events).await, "client.websocket", json!(null), json!(2), jims.clone());

    let nobody = json!({"uid": null, "umd": null});
    backend(&server, Method::POST, "/publish", &set("told", &json!(3))).await;
    let mut body = set("told", &json!(4));
    body["emitPubSubEvent"] = json!(true);
    backend(&server, Method::POST, "/publish", &body).await;
    check(&next(&mut events).await, "server.http", json!(4), json!(3), nobody.clone());
    let mine = |number: u8| EntryUpdate::set("c", "told", &number).emit_pub_sub_event(true);
    server.broker.set_entry(mine(5)).await.unwrap();
    check(&next(&mut events).await, "server.embedded", json!(5), json!(4), nobody.clone());
    let soon = Timestamp::now() + Duration::from_millis(100);
    server.broker.set_entry(mine(6).schedule_at(soon)).await.unwrap();
    check(&next(&mut events).await, "server.embedded", json!(6), json!(5), nobody);
}

#[tokio::test]
async fn section_12_what_goes_through_a_channel_is_told_in_its_order() {
    let server = Server::start().await;
    let mut events = server.broker.events();
    let (mut ids, mut values) = (Vec::new(), Vec::new());
    for number in 0..20 {
        let message = Message::new("c", "e").store_forever().emit_pub_sub_event(true);
        let id = server.broker.publish(message).await.unwrap().id();
        let reaction = Reaction::new("👍", "ann").emit_pub_sub_event(true);
        server.broker.add_reaction("c", id, reaction).await.unwrap();
        let value = EntryUpdate::set("c", "k", &number).emit_pub_sub_event(true);
        server.broker.set_entry(value).await.unwrap();
        for _ in 0..3 {
            match events.recv().await.unwrap().unwrap().kind() {
                EventKind::MessagePublished(message) => ids.push(message.id),
                EventKind::MessageReactionAdded(reaction) => ids.push(reaction.id),
                EventKind::ChannelStorageUpdated(entry) => values.push(entry.data.clone().unwrap()),
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(ids.len() == 40 && ids.is_sorted_by(|one, other| one < other));
    assert_eq!(values, (0..20).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn section_12_all_that_one_request_publishes_has_its_id() {
    let server = Server::start().await;
    let mut events = server.broker.events();
    let one = json!({"event": "e", "channels": ["a", "b"], "emitPubSubEvent": true});
    let two = json!({"event": "e", "channel": "c", "emitPubSubEvent": true});
    let mut seen = Vec::new();
    for body in [one, json!([two, two])] {
        backend(&server, Method::POST, "/publish", &body).await;
        for _ in 0..2 {
            let metadata = next(&mut events).await["metadata"].clone();
            assert_eq!((&metadata["sourceIp"], metadata.get("connectionId")), (&json!(IP), None));
            seen.push(metadata["requestId"].as_str().unwrap().to_owned());
        }
    }
    assert!(seen[0] == seen[1] && seen[1] != seen[2] && seen[2] == seen[3], "{seen:?}");
}
