//! When a connection must say something, hear something, or end (protocol sections 5 and 8).

use super::Now;
use super::action::{Action, CloseReason};
use crate::auth::Token;
use crate::protocol::event::Event;
use std::time::Duration;

/// Periods, the same for all connections of a broker.
#[derive(Clone, Debug)]
pub(crate) struct TimerSettings {
    /// How old a connection may become; `None` is any age.
    pub(crate) max_age: Option<Duration>,
    /// How long a connection may be silent in both directions.
    pub(crate) idle: Duration,
    /// How often `hotsock.keepAlive` is sent where the token asks for it.
    pub(crate) keep_alive: Duration,
}

impl Default for TimerSettings {
    fn default() -> Self {
        Self {
            max_age: Some(Duration::from_secs(2 * 60 * 60)),
            idle: Duration::from_secs(10 * 60),
            keep_alive: Duration::from_secs(9 * 60 + 30),
        }
    }
}

impl TimerSettings {
    /// By how much the maximum age may be cut. Connections that were opened in one wave, after a
    /// restart say, would otherwise end and come back in one wave, again and again.
    pub(crate) fn most_early(&self) -> Duration {
        self.max_age.unwrap_or_default() / 10
    }
}

/// The deadlines of one connection, on the steady clock.
#[derive(Debug)]
pub(super) struct Timers {
    end: Option<Duration>,
    idle_after: Duration,
    last_frame: Duration,
    keep_alive: Option<Periodic>,
    heartbeat: Option<Periodic>,
}

#[derive(Debug)]
struct Periodic {
    period: Duration,
    due: Duration,
}

impl Periodic {
    fn new(period: Duration, now: Now) -> Self {
        Self { period, due: now.steady.saturating_add(period) }
    }

    fn restart(&mut self, now: Now) {
        self.due = now.steady.saturating_add(self.period);
    }

    fn is_due(&self, now: Now) -> bool {
        self.due <= now.steady
    }
}

impl Timers {
    pub(super) fn new(settings: &TimerSettings, token: &Token, now: Now, early: Duration) -> Self {
        let heartbeat = token.heartbeat_timeout.map(|seconds| Duration::from_secs(seconds.into()));
        Self {
            end: settings.max_age.map(|age| now.steady.saturating_add(age.saturating_sub(early))),
            idle_after: settings.idle,
            last_frame: now.steady,
            keep_alive: token.keep_alive.then(|| Periodic::new(settings.keep_alive, now)),
            heartbeat: heartbeat.map(|period| Periodic::new(period, now)),
        }
    }

    /// Notes a frame in either direction.
    pub(super) fn touch(&mut self, now: Now) {
        self.last_frame = self.last_frame.max(now.steady);
    }

    pub(super) fn heartbeat(&mut self, now: Now) {
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.restart(now);
        }
    }

    /// Moves what the client has to keep by how long it was not listened to.
    pub(super) fn postpone(&mut self, by: Duration, now: Now) {
        self.last_frame = self.last_frame.saturating_add(by).min(now.steady);
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.due = heartbeat.due.saturating_add(by);
        }
    }

    fn idle_at(&self) -> Duration {
        self.last_frame.saturating_add(self.idle_after)
    }

    pub(super) fn next(&self) -> Duration {
        let periodic = self.keep_alive.iter().chain(&self.heartbeat).map(|timer| timer.due);
        periodic.chain(self.end).fold(self.idle_at(), Duration::min)
    }

    /// Whether the maximum age is reached.
    pub(super) fn is_aged(&self, now: Now) -> bool {
        self.end.is_some_and(|end| end <= now.steady)
    }

    pub(super) fn due<R>(&mut self, now: Now) -> Option<Action<'static, R>> {
        if self.is_aged(now) {
            return Some(Action::Close(CloseReason::MaximumAge));
        }
        if self.heartbeat.as_ref().is_some_and(|heartbeat| heartbeat.is_due(now)) {
            return Some(Action::Close(CloseReason::MissedHeartbeat));
        }
        if self.idle_at() <= now.steady {
            return Some(Action::Close(CloseReason::Idle));
        }
        let keep_alive = self.keep_alive.as_mut().filter(|timer| timer.is_due(now))?;
        keep_alive.restart(now);
        Some(Action::Reply(Event::KeepAlive))
    }

    /// When the connection ends by age, as RFC 3339 text in UTC and whole seconds; the last day
    /// that the format can name where it never does.
    pub(super) fn expires_at(&self, now: Now) -> String {
        let end = self.end.map(|end| now.wall + end.saturating_sub(now.steady));
        let seconds = end.and_then(|end| i64::try_from(end.as_unix_seconds()).ok());
        seconds
            .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
            .unwrap_or(jiff::Timestamp::MAX)
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string()
    }
}
