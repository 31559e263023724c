//! Compiled regular expressions, shared by all tokens that use the same ones.

use super::regex::Regex;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// How many expressions are kept. Tokens of one application are made by the same code and use
/// few; at the bound those that no token in force uses are dropped, and where all are used, new
/// ones are compiled for each token.
const CAPACITY: usize = 1_000;

#[derive(Debug, Default)]
pub(super) struct RegexCache {
    compiled: Mutex<HashMap<Box<str>, Arc<Regex>>>,
}

impl RegexCache {
    pub(super) fn get(&self, source: &str) -> Result<Arc<Regex>, String> {
        if let Some(found) = self.compiled.lock().get(source) {
            return Ok(Arc::clone(found));
        }
        let regex = Arc::new(Regex::new(source)?);
        let mut compiled = self.compiled.lock();
        if compiled.len() >= CAPACITY {
            compiled.retain(|_, regex| Arc::strong_count(regex) > 1);
        }
        if compiled.len() < CAPACITY {
            compiled.insert(source.into(), Arc::clone(&regex));
        }
        Ok(regex)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sources_share_one_expression() {
        let cache = RegexCache::default();
        assert!(Arc::ptr_eq(&cache.get("^a$").unwrap(), &cache.get("^a$").unwrap()));
        assert!(cache.get("(").is_err());
    }

    #[test]
    fn at_the_bound_the_unused_ones_go_and_used_ones_stay() {
        let cache = RegexCache::default();
        let used: Vec<_> = (0..10).map(|n| cache.get(&format!("u{n}")).unwrap()).collect();
        for n in 0..2 * CAPACITY {
            cache.get(&format!("x{n}")).unwrap();
            assert!(cache.compiled.lock().len() <= CAPACITY);
        }
        for (n, regex) in used.iter().enumerate() {
            assert!(Arc::ptr_eq(regex, &cache.get(&format!("u{n}")).unwrap()));
        }
    }

    #[test]
    fn where_all_are_used_more_still_work() {
        let cache = RegexCache::default();
        let used: Vec<_> = (0..=CAPACITY).map(|n| cache.get(&format!("u{n}")).unwrap()).collect();
        assert!(used[CAPACITY].is_match("u1000"));
        assert_eq!(cache.compiled.lock().len(), CAPACITY);
    }
}
