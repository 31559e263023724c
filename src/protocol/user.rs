//! A user as a host names it: the id and the metadata (protocol section 2).

use super::error::{Code, ProtocolError};
use super::{json, names};
use bytes::Bytes;

/// Checks a user's id.
pub(crate) fn check_uid(uid: &str) -> Result<(), ProtocolError> {
    if uid.is_empty() || names::longer_than(uid, names::MAX_UID_CHARS) {
        let message = "a uid must have 1 to 128 characters";
        return Err(ProtocolError::new(Code::InvalidMessage, message));
    }
    Ok(())
}

/// Checks metadata, JSON text, and leaves out the white space around it; a null is none.
pub(crate) fn checked_umd(text: String) -> Result<Option<Bytes>, ProtocolError> {
    let text = json::checked(text)?;
    if text.len() > names::MAX_UMD_BYTES {
        let message = "umd must have at most 1,024 bytes of JSON";
        return Err(ProtocolError::new(Code::InvalidMessage, message));
    }
    Ok((text != "null").then(|| text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_2_ids_of_users() {
        for good in ["j", &"ä".repeat(128)] {
            assert!(check_uid(good).is_ok(), "{good}");
        }
        for bad in ["", &"j".repeat(129)] {
            assert_eq!(check_uid(bad).unwrap_err().code, Code::InvalidMessage, "{bad}");
        }
    }

    #[test]
    fn section_2_metadata() {
        let umd = |text: &str| checked_umd(text.to_owned()).unwrap();
        assert_eq!(umd(" {\"a\" : 1.50}\n").unwrap(), r#"{"a" : 1.50}"#);
        assert_eq!(umd(" null "), None);
        assert!(umd(&format!("{:1025}", 1)).is_some(), "white space around it does not count");
        for bad in ["", "{", "1 2", &format!("\"{}\"", "x".repeat(1023))] {
            assert!(checked_umd(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
