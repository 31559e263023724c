//! Compiled regular expressions.
//!
//! They are matched by an NFA alone: an expression of a key takes under 1 KiB and some
//! microseconds to compile, where an engine with all its searchers takes 10 KiB and 20 times as
//! long. Each is asked about few and short names, whose answers are kept, so that the speed of
//! searching counts for less.

use super::regex_dialect::{Translated, translate};
use crate::protocol::names;
use regex_automata::nfa::thompson::backtrack::{BoundedBacktracker, Cache, Config};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::syntax;
use std::cell::RefCell;

/// Bytes of a compiled expression; a class such as `\pL` takes about 16,000.
const MAX_BYTES: usize = 128 << 10;
/// Bytes of the longest names that there are.
const MAX_NAME: usize = 4 * names::MAX_CHANNEL_CHARS;
/// Bytes of the memory that a thread matches with. It suffices for every name and expression.
const SCRATCH: usize = 1 << 20;
/// What a large class counts as, beside its bytes: it takes as long to compile.
const LARGE_CLASS: usize = 4 << 10;

/// A regular expression, unanchored as written.
#[derive(Debug)]
pub(super) struct Regex {
    engine: BoundedBacktracker,
    cost: usize,
}

thread_local! {
    static CACHE: RefCell<Option<Cache>> = const { RefCell::new(None) };
}

impl Regex {
    /// Compiles an expression in RE2's syntax; the error says what is wrong with it.
    pub(super) fn new(source: &str) -> Result<Self, String> {
        let Translated { pattern, large_classes } = translate(source)?;
        let thompson = thompson::Config::new()
            .nfa_size_limit(Some(MAX_BYTES))
            .which_captures(WhichCaptures::None)
            // Lets nothing match in the middle of a character, which an ASCII `\B` alone would.
            .utf8(true);
        let engine = BoundedBacktracker::builder()
            .configure(Config::new().visited_capacity(SCRATCH))
            .syntax(syntax::Config::new().utf8(false))
            .thompson(thompson)
            .build(&pattern)
            .map_err(|error| match error.size_limit() {
                Some(_) => "it is too large when compiled".to_owned(),
                None => "it can't be compiled".to_owned(),
            })?;
        if engine.max_haystack_len() < MAX_NAME {
            return Err("it is too large when compiled".to_owned());
        }
        let cost = engine.get_nfa().memory_usage() + LARGE_CLASS * large_classes;
        Ok(Self { engine, cost })
    }

    /// What it costs to compile and to keep, in bytes.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    /// Whether it matches anywhere in a name. Takes time linear in the name.
    pub(super) fn is_match(&self, name: &str) -> bool {
        CACHE.with_borrow_mut(|cache| {
            let cache = cache.get_or_insert_with(|| self.engine.create_cache());
            self.engine.reset_cache(cache);
            // The only error is a text longer than any name.
            self.engine.try_is_match(cache, name).unwrap_or(false)
        })
    }
}
