//! Opening what can't be opened.

use fanfare_storage::{Durability, Error, ErrorKind, Storage};
use fanfare_storage_sled::SledStorage;
use std::fs;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

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
    let storage = SledStorage::open(dir.path()).unwrap();
    let error = SledStorage::open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(text(&error).contains("is open already"), "{}", text(&error));
    assert!(text(&error).contains(dir.path().to_str().unwrap()), "{}", text(&error));
    storage.close().await.unwrap();
    let _storage = SledStorage::open(dir.path()).unwrap();
}

/// As threads of the engine's own do, of a store that was closed.
#[test]
fn a_store_that_is_locked_for_a_moment_is_opened_then() {
    let dir = tempfile::tempdir().unwrap();
    let storage = SledStorage::open(dir.path()).unwrap();
    let (about_to_open, is_about_to_open) = mpsc::channel();
    let opener = thread::spawn({
        let path = dir.path().to_owned();
        move || {
            about_to_open.send(()).unwrap();
            SledStorage::open(path)
        }
    });
    is_about_to_open.recv().unwrap();
    // Time enough to find the lock, most often.
    thread::sleep(Duration::from_millis(100));
    drop(storage);
    assert!(opener.join().unwrap().is_ok());
}

#[test]
fn a_directory_that_can_not_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "no directory").unwrap();
    for dir in [file.clone(), file.join("below")] {
        let error = SledStorage::open(&dir).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(!error.is_retryable());
        assert!(text(&error).contains(dir.to_str().unwrap()), "{}", text(&error));
    }
}

#[test]
fn directories_are_made() {
    let dir = tempfile::tempdir().unwrap();
    drop(SledStorage::open(dir.path().join("a/b/c")).unwrap());
    assert!(dir.path().join("a/b/c/db").is_file());
}

#[tokio::test]
async fn another_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    SledStorage::open(dir.path()).unwrap().close().await.unwrap();
    {
        let database = sled::open(dir.path()).unwrap();
        database.insert("mformat", &7_u32.to_be_bytes()).unwrap();
    }
    let error = SledStorage::open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format);
    assert!(!error.is_retryable());
    assert!(text(&error).contains("format 7"), "{}", text(&error));
}

#[test]
fn another_programs_store_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    {
        let database = sled::open(dir.path()).unwrap();
        database.insert("theirs", "value").unwrap();
    }
    assert_eq!(SledStorage::open(dir.path()).unwrap_err().kind(), ErrorKind::Format);
}

/// sled may take a foreign file for an empty one; it must not panic or hang.
#[test]
fn files_of_another_kind_do_not_panic() {
    for content in [&b"this is no database"[..], &[0; 5000], &[0xFF; 2_000_000]] {
        for name in ["db", "conf"] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join(name), content).unwrap();
            drop(SledStorage::open(dir.path()));
        }
    }
}

#[tokio::test]
async fn durability_is_never_exaggerated() {
    for (asked, given) in [
        (Durability::Volatile, Durability::Lazy),
        (Durability::Lazy, Durability::Lazy),
        (Durability::Written, Durability::Written),
        (Durability::Synced, Durability::Written),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let storage = SledStorage::builder().durability(asked).open(dir.path()).unwrap();
        assert_eq!(storage.capabilities().durability, given);
    }
}
