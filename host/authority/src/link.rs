//! Which plugin serves an interface that another one imports, as an operator
//! says it.
//!
//! Owns what may be said. Whether the two fit is found out where both are.

use std::collections::BTreeMap;

use odeon_protocol::{MAX_LINKS, PluginName};

/// Providers by the interfaces that they serve.
pub type Links = BTreeMap<String, PluginName>;

/// The longest name of an interface, in bytes.
const MAX_NAME: usize = 256;

/// Links that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLinks {
    /// Not the name of an interface.
    #[error(
        "links: expected an interface as namespace:package/interface, with @VERSION or without, found {0:?}"
    )]
    NoInterface(String),
    /// The host's own.
    #[error("links: {0} is an interface of the host itself and is served by nobody else; leave it out")]
    OfTheHost(String),
    /// The same interface with its version and without.
    #[error("links: expected each interface once, found {0} with and without a version")]
    Twice(String),
    /// Too many.
    #[error("links: expected at most {MAX_LINKS}, found {0}")]
    TooMany(usize),
}

/// Whether these links can be.
///
/// # Errors
///
/// The first that cannot, and why.
pub fn check_links(links: &Links) -> Result<(), InvalidLinks> {
    if links.len() > MAX_LINKS {
        return Err(InvalidLinks::TooMany(links.len()));
    }
    for interface in links.keys() {
        let shown = || interface.chars().take(80).collect::<String>();
        if !is_interface(interface) {
            return Err(InvalidLinks::NoInterface(shown()));
        }
        if interface.starts_with("wasi:") || interface.starts_with("odeon:") {
            return Err(InvalidLinks::OfTheHost(shown()));
        }
        if let Some((name, _)) = interface.split_once('@')
            && links.contains_key(name)
        {
            return Err(InvalidLinks::Twice(name.to_owned()));
        }
    }
    Ok(())
}

fn is_interface(text: &str) -> bool {
    let (name, version) = match text.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (text, None),
    };
    let word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let parts = name
        .split_once(':')
        .and_then(|(namespace, rest)| Some((namespace, rest.split_once('/')?)));
    text.len() <= MAX_NAME
        && parts.is_some_and(|(namespace, (package, interface))| {
            word(namespace) && word(package) && word(interface)
        })
        && version.is_none_or(|version| version.parse::<semver::Version>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(interfaces: &[&str]) -> Links {
        let provider: PluginName = "provider".parse().unwrap();
        interfaces
            .iter()
            .map(|interface| ((*interface).to_owned(), provider.clone()))
            .collect()
    }

    /// Enforced by `check_links`.
    #[test]
    fn an_interface_is_named_once_and_is_not_the_hosts() {
        assert_eq!(check_links(&links(&["a:b/c", "a:b/d@1.0.0"])), Ok(()));
        for wrong in [
            "", "b", "a:b", "a/b", "a:b/", ":b/c", "a:b/c@", "a:b/c@x", "a:b/c d", "a:b/c/d",
        ] {
            let refused = check_links(&links(&[wrong]));
            assert!(
                matches!(refused, Err(InvalidLinks::NoInterface(_))),
                "{wrong}: {refused:?}"
            );
        }
        for host in ["wasi:random/random", "odeon:plugin/request@0.1.0"] {
            assert!(matches!(
                check_links(&links(&[host])),
                Err(InvalidLinks::OfTheHost(_))
            ));
        }
        assert!(matches!(
            check_links(&links(&["a:b/c", "a:b/c@1.0.0"])),
            Err(InvalidLinks::Twice(_))
        ));
        let many: Vec<String> = (0..=MAX_LINKS).map(|k| format!("a:b/c{k}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(
            check_links(&links(&many)),
            Err(InvalidLinks::TooMany(MAX_LINKS + 1))
        );
    }
}
