//! How long to wait after a request that was not accepted.

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const MAX: Duration = Duration::from_secs(60);
/// A receiver may ask for no more, since the queue fills meanwhile.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// The wait after so many failures in a row: up to half a second after the first, twice as long
/// after each other, a minute at most, times `random`, from 0 to 1 (full jitter), but not less than
/// the receiver asked for.
pub(super) fn wait(failures: u32, retry_after: Option<Duration>, random: f64) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    let longest = FIRST.saturating_mul(doubled).min(MAX);
    longest.mul_f64(random).max(retry_after.unwrap_or_default().min(MAX_RETRY_AFTER))
}

/// What `Retry-After` asks for (RFC 9110 section 10.2.3): seconds, or a date.
pub(super) fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    const DATES: DateTimeParser = DateTimeParser::new();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DATES.parse_timestamp(value).ok()?;
    Some(date.duration_since(now).try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_are_jittered_fully() {
        let longest = [1, 2, 3, 7, 8, 9, u32::MAX].map(|n| wait(n, None, 1.0).as_secs_f64());
        assert_eq!(longest, [0.5, 1.0, 2.0, 32.0, 60.0, 60.0, 60.0]);
        assert_eq!(wait(3, None, 0.25), Duration::from_millis(500));
        assert_eq!(wait(9, None, 0.0), Duration::ZERO);
    }

    #[test]
    fn a_receiver_can_ask_for_more_within_bounds() {
        let asked = |seconds| wait(1, Some(Duration::from_secs(seconds)), 1.0).as_secs_f64();
        assert_eq!([0, 7, 299, u64::MAX].map(asked), [0.5, 7.0, 299.0, 300.0]);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "1994-11-06T08:49:30Z".parse().unwrap();
        let asked = |value| retry_after(value, now).map(|wait| wait.as_secs());
        assert_eq!(asked("120"), Some(120));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:37 GMT"), Some(7));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:00 GMT"), Some(0));
        for wrong in ["", "-1", "1.5", "soon", "99999999999999999999"] {
            assert_eq!(asked(wrong), None, "{wrong}");
        }
    }
}
