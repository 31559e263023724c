//! Protocol section 7.3: writes of values in their channel's order.

use super::super::entries::Setting;
use super::super::outgoing::split_context;
use super::*;
use fanfare_storage::EntryQuery;

impl World {
    fn set(&self, key: &str, value: u64) -> oneshot::Receiver<Result<Settled, Refusal>> {
        let setting = Setting {
            key: key.to_owned(),
            value: Some(value.to_string()),
            author: None,
            retention: Retention::Forever,
            cause: None,
        };
        let draft = setting.draft(self.hub.announcer(), &"c".into(), 2, None);
        let permit = self.hub.try_reserve(draft.size()).unwrap();
        let (caller, settled) = oneshot::channel();
        self.hub.publish(&"c".into(), draft.outgoing(Settle::Caller(caller), permit));
        settled
    }
}

#[tokio::test]
async fn section_7_3_an_entry_s_context_tells_which_updates_it_includes() {
    let world = World::new();
    let first = world.set("k", 1).await.unwrap().unwrap();
    let second = world.set("k", 2).await.unwrap().unwrap();
    let equal = world.set("k", 2).await.unwrap().unwrap();
    assert_eq!(equal.outcome, fanfare_storage::Outcome::Unchanged);
    let query = EntryQuery { after: None, limit: 10, now: Timestamp::from_unix_seconds(0) };
    let entries = world.storage.entries("c", query).await.unwrap();
    let (last, _) = split_context(&entries[0].context).unwrap();
    assert!(first.id < second.id && second.id < equal.id);
    assert_eq!(last, equal.id);
}

#[tokio::test]
async fn section_7_3_one_key_more_than_allowed_is_refused() {
    let world = World::new();
    world.set("a", 1).await.unwrap().unwrap();
    world.set("b", 1).await.unwrap().unwrap();
    assert!(matches!(world.set("c", 1).await.unwrap(), Err(Refusal::TooManyKeys)));
    world.set("a", 2).await.unwrap().unwrap();
}

#[tokio::test]
async fn ids_of_writes_of_entries_are_not_given_again_after_a_restart() {
    let mut world = World::new();
    world.clock.set_wall(Timestamp::from_unix_seconds(1_700_000_000));
    let set = world.set("a", 1).await.unwrap().unwrap();
    // Nothing else is noted before it crashes.
    world.clock.set_wall(Timestamp::from_unix_seconds(1_600_000_000));
    world.restart().await;
    assert!(world.set("a", 2).await.unwrap().unwrap().id > set.id);
    assert!(world.publish("other", 1) > set.id);
}
