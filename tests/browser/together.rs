//! What people see of each other beside their messages.

use crate::broker::Broker;
use crate::driver::Browser;
use crate::page::{PEOPLE, Page};
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
    broker.crash();
    other.until_both("offline").await;
    broker.restart();
    for page in [&page, &other] {
        page.until_online().await;
        until_given(page, "Jim", &left).await;
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

async fn online(page: &Page<'_>, name: &str) -> Vec<String> {
    let script = r#"
        const list = document.querySelector(`[data-pane="${arguments[0]}"] [data-testid=members]`);
        return [...list.children].map((item) => item.textContent);"#;
    page.ask(script, &[json!(name)]).await
}

async fn until_online(page: &Page<'_>, expected: &[&str]) {
    for name in PEOPLE {
        page.until(&format!("{name} sees {expected:?}"), async || {
            let mut online = online(page, name).await;
            online.sort_unstable();
            online == expected
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_online_is_seen_as_people_come_and_go() {
    let mut broker = Broker::start();
    let (here, there) = (Browser::start().await, Browser::start().await);
    let page = Page::open(&here, &broker.url("/")).await;
    until_online(&page, &["Jim", "Pam"]).await;
    let session = page.session().await;

    there.goto(&broker.url("/fanfare.js")).await.unwrap();
    let ann = r#"
        const [session, done] = arguments;
        (async () => {
            const { FanfareClient } = await import("/fanfare.js");
            const connectTokenFn = async () => {
                const body = JSON.stringify({ session, name: "Ann" });
                return (await (await fetch("/demo/token", { method: "POST", body })).json()).token;
            };
            window.client = new FanfareClient("/v1", { connectTokenFn, backoffMaxMs: 400 });
            const presence = client.channels(`presence.chat-${session}`);
            await new Promise((subscribed) => presence.bind("hotsock.subscribed", subscribed));
            return presence.members.map(({ uid }) => uid).sort();
        })().then(done, (error) => done(`${error}`));"#;
    let members = there.execute_async(ann, vec![json!(session)]).await.unwrap();
    assert_eq!(members, json!(["Ann", "Jim", "Pam"]));
    until_online(&page, &["Ann", "Jim", "Pam"]).await;

    broker.crash();
    page.until_both("offline").await;
    until_online(&page, &[]).await;
    broker.restart();
    until_online(&page, &["Ann", "Jim", "Pam"]).await;
    there.execute("client.suspend()", vec![]).await.unwrap();
    until_online(&page, &["Jim", "Pam"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_read_is_seen_once_they_look() {
    let broker = Broker::start();
    let browser = Browser::start().await;
    browser.set_window_size(400, 800).await.unwrap();
    let page = Page::open(&browser, &broker.url("/")).await;
    let readers = async |name: &str| {
        let script = r#"
            const messages = document.querySelectorAll(`[data-pane="${arguments[0]}"] .message`);
            return [...messages].map((message) => message.dataset.readers ?? "");"#;
        page.ask::<Vec<String>>(script, &[json!(name)]).await
    };
    let show = async |name: &str| {
        let button = browser.find(Locator::Css(&format!("[data-show={name}]"))).await.unwrap();
        button.click().await.unwrap();
    };
    page.write("Jim", "one").await;
    page.write("Jim", "two").await;
    page.until_all_stored(2).await;
    show("Pam").await;
    page.until("Pam has read both", async || readers("Jim").await == ["", "Read by Pam"]).await;
    assert_eq!(readers("Pam").await, ["", ""], "writers have read what they wrote");
    show("Jim").await;
    page.write("Jim", "three").await;
    page.until_all_stored(3).await;
    assert_eq!(readers("Jim").await, ["", "Read by Pam", ""], "Pam does not look");
    page.reload().await;
    page.until("it lasts", async || readers("Jim").await == ["", "Read by Pam", ""]).await;
    show("Pam").await;
    page.until("she looks", async || readers("Jim").await == ["", "", "Read by Pam"]).await;
}
