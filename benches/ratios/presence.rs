//! Joining a presence channel, of which all its members hear with the list of all.

use super::platform::cpu_time;
use super::{builder, repeated, row, runtime, token};
use fanfare::MemoryStorage;
use fanfare::internals::Connection;
use serde_json::json;
use std::collections::VecDeque;
use std::time::Duration;

const FEW: usize = 250;
const MANY: usize = 1_000;
const JOIN: &str = r#"{"event":"hotsock.subscribe","channel":"presence.room"}"#;

/// A thousand joins send 1,000 times 1,000 / 2 frames, each with up to 1,000 members. The bytes are
/// shared, so that what is left is a list for each join and a place in a mailbox for each frame,
/// which both grow alike. A list for each frame would be four times as much of each.
pub fn report() {
    let ratio = repeated(|| {
        let [few, many] = [FEW, MANY].map(joins);
        assert!(many.bytes > 60 * few.bytes, "not all were sent the list");
        let per_frame = |joins: &Joins| joins.time.as_secs_f64() / joins.frames as f64;
        per_frame(&many) / per_frame(&few)
    });
    row(
        "processor time of 1,000 joins of a presence channel in a row, of 250, each per frame sent",
        format!("{ratio:.2}"),
        "1.3",
        ratio <= 1.3,
    );
}

/// What a number of joins in a row took and sent.
struct Joins {
    time: Duration,
    frames: usize,
    bytes: usize,
}

fn joins(count: usize) -> Joins {
    let runtime = runtime();
    let broker = runtime.block_on(builder().storage(MemoryStorage::new()).build()).unwrap();
    let connect = |number| {
        let channels = json!({"presence.room": {"subscribe": true}});
        let token = token::connect(&json!({"uid": format!("{number:04}"), "channels": channels}));
        let connection = runtime.block_on(Connection::open(&broker, &token)).unwrap();
        assert_eq!(read(&connection).0, 1, "a welcome");
        connection
    };
    let connections: Vec<_> = (0..count).map(connect).collect();
    let mut joins = Joins { time: Duration::ZERO, frames: 0, bytes: 0 };
    for joined in 1..=count {
        let start = cpu_time();
        if let Some(wait) = connections[joined - 1].text(JOIN) {
            runtime.block_on(wait);
        }
        joins.time += cpu_time() - start;
        for member in &connections[..joined] {
            let (frames, bytes) = read(member);
            joins.frames += frames;
            joins.bytes += bytes;
        }
    }
    assert_eq!(joins.frames, count * (count + 1) / 2, "each join is told to each member once");
    joins
}

/// How many frames wait for a client, and their bytes.
fn read(connection: &Connection) -> (usize, usize) {
    let mut frames = VecDeque::new();
    assert_eq!(connection.take(&mut frames), None);
    (frames.len(), frames.iter().map(bytes::Bytes::len).sum())
}
