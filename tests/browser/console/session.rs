//! Tokens, connecting, and how connections end.

use super::{Console, claims, claims_of, now};
use crate::broker::Broker;
use crate::driver::Browser;
use fantoccini::key::Key;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_pasted_token_is_read_used_and_not_shown_again() {
    let broker = Broker::without_demo();
    let browser = Browser::start().await;
    let console = Console::open(&browser, &broker.url("/console")).await;
    assert!(!console.element("#demo-token").await.is_displayed().await.unwrap());
    assert!(!console.element("#channel").await.is_enabled().await.unwrap());

    let token = broker.token(&claims());
    console.fill("#token", &token).await;
    let claims = console.text("#claims").await;
    for said in ["algHS256", "scopeconnect", "uidDev", "(in 1 hour)"] {
        assert!(claims.contains(said), "{claims}");
    }
    assert!(claims.contains(
        "room: getInfo, historyStart 0, subscribe, umdUpdate\
         messages *: echo, publish, react, store -1storage *: get, observe, set"
    ));
    assert_eq!(console.text("#token-problem").await, "");

    // By the keyboard alone: from the token over its button to the channel.
    console.element("#token").await.send_keys(&(Key::Tab + &Key::Enter)).await.unwrap();
    console.until_text("#status", "Connected").await;
    let facts = console.text("#facts").await;
    let connected = console.until_frame("received", "hotsock.connected").await;
    let id = connected.text.split('"').skip_while(|word| *word != "connectionId").nth(2).unwrap();
    assert!(facts.contains(id) && facts.contains(r#"uid"Dev""#), "{facts}");
    assert!(facts.contains("Expires") && facts.contains(" hour"), "{facts}");
    assert!(connected.text.contains(r#""connectionSecret": "(hidden)""#), "{}", connected.text);

    assert_eq!(console.value("#token").await, "");
    let (_, secrets) = token.split_once('.').unwrap();
    assert!(!browser.source().await.unwrap().contains(secrets));
    let kept = "return JSON.stringify([location.href, document.cookie, {...localStorage},
        {...sessionStorage}, history.state])";
    let kept: String = console.page.ask(kept, &[]).await;
    assert_eq!(kept, json!([broker.url("/console"), "", {}, {}, null]).to_string());
    let asked = "return performance.getEntriesByType('resource').map(({ name }) => name)
        .filter((name) => !name.startsWith(location.origin))";
    assert_eq!(console.page.ask::<Vec<String>>(asked, &[]).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_token_is_said() {
    let mut broker = Broker::start();
    let browser = Browser::start().await;
    let console = Console::open(&browser, &broker.url("/console")).await;
    let says = async |token: &str, said: &str| {
        console.fill("#token", token).await;
        console.click("#connect-button").await;
        console.until_text("#token-problem", said).await;
        console.until_text("#status", "Not connected").await;
    };

    says("my password", "This is no JWT, which has three parts").await;
    says("a.b.c", "its first part is no JSON object").await;
    assert!(console.frames().await.is_empty(), "what is no token goes nowhere");
    says("", "Paste a token first").await;

    let mut expired = claims();
    expired["exp"] = (now() - 7200).into();
    says(&broker.token(&expired), "It has expired: ").await;
    console.until_text("#token-problem", "(2 hours ago)").await;
    console.until_text("#token-problem", "The broker refuses it. INVALID_TOKEN: ").await;
    assert!(console.value("#token").await.len() > 100, "it can be looked at");

    let mut early = claims();
    early["nbf"] = (now() + 7200).into();
    says(&broker.token(&early), "It is not valid before ").await;
    let mut other = claims();
    other["scope"] = "subscribe umd".into();
    says(&broker.token(&other), "Its scope has no “connect”: \"subscribe umd\".").await;
    let foreign = crate::token::hs256(&[1; 32], None, &claims());
    says(&foreign, "The broker refuses it. INVALID_TOKEN: ").await;
    broker.drain();
    says(&foreign, "The broker can't be reached.").await;
    assert!(console.text("#log").await.contains("Closed with 1006"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_used_up_is_told_from_a_wrong_one() {
    let broker = Broker::start();
    let browser = Browser::start().await;
    let console = Console::open(&browser, &broker.url("/console")).await;
    let mut claims = claims();
    claims["singleUse"] = true.into();
    claims["jti"] = "once".into();
    console.connect(&broker.token(&claims)).await;
    console.click("#connect-button").await;
    console.until_text("#status", "Closed").await;
    assert!(console.text("#closed").await.contains("1000: a normal end"));
    // An empty field means the same token again.
    console.click("#connect-button").await;
    console.until_text("#token-problem", "Perhaps the token is for a single use").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_the_address_is_taken_out_of_it() {
    let broker = Broker::start();
    let browser = Browser::start().await;
    let token = broker.token(&claims());
    let url = broker.url(&format!("/console#token={token}"));
    let console = Console::open(&browser, &url).await;
    assert_eq!(browser.current_url().await.unwrap().as_str(), broker.url("/console"));
    assert_eq!(console.value("#token").await, token);
    assert!(console.frames().await.is_empty(), "nothing is done with it unasked");
    console.click("#connect-button").await;
    console.until_text("#status", "Connected").await;

    // A link that is followed while the page is open.
    let script = "location.hash = '#token=another'";
    browser.execute(script, vec![]).await.unwrap();
    let url = broker.url("/console");
    let page = &console.page;
    page.until("it is gone", async || browser.current_url().await.unwrap().as_str() == url).await;
    assert_eq!(console.value("#token").await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_gives_a_token_and_shows_who_is_there() {
    let broker = Broker::start();
    let browser = Browser::start().await;
    browser.goto(&broker.url("/")).await.unwrap();
    let console = Console::open(&browser, &broker.url("/console")).await;
    console.click("#demo-token").await;
    console.until_text("#claims", "chat-hello").await;
    console.click("#connect-button").await;
    console.until_text("#status", "Connected").await;
    assert_eq!(console.value("#channel").await, "chat-hello");
    console.subscribe("presence.chat-hello").await;
    console.until_text("#subscriptions .members", "Console").await;

    let mut claims = claims_of("<b>Pam</b>");
    claims["channels"]["presence.chat-hello"] = json!({"subscribe": true});
    let mut pam = broker.connect(&broker.token(&claims));
    pam.subscribe("presence.chat-hello");
    console.until_text("#subscriptions .members", "Console<b>Pam</b>").await;
    drop(pam);
    console
        .page
        .until("Pam has left", async || console.text("#subscriptions .members").await == "Console")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_code_of_a_close_is_explained_and_one_can_connect_again() {
    let mut broker = Broker::start();
    let browser = Browser::start().await;
    let console = Console::open(&browser, &broker.url("/console")).await;
    console.connect(&broker.token(&claims())).await;
    console.subscribe("room").await;
    broker.drain();
    console.until_text("#closed", "Closed with 1012 “").await;
    console.until_text("#closed", "the broker is restarting; connect again").await;
    assert!(console.text("#log").await.contains("Closed with 1012 “"));
    assert!(!console.has("#subscriptions > li").await);
    assert!(!console.element("#channel").await.is_enabled().await.unwrap());

    // The token is still known after an attempt in vain.
    console.click("#connect-button").await;
    console.until_text("#token-problem", "The broker can't be reached.").await;
    broker.restart();
    console.click("#connect-button").await;
    console.until_text("#status", "Connected").await;
    let too_big =
        "document.querySelector('[data-command=raw] [name=text]').value = 'a'.repeat(65537)";
    browser.execute(too_big, vec![]).await.unwrap();
    console.submit("raw").await;
    console.until_text("#closed", "Closed with 1009 “").await;
    console.until_text("#closed", "a frame was too big").await;
    console.click("#connect-button").await;
    console.until_text("#status", "Connected").await;
    broker.crash();
    console.until_text("#closed", "Closed with 1006").await;

    broker.restart();
    let mut claims = claims();
    claims["heartbeatTimeout"] = 5.into();
    console.fill("#token", &broker.token(&claims)).await;
    console.click("#heartbeats").await;
    console.click("#connect-button").await;
    console.until_text("#closed", "4408").await;
    console.until_text("#closed", "a heartbeat was missed").await;
    console.click("#heartbeats").await;
    console.click("#connect-button").await;
    console.until_frame("sent", "hotsock.heartbeat").await;
}
