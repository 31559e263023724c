use super::{Disk, NOW, ids, open, publish};
use fanfare_storage::{Durability, ErrorKind, Storage};
use std::io;

#[tokio::test]
async fn a_full_disk_refuses_writes_until_there_is_room() {
    for durability in [Durability::Synced, Durability::Lazy] {
        let disk = Disk::default();
        let storage = open(&disk, durability).unwrap();
        storage.commit("room", publish(1, 100), NOW).await.unwrap();
        disk.set_fault(Some(io::ErrorKind::StorageFull));
        for _ in 0..3 {
            // Large enough that a lazy store can't keep it in its cache.
            let commit = storage.commit("room", publish(2, 4 * 1024 * 1024), NOW).await;
            assert_eq!(commit.unwrap_err().kind(), ErrorKind::Full);
        }
        disk.set_fault(None);
        let before = ids(&storage, "room").await.unwrap();
        assert_eq!(before, if durability == Durability::Synced { vec![1] } else { vec![] });
        storage.commit("room", publish(3, 100), NOW).await.unwrap();
        let after = ids(&storage, "room").await.unwrap();
        assert_eq!(after, [before, vec![3]].concat());
        storage.close().await.unwrap();
        let storage = open(&disk, durability).unwrap();
        assert_eq!(ids(&storage, "room").await.unwrap(), after);
    }
}

#[tokio::test]
async fn a_failed_sync_is_no_acknowledgement() {
    let disk = Disk::default();
    let storage = open(&disk, Durability::Synced).unwrap();
    storage.commit("room", publish(1, 100), NOW).await.unwrap();
    disk.set_sync_fault(Some(io::ErrorKind::Other));
    let error = storage.commit("room", publish(2, 100), NOW).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_retryable());
    disk.set_sync_fault(None);
    // Whether the second shows is open; the first does, and the store works.
    assert_eq!(ids(&storage, "room").await.unwrap()[0], 1);
    storage.commit("room", publish(3, 100), NOW).await.unwrap();
    assert_eq!(ids(&storage, "room").await.unwrap().last(), Some(&3));
}

#[tokio::test]
async fn damage_is_an_error_and_no_panic() {
    let disk = Disk::default();
    let storage = open(&disk, Durability::Synced).unwrap();
    for number in 1..=200 {
        storage.commit("room", publish(number, 200), NOW).await.unwrap();
    }
    storage.close().await.unwrap();
    let size = disk.size();
    let mut errors = 0;
    for offset in (0..size).step_by(size / 60) {
        let damaged = disk.after_power_cut(|| true);
        damaged.damage(offset, &[0xA5; 600]);
        errors += usize::from(read_and_write(&damaged).await.is_err());
        let cut = disk.after_power_cut(|| true);
        cut.truncate(offset);
        // An empty file is a new store.
        if offset > 0 {
            errors += usize::from(read_and_write(&cut).await.is_err());
        }
    }
    assert!(errors > 60, "only {errors} of 120 damages were noticed");
}

async fn read_and_write(disk: &Disk) -> fanfare_storage::Result<()> {
    let storage = open(disk, Durability::Synced)?;
    let found = ids(&storage, "room").await?;
    storage.commit("room", publish(1000, 200), NOW).await?;
    storage.close().await?;
    assert_eq!(found, (1..=200).collect::<Vec<_>>(), "damage changed what is read");
    Ok(())
}

#[test]
fn another_programs_file_is_refused_and_left_alone() {
    let disk = Disk::default();
    {
        let database = redb::Database::builder().create_with_backend(disk.clone()).unwrap();
        let write = database.begin_write().unwrap();
        let table = redb::TableDefinition::<u64, u64>::new("theirs");
        write.open_table(table).unwrap().insert(1, 2).unwrap();
        write.commit().unwrap();
    }
    let before = disk.size();
    let error = open(&disk, Durability::Synced).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format, "{error}");
    assert_eq!(disk.size(), before);
}
