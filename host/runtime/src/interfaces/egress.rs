//! What the guest of one store may send to the network, and how much.
//!
//! Owns the one way from a guest to the network: every connection, datagram,
//! listening socket, lookup and request asks here first and is counted here.
//! What is allowed is decided by [`EgressPolicy`] alone; this module brings it
//! the facts: the exact address, and the names under which the host itself
//! resolved that address for this guest.
//!
//! **Invariant:** the answer is there before any packet is: a refused use
//! makes no system call that others could see.

mod metered;
mod names;
mod network;
mod resolver;
mod slot;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Instant;

use odeon_authority::{ByteSize, EgressDenied, EgressPolicy, EgressReason, Protocol};
use parking_lot::Mutex;
use wasmtime_wasi::sockets::SocketAddrUse;

pub(crate) use self::metered::{Metered, MeteredOutput};
use self::names::Names;
pub(crate) use self::network::Network;
pub use self::resolver::{Lookup, LookupError, LookupPlace, Resolver, StaticResolver, SystemResolver};
pub(crate) use self::slot::{Slot, Slots};
use crate::unit::Unit;

/// The most addresses of one answer that are looked at.
const ANSWERS: usize = 64;

/// The network as one store sees it.
pub(crate) struct Egress {
    unit: Arc<Unit>,
    policy: EgressPolicy,
    names: Mutex<Names>,
    /// The places that the guest's sockets take, by their handle.
    pub(crate) slots: Slots,
    bytes_left: AtomicU64,
    queries_left: AtomicU64,
    /// The limits that were reached in this call and are in the audit.
    reported: AtomicU8,
}

/// A use that no grant covers. It is in the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Denied;

/// The call has sent all it may send. It is in the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the call has sent limits.egress-bytes = {0}, which is all it may send")]
pub(crate) struct Exhausted(pub(crate) ByteSize);

/// Why a lookup gave no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAddress {
    /// No grant names the name, or none opens the addresses it leads to.
    Denied,
    /// The call has made all the lookups it may make.
    TooMany,
    /// As many connections are open as may be.
    NoSlot,
    /// The resolver has no answer.
    Failed(LookupError),
}

/// A limit, as one bit of what was reported.
#[derive(Clone, Copy)]
enum Limit {
    Bytes = 1,
    Queries = 2,
    Connections = 4,
}

impl Limit {
    /// Its name in a descriptor.
    fn name(self) -> &'static str {
        match self {
            Limit::Bytes => "egress-bytes",
            Limit::Queries => "dns-queries",
            Limit::Connections => "connections",
        }
    }
}

impl Egress {
    pub(crate) fn new(unit: Arc<Unit>) -> Arc<Self> {
        let limits = &unit.spec.limits;
        Arc::new(Egress {
            policy: unit.spec.grants.egress(),
            names: Mutex::default(),
            slots: Slots::default(),
            bytes_left: AtomicU64::new(limits.egress_bytes.bytes()),
            queries_left: AtomicU64::new(limits.dns_queries),
            reported: AtomicU8::new(0),
            unit,
        })
    }

    /// A call begins: what is counted per call is counted anew.
    pub(crate) fn begin(&self) {
        let limits = &self.unit.spec.limits;
        self.bytes_left
            .store(limits.egress_bytes.bytes(), Ordering::Relaxed);
        self.queries_left.store(limits.dns_queries, Ordering::Relaxed);
        self.reported.store(0, Ordering::Relaxed);
    }

    pub(crate) fn unit(&self) -> &Unit {
        &self.unit
    }

    /// Whether any rule of this protocol exists.
    pub(crate) fn any(&self, protocol: Protocol) -> bool {
        self.policy.any(protocol)
    }

    /// Whether this very address may be used. A no is written down.
    pub(crate) fn permit(&self, protocol: Protocol, address: SocketAddr) -> Result<(), Denied> {
        self.check(protocol, address)
            .map_err(|denied| self.denied(&denied))
    }

    /// Whether a socket may be used like this. A no is written down, except
    /// for what others send here: they must not be able to fill the audit.
    pub(crate) fn permit_socket(&self, address: SocketAddr, usage: SocketAddrUse) -> bool {
        let implicit = is_any(address);
        match usage {
            SocketAddrUse::TcpConnect => self.permit(Protocol::Tcp, address).is_ok(),
            SocketAddrUse::UdpSend => self.permit(Protocol::Udp, address).is_ok(),
            // The local end of an outgoing connection; listening on it is
            // asked for separately.
            SocketAddrUse::TcpBind if implicit => true,
            SocketAddrUse::UdpBind if implicit && self.any(Protocol::Udp) => true,
            SocketAddrUse::UdpBind if implicit && !self.any(Protocol::Listen) => {
                self.permit(Protocol::Udp, address).is_ok()
            }
            SocketAddrUse::TcpBind | SocketAddrUse::UdpBind => self.permit(Protocol::Listen, address).is_ok(),
            SocketAddrUse::TcpListen => {
                // A rule for port 0 is about whichever port the system chose.
                self.check(Protocol::Listen, SocketAddr::new(address.ip(), 0))
                    .is_ok()
                    || self.permit(Protocol::Listen, address).is_ok()
            }
            SocketAddrUse::TcpAccept => self.any(Protocol::Listen),
            // Of sockets that do not listen, what comes from elsewhere is kept
            // from the guest when it asks for it.
            SocketAddrUse::UdpReceive => {
                self.any(Protocol::Listen) || self.check(Protocol::Udp, address).is_ok()
            }
        }
    }

    /// Whether binding here is the first half of listening.
    pub(crate) fn listens_at(&self, address: SocketAddr) -> bool {
        self.check(Protocol::Listen, address).is_ok()
    }

    /// Whether the guest may hear what came from this address to the socket, or
    /// the stream of datagrams, with this handle: from anybody where it
    /// listens, else only from those that it may send to.
    pub(crate) fn hears(&self, handle: u32, from: SocketAddr) -> bool {
        self.slots.listens(handle) || self.check(Protocol::Udp, from).is_ok()
    }

    /// Whether a request to this host may be begun. A no is written down.
    pub(crate) fn permit_request(&self, host: &str, port: u16) -> Result<(), Denied> {
        self.policy
            .check_request(host, port)
            .map_err(|denied| self.denied(&denied))
    }

    /// The addresses of a name that this guest may use: the name must be one
    /// that a rule is about before it leaves the host, the query is counted,
    /// and addresses that no rule opens are left out. The rest are remembered
    /// as this name's.
    ///
    /// For `Some(protocol)` the addresses are to be used with it at `port` and
    /// nothing else; `None` is a lookup of the guest's own.
    ///
    /// The place is taken until the resolver has done with it, even if nobody
    /// waits for it any more.
    pub(crate) async fn lookup(
        &self,
        protocol: Option<Protocol>,
        name: &str,
        port: u16,
        slot: Arc<Slot>,
    ) -> Result<Vec<IpAddr>, NoAddress> {
        if let Err(denied) = self.policy.check_lookup(protocol, name) {
            self.unit.deny("dns", &denied.target, &denied.to_string());
            return Err(NoAddress::Denied);
        }
        self.charge_query()?;
        let network = &self.unit.network;
        let answers = network.resolve(name, slot).await.map_err(NoAddress::Failed)?;
        let mut allowed = Vec::new();
        let mut refused = None;
        for answer in answers.into_iter().take(ANSWERS) {
            let answer = answer.to_canonical();
            let checked = match protocol {
                Some(protocol) => self
                    .policy
                    .check(protocol, SocketAddr::new(answer, port), Some(name))
                    .map(|_| ()),
                None => self.policy.check_answer(answer, name),
            };
            match checked {
                Ok(()) => allowed.push(answer),
                Err(denied) => refused = Some(denied),
            }
        }
        if allowed.is_empty() {
            let Some(denied) = refused else {
                return Err(NoAddress::Failed(LookupError::NotFound));
            };
            let kind = protocol.map_or("dns", kind);
            self.unit.deny(kind, &denied.target, &denied.to_string());
            return Err(NoAddress::Denied);
        }
        if protocol.is_none() {
            let mut names = self.names.lock();
            let now = Instant::now();
            allowed
                .iter()
                .for_each(|address| names.remember(*address, name, now));
        }
        Ok(allowed)
    }

    /// Counts bytes that are about to be sent: all of them or none.
    pub(crate) fn charge(&self, bytes: usize, protocol: Protocol) -> Result<(), Exhausted> {
        if take(&self.bytes_left, bytes as u64) {
            return Ok(());
        }
        let limit = self.unit.spec.limits.egress_bytes;
        self.reached(Limit::Bytes, kind(protocol), "limits.egress-bytes", || {
            format!("the call tried to send more than limits.egress-bytes = {limit}")
        });
        Err(Exhausted(limit))
    }

    /// Gives back what was counted and then not sent.
    pub(crate) fn refund(&self, bytes: usize) {
        self.bytes_left.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A place among the connections the plugin may have open.
    pub(crate) fn open(&self, protocol: Protocol) -> Option<Arc<Slot>> {
        let slot = Slot::take(&self.unit);
        if slot.is_none() {
            let limit = self.unit.spec.limits.connections;
            self.reached(Limit::Connections, kind(protocol), "limits.connections", || {
                format!("the plugin tried to have more than limits.connections = {limit} open at a time")
            });
        }
        slot
    }

    fn charge_query(&self) -> Result<(), NoAddress> {
        if take(&self.queries_left, 1) {
            return Ok(());
        }
        let limit = self.unit.spec.limits.dns_queries;
        self.reached(Limit::Queries, "dns", "limits.dns-queries", || {
            format!("the call tried to make more than limits.dns-queries = {limit} lookups")
        });
        Err(NoAddress::TooMany)
    }

    fn check(&self, protocol: Protocol, address: SocketAddr) -> Result<(), EgressDenied> {
        let mut nearest = match self.policy.check(protocol, address, None) {
            Ok(_) => return Ok(()),
            Err(denied) => denied,
        };
        for name in self.names.lock().of(address.ip().to_canonical(), Instant::now()) {
            match self.policy.check(protocol, address, Some(name)) {
                Ok(_) => return Ok(()),
                Err(denied) if denied.reason != EgressReason::NotNamed => nearest = denied,
                Err(_) => {}
            }
        }
        Err(nearest)
    }

    fn denied(&self, denied: &EgressDenied) -> Denied {
        self.unit
            .deny(kind(denied.protocol), &denied.target, &denied.to_string());
        Denied
    }

    /// Writes a reached limit down: counted each time, in the audit once a call.
    fn reached(&self, limit: Limit, kind: &'static str, target: &str, reason: impl FnOnce() -> String) {
        let bit = limit as u8;
        self.unit.counters.hit(limit.name());
        if self.reported.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            self.unit.deny(kind, target, &reason());
        } else {
            self.unit.counters.denials.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Whether this is no particular local address: the system chooses.
pub(crate) fn is_any(address: SocketAddr) -> bool {
    address.port() == 0 && address.ip().is_unspecified()
}

fn take(left: &AtomicU64, amount: u64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(amount)
    })
    .is_ok()
}

/// The protocol as the audit names it.
fn kind(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Http => "http",
        Protocol::Listen => "listen",
    }
}
