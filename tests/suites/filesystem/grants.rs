//! What a grant opens, and what it leaves shut.

use std::fs;
use std::os::unix::fs::symlink;

use odeon_tests::runtime::{call, runtime, spec};

use crate::ground::{Ground, bytes, read};

/// A grant for reading. Enforced by `FsPerms::ReadOnly` in `preopens.rs`,
/// audited by `Filesystem::audited`.
#[tokio::test]
async fn nothing_is_changed_under_a_grant_for_reading() {
    let ground = Ground::readable().await;
    assert_eq!(
        ground.ask("read(\"/data\", \"hello\", true)").await,
        read("hello")
    );
    assert!(ground.reasons().is_empty());
    for (call, target) in [
        ("write(\"/data\", \"hello\", [1])", "/data/hello"),
        ("write(\"/data\", \"new\", [1])", "/data/new"),
        ("open-for-writing(\"/data\", \"hello\")", "/data/hello"),
        ("set-size(\"/data\", \"hello\", 0)", "/data/hello"),
        ("stream-at(\"/data\", \"hello\", 0, [1])", "/data/hello"),
        ("make-directory(\"/data\", \"new\")", "/data/new"),
        ("remove-directory(\"/data\", \"sub/deep\")", "/data/sub/deep"),
        ("unlink(\"/data\", \"hello\")", "/data/hello"),
        ("set-times(\"/data\", \"hello\")", "/data/hello"),
        ("symlink(\"/data\", \"hello\", \"new\")", "/data/new"),
        (
            "hard-link(\"/data\", \"hello\", false, \"/data\", \"new\")",
            "/data/hello -> /data/new",
        ),
        (
            "rename(\"/data\", \"hello\", \"/data\", \"new\")",
            "/data/hello -> /data/new",
        ),
    ] {
        ground.refused(call, "not-permitted", target).await;
    }
    let words = "the directory is granted for reading only; allow it with fs=HOSTDIR::GUESTDIR,rw";
    assert!(
        ground.reasons().iter().all(|reason| reason == words),
        "{:?}",
        ground.reasons()
    );
    assert_eq!(fs::read_to_string(ground.granted("hello")).unwrap(), "hello");
    assert!(!ground.granted("new").exists());
}

#[tokio::test]
async fn no_combination_of_flags_writes_under_a_grant_for_reading() {
    let ground = Ground::readable().await;
    // A file that is there is opened for reading; one that is not, by no flags at all.
    let there = ground.ask("open-with-all-flags(\"/data\", \"hello\")").await;
    assert!(
        there.contains("\"not-permitted\"") && there.contains("\"ok\""),
        "{there}"
    );
    let new = ground.ask("open-with-all-flags(\"/data\", \"new\")").await;
    assert!(
        new.contains("\"not-permitted\"") && !new.contains("\"ok\""),
        "{new}"
    );
    assert_eq!(fs::read_to_string(ground.granted("hello")).unwrap(), "hello");
    assert!(!ground.granted("new").exists());
}

#[tokio::test]
async fn everything_inside_can_be_done_under_a_grant_for_writing() {
    let ground = Ground::writable().await;
    assert_eq!(
        ground
            .ask(format!("write(\"/data\", \"new\", {})", bytes("new")))
            .await,
        "ok"
    );
    assert_eq!(ground.ask("read(\"/data\", \"new\", false)").await, read("new"));
    assert_eq!(
        ground.ask("read-stream(\"/data\", \"new\", false)").await,
        read("new")
    );
    assert_eq!(ground.ask("stat(\"/data\", \"new\", false)").await, "ok(3)");
    assert_eq!(ground.ask("stream-at(\"/data\", \"new\", 3, [33])").await, "ok");
    assert_eq!(ground.ask("set-times(\"/data\", \"new\")").await, "ok");
    assert_eq!(ground.ask("make-directory(\"/data\", \"folder\")").await, "ok");
    assert_eq!(
        ground
            .ask("rename(\"/data\", \"new\", \"/data\", \"folder/new\")")
            .await,
        "ok"
    );
    assert_eq!(
        ground.ask("list-directory(\"/data\", \"folder\")").await,
        "ok([\"new\"])"
    );
    assert_eq!(fs::read_to_string(ground.granted("folder/new")).unwrap(), "new!");
    assert_eq!(ground.ask("unlink(\"/data\", \"folder/new\")").await, "ok");
    assert_eq!(ground.ask("remove-directory(\"/data\", \"folder\")").await, "ok");
    assert!(ground.reasons().is_empty(), "{:?}", ground.reasons());
    ground.assert_untouched("ordinary use");
}

/// Errors that are no denials are not in the audit.
#[tokio::test]
async fn what_is_not_there_is_no_denial() {
    let ground = Ground::writable().await;
    assert_eq!(
        ground.ask("read(\"/data\", \"nothing\", true)").await,
        "err(\"no-entry\")"
    );
    assert_eq!(
        ground.ask("make-directory(\"/data\", \"sub\")").await,
        "err(\"exist\")"
    );
    assert!(ground.reasons().is_empty());
}

/// Enforced by `Filesystem::check_kind`: without it the host's thread waits
/// for a writer for ever.
#[tokio::test]
async fn pipes_are_not_opened() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let ground = Ground::writable().await;
    mknodat(
        CWD,
        ground.granted("pipe"),
        FileType::Fifo,
        Mode::RUSR | Mode::WUSR,
        0,
    )
    .unwrap();
    symlink("pipe", ground.granted("link")).unwrap();
    ground
        .refused("read(\"/data\", \"pipe\", false)", "not-permitted", "/data/pipe")
        .await;
    ground
        .refused("write(\"/data\", \"pipe\", [1])", "not-permitted", "/data/pipe")
        .await;
    ground
        .refused("read(\"/data\", \"link\", true)", "not-permitted", "/data/link")
        .await;
}

#[tokio::test]
async fn without_a_grant_there_is_no_directory() {
    let plugin = spec().load(&runtime(), "guest-fs-escape").await;
    assert_eq!(call(&plugin, "preopens()").await.unwrap(), "[]");
}

/// Said by `warn` of `interfaces/filesystem/load.rs` when the plugin is loaded.
#[tokio::test]
async fn a_granted_directory_that_is_missing_is_in_the_audit() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let spec = spec()
        .grant(&format!("fs={}::/missing", dir.path().join("missing").display()))
        .grant(&format!("fs={}::/file", dir.path().join("file").display()));
    let plugin = spec.load(&runtime(), "guest-fs-escape").await;
    let targets: Vec<_> = spec
        .records()
        .denials()
        .into_iter()
        .map(|denied| denied.target)
        .collect();
    assert_eq!(targets, ["/missing", "/file"]);
    assert_eq!(call(&plugin, "preopens()").await.unwrap(), "[]");
}

/// The operator named the link, so it is the operator's to say where it leads.
#[tokio::test]
async fn a_granted_directory_may_be_a_link() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("real")).unwrap();
    fs::write(dir.path().join("real/hello"), "hello").unwrap();
    symlink("real", dir.path().join("link")).unwrap();
    let spec = spec().grant(&format!("fs={}::/data", dir.path().join("link").display()));
    let plugin = spec.load(&runtime(), "guest-fs-escape").await;
    assert_eq!(
        call(&plugin, "read(\"/data\", \"hello\", false)").await.unwrap(),
        read("hello")
    );
}

/// Enforced by `usable` of `interfaces/filesystem/load.rs`: without it the
/// functions of 0.3, which pass no limit, would reach the directory.
#[tokio::test]
async fn a_component_that_uses_the_file_system_of_0_3_gets_no_directory() {
    let dir = tempfile::tempdir().unwrap();
    let component = odeon_tests::guests::assemble(
        r#"(component
            (import "wasi:filesystem/types@0.2.12" (instance $t2 (export "descriptor" (type (sub resource)))))
            (alias export $t2 "descriptor" (type $d))
            ;; The engine takes both for one resource: a handle from 0.2 would do for the functions of 0.3.
            (import "wasi:filesystem/types@0.3.0" (instance
                (alias outer 1 $d (type $d'))
                (export "descriptor" (type (eq $d')))))
            (import "wasi:filesystem/preopens@0.2.12" (instance $p
                (alias outer 1 $d (type $d'))
                (export "d" (type $d2 (eq $d')))
                (export "get-directories" (func (result (list (tuple (own $d2) string)))))))
            (core module $memory
                (memory (export "memory") 1)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024))
            (core instance $m (instantiate $memory))
            (alias core export $m "memory" (core memory $mem))
            (core func $get (canon lower (func $p "get-directories")
                (memory $mem) (realloc (core func $m "realloc"))))
            (core module $main
                (import "" "memory" (memory 1))
                (import "" "get" (func $get (param i32)))
                (func (export "count") (result i32) (call $get (i32.const 16)) (i32.load (i32.const 20))))
            (core instance $i (instantiate $main (with "" (instance
                (export "memory" (memory $mem)) (export "get" (func $get))))))
            (func (export "count") (result u32) (canon lift (core func $i "count")))
        )"#,
    );
    let spec = spec().grant(&format!("fs={}::/data,rw", dir.path().display()));
    let plugin = spec.prepare(&runtime(), &component).await.expect("it links");
    assert_eq!(call(&plugin, "count()").await.unwrap(), "0");
    assert_eq!(
        spec.records().reasons(),
        ["directories are given to components that use wasi:filesystem 0.2, not to those that use 0.3"]
    );
}
