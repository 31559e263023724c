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
fn section_3_every_algorithm_verifies_what_its_key_signed_and_nothing_else() {
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
fn section_3_a_key_has_exactly_one_algorithm() {
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
fn section_3_a_public_key_is_never_taken_for_a_secret() {
    let public = VerifyingKey::from_pem(Algorithm::RS256, &pem("PRIVATE KEY", &rsa_pkcs8()));
    let spki = b"-----BEGIN PUBLIC KEY-----, as an attacker knows it, is no secret of ours";
    let forger = SigningKey::hmac(Algorithm::HS256, spki).unwrap();
    assert!(!verifies(public.unwrap(), &token_of(&forger)));
}

#[test]
fn section_3_none_is_never_accepted() {
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
fn section_3_public_keys_come_in_several_forms_that_are_one_key() {
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
fn section_3_unusable_keys_are_refused_with_the_reason() {
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
    assert_eq!(from_pem(RS256, &pem("RSA PUBLIC KEY", &small_rsa())), KeyError::RsaSize);
    assert_eq!(from_pem(ES256, &pem("EC PRIVATE KEY", &[1])), KeyError::Label);
}

#[test]
fn section_3_a_key_of_another_kind_is_refused_with_what_it_is_for() {
    use Algorithm::{ES256, ES384, ES512, EdDSA, PS384, RS256};
    for (algorithm, fits) in
        [(ES256, ES384), (ES384, ES512), (ES512, EdDSA), (EdDSA, RS256), (PS384, ES256)]
    {
        let private = private_pem(fits);
        let public = pem("PUBLIC KEY", &spki(fits, &private));
        let expected = KeyError::OtherKind { algorithm, fits };
        assert_eq!(VerifyingKey::from_pem(algorithm, &private).unwrap_err(), expected);
        assert_eq!(VerifyingKey::from_pem(algorithm, &public).unwrap_err(), expected);
        assert_eq!(SigningKey::from_pkcs8_pem(algorithm, &private).unwrap_err(), expected);
    }
    let error = KeyError::OtherKind { algorithm: ES256, fits: ES384 };
    assert_eq!(error.to_string(), "ES256 needs a key of another kind: this one is for ES384");
}

#[test]
fn section_3_private_keys_without_their_public_half_are_taken() {
    // The form that OpenSSL writes.
    let der = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap();
    let private = pem("PRIVATE KEY", der.as_ref());
    let key = SigningKey::from_pkcs8_pem(Algorithm::EdDSA, &private).unwrap();
    assert!(verifies(VerifyingKey::from_pem(Algorithm::EdDSA, &private).unwrap(), &token_of(&key)));
}

#[test]
fn section_3_ecdsa_signatures_are_two_numbers_of_fixed_size() {
    for (algorithm, size, asn1) in [
        (Algorithm::ES256, 64, &sig::ECDSA_P256_SHA256_ASN1_SIGNING),
        (Algorithm::ES384, 96, &sig::ECDSA_P384_SHA384_ASN1_SIGNING),
        (Algorithm::ES512, 132, &sig::ECDSA_P521_SHA512_ASN1_SIGNING),
    ] {
        let private = private_pem(algorithm);
        let key = SigningKey::from_pkcs8_pem(algorithm, &private).unwrap();
        let token = token_of(&key);
        let (message, signature) = token.rsplit_once('.').unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(signature).unwrap().len(), size);
        let (_, der) = pem::first_block(&private).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(asn1, &der).unwrap();
        let in_asn1 = pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        let with = |signature: &[u8]| format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
        assert!(!verifies(key.verifying_key(), &with(in_asn1.as_ref())), "{algorithm}");
        // Zeros verify anything where nobody checks the range.
        assert!(!verifies(key.verifying_key(), &with(&vec![0; size])), "{algorithm}");
    }
}

/// What the standards themselves give as examples: the algorithm, the public key or secret, and
/// the token (RFC 7515 appendices A.1, A.3 and A.4, RFC 8037 appendix A.4).
const PUBLISHED: &[(Algorithm, &[&str], &str)] = &[
    (
        Algorithm::HS256,
        &["AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"],
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQog\
         Imh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    ),
    (
        Algorithm::ES256,
        &[
            "BA",
            "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        ],
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl\
         LmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSA\
         pmWQxfKTUJqPP3-Kg6NU1Q",
    ),
    (
        Algorithm::ES512,
        &[
            "BA",
            "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
            "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
        ],
        "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWRO\
         c-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vc\
         nwNrmxYbSW9ERBXukOXolLzeO_Jn",
    ),
    (
        Algorithm::EdDSA,
        &["11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"],
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PG\
         cvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    ),
];

#[test]
fn section_3_the_standards_own_examples_verify() {
    for (algorithm, key, token) in PUBLISHED {
        let key: Vec<u8> =
            key.iter().flat_map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
        let key = match algorithm {
            Algorithm::HS256 => VerifyingKey::hmac(*algorithm, &key),
            _ => VerifyingKey::from_public(*algorithm, &key),
        };
        let (message, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert!(key.unwrap().verify(message.as_bytes(), &signature), "{algorithm}");
    }
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
fn section_3_keys_have_fingerprints_that_stay_and_differ() {
    let of = |algorithm, secret: &[u8]| {
        VerifyingKey::hmac(algorithm, secret).unwrap().fingerprint().clone()
    };
    assert_eq!(of(Algorithm::HS256, SECRET), of(Algorithm::HS256, SECRET));
    assert_ne!(of(Algorithm::HS256, SECRET), of(Algorithm::HS256, &[1; 64]));
    assert_ne!(of(Algorithm::HS256, SECRET), of(Algorithm::HS384, SECRET));
}
