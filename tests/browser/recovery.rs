//! The broker crashes under a conversation, which goes on.

use crate::broker::Broker;
use crate::driver::Browser;
use crate::page::{PEOPLE, Page};
use fantoccini::Locator;

const CRASHES: usize = 3;
const MESSAGES_EACH_TIME: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn crashes_neither_lose_nor_double_a_message_and_need_no_reload() {
    let mut broker = Broker::start();
    let browser = Browser::start().await;
    let page = Page::open(&browser, &broker.url("/")).await;
    browser.execute("window.isTheFirstPage = true", vec![]).await.unwrap();
    let mut written = Vec::new();
    for crash in 0..CRASHES {
        // Some of these are on their way when the broker dies.
        write_from_both(&page, &format!("before crash {crash}"), &mut written).await;
        broker.crash();
        page.until_both("offline").await;
        for name in PEOPLE {
            let status = page.part(name, "state").await.text().await.unwrap();
            assert!(status.starts_with("Offline"), "{status}");
        }
        write_from_both(&page, &format!("after crash {crash}"), &mut written).await;
        for name in PEOPLE {
            let shown = page.shown(name).await;
            let pending = shown.iter().filter(|message| message.is_pending && message.is_right);
            assert!(pending.count() >= MESSAGES_EACH_TIME, "{shown:?}");
        }
        broker.restart();
        page.until_online().await;
        page.until_all_stored(written.len()).await;
    }
    assert!(page.ask::<bool>("return window.isTheFirstPage", &[]).await, "there was no reload");

    let stored = page.stored().await;
    for name in PEOPLE {
        let own = |author: &str| author == name;
        let wrote: Vec<_> = written.iter().filter(|(author, _)| own(author)).collect();
        let kept = stored.iter().filter(|(_, author, _)| own(author));
        assert!(kept.map(|(_, _, text)| text).eq(wrote.iter().map(|(_, text)| text)), "{stored:?}");
        let shown = page.shown(name).await;
        let shown = shown.iter().map(|message| (message.id.as_deref().unwrap(), &message.text));
        assert!(shown.eq(stored.iter().map(|(id, _, text)| (id.as_str(), text))), "{name}");
    }
}

async fn write_from_both(page: &Page<'_>, when: &str, written: &mut Vec<(String, String)>) {
    for number in 0..MESSAGES_EACH_TIME {
        for name in PEOPLE {
            let text = format!("{number} {when}");
            page.write(name, &text).await;
            written.push((name.to_owned(), text));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_to_be_sent_survives_a_reload() {
    let mut broker = Broker::start();
    let browser = Browser::start().await;
    let page = Page::open(&browser, &broker.url("/")).await;
    broker.crash();
    page.until_both("offline").await;
    page.write("Pam", "Keep this").await;
    page.until("it waits", async || page.texts("Pam").await == ["Keep this"]).await;
    broker.restart();
    browser.refresh().await.unwrap();
    page.until_all_stored(1).await;
    assert_eq!(page.stored().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_with_messages_that_wait_to_be_sent_is_not_left_unasked() {
    let mut broker = Broker::start();
    let browser = Browser::start().await;
    let page = Page::open(&browser, &broker.url("/")).await;
    let session = page.session().await;
    let may_close = async || {
        let script = "return dispatchEvent(new Event('beforeunload', { cancelable: true }))";
        page.ask::<bool>(script, &[]).await
    };
    assert!(may_close().await);
    broker.crash();
    page.until_both("offline").await;
    page.write("Pam", "Do not forget this").await;
    let waits = async || page.texts("Pam").await == ["Do not forget this"];
    page.until("it waits", waits).await;
    assert!(!may_close().await);

    let ask = "window.questions = 0; window.answer = false;
        window.confirm = () => { questions += 1; return answer; };";
    browser.execute(ask, vec![]).await.unwrap();
    let begin_anew = async || {
        let button = browser.find(Locator::Css("[data-testid=new-chat]")).await.unwrap();
        button.click().await.unwrap();
    };
    begin_anew().await;
    browser.execute("location.hash = 'another-chat'", vec![]).await.unwrap();
    page.until("both were asked", async || page.ask::<usize>("return questions", &[]).await == 2)
        .await;
    page.until("the address is the chat's", async || page.session().await == session).await;
    assert!(waits().await);

    browser.execute("answer = true", vec![]).await.unwrap();
    begin_anew().await;
    page.until("the other chat is empty", async || page.texts("Pam").await.is_empty()).await;
    assert_ne!(page.session().await, session);
    assert!(may_close().await);
    broker.restart();
    browser.back().await.unwrap();
    page.until_all_stored(1).await;
    assert_eq!(page.session().await, session);
    assert_eq!(page.ask::<usize>("return questions", &[]).await, 3);
    assert!(may_close().await);
}

/// Requests that fail on their way, and answers that do: the page can't tell one from the other.
#[tokio::test(flavor = "multi_thread")]
async fn requests_and_answers_that_get_lost_neither_lose_nor_double_a_message() {
    let broker = Broker::start();
    let browser = Browser::start().await;
    let page = Page::open(&browser, &broker.url("/")).await;
    let lossy = "
        const real = window.fetch;
        let count = 0;
        window.fetch = async (url, request) => {
            const loses = String(url).includes('publishMessage') ? count++ % 3 : 0;
            if (loses === 1) throw new TypeError('lost on its way there');
            const response = await real(url, request);
            if (loses === 2) throw new TypeError('lost on its way back');
            return response;
        };";
    browser.execute(lossy, vec![]).await.unwrap();
    let texts: Vec<_> = (0..6).map(|number| format!("message {number}")).collect();
    for text in &texts {
        page.write("Jim", text).await;
    }
    page.until_all_stored(texts.len()).await;
    for name in PEOPLE {
        assert_eq!(page.texts(name).await, texts, "{name}");
    }
    let stored = page.stored().await;
    assert!(stored.iter().map(|(_, _, text)| text).eq(&texts), "{stored:?}");
}

/// A network may deliver a request twice. Readers then show the first copy.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_delivered_twice_is_shown_once() {
    let broker = Broker::start();
    let browser = Browser::start().await;
    let page = Page::open(&browser, &broker.url("/")).await;
    let twice = "
        const real = window.fetch;
        window.fetch = async (url, request) => {
            const response = await real(url, request);
            return String(url).includes('publishMessage') ? real(url, request) : response;
        };";
    browser.execute(twice, vec![]).await.unwrap();
    page.write("Jim", "one").await;
    page.write("Jim", "two").await;
    page.until("both copies of both are stored", async || page.stored().await.len() == 4).await;
    let stored = page.stored().await;
    let texts: Vec<_> = stored.iter().map(|(_, _, text)| text.as_str()).collect();
    assert_eq!(texts, ["one", "one", "two", "two"]);
    let first_copies = [&stored[0].0, &stored[2].0];
    for _ in ["live", "after a reload"] {
        for name in PEOPLE {
            page.until("the first copies are shown", async || {
                let shown = page.shown(name).await;
                shown.iter().filter_map(|message| message.id.as_ref()).eq(first_copies)
            })
            .await;
        }
        page.reload().await;
    }
}
