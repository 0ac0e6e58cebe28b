//! The one decision about what a guest may reach over the network.
//!
//! Owns [`EgressPolicy`]. The host resolves names itself and asks here about
//! the very address it is going to connect to, with the name it came from, so
//! that an answer that changes between check and use changes nothing. Every
//! connection, redirect, datagram, lookup and listening socket asks.
//!
//! Order: a rule must concern protocol, host and port; then it must open the
//! address's class. No rule, no way out.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use super::{AddressClass, Endpoint, GrantSet};

/// What is being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// A TCP connection.
    Tcp,
    /// Datagrams.
    Udp,
    /// An HTTP request.
    Http,
    /// A socket that listens on a local address.
    Listen,
}

/// Why something on the network is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EgressReason {
    /// No rule names it.
    NotNamed,
    /// A rule names it, but the address it leads to is of a class the rule
    /// does not open.
    Class(AddressClass),
}

/// Something on the network that the plugin may not use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressDenied {
    /// What was tried.
    pub protocol: Protocol,
    /// Where to: address and port, or the name to look up.
    pub target: String,
    /// Why not.
    pub reason: EgressReason,
    /// The nearest rule, when one concerned it.
    pub rule: Option<String>,
}

/// The network rules of one plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EgressPolicy {
    tcp: Vec<Endpoint>,
    udp: Vec<Endpoint>,
    http: Vec<Endpoint>,
    listen: Vec<Endpoint>,
}

impl EgressPolicy {
    pub(super) fn of(grants: &GrantSet) -> Self {
        EgressPolicy {
            tcp: grants.tcp.clone(),
            udp: grants.udp.clone(),
            http: grants.http.clone(),
            listen: grants.listen.clone(),
        }
    }

    /// Whether the guest may use this address; the rule that says so.
    ///
    /// `named_as` is the name the host resolved to get the address, if there
    /// was one. For [`Protocol::Listen`] the address is the local one and its
    /// class does not matter.
    pub fn check(
        &self,
        protocol: Protocol,
        address: SocketAddr,
        named_as: Option<&str>,
    ) -> Result<&Endpoint, EgressDenied> {
        let name = named_as.map(normal_name);
        let mut nearest = None;
        for rule in self.rules(protocol) {
            if !rule.concerns(address.ip(), address.port(), name.as_deref()) {
                continue;
            }
            if protocol == Protocol::Listen || rule.opens(address.ip()) {
                return Ok(rule);
            }
            nearest = Some(rule);
        }
        Err(EgressDenied {
            protocol,
            target: match &name {
                Some(name) => format!("{} ({address})", shown(name)),
                None => address.to_string(),
            },
            reason: match nearest {
                Some(_) => EgressReason::Class(AddressClass::of(address.ip())),
                None => EgressReason::NotNamed,
            },
            rule: nearest.map(|rule| format!("{protocol}={rule}")),
        })
    }

    /// Whether an HTTP request to this host and port may be begun. The host is
    /// a name or an address (IPv6 with or without brackets). A yes for a name
    /// is a yes to looking it up: [`Self::check`] still decides about the
    /// address that comes back.
    pub fn check_request(&self, host: &str, port: u16) -> Result<(), EgressDenied> {
        if let Some(address) = literal(host) {
            return self
                .check(Protocol::Http, SocketAddr::new(address, port), None)
                .map(|_| ());
        }
        let name = normal_name(host);
        if self
            .http
            .iter()
            .any(|rule| rule.port.matches(port) && rule.host.matches_name(&name))
        {
            return Ok(());
        }
        Err(EgressDenied {
            protocol: Protocol::Http,
            target: format!("{}:{port}", shown(&name)),
            reason: EgressReason::NotNamed,
            rule: None,
        })
    }

    /// Whether the host may look this name up for the guest: only names that
    /// some rule is about, since a query alone carries data out. `protocol`
    /// is whose rules count; `None` for a lookup of the guest's own, which may
    /// serve TCP or UDP.
    pub fn check_lookup(&self, protocol: Option<Protocol>, name: &str) -> Result<(), EgressDenied> {
        if literal(name).is_some() {
            return Ok(());
        }
        let name = normal_name(name);
        let known = |protocol| {
            self.rules(protocol)
                .iter()
                .any(|rule| rule.host.matches_name(&name))
        };
        let allowed = match protocol {
            Some(protocol) => known(protocol),
            None => known(Protocol::Tcp) || known(Protocol::Udp),
        };
        if allowed {
            return Ok(());
        }
        Err(EgressDenied {
            protocol: protocol.unwrap_or(Protocol::Tcp),
            target: shown(&name),
            reason: EgressReason::NotNamed,
            rule: None,
        })
    }

    /// Whether a guest that looked this name up may be told this address of
    /// it: only one that some TCP or UDP rule opens at some port.
    pub fn check_answer(&self, address: IpAddr, name: &str) -> Result<(), EgressDenied> {
        let name = normal_name(name);
        let mut nearest = None;
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            for rule in self.rules(protocol) {
                if !rule.concerns_host(address, Some(&name)) {
                    continue;
                }
                if rule.opens(address) {
                    return Ok(());
                }
                nearest.get_or_insert((protocol, rule));
            }
        }
        Err(EgressDenied {
            protocol: nearest.map_or(Protocol::Tcp, |(protocol, _)| protocol),
            target: format!("{} ({address})", shown(&name)),
            reason: match nearest {
                Some(_) => EgressReason::Class(AddressClass::of(address)),
                None => EgressReason::NotNamed,
            },
            rule: nearest.map(|(protocol, rule)| format!("{protocol}={rule}")),
        })
    }

    /// Whether any rule of this protocol exists: without one, not even a
    /// socket need be made.
    pub fn any(&self, protocol: Protocol) -> bool {
        !self.rules(protocol).is_empty()
    }

    fn rules(&self, protocol: Protocol) -> &[Endpoint] {
        match protocol {
            Protocol::Tcp => &self.tcp,
            Protocol::Udp => &self.udp,
            Protocol::Http => &self.http,
            Protocol::Listen => &self.listen,
        }
    }
}

fn normal_name(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// A guest's own text, fit for a message.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(253).collect()
}

fn literal(host: &str) -> Option<IpAddr> {
    let inner = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    inner.parse().ok()
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Http => "http",
            Protocol::Listen => "listen",
        })
    }
}

impl std::error::Error for EgressDenied {}

impl fmt::Display for EgressDenied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EgressDenied {
            protocol,
            target,
            reason,
            rule,
        } = self;
        write!(f, "{protocol} to {target} is not granted: ")?;
        match (reason, rule) {
            (EgressReason::Class(class), Some(rule)) => write!(
                f,
                "the address is {class} and {rule} does not open that; name the address itself{}",
                if class.opened_by_private() {
                    " or add ,private to the rule"
                } else {
                    ""
                }
            ),
            (EgressReason::Class(class), None) => write!(f, "the address is {class}"),
            (EgressReason::NotNamed, _) => write!(
                f,
                "no {protocol} grant names it; add one with --grant {protocol}=…"
            ),
        }
    }
}
