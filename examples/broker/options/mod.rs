//! The command line and the `FANFARE_…` environment.

mod limits;
mod values;

pub(crate) use values::StorageChoice;

use clap::builder::NonEmptyStringValueParser;
use clap::{Parser, ValueEnum};
use fanfare::storage::Durability;
use hyper::Uri;
use hyper::http::uri::Authority;
use limits::Limits;
use std::net::SocketAddr;
use tracing::level_filters::LevelFilter;
use values::{Patience, QueueSize, ShortWait, StoreSize};

const DEFAULT_DIRECTORY: &str = "./fanfare-data";

const AFTER_HELP: &str = "\
Every option can also be given by its variable in the environment; the command line wins. Options \
that can be repeated take several values with commas between them: --api-key A,B or \
FANFARE_API_KEY=A,B.

Without --signing-key, or without --api-key, the broker makes a key of its own at its first start \
and uses it again later. The files `signing-key` and `api-key` are in the storage's DIR \
(./fanfare-data with memory), readable only by their owner.

Other users of the machine can see a command line. Give secrets by @FILE or in the environment.

SIGTERM, SIGHUP and Ctrl-C drain: the broker waits for --drain-delay, then accepts nothing new, \
closes its clients with 1012, writes out its storage and ends; a second signal ends it at once. \
Give it these times and half a minute before you kill it; docs/operating.md tells what takes how long.

Exit codes: 0 after a drain; 1 where the machine says no, such as an address or a directory that \
is in use; 2 where an option, or a file that it names, is wrong; 130 after a second signal.";

/// A standalone realtime broker.
///
/// Clients connect with WebSockets at /v1, backends post to /publish. With no options it listens on
/// 127.0.0.1:8080, keeps what it is told to store in ./fanfare-data, and serves a page at / on which
/// two people chat. Developers find a console at /console, where they connect with a token of theirs.
// No `Debug`: some fields are secrets.
#[derive(Parser)]
#[command(name = "broker", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Options {
    /// Where to listen: an IP address and a port. TLS is the business of a proxy in front.
    #[arg(
        long,
        value_name = "ADDR",
        env = "FANFARE_LISTEN",
        default_value = "127.0.0.1:8080",
        value_parser = listen_address
    )]
    pub(crate) listen: SocketAddr,

    /// Where stored messages go: `memory`, which forgets at the end; `redb:DIR`, which has synced
    /// what it acknowledged; `sled:DIR`, which can lose acknowledged messages in a power cut.
    #[arg(
        long,
        value_name = "memory|redb:DIR|sled:DIR",
        env = "FANFARE_STORAGE",
        default_value = "redb:./fanfare-data"
    )]
    pub(crate) storage: StorageChoice,

    /// What an acknowledged message survives: `synced` a power cut, `written` a crash of the
    /// process, `lazy` mostly that. sled can do no more than `written`, memory nothing at all.
    #[arg(long, value_enum, env = "FANFARE_DURABILITY", default_value = "synced")]
    pub(crate) durability: DurabilityChoice,

    /// How much memory redb or sled caches pages in, from 1MiB up.
    #[arg(long, value_name = "SIZE", env = "FANFARE_STORAGE_CACHE", default_value = "128MiB")]
    pub(crate) storage_cache: StoreSize,

    /// How much `--storage memory` holds, from 1MiB up; beyond that nothing is stored.
    #[arg(long, value_name = "SIZE", env = "FANFARE_MEMORY_STORAGE", default_value = "1GiB")]
    pub(crate) memory_storage: StoreSize,

    /// A key that verifies clients' tokens; repeatable. ALG is HS256, HS384, HS512, RS256, RS384,
    /// RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA. An HS key is the base64 of its raw
    /// secret, standard or URL-safe; another is a public key as PEM in a file, or the base64 of such
    /// a file. A key with a KID verifies only tokens that name it.
    #[arg(
        long = "signing-key",
        value_name = "[KID=]ALG:BASE64|[KID=]ALG:@FILE",
        env = "FANFARE_SIGNING_KEY",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub(crate) signing_keys: Vec<String>,

    /// A key with which backends publish, as `Authorization: Bearer KEY`; repeatable, so that keys
    /// can be changed one after the other. At least 16 letters, digits and -._~+/=, or @FILE that
    /// holds them.
    #[arg(
        long = "api-key",
        value_name = "KEY|@FILE",
        env = "FANFARE_API_KEY",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub(crate) api_keys: Vec<String>,

    /// What tokens must have in `aud`; repeatable: one of them is enough.
    #[arg(
        long = "audience",
        value_name = "AUDIENCE",
        env = "FANFARE_AUDIENCE",
        value_delimiter = ',',
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub(crate) audiences: Vec<String>,

    /// What tokens must have as `iss`.
    #[arg(long, env = "FANFARE_ISSUER", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) issuer: Option<String>,

    /// Whether to serve the chat page, and tokens for it and the console to everybody who asks; on
    /// only while no --signing-key is given.
    #[arg(long, value_enum, env = "FANFARE_DEMO")]
    pub(crate) demo: Option<Switch>,

    /// An origin whose pages may use the client HTTP API, such as https://app.example; repeatable;
    /// any, unless given.
    #[arg(
        long = "allowed-origin",
        value_name = "ORIGIN",
        env = "FANFARE_ALLOWED_ORIGIN",
        value_delimiter = ',',
        value_parser = origin
    )]
    pub(crate) allowed_origins: Vec<String>,

    /// How long to go on after a signal, while /readyz answers 503, so that a load balancer sends
    /// nobody here any more; up to 1h.
    #[arg(long, value_name = "TIME|off", env = "FANFARE_DRAIN_DELAY", default_value = "off")]
    pub(crate) drain_delay: ShortWait,

    /// How long a drain may take, from 1s to 1h, the closing of the storage and the last events of
    /// the webhook aside.
    #[arg(long, value_name = "TIME", env = "FANFARE_DRAIN_TIMEOUT", default_value = "20s")]
    pub(crate) drain_timeout: Patience,

    /// Where to post what happens as signed batches of JSON: an http or https URL. A user and a
    /// password in it are sent as Basic credentials. Needs --webhook-secret.
    #[arg(long, value_name = "URL", env = "FANFARE_WEBHOOK", hide_env_values = true)]
    pub(crate) webhook: Option<String>,

    /// What signs what is posted to the webhook, as HMAC-SHA256: a text of at least 32 bytes, or
    /// @FILE that holds it.
    #[arg(
        long,
        value_name = "SECRET|@FILE",
        env = "FANFARE_WEBHOOK_SECRET",
        hide_env_values = true
    )]
    pub(crate) webhook_secret: Option<String>,

    /// How much may wait for the webhook before what comes is dropped: bytes, or such as 64MiB,
    /// from 1MiB to 4GiB.
    #[arg(long, value_name = "SIZE", env = "FANFARE_WEBHOOK_QUEUE", default_value = "16MiB")]
    pub(crate) webhook_queue: QueueSize,

    /// What to write to stderr: off, error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", env = "FANFARE_LOG", default_value = "warn")]
    pub(crate) log: LevelFilter,

    #[command(flatten)]
    pub(crate) limits: Limits,
}

impl Options {
    /// Whether the chat page is served.
    pub(crate) fn demo(&self) -> bool {
        self.demo.map_or(self.signing_keys.is_empty(), |switch| switch == Switch::On)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DurabilityChoice {
    Lazy,
    Written,
    Synced,
}

impl From<DurabilityChoice> for Durability {
    fn from(choice: DurabilityChoice) -> Self {
        match choice {
            DurabilityChoice::Lazy => Self::Lazy,
            DurabilityChoice::Written => Self::Written,
            DurabilityChoice::Synced => Self::Synced,
        }
    }
}

fn listen_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| {
        "write an IP address and a port, such as 127.0.0.1:8080, or 0.0.0.0:8080 or [::]:8080 for \
         all interfaces"
    })
}

/// Browsers send an origin in exactly one form, and it is compared as text.
fn origin(text: &str) -> Result<String, &'static str> {
    let is_origin = text.parse::<Uri>().is_ok_and(|uri| {
        let (scheme, authority) = (uri.scheme_str(), uri.authority().map(Authority::as_str));
        scheme.zip(authority).is_some_and(|(s, a)| text == format!("{s}://{a}").to_lowercase())
    });
    if is_origin {
        Ok(text.to_owned())
    } else {
        Err("write a scheme, a host and no path, in lower case, such as https://app.example")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn origins() {
        for right in ["https://app.example", "http://localhost:3000", "https://[::1]:8443"] {
            assert_eq!(origin(right).as_deref(), Ok(right));
        }
        for wrong in ["", "*", "app.example", "https://app.example/", "https://App.example", "/"] {
            assert!(origin(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_demo_is_on_only_while_no_signing_key_is_given() {
        let demo = |arguments: &[&str]| {
            let line = std::iter::once(&"broker").chain(arguments);
            Options::try_parse_from(line).map(|options| options.demo()).map_err(|e| e.kind())
        };
        let key = ["--signing-key", "HS256:AAAA"];
        assert_eq!(demo(&[]), Ok(true));
        assert_eq!(demo(&key), Ok(false));
        assert_eq!(demo(&[&key[..], &["--demo", "on"]].concat()), Ok(true));
        assert_eq!(demo(&["--demo", "off"]), Ok(false));
        assert_eq!(demo(&["--demo", "yes"]), Err(clap::error::ErrorKind::InvalidValue));
    }
}
