//! When something is to be done later (protocol section 11).

use super::error::{Code, ProtocolError};
use super::fields::{Field, Fields};
use fanfare_storage::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use std::borrow::Cow;

/// Reads `scheduleExpression` and `scheduleExpressionTimezone`: when it is due, `None` where
/// nothing is said of that. A time before `now` is refused.
pub(crate) fn due(fields: &Fields<'_>, now: Timestamp) -> Result<Option<Timestamp>, ProtocolError> {
    let expression = fields.string(Field::ScheduleExpression)?;
    let zone = fields.string(Field::ScheduleExpressionTimezone)?;
    let Some(expression) = expression else { return Ok(None) };
    let due = resolve(&expression, zone.as_deref())?;
    check_due(due, now).map(|()| Some(due))
}

/// The moment that an expression means in a time zone of the IANA database, UTC where none is
/// named. A local time that daylight saving skips moves forward by what it skips; of one that
/// comes twice the first is meant.
pub(crate) fn resolve(expression: &str, zone: Option<&str>) -> Result<Timestamp, ProtocolError> {
    let local = parse(expression)
        .ok_or_else(|| invalid("a schedule expression is like at(2026-11-20T13:00:00)"))?;
    let zone = match zone {
        None => TimeZone::UTC,
        Some(name) => time_zone(name).ok_or_else(|| {
            invalid(format!("{:?} is no time zone of the IANA database", shown(name)))
        })?,
    };
    let moment = zone.to_ambiguous_timestamp(local).compatible();
    let millis = moment.ok().and_then(|moment| u64::try_from(moment.as_millisecond()).ok());
    millis.map(Timestamp::from_unix_millis).ok_or_else(|| invalid("the time is out of range"))
}

/// From the data that comes with the program: the machine may have none, or an older state.
fn time_zone(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok().filter(|zone| !zone.is_unknown())
}

/// Refuses times that have passed.
pub(crate) fn check_due(due: Timestamp, now: Timestamp) -> Result<(), ProtocolError> {
    if due < now { Err(invalid("the time of a schedule must not be in the past")) } else { Ok(()) }
}

/// Refuses what no token in force lets be put off until `due`.
pub(crate) fn check_permission(due: Timestamp, before: Option<u64>) -> Result<(), ProtocolError> {
    let message = match before.map(Timestamp::from_unix_seconds) {
        Some(before) if due <= before => return Ok(()),
        Some(_) => "the tokens in force permit no schedule that late (\"scheduleBefore\")",
        None => "no token in force permits schedules (\"scheduleBefore\")",
    };
    Err(ProtocolError::new(Code::SchedulePermissionDenied, message))
}

/// `at(YYYY-MM-DDTHH:MM:SS)`, digit by digit.
fn parse(expression: &str) -> Option<DateTime> {
    let text = expression.strip_prefix("at(")?.strip_suffix(')')?.as_bytes();
    let shape = b"0000-00-00T00:00:00";
    let fits = text.len() == shape.len()
        && text.iter().zip(shape).all(|(byte, wanted)| match wanted {
            b'0' => byte.is_ascii_digit(),
            _ => byte == wanted,
        });
    if !fits {
        return None;
    }
    let two = |at: usize| 10 * i16::from(text[at] - b'0') + i16::from(text[at + 1] - b'0');
    let small = |at: usize| i8::try_from(two(at)).ok();
    let year = 100 * two(0) + two(2);
    DateTime::new(year, small(5)?, small(8)?, small(11)?, small(14)?, small(17)?, 0).ok()
}

/// A name from outside, cut to what an error may say.
fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}

fn invalid(message: impl Into<Cow<'static, str>>) -> ProtocolError {
    ProtocolError::new(Code::InvalidSchedule, message)
}

#[cfg(test)]
mod tests;
