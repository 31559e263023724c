//! Changes of a channel's storage that were put off (protocol section 7.3).

use crate::protocol::json;
use bytes::Bytes;
use fanfare_storage::{Author, Retention, SetEntry};

/// How many keys a channel's storage may have.
const MAX_KEYS: usize = 10_000;

/// Appends what observers are told of a change.
pub(super) fn updated(
    out: &mut Vec<u8>,
    channel: &str,
    key: &str,
    value: Option<&str>,
    meta: &[u8],
) {
    out.extend_from_slice(br#"{"event":"hotsock.channelStorageUpdated","channel":"#);
    json::string(out, channel);
    out.extend_from_slice(br#","key":"#);
    json::string(out, key);
    out.extend_from_slice(br#","data":"#);
    out.extend_from_slice(value.unwrap_or("null").as_bytes());
    out.extend_from_slice(br#","meta":"#);
    out.extend_from_slice(meta);
    out.push(b'}');
}

pub(super) fn set(
    key: String,
    value: Option<String>,
    author: Option<Author>,
    retention: Retention,
    emit: bool,
) -> SetEntry {
    SetEntry {
        key,
        value: value.map(Bytes::from),
        author,
        expires_at: match retention {
            Retention::Until(end) => Some(end),
            // Values can't be kept for no time at all (section 2).
            Retention::Forever | Retention::None => None,
        },
        announce_expiry: emit,
        context: Bytes::new(),
        max_keys: MAX_KEYS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_7_3_observers_are_told_the_value_as_it_was_written() {
        let text = |value| {
            let mut out = Vec::new();
            updated(&mut out, "a\"b", "k", value, br#"{"uid":null,"umd":null}"#);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            text(Some("[ 1.50 ]")),
            r#"{"event":"hotsock.channelStorageUpdated","channel":"a\"b","key":"k","data":[ 1.50 ],"meta":{"uid":null,"umd":null}}"#
        );
        assert!(text(None).contains(r#""data":null"#));
    }
}
