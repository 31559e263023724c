//! Schedules: order, once only, cancelling.

use super::build::{
    NOW, Subject, after, clear, forever, fulfilling, id, odd_names, react, repeatable, schedule,
    set,
};
use crate::{Item, MessageId, Outcome, Schedule, ScheduleQuery, SetEntry, Timestamp};
use bytes::Bytes;
use std::sync::Arc;

pub(super) async fn schedules_are_kept_byte_for_byte(subject: Subject) {
    let mut expected = Vec::new();
    for (number, channel) in (1..).zip(odd_names()) {
        let payload = Bytes::from(channel.repeat(number as usize).into_bytes());
        let due = Timestamp::from_unix_millis(number as u64);
        let schedule = Schedule { id: id(number), due, channel, payload };
        subject.apply(&schedule.channel, [schedule.clone()]).await;
        expected.push(schedule);
    }
    assert_eq!(subject.schedules().await, expected);
}

pub(super) async fn schedules_are_listed_by_due_time(subject: Subject) {
    let century = 100 * 365 * 86_400;
    let mut all = vec![
        schedule(5, "a", 10),
        schedule(4, "b", 10),
        schedule(3, "a", 30),
        schedule(2, "b", 20),
        schedule(1, "a", century),
        Schedule { due: Timestamp::MAX, ..schedule(6, "a", 0) },
        Schedule { due: Timestamp::EPOCH, ..schedule(7, "a", 0) },
    ];
    for schedule in &all {
        subject.apply(&schedule.channel, [schedule.clone()]).await;
    }
    all.sort_by_key(|schedule| (schedule.due, schedule.id));
    assert_eq!(subject.schedules().await, all);
    for until in [0, 9, 10, 11, 20, 30, century - 1, century] {
        let query = ScheduleQuery { after: None, until: after(until), limit: 100 };
        let due = subject.store.schedules(query).await.unwrap();
        let expected: Vec<_> =
            all.iter().filter(|schedule| schedule.due <= after(until)).cloned().collect();
        assert_eq!(due, expected, "until {until} s");
    }
}

pub(super) async fn schedules_are_listed_in_pages(subject: Subject) {
    for number in 0..20 {
        subject.apply("room", [schedule(number, "room", u64::from(number as u32 / 7))]).await;
    }
    let all = subject.schedules().await;
    assert_eq!(all.len(), 20);
    for limit in [1, 3, 7, 20] {
        let (mut listed, mut place) = (Vec::new(), None);
        loop {
            let query = ScheduleQuery { after: place, until: after(100), limit };
            let page = subject.store.schedules(query).await.unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else {
                break;
            };
            place = Some((last.due, last.id));
            listed.extend(page);
        }
        assert_eq!(listed, all, "pages of {limit}");
    }
    let query = ScheduleQuery { after: None, until: after(100), limit: 0 };
    assert_eq!(subject.store.schedules(query).await.unwrap(), []);
    let query =
        ScheduleQuery { after: Some((after(1), MessageId::MAX)), until: after(1), limit: 9 };
    assert_eq!(subject.store.schedules(query).await.unwrap(), []);
}

pub(super) async fn a_schedule_is_fulfilled_once(subject: Subject) {
    subject.apply("room", [schedule(1, "room", 10), schedule(2, "room", 10)]).await;
    subject.apply("room", [fulfilling(1, forever(3))]).await;
    assert_eq!(subject.schedules().await, [schedule(2, "room", 10)]);
    let again = subject.one("room", fulfilling(1, forever(4)), NOW).await;
    assert_eq!(again, Outcome::ScheduleGone);
    let batch = [fulfilling(2, forever(5)), fulfilling(2, forever(6))];
    let outcomes = subject.commit("room", batch, NOW).await;
    assert_eq!(outcomes, [Outcome::Applied, Outcome::ScheduleGone]);
    assert_eq!(subject.ids("room", NOW).await, [id(3), id(5)]);
    let unknown = subject.one("room", fulfilling(99, set("key", "1")), NOW).await;
    assert_eq!(unknown, Outcome::ScheduleGone);
    assert_eq!(subject.entry("room", "key", NOW).await, None);
    assert_eq!(subject.schedules().await, []);
}

pub(super) async fn fulfilling_is_for_good_whatever_the_outcome(subject: Subject) {
    subject.apply("room", [repeatable(1, "key", 60)]).await;
    subject.apply("room", [SetEntry { max_keys: 1, ..set("only", "1") }]).await;
    subject.apply("room", [2, 3, 4, 5].map(|number| schedule(number, "room", 10))).await;
    let full = SetEntry { max_keys: 1, ..set("more", "1") };
    let items = [
        fulfilling(2, repeatable(10, "key", 60)),
        fulfilling(3, react(99, "👍", 11)),
        fulfilling(4, clear("nothing")),
        fulfilling(5, full),
    ];
    let outcomes = subject.commit("room", items, NOW).await;
    let expected = [
        Outcome::Duplicate(id(1)),
        Outcome::MessageNotFound,
        Outcome::Unchanged,
        Outcome::LimitReached,
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(subject.schedules().await, []);
}

pub(super) async fn a_refused_id_keeps_its_schedule(subject: Subject) {
    subject.apply("room", [forever(5)]).await;
    subject.apply("room", [schedule(1, "room", 10)]).await;
    let refused = subject.one("room", fulfilling(1, forever(5)), NOW).await;
    assert_eq!(refused, Outcome::IdNotNewest(id(5)));
    assert_eq!(subject.schedules().await, [schedule(1, "room", 10)]);
    subject.apply("room", [fulfilling(1, forever(6))]).await;
    assert_eq!(subject.schedules().await, []);
}

pub(super) async fn schedules_are_fulfilled_within_their_batch(subject: Subject) {
    let items = vec![Item::from(schedule(1, "room", 10)), fulfilling(1, forever(2))];
    subject.apply("room", items).await;
    assert_eq!(subject.schedules().await, []);
    assert_eq!(subject.ids("room", NOW).await, [id(2)]);
}

pub(super) async fn schedules_are_cancelled_once(subject: Subject) {
    subject.apply("room", [schedule(1, "room", 10), schedule(2, "room", 10)]).await;
    assert!(!subject.store.cancel_schedule(id(3)).await.unwrap());
    assert!(subject.store.cancel_schedule(id(1)).await.unwrap());
    assert!(!subject.store.cancel_schedule(id(1)).await.unwrap());
    assert_eq!(subject.schedules().await, [schedule(2, "room", 10)]);
    let late = subject.one("room", fulfilling(1, forever(3)), NOW).await;
    assert_eq!(late, Outcome::ScheduleGone);
    subject.apply("room", [fulfilling(2, forever(3))]).await;
    assert!(!subject.store.cancel_schedule(id(2)).await.unwrap());
}

pub(super) async fn cancelling_and_fulfilling_exclude_each_other(subject: Subject) {
    let subject = Arc::new(subject);
    for number in 1..=20 {
        subject.apply("room", [schedule(number, "room", 10)]).await;
        let cancelling = tokio::spawn({
            let subject = subject.clone();
            async move { subject.store.cancel_schedule(id(number)).await.unwrap() }
        });
        let outcome = subject.one("room", fulfilling(number, forever(number)), NOW).await;
        let is_cancelled = cancelling.await.unwrap();
        let expected = if is_cancelled { Outcome::ScheduleGone } else { Outcome::Applied };
        assert_eq!(outcome, expected);
    }
    assert_eq!(subject.schedules().await, []);
}

pub(super) async fn a_schedule_is_added_once(subject: Subject) {
    subject.apply("room", [schedule(1, "room", 10)]).await;
    let again = Schedule { payload: Bytes::new(), ..schedule(1, "room", 20) };
    assert_eq!(subject.one("room", again.clone(), NOW).await, Outcome::Unchanged);
    assert_eq!(subject.schedules().await, [schedule(1, "room", 10)]);
    subject.store.cancel_schedule(id(1)).await.unwrap();
    assert_eq!(subject.one("room", again.clone(), NOW).await, Outcome::Applied);
    assert_eq!(subject.schedules().await, [again]);
}
