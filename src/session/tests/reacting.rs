//! Protocol section 7.2, as far as the session decides it.

use super::*;
use crate::session::reaction::ReactionAction;

const TARGET: &str = "01KQ4ZJ8T3V5N7P9R1S3W5X7Z9";

fn reaction(channel: &str, data: &Value) -> Value {
    json!({"event": "hotsock.messageReaction", "channel": channel, "data": data})
}

fn thumbs_up() -> Value {
    json!({"messageId": TARGET, "reaction": "👍", "action": "add"})
}

fn permissions(react: &Value) -> Value {
    json!({"c": {"subscribe": true, "messages": {"chat": {"react": react}}}})
}

fn reacts(react: &Value) -> Client {
    let mut client = Client::connect(&json!({"uid": "jim", "channels": permissions(react)}));
    client.subscribe("c");
    client
}

#[test]
fn section_7_2_a_reaction_names_its_target_and_its_user() {
    let mut client = reacts(&json!(true));
    assert!(client.send(&reaction("c", &thumbs_up())).is_empty());
    let request = client.reactions.remove(0);
    assert_eq!(request.reacting.message.to_string(), TARGET);
    assert_eq!((&*request.reacting.reaction, &*request.uid, request.echo), ("👍", "jim", false));
    assert_eq!(request.reacting.action, ReactionAction::Add);
    assert_eq!(client.session.may_react(&request, "chat"), Ok(false));
    let other = client.session.may_react(&request, "other").unwrap_err();
    assert_eq!(other.code, Code::ReactPermissionDenied);
}

#[test]
fn section_7_2_a_list_allows_its_reactions_only() {
    let mut client = reacts(&json!(["❤", "👍"]));
    for (value, allowed) in [("👍", true), ("❤", true), ("👎", false)] {
        client.send(&reaction(
            "c",
            &json!({"messageId": TARGET, "reaction": value, "action": "remove"}),
        ));
        let request = client.reactions.remove(0);
        assert_eq!(client.session.may_react(&request, "chat").is_ok(), allowed, "{value}");
    }
}

#[test]
fn section_7_2_the_sender_is_told_where_it_may_echo_the_command() {
    let mut channels = permissions(&json!(true));
    channels["c"]["messages"]["hotsock.messageReaction"] = json!({"echo": true});
    let mut client = Client::connect(&json!({"uid": "jim", "channels": channels}));
    client.subscribe("c");
    client.send(&reaction("c", &thumbs_up()));
    assert!(client.reactions[0].echo);
}

#[test]
fn section_7_2_errors_come_in_their_order() {
    let mut anonymous = Client::connect(&json!({"channels": permissions(&json!(true))}));
    // Syntax, then permission, then subscription.
    for (data, code) in [
        (json!(null), "INVALID_MESSAGE"),
        (json!([]), "INVALID_MESSAGE"),
        (json!("x".repeat(32 << 10)), "DATA_TOO_LARGE"),
        (json!({"messageId": TARGET, "reaction": "a"}), "INVALID_MESSAGE"),
        (json!({"messageId": TARGET, "reaction": "a", "action": "toggle"}), "INVALID_MESSAGE"),
        (json!({"messageId": "x", "reaction": "a", "action": "add"}), "INVALID_MESSAGE_ID"),
        (json!({"reaction": "a", "action": "add"}), "INVALID_MESSAGE_ID"),
        (json!({"messageId": TARGET, "action": "add"}), "INVALID_REACTION"),
        (json!({"messageId": TARGET, "reaction": "a#b", "action": "add"}), "INVALID_REACTION"),
        (thumbs_up(), "REACT_PERMISSION_DENIED"),
    ] {
        assert_eq!(anonymous.error(&reaction("c", &data)), (code.into(), json!("c")), "{data}");
    }
    let mut later = reaction("c", &thumbs_up());
    later["scheduleExpression"] = json!("at(2100-01-01T00:00:00)");
    assert_eq!(anonymous.code(&later), "INVALID_SCHEDULE");
    let channels = permissions(&json!(true));
    let mut jim = Client::connect(&json!({"uid": "jim", "channels": channels}));
    assert_eq!(jim.code(&reaction("c", &thumbs_up())), "NOT_SUBSCRIBED");
}

#[test]
fn section_7_2_a_subscription_that_ended_meanwhile_comes_before_permission() {
    let mut client = reacts(&json!(false));
    client.send(&reaction("c", &thumbs_up()));
    let request = client.reactions.remove(0);
    let denied = client.session.may_react(&request, "chat").unwrap_err();
    assert_eq!(denied.code, Code::ReactPermissionDenied);
    client.send(&unsubscribe("c"));
    let ended = client.session.may_react(&request, "chat").unwrap_err();
    assert_eq!(ended.code, Code::NotSubscribed);
}
