//! Hooks: what a host vetoes and changes, over sockets.

use crate::client::{Client, request};
use crate::server::{Server, builder, until};
use crate::token::{chat, connect, now, sign};
use fanfare::{
    BrokerBuilder, Code, Connecting, Hooks, Message, Publishing, Subscribing, Veto, async_trait,
};
use http::Request;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Does what the names of users, channels and events say.
#[derive(Debug, Default)]
struct Host {
    connects: AtomicUsize,
    subscribes: AtomicUsize,
    publishes: AtomicUsize,
    /// Counts hooks that were dropped before their end.
    cancelled: Arc<AtomicUsize>,
}

struct Cancellation(Arc<AtomicUsize>);

impl Drop for Cancellation {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Host {
    async fn obey(&self, name: &str) -> Result<(), Veto> {
        match name {
            "refused" => Err(Veto::new(Code::Custom("NOT_PAID"), "pay first")),
            "limited" => Err(Veto::new(Code::RateLimited, "slow down")),
            "hangs" => {
                let _cancellation = Cancellation(Arc::clone(&self.cancelled));
                std::future::pending().await
            }
            "panics" => panic!("as the test wants it"),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Hooks for Host {
    async fn connect(&self, connecting: &mut Connecting) -> Result<(), Veto> {
        self.connects.fetch_add(1, Ordering::Relaxed);
        if let Some(as_user) = connecting.request().headers.get("x-user") {
            let uid = as_user.to_str().unwrap().to_owned();
            connecting.set_uid(Some(&uid)).unwrap();
            connecting.set_umd(&json!({"was": connecting.umd()})).unwrap();
            assert!(connecting.set_uid(Some("")).unwrap_err().is_invalid_input());
            assert!(connecting.set_uid(Some(&"u".repeat(129))).is_err());
            assert!(connecting.set_umd(&"u".repeat(1023)).is_err());
            return Ok(());
        }
        let uid = connecting.uid().unwrap_or_default().to_owned();
        self.obey(&uid).await
    }

    async fn subscribe(&self, subscribing: &mut Subscribing) -> Result<(), Veto> {
        self.subscribes.fetch_add(1, Ordering::Relaxed);
        assert_eq!(subscribing.connection_uid(), subscribing.uid());
        if subscribing.channel() == "masked" {
            subscribing.set_uid(Some("mask")).unwrap();
            subscribing.set_raw_umd(" 1 ").unwrap();
            assert!(subscribing.set_raw_umd("{").unwrap_err().is_invalid_input());
        }
        self.obey(subscribing.channel()).await
    }

    async fn publish(&self, publishing: &mut Publishing) -> Result<(), Veto> {
        self.publishes.fetch_add(1, Ordering::Relaxed);
        let data: Value = serde_json::from_str(publishing.data()).unwrap();
        match data.as_str().unwrap_or_default() {
            "rename" => {
                publishing.set_event("renamed").unwrap();
                publishing.set_raw_data(r#" {"a": 1.0} "#).unwrap();
                publishing.do_not_store();
                assert!(publishing.set_event("hotsock.ping").is_err());
                assert!(publishing.set_raw_data("{").is_err());
                assert!(publishing.set_data(&"x".repeat(32 << 10)).is_err());
                assert!(publishing.store_for(Duration::MAX).is_err());
                Ok(())
            }
            "keep" => {
                assert_eq!((publishing.key(), publishing.is_stored()), (Some("k"), true));
                assert_eq!(publishing.event(), "hotsock.channelStorageSet");
                assert!(publishing.set_event("e").is_err());
                publishing.do_not_store();
                publishing.store_for(Duration::ZERO).unwrap();
                assert!(publishing.is_stored());
                publishing.set_data(&[1]).unwrap();
                Ok(())
            }
            "clear" => publishing.set_data(&json!(null)).map_err(|_| unreachable!()),
            "vanish" => {
                publishing.drop_silently();
                Ok(())
            }
            "later" => {
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
            other => self.obey(other).await,
        }
    }
}

async fn hosted(change: impl FnOnce(BrokerBuilder) -> BrokerBuilder) -> (Server, Arc<Host>) {
    let host = Arc::new(Host::default());
    let server = Server::with(change(builder().hooks(Arc::clone(&host)))).await;
    (server, host)
}

fn impatient(builder: BrokerBuilder) -> BrokerBuilder {
    builder.hook_timeout(Duration::from_millis(500))
}

async fn refusal(server: &Server, token: &str) -> (u16, String) {
    let upgrade = Request::get(format!("/v1?token={token}"))
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(String::new())
        .unwrap();
    request(server.address, upgrade).await.code()
}

fn subscribe(channel: &str) -> Value {
    json!({"event": "hotsock.subscribe", "channel": channel})
}

#[tokio::test]
async fn a_connect_is_vetoed_before_the_upgrade() {
    let (server, host) = hosted(impatient).await;
    assert_eq!(refusal(&server, &chat("refused")).await, (403, "NOT_PAID".to_owned()));
    assert_eq!(refusal(&server, &chat("limited")).await, (429, "RATE_LIMITED".to_owned()));
    assert_eq!(refusal(&server, &chat("hangs")).await, (503, "UNAVAILABLE".to_owned()));
    assert_eq!(host.cancelled.load(Ordering::Relaxed), 1);
    assert_eq!(refusal(&server, &chat("panics")).await, (503, "UNAVAILABLE".to_owned()));
    assert_eq!(host.connects.load(Ordering::Relaxed), 4);
    let expired = sign(&json!({"exp": now() - 1, "scope": "connect"}));
    assert_eq!(refusal(&server, &expired).await, (401, "INVALID_TOKEN".to_owned()));
    assert_eq!(host.connects.load(Ordering::Relaxed), 4, "the token is checked first");
    assert_eq!(server.broker.connection_count(), 0);
}

#[tokio::test]
async fn a_vetoed_connect_does_not_use_a_token_up() {
    let (server, _) = hosted(|builder| builder).await;
    let once = json!({"uid": "refused", "singleUse": true, "jti": "1"});
    let token = connect(&once);
    assert_eq!(refusal(&server, &token).await.1, "NOT_PAID");
    assert_eq!(refusal(&server, &token).await.1, "NOT_PAID");
}

#[tokio::test]
async fn a_connection_is_whose_the_host_says() {
    let (server, _) = hosted(|builder| builder).await;
    let token = chat("jim");
    let mut jim = Client::connect_with(&server.url(&token), "x-user", "james").await;
    jim.send(&subscribe("room")).await;
    let confirmed = jim.next().await;
    assert_eq!(confirmed["meta"], json!({"uid": "james", "umd": {"was": null}}));
    assert_eq!(server.broker.disconnect_user("jim").await, 0);
    assert_eq!(server.broker.disconnect_user("james").await, 1);
    assert_eq!(jim.close_code().await, 4403);
}

#[tokio::test]
async fn a_subscribe_is_vetoed_or_masked() {
    let (server, host) = hosted(impatient).await;
    let mut jim = Client::connect(&server, &chat("jim")).await;
    for (channel, code) in [
        ("refused", "NOT_PAID"),
        ("hangs", "UNAVAILABLE"),
        ("panics", "UNAVAILABLE"),
        ("a b", "INVALID_CHANNEL_NAME"),
    ] {
        assert_eq!(jim.error(&subscribe(channel)).await, code);
    }
    assert_eq!(host.subscribes.load(Ordering::Relaxed), 3);
    jim.send(&subscribe("masked")).await;
    assert_eq!(jim.next().await["meta"], json!({"uid": "mask", "umd": 1}));
    jim.publish("masked", "chat", &json!("hi")).await;
    assert_eq!(jim.next().await["meta"], json!({"uid": "mask", "umd": 1}));
    for channel in ["refused", "hangs", "panics"] {
        assert_eq!(server.broker.channel_info(channel).unwrap().subscriptions_count(), 0);
    }
}

#[tokio::test]
async fn auto_subscribed_channels_are_asked_about_too() {
    let (server, _) = hosted(|builder| builder).await;
    let auto = json!({"autoSubscribe": true});
    let token = connect(&json!({"channels": {"room": auto, "refused": auto}}));
    let mut jim = Client::connect(&server, &token).await;
    let answers = [jim.next().await, jim.next().await];
    assert!(answers.iter().any(|answer| answer["error"]["code"] == "NOT_PAID"));
    assert!(answers.iter().any(|answer| answer["data"]["autoSubscribed"] == true));
}

#[tokio::test]
async fn a_publish_is_vetoed_changed_or_dropped_and_order_is_kept() {
    let (server, host) = hosted(impatient).await;
    let mut jim = Client::subscribed(&server, &chat("jim"), "room").await;
    for data in ["later", "refused", "hangs", "panics", "vanish", "rename", "last"] {
        jim.publish("room", "chat", &json!(data)).await;
    }
    // An error does not wait until what was published before is stored.
    let (mut told, mut codes, mut renamed) = (Vec::new(), Vec::new(), String::new());
    while told.last() != Some(&json!("last")) {
        let text = jim.next_text().await;
        let message: Value = serde_json::from_str(&text).unwrap();
        if message["event"] == "hotsock.error" {
            assert_eq!(message["channel"], "room");
            codes.push(message["error"]["code"].clone());
            continue;
        }
        told.push(message["data"].clone());
        if message["event"] == "renamed" {
            renamed = text;
        }
    }
    assert_eq!(codes, ["NOT_PAID", "UNAVAILABLE", "UNAVAILABLE"]);
    assert_eq!(told, [json!("later"), json!({"a": 1.0}), json!("last")]);
    assert!(renamed.contains(r#""data":{"a": 1.0},"meta""#), "{renamed}");
    assert_eq!(host.publishes.load(Ordering::Relaxed), 7);
    let listed = jim.call(&server, "listMessages", &json!({"channel": "room"})).await.json();
    let stored: Vec<_> = listed["messages"].as_array().unwrap().iter().collect();
    assert_eq!(stored.len(), 2, "{listed}");
    assert_eq!(stored[1]["data"], "last");
    let code = jim.error(&json!({"event": "nope", "channel": "room"})).await;
    assert_eq!(code, "PUBLISH_PERMISSION_DENIED");
    assert_eq!(host.publishes.load(Ordering::Relaxed), 7, "permissions are checked first");
}

#[tokio::test]
async fn a_publish_over_http_is_asked_about_and_the_host_s_own_is_not() {
    let (server, host) = hosted(impatient).await;
    let mut jim = Client::subscribed(&server, &chat("jim"), "room").await;
    let publish = |data: &str| json!({"channel": "room", "event": "chat", "data": data, "eagerIdGeneration": true});
    for (data, code) in [
        ("refused", (403, "NOT_PAID")),
        ("limited", (429, "RATE_LIMITED")),
        ("hangs", (503, "UNAVAILABLE")),
        ("panics", (503, "UNAVAILABLE")),
    ] {
        let (status, text) = jim.call(&server, "publishMessage", &publish(data)).await.code();
        assert_eq!((status, &*text), code);
    }
    let accepted = json!({"channel": "room", "event": "chat"});
    let vanished = jim.call(&server, "publishMessage", &publish("vanish")).await;
    assert_eq!((vanished.status.as_u16(), vanished.json()), (202, accepted));
    let renamed = jim.call(&server, "publishMessage", &publish("rename")).await.json();
    assert_eq!(renamed["event"], "chat");
    let message = jim.next().await;
    assert_eq!((&message["event"], &message["id"]), (&json!("renamed"), &renamed["id"]));
    let asked = host.publishes.load(Ordering::Relaxed);
    server.broker.publish(Message::new("room", "e").data("refused")).await.unwrap();
    assert_eq!(jim.next().await["data"], "refused");
    assert_eq!(host.publishes.load(Ordering::Relaxed), asked);
}

#[tokio::test]
async fn a_hook_ends_with_its_client() {
    let (server, host) = hosted(|builder| builder.hook_timeout(Duration::from_secs(60))).await;
    let mut jim = Client::subscribed(&server, &chat("jim"), "room").await;
    jim.publish("room", "chat", &json!("hangs")).await;
    until(|| host.publishes.load(Ordering::Relaxed) == 1).await;
    assert_eq!(server.broker.disconnect_user("jim").await, 1);
    assert_eq!(jim.close_code().await, 4403);
    until(|| host.cancelled.load(Ordering::Relaxed) == 1).await;
}

#[tokio::test]
async fn section_5_a_client_that_waits_ends_at_its_maximum_age_all_the_same() {
    let second = Duration::from_secs(1);
    let limits =
        |builder: BrokerBuilder| builder.hook_timeout(60 * second).max_connection_age(Some(second));
    let (server, host) = hosted(limits).await;
    let mut jim = Client::subscribed(&server, &chat("jim"), "room").await;
    jim.publish("room", "chat", &json!("hangs")).await;
    assert_eq!(jim.close_code().await, 1001);
    until(|| host.cancelled.load(Ordering::Relaxed) == 1).await;
}

#[tokio::test]
async fn a_timeout_out_of_range_is_refused() {
    for timeout in [Duration::ZERO, Duration::from_secs(61)] {
        assert!(builder().hook_timeout(timeout).build().await.is_err());
    }
}

#[tokio::test]
async fn a_value_of_channel_storage_is_vetoed_and_changed_as_messages_are() {
    let (server, host) = hosted(impatient).await;
    let storage = json!({"k": {"set": true, "get": true}});
    let token = connect(&json!({"channels": {"c": {"storage": storage}}}));
    let mut jim = Client::connect(&server, &token).await;
    let set = |data: &str| json!({"event": "hotsock.channelStorageSet", "channel": "c", "key": "k", "data": data});
    let get = json!({"event": "hotsock.channelStorageGet", "channel": "c", "key": "k"});
    assert_eq!(jim.error(&set("refused")).await, "NOT_PAID");
    jim.send(&set("vanish")).await;
    jim.send(&get).await;
    assert_eq!(jim.next().await["data"], json!(null));
    jim.send(&set("keep")).await;
    jim.send(&get).await;
    assert_eq!(jim.next().await["data"], json!([1]));
    let call = jim.call(&server, "channelStorageSet", &set("limited")).await;
    assert_eq!(call.code(), (429, "RATE_LIMITED".to_owned()));
    assert_eq!(jim.call(&server, "channelStorageSet", &set("vanish")).await.status, 202);
    jim.send(&get).await;
    assert_eq!(jim.next().await["data"], json!([1]));
    assert_eq!(jim.call(&server, "channelStorageSet", &set("clear")).await.status, 202);
    jim.send(&get).await;
    assert_eq!(jim.next().await["data"], json!(null));
    let asked = host.publishes.load(Ordering::Relaxed);
    server.broker.set_entry(fanfare::EntryUpdate::set("c", "k", &1)).await.unwrap();
    assert_eq!((asked, host.publishes.load(Ordering::Relaxed)), (6, 6));
}
