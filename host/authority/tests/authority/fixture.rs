//! Small real components, keys, grants and offers.

use odeon_authority::{
    Admission, Audit, Claim, GrantSet, Offer, Policy, PolicyEdit, Principal, Refused, SigningKey, Terms,
    decide, embed_manifest, sign,
};
use odeon_protocol::Code;
use tempfile::TempDir;
use wasm_encoder::{ComponentSection as _, CustomSection};

/// The smallest component there is.
pub(crate) const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

/// A component with a section of somebody else's, so that two can differ.
pub(crate) fn component(mark: &str) -> Vec<u8> {
    let mut bytes = EMPTY.to_vec();
    append(&mut bytes, "mark", mark.as_bytes());
    bytes
}

pub(crate) fn append(bytes: &mut Vec<u8>, name: &str, data: &[u8]) {
    CustomSection {
        name: name.into(),
        data: data.into(),
    }
    .append_to_component(bytes);
}

pub(crate) fn manifest(name: &str, version: &str) -> String {
    format!("[plugin]\nname = \"{name}\"\nversion = \"{version}\"\n")
}

/// A component with a manifest.
pub(crate) fn packed(name: &str, version: &str) -> Vec<u8> {
    embed_manifest(&component(name), manifest(name, version).as_bytes()).unwrap()
}

/// A component with a manifest and a signature over it.
pub(crate) fn signed(name: &str, version: &str, key: &SigningKey) -> Vec<u8> {
    sign(&packed(name, version), key, &claim(name, version)).unwrap()
}

pub(crate) fn claim(name: &str, version: &str) -> Claim {
    Claim {
        name: name.parse().unwrap(),
        version: version.parse().unwrap(),
    }
}

pub(crate) fn key() -> SigningKey {
    SigningKey::generate().unwrap()
}

/// A state directory with an audit.
pub(crate) struct Host {
    pub(crate) folder: TempDir,
    pub(crate) audit: Audit,
    pub(crate) key: odeon_authority::PublicKey,
}

impl Host {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = key();
        let public = key.public();
        Host {
            audit: Audit::open(folder.path(), key).unwrap(),
            folder,
            key: public,
        }
    }

    /// Changes the trust policy as an operator would.
    pub(crate) fn trust(&self, change: impl FnOnce(&mut PolicyEdit)) -> Policy {
        let mut edit = PolicyEdit::open(&self.folder.path().join("trust.toml")).unwrap();
        change(&mut edit);
        edit.save().unwrap()
    }

    /// Offers a component and records the decision.
    pub(crate) fn offer(&self, component: &[u8], terms: &Terms) -> Result<Admission, Refused> {
        let policy = Policy::load(&self.folder.path().join("trust.toml"));
        let offer = Offer::read(component, None).expect("a component");
        decide(policy.as_ref(), &offer, terms).record(&self.audit)
    }

    /// The last line of the audit.
    pub(crate) fn last_event(&self) -> serde_json::Value {
        odeon_authority::Records::open(self.folder.path())
            .unwrap()
            .last()
            .expect("an audit line")
            .event
    }
}

pub(crate) fn terms() -> Terms {
    Terms::new(Principal::LocalUser { uid: 0 })
}

/// The offer is refused with this code, and the audit's last line says so.
pub(crate) fn assert_refused(host: &Host, bytes: &[u8], terms: &Terms, code: Code) {
    let refused = host.offer(bytes, terms).expect_err("refused");
    assert_eq!(refused.code(), code, "{refused}");
    let event = host.last_event();
    assert_eq!(event["kind"], "decision");
    assert_eq!(event["allowed"], false);
    assert_eq!(event["code"], code.as_str());
    assert_eq!(event["principal"], "user:0");
}

pub(crate) fn set(texts: &[&str]) -> GrantSet {
    GrantSet::parse(texts.iter().copied()).unwrap()
}
