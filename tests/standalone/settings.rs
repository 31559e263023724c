//! What the options do, given on the command line or in the environment.

use crate::client::{self, Client};
use crate::process::{Running, Start};
use crate::token::{self, Issuer};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;

/// Its base64 differs between the two alphabets, and has padding.
const SECRET: &[u8; 34] = b"\xfb\xff\xbe the secret of another service.";
const API_KEY: &str = "an-api-key-of-32-characters-or-so";

fn memory(home: &TempDir) -> Start {
    Start::new(home.path()).options(["--storage", "memory"])
}

fn accepts(broker: &Running, token: &str) -> bool {
    match Client::try_connect(broker, token) {
        Ok(_) => true,
        Err(status) => {
            assert_eq!(status, 401);
            false
        }
    }
}

fn with(mut claims: Value, name: &str, value: &str) -> Value {
    claims[name] = value.into();
    claims
}

#[test]
fn secrets_come_as_base64_of_any_kind() {
    let home = tempfile::tempdir().unwrap();
    let standard = BASE64_STANDARD.encode(SECRET);
    let url_safe = BASE64_URL_SAFE_NO_PAD.encode(SECRET);
    assert!(standard.ends_with('=') && standard.contains('+') && url_safe.contains('-'));
    let (left, right) = standard.split_at(20);
    fs::write(home.path().join("secret"), format!("{left}\n{right}\n")).unwrap();
    let token = token::hs256(SECRET, None, &token::claims());

    for key in [standard.as_str(), standard.trim_end_matches('='), &url_safe, "@secret"] {
        let broker = memory(&home)
            .options(["--api-key", API_KEY])
            .options(["--signing-key", &format!("HS256:{key}")])
            .serve();
        assert!(accepts(&broker, &token), "{key}");
        let other = token::hs256(b"another secret of at least 32 bytes", None, &token::claims());
        assert!(!accepts(&broker, &other), "{key}");
        assert_eq!(client::get(&broker, "/").status, 404, "a signing key ends the demo");
    }
    assert!(!home.path().join("fanfare-data").exists(), "all keys were given");
}

#[test]
fn public_keys_come_as_pem() {
    let home = tempfile::tempdir().unwrap();
    let issuer = Issuer::new();
    fs::write(home.path().join("key.pem"), issuer.public_pem()).unwrap();
    let encoded = BASE64_STANDARD.encode(issuer.public_pem());
    for key in ["@key.pem", &encoded, &issuer.public_pem()] {
        let broker = memory(&home)
            .options(["--api-key", API_KEY])
            .options(["--signing-key", &format!("ES256:{key}")])
            .serve();
        assert!(accepts(&broker, &issuer.token(&token::claims())), "{key}");
        assert!(!accepts(&broker, &Issuer::new().token(&token::claims())), "{key}");
    }
}

#[test]
fn several_keys_work_side_by_side_and_ids_bind() {
    let secrets: [&[u8]; 3] =
        [SECRET, b"the second secret, also long enough", b"the third secret, also long enough."];
    let [first, second, third] = secrets.map(|secret| BASE64_STANDARD.encode(secret));
    let home = tempfile::tempdir().unwrap();
    let broker = memory(&home)
        .options(["--api-key", API_KEY, "--signing-key", &format!("HS256:{first}")])
        .options(["--signing-key", &format!("2026=HS256:{second},a=b:c=HS256:{third}")])
        .serve();
    let accepts = |secret, kid| accepts(&broker, &token::hs256(secret, kid, &token::claims()));
    assert!(accepts(secrets[0], None) && accepts(secrets[0], Some("whatever")));
    assert!(accepts(secrets[1], Some("2026")));
    assert!(!accepts(secrets[1], None) && !accepts(secrets[1], Some("2025")));
    assert!(accepts(secrets[2], Some("a=b:c")));
}

#[test]
fn the_brokers_own_key_signs_for_others_too() {
    let home = tempfile::tempdir().unwrap();
    let broker = Start::new(home.path()).options(["--demo", "off"]).serve();
    let file = fs::read_to_string(home.path().join("fanfare-data/signing-key")).unwrap();
    let secret = BASE64_URL_SAFE_NO_PAD.decode(file.trim()).unwrap();
    assert!(accepts(&broker, &token::hs256(&secret, None, &token::claims())));
}

#[test]
fn an_audience_and_an_issuer_are_required_also_of_the_demo() {
    let key = format!("HS256:{}", BASE64_STANDARD.encode(SECRET));
    let home = tempfile::tempdir().unwrap();
    let broker = memory(&home)
        .options(["--signing-key", &key, "--demo", "on"])
        .options(["--audience", "chat", "--issuer", "us"])
        .serve();
    let accepts = |claims| accepts(&broker, &token::hs256(SECRET, None, &claims));
    assert!(accepts(with(with(token::claims(), "aud", "chat"), "iss", "us")));
    assert!(!accepts(with(token::claims(), "aud", "chat")));
    assert!(!accepts(with(token::claims(), "iss", "us")));
    assert!(!accepts(token::claims()));
    Client::join(&broker, "s", "Jim");
}

#[test]
fn any_of_the_api_keys_publishes() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("key"), "the-third-key-in-a-file\n").unwrap();
    let broker = memory(&home)
        .options(["--api-key", "the-first-api-key+/==,the-second-api-key"])
        .options(["--api-key", "@key"])
        .serve();
    let status = |key| client::publish(&broker, key, &json!({"channel": "c", "event": "e"})).status;
    for key in ["the-first-api-key+/==", "the-second-api-key", "the-third-key-in-a-file"] {
        assert_eq!(status(key), 202, "{key}");
    }
    for key in ["the-first-api-key", "the-first-api-key+/==,the-second-api-key", "", "@key"] {
        assert_eq!(status(key), 401, "{key}");
    }
    assert!(!home.path().join("fanfare-data/api-key").exists());
}

#[test]
fn a_connection_ends_at_its_age() {
    let home = tempfile::tempdir().unwrap();
    let broker = memory(&home).options(["--max-connection-age", "1s"]).serve();
    let client = Client::connect(&broker, &client::demo_token(&broker, "s", "Jim"));
    assert_eq!(client.closed(), 1001);

    let broker = memory(&home).options(["--max-connection-age", "off"]).serve();
    let client = Client::join(&broker, "s", "Jim");
    let expires = client.connected["data"]["connectionExpiresAt"].as_str().unwrap();
    let year: u32 = expires[..4].parse().unwrap();
    assert!(year > 2050, "{expires}");
}

#[test]
fn a_connection_that_is_silent_ends() {
    let home = tempfile::tempdir().unwrap();
    let broker =
        memory(&home).options(["--idle-timeout", "1s", "--max-connection-age", "off"]).serve();
    let client = Client::connect(&broker, &client::demo_token(&broker, "s", "Jim"));
    assert_eq!(client.closed(), 1001);
}

#[test]
fn clocks_may_be_apart_by_the_leeway() {
    let key = format!("HS256:{}", BASE64_STANDARD.encode(SECRET));
    let home = tempfile::tempdir().unwrap();
    let start = || memory(&home).options(["--signing-key", &key, "--api-key", API_KEY]);
    let mut claims = token::claims();
    claims["nbf"] = (claims["exp"].as_u64().unwrap() - 3600 + 1800).into();
    let early = token::hs256(SECRET, None, &claims);
    let broker = start().serve();
    assert!(!accepts(&broker, &early));
    assert_eq!(client::metric(&broker, "fanfare_refused_tokens_total{reason=\"not_yet\"}"), 1);
    let warning = broker.warning().unwrap();
    assert!(warning.contains("the token is not to be used yet"), "{warning}");
    assert!(!warning.contains(&early[..20]), "{warning}");
    assert!(accepts(&start().options(["--leeway", "1h"]).serve(), &early));
}

#[test]
fn one_of_several_audiences_is_enough() {
    let key = format!("HS256:{}", BASE64_STANDARD.encode(SECRET));
    let home = tempfile::tempdir().unwrap();
    let broker = memory(&home)
        .options(["--signing-key", &key, "--demo", "on"])
        .options(["--audience", "chat,games", "--audience", "news"])
        .serve();
    let accepts = |audience| {
        accepts(&broker, &token::hs256(SECRET, None, &with(token::claims(), "aud", audience)))
    };
    assert!(accepts("chat") && accepts("games") && accepts("news"));
    assert!(!accepts("chat,games") && !accepts("other"));
    Client::join(&broker, "s", "Jim");
}

#[test]
fn what_clients_may_do_is_limited() {
    let home = tempfile::tempdir().unwrap();
    let broker = memory(&home)
        .options(["--max-subscriptions", "1", "--max-inbound-message", "1KiB"])
        .options(["--max-storage-keys", "0", "--max-recovered-messages", "0"])
        .options(["--max-reactions-per-message", "1", "--max-reactions-per-user", "1"])
        .options(["--max-recovered-bytes", "16KiB", "--max-queued-bytes", "16KiB"])
        .options(["--max-unstored-bytes", "1MiB", "--max-replay-bytes", "1MiB"])
        .serve();
    let mut jim = Client::join(&broker, "s", "Jim");
    let presence = json!({"event": "hotsock.subscribe", "channel": "presence.chat-s"});
    assert_eq!(jim.error_of(&presence), "SUBSCRIBE_PERMISSION_DENIED");
    let set = json!({
        "event": "hotsock.channelStorageSet", "channel": "chat-s", "key": "read.Jim", "data": 1,
    });
    assert_eq!(jim.error_of(&set), "STORAGE_PERMISSION_DENIED");

    jim.send(&json!({"event": "chat", "channel": "chat-s", "data": "hi"}));
    let id = jim.receive()["id"].clone();
    let react = |reaction| {
        json!({"event": "hotsock.messageReaction", "channel": "chat-s",
            "data": {"messageId": id, "reaction": reaction, "action": "add"}})
    };
    jim.send(&react("👍"));
    assert_eq!(jim.receive()["event"], "hotsock.messageReactionAdded");
    assert_eq!(jim.error_of(&react("🎉")), "REACT_PERMISSION_DENIED");

    jim.send(&json!({"event": "chat", "channel": "chat-s", "data": "again"}));
    jim.receive();
    let mut pam = Client::connect(&broker, &client::demo_token(&broker, "s", "Pam"));
    let after = json!({"after": id});
    pam.send(&json!({"event": "hotsock.subscribe", "channel": "chat-s", "data": after}));
    assert_eq!(pam.receive()["data"]["recovered"], false);
    assert_eq!(client::metric(&broker, "fanfare_failed_recoveries_total"), 1);
    assert_eq!(client::metric(&broker, "fanfare_recoveries_total"), 0);

    jim.send_text(&" ".repeat(1025));
    assert_eq!(jim.closed(), 1009);
}

#[test]
fn memory_holds_as_much_as_it_is_given() {
    let home = tempfile::tempdir().unwrap();
    let broker = memory(&home).options(["--memory-storage", "1MiB", "--api-key", API_KEY]).serve();
    let message = json!({"channel": "c", "event": "e", "data": "x".repeat(30_000), "store": -1});
    let statuses = [(); 40].map(|()| client::publish(&broker, API_KEY, &message).status);
    assert_eq!((statuses[0], statuses[39]), (202, 503));
    let told = broker.warning().unwrap();
    assert!(told.contains("the storage fails"), "{told}");
    assert!(client::metric(&broker, "fanfare_storage_errors_total") > 1);
    assert_eq!(broker.stop().stderr, "", "what goes on failing is not told each time");
}

#[test]
fn what_is_not_synced_is_not_claimed_after_a_restart() {
    for (durability, recovered) in [("lazy", false), ("synced", true)] {
        let home = tempfile::tempdir().unwrap();
        let start = || {
            Start::new(home.path())
                .options(["--durability", durability, "--storage-cache", "1MiB"])
                .serve()
        };
        let broker = start();
        let mut jim = Client::join(&broker, "s", "Jim");
        jim.send(&json!({"event": "chat", "channel": "chat-s", "data": "hi"}));
        let id = jim.receive()["id"].clone();
        assert_eq!(broker.stop().code, Some(0));

        let broker = start();
        let mut jim = Client::connect(&broker, &client::demo_token(&broker, "s", "Jim"));
        let after = json!({"after": id});
        jim.send(&json!({"event": "hotsock.subscribe", "channel": "chat-s", "data": after}));
        assert_eq!(jim.receive()["data"]["recovered"], recovered, "{durability}");
        let counted = client::metric(&broker, "fanfare_recoveries_total");
        assert_eq!(counted, u64::from(recovered), "{durability}");
    }
}

#[test]
fn a_connection_s_messages_have_a_rate() {
    let home = tempfile::tempdir().unwrap();
    let broker = memory(&home).options(["--max-message-rate", "1:2"]).serve();
    let mut client = Client::join(&broker, "s", "Jim");
    let codes = [(); 20].map(|()| {
        client.send(&json!({"event": "no.such", "channel": "chat-s"}));
        client.receive()["error"]["code"].as_str().unwrap().to_owned()
    });
    assert!(
        codes.iter().all(|code| ["PUBLISH_PERMISSION_DENIED", "RATE_LIMITED"].contains(&&**code))
    );
    assert!(codes.contains(&"RATE_LIMITED".to_owned()), "{codes:?}");
}

#[test]
fn pages_of_other_origins_are_let_in_or_not() {
    let allowed = |broker: &Running, origin: &str| {
        let origin = format!("Origin: {origin}");
        let response = client::request(broker, "POST", "/connection/listMessages", &[&origin], "");
        response.header("access-control-allow-origin").map(str::to_owned)
    };
    let home = tempfile::tempdir().unwrap();
    let broker = memory(&home).serve();
    assert_eq!(allowed(&broker, "https://a.example").as_deref(), Some("*"));
    let origins = ["--allowed-origin", "https://a.example", "--allowed-origin", "http://b.example"];
    let broker = memory(&home).options(origins).serve();
    for origin in ["https://a.example", "http://b.example"] {
        assert_eq!(allowed(&broker, origin).as_deref(), Some(origin));
    }
    assert_eq!(allowed(&broker, "https://c.example"), None);
}

#[test]
fn the_environment_says_the_same_and_the_command_line_wins() {
    let home = tempfile::tempdir().unwrap();
    let secret = BASE64_STANDARD.encode(SECRET);
    let second: &[u8] = b"the second secret, also long enough";
    let keys = format!("HS256:{secret},two=HS256:{}", BASE64_STANDARD.encode(second));
    let start = || {
        Start::new(home.path())
            .variable("FANFARE_STORAGE", "redb:elsewhere")
            .variable("FANFARE_SIGNING_KEY", &keys)
            .variable("FANFARE_API_KEY", "the-first-api-key,the-second-api-key")
            .variable("FANFARE_AUDIENCE", "chat")
            .variable("FANFARE_ISSUER", "us")
            .variable("FANFARE_DEMO", "on")
            .variable("FANFARE_ALLOWED_ORIGIN", "https://a.example")
            .variable("FANFARE_MAX_CONNECTION_AGE", "off")
            .variable("FANFARE_LOG", "error")
    };
    let broker = start().serve();
    let claims = with(with(token::claims(), "aud", "chat"), "iss", "us");
    assert!(accepts(&broker, &token::hs256(SECRET, None, &claims)));
    assert!(accepts(&broker, &token::hs256(second, Some("two"), &claims)));
    assert!(!accepts(&broker, &token::hs256(SECRET, None, &token::claims())));
    for key in ["the-first-api-key", "the-second-api-key"] {
        let message = json!({"channel": "c", "event": "e"});
        assert_eq!(client::publish(&broker, key, &message).status, 202);
    }
    Client::join(&broker, "s", "Jim");
    assert!(home.path().join("elsewhere").is_dir());
    drop(broker);

    let broker = start().options(["--demo", "off", "--storage", "memory"]).serve();
    assert_eq!(client::get(&broker, "/").status, 404);
}
