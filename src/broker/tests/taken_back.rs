//! What a client has handed over and waits, while the right to it is taken back.

use super::place::Place;
use super::*;
use crate::auth::{ChannelClaims, Claims, MessageClaims, StorageClaims};
use crate::broker::{
    Connection, EntryQuery, HistoryQuery, Hooks, Message, Peer, Publishing, ScheduleQuery, Veto,
    Wait,
};
use crate::protocol::error::Code;
use crate::protocol::fields::Fields;
use fanfare_storage::async_trait;
use serde_json::json;
use std::sync::atomic::AtomicUsize;
use tokio::sync::Semaphore;

/// A host that thinks until it is let.
#[derive(Debug)]
struct Thoughtful {
    asked: AtomicUsize,
    gate: Semaphore,
}

impl Thoughtful {
    fn new() -> Arc<Self> {
        Arc::new(Self { asked: AtomicUsize::new(0), gate: Semaphore::new(0) })
    }
}

#[async_trait]
impl Hooks for Thoughtful {
    async fn publish(&self, publishing: &mut Publishing) -> Result<(), Veto> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.gate.acquire().await.unwrap().forget();
        // What it is published as says nothing of what the client was permitted.
        if publishing.key().is_none() {
            publishing.set_event("renamed").unwrap();
        }
        Ok(())
    }
}

async fn thoughtful() -> (Place, Arc<Thoughtful>) {
    let host = Thoughtful::new();
    let hooks = Arc::clone(&host);
    (Place::with(|builder| builder.hooks(hooks), Arc::default()).await, host)
}

fn may_write() -> ChannelClaims {
    let message = MessageClaims::new().publish(true).react(true).store_forever();
    let message = message.schedule_before(Timestamp::from_unix_seconds(u64::from(u32::MAX)));
    let storage = StorageClaims::new().set_value(true);
    ChannelClaims::new().subscribe(true).message("e", message).storage("k", storage)
}

impl Place {
    fn writer(&self) -> Arc<Connection> {
        let claims = Claims::connect().uid("jim").token_id("a").umd(&1);
        let claims = claims.expires_in(Duration::from_secs(60)).channel("c", may_write());
        self.connected(&claims.channel("presence.p", ChannelClaims::new().subscribe(true)))
    }

    fn connected(&self, claims: &Claims) -> Arc<Connection> {
        let token = self.core.verify_connect(&claims.sign(&self.key).unwrap()).unwrap();
        let (connection, wait) = self.core.open(&token, token.meta(), Peer::default()).unwrap();
        assert!(wait.is_none());
        connection
    }

    fn say(&self, connection: &Arc<Connection>, text: &Value) -> Option<Wait> {
        let (now, text) = (self.core.clock.now(), text.to_string());
        let action = connection.session().lock().handle_text(now, &text);
        self.core.perform(connection, action)
    }

    async fn joined(&self, connection: &Arc<Connection>, channel: &str) {
        let text = json!({"event": "hotsock.subscribe", "channel": channel});
        if let Some(wait) = self.say(connection, &text) {
            wait.await;
        }
        connection.mailbox().drain();
    }

    /// How much there is of all that a client may write.
    async fn written(&self) -> (usize, usize, usize, usize) {
        let history = self.broker.history("c", &HistoryQuery::default()).await.unwrap().messages;
        let reactions = match history.first() {
            Some(message) => self.broker.reactions("c", message.id).await.unwrap().len(),
            None => 0,
        };
        let entries = self.broker.entries("c", &EntryQuery::default()).await.unwrap();
        let schedules = self.broker.schedules(&ScheduleQuery::default()).await.unwrap();
        (history.len(), reactions, entries.entries.len(), schedules.schedules.len())
    }

    /// Takes all the room that there is; what is published waits for the storage's gate.
    async fn fill(&self) {
        self.storage.close_gate();
        let (broker, commits) = (self.broker.clone(), self.storage.commits());
        tokio::spawn(async move {
            broker.publish(Message::new("other", "e").store_forever()).await.unwrap();
        });
        until(|| self.storage.commits() > commits).await;
    }
}

fn writes() -> [Value; 3] {
    [
        json!({"event": "e", "channel": "c", "data": 1}),
        json!({"event": "e", "channel": "c", "scheduleExpression": "at(2030-01-01T00:00:00)"}),
        json!({"event": "hotsock.channelStorageSet", "channel": "c", "key": "k", "data": 1}),
    ]
}

fn reaction(message: MessageId) -> Value {
    let data = json!({"messageId": message.to_string(), "reaction": "+1", "action": "add"});
    json!({"event": "hotsock.messageReaction", "channel": "c", "data": data})
}

fn errors(connection: &Connection) -> Vec<Value> {
    let frames = connection.mailbox().drain().0;
    frames.iter().map(|frame| parse(frame)["error"]["code"].clone()).collect()
}

#[tokio::test]
async fn what_waits_behind_a_hook_is_not_published_once_the_token_is_revoked() {
    for text in writes() {
        let (place, host) = thoughtful().await;
        let watcher = Subscriber::join(&place.core.hub, "c", BUDGET);
        let connection = place.writer();
        let writing = {
            let subscribe = json!({"event": "hotsock.subscribe", "channel": "c"});
            place.say(&connection, &subscribe).unwrap().await;
            tokio::spawn(place.say(&connection, &text).unwrap())
        };
        until(|| host.asked.load(Ordering::Relaxed) == 1).await;
        let effect = place.broker.revoke_token("a", None).await.unwrap();
        assert_eq!(effect.disconnected, 1);
        host.gate.add_permits(1);
        writing.await.unwrap();
        place.core.hub.settled().await;
        assert_eq!(place.written().await, (0, 0, 0, 0), "{text}");
        assert_eq!(watcher.messages(), []);
    }
}

#[tokio::test]
async fn what_waits_for_room_is_not_published_once_the_token_is_revoked() {
    let mut all = writes().map(Some).to_vec();
    all.push(None);
    for text in all {
        let place = Place::with(|builder| builder.max_unstored_bytes(1), Arc::default()).await;
        let message = place.publish(0, -1).await;
        let connection = place.writer();
        place.joined(&connection, "c").await;
        place.fill().await;
        let text = text.unwrap_or_else(|| reaction(message));
        let mut writing = place.say(&connection, &text).expect("there is no room");
        let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
        // As far as it comes.
        assert!(writing.as_mut().poll(context).is_pending());
        place.broker.revoke_token("a", None).await.unwrap();
        place.storage.open_gate();
        writing.await;
        place.core.hub.settled().await;
        assert_eq!(place.written().await, (1, 0, 0, 0), "{text}");
    }
}

#[tokio::test]
async fn what_waits_for_room_has_to_be_permitted_by_changed_permissions_too() {
    let denied = ["PUBLISH", "PUBLISH", "STORAGE", "REACT"];
    for (number, denied) in denied.into_iter().enumerate() {
        let place = Place::with(|builder| builder.max_unstored_bytes(1), Arc::default()).await;
        let message = place.publish(0, -1).await;
        let connection = place.writer();
        place.joined(&connection, "c").await;
        place.fill().await;
        connection.mailbox().drain();
        let text = writes().get(number).cloned().unwrap_or_else(|| reaction(message));
        let mut writing = place.say(&connection, &text).expect("there is no room");
        let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
        assert!(writing.as_mut().poll(context).is_pending());
        let others = [("c", ChannelClaims::new().subscribe(true))];
        place.broker.set_permissions(connection.id(), others).unwrap();
        place.storage.open_gate();
        writing.await;
        place.core.hub.settled().await;
        assert_eq!(place.written().await, (1, 0, 0, 0), "{text}");
        assert_eq!(errors(&connection), [json!(format!("{denied}_PERMISSION_DENIED"))]);
    }
}

#[tokio::test]
async fn a_schedule_that_waits_for_room_has_to_be_permitted_for_its_time_by_changed_permissions() {
    for (before, kept) in [("2029-12-31T00:00:00Z", 0), ("2030-01-01T00:00:00Z", 1)] {
        let place = Place::with(|builder| builder.max_unstored_bytes(1), Arc::default()).await;
        let connection = place.writer();
        place.joined(&connection, "c").await;
        place.fill().await;
        connection.mailbox().drain();
        let mut writing = place.say(&connection, &writes()[1]).expect("there is no room");
        let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
        assert!(writing.as_mut().poll(context).is_pending());
        let before = before.parse::<jiff::Timestamp>().unwrap().as_second();
        let before = Timestamp::from_unix_seconds(before.try_into().unwrap());
        let message = MessageClaims::new().publish(true).schedule_before(before);
        let others = [("c", ChannelClaims::new().subscribe(true).message("e", message))];
        place.broker.set_permissions(connection.id(), others).unwrap();
        place.storage.open_gate();
        writing.await;
        place.core.hub.settled().await;
        assert_eq!(place.written().await, (0, 0, 0, kept));
        let refused = if kept == 0 { vec![json!("SCHEDULE_PERMISSION_DENIED")] } else { vec![] };
        assert_eq!(errors(&connection), refused);
    }
}

#[tokio::test]
async fn what_waits_for_room_over_http_is_refused_once_the_token_is_revoked() {
    let place = Place::with(|builder| builder.max_unstored_bytes(1), Arc::default()).await;
    let message = place.publish(0, -1).await;
    let connection = place.writer();
    place.joined(&connection, "c").await;
    place.fill().await;
    let (core, now) = (Arc::clone(&place.core), place.core.clock.now());
    let parts = http::Request::new(()).into_parts().0;
    let mut under_way = Vec::new();
    for text in writes() {
        let (core, connection, parts) = (Arc::clone(&core), Arc::clone(&connection), parts.clone());
        under_way.push(tokio::spawn(async move {
            let text = text.to_string();
            let fields = Fields::parse(&text).unwrap();
            let request = {
                let mut session = connection.session().lock();
                let publish = session.publish_over_http(now, &fields);
                publish.or_else(|_| session.set_entry(now, &fields)).unwrap()
            };
            let right = request.right();
            core.write_over_http(&connection, &request, &right, &parts).await.map(|_| ())
        }));
    }
    let text = reaction(message).to_string();
    let fields = Fields::parse(&text).unwrap();
    let request = connection.session().lock().react(&fields, Some("c")).unwrap();
    under_way.push(tokio::spawn({
        let connection = Arc::clone(&connection);
        async move { core.react_over_http(&connection, &request, &parts).await.map(|_| ()) }
    }));
    until(|| place.storage.reads() == 1).await;
    // As far as they come.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    place.broker.revoke_token("a", None).await.unwrap();
    place.storage.open_gate();
    for one in under_way {
        assert_eq!(one.await.unwrap().unwrap_err().code, Code::InvalidCredentials);
    }
    assert_eq!(place.written().await, (1, 0, 0, 0));
}

/// Metadata that change everywhere, by a token with this `jti`.
fn metadata(place: &Place, token_id: &str) -> Value {
    let claims = Claims::umd_scope().uid("jim").umd(&2).umd_update().umd_propagate();
    let claims = claims.single_use(token_id);
    let token = claims.expires_in(Duration::from_secs(60)).sign(&place.key).unwrap();
    json!({"event": "hotsock.umdUpdate", "data": {"token": token}})
}

#[tokio::test]
async fn metadata_that_wait_for_storage_are_shown_to_nobody_once_a_token_is_revoked() {
    for revoked in ["a", "b"] {
        let place = Place::new().await;
        let connection = place.writer();
        place.joined(&connection, "presence.p").await;
        let updating = place.say(&connection, &metadata(&place, "b")).unwrap();
        place.broker.revoke_token(revoked, None).await.unwrap();
        updating.await;
        assert_eq!(&*place.core.hub.members("presence.p"), br#"[{"uid":"jim","umd":1}]"#);
        if revoked == "b" {
            assert_eq!(errors(&connection), ["INVALID_UMD_TOKEN"]);
        }
    }
}

#[tokio::test]
async fn metadata_that_wait_for_storage_have_to_be_permitted_by_changed_permissions_too() {
    for denied in [true, false] {
        let place = Place::new().await;
        let connection = place.writer();
        place.joined(&connection, "c").await;
        let channel = ChannelClaims::new().umd_update(true);
        let claims = Claims::umd_scope().uid("jim").umd(&2).single_use("b").channel("c", channel);
        let token = claims.expires_in(Duration::from_secs(60)).sign(&place.key).unwrap();
        let update =
            json!({"event": "hotsock.umdUpdate", "channel": "c", "data": {"token": token}});
        let updating = place.say(&connection, &update).unwrap();
        let others = ChannelClaims::new().subscribe(true);
        let others = if denied { others.umd_update(false) } else { others };
        place.broker.set_permissions(connection.id(), [("c", others)]).unwrap();
        updating.await;
        let umd = connection.session().lock().umd_of("c").unwrap().unwrap();
        let (expected, refused) =
            if denied { ("1", vec![json!("UMD_PERMISSION_DENIED")]) } else { ("2", Vec::new()) };
        assert_eq!((&*umd, errors(&connection)), (expected.as_bytes(), refused));
    }
}

#[tokio::test]
async fn what_a_subscribe_token_permitted_is_refused_once_it_is_revoked() {
    let (place, host) = thoughtful().await;
    let claims = Claims::connect().uid("jim").expires_in(Duration::from_secs(60));
    let connection = place.connected(&claims);
    let token = Claims::subscribe().uid("jim").token_id("a").channel("c", may_write());
    let token = token.expires_in(Duration::from_secs(60)).sign(&place.key).unwrap();
    let subscribe = json!({"event": "hotsock.subscribe", "channel": "c", "data": {"token": token}});
    place.say(&connection, &subscribe).unwrap().await;
    let writing = tokio::spawn(place.say(&connection, &writes()[0]).unwrap());
    until(|| host.asked.load(Ordering::Relaxed) == 1).await;
    connection.mailbox().drain();
    assert_eq!(place.broker.revoke_token("a", None).await.unwrap().unsubscribed, 1);
    host.gate.add_permits(1);
    writing.await.unwrap();
    assert_eq!(errors(&connection), [json!(null), json!("PUBLISH_PERMISSION_DENIED")]);
    assert_eq!(place.written().await, (0, 0, 0, 0));
}

/// Of what a hook changes, the client's own is what has to be permitted.
#[tokio::test]
async fn what_has_waited_is_published_where_it_is_still_permitted() {
    let (place, host) = thoughtful().await;
    let connection = place.writer();
    let subscribe = json!({"event": "hotsock.subscribe", "channel": "c"});
    place.say(&connection, &subscribe).unwrap().await;
    host.gate.add_permits(3);
    for text in writes() {
        place.say(&connection, &text).unwrap().await;
    }
    place.core.hub.settled().await;
    assert_eq!(place.written().await, (1, 0, 1, 1));
}

/// The session has said what is to be done, and another thread ends the connection before it is.
#[tokio::test]
async fn what_is_not_done_yet_is_not_done_after_the_end() {
    let place = Place::new().await;
    let connection = place.writer();
    place.joined(&connection, "c").await;
    let text = writes()[0].to_string();
    let action = connection.session().lock().handle_text(place.core.clock.now(), &text);
    place.broker.revoke_token("a", None).await.unwrap();
    assert!(place.core.perform(&connection, action).is_none());
    place.core.hub.settled().await;
    assert_eq!(place.written().await, (0, 0, 0, 0));
}
