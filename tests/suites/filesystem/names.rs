//! Names and paths that are too long.
//!
//! Enforced by `path::check` of `interfaces/filesystem/path.rs`, through
//! `Filesystem::check_path`: without it the error may stay, but the audit line
//! is gone, and paths of more than 64 parts are accepted.

use crate::ground::{Ground, read};

#[tokio::test]
async fn a_name_may_be_255_bytes_long_and_no_longer() {
    let ground = Ground::writable().await;
    assert_eq!(ground.ask("long-name(\"/data\", 255)").await, "ok");
    let name = "n".repeat(256);
    ground
        .refused(
            "long-name(\"/data\", 256)",
            "name-too-long",
            &format!("/data/{name}"),
        )
        .await;
}

#[tokio::test]
async fn a_path_may_have_64_parts_and_no_more() {
    let ground = Ground::writable().await;
    let folder = ground.granted(&vec!["d"; 63].join("/"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("d"), "x").unwrap();
    assert_eq!(ground.ask("long-path(\"/data\", 64)").await, read("x"));
    let path = vec!["d"; 65].join("/");
    ground
        .refused(
            "long-path(\"/data\", 65)",
            "name-too-long",
            &format!("/data/{path}"),
        )
        .await;
}

#[tokio::test]
async fn folders_are_64_deep_and_no_deeper() {
    let ground = Ground::writable().await;
    assert_eq!(
        ground.ask("deep-directories(\"/data\", 100)").await,
        "{done: 64, error: \"name-too-long\"}"
    );
}

#[tokio::test]
async fn a_path_of_many_kilobytes_costs_nothing_and_is_cut_in_the_audit() {
    let ground = Ground::writable().await;
    let path = "x/".repeat(50_000);
    assert_eq!(
        ground.ask(format!("stat(\"/data\", {path:?}, true)")).await,
        "err(\"name-too-long\")"
    );
    assert_eq!(ground.reasons(), ["the path is longer than 4096 bytes"]);
    let shown = format!("/data/{}", &path[..506]);
    ground
        .refused(&format!("unlink(\"/data\", {path:?})"), "name-too-long", &shown)
        .await;
    ground
        .refused(
            &format!("rename(\"/data\", \"hello\", \"/data\", {path:?})"),
            "name-too-long",
            &shown,
        )
        .await;
    ground
        .refused(
            &format!("symlink(\"/data\", {path:?}, \"link\")"),
            "name-too-long",
            &shown,
        )
        .await;
}
