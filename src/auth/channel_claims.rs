//! Building permissions (protocol section 4).

use crate::protocol::store::whole_seconds;
use fanfare_storage::Timestamp;
use serde_json::{Map, Value, json};
use std::time::Duration;

macro_rules! switches {
    ($($(#[$doc:meta])* $method:ident $name:literal,)*) => {
        $($(#[$doc])*
        ///
        /// `false` denies it, whatever else grants it.
        pub fn $method(self, granted: bool) -> Self {
            self.set($name, granted)
        })*
    };
}

/// Directives for the channels under one key; see [`Claims::channel`](super::Claims::channel).
/// What is not called stays unset: neither granted nor denied.
#[derive(Clone, Debug, Default)]
#[must_use = "directives do nothing until they are part of a token"]
pub struct ChannelClaims(Map<String, Value>);

impl ChannelClaims {
    /// No directives.
    pub fn new() -> Self {
        Self::default()
    }

    fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    fn set_inner(mut self, level: &str, key: String, value: Value) -> Self {
        let inner = self.0.entry(level).or_insert_with(|| json!({}));
        if let Value::Object(inner) = inner {
            inner.insert(key, value);
        }
        self
    }

    switches! {
        /// Subscribing.
        subscribe "subscribe",
        /// Being subscribed from the start of the connection. `true` is for exact names and for
        /// connect tokens only.
        auto_subscribe "autoSubscribe",
        /// Asking how many subscribers there are.
        get_info "getInfo",
        /// Subscribing without being counted.
        omit_from_sub_count "omitFromSubCount",
        /// Changing the subscription's user metadata.
        umd_update "umdUpdate",
    }

    /// Another name by which clients may call the channel; for exact names only.
    pub fn alias(self, alias: impl Into<String>) -> Self {
        self.set("alias", alias.into())
    }

    /// From when on stored messages may be listed and recovered, that moment included;
    /// [`Timestamp::EPOCH`] for all. Fractions of a second are cut off.
    pub fn history_start(self, time: Timestamp) -> Self {
        self.set("historyStart", time.as_unix_seconds())
    }

    /// What may be done with the events under a key: an exact name, a pattern with `*`, or
    /// `#regex:` and an expression.
    pub fn message(self, key: impl Into<String>, claims: MessageClaims) -> Self {
        self.set_inner("messages", key.into(), claims.0.into())
    }

    /// What may be done with the keys of the channel's storage under a key: an exact name, a
    /// pattern with `*`, or `#regex:` and an expression.
    pub fn storage(self, key: impl Into<String>, claims: StorageClaims) -> Self {
        self.set_inner("storage", key.into(), claims.0.into())
    }

    pub(crate) fn into_json(self) -> Value {
        self.0.into()
    }
}

macro_rules! lifetimes {
    () => {
        /// How long it is stored: up to 3,155,695,200 seconds, counted in whole ones, where a
        /// started one counts.
        pub fn store_for(self, time: Duration) -> Self {
            self.set("store", whole_seconds(time))
        }

        /// It is stored with no end.
        pub fn store_forever(self) -> Self {
            self.set("store", -1)
        }

        /// It may be scheduled for times up to and including this second; fractions of one are cut
        /// off.
        pub fn schedule_before(self, time: Timestamp) -> Self {
            self.set("scheduleBefore", time.as_unix_seconds())
        }

        fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
            self.0.insert(name.to_owned(), value.into());
            self
        }
    };
}

/// Directives for the events under one key; see [`ChannelClaims::message`].
#[derive(Clone, Debug, Default)]
#[must_use = "directives do nothing until they are part of a token"]
pub struct MessageClaims(Map<String, Value>);

impl MessageClaims {
    /// No directives.
    pub fn new() -> Self {
        Self::default()
    }

    switches! {
        /// Publishing while subscribed.
        publish "publish",
        /// Publishing without being subscribed; counts in connect tokens only.
        broadcast "broadcast",
        /// Getting a copy of what one publishes.
        echo "echo",
        /// Telling the host of each message.
        emit_pub_sub_event "emitPubSubEvent",
        /// Reacting to such messages, with anything.
        react "react",
    }

    /// Reacting to such messages, with one of these.
    pub fn react_with<I: Into<String>>(self, reactions: impl IntoIterator<Item = I>) -> Self {
        let reactions: Vec<String> = reactions.into_iter().map(Into::into).collect();
        self.set("react", reactions)
    }

    lifetimes!();
}

/// Directives for the keys of a channel's storage under one key; see
/// [`ChannelClaims::storage`].
///
/// ```
/// use fanfare::{ChannelClaims, StorageClaims};
/// use std::time::Duration;
///
/// // Everybody sees the score, and says for a minute at a time where their own cursor is.
/// let player = ChannelClaims::new()
///     .subscribe(true)
///     .storage("score", StorageClaims::new().get(true).observe(true))
///     .storage("cursor.*", StorageClaims::new().observe(true))
///     .storage(
///         "cursor.jim",
///         StorageClaims::new().set_value(true).store_for(Duration::from_secs(60)),
///     );
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "directives do nothing until they are part of a token"]
pub struct StorageClaims(Map<String, Value>);

impl StorageClaims {
    /// No directives.
    pub fn new() -> Self {
        Self::default()
    }

    switches! {
        /// Reading the value.
        get "get",
        /// Writing the value.
        set_value "set",
        /// Being told of every change.
        observe "observe",
        /// Telling the host of every change.
        emit_pub_sub_event "emitPubSubEvent",
    }

    lifetimes!();
}
