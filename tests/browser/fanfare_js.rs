//! `fanfare.js` against a network and a clock that only the tests move.

use crate::broker::Broker;
use crate::driver::Browser;
use serde::Deserialize;

const CASES: &str = concat!(
    "const answer = arguments[0]; (async () => {",
    include_str!("fanfare_js/harness.js"),
    include_str!("fanfare_js/channels.js"),
    include_str!("fanfare_js/connection.js"),
    include_str!("fanfare_js/recovery.js"),
    include_str!("fanfare_js/calls.js"),
    include_str!("fanfare_js/run.js"),
    "})().then(answer, (error) => answer([{ name: 'the tests themselves', failure: `${error}` }]))",
);

#[derive(Deserialize)]
struct Outcome {
    name: String,
    failure: Option<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_keeps_its_promises() {
    let broker = Broker::start();
    let browser = Browser::start().await;
    // Any address of the broker's that runs nothing by itself.
    browser.goto(&broker.url("/fanfare.js")).await.unwrap();
    let outcomes = browser.execute_async(CASES, vec![]).await.unwrap();
    let outcomes: Vec<Outcome> = serde_json::from_value(outcomes).unwrap();
    let mut failures = String::new();
    for Outcome { name, failure } in &outcomes {
        if let Some(failure) = failure {
            failures += &format!("\n{name}: {failure}");
        }
    }
    assert!(failures.is_empty(), "{failures}");
    assert!(outcomes.len() > 30, "only {} cases ran", outcomes.len());
}
