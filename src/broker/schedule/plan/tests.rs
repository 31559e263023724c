//! The plan on virtual clocks, against a storage that is a sorted list.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const START: u64 = 1_000_000;

/// A store, and what became of what was in it.
struct World {
    plan: Plan,
    now: Now,
    stored: BTreeSet<Place>,
    /// With the wall clock's milliseconds at which each was carried out.
    done: BTreeMap<Place, u64>,
    /// Those that can't be stored at the moment.
    failing: BTreeSet<Place>,
    /// Those that can't be read.
    left: BTreeSet<Place>,
    readable: bool,
    reads: usize,
    last_id: u128,
}

impl World {
    fn new() -> Self {
        Self {
            plan: Plan::default(),
            now: Now { wall: Timestamp::from_unix_millis(START), steady: Duration::ZERO },
            stored: BTreeSet::new(),
            done: BTreeMap::new(),
            failing: BTreeSet::new(),
            left: BTreeSet::new(),
            readable: true,
            reads: 0,
            last_id: 0,
        }
    }

    /// Stores a schedule without a word to the plan, as one from before its start.
    fn store(&mut self, due: u64) -> Place {
        self.last_id += 1;
        let place = (Timestamp::from_unix_millis(due), MessageId::from_u128(self.last_id));
        self.stored.insert(place);
        place
    }

    fn add(&mut self, due: u64) -> Place {
        let place = self.store(due);
        self.plan.added(place.0);
        place
    }

    fn page(&mut self, query: &ScheduleQuery) -> Vec<Place> {
        self.reads += 1;
        let due = |place: &&Place| {
            query.after.is_none_or(|after| **place > after) && place.0 <= query.until
        };
        self.stored.iter().filter(due).take(query.limit).copied().collect()
    }

    /// Does what the plan wants until it wants to wait, and says for how long.
    fn work(&mut self) -> Option<Duration> {
        for _ in 0..10_000 {
            match self.plan.step(self.now) {
                Step::Wait(time) => return time,
                Step::Look(_) | Step::CarryOut(_) if !self.readable => {
                    self.reads += 1;
                    self.plan.unreadable(self.now);
                }
                Step::Look(query) => {
                    let due = self.page(&query).first().map(|place| place.0);
                    self.plan.found(due);
                }
                Step::CarryOut(query) => {
                    let page = self.page(&query);
                    let mut failed = false;
                    for place in &page {
                        assert!(place.0 <= self.now.wall, "too early");
                        if self.failing.contains(place) {
                            failed = true;
                        } else if !self.left.contains(place) {
                            assert!(self.stored.remove(place));
                            self.done.insert(*place, self.now.wall.as_unix_millis());
                        }
                    }
                    self.plan.carried_out(page.len(), page.last().copied(), failed, self.now);
                }
            }
        }
        panic!("the plan never waits");
    }

    /// Lets time go on, waking up only when the plan wants to.
    fn run(&mut self, time: Duration) {
        let end = self.now.steady + time;
        while let Some(wait) = self.work() {
            assert!(!wait.is_zero(), "waits without waiting");
            let wait = wait.min(end - self.now.steady);
            self.now = Now { wall: self.now.wall + wait, steady: self.now.steady + wait };
            if self.now.steady == end {
                self.work();
                return;
            }
        }
        let wait = end - self.now.steady;
        self.now = Now { wall: self.now.wall + wait, steady: end };
    }

    fn set_wall(&mut self, millis: u64) {
        self.now.wall = Timestamp::from_unix_millis(millis);
    }
}

#[test]
fn section_11_nothing_is_done_where_nothing_waits() {
    let mut world = World::new();
    assert_eq!(world.work(), None);
    assert_eq!(world.work(), None);
    assert_eq!(world.reads, 1);
}

#[test]
fn section_11_what_waits_far_away_is_not_read_again() {
    let mut world = World::new();
    let century = START + 100 * 365 * 86_400_000;
    world.store(century);
    world.run(Duration::from_secs(3_600));
    assert_eq!(world.reads, 1);
    world.set_wall(century);
    world.run(Duration::from_millis(1));
    assert_eq!(world.done.len(), 1);
}

#[test]
fn section_11_what_is_late_at_start_is_done_at_once_in_the_order_of_its_times() {
    let mut world = World::new();
    for number in 0..1_000 {
        world.store(START - 500 + number);
    }
    world.work();
    assert_eq!(world.done.len(), 501);
    assert!(world.done.values().all(|at| *at == START));
    world.run(Duration::from_secs(1));
    assert!(world.done.iter().skip(501).all(|(place, at)| place.0.as_unix_millis() == *at));
    assert_eq!(world.done.len(), 1_000);
}

#[test]
fn section_11_a_clock_that_is_set_is_noticed_within_a_second() {
    let mut world = World::new();
    world.add(START + 3_600_000);
    world.run(Duration::from_secs(2));
    world.set_wall(START + 3_600_000);
    world.run(Duration::from_secs(1));
    assert_eq!(world.done.len(), 1);
    // Back again: what is added then is earlier than what was done, and done all the same.
    world.set_wall(START);
    world.add(START + 5_000);
    world.run(Duration::from_millis(4_999));
    assert_eq!(world.done.len(), 1);
    world.run(Duration::from_millis(1));
    assert_eq!(world.done.len(), 2);
}

#[test]
fn section_11_what_can_not_be_stored_is_tried_again_and_holds_up_nothing() {
    let mut world = World::new();
    let stuck = world.add(START);
    world.failing.insert(stuck);
    world.run(Duration::from_secs(1));
    let other = world.add(START + 2_000);
    world.run(Duration::from_secs(60));
    assert_eq!(world.done[&other], START + 2_000);
    let reads = world.reads;
    world.run(Duration::from_secs(600));
    assert!(world.reads - reads <= 3 * 60, "{} reads in 10 minutes", world.reads - reads);
    world.failing.clear();
    world.run(MAX_RETRY);
    assert!(world.done.contains_key(&stuck));
    // After a success the first retry is soon again.
    let stuck = world.add(START + 700_000);
    world.failing.insert(stuck);
    world.run(Duration::from_millis(700_000 - 671_000 + 100));
    world.failing.clear();
    world.run(FIRST_RETRY);
    assert!(world.done.contains_key(&stuck));
}

#[test]
fn section_11_storage_that_can_not_be_read_is_asked_less_and_less() {
    let mut world = World::new();
    world.add(START + 100);
    world.readable = false;
    world.run(Duration::from_secs(600));
    assert!((60..100).contains(&world.reads), "{}", world.reads);
    world.readable = true;
    world.run(MAX_RETRY);
    assert_eq!(world.done.len(), 1);
}

#[test]
fn section_11_what_can_not_be_understood_is_stepped_over_once() {
    let mut world = World::new();
    for _ in 0..3 * PAGE {
        let place = world.store(START - 1);
        world.left.insert(place);
    }
    world.run(Duration::from_secs(1));
    let reads = world.reads;
    let place = world.add(START + 2_000);
    world.run(Duration::from_secs(10));
    assert_eq!(world.done[&place], START + 2_000);
    assert!(world.reads - reads <= 3);
    assert_eq!(world.stored, world.left);
}

#[test]
fn section_11_a_retry_does_not_skip_what_was_added_after_a_step_back() {
    let mut world = World::new();
    world.add(START);
    world.work();
    let stuck = world.add(START + 10_000);
    world.failing.insert(stuck);
    world.run(Duration::from_millis(10_000));
    world.set_wall(START - 10_000);
    let added = world.add(START - 9_000);
    let stuck_too = world.add(START - 10_000);
    world.failing.insert(stuck_too);
    world.work();
    world.failing.clear();
    world.run(Duration::from_millis(1_500));
    assert!(world.done.contains_key(&added) && world.done.contains_key(&stuck_too));
    world.run(Duration::from_secs(30));
    assert!(world.stored.is_empty());
}

#[derive(Clone, Debug)]
enum Happening {
    Add(i64),
    Fail(prop::sample::Index),
    Heal,
    Unreadable(bool),
    Cancel(prop::sample::Index),
    Step(i64),
    Run(u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        6 => (-3_000_i64..60_000).prop_map(Happening::Add),
        1 => index().prop_map(Happening::Fail),
        1 => Just(Happening::Heal),
        1 => any::<bool>().prop_map(Happening::Unreadable),
        1 => index().prop_map(Happening::Cancel),
        1 => (-20_000_i64..20_000).prop_map(Happening::Step),
        4 => (1_u64..20_000).prop_map(Happening::Run),
    ]
}

proptest! {
    #[test]
    fn section_11_nothing_is_lost_and_nothing_is_late(
        happenings in prop::collection::vec(happening(), 0..60),
    ) {
        let mut world = World::new();
        let mut all = BTreeSet::new();
        let mut smooth = true;
        for happening in happenings {
            let wall = world.now.wall.as_unix_millis();
            match happening {
                Happening::Add(after) => {
                    all.insert(world.add(wall.saturating_add_signed(after)));
                }
                Happening::Fail(which) if !world.stored.is_empty() => {
                    smooth = false;
                    let place = *world.stored.iter().nth(which.index(world.stored.len())).unwrap();
                    world.failing.insert(place);
                }
                Happening::Cancel(which) if !world.stored.is_empty() => {
                    let place = *world.stored.iter().nth(which.index(world.stored.len())).unwrap();
                    world.stored.remove(&place);
                    all.remove(&place);
                }
                Happening::Fail(_) | Happening::Cancel(_) => {}
                Happening::Heal => world.failing.clear(),
                Happening::Unreadable(unreadable) => {
                    smooth &= !unreadable;
                    world.readable = !unreadable;
                }
                Happening::Step(by) => world.set_wall(wall.saturating_add_signed(by)),
                Happening::Run(millis) => world.run(Duration::from_millis(millis)),
            }
            if smooth && matches!(happening, Happening::Run(_)) {
                let overdue = world.now.wall.as_unix_millis().saturating_sub(1_000);
                let late = world.stored.iter().find(|place| place.0.as_unix_millis() <= overdue);
                prop_assert!(late.is_none() || matches!(happening, Happening::Run(..1_000)));
            }
        }
        world.failing.clear();
        world.readable = true;
        world.run(Duration::from_secs(200));
        prop_assert!(world.stored.is_empty());
        prop_assert_eq!(world.done.into_keys().collect::<BTreeSet<_>>(), all);
    }
}
