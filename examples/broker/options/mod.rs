//! The command line and the `FANFARE_…` environment.

use clap::builder::NonEmptyStringValueParser;
use clap::{Parser, ValueEnum};
use hyper::Uri;
use hyper::http::uri::Authority;
use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;
use tracing::level_filters::LevelFilter;

const DEFAULT_DIRECTORY: &str = "./fanfare-data";

const AFTER_HELP: &str = "\
Every option can also be given by its variable in the environment; the command line wins. Options \
that can be repeated take several values with commas between them: --api-key A,B or \
FANFARE_API_KEY=A,B.

Without --signing-key, or without --api-key, the broker makes a key of its own at its first start \
and uses it again later. The files `signing-key` and `api-key` are in the storage's DIR \
(./fanfare-data with memory), readable only by their owner.

Other users of the machine can see a command line. Give secrets by @FILE or in the environment.

SIGTERM and Ctrl-C drain: the broker accepts nothing new, closes its clients with 1012, writes out \
its storage and ends; a second signal ends it at once.

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

    /// What tokens must have in `aud`.
    #[arg(long, env = "FANFARE_AUDIENCE", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) audience: Option<String>,

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

    /// How long a connection may last until it is closed with 1001, from 1s to 365d, such as 2h,
    /// 90m or 1h30m; `off` for ever.
    #[arg(long, value_name = "TIME|off", env = "FANFARE_MAX_CONNECTION_AGE", default_value = "2h")]
    pub(crate) max_connection_age: MaxAge,

    /// How long a member of a presence channel stays one after its connection was lost, such as 10s,
    /// up to 1d; `off` for not at all.
    #[arg(long, value_name = "TIME|off", env = "FANFARE_PRESENCE_GRACE", default_value = "off")]
    pub(crate) presence_grace: Grace,

    /// How many messages a connection may send per second, and, after a colon, how many at once, such
    /// as 20:100; without the second, as many as in a second. More are refused with RATE_LIMITED.
    /// `off` for any number.
    #[arg(
        long,
        value_name = "N[:BURST]|off",
        env = "FANFARE_MAX_MESSAGE_RATE",
        default_value = "off"
    )]
    pub(crate) max_message_rate: MessageRate,

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

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StorageChoice {
    Memory,
    Redb(PathBuf),
    Sled(PathBuf),
}

impl StorageChoice {
    /// Where the broker's own keys are.
    pub(crate) fn directory(&self) -> &Path {
        match self {
            StorageChoice::Memory => Path::new(DEFAULT_DIRECTORY),
            StorageChoice::Redb(directory) | StorageChoice::Sled(directory) => directory,
        }
    }
}

impl FromStr for StorageChoice {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "memory" => Ok(StorageChoice::Memory),
            Some(("redb", directory)) if !directory.is_empty() => {
                Ok(StorageChoice::Redb(directory.into()))
            }
            Some(("sled", directory)) if !directory.is_empty() => {
                Ok(StorageChoice::Sled(directory.into()))
            }
            _ => Err("write memory, redb:DIR or sled:DIR, such as redb:./fanfare-data"),
        }
    }
}

/// As in the option.
impl Display for StorageChoice {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            StorageChoice::Memory => f.write_str("memory"),
            StorageChoice::Redb(directory) => write!(f, "redb:{}", directory.display()),
            StorageChoice::Sled(directory) => write!(f, "sled:{}", directory.display()),
        }
    }
}

/// How old a connection may grow; `None` for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MaxAge(pub(crate) Option<Duration>);

impl FromStr for MaxAge {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" {
            return Ok(MaxAge(None));
        }
        const YEAR: u64 = 365 * 24 * 60 * 60;
        match seconds(text) {
            Some(seconds @ 1..=YEAR) => Ok(MaxAge(Some(Duration::from_secs(seconds)))),
            Some(_) => Err("write a time from 1s to 365d, or off"),
            None => Err("write a time with its units, such as 2h, 90m or 1h30m, or off"),
        }
    }
}

/// How long members stay whose connection was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grace(pub(crate) Duration);

impl FromStr for Grace {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" {
            return Ok(Grace(Duration::ZERO));
        }
        const DAY: u64 = 24 * 60 * 60;
        match seconds(text) {
            Some(seconds @ 1..=DAY) => Ok(Grace(Duration::from_secs(seconds))),
            Some(_) => Err("write a time from 1s to 1d, or off"),
            None => Err("write a time with its units, such as 10s or 1m30s, or off"),
        }
    }
}

/// How many messages per second, and how many at once; `None` for any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageRate(pub(crate) Option<(u32, u32)>);

impl FromStr for MessageRate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" {
            return Ok(MessageRate(None));
        }
        let (rate, burst) = text.split_once(':').unwrap_or((text, text));
        match [rate, burst].map(|number| number.parse().ok()) {
            [Some(rate @ 1..=1_000_000), Some(burst @ 1..=1_000_000)] => {
                Ok(MessageRate(Some((rate, burst))))
            }
            _ => Err("write numbers from 1 to 1000000, such as 20 or 20:100, or off"),
        }
    }
}

/// How many bytes of events may wait for the webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueSize(pub(crate) usize);

impl FromStr for QueueSize {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The largest event is a presence channel's list of members, far below the least.
        const RANGE: RangeInclusive<u64> = 1 << 20..=4 << 30;
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit: u64 = match unit {
            "" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err("write a number of bytes, KiB, MiB or GiB, such as 16MiB"),
        };
        let bytes = number.parse().ok().and_then(|number: u64| number.checked_mul(unit));
        let bytes = bytes.filter(|bytes| RANGE.contains(bytes)).and_then(|n| n.try_into().ok());
        bytes.map(QueueSize).ok_or("write a size from 1MiB to 4GiB, such as 16MiB")
    }
}

/// The sum of numbers with the units `d`, `h`, `m` and `s`.
fn seconds(mut text: &str) -> Option<u64> {
    let mut sum = 0_u64;
    while !text.is_empty() {
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, rest) = text.split_at(digits);
        let (unit, rest) = rest.split_at_checked(1)?;
        let unit = match unit {
            "d" => 24 * 60 * 60,
            "h" => 60 * 60,
            "m" => 60,
            "s" => 1,
            _ => return None,
        };
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        text = rest;
    }
    Some(sum)
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
    fn ages() {
        let age = |text: &str| text.parse::<MaxAge>().map(|MaxAge(age)| age);
        let hours = |n: u64| Ok(Some(Duration::from_secs(n * 3600)));
        assert_eq!(age("off"), Ok(None));
        assert_eq!(age("2h"), hours(2));
        assert_eq!(age("120m"), hours(2));
        assert_eq!(age("1h30m1800s"), hours(2));
        assert_eq!(age("365d"), hours(365 * 24));
        for wrong in ["", "2", "h", "2w", "-1h", "1.5h", "2 h", "0s", "366d", "2hé", "2é", "é"] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
        assert!(age("99999999999999999999s").is_err());
        assert!(age("9999999999999999999d").is_err());
    }

    #[test]
    fn graces() {
        let grace = |text: &str| text.parse::<Grace>().map(|Grace(grace)| grace);
        assert_eq!(grace("off"), Ok(Duration::ZERO));
        assert_eq!(grace("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(grace("1d"), Ok(Duration::from_secs(24 * 60 * 60)));
        for wrong in ["", "0s", "10", "25h", "2d", "99999999999999999999s"] {
            assert!(grace(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn queue_sizes() {
        let size = |text: &str| text.parse::<QueueSize>().map(|QueueSize(bytes)| bytes);
        assert_eq!(size("16MiB"), Ok(16 << 20));
        assert_eq!(size("1048576"), size("1024KiB"));
        assert_eq!(size("1GiB"), size("1048576KiB"));
        for wrong in ["", "MiB", "16", "1MB", "1 MiB", "1.5MiB", "-1MiB", "1023KiB", "5GiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert!(size("99999999999999999999").is_err());
        assert!(size("18014398509481985GiB").is_err());
    }

    #[test]
    fn storages() {
        let storage = |text: &str| text.parse::<StorageChoice>();
        assert_eq!(storage("memory"), Ok(StorageChoice::Memory));
        assert_eq!(storage("redb:/var/lib/x:y"), Ok(StorageChoice::Redb("/var/lib/x:y".into())));
        assert_eq!(storage("sled:data"), Ok(StorageChoice::Sled("data".into())));
        for wrong in ["", "redb", "redb:", "memory:", "memory:x", "sqlite:x", "Redb:x"] {
            assert!(storage(wrong).is_err(), "{wrong}");
        }
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
