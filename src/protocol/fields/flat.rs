//! The outermost level of an object, in the shape that nearly all have: names without escapes, and
//! values that are mostly strings without them. A general parser takes several times as long.

use crate::protocol::scan::plain_len;
use serde_json::Deserializer;
use serde_json::value::RawValue;

/// Calls `found` with each name of an object and the text of its value, in order. `None` where the
/// text is no object, or one of another shape; the general parser tells which.
pub(super) fn read<'a>(text: &'a str, mut found: impl FnMut(&'a str, &'a str)) -> Option<()> {
    let mut reader = Reader { text, at: 0 };
    reader.take(b'{')?;
    if reader.take(b'}').is_none() {
        loop {
            let name = reader.plain_string()?;
            reader.take(b':')?;
            found(&name[1..name.len() - 1], reader.value()?);
            if reader.take(b',').is_none() {
                break;
            }
        }
        reader.take(b'}')?;
    }
    reader.skip_white_space();
    (reader.at == text.len()).then_some(())
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn skip_white_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.text.as_bytes().get(self.at) {
            self.at += 1;
        }
    }

    /// Takes a character, with the white space before it.
    fn take(&mut self, wanted: u8) -> Option<()> {
        self.skip_white_space();
        let is_there = self.text.as_bytes().get(self.at) == Some(&wanted);
        self.at += usize::from(is_there);
        is_there.then_some(())
    }

    /// Takes a string that has no escapes, and returns it with its quotes.
    fn plain_string(&mut self) -> Option<&'a str> {
        self.take(b'"')?;
        let start = self.at - 1;
        self.at += plain_len(&self.text.as_bytes()[self.at..]);
        let is_ended = self.text.as_bytes().get(self.at) == Some(&b'"');
        self.at += usize::from(is_ended);
        if is_ended { self.text.get(start..self.at) } else { None }
    }

    fn value(&mut self) -> Option<&'a str> {
        self.skip_white_space();
        let start = self.at;
        if let Some(string) = self.plain_string() {
            return Some(string);
        }
        let rest = self.text.get(start..)?;
        let mut values = Deserializer::from_str(rest).into_iter::<&RawValue>();
        let value = values.next()?.ok()?;
        self.at = start + values.byte_offset();
        Some(value.get())
    }
}
