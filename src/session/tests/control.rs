//! What the host does to a connection, also in the middle of a subscribe.

use super::*;
use crate::auth::{Grants, TokenIdentity};

impl Client {
    pub(super) fn set_permissions(&mut self, channels: &Value) -> (Vec<Value>, Vec<(u32, bool)>) {
        let settings = Arc::clone(&self.session.settings);
        let permissions = settings.verifier.permissions(&channels.to_string()).unwrap();
        let mut observers = Vec::new();
        let actions = self.session.set_permissions(permissions, |registration, observer| {
            let observes = observer.is_some_and(|observer| {
                let subscribe = observer.subscribe.as_deref();
                Grants { connect: &observer.connect, subscribe }.storage("room", "k").observe
            });
            observers.push((*registration, observes));
        });
        actions.into_iter().for_each(|action| self.perform(action));
        observers.sort_unstable();
        (std::mem::take(&mut self.said), observers)
    }

    pub(super) fn end_subscription(&mut self, channel: &str) -> Option<Vec<Value>> {
        let action = self.session.end_subscription(channel)?;
        self.perform(action);
        Some(std::mem::take(&mut self.said))
    }

    pub(super) fn revoke(&mut self, jti: &str) -> Vec<Value> {
        let actions = self.session.revoke(|token| token.jti.as_deref() == Some(jti));
        actions.into_iter().for_each(|action| self.perform(action));
        std::mem::take(&mut self.said)
    }

    /// Sends a subscribe and stops where the world has to do something.
    fn begin(&mut self, message: &Value) -> Action<'static, u32> {
        match self.session.handle_text(self.now, &message.to_string()) {
            Action::Join(join) => Action::Join(join),
            Action::UseToken(use_of) => Action::UseToken(use_of),
            other => panic!("{other:?}"),
        }
    }
}

fn jim() -> Client {
    Client::connect(&json!({"uid": "jim", "jti": "connect", "channels": {
        "*": {"subscribe": true, "messages": {"chat": {"publish": true}}},
        "room": {"alias": "r"},
    }}))
}

fn token(jti: &str, more: &Value) -> String {
    let mut claims = json!({"uid": "jim", "jti": jti, "channels": {"*": {"subscribe": true}}});
    let (Value::Object(all), Value::Object(more)) = (&mut claims, more) else {
        panic!("claims are objects")
    };
    all.extend(more.clone());
    subscribe_token(&claims)
}

fn single_use() -> Value {
    with_token("c", &token("once", &json!({"singleUse": true})))
}

#[test]
fn an_ended_subscription_is_told_as_one_that_the_client_ended() {
    let mut client = jim();
    client.subscribe("room");
    let said = client.end_subscription("room").unwrap();
    assert_eq!(said[0]["event"], "hotsock.unsubscribed");
    assert_eq!(said[0]["meta"]["channelAlias"], "r");
    assert_eq!(client.left, [1]);
    assert_eq!(client.end_subscription("room"), None);
    assert_eq!(client.end_subscription("never"), None);
    client.subscribe("room");
}

#[test]
fn what_new_permissions_do_not_grant_ends_and_the_rest_goes_on() {
    let mut client = jim();
    client.subscribe("room");
    client.subscribe("other");
    client.subscribe_with("own", &token("a", &json!({})));
    let chat = |channel: &str| json!({"event": "chat", "channel": channel});
    client.publish(&chat("r"));
    client.publish(&json!({"event": "chat", "channel": "other"}));

    let observe = json!({"room": {"subscribe": true, "storage": {"k": {"observe": true}}}});
    let (said, observers) = client.set_permissions(&observe);
    assert_eq!(said.len(), 1);
    assert_eq!(
        (&said[0]["event"], &said[0]["channel"]),
        (&json!("hotsock.unsubscribed"), &json!("other"))
    );
    assert_eq!(client.left, [2]);
    assert_eq!(observers, [(1, true), (3, false)], "a subscribe token's grant stays");
    assert_eq!(client.code(&chat("room")), "PUBLISH_PERMISSION_DENIED", "remembered grants go");
    assert_eq!(client.code(&chat("elsewhere")), "PUBLISH_PERMISSION_DENIED");

    let denied = json!({"own": {"subscribe": false}, "room": {"subscribe": true}});
    let (said, observers) = client.set_permissions(&denied);
    assert_eq!((said[0]["channel"].as_str(), observers), (Some("own"), vec![(1, false)]));
    let said = client.send(&unsubscribe("r"));
    assert_eq!(said[0]["channel"], "room", "the alias that it was told stays good");
}

#[test]
fn auto_subscribe_keeps_a_subscription_but_makes_none() {
    let auto = json!({"a": {"autoSubscribe": true}, "b": {"autoSubscribe": true}});
    let mut client = Client::connect(&json!({"channels": {"a": {"autoSubscribe": true}}}));
    client.said.clear();
    assert!(client.set_permissions(&auto).0.is_empty());
    assert_eq!(client.session.subscription_count(), 1);
    client.subscribe("b");
}

#[test]
fn a_subscribe_that_waits_for_storage_is_refused() {
    type Do = fn(&mut Client);
    let cases: [(Do, &str); 3] = [
        (
            |client| assert!(client.end_subscription("c").unwrap().is_empty()),
            "SUBSCRIBE_PERMISSION_DENIED",
        ),
        (|client| assert!(client.revoke("once").is_empty()), "INVALID_SUBSCRIBE_TOKEN"),
        (
            |client| {
                let denied = json!({"c": {"subscribe": false}});
                assert!(client.set_permissions(&denied).0.is_empty());
            },
            "SUBSCRIBE_PERMISSION_DENIED",
        ),
    ];
    for (act, code) in cases {
        let mut client = jim();
        let Action::UseToken(_) = client.begin(&single_use()) else { panic!("not single use") };
        act(&mut client);
        let action = client.session.token_used(true);
        client.perform(action);
        let said = std::mem::take(&mut client.said);
        assert_eq!((said.len(), &said[0]["error"]["code"]), (1, &json!(code)));
        assert_eq!(said[0]["channel"], "c");
        assert_eq!(client.session.subscription_count(), 0);
    }
    let mut client = jim();
    let Action::UseToken(_) = client.begin(&single_use()) else { panic!("not single use") };
    client.set_permissions(&json!({}));
    client.revoke("another");
    let action = client.session.token_used(true);
    client.perform(action);
    assert_eq!(client.said[0]["event"], "hotsock.subscribed", "its own token grants it");
}

#[test]
fn a_subscribe_that_waits_for_its_channel_is_refused_and_gives_its_registration_back() {
    let subscribe = json!({"event": "hotsock.subscribe", "channel": "c"});
    let mut client = jim();
    let Action::Join(join) = client.begin(&subscribe) else { panic!("not granted") };
    let said = client.end_subscription("c").unwrap();
    assert_eq!(said[0]["error"]["code"], "SUBSCRIBE_PERMISSION_DENIED");
    assert!(!client.session.awaits("c"));
    assert_eq!(client.session.joined(&join.channel, 7, client.position), Some(7));
    client.subscribe("c");
}

#[test]
fn what_is_observed_follows_permissions_that_change_in_the_middle_of_a_subscribe() {
    let subscribe = json!({"event": "hotsock.subscribe", "channel": "c"});
    let mut client = jim();
    let Action::Join(join) = client.begin(&subscribe) else { panic!("not granted") };
    assert!(join.observer.is_none());
    let observe = json!({"c": {"subscribe": true, "storage": {"k": {"observe": true}}}});
    assert_eq!(client.set_permissions(&observe), (vec![], vec![]));
    assert_eq!(client.session.joined("c", 7, client.position), None);
    assert!(client.session.changed_observer("c").unwrap().is_some());
    assert!(client.session.changed_observer("c").is_none(), "it is told once");
}

#[test]
fn a_revoked_connect_token_closes_and_a_revoked_subscribe_token_unsubscribes() {
    let mut client = jim();
    client.subscribe("own");
    client.subscribe_with("one", &token("a", &json!({})));
    client.subscribe_with("two", &token("b", &json!({})));
    assert!(client.revoke("c").is_empty());
    let said = client.revoke("a");
    assert_eq!((said.len(), &said[0]["channel"]), (1, &json!("one")));
    assert_eq!(client.closed, None);
    client.revoke("connect");
    assert_eq!(client.closed, Some(CloseReason::Disconnected));
}

#[test]
fn nothing_that_was_sent_before_a_connection_s_end_is_done_after_it() {
    let mut client = jim();
    client.subscribe("room");
    client.revoke("connect");
    assert!(client.session.has_ended());
    let chat = json!({"event": "chat", "channel": "room"});
    let update = json!({"event": "hotsock.umdUpdate", "data": {"token": "rubbish"}});
    let ping = json!({"event": "hotsock.ping"});
    for message in [chat, unsubscribe("room"), update, ping, json!({})] {
        assert!(client.send(&message).is_empty(), "{message}");
    }
    assert!(matches!(client.session.handle_binary(client.now), Action::None));
    assert!(client.published.is_empty());
    assert_eq!(client.session.end().len(), 1, "what it was subscribed to lasts until its end");

    let mut client = jim();
    let Action::UseToken(_) = client.begin(&single_use()) else { panic!("not single use") };
    client.revoke("connect");
    assert!(matches!(client.session.token_used(true), Action::None));
    assert!(client.subscribe_with("c", "rubbish").is_empty());

    let mut client = jim();
    let subscribe = json!({"event": "hotsock.subscribe", "channel": "c"});
    let Action::Join(_) = client.begin(&subscribe) else { panic!("not granted") };
    client.session.stop();
    assert!(!client.session.awaits("c"));
    assert_eq!(client.session.joined("c", 7, client.position), Some(7));
    assert!(matches!(client.session.auto_subscribe("d"), Action::None));
    assert!(client.session.end().is_empty());
}

#[test]
fn a_revocation_is_told_of_whose_token_it_was_and_when_it_was_issued() {
    let mut client = Client::connect(&json!({"uid": "jim", "iat": 1_234.5}));
    client.session.revoke(|token| {
        assert_eq!(token.uid.as_deref(), Some("jim"));
        let expected = Some(Timestamp::from_unix_millis(1_234_500));
        assert_eq!(token, &TokenIdentity { issued_at: expected, ..token.clone() });
        false
    });
}
