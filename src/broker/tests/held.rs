//! Registrations that are held, and what only keeps its place in the order.

use super::super::outgoing::Audience;
use super::*;
use crate::protocol::frame::UnstampedFrame;
use crate::session::Observer;
use serde_json::json;

impl World {
    fn held(&self, channel: &str, budget: usize) -> (Arc<Registration>, Subscriber) {
        let mut subscriber = Subscriber::join(&self.hub, channel, budget);
        subscriber.leave();
        subscriber.received();
        let mailbox = Arc::clone(&subscriber.mailbox);
        let held = Arc::new(Registration::new(subscriber.key, mailbox, true, Phase::Held));
        (subscriber.joined, subscriber.start) = self.hub.join(&channel.into(), &held, None);
        (held, subscriber)
    }
}

#[tokio::test]
async fn a_held_registration_gets_what_came_meanwhile_before_what_comes_later() {
    let world = World::new();
    let (held, subscriber) = world.held("c", BUDGET);
    let first = world.publish("c", 1);
    let second = world.publish("c", 2);
    assert_eq!(subscriber.messages(), []);
    subscriber.mailbox.push(Bytes::from_static(br#"{"event":"confirmed"}"#));
    subscriber.mailbox.release(&held, |gathered| gathered.id != first);
    let third = world.publish("c", 3);
    let received = subscriber.received();
    assert_eq!(received[0]["event"], "confirmed");
    let ids: Vec<_> = received[1..].iter().map(id).collect();
    assert_eq!(ids, [second, third]);
}

#[tokio::test]
async fn what_was_gathered_is_gone_with_the_registration() {
    let world = World::new();
    let (held, subscriber) = world.held("c", BUDGET);
    world.publish("c", 1);
    subscriber.leave();
    subscriber.mailbox.release(&held, |_| true);
    assert!(subscriber.received().is_empty());
    assert_eq!(world.hub.channel_count(), 0);
}

#[tokio::test]
async fn what_is_gathered_counts_against_the_mailbox_s_budget() {
    let world = World::new();
    let (_held, subscriber) = world.held("c", 1_000);
    world.publish("c", 1);
    // What is taken frees nothing of what is gathered.
    assert_eq!(subscriber.closing(), None);
    for data in 0..10 {
        world.publish("c", data);
    }
    assert_eq!(subscriber.closing(), Some(CloseReason::SlowConsumer));
}

#[tokio::test]
async fn what_is_gathered_may_be_one_message_of_any_size() {
    let world = World::new();
    let (held, subscriber) = world.held("c", 1_000);
    let large = "x".repeat(2_000);
    let draft = Draft::of_host("c", "e", &serde_json::to_string(&large).unwrap(), Retention::None);
    let permit = world.hub.try_reserve(draft.size()).unwrap();
    world.hub.publish(&"c".into(), draft.outgoing(Settle::Nobody, permit));
    subscriber.mailbox.push(Bytes::from_static(br#"{"event":"confirmed"}"#));
    subscriber.mailbox.release(&held, |_| true);
    let received = subscriber.received();
    assert_eq!((received.len(), received[1]["data"].as_str()), (2, Some(&*large)));
    // Nothing of it counts any more, nor did it count twice.
    let (held, subscriber) = world.held("c", 1_000);
    world.publish("c", 1);
    let gathered = subscriber.mailbox.queued_bytes();
    subscriber.mailbox.release(&held, |_| true);
    assert_eq!(subscriber.mailbox.queued_bytes(), gathered);
    subscriber.received();
    assert_eq!(subscriber.mailbox.queued_bytes(), 0);
}

#[tokio::test]
async fn what_was_gathered_is_not_queued_after_the_end() {
    let world = World::new();
    let (held, subscriber) = world.held("c", BUDGET);
    world.publish("c", 1);
    subscriber.mailbox.close(CloseReason::MaximumAge);
    subscriber.mailbox.release(&held, |_| true);
    assert_eq!(subscriber.mailbox.drain(), (vec![], Some(CloseReason::MaximumAge)));
}

/// Permissions to observe the keys that start with `prefix`.
fn observer(prefix: &str) -> Arc<Observer> {
    let key = crate::SigningKey::hmac(crate::Algorithm::HS256, &[7; 32]).unwrap();
    let storage = crate::StorageClaims::new().observe(true);
    let channel = crate::ChannelClaims::new().storage(format!("{prefix}*"), storage);
    let claims = crate::Claims::connect().expires_in(Duration::from_secs(60)).channel("c", channel);
    let token = claims.sign(&key).unwrap();
    let keys = vec![key.verifying_key()];
    let verifier = crate::auth::Verifier::new(keys, Vec::new(), None, Duration::ZERO);
    let connect = verifier.verify(&token, Timestamp::now()).unwrap().permissions;
    Arc::new(Observer { connect, subscribe: None })
}

impl World {
    /// Tells the observers of a key in the channel `c` of it.
    fn update(&self, key: &str) {
        let text = json!({"key": key}).to_string();
        let frame = UnstampedFrame::without_id(0, |out| out.extend_from_slice(text.as_bytes()));
        let audience = Audience::Observers(key.into());
        let draft = Draft { frame, audience, write: None, announcement: None };
        let permit = self.hub.try_reserve(draft.size()).unwrap();
        self.hub.publish(&"c".into(), draft.outgoing(Settle::Nobody, permit));
    }
}

#[tokio::test]
async fn a_crowd_of_observers_lets_others_run() {
    let world = World::new();
    let observer = observer("a");
    let crowd: Vec<_> = (0..300).map(|_| world.held("c", BUDGET)).collect();
    for (held, subscriber) in &crowd {
        held.observe(Some(Arc::clone(&observer)));
        subscriber.mailbox.release(held, |_| true);
    }
    world.update("a.1");
    let told = |number: usize| crowd[number].1.mailbox.queued_bytes() > 0;
    until(|| told(0)).await;
    assert!(!told(299), "all of them were told in one turn");
    until(|| told(299)).await;
    assert!((0..300).all(told));
}

#[tokio::test]
async fn section_7_3_observers_get_the_keys_that_they_may_see() {
    let world = World::new();
    let subscribers = [(); 4].map(|()| world.held("c", BUDGET));
    for ((held, subscriber), prefix) in subscribers.iter().zip(["", "a", "b", "a"]) {
        if !prefix.is_empty() {
            held.observe(Some(observer(prefix)));
        }
        subscriber.mailbox.release(held, |_| true);
    }
    for key in ["a.1", "b.1"] {
        world.update(key);
    }
    let keys = subscribers.map(|(_, subscriber)| {
        let received = subscriber.received().into_iter();
        received.map(|message| message["key"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    });
    assert_eq!(keys, [vec![], vec!["a.1".to_owned()], vec!["b.1".to_owned()], vec!["a.1".into()]]);
}

#[tokio::test]
async fn a_barrier_ends_after_what_was_published_before_it() {
    let world = World::new();
    world.hub.barrier(&"c".into()).await;
    assert_eq!(world.hub.channel_count(), 0, "an unused channel has nothing to wait for");

    world.storage.close_gate();
    let mut stored = world.store("c", 1);
    let hub = Arc::clone(&world.hub);
    let barrier = tokio::spawn(async move { hub.barrier(&"c".into()).await });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!barrier.is_finished());
    world.storage.open_gate();
    barrier.await.unwrap();
    assert!(stored.try_recv().unwrap().is_ok());
}
