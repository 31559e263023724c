//! Protocol section 7.2 over sockets, and reactions in sections 9 and 10.

use crate::client::{Client, backend};
use crate::server::{Server, builder};
use crate::token::connect;
use fanfare::{HistoryQuery, Message, MessageId, Reaction};
use http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

fn reacts(uid: &str) -> String {
    connect(&json!({"uid": uid, "umd": {"name": uid}, "channels": {"room": {
        "subscribe": true,
        "historyStart": 0,
        "messages": {"chat": {"react": true}, "quiet": {"react": ["👍"]}},
    }}}))
}

async fn message(server: &Server, event: &str) -> String {
    let message = Message::new("room", event).store_forever();
    server.broker.publish(message).await.unwrap().id().to_string()
}

async fn react(client: &mut Client, id: &str, reaction: &str, action: &str) {
    let data = json!({"messageId": id, "reaction": reaction, "action": action});
    let event = "hotsock.messageReaction";
    client.send(&json!({"event": event, "channel": "room", "data": data})).await;
}

async fn list(server: &Server, client: &Client, expand: bool) -> Value {
    let body = json!({"channel": "room", "expandReactions": expand});
    client.call(server, "listMessages", &body).await.json()["messages"].clone()
}

#[tokio::test]
async fn section_7_2_subscribers_hear_of_each_reaction_once() {
    let server = Server::start().await;
    let id = message(&server, "chat").await;
    let mut jim = Client::subscribed(&server, &reacts("jim"), "room").await;
    let mut pam = Client::subscribed(&server, &reacts("pam"), "room").await;
    react(&mut jim, &id, "👍", "add").await;
    react(&mut jim, &id, "👍", "add").await;
    react(&mut jim, &id, "👍", "remove").await;
    react(&mut jim, &id, "👍", "remove").await;
    for (event, action) in [("Added", "add"), ("Removed", "remove")] {
        let told = pam.next().await;
        assert_eq!(told["event"], format!("hotsock.messageReaction{event}"));
        assert_eq!(told["data"], json!({"messageId": id, "reaction": "👍", "action": action}));
        assert_eq!(told["meta"], json!({"uid": "jim", "umd": {"name": "jim"}}));
        assert!(told["id"].as_str().unwrap() > &*id);
    }
    // Nothing more came, to either.
    server.broker.publish(Message::new("room", "last")).await.unwrap();
    assert_eq!(pam.next().await["event"], "last");
    assert_eq!(jim.next().await["event"], "last");
}

#[tokio::test]
async fn section_7_2_the_target_decides_last() {
    let server = Server::start().await;
    let quiet = message(&server, "quiet").await;
    let other = message(&server, "other").await;
    let mut jim = Client::subscribed(&server, &reacts("jim"), "room").await;
    let unknown = MessageId::MAX.to_string();
    for (id, reaction, code) in [
        (&unknown, "👍", "MESSAGE_NOT_FOUND"),
        (&other, "👍", "REACT_PERMISSION_DENIED"),
        (&quiet, "👎", "REACT_PERMISSION_DENIED"),
    ] {
        react(&mut jim, id, reaction, "add").await;
        let error = jim.next().await;
        assert_eq!((&error["error"]["code"], &error["channel"]), (&json!(code), &json!("room")));
    }
}

#[tokio::test]
async fn section_7_2_limits_of_a_message_and_of_a_user() {
    let builder = builder().max_reactions_per_message(3).max_reactions_per_user(2);
    let server = Server::with(builder).await;
    let id = message(&server, "chat").await;
    let mut jim = Client::subscribed(&server, &reacts("jim"), "room").await;
    let mut pam = Client::subscribed(&server, &reacts("pam"), "room").await;
    for reaction in ["a", "b", "c"] {
        react(&mut jim, &id, reaction, "add").await;
    }
    assert_eq!(jim.next().await["error"]["code"], "REACT_PERMISSION_DENIED");
    for reaction in ["c", "d"] {
        react(&mut pam, &id, reaction, "add").await;
    }
    assert_eq!(pam.next().await["data"]["reaction"], "a");
    assert_eq!(pam.next().await["data"]["reaction"], "b");
    assert_eq!(pam.next().await["error"]["code"], "REACT_PERMISSION_DENIED");
    assert_eq!(jim.next().await["data"]["reaction"], "c");
}

#[tokio::test]
async fn section_9_listed_messages_have_their_reactions() {
    let server = Server::start().await;
    let id = message(&server, "chat").await;
    message(&server, "chat").await;
    let jim = Client::subscribed(&server, &reacts("jim"), "room").await;
    let pam = Client::subscribed(&server, &reacts("pam"), "room").await;
    for (client, reaction) in [(&jim, "👍"), (&pam, "👍"), (&pam, "❤")] {
        let data = json!({"messageId": id, "reaction": reaction, "action": "add"});
        let body = json!({"channel": "room", "event": "hotsock.messageReaction", "data": data});
        let answer = client.call(&server, "publishMessage", &body).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let expected = json!({"channel": "room", "event": "hotsock.messageReaction"});
        assert_eq!(answer.json(), expected);
    }
    let data = json!({"messageId": id, "reaction": "❤", "action": "add"});
    let body = json!({"channel": "room", "event": "hotsock.messageReaction", "data": data,
        "eagerIdGeneration": true});
    let first = jim.call(&server, "publishMessage", &body).await.json();
    assert_eq!(first["id"].as_str().unwrap().len(), 26);
    let repeat = jim.call(&server, "publishMessage", &body).await.json();
    assert_eq!(repeat.get("id"), None, "nobody was told of it");
    let counted = list(&server, &jim, false).await;
    assert_eq!(counted[0]["reactions"], json!({"👍": {"count": 2}, "❤": {"count": 2}}));
    assert_eq!(counted[1].get("reactions"), None);

    let expanded = list(&server, &jim, true).await;
    let user = |uid: &str| json!({"uid": uid, "umd": {"name": uid}});
    let expected = json!({
        "👍": {"count": 2, "items": [user("jim"), user("pam")]},
        "❤": {"count": 2, "items": [user("pam"), user("jim")]},
    });
    assert_eq!((&expanded[0]["reactions"], &expanded[1]["reactions"]), (&expected, &json!({})));

    let body = json!({"channel": "room", "messageId": id});
    let answer = jim.call(&server, "listReactions", &body).await.json();
    let given =
        |reaction: &str, uid: &str| json!({"reaction": reaction, "uid": uid, "umd": {"name": uid}});
    let expected = [given("👍", "jim"), given("👍", "pam"), given("❤", "pam"), given("❤", "jim")];
    assert_eq!(answer, json!({"reactions": expected}));
}

#[tokio::test]
async fn section_9_what_lists_show_of_a_message_that_a_crowd_reacted_to_ends_at_1_mb() {
    const MB: usize = 1 << 20;
    const USERS: usize = 1_200;
    let server = Server::start().await;
    let loved: MessageId = message(&server, "chat").await.parse().unwrap();
    message(&server, "chat").await;
    let umd = json!("u".repeat(1_000)).to_string();
    for number in 0..USERS {
        let reaction = Reaction::new("👍", format!("user {number}")).raw_umd(&umd);
        server.broker.add_reaction("room", loved, reaction).await.unwrap();
    }
    let jim = Client::subscribed(&server, &reacts("jim"), "room").await;

    let listed = list(&server, &jim, true).await;
    assert!(listed.to_string().len() <= MB, "a page ends at 1 MB");
    let thumbs = &listed[0]["reactions"]["👍"];
    assert_eq!(thumbs["count"], USERS, "all are counted");
    let is_nearly_full = |json: &Value| (MB * 9 / 10..=MB).contains(&json.to_string().len());
    assert!(is_nearly_full(&listed[0]));
    let named = thumbs["items"].as_array().unwrap().len();
    assert!(named < USERS);

    let body = json!({"channel": "room", "messageId": loved.to_string()});
    let answer = jim.call(&server, "listReactions", &body).await.json();
    assert!(is_nearly_full(&answer));
    let named = answer["reactions"].as_array().unwrap().len();
    assert!(named < USERS);
}

#[tokio::test]
async fn section_9_a_page_is_no_shorter_for_the_reactions_that_it_shows() {
    let server = Server::start().await;
    let long = "+".repeat(100);
    for _ in 0..100 {
        let id = message(&server, "chat").await.parse().unwrap();
        for user in 0..70 {
            let reaction = Reaction::new(&*long, user.to_string());
            server.broker.add_reaction("room", id, reaction).await.unwrap();
        }
    }
    let jim = Client::subscribed(&server, &reacts("jim"), "room").await;
    for reverse in [false, true] {
        let body = json!({"channel": "room", "expandReactions": true, "reverse": reverse});
        let listed = jim.call(&server, "listMessages", &body).await.json();
        let listed = listed["messages"].as_array().unwrap();
        assert_eq!(listed.len(), 100, "reverse: {reverse}");
        let ids = listed.iter().map(|one| one["id"].as_str().unwrap());
        assert!(if reverse { ids.rev().is_sorted() } else { ids.is_sorted() });
        for one in listed {
            assert_eq!(one["reactions"][&long]["items"].as_array().unwrap().len(), 70);
        }
    }
}

#[tokio::test]
async fn section_9_reactions_out_of_sight_are_not_listed() {
    let server = Server::start().await;
    let id = message(&server, "chat").await;
    let token = connect(&json!({"uid": "jim", "channels": {"room": {"subscribe": true}}}));
    let jim = Client::subscribed(&server, &token, "room").await;
    for (id, expected) in [(&*id, (404, "MESSAGE_NOT_FOUND")), ("", (400, "INVALID_MESSAGE_ID"))] {
        let body = json!({"channel": "room", "messageId": id});
        let answer = jim.call(&server, "listReactions", &body).await.code();
        assert_eq!(answer, (expected.0, expected.1.into()));
    }
}

#[tokio::test]
async fn section_10_the_host_reacts_for_users() {
    let server = Server::start().await;
    let id: MessageId = message(&server, "any").await.parse().unwrap();
    let mut jim = Client::subscribed(&server, &reacts("jim"), "room").await;
    let broker = &server.broker;
    let reaction = Reaction::new("👍", "bot").raw_umd("{}");
    assert!(broker.add_reaction("room", id, reaction.clone()).await.unwrap());
    assert!(!broker.add_reaction("room", id, reaction.clone()).await.unwrap());
    assert_eq!(jim.next().await["meta"], json!({"uid": "bot", "umd": {}}));
    let given = broker.reactions("room", id).await.unwrap();
    let [given] = &given[..] else { panic!("not one reaction: {given:?}") };
    assert_eq!(
        (&*given.reaction, &*given.uid, given.umd.as_deref()),
        ("👍", "bot", Some(&b"{}"[..]))
    );
    assert!(broker.remove_reaction("room", id, reaction.clone()).await.unwrap());
    assert!(!broker.remove_reaction("room", id, reaction.clone()).await.unwrap());
    assert_eq!(jim.next().await["event"], "hotsock.messageReactionRemoved");

    for number in 0..20 {
        let reaction = Reaction::new(format!("r{number}"), "bot");
        assert!(broker.add_reaction("room", id, reaction).await.unwrap());
    }
    let error = broker.add_reaction("room", id, reaction.clone()).await.unwrap_err();
    assert!(error.is_limit_reached(), "{error}");

    let wrong = Reaction::new("", "bot");
    assert!(broker.add_reaction("room", id, wrong).await.unwrap_err().is_invalid_input());
    let unknown = broker.reactions("room", MessageId::MAX).await.unwrap_err();
    assert_eq!(unknown.code(), fanfare::Code::MessageNotFound);
    assert_eq!(broker.history("room", &HistoryQuery::default()).await.unwrap().messages.len(), 1);
}

#[tokio::test]
async fn section_10_backends_react_for_users() {
    let server = Server::start().await;
    let id = message(&server, "any").await;
    let mut jim = Client::subscribed(&server, &reacts("jim"), "room").await;
    let body =
        |data: Value| json!({"channel": "room", "event": "hotsock.messageReaction", "data": data});
    let data = json!({"messageId": id, "reaction": "👍", "action": "add", "uid": "pam", "more": 1});
    let answer = backend(&server, Method::POST, "/publish", &body(data)).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let told = jim.next().await;
    assert_eq!(told["data"], json!({"messageId": id, "reaction": "👍", "action": "add"}));
    assert_eq!(told["meta"], json!({"uid": "pam", "umd": null}));
    for (data, code) in [
        (json!({"messageId": id, "reaction": "👍", "action": "add"}), "INVALID_MESSAGE"),
        (
            json!({"messageId": id, "reaction": " ", "action": "add", "uid": "a"}),
            "INVALID_REACTION",
        ),
        (json!(null), "INVALID_MESSAGE"),
    ] {
        assert_eq!(
            backend(&server, Method::POST, "/publish", &body(data)).await.code(),
            (400, code.into())
        );
    }
}

type Given = BTreeSet<(String, String)>;

/// Carries out `steps` as the host, and compares storage, and what a subscriber makes of what it
/// is told, with a set.
async fn counts_are_sets(steps: Vec<(bool, u8, u8)>) {
    let server = Server::start().await;
    let id: MessageId = message(&server, "chat").await.parse().unwrap();
    let mut jim = Client::subscribed(&server, &reacts("jim"), "room").await;
    let (mut model, mut changes) = (Given::new(), 0);
    for (add, reaction, uid) in steps {
        let (reaction, uid) = (format!("r{reaction}"), format!("u{uid}"));
        let key = (reaction.clone(), uid.clone());
        let expected = if add { model.insert(key) } else { model.remove(&key) };
        let reaction = Reaction::new(reaction, uid);
        let changed = match add {
            true => server.broker.add_reaction("room", id, reaction).await,
            false => server.broker.remove_reaction("room", id, reaction).await,
        };
        assert_eq!(changed.unwrap(), expected);
        changes += usize::from(expected);
    }
    let mut view = Given::new();
    for _ in 0..changes {
        let told = jim.next().await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let key = (text(&told["data"]["reaction"]), text(&told["meta"]["uid"]));
        let new = match told["event"].as_str().unwrap() {
            "hotsock.messageReactionAdded" => view.insert(key),
            _ => view.remove(&key),
        };
        assert!(new, "told of what was so already: {told}");
    }
    assert_eq!(view, model);
    let stored = server.broker.reactions("room", id).await.unwrap().into_iter();
    assert_eq!(stored.map(|one| (one.reaction, one.uid)).collect::<Given>(), model);
    let mut counts = BTreeMap::<_, u64>::new();
    for (reaction, _) in &model {
        *counts.entry(reaction.clone()).or_default() += 1;
    }
    let query = HistoryQuery::default();
    let page = server.broker.history("room", &query).await.unwrap();
    let read = page.messages[0].reactions.iter().map(|one| (one.reaction.clone(), one.count));
    assert_eq!(read.collect::<BTreeMap<_, _>>(), counts);
    let counts = counts.into_iter().map(|(reaction, count)| (reaction, json!({"count": count})));
    let counts: serde_json::Map<_, _> = counts.collect();
    let listed = list(&server, &jim, false).await[0].get("reactions").cloned();
    assert_eq!(listed.unwrap_or(json!({})), Value::Object(counts));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn section_7_2_a_reaction_s_count_equals_its_set_of_users(
        steps in prop::collection::vec((prop::bool::weighted(0.6), 0..4_u8, 0..4_u8), 0..60),
    ) {
        tokio::runtime::Runtime::new().unwrap().block_on(counts_are_sets(steps));
    }
}
