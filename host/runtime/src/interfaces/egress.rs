//! What the guest of one store may send to the network, and how much.
//!
//! Owns the one way from a guest to the network: every connection, datagram,
//! listening socket, lookup and request asks here first and is counted here.
//! What is allowed is decided by the plugin's grants of that moment alone; this
//! module brings them the facts: the exact address, and the names under which
//! the host itself resolved that address for this guest. What is open is asked
//! about again at every use ([`Route`]).
//!
//! **Invariant:** the answer is there before any packet is: a refused use
//! makes no system call that others could see.

mod metered;
mod names;
mod network;
mod resolver;
mod route;
mod slot;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use odeon_authority::{ByteSize, EgressDenied, EgressReason, Protocol, Wanted};
use parking_lot::Mutex;
use wasmtime_wasi::sockets::SocketAddrUse;

pub(crate) use self::metered::{GuardedInput, Metered, MeteredOutput};
use self::names::Names;
pub(crate) use self::network::Network;
pub use self::resolver::{Lookup, LookupError, LookupPlace, Resolver, StaticResolver, SystemResolver};
pub(crate) use self::route::Route;
pub(crate) use self::slot::{Slot, Slots};
use crate::unit::Unit;
use crate::warrant::{Granted, Present};

/// The most addresses of one answer that are looked at.
const ANSWERS: usize = 64;

/// The network as one store sees it.
pub(crate) struct Egress {
    present: Arc<Present>,
    /// The grants by which open connections were looked at last.
    looked_at: ArcSwap<Granted>,
    names: Mutex<Names>,
    /// The places that the guest's sockets take, by their handle.
    pub(crate) slots: Slots,
    bytes_left: AtomicU64,
    queries_left: AtomicU64,
    /// The limits that were reached in this call and are in the audit.
    reported: AtomicU8,
    /// The ways that a guest uses without a word to the host.
    watched: Mutex<Vec<Arc<Route>>>,
}

/// A use that no grant covers. It is in the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no grant covers it now")]
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

/// A way that is looked at while the guest runs.
pub(crate) struct OnWatch {
    egress: Arc<Egress>,
    route: Arc<Route>,
}

impl Drop for OnWatch {
    fn drop(&mut self) {
        let mut watched = self.egress.watched.lock();
        watched.retain(|route| !Arc::ptr_eq(route, &self.route));
    }
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
    pub(crate) fn new(present: Arc<Present>) -> Arc<Self> {
        let limits = &present.unit().spec.limits;
        Arc::new(Egress {
            names: Mutex::default(),
            slots: Slots::default(),
            bytes_left: AtomicU64::new(limits.egress_bytes.bytes()),
            queries_left: AtomicU64::new(limits.dns_queries),
            reported: AtomicU8::new(0),
            watched: Mutex::default(),
            looked_at: ArcSwap::new(present.unit().warrant.now()),
            present,
        })
    }

    /// Whether the plugin's grants are others than when this was asked last.
    pub(crate) fn has_changed(&self) -> bool {
        let now = self.unit().warrant.now();
        let changed = !Arc::ptr_eq(&now, &self.looked_at.load());
        if changed {
            self.looked_at.store(now);
        }
        changed
    }

    /// Has this way looked at while the guest runs, for as long as what is given
    /// is kept: as many as there are connections at most.
    pub(crate) fn watch(self: &Arc<Self>, route: Route) -> OnWatch {
        let route = Arc::new(route);
        self.watched.lock().push(route.clone());
        OnWatch {
            egress: self.clone(),
            route,
        }
    }

    /// Whether one of those may not be used any more. Writes that down.
    pub(crate) fn has_lost_one(&self) -> bool {
        let watched = self.watched.lock();
        watched.iter().any(|route| route.check().is_err())
    }

    /// A call begins: what is counted per call is counted anew.
    pub(crate) fn begin(&self) {
        let limits = &self.unit().spec.limits;
        self.bytes_left
            .store(limits.egress_bytes.bytes(), Ordering::Relaxed);
        self.queries_left.store(limits.dns_queries, Ordering::Relaxed);
        self.reported.store(0, Ordering::Relaxed);
    }

    pub(crate) fn unit(&self) -> &Arc<Unit> {
        self.present.unit()
    }

    /// Whether any rule of this protocol exists.
    pub(crate) fn any(&self, protocol: Protocol) -> bool {
        self.present.now().egress().any(protocol)
    }

    /// Whether this very address may be used. A no is written down.
    pub(crate) fn permit(&self, protocol: Protocol, address: SocketAddr) -> Result<(), Denied> {
        self.check(protocol, address)
            .map(drop)
            .map_err(|denied| self.denied_address(&denied, protocol, address))
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
                self.may_listen_at(address) || self.permit(Protocol::Listen, address).is_ok()
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

    /// Whether a rule lets the guest listen at this address, which it has. A
    /// rule for port 0 is about whichever port the system chose, if nothing
    /// excepts that one.
    pub(crate) fn may_listen_at(&self, address: SocketAddr) -> bool {
        let at = |port| self.check(Protocol::Listen, SocketAddr::new(address.ip(), port));
        match at(address.port()) {
            Ok(_) => true,
            Err(denied) => denied.reason != EgressReason::Excepted && at(0).is_ok(),
        }
    }

    /// Whether the guest may hear what came from this address to the socket, or
    /// the stream of datagrams, with this handle: from anybody where it
    /// listens, else only from those that it may send to.
    pub(crate) fn hears(&self, handle: u32, from: SocketAddr) -> bool {
        let bound = self.slots.bound_at(handle);
        bound.is_some_and(|local| self.listens_at(local)) || self.check(Protocol::Udp, from).is_ok()
    }

    /// Whether this name may be looked up. A no is written down.
    pub(crate) fn permit_lookup(&self, protocol: Option<Protocol>, name: &str) -> Result<(), NoAddress> {
        let checked = self.present.now().egress().check_lookup(protocol, name);
        checked.map_err(|denied| {
            let wanted = Wanted::Lookup { protocol, name };
            self.present
                .deny("dns", &denied.target, &denied.to_string(), &wanted);
            NoAddress::Denied
        })
    }

    /// Whether a request to this host may be begun. A no is written down.
    pub(crate) fn permit_request(&self, host: &str, port: u16) -> Result<(), Denied> {
        let checked = self.present.now().egress().check_request(host, port);
        checked.map_err(|denied| self.denied(&denied, &Wanted::Request { host, port }))
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
        self.permit_lookup(protocol, name)?;
        self.charge_query()?;
        let network = &self.unit().network;
        let answers = network.resolve(name, slot).await.map_err(NoAddress::Failed)?;
        let mut allowed = Vec::new();
        let mut refused = None;
        // Of now: the answer may have taken its time.
        let granted = self.present.now();
        for answer in answers.into_iter().take(ANSWERS) {
            let answer = answer.to_canonical();
            let checked = match protocol {
                Some(protocol) => granted
                    .egress()
                    .check(protocol, SocketAddr::new(answer, port), Some(name))
                    .map(|_| ()),
                None => granted.egress().check_answer(answer, name),
            };
            match checked {
                Ok(()) => allowed.push(answer),
                Err(denied) => refused = Some((answer, denied)),
            }
        }
        if allowed.is_empty() {
            let Some((answer, denied)) = refused else {
                return Err(NoAddress::Failed(LookupError::NotFound));
            };
            let wanted = Wanted::Address {
                protocol: denied.protocol,
                address: SocketAddr::new(answer, port),
                name: Some(name),
            };
            let kind = protocol.map_or("dns", kind);
            self.present
                .deny(kind, &denied.target, &denied.to_string(), &wanted);
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
        let limit = self.unit().spec.limits.egress_bytes;
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
        let slot = Slot::take(self.unit());
        if slot.is_none() {
            let limit = self.unit().spec.limits.connections;
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
        let limit = self.unit().spec.limits.dns_queries;
        self.reached(Limit::Queries, "dns", "limits.dns-queries", || {
            format!("the call tried to make more than limits.dns-queries = {limit} lookups")
        });
        Err(NoAddress::TooMany)
    }

    /// Whether this very address may be used, and by which of the names that it
    /// was resolved from, if by any.
    fn check(&self, protocol: Protocol, address: SocketAddr) -> Result<Option<String>, EgressDenied> {
        let granted = self.present.now();
        let mut nearest = match granted.egress().check(protocol, address, None) {
            Ok(_) => return Ok(None),
            Err(denied) => denied,
        };
        if nearest.reason == EgressReason::Excepted {
            return Err(nearest);
        }
        for name in self.names.lock().of(address.ip().to_canonical(), Instant::now()) {
            match granted.egress().check(protocol, address, Some(name)) {
                Ok(_) => return Ok(Some(name.to_owned())),
                Err(denied) if denied.reason != EgressReason::NotNamed => nearest = denied,
                Err(_) => {}
            }
        }
        Err(nearest)
    }

    fn denied_address(&self, denied: &EgressDenied, protocol: Protocol, address: SocketAddr) -> Denied {
        let names = self.names.lock();
        let known = names.of(address.ip().to_canonical(), Instant::now()).next();
        let name = known.map(str::to_owned);
        drop(names);
        let wanted = Wanted::Address {
            protocol,
            address,
            name: name.as_deref(),
        };
        self.denied(denied, &wanted)
    }

    fn denied(&self, denied: &EgressDenied, wanted: &Wanted<'_>) -> Denied {
        self.present
            .deny(kind(denied.protocol), &denied.target, &denied.to_string(), wanted);
        Denied
    }

    /// Writes a reached limit down: counted each time, in the audit once a call.
    fn reached(&self, limit: Limit, kind: &'static str, target: &str, reason: impl FnOnce() -> String) {
        let bit = limit as u8;
        self.unit().counters.hit(limit.name());
        if self.reported.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            self.unit().deny(kind, target, &reason());
        } else {
            self.unit().counters.denials.fetch_add(1, Ordering::Relaxed);
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
