//! A standalone broker that can crash and come back where it was.

use crate::client;
use crate::process::{Running, Start};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use tempfile::TempDir;

const API_KEY: &str = "browser-tests-and-nobody-else";

pub(crate) struct Broker {
    running: Option<Running>,
    address: SocketAddr,
    home: TempDir,
}

impl Broker {
    pub(crate) fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut broker = Self { running: None, address: free_address(), home };
        broker.restart();
        broker
    }

    /// Starts it at the same address with the same store.
    pub(crate) fn restart(&mut self) {
        let storage = format!("redb:{}", self.home.path().join("store").display());
        let listen = self.address.to_string();
        let options = ["--listen", &listen, "--storage", &storage, "--api-key", API_KEY];
        self.running = Some(Start::new(self.home.path()).options(options).serve());
    }

    /// Ends it with SIGKILL.
    pub(crate) fn crash(&mut self) {
        self.running.take().unwrap().kill();
    }

    /// Publishes as a backend does.
    pub(crate) fn publish(&self, message: &Value) {
        let response = client::publish(self.running.as_ref().unwrap(), API_KEY, message);
        assert_eq!(response.status, 202, "{response:?}");
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// One below those that systems give to outgoing connections, which could take it while the
/// broker is down.
fn free_address() -> SocketAddr {
    loop {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, fastrand::u16(10_000..30_000)));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
