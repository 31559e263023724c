//! The log of frames.

use super::{Console, claims, now};
use crate::broker::Broker;
use crate::driver::Browser;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn markup_is_shown_as_text() {
    const MARKUP: &str = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script>";
    let broker = Broker::start();
    let browser = Browser::start().await;
    let console = Console::open(&browser, &broker.url("/console")).await;
    let name = MARKUP.replace(' ', "/");
    let mut claims = claims();
    claims["uid"] = MARKUP.into();
    claims["umd"] = MARKUP.into();
    claims["channels"][&name] = claims["channels"]["room"].clone();
    let token = broker.token(&claims);
    console.fill("#token", &token).await;
    console.until_text("#claims", MARKUP).await;
    console.until_text("#claims", &name).await;
    console.connect(&token).await;
    console.until_text("#facts", MARKUP).await;

    console.fill("#channel", &name).await;
    console.submit("subscribe").await;
    console.until_text("#subscriptions", &name).await;
    let data = json!({"html": MARKUP});
    broker.publish(&json!({"channel": name, "event": name, "data": data, "store": -1}));
    let frame = console.until_frame("received", &name).await;
    assert!(frame.channel == name && frame.text.contains(MARKUP), "{frame:?}");
    console.submit_as("history", "first").await;
    console.until_text("#history", MARKUP).await;
    console.fill("[data-command=raw] [name=text]", MARKUP).await;
    console.submit("raw").await;
    console.until_text("#recent", MARKUP).await;
    console.fill("[data-command=publish] [name=event]", "hotsock.<b>").await;
    console.submit("publish").await;
    console.until_text("#problem", "UNKNOWN_COMMAND").await;

    let script = "return [document.images.length, document.querySelectorAll('body script').length,
        document.querySelectorAll('b').length, window.hacked ?? null]";
    assert_eq!(console.page.ask::<Value>(script, &[]).await, json!([0, 0, 0, null]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_keeps_the_newest_thousand_and_says_so() {
    let broker = Broker::start();
    let browser = Browser::start().await;
    let console = Console::open(&browser, &broker.url("/console")).await;
    console.connect(&broker.token(&claims())).await;
    console.subscribe("room").await;
    let messages: Vec<_> = (0..1_100)
        .map(|n| json!({"channel": "room", "event": "count", "data": format!("number {n}!")}))
        .collect();
    for batch in messages.chunks(100) {
        broker.publish(&json!(batch));
    }
    console.until_text("#log", "number 1099!").await;
    let frames = console.frames().await;
    assert_eq!(frames.len(), 1_000);
    assert!(frames[0].text.contains("number 100!") && frames[999].text.contains("number 1099!"));
    console.until_text("#log-note", "The newest 1000 are kept, ").await;
    let script = "const { scrollTop, clientHeight, scrollHeight } = document.querySelector('#log');
        return scrollHeight - clientHeight - scrollTop < 2";
    assert!(console.page.ask::<bool>(script, &[]).await, "the newest is in sight");

    console.click("#clear").await;
    assert!(console.frames().await.is_empty());
    assert_eq!(console.text("#log-note").await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_can_be_filtered_and_paused() {
    let broker = Broker::start();
    let browser = Browser::start().await;
    let console = Console::open(&browser, &broker.url("/console")).await;
    console.connect(&broker.token(&claims())).await;
    console.subscribe("room").await;
    console.subscribe("presence.room").await;
    let publish = |channel: &str, event: &str, data: &str| {
        broker.publish(&json!({"channel": channel, "event": event, "data": data}));
    };
    publish("room", "apple", "Red");
    publish("room", "pear", "green");
    publish("presence.room", "apple", "yellow");
    console.until_text("#log", "yellow").await;

    let all = console.frames().await.len();
    let shown = async || -> Vec<(String, String)> {
        let frames = console.frames().await.into_iter();
        frames.map(|frame| (frame.channel, frame.event)).collect()
    };
    let pair = |channel: &str, event: &str| (channel.to_owned(), event.to_owned());
    console.fill("#filters [name=event]", "APP").await;
    assert_eq!(shown().await, [pair("room", "apple"), pair("presence.room", "apple")]);
    assert_eq!(console.text("#log-note").await, format!("2 of {all} frames match."));
    console.fill("#filters [name=channel]", "presence").await;
    assert_eq!(shown().await, [pair("presence.room", "apple")]);
    console.fill("#filters [name=channel]", " ").await;
    console.fill("#filters [name=text]", "red").await;
    assert_eq!(shown().await, [pair("room", "apple")]);
    publish("room", "apple", "red again");
    console.page.until("a new one matches", async || shown().await.len() == 2).await;
    for name in ["event", "text"] {
        console.fill(&format!("#filters [name={name}]"), " ").await;
    }
    assert_eq!(shown().await.len(), all + 1);

    console.click("#pause").await;
    publish("room", "plum", "blue");
    console.until_text("#log-note", "Paused: 1 more came since.").await;
    assert_eq!(shown().await.len(), all + 1);
    console.click("#pause").await;
    console.until_frame("received", "plum").await;
    assert_eq!(console.text("#log-note").await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_laid_out_as_it_was_written() {
    let broker = Broker::start();
    let browser = Browser::start().await;
    let console = Console::open(&browser, &broker.url("/console")).await;
    let pretty = async |text: &str| -> String {
        let script = r#"
            const [text, done] = arguments;
            import("/console/json.js").then(({ pretty }) => done(pretty(text)), done);"#;
        let laid_out = browser.execute_async(script, vec![json!(text)]).await.unwrap();
        laid_out.as_str().unwrap().to_owned()
    };
    let laid_out = pretty(r#"{"b":1.0,"a":[1e400,"\"{,}\\",{ },[]],"":null}"#).await;
    let expected = r#"{
  "b": 1.0,
  "a": [
    1e400,
    "\"{,}\\",
    {},
    []
  ],
  "": null
}"#;
    assert_eq!(laid_out, expected);
    for text in ["{", "", "12", "\"a\"", "[]", "not JSON"] {
        assert_eq!(pretty(text).await, text);
    }
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(pretty(&deep).await.len() < 40 * deep.len(), "indents end somewhere");

    let mut claims = claims();
    claims["exp"] = (now() + 90_000).into();
    console.fill("#token", &broker.token(&claims)).await;
    console.until_text("#claims", "(tomorrow)").await;
}

/// What would take many clients, or much patience, is told to the page's own modules.
#[tokio::test(flavor = "multi_thread")]
async fn large_frames_and_crowds_are_shown_in_part() {
    let broker = Broker::start();
    let browser = Browser::start().await;
    let console = Console::open(&browser, &broker.url("/console")).await;
    let frames = r##"
        const [done] = arguments;
        (async () => {
            const { FrameLog } = await import("/console/frame_log.js");
            const log = new FrameLog(document.querySelector("#log"), document.createElement("p"));
            for (let n = 0; n < 20; n += 1) log.add("received", `${n} `.padEnd(1_048_576, "x"));
        })().then(done, (error) => done(`${error}`));"##;
    assert_eq!(browser.execute_async(frames, vec![]).await.unwrap(), Value::Null);
    console.page.until("they are drawn", async || console.has("#log li").await).await;
    let firsts = "return [...document.querySelectorAll('#log pre')].map((pre) =>
        parseInt(pre.textContent))";
    assert_eq!(console.page.ask::<Vec<u32>>(firsts, &[]).await, [12, 13, 14, 15, 16, 17, 18, 19]);

    let crowd = r##"
        const [done] = arguments;
        (async () => {
            const { Subscriptions } = await import("/console/subscriptions.js");
            const crowd = new Subscriptions(document.querySelector("#subscriptions"), {});
            const members = Array.from({ length: 150 }, (_, n) => ({ uid: `u${n}`, umd: null }));
            const channel = "presence.crowd";
            crowd.take({ event: "hotsock.subscribed", channel, data: { members } });
        })().then(done, (error) => done(`${error}`));"##;
    assert_eq!(browser.execute_async(crowd, vec![]).await.unwrap(), Value::Null);
    console.until_text(".members", "u99and 50 more").await;
}
