//! Numbers that tell how a broker is doing.

use super::Broker;
use super::admission::TokenFault;
use super::core::Core;
use super::latency::Latencies;
use super::tally::{Counts, Tally};
use super::throttle::Throttle;
use crate::protocol::error::Code;
use crate::session::CloseReason;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted as it happens. Nothing is decided by these, so they are not ordered with
/// anything else.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(super) published: Counter,
    pub(super) delivered: Counter,
    pub(super) connected: Counter,
    pub(super) slow_consumers: Counter,
    recoveries: Counter,
    failed_recoveries: Counter,
    pub(super) dropped: Counter,
    pub(super) refused: Arc<Refusals>,
    pub(super) closed: Tally<CLOSE_REASONS>,
    pub(super) tokens: Tally<TOKEN_FAULTS>,
    pub(super) token_faults_told: Throttle,
    pub(super) crowds_told: Throttle,
    pub(crate) wrong_keys_told: Throttle,
}

/// Errors that clients and backends were told, by their codes.
pub(crate) type Refusals = Tally<{ Code::KINDS }>;

const CLOSE_REASONS: usize = CloseReason::ALL.len();
const TOKEN_FAULTS: usize = TokenFault::NAMES.len();

impl Counters {
    /// Notes a connection that is closed for its slowness, and what is dropped by that.
    pub(crate) fn slow_consumer(&self, dropped: usize) {
        self.slow_consumers.add(1);
        self.dropped.add(dropped);
    }

    /// Notes what a subscribe with `after` is told of what was missed.
    pub(super) fn recovered(&self, all: bool) {
        if all { &self.recoveries } else { &self.failed_recoveries }.add(1);
    }

    /// Notes an error that is told over HTTP.
    pub(crate) fn refused(&self, code: Code) {
        self.refused.count(code.kind());
    }

    /// Notes a connection that the broker closes.
    pub(crate) fn closed(&self, reason: CloseReason) {
        self.closed.count(reason as usize);
    }
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, number: usize) {
        self.0.fetch_add(number as u64, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How a broker is doing; see [`Broker::stats`]. Totals count from the broker's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Open connections.
    pub connections: u64,
    /// How many may be open, where that is [limited](crate::BrokerBuilder::max_connections).
    pub max_connections: Option<u64>,
    /// Channels that somebody is subscribed to.
    pub channels: u64,
    /// Subscriptions, those included that channels leave out of their counts.
    pub subscriptions: u64,
    /// Bytes that wait to be written to clients.
    pub queued_bytes: u64,
    /// Bytes of messages that wait for storage, or for those before them in their channel.
    pub waiting_bytes: u64,
    /// Bytes that are taken of
    /// [`max_replay_bytes`](super::BrokerBuilder::max_replay_bytes): what clients that come back are
    /// told of. What is queued of it is in `queued_bytes` too.
    pub replay_bytes: u64,
    /// Revocations in force.
    pub revocations: u64,
    /// Connections opened, in total.
    pub connections_opened: u64,
    /// Messages and notices to a channel's subscribers that were published, in total. One counts
    /// even where the storage then fails.
    pub published: u64,
    /// What was handed to subscribers' queues or sockets of that, in total: one for each
    /// subscriber.
    pub delivered: u64,
    /// Messages that the storage took, in total.
    pub stored: u64,
    /// Messages that were dropped since their receiver was too slow, and was closed for that, in
    /// total.
    pub dropped: u64,
    /// Connections closed for being too slow (code 4429), in total.
    pub slow_consumers: u64,
    /// Subscribes with `after` that were told `"recovered":true`, in total.
    pub recoveries: u64,
    /// Subscribes with `after` that were told `"recovered":false`, in total: their clients have to
    /// read anew.
    pub failed_recoveries: u64,
    /// Calls of the storage that failed, in total, those after its end excepted.
    pub storage_errors: u64,
    refused: Counts<{ Code::KINDS }>,
    closed: Counts<CLOSE_REASONS>,
    tokens: Counts<TOKEN_FAULTS>,
    commits: Latencies,
}

impl Stats {
    /// How many errors clients and backends were told, on WebSockets and over HTTP, in total: the
    /// name of each [`Code`], and its number. Those of a host's own are one, `CUSTOM`.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.refused.named(Code::kinds())
    }

    /// How many tokens opened no connection, in total, by what was wrong with them: `missing`,
    /// `not_verified` (the signature is of none of the keys), `expired`, `not_yet`, `audience`,
    /// `issuer`, `claims` (they are malformed), `revoked`, `scope`, `other_connection` or `used`.
    pub fn refused_tokens(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.tokens.named(TokenFault::NAMES)
    }

    /// How many connections the broker closed, in total, by why it did: `maximum_age`, `idle`,
    /// `draining`, `missed_heartbeat`, `disconnected`, `slow_consumer`, `storage_fault`,
    /// `message_too_big`, `protocol_violation` or `invalid_text`. The others that ended did so by
    /// themselves.
    pub fn closed(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.closed.named(CloseReason::ALL.map(CloseReason::name))
    }

    /// In the text format that Prometheus reads (version 0.0.4), with names that start with
    /// `fanfare_`.
    ///
    /// ```
    /// # async fn run(broker: fanfare::Broker) {
    /// let text = broker.stats().await.to_prometheus();
    /// assert!(text.contains("# TYPE fanfare_connections gauge\nfanfare_connections "));
    /// # }
    /// ```
    #[must_use]
    pub fn to_prometheus(&self) -> String {
        let mut text = String::with_capacity(8_192);
        let mut metric = |name: &str, kind: &str, help: &str, value: u64| {
            // Writing to a string can't fail.
            let _ = write!(
                text,
                "# HELP fanfare_{name} {help}\n# TYPE fanfare_{name} {kind}\nfanfare_{name} {value}\n"
            );
        };
        for (name, help, value) in [
            ("connections", "Open connections.", self.connections),
            ("channels", "Channels with subscriptions.", self.channels),
            ("subscriptions", "Subscriptions to channels.", self.subscriptions),
            ("queued_bytes", "Bytes that wait to be written to clients.", self.queued_bytes),
            ("waiting_bytes", "Bytes of messages that wait for storage.", self.waiting_bytes),
            ("replay_bytes", "Bytes of recovered messages and shown values.", self.replay_bytes),
            ("revocations", "Revocations in force.", self.revocations),
        ] {
            metric(name, "gauge", help, value);
        }
        if let Some(number) = self.max_connections {
            metric("max_connections", "gauge", "How many connections may be open.", number);
        }
        for (name, help, value) in [
            ("connections_opened_total", "Connections opened.", self.connections_opened),
            ("messages_published_total", "Messages published to channels.", self.published),
            ("messages_delivered_total", "Messages handed to subscribers.", self.delivered),
            ("messages_stored_total", "Messages that the storage took.", self.stored),
            ("messages_dropped_total", "Messages dropped for slow consumers.", self.dropped),
            ("recoveries_total", "Clients that got all that they missed.", self.recoveries),
            (
                "failed_recoveries_total",
                "Clients that were told to read anew.",
                self.failed_recoveries,
            ),
            ("slow_consumers_total", "Connections closed as too slow.", self.slow_consumers),
            ("storage_errors_total", "Failed calls of the storage.", self.storage_errors),
        ] {
            metric(name, "counter", help, value);
        }
        by_kind(&mut text, "refusals_total", "Errors that were told.", "code", self.refused());
        let help = "Tokens that opened no connection.";
        by_kind(&mut text, "refused_tokens_total", help, "reason", self.refused_tokens());
        let help = "How long it took the storage to take a batch of writes.";
        self.commits.write(&mut text, "storage_commit_seconds", help);
        let help = "Connections that the broker closed.";
        by_kind(&mut text, "connections_closed_total", help, "reason", self.closed());
        text
    }
}

/// A counter with a label.
fn by_kind(
    text: &mut String,
    name: &str,
    help: &str,
    label: &str,
    counts: impl Iterator<Item = (&'static str, u64)>,
) {
    // Writing to a string can't fail.
    let _ = write!(text, "# HELP fanfare_{name} {help}\n# TYPE fanfare_{name} counter\n");
    for (kind, count) in counts {
        let _ = writeln!(text, "fanfare_{name}{{{label}=\"{kind}\"}} {count}");
    }
}

impl Broker {
    /// How the broker is doing. It costs a short look at each connection's queue, a few hundred
    /// at a time, so that a hundred thousand connections hold nobody up.
    pub async fn stats(&self) -> Stats {
        self.core.stats().await
    }
}

impl Core {
    async fn stats(&self) -> Stats {
        let mut queued = 0;
        for page in self.connections.pages(None) {
            queued += page.iter().map(|one| one.mailbox().queued_bytes() as u64).sum::<u64>();
            tokio::task::yield_now().await;
        }
        let (channels, subscriptions) = self.hub.subscription_totals();
        let counters = self.hub.counters();
        Stats {
            connections: self.connections.len() as u64,
            max_connections: self.settings.max_connections.map(|number| number as u64),
            channels: channels as u64,
            subscriptions: subscriptions as u64,
            queued_bytes: queued,
            waiting_bytes: self.hub.waiting_bytes() as u64,
            replay_bytes: self.recoveries.room.used() as u64,
            revocations: self.verifier.revocations().len() as u64,
            connections_opened: counters.connected.get(),
            published: counters.published.get(),
            delivered: counters.delivered.get(),
            stored: self.storage_use.stored.get(),
            dropped: counters.dropped.get(),
            slow_consumers: counters.slow_consumers.get(),
            recoveries: counters.recoveries.get(),
            failed_recoveries: counters.failed_recoveries.get(),
            storage_errors: self.storage_use.errors.get(),
            refused: counters.refused.counts(),
            closed: counters.closed.counts(),
            tokens: counters.tokens.counts(),
            commits: self.storage_use.commits.totals(),
        }
    }
}
