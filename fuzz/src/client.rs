//! A broker, and clients of it without sockets.

use super::token::{SECRET, sign};
use fanfare::internals::{Connection, settled};
use fanfare::{Algorithm, Broker, MemoryStorage, VerifyingKey};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, VecDeque};
use tokio::runtime::Runtime;

/// A broker on a runtime of its own.
pub(super) struct World {
    runtime: Runtime,
    pub(super) broker: Broker,
}

impl World {
    pub(super) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let builder = Broker::builder()
            .verifying_key(VerifyingKey::hmac(Algorithm::HS256, SECRET).unwrap())
            .storage(MemoryStorage::with_capacity(64 << 20));
        let broker = runtime.block_on(builder.build()).unwrap();
        Self { runtime, broker }
    }

    /// Connects with a token that has these claims.
    pub(super) fn connect(&self, claims: &[u8]) -> Result<Client<'_>, String> {
        let token = sign(claims);
        let connection = self.runtime.block_on(Connection::open(&self.broker, &token))?;
        Ok(Client { world: self, connection })
    }

    pub(super) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    pub(super) fn subscriptions_count(&self, channel: &str) -> usize {
        self.broker.channel_info(channel).unwrap().subscriptions_count()
    }
}

/// An open connection.
pub(super) struct Client<'w> {
    world: &'w World,
    connection: Connection,
}

impl Client<'_> {
    /// Sends a message, as binary where it is no text, and waits until all that it caused is done.
    pub(super) fn send(&self, message: &[u8]) {
        self.world.block_on(async {
            let wait = match str::from_utf8(message) {
                Ok(text) => self.connection.text(text),
                Err(_) => self.connection.binary(),
            };
            if let Some(wait) = wait {
                wait.await;
            }
            settled(&self.world.broker).await;
        });
    }

    /// What was said to the client since the last call. The connection must still be open.
    pub(super) fn heard(&self) -> Vec<Heard> {
        let mut frames = VecDeque::new();
        assert_eq!(self.connection.take(&mut frames), None, "the connection was closed");
        frames.iter().map(|frame| Heard::parse(frame)).collect()
    }

    /// As [`send`](Self::send), of a message that has at most one answer, which is returned.
    pub(super) fn ask(&self, message: &serde_json::Value) -> Option<Heard> {
        self.send(message.to_string().as_bytes());
        let mut heard = self.heard();
        heard.retain(Heard::is_answer);
        assert!(heard.len() <= 1, "{message} was answered more than once: {heard:?}");
        heard.pop()
    }
}

/// The fields of a JSON object as they were written; the last of a repeated name.
pub(super) type Fields = BTreeMap<String, Box<RawValue>>;

/// A string field; `None` for every other.
pub(super) fn string(fields: &Fields, name: &str) -> Option<String> {
    serde_json::from_str(fields.get(name)?.get()).ok()
}

/// A message of the server's.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) event: String,
    pub(super) fields: Fields,
}

impl Heard {
    fn parse(frame: &[u8]) -> Self {
        let fields: Fields = serde_json::from_slice(payload(frame)).expect("a JSON object");
        let event = string(&fields, "event").expect("every message has an event");
        if event == "hotsock.error" {
            let error: Fields = serde_json::from_str(fields["error"].get()).unwrap();
            let code = string(&error, "code").unwrap();
            assert!(!code.is_empty() && code.bytes().all(|b| b == b'_' || b.is_ascii_uppercase()));
            assert!(string(&error, "message").unwrap().len() > 10, "{fields:?}");
        }
        Self { event, fields }
    }

    /// Whether it is about what the client did, rather than a message that was published.
    pub(super) fn is_answer(&self) -> bool {
        self.event.starts_with("hotsock.")
    }

    pub(super) fn channel(&self) -> Option<String> {
        string(&self.fields, "channel")
    }

    pub(super) fn error_code(&self) -> Option<String> {
        string(&serde_json::from_str(self.fields.get("error")?.get()).ok()?, "code")
    }

    pub(super) fn raw(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(|value| value.get())
    }
}

/// The payload of a whole, final, unmasked text frame (RFC 6455 section 5.2).
fn payload(frame: &[u8]) -> &[u8] {
    let (length, payload) = match frame {
        [0x81, 126, a, b, payload @ ..] => (u64::from(u16::from_be_bytes([*a, *b])), payload),
        [0x81, 127, rest @ ..] => {
            let (length, payload) = rest.split_first_chunk().expect("a long header");
            (u64::from_be_bytes(*length), payload)
        }
        [0x81, length @ 0..=125, payload @ ..] => (u64::from(*length), payload),
        _ => panic!("not a text frame: {}", frame.escape_ascii()),
    };
    assert_eq!(payload.len() as u64, length);
    payload
}
