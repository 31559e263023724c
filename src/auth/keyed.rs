//! Rules by the keys that they are written under.

use super::pattern::Pattern;

/// Rules of one level. Exact keys come first, in order, so that the rules of a name's own key are
/// found without a look at the others.
#[derive(Debug)]
pub(super) struct Keyed<T>(Box<[(Pattern, T)]>);

impl<T> Keyed<T> {
    /// Takes the keys in order; each comes once.
    pub(super) fn new(mut rules: Vec<(Pattern, T)>) -> Self {
        rules.sort_by(|(a, _), (b, _)| match (a.exact(), b.exact()) {
            (Some(a), Some(b)) => a.cmp(b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
        Self(rules.into())
    }

    /// The rules under exact keys, in the keys' order.
    pub(super) fn exact(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map_while(|(key, rules)| Some((key.exact()?, rules)))
    }

    /// The rules under exactly this key.
    pub(super) fn get(&self, name: &str) -> Option<&T> {
        let place = self.0.binary_search_by(|(key, _)| match key.exact() {
            Some(exact) => exact.cmp(name),
            None => std::cmp::Ordering::Greater,
        });
        place.ok().map(|place| &self.0[place].1)
    }

    /// The exact key in this place, of those that [`exact`](Self::exact) gives.
    pub(super) fn nth(&self, place: usize) -> Option<(&str, &T)> {
        let (key, rules) = self.0.get(place)?;
        Some((key.exact()?, rules))
    }

    /// Whether any key's rules are so.
    pub(super) fn any(&self, mut test: impl FnMut(&T) -> bool) -> bool {
        self.0.iter().any(|(_, rules)| test(rules))
    }

    /// Calls `found` with the rules under each key that matches a name, and with whether the key
    /// is exact.
    pub(super) fn for_each_matching<'k>(&'k self, name: &str, mut found: impl FnMut(bool, &'k T)) {
        if let Some(rules) = self.get(name) {
            found(true, rules);
        }
        let patterns = self.0.iter().rev().take_while(|(key, _)| key.exact().is_none());
        for (_, rules) in patterns.filter(|(key, _)| key.matches(name)) {
            found(false, rules);
        }
    }
}

impl<T> Default for Keyed<T> {
    fn default() -> Self {
        Self(Box::default())
    }
}
