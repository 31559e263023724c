//! The broker's own keys: made once, kept in files that only their owner reads.

use crate::failure::Failure;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::{fs, io};

/// What a key file may have at most; a private or public key as PEM is a tenth of it.
const MAX_FILE: u64 = 64 * 1024;

/// The text of a key file that an option names, without the white space around it.
///
/// # Errors
///
/// Fails with what went wrong where the file can't be read, is empty, is not text, or is larger
/// than any key.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    use io::Read as _;
    let shown = path.display();
    let mut text = String::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text))
        .map_err(|error| format!("the key file {shown} can't be read: {error}"))?;
    if text.len() as u64 > MAX_FILE {
        return Err(format!("the key file {shown} is larger than any key"));
    }
    match text.trim() {
        "" => Err(format!("the key file {shown} is empty")),
        text => Ok(text.to_owned()),
    }
}

/// Makes a directory that only its owner can enter, unless it is there.
pub(crate) fn make_directory(path: &Path) -> Result<(), Failure> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| {
        Failure::machine(format_args!("the directory {} can't be made", path.display()), &error)
    })
}

/// The text of the key file at `path`, which is made of 256 random bits where it is missing.
pub(crate) fn read_or_make(path: &Path) -> Result<String, Failure> {
    if !path.exists() {
        make(path).map_err(|error| {
            Failure::machine(format_args!("the key file {} can't be made", path.display()), &error)
        })?;
    }
    warn_where_others_can_read(path);
    read(path).map_err(|problem| {
        Failure::Machine(format!("{problem}; without the file, the broker makes a new one"))
    })
}

/// Writes a new key. The file appears whole, with its final mode, and never replaces one that
/// another process made at the same moment.
fn make(path: &Path) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut key = [0; 32];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| io::Error::other("no randomness"))?;
    // Mode 0600 from its creation on.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    writeln!(file, "{}", BASE64_URL_SAFE_NO_PAD.encode(key))?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => fs::File::open(directory)?.sync_all(),
        Err(lost) if lost.error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(failed) => Err(failed.error),
    }
}

#[cfg(unix)]
fn warn_where_others_can_read(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o077 != 0 {
        tracing::warn!("other users can read {}; say chmod 600 to it", path.display());
    }
}

#[cfg(not(unix))]
fn warn_where_others_can_read(_path: &Path) {}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_key_is_made_once_and_private() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("a/b");
        make_directory(&directory).unwrap();
        assert_eq!(mode(&directory), 0o700);
        let path = directory.join("key");
        let key = read_or_make(&path).unwrap();
        assert_eq!(BASE64_URL_SAFE_NO_PAD.decode(&key).unwrap().len(), 32);
        assert_eq!(mode(&path), 0o600);
        assert_eq!(read_or_make(&path).unwrap(), key);
        assert_ne!(read_or_make(&directory.join("other")).unwrap(), key);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 2, "nothing is left over");
    }

    #[test]
    fn all_who_make_a_key_at_once_get_the_same() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("key");
        let keys: Vec<String> = std::thread::scope(|scope| {
            let makers: Vec<_> =
                (0..16).map(|_| scope.spawn(|| read_or_make(&path).unwrap())).collect();
            makers.into_iter().map(|maker| maker.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn files_that_hold_no_key() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("key");
        let problem = |content: &[u8]| {
            fs::write(&path, content).unwrap();
            read(&path).unwrap_err()
        };
        assert!(problem(b" \n").contains("is empty"));
        assert!(problem(&[0xff, 0xfe]).contains("can't be read"));
        assert!(problem(&vec![b'a'; 70_000]).contains("larger"));
        assert!(read(&home.path().join("absent")).unwrap_err().contains("can't be read"));
        fs::write(&path, "").unwrap();
        assert!(matches!(read_or_make(&path), Err(Failure::Machine(_))), "nothing is replaced");
    }
}
