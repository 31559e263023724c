//! Concurrency, closing, restarts, and other nodes.

use super::build::{
    NOW, Subject, after, entry_of, everything, forever, fulfilling, id, ids, kept, message, react,
    repeatable, schedule, set, set_until, token, until,
};
use super::{Verdict, persistence, sharing};
use crate::{
    EntryQuery, ErrorKind, Item, MessageId, Outcome, Result, Retention, Revocation, RevokedSubject,
    ScheduleQuery, Storage,
};
use std::sync::Arc;
use std::task::{Context, Waker};

pub(super) async fn a_working_store_says_so(subject: Subject) {
    subject.store.check().await.unwrap();
    subject.apply("room", [forever(1)]).await;
    subject.store.check().await.unwrap();
}

fn items(writes: impl IntoIterator<Item: Into<Item>>) -> Vec<Item> {
    writes.into_iter().map(Into::into).collect()
}

pub(super) async fn concurrent_commits_are_all_applied(subject: Subject) {
    const CHANNELS: u128 = 40;
    const BATCHES: u128 = 10;
    let writers: Vec<_> = (0..CHANNELS)
        .map(|channel| {
            let store = subject.store.clone();
            tokio::spawn(async move {
                let name = format!("room.{channel}");
                for batch in 0..BATCHES {
                    let first = batch * 3 + 1;
                    let writes = items((first..first + 3).map(forever));
                    let outcomes = store.commit(&name, writes, NOW).await.unwrap();
                    assert_eq!(outcomes, [const { Outcome::Applied }; 3]);
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let expected: Vec<_> = (1..=3 * BATCHES).map(id).collect();
    for channel in 0..CHANNELS {
        assert_eq!(subject.ids(&format!("room.{channel}"), NOW).await, expected);
    }
}

pub(super) async fn commits_are_in_every_later_read(subject: Subject) {
    for number in 1..=50 {
        let writes = vec![Item::from(forever(number)), set("key", number.to_string()).into()];
        subject.apply("room", writes).await;
        assert_eq!(subject.ids("room", NOW).await.last(), Some(&id(number)));
        assert!(subject.store.message("room", id(number), NOW).await.unwrap().is_some());
        let entry = subject.entry("room", "key", NOW).await.expect("the entry is there");
        assert_eq!(entry.value, number.to_string());
        assert_eq!(subject.store.high_water().await.unwrap(), Some(id(number)));
    }
}

pub(super) async fn readers_see_whole_batches(subject: Subject) {
    let writer = tokio::spawn({
        let store = subject.store.clone();
        async move {
            for batch in 0..30 {
                let writes = items((batch * 10..batch * 10 + 10).map(forever));
                store.commit("room", writes, NOW).await.unwrap();
            }
        }
    });
    let mut seen = 0;
    while seen < 300 {
        let count = subject.all("room", NOW).await.messages.len();
        assert_eq!(count % 10, 0, "a reader saw a part of a batch");
        assert!(count >= seen, "a reader saw less than before");
        seen = count;
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
}

pub(super) async fn dropped_commits_are_whole(subject: Subject) {
    let mut first = 0;
    for _ in 0..20 {
        let writes = items((first..first + 5).map(forever));
        let mut commit = subject.store.commit("room", writes, NOW);
        let _ = commit.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(commit);
        first += 5;
    }
    // Once a later commit is through, the dropped ones are too, or never will be.
    subject.apply("room", [forever(1000)]).await;
    let found = subject.ids("room", NOW).await;
    assert_eq!((found.len() - 1) % 5, 0, "a dropped commit was applied in part");
    for whole in found[..found.len() - 1].chunks(5) {
        let first = whole[0].as_u128();
        assert_eq!(whole[4].as_u128() - first, 4, "a dropped commit was applied in part");
    }
}

pub(super) async fn a_closed_store_refuses_everything(subject: Subject) {
    fn assert_closed<T: std::fmt::Debug>(result: Result<T>) {
        let error = result.expect_err("a closed store does nothing");
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
        assert!(!error.is_retryable());
    }
    subject.apply("room", [forever(1)]).await;
    let store = &subject.store;
    store.close().await.unwrap();
    assert_closed(store.commit("room", items([forever(2)]), NOW).await);
    assert_closed(store.messages("room", everything()).await);
    assert_closed(store.message("room", id(1), NOW).await);
    assert_closed(store.entry("room", "key", NOW).await);
    let query = EntryQuery { after: None, limit: 1, now: NOW };
    assert_closed(store.entries("room", query).await);
    let query = ScheduleQuery { after: None, until: NOW, limit: 1 };
    assert_closed(store.schedules(query).await);
    assert_closed(store.cancel_schedule(id(1)).await);
    assert_closed(store.spend_token(token("key", "jti", 1), NOW).await);
    assert_closed(store.is_token_spent(&token("key", "jti", 1), NOW).await);
    assert_closed(store.revoke(revocation()).await);
    assert_closed(store.revocations(NOW).await);
    assert_closed(store.high_water().await);
    assert_closed(store.raise_high_water(id(9)).await);
    assert_closed(store.sweep(NOW, 1).await);
    assert_closed(store.check().await);
    store.close().await.expect("closing twice is no error");
}

fn revocation() -> Revocation {
    let subject = RevokedSubject::User("jim".to_owned());
    Revocation { subject, issued_before: after(3), expires_at: Some(after(50)) }
}

pub(super) async fn calls_under_way_are_finished_by_closing(mut subject: Subject) {
    let commits: Vec<_> = (0..50)
        .map(|channel| {
            let store = subject.store.clone();
            let name = format!("room.{channel}");
            tokio::spawn(async move { store.commit(&name, items([forever(1)]), NOW).await })
        })
        .collect();
    let closings: Vec<_> = (0..2)
        .map(|_| {
            let store = subject.store.clone();
            tokio::spawn(async move { store.close().await })
        })
        .collect();
    let mut applied = Vec::new();
    for (channel, commit) in commits.into_iter().enumerate() {
        match commit.await.unwrap() {
            Ok(outcomes) => {
                assert_eq!(outcomes, [Outcome::Applied]);
                applied.push(format!("room.{channel}"));
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Closed, "{error}"),
        }
    }
    for closing in closings {
        closing.await.unwrap().unwrap();
    }
    if persistence(&subject) == Verdict::Passed {
        subject.reopen().await;
        for channel in applied {
            assert_eq!(subject.ids(&channel, NOW).await, [id(1)], "{channel} was acknowledged");
        }
    }
}

pub(super) async fn everything_survives_reopening(mut subject: Subject) -> Verdict {
    let persistence = persistence(&subject);
    if persistence != Verdict::Passed {
        return persistence;
    }
    let entry = set_until("key", r#"{"b": 1.0,"a":2}"#, 50);
    let writes = vec![
        Item::from(forever(1)),
        repeatable(2, "once", 50).into(),
        react(1, "👍", 3).into(),
        entry.clone().into(),
        schedule(4, "room", 70).into(),
        schedule(5, "room", 60).into(),
    ];
    subject.apply("room", writes).await;
    subject.store.cancel_schedule(id(4)).await.unwrap();
    subject.store.spend_token(token("key", "jti", 50), NOW).await.unwrap();
    subject.store.revoke(revocation()).await.unwrap();
    subject.store.raise_high_water(id(99)).await.unwrap();
    let before = subject.all("room", NOW).await;
    for _ in 0..3 {
        subject.reopen().await;
        assert_eq!(subject.all("room", NOW).await, before);
        assert_eq!(subject.reactions("room", id(1)).await, [react(1, "👍", 3).reaction]);
        assert_eq!(subject.entries("room", NOW).await, [entry_of(&entry)]);
        assert_eq!(subject.schedules().await, [schedule(5, "room", 60)]);
        let again = subject.one("room", repeatable(50, "once", 99), NOW).await;
        assert_eq!(again, Outcome::Duplicate(id(2)));
        assert!(!subject.store.spend_token(token("key", "jti", 50), NOW).await.unwrap());
        assert_eq!(subject.store.revocations(NOW).await.unwrap(), [revocation()]);
        assert_eq!(subject.store.high_water().await.unwrap(), Some(id(99)));
    }
    subject.apply("room", [fulfilling(5, forever(51))]).await;
    subject.reopen().await;
    let again = subject.one("room", fulfilling(5, forever(52)), NOW).await;
    assert_eq!(again, Outcome::ScheduleGone, "once means once, also across a restart");
    Verdict::Passed
}

pub(super) async fn marks_survive_reopening(mut subject: Subject) -> Verdict {
    let persistence = persistence(&subject);
    if persistence != Verdict::Passed {
        return persistence;
    }
    subject.apply("unswept", [until(1, 10)]).await;
    subject.apply("swept", [until(2, 10)]).await;
    subject.apply("unstored", [kept(3, Retention::None)]).await;
    subject.sweep(after(10)).await;
    for days in 0..3 {
        subject.reopen().await;
        let now = after(10 + days * 86_400);
        for (channel, newest) in [("unswept", 1), ("swept", 2), ("unstored", 3)] {
            let outcome = subject.one(channel, forever(newest), now).await;
            assert!(
                matches!(outcome, Outcome::IdNotNewest(known) if known >= id(newest)),
                "{outcome:?} in {channel} {days} days later"
            );
        }
        for (channel, gone) in [("unswept", 1), ("swept", 2)] {
            let page = subject.all(channel, now).await;
            assert_eq!(page.messages, []);
            assert!(page.gone >= Some(id(gone)), "{channel} {days} days later");
        }
        assert_eq!(subject.store.high_water().await.unwrap(), Some(id(3)));
        subject.sweep(now).await;
    }
    Verdict::Passed
}

pub(super) async fn expiry_survives_reopening(mut subject: Subject) -> Verdict {
    let persistence = persistence(&subject);
    if persistence != Verdict::Passed {
        return persistence;
    }
    subject.apply("room", [until(1, 10), forever(2), until(3, 20)]).await;
    subject.apply("room", [set_until("a", "1", 10), set("b", "2")]).await;
    subject.reopen().await;
    assert_eq!(subject.ids("room", after(10)).await, [id(2), id(3)]);
    let entries = subject.entries("room", after(10)).await;
    assert_eq!(entries, [entry_of(&set("b", "2"))]);
    assert_eq!(subject.sweep(after(10)).await.removed, 2);
    subject.reopen().await;
    assert_eq!(subject.sweep(after(10)).await.removed, 0);
    assert_eq!(subject.ids("room", NOW).await, [id(2), id(3)]);
    Verdict::Passed
}

pub(super) async fn only_shared_stores_are_fed(subject: Subject) {
    let is_shared = subject.store.capabilities().shared;
    let feed = subject.store.feed().await.unwrap();
    assert_eq!(feed.is_some(), is_shared);
}

async fn joined(subject: &Subject) -> Arc<dyn Storage> {
    subject.harness.join().await.expect("a shared store is joined by other nodes")
}

pub(super) async fn other_nodes_are_heard(subject: Subject) -> Verdict {
    let sharing = sharing(&subject);
    if sharing != Verdict::Passed {
        return sharing;
    }
    let other = joined(&subject).await;
    let mut feed = subject.store.feed().await.unwrap().expect("a shared store is fed");
    other.commit("room", items([forever(1), kept(2, Retention::None)]), NOW).await.unwrap();
    other.commit("elsewhere", items([forever(1)]), NOW).await.unwrap();
    other.commit("room", items([forever(3)]), NOW).await.unwrap();
    let mut heard: Vec<(String, MessageId)> = Vec::new();
    while heard.len() < 4 {
        let fed = feed.next().await.unwrap().expect("the store is open");
        let published = (1..=3).map(message).find(|message| message.id == fed.message.id);
        assert_eq!(Some(&fed.message), published.as_ref());
        heard.push((fed.channel, fed.message.id));
    }
    let of = |channel: &str| -> Vec<MessageId> {
        heard.iter().filter(|fed| fed.0 == channel).map(|fed| fed.1).collect()
    };
    assert_eq!(of("room"), [id(1), id(2), id(3)], "in the order of their ids");
    assert_eq!(of("elsewhere"), [id(1)]);
    let page = subject.page("room", everything()).await;
    assert_eq!(ids(&page), [id(1), id(3)]);
    assert_eq!(subject.one("room", forever(3), NOW).await, Outcome::IdNotNewest(id(3)));
    subject.store.close().await.unwrap();
    assert_eq!(feed.next().await.unwrap(), None, "a closed store feeds nothing");
    Verdict::Passed
}

pub(super) async fn other_nodes_share_tokens(subject: Subject) -> Verdict {
    let sharing = sharing(&subject);
    if sharing != Verdict::Passed {
        return sharing;
    }
    let other = joined(&subject).await;
    for round in 0..10 {
        let spent = token("key", &format!("jti {round}"), 10);
        let there = tokio::spawn({
            let (other, spent) = (other.clone(), spent.clone());
            async move { other.spend_token(spent, NOW).await.unwrap() }
        });
        let here = subject.store.spend_token(spent.clone(), NOW).await.unwrap();
        assert!(here != there.await.unwrap(), "one of two nodes spends a token");
        assert!(other.is_token_spent(&spent, NOW).await.unwrap());
    }
    Verdict::Passed
}
