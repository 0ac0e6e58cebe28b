//! What a plugin may use whose descriptor an operator loaded by hand.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use odeon::{Args, CallOptions, Code, Host, LoadRequest, ReplaceRequest, Source};
use odeon_protocol::Digest;
use odeon_tests::guests;

use crate::ground::GUEST;
use crate::host::{at, fault, soon, state};
use crate::policy::{events, policy, told};

const BAD: &str = "wat-traps";
const UNLINKED: &str = "wat-missing-imports";

/// Lets these guests in by their digests.
fn trust(folder: &Path) {
    let row = |guest| format!("[[digest]]\ndigest = \"{}\"\n", Digest::of(&guests::bytes(guest)));
    policy(folder, &[GUEST, BAD, UNLINKED].map(row).concat());
}

fn write(folder: &Path, file: &str, guest: &str, grants: &str) -> PathBuf {
    let path = folder.join(file);
    let source = guests::component(guest);
    let text = format!(
        "source = \"{}\"\nname = \"b\"\ngrants = [{grants}]\n",
        source.display()
    );
    fs::write(&path, text).unwrap();
    path
}

fn replace(source: Option<PathBuf>) -> ReplaceRequest {
    ReplaceRequest {
        source: source.map(Source::Descriptor),
        health_window: Duration::from_secs(60),
        ..ReplaceRequest::reload("b".parse().unwrap())
    }
}

async fn variable(host: &Host) -> String {
    told(host, "b/long.variable", "\"A\"", &[]).await
}

async fn loaded(folder: &Path) -> (Host, PathBuf) {
    trust(folder);
    let file = write(folder, "b.toml", GUEST, "\"env=A=1\"");
    let host = at(folder);
    host.load(LoadRequest::descriptor(&file)).await.unwrap();
    assert_eq!(variable(&host).await, "some(\"1\")");
    (host, file)
}

/// Enforced by `Host::take_first`; what the file allows again is there again, by
/// `Loaded::asked`.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_file_does_not_allow_any_more_is_gone_also_when_its_reload_fails() {
    let state = state();
    let (host, _) = loaded(state.path()).await;
    write(state.path(), "b.toml", UNLINKED, "");
    assert_eq!(fault(host.replace(replace(None)).await).code, Code::LinkFailed);
    assert_eq!(host.list()[0].generation.0, 1);
    assert_eq!(variable(&host).await, "none");
    let changes = events(state.path(), "grant-change");
    assert_eq!(
        (changes.len(), &changes[0]["removed"], &changes[0]["rule"]),
        (1, &serde_json::json!(["env=A"]), &"its descriptor".into())
    );
    // What is no descriptor says nothing.
    write(state.path(), "b.toml", GUEST, "\"env=A=1\"");
    host.replace(replace(None)).await.unwrap();
    assert_eq!(variable(&host).await, "some(\"1\")");
    fs::write(state.path().join("b.toml"), "source = ").unwrap();
    assert_eq!(
        fault(host.replace(replace(None)).await).code,
        Code::DescriptorInvalid
    );
    assert_eq!(variable(&host).await, "some(\"1\")");
}

/// Enforced by `Host::take_at_switch`: another file counts when it is in force,
/// and from then on for what it replaced.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_comes_back_has_no_more_than_the_file_in_between_allowed() {
    let state = state();
    let (host, _) = loaded(state.path()).await;
    let other = write(state.path(), "other.toml", UNLINKED, "");
    let failed = host.replace(replace(Some(other.clone()))).await;
    assert_eq!(fault(failed).code, Code::LinkFailed);
    assert_eq!(
        variable(&host).await,
        "some(\"1\")",
        "the other was never in force"
    );
    write(state.path(), "other.toml", BAD, "");
    host.replace(replace(Some(other))).await.unwrap();
    for _ in 0..3 {
        let trap = host.call("b/unreachable", Args::Wave(""), CallOptions::default());
        assert_eq!(fault(trap.await).code, Code::Trapped);
    }
    soon("it is back", || host.list()[0].generation.0 == 3).await;
    assert_eq!(variable(&host).await, "none");
    let changes = events(state.path(), "grant-change");
    assert_eq!(
        (&changes[0]["removed"], &changes[0]["generation"]),
        (&serde_json::json!(["env=A"]), &1.into())
    );
}

/// Enforced by `Host::said_by`: nobody looks at this file by himself.
#[tokio::test(flavor = "multi_thread")]
async fn who_changes_a_file_that_is_not_watched_is_told_to_have_it_read_again() {
    let state = state();
    let (host, file) = loaded(state.path()).await;
    let revoke = || vec!["env=A".parse().unwrap()];
    let name = "b".parse().unwrap();
    let refused = host.grant(&name, Vec::new(), revoke(), host.principal()).await;
    let words = fault(refused).message;
    assert!(
        words.contains(file.to_str().unwrap()) && words.ends_with("edit the file, then `odeon reload b`"),
        "{words}"
    );
    // What was said beside the file is not in it.
    let beside = LoadRequest::descriptor(&file)
        .named("c".parse().unwrap())
        .with_grants(odeon::GrantSet::parse(["env=A=2"]).unwrap());
    host.load(beside).await.unwrap();
    let name = "c".parse().unwrap();
    let refused = host.grant(&name, Vec::new(), revoke(), host.principal()).await;
    let words = fault(refused).message;
    assert!(words.ends_with("load that again with other grants"), "{words}");
}
