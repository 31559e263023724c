use crate::{
    Author, Entry, Error, ErrorKind, Item, Message, Publish, Reaction, Result, Schedule, Write,
};
use bytes::Bytes;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a record costs beside its content: its structures, its places in maps and in the order
/// of expiry, rounded up.
const RECORD: usize = 256;

/// What a channel costs that has been written to.
const CHANNEL: usize = 512;

/// The bytes that a store may hold and does hold. Costs are estimates from above.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    used: AtomicUsize,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, used: AtomicUsize::new(0) }
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether so much is used that idle channels had better be forgotten early.
    pub(super) fn is_tight(&self) -> bool {
        self.used() > self.limit / 2
    }

    /// Takes what a write may cost at most, before anything of it is applied.
    pub(super) fn reserve(&self, bytes: usize, operation: &'static str) -> Result<()> {
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|sum| *sum <= self.limit)
        });
        taken.map(drop).map_err(|_| {
            Error::new(
                ErrorKind::Full,
                operation,
                format!("{bytes} bytes do not fit into the memory store's {}", self.limit),
            )
        })
    }

    pub(super) fn release(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Ends a reservation: what the write really added stays, and what it removed goes.
    pub(super) fn settle(&self, reserved: usize, ledger: &Ledger) {
        self.release(reserved + ledger.freed - ledger.added);
    }
}

/// What a write under way has added and freed.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) added: usize,
    pub(super) freed: usize,
}

fn author(author: Option<&Author>) -> usize {
    author.map_or(0, |author| {
        author.uid.as_ref().map_or(0, String::len) + author.umd.as_ref().map_or(0, Bytes::len)
    })
}

pub(super) fn channel(name: &str) -> usize {
    CHANNEL + name.len()
}

pub(super) fn message(message: &Message) -> usize {
    RECORD + message.event.len() + message.data.len() + author(message.author.as_ref())
}

pub(super) fn key(key: &str) -> usize {
    RECORD + 2 * key.len()
}

pub(super) fn entry(entry: &Entry) -> usize {
    key(&entry.key) + entry.value.len() + author(entry.author.as_ref()) + entry.context.len()
}

pub(super) fn reaction(reaction: &Reaction) -> usize {
    RECORD
        + 3 * reaction.reaction.len()
        + 2 * reaction.uid.len()
        + reaction.umd.as_ref().map_or(0, Bytes::len)
        + reaction.context.len()
}

pub(super) fn schedule(schedule: &Schedule) -> usize {
    RECORD + schedule.channel.len() + schedule.payload.len()
}

/// The most that a batch can add.
pub(super) fn batch(name: &str, items: &[Item]) -> usize {
    let items = items.iter().map(|item| match &item.write {
        Write::Publish(publish) => self::publish(publish),
        Write::AddReaction(add) => reaction(&add.reaction),
        Write::SetEntry(set) => set.value.as_ref().map_or(0, |value| {
            key(&set.key) + value.len() + author(set.author.as_ref()) + set.context.len()
        }),
        Write::AddSchedule(added) => schedule(added),
        Write::RemoveReaction(_) => 0,
    });
    channel(name) + items.sum::<usize>()
}

fn publish(publish: &Publish) -> usize {
    message(&publish.message)
        + publish.deduplication.as_ref().map_or(0, |deduplication| key(&deduplication.key))
}
