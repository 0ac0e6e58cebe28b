//! What is granted to whoever is let in: asked for, allowed, and under every
//! ceiling.

use odeon_authority::{GrantSet, Offer, Policy, PolicyError, Terms, Verdict, decide, sign};
use odeon_protocol::Code;

use crate::fixture::{Host, claim, component, key, packed, set, terms};

/// The grants of an offer with these three sides.
fn granted(asks: Option<&str>, operator: Option<&[&str]>, ceiling: Option<&[&str]>) -> Vec<String> {
    let key = key();
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

// Passes by `Policy::ceilings`, asked by `decision::grants`.
#[test]
fn every_ceiling_that_fits_holds() {
    let (host, key) = (Host::new(), key());
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
