//! One thing that a plugin wants to use.
//!
//! Owns asking a set of grants about it. Used where it has to be told which of
//! several sets says no: the decision itself is the set's own.

use std::{net::SocketAddr, path::Path};

use odeon_protocol::{MemberPath, PluginName};

use super::{Access, EgressPolicy, GrantSet, Protocol, without::touches};

/// One thing that a plugin wants to use.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// A secret.
    Secret(&'a str),
    /// A directory, or something in it.
    Directory {
        /// Its place on the host.
        host: &'a Path,
        /// Where the guest has it.
        guest: &'a str,
        /// How it is to be used.
        access: Access,
    },
    /// An address.
    Address {
        /// For what.
        protocol: Protocol,
        /// The very address.
        address: SocketAddr,
        /// The name it came from.
        name: Option<&'a str>,
    },
    /// The beginning of an HTTP request.
    Request {
        /// A name or an address.
        host: &'a str,
        /// The port.
        port: u16,
    },
    /// A lookup of a name.
    Lookup {
        /// What the answer is for; absent: TCP or UDP.
        protocol: Option<Protocol>,
        /// The name.
        name: &'a str,
    },
    /// A call by name.
    Call {
        /// Of which plugin.
        plugin: &'a PluginName,
        /// The method, as it was asked for.
        method: &'a MemberPath,
    },
}

/// A set of grants that can be asked.
#[derive(Clone, Debug, Default)]
pub struct Askable {
    set: GrantSet,
    egress: EgressPolicy,
}

impl From<GrantSet> for Askable {
    fn from(set: GrantSet) -> Self {
        Askable {
            egress: set.egress(),
            set,
        }
    }
}

impl Askable {
    /// The set.
    pub fn set(&self) -> &GrantSet {
        &self.set
    }

    /// Its network rules.
    pub fn egress(&self) -> &EgressPolicy {
        &self.egress
    }

    /// Whether the set allows this. A directory has to have the guest's path,
    /// and the place where the set names one.
    pub fn allows(&self, wanted: &Wanted<'_>) -> bool {
        match *wanted {
            Wanted::Directory { host, guest, access } => self.set.fs.iter().any(|grant| {
                grant.guest == guest
                    && grant.access >= access
                    && grant.host.as_deref().is_none_or(|place| place == host)
            }),
            Wanted::Secret(name) => self.set.secret(name).is_ok(),
            Wanted::Call { plugin, method } => self.set.calls_like(plugin, method),
            _ => self.reaches(wanted),
        }
    }

    /// Whether whoever has this set may use the same: a directory by its place
    /// alone.
    pub fn allows_elsewhere(&self, wanted: &Wanted<'_>) -> bool {
        match *wanted {
            Wanted::Directory { host, access, .. } => self
                .set
                .fs
                .iter()
                .any(|grant| grant.access >= access && grant.host.as_deref() == Some(host)),
            _ => self.allows(wanted),
        }
    }

    /// Whether this set, as one of what is denied, has to do with it.
    pub(crate) fn denies(&self, wanted: &Wanted<'_>) -> bool {
        match *wanted {
            Wanted::Directory { host, guest, access } => self.set.fs.iter().any(|denied| {
                let grant = super::FsGrant {
                    host: Some(host.to_owned()),
                    guest: guest.to_owned(),
                    access,
                };
                touches(denied, &grant) && (denied.access == Access::Read || access == Access::ReadWrite)
            }),
            Wanted::Secret(name) => self.set.secrets.contains(name),
            Wanted::Address {
                protocol,
                address,
                name,
            } => self.egress.names(protocol, address, name),
            Wanted::Request { host, port } => self.egress.names_request(host, port),
            Wanted::Lookup { protocol, name } => self.egress.names_lookup(protocol, name),
            Wanted::Call { plugin, method } => self.set.calls_like(plugin, method),
        }
    }

    fn reaches(&self, wanted: &Wanted<'_>) -> bool {
        match *wanted {
            Wanted::Address {
                protocol,
                address,
                name,
            } => self.egress.check(protocol, address, name).is_ok(),
            Wanted::Request { host, port } => self.egress.check_request(host, port).is_ok(),
            Wanted::Lookup { protocol, name } => self.egress.check_lookup(protocol, name).is_ok(),
            Wanted::Secret(_) | Wanted::Directory { .. } | Wanted::Call { .. } => false,
        }
    }
}
