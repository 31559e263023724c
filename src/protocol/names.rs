//! Limits of names and values (protocol section 2).

use super::error::{Code, ProtocolError};

pub(crate) const MAX_CHANNEL_CHARS: usize = 256;
pub(crate) const MAX_EVENT_CHARS: usize = 128;
pub(crate) const MAX_KEY_CHARS: usize = 128;
pub(crate) const MAX_UID_CHARS: usize = 128;
pub(crate) const MAX_UMD_BYTES: usize = 1024;
pub(crate) const MAX_DATA_BYTES: usize = 32 * 1024;
/// About a hundred years, the longest finite `store`.
pub(crate) const MAX_STORE_SECONDS: i64 = 3_155_695_200;
/// The prefix that commands and the broker's own events share.
pub(crate) const RESERVED_PREFIX: &str = "hotsock.";
/// The prefix of channels whose members are told of each other (section 6.1).
pub(crate) const PRESENCE_PREFIX: &str = "presence.";

/// Checks a channel's name.
pub(crate) fn check_channel(name: &str) -> Result<(), ProtocolError> {
    let problem = if name.is_empty() {
        "must not be empty"
    } else if longer_than(name, MAX_CHANNEL_CHARS) {
        "must have at most 256 characters"
    } else if name.contains(|c: char| matches!(c, '*' | '#' | ',') || c.is_whitespace()) {
        "must not contain '*', '#', ',' or white space"
    } else {
        return Ok(());
    };
    Err(ProtocolError::new(Code::InvalidChannelName, format!("the channel name {problem}")))
}

/// Checks the name of an event that is to be published; reserved names are the caller's matter.
pub(crate) fn check_event(name: &str) -> Result<(), ProtocolError> {
    let problem = if name.is_empty() {
        "must not be empty"
    } else if longer_than(name, MAX_EVENT_CHARS) {
        "must have at most 128 characters"
    } else if name.contains('*') {
        "must not contain '*'"
    } else if name.starts_with('#') {
        "must not start with '#'"
    } else {
        return Ok(());
    };
    Err(ProtocolError::new(Code::InvalidEventName, format!("the event name {problem}")))
}

/// Checks a key of a channel's storage.
pub(crate) fn check_key(key: &str) -> Result<(), ProtocolError> {
    let problem = if key.is_empty() {
        "must not be empty"
    } else if longer_than(key, MAX_KEY_CHARS) {
        "must have at most 128 characters"
    } else if key.contains(|c: char| matches!(c, '*' | '#' | ',') || c.is_whitespace()) {
        "must not contain '*', '#', ',' or white space"
    } else {
        return Ok(());
    };
    Err(ProtocolError::new(Code::InvalidStorageKey, format!("the storage key {problem}")))
}

/// Whether a text can be a reaction.
pub(crate) fn is_reaction(text: &str) -> bool {
    (1..=100).contains(&text.len()) && !text.trim().is_empty() && !text.contains('#')
}

/// Whether a text has more than `max` characters; looks at no more than it must.
pub(crate) fn longer_than(text: &str, max: usize) -> bool {
    text.len() > max && text.chars().nth(max).is_some()
}

/// Whether subscribers of the channel are its members.
pub(crate) fn is_presence(channel: &str) -> bool {
    channel.starts_with(PRESENCE_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_2_channel_names() {
        for good in ["a", "presence.room-1", "häuser", &"x".repeat(256), &"ä".repeat(256)] {
            assert!(check_channel(good).is_ok(), "{good}");
        }
        for bad in ["", "a*", "#a", "a,b", "a b", "a\u{a0}b", "a\n", &"ä".repeat(257)] {
            assert_eq!(check_channel(bad).unwrap_err().code, Code::InvalidChannelName, "{bad}");
        }
    }

    #[test]
    fn section_2_storage_keys() {
        for good in ["k", "a.b-c", &"ä".repeat(128)] {
            assert!(check_key(good).is_ok(), "{good}");
        }
        for bad in ["", "a*", "#a", "a,b", "a b", &"ä".repeat(129)] {
            assert_eq!(check_key(bad).unwrap_err().code, Code::InvalidStorageKey, "{bad}");
        }
    }

    #[test]
    fn section_2_reactions() {
        for good in ["👍", "+1", " a ", &"r".repeat(100)] {
            assert!(is_reaction(good), "{good}");
        }
        for bad in ["", " ", "\u{a0}", "a#b", &"r".repeat(101), &"👍".repeat(26)] {
            assert!(!is_reaction(bad), "{bad}");
        }
    }

    #[test]
    fn section_2_event_names() {
        for good in ["chat", "a b", "a#b", "a,b", &"ä".repeat(128)] {
            assert!(check_event(good).is_ok(), "{good}");
        }
        for bad in ["", "a*", "#a", &"e".repeat(129)] {
            assert_eq!(check_event(bad).unwrap_err().code, Code::InvalidEventName, "{bad}");
        }
    }
}
