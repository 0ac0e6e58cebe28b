//! Bytes from nowhere: nothing here panics, whatever it is given.

use std::path::Path;

use odeon_authority::{Descriptor, Grant, Manifest, Offer, Policy, embed_manifest, inspect};

use crate::fixture::{EMPTY, append, key, manifest, signed};

const ROUNDS: usize = 2_000;

#[test]
fn arbitrary_manifests() {
    bolero::check!()
        .with_iterations(ROUNDS)
        .for_each(|bytes: &[u8]| drop(Manifest::parse(bytes)));
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
fn arbitrary_signature_sections() {
    bolero::check!().with_iterations(ROUNDS).for_each(|bytes: &[u8]| {
        let mut component = EMPTY.to_vec();
        append(&mut component, odeon_authority::SIGNATURE_SECTION, bytes);
        assert!(inspect(&component, None).is_err());
    });
}

#[test]
fn signed_components_with_bytes_changed() {
    let good = signed("calc", "1.0.0", &key());
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
        });
}

#[test]
fn arbitrary_grants() {
    bolero::check!().with_iterations(ROUNDS).for_each(|bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        for kind in ["", "fs=", "tcp=", "http=", "listen=", "env=", "secret="] {
            drop(format!("{kind}{text}").parse::<Grant>());
        }
    });
}
