//! Ways out by the spelling of a path.
//!
//! Enforced by wasmtime-wasi's `Dir` functions, which the view of
//! `interfaces/filesystem/types.rs` passes every path on to; the audit line by
//! `Filesystem::audited`, without which these tests fail.

use crate::ground::{Ground, bytes, read};

/// Spellings that lead out, without the secret's own path.
fn spellings(ground: &Ground) -> Vec<String> {
    vec![
        "../outside/secret".to_owned(),
        "sub/../../outside/secret".to_owned(),
        "sub/deep/../../../outside/secret".to_owned(),
        "./../outside/secret".to_owned(),
        "..//outside//secret".to_owned(),
        ground.outside("secret").display().to_string(),
        format!("/{}", ground.outside("secret").display()),
    ]
}

#[tokio::test]
async fn no_spelling_reads_what_is_outside() {
    let ground = Ground::writable().await;
    for path in spellings(&ground) {
        let target = format!("/data/{path}");
        ground
            .refused(
                &format!("read(\"/data\", {path:?}, true)"),
                "not-permitted",
                &target,
            )
            .await;
        ground
            .refused(
                &format!("read(\"/data\", {path:?}, false)"),
                "not-permitted",
                &target,
            )
            .await;
        ground
            .refused(
                &format!("read-stream(\"/data\", {path:?}, true)"),
                "not-permitted",
                &target,
            )
            .await;
        ground
            .refused(
                &format!("stat(\"/data\", {path:?}, true)"),
                "not-permitted",
                &target,
            )
            .await;
        ground
            .refused(
                &format!("read-link(\"/data\", {path:?})"),
                "not-permitted",
                &target,
            )
            .await;
    }
}

#[tokio::test]
async fn no_spelling_changes_what_is_outside() {
    let ground = Ground::writable().await;
    for path in spellings(&ground) {
        let target = format!("/data/{path}");
        let write = format!("write(\"/data\", {path:?}, {})", bytes("x"));
        ground.refused(&write, "not-permitted", &target).await;
        ground
            .refused(
                &format!("open-for-writing(\"/data\", {path:?})"),
                "not-permitted",
                &target,
            )
            .await;
        ground
            .refused(
                &format!("set-times(\"/data\", {path:?})"),
                "not-permitted",
                &target,
            )
            .await;
        ground
            .refused(&format!("unlink(\"/data\", {path:?})"), "not-permitted", &target)
            .await;
        ground
            .refused(
                &format!("set-size(\"/data\", {path:?}, 1)"),
                "not-permitted",
                &target,
            )
            .await;
        let new = path.replace("secret", "new");
        let target = format!("/data/{new}");
        ground
            .refused(
                &format!("make-directory(\"/data\", {new:?})"),
                "not-permitted",
                &target,
            )
            .await;
        ground
            .refused(
                &format!("symlink(\"/data\", \"hello\", {new:?})"),
                "not-permitted",
                &target,
            )
            .await;
        ground
            .refused(
                &format!("write(\"/data\", {new:?}, [1])"),
                "not-permitted",
                &target,
            )
            .await;
    }
}

#[tokio::test]
async fn folders_outside_are_neither_listed_nor_removed() {
    let ground = Ground::writable().await;
    for path in ["..", "../outside", "sub/../..", "../outside/folder"] {
        let target = format!("/data/{path}");
        ground
            .refused(
                &format!("list-directory(\"/data\", {path:?})"),
                "not-permitted",
                &target,
            )
            .await;
    }
    ground
        .refused(
            "remove-directory(\"/data\", \"../outside/folder\")",
            "not-permitted",
            "/data/../outside/folder",
        )
        .await;
}

#[tokio::test]
async fn no_combination_of_flags_opens_what_is_outside() {
    let ground = Ground::writable().await;
    let outcomes = ground
        .ask("open-with-all-flags(\"/data\", \"../outside/secret\")")
        .await;
    assert!(!outcomes.contains("\"ok\""), "{outcomes}");
    assert!(outcomes.contains("not-permitted"), "{outcomes}");
    ground.assert_untouched("any combination of flags");
}

#[tokio::test]
async fn a_folder_below_is_no_way_out_either() {
    let ground = Ground::writable().await;
    // From `sub`, `..` leads into the granted directory, but out of the handle.
    ground
        .refused(
            "read-from(\"/data\", \"sub\", \"../hello\")",
            "not-permitted",
            "/data/sub/../hello",
        )
        .await;
    let up = "../../outside/secret";
    ground
        .refused(
            &format!("read-from(\"/data\", \"sub\", {up:?})"),
            "not-permitted",
            &format!("/data/sub/{up}"),
        )
        .await;
}

#[tokio::test]
async fn going_up_and_down_inside_is_allowed() {
    let ground = Ground::writable().await;
    assert_eq!(
        ground
            .ask("read(\"/data\", \"sub/deep/../../hello\", true)")
            .await,
        read("hello")
    );
    assert_eq!(
        ground.ask("read(\"/data\", \"./hello\", false)").await,
        read("hello")
    );
    assert!(ground.reasons().is_empty());
}

#[tokio::test]
async fn the_audit_says_why() {
    let ground = Ground::writable().await;
    ground.ask("read(\"/data\", \"../outside/secret\", true)").await;
    ground.ask("read(\"/data\", \"/etc/hostname\", true)").await;
    assert_eq!(
        ground.reasons(),
        [
            "the path leads out of the directory",
            "an absolute path leads out of the directory"
        ]
    );
}
