//! What is let in, what is refused, why, and that the audit has it. Each
//! refusal names the function whose check makes it pass.

use odeon_authority::{Terms, sign};
use odeon_protocol::Code;

use crate::fixture::{Host, append, assert_refused, claim, component, key, packed, signed, terms};

#[test]
fn signed_by_a_trusted_key_is_let_in() {
    let (host, key) = (Host::new(), key());
    host.trust(|edit| edit.allow_key(&key.public(), &[], None, None).unwrap());
    let admission = host.offer(&signed("calc", "1.0.0", &key), &terms()).unwrap();
    assert_eq!(admission.name().as_str(), "calc");
    assert_eq!(admission.version().unwrap().to_string(), "1.0.0");
    assert_eq!(admission.signed_by(), Some(&key.public()));
    assert!(!admission.is_transient());
    assert_eq!(host.last_event()["allowed"], true);
}

// Passes by `decision::let_in`.
#[test]
fn without_a_policy_nothing_is_let_in() {
    let (host, key) = (Host::new(), key());
    assert_refused(&host, &packed("calc", "1.0.0"), &terms(), Code::Unsigned);
    assert_refused(&host, &signed("calc", "1.0.0", &key), &terms(), Code::KeyUnknown);
}

// Passes by `decision::let_in`.
#[test]
fn unsigned_is_refused() {
    let host = Host::new();
    host.trust(|edit| edit.allow_key(&key().public(), &[], None, None).unwrap());
    assert_refused(&host, &packed("calc", "1.0.0"), &terms(), Code::Unsigned);
}

// Passes by `decision::let_in`.
#[test]
fn signed_by_an_unknown_key_is_refused() {
    let host = Host::new();
    host.trust(|edit| edit.allow_key(&key().public(), &[], None, None).unwrap());
    assert_refused(
        &host,
        &signed("calc", "1.0.0", &key()),
        &terms(),
        Code::KeyUnknown,
    );
}

// Passes by `signature::inspect` (the call of `PublicKey::verifies`).
#[test]
fn wrongly_signed_is_refused() {
    let (host, key) = (Host::new(), key());
    host.trust(|edit| edit.allow_key(&key.public(), &[], None, None).unwrap());
    // A good signature, of another component.
    let other = signed("calc", "1.0.0", &key);
    let payload = odeon_authority::sign_detached(&component("other"), &key, &claim("calc", "1.0.0")).unwrap();
    let mut forged = packed("calc", "1.0.0");
    append(&mut forged, odeon_authority::SIGNATURE_SECTION, &payload);
    assert_ne!(forged, other);
    assert_refused(&host, &forged, &terms(), Code::SignatureInvalid);
    // Nor is it let in as if it were unsigned.
    assert_refused(
        &host,
        &forged,
        &Terms {
            allow_unsigned: true,
            ..terms()
        },
        Code::SignatureInvalid,
    );
}

// Passes by `decision::refuse_denied`.
#[test]
fn signed_by_a_revoked_key_is_refused_even_beside_a_trusted_one() {
    let (host, revoked, trusted) = (Host::new(), key(), key());
    host.trust(|edit| {
        edit.allow_key(&revoked.public(), &[], None, None).unwrap();
        edit.allow_key(&trusted.public(), &[], None, None).unwrap();
    });
    let once = signed("calc", "1.0.0", &revoked);
    assert!(host.offer(&once, &terms()).is_ok());
    host.trust(|edit| {
        edit.revoke(&"calc-unrelated".parse().unwrap()).unwrap();
        edit.revoke(&revoked.public().id().to_string().parse().unwrap())
            .unwrap();
    });
    assert_refused(&host, &once, &terms(), Code::KeyRevoked);
    let twice = sign(&once, &trusted, &claim("calc", "1.0.0")).unwrap();
    assert_refused(&host, &twice, &terms(), Code::KeyRevoked);
    assert_refused(
        &host,
        &once,
        &Terms {
            allow_unsigned: true,
            ..terms()
        },
        Code::KeyRevoked,
    );
}

// Passes by `decision::refuse_denied`.
#[test]
fn a_denied_digest_and_a_denied_name_are_refused() {
    let (host, key) = (Host::new(), key());
    let bytes = signed("calc", "1.0.0", &key);
    let digest = odeon_authority::digest_of(&bytes).unwrap();
    host.trust(|edit| {
        edit.allow_key(&key.public(), &[], None, None).unwrap();
        edit.revoke(&digest.to_string().parse().unwrap()).unwrap();
        edit.revoke(&"evil*".parse().unwrap()).unwrap();
    });
    assert_refused(&host, &bytes, &terms(), Code::PolicyDenied);
    assert_refused(
        &host,
        &signed("evil-calc", "1.0.0", &key),
        &terms(),
        Code::PolicyDenied,
    );
    let unsigned = Terms {
        allow_unsigned: true,
        ..terms()
    };
    assert_refused(
        &host,
        &packed("evil-calc", "1.0.0"),
        &unsigned,
        Code::PolicyDenied,
    );
}

// Passes by `signature::split` (position and number of sections).
#[test]
fn two_signature_sections_and_bytes_behind_the_signature_are_refused() {
    let (host, key) = (Host::new(), key());
    host.trust(|edit| edit.allow_key(&key.public(), &[], None, None).unwrap());
    let good = signed("calc", "1.0.0", &key);
    let payload =
        odeon_authority::sign_detached(&packed("calc", "1.0.0"), &key, &claim("calc", "1.0.0")).unwrap();
    let mut twice = good.clone();
    append(&mut twice, odeon_authority::SIGNATURE_SECTION, &payload);
    assert_refused(&host, &twice, &terms(), Code::SignatureMisplaced);
    let said = host.offer(&twice, &terms()).expect_err("refused").to_string();
    assert!(
        said.contains("expected one odeon:signature section, found 2;"),
        "{said}"
    );
    let mut behind = good;
    append(&mut behind, "mark", b"more");
    assert_refused(&host, &behind, &terms(), Code::SignatureMisplaced);
    assert_refused(
        &host,
        &behind,
        &Terms {
            allow_unsigned: true,
            ..terms()
        },
        Code::SignatureMisplaced,
    );
}

// Passes by `decision::judge` (the manifest must be readable).
#[test]
fn a_manifest_that_cannot_be_read_is_refused() {
    let host = Host::new();
    let mut bytes = component("x");
    append(
        &mut bytes,
        odeon_authority::MANIFEST_SECTION,
        b"[plugin]\nname = 3\n",
    );
    let unsigned = Terms {
        allow_unsigned: true,
        name: Some("x".parse().unwrap()),
        ..terms()
    };
    assert_refused(&host, &bytes, &unsigned, Code::ManifestInvalid);
    let mut twice = packed("x", "1.0.0");
    append(&mut twice, odeon_authority::MANIFEST_SECTION, b"");
    assert_refused(&host, &twice, &unsigned, Code::ManifestInvalid);
}

// Passes by `decision::judge` (the policy must be readable).
#[test]
fn a_policy_that_cannot_be_read_lets_nothing_in_not_even_unsigned() {
    let (host, key) = (Host::new(), key());
    host.trust(|edit| edit.allow_key(&key.public(), &[], None, None).unwrap());
    std::fs::write(host.folder.path().join("trust.toml"), "[[key]]\nkee = 1\n").unwrap();
    let unsigned = Terms {
        allow_unsigned: true,
        ..terms()
    };
    assert_refused(
        &host,
        &signed("calc", "1.0.0", &key),
        &terms(),
        Code::PolicyUnreadable,
    );
    assert_refused(&host, &packed("calc", "1.0.0"), &unsigned, Code::PolicyUnreadable);
}

#[test]
fn allow_unsigned_lets_in_for_once_only() {
    let host = Host::new();
    let unsigned = Terms {
        allow_unsigned: true,
        ..terms()
    };
    let admission = host.offer(&packed("calc", "1.0.0"), &unsigned).unwrap();
    assert!(admission.is_transient());
    assert_eq!(host.last_event()["transient"], true);
    // What a row lets in stays, whatever the flag.
    let key = key();
    host.trust(|edit| edit.allow_key(&key.public(), &[], None, None).unwrap());
    assert!(
        !host
            .offer(&signed("calc", "1.0.0", &key), &unsigned)
            .unwrap()
            .is_transient()
    );
}

#[test]
fn a_digest_lets_the_unsigned_in_to_stay() {
    let host = Host::new();
    let bytes = packed("calc", "1.0.0");
    let digest = odeon_authority::digest_of(&bytes).unwrap();
    host.trust(|edit| edit.allow_digest(&digest, &[], None, None).unwrap());
    assert!(!host.offer(&bytes, &terms()).unwrap().is_transient());
    assert_refused(&host, &packed("calc", "1.0.1"), &terms(), Code::Unsigned);
}

// Passes by `Decision::record` (the append comes first).
#[test]
fn a_decision_that_cannot_be_recorded_is_not_taken() {
    let (host, key) = (Host::new(), key());
    host.trust(|edit| edit.allow_key(&key.public(), &[], None, None).unwrap());
    let good = signed("calc", "1.0.0", &key);
    host.offer(&good, &terms()).unwrap();
    std::fs::remove_file(host.folder.path().join("audit.head")).unwrap();
    let refused = host.offer(&good, &terms()).expect_err("refused");
    assert_eq!(refused.code(), Code::AuditUnwritable);
}
