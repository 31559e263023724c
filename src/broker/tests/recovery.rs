//! Protocol section 6, recovery.

use super::place::{Place, Reader, START};
use super::*;
use crate::auth::{ChannelClaims, Claims};
use crate::broker::{BrokerBuilder, Message, Peer};
use fanfare_storage::Durability;
use serde_json::json;
use std::future::poll_fn;
use std::task::Poll;

#[tokio::test]
async fn what_was_missed_comes_after_the_confirmation_as_it_would_have_come_live() {
    let place = Place::new().await;
    let mut live = place.subscribed().await;
    let first = place.publish(1, -1).await;
    let client = json!({"event": "e", "channel": "c", "data": 2});
    let claims = Claims::connect().uid("jim").expires_in(Duration::from_secs(3600)).channel(
        "c",
        ChannelClaims::new()
            .subscribe(true)
            .message("*", crate::auth::MessageClaims::new().broadcast(true).store_forever()),
    );
    let token = place.core.verify_connect(&claims.sign(&place.key).unwrap()).unwrap();
    let (sender, _) = place.core.open(&token, token.meta(), Peer::default()).unwrap();
    let text = client.to_string();
    let action = sender.session().lock().handle_text(place.clock.now(), &text);
    assert!(place.core.perform(&sender, action).is_none());
    place.core.hub.barrier(&"c".into()).await;
    place.publish(3, 0).await;
    let last = place.publish(4, -1).await;
    live.read();
    assert_eq!(live.frames.len(), 4);
    live.frames.remove(2); // is not stored
    live.frames.remove(0);

    let mut back = place.reader(Some(0));
    back.subscribe(&json!({"after": first.to_string()})).await;
    assert_eq!(parse(&back.frames[0])["data"], json!({"recovered": true}));
    assert_eq!(back.frames[1..], live.frames);
    assert!(parse(&back.frames[1])["meta"].is_object() && parse(&back.frames[2])["meta"].is_null());
    let next = place.publish(5, 0).await;
    assert_eq!(back.ids()[1..], [last, next]);
}

#[tokio::test]
async fn a_slow_read_holds_nobody_else_up() {
    let place = Place::new().await;
    let mut other = place.subscribed().await;
    let ids = place.stored(3).await;
    place.storage.close_read_gate();
    let (mut back, known) = (place.reader(Some(0)), ids[0]);
    let reading = tokio::spawn(async move {
        back.recover(known).await;
        back
    });
    until(|| place.storage.reads() == 1).await;
    let live = [place.publish(3, -1).await, place.publish(4, 0).await];
    assert_eq!(other.ids()[3..], live);
    let mut another = place.subscribed().await;
    assert!(!reading.is_finished());
    place.storage.open_read_gate();
    let mut back = reading.await.unwrap();
    let last = place.publish(5, 0).await;
    assert_eq!(back.ids(), [ids[1], ids[2], live[0], live[1], last]);
    assert_eq!(another.ids(), [last]);
}

#[tokio::test]
async fn what_is_being_stored_when_the_client_subscribes_comes_once() {
    let place = Place::new().await;
    let known = place.publish(0, -1).await;
    place.storage.close_gate();
    let publishing = {
        let broker = place.broker.clone();
        let message = Message::new("c", "e").data(&1).store_forever();
        tokio::spawn(async move { broker.publish(message).await.unwrap().id() })
    };
    until(|| place.storage.commits() == 2).await;
    let mut back = place.reader(Some(0));
    assert_eq!(back.recover(known).await, (true, vec![]));
    place.storage.open_gate();
    let id = publishing.await.unwrap();
    assert_eq!(back.ids(), [id]);
}

#[tokio::test]
async fn as_many_as_the_limits_allow_are_delivered_and_of_more_none() {
    let place = Place::new().await;
    let ids = place.stored(1_001).await;
    let mut back = place.reader(Some(0));
    assert_eq!(back.recover(ids[0]).await, (true, ids[1..].to_vec()));
    assert_eq!(place.reader(Some(0)).recover(MessageId::MIN).await, (false, vec![]));

    let one = parse(&back.frames[1]).to_string().len();
    for (bytes, recovered) in [(2 * one, true), (2 * one - 1, false)] {
        let limit = |builder: BrokerBuilder| builder.max_recovered_bytes(bytes);
        let place = Place::with(limit, Arc::default()).await;
        let ids = place.stored(3).await;
        assert_eq!(place.reader(Some(0)).recover(ids[0]).await.0, recovered, "{bytes}");
    }
    for (messages, recovered) in [(0, false), (1, false), (2, true)] {
        let limit = |builder: BrokerBuilder| builder.max_recovered_messages(messages);
        let place = Place::with(limit, Arc::default()).await;
        let ids = place.stored(3).await;
        assert_eq!(place.reader(Some(0)).recover(ids[0]).await.0, recovered, "{messages}");
        assert_eq!(place.reader(Some(0)).recover(ids[2]).await, (true, vec![]));
    }
}

#[tokio::test]
async fn a_message_that_has_expired_can_t_be_recovered_and_one_that_was_known_need_not() {
    let place = Place::new().await;
    let before = place.publish(0, -1).await;
    let expiring = place.publish(1, 10).await;
    let last = place.publish(2, -1).await;
    assert_eq!(place.reader(Some(0)).recover(before).await, (true, vec![expiring, last]));
    place.at(10);
    assert_eq!(place.reader(Some(0)).recover(before).await, (false, vec![]));
    assert_eq!(place.reader(Some(0)).recover(expiring).await, (true, vec![last]));
    place.storage.sweep(place.clock.now().wall, 100).await.unwrap();
    assert_eq!(place.reader(Some(0)).recover(before).await, (false, vec![]));
}

#[tokio::test]
async fn an_id_that_is_newer_than_the_channel_proves_nothing() {
    let place = Place::new().await;
    let last = *place.stored(2).await.last().unwrap();
    assert_eq!(place.reader(Some(0)).recover(last).await, (true, vec![]));
    assert_eq!(place.reader(Some(0)).recover(last.next()).await, (false, vec![]));
    assert_eq!(place.reader(Some(0)).recover(MessageId::MAX).await, (false, vec![]));
}

#[tokio::test]
async fn recovery_reaches_back_to_history_start() {
    let place = Place::new().await;
    let old = place.publish(0, -1).await;
    place.at(5);
    let new = place.publish(1, -1).await;
    assert_eq!(place.reader(None).recover(old).await, (false, vec![]));
    assert_eq!(place.reader(Some(START + 5)).recover(old).await, (true, vec![new]));
    let nothing = MessageId::MIN;
    assert_eq!(place.reader(Some(START + 5)).recover(nothing).await, (true, vec![new]));
    assert_eq!(place.reader(Some(START + 6)).recover(nothing).await, (true, vec![]));
    assert_eq!(place.reader(Some(START)).recover(nothing).await, (true, vec![old, new]));
}

#[tokio::test]
async fn a_store_that_forgets_proves_nothing_from_before_the_broker_s_start() {
    for (durability, recovered) in
        [(Durability::Volatile, false), (Durability::Lazy, false), (Durability::Written, true)]
    {
        let storage = Arc::new(FaultyStorage::default());
        storage.set_durability(durability);
        let place = Place::with(|builder| builder, Arc::clone(&storage)).await;
        let old = place.stored(2).await;
        assert!(place.reader(Some(0)).recover(old[0]).await.0);
        let place = Place::with(|builder| builder, storage).await;
        place.at(1);
        let new = place.stored(2).await;
        assert_eq!(place.reader(Some(0)).recover(old[0]).await.0, recovered, "{durability:?}");
        assert_eq!(place.reader(Some(0)).recover(new[0]).await, (true, vec![new[1]]));
        assert!(place.reader(Some(0)).recover(MessageId::MIN).await.0);
        assert!(place.reader(Some(START + 1)).recover(old[0]).await.0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_passing_fault_of_the_storage_is_no_answer() {
    let place = Place::new().await;
    let ids = place.stored(2).await;
    place.storage.fail_reads(3);
    assert_eq!(place.reader(Some(0)).recover(ids[0]).await, (true, vec![ids[1]]));
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_the_storage_that_lasts_closes_the_connection() {
    let place = Place::new().await;
    let ids = place.stored(2).await;
    place.storage.fail_reads(usize::MAX);
    let mut back = place.reader(Some(0));
    back.subscribe(&json!({"after": ids[0].to_string()})).await;
    assert_eq!(back.closing, Some(CloseReason::StorageFault));
    assert!(back.frames.is_empty());
    assert_eq!(place.core.hub.channel_count(), 0, "the registration has ended");
}

#[tokio::test]
async fn a_client_that_reads_gets_more_than_its_mailbox_holds() {
    let place = Place::with(|builder| builder.max_queued_bytes(16 << 10), Arc::default()).await;
    let mut ids = Vec::new();
    for size in [10_000, 5_000, 3_000, 20_000, 100, 15_000] {
        let message = Message::new("c", "e").data(&"x".repeat(size)).store_forever();
        ids.push(place.broker.publish(message).await.unwrap().id());
    }
    let mut back = place.reader(Some(0));
    assert_eq!(back.recover(MessageId::MIN).await, (true, ids));
    assert_eq!(back.closing, None);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_closed_in_the_end() {
    let place = Place::with(|builder| builder.max_queued_bytes(16 << 10), Arc::default()).await;
    let ids = place.stored(500).await;
    let mut back = place.reader(Some(0));
    back.send(&json!({"after": ids[0].to_string()})).unwrap().await;
    back.read();
    assert_eq!(back.closing, Some(CloseReason::SlowConsumer));
}

#[tokio::test]
async fn a_connection_that_ends_while_it_recovers_leaves_nothing_behind() {
    let place = Place::new().await;
    let ids = place.stored(2).await;
    place.storage.close_read_gate();
    for drops_first in [true, false] {
        let back = place.reader(Some(0));
        let mut wait = back.send(&json!({"after": ids[0].to_string()})).unwrap();
        let over = poll_fn(|context| Poll::Ready(wait.as_mut().poll(context))).await;
        assert!(over.is_pending());
        assert_eq!(place.core.hub.channel_count(), 1);
        if drops_first {
            drop(wait);
            back.leave();
        } else {
            back.leave();
            place.storage.open_read_gate();
            wait.await;
        }
        assert_eq!(place.core.hub.channel_count(), 0);
    }
}

/// A client that comes and goes while others publish, expire and sweep: what it has seen, with
/// what it is told that it can't have, is the history of the channel.
mod model {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// With a `store`, and whether it is waited for.
        Publish(i64, bool),
        Come,
        Go,
        Pass(u64),
        Sweep,
        /// Whether storage answers.
        Gates(bool),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (prop_oneof![2 => Just(0), 6 => Just(-1), 1 => 1..5_i64], any::<bool>())
                .prop_map(|(store, waits)| Step::Publish(store, waits)),
            3 => Just(Step::Come),
            3 => Just(Step::Go),
            1 => (0..3_u64).prop_map(Step::Pass),
            1 => Just(Step::Sweep),
            2 => any::<bool>().prop_map(Step::Gates),
        ]
    }

    /// A client that keeps what it has seen, and starts anew where it is told to.
    #[derive(Default)]
    struct Seen {
        ids: Vec<MessageId>,
        /// What is newer than this was seen, if anything was.
        from: Option<MessageId>,
    }

    struct Run {
        place: Place,
        client: Seen,
        connected: Option<tokio::task::JoinHandle<Reader>>,
        publishing: Vec<tokio::task::JoinHandle<(MessageId, i64)>>,
        seconds: u64,
    }

    impl Run {
        /// Takes a step, and lets others take some of theirs.
        async fn step(&mut self, step: Step, others: u8) {
            match step {
                Step::Publish(store, waits) => self.publish(store, waits).await,
                Step::Come => self.come(),
                Step::Go => self.go().await,
                Step::Pass(seconds) => {
                    self.seconds += seconds;
                    self.place.at(self.seconds);
                }
                Step::Sweep => {
                    let now = self.place.clock.now().wall;
                    self.place.storage.sweep(now, 100).await.unwrap();
                }
                Step::Gates(true) => self.open_gates(),
                Step::Gates(false) => {
                    self.place.storage.close_gate();
                    self.place.storage.close_read_gate();
                }
            }
            for _ in 0..others {
                tokio::task::yield_now().await;
            }
        }

        fn open_gates(&self) {
            self.place.storage.open_gate();
            self.place.storage.open_read_gate();
        }

        async fn publish(&mut self, store: i64, waits: bool) {
            let broker = self.place.broker.clone();
            let message = Message::new("c", "e").data(&1);
            let message = match store {
                0 => message,
                -1 => message.store_forever(),
                seconds => message.store_for(Duration::from_secs(seconds.unsigned_abs())),
            };
            let publishing =
                tokio::spawn(async move { (broker.publish(message).await.unwrap().id(), store) });
            if waits {
                self.open_gates();
                until(|| publishing.is_finished()).await;
            }
            self.publishing.push(publishing);
        }

        fn come(&mut self) {
            if self.connected.is_none() {
                let mut reader = self.place.reader(Some(0));
                let data = self.client.ids.last().map(|after| json!({"after": after.to_string()}));
                self.connected = Some(tokio::spawn(async move {
                    reader.subscribe(&data.into()).await;
                    reader
                }));
            }
        }

        async fn go(&mut self) {
            let Some(connected) = self.connected.take() else { return };
            self.open_gates();
            let mut reader = connected.await.unwrap();
            let ids = reader.ids();
            let confirmation = parse(&reader.frames[0]);
            if confirmation["data"]["recovered"] != true {
                // Only what comes from now on is known.
                self.client.ids.clear();
                self.client.from = ids.first().map(|id| id.previous());
            }
            self.client.ids.extend(ids);
            reader.leave();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_recovered_client_s_view_is_the_history(
            steps in prop::collection::vec((step(), 0..20_u8), 1..60),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let place = Place::new().await;
                let mut run = Run {
                    place,
                    client: Seen::default(),
                    connected: None,
                    publishing: Vec::new(),
                    seconds: 0,
                };
                for (step, others) in steps {
                    run.step(step, others).await;
                }
                run.go().await;
                run.come();
                run.open_gates();
                let mut stored = Vec::new();
                for publishing in std::mem::take(&mut run.publishing) {
                    let (id, store) = publishing.await.unwrap();
                    if store != 0 {
                        stored.push(id);
                    }
                }
                run.place.core.hub.barrier(&"c".into()).await;
                run.go().await;
                let seen = &run.client;
                prop_assert!(seen.ids.windows(2).all(|two| two[0] < two[1]), "{:?}", seen.ids);
                let from = seen.from.unwrap_or(MessageId::MAX);
                stored.sort_unstable();
                for id in stored.into_iter().filter(|id| *id > from) {
                    prop_assert!(seen.ids.contains(&id), "{id} is missing from {:?}", seen.ids);
                }
                Ok(())
            })?;
        }
    }
}
