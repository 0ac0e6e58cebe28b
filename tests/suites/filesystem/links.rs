//! Ways out by links and renames.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};

use crate::ground::{Ground, SECRET, read};

/// Planted by the host: the operator's own links lead out, and stay shut.
/// Enforced by wasmtime-wasi's path resolution, audited by
/// `Filesystem::audited`.
#[tokio::test]
async fn links_planted_by_the_host_are_not_followed_out() {
    let ground = Ground::writable().await;
    symlink(ground.outside("secret"), ground.granted("absolute")).unwrap();
    symlink("../outside/secret", ground.granted("relative")).unwrap();
    symlink("../outside", ground.granted("folder")).unwrap();
    symlink("../outside/new", ground.granted("dangling")).unwrap();
    symlink("relative", ground.granted("chain")).unwrap();
    for link in ["absolute", "relative", "folder/secret", "chain"] {
        let target = format!("/data/{link}");
        ground
            .refused(
                &format!("read(\"/data\", {link:?}, true)"),
                "not-permitted",
                &target,
            )
            .await;
        ground
            .refused(
                &format!("read-stream(\"/data\", {link:?}, true)"),
                "not-permitted",
                &target,
            )
            .await;
        ground
            .refused(
                &format!("stat(\"/data\", {link:?}, true)"),
                "not-permitted",
                &target,
            )
            .await;
        ground
            .refused(
                &format!("set-times(\"/data\", {link:?})"),
                "not-permitted",
                &target,
            )
            .await;
    }
    ground
        .refused(
            "write(\"/data\", \"folder/new\", [1])",
            "not-permitted",
            "/data/folder/new",
        )
        .await;
    ground
        .refused(
            "make-directory(\"/data\", \"folder/new\")",
            "not-permitted",
            "/data/folder/new",
        )
        .await;
    ground
        .refused(
            "unlink(\"/data\", \"folder/secret\")",
            "not-permitted",
            "/data/folder/secret",
        )
        .await;
}

/// Links of the process file system lead to this process's own files.
#[tokio::test]
async fn proc_is_out_of_reach() {
    let ground = Ground::writable().await;
    symlink("/proc/self/root/etc", ground.granted("root")).unwrap();
    symlink("/proc/self/environ", ground.granted("environ")).unwrap();
    symlink("/proc/self/fd/0", ground.granted("fd")).unwrap();
    ground
        .refused(
            "read(\"/data\", \"root/hostname\", true)",
            "not-permitted",
            "/data/root/hostname",
        )
        .await;
    ground
        .refused(
            "read(\"/data\", \"environ\", true)",
            "not-permitted",
            "/data/environ",
        )
        .await;
    ground
        .refused("read(\"/data\", \"fd\", true)", "not-permitted", "/data/fd")
        .await;
    ground
        .refused(
            "read(\"/data\", \"/proc/self/environ\", true)",
            "not-permitted",
            "/data//proc/self/environ",
        )
        .await;
}

/// Enforced in `symlink_at` of `interfaces/filesystem/types.rs`: without its
/// check the link is made, and another program that follows it is led out.
#[tokio::test]
async fn a_guest_makes_no_link_that_leads_out() {
    let ground = Ground::writable().await;
    for target in [
        "/etc/hostname",
        "../outside/secret",
        "sub/../../outside/secret",
        "..",
        "/",
    ] {
        ground
            .refused(
                &format!("symlink(\"/data\", {target:?}, \"link\")"),
                "not-permitted",
                "/data/link",
            )
            .await;
        ground
            .refused(
                &format!("symlink-and-read(\"/data\", {target:?}, \"link\")"),
                "not-permitted",
                "/data/link",
            )
            .await;
        assert!(
            fs::symlink_metadata(ground.granted("link")).is_err(),
            "{target} was made"
        );
    }
}

#[tokio::test]
async fn a_guest_makes_links_that_stay_inside() {
    let ground = Ground::writable().await;
    assert_eq!(
        ground
            .ask("symlink-and-read(\"/data\", \"hello\", \"link\")")
            .await,
        read("hello")
    );
    assert_eq!(
        ground.ask("read-link(\"/data\", \"link\")").await,
        "ok(\"hello\")"
    );
    assert_eq!(
        ground.ask("read(\"/data\", \"link\", false)").await,
        "err(\"loop\")"
    );
}

/// Enforced by wasmtime-wasi's `link_at`, audited by `Filesystem::audited_both`.
#[tokio::test]
async fn a_hard_link_neither_takes_from_outside_nor_puts_there() {
    let ground = Ground::writable().await;
    let from = "hard-link(\"/data\", \"../outside/secret\", false, \"/data\", \"mine\")";
    ground
        .refused(from, "not-permitted", "/data/../outside/secret -> /data/mine")
        .await;
    let absolute = ground.outside("secret").display().to_string();
    let from = format!("hard-link(\"/data\", {absolute:?}, false, \"/data\", \"mine\")");
    ground
        .refused(&from, "not-permitted", &format!("/data/{absolute} -> /data/mine"))
        .await;
    let to = "hard-link(\"/data\", \"hello\", false, \"/data\", \"../outside/mine\")";
    ground
        .refused(to, "not-permitted", "/data/hello -> /data/../outside/mine")
        .await;
    symlink(ground.outside("secret"), ground.granted("planted")).unwrap();
    let through = ground
        .ask("hard-link(\"/data\", \"planted\", true, \"/data\", \"mine\")")
        .await;
    assert_eq!(
        through, "err(\"invalid\")",
        "links are not followed when they are linked"
    );
    assert_eq!(fs::metadata(ground.outside("secret")).unwrap().nlink(), 1);
}

#[tokio::test]
async fn a_hard_link_inside_is_allowed() {
    let ground = Ground::writable().await;
    let made = ground
        .ask("hard-link(\"/data\", \"hello\", false, \"/data\", \"sub/again\")")
        .await;
    assert_eq!(made, "ok");
    assert_eq!(fs::read_to_string(ground.granted("sub/again")).unwrap(), "hello");
}

/// Enforced in `link_at` of `interfaces/filesystem/types.rs`: without its check
/// both directories would share one file from then on.
#[tokio::test]
async fn a_hard_link_does_not_join_two_granted_directories() {
    let ground = Ground::new("guest-fs-escape", ",rw", |spec, dir| {
        let other = dir.join("other");
        fs::create_dir(&other).unwrap();
        spec.grant(&format!("fs={}::/other,rw", other.display()))
    })
    .await;
    let across = "hard-link(\"/data\", \"hello\", false, \"/other\", \"hello\")";
    ground
        .refused(across, "not-permitted", "/data/hello -> /other/hello")
        .await;
    assert_eq!(fs::metadata(ground.granted("hello")).unwrap().nlink(), 1);
    assert_eq!(
        ground
            .ask("rename(\"/data\", \"hello\", \"/other\", \"hello\")")
            .await,
        "ok",
        "moving is copying"
    );
}

/// Enforced by wasmtime-wasi's `rename_at`, audited by
/// `Filesystem::audited_both`.
#[tokio::test]
async fn a_rename_neither_takes_from_outside_nor_puts_there() {
    let ground = Ground::writable().await;
    let out = "rename(\"/data\", \"hello\", \"/data\", \"../outside/hello\")";
    ground
        .refused(out, "not-permitted", "/data/hello -> /data/../outside/hello")
        .await;
    let over = "rename(\"/data\", \"hello\", \"/data\", \"../outside/secret\")";
    ground
        .refused(over, "not-permitted", "/data/hello -> /data/../outside/secret")
        .await;
    let inward = "rename(\"/data\", \"../outside/secret\", \"/data\", \"mine\")";
    ground
        .refused(inward, "not-permitted", "/data/../outside/secret -> /data/mine")
        .await;
    symlink("../outside", ground.granted("folder")).unwrap();
    let through = "rename(\"/data\", \"hello\", \"/data\", \"folder/hello\")";
    ground
        .refused(through, "not-permitted", "/data/hello -> /data/folder/hello")
        .await;
    assert_eq!(fs::read_to_string(ground.granted("hello")).unwrap(), "hello");
    assert_eq!(fs::read_to_string(ground.outside("secret")).unwrap(), SECRET);
}
