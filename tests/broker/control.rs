//! What a host does to connections: lists, ends, other permissions, revoked tokens.

use crate::backend;
use crate::client::Client;
use crate::server::{Server, builder, until};
use crate::token::{chat, connect, now, sign};
use fanfare::{
    ChannelClaims, ChannelQuery, Code, ConnectionQuery, Message, MessageClaims, Revocation,
    RevocationQuery, RevokedSubject, StorageClaims, Timestamp,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio_tungstenite::tungstenite;

fn every_page(server: &Server, uid: Option<&str>) -> Vec<String> {
    let mut query = ConnectionQuery { uid: uid.map(str::to_owned), after: None, limit: 3 };
    let mut ids = Vec::new();
    loop {
        let page = server.broker.connections(&query);
        ids.extend(page.connections.iter().map(|connection| connection.id().to_owned()));
        query.after = page.next;
        if query.after.is_none() {
            return ids;
        }
    }
}

#[tokio::test]
async fn connections_are_listed_in_pages() {
    let server = Server::start().await;
    let mut clients = Vec::new();
    for number in 0..10 {
        let uid = if number < 4 { "jim" } else { "jimmy" };
        clients.push(Client::connect(&server, &chat(uid)).await);
    }
    let mut expected: Vec<_> = clients.iter().map(|client| client.id.clone()).collect();
    expected.sort();
    assert_eq!(every_page(&server, None), expected);
    let mut of_jim: Vec<_> = clients[..4].iter().map(|client| client.id.clone()).collect();
    of_jim.sort();
    assert_eq!(every_page(&server, Some("jim")), of_jim);
    assert!(every_page(&server, Some("ji")).is_empty());

    clients[0].subscribe("b").await;
    clients[0].subscribe("a").await;
    let shown = server.broker.connection(&clients[0].id).unwrap();
    assert_eq!((shown.uid(), shown.subscriptions_count()), (Some("jim"), 2));
    assert!(shown.connected_at() <= Timestamp::now());
    let channels = server.broker.subscriptions(&clients[0].id).unwrap();
    assert_eq!(channels, ["a".into(), "b".into()] as [Arc<str>; 2]);
    assert!(server.broker.subscriptions("nobody").unwrap_err().is_not_found());
    assert!(!format!("{shown:?}").contains(&clients[0].secret));
}

#[tokio::test]
async fn channels_are_listed_in_pages_while_somebody_is_subscribed() {
    let server = Server::start().await;
    let mut jim = Client::connect(&server, &chat("jim")).await;
    for number in 0..5 {
        jim.subscribe(&format!("room.{number}")).await;
    }
    jim.subscribe("news").await;
    let mut ann = Client::subscribed(&server, &chat("ann"), "room.3").await;
    server.broker.publish(Message::new("room.9", "e")).await.unwrap();
    let mut query = ChannelQuery { prefix: "room.".into(), after: None, limit: 2 };
    let mut seen = Vec::new();
    loop {
        let page = server.broker.channels(&query);
        let counts = page.channels.iter();
        seen.extend(counts.map(|one| (one.name().to_owned(), one.subscriptions_count())));
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    let expected: Vec<_> = [1, 1, 1, 2, 1]
        .iter()
        .enumerate()
        .map(|(n, count)| (format!("room.{n}"), *count))
        .collect();
    assert_eq!(seen, expected);
    ann.send(&json!({"event": "hotsock.unsubscribe", "channel": "room.3"})).await;
    ann.next().await;
    drop(jim);
    until(|| server.broker.channels(&ChannelQuery::default()).channels.is_empty()).await;
}

#[tokio::test]
async fn a_connection_or_all_of_a_user_are_disconnected_with_4403() {
    let server = Server::start().await;
    let mut one = Client::subscribed(&server, &chat("jim"), "c").await;
    let mut two = Client::connect(&server, &chat("jim")).await;
    let mut three = Client::connect(&server, &chat("jim")).await;
    let mut ann = Client::connect(&server, &chat("ann")).await;
    assert!(server.broker.disconnect(&one.id));
    assert_eq!(one.close_code().await, 4403);
    until(|| !server.broker.disconnect(&one.id)).await;
    assert_eq!(server.broker.disconnect_user("jim").await, 2);
    assert_eq!((two.close_code().await, three.close_code().await), (4403, 4403));
    assert_eq!(server.broker.disconnect_user("nobody").await, 0);
    ann.assert_silent().await;
    until(|| server.broker.connection_count() == 1).await;
}

#[tokio::test]
async fn a_subscription_is_ended_and_the_client_told() {
    let server = Server::start().await;
    let mut jim = Client::subscribed(&server, &chat("jim"), "c").await;
    let mut other = Client::subscribed(&server, &chat("jim"), "c").await;
    let mut ann = Client::subscribed(&server, &chat("ann"), "c").await;
    assert!(server.broker.unsubscribe(&jim.id, "c").unwrap());
    assert!(!server.broker.unsubscribe(&jim.id, "c").unwrap());
    assert!(server.broker.unsubscribe("nobody", "c").unwrap_err().is_not_found());
    server.broker.publish(Message::new("c", "e")).await.unwrap();
    let farewell = json!({"event": "hotsock.unsubscribed", "channel": "c", "data": {}});
    assert_eq!(jim.next().await, farewell);
    jim.subscribe("c").await;
    assert_eq!(other.next().await["event"], "e");
    assert_eq!(server.broker.unsubscribe_user("jim", "c").await, 2);
    assert_eq!((jim.next().await, other.next().await), (farewell.clone(), farewell));
    assert_eq!(server.broker.channel_info("c").unwrap().subscriptions_count(), 1);
    assert_eq!(ann.next().await["event"], "e");
    ann.assert_silent().await;
}

#[tokio::test]
async fn permissions_change_while_the_connection_lives() {
    let server = Server::start().await;
    let mut jim = Client::subscribed(&server, &chat("jim"), "room").await;
    jim.subscribe("staff").await;
    jim.publish("room", "chat", &json!(1)).await;
    assert_eq!(jim.next().await["data"], 1);

    let readers = ChannelClaims::new().subscribe(true);
    server.broker.set_permissions(&jim.id, [("room*", readers.clone())]).unwrap();
    let farewell = jim.next().await;
    assert_eq!(
        (&farewell["event"], &farewell["channel"]),
        (&json!("hotsock.unsubscribed"), &json!("staff"))
    );
    let publish = json!({"event": "chat", "channel": "room", "data": 2});
    assert_eq!(jim.error(&publish).await, "PUBLISH_PERMISSION_DENIED");
    let subscribe = json!({"event": "hotsock.subscribe", "channel": "staff"});
    assert_eq!(jim.error(&subscribe).await, "SUBSCRIBE_PERMISSION_DENIED");
    jim.subscribe("room.2").await;

    let writers = readers.message("chat", MessageClaims::new().publish(true).echo(true));
    server.broker.set_permissions(&jim.id, [("room", writers)]).unwrap();
    assert_eq!(jim.next().await["channel"], "room.2");
    jim.publish("room", "chat", &json!(3)).await;
    assert_eq!(jim.next().await["data"], 3);

    let wrong = ChannelClaims::new().storage("", StorageClaims::new());
    let error = server.broker.set_permissions(&jim.id, [("room", wrong)]).unwrap_err();
    assert!(
        error.is_invalid_input() && error.to_string().contains("channels[\"room\"]"),
        "{error}"
    );
    let none: [(&str, ChannelClaims); 0] = [];
    assert!(server.broker.set_permissions("nobody", none).unwrap_err().is_not_found());
    jim.assert_silent().await;
}

fn identified(jti: &str, uid: &str, issued_at: Option<u64>) -> String {
    connect(
        &json!({"jti": jti, "uid": uid, "iat": issued_at, "channels": {"c": {"subscribe": true}}}),
    )
}

async fn refusal(server: &Server, token: &str) -> u16 {
    match tokio_tungstenite::connect_async(server.url(token)).await {
        Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
        Ok(_) => 101,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_revoked_token_is_refused_and_its_connections_end() {
    let server = Server::start().await;
    let token = identified("a", "jim", None);
    let mut revoked = Client::subscribed(&server, &token, "c").await;
    let mut other = Client::connect(&server, &identified("b", "jim", None)).await;
    let effect = server.broker.revoke_token("a", None).await.unwrap();
    assert_eq!((effect.disconnected, effect.unsubscribed), (1, 0));
    assert_eq!(revoked.close_code().await, 4403);
    assert_eq!(refusal(&server, &token).await, 401);
    other.assert_silent().await;
    assert_eq!(refusal(&server, &identified("b", "jim", None)).await, 101);
    let wrong = server.broker.revoke_token("", None).await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidMessage);
}

#[tokio::test]
async fn a_user_s_tokens_are_revoked_by_the_time_of_their_issue() {
    let server = Server::start().await;
    let now = now();
    let mut clients = Vec::new();
    for issued_at in [Some(now - 10), None, Some(now + 10)] {
        clients.push(Client::connect(&server, &identified("x", "jim", issued_at)).await);
    }
    let mut ann = Client::connect(&server, &identified("x", "ann", None)).await;
    let before = Timestamp::from_unix_seconds(now);
    let effect = server.broker.revoke_user("jim", before, None).await.unwrap();
    assert_eq!(effect.disconnected, 2);
    assert_eq!((clients[0].close_code().await, clients[1].close_code().await), (4403, 4403));
    clients[2].assert_silent().await;
    ann.assert_silent().await;
    for (issued_at, status) in [(Some(now - 10), 401), (None, 401), (Some(now), 101)] {
        assert_eq!(refusal(&server, &identified("y", "jim", issued_at)).await, status);
    }
}

#[tokio::test]
async fn a_revocation_lasts_for_as_long_as_the_leeway_accepts_the_token() {
    let server = Server::with(builder().leeway(Duration::from_secs(600))).await;
    let expired = now() - 60;
    let token = sign(&json!({"exp": expired, "scope": "connect", "jti": "a", "uid": "jim"}));
    assert_eq!(refusal(&server, &token).await, 101);
    let end = Timestamp::from_unix_seconds(expired);
    server.broker.revoke_token("a", Some(end)).await.unwrap();
    assert_eq!(refusal(&server, &token).await, 401);
    let kept_until =
        server.broker.revocations(&RevocationQuery::default()).revocations[0].expires_at;
    assert_eq!(kept_until, Some(end + Duration::from_secs(600)));
}

fn subscribe_token(jti: &str) -> String {
    let claims = json!({"exp": now() + 60, "scope": "subscribe", "uid": "jim", "jti": jti,
                        "channels": {"*": {"subscribe": true}}});
    sign(&claims)
}

#[tokio::test]
async fn what_was_subscribed_to_with_a_revoked_token_ends() {
    let server = Server::start().await;
    let mut jim = Client::subscribed(&server, &chat("jim"), "own").await;
    let with = |channel: &str, jti: &str| -> Value {
        json!({"event": "hotsock.subscribe", "channel": channel, "data": {"token": subscribe_token(jti)}})
    };
    for (channel, jti) in [("one", "a"), ("two", "a"), ("three", "b")] {
        jim.send(&with(channel, jti)).await;
        assert_eq!(jim.next().await["event"], "hotsock.subscribed");
    }
    let effect = server.broker.revoke_token("a", None).await.unwrap();
    assert_eq!((effect.disconnected, effect.unsubscribed), (0, 2));
    let mut ended = [jim.next().await["channel"].clone(), jim.next().await["channel"].clone()];
    ended.sort_by_key(ToString::to_string);
    assert_eq!(ended, [json!("one"), json!("two")]);
    assert_eq!(jim.error(&with("one", "a")).await, "INVALID_SUBSCRIBE_TOKEN");
    jim.assert_silent().await;
}

#[tokio::test]
async fn revocations_outlive_the_broker_where_the_storage_does() {
    let storage = backend::storage();
    let end = Timestamp::from_unix_seconds(now() + 100);
    {
        let server = Server::with(builder().storage(Arc::clone(&storage))).await;
        server.broker.revoke_token("a", Some(end)).await.unwrap();
        let before = Timestamp::from_unix_seconds(1_000);
        server.broker.revoke_user("jim", before, None).await.unwrap();
        let earlier = Timestamp::from_unix_seconds(1);
        server.broker.revoke_user("jim", earlier, Some(end)).await.unwrap();
    }
    let server = Server::with(builder().storage(storage)).await;
    assert_eq!(refusal(&server, &identified("a", "ann", None)).await, 401);
    let user = Revocation {
        subject: RevokedSubject::User("jim".into()),
        issued_before: Timestamp::from_unix_seconds(1_000),
        expires_at: None,
    };
    let first = server.broker.revocations(&RevocationQuery { limit: 1, ..Default::default() });
    let token = RevokedSubject::Token("a".into());
    assert_eq!((first.revocations.len(), &first.next), (1, &Some(token)));
    let query = RevocationQuery { after: first.next, ..Default::default() };
    let rest = server.broker.revocations(&query);
    assert_eq!(rest.revocations, [user], "an earlier time takes nothing back");
    assert_eq!(rest.next, None);
}

/// Connections come and go while pages are read: what stays shows in each pass, and in the end
/// the numbers are right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_right_while_connections_come_and_go() {
    let server = Arc::new(Server::start().await);
    let stays = Client::subscribed(&server, &chat("stays"), "stays").await;
    let mut tasks = Vec::new();
    for task in 0..4 {
        let server = Arc::clone(&server);
        tasks.push(tokio::spawn(async move {
            let uid = format!("goes.{task}");
            for round in 0..20 {
                let client = Client::subscribed(&server, &chat(&uid), &uid).await;
                if round % 2 == 0 {
                    server.broker.disconnect(&client.id);
                }
                server.broker.disconnect_user(&uid).await;
            }
        }));
    }
    while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
        let ids = every_page(&server, None);
        assert!(ids.is_sorted() && ids.contains(&stays.id));
        tokio::task::yield_now().await;
    }
    for task in tasks {
        task.await.unwrap();
    }
    until(|| server.broker.connection_count() == 1).await;
    assert_eq!(every_page(&server, None), std::slice::from_ref(&stays.id));
    assert!(every_page(&server, Some("goes.1")).is_empty());
    let channels = server.broker.channels(&ChannelQuery::default()).channels;
    assert_eq!(channels.iter().map(fanfare::ChannelInfo::name).collect::<Vec<_>>(), ["stays"]);
}

#[tokio::test]
async fn many_subscriptions_that_end_at_once_are_told_and_close_nothing() {
    let server = Server::with(builder().max_queued_bytes(16 << 10)).await;
    let mut jim = Client::connect(&server, &chat("jim")).await;
    for number in 0..500 {
        jim.subscribe(&format!("c{number}")).await;
    }
    server.broker.set_permissions(&jim.id, [("none", ChannelClaims::new())]).unwrap();
    for _ in 0..500 {
        assert_eq!(jim.next().await["event"], "hotsock.unsubscribed");
    }
    jim.assert_silent().await;
}

fn broadcasts() -> String {
    let messages = json!({"chat": {"broadcast": true}});
    connect(&json!({"jti": "a", "uid": "jim", "channels": {"room": {"messages": messages}}}))
}

#[tokio::test]
async fn whoever_is_revoked_asks_for_nothing_over_http_either() {
    let server = Server::start().await;
    // Never reads again, and so never answers the close.
    let jim = Client::connect(&server, &broadcasts()).await;
    let body = json!({"channel": "room", "event": "chat"});
    assert_eq!(jim.call(&server, "publishMessage", &body).await.status, 202);
    server.broker.revoke_token("a", None).await.unwrap();
    for operation in ["publishMessage", "getChannelInfo", "channelStorageSet", "listMessages"] {
        let answer = jim.call(&server, operation, &body).await;
        assert_eq!(answer.code(), (401, "INVALID_CREDENTIALS".to_owned()), "{operation}");
    }
}

#[tokio::test]
async fn a_body_that_comes_after_a_revocation_has_no_effect() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = Server::start().await;
    let jim = Client::connect(&server, &broadcasts()).await;
    let body = json!({"channel": "room", "event": "chat"}).to_string();
    let mut socket = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /connection/publishMessage?connectionId={}&connectionSecret={} HTTP/1.1\r\nHost: a\r\n\
         Connection: close\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        jim.id,
        jim.secret,
        body.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    // Whoever is asked to continue has been let in.
    let mut answer = [0; 25];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    server.broker.revoke_token("a", None).await.unwrap();
    socket.write_all(body.as_bytes()).await.unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 401"), "{text}");
}
