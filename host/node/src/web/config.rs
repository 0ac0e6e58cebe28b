//! How a listener is set up.
//!
//! **Invariant:** without TLS it is reachable from this machine alone.

use std::net::SocketAddr;
use std::path::Path;

use odeon_authority::ListenerName;
use serde::Deserialize;

use super::tls::TlsFiles;

/// An address at which plugins answer HTTP requests: `[[listener]]` of the
/// configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", try_from = "Written")]
pub struct ListenerConfig {
    name: ListenerName,
    address: SocketAddr,
    tls: Option<TlsFiles>,
    trace: Option<ClientTrace>,
    generation: bool,
}

/// What the `traceparent` of a client counts for. It says whether a request is
/// recorded, and what it is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientTrace {
    /// Nothing: the host decides by its share.
    Ignore,
    /// It is gone by.
    Continue,
}

/// What cannot be listened at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidListener {
    /// Not an address and port.
    #[error(
        "listener {name}: expected an address and a port, as in 127.0.0.1:8080 or [::1]:8080, found {found:?}"
    )]
    Address {
        /// The listener.
        name: ListenerName,
        /// What was there.
        found: String,
    },
    /// Anybody could listen in.
    #[error(
        "listener {name}: expected an address of this machine itself, as in 127.0.0.1:8080 or [::1]:8080, found {found}; \
         what others reach needs `tls`"
    )]
    Plain {
        /// The listener.
        name: ListenerName,
        /// The address.
        found: SocketAddr,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    name: ListenerName,
    address: String,
    tls: Option<TlsFiles>,
    trace: Option<ClientTrace>,
    #[serde(default)]
    generation: bool,
}

impl ListenerConfig {
    /// A listener without TLS.
    ///
    /// # Errors
    ///
    /// When others than this machine could reach it.
    pub fn plain(name: ListenerName, address: SocketAddr) -> Result<Self, InvalidListener> {
        if !address.ip().to_canonical().is_loopback() {
            return Err(InvalidListener::Plain { name, found: address });
        }
        Ok(ListenerConfig {
            name,
            address,
            tls: None,
            trace: None,
            generation: false,
        })
    }

    /// A listener that speaks TLS, at any address.
    pub fn tls(name: ListenerName, address: SocketAddr, files: TlsFiles) -> Self {
        ListenerConfig {
            name,
            address,
            tls: Some(files),
            trace: None,
            generation: false,
        }
    }

    /// The same with this said about the `traceparent` of its clients.
    #[must_use]
    pub fn with_client_trace(mut self, trace: ClientTrace) -> Self {
        self.trace = Some(trace);
        self
    }

    /// The same, and each answer of a plugin says in its `odeon-generation` which
    /// generation gave it: `NAME@N`.
    #[must_use]
    pub fn with_generation(mut self) -> Self {
        self.generation = true;
        self
    }

    /// Whether answers say which generation gave them.
    pub fn says_generation(&self) -> bool {
        self.generation
    }

    /// What the `traceparent` of a client counts for. Where nothing is said, it is
    /// gone by without TLS, where clients are programs of this machine, and
    /// ignored with TLS, where they are anybody.
    pub fn client_trace(&self) -> ClientTrace {
        self.trace.unwrap_or(match self.tls {
            Some(_) => ClientTrace::Ignore,
            None => ClientTrace::Continue,
        })
    }

    /// Whether that was said.
    pub(crate) fn says_trace(&self) -> bool {
        self.trace.is_some()
    }

    /// The same, its files relative to this folder.
    pub(crate) fn beside(mut self, folder: &Path) -> Self {
        if let Some(files) = &mut self.tls {
            files.cert = folder.join(&files.cert);
            files.key = folder.join(&files.key);
        }
        self
    }

    /// The files of its certificate.
    pub(crate) fn files(&self) -> Option<&TlsFiles> {
        self.tls.as_ref()
    }

    /// Its name.
    pub fn name(&self) -> &ListenerName {
        &self.name
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl TryFrom<Written> for ListenerConfig {
    type Error = InvalidListener;

    fn try_from(written: Written) -> Result<Self, InvalidListener> {
        let address = written.address.parse().map_err(|_| InvalidListener::Address {
            name: written.name.clone(),
            found: written.address.chars().take(80).collect(),
        })?;
        let config = match written.tls {
            Some(files) => ListenerConfig::tls(written.name, address, files),
            None => ListenerConfig::plain(written.name, address)?,
        };
        Ok(ListenerConfig {
            trace: written.trace,
            generation: written.generation,
            ..config
        })
    }
}
