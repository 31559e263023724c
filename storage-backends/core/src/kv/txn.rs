use super::{KeyRange, View, Visit};
use crate::{Order, Result};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::ControlFlow;

/// New values of keys, and keys to be removed; each key once, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes(BTreeMap<Vec<u8>, Option<Bytes>>);

impl Changes {
    /// The keys in order, with their new values; those without one are to be removed, whether
    /// they are there or not.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.0.iter().map(|(key, value)| (&key[..], value.as_deref()))
    }

    /// Whether there is nothing to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The writes of a group on top of a view, seen by those that come later in the group. They are
/// written to the engine all at once, at the end.
pub(super) struct Txn<'a> {
    view: &'a dyn View,
    changes: Changes,
    /// What undoes the writes since the last savepoint, latest last.
    undo: Vec<(Vec<u8>, Option<Option<Bytes>>)>,
}

impl<'a> Txn<'a> {
    pub(super) fn new(view: &'a dyn View) -> Self {
        Self { view, changes: Changes::default(), undo: Vec::new() }
    }

    pub(super) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.change(key, Some(Bytes::from(value)));
    }

    pub(super) fn delete(&mut self, key: Vec<u8>) {
        self.change(key, None);
    }

    fn change(&mut self, key: Vec<u8>, value: Option<Bytes>) {
        let former = self.changes.0.insert(key.clone(), value);
        self.undo.push((key, former));
    }

    /// Keeps what was written so far, whatever is rolled back later.
    pub(super) fn save(&mut self) {
        self.undo.clear();
    }

    /// Undoes what was written since the last [`save`](Self::save).
    pub(super) fn roll_back(&mut self) {
        while let Some((key, former)) = self.undo.pop() {
            match former {
                Some(former) => self.changes.0.insert(key, former),
                None => self.changes.0.remove(&key),
            };
        }
    }

    pub(super) fn into_changes(self) -> Changes {
        self.changes
    }
}

impl View for Txn<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        match self.changes.0.get(key) {
            Some(changed) => Ok(changed.clone()),
            None => self.view.get(key),
        }
    }

    fn scan(&self, range: &KeyRange, order: Order, visit: &mut Visit<'_>) -> Result<()> {
        if range.start >= range.end {
            return Ok(());
        }
        let changes = self.changes.0.range(range.start.clone()..range.end.clone());
        match order {
            Order::Ascending => merge(self.view, range, order, changes, visit),
            Order::Descending => merge(self.view, range, order, changes.rev(), visit),
        }
    }
}

/// Visits a view's keys as the changes leave them.
fn merge<'a>(
    view: &dyn View,
    range: &KeyRange,
    order: Order,
    changes: impl Iterator<Item = (&'a Vec<u8>, &'a Option<Bytes>)>,
    visit: &mut Visit<'_>,
) -> Result<()> {
    let mut changes = changes.peekable();
    let mut flow = ControlFlow::Continue(());
    view.scan(range, order, &mut |key, value| {
        let comes_before = |changed: &[u8]| match order {
            Order::Ascending => changed < key,
            Order::Descending => changed > key,
        };
        flow = visit_while(&mut changes, visit, comes_before)?;
        if flow.is_break() {
            return Ok(flow);
        }
        flow = match changes.next_if(|(changed, _)| *changed == key) {
            Some((_, None)) => ControlFlow::Continue(()),
            Some((_, Some(value))) => visit(key, value)?,
            None => visit(key, value)?,
        };
        Ok(flow)
    })?;
    if flow.is_continue() {
        let _ = visit_while(&mut changes, visit, |_| true)?;
    }
    Ok(())
}

fn visit_while<'a>(
    changes: &mut Peekable<impl Iterator<Item = (&'a Vec<u8>, &'a Option<Bytes>)>>,
    visit: &mut Visit<'_>,
    condition: impl Fn(&[u8]) -> bool,
) -> Result<ControlFlow<()>> {
    while let Some((key, value)) = changes.next_if(|(key, _)| condition(key)) {
        if let Some(value) = value
            && visit(key, value)?.is_break()
        {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Map = BTreeMap<Vec<u8>, Vec<u8>>;

    impl View for Map {
        fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
            Ok(BTreeMap::get(self, key).map(|value| Bytes::copy_from_slice(value)))
        }

        fn scan(&self, range: &KeyRange, order: Order, visit: &mut Visit<'_>) -> Result<()> {
            let mut pairs: Vec<_> = self.range(range.start.clone()..range.end.clone()).collect();
            if order == Order::Descending {
                pairs.reverse();
            }
            for (key, value) in pairs {
                if visit(key, value)?.is_break() {
                    break;
                }
            }
            Ok(())
        }
    }

    fn scanned(view: &dyn View, range: &KeyRange, order: Order, limit: usize) -> Map {
        let mut found = Vec::new();
        view.scan(range, order, &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            Ok(if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })
        .unwrap();
        let keys: Vec<_> = found.iter().map(|(key, _)| key.clone()).collect();
        let mut sorted = keys.clone();
        sorted.sort();
        if order == Order::Descending {
            sorted.reverse();
        }
        assert_eq!(keys, sorted);
        found.into_iter().collect()
    }

    fn key() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(0..3u8, 0..3)
    }

    fn map() -> impl Strategy<Value = Map> {
        prop::collection::btree_map(key(), prop::collection::vec(0..9u8, 0..3), 0..8)
    }

    type Write = (Vec<u8>, Option<Vec<u8>>);

    fn writes() -> impl Strategy<Value = Vec<Write>> {
        prop::collection::vec((key(), prop::option::of(prop::collection::vec(0..9u8, 0..3))), 0..8)
    }

    fn write(txn: &mut Txn<'_>, writes: &[Write]) {
        for (key, value) in writes {
            match value {
                Some(value) => txn.put(key.clone(), value.clone()),
                None => txn.delete(key.clone()),
            }
        }
    }

    fn expected(map: &Map, writes: &[Write]) -> Map {
        let mut map = map.clone();
        for (key, value) in writes {
            match value {
                Some(value) => map.insert(key.clone(), value.clone()),
                None => map.remove(key),
            };
        }
        map
    }

    proptest! {
        #[test]
        fn reads_see_the_writes(
            stored in map(), kept in writes(), undone in writes(),
            start in key(), end in key(), limit in 1..5usize,
        ) {
            let mut txn = Txn::new(&stored);
            write(&mut txn, &kept);
            txn.save();
            write(&mut txn, &undone);
            let both = [kept.clone(), undone].concat();
            let kept_model = expected(&stored, &kept);
            let range = KeyRange { start: start.clone().min(end.clone()), end: start.max(end) };
            for (is_undone, writes) in [(false, both), (true, kept)] {
                if is_undone {
                    txn.roll_back();
                }
                let model = expected(&stored, &writes);
                for key in model.keys().chain(stored.keys()) {
                    let found = txn.get(key).unwrap().map(|value| value.to_vec());
                    prop_assert_eq!(found.as_ref(), BTreeMap::get(&model, key));
                }
                for order in [Order::Ascending, Order::Descending] {
                    for limit in [limit, usize::MAX] {
                        prop_assert_eq!(
                            scanned(&txn, &range, order, limit),
                            scanned(&model, &range, order, limit)
                        );
                    }
                }
            }
            let mut applied = Vec::new();
            for (key, value) in txn.into_changes().iter() {
                applied.push((key.to_vec(), value.map(<[u8]>::to_vec)));
            }
            prop_assert_eq!(expected(&stored, &applied), kept_model);
        }
    }

    #[test]
    fn an_inverted_range_is_empty() {
        let stored = Map::from([(vec![1], vec![1])]);
        let txn = Txn::new(&stored);
        let range = KeyRange { start: vec![2], end: vec![0] };
        assert!(scanned(&txn, &range, Order::Ascending, 9).is_empty());
    }
}
