//! Under which name and version something is let in, and on whose word. Each
//! refusal names the function whose check makes it pass.

use odeon_authority::{SignedAs, Terms, sign};
use odeon_protocol::Code;

use crate::fixture::{Host, assert_refused, claim, component, key, packed, signed, terms};

// Passes by `decision::refuse_downgrade`.
#[test]
fn a_lower_version_than_before_is_refused_unless_said() {
    let (host, key) = (Host::new(), key());
    host.trust(|edit| edit.allow_key(&key.public(), &[], None, None).unwrap());
    let before = Terms {
        previous_version: Some("1.2.0".parse().unwrap()),
        ..terms()
    };
    assert_refused(
        &host,
        &signed("calc", "1.1.9", &key),
        &before,
        Code::VersionLowered,
    );
    assert_refused(
        &host,
        &signed("calc", "1.2.0-rc.1", &key),
        &before,
        Code::VersionLowered,
    );
    assert!(host.offer(&signed("calc", "1.2.0", &key), &before).is_ok());
    assert!(host.offer(&signed("calc", "1.10.0", &key), &before).is_ok());
    let back = Terms {
        allow_downgrade: true,
        ..before
    };
    assert!(host.offer(&signed("calc", "1.1.9", &key), &back).is_ok());
}

// Passes by `decision::refuse_other_pin`.
#[test]
fn a_name_pinned_to_another_key_is_refused() {
    let (host, owner, other) = (Host::new(), key(), key());
    host.trust(|edit| {
        edit.allow_key(&owner.public(), &[], None, None).unwrap();
        edit.allow_key(&other.public(), &[], None, None).unwrap();
        edit.pin(&"calc".parse().unwrap(), &owner.public()).unwrap();
    });
    assert!(host.offer(&signed("calc", "1.0.0", &owner), &terms()).is_ok());
    assert_refused(
        &host,
        &signed("calc", "1.0.0", &other),
        &terms(),
        Code::NamePinned,
    );
    let unsigned = Terms {
        allow_unsigned: true,
        ..terms()
    };
    assert_refused(&host, &packed("calc", "1.0.0"), &unsigned, Code::NamePinned);
    assert!(host.offer(&signed("other", "1.0.0", &other), &terms()).is_ok());
}

// Passes by `policy::fits`, asked by `decision::let_in`.
#[test]
fn a_key_counts_only_for_its_names() {
    let (host, key) = (Host::new(), key());
    host.trust(|edit| {
        edit.allow_key(&key.public(), &["tools.*".parse().unwrap()], None, None)
            .unwrap()
    });
    assert!(host.offer(&signed("tools.calc", "1.0.0", &key), &terms()).is_ok());
    assert_refused(
        &host,
        &signed("calc", "1.0.0", &key),
        &terms(),
        Code::NameNotAllowed,
    );
}

// Passes by `decision::identity`.
#[test]
fn a_file_cannot_stand_in_for_another_unless_the_operator_says_so() {
    let (host, key) = (Host::new(), key());
    host.trust(|edit| edit.allow_key(&key.public(), &[], None, None).unwrap());
    let other = signed("other", "1.0.0", &key);
    let named = Terms {
        name: Some("calc".parse().unwrap()),
        ..terms()
    };
    assert_refused(&host, &other, &named, Code::SignedForOther);
    let wrong = Terms {
        signed_as: SignedAs::Name("third".parse().unwrap()),
        ..named.clone()
    };
    assert_refused(&host, &other, &wrong, Code::SignedForOther);
    for signed_as in [SignedAs::Name("other".parse().unwrap()), SignedAs::Any] {
        let admission = host
            .offer(
                &other,
                &Terms {
                    signed_as,
                    ..named.clone()
                },
            )
            .unwrap();
        assert_eq!(admission.name().as_str(), "calc");
    }
}

// Passes by `signature::sign_detached` (`signature::agree`). That a host
// refuses what somebody signs so all the same is in `signature.rs`.
#[test]
fn nothing_is_signed_for_other_than_its_manifest_says() {
    let key = key();
    let bytes = packed("calc", "1.0.0");
    for other in [claim("calc", "2.0.0"), claim("other", "1.0.0")] {
        assert_eq!(
            sign(&bytes, &key, &other).unwrap_err().code(),
            Code::SignedForOther
        );
    }
}

// Passes by `decision::identity`.
#[test]
fn a_component_without_any_name_needs_one() {
    let host = Host::new();
    let unsigned = Terms {
        allow_unsigned: true,
        ..terms()
    };
    assert_refused(&host, &component("x"), &unsigned, Code::NameNotAllowed);
}

// Passes by `decision::believed`.
#[test]
fn a_strangers_signature_names_nothing_that_a_digest_lets_in() {
    let host = Host::new();
    let bytes = component("tool");
    let digest = odeon_authority::digest_of(&bytes).unwrap();
    let narrow = key();
    host.trust(|edit| {
        edit.allow_digest(&digest, &[], None, None).unwrap();
        edit.allow_key(&narrow.public(), &["tools.*".parse().unwrap()], None, None)
            .unwrap();
    });
    // Anybody can put a signature behind bytes; their digest stays the same.
    for stranger in [&key(), &narrow] {
        let forged = sign(&bytes, stranger, &claim("payments", "99.0.0")).unwrap();
        assert_refused(&host, &forged, &terms(), Code::NameNotAllowed);
        let named = Terms {
            name: Some("tool".parse().unwrap()),
            ..terms()
        };
        let admission = host.offer(&forged, &named).unwrap();
        assert_eq!((admission.name().as_str(), admission.version()), ("tool", None));
    }
    // The word of a key that may use the name counts.
    let signed = sign(&bytes, &narrow, &claim("tools.a", "1.0.0")).unwrap();
    let admission = host.offer(&signed, &terms()).unwrap();
    assert_eq!(admission.name().as_str(), "tools.a");
    assert_eq!(admission.version().unwrap().to_string(), "1.0.0");
}

#[test]
fn a_permitted_step_back_is_on_record() {
    let (host, key) = (Host::new(), key());
    host.trust(|edit| edit.allow_key(&key.public(), &[], None, None).unwrap());
    let back = Terms {
        previous_version: Some("1.2.0".parse().unwrap()),
        allow_downgrade: true,
        ..terms()
    };
    host.offer(&signed("calc", "1.0.0", &key), &back).unwrap();
    let reason = host.last_event()["reason"].to_string();
    assert!(
        reason.contains("lower than 1.2.0 by --allow-downgrade"),
        "{reason}"
    );
    host.offer(&signed("calc", "1.2.0", &key), &back).unwrap();
    let reason = host.last_event()["reason"].to_string();
    assert!(!reason.contains("downgrade"), "{reason}");
}

// Passes by `decision::believed`: anybody can sign what a digest lets in.
#[test]
fn a_strangers_signature_on_trusted_bytes_names_nothing() {
    let (host, stranger, known) = (Host::new(), key(), key());
    let bytes = component("tool");
    let digest = odeon_authority::digest_of(&bytes).unwrap();
    host.trust(|edit| {
        edit.allow_digest(&digest, &[], None, None).unwrap();
        edit.allow_key(&known.public(), &[], None, None).unwrap();
    });
    let claimed = sign(&bytes, &stranger, &claim("payments", "99.0.0")).unwrap();
    assert_refused(&host, &claimed, &terms(), Code::NameNotAllowed);
    let named = Terms {
        name: Some("tool".parse().unwrap()),
        ..terms()
    };
    let admission = host.offer(&claimed, &named).unwrap();
    assert_eq!((admission.name().as_str(), admission.version()), ("tool", None));
    // Somebody whom the policy knows is believed.
    let claimed = sign(&bytes, &known, &claim("payments", "1.0.0")).unwrap();
    assert_eq!(
        host.offer(&claimed, &terms()).unwrap().name().as_str(),
        "payments"
    );
}
