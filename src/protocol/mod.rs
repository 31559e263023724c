//! The wire contract: names, fields, events, error codes, frames. Pure.

pub(crate) mod entry;
pub(crate) mod error;
pub(crate) mod event;
pub(crate) mod fields;
pub(crate) mod frame;
pub(crate) mod json;
pub(crate) mod names;
pub(crate) mod presence;
pub(crate) mod schedule;
pub(crate) mod store;
pub(crate) mod user;
