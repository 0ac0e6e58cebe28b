//! What an operator says about one plugin: a file in `plugins.d`.
//!
//! Owns what a descriptor says and its validation. It cannot let an unsigned
//! component in: there is no field for that. Relative paths are relative to the
//! descriptor's own folder.

mod fields;
mod folder;
mod schema;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use odeon_protocol::{Code, PluginName};

use self::fields::Written;
pub use self::{
    fields::DescriptorField,
    folder::{DescriptorFile, DescriptorFolder, FolderError},
};
use crate::{
    file::{self, FileError, Others},
    grant::{GrantSet, is_secret_name},
    limits::LimitsPatch,
    link::{InvalidLinks, Links, check_links},
    placement::{InvalidWorkers, Placing},
    route::Route,
    unit::Patience,
    words::toml_problem,
};

/// A descriptor that has been read and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Descriptor {
    /// The component file.
    pub source: PathBuf,
    /// The name to load it under; the file's own when absent.
    pub name: Option<PluginName>,
    /// The name the file must be signed for, when it is another one: a file
    /// can only stand in for another by the operator's word.
    pub signed_as: Option<PluginName>,
    /// How to run it.
    pub placing: Placing,
    /// The operator's limits for this plugin.
    pub limits: LimitsPatch,
    /// What the operator allows; nothing when empty.
    pub grants: GrantSet,
    /// Values of the plugin's configuration.
    pub config: BTreeMap<String, String>,
    /// Where the value of each secret is kept: a file only its owner can read.
    pub secrets: BTreeMap<String, PathBuf>,
    /// The plugins that serve interfaces which the component imports.
    pub links: Links,
    /// Where the plugin is served over HTTP.
    pub http: Option<Route>,
    /// How long calls may go on when the host replaces or unloads the plugin by
    /// itself, because the descriptor or the component has changed.
    pub drain: Option<Patience>,
    /// How long a new generation is watched then, and taken back if it traps.
    pub health_window: Option<Patience>,
}

/// A file that is no descriptor.
#[derive(Debug, thiserror::Error)]
pub enum DescriptorError {
    /// The file cannot be used.
    #[error("the descriptor cannot be used: {0}")]
    File(#[from] FileError),
    /// Not text.
    #[error("the descriptor is not UTF-8 text (byte {at}); save it as UTF-8")]
    NotText {
        /// Where it stops being text.
        at: usize,
    },
    /// Longer than [`Descriptor::MAX`].
    #[error(
        "the descriptor is {found} bytes; expected at most {}; shorten it",
        Descriptor::MAX
    )]
    TooLong {
        /// Its length.
        found: usize,
    },
    /// Not TOML of the expected fields.
    #[error("the descriptor cannot be read:\n{0}")]
    Syntax(String),
    /// Impossible workers.
    #[error("the descriptor's {0}")]
    Workers(#[from] InvalidWorkers),
    /// A directory without the host's side.
    #[error("the descriptor's grant fs={guest}: expected the host's directory (`host`), found none")]
    NoHostDirectory {
        /// The guest's side.
        guest: String,
    },
    /// Impossible links.
    #[error("the descriptor's {0}")]
    Links(#[from] InvalidLinks),
    /// Not the name of a secret.
    #[error(
        "the descriptor's [secrets]: expected names of 1 to 64 of a-z, A-Z, 0-9, -, _ and ., found {name:?}"
    )]
    SecretName {
        /// The name.
        name: String,
    },
}

impl DescriptorError {
    /// The stable code.
    pub fn code(&self) -> Code {
        Code::DescriptorInvalid
    }
}

impl Descriptor {
    /// The longest descriptor, in bytes.
    pub const MAX: usize = 256 * 1024;

    /// Reads a descriptor file once, refusing one that somebody else could
    /// have written.
    pub fn load(path: &Path) -> Result<Self, DescriptorError> {
        let bytes = file::read_owned(path, Others::MayRead, Self::MAX as u64)?;
        Self::parse(&bytes, path.parent().unwrap_or(Path::new("")))
    }

    /// Reads a descriptor whose relative paths are relative to `folder`.
    pub fn parse(bytes: &[u8], folder: &Path) -> Result<Self, DescriptorError> {
        if bytes.len() > Self::MAX {
            return Err(DescriptorError::TooLong { found: bytes.len() });
        }
        let text = std::str::from_utf8(bytes).map_err(|error| DescriptorError::NotText {
            at: error.valid_up_to(),
        })?;
        let written: Written =
            toml::from_str(text).map_err(|error| DescriptorError::Syntax(toml_problem(text, &error)))?;
        let placing = Placing {
            instance: written.instance,
            workers: written.workers,
            class: written.class,
        };
        placing.check()?;
        let mut grants = written.grants;
        for grant in &mut grants.fs {
            match &mut grant.host {
                Some(host) => *host = folder.join(&host),
                None => {
                    return Err(DescriptorError::NoHostDirectory {
                        guest: grant.guest.clone(),
                    });
                }
            }
        }
        if let Some(name) = written.secrets.keys().find(|name| !is_secret_name(name)) {
            return Err(DescriptorError::SecretName {
                name: name.chars().take(80).collect(),
            });
        }
        check_links(&written.links)?;
        Ok(Descriptor {
            source: folder.join(written.source),
            name: written.name,
            signed_as: written.signed_as,
            placing,
            limits: written.limits,
            grants,
            config: written.config,
            secrets: written
                .secrets
                .into_iter()
                .map(|(name, path)| (name, folder.join(path)))
                .collect(),
            links: written.links,
            http: written.http,
            drain: written.drain,
            health_window: written.health_window,
        })
    }

    /// Whether the other runs the plugin in the same way: they may differ in
    /// what counts only when it is replaced or unloaded.
    #[must_use]
    pub fn runs_as(&self, other: &Self) -> bool {
        let running = |descriptor: &Self| Descriptor {
            drain: None,
            health_window: None,
            ..descriptor.clone()
        };
        running(self) == running(other)
    }
}
