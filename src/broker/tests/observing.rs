//! Protocol section 7.3: what observers are told when they subscribe, while values change.

use super::place::{Place, Reader};
use super::*;
use crate::broker::{Begun, EntryUpdate, Published};
use crate::protocol::error::ProtocolError;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use tokio::task::JoinHandle;

type Setting = JoinHandle<Result<Published, ProtocolError>>;

/// A value of nothing clears.
fn update(key: &str, value: Option<u64>) -> EntryUpdate {
    match value {
        Some(value) => EntryUpdate::set("c", key, &value),
        None => EntryUpdate::clear("c", key),
    }
}

impl Place {
    /// Sets a value that has its place when this returns.
    async fn set(&self, update: EntryUpdate) -> Setting {
        let begun = self.core.begin_entry(update).await.unwrap();
        tokio::spawn(Begun::published(begun))
    }

    /// A client that has subscribed, and keeps all that it is told.
    async fn observer(&self) -> Reader {
        let mut reader = self.reader(None);
        reader.subscribe(&json!(null)).await;
        reader
    }

    async fn subscribing(&self) -> JoinHandle<Reader> {
        let mut reader = self.reader(None);
        let subscribing = tokio::spawn(async move {
            reader.subscribe(&json!(null)).await;
            reader
        });
        tokio::task::yield_now().await;
        subscribing
    }
}

impl Reader {
    /// The values that it was told, in order.
    fn told(&mut self) -> Vec<(String, Option<u64>)> {
        self.read();
        let frames = self.frames.iter().map(parse);
        let told = frames.filter(|frame| frame["event"] == "hotsock.channelStorageUpdated");
        told.map(|told| (told["key"].as_str().unwrap().to_owned(), told["data"].as_u64())).collect()
    }
}

fn told(values: &[(&str, Option<u64>)]) -> Vec<(String, Option<u64>)> {
    values.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect()
}

#[tokio::test]
async fn section_7_3_what_is_being_stored_while_a_client_subscribes_comes_after_what_is_there() {
    let place = Place::new().await;
    place.set(update("k", Some(1))).await.await.unwrap().unwrap();
    place.storage.close_gate();
    let setting = place.set(update("k", Some(2))).await;
    until(|| place.storage.commits() == 2).await;
    let mut reader = place.observer().await;
    assert_eq!(reader.told(), told(&[("k", Some(1))]));
    place.storage.open_gate();
    setting.await.unwrap().unwrap();
    assert_eq!(reader.told(), told(&[("k", Some(1)), ("k", Some(2))]));
}

#[tokio::test]
async fn section_7_3_what_changes_while_values_are_read_is_told_once_and_in_order() {
    let place = Place::new().await;
    for key in ["k1", "k2", "k3", "other"] {
        place.set(update(key, Some(1))).await.await.unwrap().unwrap();
    }
    place.storage.close_entry_gate();
    let subscribing = place.subscribing().await;
    until(|| place.storage.entry_reads() == 1).await;
    for (key, value) in [("k2", Some(2)), ("k3", None), ("k4", Some(1)), ("k2", Some(3))] {
        place.set(update(key, value)).await.await.unwrap().unwrap();
    }
    // What is set to what it is already tells nothing new.
    place.set(update("k1", Some(1))).await.await.unwrap().unwrap();
    place.storage.open_entry_gate();
    let mut reader = subscribing.await.unwrap();
    place.set(update("k3", Some(4))).await.await.unwrap().unwrap();
    let read = [("k1", Some(1)), ("k2", Some(3)), ("k4", Some(1))];
    let expected = [&read[..], &[("k3", None), ("k3", Some(4))]].concat();
    assert_eq!(reader.told(), told(&expected));
}

#[tokio::test]
async fn section_7_3_a_value_that_is_renewed_at_its_end_is_told_to_who_subscribes_then() {
    let place = Place::new().await;
    let kept = || update("k", Some(1)).store_for(Duration::from_secs(10));
    place.set(kept()).await.await.unwrap().unwrap();
    place.at(5);
    place.storage.close_gate();
    let renewing = place.set(kept()).await;
    until(|| place.storage.commits() == 2).await;
    place.at(11);
    let mut reader = place.observer().await;
    place.storage.open_gate();
    renewing.await.unwrap().unwrap();
    assert!(place.broker.entry("c", "k").await.unwrap().is_some());
    // A sweep between the two makes it a new value, which is told once more.
    let mut values = reader.told();
    values.dedup();
    assert_eq!(values, told(&[("k", Some(1))]));
    place.at(15);
    assert_eq!(place.broker.entry("c", "k").await.unwrap(), None);
    assert_eq!(place.observer().await.told(), []);
}

#[tokio::test]
async fn section_7_3_a_client_that_reads_is_told_more_than_its_mailbox_holds() {
    const KEYS: u64 = 10_000;
    const BUDGET: usize = 16 << 10;
    let place = Place::with(|builder| builder.max_queued_bytes(BUDGET), Arc::default()).await;
    let mut settings = Vec::new();
    for number in 0..KEYS {
        settings.push(place.set(update(&format!("k{number:05}"), Some(number))).await);
    }
    for setting in settings {
        setting.await.unwrap().unwrap();
    }
    let mut reader = place.reader(None);
    let mut wait = reader.send(&json!(null)).unwrap();
    let mut most = 0;
    poll_fn(|context| {
        let over = wait.as_mut().poll(context);
        most = most.max(reader.connection.mailbox().queued_bytes());
        reader.read();
        over
    })
    .await;
    assert_eq!(reader.closing, None);
    let expected: Vec<_> =
        (0..KEYS).map(|number| (format!("k{number:05}"), Some(number))).collect();
    assert_eq!(reader.told(), expected);
    assert!(most > 0 && most <= BUDGET, "{most} bytes were queued");
}

#[tokio::test(start_paused = true)]
async fn section_7_3_who_reads_none_of_the_values_is_closed_in_the_end() {
    let place = Place::with(|builder| builder.max_queued_bytes(16 << 10), Arc::default()).await;
    for number in 0..500 {
        place.set(update(&format!("k{number}"), Some(number))).await.await.unwrap().unwrap();
    }
    let mut reader = place.reader(None);
    reader.send(&json!(null)).unwrap().await;
    reader.read();
    assert_eq!(reader.closing, Some(CloseReason::SlowConsumer));
}

#[tokio::test(start_paused = true)]
async fn section_7_3_only_a_fault_of_the_storage_that_lasts_closes_the_connection() {
    let place = Place::new().await;
    place.set(update("k", Some(1))).await.await.unwrap().unwrap();
    place.storage.fail_reads(3);
    assert_eq!(place.observer().await.told(), told(&[("k", Some(1))]));
    place.storage.fail_reads(usize::MAX);
    let mut reader = place.reader(None);
    reader.subscribe(&json!(null)).await;
    assert_eq!(reader.closing, Some(CloseReason::StorageFault));
    assert_eq!(reader.told(), []);
}

#[tokio::test]
async fn section_7_3_a_crowd_that_subscribes_reads_a_few_at_a_time() {
    let place = Place::new().await;
    place.set(update("k", Some(1))).await.await.unwrap().unwrap();
    place.storage.close_entry_gate();
    let mut crowd = Vec::new();
    for _ in 0..100 {
        crowd.push(place.subscribing().await);
    }
    until(|| place.storage.entry_reads() >= 32).await;
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(place.storage.entry_reads(), 32);
    place.storage.open_entry_gate();
    for one in crowd {
        assert_eq!(one.await.unwrap().told(), told(&[("k", Some(1))]));
    }
}

#[tokio::test]
async fn section_9_who_may_get_no_key_has_none_looked_for() {
    let place = Place::new().await;
    place.set(update("k", Some(1))).await.await.unwrap().unwrap();
    let reader = place.reader(None);
    let scope = reader.connection.session().lock().storage_scope(Some("c")).unwrap();
    let listed = place.core.list_entries(&scope, None, None).await.unwrap();
    assert_eq!((&*listed, place.storage.entry_reads()), (&br#"{"items":[]}"#[..], 0));
}

#[tokio::test]
async fn section_9_others_have_their_turn_while_many_entries_are_looked_at() {
    let place = Place::new().await;
    for number in 0..100 {
        place.set(update(&format!("k{number}"), Some(number))).await.await.unwrap().unwrap();
    }
    let channel = "c".into();
    let mut looking = Box::pin(place.core.find_entries(&channel, None, None, 10, |_| false));
    let mut turns = 0;
    let found = poll_fn(|context| {
        turns += 1;
        looking.as_mut().poll(context)
    });
    assert_eq!(found.await.unwrap(), []);
    assert!(turns > 100 / 32, "{turns} turns");
}

/// An observer that comes and goes while values are set, cleared and renewed, expire and are
/// swept: what it was told is what is stored, but for what has expired, which is not announced.
mod model {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// One of three keys, to one of three values or none, for some seconds or forever, and
        /// whether it is waited for.
        Set(u8, Option<u64>, u64, bool),
        Come,
        Go,
        Pass(u64),
        Sweep,
        /// Whether storage answers to writes and to reads.
        Gates(bool, bool),
    }

    fn step() -> impl Strategy<Value = Step> {
        let value = prop_oneof![1 => Just(None), 4 => (1..4_u64).prop_map(Some)];
        let seconds = prop_oneof![2 => Just(0), 1 => 1..5_u64];
        prop_oneof![
            9 => (0..3_u8, value, seconds, any::<bool>())
                .prop_map(|(key, value, seconds, waits)| Step::Set(key, value, seconds, waits)),
            3 => Just(Step::Come),
            2 => Just(Step::Go),
            2 => (0..3_u64).prop_map(Step::Pass),
            1 => Just(Step::Sweep),
            3 => any::<(bool, bool)>().prop_map(|(writes, reads)| Step::Gates(writes, reads)),
        ]
    }

    struct Run {
        place: Place,
        connected: Option<JoinHandle<Reader>>,
        settings: Vec<Setting>,
        /// The last value of each key, and the second at which it goes.
        last: BTreeMap<String, (Option<u64>, u64)>,
        /// All that was to be kept for a while: key, value and end.
        passing: BTreeSet<(String, u64, u64)>,
        seconds: u64,
    }

    impl Run {
        async fn new() -> Self {
            Self {
                place: Place::new().await,
                connected: None,
                settings: Vec::new(),
                last: BTreeMap::new(),
                passing: BTreeSet::new(),
                seconds: 0,
            }
        }

        /// Takes a step, and lets others take some of theirs.
        async fn step(&mut self, step: Step, others: u8) {
            match step {
                Step::Set(key, value, seconds, waits) => {
                    self.set(key, value, seconds, waits).await;
                }
                Step::Come if self.connected.is_none() => {
                    self.connected = Some(self.place.subscribing().await);
                }
                Step::Come => {}
                Step::Go => drop(self.view().await),
                Step::Pass(seconds) => {
                    self.seconds += seconds;
                    self.place.at(self.seconds);
                }
                Step::Sweep => {
                    let now = self.place.clock.now().wall;
                    self.place.storage.sweep(now, 100).await.unwrap();
                }
                Step::Gates(writes, reads) => self.set_gates(writes, reads),
            }
            for _ in 0..others {
                tokio::task::yield_now().await;
            }
        }

        fn set_gates(&self, writes: bool, reads: bool) {
            let storage = &self.place.storage;
            match writes {
                true => storage.open_gate(),
                false => storage.close_gate(),
            }
            match reads {
                true => storage.open_entry_gate(),
                false => storage.close_entry_gate(),
            }
        }

        async fn set(&mut self, key: u8, value: Option<u64>, seconds: u64, waits: bool) {
            let key = format!("k{key}");
            let update = update(&key, value);
            let (update, end) = match seconds {
                0 => (update, u64::MAX),
                _ => (update.store_for(Duration::from_secs(seconds)), self.seconds + seconds),
            };
            let setting = self.place.set(update).await;
            if let Some(value) = value.filter(|_| seconds > 0) {
                self.passing.insert((key.clone(), value, end));
            }
            self.last.insert(key, (value, end));
            if waits {
                self.set_gates(true, true);
                until(|| setting.is_finished()).await;
            }
            self.settings.push(setting);
        }

        /// What an observer that is there goes with: the last that it was told of each key.
        async fn view(&mut self) -> Option<BTreeMap<String, u64>> {
            let connected = self.connected.take()?;
            self.set_gates(true, true);
            let mut reader = connected.await.unwrap();
            let mut view = BTreeMap::new();
            for (key, value) in reader.told() {
                match value {
                    Some(value) => view.insert(key, value),
                    None => view.remove(&key),
                };
            }
            assert_eq!(reader.closing, None);
            reader.leave();
            Some(view)
        }

        /// Whether a value was kept for a while that is over.
        fn has_gone(&self, key: &str, value: u64) -> bool {
            let mut passing = self.passing.iter();
            passing.any(|(of, what, end)| (&**of, *what) == (key, value) && *end <= self.seconds)
        }

        async fn settled(&mut self) {
            self.set_gates(true, true);
            for setting in std::mem::take(&mut self.settings) {
                setting.await.unwrap().unwrap();
            }
            self.place.core.hub.barrier(&"c".into()).await;
        }

        async fn stored(&self) -> BTreeMap<String, u64> {
            let entries = self.place.broker.entries("c", &crate::EntryQuery::default()).await;
            let value = |data: &Bytes| serde_json::from_slice(data).unwrap();
            entries
                .unwrap()
                .entries
                .into_iter()
                .map(|entry| (entry.key, value(&entry.data)))
                .collect()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn section_7_3_an_observer_s_view_is_what_is_stored(
            steps in prop::collection::vec((step(), 0..20_u8), 1..60),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let mut run = Run::new().await;
                for (step, others) in steps {
                    run.step(step, others).await;
                }
                run.settled().await;
                let stored = run.stored().await;
                let mut expected = BTreeMap::new();
                for (key, (value, end)) in &run.last {
                    if let Some(value) = value.filter(|_| run.seconds < *end) {
                        expected.insert(key.clone(), value);
                    }
                }
                prop_assert_eq!(&stored, &expected);
                if let Some(mut view) = run.view().await {
                    // Nobody was told that these have gone.
                    view.retain(|key, value| expected.contains_key(key) || !run.has_gone(key, *value));
                    prop_assert_eq!(&view, &expected);
                }
                Ok(())
            })?;
        }
    }
}
