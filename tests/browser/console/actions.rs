//! What can be done on a connection.

use super::{Console, claims, claims_of, now};
use crate::broker::Broker;
use crate::driver::Browser;
use serde_json::json;

async fn connected<'a>(broker: &Broker, browser: &'a Browser) -> Console<'a> {
    let console = Console::open(browser, &broker.url("/console")).await;
    console.connect(&broker.token(&claims())).await;
    console.fill("#channel", "room").await;
    console
}

#[tokio::test(flavor = "multi_thread")]
async fn ones_own_frames_and_those_of_others_appear() {
    let broker = Broker::start();
    let browser = Browser::start().await;
    let console = connected(&broker, &browser).await;
    console.publish("greeting", r#"{"text": "too early"}"#).await;
    console.until_text("#problem", "NOT_SUBSCRIBED (room): ").await;
    console.until_frame("received", "hotsock.error").await;

    console.subscribe("room").await;
    console.publish("chat", r#"{"n": 12345678901234567890, "f": 1.0}"#).await;
    let sent = console.until_frame("sent", "chat").await;
    let echo = console.until_frame("received", "chat").await;
    for frame in [&sent, &echo] {
        assert_eq!(frame.channel, "room");
        assert!(frame.text.contains("\"n\": 12345678901234567890,"), "{}", frame.text);
        assert!(frame.text.contains("\"f\": 1.0"), "{}", frame.text);
    }
    assert_eq!(console.text("#problem").await, "");
    console.click("[data-command=react] [name=messageId]").await;
    let suggested =
        "return [...document.querySelectorAll('#ids option')].map(({ value }) => value)";
    let suggested: Vec<String> = console.page.ask(suggested, &[]).await;
    assert!(suggested.len() == 1 && echo.text.contains(&suggested[0]), "{suggested:?}");

    let mut pam = broker.connect(&broker.token(&claims_of("Pam")));
    pam.subscribe("room");
    pam.send(&json!({"event": "greeting", "channel": "room", "data": "Hello"}));
    let heard = console.until_frame("received", "greeting").await;
    assert!(heard.text.contains("\"uid\": \"Pam\"") && heard.text.contains("\"data\": \"Hello\""));

    console.publish("chat", "{").await;
    console.until_text("#problem", "The data must be JSON: ").await;
    let over = "#commands [name=over] [value=http]";
    console.click(over).await;
    console.publish("chat", "[]").await;
    console.until_text("#log", "202 publishMessage").await;

    console.click("#subscriptions > [data-channel=room] button:not(.name)").await;
    console.page.until("it is left", async || !console.has("#subscriptions > li").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_is_recovered_and_subscribe_tokens_are_hidden() {
    let broker = Broker::start();
    let browser = Browser::start().await;
    let console = connected(&broker, &browser).await;
    for text in ["first", "second"] {
        let message = json!({"channel": "room", "event": "chat", "data": text, "store": -1});
        broker.publish(&message);
    }
    console.fill("#channel", "room").await;
    console.fill("[data-command=subscribe] [name=after]", &"0".repeat(26)).await;
    console.submit("subscribe").await;
    console.until_text("#subscriptions", "recovered").await;
    console.until_text("#log", "\"second\"").await;

    let token = json!({"exp": now() + 60, "scope": "subscribe", "uid": "Dev",
        "channels": {"hidden": {"subscribe": true}}});
    let token = broker.token(&token);
    console.fill("#channel", "hidden").await;
    console.fill("[data-command=subscribe] [name=token]", &token).await;
    console.submit("subscribe").await;
    console
        .page
        .until("it is subscribed", async || console.has("[data-channel=hidden]").await)
        .await;
    let sent = console.until_frame("sent", "hotsock.subscribe").await;
    assert!(sent.text.contains("\"token\": \"(hidden)\""), "{}", sent.text);
    assert!(!browser.source().await.unwrap().contains(&token));
    assert_eq!(console.value("[data-command=subscribe] [name=token]").await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn history_comes_in_pages_and_shows_reactions() {
    const MESSAGES: usize = 150;
    let broker = Broker::start();
    let browser = Browser::start().await;
    let console = connected(&broker, &browser).await;
    let messages: Vec<_> = (0..MESSAGES)
        .map(|n| json!({"channel": "room", "event": "chat", "data": n, "store": -1}))
        .collect();
    for batch in messages.chunks(100) {
        broker.publish(&json!(batch));
    }
    console.subscribe("room").await;
    let shown = async || -> Vec<String> {
        let script =
            "return [...document.querySelectorAll('#history pre')].map((p) => p.textContent)";
        console.page.ask(script, &[]).await
    };
    let numbers = |range: std::ops::Range<usize>| range.map(|n| n.to_string()).collect::<Vec<_>>();

    console.submit_as("history", "first").await;
    console.until_text("#page", "100 messages").await;
    let mut newest = shown().await;
    newest.reverse();
    assert_eq!(newest, numbers(50..150));
    console.submit_as("history", "next").await;
    console.until_text("#page", "50 messages").await;
    console.submit_as("history", "next").await;
    console.until_text("#page", "No more messages").await;

    console.click("[data-command=history] [value=oldest]").await;
    console.submit_as("history", "first").await;
    console.until_text("#page", "100 messages").await;
    assert_eq!(shown().await, numbers(0..100));

    let id = console.text("#history code").await;
    console.fill("[data-command=react] [name=messageId]", &id).await;
    console.submit_as("react", "add").await;
    console.until_frame("sent", "hotsock.messageReaction").await;
    let list = async || console.submit_as("history", "first").await;
    let given = "return document.querySelector('#history .given')?.textContent === '👍 1 (Dev)'";
    console
        .page
        .until("the reaction is listed", async || {
            list().await;
            console.page.ask(given, &[]).await
        })
        .await;
    console.submit_as("history", "info").await;
    console.until_text("#info", "\"subscriptionsCount\": 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_can_be_changed() {
    let broker = Broker::start();
    let browser = Browser::start().await;
    let console = connected(&broker, &browser).await;
    console.subscribe("presence.room").await;
    let token = json!({"exp": now() + 60, "scope": "umd", "uid": "Dev", "umd": {"mood": "good"},
        "channels": {"presence.room": {"umdUpdate": true}}});
    let token = broker.token(&token);
    console.fill("[data-command=umd] [name=token]", &token).await;
    console.submit("umd").await;
    console.until_text("#subscriptions .members", r#"Dev {"mood":"good"}"#).await;
    assert!(!browser.source().await.unwrap().contains(&token));
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_a_channel_are_set_read_and_observed() {
    let broker = Broker::start();
    let browser = Browser::start().await;
    let console = connected(&broker, &browser).await;
    let fill = async |name: &str, text: &str| {
        console.fill(&format!("[data-command=storage] [name={name}]"), text).await;
    };
    console.subscribe("room").await;
    fill("key", "colour").await;
    fill("data", r#"{"name": "red"}"#).await;
    console.submit_as("storage", "set").await;
    let told = console.until_frame("received", "hotsock.channelStorageUpdated").await;
    assert!(told.text.contains(r#""name": "red""#), "{}", told.text);
    console.submit_as("storage", "get").await;
    console.until_text("#stored", r#""key": "colour""#).await;
    console.until_text("#stored", r#""name": "red""#).await;

    fill("data", "").await;
    console.submit_as("storage", "set").await;
    console.submit_as("storage", "get").await;
    console.until_text("#stored", r#""data": null"#).await;
    fill("key", "shape").await;
    fill("data", "\"round\"").await;
    fill("scheduleExpression", "at(2000-01-01T00:00:00)").await;
    console.submit_as("storage", "set").await;
    console.until_text("#problem", "INVALID_SCHEDULE (room): ").await;
    fill("scheduleExpression", "").await;
    console.submit_as("storage", "set").await;
    fill("key", "").await;
    console.submit_as("storage", "list").await;
    console.until_text("#stored", r#""key": "shape""#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_frame_can_be_sent_and_sent_again() {
    let broker = Broker::start();
    let browser = Browser::start().await;
    let console = connected(&broker, &browser).await;
    let send = async |text: &str| {
        console.fill("[data-command=raw] [name=text]", text).await;
        console.submit("raw").await;
    };
    send(r#"{"event":"hotsock.ping"}"#).await;
    console.until_frame("received", "hotsock.pong").await;
    send("no JSON").await;
    console.until_text("#problem", "INVALID_MESSAGE: ").await;
    send(r#"{"event":"hotsock.subscribe","channel":"room","data":{"token":"abcdefgh"}}"#).await;
    console.until_text("#problem", "INVALID_SUBSCRIBE_TOKEN (room): ").await;

    let recent = async || -> Vec<String> {
        let script =
            "return [...document.querySelectorAll('#recent code')].map((c) => c.textContent)";
        console.page.ask(script, &[]).await
    };
    assert_eq!(recent().await, ["no JSON", r#"{"event":"hotsock.ping"}"#]);
    console.click("#clear").await;
    console.click("#recent li:nth-child(2) button").await;
    console.until_frame("received", "hotsock.pong").await;
    assert_eq!(recent().await, [r#"{"event":"hotsock.ping"}"#, "no JSON"]);
    console.click("#recent li:nth-child(2) button:last-child").await;
    assert_eq!(console.value("[data-command=raw] [name=text]").await, "no JSON");
    for number in 0..12 {
        send(&number.to_string()).await;
    }
    assert_eq!(recent().await.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_has_a_label_and_fits_a_narrow_screen() {
    let broker = Broker::start();
    let browser = Browser::start().await;
    browser.set_window_size(400, 800).await.unwrap();
    let console = connected(&broker, &browser).await;
    console.subscribe("room").await;
    console.publish("chat", &format!("\"{}\"", "long".repeat(500))).await;
    console.until_frame("received", "chat").await;
    let nameless = "
        const fields = [...document.querySelectorAll('input, textarea, select')];
        const buttons = [...document.querySelectorAll('button')];
        return [...fields.filter((field) => !field.labels?.[0]?.textContent.trim()),
            ...buttons.filter((button) => !button.textContent.trim())]
            .map((element) => element.outerHTML)";
    assert_eq!(console.page.ask::<Vec<String>>(nameless, &[]).await, [""; 0]);
    let widths = "const { scrollWidth, clientWidth } = document.documentElement;
        return [scrollWidth, clientWidth]";
    let [content, screen]: [u32; 2] = console.page.ask(widths, &[]).await;
    assert!(content <= screen && screen <= 400, "{content} of {screen} px");
}
