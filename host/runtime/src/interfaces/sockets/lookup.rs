//! Lookups of a guest's own, `ip-name-lookup` of WASI 0.2 and 0.3.
//!
//! WASI's own implementation is not used: it would ask the system's resolver
//! about any name and hand every answer on.

use std::net::IpAddr;
use std::sync::Arc;
use std::vec;

use futures::FutureExt as _;
use odeon_authority::Protocol;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::{
    Host, HostResolveAddressStream, ResolveAddressStream,
};
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddress, Network};
use wasmtime_wasi::p2::{DynPollable, Pollable, SocketError, SocketResult, subscribe};
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};

use super::Sockets;
use crate::interfaces::egress::{Egress, LookupError, NoAddress};

type Answer = Result<Vec<IpAddr>, NoAddress>;

/// A lookup and what came of it. The guest's handle says that it is WASI's own
/// type; the table knows better, and every function that takes it is here.
enum Lookup {
    Pending(AbortOnDropJoinHandle<Answer>),
    Ready(Result<vec::IntoIter<IpAddr>, NoAddress>),
}

/// What a guest named: an address needs no lookup.
pub(super) enum Named {
    Address(IpAddr),
    Name(String),
}

/// Understands a name as WASI does: as a URL's host, so that Unicode becomes
/// ASCII before any rule is compared with it.
pub(super) fn named(text: &str) -> Option<Named> {
    if let Ok(address) = text.parse() {
        return Some(Named::Address(address));
    }
    match url::Host::parse(text).ok()? {
        url::Host::Ipv4(address) => Some(Named::Address(address.into())),
        url::Host::Ipv6(address) => Some(Named::Address(address.into())),
        url::Host::Domain(name) => Some(Named::Name(name)),
    }
}

/// Asks for a name. It takes a connection's place for as long as the host is at
/// work for it, even if the guest has given it up: each keeps a thread busy.
pub(super) async fn ask(egress: Arc<Egress>, name: String) -> Answer {
    let slot = egress.open(Protocol::Tcp).ok_or(NoAddress::NoSlot)?;
    egress.lookup(None, &name, 0, slot).await
}

impl Lookup {
    fn poll(&mut self) {
        if let Lookup::Pending(answer) = self
            && let Some(answer) = answer.now_or_never()
        {
            *self = Lookup::Ready(answer.map(Vec::into_iter));
        }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Lookup {
    async fn ready(&mut self) {
        if let Lookup::Pending(answer) = self {
            let answer = answer.await;
            *self = Lookup::Ready(answer.map(Vec::into_iter));
        }
    }
}

fn ours(stream: &Resource<ResolveAddressStream>) -> Resource<Lookup> {
    Resource::new_borrow(stream.rep())
}

impl Host for Sockets<'_> {
    fn resolve_addresses(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> SocketResult<Resource<ResolveAddressStream>> {
        self.wasi.table.get(&network)?;
        let mut lookup = match named(&name).ok_or(ErrorCode::InvalidArgument)? {
            Named::Address(address) => Lookup::Ready(Ok(vec![address].into_iter())),
            // Asked now: when the task runs, the call may be for somebody else.
            Named::Name(name) => match self.egress.permit_lookup(None, &name) {
                Ok(()) => Lookup::Pending(spawn(ask(self.egress.clone(), name))),
                Err(denied) => Lookup::Ready(Err(denied)),
            },
        };
        lookup.poll();
        Ok(Resource::new_own(self.wasi.table.push(lookup)?.rep()))
    }
}

impl HostResolveAddressStream for Sockets<'_> {
    fn resolve_next_address(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> SocketResult<Option<IpAddress>> {
        let lookup = self.wasi.table.get_mut(&ours(&stream))?;
        lookup.poll();
        match lookup {
            Lookup::Pending(_) => Err(ErrorCode::WouldBlock.into()),
            Lookup::Ready(Ok(addresses)) => Ok(addresses.next().map(Into::into)),
            Lookup::Ready(Err(none)) => Err((*none).into()),
        }
    }

    fn subscribe(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.wasi.table, ours(&stream))
    }

    fn drop(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<()> {
        self.wasi
            .table
            .delete(Resource::<Lookup>::new_own(stream.rep()))?;
        Ok(())
    }
}

impl From<NoAddress> for SocketError {
    fn from(none: NoAddress) -> Self {
        match none {
            NoAddress::Denied => ErrorCode::AccessDenied,
            NoAddress::NoSlot => ErrorCode::NewSocketLimit,
            NoAddress::TooMany => ErrorCode::PermanentResolverFailure,
            NoAddress::Failed(LookupError::NotFound) => ErrorCode::NameUnresolvable,
            NoAddress::Failed(LookupError::Unavailable) => ErrorCode::TemporaryResolverFailure,
        }
        .into()
    }
}
