//! Protocol sections 6.1 and 7.4.

use crate::client::{Client, backend};
use crate::server::{Server, builder, until};
use crate::token::{connect, now, sign, upgrade};
use http::Method;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CHANNEL: &str = "presence.room";

fn member(uid: &str, umd: &Value) -> Value {
    json!({"uid": uid, "umd": umd})
}

fn token(uid: &str, umd: &Value) -> String {
    connect(&json!({"uid": uid, "umd": umd, "channels": {
        "presence.*": {"subscribe": true, "getInfo": true, "messages": {"e": {"publish": true}}},
    }}))
}

/// Connects and subscribes, and returns the members that it is told of.
async fn join(server: &Server, uid: &str, umd: &Value) -> (Client, Value) {
    let mut client = Client::connect(server, &token(uid, umd)).await;
    client.send(&json!({"event": "hotsock.subscribe", "channel": CHANNEL})).await;
    let confirmation = client.next().await;
    assert_eq!(confirmation["event"], "hotsock.subscribed", "{confirmation}");
    (client, confirmation["data"]["members"].clone())
}

async fn expect(client: &mut Client, event: &str, member: &Value, members: &Value) {
    let expected = json!({
        "event": event, "channel": CHANNEL, "data": {"member": member, "members": members},
    });
    assert_eq!(client.next().await, expected);
}

#[tokio::test]
async fn section_6_1_members_are_told_of_each_other() {
    let server = Server::start().await;
    let (jim, pam) = (member("jim", &json!(null)), member("pam", &json!({"a": 1})));
    let (mut first, members) = join(&server, "jim", &json!(null)).await;
    assert_eq!(members, json!([jim]));
    let (mut second, members) = join(&server, "pam", &json!({"a": 1})).await;
    assert_eq!(members, json!([jim, pam]));
    expect(&mut first, "hotsock.memberAdded", &pam, &members).await;

    // Another connection of the same user adds nobody, but may show something else.
    let (mut same, members) = join(&server, "pam", &json!({"a": 1})).await;
    assert_eq!(members, json!([jim, pam]));
    let newer = member("pam", &json!(2));
    let (mut other, members) = join(&server, "pam", &json!(2)).await;
    assert_eq!(members, json!([jim, newer]));
    for client in [&mut first, &mut second, &mut same, &mut other] {
        expect(client, "hotsock.memberUpdated", &newer, &members).await;
    }

    other.send(&json!({"event": "hotsock.unsubscribe", "channel": CHANNEL})).await;
    assert_eq!(other.next().await["event"], "hotsock.unsubscribed");
    for client in [&mut first, &mut second, &mut same] {
        expect(client, "hotsock.memberUpdated", &pam, &json!([jim, pam])).await;
    }
    drop(second);
    drop(same);
    expect(&mut first, "hotsock.memberRemoved", &pam, &json!([jim])).await;
    first.assert_silent().await;
    other.assert_silent().await;
}

#[tokio::test]
async fn section_6_1_presence_works_with_an_alias_and_by_itself() {
    let server = Server::start().await;
    let token = connect(&json!({"uid": "jim", "channels": {
        CHANNEL: {"autoSubscribe": true, "alias": "room"},
    }}));
    let mut jim = Client::connect(&server, &token).await;
    assert_eq!(
        jim.next().await,
        json!({
            "event": "hotsock.subscribed", "channel": CHANNEL,
            "data": {"autoSubscribed": true, "members": [{"uid": "jim", "umd": null}]},
            "meta": {"channelAlias": "room", "uid": "jim", "umd": null},
        })
    );
    jim.send(&json!({"event": "hotsock.unsubscribe", "channel": "room"})).await;
    assert_eq!(jim.next().await["meta"]["channelAlias"], "room");
    // Whoever has read that is a member no more.
    assert_eq!(server.broker.channel_info(CHANNEL).unwrap().members(), []);
}

#[tokio::test]
async fn section_6_1_a_full_channel_takes_nobody_more() {
    let server = Server::start().await;
    let large = json!("x".repeat(1_000));
    let mut members = tokio::task::JoinSet::new();
    let refused = loop {
        let token = token(&format!("user {}", members.len()), &large);
        let mut client = Client::connect(&server, &token).await;
        client.send(&json!({"event": "hotsock.subscribe", "channel": CHANNEL})).await;
        let answer = client.next().await;
        if answer["event"] == "hotsock.error" {
            break answer;
        }
        assert!(members.len() < 200, "the channel never fills up");
        members.spawn(async move { while client.next_frame().await.is_some() {} });
    };
    assert_eq!(refused["channel"], CHANNEL);
    assert_eq!(refused["error"]["code"], "PRESENCE_CHANNEL_CAPACITY_REACHED");
    let info = server.broker.channel_info(CHANNEL).unwrap();
    assert_eq!((info.members().len(), info.subscriptions_count()), (members.len(), members.len()));
    let bytes = members.len() * member("user 10", &large).to_string().len();
    assert!((102_400 - 2_000..=102_400 + 20).contains(&bytes), "{bytes}");
}

#[tokio::test]
async fn section_9_and_10_channel_info_shows_the_members() {
    let server = Server::start().await;
    let (jim, _) = join(&server, "jim", &json!({"a": 1})).await;
    let members = json!([{"uid": "jim", "umd": {"a": 1}}]);
    let body = json!({"channel": CHANNEL});
    assert_eq!(
        jim.call(&server, "getChannelInfo", &body).await.json(),
        json!({"channel": CHANNEL, "subscriptionsCount": 1, "members": members})
    );
    let path = format!("/channels/{CHANNEL}");
    assert_eq!(
        backend(&server, Method::GET, &path, &Value::Null).await.json(),
        json!({"name": CHANNEL, "subscriptionsCount": 1, "members": members})
    );
    assert_eq!(
        backend(&server, Method::GET, "/channels/presence.none", &Value::Null).await.json(),
        json!({"name": "presence.none", "subscriptionsCount": 0, "members": []})
    );
    let info = server.broker.channel_info(CHANNEL).unwrap();
    assert_eq!(info.members()[0].uid, "jim");
    assert_eq!(info.members()[0].umd.as_deref(), Some(&br#"{"a":1}"#[..]));
    let code = jim.call(&server, "getChannelInfo", &json!({"channel": "other"})).await.code();
    assert_eq!(code, (403, "INFO_PERMISSION_DENIED".into()));
}

fn umd_token(more: &Value) -> String {
    let mut claims = json!({"exp": now() + 3600, "scope": "umd", "uid": "jim"});
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    sign(&claims)
}

#[tokio::test]
async fn section_7_4_members_are_told_of_new_metadata() {
    let server = Server::start().await;
    let (mut jim, _) = join(&server, "jim", &json!(1)).await;
    let (mut pam, _) = join(&server, "pam", &json!(1)).await;
    jim.next().await;
    let pam_is = member("pam", &json!(1));

    let token = umd_token(&json!({"umd": 2, "channels": {CHANNEL: {"umdUpdate": true}}}));
    let update =
        json!({"event": "hotsock.umdUpdate", "channel": CHANNEL, "data": {"token": token}});
    jim.send(&update).await;
    let jim_is = member("jim", &json!(2));
    for client in [&mut jim, &mut pam] {
        let members = json!([jim_is, pam_is]);
        expect(client, "hotsock.memberUpdated", &jim_is, &members).await;
    }
    // What changes nothing is told to nobody.
    jim.send(&update).await;
    jim.assert_silent().await;
    jim.publish(CHANNEL, "e", &json!(null)).await;
    assert_eq!(pam.next().await["meta"], json!({"uid": "jim", "umd": 2}));

    let token = umd_token(&json!({"umd": null, "umdUpdate": true, "umdPropagate": true}));
    let answer = jim.call(&server, "umdUpdate", &json!({"token": token})).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({})));
    let jim_is = member("jim", &json!(null));
    expect(&mut pam, "hotsock.memberUpdated", &jim_is, &json!([jim_is, pam_is])).await;
    let code = jim.call(&server, "umdUpdate", &json!({"token": "rubbish"})).await.code();
    assert_eq!(code, (400, "INVALID_UMD_TOKEN".into()));
    let code = pam.call(&server, "umdUpdate", &json!({"token": token})).await.code();
    assert_eq!(code, (400, "INVALID_UMD_TOKEN".into()));
}

#[tokio::test]
async fn a_member_that_comes_back_within_the_grace_period_was_never_away() {
    let server = Server::with(builder().presence_grace(Duration::from_secs(3600))).await;
    let (mut pam, _) = join(&server, "pam", &json!(null)).await;
    let (jim, _) = join(&server, "jim", &json!(1)).await;
    pam.next().await;
    drop(jim);
    let info = || server.broker.channel_info(CHANNEL).unwrap();
    until(|| info().subscriptions_count() == 1).await;
    let (mut jim, members) = join(&server, "jim", &json!(1)).await;
    assert_eq!(members.as_array().unwrap().len(), 2);
    pam.assert_silent().await;
    // Whoever unsubscribes is gone at once, and shutting down waits for nobody.
    jim.send(&json!({"event": "hotsock.unsubscribe", "channel": CHANNEL})).await;
    assert_eq!(pam.next().await["event"], "hotsock.memberRemoved");
    drop(pam);
    until(|| info().subscriptions_count() == 0).await;
    assert_eq!(info().members().len(), 1);
    drop(jim);
    server.broker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_member_that_does_not_come_back_is_removed_after_the_grace_period() {
    let server = Server::with(builder().presence_grace(Duration::from_millis(50))).await;
    let (mut pam, _) = join(&server, "pam", &json!(null)).await;
    let (jim, _) = join(&server, "jim", &json!(1)).await;
    pam.next().await;
    drop(jim);
    let (jim, pam_is) = (member("jim", &json!(1)), member("pam", &json!(null)));
    expect(&mut pam, "hotsock.memberRemoved", &jim, &json!([pam_is])).await;
}

/// A thousand come at once and go at once, over sockets, all of whom read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_comes_and_goes_loses_nobody() {
    const CROWD: usize = 1_000;
    let server = Server::start().await;
    let (mut watcher, _) = join(&server, "watcher", &json!(null)).await;
    let mut crowd = tokio::task::JoinSet::new();
    for number in 0..CROWD {
        let token = connect(&json!({
            "uid": number.to_string(), "channels": {CHANNEL: {"autoSubscribe": true}},
        }));
        crowd.spawn(read_everything(server.address, token));
    }
    let mut members = json!([]);
    for _ in 0..CROWD {
        let event = watcher.next().await;
        assert_eq!(event["event"], "hotsock.memberAdded");
        members = event["data"]["members"].clone();
    }
    assert_eq!(members.as_array().unwrap().len(), CROWD + 1);
    crowd.abort_all();
    for _ in 0..CROWD {
        let event = watcher.next().await;
        assert_eq!(event["event"], "hotsock.memberRemoved");
        members = event["data"]["members"].clone();
    }
    assert_eq!(members, json!([member("watcher", &json!(null))]));
    watcher.assert_silent().await;
    while let Some(client) = crowd.join_next().await {
        assert!(client.unwrap_err().is_cancelled(), "nobody is closed");
    }
}

/// A client that reads all that it is sent, and makes nothing of it: what the frames of a crowd
/// cost is then what they cost the broker.
async fn read_everything(address: SocketAddr, token: String) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(upgrade(address, &token).as_bytes()).await.unwrap();
    let mut buffer = vec![0; 64 << 10];
    while socket.read(&mut buffer).await.unwrap() > 0 {}
}

#[tokio::test]
async fn section_3_a_single_use_token_is_not_spent_on_a_full_channel() {
    let server = Server::start().await;
    let large = json!("x".repeat(1_000));
    let mut crowd = tokio::task::JoinSet::new();
    let mut last = None;
    for number in 0.. {
        assert!(number < 200, "the channel never fills up");
        let mut client = Client::connect(&server, &token(&number.to_string(), &large)).await;
        client.send(&json!({"event": "hotsock.subscribe", "channel": CHANNEL})).await;
        if client.next().await["event"] == "hotsock.error" {
            break;
        }
        if let Some(mut before) = last.replace(client) {
            crowd.spawn(async move {
                let before: &mut Client = &mut before;
                while before.next_frame().await.is_some() {}
            });
        }
    }
    let once = sign(&json!({
        "exp": now() + 3600, "scope": "subscribe", "uid": "jim", "umd": large, "jti": "once",
        "singleUse": true, "channels": {CHANNEL: {"subscribe": true}},
    }));
    let message =
        json!({"event": "hotsock.subscribe", "channel": CHANNEL, "data": {"token": once}});
    let mut jim = Client::connect(&server, &connect(&json!({"uid": "jim"}))).await;
    assert_eq!(jim.error(&message).await, "PRESENCE_CHANNEL_CAPACITY_REACHED");
    drop(last);
    let full = server.broker.channel_info(CHANNEL).unwrap().members().len();
    until(|| server.broker.channel_info(CHANNEL).unwrap().members().len() < full).await;
    jim.send(&message).await;
    assert_eq!(jim.next().await["event"], "hotsock.subscribed");
    jim.send(&json!({"event": "hotsock.unsubscribe", "channel": CHANNEL})).await;
    while jim.next().await["event"] != "hotsock.unsubscribed" {}
    assert_eq!(jim.error(&message).await, "INVALID_SUBSCRIBE_TOKEN");
}
