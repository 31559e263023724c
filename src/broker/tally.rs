//! Counters of what comes in a few kinds.

use super::stats::Counter;

/// A counter for each of `N` kinds.
#[derive(Debug)]
pub(crate) struct Tally<const N: usize>([Counter; N]);

impl<const N: usize> Default for Tally<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl<const N: usize> Tally<N> {
    /// Counts one of a kind, by its index.
    pub(crate) fn count(&self, kind: usize) {
        if let Some(counter) = self.0.get(kind) {
            counter.add(1);
        }
    }

    pub(super) fn counts(&self) -> Counts<N> {
        Counts(self.0.each_ref().map(Counter::get))
    }
}

/// What was counted of each of `N` kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts<const N: usize>([u64; N]);

impl<const N: usize> Default for Counts<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> Counts<N> {
    pub(super) fn all(&self) -> [u64; N] {
        self.0
    }

    /// Each kind's name, and how many there were.
    pub(super) fn named(
        &self,
        names: impl IntoIterator<Item = &'static str>,
    ) -> impl Iterator<Item = (&'static str, u64)> {
        names.into_iter().zip(self.0)
    }
}
