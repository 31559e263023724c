//! Ids only grow, and delivery order is id order.

use super::faulty::Mode;
use super::*;
use fanfare_storage::{Author, Item, Message, Outcome, Publish, Write};

#[tokio::test]
async fn ids_grow_within_a_millisecond_and_when_the_clock_steps_back() {
    let world = World::new();
    let subscriber = world.subscriber("c");
    let mut ids = vec![subscriber.start];
    for step in 0..300 {
        if step % 100 == 50 {
            world.clock.set_wall(Timestamp::from_unix_seconds(1_600_000_000 - step));
        }
        ids.push(world.publish("c", step));
    }
    assert!(ids.is_sorted_by(|one, other| one < other));
    let received: Vec<_> = subscriber.messages().into_iter().map(|(id, _)| id).collect();
    assert_eq!(received, ids[1..]);
}

#[tokio::test]
async fn ids_grow_when_a_channel_was_forgotten_in_between() {
    let world = World::new();
    let before = world.publish("c", 1);
    assert_eq!(world.hub.channel_count(), 0, "nobody needs the channel");
    world.clock.set_wall(Timestamp::from_unix_seconds(1));
    assert!(world.publish("c", 2) > before);
}

#[tokio::test]
async fn ids_grow_across_a_restart_with_a_clock_that_stepped_back() {
    let mut world = World::new();
    let stored = world.store("c", 1).await.unwrap().unwrap().id;
    world.clock.set_wall(Timestamp::from_unix_seconds(1));
    world.restart().await;
    let stored_again = world.store("c", 2).await.unwrap().unwrap().id;
    assert!(stored_again > stored);

    world.clock.set_wall(Timestamp::from_unix_seconds(1_800_000_000));
    let unstored = world.publish("c", 3);
    world.hub.save_high_water().await.unwrap();
    world.clock.set_wall(Timestamp::from_unix_seconds(1));
    world.restart().await;
    assert!(world.publish("c", 4) > unstored);
    assert!(world.publish("other", 4) > unstored);
}

#[tokio::test]
async fn an_unstored_message_waits_for_stored_ones_before_it() {
    let world = World::new();
    let subscriber = world.subscriber("c");
    world.storage.close_gate();
    let stored = world.store("c", 1);
    let unstored = world.publish("c", 2);
    until(|| world.storage.commits() == 1).await;
    assert_eq!(subscriber.messages(), [], "nothing is delivered before it is stored");
    // Another channel does not wait.
    let other = world.subscriber("other");
    let elsewhere = world.publish("other", 3);
    assert_eq!(other.messages(), [(elsewhere, 3)]);
    world.storage.open_gate();
    let stored = stored.await.unwrap().unwrap().id;
    world.hub.settled().await;
    assert_eq!(subscriber.messages(), [(stored, 1), (unstored, 2)]);
}

#[tokio::test]
async fn what_can_t_be_stored_is_not_published_and_holds_nothing_up() {
    let world = World::new();
    let subscriber = world.subscriber("c");
    world.storage.set_mode(Mode::Fail);
    world.storage.close_gate();
    let failed = world.store("c", 1);
    let unstored = world.publish("c", 2);
    world.storage.open_gate();
    assert!(matches!(failed.await.unwrap(), Err(Refusal::Storage(_))));
    world.hub.settled().await;
    assert_eq!(subscriber.messages(), [(unstored, 2)]);
    world.storage.set_mode(Mode::Work);
    let stored = world.store("c", 3).await.unwrap().unwrap().id;
    assert_eq!(subscriber.messages(), [(stored, 3)]);
}

#[tokio::test]
async fn a_backend_that_panics_costs_its_batch_and_nothing_else() {
    let world = World::new();
    let subscriber = world.subscriber("c");
    world.storage.set_mode(Mode::Panic);
    world.storage.close_gate();
    let lost = world.store("c", 1);
    until(|| world.storage.commits() == 1).await;
    let kept = world.store("c", 2);
    world.storage.open_gate();
    assert!(matches!(lost.await.unwrap(), Err(Refusal::Storage(_))));
    let kept = kept.await.unwrap().unwrap().id;
    world.hub.settled().await;
    assert_eq!(subscriber.messages(), [(kept, 2)]);
}

#[tokio::test]
async fn an_id_that_storage_refuses_is_replaced_and_the_order_kept() {
    let world = World::new();
    let subscriber = world.subscriber("c");
    // Somebody else, with a clock ahead of ours, has written to the channel.
    let ahead = MessageId::from_parts(Timestamp::from_unix_seconds(1_900_000_000), 5);
    let message =
        Message { id: ahead, event: "e".into(), data: "0".into(), author: Some(Author::default()) };
    let publish = Publish { message, retention: Retention::Forever, deduplication: None };
    let items = vec![Item::from(Write::Publish(publish))];
    let outcomes = world.storage.commit("c", items, Timestamp::EPOCH).await.unwrap();
    assert_eq!(outcomes, [Outcome::Applied]);

    world.storage.close_gate();
    let first = world.store("c", 1);
    let second = world.store("c", 2);
    let unstored = world.publish("c", 3);
    world.storage.open_gate();
    let (first, second) = (first.await.unwrap().unwrap().id, second.await.unwrap().unwrap().id);
    assert!(ahead < first && first < second);
    world.hub.settled().await;
    assert_eq!(subscriber.messages(), [(unstored, 3), (first, 1), (second, 2)]);
}

#[tokio::test]
async fn messages_that_wait_share_a_commit() {
    let world = World::new();
    world.storage.close_gate();
    let mut waiting = vec![world.store("c", 0)];
    until(|| world.storage.commits() == 1).await;
    waiting.extend((1..100).map(|data| world.store("c", data)));
    world.storage.open_gate();
    for settled in waiting {
        settled.await.unwrap().unwrap();
    }
    assert_eq!(world.storage.commits(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_subscriber_sees_every_message_in_id_order() {
    const PUBLISHERS: u64 = 8;
    const EACH: u64 = 200;
    let world = Arc::new(World::with_budget(64 << 20));
    let subscribers: Vec<_> = (0..5).map(|_| world.subscriber("c")).collect();
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                for number in 0..EACH {
                    let data = publisher * EACH + number;
                    if number % 3 == 0 {
                        world.store("c", data).await.unwrap().unwrap();
                    } else {
                        world.publish("c", data);
                    }
                }
            })
        })
        .collect();
    for publisher in publishers {
        publisher.await.unwrap();
    }
    world.hub.settled().await;
    let reference = subscribers[0].messages();
    assert!(reference.is_sorted_by(|one, other| one.0 < other.0));
    let mut data: Vec<_> = reference.iter().map(|(_, data)| *data).collect();
    data.sort_unstable();
    assert_eq!(data, (0..PUBLISHERS * EACH).collect::<Vec<_>>());
    for subscriber in &subscribers[1..] {
        assert_eq!(subscriber.messages(), reference);
    }
    // Each publisher's own messages keep their order.
    for publisher in 0..PUBLISHERS {
        let own = reference.iter().map(|(_, data)| data).filter(|data| *data / EACH == publisher);
        assert!(own.is_sorted());
    }
}
