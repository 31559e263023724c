//! Protocol section 6.

use super::*;

fn jim() -> Client {
    Client::connect(&json!({
        "uid": "jim",
        "umd": {"name": "Jim"},
        "channels": {"room.*": {"subscribe": true}, "room.9": {"subscribe": false}},
    }))
}

#[test]
fn section_6_a_subscribe_is_confirmed_and_an_unsubscribe_too() {
    let mut client = jim();
    assert_eq!(
        client.subscribe("room.1"),
        json!({
            "event": "hotsock.subscribed", "channel": "room.1", "data": {},
            "meta": {"uid": "jim", "umd": {"name": "Jim"}},
        })
    );
    assert_eq!(
        client.send(&unsubscribe("room.1")),
        [json!({"event": "hotsock.unsubscribed", "channel": "room.1", "data": {}})]
    );
    assert_eq!(client.left, [1]);
    assert_eq!(client.code(&unsubscribe("room.1")), "NOT_SUBSCRIBED");
    client.subscribe("room.1");
    let ended = client.session.end();
    assert_eq!((ended.len(), ended[0].0), (1, 2));
}

#[test]
fn section_6_data_may_be_absent_or_null_or_without_a_token() {
    for data in [json!(null), json!({}), json!({"token": null}), json!({"after": ""})] {
        let mut client = jim();
        let message = json!({"event": "hotsock.subscribe", "channel": "room.1", "data": data});
        assert_eq!(client.send(&message)[0]["event"], "hotsock.subscribed", "{data}");
    }
}

#[test]
fn section_6_syntax_is_checked_first() {
    let mut client = jim();
    client.subscribe("room.1");
    let message = |channel: Value, data: Value| json!({"event": "hotsock.subscribe", "channel": channel, "data": data});
    for (channel, data, code) in [
        (json!("room.1"), json!("text"), "INVALID_MESSAGE"),
        (json!("room.1"), json!({"token": 1}), "INVALID_MESSAGE"),
        (json!("room.1"), json!({"after": "no id"}), "INVALID_MESSAGE_ID"),
        (json!("room.*"), json!(null), "INVALID_CHANNEL_NAME"),
        (json!(""), json!(null), "INVALID_CHANNEL_NAME"),
        (json!(null), json!(null), "INVALID_CHANNEL_NAME"),
    ] {
        assert_eq!(client.code(&message(channel, data.clone())), code, "{data}");
    }
    for event in ["hotsock.subscribe", "hotsock.unsubscribe"] {
        assert_eq!(client.code(&json!({"event": event})), "INVALID_CHANNEL_NAME");
    }
}

#[test]
fn section_6_an_active_subscription_is_noticed_before_the_token_is_looked_at() {
    let mut client = jim();
    client.subscribe("room.1");
    let error = client.error(&with_token("room.1", "rubbish"));
    assert_eq!(error, ("ALREADY_SUBSCRIBED".to_owned(), json!("room.1")));
}

#[test]
fn section_6_a_bad_token_is_noticed_before_a_missing_permission() {
    let mut client = jim();
    assert_eq!(client.code(&with_token("room.9", "rubbish")), "INVALID_SUBSCRIBE_TOKEN");
    let error = client.error(&json!({"event": "hotsock.subscribe", "channel": "room.9"}));
    assert_eq!(error, ("SUBSCRIBE_PERMISSION_DENIED".to_owned(), json!("room.9")));
    assert_eq!(client.session.subscription_count(), 0);
}

#[test]
fn section_6_a_subscribe_token_belongs_to_the_connection_or_its_user() {
    let channels = json!({"extra": {"subscribe": true}});
    for (claims, good) in [
        (json!({"connectionId": "connection-1"}), true),
        (json!({"connectionId": "connection-1", "uid": "somebody"}), true),
        (json!({"uid": "jim"}), true),
        (json!({"uid": "pam"}), false),
        (json!({"uid": ""}), false),
        (json!({}), false),
        (json!({"connectionId": "connection-2"}), false),
        (json!({"connectionId": "connection-2", "uid": "jim"}), false),
    ] {
        let mut client = jim();
        let mut claims = claims;
        claims["channels"] = channels.clone();
        let said = client.subscribe_with("extra", &subscribe_token(&claims));
        let expected = if good { "hotsock.subscribed" } else { "hotsock.error" };
        assert_eq!(said[0]["event"], expected, "{claims}");
        if !good {
            assert_eq!(said[0]["error"]["code"], "INVALID_SUBSCRIBE_TOKEN");
        }
    }
}

#[test]
fn section_6_an_empty_uid_fits_no_connection_not_even_one_with_an_empty_uid() {
    let mut client = Client::connect(&json!({"uid": ""}));
    let token = subscribe_token(&json!({"uid": "", "channels": {"c": {"subscribe": true}}}));
    assert_eq!(client.code(&with_token("c", &token)), "INVALID_SUBSCRIBE_TOKEN");
}

#[test]
fn section_6_a_token_of_another_scope_or_time_is_refused() {
    let channels = json!({"uid": "jim", "channels": {"extra": {"subscribe": true}}});
    let mut early = claims("subscribe", &channels);
    early["nbf"] = json!(START + 1);
    let mut late = claims("subscribe", &channels);
    late["exp"] = json!(START);
    for token in [claims("connect", &channels), claims("umd", &channels), early, late] {
        let mut client = jim();
        let code = client.code(&with_token("extra", &sign(&token)));
        assert_eq!(code, "INVALID_SUBSCRIBE_TOKEN", "{token}");
    }
    let both = claims("connect subscribe", &channels);
    assert_eq!(jim().subscribe_with("extra", &sign(&both))[0]["event"], "hotsock.subscribed");
}

#[test]
fn section_6_a_subscribe_token_s_user_is_the_subscription_s_where_it_names_one() {
    let mut client = jim();
    let token = subscribe_token(&json!({
        "connectionId": "connection-1", "uid": "guest", "umd": null,
        "channels": {"extra": {"subscribe": true, "messages": {"e": {"publish": true}}}},
    }));
    let said = client.subscribe_with("extra", &token);
    assert_eq!(said[0]["meta"], json!({"uid": "guest", "umd": {"name": "Jim"}}));
    let published = client.publish(&json!({"event": "e", "channel": "extra"}));
    assert_eq!(published.uid.as_deref(), Some("guest"));
}

#[test]
fn section_6_directives_of_a_subscribe_token_last_as_long_as_the_subscription() {
    let mut client = jim();
    let token = subscribe_token(&json!({
        "uid": "jim", "channels": {"room.1": {"messages": {"e": {"publish": true}}}},
    }));
    let message = json!({"event": "e", "channel": "room.1"});
    assert_eq!(client.subscribe_with("room.1", &token)[0]["event"], "hotsock.subscribed");
    client.publish(&message);
    client.send(&unsubscribe("room.1"));
    assert_eq!(client.code(&message), "PUBLISH_PERMISSION_DENIED");
    client.subscribe("room.1");
    assert_eq!(client.code(&message), "PUBLISH_PERMISSION_DENIED");
}

#[test]
fn section_3_a_single_use_token_subscribes_once() {
    let token = subscribe_token(&json!({
        "uid": "jim", "singleUse": true, "jti": "once",
        "channels": {"extra": {"subscribe": true}},
    }));
    let mut client = jim();
    assert_eq!(client.subscribe_with("extra", &token)[0]["event"], "hotsock.subscribed");
    client.send(&unsubscribe("extra"));
    let error = client.error(&with_token("extra", &token));
    assert_eq!(error, ("INVALID_SUBSCRIBE_TOKEN".to_owned(), json!("extra")));
}

#[test]
fn section_3_a_use_that_fails_for_another_reason_does_not_count() {
    let token = subscribe_token(&json!({
        "uid": "jim", "singleUse": true, "jti": "once",
        "channels": {"extra": {"subscribe": true}},
    }));
    let mut client = jim();
    let denied = with_token("elsewhere", &token);
    assert_eq!(client.code(&denied), "SUBSCRIBE_PERMISSION_DENIED");
    assert!(client.spent.is_empty());
    assert_eq!(client.subscribe_with("extra", &token)[0]["event"], "hotsock.subscribed");
    // Used up now, which is noticed before the missing permission.
    assert_eq!(client.code(&denied), "INVALID_SUBSCRIBE_TOKEN");
}

#[test]
fn section_6_1_presence_channels_need_a_user() {
    let channels = json!({"presence.*": {"subscribe": true}, "presence.9": {"subscribe": false}});
    for uid in [json!(null), json!("")] {
        let mut client = Client::connect(&json!({"uid": uid, "channels": channels}));
        let message = json!({"event": "hotsock.subscribe", "channel": "presence.1"});
        assert_eq!(client.code(&message), "PRESENCE_CHANNEL_USER_ID_REQUIRED");
        let message = json!({"event": "hotsock.subscribe", "channel": "presence.9"});
        assert_eq!(client.code(&message), "SUBSCRIBE_PERMISSION_DENIED");
    }
}

#[test]
fn section_5_auto_subscribed_channels_are_confirmed_after_the_welcome() {
    let claims = claims(
        "connect",
        &json!({"channels": {
            "a": {"autoSubscribe": true, "alias": "first"},
            "b": {"autoSubscribe": true, "subscribe": false},
            "c": {"autoSubscribe": true},
        }}),
    );
    let mut client = Client::connect_raw(&claims, TimerSettings::default());
    let mut confirmed: Vec<_> = client.said.drain(1..).collect();
    confirmed.sort_by_key(|event| event["channel"].to_string());
    let confirmation = |channel: &str, meta: Value| {
        json!({
            "event": "hotsock.subscribed", "channel": channel,
            "data": {"autoSubscribed": true}, "meta": meta,
        })
    };
    assert_eq!(
        confirmed,
        [
            confirmation("a", json!({"channelAlias": "first", "uid": null, "umd": null})),
            confirmation("c", json!({"uid": null, "umd": null})),
        ]
    );
}

#[test]
fn section_6_one_token_for_many_channels_is_kept_once() {
    let mut client = jim();
    let token = |channels: Value| subscribe_token(&json!({"uid": "jim", "channels": channels}));
    let shared = token(json!({"a": {"subscribe": true}, "b": {"subscribe": true}}));
    client.subscribe_with("a", &shared);
    client.subscribe_with("b", &shared);
    client.subscribe_with("c", &token(json!({"c": {"subscribe": true}})));
    let mut kept = |name: &str| {
        client.session.subscriptions.get_mut(name).unwrap().permissions.clone().unwrap()
    };
    assert!(Arc::ptr_eq(&kept("a"), &kept("b")));
    assert!(!Arc::ptr_eq(&kept("a"), &kept("c")));
}

#[test]
fn section_6_subscriptions_have_a_bound() {
    let mut client = Client::connect(&json!({"channels": {"*": {"subscribe": true}}}));
    for channel in ["1", "2", "3"] {
        client.subscribe(channel);
    }
    let message = json!({"event": "hotsock.subscribe", "channel": "4"});
    assert_eq!(client.code(&message), "SUBSCRIBE_PERMISSION_DENIED");
    client.send(&unsubscribe("2"));
    client.subscribe("4");
}

#[test]
fn section_6_recovery_reaches_back_to_history_start_and_needs_one() {
    let after: MessageId = "01KQ4ZJ8T3V5N7P9R1S3W5X7Z9".parse().unwrap();
    let message = |channel: &str, token: Option<&str>| {
        let data = json!({"after": after.to_string(), "token": token});
        json!({"event": "hotsock.subscribe", "channel": channel, "data": data})
    };
    let second = |seconds| MessageId::first_at(Timestamp::from_unix_seconds(seconds));
    let mut client = Client::connect(&json!({
        "uid": "jim",
        "channels": {"*": {"subscribe": true}, "read": {"historyStart": 7}},
    }));
    let token = subscribe_token(
        &json!({"uid": "jim", "channels": {"lent": {"historyStart": 9, "alias": "l"}}}),
    );
    for (channel, token, horizon) in
        [("none", None, None), ("read", None, Some(7)), ("lent", Some(&*token), Some(9))]
    {
        let said = client.send(&message(channel, token));
        // The session never promises what storage has to tell.
        assert_eq!(said[0]["data"], json!({"recovered": false}));
        let recovery = horizon.map(|seconds| Recovery { after, horizon: second(seconds) });
        assert_eq!(client.recovery, recovery, "{channel}");
    }
    client.send(&unsubscribe("read"));
    client.subscribe("read");
    assert_eq!(client.recovery, None, "without \"after\" there is nothing to recover");
}
