//! The one decision about what a guest may reach over the network.
//!
//! Owns [`EgressPolicy`]. The host resolves names itself and asks here about
//! the very address it is going to connect to, with the name it came from, so
//! that an answer that changes between check and use changes nothing. Every
//! connection, redirect, datagram, lookup and listening socket asks.
//!
//! Order: nothing may except it; a rule must concern protocol, host and port;
//! then it must open the address's class. No rule, no way out.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use super::{AddressClass, Endpoint, Except, GrantSet, PortRule};

/// What is being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

impl Protocol {
    /// All there are.
    pub(super) const ALL: [Protocol; 4] = [Protocol::Tcp, Protocol::Udp, Protocol::Http, Protocol::Listen];
}

/// Why something on the network is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EgressReason {
    /// No rule names it.
    NotNamed,
    /// A rule names it, but the address it leads to is of a class the rule
    /// does not open.
    Class(AddressClass),
    /// It is denied by name, whatever rule allows it.
    Excepted,
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
    except: Vec<Except>,
}

impl EgressPolicy {
    pub(super) fn of(grants: &GrantSet) -> Self {
        EgressPolicy {
            tcp: grants.tcp.clone(),
            udp: grants.udp.clone(),
            http: grants.http.clone(),
            listen: grants.listen.clone(),
            except: grants.except.iter().cloned().collect(),
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
        let target = || match &name {
            Some(name) => format!("{} ({address})", shown(name)),
            None => address.to_string(),
        };
        let excepted = self.excepted(protocol, |rule| {
            rule.concerns(address.ip(), address.port(), name.as_deref())
        });
        if let Some(except) = excepted {
            return Err(by_exception(except, target()));
        }
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
            target: target(),
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
        let excepted = self.excepted(Protocol::Http, |rule| {
            rule.port.matches(port) && rule.host.matches_name(&name)
        });
        if let Some(except) = excepted {
            return Err(by_exception(except, format!("{}:{port}", shown(&name))));
        }
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
        let excepted = |protocol| {
            self.excepted(protocol, |rule| {
                rule.port == PortRule::Any && rule.host.matches_name(&name)
            })
        };
        let known = |protocol| {
            let rules = self.rules(protocol);
            rules.iter().any(|rule| rule.host.matches_name(&name)) && excepted(protocol).is_none()
        };
        let allowed = match protocol {
            Some(protocol) => known(protocol),
            None => known(Protocol::Tcp) || known(Protocol::Udp),
        };
        if allowed {
            return Ok(());
        }
        if let Some(except) = excepted(protocol.unwrap_or(Protocol::Tcp)) {
            return Err(by_exception(except, shown(&name)));
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
            let excepted = self.excepted(protocol, |rule| {
                rule.port == PortRule::Any && rule.concerns_host(address, Some(&name))
            });
            if excepted.is_some() {
                continue;
            }
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

    /// Whether a rule of this protocol is about the address, whatever its class.
    pub(super) fn names(&self, protocol: Protocol, address: SocketAddr, name: Option<&str>) -> bool {
        let name = name.map(normal_name);
        let mut rules = self.rules(protocol).iter();
        rules.any(|rule| rule.concerns(address.ip(), address.port(), name.as_deref()))
    }

    /// The same of the beginning of an HTTP request.
    pub(super) fn names_request(&self, host: &str, port: u16) -> bool {
        if let Some(address) = literal(host) {
            return self.names(Protocol::Http, SocketAddr::new(address, port), None);
        }
        let name = normal_name(host);
        let mut rules = self.http.iter();
        rules.any(|rule| rule.port.matches(port) && rule.host.matches_name(&name))
    }

    /// The same of a lookup, which is for all ports.
    pub(super) fn names_lookup(&self, protocol: Option<Protocol>, name: &str) -> bool {
        let name = normal_name(name);
        let about = |protocol| {
            let mut rules = self.rules(protocol).iter();
            rules.any(|rule| rule.port == PortRule::Any && rule.host.matches_name(&name))
        };
        protocol.map_or_else(|| about(Protocol::Tcp) || about(Protocol::Udp), about)
    }

    /// The exception that is about something.
    fn excepted(&self, protocol: Protocol, is_about: impl Fn(&Endpoint) -> bool) -> Option<&Except> {
        let mut except = self.except.iter();
        except.find(|except| except.protocol == protocol && is_about(&except.rule))
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

fn by_exception(except: &Except, target: String) -> EgressDenied {
    EgressDenied {
        protocol: except.protocol,
        target,
        reason: EgressReason::Excepted,
        rule: Some(except.to_string()),
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
            (EgressReason::Excepted, rule) => write!(
                f,
                "the trust policy takes {} away, whatever else allows it",
                rule.as_deref().unwrap_or("it")
            ),
            (EgressReason::NotNamed, _) => write!(
                f,
                "no {protocol} grant names it; add one with --grant {protocol}=…"
            ),
        }
    }
}
