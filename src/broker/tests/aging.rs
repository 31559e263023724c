//! The maximum age of connections.

use super::place::Place;
use super::*;
use crate::broker::Connection;
use crate::session::Action;

#[tokio::test]
async fn section_5_those_who_came_together_do_not_end_together() {
    const MINUTE: Duration = Duration::from_secs(60);
    let place = Place::new().await;
    let ends = |early| {
        place.clock.set_jitter(early);
        place.reader(None).connection
    };
    let connections = [Duration::MAX, 5 * MINUTE, Duration::ZERO].map(ends);
    let aged = || {
        let now = place.clock.now();
        let is_aged = |one: &Arc<Connection>| {
            let mut session = one.session().lock();
            session.touch(now);
            matches!(session.handle_timeout(now), Some(Action::Close(CloseReason::MaximumAge)))
        };
        connections.iter().map(is_aged).collect::<Vec<_>>()
    };
    place.clock.advance(108 * MINUTE - Duration::from_secs(1));
    assert_eq!(aged(), [false, false, false]);
    place.clock.advance(Duration::from_secs(1));
    assert_eq!(aged(), [true, false, false], "no more than a tenth");
    place.clock.advance(7 * MINUTE);
    assert_eq!(aged(), [true, true, false]);
    place.clock.advance(5 * MINUTE);
    assert_eq!(aged(), [true, true, true]);
}
