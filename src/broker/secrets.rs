//! Random secrets, and comparing them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::sync::Arc;

/// Random text of 128 bits, safe in URLs.
///
/// # Errors
///
/// Fails where the operating system gives no randomness.
pub(crate) fn random() -> Result<Arc<str>, aws_lc_rs::error::Unspecified> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes)?;
    let mut text = [0; 22];
    // 16 bytes are always 22 characters.
    let length = URL_SAFE_NO_PAD.encode_slice(bytes, &mut text).unwrap_or_default();
    std::str::from_utf8(&text[..length]).map(Arc::from).map_err(|_| aws_lc_rs::error::Unspecified)
}

/// Compares in time that depends on the lengths alone.
pub(crate) fn equal(one: &str, other: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}
