//! Keys that sign tokens.

use super::algorithm::{Algorithm, Kind};
use super::key::{KeyError, VerifyingKey, hmac_key, unfit};
use super::pem;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaEncoding};
use aws_lc_rs::{error::Unspecified, hmac};
use std::fmt;
use std::sync::Arc;

/// A key that tokens are signed with, for hosts that issue them; see
/// [`Claims::sign`](super::Claims::sign).
///
/// ```
/// use fanfare::{Algorithm, SigningKey};
///
/// let key = SigningKey::hmac(Algorithm::HS256, b"a secret of at least 32 bytes...")?;
/// let verifying = key.verifying_key(); // for the broker
/// # Ok::<(), fanfare::KeyError>(())
/// ```
#[derive(Clone)]
pub struct SigningKey {
    material: Material,
    verifying: VerifyingKey,
}

#[derive(Clone)]
enum Material {
    Hmac(Arc<hmac::Key>),
    Rsa(Arc<RsaKeyPair>, &'static dyn RsaEncoding),
    Ecdsa(Arc<EcdsaKeyPair>),
    Ed25519(Arc<Ed25519KeyPair>),
}

impl SigningKey {
    /// A key of a shared secret; as [`VerifyingKey::hmac`].
    ///
    /// # Errors
    ///
    /// Fails where `algorithm` is none of HS256, HS384 and HS512, and where the secret is too
    /// short.
    pub fn hmac(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        let verifying = VerifyingKey::hmac(algorithm, secret)?;
        let key = hmac_key(algorithm, secret)?;
        Ok(Self { material: Material::Hmac(Arc::new(key)), verifying })
    }

    /// A key pair, as PEM text: `PRIVATE KEY` (PKCS #8, not encrypted).
    ///
    /// # Errors
    ///
    /// Fails where `algorithm` takes a secret, the text is no such PEM, or the key does not fit
    /// the algorithm.
    pub fn from_pkcs8_pem(algorithm: Algorithm, pem: &[u8]) -> Result<Self, KeyError> {
        let (label, der) = pem::first_block(pem).ok_or(KeyError::NotPem)?;
        if label != "PRIVATE KEY" {
            return Err(KeyError::Label);
        }
        if matches!(algorithm.kind(), Kind::Hmac(_)) {
            return Err(KeyError::NotPublicKey(algorithm));
        }
        let (material, public) = pair(algorithm, &der)
            .ok_or_else(|| unfit(algorithm, |other| pair(other, &der).is_some()))?;
        Ok(Self { material, verifying: VerifyingKey::from_public(algorithm, &public)? })
    }

    /// Names the key; its tokens have this `kid`.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.verifying = self.verifying.with_id(id);
        self
    }

    /// The key that verifies what this one signs.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        self.verifying.clone()
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.verifying.algorithm()
    }

    pub(super) fn id(&self) -> Option<&str> {
        self.verifying.id()
    }

    /// Fails only where the system gives no randomness.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let random = SystemRandom::new();
        match &self.material {
            Material::Hmac(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Material::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature)?;
                Ok(signature)
            }
            Material::Ecdsa(pair) => Ok(pair.sign(&random, message)?.as_ref().to_vec()),
            Material::Ed25519(pair) => Ok(pair.try_sign(message)?.as_ref().to_vec()),
        }
    }
}

/// A key pair of PKCS #8, and its public half.
fn pair(algorithm: Algorithm, der: &[u8]) -> Option<(Material, Vec<u8>)> {
    Some(match algorithm.kind() {
        Kind::Hmac(_) => return None,
        Kind::Rsa(_, encoding) => {
            let pair = RsaKeyPair::from_pkcs8(der).ok()?;
            let public = pair.public_key().as_ref().to_vec();
            (Material::Rsa(Arc::new(pair), encoding), public)
        }
        Kind::Ecdsa(_, signing) => {
            let pair = EcdsaKeyPair::from_pkcs8(signing, der).ok()?;
            let public = pair.public_key().as_ref().to_vec();
            (Material::Ecdsa(Arc::new(pair)), public)
        }
        Kind::Ed25519 => {
            let pair = Ed25519KeyPair::from_pkcs8(der).ok()?;
            let public = pair.public_key().as_ref().to_vec();
            (Material::Ed25519(Arc::new(pair)), public)
        }
    })
}

/// Shows nothing of the key itself.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("verifying", &self.verifying).finish_non_exhaustive()
    }
}
