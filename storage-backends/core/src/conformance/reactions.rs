//! Reactions: once per user, limits, order, lifetime.

use super::build::{
    NOW, Subject, after, everything, forever, id, kept, message, odd_names, react, react_as,
    unreact, until,
};
use crate::{
    AddReaction, ListedMessage, MessageQuery, Order, Outcome, Publish, Reaction, ReactionCount,
    ReactionDetail, Retention, Timestamp,
};
use bytes::Bytes;

pub(super) async fn reactions_come_in_the_order_of_their_ids(subject: Subject) {
    subject.apply("room", [forever(1), forever(2)]).await;
    let given = [
        react_as("pam", 1, "z", 3),
        react_as("jim", 1, "a", 4),
        react_as("pam", 1, "a", 6),
        react_as("ann", 1, "z", 7),
    ];
    subject.apply("room", given.clone()).await;
    subject.apply("room", [react_as("ann", 2, "b", 8)]).await;
    let expected = given.map(|add| add.reaction);
    assert_eq!(subject.reactions("room", id(1)).await, expected);

    let query = MessageQuery { reactions: ReactionDetail::All, ..everything() };
    let page = subject.page("room", query).await;
    assert_eq!(page.messages[0].reactions, expected);
    assert_eq!(page.messages[1].reactions, [react_as("ann", 2, "b", 8).reaction]);
    let counts = page.messages[0].reaction_counts.iter().map(|one| (&*one.reaction, one.count));
    assert_eq!(counts.collect::<Vec<_>>(), [("a", 2), ("z", 2)]);
    let page = subject.page("room", everything()).await;
    assert!(page.messages.iter().all(|listed| listed.reaction_counts.is_empty()));
    assert!(page.messages.iter().all(|listed| listed.reactions.is_empty()), "none were asked for");
}

pub(super) async fn reactions_are_kept_byte_for_byte(subject: Subject) {
    subject.apply("room", [forever(1)]).await;
    let mut expected = Vec::new();
    for (number, name) in (2..).zip(odd_names()) {
        let add = react_as(&name, 1, &name, number);
        let reaction = Reaction {
            umd: (number % 2 == 0).then(|| Bytes::from(format!(" {{\"{name}\":1.0}}"))),
            context: Bytes::from(name.into_bytes()),
            created_at: Timestamp::from_unix_millis(number as u64),
            ..add.reaction
        };
        expected.push(reaction.clone());
        subject.apply("room", [AddReaction { reaction, ..add }]).await;
    }
    assert_eq!(subject.reactions("room", id(1)).await, expected);
}

pub(super) async fn reactions_are_counted(subject: Subject) {
    subject.apply("room", [forever(1), forever(2)]).await;
    for (number, uid) in (3..).zip(["jim", "pam", "ann", "joe"]) {
        subject.apply("room", [react_as(uid, 1, "👍", number)]).await;
    }
    subject.apply("room", [react_as("jim", 1, "ab", 10), react_as("pam", 1, "a", 11)]).await;
    subject.commit("room", [unreact("joe", 1, "👍", 12), unreact("pam", 1, "a", 13)], NOW).await;
    let query = MessageQuery { reactions: ReactionDetail::Counts, ..everything() };
    let page = subject.page("room", query).await;
    let expected = [("ab", 1), ("👍", 3)]
        .map(|(reaction, count)| ReactionCount { reaction: reaction.to_owned(), count });
    assert_eq!(page.messages[0].reaction_counts, expected);
    assert_eq!(page.messages[1].reaction_counts, []);
    assert!(page.messages.iter().all(|listed| listed.reactions.is_empty()), "counts suffice");
}

pub(super) async fn reactions_are_counted_in_either_order(subject: Subject) {
    subject.apply("room", [forever(1), until(2, 10), forever(3), forever(4), forever(5)]).await;
    let given = [(2, "a"), (4, "b"), (1, "z"), (4, "a"), (1, "a"), (2, "b"), (5, "c")];
    for (number, (target, reaction)) in (10..).zip(given) {
        subject.apply("room", [react(target, reaction, number)]).await;
    }
    // Of a message that has expired, and may not be swept yet, nothing shows.
    let query = MessageQuery {
        reactions: ReactionDetail::Counts,
        now: after(10),
        to: id(4),
        ..everything()
    };
    let mut expected = [(id(1), vec!["a", "z"]), (id(3), vec![]), (id(4), vec!["a", "b"])];
    for order in [Order::Ascending, Order::Descending] {
        let page = subject.page("room", MessageQuery { order, ..query.clone() }).await;
        let counted = page.messages.iter().map(|listed| {
            let reactions = listed.reaction_counts.iter().map(|one| &*one.reaction);
            (listed.message.id, reactions.collect())
        });
        assert_eq!(counted.collect::<Vec<(_, Vec<_>)>>(), expected, "{order:?}");
        expected.reverse();
    }
}

pub(super) async fn reactions_count_for_the_byte_limit_of_pages(subject: Subject) {
    subject.apply("room", (1..=4).map(forever)).await;
    for (number, target) in [1, 2, 3, 4, 1, 2, 3, 4].into_iter().enumerate() {
        let uid = number.to_string();
        subject.apply("room", [react_as(&uid, target, "👍", 10 + number as u128)]).await;
    }
    for reactions in [ReactionDetail::Counts, ReactionDetail::All] {
        for order in [Order::Ascending, Order::Descending] {
            let query = MessageQuery { reactions, order, ..everything() };
            let all = subject.page("room", query.clone()).await.messages;
            let two = all[0].size() + all[1].size();
            assert!(two > all[0].message.data.len() + all[1].message.data.len());
            for (max_bytes, count) in [(0, 1), (1, 1), (two - 1, 2), (two, 2), (two + 1, 3)] {
                let page = subject.page("room", MessageQuery { max_bytes, ..query.clone() }).await;
                assert_eq!(page.messages, all[..count], "{max_bytes} bytes, {query:?}");
                assert!(page.more, "{max_bytes} bytes, {query:?}");
            }
        }
    }
}

pub(super) async fn one_message_comes_with_so_many_reactions(subject: Subject) {
    const USERS: usize = 600;
    const MAX: usize = ListedMessage::MAX_REACTIONS_BYTES;
    subject.apply("room", [forever(1), forever(2)]).await;
    let umd = Bytes::from(format!("\"{}\"", "u".repeat(2_000)));
    let given = (0..USERS).map(|number| {
        let add = react_as(&format!("user {number}"), 1, "👍", 10 + number as u128);
        let reaction = Reaction { umd: Some(umd.clone()), ..add.reaction };
        AddReaction { reaction, ..add }
    });
    subject.apply("room", given).await;
    subject.apply("room", [react(2, "a", 1000)]).await;

    let query = MessageQuery { reactions: ReactionDetail::All, ..everything() };
    let page = subject.page("room", query.clone()).await;
    let listed = &page.messages[0];
    assert_eq!(listed.reaction_counts[0].count, USERS as u64, "all are counted");
    assert!(listed.reactions.is_sorted_by_key(|reaction| reaction.id));
    let size: usize = listed.reactions.iter().map(Reaction::size).sum();
    let largest = listed.reactions.iter().map(Reaction::size).max().unwrap_or_default();
    assert!((MAX..MAX + largest).contains(&size), "{size} bytes of reactions");
    assert_eq!(page.messages[1].reactions.len(), 1, "each message has its own limit");
    assert_eq!(subject.reactions("room", id(1)).await, listed.reactions);

    let page = subject.page("room", MessageQuery { max_bytes: MAX, ..query }).await;
    assert_eq!((page.messages.len(), page.more), (1, true));
}

pub(super) async fn a_reaction_is_given_once(subject: Subject) {
    subject.apply("room", [forever(1), forever(2)]).await;
    subject.apply("room", [react(1, "👍", 3)]).await;
    let again = AddReaction {
        reaction: Reaction { umd: None, ..react(1, "👍", 4).reaction },
        ..react(1, "👍", 4)
    };
    assert_eq!(subject.one("room", again, NOW).await, Outcome::Unchanged);
    assert_eq!(subject.one("room", react(1, "👍", 1), NOW).await, Outcome::Unchanged);
    assert_eq!(subject.reactions("room", id(1)).await, [react(1, "👍", 3).reaction]);
    let others = [react(1, "👎", 4), react_as("pam", 1, "👍", 5), react(2, "👍", 6)];
    subject.apply("room", others).await;
    assert_eq!(subject.reactions("room", id(1)).await.len(), 3);
    let batch = [react(2, "a", 7), react(2, "a", 8)];
    let outcomes = subject.commit("room", batch, NOW).await;
    assert_eq!(outcomes, [Outcome::Applied, Outcome::Unchanged]);
}

pub(super) async fn only_own_reactions_are_removed(subject: Subject) {
    subject.apply("room", [forever(1)]).await;
    subject.apply("room", [react_as("jim", 1, "👍", 2), react_as("pam", 1, "👍", 3)]).await;
    let not_there = [
        unreact("jim", 1, "👎", 4),
        unreact("ann", 1, "👍", 4),
        unreact("ji", 1, "👍", 4),
        unreact("", 1, "", 4),
    ];
    for remove in not_there {
        assert_eq!(subject.one("room", remove, NOW).await, Outcome::Unchanged);
    }
    let removed = subject.one("room", unreact("jim", 1, "👍", 4), NOW).await;
    assert_eq!(removed, Outcome::ReactionRemoved(react_as("jim", 1, "👍", 2).reaction));
    assert_eq!(
        subject.one("room", unreact("jim", 1, "👍", 5), NOW).await,
        Outcome::Unchanged,
        "it was removed before"
    );
    let left = subject.reactions("room", id(1)).await;
    assert_eq!(left, [react_as("pam", 1, "👍", 3).reaction]);
    subject.apply("room", [react_as("jim", 1, "👍", 6)]).await;
    let removed = subject.one("room", unreact("jim", 1, "👍", 7), NOW).await;
    assert_eq!(removed, Outcome::ReactionRemoved(react_as("jim", 1, "👍", 6).reaction));
}

pub(super) async fn reactions_need_their_message(subject: Subject) {
    subject.apply("room", [until(1, 10)]).await;
    subject.apply("other", [forever(2)]).await;
    subject.apply("room", [kept(3, Retention::None)]).await;
    subject.apply("room", [react(1, "👍", 4)]).await;
    for (target, now) in [(0, NOW), (2, NOW), (3, NOW), (9, NOW), (1, after(10))] {
        let added = subject.one("room", react(target, "a", 5), now).await;
        assert_eq!(added, Outcome::MessageNotFound, "added to {target}");
        let removed = subject.one("room", unreact("jim", target, "👍", 5), now).await;
        assert_eq!(removed, Outcome::MessageNotFound, "removed from {target}");
    }
    assert_eq!(
        subject.one("room", react(1, "a", 5), after(9)).await,
        Outcome::Applied,
        "what found no message took no id"
    );
}

pub(super) async fn reactions_vanish_with_their_message(subject: Subject) {
    subject.apply("room", [until(1, 10), forever(2)]).await;
    for number in 0..30_u128 {
        let uid = number.to_string();
        subject.apply("room", [react_as(&uid, 1, "👍", 10 + 2 * number)]).await;
        subject.apply("room", [react_as(&uid, 2, "👍", 11 + 2 * number)]).await;
    }
    subject.sweep(after(10)).await;
    assert_eq!(subject.store.message("room", id(1), NOW).await.unwrap(), None);
    assert_eq!(subject.reactions("room", id(2)).await.len(), 30);
    let late = subject.one("room", unreact("0", 1, "👍", 100), NOW).await;
    assert_eq!(late, Outcome::MessageNotFound);
}

pub(super) async fn reactions_per_message_are_limited(subject: Subject) {
    subject.apply("room", [forever(1), forever(2)]).await;
    let limited = |uid, target, reaction, number| AddReaction {
        max_per_message: 2,
        ..react_as(uid, target, reaction, number)
    };
    subject.apply("room", [limited("jim", 1, "a", 3), limited("jim", 1, "b", 4)]).await;
    assert_eq!(subject.one("room", limited("jim", 1, "c", 5), NOW).await, Outcome::LimitReached);
    assert_eq!(subject.one("room", limited("pam", 1, "c", 5), NOW).await, Outcome::LimitReached);
    assert_eq!(
        subject.one("room", limited("pam", 1, "a", 5), NOW).await,
        Outcome::Applied,
        "different values are limited, not users"
    );
    subject.apply("room", [limited("jim", 2, "c", 6)]).await;
    subject.commit("room", [unreact("jim", 1, "a", 7)], NOW).await;
    assert_eq!(subject.one("room", limited("jim", 1, "c", 8), NOW).await, Outcome::LimitReached);
    subject.commit("room", [unreact("pam", 1, "a", 8)], NOW).await;
    assert_eq!(subject.one("room", limited("jim", 1, "c", 9), NOW).await, Outcome::Applied);
    let none = AddReaction { max_per_message: 0, ..react(2, "z", 10) };
    assert_eq!(subject.one("room", none, NOW).await, Outcome::LimitReached);
}

pub(super) async fn reactions_per_user_are_limited(subject: Subject) {
    subject.apply("room", [forever(1), forever(2)]).await;
    let limited = |uid, target, reaction, number| AddReaction {
        max_per_user: 2,
        ..react_as(uid, target, reaction, number)
    };
    subject.apply("room", [limited("jim", 1, "a", 3), limited("jim", 1, "b", 4)]).await;
    assert_eq!(subject.one("room", limited("jim", 1, "c", 5), NOW).await, Outcome::LimitReached);
    assert_eq!(
        subject.one("room", limited("jim", 1, "a", 5), NOW).await,
        Outcome::Unchanged,
        "a repeat is no news even at the limit"
    );
    subject.apply("room", [limited("pam", 1, "c", 5), limited("jimmy", 1, "c", 6)]).await;
    subject.apply("room", [limited("jim", 2, "c", 7)]).await;
    subject.commit("room", [unreact("jim", 1, "a", 8)], NOW).await;
    assert_eq!(subject.one("room", limited("jim", 1, "c", 9), NOW).await, Outcome::Applied);
    let none = AddReaction { max_per_user: 0, ..react_as("joe", 1, "a", 10) };
    assert_eq!(subject.one("room", none, NOW).await, Outcome::LimitReached);
}

pub(super) async fn reactions_take_ids_of_their_channel(subject: Subject) {
    subject.apply("room", [forever(5)]).await;
    assert_eq!(subject.one("room", react(5, "a", 5), NOW).await, Outcome::IdNotNewest(id(5)));
    assert_eq!(subject.reactions("room", id(5)).await, []);
    subject.apply("room", [react(5, "a", 7)]).await;
    assert_eq!(subject.one("room", forever(7), NOW).await, Outcome::IdNotNewest(id(7)));
    let stale = subject.one("room", unreact("jim", 5, "a", 7), NOW).await;
    assert_eq!(stale, Outcome::IdNotNewest(id(7)));
    assert_eq!(
        subject.reactions("room", id(5)).await.len(),
        1,
        "a refused removal removes nothing"
    );
    subject.commit("room", [unreact("jim", 5, "a", 9)], NOW).await;
    assert_eq!(subject.one("room", forever(9), NOW).await, Outcome::IdNotNewest(id(9)));
    assert_eq!(subject.one("room", react(5, "a", 8), NOW).await, Outcome::IdNotNewest(id(9)));
    subject.apply("room", [forever(10)]).await;
}

pub(super) async fn similar_reactions_are_told_apart(subject: Subject) {
    subject.apply("room", [Publish { message: message(1), ..forever(1) }]).await;
    let names = odd_names();
    let mut number = 1;
    for uid in &names {
        for reaction in ["", "\0", "a", "a\0", "ab"] {
            number += 1;
            let add = AddReaction { max_per_user: 5, ..react_as(uid, 1, reaction, number) };
            subject.apply("room", [add]).await;
        }
    }
    assert_eq!(subject.reactions("room", id(1)).await.len(), names.len() * 5);
    let removed = subject.one("room", unreact("a", 1, "\0", 1000), NOW).await;
    assert!(matches!(removed, Outcome::ReactionRemoved(reaction) if reaction.uid == "a"));
    let other = subject.one("room", unreact("a\0", 1, "", 1001), NOW).await;
    assert!(matches!(other, Outcome::ReactionRemoved(reaction) if reaction.uid == "a\0"));
    assert_eq!(subject.reactions("room", id(1)).await.len(), names.len() * 5 - 2);
}
