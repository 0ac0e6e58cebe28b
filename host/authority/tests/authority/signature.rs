//! What a signature covers: everything.

use odeon_authority::{
    MAX_SIGNATURES, Offer, Policy, SIGNATURE_SECTION, SectionError, SignatureError, SigningKey, Verdict,
    decide, digest_of, inspect, manifest_of, sign, sign_detached,
};
use odeon_protocol::{Code, Digest};

use crate::fixture::{EMPTY, append, claim, component, key, packed, signed, terms};

fn admitted(policy: &Policy, bytes: &[u8]) -> bool {
    match Offer::read(bytes, None) {
        Ok(offer) => matches!(
            decide(Ok(policy), &offer, &terms()).verdict,
            Verdict::Allow { .. }
        ),
        Err(_) => false,
    }
}

fn trusting(key: &SigningKey) -> Policy {
    Policy::parse(&format!("[[key]]\nkey = \"{}\"\n", key.public())).unwrap()
}

// Passes by `signature::inspect`, `signature::split` and `Form::parse`
// together: a flipped byte is in the covered bytes, the section's header, or
// its content. (Where it makes the section somebody else's, the component is
// unsigned, and `decision::let_in` refuses it.)
#[test]
fn one_byte_changed_anywhere_is_refused() {
    let (key, second) = (key(), key());
    let once = signed("calc", "1.0.0", &key);
    let twice = sign(&once, &second, &claim("calc", "1.0.0")).unwrap();
    let policy = trusting(&key);
    for good in [once, twice] {
        assert!(admitted(&policy, &good));
        for at in 0..good.len() {
            for flip in [0x01, 0x20, 0x80] {
                let mut changed = good.clone();
                changed[at] ^= flip;
                assert!(
                    !admitted(&policy, &changed),
                    "byte {at} of {} flipped by {flip:#x}",
                    good.len()
                );
            }
        }
    }
}

#[test]
fn cut_short_anywhere_is_refused() {
    let key = key();
    let (good, policy) = (signed("calc", "1.0.0", &key), trusting(&key));
    for length in 0..good.len() {
        assert!(!admitted(&policy, &good[..length]), "{length} bytes");
    }
}

#[test]
fn signing_does_not_change_what_a_component_is() {
    let (first, second) = (key(), key());
    let bytes = packed("calc", "1.0.0");
    let once = sign(&bytes, &first, &claim("calc", "1.0.0")).unwrap();
    let twice = sign(&once, &second, &claim("calc", "1.0.0")).unwrap();
    assert_eq!(digest_of(&bytes).unwrap(), Digest::of(&bytes));
    for signed in [&once, &twice] {
        assert_eq!(digest_of(signed).unwrap(), Digest::of(&bytes));
        assert!(manifest_of(signed).unwrap().is_some());
    }
    let all = inspect(&twice, None).unwrap();
    assert_eq!(all.signers, [first.public(), second.public()]);
    assert_eq!(all.unsigned_len, bytes.len());
    // Signing again by the same key changes nothing.
    assert_eq!(sign(&once, &first, &claim("calc", "1.0.0")).unwrap(), once);
}

#[test]
fn a_detached_signature_counts_like_an_embedded_one() {
    let (first, second) = (key(), key());
    let bytes = packed("calc", "1.0.0");
    let detached = sign_detached(&bytes, &first, &claim("calc", "1.0.0")).unwrap();
    assert_eq!(
        inspect(&bytes, Some(&detached)).unwrap().signers,
        [first.public()]
    );
    let embedded = sign(&bytes, &second, &claim("calc", "1.0.0")).unwrap();
    assert_eq!(
        inspect(&embedded, Some(&detached)).unwrap().signers,
        [second.public(), first.public()]
    );
    let error = inspect(&packed("calc", "1.0.1"), Some(&detached)).unwrap_err();
    assert_eq!(error.code(), Code::SignatureInvalid);
}

// Passes by `Form::joined` (`signature::agree`).
#[test]
fn detached_and_embedded_must_be_for_the_same_thing() {
    let key = key();
    let bytes = component("x");
    let embedded = sign(&bytes, &key, &claim("calc", "1.0.0")).unwrap();
    let detached = sign_detached(&bytes, &key, &claim("calc", "2.0.0")).unwrap();
    assert_eq!(
        inspect(&embedded, Some(&detached)).unwrap_err().code(),
        Code::SignedForOther
    );
}

// Passes by `decision::identity`: the signature is good, the manifest says other.
#[test]
fn a_detached_signature_for_another_version_than_the_manifest_is_refused() {
    let key = key();
    let bytes = packed("calc", "1.0.0");
    // Made by somebody who does not look into the manifest.
    let blind = {
        let mut text = String::from("odeon-signature-v1\nname calc\nversion 9.0.0\n");
        let pem = tempfile::tempdir().unwrap();
        key.save(&pem.path().join("k")).unwrap();
        let raw = {
            use ed25519_dalek::pkcs8::DecodePrivateKey as _;
            let text = std::fs::read_to_string(pem.path().join("k")).unwrap();
            ed25519_dalek::SigningKey::from_pkcs8_pem(&text).unwrap()
        };
        let mut message = b"odeon component signature v1\ncalc\n9.0.0\n".to_vec();
        message.extend_from_slice(Digest::of(&bytes).as_bytes());
        let signature = ed25519_dalek::Signer::sign(&raw, &message).to_bytes();
        let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, signature);
        text.push_str(&format!("{} {base64}\n", key.public()));
        text.into_bytes()
    };
    assert_eq!(inspect(&bytes, Some(&blind)).unwrap().signers, [key.public()]);
    let offer = Offer::read(&bytes, Some(&blind)).unwrap();
    let verdict = decide(Ok(&trusting(&key)), &offer, &terms()).verdict;
    assert!(
        matches!(
            verdict,
            Verdict::Deny {
                code: Code::SignedForOther,
                ..
            }
        ),
        "{verdict:?}"
    );
}

// Passes by `signature::sign_detached` and `Form::parse` (the limit).
#[test]
fn sixteen_signatures_fit_and_seventeen_do_not() {
    let mut bytes = packed("calc", "1.0.0");
    for _ in 0..MAX_SIGNATURES {
        bytes = sign(&bytes, &key(), &claim("calc", "1.0.0")).unwrap();
    }
    assert_eq!(inspect(&bytes, None).unwrap().signers.len(), MAX_SIGNATURES);
    let error = sign(&bytes, &key(), &claim("calc", "1.0.0")).unwrap_err();
    assert_eq!(error.code(), Code::SignatureInvalid);
    let extra = sign_detached(&packed("calc", "1.0.0"), &key(), &claim("calc", "1.0.0")).unwrap();
    assert_eq!(inspect(&bytes, Some(&extra)), Err(SignatureError::TooMany));
}

// Passes by `Form::parse` (one form only).
#[test]
fn a_signature_in_another_form_is_refused() {
    let key = key();
    let bytes = packed("calc", "1.0.0");
    let payload = sign_detached(&bytes, &key, &claim("calc", "1.0.0")).unwrap();
    let text = String::from_utf8(payload).unwrap();
    let line = text.lines().last().unwrap().to_owned();
    for other in [
        text.trim_end().to_owned(),
        text.replace('\n', "\r\n"),
        format!("{text}\n"),
        format!("{text}{line}\n"),
        text.replace("name calc", "name  calc"),
        "odeon-signature-v1\nname calc\nversion 1.0.0\n".to_owned(),
        String::new(),
    ] {
        let mut forged = bytes.clone();
        append(&mut forged, SIGNATURE_SECTION, other.as_bytes());
        assert_eq!(
            inspect(&forged, None).unwrap_err().code(),
            Code::SignatureInvalid,
            "{other:?}"
        );
    }
}

// Passes by `section::check_header`.
#[test]
fn what_is_no_component_is_told_apart() {
    let code = |bytes: &[u8]| Offer::read(bytes, None).unwrap_err().code();
    assert_eq!(code(b""), Code::NotWasm);
    assert_eq!(code(b"(component)"), Code::NotWasm);
    assert_eq!(code(b"#!/bin/sh\n"), Code::NotWasm);
    assert_eq!(code(b"\0asm\x01\0\0\0"), Code::CoreModule);
    assert_eq!(code(b"\0as"), Code::Malformed);
    assert_eq!(code(b"\0asm\x0d\0"), Code::Malformed);
    assert_eq!(code(b"\0asm\x0e\0\x01\0"), Code::Malformed);
    assert_eq!(code(b"\0asm\x0d\0\x01\0\x00\x7f"), Code::Malformed);
    assert!(Offer::read(EMPTY, None).is_ok());
}

// Passes by `section::customs` (top level only): a component that carries
// another one with a manifest does not have that manifest.
#[test]
fn sections_of_a_nested_component_are_its_own() {
    let nested = packed("inner", "1.0.0");
    let mut outer = EMPTY.to_vec();
    outer.push(4);
    outer.push(u8::try_from(nested.len()).unwrap());
    assert!(nested.len() < 128);
    outer.extend_from_slice(&nested);
    assert_eq!(manifest_of(&outer).unwrap(), None);
}

// Passes by `section::customs` (the bound on sections of ours).
#[test]
fn a_flood_of_our_sections_is_malformed() {
    let mut bytes = EMPTY.to_vec();
    for _ in 0..17 {
        append(&mut bytes, SIGNATURE_SECTION, b"");
    }
    assert!(matches!(
        inspect(&bytes, None),
        Err(SignatureError::Section(SectionError::Malformed { .. }))
    ));
    let mut bytes = EMPTY.to_vec();
    for _ in 0..16 {
        append(&mut bytes, SIGNATURE_SECTION, b"");
    }
    assert_eq!(
        inspect(&bytes, None),
        Err(SignatureError::MoreThanOne { found: 16 })
    );
}
