//! What the fuzz targets do with an input. The tests of the crate replay the seeds through the
//! same functions (`tests/corpus`).

pub mod claims;
pub mod inbound_frame;
pub mod record;

mod client;
mod stored_map;
mod token;
