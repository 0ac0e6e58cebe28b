//! What a descriptor does not allow any more.

use std::fs;
use std::time::Duration;

use odeon::{Args, CallOptions, Code};
use odeon_protocol::DescriptorState;

use crate::ground::{Ground, ONE, bytes, component, digest, ground, name, text, trust};

const HOLDER: &str = "guest-holder";
const BAD: &str = "wat-traps";
const UNLINKED: &str = "wat-missing-imports";

/// A plugin of a descriptor that allows it a variable, and long calls.
fn allowing() -> String {
    format!(
        "{}grants = [\"env=A=1\"]\n[limits]\ndeadline = \"60s\"\n",
        text("v", HOLDER)
    )
}

/// The same without.
fn denying() -> String {
    allowing().replace("\"env=A=1\"", "")
}

async fn serving() -> Ground {
    let ground = ground().await;
    let state = ground.state.path();
    let guests = [HOLDER, BAD, UNLINKED, ONE];
    for guest in guests {
        fs::write(component(state, guest), bytes(guest)).unwrap();
    }
    trust(state, &guests);
    ground.write("v.toml", &allowing());
    ground.serves("v", HOLDER).await;
    assert_eq!(variable(&ground).await, "some(\"1\")");
    ground
}

async fn variable(ground: &Ground) -> String {
    let asked = ground
        .host
        .call("v/long.variable", Args::Wave("\"A\""), CallOptions::default());
    asked.await.unwrap().wave().unwrap()
}

fn granted(ground: &Ground) -> Vec<String> {
    ground.host.describe(&name("v")).unwrap().grants
}

async fn loses_it(ground: &Ground) {
    ground.soon("it has lost it", || granted(ground).is_empty()).await;
}

/// The changes of grants on record: of which generation, and what it lost.
fn lost(ground: &Ground) -> Vec<(u64, serde_json::Value)> {
    let changes = ground.audit("grant-change").into_iter();
    let lost = changes.map(|change| {
        assert_eq!(change["rule"], "its descriptor", "{change}");
        assert_eq!(change["principal"], "host", "{change}");
        assert_eq!(change["added"], serde_json::json!([]), "{change}");
        (change["generation"].as_u64().unwrap(), change["removed"].clone())
    });
    lost.collect()
}

/// Enforced by `Planner::take` and `Host::leave_what_is_said`: with less, what runs
/// is what the file describes.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_descriptor_allows_no_more_is_taken_from_what_runs() {
    let ground = serving().await;
    // What cannot be read says nothing.
    ground.write("v.toml", "grants = [");
    ground.becomes("v.toml", DescriptorState::Broken).await;
    assert_eq!(variable(&ground).await, "some(\"1\")");
    ground.write("v.toml", &denying());
    loses_it(&ground).await;
    assert_eq!(variable(&ground).await, "none");
    ground.becomes("v.toml", DescriptorState::Serving).await;
    ground.all_seen().await;
    assert_eq!(ground.runs("v"), Some((1, digest(HOLDER))), "without a replace");
    assert_eq!(lost(&ground), [(1, serde_json::json!(["env=A"]))]);
    // What it allows again comes with a generation that is loaded on those terms.
    ground.write("v.toml", &allowing());
    ground
        .soon("it is there again", || granted(&ground) == ["env=A"])
        .await;
    assert_eq!(ground.runs("v"), Some((2, digest(HOLDER))));
    assert_eq!(variable(&ground).await, "some(\"1\")");
}

/// Enforced by `Planner::take`: a rollback gives no more than the terms of before
/// and of now.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_comes_back_has_not_what_its_descriptor_has_lost_meanwhile() {
    let ground = serving().await;
    let watched = text("v", BAD).replace("\"0s\"", "\"60s\"");
    ground.write("v.toml", &watched);
    ground.serves("v", BAD).await;
    while ground.runs("v").unwrap().0 == 2 {
        let trap = ground
            .host
            .call("v/unreachable", Args::Wave(""), CallOptions::default());
        drop(trap.await);
    }
    assert_eq!(ground.runs("v"), Some((3, digest(HOLDER))));
    assert_eq!(variable(&ground).await, "none");
    assert_eq!(granted(&ground), [""; 0]);
    assert_eq!(lost(&ground), [(1, serde_json::json!(["env=A"]))]);
    ground.becomes("v.toml", DescriptorState::Superseded).await;
    ground.all_seen().await;
    assert_eq!(ground.runs("v"), Some((3, digest(HOLDER))));
}

/// Enforced by `Planner::take`, and `has_lost` when the file says again what it
/// said before.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_does_not_link_leaves_the_one_before_without_what_was_taken() {
    let ground = serving().await;
    ground.write("v.toml", &text("v", UNLINKED));
    let row = ground.becomes("v.toml", DescriptorState::Refused).await;
    assert_eq!((row.code, row.generation.unwrap().0), (Some(Code::LinkFailed), 1));
    assert_eq!(variable(&ground).await, "none");
    assert_eq!(lost(&ground), [(1, serde_json::json!(["env=A"]))]);
    ground.write("v.toml", &allowing());
    ground
        .soon("it is there again", || granted(&ground) == ["env=A"])
        .await;
    assert_eq!(ground.runs("v"), Some((2, digest(HOLDER))));
    ground.becomes("v.toml", DescriptorState::Serving).await;
}

/// Enforced by `Seen::Lacking`: its component is another matter.
#[tokio::test(flavor = "multi_thread")]
async fn a_descriptor_whose_component_is_gone_takes_all_the_same() {
    let ground = serving().await;
    fs::remove_file(component(ground.state.path(), HOLDER)).unwrap();
    ground.becomes("v.toml", DescriptorState::Broken).await;
    assert_eq!(variable(&ground).await, "some(\"1\")", "it still allows it");
    ground.write("v.toml", &denying());
    loses_it(&ground).await;
    assert_eq!(variable(&ground).await, "none");
    let row = ground.becomes("v.toml", DescriptorState::Broken).await;
    assert_eq!(row.code, Some(Code::FileUnreadable));
    assert_eq!(ground.runs("v"), Some((1, digest(HOLDER))));
}

/// Enforced by `Planner::take`, before what comes in its place is tried: a call
/// that goes on loses it at its next use, and not when it is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_runs_loses_what_its_descriptor_does_not_allow_any_more() {
    let ground = serving().await;
    let caller = ground.host.clone();
    let running = tokio::spawn(async move {
        let args = Args::Wave("\"A\"");
        caller
            .call("v/long.variable-until-gone", args, CallOptions::default())
            .await
    });
    ground
        .soon("it runs", || ground.plugin("v").unwrap().in_flight == 1)
        .await;
    // With the grant it would go on, and end as replaced when the drain is over.
    ground.write("v.toml", &text("v", ONE));
    let reply = tokio::time::timeout(Duration::from_secs(50), running).await;
    let reply = reply.expect("it ends before its deadline").unwrap().unwrap();
    assert_eq!(reply.generation.0, 1);
    assert_eq!(ground.serves("v", ONE).await, 2);
}
