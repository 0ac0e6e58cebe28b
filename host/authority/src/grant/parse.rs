//! Grants as they are written on a command line.
//!
//! Owns the syntax `fs=HOSTDIR[::GUESTDIR][,rw]`, `tcp=HOST:PORT`,
//! `udp=HOST:PORT`, `http=HOST[:PORT]`, `listen=ADDRESS:PORT`,
//! `env=NAME[=VALUE]`, `secret=NAME`, `call=PLUGIN[/METHOD]`; the network ones
//! take `,private`, and `*` as a port. Files use the same words.

use std::{net::IpAddr, path::PathBuf, str::FromStr};

use super::{
    Access, CallGrant, Endpoint, FsGrant, GrantSet, HostPattern, PortRule, Protocol, call,
    path::normal_guest_path,
};

/// One grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// A directory.
    Fs(FsGrant),
    /// A network rule.
    Network(Protocol, Endpoint),
    /// An environment variable, with the value to give it.
    Env(String, Option<String>),
    /// A secret.
    Secret(String),
    /// Calls of another plugin by name.
    Call(CallGrant),
}

/// Text that is no grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("grant {grant:?}: expected {expected}, found {found:?}")]
pub struct InvalidGrant {
    /// The grant it is about, cut to a readable length; without a variable's value.
    pub grant: String,
    /// What must stand there.
    pub expected: &'static str,
    /// What stands there, cut to a readable length.
    pub found: String,
}

impl InvalidGrant {
    pub(super) fn new(grant: &str, expected: &'static str, found: &str) -> Self {
        let cut = |text: &str| text.chars().take(120).collect::<String>();
        InvalidGrant {
            grant: cut(grant),
            expected,
            found: cut(found),
        }
    }
}

const KINDS: &str = "fs=, tcp=, udp=, http=, listen=, env=, secret= or call=";
const MAX_NAME: usize = 256;
const MAX_VALUE: usize = 32 * 1024;

impl FromStr for Grant {
    type Err = InvalidGrant;

    fn from_str(text: &str) -> Result<Self, InvalidGrant> {
        let (kind, rest) = text
            .split_once('=')
            .ok_or_else(|| InvalidGrant::new(text, KINDS, text))?;
        match kind {
            "fs" => fs(text, rest).map(Grant::Fs),
            "tcp" => network(text, Protocol::Tcp, rest),
            "udp" => network(text, Protocol::Udp, rest),
            "http" => network(text, Protocol::Http, rest),
            "listen" => network(text, Protocol::Listen, rest),
            "env" => match rest.split_once('=') {
                Some((name, value)) => env(name, Some(value.to_owned())),
                None => env(rest, None),
            },
            "secret" => secret(rest),
            "call" => call::parse(text, rest).map(Grant::Call),
            other => Err(InvalidGrant::new(text, KINDS, other)),
        }
    }
}

impl GrantSet {
    /// The set of these grants, each as on a command line.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidGrant> {
        let mut set = GrantSet::default();
        texts.into_iter().try_for_each(|text| set.add(text.parse()?))?;
        Ok(set)
    }

    /// Adds a grant. A second directory for one guest path, a second value for
    /// a variable, and more than [`GrantSet::MAX_PER_KIND`] of a kind are refused.
    pub fn add(&mut self, grant: Grant) -> Result<(), InvalidGrant> {
        let full = |length: usize, kind: &str| {
            if length >= Self::MAX_PER_KIND {
                return Err(InvalidGrant::new(kind, "at most 128 grants of one kind", "more"));
            }
            Ok(())
        };
        match grant {
            Grant::Fs(grant) => {
                full(self.fs.len(), "fs")?;
                if self.fs.iter().any(|other| other.guest == grant.guest) {
                    return Err(InvalidGrant::new(
                        "fs",
                        "one directory per guest path",
                        &grant.guest,
                    ));
                }
                self.fs.push(grant);
            }
            Grant::Network(protocol, endpoint) => {
                let rules = match protocol {
                    Protocol::Tcp => &mut self.tcp,
                    Protocol::Udp => &mut self.udp,
                    Protocol::Http => &mut self.http,
                    Protocol::Listen => &mut self.listen,
                };
                if !rules.contains(&endpoint) {
                    full(rules.len(), "network")?;
                    rules.push(endpoint);
                }
            }
            Grant::Env(name, value) => {
                if self.env.contains_key(&name) {
                    return Err(InvalidGrant::new("env", "each variable once", &name));
                }
                full(self.env.len(), "env")?;
                self.env.insert(name, value);
            }
            Grant::Secret(name) => {
                if !self.secrets.contains(&name) {
                    full(self.secrets.len(), "secret")?;
                    self.secrets.insert(name);
                }
            }
            Grant::Call(call) => {
                if !self.calls.contains(&call) {
                    full(self.calls.len(), "call")?;
                    self.calls.insert(call);
                }
            }
        }
        Ok(())
    }
}

fn fs(grant: &str, text: &str) -> Result<FsGrant, InvalidGrant> {
    let (text, access) = match (text.strip_suffix(",rw"), text.strip_suffix(",ro")) {
        (Some(rest), _) => (rest, Access::ReadWrite),
        (None, Some(rest)) => (rest, Access::Read),
        (None, None) => (text, Access::Read),
    };
    let (host, guest) = match text.rsplit_once("::") {
        Some((host, guest)) => (host, guest),
        None => (text, text),
    };
    directory(
        grant,
        (!host.is_empty()).then(|| PathBuf::from(host)),
        guest,
        access,
    )
}

/// A directory grant from its parts. An empty host side is a ceiling's: the
/// place is left to the operator.
pub(super) fn directory(
    grant: &str,
    host: Option<PathBuf>,
    guest: &str,
    access: Access,
) -> Result<FsGrant, InvalidGrant> {
    if host
        .as_ref()
        .is_some_and(|host| host.as_os_str().as_encoded_bytes().contains(&0))
    {
        return Err(InvalidGrant::new(
            grant,
            "a directory without NUL",
            "one with NUL",
        ));
    }
    let guest = normal_guest_path(guest).ok_or_else(|| {
        InvalidGrant::new(
            grant,
            "HOSTDIR::GUESTDIR with a guest path that does not go up (`..`)",
            guest,
        )
    })?;
    Ok(FsGrant { host, guest, access })
}

fn network(grant: &str, protocol: Protocol, text: &str) -> Result<Grant, InvalidGrant> {
    let (text, private) = match text.rsplit_once(',') {
        Some((rest, "private")) => (rest, true),
        Some((_, option)) => return Err(InvalidGrant::new(grant, "no option but `,private`", option)),
        None => (text, false),
    };
    let (host, port) = split_port(text);
    endpoint(grant, protocol, host, port, private)
}

/// The host and, behind the last colon outside brackets, the port.
fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    }
}

/// A network rule from its parts.
pub(super) fn endpoint(
    grant: &str,
    protocol: Protocol,
    host: &str,
    port: Option<&str>,
    private: bool,
) -> Result<Grant, InvalidGrant> {
    let pattern = host_pattern(grant, host)?;
    if protocol == Protocol::Listen {
        if matches!(pattern, HostPattern::Name(_) | HostPattern::Below(_)) {
            return Err(InvalidGrant::new(grant, "a local address or *", host));
        }
        if private {
            return Err(InvalidGrant::new(
                grant,
                "no `private` on listen: name the local address",
                "private",
            ));
        }
    }
    let port = match port {
        Some("*") => PortRule::Any,
        Some(text) => {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse().ok().filter(|_| digits);
            PortRule::One(
                number.ok_or_else(|| InvalidGrant::new(grant, "a port from 0 to 65535 or *", text))?,
            )
        }
        None if protocol == Protocol::Http => PortRule::Web,
        None => {
            return Err(InvalidGrant::new(
                grant,
                "HOST:PORT (or HOST:* for every port)",
                host,
            ));
        }
    };
    Ok(Grant::Network(
        protocol,
        Endpoint {
            host: pattern,
            port,
            private,
        },
    ))
}

fn host_pattern(grant: &str, text: &str) -> Result<HostPattern, InvalidGrant> {
    const EXPECTED: &str = "a host name, *.suffix, *, an IPv4 address or an IPv6 address in brackets";
    let wrong = || InvalidGrant::new(grant, EXPECTED, text);
    if text == "*" {
        return Ok(HostPattern::Any);
    }
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or_else(wrong)?;
        let address: std::net::Ipv6Addr = inner.parse().map_err(|_| wrong())?;
        return Ok(HostPattern::Address(IpAddr::V6(address).to_canonical()));
    }
    if let Ok(address) = text.parse::<std::net::Ipv4Addr>() {
        return Ok(HostPattern::Address(IpAddr::V4(address)));
    }
    match text.strip_prefix("*.") {
        Some(parent) => host_name(parent).map(HostPattern::Below).ok_or_else(wrong),
        None => host_name(text).map(HostPattern::Name).ok_or_else(wrong),
    }
}

/// A host name in lower case. Names whose last label is a number are refused:
/// resolvers read some of them (`127.1`, `0x7f000001`) as addresses.
fn host_name(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let last_is_number = name
        .rsplit('.')
        .next()
        .is_none_or(|last| last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit()));
    (name.len() <= 253 && !last_is_number && name.split('.').all(label)).then_some(name)
}

pub(super) fn env(name: &str, value: Option<String>) -> Result<Grant, InvalidGrant> {
    let grant = format!("env={name}");
    let plain = !name.is_empty()
        && name.len() <= MAX_NAME
        && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'=');
    if !plain {
        return Err(InvalidGrant::new(
            &grant,
            "a variable's name of printable ASCII without =",
            name,
        ));
    }
    if value
        .as_ref()
        .is_some_and(|value| value.len() > MAX_VALUE || value.contains('\0'))
    {
        return Err(InvalidGrant::new(
            &grant,
            "a value of at most 32 KiB without NUL",
            "another",
        ));
    }
    Ok(Grant::Env(name.to_owned(), value))
}

pub(super) fn secret(name: &str) -> Result<Grant, InvalidGrant> {
    if is_secret_name(name) {
        return Ok(Grant::Secret(name.to_owned()));
    }
    let expected = "1 to 64 of a-z, A-Z, 0-9, -, _ and . after secret=";
    Err(InvalidGrant::new("secret", expected, name))
}

/// Whether this is the name of a secret: 1 to 64 of `a-z`, `A-Z`, `0-9`, `-`,
/// `_` and `.`.
pub fn is_secret_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}
