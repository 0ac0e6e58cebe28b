//! Names and numbers that identify things, each a type of its own.
//!
//! Owns the validation of every name that a person, a file or a peer can
//! write. A value of one of these types is well formed; text is parsed once,
//! at the edge.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Text that is no valid name or number of the kind it was read as.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} expected {expected}, found {found:?}")]
pub struct InvalidId {
    /// What was being read: `plugin name`, `digest`, …
    pub what: &'static str,
    /// What it must look like.
    pub expected: &'static str,
    /// What was there, cut to a readable length.
    pub found: String,
}

impl InvalidId {
    pub(crate) fn new(what: &'static str, expected: &'static str, found: &str) -> Self {
        InvalidId {
            what,
            expected,
            found: found.chars().take(80).collect(),
        }
    }
}

/// The name under which a component is loaded: 1 to 64 of `a-z`, `0-9`, `-`
/// and `.`, starting with a letter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PluginName(Arc<str>);

impl PluginName {
    /// The longest name there is, in bytes.
    pub const MAX: usize = 64;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PluginName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let fits = text.len() <= Self::MAX
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.');
        if fits {
            Ok(PluginName(text.into()))
        } else {
            Err(InvalidId::new(
                "plugin name",
                "1 to 64 of a-z, 0-9, - and ., starting with a letter",
                text,
            ))
        }
    }
}

/// The SHA-256 that identifies a component: of the bytes a signature covers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Digest(Sha256::digest(bytes).into())
    }

    /// A digest that was computed elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Digest(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let wrong = || InvalidId::new("digest", "sha256: and 64 hexadecimal digits", text);
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        if hex.len() != 64 || !hex.is_ascii() {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (byte, digits) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
        }
        Ok(Digest(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The identity of one request, unique for ever (a version 7 UUID).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(Uuid);

impl Serial {
    /// A new serial. Serials made later sort later.
    pub fn new() -> Self {
        Serial(Uuid::now_v7())
    }

    /// The serial of these 16 bytes, as carried by an envelope.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Serial(Uuid::from_bytes(bytes))
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl Default for Serial {
    fn default() -> Self {
        Self::new()
    }
}

impl FromStr for Serial {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Uuid::try_parse(text)
            .map(Serial)
            .map_err(|_| InvalidId::new("serial", "a UUID", text))
    }
}

/// A number that rises with every successful (re)load of a plugin name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

macro_rules! text_form {
    ($($name:ident;)+) => {$(
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}
text_form! { PluginName; Digest; Serial; }

impl fmt::Display for PluginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
