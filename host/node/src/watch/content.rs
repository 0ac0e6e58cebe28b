//! What is in a component's file.
//!
//! Owns what two files have in common that run as the same: digest and
//! signatures. Reading it decides nothing and puts nothing on record.

use std::path::Path;

use odeon_authority::{Claim, Offer, Principal, PublicKey, Stamp, Terms, decide};
use odeon_protocol::{Code, Digest, Fault, PluginName};

use crate::host::Host;
use crate::load::look_at;

/// What is in a component's file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    /// A component, and what is signed about it.
    Offered(Identity),
    /// Nothing that could be loaded. The same for as long as the file is not
    /// touched.
    Odd(Stamp),
}

/// What a component is, and who says so.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Identity {
    pub(crate) digest: Digest,
    pub(crate) signers: Vec<PublicKey>,
    pub(crate) claim: Option<Claim>,
}

impl Content {
    /// What was offered, if that is something that can be loaded.
    pub(crate) fn of(offer: &Offer) -> Option<Self> {
        let signed = offer.signed.as_ref().ok()?;
        Some(Content::Offered(Identity {
            digest: offer.digest,
            signers: signed.signers.clone(),
            claim: signed.claim.clone(),
        }))
    }
}

impl Host {
    /// Looks into a component's file, and for the name it would be loaded
    /// under by itself. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// When the file cannot be read. What is wrong with what is in it is said
    /// when it is loaded.
    pub(super) fn look_into(
        &self,
        path: &Path,
        stamp: Stamp,
    ) -> Result<(Content, Option<PluginName>), Fault> {
        match look_at(path, self.inner.host_limits.component_size.bytes()) {
            Ok(offer) => {
                let policy = self.inner.gatekeeper.policy();
                let name = decide(policy.as_ref(), &offer, &Terms::new(Principal::Host)).name;
                Ok((Content::of(&offer).unwrap_or(Content::Odd(stamp)), name))
            }
            Err(fault) if fault.code == Code::FileUnreadable => Err(fault),
            Err(_) => Ok((Content::Odd(stamp), None)),
        }
    }
}
