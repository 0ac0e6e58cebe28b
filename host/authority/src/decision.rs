//! Whether a component may be loaded, and with what.
//!
//! Owns the one decision of the way in. It is a function of the policy, the
//! offer and the operator's terms, without clock or files. The checks run in
//! this order, and the first that fails names the reason: policy readable;
//! signatures well placed and all valid; manifest readable; name and version
//! of manifest, signature and operator agree; no denial of a signing key, the
//! digest or the name; a pinned name signed by its key; a digest or key lets it
//! in under this name, or the operator an unsigned one for once; version not
//! lower than before (not asked of what comes in for once).
//!
//! A decision takes effect only through [`Decision::record`].

mod denial;
mod grants;
mod record;

use odeon_protocol::{Code, Digest, PluginName};

pub use grants::Sides;
pub use record::{Admission, Refused};

use self::denial::{DEFAULT, Denial, unsigned};
use self::grants::grants;
use crate::{
    grant::GrantSet,
    key::PublicKey,
    manifest::{Manifest, ManifestError},
    policy::{Policy, PolicyError},
    principal::Principal,
    section::{self, EmbedError, SectionError},
    signature::{self, Claim, SignatureError, Signed},
};

/// A component as it was offered: what its bytes say about themselves.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Its digest. Where the signature section is out of place, of all bytes.
    pub digest: Digest,
    /// Its manifest, if it has one that can be read.
    pub manifest: Result<Option<Manifest>, ManifestError>,
    /// Its signatures, if all of them verify.
    pub signed: Result<Signed, SignatureError>,
}

/// Which signed name is accepted for the name a component is loaded under.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SignedAs {
    /// The same one: a file cannot stand in for another.
    #[default]
    Same,
    /// This one.
    Name(PluginName),
    /// Any: the operator names file and name in one breath.
    Any,
}

/// What the operator says about this load.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Who asks.
    pub principal: Principal,
    /// The name to load it under; the component's own when absent.
    pub name: Option<PluginName>,
    /// The name it must be signed for.
    pub signed_as: SignedAs,
    /// What is allowed; when absent, the ceiling of the row that lets it in.
    pub grants: Option<GrantSet>,
    /// Lets in what no row lets in, for once. Only for what a local operator
    /// names on a command line, never for a descriptor or a peer.
    pub allow_unsigned: bool,
    /// Not to be loaded again after a restart.
    pub transient: bool,
    /// The version accepted before, see [`crate::Ledger`].
    pub previous_version: Option<semver::Version>,
    /// Accepts a lower version than that.
    pub allow_downgrade: bool,
    /// What it must be, if these terms were meant for something in particular.
    pub bound_to: Option<Bound>,
}

/// What a load that is done again was of, so that what was said about one
/// component is not taken for another one in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// A component signed by this key.
    Key(PublicKey),
    /// This very component.
    Digest(Digest),
}

/// What was decided about an offer. It has no effect until it is recorded.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a decision takes effect only when it is recorded"]
pub struct Decision {
    /// The component.
    pub digest: Digest,
    /// The name it is about, as far as one is known.
    pub name: Option<PluginName>,
    /// The version, as far as one is known.
    pub version: Option<semver::Version>,
    /// Who asked.
    pub principal: Principal,
    /// Yes or no.
    pub verdict: Verdict,
}

/// Yes or no.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It may be loaded.
    Allow {
        /// The name to load it under.
        name: PluginName,
        /// The key that let it in, if it was a key.
        signed_by: Option<PublicKey>,
        /// What it may touch.
        grants: Box<GrantSet>,
        /// Not to be loaded again after a restart.
        transient: bool,
        /// The row or word that lets it in.
        rule: String,
    },
    /// It may not.
    Deny {
        /// The stable code of the reason.
        code: Code,
        /// The reason, for a person.
        message: String,
        /// The row or word that keeps it out.
        rule: String,
    },
}

impl Offer {
    /// Reads what the bytes, and a detached signature if there is one, say.
    /// Bytes that are no component are an error before any decision.
    pub fn read(component: &[u8], detached: Option<&[u8]>) -> Result<Self, SectionError> {
        let manifest = match section::manifest_of(component) {
            Ok(manifest) => Ok(manifest),
            Err(EmbedError::Manifest(error)) => Err(error),
            Err(EmbedError::Section(error)) => return Err(error),
        };
        let signed = match signature::inspect(component, detached) {
            Err(SignatureError::Section(error)) => return Err(error),
            other => other,
        };
        let digest = match &signed {
            Ok(signed) => signed.digest,
            // Signatures that do not verify are no part of what a component is.
            Err(_) => signature::digest_of(component).unwrap_or_else(|_| Digest::of(component)),
        };
        Ok(Offer {
            digest,
            manifest,
            signed,
        })
    }
}

impl Terms {
    /// Nothing special: signed, under its own name, to stay, with the grants
    /// of the row that lets it in.
    pub fn new(principal: Principal) -> Self {
        Terms {
            principal,
            name: None,
            signed_as: SignedAs::Same,
            grants: None,
            allow_unsigned: false,
            transient: false,
            previous_version: None,
            allow_downgrade: false,
            bound_to: None,
        }
    }
}

/// Decides. See the module's text for the order of checks.
pub fn decide(policy: Result<&Policy, &PolicyError>, offer: &Offer, terms: &Terms) -> Decision {
    let claim = policy
        .ok()
        .and_then(|policy| believed(policy, offer, offer.signed.as_ref().ok()?).cloned());
    let manifest = offer.manifest.as_ref().ok().and_then(Option::as_ref);
    let of_manifest = manifest.map(|manifest| Claim {
        name: manifest.name.clone(),
        version: manifest.version.clone(),
    });
    let own = claim.or(of_manifest);
    let verdict = match judge(policy, offer, terms) {
        Ok(allow) => allow,
        Err(Denial { code, message, rule }) => Verdict::Deny { code, message, rule },
    };
    Decision {
        digest: offer.digest,
        name: terms
            .name
            .clone()
            .or_else(|| own.as_ref().map(|own| own.name.clone())),
        version: own.map(|own| own.version),
        principal: terms.principal.clone(),
        verdict,
    }
}

fn judge(policy: Result<&Policy, &PolicyError>, offer: &Offer, terms: &Terms) -> Result<Verdict, Denial> {
    let policy = policy.map_err(denial::by_policy)?;
    let signed = offer.signed.as_ref().map_err(denial::by_signature)?;
    let manifest = offer.manifest.as_ref().map_err(denial::by_manifest)?.as_ref();
    let claim = believed(policy, offer, signed);
    let is_let_in = terms.allow_unsigned || policy.knows_digest(&offer.digest);
    let (name, version) = identity(offer, signed, claim, manifest, terms, is_let_in)?;
    refuse_denied(policy, offer, signed, &name)?;
    refuse_other_pin(policy, signed, &name)?;
    refuse_another(offer, signed, terms, &name)?;
    let entry = let_in(policy, offer, signed, &name, terms)?;
    let mut rule = entry.rule;
    if !entry.for_once
        && let Some(lowered) = check_version(version, terms, &name)?
    {
        rule = format!("{rule}, {lowered}");
    }
    Ok(Verdict::Allow {
        signed_by: entry.signed_by,
        grants: Box::new(grants(policy, offer, signed, terms, entry.ceiling, &name)),
        transient: terms.transient || entry.for_once,
        rule,
        name,
    })
}

/// What the signatures say, if somebody says it whom the policy knows. Anybody
/// can sign the bytes that a digest lets in: a stranger's word about them names
/// nothing.
fn believed<'a>(policy: &Policy, offer: &Offer, signed: &'a Signed) -> Option<&'a Claim> {
    let claim = signed.claim.as_ref()?;
    // Nor does the word of a key that is trusted with other names.
    let trusted = |key| policy.key_allowed(key, &claim.name).is_some();
    let counts = !policy.knows_digest(&offer.digest) || signed.signers.iter().any(trusted);
    counts.then_some(claim)
}

/// The name to load under and the version, all sources of them agreeing.
fn identity<'a>(
    offer: &Offer,
    signed: &Signed,
    claim: Option<&'a Claim>,
    manifest: Option<&'a Manifest>,
    terms: &Terms,
    is_let_in: bool,
) -> Result<(PluginName, Option<&'a semver::Version>), Denial> {
    if let (Some(claim), Some(manifest)) = (&signed.claim, manifest) {
        let written = Claim {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
        };
        signature::agree("the manifest", &written, claim).map_err(|error| {
            Denial::new(
                error.code(),
                error.to_string(),
                "signatures: for the manifest's name and version",
            )
        })?;
    }
    let own = claim.map(|claim| (&claim.name, &claim.version));
    let own = own.or(manifest.map(|manifest| (&manifest.name, &manifest.version)));
    let name = terms
        .name
        .clone()
        .or_else(|| own.map(|(name, _)| name.clone()))
        .ok_or_else(|| match signed.signers.is_empty() && !is_let_in {
            // A name would not help it.
            true => unsigned(offer),
            false => Denial::new(
                Code::NameNotAllowed,
                "the component does not say its name; expected a name, give one with --name",
                "name: what is loaded has one",
            ),
        })?;
    if let Some(claim) = claim {
        let expected = match &terms.signed_as {
            SignedAs::Same => Some(&name),
            SignedAs::Name(name) => Some(name),
            SignedAs::Any => None,
        };
        if let Some(expected) = expected.filter(|expected| **expected != claim.name) {
            let message = format!(
                "the file is signed as {}, expected {expected}; to load it under this name on purpose, \
                 set signed-as = \"{}\" in the descriptor",
                claim.name, claim.name
            );
            return Err(Denial::new(
                Code::SignedForOther,
                message,
                format!("signed-as: {expected}"),
            ));
        }
    }
    Ok((name, own.map(|(_, version)| version)))
}

/// Deny wins: one revoked signer, digest or name is enough.
fn refuse_denied(policy: &Policy, offer: &Offer, signed: &Signed, name: &PluginName) -> Result<(), Denial> {
    if let Some(key) = signed.signers.iter().find(|key| policy.key_denied(key, name)) {
        let message = format!("the signing key {} is revoked in the trust policy", key.id());
        return Err(Denial::new(
            Code::KeyRevoked,
            message,
            format!("denied key {}", key.id()),
        ));
    }
    if policy.digest_denied(&offer.digest, name) {
        return Err(Denial::new(
            Code::PolicyDenied,
            format!("the trust policy denies {}", offer.digest),
            format!("denied digest {}", offer.digest),
        ));
    }
    if let Some(row) = policy.name_denied(name) {
        let message = format!("the trust policy denies the name {name} (row {})", row.name);
        return Err(Denial::new(
            Code::PolicyDenied,
            message,
            format!("denied name {}", row.name),
        ));
    }
    Ok(())
}

fn refuse_other_pin(policy: &Policy, signed: &Signed, name: &PluginName) -> Result<(), Denial> {
    let pins = policy.pinned_to(name);
    if pins.is_empty() || pins.iter().any(|key| signed.signers.contains(key)) {
        return Ok(());
    }
    let pins: Vec<String> = pins.iter().map(|key| key.id().to_string()).collect();
    let found: Vec<String> = signed.signers.iter().map(|key| key.id().to_string()).collect();
    let found = if found.is_empty() {
        "no signature".to_owned()
    } else {
        format!("key {}", found.join(", "))
    };
    let message = format!(
        "the name {name} belongs to key {}, found {found}; load it under another name",
        pins.join(" or ")
    );
    let rule = format!("name {name} pinned to key {}", pins.join(" or "));
    Err(Denial::new(Code::NamePinned, message, rule))
}

fn refuse_another(offer: &Offer, signed: &Signed, terms: &Terms, name: &PluginName) -> Result<(), Denial> {
    let (expected, fits) = match &terms.bound_to {
        None => return Ok(()),
        Some(Bound::Key(key)) => (
            format!("one signed by key {}", key.id()),
            signed.signers.contains(key),
        ),
        Some(Bound::Digest(digest)) => (format!("the bytes {digest}"), *digest == offer.digest),
    };
    if fits {
        return Ok(());
    }
    let message = format!(
        "the load of {name} that is to be done again was of another component: expected {expected}, found {}; \
         if that is meant, load it anew",
        offer.digest
    );
    let rule = format!("load that is done again: {expected}");
    Err(Denial::new(Code::NamePinned, message, rule))
}

struct Entry<'a> {
    signed_by: Option<PublicKey>,
    ceiling: Option<&'a GrantSet>,
    /// By `--allow-unsigned` alone.
    for_once: bool,
    rule: String,
}

fn let_in<'a>(
    policy: &'a Policy,
    offer: &Offer,
    signed: &Signed,
    name: &PluginName,
    terms: &Terms,
) -> Result<Entry<'a>, Denial> {
    if let Some(row) = policy.digest_allowed(&offer.digest, name) {
        let rule = format!("digest {}", offer.digest);
        return Ok(Entry {
            signed_by: None,
            ceiling: row.grants.as_ref(),
            for_once: false,
            rule,
        });
    }
    if let Some(row) = signed
        .signers
        .iter()
        .find_map(|key| policy.key_allowed(key, name))
    {
        let rule = format!("key {}", row.key.id());
        return Ok(Entry {
            signed_by: Some(row.key),
            ceiling: row.grants.as_ref(),
            for_once: false,
            rule,
        });
    }
    if policy.knows(&signed.signers, &offer.digest) {
        let message = format!(
            "the trust policy knows this component's key or digest, but not for the name {name}; \
             add the name with `odeon trust add … --name {name}`"
        );
        return Err(Denial::new(Code::NameNotAllowed, message, DEFAULT));
    }
    if terms.allow_unsigned {
        let rule = "--allow-unsigned".to_owned();
        return Ok(Entry {
            signed_by: None,
            ceiling: None,
            for_once: true,
            rule,
        });
    }
    match signed.signers.first() {
        Some(key) => Err(Denial::new(
            Code::KeyUnknown,
            format!(
                "the component is signed by key {}, which the trust policy does not know; \
                 if you trust it: `odeon trust add --key {key}` (or its .pub file)",
                key.id()
            ),
            DEFAULT,
        )),
        None => Err(unsigned(offer)),
    }
}

/// Refuses a lower version than before, or says that the operator permits it.
fn check_version(
    version: Option<&semver::Version>,
    terms: &Terms,
    name: &PluginName,
) -> Result<Option<String>, Denial> {
    let Some(previous) = &terms.previous_version else {
        return Ok(None);
    };
    let found = match version {
        Some(version) if version.cmp_precedence(previous).is_ge() => return Ok(None),
        Some(version) => version.to_string(),
        // To say nothing about one's version is not a way back.
        None => "no version".to_owned(),
    };
    if terms.allow_downgrade {
        return Ok(Some(format!("lower than {previous} by --allow-downgrade")));
    }
    let message = format!(
        "{name} was accepted before as version {previous}, expected that or a higher one, found {found}; \
         to go back on purpose, say --allow-downgrade"
    );
    Err(Denial::new(
        Code::VersionLowered,
        message,
        format!("version {previous} was accepted before"),
    ))
}
