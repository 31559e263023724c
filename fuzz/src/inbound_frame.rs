//! Messages of a client, one a line, and what must hold whatever they are.
//!
//! Lines that are not UTF-8 arrive as binary messages. `{{member}}` and the like in a line stand
//! for subscribe tokens, which no fuzzer could sign; see [`TOKENS`].

use super::client::{Client, Fields, Heard, World, string};
use super::token::sign;
use fanfare::HistoryQuery;
use serde::de::IgnoredAny;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

const MAX_LINES: usize = 64;
/// What the WebSocket reader lets through by default.
const MAX_MESSAGE_BYTES: usize = 64 << 10;
const MAX_DATA_BYTES: usize = 32 << 10;

const JIM: &[u8] = br#"{"exp": 4102444800, "scope": "connect", "uid": "jim", "umd": {"a": 1.50},
    "channels": {
        "room.*": {"subscribe": true, "historyStart": 0, "messages": {
            "chat": {"publish": true, "echo": true, "store": -1},
            "brief": {"publish": true, "store": 60},
            "typing": {"publish": true},
            "secret": {"publish": false}
        }},
        "lobby": {"autoSubscribe": true, "alias": "l", "messages": {
            "*": {"publish": true, "echo": true},
            "\u0023regex:^no\\.": {"publish": false}
        }},
        "wall": {"messages": {"*": {"broadcast": true}}},
        "hidden.*": {"subscribe": true, "omitFromSubCount": true},
        "presence.*": {"subscribe": true},
        "locked.*": {"subscribe": false}
    }}"#;

/// Somebody else, who is subscribed to [`WATCHED`].
const PAM: &[u8] = br#"{"exp": 4102444800, "scope": "connect", "uid": "pam",
    "channels": {"*": {"subscribe": true}}}"#;
const WATCHED: [&str; 5] = ["room.1", "room.2", "lobby", "wall", "hidden.1"];
/// The event of what jim stores, by his token, in the rooms.
const STORED: [&str; 2] = ["chat", "brief"];

/// Names in messages and the claims of the tokens that they stand for.
static TOKENS: LazyLock<[(&[u8], String); 4]> = LazyLock::new(|| {
    [
        (
            b"{{member}}".as_slice(),
            sign(
                br#"{"exp": 4102444800, "scope": "subscribe", "uid": "jim",
            "channels": {"private.1": {"subscribe": true, "alias": "p", "messages": {
                "chat": {"publish": true, "echo": true, "store": 60}}}}}"#,
            ),
        ),
        (
            b"{{once}}".as_slice(),
            sign(
                br#"{"exp": 4102444800, "scope": "subscribe", "uid": "jim",
            "jti": "1", "singleUse": true, "channels": {"private.*": {"subscribe": true}}}"#,
            ),
        ),
        (
            b"{{other}}".as_slice(),
            sign(
                br#"{"exp": 4102444800, "scope": "subscribe", "uid": "pam",
            "channels": {"private.*": {"subscribe": true}}}"#,
            ),
        ),
        (b"{{connect}}".as_slice(), sign(JIM)),
    ]
});

/// Lets jim send the lines of `input`.
pub fn run(input: &[u8]) {
    let world = World::new();
    let mut scene = Scene::new(&world);
    for line in input.split(|byte| *byte == b'\n').take(MAX_LINES) {
        let message = with_tokens(line);
        if message.len() <= MAX_MESSAGE_BYTES {
            scene.say(&message);
        }
    }
    scene.end();
}

fn with_tokens(line: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some((first, others)) = rest.split_first() {
        match TOKENS.iter().find(|(name, _)| rest.starts_with(name)) {
            Some((name, token)) => {
                message.extend_from_slice(token.as_bytes());
                rest = &rest[name.len()..];
            }
            None => {
                message.push(*first);
                rest = others;
            }
        }
    }
    message
}

struct Scene<'w> {
    world: &'w World,
    jim: Client<'w>,
    pam: Client<'w>,
    /// The channels that jim was told to be subscribed to.
    joined: BTreeSet<String>,
    /// The newest id that pam heard, by channel.
    newest: BTreeMap<String, String>,
    /// Ids and data that must be in the history, by channel.
    stored: BTreeMap<String, Vec<(String, String)>>,
}

impl<'w> Scene<'w> {
    fn new(world: &'w World) -> Self {
        let pam = world.connect(PAM).unwrap();
        for channel in WATCHED {
            let subscribe = serde_json::json!({"event": "hotsock.subscribe", "channel": channel});
            pam.send(subscribe.to_string().as_bytes());
        }
        assert_eq!(pam.heard().len(), 1 + WATCHED.len());
        let jim = world.connect(JIM).unwrap();
        let welcome: Vec<_> = jim.heard().into_iter().map(|heard| heard.event).collect();
        assert_eq!(welcome, ["hotsock.connected", "hotsock.subscribed"]);
        Self {
            world,
            jim,
            pam,
            joined: BTreeSet::from(["lobby".to_owned()]),
            newest: BTreeMap::new(),
            stored: BTreeMap::new(),
        }
    }

    fn say(&mut self, message: &[u8]) {
        self.jim.send(message);
        let (answers, echoes): (Vec<_>, Vec<_>) =
            self.jim.heard().into_iter().partition(Heard::is_answer);
        let (notices, copies): (Vec<_>, Vec<_>) =
            self.pam.heard().into_iter().partition(Heard::is_answer);
        assert!(notices.is_empty(), "pam did nothing: {notices:?}");
        assert!(answers.len() <= 1 && echoes.len() <= 1 && copies.len() <= 1);

        let text = str::from_utf8(message).ok();
        let sent: Option<Fields> = text.and_then(|text| serde_json::from_str(text).ok());
        if text.is_none_or(|text| serde_json::from_str::<IgnoredAny>(text).is_err()) {
            let code = answers.first().and_then(Heard::error_code);
            assert_eq!(code.as_deref(), Some("INVALID_MESSAGE"));
        }
        if let Some(answer) = answers.first() {
            assert!(echoes.is_empty() && copies.is_empty(), "nothing is refused and published");
            self.check_answer(answer, sent.as_ref());
        }
        for published in echoes.iter().chain(&copies) {
            check_published(published, sent.as_ref().expect("only JSON is published"));
        }
        if let [echo] = &echoes[..] {
            assert!(self.joined.contains(&echo.channel().unwrap()));
        }
        if let ([echo], [copy]) = (&echoes[..], &copies[..]) {
            assert_eq!(echo.raw("id"), copy.raw("id"));
        }
        if let [copy] = &copies[..] {
            self.note(copy);
        }
        if sent.is_some_and(|sent| self.must_be_published(&sent)) {
            assert_eq!(copies.len(), 1, "it is permitted, and was not published");
        }
        self.check_counts();
    }

    fn check_answer(&mut self, answer: &Heard, sent: Option<&Fields>) {
        let channel = answer.channel();
        match answer.event.as_str() {
            "hotsock.subscribed" => {
                let channel = channel.expect("a confirmation has a channel");
                assert!(!channel.starts_with("locked."));
                assert!(self.joined.insert(channel), "subscribed twice");
            }
            "hotsock.unsubscribed" => {
                let channel = channel.expect("a farewell has a channel");
                assert!(self.joined.remove(&channel), "unsubscribed without a subscription");
            }
            "hotsock.error" if answer.error_code().as_deref() == Some("ALREADY_SUBSCRIBED") => {
                assert!(self.joined.contains(&channel.expect("it names the real channel")));
            }
            "hotsock.error" if channel.is_some() => {
                assert_eq!(channel, sent.and_then(|sent| string(sent, "channel")));
            }
            _ => {}
        }
    }

    /// Takes note of a copy that pam got.
    fn note(&mut self, copy: &Heard) {
        let (channel, id) = (copy.channel().unwrap(), string(&copy.fields, "id").unwrap());
        assert!(WATCHED.contains(&channel.as_str()));
        let denied = match channel.as_str() {
            "lobby" => copy.event.starts_with("no."),
            room => room.starts_with("room.") && copy.event == "secret",
        };
        assert!(!denied, "{:?} is denied on {channel:?}", copy.event);
        let before = self.newest.insert(channel.clone(), id.clone());
        assert!(before.is_none_or(|before| before < id), "ids of a channel only grow");
        if channel.starts_with("room.") && STORED.contains(&copy.event.as_str()) {
            let data = copy.raw("data").unwrap().to_owned();
            self.stored.entry(channel).or_default().push((id, data));
        }
    }

    /// Whether jim's token certainly lets the message through. What it does not say may still be.
    fn must_be_published(&self, sent: &Fields) -> bool {
        let (event, channel) = (string(sent, "event"), string(sent, "channel"));
        let fits = sent.get("data").is_none_or(|data| data.get().len() <= MAX_DATA_BYTES);
        let plain = event.as_deref().is_some_and(|event| ["chat", "typing"].contains(&event));
        fits && plain
            && match channel.as_deref() {
                Some("room.1") => self.joined.contains("room.1"),
                Some("wall") => true,
                _ => false,
            }
    }

    fn check_counts(&self) {
        let watched = WATCHED.iter().map(|channel| (*channel).to_owned());
        let channels: BTreeSet<_> = watched.chain(self.joined.iter().cloned()).collect();
        for channel in channels {
            let counted = self.joined.contains(&channel) && !channel.starts_with("hidden.");
            let expected = usize::from(counted) + usize::from(WATCHED.contains(&&*channel));
            assert_eq!(self.world.subscriptions_count(&channel), expected, "{channel}");
        }
    }

    fn end(mut self) {
        for channel in WATCHED {
            let query = HistoryQuery { limit: MAX_LINES, ..HistoryQuery::default() };
            let history = self.world.block_on(self.world.broker.history(channel, &query)).unwrap();
            let history = history.messages.into_iter().map(|message| {
                assert_eq!(message.uid.as_deref(), Some("jim"));
                (message.id.to_string(), String::from_utf8(message.data.to_vec()).unwrap())
            });
            let expected = self.stored.remove(channel).unwrap_or_default();
            assert_eq!(history.collect::<Vec<_>>(), expected, "{channel}");
        }
        drop(self.jim);
        for channel in &self.joined {
            let expected = usize::from(WATCHED.contains(&channel.as_str()));
            assert_eq!(self.world.subscriptions_count(channel), expected, "{channel}");
        }
        assert_eq!(self.world.broker.connection_count(), 1);
    }
}

/// What is published is what was sent, byte for byte where it matters.
fn check_published(published: &Heard, sent: &Fields) {
    assert_eq!(Some(&published.event), string(sent, "event").as_ref());
    let data = sent.get("data").map_or("null", |data| data.get());
    assert_eq!(published.raw("data"), Some(data));
    assert_eq!(published.raw("meta"), Some(r#"{"uid":"jim","umd":{"a": 1.50}}"#));
    assert_eq!(string(&published.fields, "id").map(|id| id.len()), Some(26));
}
