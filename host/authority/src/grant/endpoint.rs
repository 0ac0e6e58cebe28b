//! One network rule: hosts, ports, and whether it reaches into private ranges.
//!
//! Owns matching and the meeting of two rules. What a matching rule opens is
//! asked of [`Endpoint::opens`] only, so that rules and their intersection
//! cannot disagree.

use std::{collections::BTreeSet, fmt, net::IpAddr};

use super::AddressClass;

/// The hosts a rule is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// Every host, `*`.
    Any,
    /// Every name below this one, `*.example.com`; not the name itself.
    Below(String),
    /// This name, in lower case.
    Name(String),
    /// This address. Naming an address opens it whatever its class.
    Address(IpAddr),
}

/// The ports a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortRule {
    /// Every port, `*`.
    Any,
    /// 80 and 443: an HTTP rule that names no port.
    Web,
    /// This port.
    One(u16),
}

/// A network rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Which hosts.
    pub host: HostPattern,
    /// Which ports.
    pub port: PortRule,
    /// Whether a name may resolve into loopback, private and shared ranges.
    /// Addresses that are named themselves do not need it.
    pub private: bool,
}

impl Endpoint {
    /// Whether the rule is about this address, which was resolved from the
    /// name (in lower case, without a final dot) if there is one.
    pub(super) fn concerns(&self, address: IpAddr, port: u16, name: Option<&str>) -> bool {
        self.port.matches(port) && self.concerns_host(address, name)
    }

    /// The same for any port.
    pub(super) fn concerns_host(&self, address: IpAddr, name: Option<&str>) -> bool {
        match &self.host {
            HostPattern::Any => true,
            HostPattern::Address(one) => *one == address.to_canonical(),
            HostPattern::Name(_) | HostPattern::Below(_) => {
                name.is_some_and(|name| self.host.matches_name(name))
            }
        }
    }

    /// Whether the rule, given that it concerns the address, opens it.
    pub(super) fn opens(&self, address: IpAddr) -> bool {
        let class = AddressClass::of(address);
        match self.host {
            HostPattern::Address(_) => true,
            HostPattern::Any | HostPattern::Below(_) | HostPattern::Name(_) => {
                class.is_global() || (self.private && class.opened_by_private())
            }
        }
    }

    /// Whether everything that `other` opens is something that this rule is
    /// about, whatever the class of the address.
    pub(super) fn covers(&self, other: &Endpoint) -> bool {
        self.host.covers(&other.host) && self.port.covers(other.port)
    }

    fn meet(&self, other: &Endpoint, outgoing: bool) -> Option<Endpoint> {
        let host = match (&self.host, &other.host) {
            (HostPattern::Address(a), HostPattern::Address(b)) => {
                (a == b).then_some(HostPattern::Address(*a))?
            }
            (HostPattern::Address(address), HostPattern::Any) => {
                (!outgoing || other.opens(*address)).then_some(HostPattern::Address(*address))?
            }
            (HostPattern::Any, HostPattern::Address(address)) => {
                (!outgoing || self.opens(*address)).then_some(HostPattern::Address(*address))?
            }
            (HostPattern::Address(_), _) | (_, HostPattern::Address(_)) => return None,
            (HostPattern::Any, host) | (host, HostPattern::Any) => host.clone(),
            (HostPattern::Name(a), HostPattern::Name(b)) => (a == b).then(|| HostPattern::Name(a.clone()))?,
            (HostPattern::Name(name), below) | (below, HostPattern::Name(name)) => {
                below
                    .matches_name(name)
                    .then(|| HostPattern::Name(name.clone()))?
            }
            (HostPattern::Below(a), HostPattern::Below(b)) => {
                if a == b || other.host.matches_name(a) {
                    self.host.clone()
                } else {
                    self.host.matches_name(b).then(|| other.host.clone())?
                }
            }
        };
        Some(Endpoint {
            host,
            port: self.port.meet(other.port)?,
            private: self.private && other.private,
        })
    }
}

impl HostPattern {
    /// Whether the pattern is about this name (in lower case, without a final dot).
    pub(super) fn matches_name(&self, name: &str) -> bool {
        match self {
            HostPattern::Any => true,
            HostPattern::Name(one) => one == name,
            HostPattern::Below(parent) => name
                .strip_suffix(parent.as_str())
                .and_then(|rest| rest.strip_suffix('.'))
                .is_some_and(|rest| !rest.is_empty()),
            HostPattern::Address(_) => false,
        }
    }
}

impl HostPattern {
    fn covers(&self, other: &HostPattern) -> bool {
        match (self, other) {
            (HostPattern::Any, _) => true,
            (HostPattern::Below(parent), HostPattern::Below(other)) => {
                parent == other || self.matches_name(other)
            }
            (HostPattern::Below(_), HostPattern::Name(name)) => self.matches_name(name),
            (one, other) => one == other,
        }
    }
}

impl PortRule {
    fn covers(self, other: PortRule) -> bool {
        match (self, other) {
            (rule, PortRule::One(port)) => rule.matches(port),
            (PortRule::Any, _) => true,
            (one, other) => one == other,
        }
    }

    pub(super) fn matches(self, port: u16) -> bool {
        match self {
            PortRule::Any => true,
            PortRule::Web => matches!(port, 80 | 443),
            PortRule::One(one) => one == port,
        }
    }

    fn meet(self, other: PortRule) -> Option<PortRule> {
        match (self, other) {
            (PortRule::Any, port) | (port, PortRule::Any) => Some(port),
            (PortRule::Web, PortRule::Web) => Some(PortRule::Web),
            (PortRule::One(port), rule) | (rule, PortRule::One(port)) => {
                rule.matches(port).then_some(PortRule::One(port))
            }
        }
    }
}

/// What both sides allow a guest to connect to.
pub(super) fn intersect_outgoing(asked: &[Endpoint], allowed: &[Endpoint]) -> Vec<Endpoint> {
    intersect(asked, allowed, true)
}

/// What both sides allow a guest to listen on. The class of a local address
/// does not matter: `*` means every address of the machine.
pub(super) fn intersect_listening(asked: &[Endpoint], allowed: &[Endpoint]) -> Vec<Endpoint> {
    intersect(asked, allowed, false)
}

fn intersect(asked: &[Endpoint], allowed: &[Endpoint], outgoing: bool) -> Vec<Endpoint> {
    let met: BTreeSet<Endpoint> = asked
        .iter()
        .flat_map(|one| allowed.iter().filter_map(move |other| one.meet(other, outgoing)))
        .collect();
    met.into_iter().collect()
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Any => f.write_str("*"),
            HostPattern::Below(parent) => write!(f, "*.{parent}"),
            HostPattern::Name(name) => f.write_str(name),
            HostPattern::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            HostPattern::Address(IpAddr::V4(address)) => write!(f, "{address}"),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.host)?;
        match self.port {
            PortRule::Any => f.write_str(":*")?,
            PortRule::Web => {}
            PortRule::One(port) => write!(f, ":{port}")?,
        }
        if self.private {
            f.write_str(",private")
        } else {
            Ok(())
        }
    }
}
