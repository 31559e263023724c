//! Keys, claims, patterns and permissions (protocol sections 3 and 4). Pure.
//! A first cut, to be replaced as a whole.
#![allow(missing_docs, unreachable_pub, missing_debug_implementations)]
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use fanfare_storage::Timestamp;
use serde_json::{Map, Value};
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    HS256,
}
#[derive(Clone)]
pub struct VerifyingKey(Vec<u8>);
impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VerifyingKey")
    }
}
#[derive(Debug, thiserror::Error)]
#[error("bad key")]
pub struct KeyError;
impl VerifyingKey {
    pub fn hmac(_: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        Ok(Self(secret.to_vec()))
    }
}
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Scope {
    Connect,
    Subscribe,
}
#[derive(Debug, PartialEq, Clone, Copy)]
pub(crate) enum Decision {
    Granted,
    Denied,
    Unset,
}
#[derive(Debug)]
pub(crate) struct Permissions(Map<String, Value>);
#[derive(Debug)]
pub(crate) struct Token {
    scope: String,
    pub uid: Option<Arc<str>>,
    pub umd: Option<Bytes>,
    pub permissions: Arc<Permissions>,
    pub connection_id: Option<Arc<str>>,
    pub keep_alive: bool,
    pub heartbeat_timeout: Option<u16>,
    pub single_use: bool,
    pub jti: Option<Arc<str>>,
    pub key: Arc<str>,
    pub expires_at: Timestamp,
}
impl Token {
    pub fn has_scope(&self, scope: Scope) -> bool {
        let name = match scope {
            Scope::Connect => "connect",
            Scope::Subscribe => "subscribe",
        };
        self.scope.split(' ').any(|one| one == name)
    }
}
#[derive(Debug)]
pub(crate) struct Verifier(Vec<VerifyingKey>);
impl Verifier {
    pub fn new(
        keys: Vec<VerifyingKey>,
        _: Vec<String>,
        _: Option<String>,
        _: std::time::Duration,
    ) -> Self {
        Self(keys)
    }
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Token, String> {
        let bad = || "the token is not valid".to_owned();
        let (text, signature) = token.rsplit_once('.').ok_or_else(bad)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| bad())?;
        let ok = self.0.iter().any(|key| {
            let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key.0);
            aws_lc_rs::hmac::verify(&key, text.as_bytes(), &signature).is_ok()
        });
        if !ok {
            return Err(bad());
        }
        let claims = text.split_once('.').ok_or_else(bad)?.1;
        let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| bad())?;
        let claims: Value = serde_json::from_slice(&claims).map_err(|_| bad())?;
        let exp = claims["exp"].as_u64().ok_or("exp is required")?;
        if now.as_unix_seconds() >= exp {
            return Err("the token has expired".into());
        }
        if claims["nbf"].as_u64().is_some_and(|nbf| nbf > now.as_unix_seconds()) {
            return Err("the token is not good yet".into());
        }
        if !(claims["uid"].is_string() || claims["uid"].is_null()) {
            return Err("uid must be a string".into());
        }
        let text = |name: &str| claims[name].as_str().map(Arc::from);
        Ok(Token {
            scope: claims["scope"].as_str().ok_or("scope is required")?.to_owned(),
            uid: text("uid"),
            umd: (!claims["umd"].is_null()).then(|| Bytes::from(claims["umd"].to_string())),
            permissions: Arc::new(Permissions(
                claims["channels"].as_object().cloned().unwrap_or_default(),
            )),
            connection_id: text("connectionId"),
            keep_alive: claims["keepAlive"] == true,
            heartbeat_timeout: claims["heartbeatTimeout"].as_u64().map(|n| n as u16),
            single_use: claims["singleUse"] == true,
            jti: text("jti"),
            key: "key".into(),
            expires_at: Timestamp::from_unix_seconds(exp),
        })
    }
}
pub(crate) struct Grants<'a> {
    pub connect: &'a Permissions,
    pub subscribe: Option<&'a Permissions>,
}
#[derive(Debug, Clone)]
pub(crate) struct ChannelGrants {
    pub subscribe: Decision,
    pub omit_from_sub_count: bool,
    pub history_start: Option<u64>,
}
#[derive(Debug, Clone)]
pub(crate) struct MessageGrants {
    pub publish: Decision,
    pub broadcast: bool,
    pub echo: bool,
    pub store: Option<crate::session::StoreFor>,
}
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|tail| {
            (0..=tail.len())
                .filter(|at| tail.is_char_boundary(*at))
                .any(|at| glob(rest, &tail[at..]))
        }),
    }
}
fn decide(values: &[&Value], name: &str) -> Decision {
    let any = |wanted: bool| values.iter().any(|value| value[name] == wanted);
    if any(false) {
        Decision::Denied
    } else if any(true) {
        Decision::Granted
    } else {
        Decision::Unset
    }
}
impl<'a> Grants<'a> {
    fn channels(&self, name: &str) -> Vec<&'a Value> {
        let all = self.connect.0.iter().chain(self.subscribe.iter().flat_map(|one| one.0.iter()));
        all.filter(|(key, _)| glob(key, name)).map(|(_, value)| value).collect()
    }
    pub fn channel(&self, name: &str) -> ChannelGrants {
        let found = self.channels(name);
        let auto = decide(&found, "autoSubscribe") == Decision::Granted;
        let subscribe = match decide(&found, "subscribe") {
            Decision::Unset if auto => Decision::Granted,
            other => other,
        };
        ChannelGrants {
            subscribe,
            omit_from_sub_count: decide(&found, "omitFromSubCount") == Decision::Granted,
            history_start: found.iter().filter_map(|one| one["historyStart"].as_u64()).max(),
        }
    }
    pub fn message(&self, channel: &str, event: &str) -> MessageGrants {
        fn of<'v>(channels: &[&'v Value], event: &str) -> Vec<&'v Value> {
            let all = channels.iter().filter_map(|one| one["messages"].as_object()).flatten();
            all.filter(|(key, _)| glob(key, event)).map(|(_, value)| value).collect()
        }
        let found = of(&self.channels(channel), event);
        let connect = Grants { connect: self.connect, subscribe: None };
        let own = of(&connect.channels(channel), event);
        let store = found.iter().filter_map(|one| one["store"].as_i64());
        let store = store.max_by_key(|store| if *store < 0 { i64::MAX } else { *store });
        MessageGrants {
            publish: decide(&found, "publish"),
            broadcast: decide(&own, "broadcast") == Decision::Granted,
            echo: decide(&found, "echo") == Decision::Granted,
            store: store.map(|store| match u64::try_from(store) {
                Ok(seconds) => crate::session::StoreFor::Seconds(seconds),
                Err(_) => crate::session::StoreFor::Forever,
            }),
        }
    }
}
impl Permissions {
    pub fn auto_subscribed(&self) -> impl Iterator<Item = &str> {
        let all = self.0.iter();
        all.filter(|(_, value)| value["autoSubscribe"] == true && value["subscribe"] != false)
            .map(|(name, _)| name.as_str())
    }
    pub fn alias_of(&self, name: &str) -> Option<&str> {
        self.0.get(name)?["alias"].as_str()
    }
    pub fn resolve_alias(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(_, value)| value["alias"] == name).map(|(name, _)| name.as_str())
    }
    pub fn is_exact_key(&self, name: &str) -> bool {
        !name.contains('*') && self.0.contains_key(name)
    }
}
