//! Records: the values that are stored under the keys.
//!
//! A record begins with the version of its layout, and leaves out what its key says. Numbers are
//! big-endian; byte strings that are not last have their length before them, in seven bits a
//! byte, the lowest first and all but the last byte with the top bit set. Decoding takes any
//! bytes whatever: it fails with [`ErrorKind::Corrupt`] where they are no such record, and
//! allocates no more than the record is long.

use crate::live_count::LiveCount;
use crate::{
    Author, Entry, Error, ErrorKind, Message, MessageId, Reaction, Result, Retention, Revocation,
    RevokedSubject, Schedule, Timestamp,
};
use bytes::{Buf as _, Bytes};
use std::ops::Range;

/// The version of the layout of records that this crate writes. It reads no other.
const VERSION: u8 = 1;

pub(super) fn corrupt(message: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "decode", message)
}

#[derive(Debug)]
struct Encoder(Vec<u8>);

impl Encoder {
    fn new(capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity + 1);
        bytes.push(VERSION);
        Self(bytes)
    }

    fn time(mut self, time: Timestamp) -> Self {
        self.0.extend(time.as_unix_millis().to_be_bytes());
        self
    }

    fn number(mut self, number: u64) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn id(mut self, id: MessageId) -> Self {
        self.0.extend(id.as_u128().to_be_bytes());
        self
    }

    fn flags(mut self, flags: impl IntoIterator<Item = bool>) -> Self {
        let bits = flags.into_iter().enumerate();
        self.0.push(bits.fold(0, |sum, (bit, is_set)| sum | (u8::from(is_set) << bit)));
        self
    }

    fn string(mut self, bytes: &[u8]) -> Self {
        let mut length = bytes.len();
        while length >= 0x80 {
            self.0.push(length as u8 | 0x80);
            length >>= 7;
        }
        self.0.push(length as u8);
        self.0.extend_from_slice(bytes);
        self
    }

    /// A part that flags say is there or not.
    fn option<T>(self, part: Option<T>, encode: impl FnOnce(Self, T) -> Self) -> Self {
        match part {
            Some(part) => encode(self, part),
            None => self,
        }
    }

    fn author(self, author: Option<&Author>) -> Self {
        let uid = author.and_then(|author| author.uid.as_ref());
        let umd = author.and_then(|author| author.umd.as_ref());
        self.option(uid, |to, uid| to.string(uid.as_bytes())).option(umd, |to, umd| to.string(umd))
    }

    fn last(mut self, bytes: &[u8]) -> Vec<u8> {
        self.0.extend_from_slice(bytes);
        self.0
    }
}

/// Which parts of an author are there: the author, `uid`, `umd`.
fn author_flags(author: Option<&Author>) -> [bool; 3] {
    [
        author.is_some(),
        author.is_some_and(|author| author.uid.is_some()),
        author.is_some_and(|author| author.umd.is_some()),
    ]
}

/// Reads a record from its start. What is kept of it shares its memory; all else is looked at where
/// it lies.
struct Decoder {
    record: Bytes,
    /// How much was read.
    at: usize,
}

impl Decoder {
    fn new(record: Bytes) -> Result<Self> {
        let mut decoder = Self { record, at: 0 };
        match decoder.byte()? {
            VERSION => Ok(decoder),
            version => Err(corrupt(&format!("a record has the unknown version {version}"))),
        }
    }

    fn take(&mut self, length: usize) -> Result<Range<usize>> {
        let start = self.at;
        if length > self.record.len() - start {
            return Err(corrupt("a record ends early"));
        }
        self.at += length;
        Ok(start..self.at)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let rest = &self.record[self.at..];
        let array = *rest.first_chunk().ok_or_else(|| corrupt("a record ends early"))?;
        self.at += N;
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    fn number(&mut self) -> Result<u64> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    fn time(&mut self) -> Result<Timestamp> {
        self.number().map(Timestamp::from_unix_millis)
    }

    fn id(&mut self) -> Result<MessageId> {
        Ok(MessageId::from_u128(u128::from_be_bytes(self.array()?)))
    }

    fn flags<const N: usize>(&mut self) -> Result<[bool; N]> {
        let bits = self.byte()?;
        if N < 8 && bits >> N != 0 {
            return Err(corrupt("a record has unknown flags"));
        }
        Ok(std::array::from_fn(|bit| bits >> bit & 1 == 1))
    }

    fn string(&mut self) -> Result<Range<usize>> {
        let mut length = 0;
        for shift in (0..usize::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = usize::from(byte & 0x7F);
            if bits << shift >> shift != bits {
                break;
            }
            length |= bits << shift;
            if byte < 0x80 {
                return self.take(length);
            }
        }
        Err(corrupt("a record has a length beyond all bounds"))
    }

    fn bytes(&mut self) -> Result<Bytes> {
        let range = self.string()?;
        Ok(self.record.slice(range))
    }

    fn text(&mut self) -> Result<String> {
        let range = self.string()?;
        match std::str::from_utf8(&self.record[range]) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(corrupt("a record's text is not UTF-8")),
        }
    }

    fn option<T>(
        &mut self,
        is_there: bool,
        decode: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<Option<T>> {
        is_there.then(|| decode(self)).transpose()
    }

    fn author(&mut self, [is_there, uid, umd]: [bool; 3]) -> Result<Option<Author>> {
        if !is_there && (uid || umd) {
            return Err(corrupt("a record has the parts of an author that is not there"));
        }
        let uid = self.option(uid, Self::text)?;
        let umd = self.option(umd, Self::bytes)?;
        Ok(is_there.then_some(Author { uid, umd }))
    }

    fn last(mut self) -> Bytes {
        self.record.advance(self.at);
        self.record
    }

    /// The end of a record that ends with a part of known length.
    fn end<T>(self, record: T) -> Result<T> {
        if self.at == self.record.len() {
            Ok(record)
        } else {
            Err(corrupt("a record does not end"))
        }
    }
}

/// A stored message's record; it leaves out the id. The retention must not be
/// [`Retention::None`], which is not stored and would be read as [`Retention::Forever`].
#[must_use]
pub fn encode_message(message: &Message, retention: Retention) -> Vec<u8> {
    let Message { event, data, author, .. } = message;
    let end = match retention {
        Retention::Until(end) => Some(end),
        Retention::None | Retention::Forever => None,
    };
    let [author_there, uid, umd] = author_flags(author.as_ref());
    Encoder::new(64 + event.len() + data.len())
        .flags([end.is_some(), author_there, uid, umd])
        .option(end, Encoder::time)
        .string(event.as_bytes())
        .author(author.as_ref())
        .last(data)
}

/// Reads what [`encode_message`] wrote.
///
/// # Errors
///
/// [`ErrorKind::Corrupt`] where it is no such record.
pub fn decode_message(id: MessageId, record: Bytes) -> Result<(Message, Retention)> {
    let mut decoder = Decoder::new(record)?;
    let [expires, author, uid, umd] = decoder.flags()?;
    let end = decoder.option(expires, Decoder::time)?;
    let event = decoder.text()?;
    let author = decoder.author([author, uid, umd])?;
    let message = Message { id, event, author, data: decoder.last() };
    Ok((message, end.map_or(Retention::Forever, Retention::Until)))
}

/// When the message of a record expires, or the entry of one, without reading the rest: their
/// records begin alike.
pub(super) fn peek_expiry(record: &[u8]) -> Result<Option<Timestamp>> {
    match record {
        [VERSION, flags, rest @ ..] => match rest.first_chunk() {
            _ if flags & 1 == 0 => Ok(None),
            Some(end) => Ok(Some(Timestamp::from_unix_millis(u64::from_be_bytes(*end)))),
            None => Err(corrupt("a record ends early")),
        },
        _ => Err(corrupt("a record has no known version")),
    }
}

/// A reaction's record; it leaves out the reaction and its `uid`.
#[must_use]
pub fn encode_reaction(reaction: &Reaction) -> Vec<u8> {
    let Reaction { umd, id, created_at, context, .. } = reaction;
    Encoder::new(32 + context.len())
        .flags([umd.is_some()])
        .id(*id)
        .time(*created_at)
        .option(umd.as_ref(), |to, umd| to.string(umd))
        .last(context)
}

/// Reads what [`encode_reaction`] wrote.
///
/// # Errors
///
/// [`ErrorKind::Corrupt`] where it is no such record.
pub fn decode_reaction(uid: String, reaction: String, record: Bytes) -> Result<Reaction> {
    let mut decoder = Decoder::new(record)?;
    let [umd] = decoder.flags()?;
    let id = decoder.id()?;
    let created_at = decoder.time()?;
    let umd = decoder.option(umd, Decoder::bytes)?;
    Ok(Reaction { reaction, uid, umd, id, created_at, context: decoder.last() })
}

/// An entry's record; it leaves out the key.
#[must_use]
pub fn encode_entry(entry: &Entry) -> Vec<u8> {
    let Entry { value, author, expires_at, announce_expiry, context, .. } = entry;
    let [author_there, uid, umd] = author_flags(author.as_ref());
    Encoder::new(64 + value.len() + context.len())
        .flags([expires_at.is_some(), author_there, uid, umd, *announce_expiry])
        .option(*expires_at, Encoder::time)
        .author(author.as_ref())
        .string(context)
        .last(value)
}

/// Reads what [`encode_entry`] wrote.
///
/// # Errors
///
/// [`ErrorKind::Corrupt`] where it is no such record.
pub fn decode_entry(key: String, record: Bytes) -> Result<Entry> {
    let mut decoder = Decoder::new(record)?;
    let [expires, author, uid, umd, announce_expiry] = decoder.flags()?;
    let expires_at = decoder.option(expires, Decoder::time)?;
    let author = decoder.author([author, uid, umd])?;
    let context = decoder.bytes()?;
    Ok(Entry { key, value: decoder.last(), author, expires_at, announce_expiry, context })
}

/// A schedule's record; it leaves out the id and the time.
#[must_use]
pub fn encode_schedule(schedule: &Schedule) -> Vec<u8> {
    Encoder::new(8 + schedule.channel.len() + schedule.payload.len())
        .string(schedule.channel.as_bytes())
        .last(&schedule.payload)
}

/// Reads what [`encode_schedule`] wrote.
///
/// # Errors
///
/// [`ErrorKind::Corrupt`] where it is no such record.
pub fn decode_schedule(due: Timestamp, id: MessageId, record: Bytes) -> Result<Schedule> {
    let mut decoder = Decoder::new(record)?;
    let channel = decoder.text()?;
    Ok(Schedule { id, due, channel, payload: decoder.last() })
}

/// A revocation's record; it leaves out the subject.
#[must_use]
pub fn encode_revocation(revocation: &Revocation) -> Vec<u8> {
    Encoder::new(17)
        .flags([revocation.expires_at.is_some()])
        .time(revocation.issued_before)
        .option(revocation.expires_at, Encoder::time)
        .last(&[])
}

/// Reads what [`encode_revocation`] wrote.
///
/// # Errors
///
/// [`ErrorKind::Corrupt`] where it is no such record.
pub fn decode_revocation(subject: RevokedSubject, record: Bytes) -> Result<Revocation> {
    let mut decoder = Decoder::new(record)?;
    let [expires] = decoder.flags()?;
    let issued_before = decoder.time()?;
    let expires_at = decoder.option(expires, Decoder::time)?;
    decoder.end(Revocation { subject, issued_before, expires_at })
}

/// The first message of a deduplication key, and until when the key is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repeat {
    pub(super) first: MessageId,
    pub(super) until: Timestamp,
}

pub(super) fn encode_repeat(repeat: Repeat) -> Vec<u8> {
    Encoder::new(24).id(repeat.first).time(repeat.until).last(&[])
}

pub(super) fn decode_repeat(record: Bytes) -> Result<Repeat> {
    let mut decoder = Decoder::new(record)?;
    let repeat = Repeat { first: decoder.id()?, until: decoder.time()? };
    decoder.end(repeat)
}

/// What must be known of a channel, or of all forgotten ones, when nothing else is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// An id that the channel had. There is none greater, but for those of stored messages.
    pub(super) newest: Option<MessageId>,
    /// Of the messages removed, none had a greater id.
    pub(super) gone: Option<MessageId>,
}

/// The record that every channel has that was written to and not forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) marks: Marks,
    pub(super) entries: LiveCount,
}

pub(super) fn encode_head(head: &Head) -> Vec<u8> {
    let Head { marks: Marks { newest, gone }, entries } = head;
    let [live, counted_at, next_expiry] = entries.to_parts();
    Encoder::new(57)
        .flags([newest.is_some(), gone.is_some()])
        .option(*newest, Encoder::id)
        .option(*gone, Encoder::id)
        .number(live)
        .number(counted_at)
        .number(next_expiry)
        .last(&[])
}

pub(super) fn decode_head(record: Bytes) -> Result<Head> {
    let mut decoder = Decoder::new(record)?;
    let [newest, gone] = decoder.flags()?;
    let newest = decoder.option(newest, Decoder::id)?;
    let gone = decoder.option(gone, Decoder::id)?;
    let parts = [decoder.number()?, decoder.number()?, decoder.number()?];
    let entries = LiveCount::from_parts(parts);
    decoder.end(Head { marks: Marks { newest, gone }, entries })
}

pub(super) fn encode_time(time: Timestamp) -> Vec<u8> {
    Encoder::new(8).time(time).last(&[])
}

pub(super) fn decode_time(record: Bytes) -> Result<Timestamp> {
    let mut decoder = Decoder::new(record)?;
    let time = decoder.time()?;
    decoder.end(time)
}

pub(super) fn encode_id(id: MessageId) -> Vec<u8> {
    Encoder::new(16).id(id).last(&[])
}

pub(super) fn decode_id(record: Bytes) -> Result<MessageId> {
    let mut decoder = Decoder::new(record)?;
    let id = decoder.id()?;
    decoder.end(id)
}

pub(super) fn encode_count(count: u64) -> Vec<u8> {
    Encoder::new(8).number(count).last(&[])
}

pub(super) fn decode_count(record: Bytes) -> Result<u64> {
    let mut decoder = Decoder::new(record)?;
    let count = decoder.number()?;
    decoder.end(count)
}

#[cfg(test)]
mod tests;
