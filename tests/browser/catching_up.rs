//! `fanfare.js` in a page that loses its connection, with the broker behind it.

use crate::broker::Broker;
use crate::driver::Browser;
use crate::page::Page;
use serde::Deserialize;
use serde_json::{Value, json};

/// A page that does nothing but to keep what comes; `network.fails` keeps it off the network, and
/// while `network.stalls` no message gets through.
const FOLLOW: &str = r#"
    const [session, done] = arguments;
    (async () => {
        const { FanfareClient } = await import("/fanfare.js");
        const network = window.network = { fails: false, stalls: false, sockets: [] };
        class Fragile extends WebSocket {
            constructor(url) {
                super(network.fails ? "ws://127.0.0.1:9/" : url);
                network.sockets.push(this);
                this.addEventListener("message", (event) => {
                    const isChat = JSON.parse(event.data).event === "chat";
                    if (network.stalls && isChat) event.stopImmediatePropagation();
                });
            }
        }
        network.fail = () => {
            network.fails = true;
            for (const socket of network.sockets) socket.close();
        };
        const connectTokenFn = async () => {
            const body = JSON.stringify({ session, name: "Reader" });
            return (await (await fetch("/demo/token", { method: "POST", body })).json()).token;
        };
        const client = window.client =
            new FanfareClient("/v1", { connectTokenFn, WebSocket: Fragile, backoffMaxMs: 400 });
        const channel = window.channel = client.channels(`chat-${session}`);
        window.seen = { ids: [], gaps: 0, recovered: [] };
        channel.bind("chat", ({ id }) => seen.ids.push(id));
        channel.bind("@@gap", () => (seen.gaps += 1));
        channel.bind("hotsock.subscribed", ({ data }) => seen.recovered.push(data.recovered ?? null));
        await new Promise((subscribed) => channel.bind("hotsock.subscribed", subscribed));
        await channel.listMessages({ reverse: true });
    })().then(done, (error) => done(`${error}`));
"#;

const STORED: &str = r#"
    const done = arguments[0];
    (async () => {
        const stored = [];
        for (let page; page?.length !== 0; stored.push(...page)) {
            page = (await channel.listMessages({ after: stored.at(-1)?.id })).messages;
        }
        return stored.map(({ id }) => id);
    })().then(done, (error) => done(`${error}`));
"#;

/// What the page has seen since it was opened.
#[derive(Debug, Deserialize)]
struct Seen {
    ids: Vec<String>,
    gaps: usize,
    /// What each subscription was confirmed with.
    recovered: Vec<Option<bool>>,
}

struct Follower {
    browser: Browser,
    session: &'static str,
}

impl Follower {
    async fn open(broker: &Broker, session: &'static str) -> Self {
        let browser = Browser::start().await;
        browser.goto(&broker.url("/fanfare.js")).await.unwrap();
        let answer = browser.execute_async(FOLLOW, vec![json!(session)]).await.unwrap();
        assert_eq!(answer, Value::Null);
        Self { browser, session }
    }

    fn message(&self, number: usize, store: i64) -> Value {
        let channel = format!("chat-{}", self.session);
        json!({"channel": channel, "event": "chat", "data": number, "store": store})
    }

    async fn run(&self, script: &str) {
        self.browser.execute(script, vec![]).await.unwrap();
    }

    async fn lose_network(&self) {
        self.run("network.fail()").await;
        self.until("the page has noticed", async || {
            self.page().ask::<String>("return client.state", &[]).await != "connected"
        })
        .await;
    }

    async fn seen(&self) -> Seen {
        self.page().ask("return seen", &[]).await
    }

    async fn stored(&self) -> Vec<String> {
        let stored = self.browser.execute_async(STORED, vec![]).await.unwrap();
        serde_json::from_value(stored.clone()).unwrap_or_else(|_| panic!("{stored}"))
    }

    fn page(&self) -> Page<'_> {
        Page::at(&self.browser)
    }

    async fn until(&self, what: &str, is_so: impl AsyncFnMut() -> bool) {
        self.page().until(what, is_so).await;
    }

    async fn until_seen(&self, count: usize) {
        self.until(&format!("{count} messages are seen"), async || {
            self.seen().await.ids.len() >= count
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_was_offline_catches_up_without_loss_or_double() {
    let broker = Broker::start();
    let follower = Follower::open(&broker, "offline").await;
    let mut published = 0;
    let mut publish = |count| {
        for _ in 0..count {
            broker.publish(&follower.message(published, -1));
            published += 1;
        }
        published
    };
    // The first time nothing has been seen yet, and the page knows that the history is empty.
    for round in 1..=3 {
        follower.lose_network().await;
        publish(20);
        follower.run("network.fails = false").await;
        // Some of these come while the page does.
        let published = publish(20);
        follower.until_seen(published).await;
        let seen = follower.seen().await;
        assert_eq!(seen.ids, follower.stored().await);
        assert_eq!(seen.gaps, 0);
        assert_eq!(seen.recovered.len(), round + 1);
        assert!(seen.recovered[1..].iter().all(|recovered| *recovered == Some(true)));
    }
}

/// The connection is lost again before any of what was missed has come, but not before a page of the
/// newest has.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_the_history_hides_nothing_of_what_still_comes() {
    const MISSED: usize = 130;
    let broker = Broker::start();
    let follower = Follower::open(&broker, "stalled").await;
    broker.publish(&follower.message(0, -1));
    follower.until_seen(1).await;
    let list = "
        seen.listed = 0;
        channel.bind('hotsock.subscribed', async () => {
            seen.listed += (await channel.listMessages({ reverse: true })).messages.length;
        });";
    follower.run(list).await;
    follower.lose_network().await;
    let missed: Vec<_> = (1..=MISSED).map(|number| follower.message(number, -1)).collect();
    for batch in missed.chunks(100) {
        broker.publish(&json!(batch));
    }
    follower.run("network.stalls = true; network.fails = false").await;
    follower
        .until("the newest page is listed", async || {
            follower.page().ask::<usize>("return seen.listed", &[]).await == 100
        })
        .await;
    follower.lose_network().await;
    follower.run("network.stalls = false; network.fails = false").await;
    follower.until_seen(1 + MISSED).await;
    let seen = follower.seen().await;
    assert_eq!((seen.ids, seen.gaps), (follower.stored().await, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_catches_up_with_a_broker_that_crashed() {
    let mut broker = Broker::start();
    let follower = Follower::open(&broker, "crash").await;
    for number in 0..5 {
        broker.publish(&follower.message(number, -1));
    }
    follower.until_seen(5).await;
    follower.run("network.fails = true").await;
    broker.crash();
    broker.restart();
    for number in 5..10 {
        broker.publish(&follower.message(number, -1));
    }
    follower.run("network.fails = false").await;
    follower.until_seen(10).await;
    let seen = follower.seen().await;
    assert_eq!((seen.ids, seen.gaps), (follower.stored().await, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_can_t_catch_up_is_told() {
    let broker = Broker::start();
    let follower = Follower::open(&broker, "gap").await;
    let reader = Follower::open(&broker, "gap").await;
    broker.publish(&follower.message(0, -1));
    follower.until_seen(1).await;
    follower.lose_network().await;
    broker.publish(&follower.message(1, 1));
    broker.publish(&follower.message(2, -1));
    reader.until("one of them has expired", async || reader.stored().await.len() == 2).await;
    follower.run("network.fails = false").await;
    follower.until("the page is told", async || follower.seen().await.gaps == 1).await;
    broker.publish(&follower.message(3, -1));
    follower.until_seen(2).await;
    let (seen, stored) = (follower.seen().await, follower.stored().await);
    assert_eq!(seen.recovered[1], Some(false));
    assert_eq!(seen.ids, [&*stored[0], &*stored[2]], "what is missing comes by the history alone");
}
