//! Opening what can't be opened.

use fanfare_storage::{Durability, Error, ErrorKind, Storage};
use fanfare_storage_redb::RedbStorage;
use std::fs;

fn text(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}

#[tokio::test]
async fn an_open_store_is_refused_until_it_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let storage = RedbStorage::open(dir.path()).unwrap();
    for durability in [Durability::Synced, Durability::Written] {
        let error = RedbStorage::builder().durability(durability).open(dir.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(text(&error).contains("is open already"), "{}", text(&error));
        assert!(text(&error).contains(dir.path().to_str().unwrap()), "{}", text(&error));
    }
    storage.close().await.unwrap();
    let _storage = RedbStorage::open(dir.path()).unwrap();
}

#[test]
fn a_directory_that_can_not_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "no directory").unwrap();
    for dir in [file.clone(), file.join("below")] {
        let error = RedbStorage::open(&dir).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(!error.is_retryable());
        assert!(text(&error).contains(dir.to_str().unwrap()), "{}", text(&error));
    }
    let taken = dir.path().join("taken");
    fs::create_dir_all(taken.join(RedbStorage::FILE_NAME)).unwrap();
    assert_eq!(RedbStorage::open(&taken).unwrap_err().kind(), ErrorKind::Unavailable);
}

#[test]
fn directories_are_made() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("a/b/c");
    drop(RedbStorage::open(&deep).unwrap());
    assert!(deep.join(RedbStorage::FILE_NAME).is_file());
}

#[test]
fn a_file_of_another_kind_is_corrupt() {
    for content in [&b"this is no database"[..], &[0; 5000], &[0xFF; 100_000]] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(RedbStorage::FILE_NAME), content).unwrap();
        let error = RedbStorage::open(dir.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{}", text(&error));
        let left = fs::read(dir.path().join(RedbStorage::FILE_NAME)).unwrap();
        assert!(left == content, "the file was changed");
    }
}

#[tokio::test]
async fn another_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    RedbStorage::open(dir.path()).unwrap().close().await.unwrap();
    {
        let database = redb::Database::open(dir.path().join(RedbStorage::FILE_NAME)).unwrap();
        let write = database.begin_write().unwrap();
        let table = redb::TableDefinition::<&[u8], &[u8]>::new("fanfare");
        let future = 7_u32.to_be_bytes();
        write.open_table(table).unwrap().insert(&b"mformat"[..], &future[..]).unwrap();
        write.commit().unwrap();
    }
    let error = RedbStorage::open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format);
    assert!(!error.is_retryable());
    assert!(text(&error).contains("format 7"), "{}", text(&error));
}

#[tokio::test]
async fn settings_open_the_same_store() {
    let dir = tempfile::tempdir().unwrap();
    let builders = [
        RedbStorage::builder(),
        RedbStorage::builder().quick_repair(true).check_integrity(true),
        RedbStorage::builder().durability(Durability::Lazy).cache_bytes(0),
        RedbStorage::builder().durability(Durability::Written).quick_repair(true),
    ];
    for (number, builder) in (1..).zip(builders) {
        let storage = builder.open(dir.path()).unwrap();
        let id = fanfare_storage::MessageId::from_u128(number);
        storage.raise_high_water(id).await.unwrap();
        assert_eq!(storage.high_water().await.unwrap(), Some(id));
        storage.close().await.unwrap();
    }
    let volatile = RedbStorage::builder().durability(Durability::Volatile).open(dir.path());
    assert_eq!(volatile.unwrap().capabilities().durability, Durability::Lazy);
}
