//! Keys that verify tokens.

use super::algorithm::{Algorithm, Kind};
use super::pem;
use super::signing::SigningKey;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, ParsedPublicKey};
use aws_lc_rs::{hmac, rsa};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;
use std::sync::Arc;

/// A key that tokens are verified with. It has exactly one algorithm, which a token's `alg` must
/// equal; a key with an id verifies only tokens of that `kid`, one without an id any (protocol
/// section 3).
///
/// ```
/// use fanfare::{Algorithm, VerifyingKey};
///
/// let key = VerifyingKey::hmac(Algorithm::HS256, b"a secret of at least 32 bytes...")?
///     .with_id("2026-01");
/// assert_eq!(key.algorithm(), Algorithm::HS256);
/// # Ok::<(), fanfare::KeyError>(())
/// ```
#[derive(Clone)]
pub struct VerifyingKey {
    algorithm: Algorithm,
    id: Option<Arc<str>>,
    material: Material,
    fingerprint: Arc<str>,
}

#[derive(Clone)]
enum Material {
    Hmac(Arc<hmac::Key>),
    Public(Arc<ParsedPublicKey>),
}

/// Why something is no key. No message shows any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The algorithm takes another kind of key.
    #[error("{0} takes no secret but a key pair; give its public key as PEM")]
    NotHmac(Algorithm),
    /// The algorithm takes another kind of key.
    #[error("{0} takes a secret, not a PEM file")]
    NotPublicKey(Algorithm),
    /// RFC 7518 section 3.2: the secret must be as long as the hash.
    #[error("a secret for {algorithm} must have at least {bytes} bytes")]
    ShortSecret {
        /// The algorithm.
        algorithm: Algorithm,
        /// The bytes needed.
        bytes: usize,
    },
    /// The text holds no PEM block with valid base64.
    #[error("the key must be PEM text (-----BEGIN PUBLIC KEY-----)")]
    NotPem,
    /// The PEM block is something else.
    #[error(
        "the PEM text must hold a PUBLIC KEY, an RSA PUBLIC KEY or a PRIVATE KEY; `openssl pkcs8 \
         -topk8 -nodes` makes the last of an older or encrypted private key"
    )]
    Label,
    /// The key is of another type, or on another curve, than the algorithm needs.
    #[error("{algorithm} needs a key of another kind: this one is for {fits}")]
    OtherKind {
        /// The algorithm.
        algorithm: Algorithm,
        /// One that the key could be used with.
        fits: Algorithm,
    },
    /// An RSA key that is too small (RFC 7518 section 3.3), or larger than is supported.
    #[error("an RSA key must have 2048 to 8192 bits")]
    RsaSize,
    /// The bytes are no key, or a private RSA key that is too small.
    #[error(
        "the key can't be used with {0}: it is broken, of an unknown type, or RSA of fewer than \
         2048 bits"
    )]
    Rejected(Algorithm),
}

impl VerifyingKey {
    /// A key of a shared secret: raw bytes, at least as many as the algorithm's hash has.
    ///
    /// # Errors
    ///
    /// Fails where `algorithm` is none of HS256, HS384 and HS512, and where the secret is too
    /// short.
    pub fn hmac(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        let key = hmac_key(algorithm, secret)?;
        // What is remembered of single-use tokens must tell keys apart for as long as the store
        // lives, without telling anything of the secret.
        let label = hmac::sign(&key, b"fanfare: which key verified a token");
        Ok(Self {
            algorithm,
            id: None,
            material: Material::Hmac(Arc::new(key)),
            fingerprint: short(label.as_ref()),
        })
    }

    /// A public key, as PEM text: `PUBLIC KEY` (SubjectPublicKeyInfo), `RSA PUBLIC KEY`
    /// (PKCS #1), or `PRIVATE KEY` (PKCS #8), of which only the public half is kept.
    ///
    /// # Errors
    ///
    /// Fails where `algorithm` takes a secret, the text is no such PEM, or the key does not fit
    /// the algorithm: its type, its curve, or RSA of other than 2048 to 8192 bits.
    pub fn from_pem(algorithm: Algorithm, pem: &[u8]) -> Result<Self, KeyError> {
        if matches!(algorithm.kind(), Kind::Hmac(_)) {
            return Err(KeyError::NotPublicKey(algorithm));
        }
        let (label, der) = pem::first_block(pem).ok_or(KeyError::NotPem)?;
        match label {
            "PUBLIC KEY" | "RSA PUBLIC KEY" => Self::from_public(algorithm, &der),
            "PRIVATE KEY" => {
                SigningKey::from_pkcs8_pem(algorithm, pem).map(|key| key.verifying_key())
            }
            _ => Err(KeyError::Label),
        }
    }

    /// From the bytes of a public key in any form that the algorithm's keys have.
    pub(super) fn from_public(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, KeyError> {
        if matches!(algorithm.kind(), Kind::Hmac(_)) {
            return Err(KeyError::NotPublicKey(algorithm));
        }
        let key = parse(algorithm, bytes)
            .ok_or_else(|| unfit(algorithm, |other| parse(other, bytes).is_some()))?;
        let canonical = match algorithm.kind() {
            Kind::Rsa(..) => rsa_pkcs1(bytes)?,
            _ => point(bytes).to_vec(),
        };
        Ok(Self {
            algorithm,
            id: None,
            material: Material::Public(Arc::new(key)),
            fingerprint: short(digest(&SHA256, &canonical).as_ref()),
        })
    }

    /// Names the key, so that it verifies only tokens whose header has this `kid`.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into().into());
        self
    }

    /// The key's algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key's id.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Tells this key from others, also after a restart, and is no secret.
    pub(super) fn fingerprint(&self) -> &Arc<str> {
        &self.fingerprint
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
            Material::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

pub(super) fn hmac_key(algorithm: Algorithm, secret: &[u8]) -> Result<hmac::Key, KeyError> {
    let (Kind::Hmac(hash), Some(bytes)) = (algorithm.kind(), algorithm.min_secret()) else {
        return Err(KeyError::NotHmac(algorithm));
    };
    if secret.len() < bytes {
        return Err(KeyError::ShortSecret { algorithm, bytes });
    }
    Ok(hmac::Key::new(hash, secret))
}

fn parse(algorithm: Algorithm, bytes: &[u8]) -> Option<ParsedPublicKey> {
    let verification = match algorithm.kind() {
        Kind::Hmac(_) => return None,
        Kind::Rsa(verification, _) | Kind::Ecdsa(verification, _) => verification,
        Kind::Ed25519 => &ED25519,
    };
    ParsedPublicKey::new(verification, bytes).ok()
}

/// Says why a key can't be used, given whether it could be with another algorithm.
pub(super) fn unfit(algorithm: Algorithm, fits: impl Fn(Algorithm) -> bool) -> KeyError {
    use Algorithm::{ES256, ES384, ES512, EdDSA, RS256};
    match [RS256, ES256, ES384, ES512, EdDSA].into_iter().find(|other| fits(*other)) {
        Some(fits) => KeyError::OtherKind { algorithm, fits },
        None => KeyError::Rejected(algorithm),
    }
}

/// An RSA key's shortest form, if it has 2048 to 8192 bits. The library parses smaller ones and
/// refuses only their signatures, which would look to an operator like tokens that never verify.
fn rsa_pkcs1(bytes: &[u8]) -> Result<Vec<u8>, KeyError> {
    let key = rsa::PublicKey::from_der(bytes).map_err(|_| KeyError::RsaSize)?;
    let fits = (2048..=8192).contains(&(key.modulus_len() * 8));
    fits.then(|| key.as_ref().to_vec()).ok_or(KeyError::RsaSize)
}

/// The point of an elliptic curve, with which both forms of its keys end, so that a key has one
/// fingerprint in both.
fn point(bytes: &[u8]) -> &[u8] {
    const SHORTEST_POINT: usize = 32;
    &bytes[bytes.len().saturating_sub(SHORTEST_POINT)..]
}

/// 128 bits of a hash, as text.
fn short(hash: &[u8]) -> Arc<str> {
    URL_SAFE_NO_PAD.encode(&hash[..hash.len().min(16)]).into()
}

/// Shows nothing of the key itself.
impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("algorithm", &self.algorithm)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
