//! The standalone broker as its users meet it: a process, its options, its files and its signals.
//! Beside that, the tests inside some of its modules, since Cargo runs none inside of examples.

#[allow(dead_code)]
#[path = "../../examples/broker/announcement.rs"]
mod announcement;
#[allow(dead_code)]
#[path = "../../examples/broker/failure.rs"]
mod failure;
#[allow(dead_code)]
#[path = "../../examples/broker/key_files.rs"]
mod key_files;
#[allow(dead_code)]
#[path = "../../examples/broker/options.rs"]
mod options;
