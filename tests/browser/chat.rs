//! Two people chat.

use crate::broker::Broker;
use crate::driver::Browser;
use crate::page::{PEOPLE, Page, Shown};
use fantoccini::Locator;
use fantoccini::key::Key;
use serde_json::json;

const MESSAGES: usize = 250;

#[tokio::test(flavor = "multi_thread")]
async fn two_people_exchange_250_messages_which_a_reload_and_the_link_restore() {
    let broker = Broker::start();
    let browser = Browser::start().await;
    let page = Page::open(&browser, &broker.url("/")).await;
    for number in 0..MESSAGES {
        let name = PEOPLE[number % 2];
        page.write(name, &format!("{name} says {number}")).await;
    }
    page.until_all_stored(MESSAGES).await;
    let seen = both(&page).await;
    assert_conversation(&seen);

    page.reload().await;
    assert_eq!(all_of_both(&page).await, seen);
    let script = "return performance.getEntriesByType('resource')
        .filter(({ name }) => name.includes('listMessages')).length";
    let pages: usize = page.ask(script, &[]).await;
    assert!(pages >= PEOPLE.len() * MESSAGES.div_ceil(100), "only {pages} pages were read");

    // The browser knows the session without the link, and the link without the browser.
    let link = browser.current_url().await.unwrap();
    Page::open(&browser, &broker.url("/")).await;
    assert_eq!(browser.current_url().await.unwrap(), link);
    browser.execute("localStorage.clear(); sessionStorage.clear()", vec![]).await.unwrap();
    browser.goto("about:blank").await.unwrap();
    let page = Page::open(&browser, link.as_str()).await;
    assert_eq!(all_of_both(&page).await, seen);
}

async fn all_of_both(page: &Page<'_>) -> [Vec<Shown>; 2] {
    for name in PEOPLE {
        page.show_older(name).await;
    }
    both(page).await
}

async fn both(page: &Page<'_>) -> [Vec<Shown>; 2] {
    [page.shown(PEOPLE[0]).await, page.shown(PEOPLE[1]).await]
}

/// Each person's messages are there in the order in which they were written; all are in the order
/// of their ids, with the times of these, and one's own on the right.
fn assert_conversation(seen: &[Vec<Shown>; 2]) {
    let said = |m: &Shown| (m.id.clone(), m.time, m.author.clone(), m.text.clone());
    let [jim, pam] = seen.each_ref().map(|pane| pane.iter().map(said).collect::<Vec<_>>());
    assert_eq!(jim, pam);
    for (which, name) in PEOPLE.into_iter().enumerate() {
        let texts = jim.iter().filter(|m| m.2 == name).map(|m| m.3.clone());
        let written = (0..MESSAGES).skip(which).step_by(2).map(|n| format!("{name} says {n}"));
        assert!(texts.eq(written), "{jim:?}");
        for message in &seen[which] {
            assert_eq!(message.is_right, message.author == name, "{message:?}");
            assert_eq!(message.time, time_of(message.id.as_deref().unwrap()), "{message:?}");
        }
    }
    assert!(jim.is_sorted_by(|a, b| a.0 < b.0), "{jim:?}");
}

/// A ULID's first ten characters are base 32.
fn time_of(ulid: &str) -> u64 {
    let value = |digit| "0123456789ABCDEFGHJKMNPQRSTVWXYZ".find(digit).unwrap() as u64;
    ulid.chars().take(10).fold(0, |time, digit| time * 32 + value(digit))
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_shows_and_goes_and_is_not_told_with_every_key() {
    let broker = Broker::start();
    let browser = Browser::start().await;
    let page = Page::open(&browser, &broker.url("/")).await;
    let count = "
        const send = WebSocket.prototype.send;
        window.told = 0;
        WebSocket.prototype.send = function (text) {
            if (JSON.parse(text).event === 'is-typing') window.told += 1;
            return send.call(this, text);
        };
        const input = document.querySelector('[data-pane=Jim] [data-testid=input]');
        input.value = 'Hello';
        for (let key = 0; key < 100; key += 1) input.dispatchEvent(new Event('input'));";
    browser.execute(count, vec![]).await.unwrap();
    let typist = async |name| page.part(name, "typist").await.text().await.unwrap();

    page.until("Pam sees Jim typing", async || typist("Pam").await == "Jim is typing").await;
    assert_eq!(typist("Jim").await, "", "one doesn't see oneself typing");
    assert_eq!(page.ask::<usize>("return window.told", &[]).await, 1);
    page.until("it is gone", async || typist("Pam").await.is_empty()).await;

    page.press("Jim", "!").await;
    page.until("Pam sees it again", async || typist("Pam").await == "Jim is typing").await;
    page.press("Jim", &Key::Enter).await;
    page.until("Pam has the message", async || page.texts("Pam").await == ["Hello!"]).await;
    page.until("it is gone", async || typist("Pam").await.is_empty()).await;
    assert_eq!(page.stored().await.len(), 1, "typing is not stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_shown_as_written() {
    let broker = Broker::start();
    let browser = Browser::start().await;
    let page = Page::open(&browser, &broker.url("/")).await;
    let line = Key::Shift + &Key::Enter + &Key::Null;
    page.press("Jim", "  two").await;
    page.press("Jim", &line).await;
    page.write("Jim", " lines  ").await;
    page.write("Pam", "<img src=x onerror=alert(1)> & \"é한\" \\n").await;
    page.write("Pam", "   ").await;
    page.write("Jim", &"long".repeat(500)).await;
    page.until_all_stored(3).await;
    let expected =
        ["two\n lines", "<img src=x onerror=alert(1)> & \"é한\" \\n", &"long".repeat(500)];
    for name in PEOPLE {
        assert_eq!(page.texts(name).await, expected, "{name}");
    }
    let script = "const log = document.querySelector('[data-pane=Pam] [data-testid=log]');
        return log.scrollWidth <= log.clientWidth && document.images.length === 0";
    assert!(page.ask::<bool>(script, &[]).await, "long words break and markup is text");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_can_be_copied_and_a_new_chat_begun() {
    let broker = Broker::start();
    let browser = Browser::start().await;
    let page = Page::open(&browser, &broker.url("/")).await;
    page.write("Jim", "Hello").await;
    page.until_all_stored(1).await;
    let link = browser.current_url().await.unwrap();

    let click = async |id| {
        let button = browser.find(Locator::Css(&format!("[data-testid={id}]"))).await.unwrap();
        button.click().await.unwrap();
    };
    click("copy-link").await;
    page.until("it says so", async || {
        let toast = browser.find(Locator::Css("[data-testid=toast]")).await.unwrap();
        toast.text().await.unwrap() == "Link copied"
    })
    .await;
    page.press("Pam", &(Key::Control + "v" + &Key::Null)).await;
    let pasted = page.part("Pam", "input").await.prop("value").await.unwrap();
    assert_eq!(pasted.as_deref(), Some(link.as_str()));

    click("new-chat").await;
    page.until_online().await;
    page.until_all_stored(0).await;
    assert_ne!(browser.current_url().await.unwrap(), link);
    browser.back().await.unwrap();
    page.until_all_stored(1).await;
    assert_eq!(browser.current_url().await.unwrap(), link);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrow_screen_shows_one_side_and_counts_what_the_other_gets() {
    let broker = Broker::start();
    let browser = Browser::start().await;
    browser.set_window_size(400, 800).await.unwrap();
    let page = Page::open(&browser, &broker.url("/")).await;
    let is_shown = async |name| page.part(name, "log").await.is_displayed().await.unwrap();
    assert!(is_shown("Jim").await && !is_shown("Pam").await);
    page.write("Jim", "Are you there?").await;
    page.until_all_stored(1).await;
    let other = browser.find(Locator::Css("[data-show=Pam]")).await.unwrap();
    page.until("it is counted", async || other.text().await.unwrap() == "Pam 1").await;
    other.click().await.unwrap();
    assert!(is_shown("Pam").await && !is_shown("Jim").await);
    assert_eq!(other.text().await.unwrap(), "Pam");
}

/// What a backend publishes has no writer and any shape.
#[tokio::test(flavor = "multi_thread")]
async fn messages_of_other_shapes_are_shown_too() {
    let broker = Broker::start();
    let browser = Browser::start().await;
    let page = Page::open(&browser, &broker.url("/")).await;
    let channel = format!("chat-{}", page.session().await);
    for data in [json!("plain"), json!({"text": "object"}), json!([1, null]), json!({"text": 5})] {
        broker.publish(&json!({"channel": channel, "event": "chat", "data": data, "store": -1}));
    }
    page.until_all_stored(4).await;
    let shown = page.shown("Jim").await;
    let texts: Vec<_> = shown.iter().map(|message| message.text.as_str()).collect();
    assert_eq!(texts, ["plain", "object", "[1,null]", r#"{"text":5}"#]);
    assert!(shown.iter().all(|message| message.author == "Server" && !message.is_right));
}
