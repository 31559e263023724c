//! Random changes of inputs, the same in every run.

use fastrand::Rng;

/// What the targets' inputs are made of.
const WORDS: &[&str] = &[
    "\"",
    "\\",
    "\\ud800",
    "\\u0000",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\n",
    "null",
    "true",
    "false",
    "-1",
    "1e400",
    "4102444800",
    "*",
    "#regex:",
    "(a|b)*",
    "hotsock.subscribe",
    "hotsock.unsubscribe",
    "\"event\"",
    "\"channel\"",
    "\"data\"",
    "\"channels\"",
    "\"messages\"",
    "\"subscribe\"",
    "\"publish\"",
    "\"autoSubscribe\":true",
    "\"alias\":\"a\"",
    "room.1",
    "lobby",
    "wall",
    "presence.",
    "{{member}}",
    "{{once}}",
    "\u{1f44d}",
    "\u{0}",
    "\u{ff}",
];
const MAX_CHANGES: usize = 4;
const MAX_BYTES: usize = 8 << 10;

pub struct Mutator {
    rng: Rng,
    seeds: Vec<Vec<u8>>,
}

impl Mutator {
    pub fn new(start: u64, seeds: Vec<(String, Vec<u8>)>) -> Self {
        let seeds = seeds.into_iter().map(|(_, seed)| seed).collect();
        Self { rng: Rng::with_seed(start), seeds }
    }

    /// A seed with a few changes.
    pub fn next(&mut self) -> Vec<u8> {
        let mut input = self.seed().to_vec();
        for _ in 0..self.rng.usize(1..=MAX_CHANGES) {
            self.change(&mut input);
        }
        input.truncate(MAX_BYTES);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let from = self.rng.usize(0..=input.len());
        let to = self.rng.usize(from..=input.len().min(from + 32));
        match self.rng.u8(0..7) {
            0 => drop(input.drain(from..to)),
            1 => {
                let again = input[from..to].to_vec();
                input.splice(to..to, again);
            }
            2 => {
                let word = WORDS[self.rng.usize(0..WORDS.len())];
                input.splice(from..from, word.bytes());
            }
            3 => {
                let word = WORDS[self.rng.usize(0..WORDS.len())];
                input.splice(from..to, word.bytes());
            }
            4 => {
                // The rest of another seed, or its beginning.
                let other = self.seed().to_vec();
                let at = self.rng.usize(0..=other.len());
                if self.rng.bool() {
                    input.splice(from.., other[at..].iter().copied());
                } else {
                    input.splice(..from, other[..at].iter().copied());
                }
            }
            5 => {
                let byte = self.rng.u8(..);
                if let Some(place) = input.get_mut(from) {
                    *place = byte;
                }
            }
            _ => {
                let bit = self.rng.u8(0..8);
                if let Some(place) = input.get_mut(from) {
                    *place ^= 1 << bit;
                }
            }
        }
    }

    fn seed(&mut self) -> &[u8] {
        &self.seeds[self.rng.usize(0..self.seeds.len())]
    }
}
