//! fanfare

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
pub use broker::{
    Broker, BrokerBuilder, BuildError, ChannelInfo, Error, History, HistoryMessage, HistoryQuery,
    Message, Published,
};
pub use fanfare_storage::{MemoryStorage, MessageId, Order, Storage, Timestamp};
#[cfg(feature = "redb")]
pub use fanfare_storage_redb::RedbStorage;
#[cfg(feature = "sled")]
pub use fanfare_storage_sled::SledStorage;
pub use http::{Body, BrokerService, ResponseFuture};
pub use protocol::error::Code;

/// The browser client, an ES module; the service has it at `/fanfare.js`.
pub const CLIENT_MODULE: &str = include_str!("../client/fanfare.js");
