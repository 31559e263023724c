//! Reading claims: JSON with messages that name what is wrong and where.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// A claim that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClaimError {
    /// From the innermost outwards, as the error travels.
    path: Vec<String>,
    problem: String,
}

impl ClaimError {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self { path: Vec::new(), problem: problem.into() }
    }

    /// A problem of the claim `name`.
    pub(super) fn at(name: &str, problem: impl Into<String>) -> Self {
        Self::new(problem).within(name)
    }

    /// The error as seen from an object that has it under the claim `name`.
    pub(super) fn within(mut self, name: &str) -> Self {
        let dot =
            if self.path.last().is_some_and(|inner| !inner.starts_with('[')) { "." } else { "" };
        self.path.push(format!("{name}{dot}"));
        self
    }

    /// The error as seen from an object that has it under a key of the token's own.
    pub(super) fn within_key(mut self, key: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.path.push(format!("[{}]{dot}", quoted(key)));
        self
    }
}

/// As `the claim channels["a"].alias must be a string`.
impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the claim ")?;
        self.path.iter().rev().try_for_each(|step| f.write_str(step))?;
        write!(f, " {}", self.problem)
    }
}

/// A text of a token's in quotes, cut where it would make a message long.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 80;
    match text.char_indices().nth(SHOWN) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", &text[..end]),
    }
}

/// An object whose values are still text. Of a repeated name the last counts; a null value is as
/// an absent one.
pub(super) struct Object<'a>(BTreeMap<Cow<'a, str>, &'a RawValue>);

/// `Cow` alone would be read as owned.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Object<'a> {
    /// `None` where the text is no object.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let all: BTreeMap<Name<'a>, &'a RawValue> = serde_json::from_str(text).ok()?;
        Some(Self(all.into_iter().map(|(name, value)| (name.0, value)).collect()))
    }

    /// The names of all values that are not null.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, value)| value.get() != "null").map(|(name, _)| &**name)
    }

    /// The text of a value, null included.
    pub(super) fn raw(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(|value| value.get())
    }

    fn read<T: Deserialize<'a>>(
        &self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, ClaimError> {
        let Some(value) = self.raw(name).filter(|value| *value != "null") else { return Ok(None) };
        serde_json::from_str(value)
            .map(Some)
            .map_err(|_| ClaimError::at(name, format!("must be {expected}")))
    }

    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, ClaimError> {
        self.read(name, "a boolean")
    }

    pub(super) fn string(&self, name: &str) -> Result<Option<String>, ClaimError> {
        self.read(name, "a string")
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<Object<'a>>, ClaimError> {
        let Some(value) = self.raw(name).filter(|value| *value != "null") else { return Ok(None) };
        Object::parse(value).map(Some).ok_or_else(|| ClaimError::at(name, "must be an object"))
    }

    /// A whole number; `1.0` and `1e3` are some.
    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>, ClaimError> {
        let expected = "an integer";
        if let Ok(integer) = self.read(name, expected) {
            return Ok(integer);
        }
        let number: Option<f64> = self.read(name, expected)?;
        number.map(|number| whole(number, name)).transpose()
    }

    /// Seconds since the Unix epoch, whole ones.
    pub(super) fn unix_seconds(&self, name: &str) -> Result<Option<u64>, ClaimError> {
        let wrong = || ClaimError::at(name, "must be whole seconds since 1970, 0 or more");
        match self.integer(name).map_err(|_| wrong())? {
            None => Ok(None),
            Some(seconds) => u64::try_from(seconds).map(Some).map_err(|_| wrong()),
        }
    }

    /// A `NumericDate` (RFC 7519 section 2): seconds since the Unix epoch, also with a fraction.
    pub(super) fn numeric_date(&self, name: &str) -> Result<Option<f64>, ClaimError> {
        self.read(name, "a number of seconds since 1970")
    }

    /// Strings, or one string alone.
    pub(super) fn strings(&self, name: &str) -> Result<Option<Vec<String>>, ClaimError> {
        let expected = "a string or an array of strings";
        if let Ok(Some(one)) = self.read::<String>(name, expected) {
            return Ok(Some(vec![one]));
        }
        self.read(name, expected)
    }

    /// A boolean, or strings.
    pub(super) fn switch_or_strings(
        &self,
        name: &str,
    ) -> Result<Option<SwitchOrStrings>, ClaimError> {
        let expected = "a boolean or an array of strings";
        if let Ok(Some(switch)) = self.read(name, expected) {
            return Ok(Some(SwitchOrStrings::Switch(switch)));
        }
        Ok(self.read(name, expected)?.map(SwitchOrStrings::Strings))
    }
}

/// See [`Object::switch_or_strings`].
pub(super) enum SwitchOrStrings {
    Switch(bool),
    Strings(Vec<String>),
}

fn whole(number: f64, name: &str) -> Result<i64, ClaimError> {
    // 2^53: beyond it a float no longer tells whole numbers apart.
    if number.fract() != 0.0 || number.abs() > 9_007_199_254_740_992.0 {
        return Err(ClaimError::at(name, "must be an integer"));
    }
    #[allow(clippy::cast_possible_truncation)] // checked above
    Ok(number as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_where_they_are() {
        let error = ClaimError::at("store", "is wrong").within_key("b").within("messages");
        let error = error.within_key("a").within("channels");
        assert_eq!(error.to_string(), r#"the claim channels["a"].messages["b"].store is wrong"#);
        let error = ClaimError::new("is wrong").within_key(&"ä".repeat(9_000));
        assert_eq!(error.to_string(), format!("the claim [\"{}\"…] is wrong", "ä".repeat(80)));
        let error = ClaimError::new("is wrong").within_key("a").within("channels");
        assert_eq!(error.to_string(), r#"the claim channels["a"] is wrong"#);
    }
}
