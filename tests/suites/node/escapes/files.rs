//! Out of a granted directory.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};

use odeon::{Host, LimitsPatch};
use tempfile::TempDir;

use super::{all_denied, row};
use crate::host::{builder, load_with, state};

const SECRET: &str = "nobody may read this";

/// A granted folder, and one beside it that is nobody's business.
struct Yard {
    folder: TempDir,
    host: Host,
}

impl Yard {
    async fn new(access: &str) -> Self {
        let folder = state();
        let granted = folder.path().join("granted");
        fs::create_dir_all(granted.join("sub")).unwrap();
        fs::write(granted.join("hello"), "hello").unwrap();
        fs::create_dir(folder.path().join("outside")).unwrap();
        fs::write(folder.path().join("outside/secret"), SECRET).unwrap();
        symlink("../outside/secret", granted.join("planted")).unwrap();
        symlink("../outside", granted.join("folder")).unwrap();
        symlink("/proc/self/environ", granted.join("environ")).unwrap();
        let host = builder().state_dir(folder.path().join("state")).start().unwrap();
        let grant = format!("fs={}::/data{access}", granted.display());
        let limits = LimitsPatch {
            fs_file_size: Some("1MiB".parse().unwrap()),
            ..LimitsPatch::default()
        };
        load_with(&host, "guest-fs-escape", "escapes", &[&grant], limits).await;
        Yard { folder, host }
    }

    /// What is outside is as it was, and not one name more.
    fn assert_untouched(&self) {
        let outside = self.folder.path().join("outside");
        let names: Vec<_> = fs::read_dir(&outside)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["secret"]);
        let secret = outside.join("secret");
        assert_eq!(fs::read_to_string(&secret).unwrap(), SECRET);
        assert_eq!(fs::metadata(&secret).unwrap().nlink(), 1);
        assert_eq!(
            fs::read_to_string(self.folder.path().join("granted/hello")).unwrap(),
            "hello"
        );
    }
}

/// Falls with wasmtime-wasi's path resolution and, for the lines of the audit,
/// with `Filesystem::audited` and `Recorder::denied`.
#[tokio::test(flavor = "multi_thread")]
async fn every_way_out_of_a_directory_is_denied_and_in_the_audit() {
    let yard = Yard::new(",rw").await;
    let secret = yard.folder.path().join("outside/secret");
    let secret = secret.display();
    let name = "n".repeat(300);
    let rows = [
        // `..` and absolute paths.
        row(
            r#"reach.read("/data", "../outside/secret", true)"#,
            "not-permitted",
            "fs",
            "/data/../outside/secret",
        ),
        row(
            r#"reach.write("/data", "sub/../../outside/new", [1])"#,
            "not-permitted",
            "fs",
            "outside/new",
        ),
        row(
            format!(r#"reach.read("/data", "{secret}", true)"#),
            "not-permitted",
            "fs",
            format!("{secret}"),
        ),
        // A link that the guest makes, and links that were there.
        row(
            r#"reach.symlink-and-read("/data", "../outside/secret", "mine")"#,
            "not-permitted",
            "fs",
            "/data/mine",
        ),
        row(
            r#"reach.read("/data", "planted", true)"#,
            "not-permitted",
            "fs",
            "/data/planted",
        ),
        row(
            r#"reach.write("/data", "folder/new", [1])"#,
            "not-permitted",
            "fs",
            "/data/folder/new",
        ),
        row(
            r#"reach.hard-link("/data", "../outside/secret", false, "/data", "hard")"#,
            "not-permitted",
            "fs",
            "-> /data/hard",
        ),
        row(
            r#"reach.hard-link("/data", "hello", false, "/data", "../outside/hard")"#,
            "not-permitted",
            "fs",
            "-> /data/../outside/hard",
        ),
        row(
            r#"reach.rename("/data", "hello", "/data", "../outside/hello")"#,
            "not-permitted",
            "fs",
            "-> /data/../outside/hello",
        ),
        row(
            r#"reach.rename("/data", "../outside/secret", "/data", "stolen")"#,
            "not-permitted",
            "fs",
            "-> /data/stolen",
        ),
        // The process's own files.
        row(
            r#"reach.read("/data", "/proc/self/environ", true)"#,
            "not-permitted",
            "fs",
            "/proc/self/environ",
        ),
        row(
            r#"reach.read("/data", "environ", true)"#,
            "not-permitted",
            "fs",
            "/data/environ",
        ),
        // Names without measure, and files that grow without being written.
        row(
            format!(r#"reach.write("/data", "{name}", [1])"#),
            "name-too-long",
            "fs",
            "/data/nnn",
        ),
        row(
            r#"fill.long-path("/data", 1000)"#,
            "name-too-long",
            "fs",
            "/data/d/d/d",
        ),
        row(
            r#"fill.set-size("/data", "sparse", 1099511627776)"#,
            "file-too-large",
            "fs",
            "/data/sparse",
        ),
        row(
            r#"fill.write-at("/data", "far", 1099511627776, [1])"#,
            "file-too-large",
            "fs",
            "/data/far",
        ),
    ];
    all_denied(&yard.folder.path().join("state"), &yard.host, "escapes", &rows).await;
    yard.assert_untouched();
}

/// Falls with the directory's permissions, and the same lines of the audit.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_granted_for_reading_is_not_written_to_and_that_is_in_the_audit() {
    let yard = Yard::new("").await;
    let rows = [
        row(
            r#"reach.write("/data", "hello", [1])"#,
            "not-permitted",
            "fs",
            "/data/hello",
        ),
        row(
            r#"reach.unlink("/data", "hello")"#,
            "not-permitted",
            "fs",
            "/data/hello",
        ),
        row(
            r#"reach.make-directory("/data", "new")"#,
            "not-permitted",
            "fs",
            "/data/new",
        ),
        row(
            r#"reach.rename("/data", "hello", "/data", "other")"#,
            "not-permitted",
            "fs",
            "-> /data/other",
        ),
    ];
    all_denied(&yard.folder.path().join("state"), &yard.host, "escapes", &rows).await;
    yard.assert_untouched();
}
