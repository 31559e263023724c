//! Keys: what is stored where. Keys sort as what they name does.
//!
//! | key | record |
//! | --- | --- |
//! | `c` channel `0` | the channel's head |
//! | `c` channel `1` id | a message |
//! | `c` channel `2` id uid reaction | a reaction to the message with this id |
//! | `c` channel `3` id reaction | how many users gave it |
//! | `c` channel `4` key | the first message of a deduplication key |
//! | `c` channel `5` key | an entry of the channel's storage |
//! | `d` time id | a schedule |
//! | `e` time key | nothing; the record with this key expires then |
//! | `h` time channel | nothing; to see then whether the channel can be forgotten |
//! | `m` name | one of the store's own values |
//! | `r` kind subject | a revocation |
//! | `s` id | when the schedule is due |
//! | `t` verifying key, `jti` | a token that was used |
//!
//! Times have 8 bytes and ids 16, big-endian. Text that is not last in its key is escaped: zero
//! bytes become `00 FF`, and `00 01` ends it, so that no text is a prefix of another and all sort
//! by their bytes. Text that is last is as it is.

use super::record::corrupt;
use crate::{MessageId, Result, RevokedSubject, Timestamp, TokenUse};

const CHANNEL: u8 = b'c';
const DUE: u8 = b'd';
const EXPIRY: u8 = b'e';
const CHECK: u8 = b'h';
const REVOCATION: u8 = b'r';
const SCHEDULE: u8 = b's';
const TOKEN: u8 = b't';

const HEAD: u8 = 0;
const MESSAGE: u8 = 1;
const REACTION: u8 = 2;
const COUNT: u8 = 3;
const REPEAT: u8 = 4;
const ENTRY: u8 = 5;

/// The version of the format in which the store was written.
pub(super) const FORMAT: &[u8] = b"mformat";
/// The greatest id that the store has seen.
pub(super) const HIGH_WATER: &[u8] = b"mhigh";
/// The joined marks of forgotten channels.
pub(super) const FORGOTTEN: &[u8] = b"mforgotten";

/// The range of keys from one, inclusive, to another, exclusive.
#[derive(Clone, Debug)]
pub struct KeyRange {
    /// The least key.
    pub start: Vec<u8>,
    /// Greater than all keys.
    pub end: Vec<u8>,
}

impl KeyRange {
    /// All keys that begin so. The prefix must have a byte that is not `FF`.
    fn of_prefix(prefix: Vec<u8>) -> Self {
        let mut end = prefix.clone();
        while end.last() == Some(&u8::MAX) {
            end.pop();
        }
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        Self { start: prefix, end }
    }

    /// The same without the keys that are not greater than `key`.
    fn after(mut self, key: Vec<u8>) -> Self {
        self.start = self.start.max(successor(key));
        self
    }

    /// Every key that a store can have.
    pub(super) fn everything() -> Self {
        Self { start: Vec::new(), end: vec![u8::MAX] }
    }
}

/// The least key that is greater.
fn successor(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

fn put_escaped(key: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        key.push(byte);
        if byte == 0 {
            key.push(0xFF);
        }
    }
    key.extend([0, 1]);
}

/// Splits escaped text from the front of a key.
fn take_escaped(key: &[u8]) -> Result<(String, &[u8])> {
    let mut text = Vec::new();
    let mut rest = key;
    loop {
        match rest {
            [0, 1, after @ ..] => return Ok((utf8(text)?, after)),
            [0, 0xFF, after @ ..] => {
                text.push(0);
                rest = after;
            }
            [0, ..] | [] => return Err(corrupt("a key's text does not end")),
            [byte, after @ ..] => {
                text.push(*byte);
                rest = after;
            }
        }
    }
}

fn utf8(text: impl Into<Vec<u8>>) -> Result<String> {
    String::from_utf8(text.into()).map_err(|_| corrupt("a key's text is not UTF-8"))
}

fn take<const N: usize>(key: &[u8]) -> Result<([u8; N], &[u8])> {
    let (head, rest) = key.split_first_chunk().ok_or_else(|| corrupt("a key ends early"))?;
    Ok((*head, rest))
}

fn take_time(key: &[u8]) -> Result<(Timestamp, &[u8])> {
    let (bytes, rest) = take(key)?;
    Ok((Timestamp::from_unix_millis(u64::from_be_bytes(bytes)), rest))
}

fn take_id(key: &[u8]) -> Result<(MessageId, &[u8])> {
    let (bytes, rest) = take(key)?;
    Ok((MessageId::from_u128(u128::from_be_bytes(bytes)), rest))
}

fn whole_id(key: &[u8]) -> Result<MessageId> {
    match take_id(key)? {
        (id, []) => Ok(id),
        _ => Err(corrupt("a key goes on after its id")),
    }
}

fn time_bytes(time: Timestamp) -> [u8; 8] {
    time.as_unix_millis().to_be_bytes()
}

/// The keys of one channel.
#[derive(Clone, Debug)]
pub(super) struct ChannelKeys {
    /// Before the byte that names the kind of record.
    prefix: Vec<u8>,
}

impl ChannelKeys {
    pub(super) fn new(channel: &str) -> Self {
        let mut prefix = Vec::with_capacity(channel.len() + 3 + 32);
        prefix.push(CHANNEL);
        put_escaped(&mut prefix, channel);
        Self { prefix }
    }

    fn key(&self, kind: u8, parts: &[&[u8]]) -> Vec<u8> {
        let rest: usize = parts.iter().map(|part| part.len()).sum();
        let mut key = Vec::with_capacity(self.prefix.len() + 1 + rest);
        key.extend_from_slice(&self.prefix);
        key.push(kind);
        parts.iter().for_each(|part| key.extend_from_slice(part));
        key
    }

    /// What follows the kind in a key of this channel.
    fn rest<'a>(&self, key: &'a [u8]) -> Result<&'a [u8]> {
        key.get(self.prefix.len() + 1..).ok_or_else(|| corrupt("a channel's key ends early"))
    }

    pub(super) fn head(&self) -> Vec<u8> {
        self.key(HEAD, &[])
    }

    /// All records of the channel but its head.
    pub(super) fn content(&self) -> KeyRange {
        let end = KeyRange::of_prefix(self.prefix.clone()).end;
        KeyRange { start: self.key(MESSAGE, &[]), end }
    }

    pub(super) fn message(&self, id: MessageId) -> Vec<u8> {
        self.key(MESSAGE, &[&id.as_u128().to_be_bytes()])
    }

    pub(super) fn messages(&self, from: MessageId, to: MessageId) -> KeyRange {
        KeyRange { start: self.message(from), end: successor(self.message(to)) }
    }

    pub(super) fn message_id(&self, key: &[u8]) -> Result<MessageId> {
        whole_id(self.rest(key)?)
    }

    pub(super) fn reaction(&self, message: MessageId, uid: &str, reaction: &str) -> Vec<u8> {
        let mut key = self.reactions_prefix(message, uid);
        key.extend_from_slice(reaction.as_bytes());
        key
    }

    fn reactions_prefix(&self, message: MessageId, uid: &str) -> Vec<u8> {
        let mut key = self.key(REACTION, &[&message.as_u128().to_be_bytes()]);
        put_escaped(&mut key, uid);
        key
    }

    /// One user's reactions to a message.
    pub(super) fn reactions_of(&self, message: MessageId, uid: &str) -> KeyRange {
        KeyRange::of_prefix(self.reactions_prefix(message, uid))
    }

    pub(super) fn reactions(&self, message: MessageId) -> KeyRange {
        KeyRange::of_prefix(self.key(REACTION, &[&message.as_u128().to_be_bytes()]))
    }

    /// The `uid` and the reaction that a reaction's key names.
    pub(super) fn reaction_parts(&self, key: &[u8]) -> Result<(String, String)> {
        let (_, rest) = take_id(self.rest(key)?)?;
        let (uid, reaction) = take_escaped(rest)?;
        Ok((uid, utf8(reaction)?))
    }

    pub(super) fn count(&self, message: MessageId, reaction: &str) -> Vec<u8> {
        self.key(COUNT, &[&message.as_u128().to_be_bytes(), reaction.as_bytes()])
    }

    pub(super) fn counts(&self, message: MessageId) -> KeyRange {
        KeyRange::of_prefix(self.key(COUNT, &[&message.as_u128().to_be_bytes()]))
    }

    /// The counts of all messages from one to another, both inclusive.
    pub(super) fn counts_between(&self, from: MessageId, to: MessageId) -> KeyRange {
        KeyRange { start: self.counts(from).start, end: self.counts(to).end }
    }

    /// The message and the reaction that a count's key names.
    pub(super) fn counted(&self, key: &[u8]) -> Result<(MessageId, String)> {
        let (id, reaction) = take_id(self.rest(key)?)?;
        Ok((id, utf8(reaction)?))
    }

    pub(super) fn repeat(&self, key: &str) -> Vec<u8> {
        self.key(REPEAT, &[key.as_bytes()])
    }

    pub(super) fn entry(&self, key: &str) -> Vec<u8> {
        self.key(ENTRY, &[key.as_bytes()])
    }

    pub(super) fn entries(&self, after: Option<&str>) -> KeyRange {
        let range = KeyRange::of_prefix(self.key(ENTRY, &[]));
        match after {
            Some(key) => range.after(self.entry(key)),
            None => range,
        }
    }

    pub(super) fn entry_key(&self, key: &[u8]) -> Result<String> {
        utf8(self.rest(key)?)
    }
}

/// A record that has expired, as the key in the order of expiry names it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expired {
    Message {
        channel: String,
        id: MessageId,
    },
    Entry {
        channel: String,
        key: String,
    },
    /// A record of which nothing else depends.
    Plain,
}

pub(super) fn expiry(end: Timestamp, record: &[u8]) -> Vec<u8> {
    [&[EXPIRY][..], &time_bytes(end), record].concat()
}

/// All that expires at or before a moment.
pub(super) fn expired_at(now: Timestamp) -> KeyRange {
    let end = match now.as_unix_millis().checked_add(1) {
        Some(millis) => [&[EXPIRY][..], &millis.to_be_bytes()].concat(),
        None => vec![EXPIRY + 1],
    };
    KeyRange { start: vec![EXPIRY], end }
}

/// The key of the record that expires, from its key in the order of expiry.
pub(super) fn expired_record(key: &[u8]) -> Result<&[u8]> {
    key.get(9..).ok_or_else(|| corrupt("a key in the order of expiry ends early"))
}

/// What kind of record a record's key names.
pub(super) fn expired(record: &[u8]) -> Result<Expired> {
    match record {
        [CHANNEL, rest @ ..] => match take_escaped(rest)? {
            (channel, [MESSAGE, id @ ..]) => Ok(Expired::Message { channel, id: whole_id(id)? }),
            (channel, [ENTRY, key @ ..]) => Ok(Expired::Entry { channel, key: utf8(key)? }),
            (_, [REPEAT, ..]) => Ok(Expired::Plain),
            _ => Err(corrupt("what expires of a channel is of no known kind")),
        },
        [TOKEN | REVOCATION, ..] => Ok(Expired::Plain),
        _ => Err(corrupt("what expires is of no known kind")),
    }
}

pub(super) fn check(due: Timestamp, channel: &str) -> Vec<u8> {
    [&[CHECK][..], &time_bytes(due), channel.as_bytes()].concat()
}

pub(super) fn checks_due_at(now: Timestamp) -> KeyRange {
    let end = match now.as_unix_millis().checked_add(1) {
        Some(millis) => [&[CHECK][..], &millis.to_be_bytes()].concat(),
        None => vec![CHECK + 1],
    };
    KeyRange { start: vec![CHECK], end }
}

pub(super) fn checked_channel(key: &[u8]) -> Result<String> {
    utf8(key.get(9..).ok_or_else(|| corrupt("a key in the order of checks ends early"))?)
}

pub(super) fn schedule(id: MessageId) -> Vec<u8> {
    [&[SCHEDULE][..], &id.as_u128().to_be_bytes()].concat()
}

pub(super) fn due(due: Timestamp, id: MessageId) -> Vec<u8> {
    [&[DUE][..], &time_bytes(due), &id.as_u128().to_be_bytes()].concat()
}

/// The schedules after one, up to a moment.
pub(super) fn schedules(after: Option<(Timestamp, MessageId)>, until: Timestamp) -> KeyRange {
    let range = KeyRange { start: vec![DUE], end: successor(due(until, MessageId::MAX)) };
    match after {
        Some((time, id)) => range.after(due(time, id)),
        None => range,
    }
}

pub(super) fn due_parts(key: &[u8]) -> Result<(Timestamp, MessageId)> {
    let (time, rest) = take_time(key.get(1..).unwrap_or_default())?;
    Ok((time, whole_id(rest)?))
}

pub(super) fn token(token: &TokenUse) -> Vec<u8> {
    let mut key = vec![TOKEN];
    put_escaped(&mut key, &token.key);
    key.extend_from_slice(token.jti.as_bytes());
    key
}

pub(super) fn revocation(subject: &RevokedSubject) -> Vec<u8> {
    let (kind, name) = match subject {
        RevokedSubject::Token(jti) => (b't', jti),
        RevokedSubject::User(uid) => (b'u', uid),
    };
    [&[REVOCATION, kind], name.as_bytes()].concat()
}

pub(super) fn revocations() -> KeyRange {
    KeyRange::of_prefix(vec![REVOCATION])
}

pub(super) fn revoked_subject(key: &[u8]) -> Result<RevokedSubject> {
    match key {
        [_, b't', name @ ..] => Ok(RevokedSubject::Token(utf8(name)?)),
        [_, b'u', name @ ..] => Ok(RevokedSubject::User(utf8(name)?)),
        _ => Err(corrupt("a revocation is of no known kind")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Text in which the bytes that escaping is about are frequent.
    fn text() -> impl Strategy<Value = String> {
        "[\u{0}\u{1}\u{2}a-c\u{7f}é]{0,6}"
    }

    fn escaped(text: &str) -> Vec<u8> {
        let mut key = Vec::new();
        put_escaped(&mut key, text);
        key
    }

    proptest! {
        #[test]
        fn escaping_keeps_order_and_is_undone(one in text(), other in text(), rest: Vec<u8>) {
            prop_assert_eq!(escaped(&one).cmp(&escaped(&other)), one.cmp(&other));
            let is_prefix = escaped(&other).starts_with(&escaped(&one));
            prop_assert_eq!(is_prefix, one == other);
            let key = [escaped(&one), rest.clone()].concat();
            prop_assert_eq!(take_escaped(&key).unwrap(), (one, &rest[..]));
        }

        #[test]
        fn channels_share_no_keys(one in text(), other in text(), key in text(), id: u128) {
            prop_assume!(one != other);
            let id = MessageId::from_u128(id);
            let range = ChannelKeys::new(&one).content();
            let keys = ChannelKeys::new(&other);
            for key in [
                keys.message(id),
                keys.reaction(id, &key, &one),
                keys.count(id, &key),
                keys.repeat(&key),
                keys.entry(&key),
            ] {
                prop_assert!(key < range.start || key >= range.end);
            }
        }

        #[test]
        fn keys_name_what_they_were_made_of(
            channel in text(), uid in text(), reaction in text(), id: u128, millis: u64
        ) {
            let id = MessageId::from_u128(id);
            let time = Timestamp::from_unix_millis(millis);
            let keys = ChannelKeys::new(&channel);
            prop_assert_eq!(keys.message_id(&keys.message(id)).unwrap(), id);
            let parts = keys.reaction_parts(&keys.reaction(id, &uid, &reaction)).unwrap();
            prop_assert_eq!(parts, (uid.clone(), reaction.clone()));
            let counted = keys.counted(&keys.count(id, &reaction)).unwrap();
            prop_assert_eq!(counted, (id, reaction.clone()));
            prop_assert_eq!(keys.entry_key(&keys.entry(&uid)).unwrap(), uid.clone());
            prop_assert_eq!(due_parts(&due(time, id)).unwrap(), (time, id));
            prop_assert_eq!(&checked_channel(&check(time, &channel)).unwrap(), &channel);

            let record = keys.message(id);
            let key = expiry(time, &record);
            prop_assert_eq!(expired_record(&key).unwrap(), &record[..]);
            let named = Expired::Message { channel: channel.clone(), id };
            prop_assert_eq!(expired(&record).unwrap(), named);
            let named = Expired::Entry { channel, key: uid.clone() };
            prop_assert_eq!(expired(&keys.entry(&uid)).unwrap(), named);
            let subject = RevokedSubject::User(uid);
            prop_assert_eq!(revoked_subject(&revocation(&subject)).unwrap(), subject);
        }

        #[test]
        fn any_bytes_are_taken_for_a_key(key: Vec<u8>) {
            let keys = ChannelKeys::new("room");
            let _ = (keys.message_id(&key), keys.reaction_parts(&key), keys.entry_key(&key));
            let _ = (keys.counted(&key), expired(&key), expired_record(&key));
            let _ = (due_parts(&key), checked_channel(&key), revoked_subject(&key));
        }
    }

    #[test]
    fn ranges_hold_what_they_say() {
        let end = Timestamp::from_unix_millis(500);
        let inside = |range: KeyRange, key: &[u8]| range.start[..] <= *key && *key < range.end[..];
        assert!(inside(expired_at(end), &expiry(end, &[0xFF; 40])));
        let later = Timestamp::from_unix_millis(501);
        assert!(!inside(expired_at(end), &expiry(later, &[])));
        assert!(inside(expired_at(Timestamp::MAX), &expiry(Timestamp::MAX, &[0xFF; 40])));
        assert!(!inside(expired_at(Timestamp::MAX), &check(Timestamp::EPOCH, "")));
        assert!(inside(schedules(None, end), &due(end, MessageId::MAX)));
        assert!(!inside(schedules(None, end), &due(later, MessageId::MIN)));
        let place = (end, MessageId::MIN);
        assert!(!inside(schedules(Some(place), later), &due(end, MessageId::MIN)));
        assert!(inside(schedules(Some(place), later), &due(end, MessageId::MIN.next())));
        let keys = ChannelKeys::new("room");
        assert!(inside(
            keys.messages(MessageId::MIN, MessageId::MAX),
            &keys.message(MessageId::MAX)
        ));
        assert!(!inside(keys.entries(Some("b")), &keys.entry("b")));
        assert!(inside(keys.entries(Some("b")), &keys.entry("b\0")));
        assert!(!inside(keys.content(), &keys.head()));
    }
}
