//! The chat page, the console and the browsers' client in a real browser, with the standalone
//! broker behind them.
//!
//! These tests need Chromium and ChromeDriver, which `./test.sh` installs. Without them they fail.
#![cfg(unix)]

mod broker;
mod catching_up;
mod chat;
mod console;
mod driver;
mod fanfare_js;
mod history;
mod page;
mod reactions;
mod recovery;
mod together;

#[allow(dead_code)]
#[path = "../standalone/client.rs"]
mod client;
#[allow(dead_code)]
#[path = "../standalone/process.rs"]
mod process;
#[allow(dead_code)]
#[path = "../standalone/token.rs"]
mod token;
