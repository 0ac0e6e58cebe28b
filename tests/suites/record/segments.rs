//! A host whose log goes on in segments.

use std::time::Duration;

use odeon::{HostLimits, Principal, UnloadMode};
use odeon_authority::{ByteSize, Records, SigningKey, verify};

use crate::desk::Desk;
use crate::host::{builder, load, state};

/// Enforced by `HostBuilder::start` (`audit_size`) and `Audit::rotate`.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_host_is_in_segments_of_the_size_it_is_told() {
    let folder = state();
    let limits = HostLimits {
        audit_size: ByteSize::kib(4),
        ..HostLimits::default()
    };
    let key = || {
        SigningKey::load(&folder.path().join("host.key"))
            .unwrap()
            .public()
    };
    for _ in 0..2 {
        let host = builder()
            .state_dir(folder.path())
            .host_limits(limits.clone())
            .start()
            .unwrap();
        for _ in 0..10 {
            load(&host, "guest-echo", "echo").await;
            host.unload(&"echo".parse().unwrap(), UnloadMode::Now, &Principal::Embedder)
                .await
                .unwrap();
        }
        host.shutdown(Duration::ZERO).await;
    }
    let report = verify(folder.path(), &key()).unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    assert!(report.segments > 3, "{report:?}");
    let unloads = Records::open(folder.path()).unwrap();
    let unloads = unloads.filter(|record| record.event["kind"] == "unload").count();
    assert_eq!(unloads, 20);
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().ends_with(".jsonl") {
            assert!(entry.metadata().unwrap().len() <= 4 << 10, "{entry:?}");
        }
    }
}

/// Enforced by `command::audit`: what an operator sees of all that.
#[test]
fn an_operator_exports_checks_and_takes_away() {
    let desk = Desk::with_kit();
    desk.write("config.toml", "[host-limits]\naudit-size = \"4KiB\"\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(desk.path("config.toml"), mode).unwrap();
    let state = ["--state", "state"];
    let on = |args: &[&str]| desk.odeon(&[args, &state].concat());
    let mut server = desk.serve(&["--config", "config.toml", "--state", "state"]);
    for _ in 0..8 {
        on(&["load", "kit.wasm", "--name", "kit", "--allow-unsigned"]).ended(0);
        on(&["unload", "kit"]).ended(0);
    }
    on(&["stop"]).ended(0);
    assert_eq!(server.ended(), Some(0));

    let verified = on(&["audit", "--verify", "--json"]).ended(0).json();
    assert_eq!(verified["verified"], true);
    assert!(verified["segments"].as_u64().unwrap() > 1, "{verified}");
    let last = verified["last"].as_u64().unwrap();
    assert_eq!(verified["lines"], last);
    let shown = on(&["audit", "--tail", "30", "--json"]).ended(0).json();
    assert_eq!(shown["audit"].as_array().unwrap().len(), 30.min(last as usize));

    let exported = on(&["audit", "--export", "out.jsonl", "--json"]).ended(0).json();
    assert_eq!(
        (&exported["export"]["last"], &exported["export"]["through"]),
        (&last.into(), &last.into())
    );
    on(&["audit", "--export", "out.jsonl"]).ended(8);
    on(&["audit", "--export", "more.jsonl", "--from", "99999"]).ended(2);
    let key = exported["export"]["key"].as_str().unwrap();
    let checked = desk
        .odeon(&["audit", "--verify", "--file", "out.jsonl", "--key", key, "--json"])
        .ended(0)
        .json();
    assert_eq!(
        (&checked["lines"], &checked["vouched"]),
        (&last.into(), &true.into())
    );
    let unvouched = desk.odeon(&["audit", "--verify", "--file", "out.jsonl"]).ended(0);
    assert!(unvouched.stdout.contains("nobody says here"), "{unvouched:?}");
    desk.odeon(&["keygen", "-o", "other"]).ended(0);
    let other = ["audit", "--verify", "--file", "out.jsonl", "--key", "other.pub"];
    desk.odeon(&other).ended(3);
    desk.odeon(&["audit", "--verify", "--file", "none.jsonl"])
        .ended(4);

    // The first segment is taken away, as it may be; a later one is not found.
    std::fs::remove_file(desk.path("state/audit.1.jsonl")).unwrap();
    let pruned = on(&["audit", "--verify", "--json"]).ended(0).json();
    assert!(pruned["pruned"].as_u64().unwrap() > 0, "{pruned}");
    let text = std::fs::read_to_string(desk.path("state/audit.jsonl")).unwrap();
    std::fs::write(
        desk.path("state/audit.jsonl"),
        text.replacen("\"time\":\"2", "\"time\":\"1", 1),
    )
    .unwrap();
    let damaged = on(&["audit", "--verify", "--json"]).ended(3).json();
    let finding = &damaged["fault"]["details"]["findings"][0];
    assert_eq!(finding["kind"], "changed", "{damaged}");
    assert_eq!(
        (&finding["at"]["file"], &finding["at"]["line"]),
        (&"audit.jsonl".into(), &1.into())
    );
    assert!(finding["at"]["seq"].as_u64().unwrap() > 1);
}
