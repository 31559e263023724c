//! What people see of each other beside their messages.

use crate::broker::Broker;
use crate::driver::Browser;
use crate::page::{PEOPLE, Page};
use fantoccini::Locator;
use serde_json::json;

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
