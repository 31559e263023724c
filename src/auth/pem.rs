//! Text encodings of keys (RFC 7468).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The label and the bytes of the first block of a PEM text, or `None` where there is none.
pub(super) fn first_block(pem: &[u8]) -> Option<(&str, Vec<u8>)> {
    let text = std::str::from_utf8(pem).ok()?;
    let (_, after_begin) = text.split_once("-----BEGIN ")?;
    let (label, body) = after_begin.split_once("-----")?;
    let (body, _) = body.split_once("-----END ")?;
    let body: String = body.split_whitespace().collect();
    Some((label, STANDARD.decode(body).ok()?))
}
