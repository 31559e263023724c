//! The console as a person sees and uses it.

use crate::driver::Browser;
use crate::page::Page;
use fantoccini::Locator;
use fantoccini::elements::Element;
use serde::Deserialize;
use serde_json::json;

const FRAMES: &str = r##"
    return [...document.querySelectorAll("#log li:not([hidden])")].map((node) => ({
        kind: node.dataset.kind,
        event: node.querySelector(".event").textContent,
        channel: node.querySelector(".channel").textContent,
        text: node.querySelector(".text").textContent,
    }));
"##;

/// A frame as the log shows it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Frame {
    pub(super) kind: String,
    pub(super) event: String,
    pub(super) channel: String,
    pub(super) text: String,
}

pub(super) struct Console<'a> {
    pub(super) browser: &'a Browser,
    pub(super) page: Page<'a>,
}

impl<'a> Console<'a> {
    /// Opens the console, and all that is folded on it.
    pub(super) async fn open(browser: &'a Browser, url: &str) -> Self {
        browser.goto(url).await.unwrap();
        let console = Self { browser, page: Page::at(browser) };
        console.until_text("#status", "Not connected").await;
        let unfold = "for (const each of document.querySelectorAll('details')) each.open = true";
        browser.execute(unfold, vec![]).await.unwrap();
        console
    }

    /// Connects with a token.
    pub(super) async fn connect(&self, token: &str) {
        self.fill("#token", token).await;
        self.click("#connect-button").await;
        self.until_text("#status", "Connected").await;
    }

    /// Subscribes to a channel, which the forms are about from then on.
    pub(super) async fn subscribe(&self, channel: &str) {
        self.fill("#channel", channel).await;
        self.submit("subscribe").await;
        let subscribed = format!("#subscriptions > [data-channel='{channel}']");
        self.page.until("it is subscribed", async || self.has(&subscribed).await).await;
    }

    /// Publishes from the form.
    pub(super) async fn publish(&self, event: &str, data: &str) {
        self.fill("[data-command=publish] [name=event]", event).await;
        self.fill("[data-command=publish] [name=data]", data).await;
        self.submit("publish").await;
    }

    pub(super) async fn element(&self, selector: &str) -> Element {
        let found = self.browser.find(Locator::Css(selector)).await;
        found.unwrap_or_else(|error| panic!("{selector}: {error}"))
    }

    pub(super) async fn has(&self, selector: &str) -> bool {
        !self.browser.find_all(Locator::Css(selector)).await.unwrap().is_empty()
    }

    /// Writes into a field in place of what is in it.
    pub(super) async fn fill(&self, selector: &str, text: &str) {
        let field = self.element(selector).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    pub(super) async fn click(&self, selector: &str) {
        self.element(selector).await.click().await.unwrap();
    }

    /// Presses the first button of a form.
    pub(super) async fn submit(&self, form: &str) {
        self.click(&format!("[data-command={form}] button")).await;
    }

    /// Presses one of several buttons of a form.
    pub(super) async fn submit_as(&self, form: &str, action: &str) {
        self.click(&format!("[data-command={form}] button[value={action}]")).await;
    }

    /// The whole text of an element, whether it can be seen or not.
    pub(super) async fn text(&self, selector: &str) -> String {
        let script = "return document.querySelector(arguments[0]).textContent";
        self.page.ask(script, &[json!(selector)]).await
    }

    /// What a field holds.
    pub(super) async fn value(&self, selector: &str) -> String {
        self.element(selector).await.prop("value").await.unwrap().unwrap()
    }

    /// Waits until an element has a text somewhere in it.
    pub(super) async fn until_text(&self, selector: &str, text: &str) {
        let what = format!("{selector} says {text}");
        self.page.until(&what, async || self.text(selector).await.contains(text)).await;
    }

    /// The frames that the log shows, the oldest first.
    pub(super) async fn frames(&self) -> Vec<Frame> {
        self.page.ask(FRAMES, &[]).await
    }

    /// Waits until the log shows a frame of a kind and an event, and returns the newest.
    pub(super) async fn until_frame(&self, kind: &str, event: &str) -> Frame {
        let mut found = None;
        let what = format!("{event} was {kind}");
        self.page
            .until(&what, async || {
                let mut frames = self.frames().await.into_iter();
                found = frames.rfind(|frame| frame.kind == kind && frame.event == event);
                found.is_some()
            })
            .await;
        found.unwrap()
    }
}
