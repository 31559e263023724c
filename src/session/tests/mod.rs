//! The session on a virtual clock: what clients send, what they are told, nothing in between.

mod aliases;
mod asking;
mod control;
mod lifetime;
mod many;
mod pace;
mod publishing;
mod reacting;
mod scheduling;
mod storage;
mod subscribing;
mod umd;

use super::*;
use crate::auth::{Algorithm, VerifyingKey};
use crate::session::action::UseToken;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanfare_storage::{MessageId, TokenUse};
use serde_json::{Value, json};
use std::collections::HashSet;
use storage::Set;

const SECRET: &[u8] = b"a secret for tests of at least 64 bytes, so that it fits HS512 too";
const START: u64 = 1_700_000_000;

/// Signs claims as they are, right or wrong.
fn sign(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(&json!({"alg": "HS256", "typ": "JWT"})), part(claims));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET);
    let signature = aws_lc_rs::hmac::sign(&key, text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Claims of a scope with what `more` adds, good for an hour.
fn claims(scope: &str, more: &Value) -> Value {
    let mut claims = json!({"exp": START + 3600, "scope": scope});
    let (Value::Object(all), Value::Object(more)) = (&mut claims, more) else {
        panic!("claims are objects")
    };
    all.extend(more.clone());
    claims
}

fn subscribe_token(more: &Value) -> String {
    sign(&claims("subscribe", more))
}

/// A client and the world around its session.
struct Client {
    session: Session<u32>,
    now: Now,
    /// What the server said and the client has not looked at.
    said: Vec<Value>,
    published: Vec<Published>,
    reactions: Vec<ReactionRequest>,
    set: Vec<Set>,
    /// Channels and keys whose values are to be read.
    read: Vec<(String, String)>,
    left: Vec<u32>,
    closed: Option<CloseReason>,
    spent: HashSet<TokenUse>,
    /// Where subscriptions start.
    position: MessageId,
    registrations: u32,
    /// What the last subscribe may recover.
    recovery: Option<Recovery>,
    /// Whether presence channels have no room.
    full: bool,
    /// What the host answers when it is asked about a subscribe.
    host: Option<Host>,
    asked: Vec<SubscribeQuestion>,
}

type Host = fn(&SubscribeQuestion) -> Result<Meta, ProtocolError>;

/// A publish that the session allowed.
#[derive(Debug, PartialEq)]
struct Published {
    channel: String,
    event: String,
    data: String,
    uid: Option<String>,
    umd: Option<String>,
    echo: bool,
    retention: fanfare_storage::Retention,
    due: Option<Timestamp>,
}

impl Client {
    /// Connects with claims of scope `connect`, and takes the welcome away.
    fn connect(more: &Value) -> Self {
        let mut client = Self::connect_raw(&claims("connect", more), TimerSettings::default());
        assert_eq!(client.said.remove(0)["event"], "hotsock.connected");
        client
    }

    fn connect_raw(claims: &Value, timers: TimerSettings) -> Self {
        Self::connect_with(claims, timers, None, None)
    }

    fn connect_paced(claims: &Value, timers: TimerSettings, rate: Option<MessageRate>) -> Self {
        Self::connect_with(claims, timers, rate, None)
    }

    fn connect_asking(claims: &Value, timers: TimerSettings, host: Option<Host>) -> Self {
        Self::connect_with(claims, timers, None, host)
    }

    fn connect_with(
        claims: &Value,
        timers: TimerSettings,
        rate: Option<MessageRate>,
        host: Option<Host>,
    ) -> Self {
        let key = VerifyingKey::hmac(Algorithm::HS256, SECRET).unwrap();
        let verifier = Arc::new(Verifier::new(vec![key], Vec::new(), None, Duration::ZERO));
        let now = Now { wall: Timestamp::from_unix_seconds(START), steady: Duration::ZERO };
        let token = verifier.verify(&sign(claims), now.wall).unwrap();
        let settings = SessionSettings {
            verifier,
            timers,
            max_subscriptions: 3,
            message_rate: rate,
            asks_host: host.is_some(),
        };
        let mut client = Self {
            session: Session::new(
                Arc::new(settings),
                "connection-1".into(),
                &token,
                token.meta(),
                now,
                Duration::ZERO,
            ),
            now,
            said: Vec::new(),
            published: Vec::new(),
            reactions: Vec::new(),
            set: Vec::new(),
            read: Vec::new(),
            left: Vec::new(),
            closed: None,
            spent: HashSet::new(),
            position: MessageId::first_at(now.wall),
            registrations: 0,
            recovery: None,
            full: false,
            host,
            asked: Vec::new(),
        };
        for action in client.session.start("secret-1".into(), now) {
            client.perform(action);
        }
        client
    }

    fn write(&mut self, request: WriteRequest<'_>) {
        let channel = request.channel.to_string();
        let uid = request.meta.uid.as_deref().map(str::to_owned);
        match request.kind {
            WriteKind::Message { event, echo } => self.published.push(Published {
                channel,
                event: event.into_owned(),
                data: request.data.into_owned(),
                uid,
                umd: request.meta.umd.map(|umd| String::from_utf8(umd.to_vec()).unwrap()),
                echo,
                retention: request.store.retention(self.now.wall),
                due: request.due,
            }),
            WriteKind::Entry { key } => self.set.push(Set {
                channel,
                key: key.into_owned(),
                value: (!is_clearing(&request.data)).then(|| request.data.into_owned()),
                uid,
                store: request.store,
                due: request.due,
            }),
        }
    }

    /// Sends a message and returns what was said since.
    fn send(&mut self, message: &Value) -> Vec<Value> {
        self.send_text(&message.to_string())
    }

    fn send_text(&mut self, text: &str) -> Vec<Value> {
        let action = self.session.handle_text(self.now, text);
        self.perform(action);
        std::mem::take(&mut self.said)
    }

    /// Sends a message that is answered with an error, and returns its code and channel.
    fn error(&mut self, message: &Value) -> (String, Value) {
        let said = self.send(message);
        let [error] = &said[..] else { panic!("{message} was answered with {said:?}") };
        assert_eq!(error["event"], "hotsock.error", "{message}");
        assert!(error["error"]["message"].as_str().unwrap().len() > 10);
        (error["error"]["code"].as_str().unwrap().to_owned(), error["channel"].clone())
    }

    fn code(&mut self, message: &Value) -> String {
        self.error(message).0
    }

    fn subscribe(&mut self, channel: &str) -> Value {
        let said = self.send(&json!({"event": "hotsock.subscribe", "channel": channel}));
        assert_eq!(said.len(), 1);
        assert_eq!(said[0]["event"], "hotsock.subscribed", "{said:?}");
        said[0].clone()
    }

    fn subscribe_with(&mut self, channel: &str, token: &str) -> Vec<Value> {
        self.send(&with_token(channel, token))
    }

    /// Sends a message that is published, and returns it.
    fn publish(&mut self, message: &Value) -> Published {
        let said = self.send(message);
        assert!(said.is_empty(), "{message} was answered with {said:?}");
        assert_eq!(self.published.len(), 1, "{message}");
        self.published.remove(0)
    }

    fn advance(&mut self, by: Duration) -> Vec<Value> {
        self.now = Now { wall: self.now.wall + by, steady: self.now.steady + by };
        while self.closed.is_none() {
            let Some(action) = self.session.handle_timeout(self.now) else { break };
            self.perform(action);
        }
        std::mem::take(&mut self.said)
    }

    fn perform(&mut self, action: Action<'_, u32>) {
        match action {
            Action::None => {}
            Action::Reply(event) => self.hear(&event),
            Action::Join(join) if self.full => {
                self.session.join_refused(&join.channel);
                let code = Code::PresenceCapacityReached;
                let error = ProtocolError::new(code, "there is no room");
                self.hear(&Event::Error { channel: Some(join.written), error });
            }
            Action::Join(join) => {
                self.spent.extend(join.spend);
                self.registrations += 1;
                self.recovery = join.recovery;
                let left = self.session.joined(&join.channel, self.registrations, self.position);
                assert_eq!(left, None);
                self.hear(&Event::Subscribed(join.confirmation));
            }
            Action::Leave(leave) => {
                self.left.push(leave.registration);
                self.hear(&leave.farewell);
            }
            Action::Write(request) => self.write(request),
            Action::React(request) => self.reactions.push(request),
            Action::GetEntry(request) => {
                self.read.push((request.channel.to_string(), request.key.into_owned()));
            }
            Action::UseToken(UseToken { token, spend }) => {
                let fresh = !self.spent.contains(&token);
                if spend {
                    self.spent.insert(token);
                }
                let action = self.session.token_used(fresh);
                self.perform(action);
            }
            Action::AskHost(question) => {
                let answer = self.host.expect("the session has a host")(&question);
                self.asked.push(question);
                let action = self.session.host_answered(answer);
                self.perform(action);
            }
            Action::AutoSubscribe(channel) => {
                let action = self.session.auto_subscribe(&channel);
                self.perform(action);
            }
            Action::UpdateUmd(update) => {
                let channel = update.written.clone();
                if let Err(error) = self.update_umd(update) {
                    self.hear(&Event::Error { channel, error });
                }
            }
            Action::Close(reason) => self.closed = Some(reason),
        }
    }

    /// Carries an update out in the order that [`UmdUpdate`] asks for.
    fn update_umd(&mut self, update: UmdUpdate) -> Result<(), ProtocolError> {
        if update.token.as_ref().is_some_and(|token| self.spent.contains(token)) {
            return Err(used_before(Code::InvalidUmdToken));
        }
        let change = update.verdict?;
        if self.full && !self.session.shown(&change).is_empty() {
            return Err(ProtocolError::new(Code::PresenceCapacityReached, "there is no room"));
        }
        self.spent.extend(update.token);
        self.session.set_umd(&change);
        Ok(())
    }

    fn hear(&mut self, event: &Event) {
        let frame = event.to_frame();
        let start = frame.windows(2).position(|two| two == b"{\"").unwrap();
        self.said.push(serde_json::from_slice(&frame[start..]).unwrap());
    }
}

fn with_token(channel: &str, token: &str) -> Value {
    json!({"event": "hotsock.subscribe", "channel": channel, "data": {"token": token}})
}

fn unsubscribe(channel: &str) -> Value {
    json!({"event": "hotsock.unsubscribe", "channel": channel})
}
