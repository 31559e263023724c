//! Protocol section 7.4, and what of section 6.1 the session sees to.

use super::*;
use bytes::Bytes;
use proptest::prelude::*;

fn umd_token(more: &Value) -> String {
    sign(&claims("umd", more))
}

fn update(channel: &Value, token: &str) -> Value {
    json!({"event": "hotsock.umdUpdate", "channel": channel, "data": {"token": token}})
}

fn jim() -> Client {
    let channel = json!({"subscribe": true, "messages": {"e": {"publish": true}}});
    Client::connect(&json!({
        "uid": "jim",
        "umd": 1,
        "channels": {
            "a": channel, "b": channel, "presence.c": {
                "subscribe": true, "messages": {"e": {"publish": true}}, "alias": "c",
            },
            "denied": {"subscribe": true, "umdUpdate": false},
        },
    }))
}

/// The metadata that a message on the channel carries.
fn umd(client: &mut Client, channel: &str) -> Option<String> {
    client.publish(&json!({"event": "e", "channel": channel})).umd
}

fn for_channels(umd: &Value) -> String {
    umd_token(&json!({
        "uid": "jim", "umd": umd, "channels": {"*": {"umdUpdate": true}},
    }))
}

#[test]
fn section_7_4_a_subscription_s_metadata_is_changed() {
    let mut client = jim();
    client.subscribe("a");
    client.subscribe("b");
    assert!(client.send(&update(&json!("a"), &for_channels(&json!({"x": 2})))).is_empty());
    assert_eq!(umd(&mut client, "a").as_deref(), Some(r#"{"x":2}"#));
    assert_eq!(umd(&mut client, "b").as_deref(), Some("1"));
    client.send(&update(&json!("a"), &for_channels(&json!(null))));
    assert_eq!(umd(&mut client, "a"), None);
    client.subscribe("presence.c");
    client.send(&update(&json!("c"), &for_channels(&json!(3))));
    assert_eq!(umd(&mut client, "presence.c").as_deref(), Some("3"));
}

#[test]
fn section_7_4_the_connection_s_metadata_is_inherited_and_propagated() {
    let mut client = jim();
    client.subscribe("a");
    let token = |umd: u32, propagate: bool| {
        umd_token(&json!({
            "connectionId": "connection-1", "umd": umd, "umdUpdate": true,
            "umdPropagate": propagate,
        }))
    };
    assert!(client.send(&update(&json!(null), &token(2, false))).is_empty());
    assert_eq!(umd(&mut client, "a").as_deref(), Some("1"));
    assert_eq!(client.subscribe("b")["meta"]["umd"], 2);
    assert!(client.send(&update(&json!(null), &token(3, true))).is_empty());
    assert_eq!(umd(&mut client, "a").as_deref(), Some("3"));
    assert_eq!(umd(&mut client, "b").as_deref(), Some("3"));
}

#[test]
fn section_7_4_errors_come_in_order() {
    let mut client = jim();
    let good = for_channels(&json!(2));
    let jim = |more: Value| {
        let mut claims = json!({"uid": "jim", "umd": 2});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        umd_token(&claims)
    };
    for (channel, token, code) in [
        (json!("a*"), "rubbish", "INVALID_CHANNEL_NAME"),
        (json!("a"), "rubbish", "INVALID_UMD_TOKEN"),
        (json!("a"), &subscribe_token(&json!({"uid": "jim", "umd": 2})), "INVALID_UMD_TOKEN"),
        (json!("a"), &umd_token(&json!({"uid": "pam", "umd": 2})), "INVALID_UMD_TOKEN"),
        (json!("a"), &umd_token(&json!({"umd": 2})), "INVALID_UMD_TOKEN"),
        (json!("a"), &jim(json!({"connectionId": "other"})), "INVALID_UMD_TOKEN"),
        (
            json!("a"),
            &umd_token(&json!({"uid": "jim", "channels": {"a": {"umdUpdate": true}}})),
            "INVALID_UMD_TOKEN",
        ),
        (json!("a"), &jim(json!({"umdUpdate": true})), "UMD_PERMISSION_DENIED"),
        (json!("denied"), &good, "UMD_PERMISSION_DENIED"),
        (json!(null), &good, "UMD_PERMISSION_DENIED"),
        (json!(null), &jim(json!({"umdPropagate": true})), "UMD_PERMISSION_DENIED"),
        (json!("a"), &good, "NOT_SUBSCRIBED"),
    ] {
        let error = client.error(&update(&channel, token));
        assert_eq!(error, (code.to_owned(), channel));
    }
    let missing = json!({"event": "hotsock.umdUpdate", "channel": "a"});
    assert_eq!(client.code(&missing), "INVALID_UMD_TOKEN");
    let wrong = json!({"event": "hotsock.umdUpdate", "channel": "a", "data": {"token": 1}});
    assert_eq!(client.code(&wrong), "INVALID_MESSAGE");
}

#[test]
fn section_7_4_a_single_use_token_is_spent_by_a_use_that_succeeds() {
    let mut client = jim();
    let token = umd_token(&json!({
        "uid": "jim", "umd": 2, "singleUse": true, "jti": "once",
        "channels": {"presence.c": {"umdUpdate": true}},
    }));
    let message = update(&json!("presence.c"), &token);
    assert_eq!(client.code(&update(&json!("a"), &token)), "UMD_PERMISSION_DENIED");
    assert_eq!(client.code(&message), "NOT_SUBSCRIBED");
    client.subscribe("presence.c");
    client.full = true;
    assert_eq!(client.code(&message), "PRESENCE_CHANNEL_CAPACITY_REACHED");
    assert_eq!(umd(&mut client, "presence.c").as_deref(), Some("1"));
    client.full = false;
    assert!(client.send(&message).is_empty());
    assert_eq!(umd(&mut client, "presence.c").as_deref(), Some("2"));
    assert_eq!(client.code(&message), "INVALID_UMD_TOKEN");
    // Used up comes before everything else that is wrong.
    assert_eq!(client.code(&update(&json!("a"), &token)), "INVALID_UMD_TOKEN");
}

#[test]
fn section_6_1_a_join_that_has_no_room_leaves_nothing_and_spends_nothing() {
    let mut client = jim();
    client.full = true;
    let token = subscribe_token(&json!({
        "uid": "jim", "singleUse": true, "jti": "once",
        "channels": {"presence.d": {"subscribe": true, "alias": "d"}},
    }));
    let error = client.error(&with_token("d", &token));
    assert_eq!(error, ("PRESENCE_CHANNEL_CAPACITY_REACHED".to_owned(), json!("d")));
    assert_eq!(client.session.subscription_count(), 0);
    assert!(client.spent.is_empty());
    client.full = false;
    assert_eq!(client.subscribe_with("d", &token)[0]["event"], "hotsock.subscribed");
    client.send(&unsubscribe("presence.d"));
    assert_eq!(client.code(&with_token("d", &token)), "INVALID_SUBSCRIBE_TOKEN");
}

#[test]
fn section_9_get_channel_info_needs_get_info_and_no_subscription() {
    let client = Client::connect(&json!({"channels": {
        "a": {"getInfo": true, "alias": "x"}, "b": {"subscribe": true},
    }}));
    let code = |channel: Option<&str>| client.session.channel_info(channel).map_err(|e| e.code);
    assert_eq!(code(Some("x")), Ok("a".into()));
    assert_eq!(code(Some("b")), Err(Code::InfoPermissionDenied));
    assert_eq!(code(None), Err(Code::InvalidChannelName));
}

fn for_connection(umd: &Value, propagate: bool) -> String {
    umd_token(&json!({
        "uid": "jim", "umd": umd, "umdUpdate": true, "umdPropagate": propagate,
    }))
}

/// A client with more subscriptions than are walked through for anything else.
fn with_many(names: &[String]) -> Client {
    let channels = json!({"*": {"subscribe": true, "messages": {"e": {"publish": true}}}});
    let mut client = Client::connect(&json!({"uid": "jim", "umd": 1, "channels": channels}));
    Arc::get_mut(&mut client.session.settings).unwrap().max_subscriptions = names.len();
    names.iter().for_each(|name| _ = client.subscribe(name));
    client
}

#[test]
fn section_7_4_a_change_walks_through_no_subscriptions_but_those_that_it_shows() {
    let mut names: Vec<_> = (0..100).map(|number| format!("c{number}")).collect();
    names.extend(["presence.a".to_owned(), "presence.b".to_owned()]);
    let mut client = with_many(&names);
    client.session.subscriptions.walked();
    let changes = [
        (json!("c7"), for_channels(&json!(2)), vec![]),
        (json!("presence.a"), for_channels(&json!(3)), vec!["presence.a"]),
        (json!(null), for_connection(&json!(4), false), vec![]),
        (json!(null), for_connection(&json!(5), true), vec!["presence.a", "presence.b"]),
    ];
    for (channel, token, expected) in changes {
        let text = update(&channel, &token).to_string();
        let action = client.session.handle_text(client.now, &text);
        let Action::UpdateUmd(UmdUpdate { verdict: Ok(change), .. }) = action else {
            panic!("{action:?}")
        };
        client.session.set_umd(&change);
        let shown = client.session.shown(&change);
        let channels: Vec<_> = shown.iter().map(|shown| &*shown.channel).collect();
        assert_eq!(channels, expected, "{channel}");
        assert_eq!(client.session.subscriptions.walked(), 0, "{channel}");
    }
    assert_eq!(umd(&mut client, "c7").as_deref(), Some("5"));
}

#[derive(Clone, Debug)]
enum Step {
    Subscribe(usize),
    Unsubscribe(usize),
    One(usize, u32),
    Connection(u32),
    Everything(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..4_usize).prop_map(Step::Subscribe),
        1 => (0..4_usize).prop_map(Step::Unsubscribe),
        3 => (0..4_usize, 2..9_u32).prop_map(|(channel, umd)| Step::One(channel, umd)),
        1 => (2..9_u32).prop_map(Step::Connection),
        2 => (2..9_u32).prop_map(Step::Everything),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn section_7_4_the_last_change_that_reaches_a_subscription_counts(steps in steps()) {
        let names: Vec<_> = (0..3).map(|number| format!("c{number}")).collect();
        let names = [&names[..], &["presence.p".to_owned()]].concat();
        let mut client = with_many(&names);
        let mut own = 1;
        let mut all = vec![Some(1); names.len()];
        for step in steps {
            match step {
                Step::Subscribe(channel) => {
                    let text = json!({"event": "hotsock.subscribe", "channel": names[channel]});
                    client.send(&text);
                    all[channel].get_or_insert(own);
                }
                Step::Unsubscribe(channel) => {
                    client.send(&unsubscribe(&names[channel]));
                    all[channel] = None;
                }
                Step::One(channel, umd) => {
                    client.send(&update(&json!(names[channel]), &for_channels(&json!(umd))));
                    all[channel].iter_mut().for_each(|its| *its = umd);
                }
                Step::Connection(umd) => {
                    client.send(&update(&json!(null), &for_connection(&json!(umd), false)));
                    own = umd;
                }
                Step::Everything(umd) => {
                    client.send(&update(&json!(null), &for_connection(&json!(umd), true)));
                    own = umd;
                    all.iter_mut().flatten().for_each(|its| *its = umd);
                }
            }
            for (name, expected) in names.iter().zip(&all) {
                let found = client.session.umd_of(name).map(Option::unwrap);
                let expected = expected.map(|umd| Bytes::from(umd.to_string()));
                prop_assert_eq!(found, expected, "{} after {:?}", name, &step);
            }
        }
        let mut left: Vec<_> = client.session.end().into_iter().map(|(_, meta)| meta.umd).collect();
        let mut expected: Vec<_> =
            all.iter().flatten().map(|umd| Some(Bytes::from(umd.to_string()))).collect();
        left.sort();
        expected.sort();
        prop_assert_eq!(left, expected);
    }
}
