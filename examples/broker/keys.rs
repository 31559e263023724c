//! `--signing-key` and `--api-key`. What is wrong with one is said without showing it.

use crate::key_files;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use fanfare::{Algorithm, VerifyingKey};
use std::path::Path;

const FORM: &str = "write [KID=]ALG:BASE64 or [KID=]ALG:@FILE";

/// The parts of a `--signing-key`.
struct Parts<'a> {
    kid: Option<&'a str>,
    algorithm: Algorithm,
    /// The key itself, or `@` and the name of its file.
    key: &'a str,
}

/// Reads a `--signing-key`.
///
/// # Errors
///
/// Fails with a sentence that says what would be right.
pub(crate) fn signing_key(text: &str) -> Result<VerifyingKey, String> {
    let Parts { kid, algorithm, key } = split(text)?;
    let key = match key.strip_prefix('@') {
        Some(path) => verifying_key(algorithm, &key_files::read(Path::new(path))?),
        None => verifying_key(algorithm, key),
    }?;
    Ok(match kid {
        Some(kid) => key.with_kid(kid),
        None => key,
    })
}

/// Reads an `--api-key`.
///
/// # Errors
///
/// Fails with a sentence that says what would be right.
pub(crate) fn api_key(text: &str) -> Result<String, String> {
    let key = match text.strip_prefix('@') {
        Some(path) => key_files::read(Path::new(path))?,
        None => text.to_owned(),
    };
    // What a bearer token may consist of, RFC 6750 section 2.1.
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
    if key.is_empty() || !key.chars().all(is_allowed) {
        return Err("write letters, digits and -._~+/=, or @FILE".to_owned());
    }
    Ok(key)
}

/// A key id may contain colons and equals signs, so the algorithm is looked for.
fn split(text: &str) -> Result<Parts<'_>, String> {
    for (colon, _) in text.match_indices(':') {
        let (head, key) = (&text[..colon], &text[colon + 1..]);
        let (kid, name) = match head.rsplit_once('=') {
            Some((kid, name)) => (Some(kid), name),
            None => (None, head),
        };
        let Ok(algorithm) = name.parse() else { continue };
        return match (kid, key) {
            (_, "") => Err(format!("the key is missing; {FORM}")),
            (Some(""), _) => Err(format!("the KID is missing; {FORM}")),
            _ => Ok(Parts { kid, algorithm, key }),
        };
    }
    let names = Algorithm::ALL.map(|algorithm| algorithm.name()).join(", ");
    Err(format!("{FORM}, where ALG is one of {names}"))
}

fn verifying_key(algorithm: Algorithm, text: &str) -> Result<VerifyingKey, String> {
    let made = if algorithm.is_hmac() {
        let secret = decode(text).ok_or("the secret is no base64, standard or URL-safe")?;
        VerifyingKey::hmac(algorithm, &secret)
    } else if text.starts_with("-----BEGIN") {
        VerifyingKey::pem(algorithm, text.as_bytes())
    } else {
        let pem = decode(text).ok_or("the key is neither PEM nor base64 of it; say @FILE")?;
        VerifyingKey::pem(algorithm, &pem)
    };
    made.map_err(|error| error.to_string())
}

/// Decodes base64 of either alphabet, with its padding or without, broken into lines or not.
fn decode(text: &str) -> Option<Vec<u8>> {
    const EITHER: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let standard: String = text
        .chars()
        .filter(|c| !c.is_ascii_whitespace())
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    EITHER.decode(standard).ok().filter(|bytes| !bytes.is_empty())
}
