//! Changing the trust policy.
//!
//! Owns edits of `trust.toml`: one at a time (a lock beside the file), the
//! operator's own comments and order kept, the result read back before it
//! replaces the file. Revoking never deletes a row: it turns it into a denial.
//! Deputies and grants that are taken away are in `edit/grants.rs`.

mod grants;

use std::{
    collections::BTreeSet,
    fs::File,
    path::{Path, PathBuf},
    str::FromStr,
};

use odeon_protocol::{Digest, PluginName};
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};

use super::{InvalidPattern, NamePattern, Policy, PolicyError, Trust};
use crate::{
    file::{self, FileError},
    grant::GrantSet,
    key::{KeyId, PublicKey},
};

/// What a revocation is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// A key.
    Key(PublicKey),
    /// A key that the policy knows, by its short name.
    KeyId(KeyId),
    /// A digest.
    Digest(Digest),
    /// Names.
    Name(NamePattern),
}

/// A change of the policy that cannot be made. The file stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum PolicyEditError {
    /// The policy as it is cannot be used, or the change would make it so.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The file cannot be written.
    #[error("the trust policy cannot be written: {0}")]
    File(#[from] FileError),
    /// Nothing fits the selector.
    #[error("the trust policy has no key {0}; `odeon trust list` shows those it has")]
    UnknownKey(KeyId),
    /// There is no such deputy.
    #[error(
        "the trust policy does not say that {plugin} may act for {other}; `odeon trust deputy list` shows who may"
    )]
    NoDeputy {
        /// Who was to lose it.
        plugin: PluginName,
        /// For whom.
        other: String,
    },
    /// It was revoked before.
    #[error("{0} was revoked; edit the row in the trust policy by hand if that was a mistake")]
    Revoked(String),
    /// The rows are not written as tables.
    #[error(
        "the trust policy's `{0}` expected [[{0}]] tables, found another form; rewrite it so or edit by hand"
    )]
    Form(&'static str),
}

/// A change of the policy, held under its lock until saved or dropped.
#[derive(Debug)]
pub struct PolicyEdit {
    path: PathBuf,
    document: DocumentMut,
    policy: Policy,
    /// What a new file begins with.
    head: Option<&'static str>,
    _lock: File,
}

const HEAD: &str = "# What may be loaded on this host: keys, digests and names, each \"allow\" or \"deny\".\n\
                    # Deny wins. Changed by `odeon trust`; edits by hand are kept.\n\n";

impl PolicyEdit {
    /// Begins a change; waits for another one to end.
    pub fn open(path: &Path) -> Result<Self, PolicyEditError> {
        let mut lock_path = path.as_os_str().to_owned();
        lock_path.push(".lock");
        let lock = file::lock(Path::new(&lock_path))?;
        let text = super::read(path)?.unwrap_or_default();
        let policy = Policy::parse(&text)?;
        let document: DocumentMut = text
            .parse()
            .map_err(|error: toml_edit::TomlError| PolicyError::Syntax(error.to_string()))?;
        let head = text.trim().is_empty().then_some(HEAD);
        Ok(PolicyEdit {
            path: path.to_owned(),
            document,
            policy,
            head,
            _lock: lock,
        })
    }

    /// Lets in what this key signed, under these names (any when empty), up to
    /// the ceiling. A row with the same names is replaced.
    pub fn allow_key(
        &mut self,
        key: &PublicKey,
        names: &[NamePattern],
        ceiling: Option<&GrantSet>,
        comment: Option<&str>,
    ) -> Result<(), PolicyEditError> {
        let mut rows = self.policy.keys.iter();
        if rows.any(|row| row.key == *key && row.decision == Trust::Deny) {
            return Err(PolicyEditError::Revoked(key.to_string()));
        }
        self.allow("key", &key.to_string(), names, ceiling, comment)
    }

    /// Lets in these very bytes, signed or not.
    pub fn allow_digest(
        &mut self,
        digest: &Digest,
        names: &[NamePattern],
        ceiling: Option<&GrantSet>,
        comment: Option<&str>,
    ) -> Result<(), PolicyEditError> {
        let mut rows = self.policy.digests.iter();
        if rows.any(|row| row.digest == *digest && row.decision == Trust::Deny) {
            return Err(PolicyEditError::Revoked(digest.to_string()));
        }
        self.allow("digest", &digest.to_string(), names, ceiling, comment)
    }

    /// Ties a name to a key: nothing else may be loaded under it.
    pub fn pin(&mut self, name: &PluginName, key: &PublicKey) -> Result<(), PolicyEditError> {
        if self
            .policy
            .pins
            .iter()
            .any(|row| row.name == *name && row.key == *key)
        {
            return Ok(());
        }
        let mut row = Table::new();
        row.insert("name", value(name.as_str()));
        row.insert("key", value(key.to_string()));
        self.tables("pin")?.push(row);
        self.reread()
    }

    /// Keeps out what fits the selector, from now on. Returns what was denied.
    pub fn revoke(&mut self, selector: &Selector) -> Result<String, PolicyEditError> {
        let (kind, subjects) = match selector {
            Selector::Key(key) => ("key", vec![key.to_string()]),
            // Two keys can be made to have one id: whichever was meant is among them.
            Selector::KeyId(id) => {
                let known = self.policy.keys.iter().map(|row| &row.key);
                let known: BTreeSet<String> = known
                    .chain(self.policy.pins.iter().map(|row| &row.key))
                    .filter(|key| key.id() == *id)
                    .map(PublicKey::to_string)
                    .collect();
                if known.is_empty() {
                    return Err(PolicyEditError::UnknownKey(*id));
                }
                ("key", known.into_iter().collect())
            }
            Selector::Digest(digest) => ("digest", vec![digest.to_string()]),
            Selector::Name(pattern) => ("name", vec![pattern.to_string()]),
        };
        for subject in &subjects {
            self.deny(kind, subject)?;
        }
        self.reread()?;
        Ok(subjects.join(", "))
    }

    fn deny(&mut self, kind: &'static str, subject: &str) -> Result<(), PolicyEditError> {
        let rows = self.tables(kind)?;
        let mut known = false;
        for row in rows.iter_mut().filter(|row| holds(row, kind, subject)) {
            row.insert("decision", value("deny"));
            // A denial for some names only would leave the others open.
            row.remove("names");
            row.remove("grants");
            known = true;
        }
        if !known {
            let mut row = Table::new();
            row.insert(kind, value(subject));
            row.insert("decision", value("deny"));
            rows.push(row);
        }
        Ok(())
    }

    /// The policy as changed so far.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Puts the changed policy in the place of the file.
    pub fn save(self) -> Result<Policy, PolicyEditError> {
        // Not part of the document, where it would be the end of its tables.
        let text = format!("{}{}", self.head.unwrap_or_default(), self.document);
        file::replace(&self.path, text.as_bytes(), 0o600)?;
        Ok(self.policy)
    }

    fn allow(
        &mut self,
        kind: &'static str,
        subject: &str,
        names: &[NamePattern],
        ceiling: Option<&GrantSet>,
        comment: Option<&str>,
    ) -> Result<(), PolicyEditError> {
        let texts = |texts: Vec<String>| value(texts.into_iter().collect::<Array>());
        // Names are a set: in another order they are the same row.
        let names: BTreeSet<String> = names.iter().map(NamePattern::to_string).collect();
        let mut row = Table::new();
        row.insert(kind, value(subject));
        row.insert("decision", value("allow"));
        if !names.is_empty() {
            row.insert("names", texts(names.iter().cloned().collect()));
        }
        if let Some(ceiling) = ceiling {
            row.insert("grants", texts(ceiling.complete_lines()));
        }
        if let Some(comment) = comment {
            row.insert("comment", value(comment));
        }
        let rows = self.tables(kind)?;
        let old = rows
            .iter()
            .position(|old| holds(old, kind, subject) && names_of(old) == names);
        match old.and_then(|at| rows.get_mut(at)) {
            Some(old) => {
                // The row's own comments stay; a ceiling that is not named again is no more.
                old.remove("grants");
                for (key, item) in row {
                    old.insert(&key, item);
                }
            }
            None => rows.push(row),
        }
        self.reread()
    }

    fn tables(&mut self, kind: &'static str) -> Result<&mut ArrayOfTables, PolicyEditError> {
        self.document
            .entry(kind)
            .or_insert(Item::ArrayOfTables(ArrayOfTables::new()))
            .as_array_of_tables_mut()
            .ok_or(PolicyEditError::Form(kind))
    }

    fn reread(&mut self) -> Result<(), PolicyEditError> {
        self.policy = Policy::parse(&self.document.to_string())?;
        Ok(())
    }
}

fn holds(row: &Table, kind: &str, subject: &str) -> bool {
    let text = row.get(kind).and_then(Item::as_str).unwrap_or_default();
    // A digest may have been written by hand without its prefix, or in capitals.
    text == subject
        || (kind == "digest"
            && text
                .parse::<Digest>()
                .is_ok_and(|digest| digest.to_string() == subject))
}

fn names_of(row: &Table) -> BTreeSet<String> {
    let names = row.get("names").and_then(Item::as_array);
    names
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect()
}

impl FromStr for Selector {
    type Err = InvalidPattern;

    /// A public key, a key's short name, a digest, or a pattern of names.
    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        if let Ok(key) = text.parse() {
            return Ok(Selector::Key(key));
        }
        if let Ok(digest) = text.parse() {
            return Ok(Selector::Digest(digest));
        }
        if let Ok(id) = text.parse() {
            return Ok(Selector::KeyId(id));
        }
        text.parse().map(Selector::Name)
    }
}
