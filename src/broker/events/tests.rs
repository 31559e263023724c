use super::*;
use bytes::Bytes;
use fanfare_storage::MessageId;
use serde_json::{Value, json};

fn json_of(event: &Event) -> Value {
    serde_json::from_str(&event.to_json()).unwrap()
}

fn channel_event(count: usize) -> Event {
    let updated = ChannelEvent { name: "c".into(), subscriptions_count: count };
    Event::new(EventKind::ChannelUpdated(updated), EventMetadata::default())
}

#[test]
fn section_12_data_and_umd_are_passed_on_as_they_were_written() {
    let message = MessageEvent {
        id: MessageId::MIN,
        event: "a\"b".into(),
        channel: "c".into(),
        data: Bytes::from_static(b"[ 1.50 ]"),
        uid: None,
        umd: Some(Bytes::from_static(b"{\"a\": 1.0}")),
    };
    let metadata = EventMetadata {
        channel: Some("c".into()),
        event: Some("a\"b".into()),
        connection_id: Some("id".into()),
        source_ip: Some("2001:db8::1".parse().unwrap()),
        user_agent: Some("\"x\"".into()),
        request_id: Some("r".into()),
        trigger: Some(Trigger::ClientHttp),
        ..EventMetadata::default()
    };
    assert_eq!(
        Event::new(EventKind::MessagePublished(message), metadata).to_json(),
        r#"{"source":"hotsock.v1","type":"hotsock.messagePublished","metadata":{"hotsockVersion":"1.13","channel":"c","event":"a\"b","connectionId":"id","sourceIp":"2001:db8::1","userAgent":"\"x\"","requestId":"r","trigger":"client.http"},"data":{"id":"00000000000000000000000000","event":"a\"b","channel":"c","data":[ 1.50 ],"meta":{"uid":null,"umd":{"a": 1.0}}},"dataType":"message"}"#
    );
}

#[test]
fn section_12_a_connection_shows_times_and_nulls() {
    let mut connection = ConnectionEvent {
        id: "id".into(),
        connected_at: Timestamp::from_unix_seconds(1_700_000_000),
        disconnected_at: None,
        keep_alive: true,
        source_ip: None,
        uid: None,
        umd: None,
        user_agent: None,
    };
    let event = Event::new(EventKind::Connected(connection.clone()), EventMetadata::default());
    let mut expected = json!({
        "source": "hotsock.v1",
        "type": "hotsock.connected",
        "metadata": {"hotsockVersion": "1.13"},
        "data": {
            "id": "id", "connectedAt": "2023-11-14T22:13:20.000Z", "disconnectedAt": null,
            "keepAlive": true, "sourceIp": null, "uid": null, "umd": null, "userAgent": null,
        },
        "dataType": "connection",
    });
    assert_eq!(json_of(&event), expected);
    connection.disconnected_at = Some(Timestamp::from_unix_seconds(1_700_000_001));
    let event = Event::new(EventKind::Disconnected(connection), EventMetadata::default());
    expected["type"] = json!("hotsock.disconnected");
    expected["data"]["disconnectedAt"] = json!("2023-11-14T22:13:21.000Z");
    assert_eq!(json_of(&event), expected);
}

#[test]
fn section_12_a_reaction_shows_when_it_was_given_and_when_it_goes() {
    let reaction = MessageReactionEvent {
        channel: "c".into(),
        message_id: MessageId::MIN,
        id: MessageId::MAX,
        reaction: "👍".into(),
        uid: "jim".into(),
        umd: Some(Bytes::from_static(b"[1.0]")),
        created_at: Timestamp::from_unix_seconds(1_700_000_000),
        expires_at: Some(Timestamp::from_unix_seconds(1_700_000_060)),
    };
    let metadata = EventMetadata { reaction: Some("👍".into()), ..EventMetadata::default() };
    assert_eq!(
        Event::new(EventKind::MessageReactionRemoved(reaction), metadata).to_json(),
        r#"{"source":"hotsock.v1","type":"hotsock.messageReactionRemoved","metadata":{"hotsockVersion":"1.13","reaction":"👍"},"data":{"channel":"c","messageId":"00000000000000000000000000","id":"7ZZZZZZZZZZZZZZZZZZZZZZZZZ","reaction":"👍","uid":"jim","umd":[1.0],"createdAt":"2023-11-14T22:13:20.000Z","expiresAt":"2023-11-14T22:14:20.000Z"},"dataType":"messageReaction"}"#
    );
}

#[test]
fn section_12_a_value_shows_what_was_there_before() {
    let mut entry = ChannelStorageEvent {
        channel: "c".into(),
        key: "k".into(),
        data: Some(Bytes::from_static(b"[ 1.50 ]")),
        data_previous: None,
        expired: false,
        expires_at: Some(Timestamp::from_unix_seconds(1_700_000_000)),
        uid: Some("jim".into()),
        umd: None,
    };
    let told = |entry: ChannelStorageEvent| {
        let metadata = EventMetadata { key: Some("k".into()), ..EventMetadata::default() };
        Event::new(EventKind::ChannelStorageUpdated(entry), metadata).to_json()
    };
    assert_eq!(
        told(entry.clone()),
        r#"{"source":"hotsock.v1","type":"hotsock.channelStorageUpdated","metadata":{"hotsockVersion":"1.13","key":"k"},"data":{"channel":"c","key":"k","data":[ 1.50 ],"dataPrevious":null,"expired":false,"expiresAt":"2023-11-14T22:13:20.000Z","meta":{"uid":"jim","umd":null}},"dataType":"channelStorage"}"#
    );
    entry.data_previous = entry.data.take();
    (entry.expired, entry.uid) = (true, None);
    let data = &serde_json::from_str::<Value>(&told(entry)).unwrap()["data"];
    let (data, before, expired) = (&data["data"], &data["dataPrevious"], &data["expired"]);
    assert_eq!((data, before, expired), (&json!(null), &json!([1.5]), &json!(true)));
}

#[test]
fn section_12_a_member_shows_all_members() {
    let member = ChannelMemberEvent {
        channel: "presence.c".into(),
        uid: "pam".into(),
        umd: Some(Bytes::from_static(b"{\"a\": 1}")),
        members: Bytes::from_static(br#"[{"uid":"jim","umd":null},{"uid":"pam","umd":{"a": 1}}]"#),
    };
    let metadata = EventMetadata { channel: Some("presence.c".into()), ..EventMetadata::default() };
    assert_eq!(
        Event::new(EventKind::MemberAdded(member), metadata).to_json(),
        r#"{"source":"hotsock.v1","type":"hotsock.memberAdded","metadata":{"hotsockVersion":"1.13","channel":"presence.c"},"data":{"uid":"pam","umd":{"a": 1},"members":[{"uid":"jim","umd":null},{"uid":"pam","umd":{"a": 1}}]},"dataType":"channelMember"}"#
    );
}

#[test]
fn section_12_nothing_is_prepared_when_nobody_listens() {
    let announcer = Announcer::new(4);
    let never = || -> (EventKind, EventMetadata) { panic!("it was prepared") };
    announcer.announce(never);
    let describe = || -> (Subject, Cause) { panic!("it was prepared") };
    assert!(announcer.prepare(&"c".into(), describe).is_none());
    announcer.member_changed(ChangeKind::Added, || panic!("it was prepared"));
    drop(announcer.listen());
    announcer.announce(never);
}

#[tokio::test]
async fn section_12_a_stream_that_is_not_read_loses_the_oldest_and_is_told_how_many() {
    let announcer = Announcer::new(4);
    let (mut slow, mut quick) = (announcer.listen(), announcer.listen());
    for count in 0..10 {
        announcer.channel_updated(&"c".into(), count);
        assert!(quick.recv().await.unwrap().is_ok());
    }
    drop(announcer);
    assert_eq!(slow.recv().await, Some(Err(Lagged(6))));
    for count in 6..10 {
        let event = slow.recv().await.unwrap().unwrap();
        assert_eq!(event.kind(), channel_event(count).kind());
    }
    assert_eq!((slow.recv().await, quick.recv().await), (None, None));
}

#[tokio::test]
async fn a_stream_tells_without_waiting_what_is_there() {
    let announcer = Announcer::new(2);
    let mut events = announcer.listen();
    assert!(events.try_recv().is_none());
    for count in 0..3 {
        announcer.channel_updated(&"c".into(), count);
    }
    assert_eq!(events.try_recv().unwrap().unwrap_err(), Lagged(1));
    for count in 1..3 {
        let event = events.try_recv().unwrap().unwrap();
        assert_eq!(json_of(&event)["data"]["subscriptionsCount"], count);
    }
    assert!(events.try_recv().is_none());
    drop(announcer);
    assert!(events.try_recv().is_none());
}
