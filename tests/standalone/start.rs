//! The first start, and those after it.

use crate::client::{self, Client};
use crate::process::Start;
use serde_json::json;
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

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
    let refused = client::request(&broker, "POST", "/metrics", &[], "");
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
}
