//! The chat page, and tokens for it.

use crate::client::{self, Client};
use crate::process::{Running, Start};
use serde_json::json;

fn ask(broker: &Running, body: &str) -> client::Response {
    client::request(broker, "POST", "/demo/token", &[], body)
}

#[test]
fn a_token_lets_two_people_chat_in_one_session_and_nowhere_else() {
    let home = tempfile::tempdir().unwrap();
    let broker = Start::new(home.path()).options(["--storage", "memory"]).serve();
    let mut jim = Client::join(&broker, "s-1_A", "Jim");
    let mut pam = Client::join(&broker, "s-1_A", "Pam");

    jim.send(&json!({"event": "is-typing", "channel": "chat-s-1_A"}));
    assert_eq!(pam.receive()["event"], "is-typing");
    jim.send(&json!({"event": "chat", "channel": "chat-s-1_A", "data": {"text": "Hi"}}));
    for reader in [&mut jim, &mut pam] {
        let message = reader.receive();
        assert_eq!(message["event"], "chat", "typing has no echo");
        assert_eq!(message["data"], json!({"text": "Hi"}));
        assert_eq!(message["meta"]["uid"], "Jim");
    }
    let stored = pam.history(&broker, "chat-s-1_A");
    assert_eq!(stored.len(), 1, "{stored:?}");

    jim.send(&json!({"event": "hotsock.subscribe", "channel": "chat-other"}));
    assert_eq!(jim.receive()["error"]["code"], "SUBSCRIBE_PERMISSION_DENIED");
    jim.send(&json!({"event": "other", "channel": "chat-s-1_A"}));
    assert_eq!(jim.receive()["error"]["code"], "PUBLISH_PERMISSION_DENIED");
}

#[test]
fn what_is_asked_for_is_checked() {
    let home = tempfile::tempdir().unwrap();
    let broker = Start::new(home.path()).options(["--storage", "memory"]).serve();
    let long = |length| "a".repeat(length);
    let body = |session: &str, name: &str| json!({"session": session, "name": name}).to_string();

    assert_eq!(ask(&broker, &body(&long(64), "Jürgen Müller")).status, 200);
    assert_eq!(ask(&broker, &body("s", &"ü".repeat(32))).status, 200);
    let wrong = [
        body("", "Jim"),
        body(&long(65), "Jim"),
        body("a.b", "Jim"),
        body("a*", "Jim"),
        body("ä", "Jim"),
        body("s", ""),
        body("s", " "),
        body("s", &long(33)),
        body("s", "a\nb"),
        json!({"session": "s"}).to_string(),
        json!({"session": 1, "name": "Jim"}).to_string(),
        "{".to_owned(),
        String::new(),
    ];
    for body in wrong {
        let response = ask(&broker, &body);
        assert_eq!(response.status, 400, "{body}");
        assert_eq!(response.error_code(), "INVALID_MESSAGE", "{body}");
    }
    assert_eq!(ask(&broker, &long(5_000)).error_code(), "BODY_TOO_LARGE");
    let got = client::get(&broker, "/demo/token");
    assert_eq!((got.status, got.header("allow")), (405, Some("POST")));
}

#[test]
fn the_pages_come_with_their_types_and_a_strict_policy() {
    let home = tempfile::tempdir().unwrap();
    let broker = Start::new(home.path()).options(["--storage", "memory"]).serve();
    let pages = [
        ("/", "text/html; charset=utf-8"),
        ("/chat.css", "text/css; charset=utf-8"),
        ("/chat.js", "text/javascript; charset=utf-8"),
        ("/conversation.js", "text/javascript; charset=utf-8"),
        ("/reactions.js", "text/javascript; charset=utf-8"),
    ];
    for (path, media_type) in pages {
        let page = client::get(&broker, path);
        assert_eq!((page.status, page.header("content-type")), (200, Some(media_type)), "{path}");
        assert_eq!(page.header("cache-control"), Some("no-cache"), "{path}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self';"));
        assert!(page.body.len() > 100, "{path}");
    }
    assert_eq!(client::get(&broker, "/fanfare.js").status, 200);
    assert_eq!(client::request(&broker, "POST", "/", &[], "").status, 405);
}

#[test]
fn nothing_of_the_demo_is_there_while_it_is_off() {
    let home = tempfile::tempdir().unwrap();
    let options = ["--storage", "memory", "--demo", "off"];
    let broker = Start::new(home.path()).options(options).serve();
    assert_eq!(broker.announced("chat"), None);
    for path in ["/", "/chat.js"] {
        assert_eq!(client::get(&broker, path).status, 404, "{path}");
    }
    assert_eq!(ask(&broker, r#"{"session":"s","name":"Jim"}"#).status, 404);
}

#[test]
fn an_open_demo_is_warned_of() {
    let home = tempfile::tempdir().unwrap();
    let warning = |options: &[&str]| {
        let options = ["--storage", "memory", "--listen"].iter().chain(options);
        let broker = Start::new(home.path()).options(options).serve();
        // The address for all interfaces is announced as one that can be opened.
        assert_eq!(client::get(&broker, "/healthz").status, 200);
        broker.stop().stderr
    };
    assert!(warning(&["0.0.0.0:0"]).contains("warning: the demo is on"));
    assert_eq!(warning(&["0.0.0.0:0", "--demo", "off"]), "");
    assert_eq!(warning(&["127.0.0.1:0"]), "");
}
