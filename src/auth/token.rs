//! A verified token's claims (protocol section 3).

use super::permissions::{Digest, Permissions};
use super::permissions_cache::PermissionsCache;
use super::reader::{ClaimError, Object};
use crate::protocol::event::Meta;
use crate::protocol::names;
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use fanfare_storage::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// What a token can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Opening a connection.
    Connect,
    /// Subscribing to a channel.
    Subscribe,
    /// Changing a user's metadata.
    Umd,
}

impl Scope {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Subscribe => "subscribe",
            Self::Umd => "umd",
        }
    }
}

/// What a revocation knows a token by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TokenIdentity {
    pub(crate) jti: Option<Arc<str>>,
    pub(crate) uid: Option<Arc<str>>,
    pub(crate) issued_at: Option<Timestamp>,
}

/// A token whose signature was verified and whose claims are all well formed.
#[derive(Debug)]
pub(crate) struct Token {
    scopes: Vec<Scope>,
    pub(crate) uid: Option<Arc<str>>,
    /// JSON text; `None` where it is absent or null.
    pub(crate) umd: Option<Bytes>,
    /// Whether the token says what the metadata is. To `umd` scope a null says that there is to be
    /// none, and differs from saying nothing.
    pub(crate) names_umd: bool,
    /// Whether the connection's own metadata may be changed to `umd`.
    pub(crate) umd_update: bool,
    /// Whether such a change reaches the connection's subscriptions.
    pub(crate) umd_propagate: bool,
    pub(crate) expires_at: Timestamp,
    pub(crate) issued_at: Option<Timestamp>,
    pub(crate) jti: Option<Arc<str>>,
    pub(crate) single_use: bool,
    pub(crate) connection_id: Option<Arc<str>>,
    pub(crate) keep_alive: bool,
    /// Seconds.
    pub(crate) heartbeat_timeout: Option<u16>,
    pub(crate) permissions: Arc<Permissions>,
    /// Which key verified the token.
    pub(crate) key: Arc<str>,
}

impl Token {
    pub(crate) fn has_scope(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// The user that it names.
    pub(crate) fn meta(&self) -> Meta {
        Meta { uid: self.uid.clone(), umd: self.umd.clone() }
    }

    pub(crate) fn identity(&self) -> TokenIdentity {
        TokenIdentity { jti: self.jti.clone(), uid: self.uid.clone(), issued_at: self.issued_at }
    }

    /// Reads the claims, all of which must be well formed, whichever are used.
    pub(super) fn parse(
        claims: &Object<'_>,
        key: Arc<str>,
        known: &PermissionsCache,
    ) -> Result<Self, ClaimError> {
        let validity = Validity::parse(claims)?;
        let issued_at = date(claims, "iat")?;
        claims.string("iss")?;
        claims.strings("aud")?;
        let jti = claims.string("jti")?;
        let single_use = claims.boolean("singleUse")?.unwrap_or(false);
        if single_use && jti.as_ref().is_none_or(String::is_empty) {
            return Err(ClaimError::at("singleUse", "needs the claim jti"));
        }
        let digest = channels_digest(claims.raw("channels"));
        let permissions =
            known.get_or_read(digest, |regexes| match claims.object("channels")? {
                Some(channels) => {
                    Permissions::parse(&channels, regexes).map_err(|error| error.within("channels"))
                }
                None => Ok(Permissions::default()),
            })?;
        Ok(Self {
            scopes: scopes(claims)?,
            uid: uid(claims)?,
            umd: umd(claims)?,
            names_umd: claims.raw("umd").is_some(),
            umd_update: claims.boolean("umdUpdate")?.unwrap_or(false),
            umd_propagate: claims.boolean("umdPropagate")?.unwrap_or(false),
            expires_at: validity.expires_at,
            issued_at,
            jti: jti.map(Arc::from),
            single_use,
            connection_id: claims.string("connectionId")?.map(Arc::from),
            keep_alive: claims.boolean("keepAlive")?.unwrap_or(false),
            heartbeat_timeout: heartbeat_timeout(claims)?,
            permissions,
            key,
        })
    }
}

/// Zero without any `channels`.
pub(super) fn channels_digest(text: Option<&str>) -> Digest {
    let mut bytes = [0; 32];
    if let Some(text) = text {
        bytes.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    }
    bytes
}

/// When a token may be used.
pub(super) struct Validity {
    pub(super) expires_at: Timestamp,
    pub(super) not_before: Option<Timestamp>,
}

impl Validity {
    pub(super) fn parse(claims: &Object<'_>) -> Result<Self, ClaimError> {
        let expires_at =
            date(claims, "exp")?.ok_or_else(|| ClaimError::at("exp", "is required"))?;
        Ok(Self { expires_at, not_before: date(claims, "nbf")? })
    }
}

fn scopes(claims: &Object<'_>) -> Result<Vec<Scope>, ClaimError> {
    let text = claims.string("scope")?.ok_or_else(|| ClaimError::at("scope", "is required"))?;
    let all = [Scope::Connect, Scope::Subscribe, Scope::Umd];
    Ok(all.into_iter().filter(|scope| text.split(' ').any(|one| one == scope.name())).collect())
}

fn uid(claims: &Object<'_>) -> Result<Option<Arc<str>>, ClaimError> {
    let uid = claims.string("uid")?;
    if uid.as_ref().is_some_and(|uid| names::longer_than(uid, names::MAX_UID_CHARS)) {
        return Err(ClaimError::at("uid", "must have at most 128 characters"));
    }
    Ok(uid.map(Arc::from))
}

fn umd(claims: &Object<'_>) -> Result<Option<Bytes>, ClaimError> {
    let Some(umd) = claims.raw("umd").filter(|umd| *umd != "null") else { return Ok(None) };
    if umd.len() > names::MAX_UMD_BYTES {
        return Err(ClaimError::at("umd", "must be at most 1024 bytes of JSON"));
    }
    Ok(Some(Bytes::copy_from_slice(umd.as_bytes())))
}

fn heartbeat_timeout(claims: &Object<'_>) -> Result<Option<u16>, ClaimError> {
    let seconds = claims.integer("heartbeatTimeout")?;
    seconds
        .map(|seconds| u16::try_from(seconds).ok().filter(|seconds| (5..=600).contains(seconds)))
        .map(|seconds| {
            seconds.ok_or_else(|| ClaimError::at("heartbeatTimeout", "must be 5 to 600 seconds"))
        })
        .transpose()
}

/// A moment in whole milliseconds; what lies before 1970 is 1970, and what is too late to be
/// represented is the end of time.
fn date(claims: &Object<'_>, name: &str) -> Result<Option<Timestamp>, ClaimError> {
    let seconds = claims.numeric_date(name)?;
    Ok(seconds.map(|seconds| {
        let since = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
        Timestamp::EPOCH + since
    }))
}
