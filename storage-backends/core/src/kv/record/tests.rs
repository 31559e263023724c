use super::*;
use proptest::prelude::*;

fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        9 => prop::collection::vec(any::<u8>(), 0..20),
        1 => prop::collection::vec(any::<u8>(), 100..40_000),
    ]
    .prop_map(Bytes::from)
}

fn time() -> impl Strategy<Value = Timestamp> {
    any::<u64>().prop_map(Timestamp::from_unix_millis)
}

fn id() -> impl Strategy<Value = MessageId> {
    any::<u128>().prop_map(MessageId::from_u128)
}

fn author() -> impl Strategy<Value = Option<Author>> {
    let author = (any::<Option<String>>(), prop::option::of(bytes()));
    prop::option::of(author.prop_map(|(uid, umd)| Author { uid, umd }))
}

fn message() -> impl Strategy<Value = (Message, Retention)> {
    let end = prop_oneof![Just(Retention::Forever), time().prop_map(Retention::Until)];
    (id(), any::<String>(), bytes(), author(), end)
        .prop_map(|(id, event, data, author, end)| (Message { id, event, data, author }, end))
}

fn reaction() -> impl Strategy<Value = Reaction> {
    (any::<(String, String)>(), prop::option::of(bytes()), id(), time(), bytes()).prop_map(
        |((reaction, uid), umd, id, created_at, context)| Reaction {
            reaction,
            uid,
            umd,
            id,
            created_at,
            context,
        },
    )
}

fn entry() -> impl Strategy<Value = Entry> {
    (any::<(String, bool)>(), bytes(), author(), prop::option::of(time()), bytes()).prop_map(
        |((key, announce_expiry), value, author, expires_at, context)| Entry {
            key,
            value,
            author,
            expires_at,
            announce_expiry,
            context,
        },
    )
}

fn is_corrupt<T>(result: Result<T>) -> bool {
    result.is_err_and(|error| error.kind() == ErrorKind::Corrupt)
}

/// Decodes bytes as every kind of record.
fn decode_as_everything(record: &Bytes) -> [bool; 11] {
    let (id, time) = (MessageId::MIN, Timestamp::EPOCH);
    let record = || record.clone();
    [
        decode_message(id, record()).is_ok(),
        decode_reaction(String::new(), String::new(), record()).is_ok(),
        decode_entry(String::new(), record()).is_ok(),
        decode_schedule(time, id, record()).is_ok(),
        decode_revocation(RevokedSubject::User(String::new()), record()).is_ok(),
        decode_repeat(record()).is_ok(),
        decode_head(record()).is_ok(),
        decode_time(record()).is_ok(),
        decode_id(record()).is_ok(),
        decode_count(record()).is_ok(),
        peek_expiry(&record()).is_ok(),
    ]
}

proptest! {
    #[test]
    fn messages_come_back((message, retention) in message()) {
        let record = Bytes::from(encode_message(&message, retention));
        let end = match retention {
            Retention::Until(end) => Some(end),
            _ => None,
        };
        prop_assert_eq!(peek_expiry(&record).unwrap(), end);
        prop_assert_eq!(decode_message(message.id, record).unwrap(), (message, retention));
    }

    #[test]
    fn reactions_come_back(reaction in reaction()) {
        let record = Bytes::from(encode_reaction(&reaction));
        let (uid, name) = (reaction.uid.clone(), reaction.reaction.clone());
        prop_assert_eq!(decode_reaction(uid, name, record).unwrap(), reaction);
    }

    #[test]
    fn entries_come_back(entry in entry()) {
        let record = Bytes::from(encode_entry(&entry));
        prop_assert_eq!(peek_expiry(&record).unwrap(), entry.expires_at);
        prop_assert_eq!(decode_entry(entry.key.clone(), record).unwrap(), entry);
    }

    #[test]
    fn schedules_come_back(id in id(), due in time(), channel: String, payload in bytes()) {
        let schedule = Schedule { id, due, channel, payload };
        let record = Bytes::from(encode_schedule(&schedule));
        prop_assert_eq!(decode_schedule(due, id, record).unwrap(), schedule);
    }

    #[test]
    fn small_records_come_back(
        id in id(), time in time(), end in prop::option::of(time()), count: u64,
        newest in prop::option::of(id()), gone in prop::option::of(id()), parts: [u64; 3],
    ) {
        let subject = RevokedSubject::Token("jti".to_owned());
        let revocation = Revocation { subject, issued_before: time, expires_at: end };
        let record = Bytes::from(encode_revocation(&revocation));
        let decoded = decode_revocation(revocation.subject.clone(), record).unwrap();
        prop_assert_eq!(decoded, revocation);
        let repeat = Repeat { first: id, until: time };
        prop_assert_eq!(decode_repeat(encode_repeat(repeat).into()).unwrap(), repeat);
        let marks = Marks { newest, gone };
        let head = Head { marks, entries: LiveCount::from_parts(parts) };
        prop_assert_eq!(decode_head(encode_head(&head).into()).unwrap(), head);
        prop_assert_eq!(decode_time(encode_time(time).into()).unwrap(), time);
        prop_assert_eq!(decode_id(encode_id(id).into()).unwrap(), id);
        prop_assert_eq!(decode_count(encode_count(count).into()).unwrap(), count);
    }

    #[test]
    fn any_bytes_are_taken_for_a_record(
        bytes: Vec<u8>, flags in 0..32u8, rest: Vec<u8>, version: u8
    ) {
        decode_as_everything(&bytes.into());
        let likely = [&[VERSION, flags][..], &rest].concat();
        decode_as_everything(&likely.into());
        let other = [&[version, flags][..], &rest].concat();
        if version != VERSION {
            prop_assert_eq!(decode_as_everything(&other.into()), [false; 11]);
        }
    }

    #[test]
    fn a_record_cut_short_is_no_other((message, retention) in message(), cut: prop::sample::Index) {
        let record = Bytes::from(encode_message(&message, retention));
        let cut = cut.index(record.len());
        match decode_message(message.id, record.slice(..cut)) {
            // What is last has no length of its own; its record's end is its end.
            Ok((read, _)) => prop_assert!(message.data.starts_with(&read.data)),
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Corrupt),
        }
    }
}

#[test]
fn absurd_lengths_are_refused() {
    for length in [&[0xFF; 9][..], &[0xFF; 12], &[0x80; 10], &[0xFF, 0xFF, 0xFF, 0xFF, 0x7F]] {
        let record = [&[VERSION, 0][..], length].concat();
        assert!(is_corrupt(decode_message(MessageId::MIN, record.into())), "{length:?}");
    }
}

#[test]
fn the_layout_stays() {
    let message = Message {
        id: MessageId::MAX,
        event: "chat".to_owned(),
        data: Bytes::from_static(b"[1]"),
        author: Some(Author { uid: Some("jim".to_owned()), umd: None }),
    };
    let until = Retention::Until(Timestamp::from_unix_millis(258));
    let record = encode_message(&message, until);
    assert_eq!(record, b"\x01\x07\0\0\0\0\0\0\x01\x02\x04chat\x03jim[1]");
    let entry = Entry {
        key: "key".to_owned(),
        value: Bytes::from_static(b"{}"),
        author: None,
        expires_at: None,
        announce_expiry: true,
        context: Bytes::from(vec![b'c'; 130]),
    };
    let mut expected = b"\x01\x10\x82\x01".to_vec();
    expected.extend([b'c'; 130]);
    expected.extend(b"{}");
    assert_eq!(encode_entry(&entry), expected, "a change needs a new format version");
}
