//! Drains, crashes, and who may share what.

use crate::client::{self, Client};
use crate::process::{PATIENCE, Running, Start};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Instant;

fn start(home: &Path, storage: &str) -> Running {
    Start::new(home).options(["--storage", storage]).serve()
}

/// Publishes texts, each of which is stored once it has come back.
fn say(speaker: &mut Client, channel: &str, texts: std::ops::Range<usize>) {
    for text in texts.clone() {
        speaker.send(&json!({"event": "chat", "channel": channel, "data": text}));
    }
    for text in texts {
        assert_eq!(speaker.receive()["data"], text);
    }
}

fn texts(messages: &[Value]) -> Vec<u64> {
    messages.iter().map(|message| message["data"].as_u64().unwrap()).collect()
}

#[test]
fn a_drain_sends_clients_elsewhere_and_keeps_what_was_said() {
    let home = tempfile::tempdir().unwrap();
    for (signal, session) in [
        (Signal::TERM, "terminate"),
        (Signal::INT, "interrupt"),
        #[cfg(target_os = "linux")]
        (Signal::HUP, "hangup"),
    ] {
        let channel = format!("chat-{session}");
        let broker = start(home.path(), "redb:data");
        let mut jim = Client::join(&broker, session, "Jim");
        say(&mut jim, &channel, 0..3);
        let address = broker.address();
        broker.signal(signal);
        assert_eq!(jim.closed(), 1012);
        let outcome = broker.outcome();
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
        assert!(TcpStream::connect(address).is_err());

        let broker = start(home.path(), "redb:data");
        let pam = Client::join(&broker, session, "Pam");
        assert_eq!(texts(&pam.history(&broker, &channel)), [0, 1, 2]);
    }
}

#[test]
fn who_is_started_to_outlive_its_terminal_does() {
    let home = tempfile::tempdir().unwrap();
    let broker = Start::after("trap '' HUP", home.path()).options(["--storage", "memory"]).serve();
    broker.signal(Signal::HUP);
    assert_eq!(client::get(&broker, "/readyz").status, 200);
    assert_eq!(broker.stop().code, Some(0), "the first signal that counts");
}

#[test]
fn a_drain_that_is_put_off_says_so_and_serves_meanwhile() {
    let home = tempfile::tempdir().unwrap();
    let start = |delay| {
        Start::new(home.path()).options(["--storage", "memory", "--drain-delay", delay]).serve()
    };
    let broker = start("1h");
    let mut jim = Client::join(&broker, "s", "Jim");
    broker.signal(Signal::TERM);
    let begin = Instant::now();
    while client::get(&broker, "/readyz").status != 503 {
        assert!(begin.elapsed() < PATIENCE, "it is not ready any more");
    }
    assert_eq!(client::get(&broker, "/readyz").body, "draining\n");
    assert_eq!(client::get(&broker, "/healthz").status, 200);
    say(&mut jim, "chat-s", 0..3);
    Client::join(&broker, "s", "Pam");
    broker.signal(Signal::TERM);
    assert_eq!(broker.outcome().code, Some(130));

    let broker = start("1s");
    let jim = Client::join(&broker, "s", "Jim");
    broker.signal(Signal::TERM);
    assert_eq!(jim.closed(), 1012);
    assert_eq!(broker.outcome().code, Some(0));
}

#[test]
fn a_drain_takes_no_longer_than_it_may() {
    let home = tempfile::tempdir().unwrap();
    let broker =
        Start::new(home.path()).options(["--storage", "memory", "--drain-timeout", "1s"]).serve();
    // Its body never comes. What is accepted after it is answered, so it is accepted too.
    let mut slow = TcpStream::connect(broker.address()).unwrap();
    write!(slow, "POST /demo/token HTTP/1.1\r\nHost: broker\r\nContent-Length: 100\r\n\r\n{{")
        .unwrap();
    assert_eq!(client::get(&broker, "/healthz").status, 200);
    let outcome = broker.stop();
    assert_eq!(outcome.code, Some(0));
    assert!(outcome.stderr.contains("some requests did not end in time"), "{outcome:?}");
}

#[test]
fn a_second_signal_ends_at_once() {
    let home = tempfile::tempdir().unwrap();
    let broker = start(home.path(), "memory");
    // A request whose body is awaited holds the drain up.
    let mut slow = TcpStream::connect(broker.address()).unwrap();
    write!(slow, "POST /demo/token HTTP/1.1\r\nHost: broker\r\nContent-Length: 100\r\n\r\n{{")
        .unwrap();
    // What was accepted after it is answered, so it was accepted too.
    let client = Client::join(&broker, "s", "Jim");
    broker.signal(Signal::TERM);
    // The drain has begun.
    assert_eq!(client.closed(), 1012);
    broker.signal(Signal::TERM);
    assert_eq!(broker.outcome().code, Some(130));
}

/// The process is killed, not the machine: sled's writes are with the system by then.
#[test]
fn a_crash_loses_nothing_that_was_acknowledged() {
    for storage in ["redb:data", "sled:data"] {
        let home = tempfile::tempdir().unwrap();
        let mut broker = start(home.path(), storage);
        for round in 0..3 {
            let mut jim = Client::join(&broker, "s", "Jim");
            say(&mut jim, "chat-s", round * 50..(round + 1) * 50);
            broker.kill();
            broker = start(home.path(), storage);
            let pam = Client::join(&broker, "s", "Pam");
            let history = pam.history(&broker, "chat-s");
            let expected: Vec<u64> = (0..(round as u64 + 1) * 50).collect();
            assert_eq!(texts(&history), expected, "{storage}");
            assert!(history.is_sorted_by(|a, b| a["id"].as_str() < b["id"].as_str()));
        }
        assert_eq!(broker.stop().code, Some(0));
    }
}

#[test]
fn memory_forgets() {
    let home = tempfile::tempdir().unwrap();
    let broker = start(home.path(), "memory");
    let mut jim = Client::join(&broker, "s", "Jim");
    say(&mut jim, "chat-s", 0..3);
    assert_eq!(texts(&jim.history(&broker, "chat-s")), [0, 1, 2]);
    broker.kill();
    let broker = start(home.path(), "memory");
    let pam = Client::join(&broker, "s", "Pam");
    assert_eq!(texts(&pam.history(&broker, "chat-s")), [0; 0]);
}

#[test]
fn a_directory_has_one_broker() {
    for storage in ["redb:data", "sled:data"] {
        let home = tempfile::tempdir().unwrap();
        let broker = start(home.path(), storage);
        let second = Start::new(home.path()).options(["--storage", storage]).fail();
        assert_eq!(second.code, Some(1), "{storage}: {second:?}");
        assert!(second.stderr.starts_with("error: the storage can't be opened"), "{second:?}");
        assert!(second.stderr.contains("the store at data"), "{second:?}");
        assert!(second.stderr.contains("is open already, here or in another"), "{second:?}");
        assert_eq!(second.stderr.lines().count(), 1, "{second:?}");
        assert_eq!(client::get(&broker, "/readyz").status, 200);
        drop(broker);
        start(home.path(), storage);
    }
}

#[test]
fn an_address_has_one_broker() {
    let home = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let second = Start::new(home.path()).options(["--listen", &address]).fail();
    assert_eq!(second.code, Some(1));
    assert!(second.stderr.contains(&format!("can't listen on {address}")), "{second:?}");
    assert!(!home.path().join("fanfare-data").exists(), "it was too early to make anything");
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("file"), "").unwrap();
    let failed = Start::new(home.path()).options(["--storage", "redb:file/data"]).fail();
    assert_eq!(failed.code, Some(1));
    assert!(failed.stderr.contains("file/data"), "{failed:?}");
}
