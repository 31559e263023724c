//! Tokens with any claims, right or wrong, independent of the crate's own builder.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

pub const SECRET: &[u8] = b"a secret for tests, of no value and sufficient length";

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub fn sign(claims: &Value) -> String {
    sign_with(SECRET, claims)
}

pub fn sign_with(secret: &[u8], claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(&json!({"alg": "HS256"})), part(claims));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&key, text.as_bytes())))
}

/// A connect token, good for an hour, with what `more` adds or overrides.
pub fn connect(more: &Value) -> String {
    let mut claims = json!({"exp": now() + 3600, "scope": "connect"});
    let (Value::Object(all), Value::Object(more)) = (&mut claims, more) else {
        panic!("claims are objects")
    };
    all.extend(more.clone());
    sign(&claims)
}

/// A token of a user who may chat on every channel.
pub fn chat(uid: &str) -> String {
    connect(&json!({"uid": uid, "channels": {"*": {
        "subscribe": true,
        "historyStart": 0,
        "messages": {
            "chat": {"publish": true, "echo": true, "store": -1},
            "typing": {"publish": true},
        },
    }}}))
}

/// What opens a WebSocket with a token, for clients that read the socket by themselves.
pub fn upgrade(address: SocketAddr, token: &str) -> String {
    format!(
        "GET /v1?token={token} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}
