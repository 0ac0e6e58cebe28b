//! What is refused is tried again when something has changed that it is about,
//! and not before.

use std::fs;
use std::time::Duration;

use odeon::daemon::DaemonConfig;
use odeon_protocol::{Code, DescriptorState};
use rustix::process::{Signal, getpid, kill_process};

use crate::ground::{Before, CALC, ONE, TWO, before, bytes, component, digest, ground, text, trust};

/// Enforced by the round of `Applied::refusal`.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_policy_refuses_is_tried_again_when_the_policy_changes() {
    let ground = ground().await;
    trust(ground.state.path(), &[ONE]);
    ground.write("v.toml", &text("v", TWO));
    let row = ground.becomes("v.toml", DescriptorState::Refused).await;
    assert_eq!(row.code, Some(Code::Unsigned));
    let refused = || {
        ground
            .audit("decision")
            .iter()
            .filter(|event| event["allowed"] == false)
            .count()
    };
    assert_eq!(refused(), 1);
    ground.all_seen().await;
    ground.all_seen().await;
    assert_eq!(refused(), 1, "time alone is no reason");
    trust(ground.state.path(), &[ONE, TWO]);
    assert_eq!(ground.serves("v", TWO).await, 1);
}

/// Enforced by `Problem::passes` and `Retry`: what says nothing of the file is no
/// reason to leave it for good.
#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_recorded_is_tried_again_after_a_while() {
    let ground = ground().await;
    let head = ground.state.path().join("audit.head");
    let whole = fs::read(&head).unwrap();
    fs::write(&head, "nonsense").unwrap();
    ground.write("v.toml", &text("v", ONE));
    let row = ground.becomes("v.toml", DescriptorState::Refused).await;
    assert_eq!(row.code, Some(Code::AuditUnwritable));
    fs::write(&head, whole).unwrap();
    assert_eq!(ground.serves("v", ONE).await, 1);
}

/// What the policy takes out comes back with the policy: enforced by
/// `Gone::Denied`.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_revoked_is_refused_and_comes_back_when_it_is_trusted_again() {
    let ground = ground().await;
    ground.write("v.toml", &text("v", ONE));
    ground.write("w.toml", &text("w", TWO));
    ground.serves("v", ONE).await;
    ground.serves("w", TWO).await;
    trust(ground.state.path(), &[ONE]);
    ground.gone("w").await;
    let row = ground.becomes("w.toml", DescriptorState::Refused).await;
    assert_eq!((row.code, row.generation), (Some(Code::Unsigned), None));
    trust(ground.state.path(), &[ONE, TWO]);
    assert_eq!(ground.serves("w", TWO).await, 2);
    assert_eq!(ground.runs("v"), Some((1, digest(ONE))));
}

/// A new version that is refused leaves the old one, and another file or
/// component is another try.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_link_is_tried_again_when_its_file_or_its_component_changes() {
    let ground = ground().await;
    trust(ground.state.path(), &[ONE, TWO, "wat-missing-imports"]);
    let component = ground.state.path().join("c.wasm");
    fs::write(&component, bytes(ONE)).unwrap();
    ground.write("v.toml", &text("v", "c"));
    ground.serves("v", ONE).await;
    fs::write(&component, bytes("wat-missing-imports")).unwrap();
    let row = ground.becomes("v.toml", DescriptorState::Refused).await;
    assert_eq!((row.code, row.generation.unwrap().0), (Some(Code::LinkFailed), 1));
    let tries = || ground.audit("decision").len();
    let before = tries();
    ground.write(
        "v.toml",
        &format!("{}[limits]\nmemory = \"8MiB\"\n", text("v", "c")),
    );
    ground.soon("another try", || tries() == before + 1).await;
    ground.becomes("v.toml", DescriptorState::Refused).await;
    fs::write(&component, bytes(TWO)).unwrap();
    assert_eq!(ground.serves("v", TWO).await, 2);
}

/// What was refused when the host started counts as tried: enforced by
/// `Watch::recall_start`.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_at_the_start_is_not_tried_again_as_it_is() {
    let before = before();
    trust(before.state.path(), &[ONE]);
    before.write("v.toml", &text("v", TWO));
    let ground = before.start().await;
    ground.becomes("v.toml", DescriptorState::Refused).await;
    ground.all_seen().await;
    let refused = ground
        .audit("decision")
        .iter()
        .filter(|event| event["allowed"] == false)
        .count();
    assert_eq!(refused, 1);
    trust(ground.state.path(), &[ONE, TWO]);
    ground.serves("v", TWO).await;
}

fn with_signals(watch: bool) -> Before {
    let before = before();
    let config = DaemonConfig {
        signals: true,
        watch,
        ..before.config
    };
    Before { config, ..before }
}

/// Enforced by `Descriptors::again`.
#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_tries_again_what_was_refused() {
    let ground = with_signals(true).start().await;
    trust(ground.state.path(), &[ONE]);
    ground.write("v.toml", &text("v", TWO));
    ground.becomes("v.toml", DescriptorState::Refused).await;
    let tries = || ground.audit("decision").len();
    let before = tries();
    kill_process(getpid(), Signal::HUP).unwrap();
    ground.soon("another try", || tries() > before).await;
}

/// Enforced by `Watch::rest`.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_not_watched_is_looked_at_when_a_hangup_says_so() {
    let before = with_signals(false);
    before.write("v.toml", &text("v", ONE));
    let ground = before.start().await;
    ground.becomes("v.toml", DescriptorState::Serving).await;
    assert!(!ground.host.status().folder.unwrap().watched);
    ground.write("v.toml", &text("v", TWO));
    ground.write("w.toml", &text("w", CALC));
    // Longer than the timer of one that is watched.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(ground.runs("v"), Some((1, digest(ONE))));
    assert_eq!(ground.host.list().len(), 1);
    kill_process(getpid(), Signal::HUP).unwrap();
    ground.serves("v", TWO).await;
    ground.serves("w", CALC).await;
}

/// Enforced by `Descriptors::provider_came`; at the start by `Host::load_all`.
#[tokio::test]
async fn what_lacks_a_provider_is_loaded_when_that_comes() {
    let before = before();
    let guests = ["guest-caller", "guest-provider"];
    for guest in guests {
        fs::write(component(before.state.path(), guest), bytes(guest)).unwrap();
    }
    trust(before.state.path(), &guests);
    let linked = |name: &str, provider: &str| {
        format!(
            "{}[links]\n\"odeon-tests:links/steps\" = \"{provider}\"\n",
            text(name, "guest-caller")
        )
    };
    // In an order in which neither could be loaded.
    before.write("a.toml", &linked("a", "b"));
    before.write("b.toml", &linked("b", "c"));
    let ground = before.start().await;
    for file in ["a.toml", "b.toml"] {
        let row = ground.becomes(file, DescriptorState::Refused).await;
        assert_eq!(row.code, Some(Code::ProviderMissing), "{row:?}");
    }
    ground.write("c.toml", &text("c", "guest-provider"));
    ground.serves("c", "guest-provider").await;
    ground.serves("b", "guest-caller").await;
    ground.serves("a", "guest-caller").await;
}
