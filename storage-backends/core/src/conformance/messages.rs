//! Publishing: ids, batches, names, deduplication.

use super::build::{
    NOW, Subject, after, author, everything, forever, id, kept, listed, message, odd_names, react,
    repeatable, set, until,
};
use crate::{Author, Item, Message, MessagePage, Outcome, Publish, Retention, Timestamp};
use bytes::Bytes;

pub(super) async fn a_new_store_is_empty(subject: Subject) {
    assert_eq!(subject.all("room", NOW).await, MessagePage::default());
    assert_eq!(subject.store.message("room", id(1), NOW).await.unwrap(), None);
    assert_eq!(subject.entry("room", "key", NOW).await, None);
    assert_eq!(subject.entries("room", NOW).await, []);
    assert_eq!(subject.schedules().await, []);
    assert_eq!(subject.store.revocations(NOW).await.unwrap(), []);
    assert_eq!(subject.store.high_water().await.unwrap(), None);
    assert_eq!(subject.sweep(Timestamp::MAX).await.removed, 0);
}

pub(super) async fn messages_are_kept_byte_for_byte(subject: Subject) {
    let authors = [
        None,
        Some(Author::default()),
        Some(Author { uid: Some(String::new()), umd: None }),
        Some(Author { uid: None, umd: Some(Bytes::new()) }),
        Some(Author { uid: Some("ké\0".to_owned()), umd: Some(Bytes::from_static(b" null ")) }),
        Some(author("jim")),
    ];
    let payloads: [&'static [u8]; 6] =
        [b"", b"null", b" { \"b\" :1.0,\t\"a\":1e2 }\n", b"\"\\u00e9\\/\"", b"\0\xff", b"[]"];
    let retentions =
        [Retention::Forever, Retention::Until(after(1)), Retention::Until(Timestamp::MAX)];
    let mut expected = Vec::new();
    for author in &authors {
        for data in payloads {
            for retention in retentions {
                let number = expected.len() as u128;
                let event = odd_names()[expected.len() % odd_names().len()].clone();
                let author = author.clone();
                let message =
                    Message { id: id(number), event, data: Bytes::from_static(data), author };
                expected.push(listed(message, retention));
            }
        }
    }
    let writes = expected.iter().map(|listed| Publish {
        message: listed.message.clone(),
        retention: listed.retention,
        deduplication: None,
    });
    subject.apply("room", writes).await;
    assert_eq!(subject.all("room", NOW).await.messages, expected);
    for listed in expected {
        let found = subject.store.message("room", listed.message.id, NOW).await.unwrap();
        assert_eq!(found, Some(listed));
    }
}

pub(super) async fn large_messages_are_kept(subject: Subject) {
    let mut data: Vec<u8> = (0..1024 * 1024).map(|number: u32| (number % 251) as u8).collect();
    for number in 0..4 {
        data.push(1);
        let message = Message { data: data.clone().into(), ..message(number) };
        subject.apply("room", [Publish { message, ..forever(number) }]).await;
    }
    let page = subject.all("room", NOW).await;
    let sizes: Vec<_> = page.messages.iter().map(|listed| listed.message.data.len()).collect();
    assert_eq!(sizes, [1_048_577, 1_048_578, 1_048_579, 1_048_580]);
    assert!(page.messages[3].message.data == data, "a large message was changed");
}

pub(super) async fn batches_take_effect_in_order(subject: Subject) {
    let items = vec![
        Item::from(forever(5)),
        Item::from(forever(4)),
        Item::from(react(5, "👍", 6)),
        Item::from(set("key", "1")),
        Item::from(set("key", "2")),
        Item::from(react(9, "👍", 10)),
        Item::from(forever(7)),
    ];
    let outcomes = subject.commit("room", items, NOW).await;
    assert_eq!(outcomes[0], Outcome::Applied);
    assert_eq!(outcomes[1], Outcome::IdNotNewest(id(5)));
    assert_eq!(outcomes[2], Outcome::Applied);
    assert_eq!(outcomes[3], Outcome::EntryChanged(None));
    assert!(matches!(&outcomes[4], Outcome::EntryChanged(Some(former)) if former.value == "1"));
    assert_eq!(outcomes[5], Outcome::MessageNotFound);
    assert_eq!(outcomes[6], Outcome::Applied);
    assert_eq!(subject.ids("room", NOW).await, [id(5), id(7)]);
}

pub(super) async fn an_empty_batch_is_no_error(subject: Subject) {
    assert_eq!(subject.commit("room", Vec::<Item>::new(), NOW).await, []);
    assert_eq!(subject.store.high_water().await.unwrap(), None);
}

pub(super) async fn ids_only_grow(subject: Subject) {
    subject.apply("room", [forever(10)]).await;
    for stale in [0, 9, 10] {
        assert_eq!(subject.one("room", forever(stale), NOW).await, Outcome::IdNotNewest(id(10)));
    }
    let outcomes = subject.commit("room", [forever(11), forever(11), forever(12)], NOW).await;
    assert_eq!(outcomes, [Outcome::Applied, Outcome::IdNotNewest(id(11)), Outcome::Applied]);
    assert_eq!(subject.ids("room", NOW).await, [id(10), id(11), id(12)]);
    subject.apply("room", [forever(u128::from(u32::MAX))]).await;
    subject.apply("other", [forever(1)]).await;
    assert_eq!(subject.ids("other", NOW).await, [id(1)], "channels have ids of their own");
}

pub(super) async fn unstored_messages_count_as_ids(subject: Subject) {
    subject.apply("room", [kept(5, Retention::None)]).await;
    assert_eq!(subject.all("room", NOW).await, MessagePage::default(), "it was never stored");
    assert_eq!(subject.store.message("room", id(5), NOW).await.unwrap(), None);
    for stale in [4, 5] {
        assert_eq!(subject.one("room", forever(stale), NOW).await, Outcome::IdNotNewest(id(5)));
    }
    subject.apply("room", [forever(6)]).await;
    assert_eq!(
        subject.one("room", kept(6, Retention::None), NOW).await,
        Outcome::IdNotNewest(id(6))
    );
    subject.apply("room", [kept(8, Retention::None)]).await;
    assert_eq!(subject.one("room", forever(7), NOW).await, Outcome::IdNotNewest(id(8)));
    assert_eq!(subject.all("room", NOW).await.gone, None);
}

pub(super) async fn channels_do_not_bleed_into_each_other(subject: Subject) {
    let names = odd_names();
    for (number, name) in (1..).zip(&names) {
        let items = vec![
            Item::from(repeatable(number, "same", 60)),
            Item::from(react(number, "👍", number + 1000)),
            Item::from(set("key", number.to_string())),
            Item::from(set(name, "\"named\"")),
            Item::from(until(number + 2000, 1)),
        ];
        subject.apply(name, items).await;
    }
    for (number, name) in (1..).zip(&names) {
        let page = subject.all(name, after(1)).await;
        assert_eq!(super::build::ids(&page), [id(number)], "messages of {name:?}");
        assert_eq!(page.gone, Some(id(number + 2000)), "what is gone from {name:?}");
        assert_eq!(subject.reactions(name, id(number)).await.len(), 1, "reactions of {name:?}");
        let entries = subject.entries(name, NOW).await;
        let mut keys: Vec<_> = entries.iter().map(|entry| entry.key.as_str()).collect();
        let mut expected = vec!["key", name.as_str()];
        expected.sort_unstable();
        assert_eq!(keys.len(), 2);
        keys.dedup();
        assert_eq!(keys, expected, "keys of {name:?}");
        let entry = subject.entry(name, "key", NOW).await.expect("the key is there");
        assert_eq!(entry.value, number.to_string());
        let repeated = subject.one(name, repeatable(number + 3000, "same", 60), NOW).await;
        assert_eq!(repeated, Outcome::Duplicate(id(number)), "repeats of {name:?}");
    }
    subject.sweep(after(1)).await;
    for (number, name) in (1..).zip(&names) {
        assert_eq!(subject.ids(name, NOW).await, [id(number)], "{name:?} after a sweep");
    }
    assert_eq!(subject.all("unused", NOW).await.messages, []);
}

pub(super) async fn repeats_are_dropped(subject: Subject) {
    subject.apply("room", [repeatable(1, "a", 10)]).await;
    let again = subject.one("room", repeatable(2, "a", 10), after(9)).await;
    assert_eq!(again, Outcome::Duplicate(id(1)));
    subject.apply("room", [repeatable(3, "b", 10), repeatable(4, "", 10)]).await;
    assert_eq!(subject.one("room", repeatable(5, "", 10), NOW).await, Outcome::Duplicate(id(4)));
    subject.apply("other", [repeatable(5, "a", 10)]).await;
    assert_eq!(subject.ids("room", NOW).await, [id(1), id(3), id(4)]);
    subject.apply("room", [forever(5)]).await;
    assert_eq!(
        subject.one("room", repeatable(6, "a", 10), after(10)).await,
        Outcome::Applied,
        "the window ends at its end"
    );
    let again = subject.one("room", repeatable(7, "a", 20), after(9)).await;
    assert_eq!(again, Outcome::Duplicate(id(6)));
}

pub(super) async fn repeats_are_dropped_within_a_batch(subject: Subject) {
    let batch = [repeatable(1, "a", 10), repeatable(2, "a", 10), repeatable(3, "b", 10)];
    let outcomes = subject.commit("room", batch, NOW).await;
    assert_eq!(outcomes, [Outcome::Applied, Outcome::Duplicate(id(1)), Outcome::Applied]);
    assert_eq!(subject.ids("room", NOW).await, [id(1), id(3)]);
}

pub(super) async fn repeats_of_unstored_messages_are_dropped(subject: Subject) {
    let unstored = |number| Publish { retention: Retention::None, ..repeatable(number, "a", 10) };
    subject.apply("room", [unstored(1)]).await;
    assert_eq!(subject.one("room", unstored(2), after(9)).await, Outcome::Duplicate(id(1)));
    let stored = subject.one("room", repeatable(3, "a", 10), after(9)).await;
    assert_eq!(stored, Outcome::Duplicate(id(1)));
    assert_eq!(subject.all("room", NOW).await.messages, []);
    assert_eq!(subject.one("room", unstored(2), after(10)).await, Outcome::Applied);
}

pub(super) async fn repeats_do_not_prolong_their_window(subject: Subject) {
    subject.apply("room", [repeatable(1, "a", 10)]).await;
    for seconds in [3, 6, 9] {
        let again = subject.one("room", repeatable(2, "a", seconds + 10), after(seconds)).await;
        assert_eq!(again, Outcome::Duplicate(id(1)));
    }
    assert_eq!(subject.one("room", repeatable(2, "a", 20), after(10)).await, Outcome::Applied);
}

pub(super) async fn repeats_outlive_their_message(subject: Subject) {
    let brief = Publish { retention: Retention::Until(after(1)), ..repeatable(1, "a", 10) };
    subject.apply("room", [brief]).await;
    subject.sweep(after(5)).await;
    let again = subject.one("room", repeatable(2, "a", 10), after(5)).await;
    assert_eq!(again, Outcome::Duplicate(id(1)));
    subject.sweep(after(10)).await;
    assert_eq!(subject.one("room", repeatable(2, "a", 20), after(10)).await, Outcome::Applied);
}

pub(super) async fn renewed_windows_survive_sweeps(subject: Subject) {
    subject.apply("room", [repeatable(1, "a", 10)]).await;
    assert_eq!(subject.one("room", repeatable(2, "a", 30), after(15)).await, Outcome::Applied);
    subject.sweep(after(16)).await;
    let again = subject.one("room", repeatable(3, "a", 40), after(16)).await;
    assert_eq!(again, Outcome::Duplicate(id(2)), "the former window's end is not this one's");
}

pub(super) async fn repeats_are_told_whatever_their_id(subject: Subject) {
    subject.apply("room", [repeatable(5, "a", 10)]).await;
    let stale = subject.one("room", repeatable(1, "a", 10), NOW).await;
    assert_eq!(stale, Outcome::Duplicate(id(5)));
    let refused = subject.one("room", repeatable(1, "b", 10), NOW).await;
    assert_eq!(refused, Outcome::IdNotNewest(id(5)));
    let tried_again = subject.one("room", repeatable(6, "b", 10), NOW).await;
    assert_eq!(tried_again, Outcome::Applied, "a refused message is not remembered");
    let page = subject.page("room", everything()).await;
    assert_eq!(super::build::ids(&page), [id(5), id(6)]);
}
