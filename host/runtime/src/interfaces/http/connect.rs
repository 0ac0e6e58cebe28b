//! The connection of one request.
//!
//! **Invariant:** the address that was checked is the one connected to. The
//! name is resolved once, here; nothing below resolves again.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use odeon_authority::Protocol;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use wasmtime_wasi_http::{Error, Result};

use super::error::{connect_error, tls_error};
use crate::interfaces::egress::{Egress, LookupError, Metered, NoAddress, Route, Slot};

/// Where a request goes.
pub(super) struct Target {
    /// A name, or an address; one of IPv6 is in brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
}

/// A connection, with TLS or without.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Opens the connection of a request that was permitted. Whoever accepts it
/// and then says nothing is not waited for, even by a guest that would.
pub(super) async fn open(egress: &Arc<Egress>, target: &Target, slot: Arc<Slot>) -> Result<Box<dyn Stream>> {
    let addresses = match target.address() {
        Some(address) => vec![address],
        None => egress
            .lookup(Some(Protocol::Http), &target.host, target.port, slot.clone())
            .await
            .map_err(no_address)?,
    };
    let connecting = connect(egress, target, slot, addresses);
    match timeout(egress.unit().network.connect_time(), connecting).await {
        Ok(connected) => connected,
        Err(_) => Err(Error::ConnectionTimeout),
    }
}

/// Connects to the first of the addresses that takes the connection.
async fn connect(
    egress: &Arc<Egress>,
    target: &Target,
    slot: Arc<Slot>,
    addresses: Vec<IpAddr>,
) -> Result<Box<dyn Stream>> {
    let mut failed = Error::DestinationNotFound;
    for address in addresses {
        match TcpStream::connect(SocketAddr::new(address.to_canonical(), target.port)).await {
            Ok(stream) => {
                // Without it, a small request waits for nothing.
                drop(stream.set_nodelay(true));
                let name = target.address().is_none().then(|| target.host.clone());
                let address = SocketAddr::new(address.to_canonical(), target.port);
                let route = Route::new(egress, Protocol::Http, address, name);
                let stream = Metered::new(stream, egress.clone(), route, slot);
                return encrypt(stream, egress, target).await;
            }
            Err(error) => failed = connect_error(&error),
        }
    }
    Err(failed)
}

async fn encrypt(stream: Metered<TcpStream>, egress: &Egress, target: &Target) -> Result<Box<dyn Stream>> {
    if !target.tls {
        return Ok(Box::new(stream));
    }
    let name = match target.address() {
        Some(address) => ServerName::from(address),
        None => ServerName::try_from(target.host.clone()).map_err(|_| Error::HttpRequestUriInvalid)?,
    };
    let config = egress
        .unit()
        .network
        .tls()
        .map_err(|_| Error::ConfigurationError)?;
    let stream = TlsConnector::from(config)
        .connect(name, stream)
        .await
        .map_err(|error| tls_error(&error))?;
    Ok(Box::new(stream))
}

fn no_address(none: NoAddress) -> Error {
    let dns = |what: &str| Error::DnsError {
        rcode: Some(what.to_owned()),
        info_code: None,
    };
    match none {
        NoAddress::Denied => Error::DestinationIpProhibited,
        NoAddress::TooMany => dns("REFUSED"),
        NoAddress::NoSlot => Error::ConnectionLimitReached,
        NoAddress::Failed(LookupError::NotFound) => dns("NXDOMAIN"),
        NoAddress::Failed(LookupError::Unavailable) => Error::DnsTimeout,
    }
}

impl Target {
    fn address(&self) -> Option<IpAddr> {
        let host = self
            .host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(&self.host);
        host.parse().ok()
    }
}
