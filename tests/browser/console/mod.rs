//! The console, with which a developer does by hand what the protocol offers.

mod actions;
mod console_page;
mod frames;
mod session;

use console_page::Console;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Claims of a developer who may do everything in the channels `room` and `presence.room`.
fn claims() -> Value {
    let room = json!({
        "subscribe": true, "historyStart": 0, "getInfo": true, "umdUpdate": true,
        "messages": {"*": {"publish": true, "echo": true, "store": -1, "react": true}},
        "storage": {"*": {"get": true, "set": true, "observe": true}},
    });
    json!({"exp": now() + 5400, "scope": "connect", "uid": "Dev", "channels": {
        "room": room, "presence.room": room,
    }})
}

/// The same for somebody else.
fn claims_of(uid: &str) -> Value {
    let mut claims = claims();
    claims["uid"] = uid.into();
    claims
}
