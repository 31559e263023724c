//! Bounds of a connection (protocol sections 2, 5 and 13), and frames that break RFC 6455.

use crate::client::{Client, PATIENCE, backend};
use crate::server::{Server, builder, until};
use crate::token::{chat, connect};
use fanfare::{BuildError, Message};
use http::Method;
use serde_json::json;
use tokio_tungstenite::tungstenite;

#[tokio::test]
async fn section_2_a_message_over_the_limit_closes_with_1009() {
    let server = Server::start().await;
    let mut jim = Client::connect(&server, &chat("jim")).await;
    jim.send_text(&" ".repeat(64 << 10)).await;
    assert_eq!(jim.next().await["error"]["code"], "INVALID_MESSAGE");
    jim.send_text(&" ".repeat((64 << 10) + 1)).await;
    assert_eq!(jim.close_code().await, 1009);
}

#[tokio::test]
async fn bodies_are_as_large_as_the_host_says() {
    let server = Server::with(builder().max_client_body(2_000).max_server_body(1_024)).await;
    let jim = Client::subscribed(&server, &chat("jim"), "room").await;
    let message = |bytes: usize| {
        let around = json!({"channel": "room", "event": "chat", "data": ""}).to_string().len();
        json!({"channel": "room", "event": "chat", "data": "x".repeat(bytes - around)})
    };
    for (bytes, status) in [(2_000, 202), (2_001, 413)] {
        let answer = jim.call(&server, "publishMessage", &message(bytes)).await;
        assert_eq!(answer.status, status, "{bytes}");
    }
    for (bytes, status) in [(1_024, 202), (1_025, 413)] {
        let answer = backend(&server, Method::POST, "/publish", &message(bytes)).await;
        assert_eq!(answer.status, status, "{bytes}");
    }
    for wrong in [builder().max_client_body(1_023), builder().max_server_body(1_023)] {
        assert!(matches!(wrong.build().await, Err(BuildError::Setting(_))));
    }
}

#[tokio::test]
async fn broken_frames_close_with_the_code_that_says_how() {
    // Text that is no UTF-8; a frame without a mask; a reserved opcode.
    let invalid_text: &[u8] = &[0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28];
    for (bytes, code) in
        [(invalid_text, 1007), (&[0x81, 0x01, b'x'], 1002), (&[0x83, 0x80, 0, 0, 0, 0], 1002)]
    {
        let server = Server::start().await;
        let mut jim = Client::connect(&server, &chat("jim")).await;
        jim.send_raw(bytes).await;
        assert_eq!(jim.close_code().await, code);
        drop(jim);
        until(|| server.broker.connection_count() == 0).await;
    }
}

#[tokio::test]
async fn section_13_binary_frames_are_errors_and_ping_frames_are_answered() {
    let server = Server::start().await;
    let mut jim = Client::connect(&server, &chat("jim")).await;
    jim.send_frame(tungstenite::Message::binary(&b"{}"[..])).await;
    assert_eq!(jim.next().await["error"]["code"], "INVALID_MESSAGE");
    jim.send_frame(tungstenite::Message::Ping("abc".into())).await;
    let pong = jim.next_frame().await.unwrap().unwrap();
    assert_eq!(pong, tungstenite::Message::Pong("abc".into()));
}

#[tokio::test]
async fn a_client_s_close_is_answered() {
    let server = Server::start().await;
    let mut jim = Client::subscribed(&server, &chat("jim"), "c").await;
    let close = tungstenite::protocol::CloseFrame { code: 1000.into(), reason: "bye".into() };
    jim.send_frame(tungstenite::Message::Close(Some(close))).await;
    assert_eq!(jim.close_code().await, 1000);
    until(|| server.broker.connection_count() == 0).await;
}

#[tokio::test]
async fn section_5_a_slow_consumer_is_closed_with_4429_and_the_others_get_everything() {
    let server = Server::with(builder().max_queued_bytes(64 << 10)).await;
    let mut slow = Client::subscribed(&server, &chat("slow"), "c").await;
    let mut quick = Client::subscribed(&server, &chat("quick"), "c").await;
    let data = "x".repeat(30_000);
    // Until the slow one, which reads nothing, is cut off: sockets hold a few megabytes.
    let mut sent = 0_u64;
    while server.broker.channel_info("c").unwrap().subscriptions_count() == 2 {
        let message = Message::new("c", "e").data(&json!({"number": sent, "data": data}));
        server.broker.publish(message).await.unwrap();
        assert_eq!(quick.next().await["data"]["number"], sent);
        sent += 1;
        assert!(sent < 100_000, "the slow consumer was never cut off");
    }
    assert_eq!(slow.close_code().await, 4429);
}

/// Publishes to a client that reads nothing, until what was sent to it no longer fits its socket.
async fn stall(server: &Server, channel: &str) {
    let data = "x".repeat(30_000);
    for _ in 0..100 {
        for _ in 0..20 {
            server.broker.publish(Message::new(channel, "e").data(&data)).await.unwrap();
        }
        // Whoever can still write has had turns enough to take all that waits.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        if server.broker.stats().await.queued_bytes > 0 {
            return;
        }
    }
    panic!("the socket took everything");
}

#[tokio::test]
async fn a_client_that_reads_nothing_can_t_put_its_end_off() {
    let builder = builder()
        .max_queued_bytes(64 << 20)
        .max_connection_age(Some(std::time::Duration::from_secs(5)));
    let server = Server::with(builder).await;
    let _jim = Client::subscribed(&server, &chat("jim"), "c").await;
    stall(&server, "c").await;
    until(|| server.broker.connection_count() == 0).await;
}

#[tokio::test]
async fn a_shutdown_ends_though_clients_read_nothing() {
    let server = Server::with(builder().max_queued_bytes(64 << 20)).await;
    let _jim = Client::subscribed(&server, &chat("jim"), "c").await;
    stall(&server, "c").await;
    let shutdown = tokio::time::timeout(PATIENCE, server.broker.shutdown());
    shutdown.await.expect("it waits for a client that reads nothing").unwrap();
    until(|| server.broker.connection_count() == 0).await;
}

#[tokio::test]
async fn a_flood_of_pings_costs_one_answer_at_a_time() {
    const PINGS: u32 = 1_000;
    let server = Server::with(builder().max_queued_bytes(64 << 20)).await;
    let mut jim = Client::subscribed(&server, &chat("jim"), "c").await;
    jim.subscribe("d").await;
    let mut eve = Client::subscribed(&server, &chat("eve"), "d").await;
    // No answer can go out, for as long as jim reads nothing.
    stall(&server, "c").await;
    for number in 1..=PINGS {
        // A masked ping with four bytes of payload, whose mask is zero.
        let mut ping = vec![0x89, 0x84, 0, 0, 0, 0];
        ping.extend(number.to_be_bytes());
        jim.send_raw(&ping).await;
    }
    jim.publish("d", "typing", &json!("behind the pings")).await;
    assert_eq!(eve.next().await["data"], "behind the pings");
    jim.send(&json!({"event": "hotsock.ping"})).await;
    let (mut pongs, mut at_the_end) = (Vec::new(), false);
    // A pong comes after all that is taken from the queue together with it.
    while !at_the_end || pongs.is_empty() {
        match jim.next_frame().await.unwrap().unwrap() {
            tungstenite::Message::Pong(payload) => pongs.push(payload),
            tungstenite::Message::Text(text) => at_the_end |= text.contains("hotsock.pong"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pongs, [&PINGS.to_be_bytes()[..]], "the last ping is answered, and it alone");
}

#[tokio::test]
async fn limits_without_an_end_are_limits_too() {
    let builder = builder()
        .idle_timeout(std::time::Duration::MAX)
        .max_connection_age(Some(std::time::Duration::MAX));
    let server = Server::with(builder).await;
    Client::subscribed(&server, &chat("jim"), "c").await.assert_silent().await;
}

#[tokio::test]
async fn fragmented_messages_are_put_together() {
    let server = Server::start().await;
    let mut jim = Client::connect(&server, &chat("jim")).await;
    let (first, second) = (br#"{"event":"hots"#, br#"ock.ping"}"#);
    let frame = |head: u8, text: &[u8]| {
        let mut frame = vec![head, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
        frame.extend_from_slice(text);
        frame
    };
    jim.send_raw(&frame(0x01, first)).await;
    jim.send_raw(&frame(0x80, second)).await;
    assert_eq!(jim.next().await["event"], "hotsock.pong");
}

#[tokio::test]
async fn section_13_over_its_rate_a_connection_is_refused_and_stays() {
    let server = Server::with(builder().max_message_rate(1, 2)).await;
    let mut jim = Client::connect(&server, &chat("jim")).await;
    // Delayed where it has to be, and never refused.
    for channel in ["c", "d", "e"] {
        jim.subscribe(channel).await;
    }
    for number in 0..50 {
        jim.publish("c", "chat", &json!(number)).await;
    }
    let (mut delivered, mut refused) = (0, 0);
    while delivered + refused < 50 {
        let said = jim.next().await;
        if said["event"] == "hotsock.error" {
            assert_eq!(said["error"]["code"], "RATE_LIMITED", "{said}");
            refused += 1;
        } else {
            assert_eq!(said["event"], "chat");
            delivered += 1;
        }
    }
    assert!(refused > 0);
    let body = json!({"channel": "c"});
    let mut tries = 0;
    while jim.call(&server, "listMessages", &body).await.status != 429 {
        tries += 1;
        assert!(tries < 50, "requests over HTTP are never refused");
    }
    let mut other = Client::connect(&server, &chat("eve")).await;
    other.subscribe("c").await;
    assert_eq!(server.broker.connection_count(), 2);
}

#[tokio::test]
async fn who_would_be_one_too_many_is_refused_and_its_token_is_good_later() {
    let server = Server::with(builder().max_connections(2)).await;
    let jim = Client::connect(&server, &chat("jim")).await;
    let _ann = Client::connect(&server, &chat("ann")).await;
    let once = connect(&json!({"singleUse": true, "jti": "once"}));
    let refused = || async {
        match tokio_tungstenite::connect_async(server.url(&once)).await {
            Ok((socket, _)) => Ok(socket),
            Err(tungstenite::Error::Http(answer)) => Err(answer),
            Err(error) => panic!("{error}"),
        }
    };
    let answer = refused().await.unwrap_err();
    assert_eq!(
        (answer.status(), &answer.headers()["connection"]),
        (503.try_into().unwrap(), &"close".parse().unwrap())
    );
    let body = String::from_utf8(answer.into_body().unwrap()).unwrap();
    assert!(body.contains("TOO_MANY_CONNECTIONS"), "{body}");
    let stats = server.broker.stats().await;
    assert_eq!((stats.connections, stats.max_connections), (2, Some(2)));
    assert!(stats.to_prometheus().contains("\nfanfare_max_connections 2\n"));
    let too_many = stats.refused().find(|(code, _)| *code == "TOO_MANY_CONNECTIONS");
    assert_eq!(too_many, Some(("TOO_MANY_CONNECTIONS", 1)));

    drop(jim);
    // Its place is free once its socket is closed, just after it is counted no more.
    let patience = tokio::time::timeout(std::time::Duration::from_secs(60), async {
        loop {
            if let Ok(socket) = refused().await {
                return socket;
            }
            tokio::task::yield_now().await;
        }
    });
    let _eve = patience.await.expect("a place is free");
    assert!(builder().max_connections(0).build().await.is_err());
}

#[tokio::test]
async fn a_refused_upgrade_takes_no_place() {
    let server = Server::with(builder().max_connections(1)).await;
    let spent = connect(&json!({"singleUse": true, "jti": "once"}));
    drop(Client::connect(&server, &spent).await);
    until(|| server.broker.connection_count() == 0).await;
    for _ in 0..3 {
        assert!(tokio_tungstenite::connect_async(server.url(&spent)).await.is_err());
    }
    let used = server.broker.stats().await.refused_tokens().find(|(fault, _)| *fault == "used");
    assert!(used.is_some_and(|(_, times)| times > 0));
    Client::connect(&server, &chat("jim")).await;
}

#[tokio::test]
async fn a_rate_of_nothing_or_of_too_much_is_no_setting() {
    for (rate, burst) in [(0, 1), (1, 0), (1_000_001, 1), (1, 1_000_001)] {
        assert!(builder().max_message_rate(rate, burst).build().await.is_err());
    }
}
