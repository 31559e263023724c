//! What signs deliveries.

use aws_lc_rs::hmac;
use std::fmt::Write as _;

/// Shorter ones could be guessed from one signature.
pub(super) const MIN_BYTES: usize = 32;

// No `Debug`.
pub(super) struct Secret(hmac::Key);

impl Secret {
    /// Takes the text as it is. `None` where it is too short.
    pub(super) fn new(text: &str) -> Option<Self> {
        let is_long_enough = text.len() >= MIN_BYTES;
        is_long_enough.then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes())))
    }

    /// The value of `Fanfare-Signature` for a body that is sent at so many seconds of Unix time.
    pub(super) fn signature(&self, seconds: u64, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(format!("{seconds}.").as_bytes());
        context.update(body);
        let mut value = format!("t={seconds},v1=");
        for byte in context.sign().as_ref() {
            // Writing to a string can't fail.
            let _ = write!(value, "{byte:02x}");
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `printf '1700000000.{}' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef`
    /// says.
    #[test]
    fn the_signature_is_hmac_sha256_of_time_and_body() {
        let secret = Secret::new("0123456789abcdef0123456789abcdef").unwrap();
        assert_eq!(
            secret.signature(1_700_000_000, b"{}"),
            "t=1700000000,v1=417adf36b901772f658597a76d329694e335e65fc0849d7715c3ca33406309b5"
        );
    }

    #[test]
    fn short_secrets_are_refused() {
        assert!(Secret::new(&"x".repeat(31)).is_none());
        assert!(Secret::new(&"x".repeat(32)).is_some());
    }
}
