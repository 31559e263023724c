//! A standalone broker that can crash and come back where it was.

use crate::client::{self, Client};
use crate::process::{Running, Start};
use crate::token;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use tempfile::TempDir;

const API_KEY: &str = "browser-tests-and-nobody-else";

pub(crate) struct Broker {
    running: Option<Running>,
    address: SocketAddr,
    home: TempDir,
    demo: &'static str,
}

impl Broker {
    pub(crate) fn start() -> Self {
        Self::with_demo("on")
    }

    pub(crate) fn without_demo() -> Self {
        Self::with_demo("off")
    }

    fn with_demo(demo: &'static str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut broker = Self { running: None, address: free_address(), home, demo };
        broker.restart();
        broker
    }

    /// Starts it at the same address with the same store.
    pub(crate) fn restart(&mut self) {
        let storage = format!("redb:{}", self.home.path().join("store").display());
        let listen = self.address.to_string();
        let options = ["--listen", &listen, "--storage", &storage, "--api-key", API_KEY];
        let start = Start::new(self.home.path()).options(options).options(["--demo", self.demo]);
        self.running = Some(start.serve());
    }

    /// Ends it with SIGKILL.
    pub(crate) fn crash(&mut self) {
        self.running.take().unwrap().kill();
    }

    /// Ends it with SIGTERM.
    pub(crate) fn drain(&mut self) {
        assert_eq!(self.running.take().unwrap().stop().code, Some(0));
    }

    /// Publishes as a backend does.
    pub(crate) fn publish(&self, message: &Value) {
        let response = client::publish(self.running(), API_KEY, message);
        assert_eq!(response.status, 202, "{response:?}");
    }

    /// Connects somebody who has no browser.
    pub(crate) fn connect(&self, token: &str) -> Client {
        Client::connect(self.running(), token)
    }

    /// A token of the broker's own key.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let key = std::fs::read_to_string(self.home.path().join("store/signing-key")).unwrap();
        let key = BASE64_URL_SAFE_NO_PAD.decode(key.trim()).unwrap();
        token::hs256(&key, None, claims)
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
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
