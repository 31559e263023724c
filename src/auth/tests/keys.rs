//! Algorithms and keys.

use super::*;
use crate::auth::pem::first_block as pem_block;

fn token_of(key: &SigningKey) -> String {
    let header = json!({"alg": key.algorithm().name()}).to_string();
    sign_raw(key, &header, &claims(&json!({"uid": "jim"})).to_string())
}

fn verifies(key: VerifyingKey, token: &str) -> bool {
    Verifier::new(vec![key], Vec::new(), None, Duration::ZERO).verify(token, now()).is_ok()
}

#[test]
fn every_algorithm_verifies_what_its_key_signed_and_nothing_else() {
    for algorithm in Algorithm::ALL.iter().copied() {
        let key = signing_key(algorithm);
        let token = token_of(&key);
        assert!(verifies(key.verifying_key(), &token), "{algorithm}");
        // Another key of the same kind.
        let other = match algorithm.name().as_bytes() {
            [b'H', ..] => VerifyingKey::hmac(algorithm, &[7; 64]).unwrap(),
            [b'R' | b'P', ..] => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
                let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
                VerifyingKey::from_pem(algorithm, &pem("PRIVATE KEY", der.as_ref())).unwrap()
            }
            _ => signing_key(algorithm).verifying_key(),
        };
        assert!(!verifies(other, &token), "{algorithm}");
        // A changed payload, and changed, cut and missing signatures.
        let (message, signature) = token.rsplit_once('.').unwrap();
        let header = message.split_once('.').unwrap().0;
        let payload = URL_SAFE_NO_PAD.encode(claims(&json!({"uid": "pam"})).to_string());
        let mut flipped = URL_SAFE_NO_PAD.decode(signature).unwrap();
        flipped[3] ^= 1;
        let cut = URL_SAFE_NO_PAD.encode(&flipped[..flipped.len() - 1]);
        for wrong in [
            format!("{header}.{payload}.{signature}"),
            format!("{message}.{}", URL_SAFE_NO_PAD.encode(&flipped)),
            format!("{message}.{cut}"),
            format!("{message}."),
            message.to_owned(),
        ] {
            assert!(!verifies(key.verifying_key(), &wrong), "{algorithm}");
        }
    }
}

#[test]
fn a_key_has_exactly_one_algorithm() {
    // RS256 and PS256 take the same keys, and so do the three HMACs.
    for (signs, verifies_as) in [("RS256", "PS256"), ("RS256", "RS384"), ("PS256", "RS256")] {
        let key = signing_key(signs.parse().unwrap());
        let other =
            VerifyingKey::from_pem(verifies_as.parse().unwrap(), &pem("PRIVATE KEY", &rsa_pkcs8()));
        assert!(!verifies(other.unwrap(), &token_of(&key)), "{signs} {verifies_as}");
    }
    let key = signing_key(Algorithm::HS256);
    let other = VerifyingKey::hmac(Algorithm::HS384, SECRET).unwrap();
    assert!(!verifies(other, &token_of(&key)));
}

#[test]
fn a_public_key_is_never_taken_for_a_secret() {
    let public = VerifyingKey::from_pem(Algorithm::RS256, &pem("PRIVATE KEY", &rsa_pkcs8()));
    let spki = b"-----BEGIN PUBLIC KEY-----, as an attacker knows it, is no secret of ours";
    let forger = SigningKey::hmac(Algorithm::HS256, spki).unwrap();
    assert!(!verifies(public.unwrap(), &token_of(&forger)));
}

#[test]
fn none_is_never_accepted() {
    assert!("none".parse::<Algorithm>().is_err());
    let payload = URL_SAFE_NO_PAD.encode(claims(&json!({})).to_string());
    for alg in ["none", "None", "NONE", "", "hs256"] {
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg}).to_string());
        for signature in ["", "AA"] {
            let token = format!("{header}.{payload}.{signature}");
            assert_eq!(verifier().verify(&token, now()).unwrap_err(), TokenError::NotVerified);
        }
    }
}

#[test]
fn public_keys_come_in_several_forms_that_are_one_key() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::ES512, Algorithm::EdDSA] {
        let private = private_pem(algorithm);
        let key = SigningKey::from_pkcs8_pem(algorithm, &private).unwrap();
        let token = token_of(&key);
        let from_private = VerifyingKey::from_pem(algorithm, &private).unwrap();
        let from_spki =
            VerifyingKey::from_pem(algorithm, &pem("PUBLIC KEY", &spki(algorithm, &private)));
        let from_spki = from_spki.unwrap();
        assert_eq!(from_private.fingerprint(), from_spki.fingerprint(), "{algorithm}");
        assert_eq!(from_private.fingerprint(), key.verifying_key().fingerprint());
        assert!(verifies(from_private, &token) && verifies(from_spki, &token), "{algorithm}");
    }
    let pair = RsaKeyPair::from_pkcs8(&rsa_pkcs8()).unwrap();
    let pkcs1 = sig::KeyPair::public_key(&pair).as_ref().to_vec();
    let key = VerifyingKey::from_pem(Algorithm::RS256, &pem("RSA PUBLIC KEY", &pkcs1)).unwrap();
    assert!(verifies(key, &token_of(&signing_key(Algorithm::RS256))));
}

/// The SubjectPublicKeyInfo of a private key.
pub(super) fn spki(algorithm: Algorithm, private: &[u8]) -> Vec<u8> {
    use aws_lc_rs::encoding::PublicKeyX509Der;
    use sig::KeyPair;
    let (_, der) = pem_block(private).unwrap();
    let x509 = |key: &dyn AsDer<PublicKeyX509Der<'static>>| key.as_der().unwrap().as_ref().to_vec();
    match algorithm {
        Algorithm::EdDSA => x509(Ed25519KeyPair::from_pkcs8(&der).unwrap().public_key()),
        Algorithm::ES256 => {
            let curve = &sig::ECDSA_P256_SHA256_FIXED_SIGNING;
            x509(EcdsaKeyPair::from_pkcs8(curve, &der).unwrap().public_key())
        }
        Algorithm::ES384 => {
            let curve = &sig::ECDSA_P384_SHA384_FIXED_SIGNING;
            x509(EcdsaKeyPair::from_pkcs8(curve, &der).unwrap().public_key())
        }
        Algorithm::ES512 => {
            let curve = &sig::ECDSA_P521_SHA512_FIXED_SIGNING;
            x509(EcdsaKeyPair::from_pkcs8(curve, &der).unwrap().public_key())
        }
        _ => x509(RsaKeyPair::from_pkcs8(&der).unwrap().public_key()),
    }
}

#[test]
fn unusable_keys_are_refused_with_the_reason() {
    use Algorithm::{ES256, HS256, HS512, RS256};
    let hmac = |algorithm, secret: &[u8]| VerifyingKey::hmac(algorithm, secret).unwrap_err();
    assert_eq!(hmac(HS256, &[1; 31]), KeyError::ShortSecret { algorithm: HS256, bytes: 32 });
    assert_eq!(hmac(HS512, &[1; 63]), KeyError::ShortSecret { algorithm: HS512, bytes: 64 });
    assert_eq!(hmac(RS256, &[1; 64]), KeyError::NotHmac(RS256));
    let from_pem = |algorithm, pem: &[u8]| VerifyingKey::from_pem(algorithm, pem).unwrap_err();
    assert_eq!(from_pem(HS256, &private_pem(ES256)), KeyError::NotPublicKey(HS256));
    assert_eq!(from_pem(ES256, b"nonsense"), KeyError::NotPem);
    assert_eq!(from_pem(ES256, &[0xff]), KeyError::NotPem);
    assert_eq!(from_pem(ES256, &pem("CERTIFICATE", &[1])), KeyError::Label);
    assert_eq!(from_pem(ES256, &pem("PUBLIC KEY", &[1])), KeyError::Rejected(ES256));
    assert_eq!(from_pem(ES256, &private_pem(Algorithm::ES384)), KeyError::Rejected(ES256));
    assert_eq!(from_pem(ES256, &private_pem(Algorithm::EdDSA)), KeyError::Rejected(ES256));
    assert_eq!(from_pem(RS256, &private_pem(ES256)), KeyError::Rejected(RS256));
    assert_eq!(from_pem(RS256, &pem("RSA PUBLIC KEY", &small_rsa())), KeyError::Rejected(RS256));
}

/// An RSA public key of 1024 bits, PKCS #1.
fn small_rsa() -> Vec<u8> {
    let mut der = vec![0x30, 0x81, 0x89, 0x02, 0x81, 0x81, 0x00];
    der.extend([0xc1; 128]);
    der.extend([0x02, 0x03, 0x01, 0x00, 0x01]);
    der
}

#[test]
fn nothing_of_a_key_is_shown() {
    let signing = SigningKey::hmac(Algorithm::HS256, SECRET).unwrap().with_id("id-1");
    let shown = format!("{signing:?} {:?}", signing.verifying_key());
    assert!(shown.contains("id-1") && !shown.contains("secret for"));
    assert!(!shown.contains(&**signing.verifying_key().fingerprint()));
}

#[test]
fn keys_have_fingerprints_that_stay_and_differ() {
    let of = |algorithm, secret: &[u8]| {
        VerifyingKey::hmac(algorithm, secret).unwrap().fingerprint().clone()
    };
    assert_eq!(of(Algorithm::HS256, SECRET), of(Algorithm::HS256, SECRET));
    assert_ne!(of(Algorithm::HS256, SECRET), of(Algorithm::HS256, &[1; 64]));
    assert_ne!(of(Algorithm::HS256, SECRET), of(Algorithm::HS384, SECRET));
}
