//! The standalone broker as its users meet it: a process, its options, its files and its signals.
#![cfg(unix)]

mod client;
mod demo_page;
mod ending;
mod process;
mod receiver;
mod settings;
mod start;
mod token;
mod webhooks;
mod wrong_options;

// Modules of the example, whose own tests run here, since Cargo runs none inside of examples.
#[allow(dead_code)]
#[path = "../../examples/broker/announcement.rs"]
mod announcement;
#[allow(dead_code)]
#[path = "../../examples/broker/app.rs"]
mod app;
#[allow(dead_code)]
#[path = "../../examples/broker/demo.rs"]
mod demo;
#[allow(dead_code)]
#[path = "../../examples/broker/failure.rs"]
mod failure;
#[allow(dead_code)]
#[path = "../../examples/broker/key_files.rs"]
mod key_files;
#[allow(dead_code)]
#[path = "../../examples/broker/keys.rs"]
mod keys;
#[allow(dead_code)]
#[path = "../../examples/broker/log.rs"]
mod log;
#[allow(dead_code)]
#[path = "../../examples/broker/machine.rs"]
mod machine;
#[allow(dead_code)]
#[path = "../../examples/broker/options/mod.rs"]
mod options;
#[allow(dead_code)]
#[path = "../../examples/broker/pages.rs"]
mod pages;
#[allow(dead_code)]
#[path = "../../examples/broker/reply.rs"]
mod reply;
#[allow(dead_code)]
#[path = "../../src/broker/throttle.rs"]
mod throttle;
#[allow(dead_code)]
#[path = "../../examples/broker/webhook/mod.rs"]
mod webhook;
