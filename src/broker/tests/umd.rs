//! Protocol section 7.4: metadata that change while something else is under way.

use super::place::Place;
use super::*;
use crate::auth::{ChannelClaims, Claims};
use crate::broker::{Connection, Message, Peer};
use crate::protocol::fields::Fields;
use serde_json::{Value, json};

const CHANNEL: &str = "presence.c";

async fn set_umd(place: &Place, connection: &Connection, umd: &Value) {
    let claims = Claims::umd_scope().uid("jim").umd(umd).umd_update().umd_propagate();
    let token = claims.expires_in(Duration::from_secs(60)).sign(&place.key).unwrap();
    let body = json!({"token": token}).to_string();
    let fields = Fields::parse(&body).unwrap();
    let now = place.core.clock.now();
    let update = connection.session().lock().umd_update_over_http(now, &fields).unwrap();
    place.core.update_umd(connection, update).await.unwrap();
}

#[tokio::test]
async fn section_7_4_what_changes_while_a_subscription_is_made_is_shown_too() {
    let place = Place::new().await;
    let channel = ChannelClaims::new().subscribe(true).history_start(Timestamp::EPOCH);
    let claims = Claims::connect().uid("jim").umd(&1).expires_in(Duration::from_secs(60));
    let token = claims.channel(CHANNEL, channel).sign(&place.key).unwrap();
    let token = place.core.verify_connect(&token).unwrap();
    let (connection, _) = place.core.open(&token, token.meta(), Peer::default()).unwrap();
    connection.mailbox().drain();
    place.broker.publish(Message::new(CHANNEL, "e").store_forever()).await.unwrap();
    place.storage.close_read_gate();
    let data = json!({"after": MessageId::MIN.to_string()});
    let text = json!({"event": "hotsock.subscribe", "channel": CHANNEL, "data": data});
    let now = place.core.clock.now();
    let text = text.to_string();
    let action = connection.session().lock().handle_text(now, &text);
    let joining = tokio::spawn(place.core.perform(&connection, action).unwrap());
    until(|| place.storage.reads() == 1).await;

    set_umd(&place, &connection, &json!(2)).await;
    assert_eq!(&*place.core.hub.members(CHANNEL), br#"[{"uid":"jim","umd":1}]"#);
    place.storage.open_read_gate();
    // What is recovered waits for the client to read it.
    let mut frames = Vec::new();
    until(|| {
        frames.extend(connection.mailbox().drain().0);
        joining.is_finished()
    })
    .await;
    assert_eq!(&*place.core.hub.members(CHANNEL), br#"[{"uid":"jim","umd":2}]"#);
    frames.extend(connection.mailbox().drain().0);
    let last = parse(frames.last().unwrap());
    assert_eq!(last["event"], "hotsock.memberUpdated");
    assert_eq!(last["data"]["member"], json!({"uid": "jim", "umd": 2}));
}
