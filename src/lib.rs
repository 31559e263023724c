//! fanfare

mod auth;
mod protocol;
