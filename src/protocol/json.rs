//! Writing JSON by hand where its shape is fixed.

use fanfare_storage::Timestamp;

/// Appends a string with its quotes.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    // Writing to memory can't fail, and a string is always representable.
    let _ = serde_json::to_writer(out, text);
}

/// Appends a string, or null.
pub(crate) fn optional_string(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => string(out, text),
        None => out.extend_from_slice(b"null"),
    }
}

/// Appends `{"uid":…,"umd":…}`, with null for what is not there.
pub(crate) fn meta(out: &mut Vec<u8>, uid: Option<&str>, umd: Option<&[u8]>) {
    out.extend_from_slice(br#"{"uid":"#);
    optional_string(out, uid);
    out.extend_from_slice(br#","umd":"#);
    out.extend_from_slice(umd.unwrap_or(b"null"));
    out.push(b'}');
}

pub(crate) fn rfc_3339(time: Timestamp) -> String {
    let millis = i64::try_from(time.as_unix_millis()).ok();
    let time = millis.and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    time.unwrap_or(jiff::Timestamp::MAX).strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}
