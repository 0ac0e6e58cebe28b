//! What an open connection goes by.
//!
//! Owns the question whether it may still be used: asked at every use, since the
//! rule that it was opened by can be taken away, and since a later call may be
//! for somebody who may not use it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use odeon_authority::{Protocol, Wanted};

use super::{Denied, Egress, kind};

/// The way to one peer, or the place where a guest listens.
#[derive(Clone)]
pub(crate) struct Route(Arc<Way>);

struct Way {
    egress: Arc<Egress>,
    protocol: Protocol,
    /// The peer's; the local one for what others opened.
    address: SocketAddr,
    /// The name it was permitted by, if by one.
    name: Option<String>,
    /// Whether the loss is in the audit.
    told: AtomicBool,
}

impl Route {
    /// The way to this address, which was permitted by this name, if by one.
    pub(crate) fn new(
        egress: &Arc<Egress>,
        protocol: Protocol,
        address: SocketAddr,
        name: Option<String>,
    ) -> Self {
        Route(Arc::new(Way {
            egress: egress.clone(),
            protocol,
            address,
            name,
            told: AtomicBool::new(false),
        }))
    }

    /// The way that this address would be used by now.
    pub(crate) fn to(egress: &Arc<Egress>, protocol: Protocol, address: SocketAddr) -> Self {
        let name = egress.check(protocol, address).unwrap_or_default();
        Route::new(egress, protocol, address, name)
    }

    /// Whether it may be used now. The first no is written down.
    pub(crate) fn check(&self) -> Result<(), Denied> {
        if self.is_open() {
            self.0.told.store(false, Ordering::Relaxed);
            return Ok(());
        }
        self.tell();
        Err(Denied)
    }

    /// Writes its loss down, once.
    pub(crate) fn tell(&self) {
        let way = &*self.0;
        if !way.told.swap(true, Ordering::Relaxed) {
            let reason = "the connection was opened by a rule that is not there now";
            let target = match &way.name {
                Some(name) => format!("{name} ({})", way.address),
                None => way.address.to_string(),
            };
            way.egress
                .present
                .deny(kind(way.protocol), &target, reason, &self.wanted());
        }
    }

    /// Whether it may be used now, for whomever the present call is.
    pub(crate) fn is_open(&self) -> bool {
        let way = &*self.0;
        match way.protocol {
            Protocol::Listen => way.egress.may_listen_at(way.address),
            _ => way.egress.present.allows(&self.wanted()),
        }
    }

    /// Whether the plugin itself may not use it any more, whoever it works for.
    pub(crate) fn is_gone(&self) -> bool {
        let way = &*self.0;
        let at = |port| Wanted::Address {
            protocol: way.protocol,
            address: SocketAddr::new(way.address.ip(), port),
            name: way.name.as_deref(),
        };
        let present = &way.egress.present;
        let any_port = way.protocol == Protocol::Listen && present.by_itself(&at(0));
        !any_port && !present.by_itself(&self.wanted())
    }

    /// Ends when it may not be used any more.
    pub(crate) async fn lost(&self) {
        let unit = self.0.egress.unit();
        loop {
            let changed = unit.warrant.changed();
            if !self.is_open() {
                return;
            }
            changed.await;
        }
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted::Address {
            protocol: self.0.protocol,
            address: self.0.address,
            name: self.0.name.as_deref(),
        }
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Route({} {})", self.0.protocol, self.0.address)
    }
}
