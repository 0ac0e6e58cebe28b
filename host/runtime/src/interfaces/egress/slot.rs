//! The places that open connections take.
//!
//! Owns the count of one plugin's connections over all its instances. A place
//! is given back when the last of what holds it is dropped, and in no other
//! way: the socket, the streams that outlive it, the lookup under way.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::Route;
use crate::unit::Unit;

/// A place among the connections a plugin may have open.
pub(crate) struct Slot(Arc<Unit>);

impl Slot {
    /// Takes a place if one is free.
    pub(super) fn take(unit: &Arc<Unit>) -> Option<Arc<Self>> {
        let limit = usize::try_from(unit.spec.limits.connections).unwrap_or(usize::MAX);
        let taken = unit
            .counters
            .connections
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| {
                (open < limit).then(|| open.saturating_add(1))
            });
        taken.ok().map(|_| Arc::new(Slot(unit.clone())))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.counters.connections.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The places of the sockets a guest holds, by the number of their handle.
#[derive(Default)]
pub(crate) struct Slots(Mutex<HashMap<u32, Held>>);

/// What is known of a socket, or of its stream of datagrams.
struct Held {
    slot: Arc<Slot>,
    /// Where it was bound by hand.
    bound: Option<SocketAddr>,
    /// The peer that it is connected to, or whom it was accepted from.
    route: Option<Route>,
}

impl Slots {
    /// The socket with this handle takes the place.
    pub(crate) fn keep(&self, handle: u32, slot: Arc<Slot>) {
        let held = Held {
            slot,
            bound: None,
            route: None,
        };
        self.0.lock().insert(handle, held);
    }

    /// The place of the socket with this handle.
    pub(crate) fn of(&self, handle: u32) -> Option<Arc<Slot>> {
        self.0.lock().get(&handle).map(|held| held.slot.clone())
    }

    /// The socket with this handle was bound here.
    pub(crate) fn bound(&self, handle: u32, local: SocketAddr) {
        if let Some(held) = self.0.lock().get_mut(&handle) {
            held.bound = Some(local);
        }
    }

    /// Where the socket with this handle was bound.
    pub(super) fn bound_at(&self, handle: u32) -> Option<SocketAddr> {
        self.0.lock().get(&handle)?.bound
    }

    /// The socket with this handle goes this way.
    pub(crate) fn goes(&self, handle: u32, route: Option<Route>) {
        if let Some(held) = self.0.lock().get_mut(&handle) {
            held.route = route;
        }
    }

    /// The way that the socket with this handle goes.
    pub(crate) fn route(&self, handle: u32) -> Option<Route> {
        self.0.lock().get(&handle)?.route.clone()
    }

    /// The sockets whose way is gone for good.
    pub(crate) fn gone(&self) -> Vec<(u32, Route)> {
        let held = self.0.lock();
        let gone = held.iter().filter_map(|(handle, held)| {
            let route = held.route.as_ref().filter(|route| route.is_gone())?;
            Some((*handle, route.clone()))
        });
        gone.collect()
    }

    /// What has the handle `stream` belongs to the socket with `socket`.
    pub(crate) fn belongs(&self, stream: u32, socket: u32) {
        let mut held = self.0.lock();
        if let Some(of) = held.get(&socket) {
            let of = Held {
                slot: of.slot.clone(),
                bound: of.bound,
                route: of.route.clone(),
            };
            held.insert(stream, of);
        }
    }

    /// The socket with this handle is gone.
    pub(crate) fn release(&self, handle: u32) {
        self.0.lock().remove(&handle);
    }
}
