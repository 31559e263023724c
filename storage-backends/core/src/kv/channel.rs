use super::keys::{self, ChannelKeys};
use super::record::{self, Head, Marks, Repeat};
use super::tables::raise_high_water;
use super::txn::Txn;
use super::{View, first};
use crate::{
    Item, Message, MessageId, Order, Outcome, Publish, Result, Retention, Timestamp, Write,
};
use std::time::Duration;

/// How long an empty channel is remembered by itself after its newest id's time, and how often a
/// channel is looked at for that.
pub(super) const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// A channel's head and the joined marks of forgotten channels, which stand in where the channel
/// has none: it may be one of them.
pub(super) fn head(view: &dyn View, keys: &ChannelKeys) -> Result<(Head, bool)> {
    if let Some(record) = view.get(&keys.head())? {
        return Ok((record::decode_head(record)?, true));
    }
    let head = Head { marks: forgotten(view)?, ..Head::default() };
    Ok((head, false))
}

pub(super) fn forgotten(view: &dyn View) -> Result<Marks> {
    let record = view.get(keys::FORGOTTEN)?.map(record::decode_head).transpose()?;
    Ok(record.unwrap_or_default().marks)
}

/// Applies a batch to a channel.
pub(super) fn commit(
    txn: &mut Txn<'_>,
    name: &str,
    items: Vec<Item>,
    now: Timestamp,
) -> Result<Vec<Outcome>> {
    let mut channel = Channel::load(txn, name, now)?;
    let outcomes = items.into_iter().map(|item| channel.apply(item)).collect::<Result<_>>()?;
    channel.save()?;
    Ok(outcomes)
}

/// A channel that is being written to.
pub(super) struct Channel<'a, 'view> {
    pub(super) txn: &'a mut Txn<'view>,
    pub(super) keys: ChannelKeys,
    pub(super) now: Timestamp,
    pub(super) head: Head,
    name: &'a str,
    stored_head: Head,
    has_head: bool,
    /// Read when it is first needed.
    newest: Option<Option<MessageId>>,
    /// The greatest id that is none of the channel's own.
    pub(super) seen: Option<MessageId>,
    /// Whether the channel has content now that it may not have had.
    is_touched: bool,
}

impl<'a, 'view> Channel<'a, 'view> {
    pub(super) fn load(txn: &'a mut Txn<'view>, name: &'a str, now: Timestamp) -> Result<Self> {
        let keys = ChannelKeys::new(name);
        let (head, has_head) = head(txn, &keys)?;
        Ok(Self {
            txn,
            keys,
            now,
            head,
            name,
            stored_head: head,
            has_head,
            newest: None,
            seen: None,
            is_touched: false,
        })
    }

    /// Writes the head where that is due. Every channel with content has one, so that a channel
    /// without may be a forgotten one; it need not be written for every message, since the last
    /// message tells the newest id too.
    pub(super) fn save(self) -> Result<()> {
        if let Some(greatest) = self.newest.flatten().max(self.seen) {
            raise_high_water(self.txn, greatest)?;
        }
        if !self.has_head && (self.is_touched || self.head != self.stored_head) {
            self.txn.put(keys::check(self.now + REMEMBERED, self.name), Vec::new());
        } else if self.head == self.stored_head {
            return Ok(());
        }
        self.txn.put(self.keys.head(), record::encode_head(&self.head));
        Ok(())
    }

    fn apply(&mut self, item: Item) -> Result<Outcome> {
        let schedule = match item.fulfils {
            Some(id) => match self.txn.get(&keys::schedule(id))? {
                Some(due) => Some((id, record::decode_time(due)?)),
                None => return Ok(Outcome::ScheduleGone),
            },
            None => None,
        };
        let outcome = match item.write {
            Write::Publish(publish) => self.publish(publish),
            Write::AddReaction(add) => self.add_reaction(add),
            Write::RemoveReaction(remove) => self.remove_reaction(&remove),
            Write::SetEntry(set) => self.set_entry(set),
            Write::AddSchedule(schedule) => super::tables::add_schedule(self.txn, &schedule),
        }?;
        // A refused id is to be tried again, so that the schedule is not carried out yet.
        if let Some((id, due)) = schedule
            && !matches!(outcome, Outcome::IdNotNewest(_))
        {
            self.txn.delete(keys::schedule(id));
            self.txn.delete(keys::due(due, id));
        }
        Ok(outcome)
    }

    /// Writes a record of the channel's content.
    pub(super) fn put(&mut self, key: Vec<u8>, record: Vec<u8>) {
        self.is_touched = true;
        self.txn.put(key, record);
    }

    pub(super) fn newest(&mut self) -> Result<Option<MessageId>> {
        if let Some(newest) = self.newest {
            return Ok(newest);
        }
        let all = self.keys.messages(MessageId::MIN, MessageId::MAX);
        let last = first(self.txn, &all, Order::Descending)?;
        let last = last.map(|(key, _)| self.keys.message_id(&key)).transpose()?;
        let newest = last.max(self.head.marks.newest);
        self.newest = Some(newest);
        Ok(newest)
    }

    /// Makes an id the channel's newest, or tells which newer one there is. An id that is in the
    /// key of no message goes into the head.
    pub(super) fn take_id(&mut self, id: MessageId, is_stored: bool) -> Result<Option<MessageId>> {
        match self.newest()? {
            Some(newest) if id <= newest => Ok(Some(newest)),
            _ => {
                self.newest = Some(Some(id));
                if !is_stored {
                    self.head.marks.newest = Some(id);
                }
                Ok(None)
            }
        }
    }

    fn publish(&mut self, publish: Publish) -> Result<Outcome> {
        let Publish { message, retention, deduplication } = publish;
        let repeat = match deduplication {
            Some(deduplication) => {
                let key = self.keys.repeat(&deduplication.key);
                let known = self.txn.get(&key)?.map(record::decode_repeat).transpose()?;
                if let Some(known) = known.filter(|known| known.until > self.now) {
                    return Ok(Outcome::Duplicate(known.first));
                }
                Some((key, deduplication.until, known))
            }
            None => None,
        };
        if let Some(newest) = self.take_id(message.id, retention != Retention::None)? {
            return Ok(Outcome::IdNotNewest(newest));
        }
        if let Some((key, until, expired)) = repeat {
            if let Some(expired) = expired {
                self.txn.delete(keys::expiry(expired.until, &key));
            }
            self.txn.put(keys::expiry(until, &key), Vec::new());
            self.put(key, record::encode_repeat(Repeat { first: message.id, until }));
        }
        if retention != Retention::None {
            self.store(&message, retention);
        }
        Ok(Outcome::Applied)
    }

    fn store(&mut self, message: &Message, retention: Retention) {
        let key = self.keys.message(message.id);
        if let Retention::Until(end) = retention {
            self.txn.put(keys::expiry(end, &key), Vec::new());
        }
        self.put(key, record::encode_message(message, retention));
    }
}
