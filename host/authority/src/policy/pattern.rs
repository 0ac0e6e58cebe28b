//! Patterns of plugin names: a name, a beginning with `*`, or `*`.

use std::{fmt, str::FromStr};

use odeon_protocol::PluginName;
use serde::{Deserialize, Deserializer};

/// A pattern of plugin names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NamePattern {
    beginning: String,
    open: bool,
}

/// Text that is no pattern of names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("name pattern: expected a plugin name, a beginning of one with * behind it, or *, found {found:?}")]
pub struct InvalidPattern {
    /// What was there, cut to a readable length.
    pub found: String,
}

impl NamePattern {
    /// Whether the pattern is about this name.
    pub fn matches(&self, name: &PluginName) -> bool {
        if self.open {
            name.as_str().starts_with(&self.beginning)
        } else {
            name.as_str() == self.beginning
        }
    }
}

impl From<&PluginName> for NamePattern {
    fn from(name: &PluginName) -> Self {
        NamePattern {
            beginning: name.to_string(),
            open: false,
        }
    }
}

impl FromStr for NamePattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let (beginning, open) = match text.strip_suffix('*') {
            Some(beginning) => (beginning, true),
            None => (text, false),
        };
        // Every beginning of a name is itself a name, but for the empty one.
        if (open && beginning.is_empty()) || beginning.parse::<PluginName>().is_ok() {
            return Ok(NamePattern {
                beginning: beginning.to_owned(),
                open,
            });
        }
        Err(InvalidPattern {
            found: text.chars().take(80).collect(),
        })
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.beginning, if self.open { "*" } else { "" })
    }
}

impl<'de> Deserialize<'de> for NamePattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
