//! Protocol section 7.1, and how far back a connection reads (section 9).

use super::*;
use fanfare_storage::Retention;

fn client() -> Client {
    Client::connect(&json!({
        "uid": "jim",
        "umd": 7,
        "channels": {
            "room.*": {
                "subscribe": true,
                "messages": {
                    "chat": {"publish": true, "echo": true, "store": 60},
                    "kept": {"publish": true, "store": -1},
                    "typing": {"publish": true},
                    "shout": {"broadcast": true},
                    "mute": {"broadcast": true, "publish": false},
                },
            },
        },
    }))
}

fn message(event: &str) -> Value {
    json!({"event": event, "channel": "room.1", "data": 1})
}

#[test]
fn section_7_1_a_subscriber_publishes_what_it_may() {
    let mut client = client();
    client.subscribe("room.1");
    assert_eq!(
        client.publish(&message("chat")),
        Published {
            channel: "room.1".into(),
            event: "chat".into(),
            data: "1".into(),
            uid: Some("jim".into()),
            umd: Some("7".into()),
            echo: true,
            retention: Retention::Until(Timestamp::from_unix_seconds(START + 60)),
            due: None,
        }
    );
    let kept = client.publish(&message("kept"));
    assert_eq!((kept.retention, kept.echo), (Retention::Forever, false));
    assert_eq!(client.publish(&message("typing")).retention, Retention::None);
    // The second time from the cache.
    assert_eq!(client.publish(&message("typing")).retention, Retention::None);
    assert_eq!(client.code(&message("other")), "PUBLISH_PERMISSION_DENIED");
    assert_eq!(client.code(&message("other")), "PUBLISH_PERMISSION_DENIED");
}

#[test]
fn section_7_1_publish_needs_a_subscription_and_broadcast_does_not() {
    let mut client = client();
    let error = client.error(&message("chat"));
    assert_eq!(error, ("NOT_SUBSCRIBED".to_owned(), json!("room.1")));
    assert_eq!(client.publish(&message("shout")).uid.as_deref(), Some("jim"));
    assert_eq!(client.code(&message("mute")), "PUBLISH_PERMISSION_DENIED");
    client.subscribe("room.1");
    client.publish(&message("shout"));
    assert_eq!(client.code(&message("mute")), "PUBLISH_PERMISSION_DENIED");
}

#[test]
fn section_7_1_broadcast_counts_in_the_connect_token_only() {
    let mut client = client();
    let token = subscribe_token(&json!({
        "uid": "jim", "channels": {"room.1": {"messages": {"extra": {"broadcast": true}}}},
    }));
    client.subscribe_with("room.1", &token);
    assert_eq!(client.code(&message("extra")), "PUBLISH_PERMISSION_DENIED");
}

#[test]
fn section_7_1_data_is_passed_on_as_it_was_written() {
    let mut client = client();
    client.subscribe("room.1");
    for data in [r#"{"b":1.50,"a":"\u00e4\/", "a":1e2}"#, "null", "\"x\"", "[ 1 ,2]", "-0.0"] {
        let text = format!(r#"{{"event":"typing","channel":"room.1","data": {data} }}"#);
        assert!(client.send_text(&text).is_empty());
        assert_eq!(client.published.remove(0).data, data);
    }
    let absent = client.publish(&json!({"event": "typing", "channel": "room.1"}));
    assert_eq!(absent.data, "null");
}

#[test]
fn section_7_names_and_sizes_are_checked_before_permissions() {
    let mut client = client();
    for (message, code) in [
        (json!({"event": "e"}), "INVALID_CHANNEL_NAME"),
        (json!({"event": "e", "channel": "a b"}), "INVALID_CHANNEL_NAME"),
        (json!({"event": "", "channel": "a"}), "INVALID_EVENT_NAME"),
        (json!({"event": "#e", "channel": "a"}), "INVALID_EVENT_NAME"),
        (json!({"event": "e*", "channel": "a"}), "INVALID_EVENT_NAME"),
        (json!({"event": "e".repeat(129), "channel": "a"}), "INVALID_EVENT_NAME"),
        (json!({"event": "e", "channel": "a", "data": "x".repeat(32_767)}), "DATA_TOO_LARGE"),
        (
            json!({"event": "e", "channel": "a", "data": "x".repeat(32_766)}),
            "PUBLISH_PERMISSION_DENIED",
        ),
    ] {
        assert_eq!(client.code(&message), code);
    }
}

#[test]
fn section_9_publishing_over_http_follows_the_same_rules() {
    let mut client = client();
    let now = client.now;
    let publish = |client: &mut Client, message: Value| {
        let text = message.to_string();
        let fields = Fields::parse(&text).unwrap();
        client
            .session
            .publish_over_http(now, &fields)
            .map(|request| matches!(request.kind, WriteKind::Message { echo: true, .. }))
            .map_err(|e| e.code)
    };
    assert_eq!(publish(&mut client, message("chat")), Err(Code::NotSubscribed));
    client.subscribe("room.1");
    assert_eq!(publish(&mut client, message("chat")), Ok(true));
    assert_eq!(publish(&mut client, message("other")), Err(Code::PublishPermissionDenied));
    let command = json!({"event": "hotsock.subscribe", "channel": "room.2"});
    assert_eq!(publish(&mut client, command), Err(Code::UnknownCommand));
}

#[test]
fn section_9_history_reaches_back_to_the_subscription_or_to_history_start() {
    let start = MessageId::first_at(Timestamp::from_unix_seconds(START));
    for (history_start, from) in [
        (json!(null), start.next()),
        (json!(0), MessageId::MIN),
        (json!(START - 5), MessageId::first_at(Timestamp::from_unix_seconds(START - 5))),
        (json!(START + 5), start.next()),
    ] {
        let channels = json!({"c": {"subscribe": true, "historyStart": history_start}});
        let mut client = Client::connect(&json!({"channels": channels}));
        let scope = |client: &Client| client.session.history_scope(Some("c")).map_err(|e| e.code);
        assert_eq!(scope(&client), Err(Code::NotSubscribed));
        client.subscribe("c");
        assert_eq!(scope(&client), Ok(HistoryScope { channel: "c".into(), from }));
        client.send(&unsubscribe("c"));
        assert_eq!(scope(&client), Err(Code::NotSubscribed));
    }
}

#[test]
fn section_7_1_what_was_found_out_about_events_is_remembered_within_a_bound() {
    let broadcasts = json!({"messages": {"e*": {"broadcast": true}}});
    let channels = json!({
        "c": {"subscribe": true, "messages": {"e*": {"publish": true}}}, "open*": broadcasts,
    });
    let mut client = Client::connect(&json!({"channels": channels}));
    client.subscribe("c");
    for _ in 0..2 {
        for number in 0..100 {
            client.publish(&json!({"event": format!("e{number}"), "channel": "c"}));
            assert_eq!(
                client.code(&json!({"event": format!("x{number}"), "channel": "c"})),
                "PUBLISH_PERMISSION_DENIED"
            );
            client.publish(&json!({"event": "e", "channel": format!("open{number}")}));
        }
    }
    assert_eq!(client.session.subscriptions.get_mut("c").unwrap().grants.len(), 16);
    assert_eq!(client.session.unsubscribed_grants.len(), 16);
}

#[test]
fn section_7_1_what_is_denied_is_not_remembered() {
    let channels = json!({"c": {"subscribe": true, "messages": {
        "like": {"react": ["+1"]}, "e": {"publish": true, "echo": true},
        "no": {"publish": false, "broadcast": true}, "many": {"react": [], "store": 5},
    }}});
    let mut client = Client::connect(&json!({"channels": channels}));
    client.subscribe("c");
    let remembered = |client: &mut Client, channel: &str, event: &str| {
        client.session.message_grants(channel, event);
        let subscription = client.session.subscriptions.get_mut("c").unwrap();
        subscription.grants.len() + client.session.unsubscribed_grants.len()
    };
    for (channel, event) in [("c", "other"), ("c", "no"), ("c", "many"), ("d", "e")] {
        assert_eq!(remembered(&mut client, channel, event), 0, "{event}");
    }
    assert_eq!(remembered(&mut client, "c", "e"), 1);
    assert_eq!(remembered(&mut client, "c", "like"), 2);
}

#[test]
fn section_7_2_lists_of_reactions_that_are_too_long_are_not_remembered() {
    let reactions =
        |number: usize| -> Vec<_> { (0..number).map(|number| format!("{number:0>90}")).collect() };
    let channels = json!({"c": {"subscribe": true, "messages": {
        "few": {"react": reactions(70)}, "many": {"react": reactions(80)},
    }}});
    let mut client = Client::connect(&json!({"channels": channels}));
    client.subscribe("c");
    for event in ["few", "many"] {
        let (_, grants, _) = client.session.message_grants("c", event);
        assert!(matches!(grants.react, crate::auth::ReactGrant::Some(_)));
        assert_eq!(client.session.subscriptions.get_mut("c").unwrap().grants.len(), 1);
    }
}
