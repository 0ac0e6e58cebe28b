//! `keygen`, `pack`, `sign`, `verify`, `trust`: from an author's file to one
//! that an operator lets in. None of it needs a host.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use odeon_authority::{Claim, SigningKey, sign_detached};
use odeon_tests::clock::until;

use crate::{
    components::{KIT, KIT_CHANGED},
    desk::{Desk, MANIFEST},
};

#[test]
fn a_private_key_is_its_owners_alone_and_is_never_replaced() {
    let desk = Desk::new();
    let key = desk
        .odeon(&["keygen", "-o", "author.key", "--json"])
        .ended(0)
        .json();
    assert!(key["key"]["public"].as_str().unwrap().starts_with("ed25519:"));
    assert_eq!(
        desk.path("author.key").metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );
    let before = std::fs::read(desk.path("author.key")).unwrap();
    desk.odeon(&["keygen", "-o", "author.key"]).ended(8);
    assert_eq!(std::fs::read(desk.path("author.key")).unwrap(), before);
}

#[test]
fn signing_keeps_the_digest_and_verifying_shows_the_signer() {
    let desk = Desk::with_signed_kit();
    let packed = desk.odeon(&[
        "pack",
        "kit.wasm",
        "--manifest",
        "odeon.toml",
        "-o",
        "packed.wasm",
        "--json",
    ]);
    let verified = desk.odeon(&["verify", "signed.wasm", "--json"]).ended(0).json();
    assert_eq!(
        verified["component"]["digest"],
        packed.json()["component"]["digest"]
    );
    assert_eq!(
        (&verified["component"]["name"], &verified["component"]["version"]),
        (&"kit".into(), &"1.2.3".into())
    );
    assert_eq!(verified["component"]["signers"].as_array().unwrap().len(), 1);
    assert_eq!(verified["trusted"], false);
}

#[test]
fn verify_refuses_what_is_unsigned_changed_or_not_trusted() {
    let desk = Desk::with_signed_kit();
    desk.odeon(&["verify", "packed.wasm"]).ended(3);
    let mut bytes = std::fs::read(desk.path("signed.wasm")).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    desk.write("changed.wasm", &bytes);
    desk.odeon(&["verify", "changed.wasm"]).ended(3);
    desk.odeon(&["verify", "signed.wasm", "--trusted"]).ended(3);
}

#[test]
fn a_trusted_key_lets_in_what_it_signed_until_it_is_revoked() {
    let desk = Desk::with_signed_kit();
    let run = ["run", "signed.wasm", "add(1, 2)"];
    desk.odeon(&run).ended(3);
    desk.odeon(&["trust", "add", "--key", "author.key.pub", "--name", "kit"])
        .ended(0);
    assert_eq!(desk.odeon(&run).ended(0).stdout, "3\n");
    desk.odeon(&["verify", "signed.wasm", "--trusted"]).ended(0);
    let rows = desk.odeon(&["trust", "list", "--json"]).ended(0).json();
    assert_eq!(
        (&rows["trust"][0]["kind"], &rows["trust"][0]["decision"]),
        (&"key".into(), &"allow".into())
    );
    desk.odeon(&["trust", "revoke", "--key", "author.key.pub"])
        .ended(0);
    let refused = desk
        .odeon(&["run", "signed.wasm", "add(1, 2)", "--json"])
        .ended(3);
    assert_eq!(refused.json()["fault"]["code"], "ODN-4004");
}

#[test]
fn a_trusted_digest_lets_these_bytes_in_and_no_others() {
    let desk = Desk::with_kit();
    desk.component("other.wasm", KIT_CHANGED);
    desk.write("odeon.toml", MANIFEST);
    for file in ["kit.wasm", "other.wasm"] {
        desk.odeon(&["pack", file, "--manifest", "odeon.toml"]).ended(0);
    }
    let packed = desk
        .odeon(&["pack", "kit.wasm", "--manifest", "odeon.toml", "--json"])
        .ended(0)
        .json();
    let digest = packed["component"]["digest"].as_str().unwrap();
    desk.odeon(&["trust", "add", "--digest", digest]).ended(0);
    desk.odeon(&["run", "kit.wasm", "add(1, 2)"]).ended(0);
    desk.odeon(&["run", "other.wasm", "add(1, 2)"]).ended(3);
}

#[test]
fn a_name_that_is_pinned_needs_its_key() {
    let desk = Desk::with_signed_kit();
    desk.odeon(&["keygen", "-o", "other.key"]).ended(0);
    desk.odeon(&["sign", "packed.wasm", "--key", "other.key", "-o", "by-other.wasm"])
        .ended(0);
    for key in ["author.key.pub", "other.key.pub"] {
        desk.odeon(&["trust", "add", "--key", key]).ended(0);
    }
    desk.odeon(&["run", "by-other.wasm", "add(1, 2)"]).ended(0);
    desk.odeon(&[
        "trust",
        "add",
        "--key",
        "author.key.pub",
        "--name",
        "kit",
        "--pin",
    ])
    .ended(0);
    let refused = desk
        .odeon(&["run", "by-other.wasm", "add(1, 2)", "--json"])
        .ended(3);
    assert_eq!(refused.json()["fault"]["code"], "ODN-4007");
    desk.odeon(&["trust", "add", "--key", "author.key.pub", "--name", "k*", "--pin"])
        .ended(2);
}

#[test]
fn a_component_without_a_manifest_is_signed_by_its_files_name_and_says_so() {
    let desk = Desk::with_kit();
    desk.odeon(&["keygen", "-o", "author.key"]).ended(0);
    let ran = desk
        .odeon(&["sign", "kit.wasm", "--key", "author.key", "-o", "signed.wasm"])
        .ended(0);
    assert!(ran.stderr.contains("signed as kit 0.0.0"), "{ran:#?}");
    let ran = desk.odeon(&[
        "sign",
        "kit.wasm",
        "--key",
        "author.key",
        "-o",
        "named.wasm",
        "--name",
        "tools",
        "--version",
        "2.0.0",
        "--json",
    ]);
    assert_eq!(
        (&ran.json()["component"]["name"], ran.stderr.as_str()),
        (&"tools".into(), "")
    );
}

#[test]
fn a_signed_file_cannot_be_signed_as_something_else() {
    let desk = Desk::with_signed_kit();
    let args = [
        "sign",
        "signed.wasm",
        "--key",
        "author.key",
        "--name",
        "other",
        "--json",
    ];
    assert_eq!(desk.odeon(&args).ended(3).json()["fault"]["code"], "ODN-4013");
}

#[test]
fn a_manifest_that_cannot_be_read_is_not_packed() {
    let desk = Desk::with_kit();
    desk.write("odeon.toml", "[plugin]\nname = \"kit\"\n");
    let before = std::fs::read(desk.path("kit.wasm")).unwrap();
    let ran = desk
        .odeon(&["pack", "kit.wasm", "--manifest", "odeon.toml"])
        .ended(7);
    assert!(ran.stderr.contains("version"), "{ran:#?}");
    assert_eq!(std::fs::read(desk.path("kit.wasm")).unwrap(), before);
    desk.odeon(&["pack", "kit.wasm"]).ended(2);
}

#[test]
fn check_tells_what_callers_would_lose() {
    let desk = Desk::with_kit();
    desk.component("changed.wasm", KIT_CHANGED);
    desk.odeon(&["check", "kit.wasm"]).ended(0);
    desk.odeon(&["check", "kit.wasm", "--against", "kit.wasm"])
        .ended(0);
    let ran = desk
        .odeon(&["check", "changed.wasm", "--against", "kit.wasm", "--json"])
        .ended(7)
        .json();
    let breaking = ran["breaking"].as_array().unwrap();
    assert_eq!(
        (breaking.len(), &ran["compatible"]),
        (6, &false.into()),
        "{breaking:?}"
    );
    let add = breaking.iter().find(|row| row["method"] == "add").unwrap();
    assert!(add["change"].as_str().unwrap().contains("u64"), "{add}");
    // What is only added breaks nobody.
    desk.component(
        "less.wasm",
        &KIT.replace(
            "(func (export \"trap\") (canon lift (core func $i \"trap\")))",
            "",
        ),
    );
    desk.odeon(&["check", "kit.wasm", "--against", "less.wasm"])
        .ended(0);
}

/// The policy that the host reads is the one that is edited and asked. Enforced
/// by `Policy::file_of`.
#[test]
fn a_policy_elsewhere_is_the_one_that_trust_verify_and_run_use() {
    let desk = Desk::with_signed_kit();
    desk.write("host.toml", "trust-policy = \"site.toml\"\n");
    let usual = desk.path("home/.local/state/odeon/trust.toml");
    let mut server = desk.serve(&["--config", "host.toml"]);
    desk.odeon(&["trust", "add", "--key", "author.key.pub"]).ended(0);
    assert!(desk.path("site.toml").is_file() && !usual.exists());
    desk.odeon(&["load", "signed.wasm"]).ended(0);
    desk.odeon(&["verify", "signed.wasm", "--trusted"]).ended(0);
    desk.odeon(&["run", "signed.wasm", "add(1, 2)"]).ended(0);
    desk.odeon(&["trust", "revoke", "--key", "author.key.pub"])
        .ended(0);
    until(
        "what the policy revokes is taken out",
        Duration::from_secs(10),
        || desk.odeon(&["list", "--json"]).json()["plugins"] == serde_json::json!([]),
    );
    desk.odeon(&["run", "signed.wasm", "add(1, 2)"]).ended(3);
    desk.odeon(&["stop"]).ended(0);
    server.ended();
    // A host that is started without it goes by its own again.
    drop(desk.serve(&[]));
    desk.odeon(&["trust", "add", "--key", "author.key.pub"]).ended(0);
    assert!(usual.is_file());
}

/// Enforced by `component::read`.
#[test]
fn what_is_no_file_is_refused_and_not_read() {
    let desk = Desk::with_kit();
    for command in [
        &["run", "/dev/zero"][..],
        &["verify", "/dev/zero"],
        &["check", "/dev/zero"],
    ] {
        let ran = desk.odeon(command);
        assert_ne!(ran.status, 0);
        assert!(ran.stderr.contains("regular file"), "{ran:#?}");
    }
    rustix::fs::mknodat(
        rustix::fs::CWD,
        desk.path("pipe.wasm"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    let ran = desk.odeon(&[
        "run",
        "pipe.wasm",
        "add(1, 2)",
        "--allow-unsigned",
        "--wait",
        "5s",
    ]);
    assert!(ran.stderr.contains("regular file"), "{ran:#?}");
}

#[test]
fn what_is_no_row_of_the_policy_cannot_be_revoked_by_mistake() {
    let desk = Desk::with_signed_kit();
    desk.odeon(&["trust", "add", "--key", "author.key.pub", "--name", "kit"])
        .ended(0);
    desk.odeon(&["keygen", "-o", "other.key"]).ended(0);
    let unknown = format!("sha256:{}", "0".repeat(64));
    for what in [
        "elsewhere/author.key.pub",
        "author2.key.pub",
        "nosuch",
        "other.key.pub",
        &unknown,
    ] {
        let ran = desk.odeon(&["trust", "revoke", what]).ended(4);
        assert!(ran.stdout.is_empty() && ran.stderr.contains("help:"), "{ran:#?}");
    }
    let rows = desk.odeon(&["trust", "list", "--json"]).ended(0).json();
    assert_eq!(
        (
            rows["trust"].as_array().unwrap().len(),
            &rows["trust"][0]["decision"]
        ),
        (1, &"allow".into())
    );
    // A name and a key that the policy knows, and what is meant although it does not.
    let ran = desk.odeon(&["trust", "revoke", "kit"]).ended(0);
    assert_eq!(ran.stdout, "revoked name kit\n");
    let ran = desk.odeon(&["trust", "revoke", "author.key.pub"]).ended(0);
    assert!(ran.stdout.starts_with("revoked key ed25519:"), "{ran:#?}");
    desk.odeon(&["trust", "revoke", "--name", "nosuch"]).ended(0);
    desk.odeon(&["trust", "revoke", "--digest", &unknown]).ended(0);
}

#[test]
fn changes_of_the_policy_are_in_the_audit() {
    let desk = Desk::with_signed_kit();
    desk.odeon(&["trust", "add", "--key", "author.key.pub", "--name", "kit"])
        .ended(0);
    desk.odeon(&["trust", "revoke", "author.key.pub"]).ended(0);
    let audit = desk.odeon(&["audit", "--verify", "--json"]).ended(0).json();
    let changes: Vec<&str> = audit["audit"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|record| record["event"]["kind"] == "trust-change")
        .map(|record| record["event"]["change"].as_str().unwrap())
        .collect();
    assert_eq!(changes.len(), 2, "{audit}");
    assert!(
        changes[0].starts_with("add ed25519:") && changes[0].ends_with(" --name kit"),
        "{changes:?}"
    );
    assert!(changes[1].starts_with("revoke key ed25519:"), "{changes:?}");
}

#[test]
fn looking_at_a_state_directory_does_not_make_it() {
    let desk = Desk::new();
    for args in [
        &["audit", "--state", "nowhere"][..],
        &["trust", "revoke", "--name", "kit", "--state", "nowhere"],
    ] {
        desk.odeon(args).ended(4);
        assert!(!desk.path("nowhere").exists(), "{args:?}");
    }
}

#[test]
fn a_signature_beside_the_file_is_one_to_every_command() {
    let desk = Desk::with_signed_kit();
    let key = SigningKey::load(&desk.path("author.key")).unwrap();
    let claim = Claim {
        name: "kit".parse().unwrap(),
        version: "1.2.3".parse().unwrap(),
    };
    let bytes = std::fs::read(desk.path("packed.wasm")).unwrap();
    desk.odeon(&["verify", "packed.wasm"]).ended(3);
    desk.write("packed.wasm.sig", sign_detached(&bytes, &key, &claim).unwrap());
    desk.odeon(&["trust", "add", "--key", "author.key.pub"]).ended(0);
    let verified = desk
        .odeon(&["verify", "packed.wasm", "--trusted", "--json"])
        .ended(0)
        .json();
    assert_eq!(verified["component"]["signers"].as_array().unwrap().len(), 1);
    assert_eq!(
        desk.odeon(&["run", "packed.wasm", "add(1, 2)"]).ended(0).stdout,
        "3\n"
    );
    desk.odeon(&["check", "packed.wasm"]).ended(0);
    // One that belongs to other bytes is none.
    desk.write("kit.wasm.sig", sign_detached(&bytes, &key, &claim).unwrap());
    desk.odeon(&["verify", "kit.wasm"]).ended(3);
    desk.odeon(&["check", "kit.wasm"]).ended(3);
}

#[test]
fn a_key_that_others_can_read_is_a_mistake_of_usage() {
    let desk = Desk::with_signed_kit();
    std::fs::set_permissions(desk.path("author.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let ran = desk
        .odeon(&["sign", "packed.wasm", "--key", "author.key"])
        .ended(2);
    assert!(ran.stderr.contains("chmod 600"), "{ran:#?}");
}

#[test]
fn the_policy_that_a_host_reads_is_the_one_that_is_changed() {
    let desk = Desk::with_signed_kit();
    desk.write("host.toml", "trust-policy = \"policy.toml\"\n");
    let _server = desk.serve(&["--config", "host.toml"]);
    desk.odeon(&["trust", "add", "--key", "author.key.pub"]).ended(0);
    assert!(desk.path("policy.toml").is_file());
    desk.odeon(&["load", "signed.wasm"]).ended(0);
    desk.odeon(&["trust", "revoke", "author.key.pub"]).ended(0);
    until("the plugin is taken out", Duration::from_secs(20), || {
        desk.odeon(&["call", "kit/add", "1", "2"]).status != 0
    });
    desk.odeon(&["load", "signed.wasm"]).ended(3);
}

#[test]
fn a_key_is_not_overwritten_by_what_it_signed() {
    let desk = Desk::with_signed_kit();
    let before = std::fs::read(desk.path("author.key")).unwrap();
    desk.odeon(&["sign", "kit.wasm", "--key", "author.key", "-o", "author.key"])
        .ended(2);
    assert_eq!(std::fs::read(desk.path("author.key")).unwrap(), before);
}
