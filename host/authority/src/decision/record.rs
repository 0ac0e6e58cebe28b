//! How a decision takes effect: written to the audit first.
//!
//! Owns [`Admission`], the proof that a decision is on record. Nothing else
//! makes one.

use odeon_protocol::{Code, Digest, Fault, PluginName};

use super::{Decision, Verdict};
use crate::{
    audit::{Audit, AuditError, Event, Text},
    grant::GrantSet,
    key::PublicKey,
};

/// A component that may be loaded. There is no other way to get one than
/// [`Decision::record`]: what runs has a decision on record.
#[derive(Clone, Debug)]
pub struct Admission {
    digest: Digest,
    name: PluginName,
    version: Option<semver::Version>,
    signed_by: Option<PublicKey>,
    grants: GrantSet,
    transient: bool,
    rule: String,
    record: u64,
}

/// A component that may not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It was decided so.
    #[error("{message}")]
    Denied {
        /// The stable code of the reason.
        code: Code,
        /// The reason, for a person.
        message: String,
    },
    /// The decision could not be recorded, so it was not taken.
    #[error(transparent)]
    Unrecorded(#[from] AuditError),
}

impl Refused {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Refused::Denied { code, .. } => *code,
            Refused::Unrecorded(error) => error.code(),
        }
    }
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        Fault::new(refused.code(), refused.to_string())
    }
}

impl Decision {
    /// Writes the decision to the audit, durably, and only then lets it take
    /// effect.
    pub fn record(self, audit: &Audit) -> Result<Admission, Refused> {
        let record = audit.append(self.event())?;
        match self.verdict {
            Verdict::Allow {
                name,
                signed_by,
                grants,
                transient,
                rule,
            } => Ok(Admission {
                digest: self.digest,
                name,
                version: self.version,
                signed_by,
                grants: *grants,
                transient,
                rule,
                record,
            }),
            Verdict::Deny { code, message, .. } => Err(Refused::Denied { code, message }),
        }
    }

    fn event(&self) -> Event {
        let (allowed, code, signed_by, transient, grants, reason, rule) = match &self.verdict {
            Verdict::Allow {
                signed_by,
                grants,
                transient,
                rule,
                ..
            } => {
                let lines = Text::list(&grants.lines());
                (
                    true,
                    None,
                    signed_by.map(|key| key.id()),
                    *transient,
                    lines,
                    rule.as_str(),
                    rule.as_str(),
                )
            }
            Verdict::Deny { code, message, rule } => {
                let (reason, rule) = (message.as_str(), rule.as_str());
                (false, Some(*code), None, false, Vec::new(), reason, rule)
            }
        };
        Event::Decision {
            allowed,
            code,
            reason: Text::from(reason),
            rule: Text::from(rule),
            digest: self.digest,
            name: self.name.clone(),
            version: self
                .version
                .as_ref()
                .map(|version| Text::from(version.to_string())),
            signed_by,
            transient,
            grants,
            principal: Text::from(self.principal.to_string()),
        }
    }
}

impl Admission {
    /// The component.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The name to load it under.
    pub fn name(&self) -> &PluginName {
        &self.name
    }

    /// Its version, if it says one.
    pub fn version(&self) -> Option<&semver::Version> {
        self.version.as_ref()
    }

    /// The key that let it in, if it was a key.
    pub fn signed_by(&self) -> Option<&PublicKey> {
        self.signed_by.as_ref()
    }

    /// What it may touch.
    pub fn grants(&self) -> &GrantSet {
        &self.grants
    }

    /// Whether it is not to be loaded again after a restart.
    pub fn is_transient(&self) -> bool {
        self.transient
    }

    /// The row or word that let it in.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// The number of the audit line that holds the decision.
    pub fn record(&self) -> u64 {
        self.record
    }
}
