//! Building tokens.

use super::channel_claims::ChannelClaims;
use super::permissions_cache::PermissionsCache;
use super::reader::{ClaimError, Object};
use super::signing::SigningKey;
use super::token::{Scope, Token};
use super::verifier::MAX_LENGTH;
use crate::protocol::store::whole_seconds;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanfare_storage::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The claims of a token to be issued (protocol section 3).
///
/// ```
/// use fanfare::{Algorithm, ChannelClaims, Claims, MessageClaims, SigningKey, Timestamp};
/// use std::time::Duration;
///
/// let key = SigningKey::hmac(Algorithm::HS256, b"a secret of at least 32 bytes...")?;
/// let token = Claims::connect()
///     .expires_in(Duration::from_secs(300))
///     .uid("jim")
///     .umd(&serde_json::json!({"name": "Jim"}))
///     .channel(
///         "chat.*",
///         ChannelClaims::new()
///             .subscribe(true)
///             .history_start(Timestamp::EPOCH)
///             .message("message", MessageClaims::new().publish(true).echo(true).store_forever())
///             .message("is-typing", MessageClaims::new().publish(true)),
///     )
///     .channel("chat.secret", ChannelClaims::new().subscribe(false))
///     .sign(&key)?;
/// assert_eq!(token.split('.').count(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "claims do nothing until they are signed"]
pub struct Claims {
    all: Map<String, Value>,
    unserializable: Option<&'static str>,
}

/// Why claims could not be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// A broker would refuse the token: for a claim, which the message names, or for its length.
    #[error("{0}")]
    Invalid(String),
    /// The operating system gave no randomness.
    #[error("the token could not be signed: the system gives no random numbers")]
    NoRandomness,
}

impl Claims {
    /// For opening a connection. A token needs an end too:
    /// [`expires_in`](Self::expires_in) or [`expires_at`](Self::expires_at).
    pub fn connect() -> Self {
        Self::of(Scope::Connect)
    }

    /// For subscribing to channels on an existing connection: name it with
    /// [`connection_id`](Self::connection_id), or its user with [`uid`](Self::uid).
    pub fn subscribe() -> Self {
        Self::of(Scope::Subscribe)
    }

    /// For changing a user's metadata to what [`umd`](Self::umd) says.
    pub fn umd_scope() -> Self {
        Self::of(Scope::Umd)
    }

    fn of(scope: Scope) -> Self {
        let all = Map::from_iter([("scope".to_owned(), json!(scope.name()))]);
        Self { all, unserializable: None }
    }

    /// Lets the token open connections too.
    pub fn and_connect(self) -> Self {
        self.and(Scope::Connect)
    }

    /// Lets the token subscribe too.
    pub fn and_subscribe(self) -> Self {
        self.and(Scope::Subscribe)
    }

    /// Lets the token change metadata too.
    pub fn and_umd_scope(self) -> Self {
        self.and(Scope::Umd)
    }

    fn and(mut self, scope: Scope) -> Self {
        let scopes = self.all["scope"].as_str().unwrap_or_default();
        let scopes = format!("{scopes} {}", scope.name());
        self.all["scope"] = json!(scopes);
        self
    }

    fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.all.insert(name.to_owned(), value.into());
        self
    }

    /// The token must be used within this time from now. It does not end a connection made.
    pub fn expires_in(self, time: Duration) -> Self {
        self.expires_at(Timestamp::now() + time)
    }

    /// The token must be used before this moment; fractions of a second are cut off.
    pub fn expires_at(self, time: Timestamp) -> Self {
        self.set("exp", time.as_unix_seconds())
    }

    /// The token must not be used before this moment; a started second counts.
    pub fn not_before(self, time: Timestamp) -> Self {
        self.set("nbf", time.as_unix_millis().div_ceil(1000))
    }

    /// When the token was issued; fractions of a second are cut off.
    pub fn issued_at(self, time: Timestamp) -> Self {
        self.set("iat", time.as_unix_seconds())
    }

    /// Whom the token is for, where the broker requires it.
    pub fn audience(self, audience: impl Into<String>) -> Self {
        self.set("aud", audience.into())
    }

    /// Who issues the token, where the broker requires it.
    pub fn issuer(self, issuer: impl Into<String>) -> Self {
        self.set("iss", issuer.into())
    }

    /// The token's own id.
    pub fn token_id(self, jti: impl Into<String>) -> Self {
        self.set("jti", jti.into())
    }

    /// The token can be used once; `jti` must be unique for as long as it is good.
    pub fn single_use(self, jti: impl Into<String>) -> Self {
        self.token_id(jti).set("singleUse", true)
    }

    /// Who the user is: at most 128 characters.
    pub fn uid(self, uid: impl Into<String>) -> Self {
        self.set("uid", uid.into())
    }

    /// What others see of the user beside the id: at most 1 KiB of JSON.
    pub fn umd(mut self, umd: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_value(umd) {
            Ok(umd) => self.set("umd", umd),
            Err(_) => {
                self.unserializable = Some("umd");
                self
            }
        }
    }

    /// The token works only on this existing connection, and can't open one.
    pub fn connection_id(self, id: impl Into<String>) -> Self {
        self.set("connectionId", id.into())
    }

    /// The broker sends `hotsock.keepAlive` to the connection (protocol section 8).
    pub fn keep_alive(self) -> Self {
        self.set("keepAlive", true)
    }

    /// The client must send `hotsock.heartbeat` at least this often: 5 to 600 seconds, counted in
    /// whole ones, where a started one counts (protocol section 8).
    pub fn heartbeat_timeout(self, time: Duration) -> Self {
        self.set("heartbeatTimeout", whole_seconds(time))
    }

    /// Lets the connection's own metadata be changed (protocol section 7.4).
    pub fn umd_update(self) -> Self {
        self.set("umdUpdate", true)
    }

    /// A change of the connection's metadata reaches its subscriptions (protocol section 7.4).
    pub fn umd_propagate(self) -> Self {
        self.set("umdPropagate", true)
    }

    /// What may be done on the channels that a key stands for: an exact name, a pattern with
    /// `*`, or `#regex:` and an expression (protocol section 4). A second call with the same key
    /// replaces the first.
    pub fn channel(mut self, key: impl Into<String>, claims: ChannelClaims) -> Self {
        let channels = self.all.entry("channels").or_insert_with(|| json!({}));
        if let Value::Object(channels) = channels {
            channels.insert(key.into(), claims.into_json());
        }
        self
    }

    /// Signs the claims.
    ///
    /// # Errors
    ///
    /// Fails where a broker would refuse the token, for its claims or for more than 65,536 bytes,
    /// and where the operating system gives no randomness to sign with.
    pub fn sign(&self, key: &SigningKey) -> Result<String, SignError> {
        let claims = Value::Object(self.all.clone()).to_string();
        self.check(&claims).map_err(|error| SignError::Invalid(error.to_string()))?;
        let mut header = json!({"alg": key.algorithm().name(), "typ": "JWT"});
        if let Some(id) = key.id() {
            header["kid"] = json!(id);
        }
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let message = format!("{}.{}", encode(&header.to_string()), encode(&claims));
        let signature = key.sign(message.as_bytes()).map_err(|_| SignError::NoRandomness)?;
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
        if token.len() > MAX_LENGTH {
            let problem = format!("a token has at most {MAX_LENGTH} bytes, not {}", token.len());
            return Err(SignError::Invalid(problem));
        }
        Ok(token)
    }

    /// Reads the claims as a broker would.
    fn check(&self, claims: &str) -> Result<(), ClaimError> {
        if let Some(name) = self.unserializable {
            return Err(ClaimError::at(name, "can't be written as JSON"));
        }
        let claims =
            Object::parse(claims).ok_or_else(|| ClaimError::new("set must be a JSON object"))?;
        Token::parse(&claims, "".into(), &PermissionsCache::default()).map(|_| ())
    }
}
