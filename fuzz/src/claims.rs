//! Claims, in a token that is signed as it should be: used to connect, used to subscribe, and
//! then put to the test.

use super::client::{Client, Fields, Heard, World, string};
use super::token::sign;
use serde_json::json;

/// A token of more is refused for its length.
const MAX_CLAIMS_BYTES: usize = 48 << 10;
/// How many channels, and events of each, are tried.
const CHANNELS: usize = 6;
const EVENTS: usize = 4;

/// Uses `input` as the claims of tokens.
pub fn run(input: &[u8]) {
    if input.len() > MAX_CLAIMS_BYTES {
        return;
    }
    let claims = serde_json::from_slice(input).ok().map(Claims);
    connect(input, claims.as_ref());
    subscribe(input, claims.as_ref());
}

fn connect(input: &[u8], claims: Option<&Claims>) {
    let world = World::new();
    let client = match world.connect(input) {
        Ok(client) => client,
        Err(error) => return assert!(error.starts_with("INVALID_TOKEN: "), "{error}"),
    };
    let claims = claims.expect("claims are a JSON object");
    assert!(claims.has_scope("connect"));
    assert!(!claims.0.contains_key("connectionId") || claims.is_null("connectionId"));
    claims.check_uid();

    let observer = world.connect(OBSERVER).unwrap();
    observer.heard();
    let welcome = client.heard();
    assert_eq!(welcome[0].event, "hotsock.connected");
    for heard in &welcome[1..] {
        claims.check_subscribed(heard);
    }
    for channel in claims.channels() {
        observer.ask(&json!({"event": "hotsock.subscribe", "channel": channel.name}));
        try_channel(&client, &observer, claims, &channel);
        observer.ask(&json!({"event": "hotsock.unsubscribe", "channel": channel.name}));
    }
}

const OBSERVER: &[u8] = br#"{"exp": 4102444800, "scope": "connect", "uid": "observer",
    "channels": {"*": {"subscribe": true}}}"#;

/// Subscribes, publishes, and unsubscribes. What comes back depends on the claims; that something
/// does, and that nothing is done that they deny, does not.
fn try_channel(client: &Client<'_>, observer: &Client<'_>, claims: &Claims, channel: &Channel) {
    let answer = client.ask(&json!({"event": "hotsock.subscribe", "channel": channel.name}));
    claims.check_subscribed(&answer.expect("a subscribe is answered"));
    observer.heard();
    for event in &channel.events {
        let answer = client.ask(&json!({"event": event, "channel": channel.name, "data": 1}));
        let published = observer.heard().iter().any(|heard| heard.event == *event);
        if let Some(answer) = answer {
            assert!(answer.error_code().is_some(), "{answer:?}");
            assert!(!published, "it was refused and published");
        }
        if published {
            assert!(!channel.denies(event), "{event:?} is denied on {:?}", channel.name);
        }
    }
    let answer = client.ask(&json!({"event": "hotsock.unsubscribe", "channel": channel.name}));
    assert!(answer.is_some(), "an unsubscribe is answered");
}

fn subscribe(input: &[u8], claims: Option<&Claims>) {
    let world = World::new();
    let client = world.connect(br#"{"exp": 4102444800, "scope": "connect", "uid": "jim"}"#);
    let client = client.unwrap();
    client.heard();
    let token = sign(input);
    let channels = claims.map(Claims::channels).unwrap_or_default();
    for name in channels.iter().map(|channel| channel.name.as_str()).chain(["room.1"]) {
        let message =
            json!({"event": "hotsock.subscribe", "channel": name, "data": {"token": token}});
        let answer = client.ask(&message).expect("a subscribe is answered");
        if answer.event == "hotsock.subscribed" {
            let claims = claims.expect("claims are a JSON object");
            assert!(claims.has_scope("subscribe"));
            assert_eq!(string(&claims.0, "uid").as_deref(), Some("jim"));
            claims.check_subscribed(&answer);
        }
    }
}

/// The claims, read independently.
struct Claims(Fields);

/// A channel to be tried, with what its own key says where it is an exact one.
struct Channel {
    name: String,
    events: Vec<String>,
    messages: Fields,
}

impl Claims {
    fn has_scope(&self, scope: &str) -> bool {
        string(&self.0, "scope").is_some_and(|all| all.split(' ').any(|one| one == scope))
    }

    fn is_null(&self, name: &str) -> bool {
        self.0.get(name).is_none_or(|value| value.get() == "null")
    }

    fn check_uid(&self) {
        if !self.is_null("uid") {
            assert!(string(&self.0, "uid").unwrap().chars().count() <= 128);
        }
    }

    /// An explicit false under an exact key denies, whatever else there is.
    fn check_subscribed(&self, answer: &Heard) {
        if answer.event == "hotsock.subscribed" {
            let name = answer.channel().unwrap();
            let directives = object(&object(&self.0, "channels"), &name);
            assert!(!is_false(&directives, "subscribe"), "{name:?} is denied");
        }
    }

    /// Names that the claims are about, and some that they may not be.
    fn channels(&self) -> Vec<Channel> {
        let channels = object(&self.0, "channels");
        let keys = channels.keys().filter_map(|key| concrete(key)).take(CHANNELS);
        keys.chain(["room.1".to_owned(), "presence.a".to_owned()])
            .map(|name| {
                let messages = object(&object(&channels, &name), "messages");
                let events = messages.keys().filter_map(|key| concrete(key)).take(EVENTS);
                let events = events.chain(["chat".to_owned()]).collect();
                Channel { name, events, messages }
            })
            .collect()
    }
}

impl Channel {
    fn denies(&self, event: &str) -> bool {
        is_false(&object(&self.messages, event), "publish")
    }
}

/// A name that a key stands for, unless that would be hard to say.
fn concrete(key: &str) -> Option<String> {
    (!key.starts_with('#') && !key.starts_with("hotsock.")).then(|| key.replace('*', "x"))
}

/// An object inside another; empty where there is none.
fn object(fields: &Fields, name: &str) -> Fields {
    fields.get(name).and_then(|value| serde_json::from_str(value.get()).ok()).unwrap_or_default()
}

fn is_false(fields: &Fields, name: &str) -> bool {
    fields.get(name).is_some_and(|value| value.get() == "false")
}
