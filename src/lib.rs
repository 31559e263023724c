//! A realtime broker to be put inside a server that already exists: channels, stored history and
//! permissions over WebSockets. Browsers speak the [protocol](wire_protocol) of Hotsock v1.13, so
//! that clients written for it work when only their URLs change. Where these pages name a section
//! of the protocol, it is one there.
//!
//! A host builds a [`Broker`], mounts its [`service`](Broker::service) on any hyper or axum
//! server, issues tokens with [`Claims`], and publishes with [`Broker::publish`]:
//!
//! ```
//! use fanfare::{
//!     Algorithm, Broker, ChannelClaims, Claims, MemoryStorage, Message, MessageClaims, SigningKey,
//!     Timestamp,
//! };
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = SigningKey::hmac(Algorithm::HS256, b"a secret of at least 32 bytes...")?;
//! let broker = Broker::builder()
//!     .verifying_key(key.verifying_key())
//!     .storage(MemoryStorage::new())
//!     .build()
//!     .await?;
//!
//! // Mount it below a path of your own; clients connect to …/realtime/v1?token=….
//! let app: axum::Router = axum::Router::new().nest_service("/realtime", broker.service());
//!
//! // What a client may do is in its token.
//! let token = Claims::connect()
//!     .uid("jim")
//!     .expires_in(Duration::from_secs(300))
//!     .channel(
//!         "room.1",
//!         ChannelClaims::new()
//!             .subscribe(true)
//!             .history_start(Timestamp::EPOCH)
//!             .message("chat", MessageClaims::new().publish(true).store_forever()),
//!     )
//!     .sign(&key)?;
//!
//! // Publish from anywhere in the host.
//! broker.publish(Message::new("room.1", "notice").data("welcome")).await?;
//! # drop((app, token));
//! # Ok(())
//! # }
//! ```
//!
//! # What it guarantees
//!
//! - **Order.** Ids are ULIDs that strictly increase within a channel, across restarts and clocks
//!   that step back too. Every subscriber gets a channel's messages in the order of their ids.
//! - **Durability.** Nobody sees a stored message, and no publisher is told of success, before it
//!   is in storage; with `RedbStorage` as it comes, synced to disk.
//! - **Completeness.** Whoever has its subscription confirmed misses nothing that is published
//!   afterwards, for as long as it is connected.
//! - **Recovery.** Whoever comes back gets the stored messages that it missed, in order, without
//!   gap or double, or is told that it can't; see [below](#recovery).
//! - **Isolation.** A publisher waits for no subscriber. One that is too slow is closed with a
//!   code that tells it to come back, and nobody else notices.
//! - **Bounds.** Every queue, cache and buffer has a limit, which [`BrokerBuilder`] documents.
//!
//! # Recovery
//!
//! A client that subscribes with `"data":{"after":"…"}`, the id of the last message that it knows,
//! gets the stored messages that came since, right after the confirmation and before anything
//! live, and the confirmation says `"recovered":true` (protocol section 6, which is beyond
//! Hotsock). `fanfare.js` does so by itself. `"recovered":false` says that none of them comes, and
//! that the client should read the history instead. It is the answer
//!
//! - where more was missed than [`max_recovered_messages`](BrokerBuilder::max_recovered_messages)
//!   or [`max_recovered_bytes`](BrokerBuilder::max_recovered_bytes);
//! - where one of the messages has expired or was removed since, as far as the storage can tell;
//! - where the id is newer than anything in the channel;
//! - without `historyStart`; with it, recovery reaches back no further;
//! - for an id from before the broker's start, where the storage's [`Durability`] is less than
//!   [`Written`](Durability::Written), as that of [`MemoryStorage`] is. The least id of all, 26
//!   zeros, is excepted: a client that names it has seen nothing yet.
//!
//! That nothing is missing is as true as the storage is durable. With [`Durability::Written`], which
//! is all that sled has, a power cut can take acknowledged messages with it and leave no trace, and
//! `true` may be said to a client that misses one of them. Only [`Durability::Synced`] excludes that.
//!
//! Messages that were not stored, and changes to reactions, can't be recovered and do not count.
//! What is recovered includes the client's own messages, whatever `echo` says. Channels that a
//! token subscribes to by `autoSubscribe` are not recovered, since no subscribe is sent for them.
//! While storage can't be read a subscribe waits, and where that goes on for long, the connection
//! is closed with code 1013. Where many come back at once, what they are told has a bound in memory,
//! [`max_replay_bytes`](BrokerBuilder::max_replay_bytes), and they wait for each other.
//!
//! # Presence and metadata
//!
//! The subscribers of a channel whose name starts with `presence.` are its members (protocol
//! section 6.1): each is told who is there and who comes, changes and goes, and
//! [`ChannelInfo::members`] tells the host. A user with several connections is one member, shown
//! with the metadata that were set last. With [`presence_grace`](BrokerBuilder::presence_grace) a
//! lost connection is not a user who left, if it comes back in time.
//!
//! The members of a channel may take 102,400 bytes together, each counted with the largest metadata
//! that any of the user's connections has, so that the limit holds whichever of them goes. Where
//! many come at once their announcements are large, and a join takes its turn: the next change
//! waits until no member's queue is more than half full, for a second at the longest. Messages, and
//! other channels, do not wait.
//!
//! `hotsock.umdUpdate`, and `umdUpdate` over HTTP, set metadata to those of a token of the scope
//! `umd` (protocol section 7.4). The token must have the claim `umd`; null says that there are to be
//! none. Where a channel has no room for it, or a single-use token was used before, nothing is
//! changed anywhere. Where it is one subscription's metadata that is to change, an explicit
//! `"umdUpdate":false` for the channel in the connection's own tokens denies it.
//!
//! # Channel storage
//!
//! A channel keeps values by key, each up to 32 KiB of JSON (protocol section 7.3): the state of a
//! game, who has read how far, what is on air. Clients set, read and observe the keys that their
//! tokens grant ([`StorageClaims`]); the host has [`Broker::set_entry`], [`Broker::entry`] and
//! [`Broker::entries`]. Who observes a key is told its value after the subscription is confirmed and
//! before what is recovered, and then every change, in its place among the channel's messages. A
//! client that has many values to read may take its time. What was under way when it subscribed may
//! be told as a change or be part of the value, but is never missed.
//!
//! A set of one key more than [`max_storage_keys`](BrokerBuilder::max_storage_keys) is refused with
//! `STORAGE_PERMISSION_DENIED`; what was cleared or has expired does not count. A list for a client
//! that may get none of the keys is empty. Of what is scheduled the lifetime begins when it is set.
//!
//! # Later, once, and many at a time
//!
//! Clients, backends and [`Message::schedule_at`] put messages off (protocol section 11). What is
//! scheduled survives a restart where the storage is durable, and is delivered once, within a
//! second of its time, or at start where that passed meanwhile; a storage that fails delays it. It
//! has the permissions of when it was accepted, needs no subscription or connection any more, and
//! gets its id, and its lifetime begins, when it is delivered. Of what is due at one time on one
//! channel, what was scheduled first comes first. [`Broker::schedules`] lists and
//! [`Broker::cancel_schedule`] cancels. A client may schedule up to `scheduleBefore`, that second
//! included.
//!
//! [`Message::deduplication_id`] makes a message safe to send again. A message with both is
//! compared when it is due.
//!
//! [`Broker::publish_batch`] and [`Broker::publish_to`] publish many. In `POST /publish` these are
//! an array of up to 100 and the field `channels`, of up to 1,000 (protocol section 10).
//!
//! # Control
//!
//! A host sees and ends what is open: [`Broker::connections`], [`Broker::channels`],
//! [`Broker::disconnect`], [`Broker::unsubscribe`], [`Broker::set_permissions`],
//! [`Broker::revoke_token`], [`Broker::revoke_user`], [`Broker::revocations`]; [`Broker::stats`] has
//! the numbers. All but the last are there over HTTP too, with an API key (protocol section 10.1).
//!
//! Long lists come in pages: the `next` of one is the `after` of the query for the one that follows
//! (of history in descending order the `before`).
//!
//! An operator's disconnect has close code 4403, upon which `fanfare.js` stays away for a while.
//!
//! # Events
//!
//! [`Broker::events`] is a stream of what happens, typed and as JSON (protocol section 12). Events
//! of connections, subscriptions, channels' counts and members are there whenever somebody listens;
//! those of messages, reactions and channel storage where `emitPubSubEvent` is true: of the message,
//! the key, or the message reacted to. The server's own publishes, reactions and values say it
//! themselves.
//!
//! - A change of a channel's count is told before the subscription that made it, or right before
//!   the word of its end. A change of a connection's own metadata is told as `connectionUpdated`,
//!   and not that of a subscription.
//! - A message is told once it is delivered, and one that was dropped since it repeats another is
//!   not; nor is a reaction or a value that was there already. What was scheduled is told with the
//!   request that asked for it.
//! - A reaction that is taken back is told as it was given, with its id, its time and the request of
//!   then. A value that expires is told with the request that wrote it last.
//! - `requestId`, of messages, reactions and values, is made up for each request and each message on a
//!   WebSocket, and shared by all that an array or `channels` publishes; a backend may name it in
//!   `X-Request-Id`. The host's own calls have none.
//! - `sourceIp` is what the host says in the extension [`SourceIp`] of its requests, and not there
//!   where it says nothing. With it and `userAgent`, who scheduled a message, gave a reaction or
//!   wrote a value that is to be told is kept in storage, for as long as that is.
//!
//! Events are not stored: a stream has what happens while it is there, up to
//! [`event_capacity`](BrokerBuilder::event_capacity) of them unread.
//!
//! # Features
//!
//! - `redb` (default): `RedbStorage`, the durable store to choose.
//! - `sled`: `SledStorage`; read its documentation on durability first.
//! - `tower` (default): `BrokerService` is a `tower_service::Service`, as axum needs it; under
//!   hyper-util's `auto` server, which axum has too, it also makes deliveries to crowds cheaper.
//!
//! # What embedding costs
//!
//! Tokens are verified with `aws-lc-rs`, which needs a C compiler to be built. A broker runs on the
//! tokio runtime that it is built on, whose timers must be on, and has two tasks of its own beside one
//! for each connection. WebSockets are spoken over HTTP/1.1 alone, and cheapest over plain TCP;
//! [`BrokerService`] says more.
//!
//! Backends of your own implement [`Storage`], re-exported with all that it needs as [`storage`].

mod auth;
mod broker;
mod http;
mod protocol;
mod session;
mod websocket;

pub use auth::{
    Algorithm, ChannelClaims, Claims, KeyError, MessageClaims, SignError, SigningKey,
    StorageClaims, UnknownAlgorithm, VerifyingKey,
};
#[cfg(feature = "internals")]
#[doc(hidden)]
pub use broker::internals;
pub use broker::{
    Broker, BrokerBuilder, BuildError, ChannelEntry, ChannelEvent, ChannelInfo, ChannelMemberEvent,
    ChannelPage, ChannelQuery, ChannelStorageEvent, Connecting, ConnectionEvent, ConnectionInfo,
    ConnectionPage, ConnectionQuery, EntryPage, EntryQuery, EntryUpdate, EntryUpdated, Error,
    Event, EventKind, EventMetadata, EventStream, HistoryMessage, HistoryPage, HistoryQuery, Hooks,
    Lagged, Member, Message, MessageEvent, MessageReaction, MessageReactionEvent, Published,
    Publishing, Reaction, RevocationEffect, RevocationPage, RevocationQuery, Schedule,
    SchedulePage, ScheduleQuery, ScheduledAction, SourceIp, Stats, Subscribing, SubscriptionEvent,
    Trigger, Veto,
};
pub use fanfare_storage as storage;
pub use fanfare_storage::async_trait;
pub use fanfare_storage::{
    Durability, MemoryStorage, MessageId, Order, ReactionCount, Revocation, RevokedSubject,
    Storage, Timestamp,
};
#[cfg(feature = "redb")]
pub use fanfare_storage_redb::{RedbBuilder, RedbStorage};
#[cfg(feature = "sled")]
pub use fanfare_storage_sled::{SledBuilder, SledStorage};
pub use http::{Body, BrokerService, ResponseFuture};
pub use protocol::error::Code;

/// The protocol between clients, backends and the broker, with the numbers of sections by which
/// other pages cite it.
#[cfg(doc)]
#[doc = include_str!("../docs/protocol.md")]
pub mod wire_protocol {}

/// The browser client, an ES module; the service has it at `/fanfare.js`.
// One file of its parts, so that a browser needs one request and never meets two versions.
pub const CLIENT_MODULE: &str = concat!(
    include_str!("../client/fanfare/errors.js"),
    "\n",
    include_str!("../client/fanfare/client.js"),
    "\n",
    include_str!("../client/fanfare/subscriptions.js"),
    "\n",
    include_str!("../client/fanfare/position.js"),
    "\n",
    include_str!("../client/fanfare/link.js"),
    "\n",
    include_str!("../client/fanfare/channel.js"),
    "\n",
    include_str!("../client/fanfare/binding.js"),
    "\n",
    include_str!("../client/fanfare/helpers.js"),
);

/// Runs the examples of the page that readers see first.
#[cfg(all(doctest, feature = "redb", feature = "tower"))]
#[doc = include_str!("../README.md")]
struct Readme;
