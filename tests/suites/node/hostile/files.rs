//! Whoever floods the file system.

use std::fs;
use std::path::Path;

use odeon::LimitsPatch;

use super::{Clock, FILES, TIME, all_end_afresh, load_all, small, stopped, told};
use crate::host::ephemeral;

/// Falls with `Disk` and `Opened::take`, and with `drive::watch` for those who
/// only keep the disk busy. What is on the disk in the end is what was allowed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_whoever_floods_the_file_system_ends() {
    const WRITTEN: u64 = 1 << 20;
    const LARGEST: u64 = 512 << 10;
    let far = format!("\"/data\", \"far\", {}, [1]", u64::MAX / 2);
    let huge = format!("\"/data\", \"huge\", {}", u64::MAX);
    let rows = [
        told(
            FILES,
            "fill.write-forever",
            "\"/data\", \"a\", 4096",
            "file-too-large",
        ),
        told(FILES, "fill.overwrite-forever", "\"/data\", \"b\", 4096", "quota"),
        told(
            FILES,
            "fill.stream-forever",
            "\"/data\", \"c\", 4096",
            "file-too-large",
        ),
        told(
            FILES,
            "fill.append-forever",
            "\"/data\", \"appended\", 4096",
            "file-too-large",
        ),
        told(
            FILES,
            "fill.zeroes-forever",
            "\"/data\", \"e\", 4096",
            "file-too-large",
        ),
        told(
            FILES,
            "fill.create-forever",
            "\"/data\", \"f\"",
            "done: 10, error: \"quota\"",
        ),
        told(
            FILES,
            "fill.directories-forever",
            "\"/data\", \"g\"",
            "done: 10, error: \"quota\"",
        ),
        told(
            FILES,
            "fill.symlinks-forever",
            "\"/data\", \"h\"",
            "done: 10, error: \"quota\"",
        ),
        told(
            FILES,
            "fill.deep-directories",
            "\"/data\", 1000",
            "done: 10, error: \"quota\"",
        ),
        told(
            FILES,
            "fill.open-forever",
            "\"/data\", \"large\"",
            "done: 7, error: \"quota\"",
        ),
        told(
            FILES,
            "fill.streams-forever",
            "\"/data\", \"large\"",
            "done: 7, error: \"quota\"",
        ),
        told(
            FILES,
            "fill.listings-forever",
            "\"/data\"",
            "done: 7, error: \"quota\"",
        ),
        told(FILES, "fill.set-size", huge, "file-too-large"),
        told(FILES, "fill.write-at", far.clone(), "file-too-large"),
        told(FILES, "fill.stream-at", far, "file-too-large"),
        told(FILES, "fill.long-name", "\"/data\", 100000", "name-too-long"),
        told(FILES, "fill.long-path", "\"/data\", 100000", "name-too-long"),
        stopped(FILES, "fill.read-forever", "\"/data\", \"large\", 65536", TIME),
        stopped(
            FILES,
            "fill.read-stream-forever",
            "\"/data\", \"large\", 65536",
            TIME,
        ),
        stopped(FILES, "fill.sync-forever", "\"/data\", \"i\"", TIME),
        stopped(FILES, "fill.open-again", "\"/data\", \"large\", 4294967295", TIME),
    ];
    // In memory: what a disk does is another test's.
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    fs::File::create(folder.path().join("large"))
        .unwrap()
        .set_len(64 << 20)
        .unwrap();
    let limits = LimitsPatch {
        fs_bytes_written: Some("1MiB".parse().unwrap()),
        fs_file_size: Some("512KiB".parse().unwrap()),
        fs_files_created: Some(10),
        open_files: Some(8),
        ..small()
    };
    let grant = format!("fs={}::/data,rw", folder.path().display());
    let host = ephemeral();
    load_all(&host, &rows, &[&grant], &limits, None).await;
    all_end_afresh(&host, &rows, Clock::Wall, || clear(folder.path())).await;
    let mut written = 0;
    for entry in fs::read_dir(folder.path()).unwrap() {
        let (name, metadata) = entry
            .map(|entry| (entry.file_name(), entry.metadata().unwrap()))
            .unwrap();
        if metadata.is_file() && name != "large" {
            assert!(metadata.len() <= LARGEST, "{name:?} has {} bytes", metadata.len());
            written += metadata.len();
        }
    }
    let floods = 6;
    assert!(written <= floods * WRITTEN, "{written}");
}

/// Takes away what rows have made: each of them makes its own.
fn clear(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_name() == "large" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            fs::remove_dir_all(entry.path()).unwrap();
        } else {
            fs::remove_file(entry.path()).unwrap();
        }
    }
}
