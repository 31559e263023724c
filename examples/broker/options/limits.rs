//! Options that bound what clients may have the broker do.

use super::values::{
    Age, ClientQueueSize, Count, Grace, MessageRate, MessageSize, SharedSize, ShortWait,
};
use clap::Args;
use clap::builder::RangedU64ValueParser;
use fanfare::BrokerBuilder;
use std::time::Duration;

/// Their defaults are those of the crate, but for the number of connections.
#[derive(Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct Limits {
    /// How many connections may be open; more are refused with 503. `off` for any number; unless
    /// given, as many as the limit of open files leaves room for.
    #[arg(long, value_name = "N|off", env = "FANFARE_MAX_CONNECTIONS")]
    pub(crate) max_connections: Option<Count>,

    /// How long a connection may last until it is closed with 1001, from 1s to 365d, such as 2h,
    /// 90m or 1h30m; `off` for ever. Each ends up to a tenth before that, at random.
    #[arg(long, value_name = "TIME|off", env = "FANFARE_MAX_CONNECTION_AGE", default_value = "2h")]
    max_connection_age: Age,

    /// How long a connection may be silent in both directions until it is closed with 1001, from
    /// 1s to 365d; `off` for ever.
    #[arg(long, value_name = "TIME|off", env = "FANFARE_IDLE_TIMEOUT", default_value = "10m")]
    idle_timeout: Age,

    /// How long a member of a presence channel stays one after its connection was lost, such as 10s,
    /// up to 1d; `off` for not at all.
    #[arg(long, value_name = "TIME|off", env = "FANFARE_PRESENCE_GRACE", default_value = "off")]
    presence_grace: Grace,

    /// How far the clocks of whoever issues tokens may be apart from this machine's, such as 5s, up
    /// to 1h. A token is good that much before its `nbf` and after its `exp`.
    #[arg(long, value_name = "TIME|off", env = "FANFARE_LEEWAY", default_value = "off")]
    leeway: ShortWait,

    /// How many messages a connection may send per second, and, after a colon, how many at once, such
    /// as 20:100; without the second, as many as in a second. More are refused with RATE_LIMITED.
    /// `off` for any number.
    #[arg(
        long,
        value_name = "N[:BURST]|off",
        env = "FANFARE_MAX_MESSAGE_RATE",
        default_value = "off"
    )]
    max_message_rate: MessageRate,

    /// How large a message of a client may be, from 1KiB to 64MiB. A larger one closes its
    /// connection with 1009.
    #[arg(long, value_name = "SIZE", env = "FANFARE_MAX_INBOUND_MESSAGE", default_value = "64KiB")]
    max_inbound_message: MessageSize,

    /// How many channels a connection may be subscribed to.
    #[arg(
        long,
        value_name = "N",
        env = "FANFARE_MAX_SUBSCRIPTIONS",
        default_value = "10000",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000)
    )]
    max_subscriptions: usize,

    /// How much may wait to be written to one connection, from 16KiB to 1GiB, and as much again be
    /// on its way. One that is slower is closed with 4429.
    #[arg(long, value_name = "SIZE", env = "FANFARE_MAX_QUEUED_BYTES", default_value = "1MiB")]
    max_queued_bytes: ClientQueueSize,

    /// How much may wait for the storage in all before publishers have to wait, from 1MiB up.
    #[arg(long, value_name = "SIZE", env = "FANFARE_MAX_UNSTORED_BYTES", default_value = "64MiB")]
    max_unstored_bytes: SharedSize,

    /// How many missed messages a client that comes back gets; one that missed more reads the
    /// history instead.
    #[arg(
        long,
        value_name = "N",
        env = "FANFARE_MAX_RECOVERED_MESSAGES",
        default_value = "1000",
        value_parser = RangedU64ValueParser::<usize>::new().range(0..=1_000_000)
    )]
    max_recovered_messages: usize,

    /// How much of missed messages a client that comes back gets, from 16KiB to 1GiB.
    #[arg(long, value_name = "SIZE", env = "FANFARE_MAX_RECOVERED_BYTES", default_value = "1MiB")]
    max_recovered_bytes: ClientQueueSize,

    /// How much of missed messages, and of values of channel storage that new subscribers are shown,
    /// may be in memory in all, from 1MiB up. Beyond that clients wait for each other.
    #[arg(long, value_name = "SIZE", env = "FANFARE_MAX_REPLAY_BYTES", default_value = "64MiB")]
    max_replay_bytes: SharedSize,

    /// How many keys the storage of one channel may have.
    #[arg(
        long,
        value_name = "N",
        env = "FANFARE_MAX_STORAGE_KEYS",
        default_value = "10000",
        value_parser = RangedU64ValueParser::<usize>::new().range(0..=1_000_000)
    )]
    max_storage_keys: usize,

    /// How many different reactions one message may have.
    #[arg(
        long,
        value_name = "N",
        env = "FANFARE_MAX_REACTIONS_PER_MESSAGE",
        default_value = "100",
        value_parser = RangedU64ValueParser::<usize>::new().range(0..=10_000)
    )]
    max_reactions_per_message: usize,

    /// How many reactions one user may have on one message.
    #[arg(
        long,
        value_name = "N",
        env = "FANFARE_MAX_REACTIONS_PER_USER",
        default_value = "20",
        value_parser = RangedU64ValueParser::<usize>::new().range(0..=10_000)
    )]
    max_reactions_per_user: usize,
}

impl Limits {
    /// Sets all but the number of connections, which depends on the machine.
    pub(crate) fn set(&self, builder: BrokerBuilder) -> BrokerBuilder {
        let builder = builder
            .max_connection_age(self.max_connection_age.0)
            .idle_timeout(self.idle_timeout.0.unwrap_or(Duration::MAX))
            .presence_grace(self.presence_grace.0)
            .leeway(self.leeway.0)
            .max_inbound_message(self.max_inbound_message.0)
            .max_subscriptions(self.max_subscriptions)
            .max_queued_bytes(self.max_queued_bytes.0)
            .max_unstored_bytes(self.max_unstored_bytes.0)
            .max_recovered_messages(self.max_recovered_messages)
            .max_recovered_bytes(self.max_recovered_bytes.0)
            .max_replay_bytes(self.max_replay_bytes.0)
            .max_storage_keys(self.max_storage_keys)
            .max_reactions_per_message(self.max_reactions_per_message)
            .max_reactions_per_user(self.max_reactions_per_user);
        match self.max_message_rate.0 {
            Some((per_second, burst)) => builder.max_message_rate(per_second, burst),
            None => builder,
        }
    }
}
