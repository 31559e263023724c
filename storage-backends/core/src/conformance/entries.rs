//! The channels' storage: values, equality, lifetimes, limits, lists.

use super::build::{
    NOW, Subject, after, author, clear, entry_of, forever, id, odd_names, set, set_until,
};
use crate::{Author, Entry, EntryQuery, Outcome, SetEntry};
use bytes::Bytes;

pub(super) async fn entries_are_kept_byte_for_byte(subject: Subject) {
    let authors = [None, Some(Author::default()), Some(author("pam"))];
    let mut expected = Vec::new();
    for (number, name) in odd_names().into_iter().enumerate() {
        let value = Bytes::from(format!("\t{{ \"n\" : {number}.0 , \"\\u00e9\":[ ]}} "));
        let entry = SetEntry {
            author: authors[number % 3].clone(),
            expires_at: (number % 2 == 0).then(|| after(10)),
            announce_expiry: number % 5 == 0,
            context: Bytes::from(name.clone().into_bytes()),
            ..set(&name, value)
        };
        subject.apply("room", [entry.clone()]).await;
        expected.push(entry_of(&entry));
    }
    for entry in &expected {
        let found = subject.entry("room", &entry.key, NOW).await;
        assert_eq!(found.as_ref(), Some(entry));
    }
    expected.sort_by(|one, other| one.key.as_bytes().cmp(other.key.as_bytes()));
    assert_eq!(subject.entries("room", NOW).await, expected);
    let large = set("large", vec![b'1'; 1024 * 1024]);
    subject.apply("room", [large.clone()]).await;
    assert!(subject.entry("room", "large", NOW).await == Some(entry_of(&large)));
}

pub(super) async fn changes_tell_what_was_there(subject: Subject) {
    let first = set("key", "1");
    let second = SetEntry { author: None, ..set_until("key", "2", 10) };
    assert_eq!(subject.one("room", first.clone(), NOW).await, Outcome::EntryChanged(None));
    let changed = subject.one("room", second.clone(), NOW).await;
    assert_eq!(changed, Outcome::EntryChanged(Some(entry_of(&first))));
    assert_eq!(subject.entry("room", "key", NOW).await, Some(entry_of(&second)));
    assert_eq!(subject.entry("other", "key", NOW).await, None);
    assert_eq!(subject.one("room", set("other", "2"), NOW).await, Outcome::EntryChanged(None));
}

pub(super) async fn equal_values_change_only_their_lifetime(subject: Subject) {
    let first = set_until("key", r#"{"a": 1, "b": [2]}"#, 10);
    subject.apply("room", [first.clone()]).await;
    let equal = SetEntry {
        author: Some(author("pam")),
        announce_expiry: true,
        context: Bytes::from_static(b"other notes"),
        ..set_until("key", r#"{"b":[2.0],"a":1}"#, 20)
    };
    assert_eq!(subject.one("room", equal.clone(), NOW).await, Outcome::Unchanged);
    let expected = Entry {
        expires_at: equal.expires_at,
        announce_expiry: true,
        context: equal.context,
        ..entry_of(&first)
    };
    assert_eq!(subject.entry("room", "key", after(19)).await, Some(expected.clone()));
    assert_eq!(subject.entry("room", "key", after(20)).await, None);
    let server = SetEntry { author: None, ..set("key", r#"{"a":1,"b":[2]}"#) };
    assert_eq!(subject.one("room", server.clone(), NOW).await, Outcome::Unchanged);
    let expected =
        Entry { expires_at: None, announce_expiry: false, context: server.context, ..expected };
    assert_eq!(subject.entry("room", "key", after(999)).await, Some(expected));
}

pub(super) async fn values_are_compared_as_json(subject: Subject) {
    let equal = [
        ("1", "1.0"),
        ("100", "1e2"),
        ("0", "-0"),
        (r#""é""#, r#""\u00e9""#),
        (r#""\/""#, r#""/""#),
        ("[1,2]", " [ 1 , 2 ] "),
        (r#"{"a":1,"b":{"c":1,"d":2}}"#, r#"{"b":{"d":2,"c":1},"a":1}"#),
        (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
    ];
    let different = [
        ("1", "2"),
        ("1", r#""1""#),
        ("9007199254740992", "9007199254740993"),
        ("0.1", "0.10000000000000001"),
        ("[1,2]", "[2,1]"),
        ("[]", "{}"),
        ("[]", "[[]]"),
        ("false", "null"),
        (r#"{"a":1}"#, r#"{"a":1,"b":1}"#),
        (r#""a""#, r#""A""#),
    ];
    for (first, second) in equal {
        subject.apply("room", [set(first, first)]).await;
        let outcome = subject.one("room", set(first, second), NOW).await;
        assert_eq!(outcome, Outcome::Unchanged, "{first} and {second}");
        let kept = subject.entry("room", first, NOW).await.expect("the entry is there");
        assert_eq!(kept.value, first, "the former text stays");
        subject.one("room", clear(first), NOW).await;
    }
    for (first, second) in different {
        subject.apply("room", [set(first, first)]).await;
        let outcome = subject.one("room", set(first, second), NOW).await;
        assert!(matches!(outcome, Outcome::EntryChanged(Some(_))), "{first} and {second}");
        let kept = subject.entry("room", first, NOW).await.expect("the entry is there");
        assert_eq!(kept.value, second);
        subject.one("room", clear(first), NOW).await;
    }
}

pub(super) async fn deep_values_do_not_exhaust_the_stack(subject: Subject) {
    let arrays = |leaf: &str| "[".repeat(16_000) + leaf + &"]".repeat(16_000);
    let objects = |leaf: &str| r#"{"":"#.repeat(6_000) + leaf + &"}".repeat(6_000);
    for nested in [&arrays as &dyn Fn(&str) -> String, &objects] {
        subject.apply("room", [set("deep", nested("1"))]).await;
        let equal = subject.one("room", set("deep", nested(" 1.0")), NOW).await;
        assert_eq!(equal, Outcome::Unchanged);
        let changed = subject.one("room", set("deep", nested("2")), NOW).await;
        assert!(matches!(changed, Outcome::EntryChanged(Some(_))));
        let entry = subject.entry("room", "deep", NOW).await.expect("the entry is there");
        assert!(entry.value == nested("2"), "a deep value was changed");
    }
    for unfinished in ["[".repeat(32 * 1024), r#"{"":"#.repeat(8 * 1024)] {
        subject.apply("room", [set("deep", unfinished.clone())]).await;
        assert_eq!(subject.one("room", set("deep", unfinished), NOW).await, Outcome::Unchanged);
    }
}

pub(super) async fn clearing_removes(subject: Subject) {
    assert_eq!(subject.one("room", clear("key"), NOW).await, Outcome::Unchanged);
    let first = set("key", "1");
    subject.apply("room", [first.clone(), set("key2", "2")]).await;
    assert_eq!(subject.one("other", clear("key"), NOW).await, Outcome::Unchanged);
    let cleared = subject.one("room", clear("key"), NOW).await;
    assert_eq!(cleared, Outcome::EntryChanged(Some(entry_of(&first))));
    assert_eq!(subject.entry("room", "key", NOW).await, None);
    assert_eq!(subject.one("room", clear("key"), NOW).await, Outcome::Unchanged);
    assert_eq!(subject.entries("room", NOW).await, [entry_of(&set("key2", "2"))]);
    assert_eq!(subject.one("room", first, NOW).await, Outcome::EntryChanged(None));
    let batch = [set("both", "1"), clear("both"), set("both", "1")];
    let outcomes = subject.commit("room", batch, NOW).await;
    assert!(matches!(
        &outcomes[..],
        [Outcome::EntryChanged(None), Outcome::EntryChanged(Some(_)), Outcome::EntryChanged(None)]
    ));
}

pub(super) async fn expired_entries_never_show(subject: Subject) {
    subject.apply("room", [set_until("a", "1", 10), set("b", "2"), set_until("c", "3", 20)]).await;
    for (seconds, expected) in [(9, vec!["a", "b", "c"]), (10, vec!["b", "c"]), (20, vec!["b"])] {
        let now = after(seconds);
        let entries = subject.entries("room", now).await;
        let keys: Vec<_> = entries.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, expected, "after {seconds} s");
        for key in ["a", "b", "c"] {
            let found = subject.entry("room", key, now).await;
            assert_eq!(found.is_some(), expected.contains(&key), "{key} after {seconds} s");
        }
    }
    let query = EntryQuery { after: None, limit: 1, now: after(10) };
    let entries = subject.store.entries("room", query).await.unwrap();
    assert_eq!(entries[0].key, "b", "what has expired takes no place in a page");
}

pub(super) async fn expired_entries_do_not_count_as_former(subject: Subject) {
    subject.apply("room", [set_until("key", "1", 10), set_until("gone", "1", 10)]).await;
    assert_eq!(subject.one("room", clear("gone"), after(10)).await, Outcome::Unchanged);
    let again = SetEntry { author: Some(author("pam")), ..set("key", "1") };
    let outcome = subject.one("room", again.clone(), after(10)).await;
    assert_eq!(outcome, Outcome::EntryChanged(None), "an expired value is no former value");
    assert_eq!(subject.entry("room", "key", after(10)).await, Some(entry_of(&again)));
    subject.sweep(after(10)).await;
    assert_eq!(subject.entry("room", "key", after(10)).await, Some(entry_of(&again)));
}

pub(super) async fn renewed_entries_live_on(subject: Subject) {
    subject.apply("room", [set_until("longer", "1", 10), set_until("shorter", "1", 30)]).await;
    subject.apply("room", [set_until("forever", "1", 10), set("brief", "1")]).await;
    let renewed = [
        set_until("longer", "1", 20),
        set_until("shorter", "1", 5),
        set("forever", "1"),
        set_until("brief", "1", 5),
    ];
    for outcome in subject.commit("room", renewed, NOW).await {
        assert_eq!(outcome, Outcome::Unchanged);
    }
    for (seconds, expected) in [(4, 4), (5, 2), (10, 2), (19, 2), (20, 1), (30, 1), (100_000, 1)] {
        let now = after(seconds);
        assert_eq!(subject.entries("room", now).await.len(), expected, "after {seconds} s");
        subject.sweep(now).await;
        assert_eq!(subject.entries("room", now).await.len(), expected, "swept at {seconds} s");
    }
}

pub(super) async fn keys_are_limited(subject: Subject) {
    let limited = |key, value| SetEntry { max_keys: 3, ..set(key, value) };
    subject.apply("room", ["a", "b", "c"].map(|key| limited(key, "1"))).await;
    assert_eq!(subject.one("room", limited("d", "1"), NOW).await, Outcome::LimitReached);
    assert_eq!(subject.entry("room", "d", NOW).await, None);
    let changed = subject.one("room", limited("a", "2"), NOW).await;
    assert!(matches!(changed, Outcome::EntryChanged(Some(_))), "known keys are not limited");
    assert_eq!(subject.one("room", limited("a", "2"), NOW).await, Outcome::Unchanged);
    assert_eq!(subject.one("room", clear("d"), NOW).await, Outcome::Unchanged);
    subject.apply("other", [limited("d", "1")]).await;
    subject.commit("room", [clear("b")], NOW).await;
    let batch = [limited("d", "1"), limited("e", "1")];
    let outcomes = subject.commit("room", batch, NOW).await;
    assert_eq!(outcomes, [Outcome::EntryChanged(None), Outcome::LimitReached]);
    let none = SetEntry { max_keys: 0, ..set("a", "1") };
    assert_eq!(subject.one("empty", none, NOW).await, Outcome::LimitReached);
    subject.apply("room", [forever(1)]).await;
    assert_eq!(subject.ids("room", NOW).await, [id(1)], "messages are not limited");
}

pub(super) async fn expired_keys_make_room(subject: Subject) {
    let limited = |key: &str, seconds| SetEntry { max_keys: 3, ..set_until(key, "1", seconds) };
    subject.apply("room", [limited("a", 10), limited("b", 20), limited("c", 30)]).await;
    assert_eq!(subject.one("room", limited("d", 30), after(9)).await, Outcome::LimitReached);
    let room = subject.one("room", limited("d", 30), after(10)).await;
    assert_eq!(room, Outcome::EntryChanged(None), "an expired key takes no place");
    assert_eq!(subject.one("room", limited("e", 30), after(10)).await, Outcome::LimitReached);
    assert_eq!(
        subject.one("room", limited("a", 30), after(10)).await,
        Outcome::LimitReached,
        "an expired key is a new one"
    );
    assert_eq!(
        subject.one("room", limited("e", 30), after(9)).await,
        Outcome::LimitReached,
        "the clock went back"
    );
    subject.sweep(after(10)).await;
    assert_eq!(subject.one("room", limited("e", 30), after(19)).await, Outcome::LimitReached);
    let room = subject.one("room", limited("e", 40), after(20)).await;
    assert_eq!(room, Outcome::EntryChanged(None));
    subject.sweep(after(30)).await;
    let refill = ["f", "g", "h"].map(|key| limited(key, 50));
    let outcomes = subject.commit("room", refill, after(30)).await;
    assert_eq!(
        outcomes,
        [Outcome::EntryChanged(None), Outcome::EntryChanged(None), Outcome::LimitReached]
    );
}

pub(super) async fn keys_are_counted_though_the_clock_goes_back(subject: Subject) {
    let limited =
        |key: &str, max_keys, seconds| SetEntry { max_keys, ..set_until(key, "1", seconds) };
    subject
        .apply("room", [("a", 10), ("b", 20), ("c", 30)].map(|(key, end)| limited(key, 3, end)))
        .await;
    let room = subject.one("room", limited("d", 3, 30), after(10)).await;
    assert_eq!(room, Outcome::EntryChanged(None));
    subject.commit("room", [clear("c")], after(10)).await;
    let back = subject.one("room", limited("e", 3, 30), after(9)).await;
    assert_eq!(back, Outcome::LimitReached, "a, b and d are there again");

    subject.apply("swept", [limited("a", 1, 10)]).await;
    subject.sweep(after(10)).await;
    let back = subject.one("swept", limited("b", 1, 30), after(9)).await;
    assert_eq!(back, Outcome::EntryChanged(None), "what was swept is gone for good");
}

pub(super) async fn entries_are_listed_by_key(subject: Subject) {
    let mut names = odd_names();
    for (number, name) in names.iter().enumerate() {
        subject.apply("room", [set(name, number.to_string())]).await;
        subject.apply("room\0", [set(name, "0")]).await;
    }
    names.sort_by(|one, other| one.as_bytes().cmp(other.as_bytes()));
    let keys: Vec<_> =
        subject.entries("room", NOW).await.into_iter().map(|entry| entry.key).collect();
    assert_eq!(keys, names);
}

pub(super) async fn entries_are_listed_in_pages(subject: Subject) {
    let mut names = odd_names();
    subject.apply("room", names.iter().map(|name| set(name, "1"))).await;
    names.sort_by(|one, other| one.as_bytes().cmp(other.as_bytes()));
    for limit in [1, 2, 5, 100] {
        let (mut keys, mut after) = (Vec::new(), None);
        loop {
            let query = EntryQuery { after: after.clone(), limit, now: NOW };
            let page = subject.store.entries("room", query).await.unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else {
                break;
            };
            after = Some(last.key.clone());
            keys.extend(page.into_iter().map(|entry| entry.key));
        }
        assert_eq!(keys, names, "pages of {limit}");
    }
    let query = EntryQuery { after: Some("aa".to_owned()), limit: 1, now: NOW };
    let page = subject.store.entries("room", query).await.unwrap();
    assert_eq!(page[0].key, "ab", "a key to start after need not exist");
    let query = EntryQuery { after: None, limit: 0, now: NOW };
    assert_eq!(subject.store.entries("room", query).await.unwrap(), []);
}
