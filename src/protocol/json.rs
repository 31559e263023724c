//! JSON as text: what others wrote, and what is written by hand where its shape is fixed.

use super::error::{Code, ProtocolError};
use fanfare_storage::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

/// What serialises to JSON, as text.
pub(crate) fn text(value: &(impl Serialize + ?Sized)) -> Result<String, ProtocolError> {
    serde_json::to_string(value).map_err(|error| no_json(&error))
}

/// JSON text that somebody wrote, as it is, but for white space around it.
pub(crate) fn checked(text: String) -> Result<String, ProtocolError> {
    let raw = RawValue::from_string(text).map_err(|error| no_json(&error))?;
    Ok(Box::<str>::from(raw).into_string())
}

fn no_json(error: &serde_json::Error) -> ProtocolError {
    ProtocolError::new(Code::InvalidMessage, format!("what should be JSON is none: {error}"))
}

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
