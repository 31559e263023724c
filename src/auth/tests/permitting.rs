//! Protocol section 4: what tokens come to.

use super::*;
use crate::auth::grants::{ChannelGrants, ReactGrant};
use crate::protocol::store::StoreFor;

fn channel(connect: &Value, subscribe: &Value, name: &str) -> ChannelGrants {
    let (connect, subscribe) = (permissions(connect), permissions(subscribe));
    Grants { connect: &connect, subscribe: Some(&subscribe) }.channel(name)
}

fn message(connect: &Value, subscribe: &Value) -> MessageGrants {
    let (connect, subscribe) = (permissions(connect), permissions(subscribe));
    Grants { connect: &connect, subscribe: Some(&subscribe) }.message("c", "e")
}

#[expect(clippy::needless_pass_by_value)] // reads better where it is called
fn event(key: &str, rules: Value) -> Value {
    json!({key: {"messages": {"e": rules}}})
}

#[test]
fn section_4_keys_have_three_forms_at_all_three_levels() {
    for (key, matches, not) in [
        ("c", vec!["c"], vec!["cc", "C", ""]),
        ("c.*", vec!["c.", "c.d", "c.d.e"], vec!["c", "xc."]),
        ("*", vec!["c", "x.y"], vec![]),
        ("#regex:^c[0-9]+$", vec!["c1", "c22"], vec!["c", "c1x"]),
        ("#regex:c", vec!["c", "abcd"], vec!["x"]),
    ] {
        let check = |name: &str, expected: bool| {
            let grants = channel(&json!({key: {"subscribe": true}}), &json!({}), name);
            assert_eq!(grants.subscribe == Decision::Granted, expected, "{key} {name}");
            let connect = permissions(&json!({"*": {
                "messages": {key: {"publish": true}}, "storage": {key: {"get": true}},
            }}));
            let grants = Grants { connect: &connect, subscribe: None };
            let granted = grants.message("any", name).publish == Decision::Granted;
            assert_eq!(granted, expected, "{key} {name}");
            assert_eq!(grants.storage("any", name).get, expected, "{key} {name}");
        };
        matches.into_iter().for_each(|name| check(name, true));
        not.into_iter().for_each(|name| check(name, false));
    }
}

#[test]
fn section_4_an_explicit_false_wins_over_everything_in_any_order() {
    let (yes, no) = (json!({"subscribe": true}), json!({"subscribe": false}));
    for (connect, subscribe) in [
        (json!({"c": yes, "*": no}), json!({})),
        (json!({"*": yes, "c": no}), json!({})),
        (json!({"c": yes}), json!({"*": no})),
        (json!({"#regex:.": no}), json!({"c": yes})),
    ] {
        assert_eq!(channel(&connect, &subscribe, "c").subscribe, Decision::Denied);
    }
    assert_eq!(channel(&json!({"*": yes}), &json!({"c": {}}), "c").subscribe, Decision::Granted);
    assert_eq!(channel(&json!({}), &json!({"c": yes}), "c").subscribe, Decision::Granted);
    assert_eq!(channel(&json!({"x": yes}), &json!({}), "c").subscribe, Decision::Unset);
}

#[test]
fn section_4_numbers_of_the_subscribe_token_override_those_of_the_connect_token() {
    let start = |seconds: u64| json!({"historyStart": seconds});
    let of = |connect: Value, subscribe: Value| channel(&connect, &subscribe, "c").history_start;
    assert_eq!(of(json!({"c": start(5)}), json!({"*": start(3)})), Some(3));
    assert_eq!(of(json!({"c": start(5)}), json!({"*": {}})), Some(5));
    assert_eq!(of(json!({"c": {}}), json!({"c": {}})), None);
}

#[test]
fn section_4_within_a_token_exact_keys_beat_patterns_and_the_channel_s_key_comes_first() {
    let store = |seconds: i64| json!({"store": seconds});
    let of = |connect: Value| message(&connect, &json!({})).store;
    assert_eq!(
        of(json!({"c": {"messages": {"e": store(1), "*": store(9)}}})),
        Some(StoreFor::Seconds(1))
    );
    // The channel's exactness counts before the event's.
    let both = json!({"c": {"messages": {"*": store(1)}}, "*": {"messages": {"e": store(9)}}});
    assert_eq!(of(both), Some(StoreFor::Seconds(1)));
    let patterns = json!({"c*": {"messages": {"*": store(1)}}, "*": {"messages": {"e": store(9)}}});
    assert_eq!(of(patterns), Some(StoreFor::Seconds(9)));
}

#[test]
fn section_4_among_equally_exact_keys_least_privilege_or_longest_retention_wins() {
    let starts = json!({"*": {"historyStart": 5}, "c*": {"historyStart": 8}});
    assert_eq!(channel(&starts, &json!({}), "c").history_start, Some(8));
    let rules = |store: i64, before: u64| json!({"messages": {"e": {"store": store, "scheduleBefore": before}}});
    let grants = message(&json!({"*": rules(5, 7), "c*": rules(60, 3)}), &json!({}));
    assert_eq!((grants.store, grants.schedule_before), (Some(StoreFor::Seconds(60)), Some(3)));
    let grants = message(&json!({"*": rules(-1, 7), "c*": rules(60, 9)}), &json!({}));
    assert_eq!((grants.store, grants.schedule_before), (Some(StoreFor::Forever), Some(7)));
}

#[test]
fn section_4_reactions_are_denied_or_any_or_the_union() {
    let of = |connect: Value, subscribe: Value| {
        message(&event("c", json!({"react": connect})), &event("*", json!({"react": subscribe})))
            .react
    };
    assert_eq!(of(json!(true), json!(false)), ReactGrant::None);
    assert_eq!(of(json!(["a"]), json!(false)), ReactGrant::None);
    assert_eq!(of(json!(["a"]), json!(true)), ReactGrant::Any);
    let union: std::sync::Arc<[Box<str>]> = ["a", "b"].map(Box::from).into();
    assert_eq!(of(json!(["b", "a"]), json!(["a"])), ReactGrant::Some(union));
    assert_eq!(of(json!([]), json!(null)), ReactGrant::None);
}

#[test]
fn section_4_the_names_of_commands_are_event_keys_too() {
    let echo = |key: &str| {
        let connect = permissions(&json!({"c": {"messages": {key: {"echo": true}}}}));
        let grants = Grants { connect: &connect, subscribe: None };
        grants.message("c", "hotsock.messageReaction").echo
    };
    assert!(echo("hotsock.messageReaction") && echo("hotsock.*") && !echo("chat"));
}

#[test]
fn section_4_an_alias_is_found_among_many() {
    let channels: serde_json::Map<_, _> = (0..500)
        .map(|n| (format!("c{n}"), json!({"alias": format!("a{}", 499 - n)})))
        .chain([("plain".to_owned(), json!({})), ("x*".to_owned(), json!({}))])
        .collect();
    let permissions = permissions(&json!(channels));
    for n in 0..500 {
        let (channel, alias) = (format!("c{n}"), format!("a{}", 499 - n));
        assert_eq!(permissions.alias_of(&channel), Some(&*alias));
        assert_eq!(permissions.resolve_alias(&alias), Some(&*channel));
    }
    assert_eq!((permissions.resolve_alias("plain"), permissions.alias_of("x*")), (None, None));
    assert!(!permissions.is_exact_key("x*") && !permissions.is_exact_key("xy"));
}

#[test]
fn section_4_broadcast_counts_in_the_connect_token_only() {
    let rules = event("c", json!({"broadcast": true}));
    assert!(message(&rules, &json!({})).broadcast);
    assert!(!message(&json!({}), &rules).broadcast);
    // A denial by the subscribe token is not one of the connect token either.
    assert!(message(&rules, &event("c", json!({"broadcast": false}))).broadcast);
    let denied = json!({"c": {"messages": {"e": {"broadcast": true}, "*": {"broadcast": false}}}});
    assert!(!message(&denied, &json!({})).broadcast);
}

#[test]
fn section_4_auto_subscribe_grants_by_itself_in_connect_tokens_only() {
    let auto = json!({"c": {"autoSubscribe": true}});
    assert_eq!(channel(&auto, &json!({}), "c").subscribe, Decision::Granted);
    assert_eq!(channel(&json!({}), &auto, "c").subscribe, Decision::Unset);
    for (more, subscribed) in [
        (json!({}), true),
        (json!({"*": {"autoSubscribe": false}}), false),
        (json!({"*": {"subscribe": false}}), false),
        (json!({"*": {"subscribe": true}}), true),
        (json!({"#regex:x": {"autoSubscribe": false}}), true),
    ] {
        let mut channels = auto.clone();
        channels.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let permissions = permissions(&channels);
        let found: Vec<_> = permissions.auto_subscribed().collect();
        assert_eq!(found, if subscribed { vec!["c"] } else { vec![] }, "{channels}");
    }
}

#[test]
fn section_4_aliases_belong_to_exact_keys() {
    let permissions = permissions(&json!({"real": {"alias": "nick"}, "other": {}, "*": {}}));
    assert_eq!(permissions.alias_of("real"), Some("nick"));
    assert_eq!(permissions.resolve_alias("nick"), Some("real"));
    assert_eq!((permissions.alias_of("other"), permissions.resolve_alias("x")), (None, None));
    assert!(permissions.is_exact_key("other") && !permissions.is_exact_key("nick"));
}

#[test]
fn section_4_everything_else_is_unset_by_default_and_read_where_it_is_set() {
    assert_eq!(channel(&json!({}), &json!({}), "c"), ChannelGrants::default());
    assert_eq!(message(&json!({}), &json!({})), MessageGrants::default());
    let grants = channel(
        &json!({"c": {"getInfo": true, "omitFromSubCount": true, "umdUpdate": true}}),
        &json!({}),
        "c",
    );
    assert!(grants.get_info && grants.omit_from_sub_count);
    assert_eq!(grants.umd_update, Decision::Granted);
    let connect = permissions(&json!({"c": {
        "messages": {"e": {"echo": true, "emitPubSubEvent": true, "store": 0}},
        "storage": {"k": {
            "get": true, "set": true, "observe": true, "emitPubSubEvent": true,
            "store": 5, "scheduleBefore": 6,
        }},
    }}));
    let grants = Grants { connect: &connect, subscribe: None };
    let message = grants.message("c", "e");
    assert!(message.echo && message.emit_pub_sub_event);
    assert_eq!(message.store, Some(StoreFor::Seconds(0)));
    let storage = grants.storage("c", "k");
    assert!(storage.get && storage.set && storage.observe && storage.emit_pub_sub_event);
    assert_eq!((storage.store, storage.schedule_before), (Some(StoreFor::Seconds(5)), Some(6)));
}
