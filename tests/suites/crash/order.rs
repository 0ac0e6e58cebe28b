//! Files that cannot be written, and what is so then.
//!
//! A directory in the place of a lock is a disk that says no, to root as well.

use std::{
    fs::File,
    time::{Duration, Instant},
};

use crate::{
    found::{compare, look},
    ground::{Base, Ground, P, Site},
};

/// From now on no version is written down here.
fn no_versions(site: &Site<'_>) {
    let lock = site.state.join("versions.json.lock");
    drop(std::fs::remove_file(&lock));
    std::fs::create_dir(lock).unwrap();
}

fn versions_again(site: &Site<'_>) {
    std::fs::remove_dir(site.state.join("versions.json.lock")).unwrap();
}

/// The newest line of the audit.
fn newest(site: &Site<'_>) -> serde_json::Value {
    let out = site.odeon(&["audit", "--tail", "1", "--json"]).ends();
    let audit: serde_json::Value = serde_json::from_str(&out).unwrap();
    audit["audit"][0]["event"].clone()
}

fn why(site: &Site<'_>) -> serde_json::Value {
    let ran = site.odeon(&["why", P, "--json"]);
    serde_json::from_str(&ran.out).unwrap()
}

/// Enforced by `Host::keep` and `Host::note_failed_now`; `why` goes by
/// `why::why`.
#[test]
fn a_replace_whose_version_cannot_be_kept_is_undone_and_on_record_as_failed() {
    let ground = Ground::new();
    let site = ground.site("order", Base::One);
    let host = site.serve(false);
    no_versions(&site);
    let replaced = site.odeon(&["replace", P, &ground.file(P, 2), "--json"]);
    assert_ne!(replaced.status, Some(0));
    assert!(replaced.out.contains("ODN-9002"), "{replaced:?}");
    let event = newest(&site);
    assert_eq!(
        (&event["kind"], &event["step"], &event["serving"]),
        (&"load-failed".into(), &"publish".into(), &1.into()),
        "{event}"
    );
    let why = why(&site);
    assert_eq!(
        (&why["why"]["serving"], &why["why"]["generation"]),
        (&true.into(), &1.into()),
        "{why}"
    );
    // The list is as it was, and so is everything else.
    let found = compare(&site).unwrap();
    assert_eq!(found.serving[P], 1);
    versions_again(&site);
    site.odeon(&["replace", P, &ground.file(P, 2)]).ends();
    assert_eq!(compare(&site).unwrap().serving[P], 2);
    drop(host);
}

/// Enforced by `Host::keep`, which takes the row out again.
#[test]
fn a_load_whose_version_cannot_be_kept_is_not_done_again_at_the_next_start() {
    let ground = Ground::new();
    let site = ground.site("load", Base::Empty);
    let host = site.serve(false);
    no_versions(&site);
    let loaded = site.odeon(&["load", &ground.file(P, 1)]);
    assert_ne!(loaded.status, Some(0));
    assert_eq!(newest(&site)["kind"], "load-failed");
    assert_eq!(why(&site)["why"]["serving"], false);
    versions_again(&site);
    let found = compare(&site).unwrap();
    assert!(found.serving.is_empty() && found.known.is_empty(), "{found:?}");
    drop(host);
}

/// What the list cannot have, the next start must not be held to. Enforced by
/// `Host::keep`.
#[test]
fn a_replace_that_cannot_be_listed_keeps_no_version_that_the_next_start_is_refused_by() {
    use std::os::unix::fs::PermissionsExt as _;
    let ground = Ground::new();
    let site = ground.site("list", Base::One);
    let list = site.state.join("loads.toml");
    let mode = |mode| std::fs::set_permissions(&list, std::fs::Permissions::from_mode(mode)).unwrap();
    let host = site.serve(false);
    // Not the operator's own any more, so that it is neither read nor written.
    mode(0o666);
    let replaced = site.odeon(&["replace", P, &ground.file(P, 2), "--json"]);
    assert!(
        replaced.status == Some(0) && replaced.out.contains("will not be repeated"),
        "{replaced:?}"
    );
    drop(host);
    mode(0o600);
    let found = look(&site, false).unwrap();
    assert_eq!((found.serving[P], found.known[P]), (1, 1));
}

/// Enforced by `Host::bring_back`.
#[test]
fn timed_a_rollback_that_cannot_be_written_down_is_tried_again() {
    let ground = Ground::new();
    let site = ground.site("rollback", Base::One);
    let host = site.serve(false);
    site.odeon(&["replace", P, &ground.file(P, 3)]).ends();
    no_versions(&site);
    for _ in 0..3 {
        site.odeon(&["call", &format!("{P}/trap")]);
    }
    let log = site.folder.join("log");
    let until = Instant::now() + Duration::from_secs(20);
    while !std::fs::read_to_string(&log)
        .unwrap()
        .contains("could not be rolled back")
    {
        assert!(Instant::now() < until, "nothing was tried");
        std::thread::sleep(Duration::from_millis(10));
    }
    versions_again(&site);
    let serves = || site.list().unwrap()["plugins"][0]["version"].clone();
    while serves() != "1.0.0" {
        assert!(Instant::now() < until, "it never came back");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(compare(&site).unwrap().serving[P], 1);
    drop(host);
}

/// What a process was writing when it was killed is removed by the next; what
/// one writes now is left alone. Enforced by `file::sweep`.
#[test]
fn unfinished_files_are_removed_at_the_next_start_unless_somebody_writes_them() {
    let ground = Ground::new();
    let site = ground.site("sweep", Base::One);
    let cache = site.state.join("cache");
    let left = [site.state.join(".odeon-dead"), cache.join(".odeon-dead")];
    for path in &left {
        std::fs::write(path, "half").unwrap();
    }
    let alive = site.state.join(".odeon-alive");
    let writing = File::create(&alive).unwrap();
    writing.lock().unwrap();
    let link = site.state.join(".odeon-link");
    std::os::unix::fs::symlink("trust.toml", &link).unwrap();
    drop(site.serve(false));
    for path in &left {
        assert!(!path.exists(), "{}", path.display());
    }
    assert!(alive.exists() && link.symlink_metadata().is_ok());
    drop(writing);
    drop(site.serve(false));
    assert!(!alive.exists());
}
