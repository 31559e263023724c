//! Protocol sections 3 and 4, a test for each sentence.

mod building;
mod keys;
mod naive;
mod permitting;
mod regexes;
mod verifying;

use super::verifier::TokenError;
use super::*;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{self as sig, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fanfare_storage::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

const SECRET: &[u8] = b"a secret for tests of at least 64 bytes, so that it fits HS512 too";
const NOW: u64 = 1_700_000_000;

fn now() -> Timestamp {
    Timestamp::from_unix_seconds(NOW)
}

fn pem(label: &str, der: &[u8]) -> Vec<u8> {
    let body = STANDARD.encode(der);
    let lines: Vec<_> =
        body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n")).into_bytes()
}

/// A new private key for an algorithm, as PEM.
fn private_pem(algorithm: Algorithm) -> Vec<u8> {
    let random = SystemRandom::new();
    let ecdsa = |curve| EcdsaKeyPair::generate_pkcs8(curve, &random).unwrap().as_ref().to_vec();
    let der = match algorithm {
        Algorithm::ES256 => ecdsa(&sig::ECDSA_P256_SHA256_FIXED_SIGNING),
        Algorithm::ES384 => ecdsa(&sig::ECDSA_P384_SHA384_FIXED_SIGNING),
        Algorithm::ES512 => ecdsa(&sig::ECDSA_P521_SHA512_FIXED_SIGNING),
        Algorithm::EdDSA => Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref().to_vec(),
        _ => rsa_pkcs8(),
    };
    pem("PRIVATE KEY", &der)
}

/// One RSA key for all tests, since making one takes a while.
fn rsa_pkcs8() -> Vec<u8> {
    static KEY: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let make = || {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap().as_ref().to_vec()
    };
    KEY.get_or_init(make).clone()
}

/// A new key for an algorithm.
fn signing_key(algorithm: Algorithm) -> SigningKey {
    if algorithm.name().starts_with("HS") {
        SigningKey::hmac(algorithm, SECRET).unwrap()
    } else {
        SigningKey::from_pkcs8_pem(algorithm, &private_pem(algorithm)).unwrap()
    }
}

/// Signs any header and payload.
fn sign_raw(key: &SigningKey, header: &str, payload: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = key.sign(message.as_bytes()).unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn sign(claims: &Value) -> String {
    let key = SigningKey::hmac(Algorithm::HS256, SECRET).unwrap();
    sign_raw(&key, r#"{"alg":"HS256"}"#, &claims.to_string())
}

fn verifier() -> Verifier {
    let key = VerifyingKey::hmac(Algorithm::HS256, SECRET).unwrap();
    Verifier::new(vec![key], Vec::new(), None, Duration::ZERO)
}

/// Claims that are good for a minute, with what `more` adds or, by null, takes away.
fn claims(more: &Value) -> Value {
    let mut claims = json!({"exp": NOW + 60, "scope": "connect"});
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn verify(more: &Value) -> Result<Token, TokenError> {
    verifier().verify(&sign(&claims(more)), now())
}

/// What is said of claims that are refused.
fn problem(more: &Value) -> String {
    match verify(more).unwrap_err() {
        TokenError::Claim(error) => error.to_string(),
        other => panic!("{more}: {other}"),
    }
}

fn permissions(channels: &Value) -> std::sync::Arc<Permissions> {
    verify(&json!({"channels": channels})).unwrap().permissions
}
