//! Keys, claims, patterns and permissions (protocol sections 3 and 4). Pure.
//!
//! Signatures are verified and made with `aws_lc_rs` itself rather than with a JWT library: those
//! lack ES512, accept by default what the protocol refuses (lateness of a minute, a missing
//! audience or issuer, any `nbf`), or choose their cryptography by a process-wide setting that can
//! panic in a host whose other dependencies choose differently. What is left to do by hand is to
//! split a text at its dots.

mod algorithm;
mod channel_claims;
mod claims;
mod grants;
mod key;
mod keyed;
mod pattern;
mod pem;
mod permissions;
mod permissions_cache;
mod reader;
mod regex;
mod regex_cache;
mod regex_dialect;
mod revocations;
mod signing;
#[cfg(test)]
mod tests;
mod token;
mod verifier;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use channel_claims::{ChannelClaims, MessageClaims, StorageClaims};
pub use claims::{Claims, SignError};
pub use key::{KeyError, VerifyingKey};
pub use signing::SigningKey;

pub(crate) use grants::{Decision, Grants, MessageGrants, ReactGrant, StorageGrants};
pub(crate) use permissions::{Digest, Permissions};
pub(crate) use revocations::{MAX_REVOCATIONS, Revocations};
pub(crate) use token::{Scope, Token, TokenIdentity};
pub(crate) use verifier::{TokenError, Verifier};
