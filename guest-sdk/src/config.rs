//! Configuration the operator gives the plugin, through `wasi:config`.

use std::fmt;
use std::str::FromStr;

use crate::bindings::imports::wasi::config::store;
pub use store::Error;

/// Why [`parse`] has no value.
#[derive(Debug)]
pub enum ParseError<E> {
    /// The configuration cannot be read.
    Store(Error),
    /// The text under `key` is not what was expected.
    Value {
        /// The key that was read.
        key: String,
        /// What is wrong with the text under it.
        source: E,
    },
}

impl<E: fmt::Display> fmt::Display for ParseError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(Error::Upstream(text) | Error::Io(text)) => {
                write!(f, "the configuration cannot be read: {text}")
            }
            Self::Value { key, source } => write!(f, "the value of `{key}` is unusable: {source}"),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for ParseError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(_) => None,
            Self::Value { source, .. } => Some(source),
        }
    }
}

/// The text under `key`; `None` when the operator gave none.
///
/// # Errors
/// The host cannot read its configuration.
pub fn get(key: &str) -> Result<Option<String>, Error> {
    store::get(key)
}

/// Every key with its text, in the host's order.
///
/// # Errors
/// The host cannot read its configuration.
pub fn all() -> Result<Vec<(String, String)>, Error> {
    store::get_all()
}

/// The value under `key`, parsed; `None` when the operator gave none.
///
/// # Errors
/// The host cannot read its configuration, or the text does not parse as `T`.
pub fn parse<T: FromStr>(key: &str) -> Result<Option<T>, ParseError<T::Err>> {
    match get(key).map_err(ParseError::Store)? {
        None => Ok(None),
        Some(text) => match text.parse() {
            Ok(value) => Ok(Some(value)),
            Err(source) => Err(ParseError::Value {
                key: key.to_owned(),
                source,
            }),
        },
    }
}
