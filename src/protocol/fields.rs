//! The fields of a JSON object that a client or a backend sent, parsed once and kept raw.
//!
//! Values are left as the text they came in until someone asks, so that `data` can be passed on
//! byte for byte, and a field of the wrong type is an error only where it matters, with a message
//! that names the field and the type expected (protocol section 13, `INVALID_MESSAGE`).

use super::error::{Code, ProtocolError};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

macro_rules! fields {
    ($($variant:ident $name:literal,)*) => {
        /// A field that some request knows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Field { $($variant,)* }

        impl Field {
            const COUNT: usize = [$($name,)*].len();

            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            fn by_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

fields! {
    Event "event",
    Channel "channel",
    Data "data",
    Token "token",
    After "after",
    Before "before",
    Reverse "reverse",
    ExpandReactions "expandReactions",
    EagerIdGeneration "eagerIdGeneration",
    Store "store",
    ScheduleExpression "scheduleExpression",
    DeduplicationId "deduplicationId",
    Channels "channels",
    ScheduleExpressionTimezone "scheduleExpressionTimezone",
    EmitPubSubEvent "emitPubSubEvent",
    Jti "jti",
    Uid "uid",
    IssuedBefore "issuedBefore",
    ExpiresAt "expiresAt",
    MessageId "messageId",
    Reaction "reaction",
    Action "action",
    Umd "umd",
    Key "key",
    Keys "keys",
}

/// The known fields of one object. Of a repeated name the last counts, as in JavaScript; unknown
/// names are ignored.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    values: [Option<&'a str>; Field::COUNT],
}

impl<'a> Fields<'a> {
    /// Those of an object without any.
    pub(crate) const NONE: Self = Self { values: [None; Field::COUNT] };

    /// Parses a whole text.
    pub(crate) fn parse(text: &'a str) -> Result<Self, ProtocolError> {
        let mut fields = Self::NONE;
        fields.read(text)?;
        Ok(fields)
    }

    /// As [`parse`](Self::parse), in the place of [`NONE`](Self::NONE). Fields are large: where
    /// they are parsed for each message, copying them shows.
    pub(crate) fn read(&mut self, text: &'a str) -> Result<(), ProtocolError> {
        if !text.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok() {
            return Err(invalid("the message must be a JSON object"));
        }
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let read = self.deserialize(&mut deserializer).and_then(|()| deserializer.end());
        read.map_err(|error| {
            invalid(format!(
                "the message is not valid JSON (at line {}, column {})",
                error.line(),
                error.column()
            ))
        })
    }

    /// Parses a body, which must be UTF-8.
    pub(crate) fn parse_bytes(body: &'a [u8]) -> Result<Self, ProtocolError> {
        Self::parse(std::str::from_utf8(body).map_err(|_| invalid("the body must be UTF-8"))?)
    }

    /// The object inside a field: `None` where the field is absent or null.
    pub(crate) fn object(&self, field: Field) -> Result<Option<Fields<'a>>, ProtocolError> {
        match self.present(field) {
            None => Ok(None),
            Some(value) if value.starts_with('{') => Self::parse(value).map(Some),
            Some(_) => Err(wrong_type(field, "an object")),
        }
    }

    /// The text as it came, `null` included.
    pub(crate) fn raw(&self, field: Field) -> Option<&'a str> {
        self.values[field as usize]
    }

    pub(crate) fn string(&self, field: Field) -> Result<Option<Cow<'a, str>>, ProtocolError> {
        let Some(value) = self.present(field) else { return Ok(None) };
        let Some(inside) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
            return Err(wrong_type(field, "a string"));
        };
        if !inside.contains('\\') {
            return Ok(Some(Cow::Borrowed(inside)));
        }
        // What parsed as JSON can still fail here: half of a surrogate pair is no character.
        let unescaped = serde_json::from_str(value)
            .map_err(|_| wrong_type(field, "a string of valid Unicode"))?;
        Ok(Some(Cow::Owned(unescaped)))
    }

    /// A boolean; absent and null are false.
    pub(crate) fn flag(&self, field: Field) -> Result<bool, ProtocolError> {
        match self.present(field) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(wrong_type(field, "a boolean")),
        }
    }

    /// A whole number, also where it is written with a fraction of zero or an exponent.
    pub(crate) fn integer(&self, field: Field) -> Result<Option<i64>, ProtocolError> {
        let Some(value) = self.present(field) else { return Ok(None) };
        let wrong = || wrong_type(field, "an integer");
        if let Ok(number) = serde_json::from_str::<i64>(value) {
            return Ok(Some(number));
        }
        let number = serde_json::from_str::<f64>(value).map_err(|_| wrong())?;
        // 2^53: beyond it a float no longer tells whole numbers apart.
        let whole = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
        #[allow(clippy::cast_possible_truncation)] // checked in the line above
        whole.then_some(Some(number as i64)).ok_or_else(wrong)
    }

    /// Whether a field is there and not null.
    pub(crate) fn has(&self, field: Field) -> bool {
        self.present(field).is_some()
    }

    fn present(&self, field: Field) -> Option<&'a str> {
        self.raw(field).filter(|value| *value != "null")
    }
}

fn invalid(message: impl Into<Cow<'static, str>>) -> ProtocolError {
    ProtocolError::new(Code::InvalidMessage, message)
}

fn wrong_type(field: Field, expected: &str) -> ProtocolError {
    invalid(format!("the field {:?} must be {expected}", field.name()))
}

impl<'de> DeserializeSeed<'de> for &mut Fields<'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Fields<'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Name>()? {
            match name.0 {
                Some(field) => {
                    self.values[field as usize] = Some(map.next_value::<&RawValue>()?.get());
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// A field's name, looked up without a copy.
struct Name(Option<Field>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl Visitor<'_> for NameVisitor {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(Name(Field::by_name(name)))
            }

            // Reached for names that are no valid Unicode, which no known name is.
            fn visit_bytes<E>(self, _: &[u8]) -> Result<Name, E> {
                Ok(Name(None))
            }
        }

        deserializer.deserialize_str(NameVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_as_they_were_written() {
        let fields = Fields::parse(r#" {"x":[{"event":1}], "data" : {"b":1.50,"a":"\u00e4"} } "#);
        let fields = fields.unwrap();
        assert_eq!(fields.raw(Field::Data).unwrap(), r#"{"b":1.50,"a":"\u00e4"}"#);
        assert!(fields.raw(Field::Event).is_none());
    }

    #[test]
    fn the_last_of_a_repeated_name_counts() {
        let fields = Fields::parse(r#"{"event":"a","\u0065vent":"b"}"#).unwrap();
        assert_eq!(fields.string(Field::Event).unwrap().unwrap(), "b");
    }

    #[test]
    fn null_is_absent_but_kept_raw() {
        let fields = Fields::parse(r#"{"event":null,"reverse":null,"store":null,"data":null}"#);
        let fields = fields.unwrap();
        assert_eq!(fields.string(Field::Event).unwrap(), None);
        assert!(!fields.flag(Field::Reverse).unwrap());
        assert_eq!(fields.integer(Field::Store).unwrap(), None);
        assert!(fields.object(Field::Data).unwrap().is_none());
        assert_eq!(fields.raw(Field::Data).unwrap(), "null");
    }

    #[test]
    fn a_wrong_type_is_named() {
        let fields =
            Fields::parse(r#"{"event":1,"reverse":"x","store":1.5,"data":[],"channel":"\ud800"}"#)
                .unwrap();
        let message = |error: ProtocolError| (error.code, error.message.into_owned());
        for (error, text) in [
            (fields.string(Field::Event).unwrap_err(), r#"the field "event" must be a string"#),
            (fields.flag(Field::Reverse).unwrap_err(), r#"the field "reverse" must be a boolean"#),
            (fields.integer(Field::Store).unwrap_err(), r#"the field "store" must be an integer"#),
            (fields.object(Field::Data).unwrap_err(), r#"the field "data" must be an object"#),
            (
                fields.string(Field::Channel).unwrap_err(),
                r#"the field "channel" must be a string of valid Unicode"#,
            ),
        ] {
            assert_eq!(message(error), (Code::InvalidMessage, text.to_owned()));
        }
    }

    #[test]
    fn whole_numbers_may_be_written_as_floats() {
        for (text, number) in [("-1", -1), ("3e2", 300), ("2.0", 2)] {
            let text = format!(r#"{{"store":{text}}}"#);
            assert_eq!(Fields::parse(&text).unwrap().integer(Field::Store).unwrap(), Some(number));
        }
        for text in ["1e300", "\"1\"", "true", "1.1"] {
            let text = format!(r#"{{"store":{text}}}"#);
            assert!(Fields::parse(&text).unwrap().integer(Field::Store).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["", "x", "1", "[]", "null", "\"a\"", "{", "{}x", "{\"a\":}"] {
            assert_eq!(Fields::parse(text).unwrap_err().code, Code::InvalidMessage, "{text}");
        }
    }

    #[test]
    fn data_may_nest_as_deep_as_fits() {
        let deep = "[".repeat(16_000) + &"]".repeat(16_000);
        let text = format!(r#"{{"data":{deep},"other":{deep}}}"#);
        assert_eq!(Fields::parse(&text).unwrap().raw(Field::Data).unwrap(), deep);
    }
}
