//! Removing what has expired.

use super::channel::{REMEMBERED, forgotten, head};
use super::keys::{self, ChannelKeys, Expired};
use super::record::{self, Head};
use super::txn::Txn;
use super::{View, first};
use crate::{Entry, ErrorKind, MessageId, Order, Result, Swept, Timestamp};

pub(super) fn sweep(txn: &mut Txn<'_>, now: Timestamp, limit: usize) -> Result<Swept> {
    let mut swept = Swept::default();
    // Reactions count as work, so that a call stays short whatever hangs on a message.
    let mut work = 0;
    for key in super::keys(txn, &keys::expired_at(now), limit.saturating_add(1))? {
        if work >= limit {
            swept.more = true;
            break;
        }
        work += 1;
        swept.removed += 1;
        let done = match remove(txn, &key, limit - work, &mut swept) {
            Ok((done, cost)) => {
                work += cost;
                done
            }
            // What can't be read stays where it is, unseen, and must not stop the other sweeps.
            Err(error) if error.kind() == ErrorKind::Corrupt => true,
            Err(error) => return Err(error),
        };
        if !done {
            swept.more = true;
            break;
        }
        txn.delete(key);
    }
    forget_channels(txn, now, limit)?;
    Ok(swept)
}

/// Removes what a key in the order of expiry names, and tells whether all of it is gone and how
/// much more than one record that took. Nothing was written where it fails.
fn remove(txn: &mut Txn<'_>, key: &[u8], limit: usize, swept: &mut Swept) -> Result<(bool, usize)> {
    let record = keys::expired_record(key)?;
    match keys::expired(record)? {
        Expired::Message { channel, id } => return remove_message(txn, &channel, id, limit),
        Expired::Entry { channel, key } => {
            let entry = remove_entry(txn, &channel, key)?;
            swept.entries.extend(entry.map(|entry| (channel, entry)));
        }
        Expired::Plain => txn.delete(record.to_vec()),
    }
    Ok((true, 0))
}

/// Removes a message with its reactions, at most `limit` of these; a message that has more stays,
/// expired as it is, until later calls have removed them.
fn remove_message(
    txn: &mut Txn<'_>,
    channel: &str,
    id: MessageId,
    limit: usize,
) -> Result<(bool, usize)> {
    let keys = ChannelKeys::new(channel);
    let mut head = head(txn, &keys)?.0;
    let reactions = super::keys(txn, &keys.reactions(id), limit.saturating_add(1))?;
    let counts = super::keys(txn, &keys.counts(id), usize::MAX)?;
    let cost = reactions.len().min(limit);
    let is_last = reactions.len() <= limit;
    reactions.into_iter().take(limit).for_each(|reaction| txn.delete(reaction));
    if !is_last {
        return Ok((false, cost));
    }
    counts.into_iter().for_each(|count| txn.delete(count));
    txn.delete(keys.message(id));
    head.marks.gone = head.marks.gone.max(Some(id));
    // The key that told of this id is no more.
    head.marks.newest = head.marks.newest.max(Some(id));
    txn.put(keys.head(), record::encode_head(&head));
    Ok((true, cost))
}

/// Removes an entry, and returns it where it is to be announced.
fn remove_entry(txn: &mut Txn<'_>, channel: &str, key: String) -> Result<Option<Entry>> {
    let keys = ChannelKeys::new(channel);
    let place = keys.entry(&key);
    let Some(record) = txn.get(&place)? else {
        return Ok(None);
    };
    let entry = record::decode_entry(key, record)?;
    let mut head = head(txn, &keys)?.0;
    head.entries.remove(entry.expires_at);
    txn.delete(place);
    txn.put(keys.head(), record::encode_head(&head));
    Ok(Some(entry).filter(|entry| entry.announce_expiry))
}

/// Looks at channels that may be empty, and forgets those that are and have been for long.
fn forget_channels(txn: &mut Txn<'_>, now: Timestamp, limit: usize) -> Result<()> {
    for check in super::keys(txn, &keys::checks_due_at(now), limit)? {
        match forget_if_empty(txn, &check, now) {
            Err(error) if error.kind() != ErrorKind::Corrupt => return Err(error),
            _ => txn.delete(check),
        }
    }
    Ok(())
}

fn forget_if_empty(txn: &mut Txn<'_>, check: &[u8], now: Timestamp) -> Result<()> {
    let channel = keys::checked_channel(check)?;
    let keys = ChannelKeys::new(&channel);
    let (head, has_head) = head(txn, &keys)?;
    let is_empty = first(txn, &keys.content(), Order::Ascending)?.is_none();
    let idle_since = head.marks.newest.map_or(now, MessageId::timestamp);
    if !has_head {
        return Ok(());
    }
    if is_empty && idle_since + REMEMBERED <= now {
        return forget(txn, &keys, &head);
    }
    txn.put(keys::check(now + REMEMBERED, &channel), Vec::new());
    Ok(())
}

fn forget(txn: &mut Txn<'_>, keys: &ChannelKeys, head: &Head) -> Result<()> {
    let mut marks = forgotten(txn)?;
    marks.newest = marks.newest.max(head.marks.newest);
    marks.gone = marks.gone.max(head.marks.gone);
    let joined = Head { marks, ..Head::default() };
    txn.put(keys::FORGOTTEN.to_vec(), record::encode_head(&joined));
    txn.delete(keys.head());
    Ok(())
}
