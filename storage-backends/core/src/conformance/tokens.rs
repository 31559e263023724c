//! Single use, revocations, and the greatest id.

use super::build::{
    NOW, Subject, after, clear, forever, id, kept, odd_names, react, schedule, set_until, token,
    unreact, until,
};
use crate::{MessageId, Outcome, Retention, Revocation, RevokedSubject, SetEntry};

pub(super) async fn a_token_is_spent_once(subject: Subject) {
    let store = &subject.store;
    assert!(!store.is_token_spent(&token("key", "jti", 10), NOW).await.unwrap());
    assert!(store.spend_token(token("key", "jti", 10), NOW).await.unwrap());
    assert!(!store.spend_token(token("key", "jti", 10), NOW).await.unwrap());
    assert!(store.is_token_spent(&token("key", "jti", 10), NOW).await.unwrap());
    let later = token("key", "jti", 99);
    assert!(!store.spend_token(later.clone(), NOW).await.unwrap(), "its end is not its identity");
    assert!(store.is_token_spent(&later, NOW).await.unwrap());
}

pub(super) async fn of_concurrent_uses_one_succeeds(subject: Subject) {
    for round in 0..10 {
        let uses: Vec<_> = (0..16)
            .map(|_| {
                let store = subject.store.clone();
                let token = token("key", &format!("jti {round}"), 10);
                tokio::spawn(async move { store.spend_token(token, NOW).await.unwrap() })
            })
            .collect();
        let mut successes = 0;
        for one in uses {
            successes += usize::from(one.await.unwrap());
        }
        assert_eq!(successes, 1);
    }
}

pub(super) async fn similar_tokens_are_told_apart(subject: Subject) {
    let names = ["", "\0", "a", "ab", "b", "a\0", "\0a", "a\0b", "a\u{1}", "abc"];
    for key in names {
        for jti in names {
            let token = token(key, jti, 10);
            assert!(!subject.store.is_token_spent(&token, NOW).await.unwrap(), "{token:?}");
            assert!(subject.store.spend_token(token, NOW).await.unwrap());
        }
    }
}

pub(super) async fn spent_tokens_are_not_forgotten_before_they_expire(subject: Subject) {
    let spent = token("key", "jti", 10);
    subject.store.spend_token(spent.clone(), NOW).await.unwrap();
    for seconds in [0, 5, 9] {
        subject.sweep(after(seconds)).await;
        assert!(!subject.store.spend_token(spent.clone(), after(seconds)).await.unwrap());
        assert!(subject.store.is_token_spent(&spent, after(seconds)).await.unwrap());
    }
    subject.store.spend_token(token("key", "another", 10), NOW).await.unwrap();
    assert_eq!(subject.sweep(after(10)).await.removed, 2, "both may be forgotten, and are");
    assert!(subject.store.spend_token(token("key", "jti", 99), after(10)).await.unwrap());
}

pub(super) async fn looking_does_not_spend(subject: Subject) {
    for _ in 0..3 {
        assert!(!subject.store.is_token_spent(&token("k", "j", 10), NOW).await.unwrap());
    }
    assert!(subject.store.spend_token(token("k", "j", 10), NOW).await.unwrap());
}

fn revocation(subject: RevokedSubject, before: u64, end: Option<u64>) -> Revocation {
    Revocation { subject, issued_before: after(before), expires_at: end.map(after) }
}

async fn in_force(subject: &Subject, seconds: u64) -> Vec<Revocation> {
    let mut all = subject.store.revocations(after(seconds)).await.unwrap();
    all.sort_by(|one, other| one.subject.cmp(&other.subject));
    all
}

pub(super) async fn revocations_are_remembered(subject: Subject) {
    let mut expected = Vec::new();
    for (number, name) in (0..).zip(odd_names()) {
        let end = (number % 2 == 0).then_some(100);
        expected.push(revocation(RevokedSubject::Token(name.clone()), number, end));
        expected.push(revocation(RevokedSubject::User(name), number + 1, end));
    }
    for revocation in &expected {
        subject.store.revoke(revocation.clone()).await.unwrap();
    }
    expected.sort_by(|one, other| one.subject.cmp(&other.subject));
    assert_eq!(in_force(&subject, 0).await, expected);
}

pub(super) async fn revocations_are_replaced(subject: Subject) {
    let jim = RevokedSubject::User("jim".to_owned());
    for (before, end) in [(1, Some(10)), (2, None), (1, Some(20)), (3, Some(20))] {
        let latest = revocation(jim.clone(), before, end);
        subject.store.revoke(latest.clone()).await.unwrap();
        assert_eq!(in_force(&subject, 0).await, [latest]);
    }
    subject.sweep(after(10)).await;
    let latest = revocation(jim, 3, Some(20));
    assert_eq!(in_force(&subject, 10).await, [latest], "a replaced end is no end");
}

pub(super) async fn revocations_end(subject: Subject) {
    let brief = revocation(RevokedSubject::Token("a".to_owned()), 0, Some(10));
    let lasting = revocation(RevokedSubject::Token("b".to_owned()), 0, None);
    subject.store.revoke(brief.clone()).await.unwrap();
    subject.store.revoke(lasting.clone()).await.unwrap();
    assert_eq!(in_force(&subject, 9).await, [brief.clone(), lasting.clone()]);
    assert_eq!(in_force(&subject, 10).await, std::slice::from_ref(&lasting));
    subject.sweep(after(9)).await;
    assert_eq!(in_force(&subject, 9).await, [brief, lasting.clone()]);
    assert_eq!(subject.sweep(after(10)).await.removed, 1);
    assert_eq!(in_force(&subject, 9).await, [lasting]);
}

async fn high_water(subject: &Subject) -> Option<MessageId> {
    subject.store.high_water().await.unwrap()
}

pub(super) async fn high_water_follows_every_id(subject: Subject) {
    assert_eq!(high_water(&subject).await, None);
    subject.apply("room", [until(5, 10)]).await;
    assert_eq!(high_water(&subject).await, Some(id(5)));
    subject.apply("other", [forever(3)]).await;
    assert_eq!(high_water(&subject).await, Some(id(5)), "it is the greatest of all channels'");
    subject.apply("other", [kept(6, Retention::None)]).await;
    assert_eq!(high_water(&subject).await, Some(id(6)));
    subject.apply("room", [react(5, "a", 7)]).await;
    assert_eq!(high_water(&subject).await, Some(id(7)));
    subject.commit("room", [unreact("jim", 5, "a", 8)], NOW).await;
    assert_eq!(high_water(&subject).await, Some(id(8)));
    subject.apply("room", [schedule(9, "room", 10)]).await;
    assert_eq!(high_water(&subject).await, Some(id(9)));
    let entry = |number, key| SetEntry { id: id(number), ..set_until(key, "1", 10) };
    subject.apply("entries", [entry(11, "a"), entry(10, "b")]).await;
    assert_eq!(high_water(&subject).await, Some(id(11)));
    let unchanged = [entry(12, "a"), SetEntry { id: id(13), ..clear("none") }];
    assert_eq!(subject.commit("entries", unchanged, NOW).await, [const { Outcome::Unchanged }; 2]);
    assert_eq!(high_water(&subject).await, Some(id(13)));
    let older = subject.one("entries", forever(1), NOW).await;
    assert_eq!(older, Outcome::Applied, "messages are compared with messages alone");
    subject.store.cancel_schedule(id(9)).await.unwrap();
    subject.sweep(after(1_000_000)).await;
    assert_eq!(high_water(&subject).await, Some(id(13)), "it survives what it came from");
}

pub(super) async fn high_water_is_raised_and_never_lowered(subject: Subject) {
    for (raise, expected) in [(5, 5), (3, 5), (5, 5), (9, 9), (0, 9)] {
        subject.store.raise_high_water(id(raise)).await.unwrap();
        assert_eq!(high_water(&subject).await, Some(id(expected)));
    }
    subject.apply("room", [forever(4)]).await;
    assert_eq!(high_water(&subject).await, Some(id(9)), "the channel's ids are its own");
    subject.apply("room", [forever(12)]).await;
    assert_eq!(high_water(&subject).await, Some(id(12)));
}
