//! Protocol section 7.3 over sockets, HTTP and from the host.

use crate::client::{Client, backend};
use crate::server::{Server, builder};
use crate::token::{connect, now};
use fanfare::{EntryQuery, EntryUpdate, ScheduleQuery};
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// A user who may do all with the keys that start with `k`.
fn user(uid: &str) -> String {
    connect(&json!({"uid": uid, "umd": {"n": 1}, "channels": {"room": {
        "subscribe": true,
        "storage": {"k*": {
            "set": true, "get": true, "observe": true, "scheduleBefore": now() + 3_600,
        }},
    }}}))
}

fn set(key: &str, data: &Value) -> Value {
    json!({"event": "hotsock.channelStorageSet", "channel": "room", "key": key, "data": data})
}

fn get(key: &str) -> Value {
    json!({"event": "hotsock.channelStorageGet", "channel": "room", "key": key})
}

fn updated(key: &str, data: &Value, meta: &Value) -> Value {
    json!({"event": "hotsock.channelStorageUpdated", "channel": "room", "key": key,
           "data": data, "meta": meta})
}

fn jim_s() -> Value {
    json!({"uid": "jim", "umd": {"n": 1}})
}

#[tokio::test]
async fn section_7_3_values_are_set_read_and_observed() {
    let server = Server::start().await;
    let mut ann = Client::subscribed(&server, &user("ann"), "room").await;
    let mut jim = Client::connect(&server, &user("jim")).await;
    // What is read includes what the connection wrote before.
    jim.send_text(
        r#"{"event":"hotsock.channelStorageSet","channel":"room","key":"k","data":[ 1.50 ]}"#,
    )
    .await;
    jim.send(&get("k")).await;
    let expected = r#"{"event":"hotsock.channelStorageData","channel":"room","key":"k","data":[ 1.50 ],"meta":{"uid":"jim","umd":{"n":1}}}"#;
    assert_eq!(jim.next_text().await, expected);
    assert_eq!(ann.next().await, updated("k", &json!([1.5]), &jim_s()));
    // An equal value is told to nobody, and its first writer stays.
    ann.send(&set("k", &json!([1.50]))).await;
    ann.send(&get("k")).await;
    let data = ann.next().await;
    assert_eq!(
        (&data["event"], &data["meta"]["uid"]),
        (&json!("hotsock.channelStorageData"), &json!("jim"))
    );
    // The writer observes too.
    ann.send(&set("k", &json!({}))).await;
    assert_eq!(
        ann.next().await,
        updated("k", &Value::Null, &json!({"uid": "ann", "umd": {"n": 1}}))
    );
    ann.send(&get("k")).await;
    let data = ann.next().await;
    assert_eq!((&data["data"], &data["meta"]), (&Value::Null, &Value::Null));
    assert_eq!(ann.error(&get("other")).await, "STORAGE_PERMISSION_DENIED");
    assert_eq!(ann.error(&set("a b", &json!(1))).await, "INVALID_STORAGE_KEY");
}

#[tokio::test]
async fn section_7_3_observers_are_told_current_values_after_the_confirmation() {
    let server = Server::start().await;
    for number in 0..70 {
        let key = format!("k{number:03}");
        server.broker.set_entry(EntryUpdate::set("room", key, &number)).await.unwrap();
    }
    server.broker.set_entry(EntryUpdate::set("room", "secret", &1)).await.unwrap();
    let mut jim = Client::subscribed(&server, &user("jim"), "room").await;
    let server_s = json!({"uid": null, "umd": null});
    for number in 0..70 {
        let expected = updated(&format!("k{number:03}"), &json!(number), &server_s);
        assert_eq!(jim.next().await, expected);
    }
    jim.assert_silent().await;
}

#[tokio::test]
async fn section_7_3_keys_are_limited() {
    let server = Server::with(builder().max_storage_keys(1)).await;
    let mut jim = Client::connect(&server, &user("jim")).await;
    jim.send(&set("k1", &json!(1))).await;
    assert_eq!(jim.error(&set("k2", &json!(1))).await, "STORAGE_PERMISSION_DENIED");
    jim.send(&set("k1", &Value::Null)).await;
    jim.send(&set("k2", &json!(2))).await;
    jim.send(&get("k2")).await;
    assert_eq!(jim.next().await["data"], 2);
}

#[tokio::test]
async fn section_9_channel_storage_over_http() {
    let server = Server::start().await;
    let jim = Client::connect(&server, &user("jim")).await;
    for key in ["k2", "k1"] {
        let answer = jim.call(&server, "channelStorageSet", &set(key, &json!(key))).await;
        let expected = json!({"channel": "room", "event": "hotsock.channelStorageSet"});
        assert_eq!((answer.status.as_u16(), answer.json()), (202, expected));
    }
    server.broker.set_entry(EntryUpdate::set("room", "a", &1)).await.unwrap();
    let answer = jim.call(&server, "channelStorageGet", &get("k1")).await.json();
    let expected = json!({"event": "hotsock.channelStorageData", "channel": "room", "key": "k1",
                          "data": "k1", "meta": jim_s()});
    assert_eq!(answer, expected);
    let list = async |more: Value| {
        let mut body = json!({"channel": "room"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        jim.call(&server, "channelStorageList", &body).await
    };
    let item = |key: &str| json!({"key": key, "data": key, "meta": jim_s()});
    assert_eq!(list(json!({})).await.json(), json!({"items": [item("k1"), item("k2")]}));
    assert_eq!(list(json!({"after": "k1"})).await.json(), json!({"items": [item("k2")]}));
    let some = json!({"keys": ["k2", "a", "none", "k2"]});
    assert_eq!(list(some).await.json(), json!({"items": [item("k2")]}));
    let many: Vec<_> = (0..101).map(|number| number.to_string()).collect();
    assert_eq!(list(json!({"keys": many})).await.code(), (400, "INVALID_MESSAGE".to_owned()));
    assert_eq!(list(json!({"keys": ["a b"]})).await.code().1, "INVALID_STORAGE_KEY");
    let denied = jim.call(&server, "channelStorageSet", &set("a", &json!(1))).await.code();
    assert_eq!(denied, (403, "STORAGE_PERMISSION_DENIED".to_owned()));
}

#[tokio::test]
async fn section_9_pages_count_what_may_be_read() {
    let server = Server::start().await;
    let jim = Client::connect(&server, &user("jim")).await;
    for number in 0..101 {
        for prefix in ["a", "k"] {
            let key = format!("{prefix}{number:03}");
            server.broker.set_entry(EntryUpdate::set("room", key, &1)).await.unwrap();
        }
    }
    let first = jim.call(&server, "channelStorageList", &json!({"channel": "room"})).await.json();
    let items = first["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]["key"]), (100, &json!("k000")));
    let rest = json!({"channel": "room", "after": items[99]["key"]});
    let rest = jim.call(&server, "channelStorageList", &rest).await.json();
    assert_eq!(rest["items"][0]["key"], "k100");
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);
    let query = |limit| EntryQuery { after: Some("k".to_owned()), limit };
    let page = server.broker.entries("room", &query(1_000)).await.unwrap();
    assert_eq!((page.entries.len(), page.next), (101, None));
    let short = server.broker.entries("room", &query(7)).await.unwrap();
    assert_eq!(short.entries, page.entries[..7]);
    assert_eq!(short.next.as_deref(), Some("k006"));
}

#[tokio::test]
async fn section_10_backends_set_and_list() {
    let server = Server::start().await;
    let mut jim = Client::subscribed(&server, &user("jim"), "room").await;
    let post = async |body: &Value| backend(&server, Method::POST, "/publish", body).await;
    let answer = post(&set("k", &json!(1))).await;
    assert_eq!(answer.json(), json!({"channel": "room", "event": "hotsock.channelStorageSet"}));
    let server_s = json!({"uid": null, "umd": null});
    assert_eq!(jim.next().await, updated("k", &json!(1), &server_s));
    let mut timed = set("l", &json!(2));
    timed["store"] = json!(0);
    assert_eq!(post(&timed).await.code(), (400, "INVALID_MESSAGE".to_owned()));
    timed["store"] = json!(3_600);
    assert_eq!(post(&timed).await.status, 202);
    let kept = server.broker.entry("room", "l").await.unwrap().unwrap();
    assert!(kept.expires_at.is_some_and(|end| end.as_unix_millis() / 1_000 > now() + 3_000));
    let list = async |query: &str| {
        let path = format!("/channels/room/storage{query}");
        backend(&server, Method::GET, &path, &Value::Null).await
    };
    let item = |key: &str, data: u64| json!({"key": key, "data": data, "meta": server_s});
    assert_eq!(list("").await.json(), json!({"items": [item("k", 1), item("l", 2)]}));
    assert_eq!(list("?after=k").await.json(), json!({"items": [item("l", 2)]}));
    assert_eq!(list("?keys=k,none").await.json(), json!({"items": [item("k", 1)]}));
    assert_eq!(list("?keys=a%20b").await.code(), (400, "INVALID_STORAGE_KEY".to_owned()));
}

#[tokio::test]
async fn section_11_sets_are_scheduled() {
    let server = Server::start().await;
    let mut jim = Client::subscribed(&server, &user("jim"), "room").await;
    let far = "at(2126-01-01T00:00:00)";
    let mut later = set("k", &json!(1));
    later["scheduleExpression"] = json!(far);
    assert_eq!(jim.error(&later).await, "SCHEDULE_PERMISSION_DENIED");
    let answer = backend(&server, Method::POST, "/publish", &later).await.json();
    let waiting = server.broker.schedules(&ScheduleQuery::default()).await.unwrap().schedules;
    assert_eq!(answer["scheduleId"], json!(waiting[0].id.to_string()));
    let soon = fanfare::Timestamp::now() + Duration::from_millis(50);
    let update = EntryUpdate::set("room", "k", &2).schedule_at(soon);
    let set = server.broker.set_entry(update).await.unwrap();
    assert!(!set.changed && set.schedule_id.is_some());
    assert_eq!(jim.next().await["data"], 2);
}
