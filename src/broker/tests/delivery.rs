//! Who gets what: joining, leaving, echo, slow consumers, bounds.

use super::super::outgoing::Audience;
use super::faulty::Mode;
use super::*;

#[tokio::test]
async fn the_confirmation_comes_first_and_nothing_after_it_is_missed() {
    let world = World::new();
    let before = world.publish("c", 1);
    let early = world.subscriber("c");
    let middle = world.publish("c", 2);
    let late = world.subscriber("c");
    let after = world.publish("c", 3);
    assert!(early.start >= before && early.start < middle);
    assert_eq!(late.start, middle);
    let received = late.received();
    assert_eq!(received[0]["event"], "confirmed");
    assert_eq!(received[1..].iter().map(id).collect::<Vec<_>>(), [after]);
    assert_eq!(early.messages(), [(middle, 2), (after, 3)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_joins_a_busy_channel_gets_all_from_its_start_on() {
    const MESSAGES: u64 = 4_000;
    let world = Arc::new(World::with_budget(256 << 20));
    let keeper = Subscriber::join(&world.hub, "c", 256 << 20);
    let publisher = {
        let world = Arc::clone(&world);
        tokio::task::spawn_blocking(move || {
            for data in 0..MESSAGES {
                world.publish("c", data);
            }
        })
    };
    let mut joined = Vec::new();
    while !publisher.is_finished() {
        let subscriber = Subscriber::join(&world.hub, "c", 256 << 20);
        if joined.len() % 3 == 0 {
            subscriber.leave();
        }
        joined.push(subscriber);
        if joined.len() == 60 {
            break;
        }
    }
    publisher.await.unwrap();
    world.hub.settled().await;
    let all = keeper.mailbox.drain().0;
    let all: Vec<_> = all.iter().map(parse).filter(|m| m["id"].is_string()).collect();
    assert_eq!(all.len(), MESSAGES as usize);
    for (number, subscriber) in joined.iter().enumerate() {
        let received = subscriber.mailbox.drain().0;
        assert_eq!(parse(&received[0])["event"], "confirmed");
        let from = all.partition_point(|message| id(message) <= subscriber.start);
        let expected = &all[from..];
        if number % 3 == 0 {
            let received: Vec<_> = received[1..].iter().map(parse).collect();
            assert_eq!(received, expected[..received.len()]);
        } else {
            assert_eq!(received[1..].iter().map(parse).collect::<Vec<_>>(), expected);
        }
    }
}

#[tokio::test]
async fn whoever_left_gets_nothing_and_an_empty_channel_is_forgotten() {
    let world = World::new();
    let (one, other) = (world.subscriber("c"), world.subscriber("c"));
    assert_eq!(world.hub.subscriptions_count("c"), 2);
    one.leave();
    one.leave();
    assert_eq!(world.hub.subscriptions_count("c"), 1);
    world.publish("c", 1);
    assert_eq!((one.messages().len(), other.messages().len()), (0, 1));
    other.leave();
    assert_eq!((world.hub.channel_count(), world.hub.subscriptions_count("c")), (0, 0));
}

#[tokio::test]
async fn the_sender_is_left_out_where_it_asks_for_no_echo() {
    let world = World::new();
    let (sender, other) = (world.subscriber("c"), world.subscriber("c"));
    let draft = Draft::of_host("c", "e", "1", Retention::None);
    let permit = world.hub.try_reserve(1).unwrap();
    let mut outgoing = draft.outgoing(Settle::Nobody, permit);
    outgoing.draft.audience = Audience::AllBut(Some(sender.key));
    world.hub.publish(&"c".into(), outgoing);
    assert_eq!((sender.messages().len(), other.messages().len()), (0, 1));
}

#[tokio::test]
async fn a_slow_consumer_is_cut_off_and_nobody_else_notices() {
    let world = World::new();
    let slow = Subscriber::join(&world.hub, "c", 500);
    let quick = world.subscriber("c");
    for data in 0..100 {
        world.publish("c", data);
    }
    assert_eq!(slow.closing(), Some(CloseReason::SlowConsumer));
    assert_eq!(CloseReason::SlowConsumer.code(), 4429);
    assert_eq!(quick.messages().len(), 100);
}

#[tokio::test]
async fn what_waits_for_storage_has_a_bound_at_which_publishers_wait() {
    let size = Draft::of_host("c", "e", "0", Retention::Forever).size();
    let world = World::with_budget(3 * size);
    world.storage.close_gate();
    let waiting: Vec<_> = (0..3).map(|data| world.store("c", data)).collect();
    assert!(world.hub.try_reserve(size).is_none());
    let hub = Arc::clone(&world.hub);
    let publisher = tokio::spawn(async move { drop(hub.reserve(size).await) });
    until(|| world.storage.commits() == 1).await;
    assert!(!publisher.is_finished());
    world.storage.open_gate();
    publisher.await.unwrap();
    for settled in waiting {
        settled.await.unwrap().unwrap();
    }
    // More than the whole budget is let through alone rather than never.
    drop(world.hub.reserve(usize::MAX).await);
}

#[tokio::test]
async fn a_connection_hears_of_a_stored_message_that_failed() {
    let world = World::new();
    let sender = world.subscriber("c");
    world.storage.set_mode(Mode::Fail);
    let draft = Draft::of_host("c", "e", "1", Retention::Forever);
    let permit = world.hub.try_reserve(1).unwrap();
    let settle =
        Settle::Connection { mailbox: Arc::clone(&sender.mailbox), written: "alias".into() };
    world.hub.publish(&"c".into(), draft.outgoing(settle, permit));
    world.hub.settled().await;
    let received = sender.received();
    assert_eq!(received[1]["event"], "hotsock.error");
    assert_eq!(received[1]["channel"], "alias");
    assert_eq!(received[1]["error"]["code"], "STORAGE_UNAVAILABLE");
}
