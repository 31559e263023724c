//! The standalone broker: fanfare on a port of its own, with a chat page to try it on, and a console
//! for developers.
//!
//! `cargo run --release --example broker -- --help` says what it can do.

mod announcement;
mod app;
mod demo;
mod failure;
mod key_files;
mod keys;
mod options;
mod pages;
mod reply;
mod server;
mod signals;
mod store;
mod webhook;

use announcement::Announcement;
use app::App;
use clap::Parser as _;
use demo::Demo;
use failure::Failure;
use fanfare::{Broker, BuildError, Storage};
use keys::{GivenKeys, Keys};
use options::Options;
use signals::Signals;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::sync::oneshot;
use webhook::Webhook;

/// The exit code after a second signal, as shells know it from an interrupted program.
const INTERRUPTED: i32 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    tracing_subscriber::fmt()
        .with_max_level(options.log)
        .with_writer(io::stderr)
        .with_target(false)
        .init();
    match run(&options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.exit_code()
        }
    }
}

/// Starts, serves until a signal comes, and drains.
async fn run(options: &Options) -> Result<(), Failure> {
    let given = GivenKeys::read(options)?;
    let webhook = webhook::Settings::read(options)?;
    let cannot_listen = |error: io::Error| {
        Failure::machine(format_args!("the broker can't listen on {}", options.listen), &error)
    };
    let socket = server::bind(options.listen).map_err(cannot_listen)?;
    let storage = store::open(&options.storage)?;
    let keys = given.complete(options)?;
    let broker = build(options, &keys, storage).await?;
    let webhook = webhook.map(|settings| Webhook::start(settings, broker.events()));

    server::raise_open_file_limit();
    let mut signals =
        Signals::install().map_err(|error| Failure::machine("signals can't be caught", &error))?;
    let listener = server::listen(socket).map_err(cannot_listen)?;
    announce(options, &keys, listener.local_addr().map_err(cannot_listen)?);
    let demo = keys.signing.filter(|_| options.demo()).map(|key| Demo {
        key,
        audience: options.audience.clone(),
        issuer: options.issuer.clone(),
    });
    let (drain, draining) = oneshot::channel();
    let app = App::new(broker.clone(), demo, webhook.as_ref());
    let server = tokio::spawn(server::serve(listener, app, draining));

    signals.next().await;
    // The server is there to hear it as long as it has not panicked.
    let _ = drain.send(());
    tokio::spawn(async move {
        signals.next().await;
        std::process::exit(INTERRUPTED);
    });
    let (_, closed) = tokio::join!(server, broker.shutdown());
    // With the last handle of the broker its events end.
    drop(broker);
    if let Some(webhook) = webhook {
        webhook.finish().await;
    }
    closed.map_err(|error| Failure::machine("the storage can't be closed", &error))
}

async fn build(
    options: &Options,
    keys: &Keys,
    storage: Arc<dyn Storage>,
) -> Result<Broker, Failure> {
    let mut builder = Broker::builder()
        .shared_storage(storage)
        .max_connection_age(options.max_connection_age.0)
        .presence_grace(options.presence_grace.0);
    if let Some((per_second, burst)) = options.max_message_rate.0 {
        builder = builder.max_message_rate(per_second, burst);
    }
    if options.webhook.is_some() {
        builder = builder.event_capacity(webhook::EVENT_CAPACITY);
    }
    for key in &keys.verifying {
        builder = builder.verifying_key(key.clone());
    }
    for key in &keys.api {
        builder = builder.api_key(&key.key);
    }
    for origin in &options.allowed_origins {
        builder = builder.allowed_origin(origin);
    }
    if let Some(audience) = &options.audience {
        builder = builder.audience(audience);
    }
    if let Some(issuer) = &options.issuer {
        builder = builder.issuer(issuer);
    }
    builder.build().await.map_err(|error| match error {
        BuildError::Setting(sentence) => Failure::Options(sentence),
        error => Failure::machine("the broker can't start", &error),
    })
}

fn announce(options: &Options, keys: &Keys, listening_on: SocketAddr) {
    let announcement = Announcement {
        listening_on,
        storage: &options.storage,
        demo: options.demo(),
        api_key_file: keys.api.iter().find_map(|key| key.file.as_deref()),
    };
    // Nobody need be there to read it.
    let _ = write!(io::stdout().lock(), "{announcement}");
    if options.demo() && !listening_on.ip().is_loopback() {
        eprintln!(
            "warning: the demo is on, and {listening_on} is not only this machine: whoever can \
             reach it can chat and fill the disk. Say --demo off, or listen on 127.0.0.1."
        );
    }
}
