//! Values of options: times, sizes, rates, and where things are stored.

use super::DEFAULT_DIRECTORY;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StorageChoice {
    Memory,
    Redb(PathBuf),
    Sled(PathBuf),
}

impl StorageChoice {
    /// Where the broker's own keys are.
    pub(crate) fn directory(&self) -> &Path {
        match self {
            StorageChoice::Memory => Path::new(DEFAULT_DIRECTORY),
            StorageChoice::Redb(directory) | StorageChoice::Sled(directory) => directory,
        }
    }
}

impl FromStr for StorageChoice {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "memory" => Ok(StorageChoice::Memory),
            Some(("redb", directory)) if !directory.is_empty() => {
                Ok(StorageChoice::Redb(directory.into()))
            }
            Some(("sled", directory)) if !directory.is_empty() => {
                Ok(StorageChoice::Sled(directory.into()))
            }
            _ => Err("write memory, redb:DIR or sled:DIR, such as redb:./fanfare-data"),
        }
    }
}

/// As in the option.
impl Display for StorageChoice {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            StorageChoice::Memory => f.write_str("memory"),
            StorageChoice::Redb(directory) => write!(f, "redb:{}", directory.display()),
            StorageChoice::Sled(directory) => write!(f, "sled:{}", directory.display()),
        }
    }
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
pub(crate) const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;

/// How long something may last; `None` for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Age(pub(crate) Option<Duration>);

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Age(time(text, YEAR)?))
    }
}

/// How long something takes, up to a number of seconds; zero for not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait<const MOST: u64>(pub(crate) Duration);

/// How long members stay whose connection was lost.
pub(crate) type Grace = Wait<DAY>;
/// How far clocks may be apart, and how long a drain may be put off.
pub(crate) type ShortWait = Wait<HOUR>;

impl<const MOST: u64> FromStr for Wait<MOST> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Wait(time(text, MOST)?.unwrap_or_default()))
    }
}

/// How long something may take at the longest: a second to an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience(pub(crate) Duration);

impl FromStr for Patience {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let seconds = seconds(text).filter(|seconds| (1..=HOUR).contains(seconds));
        seconds.map(|s| Patience(Duration::from_secs(s))).ok_or("write a time from 1s to 1h")
    }
}

/// A time of a second to `most` seconds; `None` where it is off.
fn time(text: &str, most: u64) -> Result<Option<Duration>, String> {
    if text == "off" {
        return Ok(None);
    }
    match seconds(text) {
        Some(seconds) if (1..=most).contains(&seconds) => Ok(Some(Duration::from_secs(seconds))),
        Some(_) => {
            let most = if most.is_multiple_of(DAY) {
                format!("{}d", most / DAY)
            } else {
                format!("{}h", most / HOUR)
            };
            Err(format!("write a time from 1s to {most}, or off"))
        }
        None => Err("write a time with its units, such as 2h, 90s or 1h30m, or off".to_owned()),
    }
}

/// The sum of numbers with the units `d`, `h`, `m` and `s`.
fn seconds(mut text: &str) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut sum = 0_u64;
    while !text.is_empty() {
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, rest) = text.split_at(digits);
        let (unit, rest) = rest.split_at_checked(1)?;
        let unit = match unit {
            "d" => DAY,
            "h" => HOUR,
            "m" => MINUTE,
            "s" => 1,
            _ => return None,
        };
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        text = rest;
    }
    Some(sum)
}

/// How many there may be; `None` for any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) Option<usize>);

impl FromStr for Count {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const MOST: usize = 1_000_000_000;
        if text == "off" {
            return Ok(Count(None));
        }
        let number = text.parse().ok().filter(|number| (1..=MOST).contains(number));
        number
            .map(|number| Count(Some(number)))
            .ok_or("write a number from 1 up, such as 10000, or off")
    }
}

/// How many messages per second, and how many at once; `None` for any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageRate(pub(crate) Option<(u32, u32)>);

impl FromStr for MessageRate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" {
            return Ok(MessageRate(None));
        }
        let (rate, burst) = text.split_once(':').unwrap_or((text, text));
        match [rate, burst].map(|number| number.parse().ok()) {
            [Some(rate @ 1..=1_000_000), Some(burst @ 1..=1_000_000)] => {
                Ok(MessageRate(Some((rate, burst))))
            }
            _ => Err("write numbers from 1 to 1000000, such as 20 or 20:100, or off"),
        }
    }
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A number of bytes in a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size<const LEAST: u64, const MOST: u64>(pub(crate) usize);

/// Of events that wait for the webhook. The largest is a presence channel's list of members, far
/// below the least.
pub(crate) type QueueSize = Size<MIB, { 4 * GIB }>;
/// Of one client's message.
pub(crate) type MessageSize = Size<KIB, { 64 * MIB }>;
/// Of what waits for one client.
pub(crate) type ClientQueueSize = Size<{ 16 * KIB }, GIB>;
/// Of what waits for, or comes from, all clients together.
pub(crate) type SharedSize = Size<MIB, { 4 * GIB - 1 }>;
/// Of what is stored or cached.
pub(crate) type StoreSize = Size<MIB, { 1024 * GIB }>;

impl<const LEAST: u64, const MOST: u64> FromStr for Size<LEAST, MOST> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit = match unit {
            "" => 1,
            "KiB" => KIB,
            "MiB" => MIB,
            "GiB" => GIB,
            _ => return Err("write a number of bytes, KiB, MiB or GiB, such as 16MiB".to_owned()),
        };
        let bytes = number.parse().ok().and_then(|number: u64| number.checked_mul(unit));
        let bytes = bytes.filter(|bytes| (LEAST..=MOST).contains(bytes));
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Size).ok_or_else(|| {
            format!("write a size from {} to {}, such as 16MiB", in_words(LEAST), in_words(MOST))
        })
    }
}

/// A number of bytes as the option has it.
fn in_words(bytes: u64) -> String {
    let units = [(GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")];
    let whole = units.into_iter().find(|(unit, _)| bytes.is_multiple_of(*unit));
    whole.map_or_else(|| bytes.to_string(), |(unit, name)| format!("{}{name}", bytes / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        let age = |text: &str| text.parse::<Age>().map(|Age(age)| age);
        let hours = |n: u64| Ok(Some(Duration::from_secs(n * 3600)));
        assert_eq!(age("off"), Ok(None));
        assert_eq!(age("2h"), hours(2));
        assert_eq!(age("120m"), hours(2));
        assert_eq!(age("1h30m1800s"), hours(2));
        assert_eq!(age("365d"), hours(365 * 24));
        for wrong in ["", "2", "h", "2w", "-1h", "1.5h", "2 h", "0s", "366d", "2hé", "2é", "é"] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
        assert!(age("99999999999999999999s").is_err());
        assert!(age("9999999999999999999d").is_err());
    }

    #[test]
    fn waits() {
        let grace = |text: &str| text.parse::<Grace>().map(|Wait(grace)| grace);
        assert_eq!(grace("off"), Ok(Duration::ZERO));
        assert_eq!(grace("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(grace("1d"), Ok(Duration::from_secs(24 * 60 * 60)));
        for wrong in ["", "0s", "10", "25h", "2d", "99999999999999999999s"] {
            assert!(grace(wrong).is_err(), "{wrong}");
        }
        assert_eq!("60m".parse::<ShortWait>(), Ok(Wait(Duration::from_secs(3600))));
        let error = "61m".parse::<ShortWait>().unwrap_err();
        assert_eq!(error, "write a time from 1s to 1h, or off");
    }

    #[test]
    fn counts() {
        let count = |text: &str| text.parse::<Count>().map(|Count(count)| count);
        assert_eq!(count("off"), Ok(None));
        assert_eq!(count("10000"), Ok(Some(10_000)));
        for wrong in ["", "0", "-1", "1e3", "10 000", "1000000001", "99999999999999999999"] {
            assert!(count(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes() {
        let size = |text: &str| text.parse::<QueueSize>().map(|Size(bytes)| bytes);
        assert_eq!(size("16MiB"), Ok(16 << 20));
        assert_eq!(size("1048576"), size("1024KiB"));
        assert_eq!(size("1GiB"), size("1048576KiB"));
        for wrong in ["", "MiB", "16", "1MB", "1 MiB", "1.5MiB", "-1MiB", "1023KiB", "5GiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert!(size("99999999999999999999").is_err());
        assert!(size("18014398509481985GiB").is_err());
        let error = "1".parse::<ClientQueueSize>().unwrap_err();
        assert_eq!(error, "write a size from 16KiB to 1GiB, such as 16MiB");
    }

    #[test]
    fn storages() {
        let storage = |text: &str| text.parse::<StorageChoice>();
        assert_eq!(storage("memory"), Ok(StorageChoice::Memory));
        assert_eq!(storage("redb:/var/lib/x:y"), Ok(StorageChoice::Redb("/var/lib/x:y".into())));
        assert_eq!(storage("sled:data"), Ok(StorageChoice::Sled("data".into())));
        for wrong in ["", "redb", "redb:", "memory:", "memory:x", "sqlite:x", "Redb:x"] {
            assert!(storage(wrong).is_err(), "{wrong}");
        }
    }
}
