//! The first start, and those after it.

use crate::client::{self, Client};
use crate::process::{PATIENCE, Start};
use serde_json::json;
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_first_start_makes_private_keys_and_later_ones_use_them_again() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("fanfare-data");
    let files = [data.join("signing-key"), data.join("api-key")];
    let read = || files.each_ref().map(|file| fs::read_to_string(file).unwrap());

    let broker = Start::new(home.path()).serve();
    assert_eq!(mode(&data), 0o700);
    assert_eq!(files.each_ref().map(|file| mode(file)), [0o600, 0o600]);
    let made = read();
    let token = client::demo_token(&broker, "s", "Jim");
    assert_eq!(broker.stop().code, Some(0));

    let broker = Start::new(home.path()).serve();
    assert_eq!(read(), made);
    Client::connect(&broker, &token);
    let message = json!({"channel": "c", "event": "e"});
    assert_eq!(client::publish(&broker, made[1].trim(), &message).status, 202);
    let outcome = broker.stop();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
}

#[test]
fn the_printed_addresses_and_the_printed_command_work() {
    let home = tempfile::tempdir().unwrap();
    let broker = Start::new(home.path()).serve();
    let address = broker.address();
    let chat = broker.announced("chat").unwrap();
    let session = chat.strip_prefix(&format!("http://{address}/#")).unwrap();
    assert!(client::get(&broker, "/").body.contains("<html"));

    let mut reader = Client::join(&broker, session, "Pam");
    let command = broker.announced("publish").unwrap();
    let output = Command::new("sh")
        .args(["-euc", command])
        .current_dir(home.path())
        .output()
        .expect("this test runs the command with sh and curl");
    let answer = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && answer.contains("\"event\":\"chat\""), "{answer}");
    assert_eq!(reader.receive()["data"], "Hello");

    let key = fs::read_to_string(home.path().join("fanfare-data/api-key")).unwrap();
    assert!(!command.contains(key.trim()), "what is printed may go to a log");
}

#[test]
fn the_broker_says_that_it_lives_and_is_ready() {
    let home = tempfile::tempdir().unwrap();
    let broker = Start::new(home.path()).options(["--storage", "memory"]).serve();
    assert_eq!(client::get(&broker, "/healthz").status, 200);
    assert_eq!(client::get(&broker, "/readyz").status, 200);
    let refused = client::request(&broker, "POST", "/healthz", &[], "");
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
    let head = client::request(&broker, "HEAD", "/healthz", &[], "");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(client::get(&broker, "/nothing").error_code(), "NOT_FOUND");
}

#[cfg(target_os = "linux")]
#[test]
fn the_broker_opens_as_many_files_as_it_may() {
    let home = tempfile::tempdir().unwrap();
    let broker = Start::after("ulimit -S -n 64", home.path()).serve();
    let limits = fs::read_to_string(format!("/proc/{}/limits", broker.id())).unwrap();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut files = files.split_whitespace();
    let (soft, hard) = (files.next(), files.next());
    assert_ne!(soft, Some("64"));
    assert_eq!(soft, hard);
}

#[test]
fn keys_that_others_can_read_are_warned_of() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(Start::new(home.path()).serve().stop().stderr, "");
    let key = home.path().join("fanfare-data/api-key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let stderr = Start::new(home.path()).serve().stop().stderr;
    assert!(stderr.contains("other users can read ./fanfare-data/api-key"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "the other key is private: {stderr}");
}

#[test]
fn a_lack_of_file_descriptors_passes() {
    let home = tempfile::tempdir().unwrap();
    let broker = Start::after("ulimit -n 64", home.path()).options(["--storage", "memory"]).serve();
    let crowd = [(); 64].map(|()| TcpStream::connect(broker.address()).unwrap());
    let warning = broker.warning().unwrap();
    assert!(warning.contains("accepting connections fails"), "{warning}");
    drop(crowd);
    assert_eq!(client::get(&broker, "/healthz").status, 200);
    assert!(client::metric(&broker, "fanfare_accept_failures_total") > 0);
}

#[test]
fn clients_that_there_is_no_room_for_are_refused_and_probes_are_answered() {
    let home = tempfile::tempdir().unwrap();
    let broker = Start::after("ulimit -n 96", home.path()).options(["--storage", "memory"]).serve();
    assert_eq!(broker.announced("room"), Some("48 connections, 96 open files"));
    let token = client::demo_token(&broker, "s", "Jim");
    let mut crowd: Vec<Client> = (0..48).map(|_| Client::connect(&broker, &token)).collect();
    for _ in 0..100 {
        assert_eq!(Client::try_connect(&broker, &token).err(), Some(503));
    }
    assert_eq!(client::get(&broker, "/healthz").status, 200);
    assert_eq!(client::get(&broker, "/readyz").status, 200);
    let metric = |name| client::metric(&broker, name);
    assert_eq!(metric("fanfare_connections"), 48);
    assert_eq!(metric("fanfare_max_connections"), 48);
    assert_eq!(metric("fanfare_refusals_total{code=\"TOO_MANY_CONNECTIONS\"}"), 100);
    assert_eq!(metric("fanfare_accept_failures_total"), 0);
    assert!(broker.warning().unwrap().contains("too many are connected"));

    drop(crowd.pop());
    let start = Instant::now();
    while Client::try_connect(&broker, &token).is_err() {
        assert!(start.elapsed() < PATIENCE, "a place is free");
    }
}

#[test]
fn the_number_of_connections_can_be_set() {
    let home = tempfile::tempdir().unwrap();
    let start = || Start::new(home.path()).options(["--storage", "memory"]);
    let broker = start().options(["--max-connections", "1"]).serve();
    let token = client::demo_token(&broker, "s", "Jim");
    let _jim = Client::connect(&broker, &token);
    assert_eq!(Client::try_connect(&broker, &token).err(), Some(503));
    drop(broker);

    let broker = start().variable("FANFARE_MAX_CONNECTIONS", "off").serve();
    assert!(broker.announced("room").unwrap().starts_with("any number of connections"));
    let metrics = client::get(&broker, "/metrics").body;
    assert!(!metrics.contains("fanfare_max_connections"));
    let warning = broker.warning().unwrap();
    assert!(warning.contains("--max-connections: "), "{warning}");
}

#[test]
fn nobody_waits_for_whoever_reads_the_log() {
    let home = tempfile::tempdir().unwrap();
    let broker =
        Start::new(home.path()).options(["--storage", "memory", "--log", "debug"]).unread().serve();
    // Each is a line of the log, and together they are more than a pipe holds.
    for _ in 0..2_000 {
        let mut stream = TcpStream::connect(broker.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"no HTTP\r\n\r\n").unwrap();
        // It may be reset, but not left waiting.
        if let Err(error) = stream.read_to_end(&mut Vec::new()) {
            assert_ne!(error.kind(), ErrorKind::WouldBlock, "nothing is answered any more");
        }
    }
    Client::join(&broker, "s", "Jim");
    assert_eq!(broker.stop().code, Some(0));
}

#[test]
fn metrics_are_there_for_prometheus() {
    let home = tempfile::tempdir().unwrap();
    let broker = Start::new(home.path()).serve();
    let _jim = Client::connect(&broker, &client::demo_token(&broker, "s", "Jim"));
    let metrics = client::get(&broker, "/metrics");
    let media_type = metrics.header("content-type").unwrap();
    assert_eq!((metrics.status, media_type), (200, "text/plain; version=0.0.4; charset=utf-8"));
    assert!(metrics.body.contains("\nfanfare_connections 1\n"), "{}", metrics.body);
    let version = format!("\nfanfare_build_info{{version=\"{}\"}} 1\n", env!("CARGO_PKG_VERSION"));
    assert!(metrics.body.contains(&version), "{}", metrics.body);
    if cfg!(target_os = "linux") {
        let [open, most, memory] =
            ["process_open_fds", "process_max_fds", "process_resident_memory_bytes"]
                .map(|name| client::metric(&broker, name));
        assert!((5..=most).contains(&open) && memory > 1 << 20, "{}", metrics.body);
    }
    let refused = client::request(&broker, "POST", "/metrics", &[], "");
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
}
