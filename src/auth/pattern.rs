//! Keys of permissions: exact names, wildcards, regular expressions (protocol section 4).

use super::regex::Regex;
use super::regex_cache::RegexCache;
use std::sync::Arc;

/// What introduces a regular expression.
pub(super) const REGEX_PREFIX: &str = "#regex:";

/// Which names a key stands for.
#[derive(Debug)]
pub(super) enum Pattern {
    Exact(Box<str>),
    /// With at least one `*`, each of which matches any run of characters.
    Wildcard(Box<str>),
    Regex(Arc<Regex>),
}

impl Pattern {
    /// Reads a key; the error says what is wrong with a regular expression.
    pub(super) fn parse(key: &str, regexes: &RegexCache) -> Result<Self, String> {
        if let Some(source) = key.strip_prefix(REGEX_PREFIX) {
            return regexes.get(source).map(Self::Regex);
        }
        Ok(if key.contains('*') { Self::Wildcard(key.into()) } else { Self::Exact(key.into()) })
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *name,
            Self::Wildcard(pattern) => wildcard(pattern, name),
            Self::Regex(regex) => regex.is_match(name),
        }
    }

    /// What a regular expression costs, in bytes; see [`Regex::cost`].
    pub(super) fn cost(&self) -> usize {
        match self {
            Self::Regex(regex) => regex.cost(),
            Self::Exact(_) | Self::Wildcard(_) => 0,
        }
    }

    pub(super) fn exact(&self) -> Option<&str> {
        match self {
            Self::Exact(name) => Some(name),
            _ => None,
        }
    }
}

/// Takes each part at its first place, which leaves the most for the rest, so that nothing is
/// ever tried twice.
fn wildcard(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|head| name.strip_prefix(head)) else {
        return false;
    };
    // With no star there is no tail, and the head must have been all.
    let Some(tail) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, word by word.
    fn naive(pattern: &[char], name: &[char]) -> bool {
        match pattern {
            [] => name.is_empty(),
            ['*', rest @ ..] => (0..=name.len()).any(|skip| naive(rest, &name[skip..])),
            [one, rest @ ..] => name.first() == Some(one) && naive(rest, &name[1..]),
        }
    }

    #[test]
    fn section_4_wildcards_match_any_run_of_characters() {
        for (pattern, name, expected) in [
            ("a.*", "a.", true),
            ("a.*", "a.b.c", true),
            ("a.*", "a", false),
            ("*", "anything", true),
            ("*", "", true),
            ("*.log", "a.log.log", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*a", "a", false),
            ("ab*ba", "aba", false),
            ("**", "x", true),
        ] {
            assert_eq!(wildcard(pattern, name), expected, "{pattern} {name}");
        }
    }

    proptest! {
        #[test]
        fn wildcards_are_what_their_definition_says(
            pattern in "[ab*ä]{0,8}", name in "[abä]{0,10}",
        ) {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(wildcard(&pattern, &name), naive(&chars(&pattern), &chars(&name)));
        }
    }
}
