//! Protocol section 11, as far as a session decides it.

use super::*;

/// In 2023, as [`START`] is.
const LATER: &str = "at(2023-11-15T00:00:00)";
const LATER_SECONDS: u64 = 1_700_006_400;

fn client() -> Client {
    let mut client = Client::connect(&json!({
        "uid": "jim",
        "channels": {"room": {
            "subscribe": true,
            "messages": {
                "chat": {"publish": true, "store": 60, "scheduleBefore": LATER_SECONDS},
                "now": {"publish": true},
                "shout": {"broadcast": true, "scheduleBefore": LATER_SECONDS},
            },
        }},
    }));
    client.subscribe("room");
    client
}

fn message(event: &str, expression: &str) -> Value {
    json!({"event": event, "channel": "room", "scheduleExpression": expression})
}

#[test]
fn section_11_a_client_schedules_up_to_schedule_before() {
    let mut client = client();
    let due = Some(Timestamp::from_unix_seconds(LATER_SECONDS));
    assert_eq!(client.publish(&message("chat", LATER)).due, due);
    assert_eq!(client.publish(&message("shout", LATER)).due, due);
    let mut elsewhere = message("chat", "at(2023-11-15T01:00:00)");
    elsewhere["scheduleExpressionTimezone"] = json!("Europe/Berlin");
    assert_eq!(client.publish(&elsewhere).due, due);
    let late = message("chat", "at(2023-11-15T00:00:01)");
    assert_eq!(client.code(&late), "SCHEDULE_PERMISSION_DENIED");
    assert_eq!(client.code(&message("now", LATER)), "SCHEDULE_PERMISSION_DENIED");
    // A time zone alone schedules nothing, and so does null.
    let zone = json!({"event": "now", "channel": "room", "scheduleExpressionTimezone": "nowhere",
                      "scheduleExpression": null});
    assert_eq!(client.publish(&zone).due, None);
}

#[test]
fn section_11_errors_come_in_the_order_of_section_7() {
    let mut client = client();
    for bad in ["at(2023-11-14T22:13:19)", "tomorrow", "at(2023-02-30T00:00:00)"] {
        assert_eq!(client.code(&message("chat", bad)), "INVALID_SCHEDULE", "{bad}");
        assert_eq!(client.code(&message("unknown", bad)), "INVALID_SCHEDULE", "{bad}");
    }
    assert_eq!(client.code(&message("unknown", LATER)), "PUBLISH_PERMISSION_DENIED");
    client.send(&unsubscribe("room"));
    assert_eq!(client.code(&message("now", LATER)), "SCHEDULE_PERMISSION_DENIED");
    assert_eq!(client.code(&message("chat", LATER)), "NOT_SUBSCRIBED");
    let wrong = json!({"event": "chat", "channel": "room", "scheduleExpression": 5});
    assert_eq!(client.code(&wrong), "INVALID_MESSAGE");
}
