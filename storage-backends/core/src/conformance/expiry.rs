//! Lifetimes, sweeps, and what is known of what is gone.

use super::build::{
    NOW, Subject, after, author, clear, entry_of, everything, forever, id, ids, kept, react,
    repeatable, set, set_until, token, until,
};
use crate::{
    Entry, Item, MessageId, MessageQuery, Order, Outcome, Retention, Schedule, SetEntry, Timestamp,
};

pub(super) async fn expired_messages_never_show(subject: Subject) {
    subject.apply("room", [until(1, 10), forever(2), until(3, 20)]).await;
    for (seconds, expected) in
        [(9, vec![id(1), id(2), id(3)]), (10, vec![id(2), id(3)]), (20, vec![id(2)])]
    {
        let now = after(seconds);
        assert_eq!(subject.ids("room", now).await, expected, "after {seconds} s");
        for number in 1..=3 {
            let found = subject.store.message("room", id(number), now).await.unwrap();
            assert_eq!(found.is_some(), expected.contains(&id(number)), "{number}, {seconds} s");
        }
    }
    let one = MessageQuery { max_messages: 1, now: after(20), ..everything() };
    for order in [Order::Ascending, Order::Descending] {
        let page = subject.page("room", MessageQuery { order, ..one.clone() }).await;
        assert_eq!(ids(&page), [id(2)], "what has expired takes no place in a page");
        assert!(!page.more, "what has expired is not more");
    }
}

pub(super) async fn an_end_in_the_past_is_an_end(subject: Subject) {
    let past = Retention::Until(Timestamp::from_unix_millis(1));
    subject.apply("room", [kept(1, past), until(2, 0)]).await;
    let page = subject.all("room", NOW).await;
    assert_eq!(page.messages, []);
    assert_eq!(page.gone, Some(id(2)));
    assert_eq!(subject.one("room", forever(2), NOW).await, Outcome::IdNotNewest(id(2)));
    subject.apply("room", [set_until("key", "1", 0)]).await;
    assert_eq!(subject.entry("room", "key", NOW).await, None);
    subject.sweep(NOW).await;
    assert_eq!(subject.all("room", NOW).await.gone, Some(id(2)));
}

async fn with_two_to_expire(subject: &Subject) {
    subject.apply("room", [forever(1), until(2, 10), forever(3), until(4, 20), forever(5)]).await;
}

pub(super) async fn gone_tells_what_expired(subject: Subject) {
    with_two_to_expire(&subject).await;
    assert_eq!(subject.all("room", after(9)).await.gone, None);
    assert_eq!(subject.all("room", after(10)).await.gone, Some(id(2)));
    assert_eq!(subject.all("room", after(20)).await.gone, Some(id(4)));
    assert_gone_by_range(&subject).await;
}

pub(super) async fn gone_tells_what_was_swept(subject: Subject) {
    with_two_to_expire(&subject).await;
    subject.sweep(after(10)).await;
    assert_eq!(subject.all("room", NOW).await.gone, Some(id(2)));
    subject.sweep(after(20)).await;
    assert_eq!(subject.all("room", NOW).await.gone, Some(id(4)), "even for an earlier now");
    subject.apply("room", [forever(6)]).await;
    assert_gone_by_range(&subject).await;
}

/// With 2 and 4 of 1 to 5 gone.
async fn assert_gone_by_range(subject: &Subject) {
    let now = after(20);
    for order in [Order::Ascending, Order::Descending] {
        for (from, to) in [(1, 5), (2, 2), (2, 4), (3, 4), (4, 4), (4, 9), (1, 2), (0, 3)] {
            let query = MessageQuery { from: id(from), to: id(to), order, now, ..everything() };
            let gone = subject.page("room", query).await.gone;
            let allowed = if to >= 4 { vec![Some(id(4))] } else { vec![Some(id(2)), Some(id(4))] };
            assert!(allowed.contains(&gone), "{gone:?} is gone from {from} to {to}, {order:?}");
        }
        let query = MessageQuery { from: id(5), order, now, ..everything() };
        assert_eq!(subject.page("room", query).await.gone, None, "nothing from 5 is gone");
    }
}

pub(super) async fn gone_is_silent_where_nothing_is_missing(subject: Subject) {
    subject.apply("room", [forever(1), until(2, 100)]).await;
    subject.apply("room", [kept(3, Retention::None)]).await;
    subject.apply("room", [set_until("key", "1", 10), set("other", "1")]).await;
    subject.apply("room", [clear("other")]).await;
    subject.apply("room", [react(1, "👍", 4)]).await;
    subject.apply("elsewhere", [until(9, 10), repeatable(10, "a", 10)]).await;
    assert_eq!(subject.all("room", after(10)).await.gone, None);
    subject.sweep(after(10)).await;
    assert_eq!(subject.all("room", after(10)).await.gone, None);
}

pub(super) async fn gone_tells_what_a_page_passes(subject: Subject) {
    with_two_to_expire(&subject).await;
    let query = MessageQuery { max_messages: 2, now: after(10), ..everything() };
    let page = subject.page("room", query.clone()).await;
    assert_eq!(ids(&page), [id(1), id(3)]);
    assert!(page.more);
    assert_eq!(page.gone, Some(id(2)), "the page passed an expired message");
    let down = MessageQuery { order: Order::Descending, ..query };
    let page = subject.page("room", down.clone()).await;
    assert_eq!(ids(&page), [id(5), id(4)]);
    let page = subject.page("room", MessageQuery { to: id(3), ..down }).await;
    assert_eq!(ids(&page), [id(3), id(1)]);
    assert_eq!(page.gone, Some(id(2)));
}

pub(super) async fn gone_is_remembered_when_all_is_gone(subject: Subject) {
    subject.apply("room", [until(1, 10), until(2, 10)]).await;
    for days in 0..4 {
        let now = after(10 + days * 86_400);
        subject.sweep(now).await;
        assert_eq!(subject.ids("room", now).await, []);
        for from in [MessageId::MIN, id(1), id(2)] {
            let query = MessageQuery { from, now, ..everything() };
            let gone = subject.page("room", query).await.gone;
            assert_eq!(gone, Some(id(2)), "from {from}, {days} days later");
        }
        let query = MessageQuery { from: id(3), now, ..everything() };
        assert_eq!(subject.page("room", query).await.gone, None, "{days} days later");
    }
}

pub(super) async fn ids_do_not_go_back_when_all_is_gone(subject: Subject) {
    subject.apply("room", [until(1, 10), kept(5, Retention::None)]).await;
    for days in 0..4 {
        let now = after(10 + days * 86_400);
        subject.sweep(now).await;
        for stale in [1, 4, 5] {
            let outcome = subject.one("room", forever(stale), now).await;
            assert_eq!(outcome, Outcome::IdNotNewest(id(5)), "{stale}, {days} days later");
        }
        assert_eq!(subject.store.high_water().await.unwrap(), Some(id(5)));
    }
    assert_eq!(subject.one("room", forever(6), after(900_000)).await, Outcome::Applied);
}

pub(super) async fn channels_with_content_answer_for_themselves(subject: Subject) {
    let contents =
        [Item::from(forever(1)), repeatable(1, "key", 10_000_000).into(), set("key", "1").into()];
    for (number, content) in contents.into_iter().enumerate() {
        let channel = format!("room.{number}");
        subject.apply(&channel, [content]).await;
        subject.commit(&channel, [until(2, 10)], NOW).await;
    }
    // Many, since a store may join its channels in parts.
    for number in 0..300 {
        subject.apply(&format!("elsewhere.{number}"), [until(1000, 10)]).await;
    }
    for days in 0..5 {
        let now = after(10 + days * 86_400);
        subject.sweep(now).await;
        for number in 0..3 {
            let channel = format!("room.{number}");
            let next = 3 + u128::from(days);
            let query = MessageQuery { from: id(next), now, ..everything() };
            assert_eq!(subject.page(&channel, query).await.gone, None, "{channel}, day {days}");
            let published = subject.one(&channel, kept(next, Retention::None), now).await;
            assert_eq!(published, Outcome::Applied, "{channel}, day {days}");
        }
    }
    let now = after(500_000);
    assert_eq!(subject.ids("room.0", now).await, [id(1)]);
    let again = subject.one("room.1", repeatable(2000, "key", 10_000_000), now).await;
    assert_eq!(again, Outcome::Duplicate(id(1)));
    assert!(subject.entry("room.2", "key", now).await.is_some());
}

pub(super) async fn sweeps_end_at_their_limit(subject: Subject) {
    for number in 0..50 {
        let channel = format!("room.{}", number % 5);
        subject.apply(&channel, [until(number, 10)]).await;
    }
    assert_eq!(subject.store.sweep(after(9), 10).await.unwrap().removed, 0);
    let (mut removed, mut calls) = (0, 0);
    loop {
        let swept = subject.store.sweep(after(10), 10).await.unwrap();
        assert!(swept.removed <= 20, "{} removed where about 10 were asked for", swept.removed);
        removed += swept.removed;
        calls += 1;
        assert_eq!(swept.more, removed < 50, "after {removed} of 50");
        if !swept.more {
            break;
        }
        assert!(calls < 50, "sweeps make progress");
    }
    assert_eq!(removed, 50);
    assert_eq!(subject.store.sweep(after(10), 10).await.unwrap().removed, 0);
}

pub(super) async fn sweeps_remove_only_what_expired(subject: Subject) {
    let later = Schedule {
        id: id(90),
        due: after(1),
        channel: "room".to_owned(),
        payload: "payload".into(),
    };
    let items = vec![
        Item::from(until(1, 10)),
        Item::from(until(2, 11)),
        Item::from(forever(3)),
        Item::from(set_until("a", "1", 10)),
        Item::from(set_until("b", "1", 11)),
        Item::from(set("c", "1")),
        Item::from(later),
        Item::from(repeatable(4, "brief", 10)),
        Item::from(repeatable(5, "long", 11)),
    ];
    subject.apply("room", items).await;
    subject.store.spend_token(token("key", "jti", 11), NOW).await.unwrap();
    subject.sweep(after(10)).await;
    assert_eq!(subject.ids("room", NOW).await, [id(2), id(3), id(4), id(5)]);
    let entries = subject.entries("room", NOW).await;
    let keys: Vec<_> = entries.into_iter().map(|entry| entry.key).collect();
    assert_eq!(keys, ["b", "c"]);
    assert_eq!(subject.schedules().await.len(), 1, "schedules do not expire");
    let again = subject.one("room", repeatable(6, "long", 20), NOW).await;
    assert_eq!(again, Outcome::Duplicate(id(5)));
    assert!(subject.store.is_token_spent(&token("key", "jti", 11), NOW).await.unwrap());
}

pub(super) async fn sweeps_announce_entries_that_ask_for_it(subject: Subject) {
    let announced = |key| announced(key, 10);
    subject.apply("room", [announced("a"), set_until("quiet", "1", 10), announced("b")]).await;
    subject.apply("other", [announced("a")]).await;
    subject.apply("room", [announced("kept"), announced("hushed")]).await;
    let renewed = [
        SetEntry { expires_at: Some(after(99)), ..announced("kept") },
        SetEntry { announce_expiry: false, ..announced("hushed") },
    ];
    subject.commit("room", renewed, NOW).await;
    assert_eq!(subject.sweep(after(9)).await.entries, []);
    let mut entries = subject.sweep(after(10)).await.entries;
    entries.sort_by(|one, other| (&one.0, &one.1.key).cmp(&(&other.0, &other.1.key)));
    let expected = [("other", "a"), ("room", "a"), ("room", "b")]
        .map(|(channel, key)| (channel.to_owned(), entry_of(&announced(key))));
    assert_eq!(entries, expected);
    assert_eq!(subject.sweep(after(10)).await.entries, [], "each is announced once");
}

pub(super) async fn sweeps_do_not_announce_what_was_replaced(subject: Subject) {
    subject.apply("room", ["a", "b", "c"].map(|key| announced(key, 10))).await;
    subject.commit("room", [clear("a")], after(5)).await;
    subject.commit("room", [announced("b", 30)], after(15)).await;
    subject.commit("room", [clear("c")], after(15)).await;
    let keys: Vec<_> =
        subject.sweep(after(20)).await.entries.into_iter().map(|(_, entry)| entry.key).collect();
    assert_eq!(keys, ["c"], "a was cleared, b lives again, c had expired when it was cleared");
}

pub(super) async fn expired_entries_are_announced_to_who_replaces_them(subject: Subject) {
    let quiet = SetEntry { announce_expiry: false, ..announced("quiet", 10) };
    let noted =
        SetEntry { author: Some(author("pam")), context: "note".into(), ..announced("a", 10) };
    subject.apply("room", [noted.clone(), announced("b", 10), announced("full", 10), quiet]).await;
    let now = after(10);
    // Who replaces it need not ask for anything, and the value may be the same.
    let writes = [set("a", "1"), set("a", "2"), announced("b", 20), set("quiet", "2")];
    let outcomes = subject.commit("room", writes, now).await;
    let between = Outcome::EntryChanged(Some(entry_of(&set("a", "1"))));
    assert_eq!(outcomes[0], Outcome::ExpiredEntryReplaced(entry_of(&noted)));
    assert_eq!(outcomes[1], between, "it is told once");
    assert_eq!(outcomes[2], Outcome::ExpiredEntryReplaced(entry_of(&announced("b", 10))));
    assert_eq!(outcomes[3], Outcome::EntryChanged(None), "this one did not ask for it");
    let refused = SetEntry { max_keys: 1, ..set("full", "2") };
    assert_eq!(subject.one("room", refused, now).await, Outcome::LimitReached);
    let told = |swept: Vec<(String, Entry)>| swept.into_iter().map(|(_, it)| it.key);
    let keys: Vec<_> = told(subject.sweep(now).await.entries).collect();
    assert_eq!(keys, ["full"], "what was not replaced is left to the sweep");
    assert_eq!(subject.one("room", set("full", "2"), now).await, Outcome::EntryChanged(None));
    let keys: Vec<_> = told(subject.sweep(after(20)).await.entries).collect();
    assert_eq!(keys, ["b"], "what replaced it expires too");
}

fn announced(key: &str, seconds: u64) -> SetEntry {
    SetEntry { announce_expiry: true, ..set_until(key, "1", seconds) }
}
