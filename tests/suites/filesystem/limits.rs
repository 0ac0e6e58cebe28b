//! Filling the disk behind a granted directory.
//!
//! Enforced by `Disk` of `interfaces/filesystem/disk.rs`. Each test names the
//! call of it without which it fails.

use std::fs;

use odeon_authority::ByteSize;
use odeon_protocol::Code;
use odeon_tests::runtime::{Spec, method, runtime, spec, stopped};

use crate::ground::Ground;

/// What a call may write in these tests.
const BYTES: u64 = 100_000;

fn few_bytes(spec: Spec) -> Spec {
    spec.limits(|limits| limits.fs_bytes_written = ByteSize::new(BYTES))
}

fn small_files(spec: Spec) -> Spec {
    spec.limits(|limits| limits.fs_file_size = ByteSize::new(BYTES))
}

fn few_files(spec: Spec) -> Spec {
    spec.limits(|limits| limits.fs_files_created = 10)
}

/// What is in a file of the granted directory.
fn size(ground: &Ground, name: &str) -> u64 {
    fs::metadata(ground.granted(name)).unwrap().len()
}

/// `Disk::write` in `Filesystem::write`.
#[tokio::test]
async fn writes_end_at_the_limit() {
    let ground = Ground::limited(few_bytes).await;
    let stopped = ground.ask("write-forever(\"/data\", \"flood\", 1000)").await;
    assert_eq!(stopped, format!("{{done: {BYTES}, error: \"quota\"}}"));
    assert_eq!(size(&ground, "flood"), BYTES);
    assert_eq!(
        ground.reasons(),
        ["the call has written limits.fs-bytes-written = 100000 bytes, holes in files included"]
    );
    assert_eq!(ground.hits("fs-bytes-written"), 1);
}

/// The same: a file that does not grow wears out the disk all the same.
#[tokio::test]
async fn overwriting_counts_as_writing() {
    let ground = Ground::limited(few_bytes).await;
    let stopped = ground.ask("overwrite-forever(\"/data\", \"flood\", 1000)").await;
    assert_eq!(stopped, format!("{{done: {BYTES}, error: \"quota\"}}"));
}

/// `Metered::charge` in `write_via_stream`.
#[tokio::test]
async fn streams_end_at_the_limit() {
    let ground = Ground::limited(few_bytes).await;
    let stopped = ground.ask("stream-forever(\"/data\", \"flood\", 4000)").await;
    assert_eq!(stopped, format!("{{done: {BYTES}, error: \"quota\"}}"));
    assert_eq!(size(&ground, "flood"), BYTES);
    assert_eq!(ground.reasons().len(), 1);
}

/// `Metered::charge` in `append_via_stream`.
#[tokio::test]
async fn appending_ends_at_the_limit() {
    let ground = Ground::limited(few_bytes).await;
    let stopped = ground.ask("append-forever(\"/data\", \"flood\", 4000)").await;
    assert_eq!(stopped, format!("{{done: {BYTES}, error: \"quota\"}}"));
    assert_eq!(size(&ground, "flood"), BYTES);
}

/// Zeroes that the host writes for the guest pass the same meter.
#[tokio::test]
async fn zeroes_end_at_the_limit() {
    let ground = Ground::limited(few_bytes).await;
    let stopped = ground.ask("zeroes-forever(\"/data\", \"flood\", 4000)").await;
    assert_eq!(stopped, format!("{{done: {BYTES}, error: \"quota\"}}"));
    assert_eq!(size(&ground, "flood"), BYTES);
}

/// `Disk::begin`: without it, a resident instance could write only once.
#[tokio::test]
async fn every_call_has_its_own_allowance() {
    let ground = Ground::limited(|spec| few_bytes(spec).resident()).await;
    for _ in 0..2 {
        let stopped = ground.ask("overwrite-forever(\"/data\", \"flood\", 1000)").await;
        assert_eq!(stopped, format!("{{done: {BYTES}, error: \"quota\"}}"));
    }
}

/// `Disk::grow_to` in `set_size`.
#[tokio::test]
async fn a_file_is_made_as_large_as_the_limit_and_no_larger() {
    let ground = Ground::limited(small_files).await;
    assert_eq!(
        ground
            .ask(format!("set-size(\"/data\", \"sparse\", {BYTES})"))
            .await,
        "ok"
    );
    ground
        .refused(
            &format!("set-size(\"/data\", \"sparse\", {})", BYTES + 1),
            "file-too-large",
            "/data/sparse",
        )
        .await;
    ground
        .refused(
            &format!("set-size(\"/data\", \"sparse\", {})", u64::MAX),
            "file-too-large",
            "/data/sparse",
        )
        .await;
    assert_eq!(size(&ground, "sparse"), BYTES);
    assert_eq!(ground.hits("fs-file-size"), 2);
}

/// `Disk::grow_to` in `write`.
#[tokio::test]
async fn a_file_does_not_grow_by_a_write_far_away() {
    let ground = Ground::limited(small_files).await;
    let last = BYTES - 1;
    assert_eq!(
        ground
            .ask(format!("write-at(\"/data\", \"sparse\", {last}, [1])"))
            .await,
        "ok(1)"
    );
    for offset in [BYTES, 1 << 40, u64::MAX] {
        let write = format!("write-at(\"/data\", \"sparse\", {offset}, [1])");
        ground.refused(&write, "file-too-large", "/data/sparse").await;
        let stream = format!("stream-at(\"/data\", \"sparse\", {offset}, [1])");
        ground.refused(&stream, "file-too-large", "/data/sparse").await;
    }
    assert_eq!(size(&ground, "sparse"), BYTES);
}

/// `Disk::grow_to` in `Metered`: the end of the file counts.
#[tokio::test]
async fn a_file_does_not_grow_by_appending() {
    let ground = Ground::limited(small_files).await;
    let stopped = ground.ask("append-forever(\"/data\", \"flood\", 4000)").await;
    assert_eq!(stopped, format!("{{done: {BYTES}, error: \"file-too-large\"}}"));
    assert_eq!(size(&ground, "flood"), BYTES);
}

/// `Disk::take_bytes` in `set_size`: growth without writing is growth.
#[tokio::test]
async fn sparse_growth_is_charged() {
    let ground = Ground::limited(few_bytes).await;
    assert_eq!(
        ground.ask(format!("set-size(\"/data\", \"a\", {BYTES})")).await,
        "ok"
    );
    ground
        .refused(
            &format!("set-size(\"/data\", \"b\", {})", BYTES + 1),
            "quota",
            "/data/b",
        )
        .await;
    ground
        .refused(
            &format!("write-at(\"/data\", \"c\", {BYTES}, [1])"),
            "quota",
            "/data/c",
        )
        .await;
}

/// `Disk::may_create` in `Filesystem::open`.
#[tokio::test]
async fn files_are_created_up_to_the_limit() {
    let ground = Ground::limited(few_files).await;
    assert_eq!(
        ground.ask("create-forever(\"/data\", \"f\")").await,
        "{done: 10, error: \"quota\"}"
    );
    assert!(ground.granted("f9").exists() && !ground.granted("f10").exists());
    assert_eq!(
        ground.reasons(),
        ["the call has created limits.fs-files-created = 10 files, folders and links"]
    );
    assert_eq!(ground.hits("fs-files-created"), 1);
}

/// Opening what is there creates nothing.
#[tokio::test]
async fn opening_an_existing_file_is_not_counted() {
    let ground = Ground::limited(|spec| spec.limits(|limits| limits.fs_files_created = 0)).await;
    assert_eq!(ground.ask("write(\"/data\", \"hello\", [72])").await, "ok");
    ground
        .refused("write(\"/data\", \"new\", [72])", "quota", "/data/new")
        .await;
    assert_eq!(fs::read_to_string(ground.granted("hello")).unwrap(), "Hello");
}

/// `Disk::may_create` in `create_directory_at`.
#[tokio::test]
async fn folders_are_created_up_to_the_limit() {
    let ground = Ground::limited(few_files).await;
    assert_eq!(
        ground.ask("directories-forever(\"/data\", \"d\")").await,
        "{done: 10, error: \"quota\"}"
    );
    assert!(ground.granted("d9").exists() && !ground.granted("d10").exists());
}

/// `Disk::may_create` in `symlink_at`.
#[tokio::test]
async fn links_are_created_up_to_the_limit() {
    let ground = Ground::limited(few_files).await;
    assert_eq!(
        ground.ask("symlinks-forever(\"/data\", \"l\")").await,
        "{done: 10, error: \"quota\"}"
    );
    assert!(fs::symlink_metadata(ground.granted("l10")).is_err());
}

/// Files kept open end at the limit on handles, `ResourceTable`'s capacity in
/// `HostState::new`.
#[tokio::test]
async fn open_files_end_at_the_limit_on_handles() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("hello"), "hello").unwrap();
    let spec = spec()
        .grant(&format!("fs={}::/data,rw", dir.path().display()))
        .limits(|limits| limits.handles = 50);
    let plugin = spec.load(&runtime(), "guest-fs-escape").await;
    method(&plugin, "open-forever");
    stopped(&plugin, "open-forever(\"/data\", \"hello\")", Code::HandleLimit).await;
}

/// One read gives the host no more to hold than its own chunk.
#[tokio::test]
async fn a_huge_read_comes_in_part() {
    let ground = Ground::writable().await;
    fs::write(ground.granted("large"), vec![0; 1 << 20]).unwrap();
    let answer = ground
        .ask(format!("read-huge(\"/data\", \"large\", {})", u64::MAX))
        .await;
    let came: u64 = answer
        .trim_start_matches("ok(")
        .trim_end_matches(')')
        .parse()
        .unwrap();
    assert!(came > 0 && came <= 1 << 16, "{answer}");
}

/// `Listing`: more entries than one batch come one by one and each once.
#[tokio::test]
async fn a_long_listing_is_complete() {
    let ground = Ground::writable().await;
    for number in 0..1000 {
        fs::write(ground.granted(&format!("sub/deep/{number}")), "").unwrap();
    }
    let answer = ground.ask("list-directory(\"/data\", \"sub/deep\")").await;
    let mut expected: Vec<String> = (0..1000).map(|number| format!("\"{number}\"")).collect();
    expected.sort();
    let answer = answer.trim_start_matches("ok([").trim_end_matches("])");
    let mut found: Vec<&str> = answer.split(", ").collect();
    found.sort_unstable();
    assert_eq!(found, expected);
}

/// `Opened::take` in `open_at` and `read_directory`, and what keeps it. One of
/// the places is the granted directory's.
#[tokio::test]
async fn so_many_files_are_open_and_no_more() {
    let ground = Ground::limited(|spec| spec.limits(|limits| limits.open_files = 8)).await;
    for flood in [
        "open-forever(\"/data\", \"hello\")",
        "streams-forever(\"/data\", \"hello\")",
        "listings-forever(\"/data\")",
    ] {
        let before = ground.reasons().len();
        assert_eq!(ground.ask(flood).await, "{done: 7, error: \"quota\"}", "{flood}");
        assert_eq!(
            ground.reasons()[before..],
            ["the plugin has limits.open-files = 8 files and directories open"],
            "{flood}: once a call"
        );
    }
    assert_eq!(
        ground.ask("open-again(\"/data\", \"hello\", 100)").await,
        "ok(100)",
        "what is closed is not counted"
    );
    assert_eq!(ground.hits("open-files"), 3);
}

/// The same count for all instances of a plugin.
#[tokio::test]
async fn the_instances_of_a_plugin_share_its_open_files() {
    let ground =
        Ground::limited(|spec| spec.resident_workers(2).limits(|limits| limits.open_files = 1)).await;
    assert_eq!(
        ground.ask("open-forever(\"/data\", \"hello\")").await,
        "{done: 0, error: \"quota\"}",
        "the granted directory has the only place"
    );
}

/// `Preopens`: a granted directory is opened once, not for every call.
#[tokio::test]
async fn a_granted_directory_is_opened_once() {
    let ground = Ground::limited(|spec| spec.limits(|limits| limits.open_files = 2)).await;
    for _ in 0..10 {
        assert_eq!(ground.ask("open-again(\"/data\", \"hello\", 1)").await, "ok(1)");
    }
    // What is put in its place later is another directory.
    fs::rename(ground.granted(""), ground.outside("../moved")).unwrap();
    fs::create_dir(ground.granted("")).unwrap();
    assert_eq!(ground.ask("open-again(\"/data\", \"hello\", 1)").await, "ok(1)");
}
