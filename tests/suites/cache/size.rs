//! How much the cache keeps.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use crate::folder::{Folder, loaded};

/// Bytes of one entry of these tests.
async fn one_entry() -> u64 {
    let folder = Folder::new();
    loaded(&folder.start().unwrap(), 1).await;
    folder.bytes()
}

/// Enforced by `Cache::evict`: the least recently used go first.
#[tokio::test]
async fn the_least_recently_used_entries_go_first() {
    let size = one_entry().await;
    let folder = Folder::of_size(size * 3 + size / 2);
    let runtime = folder.start().unwrap();
    for number in 1..=3 {
        assert!(!loaded(&runtime, number).await);
    }
    // Written in the same moment as far as some file systems know.
    for (age, path) in folder.entries().iter().rev().enumerate() {
        let time = SystemTime::now() - Duration::from_secs(60 + age as u64);
        File::open(path).unwrap().set_modified(time).unwrap();
    }
    assert!(loaded(&runtime, 1).await, "which makes it the newest");
    let unused: Vec<_> = folder.entries()[..2].to_vec();
    assert_ne!(folder.entries()[2], unused[0]);
    assert!(!loaded(&runtime, 4).await);
    assert_eq!(folder.entries().len(), 3);
    assert!(folder.bytes() <= size * 3 + size / 2);
    assert!(!unused[0].exists(), "it was not used for the longest time");
    assert!(unused[1].exists(), "there is room for it");
    assert!(loaded(&runtime, 1).await && loaded(&runtime, 4).await);
}

/// Enforced by `Cache::put`.
#[tokio::test]
async fn an_entry_larger_than_the_whole_cache_is_not_kept() {
    let size = one_entry().await;
    for (max_bytes, kept) in [(size, true), (size - 1, false), (0, false)] {
        let folder = Folder::of_size(max_bytes);
        let runtime = folder.start().unwrap();
        assert!(!loaded(&runtime, 1).await);
        assert_eq!(loaded(&runtime, 1).await, kept, "{max_bytes} of {size} bytes");
        assert_eq!(folder.entries().len(), usize::from(kept));
    }
}

/// What others put into the folder is never more than the limit for long.
#[tokio::test]
async fn strange_files_count_and_are_evicted() {
    let size = one_entry().await;
    let folder = Folder::of_size(size * 2);
    let runtime = folder.start().unwrap();
    let strange = folder.entries_dir().join("strange");
    fs::write(&strange, vec![0; usize::try_from(size * 2).unwrap()]).unwrap();
    File::open(&strange)
        .unwrap()
        .set_modified(SystemTime::now() - Duration::from_secs(60))
        .unwrap();
    assert!(!loaded(&runtime, 1).await);
    assert!(!strange.exists());
    assert!(folder.bytes() <= size * 2);
}
