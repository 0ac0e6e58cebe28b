//! Words on the command line that stand for more than text.
//!
//! Owns `name=value` pairs, and grants whose directories are where the user
//! is, not where the host is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use odeon::LoadRequest;
use odeon_authority::{Grant, GrantSet, LimitsPatch, Links, check_links};
use odeon_protocol::{InvalidId, PluginName};

use crate::{failure::Failure, output::Done, whereabouts::absolute};

/// `name=value`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl std::str::FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Pair {
                name: name.into(),
                value: value.into(),
            }),
            _ => Err("expected name=value".into()),
        }
    }
}

/// The pairs by name; a name twice is an error.
pub(crate) fn by_name(pairs: &[Pair], flag: &str) -> Done<BTreeMap<String, String>> {
    let mut map = BTreeMap::new();
    for Pair { name, value } in pairs {
        if map.insert(name.clone(), value.clone()).is_some() {
            return Err(Failure::usage(format!("{flag} {name}: expected each name once")));
        }
    }
    Ok(map)
}

/// The grants with directories made absolute, as a host elsewhere can read
/// them.
pub(crate) fn grant_lines(texts: &[String]) -> Done<Vec<String>> {
    texts
        .iter()
        .map(|text| match text.parse()? {
            Grant::Fs(mut grant) => {
                grant.host = grant.host.as_deref().map(absolute).transpose()?;
                Ok(format!("fs={grant}"))
            }
            _ => Ok(text.clone()),
        })
        .collect()
}

/// The grants as a set; `None` when there are none.
pub(crate) fn grant_set(texts: &[String]) -> Done<Option<GrantSet>> {
    if texts.is_empty() {
        return Ok(None);
    }
    let lines = grant_lines(texts)?;
    Ok(Some(GrantSet::parse(lines.iter().map(String::as_str))?))
}

/// A time in the unit of the wire.
pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The limits that these pairs set, in the form of a descriptor's `[limits]`.
pub(crate) fn limits(pairs: &[Pair]) -> Done<LimitsPatch> {
    let words = by_name(pairs, "--limit")?;
    let words = words.iter().map(|(name, word)| (name.as_str(), word.as_str()));
    LimitsPatch::from_words(words).map_err(|error| Failure::usage(error.to_string()))
}

/// The plugins that serve these interfaces.
pub(crate) fn links(pairs: &[Pair]) -> Done<Links> {
    let links = by_name(pairs, "--link")?.into_iter().map(|(interface, name)| {
        let provider = name
            .parse()
            .map_err(|error: InvalidId| Failure::usage(format!("--link {interface}: {error}")))?;
        Ok((interface, provider))
    });
    let links = links.collect::<Done<Links>>()?;
    check_links(&links).map_err(|error| Failure::usage(format!("--link: {error}")))?;
    Ok(links)
}

/// A file that is to serve an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LinkFile {
    pub(crate) interface: String,
    /// What it is called if it has no name of its own.
    pub(crate) provider: PluginName,
    pub(crate) path: PathBuf,
}

/// The files that serve these interfaces.
pub(crate) fn link_files(pairs: &[Pair]) -> Done<Vec<LinkFile>> {
    let files = by_name(pairs, "--link")?.into_iter().map(|(interface, file)| {
        let path = PathBuf::from(file);
        let provider = LoadRequest::file_name(&path).ok_or_else(|| {
            Failure::usage(format!(
                "--link {interface}: expected the file of a component, named by a-z, 0-9 and -, found {}",
                path.display()
            ))
        })?;
        Ok(LinkFile {
            interface,
            provider,
            path,
        })
    });
    let files = files.collect::<Done<Vec<LinkFile>>>()?;
    let links = files
        .iter()
        .map(|file| (file.interface.clone(), file.provider.clone()));
    check_links(&links.collect()).map_err(|error| Failure::usage(format!("--link: {error}")))?;
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_granted_is_where_the_user_is() {
        let here = std::env::current_dir().unwrap();
        let lines = grant_lines(&["fs=data::/data,rw".into(), "env=HOME".into()]).unwrap();
        assert_eq!(
            lines,
            [
                format!("fs={}::/data,rw", here.join("data").display()),
                "env=HOME".into()
            ]
        );
    }

    #[test]
    fn limits_are_read_as_in_a_descriptor() {
        let pairs = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| text.parse().unwrap())
                .collect::<Vec<Pair>>()
        };
        let patch = limits(&pairs(&["memory=16MiB", "handles=7", "cpu=2s", "message=1024"])).unwrap();
        assert_eq!(patch.memory.unwrap().to_string(), "16MiB");
        assert_eq!((patch.handles, patch.message.unwrap().bytes()), (Some(7), 1024));
        assert!(
            limits(&pairs(&["memry=1"]))
                .unwrap_err()
                .fault
                .message
                .contains("memory")
        );
        let message = limits(&pairs(&["cpu=2"])).unwrap_err().fault.message;
        assert_eq!(
            message,
            "limit cpu: expected a time above zero like 500ms, 30s or 5m, found \"2\""
        );
    }

    #[test]
    fn a_name_twice_is_refused() {
        let pairs = ["a=1".parse().unwrap(), "a=2".parse().unwrap()];
        assert!(by_name(&pairs, "--limit").is_err());
        assert!("=1".parse::<Pair>().is_err() && "a".parse::<Pair>().is_err());
    }
}
