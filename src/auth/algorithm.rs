//! The signature algorithms of JSON Web Tokens that are accepted (RFC 7518 section 3, RFC 8037).

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self as sig, VerificationAlgorithm};
use std::fmt;
use std::str::FromStr;

macro_rules! algorithms {
    ($($name:ident $doc:literal,)*) => {
        /// A signature algorithm, by its name in a token's header (protocol section 3).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Algorithm { $(#[doc = $doc] $name,)* }

        impl Algorithm {
            /// All algorithms.
            pub const ALL: &[Algorithm] = &[$(Algorithm::$name,)*];

            /// The name in a token's header, such as `HS256`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => algorithms!(@text $name),)* }
            }
        }
    };
    (@text EdDSA) => { "EdDSA" };
    (@text $name:ident) => { stringify!($name) };
}

algorithms! {
    HS256 "HMAC with SHA-256.",
    HS384 "HMAC with SHA-384.",
    HS512 "HMAC with SHA-512.",
    RS256 "RSA with PKCS #1 v1.5 padding and SHA-256.",
    RS384 "RSA with PKCS #1 v1.5 padding and SHA-384.",
    RS512 "RSA with PKCS #1 v1.5 padding and SHA-512.",
    PS256 "RSA with PSS padding and SHA-256.",
    PS384 "RSA with PSS padding and SHA-384.",
    PS512 "RSA with PSS padding and SHA-512.",
    ES256 "ECDSA on P-256 with SHA-256.",
    ES384 "ECDSA on P-384 with SHA-384.",
    ES512 "ECDSA on P-521 with SHA-512.",
    EdDSA "Ed25519.",
}

/// What kind of key an algorithm takes.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Hmac(hmac::Algorithm),
    Rsa(&'static dyn VerificationAlgorithm, &'static dyn sig::RsaEncoding),
    Ecdsa(&'static dyn VerificationAlgorithm, &'static sig::EcdsaSigningAlgorithm),
    Ed25519,
}

impl Algorithm {
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::HS256 => Kind::Hmac(hmac::HMAC_SHA256),
            Self::HS384 => Kind::Hmac(hmac::HMAC_SHA384),
            Self::HS512 => Kind::Hmac(hmac::HMAC_SHA512),
            Self::RS256 => Kind::Rsa(&sig::RSA_PKCS1_2048_8192_SHA256, &sig::RSA_PKCS1_SHA256),
            Self::RS384 => Kind::Rsa(&sig::RSA_PKCS1_2048_8192_SHA384, &sig::RSA_PKCS1_SHA384),
            Self::RS512 => Kind::Rsa(&sig::RSA_PKCS1_2048_8192_SHA512, &sig::RSA_PKCS1_SHA512),
            Self::PS256 => Kind::Rsa(&sig::RSA_PSS_2048_8192_SHA256, &sig::RSA_PSS_SHA256),
            Self::PS384 => Kind::Rsa(&sig::RSA_PSS_2048_8192_SHA384, &sig::RSA_PSS_SHA384),
            Self::PS512 => Kind::Rsa(&sig::RSA_PSS_2048_8192_SHA512, &sig::RSA_PSS_SHA512),
            Self::ES256 => {
                Kind::Ecdsa(&sig::ECDSA_P256_SHA256_FIXED, &sig::ECDSA_P256_SHA256_FIXED_SIGNING)
            }
            Self::ES384 => {
                Kind::Ecdsa(&sig::ECDSA_P384_SHA384_FIXED, &sig::ECDSA_P384_SHA384_FIXED_SIGNING)
            }
            Self::ES512 => {
                Kind::Ecdsa(&sig::ECDSA_P521_SHA512_FIXED, &sig::ECDSA_P521_SHA512_FIXED_SIGNING)
            }
            Self::EdDSA => Kind::Ed25519,
        }
    }

    /// Bytes of the hash that an HMAC uses; its secret must have as many (RFC 7518 section 3.2).
    pub(super) fn min_secret(self) -> Option<usize> {
        match self.kind() {
            Kind::Hmac(algorithm) => Some(algorithm.digest_algorithm().output_len()),
            _ => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no accepted algorithm's; `none` is one such.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the algorithm must be one of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, \
     ES256, ES384, ES512 and EdDSA"
)]
pub struct UnknownAlgorithm;

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL.iter().copied().find(|one| one.name() == name).ok_or(UnknownAlgorithm)
    }
}
