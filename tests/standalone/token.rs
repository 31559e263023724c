//! Tokens as others make them, without the crate's own builder.

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// Claims that allow everything on the channel `c` for an hour.
pub(crate) fn claims() -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    json!({"exp": now + 3600, "scope": "connect", "uid": "Jim", "channels": {"c": {
        "subscribe": true, "historyStart": 0, "messages": {"*": {"publish": true, "store": -1}},
    }}})
}

pub(crate) fn hs256(secret: &[u8], kid: Option<&str>, claims: &Value) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    signed("HS256", kid, claims, |text| hmac::sign(&key, text).as_ref().to_vec())
}

/// A key of another service that makes tokens.
pub(crate) struct Issuer(EcdsaKeyPair);

impl Issuer {
    pub(crate) fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn public_pem(&self) -> String {
        let der: PublicKeyX509Der<'_> = self.0.public_key().as_der().unwrap();
        let body = BASE64_STANDARD.encode(der.as_ref());
        format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")
    }

    pub(crate) fn token(&self, claims: &Value) -> String {
        let random = SystemRandom::new();
        signed("ES256", None, claims, |text| self.0.sign(&random, text).unwrap().as_ref().to_vec())
    }
}

/// A JWS in its compact form, RFC 7515 section 7.1.
fn signed(
    algorithm: &str,
    kid: Option<&str>,
    claims: &Value,
    sign: impl Fn(&[u8]) -> Vec<u8>,
) -> String {
    let mut header = json!({"alg": algorithm, "typ": "JWT"});
    if let Some(kid) = kid {
        header["kid"] = kid.into();
    }
    let [header, claims] =
        [&header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
    let text = format!("{header}.{claims}");
    let signature = BASE64_URL_SAFE_NO_PAD.encode(sign(text.as_bytes()));
    format!("{text}.{signature}")
}
