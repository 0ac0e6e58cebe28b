//! Folders that are swapped as a whole, and links that lead elsewhere.

use std::fs;
use std::os::unix::fs::symlink;

use odeon_protocol::{Code, DescriptorState};

use crate::ground::{Ground, ONE, TWO, digest, ground, text};

/// Makes a version of the data as a ConfigMap is mounted, and swaps to it.
fn swap(ground: &Ground, version: &str, files: &[(&str, &str)]) {
    let data = ground.path(version);
    fs::create_dir(&data).unwrap();
    for (file, text) in files {
        fs::write(data.join(file), text).unwrap();
    }
    let new = ground.path("..data_tmp");
    symlink(version, &new).unwrap();
    fs::rename(new, ground.path("..data")).unwrap();
}

/// Enforced by `DescriptorFolder::find` and by the stamp of what a link leads to.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_swapped_as_a_config_map_is_applied_as_one() {
    let ground = ground().await;
    swap(
        &ground,
        "..2026_01",
        &[("v.toml", &text("v", ONE)), ("w.toml", &text("w", ONE))],
    );
    for file in ["v.toml", "w.toml"] {
        symlink(format!("..data/{file}"), ground.path(file)).unwrap();
    }
    ground.serves("v", ONE).await;
    ground.serves("w", ONE).await;
    swap(
        &ground,
        "..2026_02",
        &[("v.toml", &text("v", TWO)), ("w.toml", &text("w", ONE))],
    );
    fs::remove_dir_all(ground.path("..2026_01")).unwrap();
    assert_eq!(ground.serves("v", TWO).await, 2);
    ground.all_seen().await;
    assert_eq!(ground.runs("w"), Some((1, digest(ONE))), "it says what it said");
    // One of them is not in the next version any more, and its link goes later.
    swap(&ground, "..2026_03", &[("v.toml", &text("v", TWO))]);
    ground.becomes("w.toml", DescriptorState::Broken).await;
    assert_eq!(ground.runs("w"), Some((1, digest(ONE))));
    ground.remove("w.toml");
    ground.gone("w").await;
    // By hand it is read in the same way.
    let again = odeon::ReplaceRequest::reload("v".parse().unwrap());
    ground.host.replace(again).await.unwrap();
}

/// Enforced by `RESOLVE_BENEATH`.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_leaves_the_folder_describes_nothing() {
    let ground = ground().await;
    let outside = ground.state.path().join("outside.toml");
    fs::write(&outside, text("v", ONE)).unwrap();
    for (file, target) in [
        ("absolute.toml", outside.to_str().unwrap()),
        ("up.toml", "../outside.toml"),
    ] {
        symlink(target, ground.path(file)).unwrap();
        let row = ground.becomes(file, DescriptorState::Broken).await;
        assert_eq!(row.code, Some(Code::DescriptorInvalid));
        assert!(row.message.unwrap().contains("a link that leaves it"));
    }
    ground.all_seen().await;
    assert_eq!(ground.runs("v"), None);
}
