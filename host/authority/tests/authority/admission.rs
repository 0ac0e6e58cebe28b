//! What is let in, what is refused, why, and that the audit has it. Each
//! refusal names the function whose check makes it pass.

use odeon_authority::{GrantSet, Offer, Policy, PolicyError, SignedAs, Terms, Verdict, decide, sign};
use odeon_protocol::Code;

use crate::fixture::{Host, append, claim, component, key, packed, signed, terms};

/// The offer is refused with this code, and the audit's last line says so.
fn assert_refused(host: &Host, bytes: &[u8], terms: &Terms, code: Code) {
    let refused = host.offer(bytes, terms).expect_err("refused");
    assert_eq!(refused.code(), code, "{refused}");
    let event = host.last_event();
    assert_eq!(event["kind"], "decision");
    assert_eq!(event["allowed"], false);
    assert_eq!(event["code"], code.as_str());
    assert_eq!(event["principal"], "user:0");
}

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

/// The grants of an offer with these three sides.
fn granted(asks: Option<&str>, operator: Option<&[&str]>, ceiling: Option<&[&str]>) -> Vec<String> {
    let key = key();
    let set = |texts: &[&str]| GrantSet::parse(texts.iter().copied()).unwrap();
    let bytes = match asks {
        Some(asks) => {
            let manifest = format!("{}\n{asks}", crate::fixture::manifest("calc", "1.0.0"));
            odeon_authority::embed_manifest(&component("x"), manifest.as_bytes()).unwrap()
        }
        None => component("x"),
    };
    let bytes = sign(&bytes, &key, &claim("calc", "1.0.0")).unwrap();
    let host = Host::new();
    let policy = host.trust(|edit| {
        edit.allow_key(&key.public(), &[], ceiling.map(set).as_ref(), None)
            .unwrap()
    });
    let terms = Terms {
        grants: operator.map(set),
        ..terms()
    };
    match decide(Ok(&policy), &Offer::read(&bytes, None).unwrap(), &terms).verdict {
        Verdict::Allow { grants, .. } => grants.lines(),
        Verdict::Deny { message, .. } => panic!("{message}"),
    }
}

// Passes by `decision::grants` and `GrantSet::intersect`.
#[test]
fn grants_are_what_is_asked_and_allowed_and_under_the_ceiling() {
    let asks = "[grants]\nhttp = [\"api.example.com\", \"evil.example.com\"]\nsecret = [\"token\"]\n\
                [[grants.fs]]\nguest = \"/data\"\naccess = \"read-write\"";
    let operator: &[&str] = &[
        "http=api.example.com:443,private",
        "fs=/srv/data::/data",
        "secret=other",
        "env=A=1",
    ];
    assert_eq!(
        granted(Some(asks), Some(operator), None),
        ["fs=/srv/data::/data", "http=api.example.com:443,private"]
    );
    assert_eq!(
        granted(Some(asks), Some(operator), Some(&["http=*.example.com:*"])),
        ["http=api.example.com:443"]
    );
    // Without the operator's word, the ceiling is what he allows.
    assert_eq!(
        granted(Some(asks), None, Some(&["secret=token", "secret=x"])),
        ["secret=token"]
    );
    assert!(granted(Some(asks), None, None).is_empty());
    // Without a manifest, the component asks for whatever the operator names.
    assert_eq!(granted(None, Some(&["secret=other"]), None), ["secret=other"]);
    assert!(granted(Some(""), Some(operator), None).is_empty());
}

#[test]
fn a_name_row_lowers_but_lets_nothing_in() {
    let key = key();
    let text = format!(
        "[[key]]\nkey = \"{}\"\n[[name]]\nname = \"calc*\"\ngrants = [\"secret=a\"]\n",
        key.public()
    );
    let policy = Policy::parse(&text).unwrap();
    let terms = Terms {
        grants: Some(GrantSet::parse(["secret=a", "secret=b"]).unwrap()),
        ..terms()
    };
    let offer = |bytes: &[u8]| decide(Ok(&policy), &Offer::read(bytes, None).unwrap(), &terms).verdict;
    let bytes = sign(&component("x"), &key, &claim("calc", "1.0.0")).unwrap();
    assert!(matches!(offer(&bytes), Verdict::Allow { grants, .. } if grants.lines() == ["secret=a"]));
    assert!(matches!(
        offer(&packed("calc", "1.0.0")),
        Verdict::Deny {
            code: Code::Unsigned,
            ..
        }
    ));
    let unreadable: Result<&Policy, &PolicyError> = Err(&PolicyError::Syntax("x".to_owned()));
    assert!(matches!(
        decide(unreadable, &Offer::read(&bytes, None).unwrap(), &terms).verdict,
        Verdict::Deny {
            code: Code::PolicyUnreadable,
            ..
        }
    ));
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

// Passes by `Policy::ceilings`, asked by `decision::grants`.
#[test]
fn every_ceiling_that_fits_holds() {
    let (host, key) = (Host::new(), key());
    let set = |texts: &[&str]| GrantSet::parse(texts.iter().copied()).unwrap();
    let bytes = sign(&component("x"), &key, &claim("calc", "1.0.0")).unwrap();
    let digest = odeon_authority::digest_of(&bytes).unwrap();
    let granted = |policy: &Policy| {
        let terms = Terms {
            grants: Some(set(&["env=A", "env=B", "env=C"])),
            ..terms()
        };
        match decide(Ok(policy), &Offer::read(&bytes, None).unwrap(), &terms).verdict {
            Verdict::Allow { grants, .. } => grants.lines(),
            Verdict::Deny { message, .. } => panic!("{message}"),
        }
    };
    let policy = host.trust(|edit| edit.allow_key(&key.public(), &[], None, None).unwrap());
    assert_eq!(granted(&policy).len(), 3);
    let policy = host.trust(|edit| {
        let ceiling = set(&["env=A", "env=B"]);
        edit.allow_key(&key.public(), &["calc".parse().unwrap()], Some(&ceiling), None)
            .unwrap();
        // A row for other names is none of its business.
        edit.allow_key(&key.public(), &["other".parse().unwrap()], Some(&set(&[])), None)
            .unwrap();
    });
    assert_eq!(granted(&policy), ["env=A", "env=B"]);
    let policy = host.trust(|edit| {
        edit.allow_digest(&digest, &[], Some(&set(&["env=B", "env=C"])), None)
            .unwrap()
    });
    assert_eq!(granted(&policy), ["env=B"]);
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

// Passes by `Policy::ceilings`.
#[test]
fn every_row_that_fits_is_a_ceiling() {
    let key = key();
    let bytes = sign(&component("x"), &key, &claim("calc", "1.0.0")).unwrap();
    let digest = odeon_authority::digest_of(&component("x")).unwrap();
    let wide = format!("[[key]]\nkey = \"{}\"\n", key.public());
    let tight = format!(
        "[[key]]\nkey = \"{}\"\nnames = [\"calc\"]\ngrants = [\"secret=a\"]\n",
        key.public()
    );
    let other = tight.replace("calc", "other");
    let of_digest = format!("[[digest]]\ndigest = \"{digest}\"\ngrants = [\"secret=b\"]\n");
    let terms = Terms {
        grants: Some(GrantSet::parse(["secret=a", "secret=b"]).unwrap()),
        ..terms()
    };
    let granted = |text: String| {
        let policy = Policy::parse(&text).unwrap();
        match decide(Ok(&policy), &Offer::read(&bytes, None).unwrap(), &terms).verdict {
            Verdict::Allow { grants, .. } => grants.lines(),
            denied => panic!("{denied:?}"),
        }
    };
    assert_eq!(granted(wide.clone()).len(), 2);
    assert_eq!(granted(format!("{wide}{tight}")), ["secret=a"]);
    assert_eq!(granted(format!("{tight}{wide}")), ["secret=a"]);
    assert_eq!(granted(format!("{wide}{other}")).len(), 2);
    assert_eq!(granted(format!("{wide}{of_digest}")), ["secret=b"]);
    assert!(granted(format!("{tight}{of_digest}")).is_empty());
}
