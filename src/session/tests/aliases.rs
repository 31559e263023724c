//! Protocol section 4: aliases.

use super::*;

#[test]
fn section_4_an_alias_stands_for_its_channel_and_the_server_speaks_of_the_real_one() {
    let mut client = Client::connect(&json!({"channels": {
        "real.1": {"subscribe": true, "alias": "room", "messages": {"e": {"publish": true}}},
    }}));
    let confirmation = client.subscribe("room");
    assert_eq!(confirmation["channel"], "real.1");
    assert_eq!(confirmation["meta"]["channelAlias"], "room");
    let published = client.publish(&json!({"event": "e", "channel": "room"}));
    assert_eq!(published.channel, "real.1");
    let scope = client.session.history_scope(Some("room")).unwrap();
    assert_eq!(&*scope.channel, "real.1");
    assert_eq!(
        client.send(&unsubscribe("room")),
        [json!({
            "event": "hotsock.unsubscribed", "channel": "real.1", "data": {},
            "meta": {"channelAlias": "room", "uid": null, "umd": null},
        })]
    );
}

#[test]
fn section_4_errors_name_the_channel_as_it_was_written_but_for_already_subscribed() {
    let mut client = Client::connect(&json!({"channels": {
        "real.1": {"subscribe": true, "alias": "room"},
    }}));
    assert_eq!(client.error(&unsubscribe("room")), ("NOT_SUBSCRIBED".into(), json!("room")));
    client.subscribe("room");
    let again = json!({"event": "hotsock.subscribe", "channel": "room"});
    assert_eq!(client.error(&again), ("ALREADY_SUBSCRIBED".into(), json!("real.1")));
    let publish = json!({"event": "e", "channel": "room"});
    assert_eq!(client.error(&publish), ("PUBLISH_PERMISSION_DENIED".into(), json!("room")));
}

#[test]
fn section_4_an_exact_key_is_real_and_a_pattern_makes_nothing_real() {
    let mut client = Client::connect(&json!({"channels": {
        "real.1": {"subscribe": true, "alias": "a"},
        "real.2": {"subscribe": true, "alias": "b"},
        "*": {"subscribe": true},
    }}));
    assert_eq!(client.subscribe("a")["channel"], "real.1");
    // An exact key of a token in force wins over an alias that is equal to it.
    let token = subscribe_token(&json!({
        "connectionId": "connection-1", "channels": {"b": {"subscribe": true}},
    }));
    assert_eq!(client.subscribe_with("b", &token)[0]["channel"], "b");
    assert_eq!(client.send(&unsubscribe("b"))[0]["channel"], "b");
    // Its token is no longer in force.
    assert_eq!(client.subscribe("b")["channel"], "real.2");
}

#[test]
fn section_4_a_subscribe_token_s_alias_wins_over_the_connect_token_s() {
    let mut client = Client::connect(&json!({"channels": {
        "real.1": {"subscribe": true, "alias": "room", "messages": {"e": {"publish": true}}},
    }}));
    let token = subscribe_token(&json!({
        "connectionId": "connection-1",
        "channels": {"real.2": {
            "subscribe": true, "alias": "room", "messages": {"e": {"publish": true}},
        }},
    }));
    let said = client.subscribe_with("room", &token);
    assert_eq!(said[0]["channel"], "real.2");
    assert_eq!(said[0]["meta"]["channelAlias"], "room");
    assert_eq!(client.publish(&json!({"event": "e", "channel": "room"})).channel, "real.2");
    client.send(&unsubscribe("room"));
    assert_eq!(client.subscribe("room")["channel"], "real.1");
}

#[test]
fn section_4_an_alias_that_another_subscription_has_is_refused() {
    let mut client = Client::connect(&json!({"channels": {
        "real.1": {"subscribe": true, "alias": "room"}, "*": {"subscribe": true},
    }}));
    client.subscribe("room");
    let token = subscribe_token(&json!({
        "connectionId": "connection-1", "channels": {"real.2": {"alias": "room"}},
    }));
    let error = client.error(&with_token("real.2", &token));
    assert_eq!(error, ("INVALID_SUBSCRIBE_TOKEN".into(), json!("real.2")));
    client.send(&unsubscribe("room"));
    assert_eq!(client.subscribe_with("real.2", &token)[0]["meta"]["channelAlias"], "room");
}

#[test]
fn section_4_an_active_subscription_s_channel_is_real() {
    let mut client = Client::connect(&json!({"channels": {
        "*": {"subscribe": true, "messages": {"e": {"publish": true}}},
        "real.1": {"alias": "room"},
    }}));
    client.subscribe("other");
    let token = subscribe_token(&json!({
        "connectionId": "connection-1", "channels": {"real.2": {"alias": "other"}},
    }));
    assert_eq!(client.subscribe_with("real.2", &token)[0]["channel"], "real.2");
    assert_eq!(client.publish(&json!({"event": "e", "channel": "other"})).channel, "other");
}
