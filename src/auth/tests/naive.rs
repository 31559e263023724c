//! Evaluation compared with a second one, written from the text of section 4 alone: slow, and with
//! nothing of the real one in it.

use super::*;
use crate::auth::grants::ReactGrant;
use crate::protocol::store::StoreFor;
use proptest::prelude::*;

/// Whether a key matches. Generated expressions are `#regex:^(x|y)` and `#regex:z`.
fn key_matches(key: &str, name: &str) -> bool {
    fn glob(key: &[u8], name: &[u8]) -> bool {
        match (key.first(), name.first()) {
            (None, None) => true,
            (Some(b'*'), _) if glob(&key[1..], name) => true,
            (Some(b'*'), Some(_)) => glob(key, &name[1..]),
            (Some(one), Some(other)) => one == other && glob(&key[1..], &name[1..]),
            _ => false,
        }
    }
    match key.strip_prefix("#regex:") {
        Some("^(a|b)") => name.starts_with('a') || name.starts_with('b'),
        Some("c$") => name.ends_with('c'),
        Some(other) => panic!("{other} is not generated"),
        None => glob(key.as_bytes(), name.as_bytes()),
    }
}

fn is_exact(key: &str) -> bool {
    !key.contains('*') && !key.starts_with("#regex:")
}

/// One directive's value under keys that match: of which token, and how exact.
struct Found<'v> {
    subscribe_token: bool,
    exact: (bool, bool),
    value: &'v Value,
}

/// All values of a directive on a channel, or on one of its inner keys.
fn find<'v>(
    tokens: [&'v Value; 2],
    channel: &str,
    inner: Option<(&str, &str)>,
    directive: &str,
) -> Vec<Found<'v>> {
    let mut found = Vec::new();
    for (index, token) in tokens.into_iter().enumerate() {
        for (channel_key, rules) in token.as_object().unwrap() {
            if !key_matches(channel_key, channel) {
                continue;
            }
            let mut add = |rules: &'v Value, inner_exact: bool| {
                if let Some(value) = rules.get(directive) {
                    let exact = (is_exact(channel_key), inner_exact);
                    found.push(Found { subscribe_token: index == 1, exact, value });
                }
            };
            match inner {
                None => add(rules, false),
                Some((level, name)) => {
                    for (key, rules) in rules[level].as_object().into_iter().flatten() {
                        if key_matches(key, name) {
                            add(rules, is_exact(key));
                        }
                    }
                }
            }
        }
    }
    found
}

/// Rule 1.
fn boolean(found: &[Found<'_>]) -> Decision {
    if found.iter().any(|one| one.value == false) {
        Decision::Denied
    } else if found.iter().any(|one| one.value == true) {
        Decision::Granted
    } else {
        Decision::Unset
    }
}

/// Rule 2: the values that are left to choose from.
fn numbers(found: &[Found<'_>]) -> Vec<i64> {
    let overriding = found.iter().any(|one| one.subscribe_token);
    let mut left: Vec<_> = found.iter().filter(|one| one.subscribe_token == overriding).collect();
    for level in [|exact: (bool, bool)| exact.0, |exact: (bool, bool)| exact.1] {
        if left.iter().any(|one| level(one.exact)) {
            left.retain(|one| level(one.exact));
        }
    }
    left.iter().map(|one| one.value.as_i64().unwrap()).collect()
}

fn longest(found: &[Found<'_>]) -> Option<StoreFor> {
    let numbers = numbers(found);
    if numbers.contains(&-1) {
        return Some(StoreFor::Forever);
    }
    numbers.into_iter().max().map(|seconds| StoreFor::Seconds(seconds.unsigned_abs()))
}

/// Rule 3.
fn react(found: &[Found<'_>]) -> ReactGrant {
    if found.iter().any(|one| one.value == false) {
        return ReactGrant::None;
    }
    if found.iter().any(|one| one.value == true) {
        return ReactGrant::Any;
    }
    let mut union: Vec<Box<str>> = Vec::new();
    for one in found {
        for reaction in one.value.as_array().unwrap() {
            let reaction = Box::from(reaction.as_str().unwrap());
            if !union.contains(&reaction) {
                union.push(reaction);
            }
        }
    }
    union.sort();
    if union.is_empty() { ReactGrant::None } else { ReactGrant::Some(union.into()) }
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        "[abc]{1,3}",
        "[abc]{0,2}\\*[abc]{0,2}",
        Just("*".to_owned()),
        Just("#regex:^(a|b)".to_owned()),
        Just("#regex:c$".to_owned()),
    ]
}

/// Each directive is there in one of two cases.
fn directives(all: Vec<(&'static str, BoxedStrategy<Value>)>) -> impl Strategy<Value = Value> {
    let each: Vec<_> = all
        .into_iter()
        .map(|(name, value)| prop::option::of(value).prop_map(move |value| (name, value)))
        .collect();
    each.prop_map(|values| {
        let present =
            values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(present.collect())
    })
}

fn switch() -> BoxedStrategy<Value> {
    // Denials are rare, so that not everything is denied.
    prop_oneof![4 => Just(json!(true)), 1 => Just(json!(false))].boxed()
}

fn seconds() -> BoxedStrategy<Value> {
    (0..5_i64).prop_map(|seconds| json!(seconds)).boxed()
}

fn store(least: i64) -> BoxedStrategy<Value> {
    prop_oneof![4 => least..5_i64, 1 => Just(-1)].prop_map(|store| json!(store)).boxed()
}

fn reactions() -> BoxedStrategy<Value> {
    let list = prop::collection::vec("[xyz]", 0..3).prop_map(|list| json!(list));
    prop_oneof![3 => list, 1 => switch()].boxed()
}

fn keyed(rules: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    prop::collection::btree_map(key(), rules, 0..4).prop_map(|map| json!(map)).boxed()
}

fn channels() -> impl Strategy<Value = Value> {
    let messages = directives(vec![
        ("publish", switch()),
        ("broadcast", switch()),
        ("echo", switch()),
        ("emitPubSubEvent", switch()),
        ("store", store(0)),
        ("scheduleBefore", seconds()),
        ("react", reactions()),
    ]);
    let storage = directives(vec![
        ("get", switch()),
        ("set", switch()),
        ("observe", switch()),
        ("emitPubSubEvent", switch()),
        ("store", store(1)),
        ("scheduleBefore", seconds()),
    ]);
    let rules = directives(vec![
        ("subscribe", switch()),
        ("autoSubscribe", switch()),
        ("getInfo", switch()),
        ("omitFromSubCount", switch()),
        ("umdUpdate", switch()),
        ("historyStart", seconds()),
        ("messages", keyed(messages.boxed())),
        ("storage", keyed(storage.boxed())),
    ]);
    prop::collection::btree_map(key(), rules, 0..4).prop_map(|mut map| {
        for (key, rules) in &mut map {
            // Which would reject the token.
            if !is_exact(key) && rules["autoSubscribe"] == true {
                rules.as_object_mut().unwrap().remove("autoSubscribe");
            }
        }
        json!(map)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn evaluation_is_what_section_4_says(
        connect in channels(), subscribe in channels(), channel in "[abc]{1,3}", inner in "[abc]{1,3}",
    ) {
        let (parsed_connect, parsed_subscribe) = (permissions(&connect), permissions(&subscribe));
        let grants = Grants { connect: &parsed_connect, subscribe: Some(&parsed_subscribe) };
        let nothing = json!({});
        let both = [&connect, &subscribe];
        let own = [&connect, &nothing];
        let of = |directive| find(both, &channel, None, directive);
        let granted = |found: Vec<Found<'_>>| boolean(&found) == Decision::Granted;

        let auto = granted(find(own, &channel, None, "autoSubscribe"))
            && boolean(&of("autoSubscribe")) != Decision::Denied;
        let expected = match boolean(&of("subscribe")) {
            Decision::Unset if auto => Decision::Granted,
            decision => decision,
        };
        let found = grants.channel(&channel);
        prop_assert_eq!(found.subscribe, expected);
        prop_assert_eq!(found.get_info, granted(of("getInfo")));
        prop_assert_eq!(found.omit_from_sub_count, granted(of("omitFromSubCount")));
        prop_assert_eq!(found.umd_update == Decision::Granted, granted(of("umdUpdate")));
        let start = numbers(&of("historyStart")).into_iter().max();
        prop_assert_eq!(found.history_start, start.map(|start| start as u64));

        let of = |directive| find(both, &channel, Some(("messages", &inner)), directive);
        let found = grants.message(&channel, &inner);
        prop_assert_eq!(found.publish, boolean(&of("publish")));
        let broadcast = find(own, &channel, Some(("messages", &inner)), "broadcast");
        prop_assert_eq!(found.broadcast, granted(broadcast));
        prop_assert_eq!(found.echo, granted(of("echo")));
        prop_assert_eq!(found.emit_pub_sub_event, granted(of("emitPubSubEvent")));
        prop_assert_eq!(found.store, longest(&of("store")));
        prop_assert_eq!(found.react, react(&of("react")));
        let before = numbers(&of("scheduleBefore")).into_iter().min();
        prop_assert_eq!(found.schedule_before, before.map(|before| before as u64));

        let of = |directive| find(both, &channel, Some(("storage", &inner)), directive);
        let found = grants.storage(&channel, &inner);
        prop_assert_eq!(found.get, granted(of("get")));
        prop_assert_eq!(found.set, granted(of("set")));
        prop_assert_eq!(found.observe, granted(of("observe")));
        prop_assert_eq!(found.emit_pub_sub_event, granted(of("emitPubSubEvent")));
        prop_assert_eq!(found.store, longest(&of("store")));
        let before = numbers(&of("scheduleBefore")).into_iter().min();
        prop_assert_eq!(found.schedule_before, before.map(|before| before as u64));
    }
}
