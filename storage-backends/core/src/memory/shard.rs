use super::budget::{self, Ledger};
use super::channel::{Batch, Channel, Marks, is_expired};
use super::tables::Schedules;
use crate::{
    Entry, EntryQuery, Item, ListedMessage, MessageId, MessagePage, MessageQuery, Outcome, Swept,
    Timestamp, Write,
};
use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

/// How long the marks of an empty channel are kept after its newest id's time, before they are
/// joined to those of all forgotten channels.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// A part of the channels, under one lock.
#[derive(Debug, Default)]
pub(super) struct Shard {
    channels: HashMap<Arc<str>, Channel>,
    /// Joined marks of the channels that were forgotten. Any channel that is not here may be one
    /// of them, and starts with these.
    forgotten: Marks,
    /// No id that was seen in a commit to this shard was greater.
    high: Option<MessageId>,
    expiries: Expiries,
    /// Each channel, by when to see whether it can be forgotten.
    checks: BTreeSet<(Timestamp, Arc<str>)>,
}

/// What expires, in order.
#[derive(Debug, Default)]
pub(super) struct Expiries(BTreeSet<(Timestamp, Arc<str>, Target)>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    Message(MessageId),
    Repeat(Arc<str>),
    Entry(Arc<str>),
}

impl Expiries {
    pub(super) fn insert(&mut self, end: Timestamp, channel: &Arc<str>, target: Target) {
        self.0.insert((end, channel.clone(), target));
    }

    pub(super) fn remove(&mut self, end: Timestamp, channel: &Arc<str>, target: Target) {
        self.0.remove(&(end, channel.clone(), target));
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.0.first().is_some_and(|(end, ..)| *end <= now)
    }
}

impl Shard {
    pub(super) fn high(&self) -> Option<MessageId> {
        self.high
    }

    pub(super) fn commit(
        &mut self,
        name: &str,
        items: Vec<Item>,
        mut schedules: Option<&mut Schedules>,
        now: Timestamp,
    ) -> (Vec<Outcome>, Ledger) {
        let mut ledger = Ledger::default();
        let known = self.channels.remove_entry(name);
        let is_new = known.is_none();
        let (name, mut channel) =
            known.unwrap_or_else(|| (Arc::from(name), Channel::new(self.forgotten)));
        let mut batch = Batch {
            name: &name,
            channel: &mut channel,
            expiries: &mut self.expiries,
            ledger: &mut ledger,
            high: &mut self.high,
            now,
        };
        let outcomes = items
            .into_iter()
            .map(|item| apply(item, &mut batch, schedules.as_deref_mut()))
            .collect();
        self.high = self.high.max(channel.marks.newest);
        if is_new {
            if channel.is_empty() && channel.marks == self.forgotten {
                return (outcomes, ledger);
            }
            ledger.added += budget::channel(&name);
            self.checks.insert((now + REMEMBERED, name.clone()));
        }
        self.channels.insert(name, channel);
        (outcomes, ledger)
    }

    pub(super) fn messages(&self, name: &str, query: &MessageQuery) -> MessagePage {
        match self.channels.get(name) {
            Some(channel) => channel.page(query),
            None => Channel::new(self.forgotten).page(query),
        }
    }

    pub(super) fn message(
        &self,
        name: &str,
        id: MessageId,
        now: Timestamp,
    ) -> Option<ListedMessage> {
        self.channels.get(name)?.message(id, now)
    }

    pub(super) fn entry(&self, name: &str, key: &str, now: Timestamp) -> Option<Entry> {
        let entry = self.channels.get(name)?.entries.get(key)?;
        (!is_expired(entry, now)).then(|| entry.clone())
    }

    pub(super) fn entries(&self, name: &str, query: &EntryQuery) -> Vec<Entry> {
        let Some(channel) = self.channels.get(name) else {
            return Vec::new();
        };
        let after = query.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let entries = channel.entries.range::<str, _>((after, Bound::Unbounded));
        let live = entries.map(|(_, entry)| entry).filter(|entry| !is_expired(entry, query.now));
        live.take(query.limit).cloned().collect()
    }

    /// Adds to `swept` until it counts `limit` removals, and returns the bytes freed.
    pub(super) fn sweep(&mut self, now: Timestamp, limit: usize, swept: &mut Swept) -> usize {
        let mut freed = 0;
        while swept.removed < limit && self.expiries.is_due(now) {
            let Some((_, name, target)) = self.expiries.0.pop_first() else {
                break;
            };
            let Some(channel) = self.channels.get_mut(&name) else {
                continue;
            };
            swept.removed += 1;
            freed += match target {
                Target::Message(id) => channel.remove_message(id),
                Target::Repeat(key) => channel.remove_repeat(&key),
                Target::Entry(key) => {
                    let entry = channel.remove_entry(&key);
                    let cost = entry.as_ref().map_or(0, budget::entry);
                    let announced = entry.filter(|entry| entry.announce_expiry);
                    swept.entries.extend(announced.map(|entry| (name.to_string(), entry)));
                    cost
                }
            };
        }
        swept.more |= self.expiries.is_due(now);
        freed
    }

    /// Forgets channels of which nothing is left, at most `limit`, and returns the bytes freed.
    /// `early` does so without waiting until they have been idle for long.
    pub(super) fn forget(&mut self, now: Timestamp, limit: usize, early: bool) -> usize {
        let mut freed = 0;
        let mut kept = Vec::new();
        for _ in 0..limit {
            let Some((_, name)) = self.take_check(if early { Timestamp::MAX } else { now }) else {
                break;
            };
            let Some(channel) = self.channels.get(&name) else {
                continue;
            };
            let idle_since = channel.marks.newest.map_or(now, MessageId::timestamp);
            if channel.is_empty() && (early || idle_since + REMEMBERED <= now) {
                self.forgotten.join(channel.marks);
                self.channels.remove(&name);
                freed += budget::channel(&name);
            } else {
                kept.push((now + REMEMBERED, name));
            }
        }
        self.checks.extend(kept);
        freed
    }

    fn take_check(&mut self, now: Timestamp) -> Option<(Timestamp, Arc<str>)> {
        self.checks.first().filter(|(due, _)| *due <= now)?;
        self.checks.pop_first()
    }
}

/// Applies one item. `schedules` is there where a batch needs it.
fn apply(item: Item, batch: &mut Batch<'_>, schedules: Option<&mut Schedules>) -> Outcome {
    let mut schedules = schedules;
    if let Some(id) = item.fulfils
        && !schedules.as_ref().is_some_and(|schedules| schedules.contains(id))
    {
        return Outcome::ScheduleGone;
    }
    let outcome = match item.write {
        Write::Publish(publish) => batch.publish(publish),
        Write::AddReaction(add) => batch.add_reaction(add),
        Write::RemoveReaction(remove) => batch.remove_reaction(&remove),
        Write::SetEntry(set) => batch.set_entry(set),
        Write::AddSchedule(schedule) => match &mut schedules {
            Some(schedules) => schedules.add(schedule, batch.ledger),
            None => Outcome::Unchanged,
        },
    };
    // A refused id is to be tried again, so that the schedule is not carried out yet.
    if let (Some(id), Some(schedules)) = (item.fulfils, schedules)
        && !matches!(outcome, Outcome::IdNotNewest(_))
    {
        batch.ledger.freed += schedules.remove(id).map_or(0, |removed| budget::schedule(&removed));
    }
    outcome
}
