//! The wire contract: names, commands, events, error codes and their JSON. Pure.

pub(crate) mod error;
pub(crate) mod names;
