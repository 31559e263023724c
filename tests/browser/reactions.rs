//! Reactions on the chat page.

use crate::broker::Broker;
use crate::driver::Browser;
use crate::page::Page;
use fantoccini::Locator;
use fantoccini::elements::Element;
use fantoccini::key::Key;
use serde_json::json;

/// Reactions of one pane: for each message, each with whether they are one's own.
type Given = Vec<Vec<(String, bool)>>;

async fn given(page: &Page<'_>, name: &str) -> Given {
    let script = r#"
        const messages = document.querySelectorAll(`[data-pane="${arguments[0]}"] .message`);
        return [...messages].map((message) =>
            [...message.querySelectorAll("[data-testid=given] button")].map((button) =>
                [button.textContent, button.getAttribute("aria-pressed") === "true"]));"#;
    page.ask(script, &[json!(name)]).await
}

async fn until_given(page: &Page<'_>, name: &str, expected: &[&[(&str, bool)]]) {
    let expected: Given = expected
        .iter()
        .map(|message| message.iter().map(|(text, own)| ((*text).to_owned(), *own)).collect())
        .collect();
    page.until(&format!("{name} sees {expected:?}"), async || given(page, name).await == expected)
        .await;
}

/// Chooses a reaction to a message as a person does with a pointer.
async fn react(browser: &Browser, name: &str, message: usize, reaction: &str) {
    let message = format!("[data-pane={name}] [data-testid=message]:nth-child({})", message + 1);
    let click = async |selector: String| {
        let button = browser.find(Locator::Css(&selector)).await.unwrap();
        button.click().await.unwrap();
    };
    click(format!("{message} [data-testid=react]")).await;
    click(format!("{message} [data-testid=picker] [data-reaction='{reaction}']")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reactions_are_seen_on_all_pages_and_can_be_taken_back() {
    let mut broker = Broker::start();
    let (here, there) = (Browser::start().await, Browser::start().await);
    let page = Page::open(&here, &broker.url("/")).await;
    let other = Page::open(&there, here.current_url().await.unwrap().as_str()).await;
    page.write("Jim", "one").await;
    page.write("Pam", "two").await;
    other.until_all_stored(2).await;

    react(&here, "Jim", 1, "👍").await;
    for page in [&page, &other] {
        until_given(page, "Jim", &[&[], &[("👍 1", true)]]).await;
        until_given(page, "Pam", &[&[], &[("👍 1", false)]]).await;
    }
    react(&there, "Pam", 1, "👍").await;
    react(&there, "Pam", 0, "🎉").await;
    for page in [&page, &other] {
        until_given(page, "Jim", &[&[("🎉 1", false)], &[("👍 2", true)]]).await;
        until_given(page, "Pam", &[&[("🎉 1", true)], &[("👍 2", true)]]).await;
    }

    // A second click takes one's own back, wherever it was given.
    let own = "[data-pane=Jim] [data-testid=given] [data-reaction='👍']";
    there.find(Locator::Css(own)).await.unwrap().click().await.unwrap();
    let left: [&[(&str, bool)]; 2] = [&[("🎉 1", false)], &[("👍 1", false)]];
    for page in [&page, &other] {
        until_given(page, "Jim", &left).await;
    }

    // They last, and those that were missed show after a reconnect.
    page.reload().await;
    until_given(&page, "Jim", &left).await;
    let messages: Vec<_> = page.shown("Jim").await.into_iter().map(|shown| shown.id).collect();
    broker.crash();
    other.until_both("offline").await;
    broker.restart();
    let missed = json!({"messageId": messages[1], "reaction": "😮", "action": "add", "uid": "Ann"});
    broker.publish(&json!({
        "channel": format!("chat-{}", page.session().await),
        "event": "hotsock.messageReaction",
        "data": missed,
    }));
    for page in [&page, &other] {
        page.until_online().await;
        until_given(page, "Jim", &[left[0], &[("👍 1", false), ("😮 1", false)]]).await;
    }
    let is_idle = "return [...document.querySelectorAll('[data-testid=picker]')].length === 0";
    assert!(page.ask::<bool>(is_idle, &[]).await, "the choice is gone once one has chosen");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaction_can_be_given_with_the_keyboard() {
    let broker = Broker::start();
    let browser = Browser::start().await;
    let page = Page::open(&browser, &broker.url("/")).await;
    page.write("Pam", "one").await;
    page.write("Pam", "two").await;
    page.until_all_stored(2).await;
    let stops = "return document.querySelectorAll('[data-pane=Jim] .react[tabindex=\"0\"]').length";
    assert_eq!(page.ask::<usize>(stops, &[]).await, 1, "one tab stop for all messages");
    let press = async |key: Key| {
        let focused: Element = browser.active_element().await.unwrap();
        focused.send_keys(&key).await.unwrap();
    };
    let focus = "document.querySelector('[data-pane=Jim] .react[tabindex=\"0\"]').focus()";
    browser.execute(focus, vec![]).await.unwrap();
    press(Key::Up).await;
    press(Key::Enter).await;
    press(Key::Right).await;
    press(Key::Enter).await;
    until_given(&page, "Jim", &[&[("❤️ 1", true)], &[]]).await;
    press(Key::Enter).await;
    press(Key::Escape).await;
    let focused = "return document.activeElement.dataset.testid";
    assert_eq!(page.ask::<String>(focused, &[]).await, "react", "the focus is back");
}
