//! What all plugins of a runtime share on their way to the network.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use tokio::sync::Semaphore;

use super::{LookupError, LookupPlace, Resolver, Slot};

/// How long the host waits for the answer to a lookup.
const LOOKUP: Duration = Duration::from_secs(10);

/// Lookups of all plugins that are under way at a time. The system's resolver
/// keeps a thread for each, however long its answer takes.
const LOOKUPS: usize = 32;

/// The host's own side of the network.
pub(crate) struct Network {
    resolver: Arc<dyn Resolver>,
    lookups: Arc<Semaphore>,
    tls: OnceLock<Arc<ClientConfig>>,
    connect_time: Duration,
}

impl Network {
    pub(crate) fn new(resolver: Arc<dyn Resolver>, connect_time: Duration) -> Arc<Self> {
        Arc::new(Network {
            resolver,
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
            tls: OnceLock::new(),
            connect_time,
        })
    }

    /// How long it may take from an address to a connection, TLS included.
    pub(crate) fn connect_time(&self) -> Duration {
        self.connect_time
    }

    /// The slot stays taken, and the lookup counted, for as long as the
    /// resolver is at work, which may be longer than anybody waits.
    pub(super) async fn resolve(&self, name: &str, slot: Arc<Slot>) -> Result<Vec<IpAddr>, LookupError> {
        let lookup = async {
            let permit = self.lookups.clone().acquire_owned().await;
            let permit = permit.map_err(|_| LookupError::Unavailable)?;
            self.resolver.lookup(name, LookupPlace::new(slot, permit)).await
        };
        match tokio::time::timeout(LOOKUP, lookup).await {
            Ok(answer) => answer,
            Err(_) => Err(LookupError::Unavailable),
        }
    }

    /// How TLS is spoken: with the roots compiled into the host.
    pub(crate) fn tls(&self) -> Result<Arc<ClientConfig>, rustls::Error> {
        if let Some(config) = self.tls.get() {
            return Ok(config.clone());
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.into(),
        };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(self.tls.get_or_init(|| Arc::new(config)).clone())
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("resolver", &self.resolver)
            .finish_non_exhaustive()
    }
}
