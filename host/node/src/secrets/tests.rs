//! Secrets are read when they are revealed, only from the owner's own files, and up to their size.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use odeon_runtime::{SecretError, SecretSource as _};

use super::{AGAIN, MAX_SECRET, SecretFiles};

fn secret(folder: &tempfile::TempDir, name: &str, bytes: &[u8], mode: u32) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

#[test]
fn a_secret_is_read_when_it_is_revealed_and_only_from_a_file_of_the_owners_own() {
    let folder = tempfile::tempdir().unwrap();
    let own = secret(&folder, "own", b"mine", 0o600);
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&own, &link).unwrap();
    let files: BTreeMap<String, PathBuf> = [
        ("own", own.clone()),
        ("exposed", secret(&folder, "exposed", b"all's", 0o640)),
        ("link", link),
        ("absent", folder.path().join("absent")),
        ("folder", folder.path().to_owned()),
    ]
    .map(|(name, path)| (name.to_owned(), path))
    .into();
    let host: BTreeMap<String, PathBuf> = [
        ("own".to_owned(), secret(&folder, "hosts", b"the host's", 0o600)),
        ("shared".to_owned(), secret(&folder, "shared", b"ours", 0o400)),
    ]
    .into();
    let source = SecretFiles::new(files, Arc::new(host));
    assert_eq!(
        **source.reveal("own").unwrap(),
        *b"mine",
        "a plugin's own file counts first"
    );
    assert_eq!(**source.reveal("shared").unwrap(), *b"ours");
    std::fs::write(&own, b"changed").unwrap();
    assert_eq!(**source.reveal("own").unwrap(), *b"changed");
    for unusable in ["exposed", "link", "absent", "folder"] {
        assert_eq!(
            source.reveal(unusable),
            Err(SecretError::Unavailable),
            "{unusable}"
        );
    }
    assert_eq!(source.reveal("unknown"), Err(SecretError::NotFound));
}

#[test]
fn a_secret_has_so_many_bytes_and_not_one_more() {
    let folder = tempfile::tempdir().unwrap();
    let most = usize::try_from(MAX_SECRET).unwrap();
    let files: BTreeMap<String, PathBuf> = [
        ("at".to_owned(), secret(&folder, "at", &vec![7; most], 0o600)),
        (
            "over".to_owned(),
            secret(&folder, "over", &vec![7; most + 1], 0o600),
        ),
    ]
    .into();
    let source = SecretFiles::new(files, Arc::default());
    assert_eq!(source.reveal("at").unwrap().len(), most);
    assert_eq!(source.reveal("over"), Err(SecretError::Unavailable));
}

#[test]
fn the_operator_is_told_of_a_secret_once_a_minute() {
    let source = SecretFiles::new(BTreeMap::new(), Arc::default());
    let now = std::time::Instant::now();
    assert!(source.tell("a", now));
    assert!(!source.tell("a", now + AGAIN / 2));
    assert!(source.tell("b", now), "another secret is another matter");
    assert!(source.tell("a", now + AGAIN));
}
