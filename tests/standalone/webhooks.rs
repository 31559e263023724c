//! Webhooks (protocol section 12), as a receiver meets them.

use crate::client::{self, Client, metric};
use crate::process::{PATIENCE, Running, Start};
use crate::receiver::{Delivery, Receiver, SECRET};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::header::{LOCATION, RETRY_AFTER};
use rustix::process::Signal;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Instant;
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

const API_KEY: &str = "an-api-key-of-32-characters-or-so";

fn start(home: &TempDir, url: &str) -> Start {
    Start::new(home.path())
        .options(["--storage", "memory", "--demo", "on", "--api-key", API_KEY])
        .options(["--webhook", url])
        .variable("FANFARE_WEBHOOK_SECRET", SECRET)
}

/// Publishes messages with events, in one go.
fn publish(broker: &Running, messages: impl IntoIterator<Item = (&'static str, Value)>) {
    let message = |(channel, data)| json!({"channel": channel, "event": "e", "data": data, "emitPubSubEvent": true});
    let messages: Vec<Value> = messages.into_iter().map(message).collect();
    let answer = client::publish(broker, API_KEY, &messages.into());
    assert_eq!(answer.status, 202, "{answer:?}");
}

/// What a receiver remembers of the deliveries that it accepts.
#[derive(Default)]
struct Book {
    seen: HashSet<String>,
    events: Vec<Value>,
    dropped: u64,
}

impl Book {
    /// Accepts a delivery, unless it is known: the broker could not tell that it was accepted.
    fn accept(&mut self, delivery: Delivery) {
        let body = delivery.json();
        if self.seen.insert(body["delivery"].as_str().unwrap().to_owned()) {
            self.events.extend_from_slice(body["events"].as_array().unwrap());
            self.dropped += body["dropped"].as_u64().unwrap();
        }
        delivery.answer(200);
    }

    fn types(&self) -> Vec<&str> {
        self.events.iter().map(|event| event["type"].as_str().unwrap()).collect()
    }

    /// The data of a channel's messages.
    fn messages(&self, channel: &str) -> Vec<&Value> {
        let events = self.events.iter().map(|event| &event["data"]);
        events.filter(|data| data["channel"] == channel).map(|message| &message["data"]).collect()
    }
}

#[test]
fn events_are_posted_and_signed() {
    let home = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    let url = format!("http://jim:open%20sesame@{}/events?from=fanfare", receiver.address());
    let broker = start(&home, &url).serve();
    let jim = Client::join(&broker, "s", "Jim");

    let mut book = Book::default();
    while book.events.len() < 3 {
        let delivery = receiver.next();
        assert_eq!(delivery.uri, "/events?from=fanfare");
        assert_eq!(delivery.header("host"), receiver.address().to_string());
        assert_eq!(delivery.header("authorization"), "Basic amltOm9wZW4gc2VzYW1l");
        assert_eq!(delivery.header("content-type"), "application/json");
        assert_eq!(delivery.header("user-agent"), concat!("fanfare/", env!("CARGO_PKG_VERSION")));
        assert_eq!(delivery.header("fanfare-dropped"), "0");
        book.accept(delivery);
    }
    let of_type = |name: &str| {
        let found = book.events.iter().find(|event| event["type"] == name);
        &found.unwrap_or_else(|| panic!("{name} is not in {:?}", book.events))["data"]
    };
    let id = &jim.connected["data"]["connectionId"];
    assert_eq!(&of_type("hotsock.connected")["id"], id);
    assert_eq!(of_type("hotsock.connected")["sourceIp"], "127.0.0.1");
    assert_eq!(&of_type("hotsock.subscribed")["connectionId"], id);
    assert_eq!(of_type("hotsock.channelUpdated")["subscriptionsCount"], 1);
    assert!(book.events.iter().all(|event| event["source"] == "hotsock.v1"));
}

/// Nothing but 2xx accepts, and what is not accepted comes again, before anything else.
#[test]
fn nothing_is_lost_or_reordered_when_the_receiver_fails() {
    let home = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    let broker = start(&home, &receiver.url()).serve();
    for round in 0..3 {
        let numbers = round * 30..(round + 1) * 30;
        publish(&broker, numbers.flat_map(|n| ["a", "b", "c"].map(|channel| (channel, n.into()))));
    }

    let mut book = Book::default();
    let mut refused = None;
    for number in 0.. {
        let delivery = receiver.next();
        assert_eq!(delivery.uri, "/events", "redirects are not followed");
        let this = (delivery.header("fanfare-delivery").to_owned(), delivery.body.clone());
        assert!(refused.is_none_or(|refused| refused == this), "it is not the one that failed");
        refused = Some(this);
        match number {
            0 => drop(delivery),
            1 => delivery.answer(410),
            3 => delivery.respond(redirect()),
            4 => delivery.respond(overload()),
            _ => {
                book.accept(delivery);
                refused = None;
            }
        }
        if book.events.len() == 270 {
            break;
        }
    }
    for channel in ["a", "b", "c"] {
        let numbers: Vec<u64> =
            book.messages(channel).into_iter().map(|data| data.as_u64().unwrap()).collect();
        assert_eq!(numbers, (0..90).collect::<Vec<_>>(), "{channel}");
    }
    assert_eq!((book.events.len(), book.dropped), (270, 0));
    assert!(book.seen.len() >= 3, "a batch has at most 100 events");
    settled(&broker, 270);
    assert!(metric(&broker, "fanfare_webhook_failures_total") >= 4);
    assert_eq!(metric(&broker, "fanfare_webhook_queued_bytes"), 0);
    let warning = broker.warning().unwrap();
    let place = format!("http://{}", receiver.address());
    assert!(warning.contains(&format!("posting to {place}")), "{warning}");
    let relief = broker.warning().unwrap();
    assert!(relief.contains(&format!("{place} accepts again")), "{relief}");
}

fn redirect() -> Response<Full<Bytes>> {
    let response = Response::builder().status(307).header(LOCATION, "/elsewhere");
    response.body("moved".into()).unwrap()
}

/// With more of an answer than anybody reads.
fn overload() -> Response<Full<Bytes>> {
    let response = Response::builder().status(503).header(RETRY_AFTER, "0");
    response.body("later ".repeat(1 << 20).into()).unwrap()
}

/// Waits until the webhook has counted all of so many events as queued, delivered or dropped, and
/// queues none but those.
fn settled(broker: &Running, events: u64) {
    let count = |what: &str| metric(broker, &format!("fanfare_webhook_{what}"));
    let deadline = Instant::now() + PATIENCE;
    while count("delivered_total") + count("dropped_total") + count("queued_events") < events {
        assert!(Instant::now() < deadline, "the events do not come to the webhook");
        thread::yield_now();
    }
}

#[test]
fn what_does_not_fit_is_dropped_counted_and_told() {
    const MESSAGE: usize = 30 * 1024;
    let home = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    let broker = start(&home, &receiver.url()).options(["--webhook-queue", "1MiB"]).serve();
    let large = || Value::from("x".repeat(MESSAGE));
    publish(&broker, [("a", large())]);
    // Held, so that the rest waits.
    let held = receiver.next();
    publish(&broker, (0..100).map(|_| ("a", large())));
    settled(&broker, 101);
    assert!(metric(&broker, "fanfare_webhook_queued_bytes") <= 1 << 20);
    let queued = metric(&broker, "fanfare_webhook_queued_events");
    assert!((30..=(1 << 20) / MESSAGE as u64).contains(&queued), "{queued}");
    let dropped = metric(&broker, "fanfare_webhook_dropped_total");
    assert_eq!(queued + dropped, 101);
    while !broker.warning().unwrap().contains("events were dropped") {}

    let mut book = Book::default();
    book.accept(held);
    while (book.events.len() as u64) < queued {
        book.accept(receiver.next());
    }
    assert_eq!(book.dropped, 0, "what was dropped is newer than that");
    let batches = book.seen.len();
    assert!(batches >= 3, "a batch has at most 512 KiB, and there are {batches}");
    publish(&broker, [("a", "after the gap".into())]);
    while book.events.len() as u64 == queued {
        book.accept(receiver.next());
    }
    assert_eq!(book.dropped, dropped);
    assert_eq!(book.messages("a").last().unwrap(), &"after the gap");
}

#[test]
fn what_is_left_is_posted_at_the_end() {
    let home = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    let broker = start(&home, &receiver.url()).serve();
    let jim = Client::join(&broker, "s", "Jim");
    let held = receiver.next();
    for round in 0..3 {
        publish(&broker, (0..100).map(|n| ("a", Value::from(round * 100 + n))));
    }
    broker.signal(Signal::TERM);
    assert_eq!(jim.closed(), 1012);
    held.answer(500);
    let mut book = Book::default();
    while book.types().last() != Some(&"hotsock.disconnected") {
        book.accept(receiver.next());
    }
    assert_eq!(book.messages("a").len(), 300);
    let outcome = broker.outcome();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(!outcome.stderr.contains("lost"), "{outcome:?}");
}

/// The certificate is its own authority, for 127.0.0.1 and a hundred years:
/// `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -subj /CN=127.0.0.1
/// -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE`.
#[test]
fn https_verifies_who_answers() {
    let certificate = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/standalone/tls");
    let certificate = certificate.join("certificate.pem");
    let home = tempfile::tempdir().unwrap();
    let acceptor = acceptor();
    let receiver = Receiver::on(move |stream| acceptor.accept(stream));
    let serve = |host| {
        let url = format!("https://{host}:{}/events", receiver.address().port());
        start(&home, &url).variable("SSL_CERT_FILE", certificate.to_str().unwrap()).serve()
    };
    let broker = serve("127.0.0.1");
    publish(&broker, [("a", "over TLS".into())]);
    let mut book = Book::default();
    book.accept(receiver.next());
    assert_eq!(book.messages("a"), ["over TLS"]);
    drop(broker);

    let broker = serve("localhost");
    publish(&broker, [("a", "to somebody else".into())]);
    let warning = broker.warning().unwrap();
    assert!(warning.contains("posting to https://localhost"), "{warning}");
    assert!(warning.contains("certificate not valid for name"), "{warning}");
    assert!(receiver.is_silent());
}

#[test]
fn https_needs_certificates_to_trust() {
    let home = tempfile::tempdir().unwrap();
    let start = start(&home, "https://app.example/").variable("SSL_CERT_FILE", "absent.pem");
    let outcome = start.variable("SSL_CERT_DIR", "absent").fail();
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.starts_with("error: --webhook: https does not work"), "{outcome:?}");
}

fn acceptor() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("tls/certificate.pem"));
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/key.pem"));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.unwrap()], key.unwrap());
    Arc::new(config.unwrap()).into()
}

#[test]
fn a_receiver_that_is_gone_does_not_hold_the_end_up() {
    let home = tempfile::tempdir().unwrap();
    // It takes the address, so that nobody else does, and never listens.
    let gone = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    gone.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let address = gone.local_addr().unwrap().as_socket().unwrap();
    let broker = start(&home, &format!("http://jim:PASSWORD@{address}/PATH?QUERY")).serve();
    publish(&broker, (0..3).map(|n| ("a", n.into())));
    let outcome = broker.stop();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stderr.contains(&format!("posting to http://{address} fails")), "{outcome:?}");
    assert!(outcome.stderr.contains("has not accepted 3 events"), "{outcome:?}");
    for secret in ["PASSWORD", "PATH", "QUERY", SECRET] {
        assert!(!outcome.stderr.contains(secret), "{outcome:?}");
    }
}
