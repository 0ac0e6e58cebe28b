//! Where a generation came from and why it was let in.

use odeon_authority::{Admission, Bound, Offer, Principal, Terms};
use odeon_protocol::Digest;

use crate::load::LoadRequest;

/// What is known about a loaded component besides its code.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) digest: Digest,
    pub(crate) version: Option<semver::Version>,
    pub(crate) signed_by: Vec<String>,
    /// What let it in: the key, else its digest.
    pub(crate) bound_to: Option<Bound>,
    pub(crate) rule: String,
    pub(crate) transient: bool,
    pub(crate) principal: Principal,
    /// The load as it was asked, without the bytes if it brought them.
    pub(crate) asked: LoadRequest,
    /// The same with what a descriptor said filled in.
    pub(crate) complete: LoadRequest,
    pub(crate) size: u64,
    /// What was decided upon, to decide again when the trust policy changes.
    pub(crate) offered: Option<Box<(Offer, Terms)>>,
}

impl Origin {
    pub(crate) fn new(
        admission: &Admission,
        offered: (Offer, Terms),
        principal: Principal,
        asked: LoadRequest,
        complete: LoadRequest,
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
            asked,
            complete,
            size: size as u64,
            offered: Some(Box::new(offered)),
        }
    }
}
