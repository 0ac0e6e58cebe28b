//! The trust policy: what may be loaded on this host at all.
//!
//! Owns reading `trust.toml` and answering questions about keys, digests and
//! names. A file that is not there is an empty policy, under which nothing
//! loads; a file that cannot be relied on is an error, under which nothing
//! loads either. Editing is in [`PolicyEdit`]; deciding is in
//! [`crate::decide`].
//!
//! A key or a digest is proof of where bytes come from, a name is not: rows of
//! names deny, lower what may be granted, or take some of it away, but let
//! nothing in. Rows of deputies say who may use his own grants while he works
//! for others.

mod edit;
mod pattern;
mod place;

use std::path::Path;

use odeon_protocol::{Code, Digest, PluginName};
use serde::{Deserialize, Serialize};

pub use edit::{PolicyEdit, PolicyEditError, Selector};
pub use pattern::{InvalidPattern, NamePattern};

use crate::{
    decision::Bound,
    file::{self, FileError, Others},
    grant::GrantSet,
    key::{KeyId, PublicKey},
};

/// Whether a row lets in or keeps out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// Let in, up to the row's ceiling.
    #[default]
    Allow,
    /// Keep out, whatever else lets in.
    Deny,
}

/// The trust policy of a host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    keys: Vec<KeyRow>,
    digests: Vec<DigestRow>,
    names: Vec<NameRow>,
    pins: Vec<PinRow>,
    deputies: Vec<DeputyRow>,
}

/// A policy that cannot be relied on: nothing is let in.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file cannot be used.
    #[error("the trust policy cannot be used, so nothing is let in: {0}")]
    File(#[from] FileError),
    /// Not TOML of the expected fields.
    #[error("the trust policy cannot be read, so nothing is let in:\n{0}")]
    Syntax(String),
    /// A row that says what nothing would go by.
    #[error(
        "the trust policy cannot be used, so nothing is let in: the row of {subject} expected {expected}"
    )]
    Row {
        /// The row's key, digest or name.
        subject: String,
        /// What it must say.
        expected: &'static str,
    },
    /// The state directory's word about where the policy is.
    #[error(
        "{path}: expected one line with the absolute path of the trust policy, found something else; remove the file or \
             start the host again"
    )]
    Place {
        /// The file that should say it.
        path: std::path::PathBuf,
    },
}

impl PolicyError {
    /// The stable code.
    pub fn code(&self) -> Code {
        Code::PolicyUnreadable
    }
}

/// One row of the policy, for lists.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrustRow {
    /// `key`, `digest`, `name`, `pin` or `deputy`.
    pub kind: &'static str,
    /// The key, digest, name or pattern.
    pub subject: String,
    /// The key's short name.
    pub key_id: Option<KeyId>,
    /// Let in or keep out.
    pub decision: Trust,
    /// The names it is about; any when empty. Of a deputy, those it acts for.
    pub names: Vec<String>,
    /// The most that may be granted; no ceiling when absent.
    pub grants: Option<Vec<String>>,
    /// What is taken away, whatever else allows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without: Option<Vec<String>>,
    /// The operator's note.
    pub comment: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyRow {
    pub(crate) key: PublicKey,
    #[serde(default)]
    decision: Trust,
    #[serde(default)]
    names: Vec<NamePattern>,
    #[serde(default)]
    pub(crate) grants: Option<GrantSet>,
    #[serde(default)]
    comment: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DigestRow {
    digest: Digest,
    #[serde(default)]
    decision: Trust,
    #[serde(default)]
    names: Vec<NamePattern>,
    #[serde(default)]
    pub(crate) grants: Option<GrantSet>,
    #[serde(default)]
    comment: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NameRow {
    pub(crate) name: NamePattern,
    #[serde(default)]
    decision: Trust,
    #[serde(default)]
    pub(crate) grants: Option<GrantSet>,
    #[serde(default)]
    without: Option<GrantSet>,
    #[serde(default)]
    comment: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct PinRow {
    name: PluginName,
    key: PublicKey,
    #[serde(default)]
    comment: Option<String>,
}

/// A plugin that may use its own grants while it works for others.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeputyRow {
    plugin: PluginName,
    #[serde(rename = "for")]
    acts_for: Vec<NamePattern>,
    #[serde(default)]
    comment: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    key: Vec<KeyRow>,
    #[serde(default)]
    digest: Vec<DigestRow>,
    #[serde(default)]
    name: Vec<NameRow>,
    #[serde(default)]
    pin: Vec<PinRow>,
    #[serde(default)]
    deputy: Vec<DeputyRow>,
}

impl Policy {
    /// The longest policy file, in bytes.
    pub const MAX: u64 = 4 * 1024 * 1024;

    /// Reads the policy. A file that is not there is an empty policy.
    pub fn load(path: &Path) -> Result<Self, PolicyError> {
        match read(path)? {
            Some(text) => Self::parse(&text),
            None => Ok(Policy::default()),
        }
    }

    /// Reads a policy from its text.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let written: Written =
            toml::from_str(text).map_err(|error| PolicyError::Syntax(error.to_string()))?;
        let policy = Policy {
            keys: written.key,
            digests: written.digest,
            names: written.name,
            pins: written.pin,
            deputies: written.deputy,
        };
        policy.check()?;
        Ok(policy)
    }

    /// Refuses rows with a word in them that nothing would go by: whoever wrote
    /// it relies on it.
    fn check(&self) -> Result<(), PolicyError> {
        let wrong = |subject: String, expected| Err(PolicyError::Row { subject, expected });
        for row in self.rows() {
            match (row.kind, row.decision, row.grants) {
                (_, Trust::Deny, Some(_)) => {
                    return wrong(row.subject, "no grants beside decision = \"deny\"; remove them");
                }
                (_, Trust::Deny, None) if row.without.is_some() => {
                    return wrong(row.subject, "no `without` beside decision = \"deny\"; remove it");
                }
                ("name", Trust::Allow, None) if row.without.is_none() => {
                    return wrong(
                        row.subject,
                        "grants, without or decision = \"deny\": a name lets nothing in; trust a key or a digest with \
                         that name",
                    );
                }
                ("deputy", ..) if row.names.is_empty() => {
                    return wrong(row.subject, "for = […] with the plugins that it may act for");
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Every row, in the order of the file within each kind.
    pub fn rows(&self) -> Vec<TrustRow> {
        let texts = |names: &[NamePattern]| names.iter().map(NamePattern::to_string).collect();
        let lines = |grants: &Option<GrantSet>| grants.as_ref().map(GrantSet::lines);
        let keys = self.keys.iter().map(|row| TrustRow {
            kind: "key",
            subject: row.key.to_string(),
            key_id: Some(row.key.id()),
            decision: row.decision,
            names: texts(&row.names),
            grants: lines(&row.grants),
            without: None,
            comment: row.comment.clone(),
        });
        let digests = self.digests.iter().map(|row| TrustRow {
            kind: "digest",
            subject: row.digest.to_string(),
            key_id: None,
            decision: row.decision,
            names: texts(&row.names),
            grants: lines(&row.grants),
            without: None,
            comment: row.comment.clone(),
        });
        let names = self.names.iter().map(|row| TrustRow {
            kind: "name",
            subject: row.name.to_string(),
            key_id: None,
            decision: row.decision,
            names: Vec::new(),
            grants: lines(&row.grants),
            without: lines(&row.without),
            comment: row.comment.clone(),
        });
        let pins = self.pins.iter().map(|row| TrustRow {
            kind: "pin",
            subject: row.name.to_string(),
            key_id: Some(row.key.id()),
            decision: Trust::Allow,
            names: vec![row.name.to_string()],
            grants: None,
            without: None,
            comment: row.comment.clone(),
        });
        let deputies = self.deputies.iter().map(|row| TrustRow {
            kind: "deputy",
            subject: row.plugin.to_string(),
            key_id: None,
            decision: Trust::Allow,
            names: texts(&row.acts_for),
            grants: None,
            without: None,
            comment: row.comment.clone(),
        });
        keys.chain(digests)
            .chain(names)
            .chain(pins)
            .chain(deputies)
            .collect()
    }

    /// Whether what was let in by this key, or for being these bytes, is denied
    /// under this name, whatever else would let it in.
    pub fn denies(&self, name: &PluginName, bound: Option<&Bound>) -> bool {
        let (key, digest) = match bound {
            Some(Bound::Key(key)) => (Some(key), None),
            Some(Bound::Digest(digest)) => (None, Some(digest)),
            None => (None, None),
        };
        let pins = self.pinned_to(name);
        let is_anothers = bound.is_some() && !pins.is_empty() && !key.is_some_and(|key| pins.contains(&key));
        is_anothers
            || self.name_denied(name).is_some()
            || key.is_some_and(|key| self.key_denied(key, name))
            || digest.is_some_and(|digest| self.digest_denied(digest, name))
    }

    /// Whether this key is denied for this name.
    pub(crate) fn key_denied(&self, key: &PublicKey, name: &PluginName) -> bool {
        self.keys
            .iter()
            .any(|row| row.key == *key && row.decision == Trust::Deny && fits(&row.names, name))
    }

    /// Whether this digest is denied for this name.
    pub(crate) fn digest_denied(&self, digest: &Digest, name: &PluginName) -> bool {
        self.digests
            .iter()
            .any(|row| row.digest == *digest && row.decision == Trust::Deny && fits(&row.names, name))
    }

    /// The row that denies this name.
    pub(crate) fn name_denied(&self, name: &PluginName) -> Option<&NameRow> {
        self.names
            .iter()
            .find(|row| row.decision == Trust::Deny && row.name.matches(name))
    }

    /// The keys of which one must have signed what carries this name; empty
    /// when the name is free.
    pub(crate) fn pinned_to(&self, name: &PluginName) -> Vec<&PublicKey> {
        self.pins
            .iter()
            .filter(|row| row.name == *name)
            .map(|row| &row.key)
            .collect()
    }

    /// The first row that lets this digest in under this name.
    pub(crate) fn digest_allowed(&self, digest: &Digest, name: &PluginName) -> Option<&DigestRow> {
        self.digests
            .iter()
            .find(|row| row.digest == *digest && row.decision == Trust::Allow && fits(&row.names, name))
    }

    /// The first row that lets this key's components in under this name.
    pub(crate) fn key_allowed(&self, key: &PublicKey, name: &PluginName) -> Option<&KeyRow> {
        self.keys
            .iter()
            .filter(|row| row.key == *key)
            .find(|row| row.decision == Trust::Allow && fits(&row.names, name))
    }

    /// Whether a row knows this key or digest under any name.
    pub(crate) fn knows(&self, keys: &[PublicKey], digest: &Digest) -> bool {
        self.keys.iter().any(|row| keys.contains(&row.key))
            || self.digests.iter().any(|row| row.digest == *digest)
    }

    /// Whether a row names this digest.
    pub(crate) fn knows_digest(&self, digest: &Digest) -> bool {
        self.digests.iter().any(|row| row.digest == *digest)
    }

    /// The ceilings of all rows that fit, with the row: of these keys and this
    /// digest where they let in, and of names.
    pub(crate) fn ceilings(
        &self,
        keys: &[PublicKey],
        digest: &Digest,
        name: &PluginName,
    ) -> impl Iterator<Item = (String, &GrantSet)> {
        let of_keys = self
            .keys
            .iter()
            .filter(|row| row.decision == Trust::Allow && keys.contains(&row.key) && fits(&row.names, name))
            .filter_map(|row| Some((format!("key {}", row.key.id()), row.grants.as_ref()?)));
        let of_digests = self
            .digests
            .iter()
            .filter(|row| row.decision == Trust::Allow && row.digest == *digest && fits(&row.names, name))
            .filter_map(|row| Some((format!("digest {}", row.digest), row.grants.as_ref()?)));
        let of_names = self
            .names
            .iter()
            .filter(|row| row.name.matches(name))
            .filter_map(|row| Some((format!("name {}", row.name), row.grants.as_ref()?)));
        of_keys.chain(of_digests).chain(of_names)
    }

    /// What is taken away from plugins of this name, whatever else allows it,
    /// with the row.
    pub(crate) fn taken_away(&self, name: &PluginName) -> impl Iterator<Item = (String, &GrantSet)> {
        let rows = self.names.iter().filter(|row| row.name.matches(name));
        rows.filter_map(|row| Some((format!("name {}", row.name), row.without.as_ref()?)))
    }

    /// The plugins for which the one of this name may act with its own grants.
    pub fn acts_for(&self, name: &PluginName) -> Vec<NamePattern> {
        let rows = self.deputies.iter().filter(|row| row.plugin == *name);
        rows.flat_map(|row| row.acts_for.iter().cloned()).collect()
    }
}

fn fits(names: &[NamePattern], name: &PluginName) -> bool {
    names.is_empty() || names.iter().any(|pattern| pattern.matches(name))
}

/// The text of the policy file; nothing when there is none.
fn read(path: &Path) -> Result<Option<String>, PolicyError> {
    match file::read_owned(path, Others::MayRead, Policy::MAX) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(error) => Err(PolicyError::Syntax(error.utf8_error().to_string())),
        },
        Err(FileError::Missing { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
