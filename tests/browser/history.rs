//! The chat page with more messages than it shows at once.

use crate::broker::Broker;
use crate::driver::Browser;
use crate::page::{PEOPLE, Page};
use serde_json::json;

/// What a page of the history has.
const PAGE: usize = 100;
const MESSAGES: usize = 250;

fn publish(broker: &Broker, session: &str, numbers: std::ops::Range<usize>) {
    let channel = format!("chat-{session}");
    let message = |number| {
        let data = json!({"text": text(number)});
        json!({"channel": channel, "event": "chat", "data": data, "store": -1})
    };
    let messages: Vec<_> = numbers.map(message).collect();
    for batch in messages.chunks(100) {
        broker.publish(&json!(batch));
    }
}

fn text(number: usize) -> String {
    format!("message {number}")
}

fn texts(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(text).collect()
}

/// How far below the top of its pane a text is, in pixels.
async fn height_of(page: &Page<'_>, name: &str, text: &str) -> f64 {
    let script = r#"
        const pane = document.querySelector(`[data-pane="${arguments[0]}"]`);
        const log = pane.querySelector("[data-testid=log]");
        const texts = [...pane.querySelectorAll("[data-testid=text]")];
        const node = texts.find((each) => each.textContent === arguments[1]);
        return node.getBoundingClientRect().top - log.getBoundingClientRect().top;"#;
    page.ask(script, &[json!(name), json!(text)]).await
}

/// Scrolls so far up that what is older is to be read, and returns where a text is then.
async fn scroll_up(page: &Page<'_>, name: &str, text: &str) -> f64 {
    let script = r#"
        const pane = document.querySelector(`[data-pane="${arguments[0]}"]`);
        pane.querySelector("[data-testid=log]").scrollTop = arguments[1];"#;
    page.ask::<()>(script, &[json!(name), json!(120)]).await;
    height_of(page, name, text).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_chat_opens_with_its_latest_messages_and_shows_older_ones_when_they_are_wanted() {
    let broker = Broker::start();
    let browser = Browser::start().await;
    publish(&broker, "long", 0..MESSAGES);
    let page = Page::open(&browser, &broker.url("/#long")).await;
    // Nobody has looked for more: each pane has read one page.
    let requests = "return performance.getEntriesByType('resource')
        .filter(({ name }) => name.includes('listMessages')).length";
    for name in PEOPLE {
        assert_eq!(page.texts(name).await, texts(MESSAGES - PAGE..MESSAGES), "{name}");
        let script = r#"
            const log = document.querySelector(`[data-pane="${arguments[0]}"] [data-testid=log]`);
            return log.scrollHeight - log.scrollTop - log.clientHeight < 2;"#;
        page.until("the newest is in sight", async || page.ask(script, &[json!(name)]).await).await;
    }
    assert_eq!(page.ask::<usize>(requests, &[]).await, PEOPLE.len());

    // Who scrolls up finds what is older above, and goes on to see what they saw.
    let first = text(MESSAGES - PAGE);
    let before = scroll_up(&page, "Jim", &first).await;
    let wanted = texts(MESSAGES - 2 * PAGE..MESSAGES);
    page.until("a page more is there", async || page.texts("Jim").await == wanted).await;
    let after = height_of(&page, "Jim", &first).await;
    assert!((after - before).abs() < 2.0, "from {before} to {after}");
    let jump = page.part("Jim", "jump").await;
    assert!(!jump.is_displayed().await.unwrap(), "what is old is no news");

    // What comes meanwhile is below, and a button shows the rest.
    publish(&broker, "long", MESSAGES..MESSAGES + 1);
    page.show_older("Jim").await;
    let all = texts(0..MESSAGES + 1);
    page.until("all is there", async || page.texts("Jim").await == all).await;
    assert!(jump.is_displayed().await.unwrap(), "what came is");
    let ids: Vec<_> = page.shown("Jim").await.into_iter().map(|shown| shown.id).collect();
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
    assert_eq!(page.texts("Pam").await, texts(MESSAGES - PAGE..MESSAGES + 1), "she did not look");
    for name in PEOPLE {
        page.show_older(name).await;
        assert_eq!(page.texts(name).await, all, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_older_messages_can_not_be_read_the_page_waits_for_a_click() {
    let broker = Broker::start();
    let browser = Browser::start().await;
    publish(&broker, "failing", 0..MESSAGES);
    let page = Page::open(&browser, &broker.url("/#failing")).await;
    let fail = "
        window.fails = 0;
        window.pictures = 0;
        const [real, draw] = [window.fetch, () => { window.pictures++; requestAnimationFrame(draw); }];
        window.repair = () => { window.fetch = real; };
        window.fetch = (wanted, ...more) => {
            if (!String(wanted.url ?? wanted).includes('listMessages')) return real(wanted, ...more);
            window.fails++;
            requestAnimationFrame(draw);
            return Promise.resolve(new Response('{}', { status: 503 }));
        };";
    page.ask::<()>(fail, &[]).await;
    scroll_up(&page, "Jim", &text(MESSAGES - PAGE)).await;
    // What is in sight is noticed with each picture.
    let pictures = async || page.ask::<u32>("return window.pictures", &[]).await;
    page.until("ten pictures later", async || pictures().await >= 10).await;
    assert_eq!(page.ask::<u32>("return window.fails", &[]).await, 1);
    page.ask::<()>("window.repair()", &[]).await;
    page.show_older("Jim").await;
    let wanted = texts(MESSAGES - 2 * PAGE..MESSAGES);
    page.until("a page more is there", async || page.texts("Jim").await.ends_with(&wanted)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_chat_shows_that_there_is_no_more() {
    let broker = Broker::start();
    let browser = Browser::start().await;
    let page = Page::open(&browser, &broker.url("/#short")).await;
    let is_there = async |name| page.part(name, "older").await.is_displayed().await.unwrap();
    assert!(!is_there("Jim").await, "of nothing there is no more");
    page.write("Jim", "one").await;
    page.until_all_stored(1).await;
    page.reload().await;
    for name in PEOPLE {
        page.until("it has looked", async || !is_there(name).await).await;
        assert_eq!(page.texts(name).await, ["one"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_offline_is_sent_once_and_asks_for_no_old_messages() {
    let mut broker = Broker::start();
    let browser = Browser::start().await;
    publish(&broker, "offline", 0..MESSAGES);
    let page = Page::open(&browser, &broker.url("/#offline")).await;
    broker.crash();
    page.until_both("offline").await;
    page.write("Jim", "Keep this").await;
    page.until("it waits", async || page.texts("Jim").await.contains(&"Keep this".into())).await;
    broker.restart();
    publish(&broker, "offline", MESSAGES..MESSAGES + 150);
    for is_reloaded in [false, true] {
        if is_reloaded {
            page.reload().await;
        }
        let known = if is_reloaded { PAGE } else { PAGE + 150 + 1 };
        for name in PEOPLE {
            page.until("all is known to be stored", async || {
                let shown = page.shown(name).await;
                shown.len() == known && shown.iter().all(|message| message.id.is_some())
            })
            .await;
            let kept = page.texts(name).await.into_iter().filter(|text| text == "Keep this");
            assert_eq!(kept.count(), 1, "{name}");
        }
    }
    let stored = page.stored().await;
    assert_eq!(stored.iter().filter(|(_, _, text)| text == "Keep this").count(), 1);
}

/// Its writer does not know whether the broker has it, and finds it behind more than a page of what
/// others have said since.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_published_already_is_looked_for_as_far_back_as_it_may_be() {
    const SINCE: usize = 220;
    let broker = Broker::start();
    let browser = Browser::start().await;
    publish(&broker, "doubt", 0..MESSAGES);
    let page = Page::open(&browser, &broker.url("/#doubt")).await;
    // Neither the answer nor the echo nor the history tells of it.
    let lose = "
        const { fetch: real, JSON: { parse } } = window;
        window.fetch = async (url, request) => {
            const isList = String(url).includes('listMessages');
            if (isList && request.body.includes('expandReactions')) throw new TypeError('lost');
            const response = await real(url, request);
            if (String(url).includes('publishMessage')) throw new TypeError('lost');
            return response;
        };
        JSON.parse = (text, ...more) =>
            /^.\"id\".*In doubt/.test(text) ? null : parse(text, ...more);";
    browser.execute(lose, vec![]).await.unwrap();
    page.write("Jim", "In doubt").await;
    let copies = async || {
        let stored = page.stored().await;
        stored.iter().filter(|(_, _, text)| text == "In doubt").count()
    };
    page.until("the broker has it", async || copies().await == 1).await;
    assert!(page.shown("Jim").await.last().unwrap().is_pending, "which its writer does not know");
    publish(&broker, "doubt", MESSAGES..MESSAGES + SINCE);

    page.reload().await;
    let shown = page.shown("Jim").await;
    let found: Vec<_> = shown.iter().filter(|message| message.text == "In doubt").collect();
    assert!(found.len() == 1 && found[0].id.is_some(), "{found:?}");
    assert_eq!(shown.len(), 3 * PAGE, "it read no further than it had to");
    assert_eq!(page.shown("Pam").await.len(), PAGE);
    assert_eq!(copies().await, 1);
}
