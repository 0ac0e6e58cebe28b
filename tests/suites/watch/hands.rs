//! What operators do by hand to plugins that descriptors describe, and what the
//! host does by itself.

use std::time::Duration;

use odeon::{Args, CallOptions, LoadRequest, ReplaceRequest, Source, UnloadMode};
use odeon_protocol::{Code, DescriptorState};
use odeon_tests::guests;

use crate::ground::{CALC, Ground, ONE, TWO, digest, ground, name, text, trust};

async fn unload(ground: &Ground, plugin: &str) {
    let mode = UnloadMode::Drain(Duration::from_secs(5));
    ground
        .host
        .unload(&name(plugin), mode, ground.host.principal())
        .await
        .unwrap();
}

/// Enforced by `is_held`.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_unloaded_by_hand_stays_out_until_its_file_changes() {
    let ground = ground().await;
    ground.write("v.toml", &text("v", ONE));
    ground.serves("v", ONE).await;
    unload(&ground, "v").await;
    let row = ground.becomes("v.toml", DescriptorState::Held).await;
    assert!(row.message.unwrap().contains("unloaded by hand"));
    // Neither a touch nor the policy nor its component brings it back.
    ground.put("v.toml", &format!("# touched\n{}", text("v", ONE)));
    trust(ground.state.path(), &[ONE, TWO]);
    ground.all_seen().await;
    assert_eq!(ground.runs("v"), None);
    assert_eq!(ground.row("v.toml").unwrap().state, DescriptorState::Held);
    ground.write("v.toml", &text("v", TWO));
    assert_eq!(ground.serves("v", TWO).await, 2);
    // Once more, and this time it is taken up again by hand.
    unload(&ground, "v").await;
    ground.becomes("v.toml", DescriptorState::Held).await;
    ground
        .host
        .load(LoadRequest::descriptor(ground.path("v.toml")))
        .await
        .unwrap();
    ground.becomes("v.toml", DescriptorState::Serving).await;
    ground.all_seen().await;
    assert_eq!(
        ground.runs("v"),
        Some((3, digest(TWO))),
        "it was not loaded once more"
    );
    ground.remove("v.toml");
    ground.gone("v").await;
}

/// A name that an operator uses is not taken from him, and is had when it is
/// free.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_loaded_by_hand_keeps_its_name_until_it_goes() {
    let ground = ground().await;
    let by_hand = LoadRequest::component(guests::component(CALC)).named(name("v"));
    ground.host.load(by_hand).await.unwrap();
    ground.write("v.toml", &text("v", ONE));
    let row = ground.becomes("v.toml", DescriptorState::Broken).await;
    assert_eq!((row.code, row.generation), (Some(Code::NameTaken), None));
    ground.remove("v.toml");
    ground.all_seen().await;
    assert_eq!(ground.runs("v"), Some((1, digest(CALC))));
    ground.write("v.toml", &text("v", ONE));
    ground.becomes("v.toml", DescriptorState::Broken).await;
    unload(&ground, "v").await;
    assert_eq!(ground.serves("v", ONE).await, 2);
}

/// Enforced by `Planner::serving`: what was put there meanwhile is not undone.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_replaced_by_hand_stays_until_the_file_changes() {
    let ground = ground().await;
    ground.write("v.toml", &text("v", ONE));
    ground.serves("v", ONE).await;
    let other = ReplaceRequest::new(name("v"), Source::Component(guests::component(CALC)));
    ground.host.replace(other).await.unwrap();
    let row = ground.becomes("v.toml", DescriptorState::Superseded).await;
    assert_eq!(row.generation.unwrap().0, 2);
    ground.all_seen().await;
    assert_eq!(ground.runs("v"), Some((2, digest(CALC))));
    // Nor does it count as the file's when that says how to replace it.
    ground.write("v.toml", &text("v", ONE).replace("\"0s\"", "\"1s\""));
    ground.all_seen().await;
    ground.becomes("v.toml", DescriptorState::Superseded).await;
    assert_eq!(ground.runs("v"), Some((2, digest(CALC))));
    ground.write("v.toml", &text("v", TWO));
    assert_eq!(ground.serves("v", TWO).await, 3);
    ground.becomes("v.toml", DescriptorState::Serving).await;
    // What is read again by hand is no other thing.
    let again = ReplaceRequest::reload(name("v"));
    ground.host.replace(again).await.unwrap();
    ground.all_seen().await;
    assert_eq!(ground.runs("v"), Some((4, digest(TWO))));
    assert_eq!(ground.row("v.toml").unwrap().state, DescriptorState::Serving);
}

/// The `health-window` of a descriptor, and that what it brings back is not put
/// away again at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_version_goes_back_by_itself_and_is_not_tried_again_as_it_is() {
    let ground = ground().await;
    let watched = |guest: &str| text("v", guest).replace("\"0s\"", "\"60s\"");
    ground.write("v.toml", &watched(ONE));
    ground.serves("v", ONE).await;
    ground.write("v.toml", &watched("wat-start-traps"));
    ground.serves("v", "wat-start-traps").await;
    while ground.runs("v").unwrap().0 == 2 {
        let called = ground
            .host
            .call("v/answer", Args::Wave(""), CallOptions::default());
        drop(called.await);
    }
    assert_eq!(ground.runs("v"), Some((3, digest(ONE))));
    ground.becomes("v.toml", DescriptorState::Superseded).await;
    ground.all_seen().await;
    assert_eq!(ground.runs("v"), Some((3, digest(ONE))));
    assert_eq!(ground.audit("rollback").len(), 1);
    // What the file said before is what runs.
    ground.write("v.toml", &watched(ONE));
    ground.becomes("v.toml", DescriptorState::Serving).await;
    assert_eq!(ground.runs("v"), Some((3, digest(ONE))));
}

/// Enforced by the `health_window` of a step.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_health_window_nothing_goes_back() {
    let ground = ground().await;
    ground.write("v.toml", &text("v", ONE));
    ground.serves("v", ONE).await;
    ground.write("v.toml", &text("v", "wat-start-traps"));
    ground.serves("v", "wat-start-traps").await;
    for _ in 0..20 {
        let called = ground
            .host
            .call("v/answer", Args::Wave(""), CallOptions::default());
        assert_eq!(called.await.unwrap_err().code, Code::Trapped);
    }
    ground.all_seen().await;
    assert_eq!(ground.runs("v"), Some((2, digest("wat-start-traps"))));
}
