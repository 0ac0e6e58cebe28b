//! The folder itself: gone, not to be read, or with two files of one name; and
//! how often it is acted on.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use odeon::{Code, LoadRequest};
use odeon_protocol::DescriptorState;
use odeon_tests::guests;

use crate::ground::{CALC, ONE, TWO, before, digest, ground, name, text};

/// Enforced by `Watch::pass`, which plans nothing without a folder.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_folder_is_gone_or_cannot_be_used_nothing_is_unloaded() {
    let ground = ground().await;
    ground.write("v.toml", &text("v", ONE));
    ground.serves("v", ONE).await;
    let (folder, aside) = (ground.folder(), ground.state.path().join("aside"));
    fs::rename(&folder, &aside).unwrap();
    let problem = || ground.host.status().folder.unwrap();
    ground
        .soon("the folder is missed", || {
            problem().code == Some(Code::FileUnreadable)
        })
        .await;
    assert_eq!(ground.runs("v"), Some((1, digest(ONE))));
    // What comes back may be another.
    fs::write(aside.join("v.toml"), text("v", TWO)).unwrap();
    fs::rename(&aside, &folder).unwrap();
    assert_eq!(ground.serves("v", TWO).await, 2);
    assert_eq!(problem().message, None);

    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    ground.remove("v.toml");
    ground
        .soon("others can write it", || {
            problem()
                .message
                .is_some_and(|message| message.contains("chmod go-w"))
        })
        .await;
    assert_eq!(ground.runs("v"), Some((2, digest(TWO))));
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    ground.gone("v").await;
}

/// Enforced by the holder of `Planner::claim`.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_files_of_one_name_the_one_that_runs_has_it() {
    let ground = ground().await;
    ground.write("m.toml", &text("v", ONE));
    ground.serves("v", ONE).await;
    for file in ["a.toml", "z.toml"] {
        ground.write(file, &text("v", TWO));
        let row = ground.becomes(file, DescriptorState::Broken).await;
        assert_eq!(row.code, Some(Code::NameTaken));
        assert!(row.message.unwrap().contains("m.toml"));
    }
    ground.all_seen().await;
    assert_eq!(ground.runs("v"), Some((1, digest(ONE))));
    // The next that has it is the first by name.
    ground.write("z.toml", &text("v", CALC));
    ground.remove("m.toml");
    ground.becomes("a.toml", DescriptorState::Serving).await;
    assert_eq!(ground.runs("v"), Some((2, digest(TWO))));
    assert_eq!(ground.row("z.toml").unwrap().state, DescriptorState::Broken);
}

/// Enforced by `Gatekeeper::count_described`; who loads by hand has his own
/// count.
#[tokio::test(flavor = "multi_thread")]
async fn so_many_descriptors_are_applied_in_a_minute_and_no_more() {
    let mut before = before();
    before.limits.loads_per_minute = 2;
    for number in 0..3 {
        before.write(&format!("start-{number}.toml"), &text(&format!("s{number}"), ONE));
    }
    let ground = before.start().await;
    assert_eq!(ground.host.list().len(), 3, "a start is no flood");
    for number in 0..4 {
        ground.write(&format!("v{number}.toml"), &text(&format!("v{number}"), ONE));
    }
    for file in ["v0.toml", "v1.toml"] {
        ground.becomes(file, DescriptorState::Serving).await;
    }
    // What takes no load still happens.
    ground.remove("start-0.toml");
    ground.gone("s0").await;
    let waiting = |file: &str| ground.row(file).unwrap().state == DescriptorState::Waiting;
    assert!(waiting("v2.toml") && waiting("v3.toml"));
    assert_eq!(ground.host.list().len(), 4);
    let by_hand = LoadRequest::component(guests::component(CALC)).named(name("mine"));
    ground.host.load(by_hand).await.unwrap();
}
