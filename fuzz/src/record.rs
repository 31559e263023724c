//! What a backend finds in its store: records by themselves, and a whole store in which one of
//! them is not what was written. The first byte says which:
//!
//! | byte | the rest is |
//! | --- | --- |
//! | `m`, `r`, `e`, `s`, `v` | the record of a message, reaction, entry, schedule, revocation |
//! | `=` | the number of a record of the store, one byte, and what it is changed to |
//! | `+` | a key, after its length, one byte, and a record to be added under it |

use super::stored_map::{Map, StoredMap};
use bytes::Bytes;
use fanfare_storage::kv::record::{
    decode_entry, decode_message, decode_reaction, decode_revocation, decode_schedule,
    encode_entry, encode_message, encode_reaction, encode_revocation, encode_schedule,
};
use fanfare_storage::{
    AddReaction, Author, Deduplication, EntryQuery, ErrorKind, Item, Message, MessageId,
    MessageQuery, Order, Publish, Reaction, ReactionDetail, RemoveReaction, Result, Retention,
    Revocation, RevokedSubject, Schedule, ScheduleQuery, SetEntry, Storage, Timestamp, TokenUse,
    Write,
};
use std::sync::LazyLock;
use std::time::Duration;

/// Reads `input` as what its first byte says.
pub fn run(input: &[u8]) {
    let Some((kind, rest)) = input.split_first() else { return };
    match kind {
        b'=' => {
            let Some((number, record)) = rest.split_first() else { return };
            let key = STORE.keys().nth(usize::from(*number) % STORE.len()).unwrap();
            use_store_with(key.clone(), record.to_vec());
        }
        b'+' => {
            let Some((length, rest)) = rest.split_first() else { return };
            let Some((key, record)) = rest.split_at_checked((*length).into()) else { return };
            // The end of all keys that engines are asked for.
            if key < [u8::MAX].as_slice() {
                use_store_with(key.to_vec(), record.to_vec());
            }
        }
        kind => decode(*kind, &Bytes::copy_from_slice(rest)),
    }
}

/// Whatever can be decoded is the same after it was encoded and decoded again.
fn decode(kind: u8, record: &Bytes) {
    fn check<T: PartialEq + std::fmt::Debug>(
        record: &Bytes,
        decode: impl Fn(Bytes) -> Result<T>,
        encode: impl Fn(&T) -> Vec<u8>,
    ) {
        if let Some(decoded) = unless_corrupt(decode(record.clone())) {
            let encoded = encode(&decoded);
            assert!(encoded.len() <= record.len(), "what is written is the shortest form");
            assert_eq!(decode(encoded.into()).unwrap(), decoded);
        }
    }
    let (name, other) = (|| "name".to_owned(), || "other".to_owned());
    let user = || RevokedSubject::User(name());
    match kind {
        b'm' => check(record, |r| decode_message(id(1), r), |(m, until)| encode_message(m, *until)),
        b'r' => check(record, |r| decode_reaction(name(), other(), r), encode_reaction),
        b'e' => check(record, |r| decode_entry(name(), r), encode_entry),
        b's' => check(record, |r| decode_schedule(START, id(1), r), encode_schedule),
        b'v' => check(record, |r| decode_revocation(user(), r), encode_revocation),
        _ => {}
    }
}

/// A damaged record is an error that says so, and nothing else: a panic on a thread of the
/// storage's would show as another kind.
fn unless_corrupt<T>(result: Result<T>) -> Option<T> {
    result.map_err(|error| assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}")).ok()
}

fn use_store_with(key: Vec<u8>, record: Vec<u8>) {
    let mut map = STORE.clone();
    map.insert(key, record);
    let runtime = runtime();
    match StoredMap::of(map).storage() {
        Ok(storage) => runtime.block_on(use_everything(&storage)),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Format, "{error}"),
    }
}

const CHANNEL: &str = "c";
const START: Timestamp = Timestamp::from_unix_seconds(1_700_000_000);
const SOON: Duration = Duration::from_secs(60);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

fn id(number: u64) -> MessageId {
    MessageId::from_parts(START + Duration::from_millis(number), u128::from(number))
}

/// A store that has something of every kind.
static STORE: LazyLock<Map> = LazyLock::new(|| {
    let map = StoredMap::default();
    runtime().block_on(async {
        let storage = map.storage().unwrap();
        for (number, channel) in [(1, CHANNEL), (2, "\0other")] {
            storage.commit(channel, writes(10 * number), START).await.unwrap();
        }
        // A channel that is forgotten.
        let fleeting = publish(id(1), Retention::Until(START + SOON));
        storage.commit("gone", vec![fleeting], START).await.unwrap();
        use_tables(&storage).await;
        storage.sweep(START + 2 * SOON, 100).await.unwrap();
        storage.close().await.unwrap();
    });
    map.content()
});

/// One write of each kind, with ids from `first` on.
fn writes(first: u64) -> Vec<Item> {
    let schedule = |number| Schedule {
        id: id(number),
        due: START + SOON,
        channel: CHANNEL.to_owned(),
        payload: Bytes::from_static(b"payload"),
    };
    let entry = |key: &str, expires_at| SetEntry {
        id: id(first),
        key: key.to_owned(),
        value: Some(Bytes::from_static(br#"{"a":1.50}"#)),
        author: author(),
        expires_at,
        announce_expiry: true,
        context: Bytes::from_static(b"context"),
        max_keys: 3,
    };
    let reaction = Reaction {
        reaction: "👍".to_owned(),
        uid: "pam".to_owned(),
        umd: Some(Bytes::from_static(b"1")),
        id: id(first + 2),
        created_at: START,
        context: Bytes::from_static(b"context"),
    };
    let (message, max_per_message, max_per_user) = (id(first), 2, 2);
    let add = |reaction| AddReaction { message, reaction, max_per_message, max_per_user };
    let other = Reaction { reaction: "other".to_owned(), id: id(first + 3), ..reaction.clone() };
    let removal = RemoveReaction {
        message,
        reaction: other.reaction.clone(),
        uid: other.uid.clone(),
        id: id(first + 4),
    };
    let mut items = vec![
        publish(message, Retention::Forever),
        publish(id(first + 1), Retention::Until(START + SOON)),
        Write::AddReaction(add(reaction)).into(),
        Write::AddReaction(add(other)).into(),
        Write::RemoveReaction(removal).into(),
        Write::SetEntry(entry("kept", None)).into(),
        Write::SetEntry(entry("fleeting", Some(START + SOON))).into(),
        Write::AddSchedule(schedule(first + 5)).into(),
        Write::AddSchedule(schedule(first + 6)).into(),
        publish(id(first + 7), Retention::Forever),
    ];
    items.last_mut().unwrap().fulfils = Some(id(first + 6));
    items
}

fn publish(id: MessageId, retention: Retention) -> Item {
    let message = Message {
        id,
        event: "chat".to_owned(),
        data: Bytes::from_static(b"\"hello\""),
        author: author(),
    };
    let deduplication =
        Some(Deduplication { key: id.to_string(), until: START + Duration::from_secs(300) });
    Write::Publish(Publish { message, retention, deduplication }).into()
}

fn author() -> Option<Author> {
    Some(Author { uid: Some("jim".to_owned()), umd: Some(Bytes::from_static(b"{}")) })
}

/// Calls everything, on what is there and on what is not.
async fn use_everything(storage: &dyn Storage) {
    for channel in [CHANNEL, "gone", "new"] {
        read(storage, channel).await;
    }
    use_tables(storage).await;
    for channel in [CHANNEL, "gone", "new"] {
        unless_corrupt(storage.commit(channel, writes(20), START).await);
    }
    for now in [START, START + 2 * SOON, Timestamp::MAX] {
        for _ in 0..2 {
            unless_corrupt(storage.sweep(now, 3).await);
        }
        read(storage, CHANNEL).await;
    }
    unless_corrupt(storage.check().await);
    unless_corrupt(storage.close().await);
}

async fn read(storage: &dyn Storage, channel: &str) {
    for (order, reactions) in
        [(Order::Ascending, ReactionDetail::All), (Order::Descending, ReactionDetail::Counts)]
    {
        let query = MessageQuery {
            from: MessageId::MIN,
            to: MessageId::MAX,
            order,
            max_messages: 3,
            max_bytes: 1 << 20,
            reactions,
            now: START,
        };
        unless_corrupt(storage.messages(channel, query).await);
    }
    unless_corrupt(storage.message(channel, id(10), START).await);
    unless_corrupt(storage.entry(channel, "kept", START).await);
    let query = EntryQuery { after: None, limit: 10, now: START };
    unless_corrupt(storage.entries(channel, query).await);
}

async fn use_tables(storage: &dyn Storage) {
    let token = TokenUse {
        key: "key".to_owned(),
        jti: "jti".to_owned(),
        expires_at: START + Duration::from_secs(300),
    };
    unless_corrupt(storage.is_token_spent(&token, START).await);
    unless_corrupt(storage.spend_token(token, START).await);
    for subject in [RevokedSubject::User("jim".to_owned()), RevokedSubject::Token("jti".to_owned())]
    {
        let revocation = Revocation {
            subject,
            issued_before: START,
            expires_at: Some(START + Duration::from_secs(300)),
        };
        unless_corrupt(storage.revoke(revocation).await);
    }
    unless_corrupt(storage.revocations(START).await);
    let query = ScheduleQuery { after: None, until: Timestamp::MAX, limit: 10 };
    unless_corrupt(storage.schedules(query).await);
    unless_corrupt(storage.cancel_schedule(id(15)).await);
    unless_corrupt(storage.high_water().await);
    unless_corrupt(storage.raise_high_water(id(100)).await);
}
