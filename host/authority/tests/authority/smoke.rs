//! Bytes from nowhere, and bytes that are nearly right: nothing panics, and
//! what is let through keeps the promises of its kind.
//!
//! A target of *nearly right* input also proves that it reaches what lies
//! behind the parser: some of it must be accepted, and some refused.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use odeon_authority::{
    Descriptor, Grant, GrantSet, Manifest, Offer, Policy, SignatureError, embed_manifest, inspect,
};

use crate::fixture::{EMPTY, append, key, manifest, packed, signed};

const ROUNDS: usize = 2_000;

#[test]
fn arbitrary_manifests_are_within_their_bounds() {
    bolero::check!()
        .with_iterations(ROUNDS)
        .for_each(|bytes: &[u8]| drop(Manifest::parse(bytes).map(bounded)));
}

#[test]
fn arbitrary_descriptors_and_policies() {
    bolero::check!().with_iterations(ROUNDS).for_each(|bytes: &[u8]| {
        drop(Descriptor::parse(bytes, Path::new("")));
        drop(Policy::parse(&String::from_utf8_lossy(bytes)));
    });
}

#[test]
fn arbitrary_components() {
    bolero::check!().with_iterations(ROUNDS).for_each(|bytes: &[u8]| {
        drop(Offer::read(bytes, Some(bytes)));
        let mut component = EMPTY.to_vec();
        component.extend_from_slice(bytes);
        drop(Offer::read(&component, None));
        drop(embed_manifest(&component, manifest("x", "1.0.0").as_bytes()));
    });
}

#[test]
fn arbitrary_signature_sections_are_refused() {
    bolero::check!().with_iterations(ROUNDS).for_each(|bytes: &[u8]| {
        let mut component = EMPTY.to_vec();
        append(&mut component, odeon_authority::SIGNATURE_SECTION, bytes);
        assert!(inspect(&component, None).is_err());
    });
}

/// Whatever is changed in a signed component, no signature of its key is seen
/// over bytes that the key did not sign.
#[test]
fn signed_components_with_bytes_changed_are_not_signed() {
    let good = signed("calc", "1.0.0", &key());
    let covered = inspect(&good, None).unwrap().unsigned_len;
    bolero::check!()
        .with_iterations(ROUNDS)
        .with_type::<Vec<(u16, u8)>>()
        .for_each(|changes| {
            let mut bytes = good.clone();
            for (at, value) in changes {
                let at = usize::from(*at) % bytes.len();
                bytes[at] = *value;
            }
            drop(Offer::read(&bytes, None));
            if let Ok(signed) = inspect(&bytes, None) {
                assert!(signed.signers.is_empty() || bytes[..covered] == good[..covered]);
            }
        });
}

/// The section alone is what is changed, so that its own parser is reached.
#[test]
fn almost_valid_signature_sections_are_refused() {
    let component = packed("calc", "1.0.0");
    let key = key();
    let claim = crate::fixture::claim("calc", "1.0.0");
    let section = odeon_authority::sign_detached(&component, &key, &claim).unwrap();
    let seen = Seen::default();
    nearly(&section, SIGNATURES, |bytes| {
        let outcome = inspect(&component, Some(bytes));
        match &outcome {
            // There is one way to write what the key signed.
            Ok(signed) => {
                assert_eq!(bytes, section);
                assert_eq!(signed.signers, [key.public()]);
            }
            Err(SignatureError::Malformed { .. }) => {}
            Err(_) => {
                seen.further.fetch_add(1, Relaxed);
            }
        }
        seen.count(outcome.is_ok());
    });
    seen.both();
    assert!(
        seen.further.load(Relaxed) > 0,
        "expected forms whose signature is wrong"
    );
}

const SIGNATURES: &[&str] = &[
    "name ", "version ", "ed25519:", "\n", "=", " ", "1.0.0", "calc", "\r\n",
];

#[test]
fn almost_valid_manifests_are_within_their_bounds() {
    let seen = Seen::default();
    nearly(MANIFEST.as_bytes(), TOML, |bytes| {
        let manifest = Manifest::parse(bytes);
        seen.count(manifest.is_ok());
        if let Ok(manifest) = manifest {
            bounded(manifest);
            // What is embedded is what is read from the file again.
            let component = embed_manifest(EMPTY, bytes).unwrap();
            let again = odeon_authority::manifest_of(&component).unwrap();
            assert_eq!(again, Manifest::parse(bytes).ok());
        }
    });
    seen.both();
}

const MANIFEST: &str = r#"
[plugin]
name = "indexer"
version = "0.1.0"
description = "Counts"
license = "Apache-2.0"
authors = ["A", "B"]
homepage = "https://example.org"
instance = "resident"
workers = 2

[[grants.fs]]
guest = "/data"
access = "read"

[[grants.http]]
host = "example.org"

[limits]
memory = "64MiB"
deadline = "30s"

[config.language]
description = "Two letters"
default = "en"
"#;

#[test]
fn almost_valid_descriptors_keep_what_they_promise() {
    let seen = Seen::default();
    nearly(DESCRIPTOR.as_bytes(), TOML, |bytes| {
        let descriptor = Descriptor::parse(bytes, Path::new("/plugins.d"));
        seen.count(descriptor.is_ok());
        if let Ok(descriptor) = descriptor {
            let paths = [&descriptor.source]
                .into_iter()
                .chain(descriptor.secrets.values());
            for path in paths {
                assert!(
                    path.is_absolute(),
                    "{path:?} is relative to the descriptor's folder"
                );
            }
            spelled_again(&descriptor.grants);
        }
    });
    seen.both();
}

const DESCRIPTOR: &str = r#"
source = "indexer.wasm"
name = "indexer"
instance = "resident"
workers = 2

[limits]
memory = "64MiB"

[[grants.fs]]
host = "/srv/notes"
guest = "/data"
access = "read-write"

[[grants.http]]
host = "*.example.org"

[config]
language = "en"

[secrets]
token = "token.txt"
"#;

#[test]
fn almost_valid_policies_have_a_row_for_each_entry() {
    let key = key().public();
    let digest = inspect(EMPTY, None).unwrap().digest;
    let policy = format!(
        "[[key]]\nkey = \"{key}\"\ndecision = \"allow\"\nnames = [\"calc*\"]\n\n\
         [[digest]]\ndigest = \"{digest}\"\ndecision = \"deny\"\n\n\
         [[name]]\nname = \"evil-*\"\ndecision = \"deny\"\n"
    );
    let seen = Seen::default();
    nearly(policy.as_bytes(), TOML, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let policy = Policy::parse(&text);
        seen.count(policy.is_ok());
        if let Ok(policy) = policy {
            assert!(policy.rows().len() <= text.matches("[[").count(), "{text}");
        }
    });
    seen.both();
}

const TOML: &[&str] = &[
    "\"", "[", "]", "[[", "]]", "=", "\n", "#", "'", ".", "-", "0", "9", "true", "..", "/", "*", "\\u0000",
    "MiB", "\n[x]\n", "{}", "\"\"", "é",
];

#[test]
fn almost_valid_grants_are_spelled_as_they_are_read() {
    let seen = Seen::default();
    for grant in [
        "fs=/srv/notes::/data,rw",
        "tcp=example.org:443",
        "http=*.example.org",
        "http=10.0.0.1:8080",
        "udp=[2001:db8::1]:53",
        "env=HOME",
        "env=LANG=en",
        "secret=token",
    ] {
        nearly(grant.as_bytes(), GRANTS, |bytes| {
            let Ok(text) = std::str::from_utf8(bytes) else {
                return;
            };
            let mut grants = GrantSet::default();
            let parsed = text.parse::<Grant>();
            seen.count(parsed.is_ok());
            if let Ok(grant) = parsed
                && grants.add(grant).is_ok()
            {
                spelled_again(&grants);
            }
        });
    }
    seen.both();
}

const GRANTS: &[&str] = &[
    "fs=",
    "tcp=",
    "udp=",
    "http=",
    "listen=",
    "env=",
    "secret=",
    "::",
    ":",
    "/",
    "..",
    "*",
    "*.",
    ",rw",
    ",",
    "=",
    "[",
    "]",
    "0",
    "65536",
    "127.0.0.1",
    "é",
];

/// How much of what was tried got through.
#[derive(Default)]
struct Seen {
    accepted: AtomicUsize,
    refused: AtomicUsize,
    further: AtomicUsize,
}

impl Seen {
    fn count(&self, is_accepted: bool) {
        let of = if is_accepted {
            &self.accepted
        } else {
            &self.refused
        };
        of.fetch_add(1, Relaxed);
    }

    fn both(&self) {
        assert!(
            self.accepted.load(Relaxed) > 0 && self.refused.load(Relaxed) > 0,
            "expected some of both: {} accepted, {} refused",
            self.accepted.load(Relaxed),
            self.refused.load(Relaxed)
        );
    }
}

/// Text that is right but for up to three places, where a byte is changed, one
/// of `words` is put in, or something is taken out.
fn nearly(text: &[u8], words: &[&str], check: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    // What is right is among them.
    check(text);
    bolero::check!()
        .with_iterations(ROUNDS)
        .with_type::<(Change, Option<Change>, Option<Change>)>()
        .for_each(|(first, second, third)| {
            let mut bytes = text.to_vec();
            for (at, how, value) in [Some(first), second.as_ref(), third.as_ref()]
                .into_iter()
                .flatten()
            {
                let at = usize::from(*at) % (bytes.len() + 1);
                let end = (at + 1).min(bytes.len());
                let put: Vec<u8> = match how % 4 {
                    0 => vec![*value],
                    1 => words[usize::from(*value) % words.len()].bytes().collect(),
                    _ => Vec::new(),
                };
                // A byte is another, a word is put in, one byte or several are taken out.
                let gone = match how % 4 {
                    0 | 2 => at..end,
                    1 => at..at,
                    _ => at..(at + usize::from(*value)).min(bytes.len()),
                };
                bytes.splice(gone, put);
            }
            check(&bytes);
        });
}

/// Where, how, and with what.
type Change = (u16, u8, u8);

/// What a manifest promises to everybody who shows or keeps it.
fn bounded(manifest: Manifest) {
    let texts = [&manifest.description, &manifest.license, &manifest.homepage];
    for text in texts.into_iter().flatten().chain(&manifest.authors) {
        assert!(text.len() <= Manifest::MAX_TEXT);
    }
    assert!(manifest.authors.len() <= Manifest::MAX_AUTHORS);
    assert!(manifest.version.to_string().len() <= Manifest::MAX_VERSION);
    manifest
        .placing
        .check()
        .expect("workers that fit their instances");
    spelled_again(&manifest.asks);
}

/// What is shown of grants means these grants; values of variables are not shown.
fn spelled_again(grants: &GrantSet) {
    let lines = grants.lines();
    let again = GrantSet::parse(lines.iter().map(String::as_str));
    let mut shown = grants.clone();
    for value in shown.env.values_mut() {
        *value = None;
    }
    assert_eq!(again.as_ref(), Ok(&shown), "{lines:?}");
}
