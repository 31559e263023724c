//! What the host does while something else is under way.

use super::*;
use crate::auth::{Algorithm, ChannelClaims, Claims, SigningKey, Token};
use crate::broker::{Broker, Connection, Core, Error, Message, Peer, RevocationQuery};
use serde_json::json;

struct Place {
    broker: Broker,
    core: Arc<Core>,
    storage: Arc<FaultyStorage>,
    key: SigningKey,
}

impl Place {
    async fn new() -> Self {
        let key = SigningKey::hmac(Algorithm::HS256, &[1; 32]).unwrap();
        let storage = Arc::new(FaultyStorage::default());
        let shared: Arc<dyn Storage> = Arc::<FaultyStorage>::clone(&storage);
        let builder = Broker::builder().verifying_key(key.verifying_key()).storage(shared);
        let broker = builder.build().await.unwrap();
        Self { core: Arc::clone(&broker.core), broker, storage, key }
    }

    fn token(&self, uid: &str) -> Token {
        let channel = ChannelClaims::new().subscribe(true).history_start(Timestamp::EPOCH);
        let claims = Claims::connect().uid(uid).expires_in(Duration::from_secs(60));
        let token = claims.channel("c", channel).sign(&self.key).unwrap();
        self.core.verify_connect(&token).unwrap()
    }

    fn connect(&self, uid: &str) -> Arc<Connection> {
        let token = self.token(uid);
        let (connection, wait) = self.core.open(&token, token.meta(), Peer::default()).unwrap();
        assert!(wait.is_none());
        connection.mailbox().drain();
        connection
    }

    fn counts(&self) -> (usize, usize, usize) {
        let (channels, subscriptions) = self.core.hub.subscription_totals();
        (self.core.connections.len(), channels, subscriptions)
    }
}

#[tokio::test]
async fn a_connection_that_opens_while_its_token_is_revoked_is_closed() {
    let place = Place::new().await;
    let token = place.token("jim");
    let late = Timestamp::MAX;
    assert_eq!(place.broker.revoke_user("jim", late, None).await.unwrap().disconnected, 0);
    let (connection, _) = place.core.open(&token, token.meta(), Peer::default()).unwrap();
    assert_eq!(connection.mailbox().drain().1, Some(CloseReason::Disconnected));
    let anns = place.token("ann");
    let (other, _) = place.core.open(&anns, anns.meta(), Peer::default()).unwrap();
    assert_eq!(other.mailbox().drain().1, None);
}

#[tokio::test]
async fn a_subscription_that_is_ended_while_it_recovers_is_never_confirmed() {
    let place = Place::new().await;
    let connection = place.connect("jim");
    place.broker.publish(Message::new("c", "e").store_forever()).await.unwrap();
    place.storage.close_read_gate();
    let after = MessageId::MIN.to_string();
    let text = json!({"event": "hotsock.subscribe", "channel": "c", "data": {"after": after}});
    let text = text.to_string();
    let now = place.core.clock.now();
    let action = connection.session().lock().handle_text(now, &text);
    let joining = tokio::spawn(place.core.perform(&connection, action).unwrap());
    until(|| place.storage.reads() == 1).await;
    assert_eq!(place.counts(), (1, 1, 1));
    assert!(place.broker.unsubscribe(connection.id(), "c").unwrap());
    place.storage.open_read_gate();
    joining.await.unwrap();
    let (frames, closing) = connection.mailbox().drain();
    assert_eq!((frames.len(), closing), (1, None));
    assert_eq!(parse(&frames[0])["error"]["code"], "SUBSCRIBE_PERMISSION_DENIED");
    assert_eq!(place.counts(), (1, 0, 0));
    place.core.ended(&connection);
    assert_eq!(place.counts(), (0, 0, 0));
}

/// The connection's task may have read more than it has looked at.
#[tokio::test]
async fn what_a_client_sent_has_no_effect_once_its_connection_was_ended() {
    let place = Place::new().await;
    let by_id = place.connect("jim");
    assert!(place.broker.disconnect(by_id.id()));
    let by_user = place.connect("jim");
    assert_eq!(place.broker.disconnect_user("jim").await, 1);
    let revoked = place.connect("jim");
    let effect = place.broker.revoke_user("jim", Timestamp::MAX, None).await.unwrap();
    assert_eq!(effect.disconnected, 1);
    for connection in [by_id, by_user, revoked] {
        let subscribe = r#"{"event":"hotsock.subscribe","channel":"c"}"#;
        let action = connection.session().lock().handle_text(place.core.clock.now(), subscribe);
        assert!(place.core.perform(&connection, action).is_none());
        let (frames, closing) = connection.mailbox().drain();
        assert_eq!((frames.len(), closing), (0, Some(CloseReason::Disconnected)));
    }
    assert_eq!(place.counts(), (3, 0, 0));
}

/// Whether the token was used is not known then, and so not what is to become of the subscribe.
#[tokio::test(start_paused = true)]
async fn a_connection_that_storage_fails_looks_at_nothing_more() {
    let place = Place::new().await;
    let connection = place.connect("jim");
    place.storage.fail_tokens(true);
    let once = Claims::subscribe().uid("jim").single_use("once");
    let once = once.channel("d", ChannelClaims::new().subscribe(true));
    let once = once.expires_in(Duration::from_secs(60)).sign(&place.key).unwrap();
    let text = json!({"event": "hotsock.subscribe", "channel": "d", "data": {"token": once}});
    let say = |text: &str| {
        let action = connection.session().lock().handle_text(place.core.clock.now(), text);
        place.core.perform(&connection, action)
    };
    say(&text.to_string()).unwrap().await;
    place.storage.fail_tokens(false);
    assert!(say(r#"{"event":"hotsock.subscribe","channel":"c"}"#).is_none());
    let (frames, closing) = connection.mailbox().drain();
    assert_eq!((frames.len(), closing), (0, Some(CloseReason::StorageFault)));
    assert_eq!(place.counts(), (1, 0, 0));
}

#[tokio::test]
async fn a_revocation_that_can_t_be_stored_is_not_made() {
    let place = Place::new().await;
    let connection = place.connect("jim");
    place.storage.fail_revocations(true);
    let error: Error = place.broker.revoke_user("jim", Timestamp::MAX, None).await.unwrap_err();
    assert!(error.is_storage_unavailable());
    assert_eq!(connection.mailbox().drain().1, None);
    assert!(place.broker.revocations(&RevocationQuery::default()).revocations.is_empty());
    assert_eq!(place.broker.stats().await.storage_errors, 1);
    place.storage.fail_revocations(false);
    place.broker.revoke_user("jim", Timestamp::MAX, None).await.unwrap();
    assert_eq!(connection.mailbox().drain().1, Some(CloseReason::Disconnected));
}

/// Whatever connections, subscribers and the host do at the same time, in the end the counts are
/// those of what is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn counts_do_not_drift() {
    let place = Arc::new(Place::new().await);
    let subscribe = r#"{"event":"hotsock.subscribe","channel":"c"}"#;
    let unsubscribe = r#"{"event":"hotsock.unsubscribe","channel":"c"}"#;
    let mut tasks = Vec::new();
    for number in 0..8 {
        let place = Arc::clone(&place);
        tasks.push(tokio::spawn(async move {
            let (core, uid) = (&place.core, format!("user {}", number % 3));
            for round in 0..200 {
                let connection = place.connect(&uid);
                for text in [subscribe, unsubscribe, subscribe] {
                    let now = core.clock.now();
                    let action = connection.session().lock().handle_text(now, text);
                    assert!(core.perform(&connection, action).is_none());
                    tokio::task::yield_now().await;
                }
                match round % 4 {
                    0 => _ = place.broker.unsubscribe_user(&uid, "c").await,
                    1 => _ = place.broker.unsubscribe(connection.id(), "c"),
                    2 => {
                        let none: [(&str, ChannelClaims); 0] = [];
                        place.broker.set_permissions(connection.id(), none).unwrap();
                    }
                    _ => {}
                }
                core.ended(&connection);
            }
        }));
    }
    let stays = place.connect("stays");
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(place.counts(), (1, 0, 0));
    place.core.ended(&stays);
    assert_eq!(place.counts(), (0, 0, 0));
    assert!(place.core.connections.pages(Some("user 1")).next().is_none());
    assert_eq!(place.core.hub.channel_count(), 0);
}
