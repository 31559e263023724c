use super::*;
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
        trigger: Some(Trigger::ClientHttp),
    };
    assert_eq!(
        Event::new(EventKind::MessagePublished(message), metadata).to_json(),
        r#"{"source":"hotsock.v1","type":"hotsock.messagePublished","metadata":{"hotsockVersion":"1.13","channel":"c","event":"a\"b","connectionId":"id","trigger":"client.http"},"data":{"id":"00000000000000000000000000","event":"a\"b","channel":"c","data":[ 1.50 ],"meta":{"uid":null,"umd":{"a": 1.0}}},"dataType":"message"}"#
    );
}

#[test]
fn section_12_a_connection_shows_times_and_nulls() {
    let mut connection = ConnectionEvent {
        id: "id".into(),
        connected_at: Timestamp::from_unix_seconds(1_700_000_000),
        disconnected_at: None,
        keep_alive: true,
        uid: None,
        umd: None,
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
fn section_12_nothing_is_prepared_when_nobody_listens() {
    let announcer = Announcer::new(4);
    let never = || -> (EventKind, EventMetadata) { panic!("it was prepared") };
    announcer.announce(never);
    let origin = || -> Origin { panic!("it was prepared") };
    assert!(announcer.message(&"c".into(), "e", origin).is_none());
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
