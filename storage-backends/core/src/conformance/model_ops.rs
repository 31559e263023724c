//! Random operations, and what of them is compared between a store and the model.

use super::build::{NOW, Subject, author, id};
use super::model::{Channel, Model};
use crate::{
    AddReaction, Deduplication, Entry, EntryQuery, Item, Message, MessageId, MessagePage,
    MessageQuery, Order, Outcome, Publish, Reaction, ReactionDetail, RemoveReaction, Retention,
    Revocation, RevokedSubject, Schedule, ScheduleQuery, SetEntry, Timestamp, TokenUse, Write,
};
use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use std::time::Duration;

const CHANNELS: [&str; 3] = ["room", "room\0", "r"];
const NAMES: [&str; 4] = ["a", "a\0", "", "ab"];
const VALUES: [&str; 6] = ["1", "1.0", "{\"a\":[]}", "{ \"a\": [ ] }", "not json", ""];

type Check = Result<(), TestCaseError>;

/// One step. Small numbers choose among what there is when the step is taken.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Commit {
        channel: usize,
        writes: Vec<(WriteOp, Option<usize>)>,
    },
    Page {
        channel: usize,
        from: usize,
        to: usize,
        down: bool,
        messages: usize,
        bytes: usize,
        all: bool,
    },
    Entries {
        channel: usize,
        after: Option<usize>,
        limit: usize,
    },
    Schedules {
        after: Option<usize>,
        until: u64,
        limit: usize,
    },
    Cancel(usize),
    Spend {
        key: usize,
        jti: usize,
        seconds: u64,
    },
    Revoke {
        user: bool,
        name: usize,
        before: u64,
        seconds: Option<u64>,
    },
    Raise(u8),
    Sweep,
    Wait(u64),
    ClockBack(u64),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum WriteOp {
    Publish {
        stale: bool,
        retention: RetentionOp,
        key: Option<(usize, u64)>,
        size: usize,
    },
    Add {
        stale: bool,
        target: usize,
        uid: usize,
        reaction: usize,
        per_message: usize,
        per_user: usize,
    },
    Remove {
        stale: bool,
        target: usize,
        uid: usize,
        reaction: usize,
    },
    Set {
        key: usize,
        value: Option<usize>,
        seconds: Option<u64>,
        announce: bool,
        max_keys: usize,
    },
    Schedule {
        seconds: u64,
        again: Option<usize>,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum RetentionOp {
    None,
    Seconds(u64),
    Forever,
}

fn stale() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.1)
}

fn writes() -> impl Strategy<Value = WriteOp> {
    let retention = prop_oneof![
        1 => Just(RetentionOp::None),
        3 => (0..20u64).prop_map(RetentionOp::Seconds),
        3 => Just(RetentionOp::Forever),
    ];
    let key = prop::option::weighted(0.3, (0..4usize, 0..20u64));
    prop_oneof![
        4 => (stale(), retention, key, 0..40usize)
            .prop_map(|(stale, retention, key, size)| WriteOp::Publish { stale, retention, key, size }),
        3 => (stale(), 0..3usize, 0..3usize, 0..4usize, 0..6usize, 0..6usize).prop_map(
            |(stale, target, uid, reaction, per_message, per_user)| {
                WriteOp::Add { stale, target, uid, reaction, per_message, per_user }
            }
        ),
        2 => (stale(), 0..3usize, 0..3usize, 0..4usize)
            .prop_map(|(stale, target, uid, reaction)| WriteOp::Remove { stale, target, uid, reaction }),
        3 => (
            0..4usize,
            prop::option::weighted(0.8, 0..6usize),
            prop::option::of(0..20u64),
            any::<bool>(),
            0..4usize
        )
            .prop_map(|(key, value, seconds, announce, max_keys)| {
                WriteOp::Set { key, value, seconds, announce, max_keys }
            }),
        1 => (0..100u64, prop::option::weighted(0.2, 0..4usize))
            .prop_map(|(seconds, again)| WriteOp::Schedule { seconds, again }),
    ]
}

pub(super) fn ops() -> impl Strategy<Value = Vec<Op>> {
    let items = prop::collection::vec((writes(), prop::option::weighted(0.1, 0..4usize)), 0..6);
    let op = prop_oneof![
        8 => (0..3usize, items).prop_map(|(channel, writes)| Op::Commit { channel, writes }),
        4 => (0..3usize, 0..12usize, 0..12usize, any::<bool>(), 0..8usize, 0..150usize, any::<bool>()).prop_map(
            |(channel, from, to, down, messages, bytes, all)| {
                Op::Page { channel, from, to, down, messages, bytes, all }
            }
        ),
        1 => (0..3usize, prop::option::of(0..4usize), 0..4usize)
            .prop_map(|(channel, after, limit)| Op::Entries { channel, after, limit }),
        1 => (prop::option::of(0..4usize), 0..100u64, 0..4usize)
            .prop_map(|(after, until, limit)| Op::Schedules { after, until, limit }),
        1 => (0..4usize).prop_map(Op::Cancel),
        2 => (0..2usize, 0..2usize, 1..20u64)
            .prop_map(|(key, jti, seconds)| Op::Spend { key, jti, seconds }),
        1 => (any::<bool>(), 0..4usize, 0..20u64, prop::option::of(0..20u64)).prop_map(
            |(user, name, before, seconds)| Op::Revoke { user, name, before, seconds }
        ),
        1 => any::<u8>().prop_map(Op::Raise),
        2 => Just(Op::Sweep),
        4 => (0..10u64).prop_map(Op::Wait),
        1 => (0..5u64).prop_map(Op::ClockBack),
    ];
    prop::collection::vec(op, 0..60)
}

/// Does the same to a store and to the model.
pub(super) struct Driver {
    subject: Subject,
    model: Model,
    now: Timestamp,
    /// The latest `now` of any step: tokens that had expired then may be forgotten.
    latest: Timestamp,
    last_id: u128,
}

impl Driver {
    pub(super) fn new(subject: Subject) -> Self {
        Self { subject, model: Model::default(), now: NOW, latest: NOW, last_id: 0 }
    }

    pub(super) async fn run(&mut self, op: Op) -> Check {
        match op {
            Op::Commit { channel, writes } => self.commit(CHANNELS[channel], writes).await?,
            Op::Page { channel, from, to, down, messages, bytes, all } => {
                let query = MessageQuery {
                    from: self.some_id(CHANNELS[channel], from),
                    to: self.some_id(CHANNELS[channel], to),
                    order: if down { Order::Descending } else { Order::Ascending },
                    max_messages: messages,
                    max_bytes: bytes,
                    reactions: if all { ReactionDetail::All } else { ReactionDetail::Counts },
                    now: self.now,
                };
                self.compare_page(CHANNELS[channel], query).await?;
            }
            Op::Entries { channel, after, limit } => {
                let after = after.map(|name| NAMES[name].to_owned());
                let now = self.now;
                let mut expected = self.channel(CHANNELS[channel]).entries(now);
                expected.retain(|entry| Some(&entry.key) > after.as_ref());
                expected.truncate(limit);
                let query = EntryQuery { after, limit, now };
                let found = self.subject.store.entries(CHANNELS[channel], query).await;
                prop_assert_eq!(found.unwrap(), expected);
            }
            Op::Schedules { after, until, limit } => {
                let after = after.and_then(|one| self.model.schedules.get(one));
                let after = after.map(|one| (one.due, one.id));
                let until = NOW + Duration::from_secs(until);
                let mut expected = self.model.schedules.clone();
                expected.retain(|one| Some((one.due, one.id)) > after && one.due <= until);
                expected.truncate(limit);
                let query = ScheduleQuery { after, until, limit };
                prop_assert_eq!(self.subject.store.schedules(query).await.unwrap(), expected);
            }
            Op::Cancel(which) => {
                let id = self.some_schedule(which);
                let expected = self.model.schedules.iter().any(|one| one.id == id);
                self.model.schedules.retain(|one| one.id != id);
                let cancelled = self.subject.store.cancel_schedule(id).await.unwrap();
                prop_assert_eq!(cancelled, expected);
            }
            Op::Spend { key, jti, seconds } => self.spend(key, jti, seconds).await?,
            Op::Revoke { user, name, before, seconds } => {
                let name = NAMES[name].to_owned();
                let revocation = Revocation {
                    subject: if user {
                        RevokedSubject::User(name)
                    } else {
                        RevokedSubject::Token(name)
                    },
                    issued_before: NOW + Duration::from_secs(before),
                    expires_at: seconds.map(|seconds| self.later(seconds)),
                };
                self.model.revoke(revocation.clone());
                self.subject.store.revoke(revocation).await.unwrap();
            }
            Op::Raise(by) => {
                // Some raise nothing, since ids are given out from the same numbers.
                let raised = id((self.last_id + u128::from(by)).saturating_sub(100));
                self.last_id += u128::from(by);
                self.model.high = self.model.high.max(Some(raised));
                self.subject.store.raise_high_water(raised).await.unwrap();
            }
            Op::Sweep => self.sweep().await?,
            Op::Wait(seconds) => self.now = self.later(seconds),
            Op::ClockBack(seconds) => {
                let back = seconds * 1000;
                self.now = Timestamp::from_unix_millis(self.now.as_unix_millis() - back);
            }
        }
        self.latest = self.latest.max(self.now);
        Ok(())
    }

    fn later(&self, seconds: u64) -> Timestamp {
        self.now + Duration::from_secs(seconds)
    }

    fn channel(&mut self, name: &str) -> &Channel {
        self.model.channels.entry(name.to_owned()).or_default()
    }

    fn fresh_id(&mut self) -> MessageId {
        self.last_id += 2;
        id(self.last_id)
    }

    /// The id of one of a channel's last messages, or one next to it, or an extreme one.
    fn some_id(&mut self, channel: &str, which: usize) -> MessageId {
        match which {
            0 => MessageId::MIN,
            1 => MessageId::MAX,
            2..=4 => id(self.last_id),
            which => {
                let near = self.target(channel, which / 3 - 1).as_u128();
                MessageId::from_u128(near + which as u128 % 3 - 1)
            }
        }
    }

    fn some_schedule(&self, which: usize) -> MessageId {
        self.model.schedules.get(which).map_or(id(u128::from(u64::MAX)), |one| one.id)
    }

    async fn commit(&mut self, channel: &str, ops: Vec<(WriteOp, Option<usize>)>) -> Check {
        let mut items = Vec::new();
        let mut expected = Vec::new();
        for (op, fulfils) in ops {
            let write = self.write(channel, op);
            let fulfils = fulfils.map(|which| self.some_schedule(which));
            let item = Item { write, fulfils };
            items.push(item.clone());
            expected.push(self.model.apply(channel, item, self.now));
        }
        let described = format!("{items:?}");
        let outcomes = self.subject.commit(channel, items, self.now).await;
        for (found, expected) in outcomes.iter().zip(&expected) {
            match (found, expected) {
                // The newest of a forgotten channel may be said to be that of all forgotten ones.
                (Outcome::IdNotNewest(found), Outcome::IdNotNewest(expected)) => {
                    prop_assert!(found >= expected && *found <= id(self.last_id), "{}", described);
                }
                _ => prop_assert_eq!(found, expected, "{}", described),
            }
        }
        Ok(())
    }

    fn write(&mut self, channel: &str, op: WriteOp) -> Write {
        match op {
            WriteOp::Publish { stale, retention, key, size } => {
                let message = Message {
                    id: self.write_id(channel, stale),
                    event: NAMES[size % 4].to_owned(),
                    data: Bytes::from(vec![b'1'; size]),
                    author: (size % 2 == 0).then(|| author("jim")),
                };
                let retention = match retention {
                    RetentionOp::None => Retention::None,
                    RetentionOp::Seconds(seconds) => Retention::Until(self.later(seconds)),
                    RetentionOp::Forever => Retention::Forever,
                };
                let deduplication = key.map(|(key, seconds)| Deduplication {
                    key: NAMES[key].to_owned(),
                    until: self.later(seconds),
                });
                Write::Publish(Publish { message, retention, deduplication })
            }
            WriteOp::Add { stale, target, uid, reaction, per_message, per_user } => {
                Write::AddReaction(AddReaction {
                    message: self.target(channel, target),
                    reaction: Reaction {
                        reaction: NAMES[reaction].to_owned(),
                        uid: NAMES[uid].to_owned(),
                        umd: (uid == 1).then(|| Bytes::from_static(b"[1]")),
                        id: self.write_id(channel, stale),
                        created_at: self.now,
                        context: Bytes::from_static(b"notes"),
                    },
                    max_per_message: per_message,
                    max_per_user: per_user,
                })
            }
            WriteOp::Remove { stale, target, uid, reaction } => {
                Write::RemoveReaction(RemoveReaction {
                    message: self.target(channel, target),
                    reaction: NAMES[reaction].to_owned(),
                    uid: NAMES[uid].to_owned(),
                    id: self.write_id(channel, stale),
                })
            }
            WriteOp::Set { key, value, seconds, announce, max_keys } => Write::SetEntry(SetEntry {
                id: self.write_id(channel, key == 0),
                key: NAMES[key].to_owned(),
                value: value.map(|value| Bytes::from_static(VALUES[value].as_bytes())),
                author: announce.then(|| author("pam")),
                expires_at: seconds.map(|seconds| self.later(seconds)),
                announce_expiry: announce,
                context: Bytes::from(vec![b'c'; max_keys]),
                max_keys,
            }),
            WriteOp::Schedule { seconds, again } => Write::AddSchedule(Schedule {
                id: match again {
                    Some(which) => self.some_schedule(which),
                    None => self.fresh_id(),
                },
                due: NOW + Duration::from_secs(seconds),
                channel: channel.to_owned(),
                payload: Bytes::from(vec![b'p'; seconds as usize]),
            }),
        }
    }

    /// An id for a write; a stale one only where the channel has had one, since a store may
    /// refuse to a fresh channel what it would to a forgotten one.
    fn write_id(&mut self, channel: &str, stale: bool) -> MessageId {
        let newest = self.channel(channel).newest;
        newest.filter(|_| stale).unwrap_or_else(|| self.fresh_id())
    }

    fn target(&mut self, channel: &str, back: usize) -> MessageId {
        let messages = &self.channel(channel).messages;
        let place = messages.len().checked_sub(back + 1);
        place.map_or(id(1), |place| messages[place].message.id)
    }

    async fn spend(&mut self, key: usize, jti: usize, seconds: u64) -> Check {
        let (key, jti) = (NAMES[key].to_owned(), NAMES[jti].to_owned());
        let known = self.model.spent.iter().find(|one| one.key == key && one.jti == jti);
        if known.is_some_and(|one| one.expires_at <= self.latest) {
            return Ok(());
        }
        let token = TokenUse { key, jti, expires_at: self.latest + Duration::from_secs(seconds) };
        let expected = self.model.is_spent(&token);
        let store = &self.subject.store;
        prop_assert_eq!(store.is_token_spent(&token, self.now).await.unwrap(), expected);
        prop_assert_eq!(store.spend_token(token.clone(), self.now).await.unwrap(), !expected);
        prop_assert_eq!(self.model.spend(token), !expected);
        Ok(())
    }

    async fn sweep(&mut self) -> Check {
        let order = |one: &(String, Entry), other: &(String, Entry)| {
            (&one.0, &one.1.key).cmp(&(&other.0, &other.1.key))
        };
        let mut expected = self.model.sweep(self.now);
        expected.sort_by(order);
        let mut announced = self.subject.sweep(self.now).await.entries;
        announced.sort_by(order);
        prop_assert_eq!(announced, expected);
        Ok(())
    }

    /// Compares everything that can be read.
    pub(super) async fn compare(&mut self) -> Check {
        let now = self.now;
        for name in CHANNELS {
            let everything =
                MessageQuery { reactions: ReactionDetail::All, now, ..super::build::everything() };
            self.compare_page(name, everything).await?;
            let entries = self.subject.entries(name, now).await;
            prop_assert_eq!(entries, self.channel(name).entries(now));
        }
        prop_assert_eq!(self.subject.schedules().await, self.model.schedules.clone());
        let mut found = self.subject.store.revocations(now).await.unwrap();
        found.sort_by(|one, other| one.subject.cmp(&other.subject));
        let mut in_force = self.model.revocations.clone();
        in_force.retain(|one| one.expires_at.is_none_or(|end| end > now));
        prop_assert_eq!(found, in_force);
        prop_assert_eq!(self.subject.store.high_water().await.unwrap(), self.model.high);
        Ok(())
    }

    async fn compare_page(&mut self, name: &str, query: MessageQuery) -> Check {
        let page = self.subject.page(name, query.clone()).await;
        let channel = self.channel(name);
        let (messages, more) = channel.page(&query);
        prop_assert_eq!(&page.messages, &messages, "{:?}", query);
        prop_assert_eq!(page.more, more, "{:?}", query);
        self.compare_gone(name, &query, &page)
    }

    /// What is gone from the part that a page covers must be told; more may be, as long as it
    /// is true of some channel and not before the range.
    fn compare_gone(&mut self, name: &str, query: &MessageQuery, page: &MessagePage) -> Check {
        let last = page.messages.last().filter(|_| page.more).map(|listed| listed.message.id);
        let covered = match (page.more, last, query.order) {
            (false, ..) => query.from..=query.to,
            (true, Some(last), Order::Ascending) => query.from..=last,
            (true, Some(last), Order::Descending) => last..=query.to,
            (true, None, _) => return Ok(()),
        };
        let gone = self.channel(name).gone(query.now);
        let missing = gone.iter().filter(|id| covered.contains(id)).max();
        prop_assert!(page.gone >= missing.copied(), "{:?} hides {:?}", page.gone, missing);
        if let Some(told) = page.gone {
            let now = query.now;
            let is_true = self.model.channels.values().any(|one| one.gone(now).contains(&told));
            prop_assert!(is_true && told >= query.from, "{:?} is not gone", told);
        }
        Ok(())
    }
}
