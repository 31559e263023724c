use super::{Disk, NOW, ids, open, publish};
use fanfare_storage::{Durability, Storage};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// A sequence of commits with the power cut between and within them; after each cut, everything
/// acknowledged must be there.
#[test]
fn what_was_acknowledged_survives_power_cuts() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut config = Config { failure_persistence: None, ..Config::default() };
    config.cases = config.cases.min(32);
    let sizes = prop::collection::vec(prop_oneof![9 => 0..500usize, 1 => 0..20_000usize], 1..30);
    let runs = prop::collection::vec((sizes, any::<u64>()), 1..4);
    TestRunner::new(config)
        .run(&runs, |runs| {
            runtime.block_on(async {
                let mut disk = Disk::default();
                let mut acknowledged = Vec::new();
                for (sizes, seed) in runs {
                    disk = run(&disk, &sizes, seed, &mut acknowledged).await?;
                }
                Ok(())
            })
        })
        .unwrap();
}

async fn run(
    disk: &Disk,
    sizes: &[usize],
    seed: u64,
    acknowledged: &mut Vec<u128>,
) -> Result<Disk, TestCaseError> {
    let storage = open(disk, Durability::Synced).unwrap();
    // What a cut within a commit left may show, whole, or not.
    let found = ids(&storage, "room").await.unwrap();
    prop_assert!(found.starts_with(acknowledged), "{found:?} where {acknowledged:?} was");
    prop_assert!(found.len() <= acknowledged.len() + 1);
    *acknowledged = found;

    let mut random = seed;
    let mut survives = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        random >> 63 == 1
    };
    for size in sizes {
        let next = acknowledged.last().map_or(1, |last| last + 1);
        storage.commit("room", publish(next, *size), NOW).await.unwrap();
        acknowledged.push(next);
        let cut = disk.after_power_cut(&mut survives);
        let reopened = open(&cut, Durability::Synced).unwrap();
        prop_assert_eq!(&ids(&reopened, "room").await.unwrap(), &*acknowledged);
    }
    // This one is cut while it is written.
    let next = acknowledged.last().map_or(1, |last| last + 1);
    let commit = storage.commit("room", publish(next, 3000), NOW);
    let cutting = async {
        tokio::task::yield_now().await;
        disk.after_power_cut(survives)
    };
    let (cut, _) = join(cutting, commit).await;
    Ok(cut)
}

/// Polls both, the second first, so that a commit is under way when the power is cut.
async fn join<A, B>(one: impl Future<Output = A>, other: impl Future<Output = B>) -> (A, B) {
    let (mut one, mut other) = (std::pin::pin!(one), std::pin::pin!(other));
    let (mut first, mut second) = (None, None);
    std::future::poll_fn(move |context| {
        if second.is_none()
            && let std::task::Poll::Ready(done) = other.as_mut().poll(context)
        {
            second = Some(done);
        }
        if first.is_none()
            && let std::task::Poll::Ready(done) = one.as_mut().poll(context)
        {
            first = Some(done);
        }
        match (first.take(), second.take()) {
            (Some(first), Some(second)) => std::task::Poll::Ready((first, second)),
            (one_done, other_done) => {
                (first, second) = (one_done, other_done);
                std::task::Poll::Pending
            }
        }
    })
    .await
}

#[tokio::test]
async fn lazy_stores_lose_the_end_but_not_the_store() {
    let disk = Disk::default();
    let storage = open(&disk, Durability::Lazy).unwrap();
    for number in 1..=50 {
        storage.commit("room", publish(number, 100), NOW).await.unwrap();
        let cut = disk.after_power_cut(|| number % 3 == 0);
        let found = ids(&open(&cut, Durability::Lazy).unwrap(), "room").await.unwrap();
        let expected: Vec<_> = (1..=found.len() as u128).collect();
        assert_eq!(found, expected, "a beginning of what was written");
    }
    storage.close().await.unwrap();
    let cut = disk.after_power_cut(|| false);
    let found = ids(&open(&cut, Durability::Lazy).unwrap(), "room").await.unwrap();
    assert_eq!(found.len(), 50, "closing syncs");
}
