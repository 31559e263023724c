//! Equality of JSON texts, without recursion and without rounding numbers.

use std::collections::{BTreeMap, HashMap};

/// Whether two JSON texts are the same value, as [`SetEntry`](crate::SetEntry) means it.
///
/// - White space, the order of an object's members and the way in which a string is escaped do
///   not matter. Of members with one name the last counts.
/// - Numbers are equal where they are the same in exact decimal arithmetic: `1`, `1.0` and
///   `10e-1` are, and so are `0` and `-0`; `9007199254740992` and `9007199254740993` are not.
///   Only where an exponent exceeds 18 digits is the text compared.
/// - Texts that are not JSON are equal where their bytes are.
///
/// Nesting costs heap, not stack, and time is linear in the texts but for sorting members.
///
/// ```
/// use fanfare_storage::json_eq;
///
/// assert!(json_eq(br#"{"a":1,"b":[]}"#, br#"{ "b": [], "a": 1.0 }"#));
/// assert!(!json_eq(b"[1,2]", b"[2,1]"));
/// ```
#[must_use]
pub fn json_eq(left: &[u8], right: &[u8]) -> bool {
    if left == right {
        return true;
    }
    let mut classes = Classes::default();
    match (parse(left, &mut classes), parse(right, &mut classes)) {
        (Some(left), Some(right)) => left == right,
        _ => false,
    }
}

/// A value whose parts are named by their classes.
#[derive(PartialEq, Eq, Hash)]
enum Node {
    Literal(u8),
    Number(Vec<u8>),
    String(Vec<u8>),
    Array(Vec<usize>),
    Object(Vec<(usize, usize)>),
}

/// Numbers values so that equal ones, and only these, have one number. Comparing deep values
/// this way is exact and needs no recursion.
#[derive(Default)]
struct Classes(HashMap<Node, usize>);

impl Classes {
    fn of(&mut self, node: Node) -> usize {
        let next = self.0.len();
        *self.0.entry(node).or_insert(next)
    }
}

/// A container whose end has not been read yet.
enum Open {
    Array(Vec<usize>),
    Object { members: BTreeMap<usize, usize>, name: usize },
}

fn parse(text: &[u8], classes: &mut Classes) -> Option<usize> {
    let mut reader = Reader(text);
    let mut open: Vec<Open> = Vec::new();
    'values: loop {
        let mut value = match reader.token()? {
            b'[' => {
                if !reader.accept(b']') {
                    open.push(Open::Array(Vec::new()));
                    continue 'values;
                }
                classes.of(Node::Array(Vec::new()))
            }
            b'{' => {
                if !reader.accept(b'}') {
                    let name = reader.name(classes)?;
                    open.push(Open::Object { members: BTreeMap::new(), name });
                    continue 'values;
                }
                classes.of(Node::Object(Vec::new()))
            }
            first => {
                let scalar = reader.scalar(first)?;
                classes.of(scalar)
            }
        };
        loop {
            match open.last_mut() {
                None => return reader.token().is_none().then_some(value),
                Some(Open::Array(items)) => {
                    items.push(value);
                    match reader.token()? {
                        b',' => continue 'values,
                        b']' => {}
                        _ => return None,
                    }
                }
                Some(Open::Object { members, name }) => {
                    members.insert(*name, value);
                    match reader.token()? {
                        b',' => {
                            *name = reader.name(classes)?;
                            continue 'values;
                        }
                        b'}' => {}
                        _ => return None,
                    }
                }
            }
            value = classes.of(match open.pop()? {
                Open::Array(items) => Node::Array(items),
                Open::Object { members, .. } => Node::Object(members.into_iter().collect()),
            });
        }
    }
}

/// What is left of a text.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// The first byte that is no white space.
    fn token(&mut self) -> Option<u8> {
        loop {
            let byte = self.byte()?;
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
        }
    }

    fn accept(&mut self, wanted: u8) -> bool {
        let mut ahead = Reader(self.0);
        let found = ahead.token() == Some(wanted);
        if found {
            self.0 = ahead.0;
        }
        found
    }

    fn name(&mut self, classes: &mut Classes) -> Option<usize> {
        if self.token()? != b'"' {
            return None;
        }
        let name = self.string()?;
        (self.token()? == b':').then(|| classes.of(Node::String(name)))
    }

    fn scalar(&mut self, first: u8) -> Option<Node> {
        match first {
            b'"' => self.string().map(Node::String),
            b'-' | b'0'..=b'9' => self.number(first).map(Node::Number),
            b't' => self.literal(first, b"rue"),
            b'f' => self.literal(first, b"alse"),
            b'n' => self.literal(first, b"ull"),
            _ => None,
        }
    }

    fn literal(&mut self, first: u8, rest: &[u8]) -> Option<Node> {
        self.0 = self.0.strip_prefix(rest)?;
        Some(Node::Literal(first))
    }

    /// A number as its significant digits and the power of ten that they are multiplied by.
    fn number(&mut self, first: u8) -> Option<Vec<u8>> {
        let negative = first == b'-';
        let lead = if negative { self.byte()? } else { first };
        let mut digits = vec![lead];
        if !lead.is_ascii_digit() {
            return None;
        }
        if lead != b'0' {
            self.digits(&mut digits);
        }
        let mut fraction = 0;
        if let Some(rest) = self.0.strip_prefix(b".") {
            self.0 = rest;
            fraction = self.digits(&mut digits);
            if fraction == 0 {
                return None;
            }
        }
        let exponent = self.exponent()?;

        let significant = without_leading_zeros(&digits);
        let trimmed = without_trailing_zeros(significant);
        if trimmed.is_empty() {
            return Some(b"0".to_vec());
        }
        let mut canonical = if negative { vec![b'-'] } else { Vec::new() };
        canonical.extend_from_slice(trimmed);
        match exponent {
            Exponent::Small(power) => {
                let zeros = i64::try_from(significant.len() - trimmed.len()).ok()?;
                let power = power + zeros - i64::try_from(fraction).ok()?;
                canonical.extend_from_slice(format!("e{power}").as_bytes());
            }
            Exponent::Huge(text) => {
                canonical.extend_from_slice(format!("f{fraction}E").as_bytes());
                canonical.extend_from_slice(&text);
            }
        }
        Some(canonical)
    }

    fn digits(&mut self, into: &mut Vec<u8>) -> usize {
        let count = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at(count);
        into.extend_from_slice(digits);
        self.0 = rest;
        count
    }

    fn exponent(&mut self) -> Option<Exponent> {
        let Some(rest) = self.0.strip_prefix(b"e").or_else(|| self.0.strip_prefix(b"E")) else {
            return Some(Exponent::Small(0));
        };
        self.0 = rest;
        let negative = self.0.first() == Some(&b'-');
        if matches!(self.0.first(), Some(b'+' | b'-')) {
            self.byte();
        }
        let mut digits = Vec::new();
        if self.digits(&mut digits) == 0 {
            return None;
        }
        let digits = without_leading_zeros(&digits);
        if digits.len() > 18 {
            let sign: &[u8] = if negative { b"-" } else { b"" };
            return Some(Exponent::Huge([sign, digits].concat()));
        }
        let power = digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        Some(Exponent::Small(if negative { -power } else { power }))
    }

    /// A string's content after its opening quote. Surrogates without a partner, which have no
    /// UTF-8, become the three bytes that UTF-8 would give them.
    fn string(&mut self) -> Option<Vec<u8>> {
        let mut content = Vec::new();
        loop {
            match self.byte()? {
                b'"' => return Some(content),
                b'\\' => self.escape(&mut content)?,
                0..0x20 => return None,
                byte => content.push(byte),
            }
        }
    }

    fn escape(&mut self, content: &mut Vec<u8>) -> Option<()> {
        let byte = match self.byte()? {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let unit = self.code_unit()?;
                self.character(unit, content);
                return Some(());
            }
            _ => return None,
        };
        content.push(byte);
        Some(())
    }

    fn character(&mut self, unit: u32, content: &mut Vec<u8>) {
        let mut code = unit;
        if (0xD800..0xDC00).contains(&unit) {
            let mut ahead = Reader(self.0.strip_prefix(b"\\u").unwrap_or_default());
            if let Some(low @ 0xDC00..0xE000) = ahead.code_unit() {
                code = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
                self.0 = ahead.0;
            }
        }
        match char::from_u32(code) {
            Some(character) => {
                content.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            None => content.extend(
                [0xE0 | (code >> 12), 0x80 | ((code >> 6) & 0x3F), 0x80 | (code & 0x3F)]
                    .map(|byte| byte as u8),
            ),
        }
    }

    fn code_unit(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |unit, _| Some(unit * 16 + char::from(self.byte()?).to_digit(16)?))
    }
}

enum Exponent {
    Small(i64),
    Huge(Vec<u8>),
}

fn without_leading_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    &digits[zeros..]
}

fn without_trailing_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().rev().take_while(|digit| **digit == b'0').count();
    &digits[..digits.len() - zeros]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn equal(left: &str, right: &str) -> bool {
        let forth = json_eq(left.as_bytes(), right.as_bytes());
        assert_eq!(forth, json_eq(right.as_bytes(), left.as_bytes()), "{left} and {right}");
        forth
    }

    #[test]
    fn form_does_not_matter() {
        for (left, right) in [
            ("1", " 1\n"),
            ("[1,2]", "[ 1 , 2 ]"),
            (r#"{"a":1,"b":{"c":2,"d":3}}"#, r#"{"b":{"d":3,"c":2},"a":1}"#),
            (r#""A\/\n""#, r#""\u0041/\u000a""#),
            (r#""😀""#, r#""\ud83d\uDE00""#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            ("{}", "{ }"),
            ("[]", "[\t]"),
        ] {
            assert!(equal(left, right), "{left} and {right}");
        }
    }

    #[test]
    fn numbers_compare_as_exact_decimals() {
        for (left, right) in [
            ("1", "1.0"),
            ("1", "10e-1"),
            ("100", "1E+2"),
            ("-0", "0.000"),
            ("0e5", "0"),
            ("0e99999999999999999999", "0"),
            ("1e0000000000000000000005", "100000"),
            ("1.50", "0.15e1"),
        ] {
            assert!(equal(left, right), "{left} and {right}");
        }
        for (left, right) in [
            ("1", "-1"),
            ("9007199254740992", "9007199254740993"),
            ("0.1", "0.10000000000000001"),
            ("1e99999999999999999999", "1e99999999999999999998"),
            ("1e99999999999999999999", "1e-99999999999999999999"),
            ("1e99999999999999999999", "1.0e99999999999999999999"),
            ("10", "1"),
        ] {
            assert!(!equal(left, right), "{left} and {right}");
        }
    }

    #[test]
    fn different_values_differ() {
        for (left, right) in [
            ("[1,2]", "[2,1]"),
            ("null", "false"),
            ("true", "false"),
            ("1", "\"1\""),
            ("[]", "{}"),
            ("[[],[]]", "[[[]]]"),
            (r#"{"a":1}"#, r#"{"a":1,"b":1}"#),
            (r#"{"a":"b"}"#, r#"["a","b"]"#),
            (r#""\ud800""#, r#""\udc00""#),
            (r#""\ud800""#, r#""\ud800\ud800""#),
            (r#""\u0000""#, r#""""#),
        ] {
            assert!(!equal(left, right), "{left} and {right}");
        }
    }

    #[test]
    fn what_is_not_json_compares_by_bytes() {
        for text in ["", "nul", "[1,]", "{\"a\"}", "01", "1.", "\"", "1 2", "+1", "[1}", "\"\t\""] {
            assert!(equal(text, text));
            assert!(!equal(text, &format!("{text} ")), "{text:?} was read as JSON");
        }
    }

    #[test]
    fn deep_nesting_costs_no_stack() {
        let deep = |leaf: &str| "[".repeat(200_000) + leaf + &"]".repeat(200_000);
        std::thread::Builder::new()
            .stack_size(64 * 1024)
            .spawn(move || {
                assert!(equal(&deep("1"), &deep(" 1.0")));
                assert!(!equal(&deep("1"), &deep("2")));
                assert!(!equal(&"[".repeat(32 * 1024), &"[".repeat(32 * 1024 - 1)));
            })
            .unwrap()
            .join()
            .unwrap();
    }

    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            (-3i64..3).prop_map(Into::into),
            "[ab\"\\\\é]{0,2}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 24, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Into::into),
                prop::collection::btree_map("[ab]", inner, 0..3)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn agrees_with_trees(left in value(), right in value()) {
            let pretty = serde_json::to_string_pretty(&left).unwrap();
            prop_assert!(equal(&left.to_string(), &pretty));
            prop_assert_eq!(equal(&left.to_string(), &right.to_string()), left == right);
        }

        #[test]
        fn any_bytes_are_taken(left: Vec<u8>, right: Vec<u8>) {
            prop_assert!(json_eq(&left, &left));
            prop_assert_eq!(json_eq(&left, &right), json_eq(&right, &left));
        }
    }
}
