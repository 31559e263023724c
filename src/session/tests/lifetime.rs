//! Protocol sections 5 and 8: the welcome, signs of life, the end.

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn quiet_client(more: &Value) -> Client {
    Client::connect(more)
}

#[test]
fn section_5_the_welcome_names_the_connection_and_its_user() {
    let claims = claims("connect", &json!({"uid": "jim", "umd": {"a": [1.50]}}));
    let mut client = Client::connect_raw(&claims, TimerSettings::default());
    assert_eq!(
        std::mem::take(&mut client.said),
        [json!({
            "event": "hotsock.connected",
            "data": {
                "connectionId": "connection-1",
                "connectionExpiresAt": "2023-11-15T00:13:20Z",
                "connectionSecret": "secret-1",
            },
            "meta": {"uid": "jim", "umd": {"a": [1.5]}},
        })]
    );
}

#[test]
fn section_5_without_a_maximum_age_the_end_is_far_away() {
    let timers = TimerSettings { max_age: None, ..TimerSettings::default() };
    let mut client = Client::connect_raw(&claims("connect", &json!({})), timers);
    let expires = client.said[0]["data"]["connectionExpiresAt"].clone();
    assert!(expires.as_str().unwrap().starts_with("9999-12-"), "{expires}");
    for _ in 0..100_000 {
        client.send(&json!({"event": "hotsock.ping"}));
        client.advance(9 * MINUTE);
    }
    assert_eq!(client.closed, None);
}

#[test]
fn section_5_the_maximum_age_ends_even_a_busy_connection() {
    let mut client = quiet_client(&json!({}));
    for _ in 0..119 {
        client.advance(MINUTE);
        client.send(&json!({"event": "hotsock.ping"}));
    }
    assert_eq!(client.closed, None);
    client.advance(MINUTE);
    assert_eq!(client.closed, Some(CloseReason::MaximumAge));
    assert_eq!(CloseReason::MaximumAge.code(), 1001);
}

#[test]
fn section_5_frames_in_either_direction_keep_a_connection() {
    let mut client = quiet_client(&json!({}));
    client.advance(9 * MINUTE);
    client.send_text("not even JSON");
    client.advance(9 * MINUTE);
    client.session.handle_binary(client.now);
    client.advance(9 * MINUTE);
    client.session.touch(client.now);
    client.advance(10 * MINUTE - Duration::from_millis(1));
    assert_eq!(client.closed, None);
    client.advance(Duration::from_millis(1));
    assert_eq!(client.closed, Some(CloseReason::Idle));
}

#[test]
fn section_8_ping_is_answered_and_pong_is_not() {
    let mut client = quiet_client(&json!({}));
    let ping = json!({"event": "hotsock.ping", "data": {"any": "thing"}});
    assert_eq!(client.send(&ping), [json!({"event": "hotsock.pong", "data": "{}"})]);
    assert!(client.send(&json!({"event": "hotsock.pong"})).is_empty());
    assert!(client.send(&json!({"event": "hotsock.heartbeat"})).is_empty());
}

#[test]
fn section_8_keep_alive_comes_every_nine_and_a_half_minutes_and_keeps_alive() {
    let mut client = quiet_client(&json!({"keepAlive": true}));
    for _ in 0..12 {
        assert!(client.advance(9 * MINUTE + Duration::from_secs(29)).is_empty());
        let said = client.advance(Duration::from_secs(1));
        assert_eq!(said, [json!({"event": "hotsock.keepAlive", "data": {}})]);
        client.session.touch(client.now);
    }
    assert_eq!(client.closed, None);
}

#[test]
fn section_8_only_a_heartbeat_counts_as_one() {
    let mut client = quiet_client(&json!({"heartbeatTimeout": 30}));
    for _ in 0..3 {
        client.advance(Duration::from_secs(29));
        assert!(client.send(&json!({"event": "hotsock.heartbeat"})).is_empty());
    }
    client.advance(Duration::from_secs(29));
    client.send(&json!({"event": "hotsock.ping"}));
    client.send(&json!({"event": "hotsock.pong"}));
    assert_eq!(client.closed, None);
    client.advance(Duration::from_secs(1));
    assert_eq!(client.closed, Some(CloseReason::MissedHeartbeat));
    assert_eq!(CloseReason::MissedHeartbeat.code(), 4408);
}

#[test]
fn section_8_a_time_without_reading_moves_the_deadline_and_counts_as_no_heartbeat() {
    let mut client = quiet_client(&json!({"heartbeatTimeout": 30}));
    for _ in 0..10 {
        client.advance(Duration::from_secs(2));
        let since = client.now.steady;
        client.now.steady += Duration::from_secs(1);
        client.session.resume(since, client.now);
    }
    assert_eq!(client.session.next_timeout(), Duration::from_secs(40));
    client.advance(Duration::from_secs(9));
    assert_eq!(client.closed, None);
    client.advance(Duration::from_secs(1));
    assert_eq!(client.closed, Some(CloseReason::MissedHeartbeat));
}

#[test]
fn the_next_timeout_is_the_nearest_deadline() {
    let client = quiet_client(&json!({"heartbeatTimeout": 30, "keepAlive": true}));
    assert_eq!(client.session.next_timeout(), Duration::from_secs(30));
    let client = quiet_client(&json!({"keepAlive": true}));
    assert_eq!(client.session.next_timeout(), Duration::from_secs(570));
    let client = quiet_client(&json!({}));
    assert_eq!(client.session.next_timeout(), Duration::from_secs(600));
}

#[test]
fn a_wall_clock_that_steps_moves_no_deadline() {
    let mut client = quiet_client(&json!({"heartbeatTimeout": 30}));
    client.now.wall = Timestamp::EPOCH;
    client.advance(Duration::from_secs(29));
    assert_eq!(client.closed, None);
    client.now.wall = Timestamp::MAX;
    client.advance(Duration::from_secs(1));
    assert_eq!(client.closed, Some(CloseReason::MissedHeartbeat));
}

#[test]
fn section_13_what_is_no_message_is_an_error_and_nothing_more() {
    let mut client = quiet_client(&json!({}));
    for text in ["", "nonsense", "[]", "1", "\"text\"", "{\"event\":1}", "{\"channel\":[]}"] {
        let said = client.send_text(text);
        assert_eq!(said.len(), 1, "{text}");
        assert_eq!(said[0]["error"]["code"], "INVALID_MESSAGE", "{text}");
    }
    let action = client.session.handle_binary(client.now);
    client.perform(action);
    assert_eq!(client.said[0]["error"]["code"], "INVALID_MESSAGE");
    assert_eq!(client.closed, None);
}

#[test]
fn section_13_unknown_commands_are_named() {
    let mut client = quiet_client(&json!({}));
    for event in ["hotsock.unknown", "hotsock.", "hotsock.connected", "hotsock.subscribed"] {
        let message = json!({"event": event, "channel": "c"});
        assert_eq!(client.error(&message), ("UNKNOWN_COMMAND".to_owned(), json!("c")), "{event}");
    }
    assert_eq!(client.code(&json!({"channel": "c"})), "INVALID_EVENT_NAME");
    assert_eq!(client.code(&json!({"event": null, "channel": "c"})), "INVALID_EVENT_NAME");
}
