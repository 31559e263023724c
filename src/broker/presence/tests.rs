//! The members alone, against a model that does everything the slow way.

use super::members::{CAPACITY, Change, Full, Members, Ticket, Umd};
use crate::protocol::presence::ChangeKind;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const UIDS: [&str; 4] = ["a", "b", "\"", "ü"];

#[derive(Clone, Debug)]
enum Step {
    Enter { uid: usize, umd: Option<u8> },
    Update { seat: prop::sample::Index, umd: Option<u8> },
    Leave { seat: prop::sample::Index },
    Lose { seat: prop::sample::Index },
    Wait,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let umd = || prop::option::of(0..3_u8);
    let seat = any::<prop::sample::Index>;
    let step = prop_oneof![
        4 => (0..UIDS.len(), umd()).prop_map(|(uid, umd)| Step::Enter { uid, umd }),
        2 => (seat(), umd()).prop_map(|(seat, umd)| Step::Update { seat, umd }),
        2 => seat().prop_map(|seat| Step::Leave { seat }),
        2 => seat().prop_map(|seat| Step::Lose { seat }),
        1 => Just(Step::Wait),
    ];
    prop::collection::vec(step, 0..60)
}

fn text(umd: Option<u8>) -> Umd {
    umd.map(|umd| Bytes::from(umd.to_string()))
}

fn list(members: &Members) -> Value {
    let mut out = Vec::new();
    members.write_list(&mut out);
    serde_json::from_slice(&out).unwrap()
}

fn enter(
    members: &mut Members,
    uid: &Arc<str>,
    umd: Umd,
) -> Result<(Ticket, Option<Change>), Full> {
    let ticket = members.reserve(uid, umd)?;
    let change = members.enter(uid, ticket);
    Ok((ticket, change))
}

/// A seat as the model knows it; they are in the order of their age.
#[derive(Clone, Debug)]
struct Seat {
    uid: usize,
    umd: Option<u8>,
    ticket: Ticket,
    lost: bool,
}

/// What is to be shown: users in the order in which they came, each with the newest metadata.
fn expected(order: &[usize], seats: &[Seat]) -> Value {
    let shown = order.iter().map(|uid| {
        let newest = seats.iter().rfind(|seat| seat.uid == *uid).unwrap();
        json!({"uid": UIDS[*uid], "umd": newest.umd})
    });
    shown.collect()
}

/// Makes the change that is announced, as a member's view of the others does.
fn apply(view: &mut Vec<Value>, change: &Change) {
    let member: Value = serde_json::from_slice(&change.member).unwrap();
    let place = view.iter().position(|other| other["uid"] == member["uid"]);
    match (change.kind, place) {
        (ChangeKind::Added, None) => view.push(member),
        (ChangeKind::Updated, Some(place)) => {
            assert_ne!(view[place], member, "an update changes something");
            view[place] = member;
        }
        (ChangeKind::Removed, Some(place)) => drop(view.remove(place)),
        (kind, place) => panic!("{kind:?} of a member at {place:?}"),
    }
}

proptest! {
    #[test]
    fn section_6_1_members_are_the_seated_users_in_order_with_their_newest_metadata(
        steps in steps(),
    ) {
        let uids = UIDS.map(Arc::<str>::from);
        let grace = Duration::from_secs(10);
        let mut now = Instant::now();
        let mut members = Members::default();
        let (mut seats, mut order, mut view) = (Vec::<Seat>::new(), Vec::<usize>::new(), Vec::new());
        for step in steps {
            let live: Vec<_> = seats.iter().filter(|seat| !seat.lost).cloned().collect();
            let mut changes = Vec::new();
            match step {
                Step::Enter { uid, umd } => {
                    let (ticket, change) = enter(&mut members, &uids[uid], text(umd)).unwrap();
                    changes.extend(change);
                    seats.retain(|seat| seat.uid != uid || !seat.lost);
                    seats.push(Seat { uid, umd, ticket, lost: false });
                    if !order.contains(&uid) {
                        order.push(uid);
                    }
                }
                Step::Update { seat, umd } if !live.is_empty() => {
                    let Seat { uid, ticket, .. } = *seat.get(&live);
                    let reserved = members.reserve(&uids[uid], text(umd)).unwrap();
                    changes.extend(members.update(&uids[uid], ticket, reserved));
                    seats.retain(|seat| seat.ticket != ticket);
                    seats.push(Seat { uid, umd, ticket, lost: false });
                }
                Step::Leave { seat } if !live.is_empty() => {
                    let Seat { uid, ticket, .. } = *seat.get(&live);
                    changes.extend(members.leave(&uids[uid], ticket));
                    prop_assert_eq!(members.leave(&uids[uid], ticket), None);
                    seats.retain(|seat| seat.ticket != ticket);
                }
                Step::Lose { seat } if !live.is_empty() => {
                    let Seat { uid, ticket, .. } = *seat.get(&live);
                    members.linger(&uids[uid], ticket, now + grace);
                    for seat in &mut seats {
                        seat.lost |= seat.ticket == ticket;
                    }
                }
                Step::Wait => {
                    now += grace;
                    while let Some(change) = members.expire(now) {
                        changes.extend(change);
                    }
                    seats.retain(|seat| !seat.lost);
                }
                _ => {}
            }
            order.retain(|uid| seats.iter().any(|seat| seat.uid == *uid));
            for change in &changes {
                apply(&mut view, change);
            }
            prop_assert_eq!(list(&members), expected(&order, &seats));
            prop_assert_eq!(Value::from(view.clone()), list(&members));
            prop_assert_eq!(members.next_expiry().is_some(), seats.iter().any(|seat| seat.lost));
        }
        for seat in &seats {
            members.leave(&uids[seat.uid], seat.ticket);
        }
        prop_assert!(members.is_empty());
    }
}

#[test]
fn section_2_members_take_at_most_102_400_bytes() {
    let mut members = Members::default();
    // 100 bytes each.
    let umd = Some(Bytes::from(format!("\"{}\"", "x".repeat(100 - 21 - 2))));
    let mut seats = Vec::new();
    for number in 0..CAPACITY / 100 {
        let uid = Arc::<str>::from(format!("{number:04}"));
        let (ticket, change) = enter(&mut members, &uid, umd.clone()).unwrap();
        assert_eq!(change.unwrap().member.len(), 100);
        seats.push((uid, ticket));
    }
    let (first, ticket) = seats[0].clone();
    assert_eq!(members.reserve(&"one more".into(), None), Err(Full));
    assert_eq!(members.reserve(&first, Some(Bytes::from(vec![b'1'; 80]))), Err(Full));
    // Who is there already takes no more room with another connection.
    let (second, _) = enter(&mut members, &first, umd.clone()).unwrap();
    members.leave(&first, second);
    // What is reserved takes room until it is given back.
    members.leave(&first, ticket);
    let reserved = members.reserve(&first, umd.clone()).unwrap();
    assert_eq!(list(&members).as_array().unwrap().len(), seats.len() - 1);
    assert_eq!(members.reserve(&"one more".into(), None), Err(Full));
    members.release(&first, reserved);
    assert!(members.reserve(&"one more".into(), None).is_ok());
}

#[test]
fn the_limit_holds_whichever_connection_of_a_user_leaves() {
    let mut members = Members::default();
    let large = Some(Bytes::from(format!("\"{}\"", "x".repeat(1_000))));
    let mut small = Vec::new();
    for number in 0.. {
        let uid = Arc::<str>::from(number.to_string());
        let Ok(_) = enter(&mut members, &uid, large.clone()) else { break };
        small.push((Arc::clone(&uid), enter(&mut members, &uid, None).unwrap().0));
    }
    for (uid, ticket) in small {
        assert_eq!(members.leave(&uid, ticket).unwrap().kind, ChangeKind::Updated);
    }
    let objects: Vec<Value> = list(&members).as_array().unwrap().clone();
    let bytes: usize = objects.iter().map(|object| object.to_string().len()).sum();
    assert!((CAPACITY - 1_100..=CAPACITY).contains(&bytes), "{bytes}");
}
