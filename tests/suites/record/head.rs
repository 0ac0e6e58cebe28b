//! The head of the audit, kept where the state directory's writer cannot reach.

use std::path::Path;
use std::time::Duration;

use odeon::{Host, HostLimits, StartHostError};
use odeon_authority::{Finding, SigningKey, TimeSpan, verify};
use odeon_tests::guests;

use crate::desk::Desk;
use crate::host::{builder, load, soon, state};

fn starting(folder: &Path, head: &Path) -> Result<Host, StartHostError> {
    let limits = HostLimits {
        audit_interval: TimeSpan::millis(20),
        ..HostLimits::default()
    };
    let builder = builder().state_dir(folder).host_limits(limits);
    builder.audit_head(head).start()
}

fn findings(folder: &Path) -> Vec<Finding> {
    let key = SigningKey::load(&folder.join("host.key")).unwrap().public();
    verify(folder, &key).unwrap().findings
}

fn copied(path: &Path) -> Option<u64> {
    let text = std::fs::read(path).ok()?;
    serde_json::from_slice::<serde_json::Value>(&text).ok()?["seq"].as_u64()
}

/// Enforced by `elsewhere::keep`, and by `Recorder::end_keeping` at the end.
#[tokio::test(flavor = "multi_thread")]
async fn the_head_is_kept_elsewhere_as_the_record_grows() {
    let (folder, away) = (state(), state());
    let head = away.path().join("head");
    let host = starting(folder.path(), &head).unwrap();
    load(&host, "guest-echo", "echo").await;
    soon("the head is kept", || copied(&head) == Some(2)).await;
    load(&host, "guest-echo", "again").await;
    soon("so is the next", || copied(&head) == Some(4)).await;
    host.shutdown(Duration::ZERO).await;
    assert_eq!(findings(folder.path()), []);

    // Who cuts the log and makes a head of his own cannot write there.
    let kept = std::fs::read(&head).unwrap();
    for name in ["audit.jsonl", "audit.head", "audit.head.copy"] {
        std::fs::remove_file(folder.path().join(name)).ok();
    }
    let host = builder().state_dir(folder.path()).one_shot().start().unwrap();
    load(&host, "guest-echo", "other").await;
    host.shutdown(Duration::ZERO).await;
    let other = Finding::OtherThanCopy {
        seq: 4,
        file: head.display().to_string(),
    };
    assert_eq!(findings(folder.path()), [other]);
    assert_eq!(std::fs::read(&head).unwrap(), kept);
}

/// Enforced by `elsewhere::keep`: what cannot be written there holds nothing up.
#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_away_holds_nothing_up_and_is_found() {
    let (folder, away) = (state(), state());
    let head = away.path().join("mounted/head");
    let host = starting(folder.path(), &head).unwrap();
    load(&host, "guest-echo", "echo").await;
    let file = head.display().to_string();
    assert_eq!(findings(folder.path()), [Finding::CopyMissing { file }]);
    std::fs::create_dir(away.path().join("mounted")).unwrap();
    soon("it is kept once its place is there", || copied(&head).is_some()).await;
    host.shutdown(Duration::ZERO).await;
    assert_eq!(findings(folder.path()), []);
}

/// Enforced by `builder::outside`.
#[tokio::test(flavor = "multi_thread")]
async fn a_place_inside_the_state_directory_is_refused() {
    let (folder, away) = (state(), state());
    std::os::unix::fs::symlink(folder.path(), away.path().join("link")).unwrap();
    for head in [folder.path().join("head"), away.path().join("link/head")] {
        let error = starting(folder.path(), &head).err().expect("it is refused");
        assert!(
            error.to_string().contains("outside of the state directory"),
            "{error}"
        );
    }
    let error = builder()
        .audit_head(away.path().join("head"))
        .start()
        .err()
        .unwrap();
    assert!(error.to_string().contains("with a state directory"), "{error}");
}

/// Enforced by `HostConfig::apply` and `Audit::say_elsewhere`.
#[test]
fn a_configuration_says_where_and_verify_looks_there() {
    let desk = Desk::with_kit();
    std::fs::create_dir(desk.path("away")).unwrap();
    desk.write("config.toml", "audit-head = \"away/head\"\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(desk.path("config.toml"), mode).unwrap();
    let mut server = desk.serve(&["--config", "config.toml"]);
    desk.odeon(&["load", "kit.wasm", "--allow-unsigned"]).ended(0);
    // Whoever is turned away changes nothing of it.
    let said = std::fs::read(desk.path("home/.local/state/odeon/audit.elsewhere")).unwrap();
    desk.odeon(&["serve"]).ended(8);
    assert_eq!(
        std::fs::read(desk.path("home/.local/state/odeon/audit.elsewhere")).unwrap(),
        said
    );
    desk.odeon(&["stop"]).ended(0);
    assert_eq!(server.ended(), Some(0));
    let last = desk.odeon(&["audit", "--verify", "--json"]).ended(0).json()["last"].clone();
    assert_eq!(copied(&desk.path("away/head")), last.as_u64());
    std::fs::rename(desk.path("away/head"), desk.path("kept")).unwrap();
    let missing = desk.odeon(&["audit", "--verify"]).ended(3);
    assert!(missing.stderr.contains("away/head"), "{missing:?}");
    std::fs::copy(desk.path("kept"), desk.path("away/head")).unwrap();
    desk.odeon(&["audit", "--verify", "--head", "kept"]).ended(0);
    std::fs::write(desk.path("kept"), "nonsense").unwrap();
    desk.odeon(&["audit", "--verify", "--head", "kept"]).ended(3);
    assert!(guests::odeon().is_file());
}
