//! A whole broker on a storage and a clock that do as they are told, and its clients.

use super::*;
use crate::auth::{Algorithm, ChannelClaims, Claims, SigningKey, StorageClaims};
use crate::broker::{Broker, BrokerBuilder, Connection, Core, Message, Peer, Wait};
use serde_json::json;
use std::future::poll_fn;
use std::task::Poll;

pub(super) const START: u64 = 1_700_000_000;

/// A broker, with what is around it.
pub(super) struct Place {
    pub(super) broker: Broker,
    pub(super) core: Arc<Core>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) storage: Arc<FaultyStorage>,
    pub(super) key: SigningKey,
}

impl Place {
    pub(super) async fn new() -> Self {
        Self::with(|builder| builder, Arc::default()).await
    }

    pub(super) async fn with(
        build: impl FnOnce(BrokerBuilder) -> BrokerBuilder,
        storage: Arc<FaultyStorage>,
    ) -> Self {
        let key = SigningKey::hmac(Algorithm::HS256, &[1; 32]).unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_seconds(START)));
        let builder =
            Broker::builder()
                .verifying_key(key.verifying_key())
                .storage(Arc::<FaultyStorage>::clone(&storage));
        let broker = build(builder).build_with(Arc::<ManualClock>::clone(&clock)).await.unwrap();
        Self { core: Arc::clone(&broker.core), broker, clock, storage, key }
    }

    pub(super) fn at(&self, seconds: u64) {
        self.clock.set_wall(Timestamp::from_unix_seconds(START + seconds));
    }

    /// A connection that may read the channel `c` back to `history_start`, and observe the keys of
    /// its storage that start with `k`.
    pub(super) fn reader(&self, history_start: Option<u64>) -> Reader {
        let mut channel = ChannelClaims::new().subscribe(true);
        if let Some(seconds) = history_start {
            channel = channel.history_start(Timestamp::from_unix_seconds(seconds));
        }
        // As it is with channel storage too, the subscription is held at first.
        channel = channel.storage("k*", StorageClaims::new().observe(true));
        let claims = Claims::connect().expires_in(Duration::from_secs(3600)).channel("c", channel);
        let token = claims.sign(&self.key).unwrap();
        let token = self.core.verify_connect(&token).unwrap();
        let (connection, wait) = self.core.open(&token, token.meta(), Peer::default()).unwrap();
        assert!(wait.is_none());
        connection.mailbox().drain();
        let core = Arc::clone(&self.core);
        Reader { core, connection, frames: Vec::new(), closing: None }
    }

    pub(super) async fn subscribed(&self) -> Reader {
        let mut reader = self.reader(None);
        reader.subscribe(&json!(null)).await;
        reader.frames.clear();
        reader
    }

    pub(super) async fn publish(&self, data: u64, store: i64) -> MessageId {
        let message = Message::new("c", "e").data(&data);
        let message = match store {
            0 => message,
            -1 => message.store_forever(),
            seconds => message.store_for(Duration::from_secs(seconds.unsigned_abs())),
        };
        self.broker.publish(message).await.unwrap().id()
    }

    pub(super) async fn stored(&self, count: u64) -> Vec<MessageId> {
        let mut ids = Vec::new();
        for data in 0..count {
            ids.push(self.publish(data, -1).await);
        }
        ids
    }
}

/// A client, as far as frames go.
pub(super) struct Reader {
    pub(super) core: Arc<Core>,
    pub(super) connection: Arc<Connection>,
    pub(super) frames: Vec<Bytes>,
    pub(super) closing: Option<CloseReason>,
}

impl Reader {
    pub(super) fn send(&self, data: &Value) -> Option<Wait> {
        let text = json!({"event": "hotsock.subscribe", "channel": "c", "data": data}).to_string();
        let now = self.core.clock.now();
        let action = self.connection.session().lock().handle_text(now, &text);
        self.core.perform(&self.connection, action)
    }

    /// Reads what has arrived.
    pub(super) fn read(&mut self) {
        let (frames, closing) = self.connection.mailbox().drain();
        // What was written to a socket is free.
        self.frames.extend(frames.iter().map(|frame| Bytes::copy_from_slice(frame)));
        self.closing = self.closing.or(closing);
    }

    /// Subscribes, reading all the while.
    pub(super) async fn subscribe(&mut self, data: &Value) {
        let mut wait = self.send(data).expect("the subscription is held at first");
        poll_fn(|context| {
            let over = wait.as_mut().poll(context);
            self.read();
            if self.closing.is_some() { Poll::Ready(()) } else { over }
        })
        .await;
    }

    pub(super) async fn recover(&mut self, after: MessageId) -> (bool, Vec<MessageId>) {
        self.subscribe(&json!({"after": after.to_string()})).await;
        let confirmation = parse(&self.frames[0]);
        assert_eq!(confirmation["event"], "hotsock.subscribed");
        (confirmation["data"]["recovered"].as_bool().unwrap(), self.ids())
    }

    /// The ids of all messages that have arrived.
    pub(super) fn ids(&mut self) -> Vec<MessageId> {
        self.read();
        let messages = self.frames.iter().map(parse);
        messages.filter(|message| message["id"].is_string()).map(|message| id(&message)).collect()
    }

    pub(super) fn leave(self) {
        self.core.ended(&self.connection);
    }
}
