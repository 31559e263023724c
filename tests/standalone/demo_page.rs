//! The chat page and the console, and tokens for them.

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
        ("/base.css", "text/css; charset=utf-8"),
        ("/chat.css", "text/css; charset=utf-8"),
        ("/messages.css", "text/css; charset=utf-8"),
        ("/chat.js", "text/javascript; charset=utf-8"),
        ("/conversation.js", "text/javascript; charset=utf-8"),
        ("/outbox.js", "text/javascript; charset=utf-8"),
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

/// What a page or a script loads: the values of `src` and `href`, and what modules import.
fn loaded_by(text: &str) -> Vec<String> {
    let named = ["src=\"", "href=\"", "from \"./"]
        .iter()
        .flat_map(|before| text.split(before).skip(1).map(|rest| rest.split('"').next().unwrap()));
    let is_file = |name: &&str| name.ends_with(".js") || name.ends_with(".css");
    named.filter(is_file).map(str::to_owned).collect()
}

#[test]
fn the_console_and_all_that_it_loads_is_there_with_and_without_the_demo() {
    let home = tempfile::tempdir().unwrap();
    for demo in ["on", "off"] {
        let options = ["--storage", "memory", "--demo", demo];
        let broker = Start::new(home.path()).options(options).serve();
        let address = format!("http://{}/console", broker.address());
        assert_eq!(broker.announced("console"), Some(&*address));
        let get = |path: &str| {
            let page = client::get(&broker, path);
            assert_eq!(page.status, 200, "{path}");
            assert_eq!(page.header("cache-control"), Some("no-cache"), "{path}");
            assert_eq!(page.header("x-content-type-options"), Some("nosniff"), "{path}");
            assert_eq!(page.header("referrer-policy"), Some("no-referrer"), "{path}");
            let policy = page.header("content-security-policy").unwrap();
            assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{path}");
            page
        };
        let page = get("/console");
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        let mut paths: Vec<_> =
            loaded_by(&page.body).into_iter().map(|name| format!("/{name}")).collect();
        let mut next = 0;
        while let Some(path) = paths.get(next).cloned() {
            for name in loaded_by(&get(&path).body) {
                let imported = format!("/console/{name}");
                if !paths.contains(&imported) {
                    paths.push(imported);
                }
            }
            next += 1;
        }
        assert!(paths.iter().any(|path| path == "/console/json.js"), "{paths:?}");
        let demo_token = get("/console/demo.js").body;
        assert_eq!(demo_token.contains("demo/token"), demo == "on");

        let head = client::request(&broker, "HEAD", "/console", &[], "");
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        for path in ["/console", "/console/main.js"] {
            let refused = client::request(&broker, "POST", path, &[], "");
            assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
        }
        for path in ["/console/", "/console/index.html", "/console/no_demo.js"] {
            assert_eq!(client::get(&broker, path).error_code(), "NOT_FOUND", "{path}");
        }
    }
}

#[test]
fn nothing_of_the_demo_is_there_while_it_is_off() {
    let home = tempfile::tempdir().unwrap();
    let options = ["--storage", "memory", "--demo", "off"];
    let broker = Start::new(home.path()).options(options).serve();
    assert_eq!(broker.announced("chat"), None);
    for path in ["/", "/chat.js", "/demo/token"] {
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
