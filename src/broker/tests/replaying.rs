//! What those are told who come back together, in room that they share.

use super::place::{Place, Reader};
use super::*;
use crate::broker::{BrokerBuilder, Message};
use serde_json::json;
use std::future::{Future, poll_fn};
use std::iter::zip;
use std::pin::Pin;
use std::task::Poll;

const ROOM: usize = 1 << 20;

/// As many messages, of 5,000 bytes each.
async fn stored(place: &Place, count: usize, retention: Duration) -> Vec<MessageId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let message = Message::new("c", "e").data(&"x".repeat(5_000)).store_for(retention);
        ids.push(place.broker.publish(message).await.unwrap().id());
    }
    ids
}

const HOUR: Duration = Duration::from_secs(3_600);

fn little_room(builder: BrokerBuilder) -> BrokerBuilder {
    builder.max_replay_bytes(ROOM)
}

impl Place {
    async fn replay_bytes(&self) -> u64 {
        self.broker.stats().await.replay_bytes
    }
}

/// Starts to recover all, and reads nothing after the first part of it until it is let.
fn recover_late(
    mut reader: Reader,
    mut go: oneshot::Receiver<()>,
) -> tokio::task::JoinHandle<Reader> {
    tokio::spawn(async move {
        let mut wait = reader.send(&json!({"after": MessageId::MIN.to_string()})).unwrap();
        let mut may_read = false;
        poll_fn(|context| {
            let over = wait.as_mut().poll(context);
            may_read = may_read || Pin::new(&mut go).poll(context).is_ready();
            if may_read || reader.frames.len() < 2 {
                reader.read();
            }
            if reader.closing.is_some() { Poll::Ready(()) } else { over }
        })
        .await;
        reader.read();
        reader
    })
}

#[tokio::test]
async fn a_crowd_that_comes_back_is_told_all_in_bounded_memory() {
    let place = Place::with(little_room, Arc::default()).await;
    let ids = stored(&place, 60, HOUR).await;
    let mut back = Vec::new();
    for _ in 0..20 {
        let (go, let_go) = oneshot::channel();
        back.push((go, recover_late(place.reader(Some(0)), let_go)));
    }
    // All of them would be 6 MB.
    until(|| place.core.recoveries.room.used() > ROOM - (64 << 10)).await;
    assert!(place.replay_bytes().await <= ROOM as u64);
    let reading: Vec<_> = back.into_iter().map(|(go, reading)| (go.send(()), reading).1).collect();
    for reading in reading {
        let mut reader = reading.await.unwrap();
        assert_eq!((reader.closing, reader.ids()), (None, ids.clone()));
    }
    assert_eq!(place.replay_bytes().await, 0);
}

#[tokio::test(start_paused = true)]
async fn who_reads_nothing_keeps_nobody_from_what_it_missed() {
    let patient = |builder| little_room(builder).idle_timeout(24 * HOUR);
    let place = Place::with(patient, Arc::default()).await;
    let ids = stored(&place, 60, HOUR).await;
    let mut stalled = Vec::new();
    for _ in 0..20 {
        let (go, let_go) = oneshot::channel();
        stalled.push((go, recover_late(place.reader(Some(0)), let_go)));
    }
    until(|| place.core.recoveries.room.used() > ROOM - (64 << 10)).await;
    let mut back = place.reader(Some(0));
    let in_time = tokio::time::timeout(HOUR, back.recover(MessageId::MIN)).await;
    assert_eq!(in_time.unwrap(), (true, ids));
    for (_go, reading) in stalled {
        let reader = reading.await.unwrap();
        assert_eq!(reader.closing, Some(CloseReason::SlowConsumer));
    }
    assert_eq!(place.replay_bytes().await, 0);
}

#[tokio::test(start_paused = true)]
async fn where_there_is_room_a_client_has_time() {
    let place = Place::with(little_room, Arc::default()).await;
    let ids = stored(&place, 60, HOUR).await;
    let (go, let_go) = oneshot::channel();
    let reading = recover_late(place.reader(Some(0)), let_go);
    tokio::time::sleep(Duration::from_secs(9 * 60)).await;
    go.send(()).unwrap();
    let mut reader = reading.await.unwrap();
    assert_eq!((reader.closing, reader.ids()), (None, ids));
}

impl Place {
    /// A client that has what it missed read again when it gets to it, since room is scarce.
    async fn recovers_piecemeal(&self) -> (oneshot::Sender<()>, tokio::task::JoinHandle<Reader>) {
        let (go, let_go) = oneshot::channel();
        let mut taken = Vec::new();
        while self.core.recoveries.room.used() <= ROOM / 2 {
            taken.push(self.core.recoveries.room.page().await);
        }
        let reading = recover_late(self.reader(Some(0)), let_go);
        // Two to see that all is there, and one each for the first part and what stays unread.
        until(|| self.storage.reads() == 4).await;
        (go, reading)
    }
}

#[tokio::test]
async fn what_is_gone_before_it_could_be_sent_is_not_passed_over() {
    let place = Place::with(little_room, Arc::default()).await;
    let mut ids = stored(&place, 50, Duration::from_secs(10)).await;
    ids.extend(stored(&place, 10, HOUR).await);
    let (go, reading) = place.recovers_piecemeal().await;
    place.at(11);
    place.storage.sweep(place.clock.now().wall, 100).await.unwrap();
    go.send(()).unwrap();
    let mut reader = reading.await.unwrap();
    assert_eq!(reader.closing, Some(CloseReason::SlowConsumer));
    let seen = reader.ids();
    assert!((1..50).contains(&seen.len()) && zip(&seen, &ids).all(|(one, other)| one == other));
    let last = *seen.last().unwrap();
    assert_eq!(place.reader(Some(0)).recover(last).await, (false, vec![]));
}

#[tokio::test]
async fn what_expires_before_it_could_be_sent_is_sent_while_it_is_there() {
    let place = Place::with(little_room, Arc::default()).await;
    let ids = stored(&place, 60, Duration::from_secs(10)).await;
    let (go, reading) = place.recovers_piecemeal().await;
    place.at(11);
    go.send(()).unwrap();
    let mut reader = reading.await.unwrap();
    assert_eq!((reader.closing, reader.ids()), (None, ids));
}

#[tokio::test(start_paused = true)]
async fn a_storage_that_fails_half_way_closes_the_connection() {
    let place = Place::with(little_room, Arc::default()).await;
    stored(&place, 60, HOUR).await;
    let (go, reading) = place.recovers_piecemeal().await;
    place.storage.fail_reads(usize::MAX);
    go.send(()).unwrap();
    assert_eq!(reading.await.unwrap().closing, Some(CloseReason::StorageFault));
}

#[tokio::test]
async fn values_that_fill_several_pages_are_shown_once_each() {
    let place = Place::with(little_room, Arc::default()).await;
    for key in 10..60 {
        let value = "x".repeat(30_000);
        let entry = crate::EntryUpdate::set("c", format!("k{key}"), &value);
        place.broker.set_entry(entry).await.unwrap();
    }
    let mut readers = Vec::new();
    for _ in 0..3 {
        let mut reader = place.reader(None);
        readers.push(tokio::spawn(async move {
            reader.subscribe(&json!(null)).await;
            reader
        }));
    }
    for reader in readers {
        let reader = reader.await.unwrap();
        let keys: Vec<_> =
            reader.frames[1..].iter().map(|frame| parse(frame)["key"].clone()).collect();
        let expected: Vec<_> = (10..60).map(|key| json!(format!("k{key}"))).collect();
        assert_eq!(keys, expected);
    }
    assert_eq!(place.replay_bytes().await, 0);
}
