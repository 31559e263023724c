//! The keys: those of `--signing-key` and `--api-key`, and for what is not given the broker's own.

use crate::failure::Failure;
use crate::key_files;
use crate::options::Options;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use fanfare::{Algorithm, SigningKey, UnknownAlgorithm, VerifyingKey};
use std::path::{Path, PathBuf};

const FORM: &str = "write [KID=]ALG:BASE64 or [KID=]ALG:@FILE";

/// The keys that options give.
pub(crate) struct GivenKeys {
    verifying: Vec<VerifyingKey>,
    api: Vec<ApiKey>,
}

/// The keys that the broker works with.
pub(crate) struct Keys {
    pub(crate) verifying: Vec<VerifyingKey>,
    pub(crate) api: Vec<ApiKey>,
    /// The key of the broker's own, for the demo's tokens.
    pub(crate) signing: Option<SigningKey>,
}

pub(crate) struct ApiKey {
    pub(crate) key: String,
    /// Where it was read.
    pub(crate) file: Option<PathBuf>,
}

impl GivenKeys {
    /// # Errors
    ///
    /// Fails with a sentence that says what would be right, and does not show the key.
    pub(crate) fn read(options: &Options) -> Result<Self, Failure> {
        let wrong = |option| move |problem| Failure::Options(format!("--{option}: {problem}"));
        let verifying = options.signing_keys.iter().map(|text| verifying_key(text));
        let api = options.api_keys.iter().map(|text| api_key(text));
        Ok(Self {
            verifying: verifying.collect::<Result<_, _>>().map_err(wrong("signing-key"))?,
            api: api.collect::<Result<_, _>>().map_err(wrong("api-key"))?,
        })
    }

    /// Adds the broker's own keys, from the storage's directory, where they are needed.
    pub(crate) fn complete(self, options: &Options) -> Result<Keys, Failure> {
        let Self { mut verifying, mut api } = self;
        let directory = options.storage.directory();
        let needs_signing = verifying.is_empty() || options.demo();
        if needs_signing || api.is_empty() {
            key_files::make_directory(directory)?;
        }
        let mut signing = None;
        if needs_signing {
            let path = directory.join("signing-key");
            let secret = decode(&key_files::read_or_make(&path)?)
                .ok_or_else(|| spoiled(&path, &"it is not base64"))?;
            let own = VerifyingKey::hmac(Algorithm::HS256, &secret);
            verifying.push(own.map_err(|error| spoiled(&path, &error))?);
            let own = SigningKey::hmac(Algorithm::HS256, &secret);
            signing = Some(own.map_err(|error| spoiled(&path, &error))?);
        }
        if api.is_empty() {
            let path = directory.join("api-key");
            let key = checked_api_key(key_files::read_or_make(&path)?)
                .map_err(|problem| spoiled(&path, &problem))?;
            api.push(ApiKey { key, file: Some(path) });
        }
        Ok(Keys { verifying, api, signing })
    }
}

fn spoiled(path: &Path, problem: &dyn std::fmt::Display) -> Failure {
    Failure::Machine(format!(
        "the key file {} is spoiled: {problem}; without the file, the broker makes a new one",
        path.display()
    ))
}

fn verifying_key(text: &str) -> Result<VerifyingKey, String> {
    let Parts { kid, algorithm, key } = split(text)?;
    let key = match key.strip_prefix('@') {
        Some(path) => material(algorithm, &key_files::read(Path::new(path))?),
        None => material(algorithm, key),
    }?;
    Ok(match kid {
        Some(kid) => key.with_id(kid),
        None => key,
    })
}

fn api_key(text: &str) -> Result<ApiKey, String> {
    match text.strip_prefix('@').map(PathBuf::from) {
        Some(file) => {
            Ok(ApiKey { key: checked_api_key(key_files::read(&file)?)?, file: Some(file) })
        }
        None => Ok(ApiKey { key: checked_api_key(text.to_owned())?, file: None }),
    }
}

/// Refuses what can't be a bearer token, RFC 6750 section 2.1, and what the broker would refuse.
fn checked_api_key(key: String) -> Result<String, String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
    if key.len() < 16 || !key.chars().all(is_allowed) {
        return Err("an API key has at least 16 letters, digits and -._~+/=".to_owned());
    }
    Ok(key)
}

/// The parts of a `--signing-key`.
struct Parts<'a> {
    kid: Option<&'a str>,
    algorithm: Algorithm,
    /// The key itself, or `@` and the name of its file.
    key: &'a str,
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
    Err(format!("{FORM}; {UnknownAlgorithm}"))
}

fn material(algorithm: Algorithm, text: &str) -> Result<VerifyingKey, String> {
    let made = if matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) {
        let secret = decode(text).ok_or("the secret is no base64, standard or URL-safe")?;
        VerifyingKey::hmac(algorithm, &secret)
    } else if text.starts_with("-----BEGIN") {
        VerifyingKey::from_pem(algorithm, text.as_bytes())
    } else {
        let pem = decode(text).ok_or("the key is neither PEM nor base64 of it; say @FILE")?;
        VerifyingKey::from_pem(algorithm, &pem)
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
