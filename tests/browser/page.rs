//! The chat page as a person sees and uses it.

use crate::driver::Browser;
use crate::process::PATIENCE;
use fantoccini::Locator;
use fantoccini::elements::Element;
use fantoccini::key::Key;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{sleep, timeout};

pub(crate) const PEOPLE: [&str; 2] = ["Jim", "Pam"];

const SHOWN: &str = r#"
    return [...document.querySelectorAll(`[data-pane="${arguments[0]}"] [data-testid="message"]`)]
        .map((node) => ({
            id: node.dataset.id ?? null,
            author: node.querySelector(".author").textContent,
            text: node.querySelector("[data-testid=text]").textContent,
            time: Date.parse(node.querySelector("time").dateTime),
            is_right: getComputedStyle(node).alignItems === "flex-end",
            is_pending: node.dataset.state === "pending",
        }));
"#;

/// Everything in the store, as a client of its own reads it.
const STORED: &str = r#"
    const [session, done] = arguments;
    (async () => {
        const { FanfareClient } = await import("/fanfare.js");
        const connectTokenFn = async () => {
            const body = JSON.stringify({ session, name: "Reader" });
            return (await (await fetch("/demo/token", { method: "POST", body })).json()).token;
        };
        const client = new FanfareClient("/v1", { connectTokenFn });
        const channel = client.channels(`chat-${session}`);
        await new Promise((subscribed) => channel.bind("hotsock.subscribed", subscribed));
        const stored = [];
        for (let page; page?.length !== 0; stored.push(...page)) {
            page = (await channel.listMessages({ after: stored.at(-1)?.id })).messages;
        }
        client.terminate();
        return stored.map(({ id, data, meta }) => [id, meta.uid ?? "", data.text]);
    })().then(done, (error) => done(`${error}`));
"#;

/// A message as a pane shows it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Absent as long as the message is not known to be stored.
    pub(crate) id: Option<String>,
    pub(crate) author: String,
    pub(crate) text: String,
    /// In milliseconds since 1970.
    pub(crate) time: u64,
    pub(crate) is_right: bool,
    pub(crate) is_pending: bool,
}

pub(crate) struct Page<'a> {
    browser: &'a Browser,
}

impl<'a> Page<'a> {
    /// Opens an address of the chat, and waits until both are online.
    pub(crate) async fn open(browser: &'a Browser, url: &str) -> Self {
        browser.goto(url).await.unwrap();
        let page = Self { browser };
        page.until_online().await;
        page
    }

    /// Whatever page the browser shows.
    pub(crate) fn at(browser: &'a Browser) -> Self {
        Self { browser }
    }

    pub(crate) async fn reload(&self) {
        self.browser.refresh().await.unwrap();
        self.until_online().await;
    }

    /// The session in the address.
    pub(crate) async fn session(&self) -> String {
        self.browser.current_url().await.unwrap().fragment().unwrap().to_owned()
    }

    /// The element with a test id, within a person's pane.
    pub(crate) async fn part(&self, name: &str, part: &str) -> Element {
        let selector = format!(r#"[data-pane="{name}"] [data-testid="{part}"]"#);
        self.browser.find(Locator::Css(&selector)).await.unwrap()
    }

    /// Presses keys in a person's text field.
    pub(crate) async fn press(&self, name: &str, keys: &str) {
        self.part(name, "input").await.send_keys(keys).await.unwrap();
    }

    /// Writes and sends a text as a person does.
    pub(crate) async fn write(&self, name: &str, text: &str) {
        self.press(name, &(text.to_owned() + &Key::Enter)).await;
    }

    /// What a person's pane shows, from top to bottom.
    pub(crate) async fn shown(&self, name: &str) -> Vec<Shown> {
        self.ask(SHOWN, &[json!(name)]).await
    }

    /// Lets a person's pane show all that was ever said, by its button.
    pub(crate) async fn show_older(&self, name: &str) {
        let script = r#"
            const pane = document.querySelector(`[data-pane="${arguments[0]}"]`);
            const button = pane.querySelector("[data-testid=older]");
            if (!button.hidden) button.click();
            return button.hidden;"#;
        let is_all = async || self.ask(script, &[json!(name)]).await;
        self.until(&format!("{name} sees the beginning"), is_all).await;
    }

    /// The texts of the same.
    pub(crate) async fn texts(&self, name: &str) -> Vec<String> {
        self.shown(name).await.into_iter().map(|message| message.text).collect()
    }

    /// Id, author (nothing for the server) and text of each stored message.
    pub(crate) async fn stored(&self) -> Vec<(String, String, String)> {
        let session = json!(self.session().await);
        let stored = self.browser.execute_async(STORED, vec![session]).await.unwrap();
        serde_json::from_value(stored.clone()).unwrap_or_else(|_| panic!("{stored}"))
    }

    /// `connecting`, `loading`, `online`, `offline` or `refused`; nothing before the page has run.
    pub(crate) async fn state(&self, name: &str) -> Option<String> {
        let script = "return document.querySelector(`[data-pane=${arguments[0]}]`)?.dataset.state";
        self.ask(script, &[json!(name)]).await
    }

    pub(crate) async fn until_online(&self) {
        self.until_both("online").await;
    }

    pub(crate) async fn until_both(&self, state: &str) {
        for name in PEOPLE {
            self.until(&format!("{name} is {state}"), async || {
                self.state(name).await.as_deref() == Some(state)
            })
            .await;
        }
    }

    /// Waits until both panes show as many messages, all of them stored.
    pub(crate) async fn until_all_stored(&self, count: usize) {
        for name in PEOPLE {
            self.until(&format!("{name} sees {count} stored messages"), async || {
                let shown = self.shown(name).await;
                shown.len() == count && shown.iter().all(|message| message.id.is_some())
            })
            .await;
        }
    }

    /// Waits until something is so.
    pub(crate) async fn until(&self, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        let waiting = async {
            while !is_so().await {
                sleep(Duration::from_millis(20)).await;
            }
        };
        if timeout(PATIENCE, waiting).await.is_err() {
            let page = self.browser.source().await.unwrap_or_default();
            panic!("waited too long until {what}; the page is {page}");
        }
    }

    /// Runs JavaScript.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, script: &str, arguments: &[Value]) -> T {
        let answer = self.browser.execute(script, arguments.to_vec()).await.unwrap();
        serde_json::from_value(answer).unwrap()
    }
}
