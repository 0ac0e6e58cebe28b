//! What an author says about a plugin: `odeon.toml`, embedded in the component.
//!
//! Owns the manifest's fields and their validation. A manifest only asks: its
//! grants and limits take effect as far as the operator allows. It names the
//! guest's side of a directory, never the host's, and whether a name may
//! resolve into private ranges is not the author's to say.

use std::collections::BTreeMap;

use odeon_protocol::{Code, PluginName};
use serde::{Deserialize, Serialize};

use crate::{grant::GrantSet, limits::LimitsPatch, placement::Placing, words::toml_problem};

/// A manifest that has been read and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The plugin's name, as the author calls it.
    pub name: PluginName,
    /// The plugin's version.
    pub version: semver::Version,
    /// What it does, in a sentence.
    pub description: Option<String>,
    /// Its licence, an SPDX expression by custom.
    pub license: Option<String>,
    /// Who made it.
    pub authors: Vec<String>,
    /// Where to read more.
    pub homepage: Option<String>,
    /// How it wants to be run.
    pub placing: Placing,
    /// What it asks for. Its network rules say `private`, which means "may be".
    pub asks: GrantSet,
    /// The limits it asks to be held to; they only lower.
    pub limits: LimitsPatch,
    /// The configuration it reads.
    pub config: BTreeMap<String, ConfigKey>,
}

/// One key of a plugin's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigKey {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether the operator must give a value.
    #[serde(default)]
    pub required: bool,
    /// The value when the operator gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

/// Text that is no manifest.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ManifestError {
    /// Longer than [`Manifest::MAX`].
    #[error(
        "the manifest is {found} bytes; expected at most {}; shorten it",
        Manifest::MAX
    )]
    TooLong {
        /// Its length.
        found: usize,
    },
    /// Not text.
    #[error("the manifest is not UTF-8 text (byte {at}); save odeon.toml as UTF-8")]
    NotText {
        /// Where it stops being text.
        at: usize,
    },
    /// Not TOML of the expected fields.
    #[error("the manifest cannot be read:\n{0}")]
    Syntax(String),
    /// A field's value cannot be used.
    #[error("the manifest's {field}: expected {expected}, found {found}")]
    Field {
        /// The field.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// More than one `odeon:manifest` section.
    #[error("the component has more than one odeon:manifest section; expected one; pack it again")]
    Twice,
}

impl ManifestError {
    /// The stable code.
    pub fn code(&self) -> Code {
        Code::ManifestInvalid
    }

    fn field(field: &'static str, expected: &'static str, found: impl ToString) -> Self {
        let found = found.to_string().chars().take(80).collect();
        ManifestError::Field {
            field,
            expected,
            found,
        }
    }
}

/// The operator's configuration of a plugin does not fit what it reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigMismatch {
    /// A key the plugin does not read.
    #[error("the plugin reads no configuration key {key:?}; it reads: {known}")]
    Unknown {
        /// The key.
        key: String,
        /// The keys there are.
        known: String,
    },
    /// A key without a value.
    #[error("the plugin needs a value for the configuration key {key:?}; set it under [config]")]
    Missing {
        /// The key.
        key: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    plugin: PluginTable,
    #[serde(default)]
    grants: GrantSet,
    #[serde(default)]
    limits: LimitsPatch,
    #[serde(default)]
    config: BTreeMap<String, ConfigKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PluginTable {
    name: PluginName,
    version: semver::Version,
    description: Option<String>,
    license: Option<String>,
    #[serde(default)]
    authors: Vec<String>,
    homepage: Option<String>,
    instance: Option<crate::placement::InstanceMode>,
    workers: Option<u32>,
    class: Option<crate::placement::ClassWish>,
}

impl Manifest {
    /// The longest manifest, in bytes.
    pub const MAX: usize = 64 * 1024;
    /// The longest version, in bytes.
    pub const MAX_VERSION: usize = 64;
    /// The most configuration keys.
    pub const MAX_CONFIG: usize = 128;
    /// The most authors.
    pub const MAX_AUTHORS: usize = 32;
    /// The longest free text (a description, an author), in bytes.
    pub const MAX_TEXT: usize = 2 * 1024;

    /// Reads a manifest from the bytes of `odeon.toml` or of its section.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > Self::MAX {
            return Err(ManifestError::TooLong { found: bytes.len() });
        }
        let text = std::str::from_utf8(bytes).map_err(|error| ManifestError::NotText {
            at: error.valid_up_to(),
        })?;
        let file: File =
            toml::from_str(text).map_err(|error| ManifestError::Syntax(toml_problem(text, &error)))?;
        let File {
            plugin,
            mut grants,
            limits,
            config,
        } = file;
        check_texts(&plugin, &config)?;
        ask_as_author(&mut grants)?;
        let placing = Placing {
            instance: plugin.instance,
            workers: plugin.workers,
            class: plugin.class,
        };
        if plugin.workers.is_some() && plugin.instance != Some(crate::placement::InstanceMode::Resident) {
            let expected = "instance = \"resident\" beside it (fresh instances are not shared)";
            return Err(ManifestError::field(
                "plugin.workers",
                expected,
                "workers without it",
            ));
        }
        placing
            .check()
            .map_err(|error| ManifestError::field("plugin.workers", error.expected, error.found))?;
        Ok(Manifest {
            name: plugin.name,
            version: plugin.version,
            description: plugin.description,
            license: plugin.license,
            authors: plugin.authors,
            homepage: plugin.homepage,
            placing,
            asks: grants,
            limits,
            config,
        })
    }

    /// The values the plugin sees: the operator's, and the defaults of the rest.
    pub fn settle_config(
        &self,
        given: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, ConfigMismatch> {
        if let Some(key) = given.keys().find(|key| !self.config.contains_key(*key)) {
            let known: Vec<&str> = self.config.keys().map(String::as_str).collect();
            let known = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            return Err(ConfigMismatch::Unknown {
                key: key.clone(),
                known,
            });
        }
        let mut settled = BTreeMap::new();
        for (key, about) in &self.config {
            match given.get(key).or(about.default.as_ref()) {
                Some(value) => {
                    settled.insert(key.clone(), value.clone());
                }
                None if about.required => return Err(ConfigMismatch::Missing { key: key.clone() }),
                None => {}
            }
        }
        Ok(settled)
    }
}

fn check_texts(plugin: &PluginTable, config: &BTreeMap<String, ConfigKey>) -> Result<(), ManifestError> {
    if plugin.version.to_string().len() > Manifest::MAX_VERSION {
        return Err(ManifestError::field(
            "plugin.version",
            "at most 64 characters",
            &plugin.version,
        ));
    }
    if plugin.authors.len() > Manifest::MAX_AUTHORS {
        return Err(ManifestError::field(
            "plugin.authors",
            "at most 32",
            plugin.authors.len(),
        ));
    }
    if config.len() > Manifest::MAX_CONFIG {
        return Err(ManifestError::field("config", "at most 128 keys", config.len()));
    }
    if let Some(key) = config
        .keys()
        .find(|key| key.is_empty() || key.len() > 128 || key.chars().any(char::is_control))
    {
        return Err(ManifestError::field(
            "config",
            "keys of 1 to 128 bytes without control characters",
            key,
        ));
    }
    if let Some((key, _)) = config
        .iter()
        .find(|(_, about)| about.required && about.default.is_some())
    {
        return Err(ManifestError::field(
            "config",
            "either `required` or a `default` for a key",
            key,
        ));
    }
    let texts = [&plugin.description, &plugin.license, &plugin.homepage]
        .into_iter()
        .flatten();
    let texts = texts
        .chain(&plugin.authors)
        .chain(config.values().filter_map(|about| about.description.as_ref()));
    for text in texts {
        if text.len() > Manifest::MAX_TEXT {
            return Err(ManifestError::field(
                "texts",
                "at most 2 KiB each",
                format_args!("{} bytes", text.len()),
            ));
        }
    }
    Ok(())
}

/// Refuses what only an operator can say, and turns the rest into requests.
fn ask_as_author(grants: &mut GrantSet) -> Result<(), ManifestError> {
    if let Some(grant) = grants.fs.iter().find(|grant| grant.host.is_some()) {
        let expected = "only `guest` and `access` (the operator names the host's directory)";
        return Err(ManifestError::field("grants.fs", expected, grant));
    }
    if let Some(name) = grants
        .env
        .iter()
        .find_map(|(name, value)| value.as_ref().and(Some(name)))
    {
        let expected = "NAME = true (the operator gives the value)";
        return Err(ManifestError::field(
            "grants.env",
            expected,
            format_args!("a value for {name}"),
        ));
    }
    for rule in grants
        .tcp
        .iter_mut()
        .chain(&mut grants.udp)
        .chain(&mut grants.http)
    {
        if rule.private {
            let expected = "no `private` (the operator says which names may be private)";
            return Err(ManifestError::field("grants", expected, &*rule));
        }
        rule.private = true;
    }
    Ok(())
}
