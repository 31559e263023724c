use super::budget::{self, Ledger};
use super::shard::{Expiries, Target};
use crate::live_count::LiveCount;
use crate::{
    AddReaction, Author, Deduplication, Entry, ListedMessage, Message, MessageId, MessagePage,
    MessageQuery, Order, Outcome, Publish, Reaction, ReactionCount, ReactionDetail, RemoveReaction,
    Retention, SetEntry, Timestamp, json_eq,
};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is kept of one channel.
#[derive(Debug, Default)]
pub(super) struct Channel {
    pub(super) marks: Marks,
    messages: BTreeMap<MessageId, Stored>,
    repeats: BTreeMap<Arc<str>, Repeat>,
    pub(super) entries: BTreeMap<Arc<str>, Entry>,
    entry_count: LiveCount,
}

/// What must be known of a channel, or of all forgotten ones, when nothing else is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// No id was ever greater.
    pub(super) newest: Option<MessageId>,
    /// Of the messages removed, none had a greater id.
    pub(super) gone: Option<MessageId>,
}

impl Marks {
    pub(super) fn join(&mut self, other: Marks) {
        self.newest = self.newest.max(other.newest);
        self.gone = self.gone.max(other.gone);
    }
}

#[derive(Debug)]
struct Stored {
    message: Message,
    retention: Retention,
    reactions: Option<Box<Reactions>>,
}

/// The first message of a deduplication key.
#[derive(Debug)]
struct Repeat {
    first: MessageId,
    until: Timestamp,
}

#[derive(Debug, Default)]
struct Reactions {
    by_user: BTreeMap<String, Vec<Reaction>>,
    counts: BTreeMap<String, u64>,
}

impl Reactions {
    fn counted(&self) -> Vec<ReactionCount> {
        let counts = self.counts.iter();
        counts
            .map(|(reaction, count)| ReactionCount { reaction: reaction.clone(), count: *count })
            .collect()
    }

    /// In the order of their ids; at the limit the users whose `uid`s come last are left out.
    fn listed(&self) -> Vec<Reaction> {
        let mut listed = Vec::new();
        let mut bytes = 0;
        for reaction in self.by_user.values().flatten() {
            listed.push(reaction.clone());
            bytes += reaction.size();
            if bytes >= ListedMessage::MAX_REACTIONS_BYTES {
                break;
            }
        }
        listed.sort_by_key(|reaction| reaction.id);
        listed
    }
}

impl Channel {
    pub(super) fn new(marks: Marks) -> Self {
        Self { marks, ..Self::default() }
    }

    /// Whether only the marks are left.
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.repeats.is_empty() && self.entries.is_empty()
    }

    pub(super) fn page(&self, query: &MessageQuery) -> MessagePage {
        let mut page = MessagePage::default();
        if query.from > query.to {
            return page;
        }
        page.gone = self.marks.gone.filter(|gone| *gone >= query.from);
        let mut range = self.messages.range(query.from..=query.to);
        let mut bytes = 0;
        let mut is_full = query.max_messages == 0;
        while let Some((id, stored)) = match query.order {
            Order::Ascending => range.next(),
            Order::Descending => range.next_back(),
        } {
            if stored.retention.is_over(query.now) {
                page.gone = page.gone.max(Some(*id));
                continue;
            }
            if is_full {
                page.more = true;
                break;
            }
            let listed = stored.listed(query.reactions);
            bytes += listed.size();
            page.messages.push(listed);
            is_full = page.messages.len() >= query.max_messages || bytes >= query.max_bytes;
        }
        page
    }

    pub(super) fn message(&self, id: MessageId, now: Timestamp) -> Option<ListedMessage> {
        let stored = self.messages.get(&id).filter(|stored| !stored.retention.is_over(now))?;
        Some(stored.listed(ReactionDetail::All))
    }

    /// Removes an expired message, and tells what it had cost.
    pub(super) fn remove_message(&mut self, id: MessageId) -> usize {
        self.marks.gone = self.marks.gone.max(Some(id));
        self.messages.remove(&id).map_or(0, |stored| stored.cost())
    }

    pub(super) fn remove_repeat(&mut self, key: &str) -> usize {
        self.repeats.remove(key).map_or(0, |_| budget::key(key))
    }

    pub(super) fn remove_entry(&mut self, key: &str) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.entry_count.remove(entry.expires_at);
        Some(entry)
    }
}

impl Stored {
    fn listed(&self, detail: ReactionDetail) -> ListedMessage {
        let mut listed = ListedMessage {
            message: self.message.clone(),
            retention: self.retention,
            reactions: Vec::new(),
            reaction_counts: Vec::new(),
        };
        let Some(reactions) = &self.reactions else {
            return listed;
        };
        if detail != ReactionDetail::None {
            listed.reaction_counts = reactions.counted();
        }
        if detail == ReactionDetail::All {
            listed.reactions = reactions.listed();
        }
        listed
    }

    fn cost(&self) -> usize {
        let reactions = self.reactions.iter().flat_map(|reactions| reactions.by_user.values());
        budget::message(&self.message) + reactions.flatten().map(budget::reaction).sum::<usize>()
    }
}

/// A batch being applied to a channel. Room for it was reserved, so that nothing can fail.
pub(super) struct Batch<'a> {
    pub(super) name: &'a Arc<str>,
    pub(super) channel: &'a mut Channel,
    pub(super) expiries: &'a mut Expiries,
    pub(super) ledger: &'a mut Ledger,
    /// See [`Shard::high`](super::shard::Shard::high).
    pub(super) high: &'a mut Option<MessageId>,
    pub(super) now: Timestamp,
}

impl Batch<'_> {
    pub(super) fn publish(&mut self, publish: Publish) -> Outcome {
        let Publish { message, retention, deduplication } = publish;
        if let Some(repeat) = deduplication.as_ref().and_then(|one| self.repeat(&one.key)) {
            return Outcome::Duplicate(repeat);
        }
        if let Err(newest) = self.take_id(message.id) {
            return Outcome::IdNotNewest(newest);
        }
        if let Some(deduplication) = deduplication {
            self.remember(&deduplication, message.id);
        }
        if retention != Retention::None {
            self.store(message, retention);
        }
        Outcome::Applied
    }

    fn repeat(&self, key: &str) -> Option<MessageId> {
        let repeat = self.channel.repeats.get(key)?;
        (repeat.until > self.now).then_some(repeat.first)
    }

    /// Makes an id the channel's newest.
    fn take_id(&mut self, id: MessageId) -> Result<(), MessageId> {
        let newest = &mut self.channel.marks.newest;
        match *newest {
            Some(newest) if id <= newest => Err(newest),
            _ => {
                *newest = Some(id);
                Ok(())
            }
        }
    }

    fn remember(&mut self, deduplication: &Deduplication, first: MessageId) {
        let Deduplication { key, until } = deduplication;
        let key: Arc<str> = Arc::from(key.as_str());
        let repeat = Repeat { first, until: *until };
        self.expiries.insert(*until, self.name, Target::Repeat(key.clone()));
        self.ledger.added += budget::key(&key);
        if let Some(expired) = self.channel.repeats.insert(key.clone(), repeat) {
            self.ledger.freed += budget::key(&key);
            if expired.until != *until {
                self.expiries.remove(expired.until, self.name, Target::Repeat(key));
            }
        }
    }

    fn store(&mut self, message: Message, retention: Retention) {
        if let Retention::Until(end) = retention {
            self.expiries.insert(end, self.name, Target::Message(message.id));
        }
        let message = Message {
            id: message.id,
            event: compact(message.event),
            data: unpin(&message.data),
            author: message.author.map(owned_author),
        };
        let stored = Stored { message, retention, reactions: None };
        self.ledger.added += stored.cost();
        self.channel.messages.insert(stored.message.id, stored);
    }

    pub(super) fn add_reaction(&mut self, add: AddReaction) -> Outcome {
        let AddReaction { message, reaction, max_per_message, max_per_user } = add;
        let Some(reactions) = self.reactions(message) else {
            return Outcome::MessageNotFound;
        };
        if let Some(reactions) = reactions {
            let own = reactions.by_user.get(&reaction.uid).map_or(&[][..], Vec::as_slice);
            if own.iter().any(|one| one.reaction == reaction.reaction) {
                return Outcome::Unchanged;
            }
            let is_new = !reactions.counts.contains_key(&reaction.reaction);
            if own.len() >= max_per_user || is_new && reactions.counts.len() >= max_per_message {
                return Outcome::LimitReached;
            }
        } else if max_per_message == 0 || max_per_user == 0 {
            return Outcome::LimitReached;
        }
        if let Err(newest) = self.take_id(reaction.id) {
            return Outcome::IdNotNewest(newest);
        }
        self.ledger.added += budget::reaction(&reaction);
        let reaction = Reaction {
            reaction: compact(reaction.reaction),
            uid: compact(reaction.uid),
            umd: reaction.umd.as_ref().map(unpin),
            context: unpin(&reaction.context),
            ..reaction
        };
        if let Some(stored) = self.channel.messages.get_mut(&message) {
            let reactions = stored.reactions.get_or_insert_default();
            *reactions.counts.entry(reaction.reaction.clone()).or_default() += 1;
            reactions.by_user.entry(reaction.uid.clone()).or_default().push(reaction);
        }
        Outcome::Applied
    }

    pub(super) fn remove_reaction(&mut self, remove: &RemoveReaction) -> Outcome {
        let Some(reactions) = self.reactions(remove.message) else {
            return Outcome::MessageNotFound;
        };
        let own = reactions.and_then(|reactions| reactions.by_user.get(&remove.uid));
        if !own.into_iter().flatten().any(|one| one.reaction == remove.reaction) {
            return Outcome::Unchanged;
        }
        if let Err(newest) = self.take_id(remove.id) {
            return Outcome::IdNotNewest(newest);
        }
        match self.take_reaction(remove) {
            Some(removed) => {
                self.ledger.freed += budget::reaction(&removed);
                Outcome::ReactionRemoved(removed)
            }
            None => Outcome::Unchanged,
        }
    }

    fn take_reaction(&mut self, remove: &RemoveReaction) -> Option<Reaction> {
        let slot = &mut self.channel.messages.get_mut(&remove.message)?.reactions;
        let reactions = slot.as_mut()?;
        let own = reactions.by_user.get_mut(&remove.uid)?;
        let place = own.iter().position(|one| one.reaction == remove.reaction)?;
        let removed = own.remove(place);
        if own.is_empty() {
            reactions.by_user.remove(&remove.uid);
        }
        if let Some(count) = reactions.counts.get_mut(&remove.reaction) {
            *count -= 1;
            if *count == 0 {
                reactions.counts.remove(&remove.reaction);
            }
        }
        if reactions.by_user.is_empty() {
            *slot = None;
        }
        Some(removed)
    }

    /// An unexpired message's reactions; `None` where there is no such message.
    fn reactions(&self, message: MessageId) -> Option<Option<&Reactions>> {
        let stored = self.channel.messages.get(&message)?;
        (!stored.retention.is_over(self.now)).then_some(stored.reactions.as_deref())
    }

    pub(super) fn set_entry(&mut self, set: SetEntry) -> Outcome {
        let SetEntry { id, key, value, author, expires_at, announce_expiry, context, max_keys } =
            set;
        *self.high = (*self.high).max(Some(id));
        let stored = self.channel.entries.get(key.as_str());
        let expired = stored.filter(|entry| is_expired(entry, self.now) && entry.announce_expiry);
        let (former, expired) =
            (stored.filter(|entry| !is_expired(entry, self.now)).cloned(), expired.cloned());
        let Some(value) = value else {
            return self.clear_entry(former);
        };
        let is_equal = former.as_ref().is_some_and(|former| json_eq(&former.value, &value));
        if former.is_none() && self.has_no_room(max_keys) {
            return Outcome::LimitReached;
        }
        let (value, author) = match &former {
            Some(former) if is_equal => (former.value.clone(), former.author.clone()),
            _ => (unpin(&value), author.map(owned_author)),
        };
        let context = unpin(&context);
        let key = compact(key);
        self.put_entry(Entry { key, value, author, expires_at, announce_expiry, context });
        match expired {
            Some(expired) => Outcome::ExpiredEntryReplaced(expired),
            None if is_equal => Outcome::Unchanged,
            None => Outcome::EntryChanged(former),
        }
    }

    fn clear_entry(&mut self, former: Option<Entry>) -> Outcome {
        let Some(former) = former else {
            return Outcome::Unchanged;
        };
        let key: Arc<str> = Arc::from(former.key.as_str());
        self.channel.remove_entry(&key);
        self.forget_entry(&former, key);
        Outcome::EntryChanged(Some(former))
    }

    fn put_entry(&mut self, entry: Entry) {
        let key: Arc<str> = Arc::from(entry.key.as_str());
        if let Some(former) = self.channel.remove_entry(&key) {
            self.forget_entry(&former, key.clone());
        }
        if let Some(end) = entry.expires_at {
            self.expiries.insert(end, self.name, Target::Entry(key.clone()));
        }
        self.ledger.added += budget::entry(&entry);
        self.channel.entry_count.add(entry.expires_at);
        self.channel.entries.insert(key, entry);
    }

    fn forget_entry(&mut self, former: &Entry, key: Arc<str>) {
        self.ledger.freed += budget::entry(former);
        if let Some(end) = former.expires_at {
            self.expiries.remove(end, self.name, Target::Entry(key));
        }
    }

    fn has_no_room(&mut self, max_keys: usize) -> bool {
        let Channel { entries, entry_count, .. } = &mut *self.channel;
        if entry_count.is_below(max_keys, self.now) {
            return false;
        }
        if !entry_count.is_exact(self.now) {
            let expiries = entries.values().map(|entry| entry.expires_at);
            *entry_count = LiveCount::recount(self.now, expiries);
        }
        !entry_count.is_below(max_keys, self.now)
    }
}

pub(super) fn is_expired(entry: &Entry, now: Timestamp) -> bool {
    entry.expires_at.is_some_and(|end| end <= now)
}

/// A copy that keeps no larger buffer alive, whose other bytes the budget does not count.
fn unpin(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn compact(mut text: String) -> String {
    text.shrink_to_fit();
    text
}

fn owned_author(author: Author) -> Author {
    Author { uid: author.uid.map(compact), umd: author.umd.as_ref().map(unpin) }
}
