//! Where a plugin is served over HTTP.
//!
//! Owns the form of a route: a listener of the host's configuration, and a path
//! on it. Whether there is such a listener, and whether the path is free, is
//! seen where it is used.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a listener: 1 to 32 of `a-z`, `0-9` and `-`, starting with a
/// letter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ListenerName(String);

/// The path under which a plugin is served: `/`, or whole segments after it.
/// What is asked for there, or below it, is the plugin's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoutePath(String);

/// A route: `web/hello`, or `/hello` where the host has one listener. In a
/// descriptor a table of its parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The listener; absent: the only one that there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener: Option<ListenerName>,
    /// The path on it.
    pub path: RoutePath,
}

/// Text that is no route, or no part of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: expected {expected}, found {found:?}")]
pub struct InvalidRoute {
    what: &'static str,
    expected: &'static str,
    found: String,
}

impl InvalidRoute {
    fn new(what: &'static str, expected: &'static str, found: &str) -> Self {
        InvalidRoute {
            what,
            expected,
            found: found.chars().take(80).collect(),
        }
    }
}

impl ListenerName {
    /// The longest name, in bytes.
    pub const MAX: usize = 32;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl RoutePath {
    /// The longest path, in bytes.
    pub const MAX: usize = 256;

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ListenerName {
    type Err = InvalidRoute;

    fn from_str(text: &str) -> Result<Self, InvalidRoute> {
        let fits = text.len() <= Self::MAX
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        match fits {
            true => Ok(ListenerName(text.to_owned())),
            false => Err(InvalidRoute::new(
                "the name of a listener",
                "1 to 32 of a-z, 0-9 and -, starting with a letter",
                text,
            )),
        }
    }
}

impl FromStr for RoutePath {
    type Err = InvalidRoute;

    fn from_str(text: &str) -> Result<Self, InvalidRoute> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(plain);
        let segments = text.strip_prefix('/').filter(|_| text.len() <= Self::MAX);
        match segments.is_some_and(|rest| rest.is_empty() || rest.split('/').all(segment)) {
            true => Ok(RoutePath(text.to_owned())),
            false => Err(InvalidRoute::new(
                "the path of a route",
                "/, or / and segments of A-Z, a-z, 0-9, -, ., _ and ~ with one / between them, at most 256 bytes",
                text,
            )),
        }
    }
}

impl FromStr for Route {
    type Err = InvalidRoute;

    fn from_str(text: &str) -> Result<Self, InvalidRoute> {
        let slash = text
            .find('/')
            .ok_or_else(|| InvalidRoute::new("a route", "LISTENER/PATH, as in web/hello, or /PATH", text))?;
        let (listener, path) = text.split_at(slash);
        Ok(Route {
            listener: match listener {
                "" => None,
                name => Some(name.parse()?),
            },
            path: path.parse()?,
        })
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listener = self.listener.as_ref().map_or("", ListenerName::as_str);
        write!(f, "{listener}{}", self.path.0)
    }
}

impl fmt::Display for ListenerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for RoutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! text {
    ($($type:ident)+) => {$(
        impl TryFrom<String> for $type {
            type Error = InvalidRoute;

            fn try_from(text: String) -> Result<Self, InvalidRoute> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> String {
                value.0
            }
        }
    )+};
}

text! { ListenerName RoutePath }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_read_as_it_is_written() {
        for text in ["web/hello", "/hello", "/", "web/", "a-1/x/y.z/~_-"] {
            let route: Route = text.parse().unwrap();
            assert_eq!(route.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_route_is_refused() {
        let long = format!("/{}", "x".repeat(256));
        for text in [
            "",
            "hello",
            "Web/hello",
            "1/x",
            "web//x",
            "web/x/",
            "web/.",
            "web/../x",
            "web/a%2fb",
            "web/a?b",
            "web/a b",
            &long,
        ] {
            assert!(text.parse::<Route>().is_err(), "{text}");
        }
    }
}
