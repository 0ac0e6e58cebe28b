//! A no, with its reason and the rule behind it.
//!
//! Owns its form. Which rule says no is [`super::decide`]'s.

use odeon_protocol::Code;

use super::Offer;
use crate::{manifest::ManifestError, policy::PolicyError, signature::SignatureError};

/// A no.
pub(super) struct Denial {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) rule: String,
}

/// What decides where no row does.
pub(super) const DEFAULT: &str = "default: what no row lets in is refused";

impl Denial {
    pub(super) fn new(code: Code, message: impl Into<String>, rule: impl Into<String>) -> Self {
        Denial {
            code,
            message: message.into(),
            rule: rule.into(),
        }
    }
}

/// By a policy that cannot be read.
pub(super) fn by_policy(error: &PolicyError) -> Denial {
    let rule = "trust policy: nothing is let in while it cannot be read";
    Denial::new(error.code(), error.to_string(), rule)
}

/// By a signature that is not valid.
pub(super) fn by_signature(error: &SignatureError) -> Denial {
    Denial::new(
        error.code(),
        error.to_string(),
        "signatures: all of them are valid",
    )
}

/// By a manifest that cannot be read.
pub(super) fn by_manifest(error: &ManifestError) -> Denial {
    Denial::new(
        error.code(),
        error.to_string(),
        "manifest: readable, if there is one",
    )
}

/// Of a component that nobody signed.
pub(super) fn unsigned(offer: &Offer) -> Denial {
    Denial::new(
        Code::Unsigned,
        format!(
            "the component is not signed; expected a signature of a trusted key. Sign it with \
             `odeon sign FILE --key KEY`, trust these bytes with `odeon trust add --digest {}`, \
             or load it for once with --allow-unsigned",
            offer.digest
        ),
        DEFAULT,
    )
}
