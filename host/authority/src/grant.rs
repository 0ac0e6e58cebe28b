//! What a plugin may touch.
//!
//! Owns grants: their kinds, how an asked-for set and an allowed set meet, and
//! the answers a running plugin gets. Deny is the default everywhere: an empty
//! set allows nothing.
//!
//! **Invariant:** [`GrantSet::intersect`] is never wider than either side.
//! What a network rule reaches is decided in one place, [`EgressPolicy`].

mod address;
mod behalf;
mod call;
mod egress;
mod endpoint;
mod file;
mod parse;
mod path;
mod wanted;
mod without;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
};

pub use address::AddressClass;
pub use call::CallGrant;
pub use egress::{EgressDenied, EgressPolicy, EgressReason, Protocol};
pub use endpoint::{Endpoint, HostPattern, PortRule};
pub use parse::{Grant, InvalidGrant, is_secret_name};
pub use wanted::{Askable, Wanted};
pub use without::Except;

/// How a directory may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Look at what is there.
    #[default]
    Read,
    /// Create, change and remove as well.
    ReadWrite,
}

/// A directory of the host that the guest sees under a path of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FsGrant {
    /// The directory; absent where only the guest's side is known: in a
    /// manifest, or in a ceiling that leaves the place to the operator.
    pub host: Option<PathBuf>,
    /// The guest's absolute, normalised path.
    pub guest: String,
    /// How it may be used.
    pub access: Access,
}

/// A set of grants: what is asked for, what is allowed, or what a plugin has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantSet {
    /// Directories; no two have the same guest path.
    pub fs: Vec<FsGrant>,
    /// Outgoing TCP connections.
    pub tcp: Vec<Endpoint>,
    /// UDP peers.
    pub udp: Vec<Endpoint>,
    /// Outgoing HTTP requests.
    pub http: Vec<Endpoint>,
    /// Local addresses to listen on.
    pub listen: Vec<Endpoint>,
    /// Environment variables; without a value, the host's own is passed on.
    pub env: BTreeMap<String, Option<String>>,
    /// Secrets that may be fetched and revealed.
    pub secrets: BTreeSet<String>,
    /// Plugins and methods that may be called by name.
    pub calls: BTreeSet<CallGrant>,
    /// What the network rules do not open although they name it. Nobody writes
    /// it as a grant: it comes of [`GrantSet::without`].
    pub except: BTreeSet<Except>,
}

/// A running plugin used what it has no grant for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the plugin has no grant {wanted}; allow it with --grant {wanted} or in its descriptor's [grants]")]
pub struct GrantDenied {
    /// The grant that would allow it, as it is written on a command line.
    pub wanted: String,
}

impl GrantSet {
    /// The most grants of one kind in a set.
    pub const MAX_PER_KIND: usize = 128;

    /// Whether nothing is granted.
    pub fn is_empty(&self) -> bool {
        self.complete_lines().is_empty()
    }

    /// What both sets allow. Neither side can be exceeded, whichever is the
    /// author's and whichever the operator's:
    ///
    /// - **fs**: the same guest path; the smaller access; the host directory
    ///   of the side that names one, none if the two name different ones. A
    ///   directory below an allowed one does not match.
    /// - **tcp, udp, http, listen**: the narrower host and port of every pair
    ///   that overlaps; `private` only if both say so (a manifest's requests
    ///   always do, see [`crate::Manifest`]). An address literal stays only if
    ///   the other side reaches that address too.
    /// - **env**: names on both sides; the value of the side that has one, none
    ///   if the two differ.
    /// - **secrets**: on both sides.
    /// - **calls**: a method that both sides name in the same words, or one side
    ///   while the other allows all of its plugin.
    ///
    /// Exceptions of either side stay.
    #[must_use]
    pub fn intersect(asked: &GrantSet, allowed: &GrantSet) -> GrantSet {
        GrantSet {
            fs: intersect_fs(&asked.fs, &allowed.fs),
            tcp: endpoint::intersect_outgoing(&asked.tcp, &allowed.tcp),
            udp: endpoint::intersect_outgoing(&asked.udp, &allowed.udp),
            http: endpoint::intersect_outgoing(&asked.http, &allowed.http),
            listen: endpoint::intersect_listening(&asked.listen, &allowed.listen),
            env: intersect_env(&asked.env, &allowed.env),
            secrets: asked.secrets.intersection(&allowed.secrets).cloned().collect(),
            calls: call::intersect(&asked.calls, &allowed.calls),
            except: asked.except.union(&allowed.except).cloned().collect(),
        }
    }

    /// The network rules as the one thing that decides about connections.
    pub fn egress(&self) -> EgressPolicy {
        EgressPolicy::of(self)
    }

    /// Whether this secret may be fetched and revealed.
    pub fn secret(&self, name: &str) -> Result<(), GrantDenied> {
        allowed_if(self.secrets.contains(name), || format!("secret={name}"))
    }

    /// Every grant as it is written on a command line, values of environment
    /// variables left out, and the exceptions: for lists and the audit.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.texts(|name, _| format!("env={name}"));
        lines.extend(self.except.iter().map(|except| format!("except {except}")));
        lines
    }

    /// Every grant as it is written on a command line, values of variables
    /// included and exceptions left out: for files that only the operator can
    /// read.
    pub fn complete_lines(&self) -> Vec<String> {
        self.texts(|name, value| match value {
            Some(value) => format!("env={name}={value}"),
            None => format!("env={name}"),
        })
    }

    fn texts(&self, env: impl Fn(&String, &Option<String>) -> String) -> Vec<String> {
        let fs = self.fs.iter().map(|grant| format!("fs={grant}"));
        let network = [
            ("tcp", &self.tcp),
            ("udp", &self.udp),
            ("http", &self.http),
            ("listen", &self.listen),
        ];
        let network = network
            .into_iter()
            .flat_map(|(key, rules)| rules.iter().map(move |rule| format!("{key}={rule}")));
        let env = self.env.iter().map(|(name, value)| env(name, value));
        let secrets = self.secrets.iter().map(|name| format!("secret={name}"));
        let calls = self.calls.iter().map(|grant| format!("call={grant}"));
        fs.chain(network).chain(env).chain(secrets).chain(calls).collect()
    }
}

impl fmt::Display for FsGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = &self.host {
            write!(f, "{}", host.display())?;
        }
        write!(f, "::{}", self.guest)?;
        match self.access {
            Access::ReadWrite => f.write_str(",rw"),
            // Where the path itself ends like an option, the option is said.
            Access::Read if self.guest.ends_with(",rw") || self.guest.ends_with(",ro") => f.write_str(",ro"),
            Access::Read => Ok(()),
        }
    }
}

fn allowed_if(allowed: bool, wanted: impl FnOnce() -> String) -> Result<(), GrantDenied> {
    if allowed {
        Ok(())
    } else {
        Err(GrantDenied { wanted: wanted() })
    }
}

fn intersect_fs(asked: &[FsGrant], allowed: &[FsGrant]) -> Vec<FsGrant> {
    let meet = |one: &FsGrant, other: &FsGrant| {
        let host = match (&one.host, &other.host) {
            (Some(a), Some(b)) if a != b => return None,
            (host, None) | (None, host) | (Some(_), host) => host.clone(),
        };
        Some(FsGrant {
            host,
            guest: one.guest.clone(),
            access: one.access.min(other.access),
        })
    };
    asked
        .iter()
        .filter_map(|one| {
            allowed
                .iter()
                .find(|other| other.guest == one.guest)
                .and_then(|other| meet(one, other))
        })
        .collect()
}

fn intersect_env(
    asked: &BTreeMap<String, Option<String>>,
    allowed: &BTreeMap<String, Option<String>>,
) -> BTreeMap<String, Option<String>> {
    let meet = |one: &Option<String>, other: &Option<String>| match (one, other) {
        (Some(a), Some(b)) if a != b => None,
        (value, None) | (None, value) | (Some(_), value) => Some(value.clone()),
    };
    asked
        .iter()
        .filter_map(|(name, one)| Some((name.clone(), meet(one, allowed.get(name)?)?)))
        .collect()
}
