//! How a value of a channel's storage shows (protocol section 7.3).

use super::json;
use fanfare_storage::Author;

/// A value and who wrote it; JSON texts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryText<'a> {
    pub(crate) key: &'a str,
    /// `None` where there is none.
    pub(crate) value: Option<&'a [u8]>,
    /// `{"uid":…,"umd":…}`; `None` where nobody wrote it.
    pub(crate) meta: Option<&'a [u8]>,
}

impl EntryText<'_> {
    /// What observers are told of a change.
    pub(crate) fn write_updated(self, out: &mut Vec<u8>, channel: &str) {
        self.write_event(out, "hotsock.channelStorageUpdated", channel);
    }

    /// What who asks for the value is told.
    pub(crate) fn write_data(self, out: &mut Vec<u8>, channel: &str) {
        self.write_event(out, "hotsock.channelStorageData", channel);
    }

    fn write_event(self, out: &mut Vec<u8>, event: &str, channel: &str) {
        out.extend_from_slice(br#"{"event":""#);
        out.extend_from_slice(event.as_bytes());
        out.extend_from_slice(br#"","channel":"#);
        json::string(out, channel);
        out.push(b',');
        self.write_fields(out);
        out.push(b'}');
    }

    /// As an element of a list.
    pub(crate) fn write_item(self, out: &mut Vec<u8>) {
        out.push(b'{');
        self.write_fields(out);
        out.push(b'}');
    }

    fn write_fields(self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#""key":"#);
        json::string(out, self.key);
        out.extend_from_slice(br#","data":"#);
        out.extend_from_slice(self.value.unwrap_or(b"null"));
        out.extend_from_slice(br#","meta":"#);
        out.extend_from_slice(self.meta.unwrap_or(b"null"));
    }
}

/// The `meta` of what somebody wrote, or the server (`None`).
pub(crate) fn meta(author: Option<&Author>) -> Vec<u8> {
    let uid = author.and_then(|author| author.uid.as_deref());
    let umd = author.and_then(|author| author.umd.as_deref());
    let mut meta = Vec::with_capacity(64);
    json::meta(&mut meta, uid, umd);
    meta
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_7_3_observers_are_told_the_value_as_it_was_written() {
        let text = |value| {
            let mut out = Vec::new();
            let entry = EntryText { key: "k", value, meta: Some(&meta(None)) };
            entry.write_updated(&mut out, "a\"b");
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            text(Some(b"[ 1.50 ]")),
            r#"{"event":"hotsock.channelStorageUpdated","channel":"a\"b","key":"k","data":[ 1.50 ],"meta":{"uid":null,"umd":null}}"#
        );
        assert!(text(None).contains(r#""data":null"#));
    }
}
