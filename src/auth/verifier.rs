//! From a token's text to its claims (RFC 7515, RFC 7519; protocol section 3).

use super::permissions::Permissions;
use super::permissions_cache::PermissionsCache;
use super::reader::{ClaimError, Object};
use super::token::{Token, Validity, channels_digest};
use super::{Algorithm, Revocations, VerifyingKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanfare_storage::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// Verifies tokens with any of its keys.
#[derive(Debug)]
pub(crate) struct Verifier {
    keys: Vec<VerifyingKey>,
    /// Of which one must be among the token's, unless there are none.
    audiences: Vec<String>,
    issuer: Option<String>,
    leeway: Duration,
    permissions: PermissionsCache,
    revocations: Revocations,
}

/// Why a token is not accepted. Before its signature is verified nothing is said of what is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("the token is not a JWT that is signed with one of this server's keys")]
    NotVerified,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not to be used yet")]
    NotYet,
    #[error("the token's audience is not this server's")]
    Audience,
    #[error("the token's issuer is not the one that this server accepts")]
    Issuer,
    #[error("the token was revoked")]
    Revoked,
    #[error("{0}")]
    Claim(ClaimError),
}

/// Bytes of a token. HTTP servers take less in an address, but not everywhere.
pub(super) const MAX_LENGTH: usize = 64 << 10;

impl Verifier {
    pub(crate) fn new(
        keys: Vec<VerifyingKey>,
        audiences: Vec<String>,
        issuer: Option<String>,
        leeway: Duration,
    ) -> Self {
        Self {
            keys,
            audiences,
            issuer,
            leeway,
            permissions: PermissionsCache::default(),
            revocations: Revocations::default(),
        }
    }

    /// Verifies a token's signature, then its times, audience and issuer, and then all of its
    /// claims.
    pub(crate) fn verify(&self, token: &str, now: Timestamp) -> Result<Token, TokenError> {
        let (key, payload) = self.verified_payload(token).ok_or(TokenError::NotVerified)?;
        let payload = std::str::from_utf8(&payload).ok().and_then(Object::parse);
        let claims = payload
            .ok_or_else(|| TokenError::Claim(ClaimError::new("set must be a JSON object")))?;
        // Times and origin come first: they cost next to nothing, and permissions may cost much.
        self.check_times(&claims, now)?;
        self.check_origin(&claims)?;
        let mut token = Token::parse(&claims, key.fingerprint().clone(), &self.permissions)
            .map_err(TokenError::Claim)?;
        if self.revocations.cover(&token.identity(), now) {
            return Err(TokenError::Revoked);
        }
        // From here on it says until when the token is good, which is what single use goes by.
        token.expires_at = token.expires_at + self.leeway;
        Ok(token)
    }

    /// How long after its `exp` a token is still accepted.
    pub(crate) fn leeway(&self) -> Duration {
        self.leeway
    }

    /// What is revoked, which [`verify`](Self::verify) refuses.
    pub(crate) fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// Reads permissions that come without a token: the text of a `channels` claim.
    pub(crate) fn permissions(&self, channels: &str) -> Result<Arc<Permissions>, ClaimError> {
        self.permissions.get_or_read(channels_digest(Some(channels)), |regexes| {
            let wrong = || ClaimError::at("channels", "must be an object");
            let channels = Object::parse(channels).ok_or_else(wrong)?;
            Permissions::parse(&channels, regexes).map_err(|error| error.within("channels"))
        })
    }

    /// The key and the payload, if the signature is good.
    fn verified_payload(&self, token: &str) -> Option<(&VerifyingKey, Vec<u8>)> {
        if token.len() > MAX_LENGTH {
            return None;
        }
        let (message, signature) = token.rsplit_once('.')?;
        let (header, payload) = message.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let header = Header::parse(&URL_SAFE_NO_PAD.decode(header).ok()?)?;
        let mut fitting = self.keys.iter().filter(|key| header.fits(key));
        let key = fitting.find(|key| key.verify(message.as_bytes(), &signature))?;
        Some((key, URL_SAFE_NO_PAD.decode(payload).ok()?))
    }

    fn check_times(&self, claims: &Object<'_>, now: Timestamp) -> Result<(), TokenError> {
        let validity = Validity::parse(claims).map_err(TokenError::Claim)?;
        if validity.expires_at + self.leeway <= now {
            return Err(TokenError::Expired);
        }
        if validity.not_before.is_some_and(|not_before| now + self.leeway < not_before) {
            return Err(TokenError::NotYet);
        }
        Ok(())
    }

    /// What is configured is required: a token that does not say is not accepted.
    fn check_origin(&self, claims: &Object<'_>) -> Result<(), TokenError> {
        if !self.audiences.is_empty() {
            let given = claims.strings("aud").map_err(TokenError::Claim)?.unwrap_or_default();
            if !given.iter().any(|one| self.audiences.contains(one)) {
                return Err(TokenError::Audience);
            }
        }
        if let Some(issuer) = &self.issuer
            && claims.string("iss").map_err(TokenError::Claim)?.as_ref() != Some(issuer)
        {
            return Err(TokenError::Issuer);
        }
        Ok(())
    }
}

/// What counts in a token's header. Whatever points to keys (`jku`, `jwk`, `x5u` …) is ignored.
struct Header {
    algorithm: Algorithm,
    key_id: Option<String>,
}

impl Header {
    /// `None` for everything that can't be used, `crit` included, of which nothing is understood.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let header = Object::parse(std::str::from_utf8(bytes).ok()?)?;
        if header.raw("crit").is_some() {
            return None;
        }
        let algorithm = header.string("alg").ok()??.parse().ok()?;
        Some(Self { algorithm, key_id: header.string("kid").ok()? })
    }

    fn fits(&self, key: &VerifyingKey) -> bool {
        key.algorithm() == self.algorithm
            && key.id().is_none_or(|id| self.key_id.as_deref() == Some(id))
    }
}
