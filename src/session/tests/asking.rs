//! Subscribes that the host is asked about.

use super::*;

fn yes(question: &SubscribeQuestion) -> Result<Meta, ProtocolError> {
    Ok(question.meta.clone())
}

fn no(_: &SubscribeQuestion) -> Result<Meta, ProtocolError> {
    Err(ProtocolError::new(Code::Custom("NOT_PAID"), "pay first, please"))
}

fn nobody(_: &SubscribeQuestion) -> Result<Meta, ProtocolError> {
    Ok(Meta::default())
}

fn client(host: Host, more: &Value) -> Client {
    let claims = claims("connect", more);
    let mut client = Client::connect_asking(&claims, TimerSettings::default(), Some(host));
    assert_eq!(client.said.remove(0)["event"], "hotsock.connected");
    client
}

fn jim(host: Host) -> Client {
    let channels = json!({
        "a": {"subscribe": true, "alias": "x"}, "presence.*": {"subscribe": true},
    });
    client(host, &json!({"uid": "jim", "channels": channels}))
}

fn once(channel: &str) -> String {
    subscribe_token(&json!({
        "uid": "jim", "singleUse": true, "jti": "once",
        "channels": {channel: {"subscribe": true}},
    }))
}

#[test]
fn a_host_that_does_not_object_changes_nothing() {
    let mut client = jim(yes);
    assert_eq!(client.subscribe("a")["meta"]["uid"], "jim");
    assert_eq!(client.asked.len(), 1);
    assert_eq!(&*client.asked[0].channel, "a");
    assert!(!client.asked[0].auto);
}

#[test]
fn a_veto_names_the_channel_as_it_was_written_and_leaves_nothing() {
    let mut client = jim(no);
    let subscribe = json!({"event": "hotsock.subscribe", "channel": "x"});
    assert_eq!(client.error(&subscribe), ("NOT_PAID".to_owned(), json!("x")));
    assert_eq!(client.session.subscription_count(), 0);
    client.host = Some(yes);
    assert_eq!(client.send(&subscribe)[0]["event"], "hotsock.subscribed");
}

#[test]
fn the_host_is_asked_last() {
    let mut client = jim(no);
    for (channel, code) in
        [("a,b", "INVALID_CHANNEL_NAME"), ("other", "SUBSCRIBE_PERMISSION_DENIED")]
    {
        assert_eq!(client.code(&json!({"event": "hotsock.subscribe", "channel": channel})), code);
    }
    assert_eq!(client.code(&with_token("a", "rubbish")), "INVALID_SUBSCRIBE_TOKEN");
    assert!(client.asked.is_empty());
}

#[test]
fn a_subscription_shows_the_user_that_the_host_says() {
    let mut client = jim(nobody);
    assert_eq!(client.subscribe("a")["meta"]["uid"], json!(null));
    let presence = json!({"event": "hotsock.subscribe", "channel": "presence.a"});
    assert_eq!(client.code(&presence), "PRESENCE_CHANNEL_USER_ID_REQUIRED");
}

#[test]
fn section_3_a_vetoed_use_does_not_use_a_token_up() {
    for channel in ["b", "presence.b"] {
        let mut client = jim(no);
        let token = once(channel);
        assert_eq!(client.code(&with_token(channel, &token)), "NOT_PAID");
        assert!(client.spent.is_empty());
        client.host = Some(yes);
        assert_eq!(client.subscribe_with(channel, &token)[0]["event"], "hotsock.subscribed");
        assert_eq!(client.spent.len(), 1);
        client.send(&json!({"event": "hotsock.unsubscribe", "channel": channel}));
        client.asked.clear();
        assert_eq!(client.code(&with_token(channel, &token)), "INVALID_SUBSCRIBE_TOKEN");
        assert!(client.asked.is_empty(), "a used token is refused before anybody is asked");
    }
}

#[test]
fn auto_subscribed_channels_are_asked_about_one_by_one() {
    let auto = json!({"autoSubscribe": true});
    let channels = json!({"a": auto, "b": auto, "c": auto});
    let mut client = client(
        |question| if &*question.channel == "b" { no(question) } else { yes(question) },
        &json!({"channels": channels}),
    );
    let said = std::mem::take(&mut client.said);
    assert_eq!(said.len(), 3);
    for said in said {
        let refused = said["channel"] == "b";
        let event = if refused { "hotsock.error" } else { "hotsock.subscribed" };
        assert_eq!(said["event"], event);
        assert_eq!(said["data"]["autoSubscribed"].as_bool().unwrap_or_default(), !refused);
    }
    assert!(client.asked.iter().all(|question| question.auto));
    assert_eq!(client.session.subscription_count(), 2);
}

#[test]
fn an_auto_subscribe_whose_turn_comes_after_the_permissions_changed_needs_the_new_ones() {
    let auto = json!({"autoSubscribe": true});
    let mut client = client(no, &json!({"channels": {"a": auto, "b": auto, "c": auto}}));
    client.asked.clear();
    client.host = Some(yes);
    let cases = [
        (json!({}), "b", false),
        (json!({"b": {"subscribe": false, "autoSubscribe": true}}), "b", false),
        (json!({"b": {"subscribe": true}}), "b", true),
        (json!({"c": {"autoSubscribe": true}}), "c", true),
    ];
    for (permissions, channel, granted) in cases {
        client.set_permissions(&permissions);
        client.said.clear();
        // It was put off by those before it.
        client.perform(Action::AutoSubscribe(channel.into()));
        let code = &client.said[0]["error"]["code"];
        assert_eq!(code == "SUBSCRIBE_PERMISSION_DENIED", !granted, "{permissions}");
        assert_eq!(client.said[0]["channel"], channel);
        assert_eq!(client.asked.len(), usize::from(granted), "a refused one is not asked about");
        client.asked.clear();
    }
    assert_eq!(client.session.subscribed_channels().len(), 1, "the one that is still granted");
}

#[test]
fn what_the_host_ends_while_it_is_asked_stays_ended() {
    let mut client = jim(yes);
    let text = json!({"event": "hotsock.subscribe", "channel": "a"}).to_string();
    let action = client.session.handle_text(client.now, &text);
    assert!(matches!(action, Action::AskHost(_)));
    assert!(client.session.end_subscription("a").is_some());
    let action = client.session.host_answered(Ok(Meta::default()));
    client.perform(action);
    assert_eq!(client.said[0]["error"]["code"], "SUBSCRIBE_PERMISSION_DENIED");
    assert_eq!(client.session.subscription_count(), 0);
    let action = client.session.handle_text(client.now, &text);
    assert!(matches!(action, Action::AskHost(_)));
    client.session.end();
    assert!(matches!(client.session.host_answered(Ok(Meta::default())), Action::None));
}
