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
mod log;
mod machine;
mod options;
mod pages;
mod reply;
mod server;
mod signals;
mod store;
// What the library says only now and then, too.
#[path = "../../src/broker/throttle.rs"]
mod throttle;
mod webhook;

use announcement::Announcement;
use app::App;
use clap::Parser as _;
use demo::Demo;
use failure::Failure;
use fanfare::{Broker, BuildError, Storage};
use keys::{GivenKeys, Keys};
use log::Log;
use options::Options;
use signals::Signals;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;
use webhook::Webhook;

/// The exit code after a second signal, as shells know it from an interrupted program.
const INTERRUPTED: i32 = 130;

/// How long the end waits for what was logged to be written.
const LOG_PATIENCE: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let log = match Log::to(io::stderr()) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("error: there is no thread to write the log: {error}");
            return ExitCode::FAILURE;
        }
    };
    let lines = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(options.log)
        .with_writer(move || lines.line())
        .with_target(false)
        .init();
    let outcome = run(&options, &log).await;
    log.flush(LOG_PATIENCE);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.exit_code()
        }
    }
}

/// Starts, serves until a signal comes, and drains.
async fn run(options: &Options, log: &Log) -> Result<(), Failure> {
    let given = GivenKeys::read(options)?;
    let webhook = webhook::Settings::read(options)?;
    let cannot_listen = |error: io::Error| {
        Failure::machine(format_args!("the broker can't listen on {}", options.listen), &error)
    };
    let socket = server::bind(options.listen).map_err(cannot_listen)?;
    let storage = store::open(options)?;
    let keys = given.complete(options)?;
    let room = Room::find(options);
    let broker = build(options, &keys, storage, room.connections).await?;
    let webhook = webhook.map(|settings| Webhook::start(settings, broker.events()));

    let mut signals =
        Signals::install().map_err(|error| Failure::machine("signals can't be caught", &error))?;
    let listener = server::listen(socket).map_err(cannot_listen)?;
    announce(options, &keys, room, listener.local_addr().map_err(cannot_listen)?);
    let demo = keys.signing.filter(|_| options.demo()).map(|key| Demo {
        key,
        audience: options.audiences.first().cloned(),
        issuer: options.issuer.clone(),
    });
    let (drain, draining) = oneshot::channel();
    let app = App::new(broker.clone(), demo, webhook.as_ref());
    let leaving = app.leaving();
    let server = tokio::spawn(server::serve(listener, app, draining, options.drain_timeout.0));

    signals.next().await;
    leaving.store(true, Ordering::Relaxed);
    let log = log.clone();
    tokio::spawn(async move {
        signals.next().await;
        log.flush(LOG_PATIENCE);
        std::process::exit(INTERRUPTED);
    });
    tokio::time::sleep(options.drain_delay.0).await;
    // The server is there to hear it as long as it has not panicked.
    let _ = drain.send(());
    let (_, closed) = tokio::join!(server, broker.shutdown_within(options.drain_timeout.0));
    // With the last handle of the broker its events end.
    drop(broker);
    if let Some(webhook) = webhook {
        webhook.finish().await;
    }
    closed.map_err(|error| Failure::machine("the storage can't be closed", &error))
}

/// How many connections there is room for.
#[derive(Clone, Copy)]
struct Room {
    connections: Option<usize>,
    open_files: Option<u64>,
}

impl Room {
    /// What the options say, and else what the machine has, of which all is taken.
    fn find(options: &Options) -> Self {
        let open_files = machine::raise_open_file_limit();
        let fitting = open_files.map(machine::room_for_connections);
        let connections = match options.limits.max_connections {
            Some(asked) => asked.0,
            None => fitting,
        };
        if let Some((files, fitting)) = open_files.zip(fitting)
            && options.limits.max_connections.is_some()
            && connections.is_none_or(|number| number > fitting)
        {
            tracing::warn!(
                "--max-connections: {files} open files leave room for {fitting} connections only"
            );
        }
        Self { connections, open_files }
    }
}

async fn build(
    options: &Options,
    keys: &Keys,
    storage: Arc<dyn Storage>,
    max_connections: Option<usize>,
) -> Result<Broker, Failure> {
    let mut builder = options.limits.set(Broker::builder().storage(storage));
    if let Some(number) = max_connections {
        builder = builder.max_connections(number);
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
    for audience in &options.audiences {
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

fn announce(options: &Options, keys: &Keys, room: Room, listening_on: SocketAddr) {
    let announcement = Announcement {
        listening_on,
        storage: &options.storage,
        demo: options.demo(),
        max_connections: room.connections,
        open_files: room.open_files,
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
