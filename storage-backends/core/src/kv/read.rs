//! Reading a channel.

use super::channel::head;
use super::keys::ChannelKeys;
use super::{View, record};
use crate::{
    Entry, EntryQuery, ListedMessage, MessageId, MessagePage, MessageQuery, Order, Reaction,
    ReactionCount, ReactionDetail, Result, Timestamp,
};
use bytes::Bytes;
use std::ops::ControlFlow;

pub(super) fn messages(
    view: &dyn View,
    channel: &str,
    query: &MessageQuery,
) -> Result<MessagePage> {
    let mut page = MessagePage::default();
    if query.from > query.to {
        return Ok(page);
    }
    let keys = ChannelKeys::new(channel);
    page.gone = head(view, &keys)?.0.marks.gone.filter(|gone| *gone >= query.from);
    let mut bytes = 0;
    let mut is_full = query.max_messages == 0;
    let range = keys.messages(query.from, query.to);
    view.scan(&range, query.order, &mut |key, record| {
        let id = keys.message_id(key)?;
        if record::peek_expiry(record)?.is_some_and(|end| end <= query.now) {
            page.gone = page.gone.max(Some(id));
            return Ok(ControlFlow::Continue(()));
        }
        if is_full {
            page.more = true;
            return Ok(ControlFlow::Break(()));
        }
        let (message, retention) = record::decode_message(id, Bytes::copy_from_slice(record))?;
        bytes += message.data.len();
        let (reactions, reaction_counts) = (Vec::new(), Vec::new());
        page.messages.push(ListedMessage { message, retention, reactions, reaction_counts });
        is_full = page.messages.len() >= query.max_messages || bytes >= query.max_bytes;
        Ok(ControlFlow::Continue(()))
    })?;
    add_all_reactions(view, &keys, query, &mut page)?;
    Ok(page)
}

pub(super) fn message(
    view: &dyn View,
    channel: &str,
    id: MessageId,
    now: Timestamp,
) -> Result<Option<ListedMessage>> {
    let keys = ChannelKeys::new(channel);
    let Some(record) = view.get(&keys.message(id))? else {
        return Ok(None);
    };
    let (message, retention) = record::decode_message(id, record)?;
    if retention.is_over(now) {
        return Ok(None);
    }
    let (reactions, reaction_counts) = (reactions(view, &keys, id)?, counts(view, &keys, id)?);
    Ok(Some(ListedMessage { message, retention, reactions, reaction_counts }))
}

/// Reads what comes along of reactions, which may make the page end earlier.
fn add_all_reactions(
    view: &dyn View,
    keys: &ChannelKeys,
    query: &MessageQuery,
    page: &mut MessagePage,
) -> Result<()> {
    if query.reactions == ReactionDetail::None {
        return Ok(());
    }
    add_all_counts(view, keys, query, page)?;
    let mut bytes = 0;
    for index in 0..page.messages.len() {
        if index > 0 && bytes >= query.max_bytes {
            page.messages.truncate(index);
            page.more = true;
            break;
        }
        let listed = &mut page.messages[index];
        if query.reactions == ReactionDetail::All && !listed.reaction_counts.is_empty() {
            listed.reactions = reactions(view, keys, listed.message.id)?;
        }
        bytes += listed.size();
    }
    Ok(())
}

/// Counts the reactions to all messages of a page by one scan: few have any, and to look for each
/// one's by itself costs many times what the page does. Messages beyond the page's limit in bytes
/// may be left without.
fn add_all_counts(
    view: &dyn View,
    keys: &ChannelKeys,
    query: &MessageQuery,
    page: &mut MessagePage,
) -> Result<()> {
    let messages = &mut page.messages;
    let (Some(first), Some(last)) = (messages.first(), messages.last()) else {
        return Ok(());
    };
    let (first, last) = (first.message.id, last.message.id);
    let range = keys.counts_between(first.min(last), first.max(last));
    let (mut bytes, mut counted) = (0, first);
    view.scan(&range, query.order, &mut |key, record| {
        let (id, reaction) = keys.counted(key)?;
        if id != counted && bytes >= query.max_bytes {
            return Ok(ControlFlow::Break(()));
        }
        counted = id;
        // It may be a message that has expired.
        let place = messages.binary_search_by(|listed| match query.order {
            Order::Ascending => listed.message.id.cmp(&id),
            Order::Descending => id.cmp(&listed.message.id),
        });
        if let Ok(place) = place {
            let count = record::decode_count(Bytes::copy_from_slice(record))?;
            bytes += reaction.len();
            messages[place].reaction_counts.push(ReactionCount { reaction, count });
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if query.order == Order::Descending {
        messages.iter_mut().for_each(|listed| listed.reaction_counts.reverse());
    }
    Ok(())
}

fn counts(view: &dyn View, keys: &ChannelKeys, message: MessageId) -> Result<Vec<ReactionCount>> {
    let mut counts = Vec::new();
    view.scan(&keys.counts(message), Order::Ascending, &mut |key, record| {
        let (_, reaction) = keys.counted(key)?;
        let count = record::decode_count(Bytes::copy_from_slice(record))?;
        counts.push(ReactionCount { reaction, count });
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(counts)
}

/// A message's reactions; at the limit the users whose `uid`s come last are left out.
fn reactions(view: &dyn View, keys: &ChannelKeys, message: MessageId) -> Result<Vec<Reaction>> {
    let mut reactions = Vec::new();
    let mut bytes = 0;
    view.scan(&keys.reactions(message), Order::Ascending, &mut |key, record| {
        let (uid, reaction) = keys.reaction_parts(key)?;
        let reaction = record::decode_reaction(uid, reaction, Bytes::copy_from_slice(record))?;
        bytes += reaction.size();
        reactions.push(reaction);
        Ok(match bytes < ListedMessage::MAX_REACTIONS_BYTES {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        })
    })?;
    reactions.sort_by_key(|reaction: &Reaction| reaction.id);
    Ok(reactions)
}

pub(super) fn entry(
    view: &dyn View,
    channel: &str,
    key: &str,
    now: Timestamp,
) -> Result<Option<Entry>> {
    let Some(record) = view.get(&ChannelKeys::new(channel).entry(key))? else {
        return Ok(None);
    };
    let entry = record::decode_entry(key.to_owned(), record)?;
    Ok(Some(entry).filter(|entry| entry.expires_at.is_none_or(|end| end > now)))
}

pub(super) fn entries(view: &dyn View, channel: &str, query: &EntryQuery) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    if query.limit == 0 {
        return Ok(entries);
    }
    let keys = ChannelKeys::new(channel);
    let range = keys.entries(query.after.as_deref());
    view.scan(&range, Order::Ascending, &mut |key, record| {
        if record::peek_expiry(record)?.is_none_or(|end| end > query.now) {
            let key = keys.entry_key(key)?;
            entries.push(record::decode_entry(key, Bytes::copy_from_slice(record))?);
        }
        Ok(match entries.len() < query.limit {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        })
    })?;
    Ok(entries)
}
