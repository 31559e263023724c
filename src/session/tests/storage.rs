//! Protocol section 7.3, as far as a session decides it.

use super::*;
use crate::protocol::store::StoreFor;

/// A value that the session allowed to be set.
#[derive(Debug, PartialEq)]
pub(super) struct Set {
    pub(super) channel: String,
    pub(super) key: String,
    pub(super) value: Option<String>,
    pub(super) uid: Option<String>,
    pub(super) store: StoreFor,
    pub(super) due: Option<Timestamp>,
}

/// In 2023, as [`START`] is.
const LATER: &str = "at(2023-11-15T00:00:00)";
const LATER_SECONDS: u64 = 1_700_006_400;

fn client() -> Client {
    Client::connect(&json!({"uid": "jim", "channels": {"room": {
        "subscribe": true,
        "alias": "r",
        "storage": {
            "k*": {"set": true, "get": true},
            "kept": {"store": 60, "scheduleBefore": LATER_SECONDS},
            "kept.secret": {"get": false, "set": false},
        },
    }}}))
}

fn set(key: &str, data: &Value) -> Value {
    json!({"event": "hotsock.channelStorageSet", "channel": "room", "key": key, "data": data})
}

fn get(key: &str) -> Value {
    json!({"event": "hotsock.channelStorageGet", "channel": "room", "key": key})
}

#[test]
fn section_7_3_values_are_set_without_a_subscription() {
    let mut client = client();
    let text = r#"{"event":"hotsock.channelStorageSet","channel":"r","key":"k","data":[1.50]}"#;
    assert!(client.send_text(text).is_empty());
    let set_now = client.set.remove(0);
    let expected = Set {
        channel: "room".to_owned(),
        key: "k".to_owned(),
        value: Some("[1.50]".to_owned()),
        uid: Some("jim".to_owned()),
        store: StoreFor::Forever,
        due: None,
    };
    assert_eq!(set_now, expected);
    client.send(&set("kept", &json!(1)));
    assert_eq!(client.set.remove(0).store, StoreFor::Seconds(60));
}

#[test]
fn section_7_3_null_absent_and_an_empty_object_clear() {
    let mut client = client();
    for data in ["", r#","data":null"#, r#","data":{}"#, ",\"data\": { \n }"] {
        let text =
            format!(r#"{{"event":"hotsock.channelStorageSet","channel":"room","key":"k"{data}}}"#);
        assert!(client.send_text(&text).is_empty());
        assert_eq!(client.set.remove(0).value, None, "{data}");
    }
    client.send(&set("k", &json!([])));
    assert_eq!(client.set.remove(0).value.as_deref(), Some("[]"));
}

#[test]
fn section_7_3_errors_come_in_the_order_of_section_7() {
    let mut client = client();
    for bad in ["", "a b", "a*", "#a", "a,b"] {
        assert_eq!(client.code(&set(bad, &json!(1))), "INVALID_STORAGE_KEY", "{bad}");
        assert_eq!(client.code(&get(bad)), "INVALID_STORAGE_KEY", "{bad}");
    }
    let big = json!("x".repeat(40_000));
    assert_eq!(client.code(&set("other", &big)), "DATA_TOO_LARGE");
    assert_eq!(client.code(&set("other", &json!(1))), "STORAGE_PERMISSION_DENIED");
    assert_eq!(client.code(&set("kept.secret", &json!(1))), "STORAGE_PERMISSION_DENIED");
    assert_eq!(client.code(&get("kept.secret")), "STORAGE_PERMISSION_DENIED");
    let keyless = json!({"event": "hotsock.channelStorageGet", "channel": "room"});
    assert_eq!(client.error(&keyless), ("INVALID_STORAGE_KEY".to_owned(), json!("room")));
    let nowhere = json!({"event": "hotsock.channelStorageGet", "key": "k"});
    assert_eq!(client.code(&nowhere), "INVALID_CHANNEL_NAME");
    let wrong = json!({"event": "hotsock.channelStorageGet", "channel": "room", "key": 1});
    assert_eq!(client.code(&wrong), "INVALID_MESSAGE");
    assert!(client.set.is_empty() && client.read.is_empty());
}

#[test]
fn section_7_3_values_are_read_where_get_is_granted() {
    let mut client = client();
    assert!(client.send(&get("k")).is_empty());
    assert_eq!(client.read, [("room".to_owned(), "k".to_owned())]);
}

#[test]
fn section_7_3_sets_are_scheduled_up_to_schedule_before() {
    let mut client = client();
    let later = |key: &str, when: &str| {
        let mut message = set(key, &json!(1));
        message["scheduleExpression"] = json!(when);
        message
    };
    assert!(client.send(&later("kept", LATER)).is_empty());
    let due = Some(Timestamp::from_unix_seconds(LATER_SECONDS));
    assert_eq!(client.set.remove(0).due, due);
    assert_eq!(client.code(&later("k", LATER)), "SCHEDULE_PERMISSION_DENIED");
    assert_eq!(client.code(&later("other", LATER)), "STORAGE_PERMISSION_DENIED");
    assert_eq!(client.code(&later("other", "soon")), "INVALID_SCHEDULE");
}

#[test]
fn section_9_a_subscribe_token_adds_to_what_is_listed() {
    let mut client = client();
    let scope = client.session.storage_scope(Some("room")).unwrap();
    assert!(scope.may_get("k") && !scope.may_get("other") && !scope.may_get("kept.secret"));
    let more = json!({"uid": "jim", "channels": {"room": {"storage": {"*": {"get": true}}}}});
    client.subscribe_with("room", &subscribe_token(&more));
    let scope = client.session.storage_scope(Some("r")).unwrap();
    assert!(scope.may_get("other") && !scope.may_get("kept.secret"));
}
