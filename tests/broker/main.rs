//! The whole broker over real sockets, section by section of the protocol.

#![allow(unreachable_pub)] // a test is a crate of its own

mod admin;
mod backend;
mod channel_events;
mod client;
mod client_api;
mod connecting;
mod control;
mod events;
mod hooks;
mod limits;
mod messaging;
mod mounting;
mod presence;
mod reactions;
mod recovery;
mod scheduling;
mod server;
mod server_api;
mod stats;
mod storage;
mod token;
