//! The text inside a signature section and a `.sig` file.
//!
//! ```text
//! odeon-signature-v1
//! name calc
//! version 1.2.0
//! ed25519:<base64 of 32 bytes> <base64 of 64 bytes>
//! ```
//!
//! Every line ends with a line feed; there is exactly one way to write each
//! content, and any other is refused.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Claim, MAX_SIGNATURES, SignatureError, agree};
use crate::{key::PublicKey, manifest::Manifest};

const HEAD: &str = "odeon-signature-v1";
/// Longer than sixteen signatures can be.
const MAX_FORM: usize = 8 * 1024;

/// The content of a signature section.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Form {
    pub(super) claim: Claim,
    pub(super) entries: Vec<Entry>,
}

/// One signature, not verified.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: PublicKey,
    pub(super) signature: [u8; 64],
}

impl Form {
    pub(super) fn parse(payload: &[u8]) -> Result<Self, SignatureError> {
        let malformed = |expected| SignatureError::Malformed { expected };
        let text = Some(payload).filter(|payload| payload.len() <= MAX_FORM);
        let text = text.and_then(|payload| std::str::from_utf8(payload).ok());
        let mut lines = text.ok_or(malformed("text of at most 8 KiB"))?.lines();
        if lines.next() != Some(HEAD) {
            return Err(malformed("the line `odeon-signature-v1`"));
        }
        let name = lines.next().and_then(|line| line.strip_prefix("name "));
        let name = name
            .and_then(|name| name.parse().ok())
            .ok_or(malformed("`name` and a plugin's name"))?;
        let version = lines.next().and_then(|line| line.strip_prefix("version "));
        let version = version
            .filter(|version| version.len() <= Manifest::MAX_VERSION)
            .and_then(|version| version.parse().ok())
            .ok_or(malformed("`version` and a semantic version"))?;
        let mut form = Form {
            claim: Claim { name, version },
            entries: Vec::new(),
        };
        for line in lines {
            let entry = entry(line).ok_or(malformed("a key and a signature"))?;
            if form.entries.iter().any(|other| other.key == entry.key) {
                return Err(malformed("one signature per key"));
            }
            if form.entries.len() == MAX_SIGNATURES {
                return Err(SignatureError::TooMany);
            }
            form.entries.push(entry);
        }
        if form.entries.is_empty() {
            return Err(malformed("at least one signature"));
        }
        if form.encode() != payload {
            return Err(malformed("the one form this content can have"));
        }
        Ok(form)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut text = format!(
            "{HEAD}\nname {}\nversion {}\n",
            self.claim.name, self.claim.version
        );
        for Entry { key, signature } in &self.entries {
            text.push_str(&format!("{key} {}\n", STANDARD.encode(signature)));
        }
        text.into_bytes()
    }

    /// These signatures and those, which must be for the same thing.
    pub(super) fn joined(mut self, other: Form) -> Result<Self, SignatureError> {
        agree("the detached signature", &other.claim, &self.claim)?;
        for entry in other.entries {
            if !self.entries.contains(&entry) {
                self.entries.push(entry);
            }
        }
        if self.entries.len() > MAX_SIGNATURES {
            return Err(SignatureError::TooMany);
        }
        Ok(self)
    }
}

fn entry(line: &str) -> Option<Entry> {
    let (key, signature) = line.split_once(' ')?;
    let signature = STANDARD.decode(signature).ok()?;
    Some(Entry {
        key: key.parse().ok()?,
        signature: signature.try_into().ok()?,
    })
}
