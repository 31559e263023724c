//! Chromium, driven through ChromeDriver.

use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::env;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::ops::Deref;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

/// So that Chromium runs without a screen, as root, and keeps to itself.
const ARGUMENTS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A browser with one window. It and its driver end when dropped.
pub(crate) struct Browser {
    client: Client,
    session: String,
    driver: Driver,
}

impl Browser {
    pub(crate) async fn start() -> Self {
        let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
        let binary = find("CHROMIUM", &names);
        let driver = Driver::start();
        let wanted = json!({
            "goog:chromeOptions": {"binary": binary, "args": ARGUMENTS},
            "timeouts": {"script": crate::process::PATIENCE.as_millis()},
        });
        let Value::Object(capabilities) = wanted else { unreachable!() };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{}", driver.port))
            .await
            .expect("ChromeDriver starts Chromium; if their versions differ, ./test.sh helps");
        let session = client.session_id().await.unwrap().unwrap();
        Self { client, session, driver }
    }
}

impl Deref for Browser {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Browser {
    /// Ends Chromium, also when a test fails: it would outlive its driver.
    fn drop(&mut self) {
        let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.driver.port)) else {
            return;
        };
        let request = format!(
            "DELETE /session/{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            self.session
        );
        if stream.write_all(request.as_bytes()).is_ok() {
            let _ = stream.read(&mut [0; 64]);
        }
    }
}

struct Driver {
    process: Child,
    port: u16,
    /// Kept, since a driver that can't speak dies.
    _output: BufReader<ChildStdout>,
}

impl Driver {
    fn start() -> Self {
        let program = find("CHROMEDRIVER", &["chromedriver"]);
        let mut process = Command::new(&program)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{program:?}: {error}; ./test.sh installs one"));
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        let port = loop {
            line.clear();
            let length = output.read_line(&mut line).unwrap();
            assert_ne!(length, 0, "ChromeDriver ended at its start");
            let port = line.trim_end().trim_end_matches('.').rsplit_once("successfully on port ");
            if let Some((_, port)) = port {
                break port.parse().unwrap();
            }
        };
        Self { process, port, _output: output }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The program that a variable names, or the first of `names` that is in PATH.
fn find(variable: &str, names: &[&str]) -> PathBuf {
    if let Some(path) = env::var_os(variable) {
        return path.into();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .flat_map(|directory| names.iter().map(move |name| directory.join(name)))
        .find(|program| program.is_file())
        .unwrap_or_else(|| {
            panic!("{} is missing: run ./test.sh, which installs it, or set {variable}", names[0])
        })
}
