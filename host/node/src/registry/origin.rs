//! Where a generation came from and why it was let in.

use std::path::PathBuf;

use odeon_authority::{Admission, Bound, Offer, Principal, Terms};
use odeon_protocol::Digest;

/// What is known about a loaded component besides its code.
pub(crate) struct Origin {
    pub(crate) digest: Digest,
    pub(crate) version: Option<semver::Version>,
    pub(crate) signed_by: Vec<String>,
    /// What let it in: the key, else its digest.
    pub(crate) bound_to: Option<Bound>,
    pub(crate) rule: String,
    pub(crate) transient: bool,
    pub(crate) principal: Principal,
    /// The file it was read from, if it was one.
    pub(crate) file: Option<PathBuf>,
    pub(crate) size: u64,
    /// What was decided upon, to decide again when the trust policy changes.
    pub(crate) offered: Option<Box<(Offer, Terms)>>,
}

impl Origin {
    pub(crate) fn new(
        admission: &Admission,
        offered: (Offer, Terms),
        principal: Principal,
        file: Option<PathBuf>,
        size: usize,
    ) -> Self {
        Origin {
            digest: *admission.digest(),
            version: admission.version().cloned(),
            signed_by: admission
                .signed_by()
                .map(|key| key.id().to_string())
                .into_iter()
                .collect(),
            bound_to: Some(match admission.signed_by() {
                Some(key) => Bound::Key(*key),
                None => Bound::Digest(*admission.digest()),
            }),
            rule: admission.rule().to_owned(),
            transient: admission.is_transient(),
            principal,
            file,
            size: size as u64,
            offered: Some(Box::new(offered)),
        }
    }
}
