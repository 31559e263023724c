use super::*;
use crate::kv::{Changes, KeyRange, Visit};
use crate::{ErrorKind, Order};
use bytes::Bytes;
use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;

/// An engine with as many records as somebody wants to look at.
#[derive(Default)]
struct Endless {
    is_busy: AtomicBool,
    asks_its_disk: AtomicBool,
}

struct EndlessView {
    may_have_waited: bool,
}

impl Engine for Endless {
    fn view(&self) -> Result<Box<dyn View + '_>> {
        Ok(Box::new(EndlessView { may_have_waited: self.asks_its_disk.load(Ordering::Relaxed) }))
    }

    fn view_now(&self) -> Option<Result<Box<dyn View + '_>>> {
        (!self.is_busy.load(Ordering::Relaxed)).then(|| self.view())
    }

    fn apply(&self, _: &Changes) -> Result<()> {
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }
}

impl View for EndlessView {
    fn get(&self, _: &[u8]) -> Result<Option<Bytes>> {
        Ok(None)
    }

    fn scan(&self, _: &KeyRange, _: Order, visit: &mut Visit<'_>) -> Result<()> {
        while visit(b"key", &[0; 100])?.is_continue() {}
        Ok(())
    }

    fn may_have_waited(&self) -> bool {
        self.may_have_waited
    }
}

/// At most one read in place, of which one is slow that takes longer than so.
fn reads(slow: Duration) -> (DirectReads, Arc<Endless>) {
    let engine = Arc::<Endless>::default();
    let dyn_engine: Arc<dyn Engine> = engine.clone();
    let pace = Arc::new(Pace::new(slow));
    (DirectReads { pace, ..DirectReads::new(&dyn_engine, 1) }, engine)
}

fn is_in_place(reads: &DirectReads) -> bool {
    reads.try_run(|_| Ok(())).is_some_and(|result| result.is_ok())
}

#[test]
fn only_a_free_engine_is_read_in_place() {
    let (reads, engine) = reads(Duration::MAX);
    assert!(is_in_place(&reads));
    engine.is_busy.store(true, Ordering::Relaxed);
    assert!(!is_in_place(&reads));
    engine.is_busy.store(false, Ordering::Relaxed);
    assert!(is_in_place(&reads));
    drop(engine);
    assert!(!is_in_place(&reads), "the engine is gone");
}

#[test]
fn no_more_than_so_many_are_in_place_at_a_time() {
    let (reads, _engine) = reads(Duration::MAX);
    for _ in 0..3 {
        let within = reads.try_run(|_| Ok(is_in_place(&reads)));
        assert!(!within.unwrap().unwrap());
        assert!(is_in_place(&reads), "its turn is given back");
    }
}

#[test]
fn a_read_that_panics_fails_and_gives_its_turn_back() {
    let (reads, _engine) = reads(Duration::MAX);
    let panics = |_: &dyn View| -> Result<()> { panic!("as the test wants") };
    assert_eq!(reads.try_run(panics).unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(is_in_place(&reads));
}

#[test]
fn after_a_slow_read_others_are_elsewhere_for_a_while() {
    let (reads, engine) = reads(Duration::ZERO);
    engine.asks_its_disk.store(true, Ordering::Relaxed);
    assert!(is_in_place(&reads));
    // The pause of so short a read is over soon.
    while !is_in_place(&reads) {
        std::thread::yield_now();
    }
    reads.pace.note(Duration::from_secs(3600));
    assert!(!is_in_place(&reads));
}

#[test]
fn a_slow_read_elsewhere_counts_too() {
    let (reads, engine) = reads(Duration::from_micros(1));
    engine.asks_its_disk.store(true, Ordering::Relaxed);
    let view = engine.view().unwrap();
    let start = Instant::now();
    reads.pace.run(start, &*view, |_| while start.elapsed() < Duration::from_micros(10) {});
    assert!(reads.pace.slow_until.load(Ordering::Relaxed) >= 1_000, "a hundred times as long");
}

#[test]
fn a_read_that_asked_no_disk_is_not_slow() {
    let (reads, _engine) = reads(Duration::ZERO);
    for _ in 0..100 {
        assert!(is_in_place(&reads));
    }
}

/// A read that looks at so many records of 103 bytes.
fn looking_at(records: usize) -> impl Fn(&dyn View) -> Result<usize> {
    move |view| {
        let mut seen = 0;
        let range = KeyRange { start: Vec::new(), end: Vec::new() };
        view.scan(&range, Order::Ascending, &mut |_, _| {
            seen += 1;
            Ok(if seen < records { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        Ok(seen)
    }
}

#[test]
fn long_reads_are_done_elsewhere() {
    let (reads, _engine) = reads(Duration::MAX);
    assert_eq!(reads.try_run(looking_at(2_048)).unwrap().unwrap(), 2_048);
    assert!(reads.try_run(looking_at(2_049)).is_none());
    assert!(is_in_place(&reads), "short ones are not");
    let large = |view: &dyn View| -> Result<usize> {
        let mut bytes = 0;
        let range = KeyRange { start: Vec::new(), end: Vec::new() };
        view.scan(&range, Order::Ascending, &mut |_, value| {
            bytes += value.len();
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(bytes)
    };
    // Also where the read makes something else of the error.
    assert!(reads.try_run(|view| Ok(large(view).unwrap_or_default())).is_none());
}

#[test]
fn a_read_that_waits_for_long_is_given_up_in_between() {
    let (reads, engine) = reads(Duration::ZERO);
    engine.asks_its_disk.store(true, Ordering::Relaxed);
    assert!(reads.try_run(looking_at(100)).is_none());
}

#[test]
fn pauses_are_bounded() {
    let pace = Pace::new(SLOW);
    pace.note(SLOW);
    assert!(pace.is_fast());
    pace.note(Duration::MAX);
    assert!(!pace.is_fast());
    let end = micros(pace.start.elapsed() + MAX_PAUSE);
    assert!(pace.slow_until.load(Ordering::Relaxed) <= end);
}
