//! Building a broker.

use super::clock::{Clock, SystemClock};
use super::connections::Connections;
use super::core::{Core, Settings};
use super::error::BuildError;
use super::events::Announcer;
use super::hooks::{Hooks, Host};
use super::hub::Hub;
use super::metered::{MeteredStorage, StorageUse};
use super::reaction::ReactionLimits;
use super::recovery::{Recoveries, RecoveryLimits};
use super::replay::ReplayRoom;
use super::schedule::{self, Bookings};
use super::{Broker, keep};
use crate::auth::{Verifier, VerifyingKey};
use crate::session::{MessageRate, SessionSettings, TimerSettings};
use fanfare_storage::{MessageId, Storage};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};

/// How many connections may end at once: each takes some microseconds, and newcomers wait as long.
const DEPARTURES_AT_ONCE: usize = 16;

/// Describes a [`Broker`]: at least a key to verify tokens with and a storage. A setting that takes
/// one value keeps the last that it was given. One out of range fails in [`build`](Self::build);
/// where no range is named, any number will do.
///
/// # What is bounded without a setting
///
/// | what | bound |
/// | --- | --- |
/// | names, data, metadata and tokens | those of the protocol, section 2 |
/// | messages in one body, channels of one message | 100, 1,000 |
/// | a page of the client HTTP API | 100 messages or 1 MiB of their JSON; 100 values |
/// | a page of [`Broker::history`] | 1,000 messages, or 4 MiB of them |
/// | revocations in force | 100,000, about 200 bytes each |
/// | permissions that equal tokens share, across connections | 1,000 different ones; further ones are kept by each connection |
/// | regular expressions that tokens share | 1,000; further ones are compiled for each token |
/// | the members of a presence channel | 102,400 bytes of JSON |
#[must_use = "a builder does nothing until it builds"]
pub struct BrokerBuilder {
    keys: Vec<VerifyingKey>,
    api_keys: Vec<Box<str>>,
    audiences: Vec<String>,
    issuer: Option<String>,
    leeway: Duration,
    storage: Option<Box<dyn Storage>>,
    allowed_origins: Vec<Box<str>>,
    timers: TimerSettings,
    max_connections: Option<usize>,
    max_subscriptions: usize,
    message_rate: Option<(u32, u32)>,
    max_inbound_message: usize,
    mailbox_budget: usize,
    waiting_budget: usize,
    recovery: RecoveryLimits,
    replay_budget: usize,
    hooks: Option<Box<dyn Hooks>>,
    hook_timeout: Duration,
    presence_grace: Duration,
    max_client_body: usize,
    max_server_body: usize,
    reactions: ReactionLimits,
    event_capacity: usize,
    max_storage_keys: usize,
}

/// Shows no keys.
impl fmt::Debug for BrokerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerBuilder").field("storage", &self.storage).finish_non_exhaustive()
    }
}

impl BrokerBuilder {
    pub(super) fn new() -> Self {
        Self {
            keys: Vec::new(),
            api_keys: Vec::new(),
            audiences: Vec::new(),
            issuer: None,
            leeway: Duration::ZERO,
            storage: None,
            allowed_origins: Vec::new(),
            timers: TimerSettings::default(),
            max_connections: None,
            max_subscriptions: 10_000,
            message_rate: None,
            max_inbound_message: 64 << 10,
            mailbox_budget: 1 << 20,
            waiting_budget: 64 << 20,
            recovery: RecoveryLimits::default(),
            replay_budget: 64 << 20,
            hooks: None,
            hook_timeout: Duration::from_secs(3),
            presence_grace: Duration::ZERO,
            max_client_body: 256 << 10,
            max_server_body: 4 << 20,
            reactions: ReactionLimits::default(),
            event_capacity: 1_024,
            max_storage_keys: 10_000,
        }
    }

    /// Adds a key that tokens may be signed with: one at least, and any number, so that they can be
    /// changed one after the other.
    pub fn verifying_key(mut self, key: VerifyingKey) -> Self {
        self.keys.push(key);
        self
    }

    /// Adds a key that backends may use the server HTTP API with (protocol section 1): at least 16
    /// printable ASCII characters, spaces only inside. Any number, so that they can be changed.
    /// Without any, those routes refuse everybody; [`Broker::publish`] needs none.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.api_keys.push(key.into().into_boxed_str());
        self
    }

    /// Requires tokens to be for this audience; of several, one is enough.
    ///
    /// Without any, the claim `aud` is **not checked**: every token that one of the keys signed is
    /// accepted, also one that is meant for another server. Where the same key signs for others,
    /// set one.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Requires tokens to come from this issuer. Without it the claim `iss` is **not checked**.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// How far the clocks of this machine and of the issuers' may differ: so long after its `exp`
    /// and before its `nbf` a token is accepted. None by default.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Where messages are kept, with all else that is to survive. There is no default.
    /// One that is shared, or known only at run time, is an `Arc<dyn Storage>`.
    pub fn storage(mut self, storage: impl Storage) -> Self {
        self.storage = Some(Box::new(storage));
        self
    }

    /// Adds an origin whose pages may use the client HTTP API: a scheme and a host, with a port
    /// where it is not the usual one, and without a path, as `https://example.org`. Every origin may
    /// by default, since no request is authenticated by cookies.
    pub fn allowed_origin(mut self, origin: impl Into<String>) -> Self {
        self.allowed_origins.push(origin.into().into_boxed_str());
        self
    }

    /// How long a connection may live before it is closed with code 1001: a second at least, 2 hours
    /// by default, `None` for ever (protocol section 5). Each lives up to a tenth less, at random, so
    /// that those who came together do not come back together.
    pub fn max_connection_age(mut self, age: Option<Duration>) -> Self {
        self.timers.max_age = age;
        self
    }

    /// How long a connection may be silent in both directions before it is closed with code 1001:
    /// a second at least, 10 minutes by default (protocol section 5). As long may a client take to
    /// read what it is told while it subscribes, before it is closed as too slow.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.timers.idle = timeout;
        self
    }

    /// How many connections may be open at once, at least 1; any number by default. One more is
    /// refused with status 503 and `TOO_MANY_CONNECTIONS`, after its token was verified and before
    /// it is used up. Each connection is an open file of the process: a limit below the system's
    /// leaves some for the storage, and for answers to probes.
    pub fn max_connections(mut self, number: usize) -> Self {
        self.max_connections = Some(number);
        self
    }

    /// How many channels one connection may be subscribed to; 10,000 by default. A subscribe
    /// beyond that is denied.
    pub fn max_subscriptions(mut self, number: usize) -> Self {
        self.max_subscriptions = number;
        self
    }

    /// How many messages one connection may send per second on average, and how many at once after a
    /// rest: 1 to 1,000,000 each, and not limited by default. Requests to the client HTTP API count
    /// too. What is over the limit is refused with `RATE_LIMITED` (protocol section 13), and the
    /// connection stays. Subscribes and unsubscribes are not refused but delayed, with all that
    /// comes after them, and so are messages that no command can be read from. `hotsock.ping`,
    /// `hotsock.pong` and `hotsock.heartbeat` do not count.
    pub fn max_message_rate(mut self, per_second: u32, burst: u32) -> Self {
        self.message_rate = Some((per_second, burst));
        self
    }

    /// The largest message that a client may send, in bytes: 1,024 at least, 64 KiB by default. A
    /// larger one closes its connection with code 1009 (protocol section 2).
    pub fn max_inbound_message(mut self, bytes: usize) -> Self {
        self.max_inbound_message = bytes;
        self
    }

    /// The largest body of a request to the client HTTP API, in bytes: 1,024 at least, 256 KiB by
    /// default. A larger one is refused with status 413.
    pub fn max_client_body(mut self, bytes: usize) -> Self {
        self.max_client_body = bytes;
        self
    }

    /// The largest body of a request to the server HTTP API, in bytes: 1,024 at least, 4 MiB by
    /// default. A larger one is refused with status 413.
    pub fn max_server_body(mut self, bytes: usize) -> Self {
        self.max_server_body = bytes;
        self
    }

    /// How many bytes may wait to be written to one connection: 16 KiB at least, 1 MiB by default. As
    /// much again may be on its way to the socket. A connection that is slower than that is closed
    /// with code 4429, so that it comes back and reads what it missed from the history.
    pub fn max_queued_bytes(mut self, bytes: usize) -> Self {
        self.mailbox_budget = bytes;
        self
    }

    /// How many bytes of messages may wait for storage, or to be delivered, in all: 64 MiB by
    /// default, and less than 4 GiB, which larger values mean. Beyond that publishers wait. A
    /// message that is larger than all of it waits until nothing else does.
    pub fn max_unstored_bytes(mut self, bytes: usize) -> Self {
        self.waiting_budget = bytes;
        self
    }

    /// How many keys one channel's storage may have; 10,000 by default. A set of one more is
    /// refused; where storage has more already, they stay (protocol section 7.3).
    pub fn max_storage_keys(mut self, number: usize) -> Self {
        self.max_storage_keys = number;
        self
    }

    /// How many messages a subscribe with `after` recovers at most; 1,000 by default. A client
    /// that missed more is told `"recovered":false` and reads the history instead (protocol
    /// section 6).
    pub fn max_recovered_messages(mut self, number: usize) -> Self {
        self.recovery.messages = number;
        self
    }

    /// How many bytes of messages' JSON a subscribe with `after` recovers at most; 1 MiB by
    /// default.
    pub fn max_recovered_bytes(mut self, bytes: usize) -> Self {
        self.recovery.bytes = bytes;
        self
    }

    /// How many bytes of recovered messages, and of values of channel storage that new subscribers
    /// are shown, may be in memory in all; 64 MiB by default, at least 1 MiB. Beyond that clients
    /// wait for each other, and what waits to be sent is read from storage again in its turn. While
    /// more than half is taken, a client that takes longer than 30 seconds to read 64 KiB of its own
    /// is closed with code 4429; it comes back and goes on where it was.
    pub fn max_replay_bytes(mut self, bytes: usize) -> Self {
        self.replay_budget = bytes;
        self
    }

    /// How long a member of a presence channel stays one after its connection has ended without
    /// an unsubscribe, so that others see no leave and join where the user comes back in time, as
    /// after a page is loaded again. Not at all by default; at most a day. A member that stays so
    /// is in the lists of members, but its subscription counts no more.
    pub fn presence_grace(mut self, grace: Duration) -> Self {
        self.presence_grace = grace;
        self
    }

    /// How many different reactions one message may have; 100 by default. One that would be more
    /// is refused (protocol section 7.2).
    pub fn max_reactions_per_message(mut self, number: usize) -> Self {
        self.reactions.per_message = number;
        self
    }

    /// How many reactions one user may have on one message; 20 by default. One more is refused.
    pub fn max_reactions_per_user(mut self, number: usize) -> Self {
        self.reactions.per_user = number;
        self
    }

    /// How many events [`Broker::events`] keeps for a stream that is slow: 1 to 65,536, rounded up
    /// to a power of two; 1,024 by default. Streams share what is kept. An event holds
    /// some hundred bytes, and what it tells of: a message of up to 32 KiB, two values of a
    /// channel's storage, as large each, or the list of all members, of up to about 100 KiB. So
    /// 1,024 of them hold 100 MiB at the very most. Nothing is kept that all streams have read.
    pub fn event_capacity(mut self, events: usize) -> Self {
        self.event_capacity = events;
        self
    }

    /// Lets the host veto and change what clients do. Without hooks nothing is asked and nothing
    /// costs; a second call replaces the hooks of the first.
    pub fn hooks(mut self, hooks: impl Hooks) -> Self {
        self.hooks = Some(Box::new(hooks));
        self
    }

    /// How long a [hook](Hooks) may take before what it was asked is refused: 3 seconds by
    /// default, a millisecond to a minute.
    pub fn hook_timeout(mut self, timeout: Duration) -> Self {
        self.hook_timeout = timeout;
        self
    }

    /// Builds the broker, which asks its storage for the newest id that it knows, and for what is
    /// revoked.
    ///
    /// # Errors
    ///
    /// Fails without a key or a storage, with a setting out of range, and where the storage does
    /// not answer.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime. The broker's tasks run on it for as long as the broker does, and
    /// need its timers: `#[tokio::main]` has them on, a runtime's own builder by `enable_time`.
    pub async fn build(self) -> Result<Broker, BuildError> {
        self.build_with(Arc::new(SystemClock::new())).await
    }

    pub(super) async fn build_with(self, clock: Arc<dyn Clock>) -> Result<Broker, BuildError> {
        self.check()?;
        // The first random number takes tens of milliseconds, to gather entropy; nobody's
        // connection should have to wait for it. What fails fails again for who needs it.
        let _ = tokio::task::spawn_blocking(super::secrets::random).await;
        let storage = self.storage.ok_or(BuildError::NoStorage)?;
        let storage_use = Arc::<StorageUse>::default();
        let storage: Arc<dyn Storage> =
            Arc::new(MeteredStorage::new(storage, Arc::clone(&storage_use)));
        let floor = storage.high_water().await.map_err(BuildError::Storage)?;
        let floor = floor.unwrap_or(MessageId::MIN);
        let verifier = Arc::new(Verifier::new(self.keys, self.audiences, self.issuer, self.leeway));
        let revocations = storage.revocations(clock.now().wall).await;
        verifier.revocations().load(revocations.map_err(BuildError::Storage)?);
        let sessions = SessionSettings {
            verifier: Arc::clone(&verifier),
            timers: self.timers,
            max_subscriptions: self.max_subscriptions,
            message_rate: self.message_rate.map(|(rate, burst)| MessageRate::new(rate, burst)),
            asks_host: self.hooks.is_some(),
        };
        let room = ReplayRoom::new(self.replay_budget);
        let recoveries = Recoveries::new(self.recovery, room, &*storage, floor, clock.now().wall);
        let hub = Hub::new(
            Arc::clone(&storage),
            Arc::clone(&clock),
            floor,
            self.waiting_budget,
            Announcer::new(self.event_capacity),
        )
        .with_presence_grace(self.presence_grace);
        let (bookings, bell) = Bookings::new(floor);
        let core = Arc::new(Core {
            settings: Settings {
                api_keys: self.api_keys,
                allowed_origins: self.allowed_origins,
                max_connections: self.max_connections,
                max_inbound_message: self.max_inbound_message,
                mailbox_budget: self.mailbox_budget,
                max_client_body: self.max_client_body,
                max_server_body: self.max_server_body,
                reactions: self.reactions,
                max_storage_keys: self.max_storage_keys,
            },
            hub: Arc::new(hub),
            storage,
            storage_use,
            clock,
            verifier,
            sessions: Arc::new(sessions),
            host: self.hooks.map(|hooks| Arc::new(Host::new(hooks, self.hook_timeout))),
            connections: Connections::default(),
            places_taken: AtomicUsize::new(0),
            bookings,
            recoveries,
            revoking: tokio::sync::Mutex::default(),
            departures: Semaphore::new(DEPARTURES_AT_ONCE),
            draining: AtomicBool::new(false),
            upkeep: tokio::sync::Mutex::default(),
            ended: Notify::new(),
        });
        tokio::spawn(keep(Arc::downgrade(&core)));
        tokio::spawn(schedule::run(Arc::downgrade(&core), bell));
        Ok(Broker { core })
    }

    fn check(&self) -> Result<(), BuildError> {
        if self.keys.is_empty() {
            return Err(BuildError::NoKeys);
        }
        let wrong = |message: &str| Err(BuildError::Setting(message.to_owned()));
        if self.api_keys.iter().any(|key| key.len() < 16) {
            return wrong("an API key needs at least 16 characters");
        }
        if !self.api_keys.iter().all(|key| {
            key.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
                && key.trim().len() == key.len()
        }) {
            return wrong("an API key must be printable ASCII without white space around it");
        }
        if self.allowed_origins.iter().any(|origin| !is_origin(origin)) {
            return wrong("an allowed origin is like https://example.org, without a path");
        }
        if self.presence_grace > Duration::from_secs(24 * 60 * 60) {
            return wrong("presence_grace must be at most a day");
        }
        let rates = 1..=MAX_MESSAGE_RATE;
        if self
            .message_rate
            .is_some_and(|(rate, burst)| ![rate, burst].iter().all(|n| rates.contains(n)))
        {
            return wrong("max_message_rate must be 1 to 1,000,000, per second and at once");
        }
        if self.max_connections == Some(0) {
            return wrong("max_connections must be at least 1");
        }
        if self.mailbox_budget < 16 << 10 {
            return wrong("max_queued_bytes must be at least 16,384 bytes");
        }
        if self.replay_budget < 1 << 20 {
            return wrong("max_replay_bytes must be at least 1,048,576 bytes");
        }
        if self.max_inbound_message < 1024 {
            return wrong("max_inbound_message must be at least 1,024 bytes");
        }
        if self.max_client_body.min(self.max_server_body) < 1024 {
            return wrong("max_client_body and max_server_body must be at least 1,024 bytes");
        }
        if !(1..=MAX_EVENT_CAPACITY).contains(&self.event_capacity) {
            return wrong("event_capacity must be 1 to 65,536");
        }
        if !(Duration::from_millis(1)..=Duration::from_secs(60)).contains(&self.hook_timeout) {
            return wrong("hook_timeout must be a millisecond to a minute");
        }
        if self.timers.idle < Duration::from_secs(1) {
            return wrong("idle_timeout must be at least a second");
        }
        if self.timers.max_age.is_some_and(|age| age < Duration::from_secs(1)) {
            return wrong("max_connection_age must be at least a second");
        }
        Ok(())
    }
}

/// Finer than clocks are nobody needs to count.
const MAX_MESSAGE_RATE: u32 = 1_000_000;

/// Room for events is taken when the broker is built.
const MAX_EVENT_CAPACITY: usize = 1 << 16;

/// Whether a text can be the value of an `Origin` header (RFC 6454 section 6.2).
fn is_origin(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, host)| {
        !scheme.is_empty() && !host.is_empty() && !host.contains(['/', '?', '#', ' '])
    })
}
