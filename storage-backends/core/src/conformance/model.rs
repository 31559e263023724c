//! A store as simple as can be, which random operations on the real one are compared with.

use super::build::Subject;
use super::model_ops::{Driver, Op, ops};
use crate::{
    AddReaction, Entry, Item, ListedMessage, MessageId, MessageQuery, Order, Outcome, Publish,
    ReactionCount, ReactionDetail, RemoveReaction, Retention, Revocation, Schedule, SetEntry,
    Timestamp, TokenUse, Write, json_eq,
};
use proptest::test_runner::{Config, TestRunner};
use std::collections::{BTreeMap, BTreeSet};

pub(super) async fn random_operations_agree_with_the_model(subject: Subject) {
    let mut config = Config { failure_persistence: None, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = subject.harness.model_cases();
    }
    let runtime = tokio::runtime::Handle::current();
    let harness = subject.harness.clone();
    let result = tokio::task::block_in_place(|| {
        TestRunner::new(config).run(&ops(), |ops: Vec<Op>| {
            runtime.block_on(async {
                let mut driver = Driver::new(Subject::new(harness.clone()).await);
                for op in ops {
                    driver.run(op).await?;
                    driver.compare().await?;
                }
                Ok(())
            })
        })
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) channels: BTreeMap<String, Channel>,
    pub(super) schedules: Vec<Schedule>,
    pub(super) spent: Vec<TokenUse>,
    pub(super) revocations: Vec<Revocation>,
    pub(super) high: Option<MessageId>,
}

#[derive(Debug, Default)]
pub(super) struct Channel {
    pub(super) newest: Option<MessageId>,
    pub(super) messages: Vec<ListedMessage>,
    pub(super) swept: Vec<MessageId>,
    repeats: Vec<(String, MessageId, Timestamp)>,
    entries: Vec<Entry>,
}

impl Model {
    pub(super) fn apply(&mut self, channel: &str, item: Item, now: Timestamp) -> Outcome {
        if item.fulfils.is_some_and(|id| self.schedules.iter().all(|one| one.id != id)) {
            return Outcome::ScheduleGone;
        }
        let outcome = if let Write::AddSchedule(schedule) = item.write {
            self.add_schedule(schedule)
        } else {
            if let Write::SetEntry(set) = &item.write {
                self.high = self.high.max(Some(set.id));
            }
            let channel = self.channels.entry(channel.to_owned()).or_default();
            let outcome = channel.apply(item.write, now);
            self.high = self.high.max(channel.newest);
            outcome
        };
        if !matches!(outcome, Outcome::IdNotNewest(_)) {
            self.schedules.retain(|one| Some(one.id) != item.fulfils);
        }
        outcome
    }

    fn add_schedule(&mut self, schedule: Schedule) -> Outcome {
        if self.schedules.iter().any(|one| one.id == schedule.id) {
            return Outcome::Unchanged;
        }
        self.high = self.high.max(Some(schedule.id));
        self.schedules.push(schedule);
        self.schedules.sort_by_key(|one| (one.due, one.id));
        Outcome::Applied
    }

    pub(super) fn spend(&mut self, token: TokenUse) -> bool {
        let is_first = !self.is_spent(&token);
        if is_first {
            self.spent.push(token);
        }
        is_first
    }

    pub(super) fn is_spent(&self, token: &TokenUse) -> bool {
        self.spent.iter().any(|one| one.key == token.key && one.jti == token.jti)
    }

    pub(super) fn revoke(&mut self, revocation: Revocation) {
        self.revocations.retain(|one| one.subject != revocation.subject);
        self.revocations.push(revocation);
        self.revocations.sort_by(|one, other| one.subject.cmp(&other.subject));
    }

    /// Removes all that has expired, and returns the entries to be announced.
    pub(super) fn sweep(&mut self, now: Timestamp) -> Vec<(String, Entry)> {
        let mut announced = Vec::new();
        for (name, channel) in &mut self.channels {
            let expired: Vec<_> = channel.expired(now).collect();
            channel.swept.extend(expired);
            channel.messages.retain(|listed| !listed.retention.is_over(now));
            channel.repeats.retain(|(.., until)| *until > now);
            let (live, expired): (Vec<_>, _) =
                std::mem::take(&mut channel.entries).into_iter().partition(|one| lives(one, now));
            channel.entries = live;
            let asking = expired.into_iter().filter(|entry| entry.announce_expiry);
            announced.extend(asking.map(|entry| (name.clone(), entry)));
        }
        self.spent.retain(|token| token.expires_at > now);
        self.revocations.retain(|one| one.expires_at.is_none_or(|end| end > now));
        announced
    }
}

impl Channel {
    fn apply(&mut self, write: Write, now: Timestamp) -> Outcome {
        match write {
            Write::Publish(publish) => self.publish(publish, now),
            Write::AddReaction(add) => self.add_reaction(add, now),
            Write::RemoveReaction(remove) => self.remove_reaction(&remove, now),
            Write::SetEntry(set) => self.set_entry(set, now),
            Write::AddSchedule(_) => unreachable!("schedules belong to no channel here"),
        }
    }

    /// Whether an id is refused; else it is the newest.
    fn refuses(&mut self, id: MessageId) -> Option<Outcome> {
        match self.newest {
            Some(newest) if newest >= id => Some(Outcome::IdNotNewest(newest)),
            _ => {
                self.newest = Some(id);
                None
            }
        }
    }

    fn publish(&mut self, publish: Publish, now: Timestamp) -> Outcome {
        let id = publish.message.id;
        if let Some(one) = &publish.deduplication
            && let Some((_, first, _)) =
                self.repeats.iter().find(|(key, _, until)| *key == one.key && *until > now)
        {
            return Outcome::Duplicate(*first);
        }
        if let Some(refused) = self.refuses(id) {
            return refused;
        }
        if let Some(one) = publish.deduplication {
            self.repeats.retain(|(key, ..)| *key != one.key);
            self.repeats.push((one.key, id, one.until));
        }
        if publish.retention != Retention::None {
            let listed = super::build::listed(publish.message, publish.retention);
            self.messages.push(listed);
        }
        Outcome::Applied
    }

    fn position(&self, id: MessageId, now: Timestamp) -> Option<usize> {
        self.messages
            .iter()
            .position(|listed| listed.message.id == id && !listed.retention.is_over(now))
    }

    fn add_reaction(&mut self, add: AddReaction, now: Timestamp) -> Outcome {
        let Some(position) = self.position(add.message, now) else {
            return Outcome::MessageNotFound;
        };
        let given = &self.messages[position].reactions;
        let own: Vec<_> = given.iter().filter(|one| one.uid == add.reaction.uid).collect();
        if own.iter().any(|one| one.reaction == add.reaction.reaction) {
            return Outcome::Unchanged;
        }
        let values: BTreeSet<_> = given.iter().map(|one| &one.reaction).collect();
        let is_one_more = !values.contains(&add.reaction.reaction);
        if own.len() >= add.max_per_user || is_one_more && values.len() >= add.max_per_message {
            return Outcome::LimitReached;
        }
        if let Some(refused) = self.refuses(add.reaction.id) {
            return refused;
        }
        self.messages[position].reactions.push(add.reaction);
        Outcome::Applied
    }

    fn remove_reaction(&mut self, remove: &RemoveReaction, now: Timestamp) -> Outcome {
        let Some(position) = self.position(remove.message, now) else {
            return Outcome::MessageNotFound;
        };
        let given = &self.messages[position].reactions;
        let place =
            given.iter().position(|one| one.uid == remove.uid && one.reaction == remove.reaction);
        let Some(place) = place else {
            return Outcome::Unchanged;
        };
        if let Some(refused) = self.refuses(remove.id) {
            return refused;
        }
        Outcome::ReactionRemoved(self.messages[position].reactions.remove(place))
    }

    fn set_entry(&mut self, set: SetEntry, now: Timestamp) -> Outcome {
        let place = self.entries.iter().position(|entry| entry.key == set.key);
        let stored = place.map(|place| self.entries[place].clone());
        let former = stored.clone().filter(|entry| lives(entry, now));
        let Some(value) = set.value else {
            self.entries.retain(|entry| entry.key != set.key || !lives(entry, now));
            return former.map_or(Outcome::Unchanged, |former| Outcome::EntryChanged(Some(former)));
        };
        let live = self.entries.iter().filter(|entry| lives(entry, now)).count();
        if former.is_none() && live >= set.max_keys {
            return Outcome::LimitReached;
        }
        let mut entry = Entry {
            key: set.key.clone(),
            value,
            author: set.author,
            expires_at: set.expires_at,
            announce_expiry: set.announce_expiry,
            context: set.context,
        };
        let mut outcome = match stored.filter(|entry| !lives(entry, now) && entry.announce_expiry) {
            Some(expired) => Outcome::ExpiredEntryReplaced(expired),
            None => Outcome::EntryChanged(former.clone()),
        };
        if let Some(former) = former.filter(|former| json_eq(&former.value, &entry.value)) {
            outcome = Outcome::Unchanged;
            entry.value = former.value;
            entry.author = former.author;
        }
        self.entries.retain(|entry| entry.key != set.key);
        self.entries.push(entry);
        self.entries.sort_by(|one, other| one.key.cmp(&other.key));
        outcome
    }

    fn expired(&self, now: Timestamp) -> impl Iterator<Item = MessageId> {
        let expired = self.messages.iter().filter(move |listed| listed.retention.is_over(now));
        expired.map(|listed| listed.message.id)
    }

    /// All ids that were stored and are there no more.
    pub(super) fn gone(&self, now: Timestamp) -> Vec<MessageId> {
        self.swept.iter().copied().chain(self.expired(now)).collect()
    }

    /// A page's messages with their reactions, and whether there are more.
    pub(super) fn page(&self, query: &MessageQuery) -> (Vec<ListedMessage>, bool) {
        let mut range: Vec<_> = self
            .messages
            .iter()
            .filter(|one| one.message.id >= query.from && one.message.id <= query.to)
            .filter(|one| !one.retention.is_over(query.now))
            .cloned()
            .collect();
        range.sort_by_key(|listed| listed.message.id);
        if query.order == Order::Descending {
            range.reverse();
        }
        let all = range.len();
        let mut bytes = 0;
        let mut page = Vec::new();
        for mut listed in range {
            show(&mut listed, query.reactions);
            if page.len() == query.max_messages || !page.is_empty() && bytes >= query.max_bytes {
                break;
            }
            bytes += listed.size();
            page.push(listed);
        }
        let more = page.len() < all;
        (page, more)
    }

    pub(super) fn entries(&self, now: Timestamp) -> Vec<Entry> {
        self.entries.iter().filter(|entry| lives(entry, now)).cloned().collect()
    }
}

fn lives(entry: &Entry, now: Timestamp) -> bool {
    entry.expires_at.is_none_or(|end| end > now)
}

/// Reduces a message with all its reactions to what a page shows.
fn show(listed: &mut ListedMessage, detail: ReactionDetail) {
    if detail != ReactionDetail::None {
        let mut names: Vec<_> = listed.reactions.iter().map(|one| one.reaction.clone()).collect();
        names.sort();
        for reaction in names {
            match listed.reaction_counts.last_mut() {
                Some(last) if last.reaction == reaction => last.count += 1,
                _ => listed.reaction_counts.push(ReactionCount { reaction, count: 1 }),
            }
        }
    }
    if detail != ReactionDetail::All {
        listed.reactions.clear();
    }
}
