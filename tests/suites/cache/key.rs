//! The host's key: its own file, readable by nobody else.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use odeon_runtime::{CacheError, StartError};

use crate::folder::{Folder, loaded};

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn key_and_folder_are_made_private() {
    let folder = Folder::new();
    let runtime = folder.start().unwrap();
    assert_eq!(mode(&folder.key_file()), 0o600);
    assert_eq!(mode(&folder.entries_dir()), 0o700);
    loaded(&runtime, 1).await;
    assert_eq!(mode(&folder.entry()) & 0o077, 0, "an entry is as private");
}

/// Enforced by `cache::host_key`.
#[test]
fn a_key_that_others_can_read_is_refused() {
    let folder = Folder::new();
    drop(folder.start().unwrap());
    for mode in [0o640, 0o604, 0o660, 0o666, 0o610] {
        fs::set_permissions(folder.key_file(), Permissions::from_mode(mode)).unwrap();
        match folder.start().map(|_| ()).unwrap_err() {
            StartError::Cache(CacheError::KeyExposed { mode: found }) => assert_eq!(found, mode),
            other => panic!("{mode:o}: {other}"),
        }
    }
    fs::set_permissions(folder.key_file(), Permissions::from_mode(0o600)).unwrap();
    assert!(folder.start().is_ok());
}

#[test]
fn a_key_that_is_a_link_or_too_short_is_refused() {
    let folder = Folder::new();
    drop(folder.start().unwrap());
    fs::write(folder.key_file(), [7; 31]).unwrap();
    assert!(matches!(
        folder.start().map(|_| ()).unwrap_err(),
        StartError::Cache(CacheError::Io { .. })
    ));
    let elsewhere = folder.key_file().with_extension("elsewhere");
    fs::write(&elsewhere, [7; 32]).unwrap();
    fs::set_permissions(&elsewhere, Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(folder.key_file()).unwrap();
    std::os::unix::fs::symlink(&elsewhere, folder.key_file()).unwrap();
    assert!(matches!(
        folder.start().map(|_| ()).unwrap_err(),
        StartError::Cache(CacheError::Io { .. })
    ));
}
