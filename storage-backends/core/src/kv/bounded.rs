//! Views that end a read that is too long to be done in place.

use super::{KeyRange, View, Visit};
use crate::{Error, ErrorKind, Order, Result};
use bytes::Bytes;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// Records that are looked at, at most. A page steps over any number that have expired.
const MAX_RECORDS: usize = 2_048;

/// Bytes of records that are looked at, at most.
const MAX_BYTES: usize = 512 * 1024;

/// Records between two looks at the clock.
const RECORDS_PER_LOOK: usize = 16;

/// A view of which no more is read than takes some tenths of a millisecond where all is in memory,
/// and no more after a disk took long.
pub(super) struct Bounded<'a> {
    view: &'a dyn View,
    start: Instant,
    slow: Duration,
    records: Cell<usize>,
    bytes: Cell<usize>,
    is_over: Cell<bool>,
}

impl<'a> Bounded<'a> {
    /// `slow` is how long it may take from the start where it waits for a disk.
    pub(super) fn new(view: &'a dyn View, start: Instant, slow: Duration) -> Self {
        let (records, bytes) = (Cell::new(0), Cell::new(0));
        Self { view, start, slow, records, bytes, is_over: Cell::new(false) }
    }

    /// Whether more was wanted than there may be, so that the read's result counts for nothing.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.get()
    }

    fn count(&self, bytes: usize) -> Result<()> {
        let records = self.records.get() + 1;
        self.records.set(records);
        self.bytes.set(self.bytes.get() + bytes);
        let is_late = || {
            let looks = records.is_multiple_of(RECORDS_PER_LOOK) && self.view.may_have_waited();
            looks && self.start.elapsed() > self.slow
        };
        if records > MAX_RECORDS || self.bytes.get() > MAX_BYTES || is_late() {
            self.is_over.set(true);
        }
        if self.is_over() {
            return Err(Error::new(ErrorKind::Unavailable, "read", "too long to be done in place"));
        }
        Ok(())
    }
}

impl View for Bounded<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let value = self.view.get(key)?;
        self.count(value.as_ref().map_or(0, Bytes::len))?;
        Ok(value)
    }

    fn scan(&self, range: &KeyRange, order: Order, visit: &mut Visit<'_>) -> Result<()> {
        self.view.scan(range, order, &mut |key, value| {
            self.count(key.len() + value.len())?;
            visit(key, value)
        })
    }

    fn may_have_waited(&self) -> bool {
        self.view.may_have_waited()
    }
}
