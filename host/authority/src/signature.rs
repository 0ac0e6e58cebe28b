//! Signatures over components.
//!
//! Owns the form of the `odeon:signature` section and of a detached `.sig`
//! file, signing, and reading. The section is the last of the file, there is
//! one, and it covers every byte before it; each signature in it is over a
//! prefix of its own, the name, the version and the SHA-256 of those bytes.
//!
//! **Invariant:** [`inspect`] returns signers only if *every* signature
//! verifies and the section has the one form its content can have, so that no
//! byte of a signed file can be changed without being noticed.

mod form;

use odeon_protocol::{Code, Digest, PluginName};

use self::form::{Entry, Form};
use crate::{
    key::{PublicKey, SigningKey},
    manifest::ManifestError,
    section::{self, SIGNATURE_SECTION, SectionError},
};

/// The most signatures a component can have.
pub const MAX_SIGNATURES: usize = 16;

/// What the signatures of a component say, all of them verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The SHA-256 of the bytes that are covered: the component's digest.
    pub digest: Digest,
    /// How many bytes those are.
    pub unsigned_len: usize,
    /// What was signed; absent when there is no signature.
    pub claim: Option<Claim>,
    /// Who signed, in the order of the section; empty when nobody did.
    pub signers: Vec<PublicKey>,
}

/// What a signer vouches for besides the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The plugin's name.
    pub name: PluginName,
    /// The plugin's version.
    pub version: semver::Version,
}

/// Signatures that cannot be relied on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No component.
    #[error(transparent)]
    Section(#[from] SectionError),
    /// Two sections.
    #[error("expected one odeon:signature section, found {found}; sign the unsigned file again")]
    MoreThanOne {
        /// How many there are.
        found: usize,
    },
    /// Something behind the section.
    #[error(
        "expected the odeon:signature section to end the file, found {found} bytes behind it; sign it again"
    )]
    NotLast {
        /// How many bytes.
        found: usize,
    },
    /// Not the expected form.
    #[error("the signature is malformed: expected {expected}; sign the unsigned file again")]
    Malformed {
        /// What must be there.
        expected: &'static str,
    },
    /// Too many signatures.
    #[error("expected at most {MAX_SIGNATURES} signatures, found more")]
    TooMany,
    /// A signature that does not belong to these bytes.
    #[error("the signature by {key} does not fit these bytes: the file was changed after it was signed")]
    Invalid {
        /// Whose it claims to be.
        key: PublicKey,
    },
    /// Signed for another name or version.
    #[error("{what} says {found}, but the file was signed as {signed}; sign it again for what it is")]
    OtherClaim {
        /// What disagrees.
        what: &'static str,
        /// What it says.
        found: String,
        /// What was signed.
        signed: String,
    },
}

impl SignatureError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            SignatureError::Section(error) => error.code(),
            SignatureError::MoreThanOne { .. } | SignatureError::NotLast { .. } => Code::SignatureMisplaced,
            SignatureError::Malformed { .. } | SignatureError::TooMany | SignatureError::Invalid { .. } => {
                Code::SignatureInvalid
            }
            SignatureError::OtherClaim { .. } => Code::SignedForOther,
        }
    }
}

/// A component that cannot be signed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SignError {
    /// What is there already cannot be added to.
    #[error(transparent)]
    Existing(#[from] SignatureError),
    /// The manifest cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl SignError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            SignError::Existing(error) => error.code(),
            SignError::Manifest(error) => error.code(),
        }
    }
}

/// The component's digest: of all bytes but its signature section. It is the
/// same before and after signing.
pub fn digest_of(component: &[u8]) -> Result<Digest, SignatureError> {
    Ok(Digest::of(split(component)?.0))
}

/// Reads and verifies every signature, those of the section and those of a
/// detached `.sig` file if there is one. No signature is no error.
pub fn inspect(component: &[u8], detached: Option<&[u8]>) -> Result<Signed, SignatureError> {
    let (covered, embedded) = split(component)?;
    let digest = Digest::of(covered);
    let mut form: Option<Form> = None;
    for payload in [embedded, detached].into_iter().flatten() {
        let read = Form::parse(payload)?;
        form = Some(match form {
            None => read,
            Some(form) => form.joined(read)?,
        });
    }
    let mut signed = Signed {
        digest,
        unsigned_len: covered.len(),
        claim: None,
        signers: Vec::new(),
    };
    if let Some(form) = form {
        let message = message(&form.claim, &digest);
        for Entry { key, signature } in form.entries {
            if !key.verifies(&message, &signature) {
                return Err(SignatureError::Invalid { key });
            }
            signed.signers.push(key);
        }
        signed.claim = Some(form.claim);
    }
    Ok(signed)
}

/// The component with a signature of this key, beside those it has. A manifest
/// that names something else, and signatures that do not verify, are errors.
pub fn sign(component: &[u8], key: &SigningKey, claim: &Claim) -> Result<Vec<u8>, SignError> {
    let payload = sign_detached(component, key, claim)?;
    let (covered, _) = split(component)?;
    let mut signed = covered.to_vec();
    section::append(&mut signed, SIGNATURE_SECTION, &payload);
    Ok(signed)
}

/// The content of a `.sig` file: what [`sign`] puts into the section.
pub fn sign_detached(component: &[u8], key: &SigningKey, claim: &Claim) -> Result<Vec<u8>, SignError> {
    let existing = inspect(component, None)?;
    match section::manifest_of(component) {
        Ok(Some(manifest)) => {
            agree(
                "the manifest",
                &Claim {
                    name: manifest.name,
                    version: manifest.version,
                },
                claim,
            )?;
        }
        Ok(None) => {}
        Err(section::EmbedError::Manifest(error)) => return Err(error.into()),
        Err(section::EmbedError::Section(error)) => return Err(SignatureError::from(error).into()),
    }
    let mut form = match split(component)?.1 {
        Some(payload) => Form::parse(payload)?,
        None => Form {
            claim: claim.clone(),
            entries: Vec::new(),
        },
    };
    agree("the new signature", claim, &form.claim)?;
    let public = key.public();
    form.entries.retain(|entry| entry.key != public);
    form.entries.push(Entry {
        key: public,
        signature: key.sign(&message(claim, &existing.digest)),
    });
    if form.entries.len() > MAX_SIGNATURES {
        return Err(SignatureError::TooMany.into());
    }
    Ok(form.encode())
}

/// Refuses when what is found is not what was signed.
pub(crate) fn agree(what: &'static str, found: &Claim, signed: &Claim) -> Result<(), SignatureError> {
    if found == signed {
        return Ok(());
    }
    Err(SignatureError::OtherClaim {
        what,
        found: found.to_string(),
        signed: signed.to_string(),
    })
}

/// The bytes a signature covers, and the content of the signature section.
fn split(component: &[u8]) -> Result<(&[u8], Option<&[u8]>), SignatureError> {
    let sections = section::customs(component)?;
    let mut signatures = sections
        .iter()
        .filter(|section| section.name == SIGNATURE_SECTION);
    let Some(section) = signatures.next() else {
        return Ok((component, None));
    };
    let others = signatures.count();
    if others > 0 {
        return Err(SignatureError::MoreThanOne { found: others + 1 });
    }
    if section.end != component.len() {
        return Err(SignatureError::NotLast {
            found: component.len() - section.end,
        });
    }
    // The section's own header is covered by there being one way to write it.
    let covered = component.get(..section.start).unwrap_or_default();
    let mut canonical = Vec::new();
    section::append(&mut canonical, SIGNATURE_SECTION, section.data);
    if component.get(section.start..) != Some(canonical.as_slice()) {
        return Err(SignatureError::Malformed {
            expected: "a section header in its shortest form",
        });
    }
    Ok((covered, Some(section.data)))
}

fn message(claim: &Claim, digest: &Digest) -> Vec<u8> {
    let mut message = format!(
        "odeon component signature v1\n{}\n{}\n",
        claim.name, claim.version
    )
    .into_bytes();
    message.extend_from_slice(digest.as_bytes());
    message
}

impl std::fmt::Display for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}
